//! A PostgreSQL server of the tests' own.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tokio_postgres::{NoTls, SimpleQueryMessage};
use weir_flow::{Connection, Target};
use weir_sql::{Catalog, Epoch};

/// A running server. Stopped when dropped.
pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
}

impl Cluster {
    /// Initialises and starts a server, with password `secret` for every role it will have.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("weir-flow")
            .tempdir()
            .expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|it| it.local_addr())
            .expect("a free port")
            .port();
        let cluster = Self {
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        };
        run(Command::new("chown")
            .arg("postgres")
            .arg(cluster.folder.path()));
        let password = cluster.folder.path().join("password");
        std::fs::File::create(&password)
            .and_then(|mut file| file.write_all(b"secret"))
            .expect("written");
        let data = cluster.data();
        run(cluster
            .tool("initdb")
            .args([
                "-U",
                "postgres",
                "-A",
                "scram-sha-256",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-N",
            ])
            .arg("--pwfile")
            .arg(&password)
            .arg("-D")
            .arg(&data));
        let options = format!(
            "-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        );
        let log = cluster.folder.path().join("log");
        run(cluster
            .tool("pg_ctl")
            .args(["-w", "-o", &options, "-D"])
            .arg(&data)
            .arg("-l")
            .arg(&log)
            .arg("start"));
        cluster
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new("runuser");
        command
            .args(["-u", "postgres", "--"])
            .arg(bin().join(name))
            .current_dir("/")
            .stdin(Stdio::null());
        command.stdout(Stdio::null());
        command
    }

    /// Runs SQL directly, as the superuser.
    pub(crate) fn sql(&self, database: &str, text: &str) -> String {
        psql(self.address.port(), "postgres", database, text).0
    }
}

impl Cluster {
    /// What psql writes for one statement, asked directly as the superuser, byte by byte.
    pub(crate) fn bytes(&self, database: &str, text: &str) -> Vec<u8> {
        let output = asked(self.address.port(), "postgres", database, text);
        assert!(output.status.success(), "{text}: {output:?}");
        output.stdout
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        let _ = self
            .tool("pg_ctl")
            .args(["-m", "immediate", "-D"])
            .arg(&data)
            .arg("stop")
            .status();
    }
}

/// Runs SQL with an unmodified psql. Returns what it printed on its two outputs.
pub(crate) fn psql(port: u16, user: &str, database: &str, text: &str) -> (String, String) {
    let output = asked(port, user, database, text);
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn asked(port: u16, user: &str, database: &str, text: &str) -> Output {
    Command::new(bin().join("psql"))
        .args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-h",
            "127.0.0.1",
            "-U",
            user,
            "-d",
            database,
            "-p",
            &port.to_string(),
        ])
        .env("PGPASSWORD", "secret")
        .env("PGSSLMODE", "disable")
        .args(["-v", "VERBOSITY=verbose"])
        .arg("-c")
        .arg(text)
        .stdin(Stdio::null())
        .output()
        .expect("psql runs")
}

/// The newest installed server's programs.
pub(crate) fn bin() -> PathBuf {
    let versions = Path::new("/usr/lib/postgresql")
        .read_dir()
        .expect("PostgreSQL is installed");
    let mut versions: Vec<_> = versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL is installed")
}

fn run(command: &mut Command) {
    let status = command.status().expect("starts");
    assert!(status.success(), "{command:?}: {status}");
}

/// Reads a catalogue as the proxy does, over a session of its own.
pub(crate) fn catalog(connection: &Connection, database: &str) -> Result<Catalog, String> {
    let Target::Postgres(target) = &connection.target else {
        return Err("not Postgres".to_owned());
    };
    let credential = target.catalog_credential().ok_or("no credential")?;
    let address = connection.addresses.first().ok_or("no address")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config
            .host(address.ip().to_string())
            .port(address.port())
            .dbname(database)
            .user(&*credential.role);
        config
            .password(credential.password.as_bytes())
            .options("-c search_path=pg_catalog");
        let (client, session) = config
            .connect(NoTls)
            .await
            .map_err(|error| error.to_string())?;
        tokio::spawn(session);
        let mut results = Vec::new();
        for (_, query) in [("epoch", Catalog::EPOCH_QUERY)]
            .iter()
            .chain(Catalog::QUERIES)
        {
            let answer = client
                .simple_query(query)
                .await
                .map_err(|error| error.to_string())?;
            let rows = answer.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(
                    (0..row.len())
                        .map(|i| row.get(i).map(str::to_owned))
                        .collect::<Vec<_>>(),
                ),
                _ => None,
            });
            results.push(rows.collect::<Vec<_>>());
        }
        let epoch = results
            .remove(0)
            .into_iter()
            .flatten()
            .flatten()
            .next()
            .unwrap_or_default();
        Catalog::from_rows(Epoch::of(&epoch), &results).map_err(|error| error.to_string())
    })
}
