//! `weir-control` on its embedded default, and `weir` as each person uses it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::caller::{Running, Said};
use super::process::{Daemon, Stop};
use super::record::Record;
use super::site::{Site, free_port};
use super::user::{self, User};
use crate::step;

/// Where people find the web pages, if nobody else is there.
const HTTP_PORT: u16 = 7400;

/// A running control plane.
pub(crate) struct Control {
    site: Site,
    user: User,
    http: u16,
    grpc: u16,
    admin: String,
    daemon: Daemon,
}

impl Control {
    /// Makes a state directory and serves.
    pub(crate) fn start(record: &Record, site: Site) -> Result<Self> {
        let user = user::make(record, &site.user("control"))?;
        let state = state(site);
        fs::create_dir(&state).with_context(|| format!("mkdir {}", state.display()))?;
        fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .context("chmod")?;
        std::os::unix::fs::chown(&state, Some(user.uid), Some(user.gid)).context("chown")?;
        let mut init = program(site, &user);
        let told = step::output(
            "weir-control init",
            init.args(["init", "--state"]).arg(&state),
        )?;
        let token = told
            .lines()
            .find_map(|line| line.strip_prefix("token:"))
            .context("init printed no token")?;
        let (http, grpc) = (free_port(HTTP_PORT)?, free_port(0)?);
        let daemon = serve(record, site, &user, http, grpc)?;
        Ok(Self {
            site,
            user,
            http,
            grpc,
            admin: token.trim().to_owned(),
            daemon,
        })
    }

    /// Kills it, and starts it again at the same place.
    pub(crate) fn kill_and_restart(&mut self, record: &Record) -> Result<()> {
        self.daemon.kill()?;
        self.daemon = serve(record, self.site, &self.user, self.http, self.grpc)?;
        Ok(())
    }

    /// Where the web pages are.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// `weir` with the first admin's token.
    pub(crate) fn admin(&self) -> Hand {
        self.hand(&self.admin)
    }

    /// `weir` with somebody's token.
    pub(crate) fn hand(&self, token: &str) -> Hand {
        Hand {
            program: self.site.programs().join("weir"),
            url: self.url(),
            token: token.to_owned(),
        }
    }
}

fn state(site: Site) -> PathBuf {
    site.folder().join("control")
}

fn program(site: Site, user: &User) -> Command {
    let mut command = Command::new(site.programs().join("weir-control"));
    command
        .current_dir("/")
        .uid(user.uid)
        .gid(user.gid)
        .env("HOME", "/nonexistent");
    command
}

fn serve(record: &Record, site: Site, user: &User, http: u16, grpc: u16) -> Result<Daemon> {
    let mut command = program(site, user);
    let address = |port: u16| format!("127.0.0.1:{port}");
    command
        .args([
            "serve",
            "--http",
            &address(http),
            "--grpc",
            &address(grpc),
            "--state",
        ])
        .arg(state(site));
    let log = site.logs().join("weir-control.log");
    let mut daemon = Daemon::start(record, "weir-control", &log, &mut command, Stop::Terminate)?;
    daemon.await_ready(Duration::from_secs(20), || {
        super::listens(http) && super::listens(grpc)
    })?;
    Ok(daemon)
}

/// `weir`, as one person uses it.
#[derive(Clone, Debug)]
pub(crate) struct Hand {
    program: PathBuf,
    url: String,
    /// The person's token.
    pub token: String,
}

impl Hand {
    /// Runs it and tells what it said, whatever that is.
    pub(crate) fn try_run(&self, arguments: &[&str], input: &str) -> Result<Said> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir("/")
            .env("WEIR_URL", &self.url)
            .env("WEIR_TOKEN", &self.token);
        Running::start(&mut command, input)?.finish()
    }

    /// Runs it; anything but success is an error.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with(arguments, "")
    }

    /// Runs it with something on its standard input, such as a secret.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let said = self.try_run(arguments, input)?;
        if !said.ok {
            bail!("weir {}:\n{}", arguments.join(" "), said.all());
        }
        Ok(said.out)
    }

    /// Runs it and reads its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.run(&[&["--output", "json"], arguments].concat())?;
        serde_json::from_str(&text)
            .with_context(|| format!("weir {} said {text:?}", arguments.join(" ")))
    }

    /// Makes a token of an account's.
    pub(crate) fn token(&self, account: &str, scope: &str) -> Result<String> {
        let made = self.json(&[
            "account",
            "token",
            account,
            "--scope",
            scope,
            "--expires",
            "7d",
        ])?;
        made["token"]
            .as_str()
            .map(str::to_owned)
            .context("no token was made")
    }
}
