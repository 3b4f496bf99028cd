//! Servers of the suite, each a process of nobody's outside of the guarded cgroup.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::kit::Kit;
use crate::stage::process::{Daemon, Stop};
use crate::stage::{Stage, find_user, free_port, listens};

/// Python on a slow machine that does other things too.
const READY_MAX: Duration = Duration::from_secs(60);

/// One of them.
pub(super) struct Server {
    /// Its connection's name.
    pub name: &'static str,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    witness: PathBuf,
    _daemon: Daemon,
}

/// Which carrier the fixture serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// Streamable HTTP, with and without sessions.
    Http,
    /// The two endpoints of 2024-11-05.
    Sse,
}

impl Server {
    /// Starts the fixture.
    pub(super) fn fixture(
        stage: &Stage,
        kit: &Kit,
        name: &'static str,
        carrier: Carrier,
    ) -> Result<Self> {
        let carrier = match carrier {
            Carrier::Http => "http",
            Carrier::Sse => "sse",
        };
        let entry = kit.at("python/fixture/server.py");
        Self::start(stage, kit, name, |port, witness| {
            let mut command = Command::new("/usr/bin/python3");
            command.args([&entry, port, witness, carrier]);
            command
        })
    }

    /// Starts the naive server.
    pub(super) fn naive(stage: &Stage, kit: &Kit, name: &'static str) -> Result<Self> {
        let entry = kit.at("python/attacks/naive.py");
        Self::start(stage, kit, name, |port, witness| {
            let mut command = Command::new("/usr/bin/python3");
            command.args([&entry, port, witness]);
            command
        })
    }

    /// Starts a server of Node's.
    pub(super) fn node(stage: &Stage, kit: &Kit, name: &'static str, entry: &str) -> Result<Self> {
        let entry = kit.at(&format!("node/{entry}"));
        Self::start(stage, kit, name, |port, witness| {
            let mut command = Command::new(kit.node());
            command.args([&entry, port, witness]);
            command
        })
    }

    /// Starts a server that is told its port and where to write down what it is asked.
    pub(super) fn start(
        stage: &Stage,
        kit: &Kit,
        name: &'static str,
        command: impl FnOnce(&str, &str) -> Command,
    ) -> Result<Self> {
        let nobody = find_user("nobody")?;
        let witness = stage.site.logs().join(format!("{name}-calls.jsonl"));
        fs::write(&witness, "").with_context(|| format!("write {}", witness.display()))?;
        std::os::unix::fs::chown(&witness, Some(nobody.uid), Some(nobody.gid)).context("chown")?;
        let port = free_port(0)?;
        let mut command = command(&port.to_string(), &witness.display().to_string());
        command
            .env("PYTHONPATH", kit.at("python/packages"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HOME", "/nonexistent")
            .current_dir("/")
            .uid(nobody.uid)
            .gid(nobody.gid);
        let daemon = begin(stage, name, port, &mut command)?;
        Ok(Self {
            name,
            port,
            witness,
            _daemon: daemon,
        })
    }

    /// Starts a server as somebody's process; it writes nothing down.
    pub(super) fn of_caller(
        stage: &Stage,
        name: &'static str,
        command: impl FnOnce(&str) -> Command,
    ) -> Result<Self> {
        let port = free_port(0)?;
        let daemon = begin(stage, name, port, &mut command(&port.to_string()))?;
        Ok(Self {
            name,
            port,
            witness: "/dev/null".into(),
            _daemon: daemon,
        })
    }

    /// Where clients are sent.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Makes it a connection of Weir's.
    pub(super) fn register(&self, stage: &Stage) -> Result<()> {
        self.register_with(stage, &[])
    }

    /// The same, with this beside its address.
    pub(super) fn register_with(&self, stage: &Stage, more: &[&str]) -> Result<()> {
        let address = format!("127.0.0.1:{}", self.port);
        let words = ["connection", "add", self.name, "--kind", "mcp"];
        let place = ["--address", &address, "--env", "demo", "--tls", "disable"];
        stage
            .control
            .admin()
            .run(&[words.as_slice(), &place, more].concat())
            .map(|_| ())
    }

    /// What it was really asked to do beyond `before`, in order.
    pub(super) fn asked_since(&self, before: usize) -> Result<Vec<Value>> {
        Ok(self.asked()?.split_off(before))
    }

    /// What it was really asked to do, in order, as it wrote that down itself.
    pub(super) fn asked(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.witness)
            .with_context(|| format!("read {}", self.witness.display()))?;
        let line = |line: &str| {
            serde_json::from_str(line).with_context(|| format!("{}: {line}", self.name))
        };
        text.lines().map(line).collect()
    }
}

fn begin(stage: &Stage, name: &str, port: u16, command: &mut Command) -> Result<Daemon> {
    let log = stage.site.logs().join(format!("{name}.log"));
    let mut daemon = Daemon::start(&stage.record, name, &log, command, Stop::Terminate)?;
    daemon.await_ready(READY_MAX, || listens(port))?;
    Ok(daemon)
}
