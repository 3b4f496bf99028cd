//! A real OpenID provider, and a real libpq of PostgreSQL 18 that speaks OAUTHBEARER.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::caller::{Caller, Running, Said};
use super::postgres::secret;
use super::process::{Daemon, Stop};
use super::record::Record;
use super::site::{Site, free_port};
use super::user;
use crate::{install, step};

/// The sources that lie beside the lock files.
const SOURCES: [&str; 5] = [
    "package.json",
    "package-lock.json",
    "idp.mjs",
    "token.mjs",
    "bearer.py",
];

/// A running provider.
pub(crate) struct Idp {
    port: u16,
    secret: String,
    folder: PathBuf,
    daemon: Daemon,
}

impl Idp {
    /// Installs the packages, once per checkout, and starts the provider as nobody.
    pub(crate) fn start(record: &Record, site: Site) -> Result<Self> {
        install::ensure(&[install::NPM, install::PYTHON])?;
        let folder = site.folder().join("idp");
        install(&folder)?;
        let nobody = user::find("nobody")?;
        let (port, secret) = (free_port(0)?, secret()?);
        let mut command = Command::new("node");
        command
            .arg(folder.join("idp.mjs"))
            .args([&port.to_string(), &secret])
            .env("HOME", "/nonexistent")
            .current_dir("/")
            .uid(nobody.uid)
            .gid(nobody.gid);
        let log = site.logs().join("idp.log");
        let name = "the OpenID provider";
        let mut daemon = Daemon::start(record, name, &log, &mut command, Stop::Terminate)?;
        daemon.await_ready(Duration::from_secs(30), || super::listens(port))?;
        Ok(Self {
            port,
            secret,
            folder,
            daemon,
        })
    }

    /// What its tokens say that they are from.
    pub(crate) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same caller with what an MCP client needs to get tokens for `robot` by itself, with this
    /// scope.
    pub(crate) fn robot(&self, caller: &Caller, scope: &str) -> Caller {
        let caller = caller.clone().with("OAUTH_CLIENT", "robot");
        let caller = caller.with("OAUTH_SECRET", &self.secret);
        let caller = caller.with("OAUTH_ISSUER", &self.issuer());
        if scope.is_empty() {
            caller
        } else {
            caller.with("OAUTH_SCOPE", scope)
        }
    }

    /// A token of its client `robot`, for an audience.
    pub(crate) fn token(&self, audience: &str) -> Result<String> {
        let mut command = Command::new("node");
        command.arg(self.folder.join("token.mjs")).args([
            &self.port.to_string(),
            &self.secret,
            audience,
        ]);
        Ok(step::output("node token.mjs", &mut command)?
            .trim()
            .to_owned())
    }

    /// It signs with a new key from now on, and publishes no other.
    pub(crate) fn rotate(&self) -> Result<()> {
        #[expect(
            unsafe_code,
            reason = "the standard library sends no signal but SIGKILL"
        )]
        // SAFETY: kill(2) takes two numbers; the process is a child that was not waited for.
        let sent = unsafe { libc::kill(self.daemon.pid(), libc::SIGUSR1) };
        if sent != 0 {
            bail!("kill: {}", std::io::Error::last_os_error());
        }
        super::until("a new key", Duration::from_secs(20), || {
            Ok(self.daemon.tail().contains("signs with").then_some(()))
        })
    }

    /// Has a caller's libpq of PostgreSQL 18 ask one thing, with a token by OAUTHBEARER.
    pub(crate) fn bearer(
        &self,
        caller: &Caller,
        conninfo: &str,
        token: &str,
        statement: &str,
    ) -> Result<Said> {
        let conninfo = format!(
            "{conninfo} oauth_issuer={} oauth_client_id=robot",
            self.issuer()
        );
        let packages = self.folder.join("python").display().to_string();
        // A provider on this host without TLS is what libpq calls unsafe.
        let caller = caller
            .clone()
            .with("PYTHONPATH", &packages)
            .with("PYTHONDONTWRITEBYTECODE", "1")
            .with("PGOAUTHDEBUG", "UNSAFE")
            .with("BEARER", token);
        let program = self.folder.join("bearer.py").display().to_string();
        let mut command = caller.command("/usr/bin/python3");
        Running::start(command.args([&program, &conninfo, statement]), "")?.finish()
    }
}

/// Installs into `target/idp`, which later runs use again, and copies to where all may read.
fn install(folder: &Path) -> Result<()> {
    let (sources, kept) = (
        step::root().join("xtask/idp"),
        step::root().join("target/idp"),
    );
    let read = |name: &str| fs::read(sources.join(name)).with_context(|| format!("read {name}"));
    let locked = [read("package-lock.json")?, read("requirements.txt")?].concat();
    let stamp = kept.join("installed");
    if !fs::read(&stamp).is_ok_and(|installed| installed == locked) {
        if kept.exists() {
            fs::remove_dir_all(&kept).with_context(|| format!("remove {}", kept.display()))?;
        }
        fs::create_dir_all(&kept).with_context(|| format!("mkdir {}", kept.display()))?;
        copy(&sources, &kept)?;
        packages(&sources, &kept)?;
        fs::write(&stamp, &locked).with_context(|| format!("write {}", stamp.display()))?;
    }
    copy(&sources, &kept)?;
    step::output("cp", Command::new("cp").arg("-r").arg(&kept).arg(folder))?;
    let mut readable = Command::new("chmod");
    step::output("chmod", readable.args(["-R", "a+rX"]).arg(folder)).map(|_| ())
}

fn copy(sources: &Path, kept: &Path) -> Result<()> {
    SOURCES.iter().try_for_each(|name| {
        fs::copy(sources.join(name), kept.join(name))
            .with_context(|| format!("copy {name}"))
            .map(drop)
    })
}

fn packages(sources: &Path, kept: &Path) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .arg("--loglevel=error")
        .current_dir(kept);
    step::output("npm ci", &mut npm)?;
    let venv = kept.join("venv");
    let mut make = Command::new("/usr/bin/python3");
    step::output("python3 -m venv", make.args(["-m", "venv"]).arg(&venv))?;
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args(["install", "--quiet", "--require-hashes", "--no-deps"])
        .args(["--only-binary=:all:", "--disable-pip-version-check", "-r"])
        .arg(sources.join("requirements.txt"))
        .arg("--target")
        .arg(kept.join("python"));
    step::output("pip install", &mut pip)?;
    fs::remove_dir_all(&venv).context("remove the installer's environment")
}
