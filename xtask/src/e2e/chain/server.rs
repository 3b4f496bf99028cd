//! The servers of the scene, and the clients that call them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::with_packages;
use crate::stage::process::{Daemon, Stop};
use crate::stage::{Running, Stage, free_port, listens, put_in_force, until};

/// Connections of the server's pool: far fewer than calls, so that each serves many.
const POOL: &str = "8";

/// How long ten thousand calls and their records may take on a slow host.
const LOAD_MAX: Duration = Duration::from_secs(600);

/// A server of the SDK's, in the guarded cgroup, so that its statements go through Weir.
pub(in crate::e2e) struct Server {
    /// Where its clients are sent.
    pub(in crate::e2e) url: String,
    _daemon: Daemon,
}

impl Server {
    pub(super) fn start(stage: &Stage, packages: &Path, mode: &str) -> Result<Self> {
        let port = free_port(0)?;
        let alice = with_packages(&stage.people.alice.guarded, packages);
        let mut command = alice.command("/usr/bin/python3");
        command
            .arg(packages.join("server.py"))
            .args([&port.to_string(), &dsn(stage), POOL, mode]);
        let log = stage.site.logs().join(format!("chain-{mode}.log"));
        let name = format!("the {mode} pooled MCP server");
        let mut daemon = Daemon::start(&stage.record, &name, &log, &mut command, Stop::Terminate)?;
        daemon.await_ready(Duration::from_secs(60), || listens(port))?;
        let (connection, address) = (format!("chain-{mode}"), format!("127.0.0.1:{port}"));
        let admin = stage.control.admin();
        put_in_force(stage.site, &admin, || {
            admin.run(&[
                "connection",
                "add",
                &connection,
                "--kind",
                "mcp",
                "--address",
                &address,
                "--env",
                "demo",
                "--tls",
                "disable",
            ])
        })?;
        Ok(Self {
            url: format!("http://{address}/mcp"),
            _daemon: daemon,
        })
    }

    /// Calls, and waits for the answers, which must all be right.
    pub(super) fn load(&self, stage: &Stage, clients: u64, calls: u64) -> Result<()> {
        self.load_of(stage, clients, calls, None)
    }

    /// The same; with a tool, all clients call that one.
    pub(super) fn load_of(
        &self,
        stage: &Stage,
        clients: u64,
        calls: u64,
        tool: Option<&str>,
    ) -> Result<()> {
        let script = stage.site.folder().join("chain/load.py");
        let mut command = stage.people.alice.guarded.command("/usr/bin/python3");
        command
            .arg(script)
            .args([&self.url, &clients.to_string(), &calls.to_string()])
            .args(tool);
        all_right(&mut command, clients * calls)
    }
}

/// A server that its client starts by way of a shell, and the client that does so.
pub(super) struct Piped {
    connection: &'static str,
}

impl Piped {
    pub(super) fn register(stage: &Stage, connection: &'static str) -> Result<Self> {
        let admin = stage.control.admin();
        let add = [
            "connection",
            "add",
            connection,
            "--kind",
            "mcp",
            "--stdio",
            "--env",
            "demo",
        ];
        put_in_force(stage.site, &admin, || admin.run(&add))?;
        Ok(Self { connection })
    }

    /// Starts the server anew, and calls.
    pub(super) fn load(
        &self,
        stage: &Stage,
        packages: &Path,
        clients: u64,
        calls: u64,
    ) -> Result<()> {
        let alice = with_packages(&stage.people.alice.guarded, packages);
        let mut command = alice.command("/usr/bin/python3");
        command
            .arg(packages.join("pipe.py"))
            .args([&clients.to_string(), &calls.to_string(), "--"])
            .arg(stage.site.programs().join("weir"))
            .args(["mcp", "run", "--connection", self.connection, "--socket"])
            .arg(stage.site.folder().join("run/stdio.sock"))
            // The shell is what Weir is told of; the server is its child.
            .args(["--", "sh", "-c", r#""$@"; exit"#, "sh", "/usr/bin/python3"])
            .arg(packages.join("server.py"))
            .args(["stdio", &dsn(stage), POOL, "plain"]);
        all_right(&mut command, clients * calls)
    }
}

/// Runs a client to its end. Every answer must be right.
fn all_right(command: &mut Command, expected: u64) -> Result<()> {
    let mut running = Running::start(command, "")?;
    until("the calls", LOAD_MAX, || {
        Ok((!running.is_running()).then_some(()))
    })?;
    let said = running.finish()?;
    let told: Value = serde_json::from_str(&said.out).with_context(|| said.all())?;
    anyhow::ensure!(told["right"] == expected, "{}", said.all());
    Ok(())
}

fn dsn(stage: &Stage) -> String {
    format!(
        "host=127.0.0.1 port={} user=app dbname=shop sslmode=disable",
        stage.postgres.port
    )
}
