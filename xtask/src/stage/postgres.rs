//! A real PostgreSQL server of the stage's own, that logs every statement.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::caller::Caller;
use super::process::{Daemon, Stop};
use super::record::Record;
use super::site::{Site, free_port};
use super::statements::StatementLog;
use super::user::{self, User};
use crate::step;

/// The tables that `policies/demo/masks.toml` labels, with values to look for.
const SCHEMA: &str = include_str!("schema.sql");

/// By what name the stage's own sessions are known in the server's log.
pub(crate) const SETUP: &str = "stage-setup";

/// A running server with nothing in it.
pub(crate) struct Bare {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// The password of its superuser, `postgres`.
    pub password: String,
    log: PathBuf,
    daemon: Daemon,
}

impl Bare {
    /// Makes a cluster in a folder of the stage's and starts it with these settings.
    pub(crate) fn start(
        record: &Record,
        site: Site,
        name: &str,
        settings: &[&str],
    ) -> Result<Self> {
        let user = user::find("postgres")?;
        let folder = site.folder().join(format!("server-{name}"));
        make_folder(&folder, &user)?;
        let password = secret()?;
        init(&folder, &user, &password)?;
        let port = free_port(0)?;
        let log = site.logs().join(format!("{name}.log"));
        let mut daemon = Daemon::start(
            record,
            name,
            &log,
            &mut server(&folder, &user, port, settings),
            Stop::Interrupt,
        )?;
        daemon.await_ready(Duration::from_secs(30), || ready(port))?;
        Ok(Self {
            port,
            password,
            log,
            daemon,
        })
    }
}

/// A running server.
pub(crate) struct Postgres {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// The password of role `app`, which owns the tables. Only Weir is given it.
    pub password: String,
    /// The password of role `weir_catalog`, which reads catalogues.
    pub catalog_password: String,
    /// What it logged.
    pub log: StatementLog,
    superuser_password: String,
    data: PathBuf,
    _daemon: Daemon,
}

impl Postgres {
    /// Makes a cluster in the stage's folder, starts it and fills it.
    pub(crate) fn start(record: &Record, site: Site) -> Result<Self> {
        let settings = [
            "log_statement=all",
            "log_connections=on",
            "log_timezone=UTC",
            super::statements::PREFIX,
            // One more way out of the server that the evasion suite tries.
            "wal_level=logical",
        ];
        let Bare {
            port,
            password: superuser_password,
            log,
            daemon,
        } = Bare::start(record, site, "postgres", &settings)?;
        let (password, catalog_password) = (secret()?, secret()?);
        let postgres = Self {
            port,
            password,
            catalog_password,
            log: StatementLog::new(log),
            superuser_password,
            data: site.folder().join("server-postgres/data"),
            _daemon: daemon,
        };
        postgres.fill()?;
        Ok(postgres)
    }

    fn fill(&self) -> Result<()> {
        let roles = format!(
            "CREATE ROLE app LOGIN PASSWORD '{}'; CREATE ROLE weir_catalog LOGIN PASSWORD '{}';",
            self.password, self.catalog_password
        );
        self.sql("postgres", &roles)?;
        self.sql("postgres", "CREATE DATABASE shop OWNER app")?;
        self.sql("shop", SCHEMA).map(|_| ())
    }

    /// Runs SQL as the superuser, straight at the server, under the name [`SETUP`].
    pub(crate) fn sql(&self, database: &str, text: &str) -> Result<String> {
        let mut command = Command::new(bin()?.join("psql"));
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
        ]);
        command.args(["-p", &self.port.to_string(), "-d", database, "-c", text]);
        command
            .env("PGPASSWORD", &self.superuser_password)
            .env("PGAPPNAME", SETUP);
        step::output("psql", &mut command)
    }

    /// Lets these roles in from this host without a password, replication too.
    pub(crate) fn trust(&self, roles: &[String]) -> Result<()> {
        let path = self.data.join("pg_hba.conf");
        let old = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let names = roles.join(",");
        let line = |databases: &str| format!("host {databases} {names} 127.0.0.1/32 trust\n");
        fs::write(&path, line("all") + &line("replication") + &old)
            .with_context(|| format!("write {}", path.display()))?;
        self.sql("postgres", "SELECT pg_reload_conf()").map(|_| ())
    }

    /// The arguments by which anybody asks this server one thing.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let port = self.port.to_string();
        // -w: no prompt where there is no password.
        let arguments = [
            "-X",
            "-w",
            "-q",
            "-A",
            "-t",
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "app",
            "-d",
            "shop",
            "-v",
            "VERBOSITY=verbose",
        ];
        arguments.map(str::to_owned).into()
    }

    /// The same caller with what it needs to speak to the server without Weir.
    pub(crate) fn direct(&self, caller: &Caller) -> Caller {
        caller
            .clone()
            .with("PGPASSWORD", &self.password)
            .with("PGAPPNAME", super::DIRECT)
    }
}

/// The newest installed server's programs.
pub(crate) fn bin() -> Result<PathBuf> {
    let place = Path::new("/usr/lib/postgresql");
    let versions = place
        .read_dir()
        .with_context(|| format!("read {}", place.display()))?;
    let bins = versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("postgres").exists());
    let number = |bin: &PathBuf| bin.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    bins.max_by_key(number)
        .context("PostgreSQL's server is not installed")
}

/// The real psql: Debian's `/usr/bin/psql` is a script that starts it.
pub(crate) fn psql() -> Result<String> {
    Ok(bin()?.join("psql").display().to_string())
}

fn ready(port: u16) -> bool {
    let tool = bin().map(|bin| bin.join("pg_isready"));
    tool.is_ok_and(|tool| {
        let port = port.to_string();
        Command::new(tool)
            .args(["-q", "-h", "127.0.0.1", "-p", &port])
            .status()
            .is_ok_and(|status| status.success())
    })
}

fn make_folder(folder: &Path, user: &User) -> Result<()> {
    fs::create_dir(folder).with_context(|| format!("mkdir {}", folder.display()))?;
    std::os::unix::fs::chown(folder, Some(user.uid), Some(user.gid))
        .with_context(|| format!("chown {}", folder.display()))
}

fn init(folder: &Path, user: &User, password: &str) -> Result<()> {
    let file = folder.join("password");
    fs::write(&file, password).with_context(|| format!("write {}", file.display()))?;
    let mut command = Command::new(bin()?.join("initdb"));
    command.args([
        "-U",
        "postgres",
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-N",
        "--pwfile",
    ]);
    command
        .arg(&file)
        .arg("-D")
        .arg(folder.join("data"))
        .current_dir("/")
        .uid(user.uid)
        .gid(user.gid);
    step::output("initdb", &mut command)?;
    fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))
}

fn server(folder: &Path, user: &User, port: u16, more: &[&str]) -> Command {
    let mut command = Command::new(bin().unwrap_or_default().join("postgres"));
    command
        .arg("-D")
        .arg(folder.join("data"))
        .current_dir("/")
        .uid(user.uid)
        .gid(user.gid);
    let port = format!("port={port}");
    let settings = [
        &port,
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=off",
        // The drivers suite opens a thousand at once.
        "max_connections=1100",
    ];
    settings.iter().chain(more).for_each(|setting| {
        command.args(["-c", setting]);
    });
    command
}

/// 32 hexadecimal digits that nobody can guess.
pub(crate) fn secret() -> Result<String> {
    let mut bytes = [0; 16];
    let mut random = fs::File::open("/dev/urandom").context("open /dev/urandom")?;
    std::io::Read::read_exact(&mut random, &mut bytes).context("read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
