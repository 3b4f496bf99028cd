//! A PostgreSQL of its own on a free port of loopback, gone with the value.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running server. Superuser `postgres`, local trust; TCP by SCRAM, md5 for role `old`.
pub(crate) struct Cluster {
    directory: tempfile::TempDir,
    binaries: PathBuf,
    pub(crate) port: u16,
}

fn binaries() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("this test needs PostgreSQL (apt-get install postgresql)")
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found
        .pop()
        .expect("this test needs PostgreSQL's server programs")
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self")
        .is_ok_and(|about| std::os::unix::fs::MetadataExt::uid(&about) == 0)
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let cluster = Self {
            directory,
            binaries: binaries(),
            port,
        };
        if is_root() {
            cluster.check(
                Command::new("chown")
                    .arg("postgres")
                    .arg(cluster.directory.path()),
            );
        }
        let data = cluster.data();
        cluster.run(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-N",
            ],
        );
        let rules = "local all all trust\nhost all old 127.0.0.1/32 md5\nhost all all 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(Path::new(&data).join("pg_hba.conf"), rules).unwrap();
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off",
            cluster.directory.path().display()
        );
        cluster.run(
            "pg_ctl",
            &[
                "-D",
                &data,
                "-w",
                "-o",
                &options,
                "-l",
                &format!("{data}/log"),
                "start",
            ],
        );
        cluster
    }

    fn data(&self) -> String {
        self.directory
            .path()
            .join("data")
            .to_str()
            .unwrap()
            .to_owned()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let path = self.binaries.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        self.check(command.args(arguments).current_dir("/"));
    }

    fn check(&self, command: &mut Command) {
        let output = command
            .stdout(std::process::Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Runs statements as superuser.
    pub(crate) fn sql(&self, text: &str) {
        let socket = self.directory.path().to_str().unwrap().to_owned();
        let port = self.port.to_string();
        self.run(
            "psql",
            &[
                "-h",
                &socket,
                "-p",
                &port,
                "-U",
                "postgres",
                "-v",
                "ON_ERROR_STOP=1",
                "-qc",
                text,
                "postgres",
            ],
        );
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run(
            "pg_ctl",
            &["-D", &self.data(), "-m", "immediate", "-w", "stop"],
        );
    }
}
