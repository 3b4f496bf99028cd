//! `weir-dataplane` with its proxy: as root, hooks at the cgroup root, one cgroup guarded.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::caller::until;
use super::control::Hand;
use super::process::{self, Daemon, Stop};
use super::record::{Change, Record};
use super::site::{Site, cgroup_root, free_range};
use super::user;

/// A first start compiles policies in a debug build, and a canary flies every 5 s.
const READY_MAX: Duration = Duration::from_secs(60);

/// A running data plane.
pub(crate) struct Dataplane {
    site: Site,
    daemon: Daemon,
}

impl Dataplane {
    /// Registers a node, writes the configuration, and starts.
    pub(crate) fn start(record: &Record, site: Site, admin: &Hand) -> Result<Self> {
        let user = user::make(record, &site.user("proxy"))?;
        let made = admin.json(&["node", "add", site.name])?;
        let join = site.folder().join("join");
        fs::write(&join, "").with_context(|| format!("write {}", join.display()))?;
        fs::set_permissions(&join, fs::Permissions::from_mode(0o600)).context("chmod")?;
        fs::write(&join, made["join"].as_str().context("no join string")?)
            .context("write the join string")?;
        fs::write(
            config(site),
            toml(site, &join.display().to_string(), &user.name)?,
        )
        .context("write the configuration")?;
        prepare(record, site)?;
        Ok(Self {
            site,
            daemon: start(record, site)?,
        })
    }

    /// Waits until the node is connected, guards by what the control plane wants, and has
    /// proved its redirect.
    pub(crate) fn await_ready(&mut self, admin: &Hand) -> Result<()> {
        let is_ready = || {
            node(self.site, admin).is_ok_and(|node| is_settled(&node) && has_proved_itself(&node))
        };
        self.daemon.await_ready(READY_MAX, is_ready)
    }

    /// Kills the warden, and starts it again.
    pub(crate) fn kill_and_restart(&mut self, record: &Record) -> Result<()> {
        self.daemon.kill()?;
        self.daemon = start(record, self.site)?;
        Ok(())
    }

    /// The proxy's process.
    pub(crate) fn proxy(&self) -> Result<i32> {
        let program = self.site.programs().join("weir-proxy");
        let is_proxy =
            |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
        process::children(self.daemon.pid())
            .into_iter()
            .find(is_proxy)
            .context("the warden has no proxy")
    }

    /// The proxy's process, as soon as there is one.
    pub(crate) fn await_proxy(&self, within: Duration) -> Result<i32> {
        until("a proxy", within, || Ok(self.proxy().ok()))
    }

    /// The last lines of the log.
    pub(crate) fn tail(&self) -> String {
        self.daemon.tail()
    }
}

/// Removes the hooks, as an operator does.
pub(crate) fn detach(site: Site) -> Result<()> {
    let mut command = Command::new(site.programs().join("weir-dataplane"));
    crate::step::output(
        "weir-dataplane detach",
        command.arg("--config").arg(config(site)).arg("detach"),
    )
    .map(|_| ())
}

/// What the control plane knows of the stage's node.
fn node(site: Site, hand: &Hand) -> Result<Value> {
    let nodes = hand.json(&["nodes"])?;
    nodes
        .as_array()
        .and_then(|nodes| nodes.iter().find(|node| node["name"] == site.name))
        .cloned()
        .context("no such node")
}

/// It has in force what it should have.
fn is_settled(node: &Value) -> bool {
    node["connected"] == true && node["push"] == "applied" && node["applied"] == node["wanted"]
}

fn has_proved_itself(node: &Value) -> bool {
    let guards = node["health"]["guards"].as_array();
    node["health"]["canary"] == "passed"
        && guards.is_some_and(|guards| {
            !guards.is_empty() && guards.iter().all(|guard| guard["attached"] == true)
        })
}

/// Waits until the node has in force what the control plane wants it to have by now.
pub(crate) fn await_settled(site: Site, hand: &Hand) -> Result<()> {
    let settled = || Ok(node(site, hand).ok().filter(is_settled));
    until("the push", Duration::from_secs(20), settled).map(|_| ())
}

/// Makes a change at the control plane, and waits until the node has it in force.
pub(crate) fn put_in_force<T>(
    site: Site,
    hand: &Hand,
    change: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let applied = || Ok::<_, anyhow::Error>(node(site, hand)?["applied"].as_u64());
    await_settled(site, hand)?;
    let before = applied()?;
    let made = change()?;
    // What the node should have is settled a moment after the answer.
    until("the push", Duration::from_secs(20), || {
        Ok(applied().ok().filter(|now| *now > before))
    })?;
    await_settled(site, hand)?;
    Ok(made)
}

fn config(site: Site) -> PathBuf {
    site.folder().join("dataplane.toml")
}

fn toml(site: Site, join: &str, user: &str) -> Result<String> {
    Ok(format!(
        "join_file = {join:?}\nstate_dir = {:?}\nruntime_dir = {:?}\nworkers = {}\nbase_port = {}\npin_dir = {:?}\ncgroup = {:?}\nuser = {user:?}\n",
        site.plane_state(),
        site.folder().join("run"),
        site.workers,
        free_range(site.workers)?,
        site.pins(),
        site.plane(),
    ))
}

/// Writes down what the data plane will make on the host, before it does.
fn prepare(record: &Record, site: Site) -> Result<()> {
    let mount = site
        .pins()
        .parent()
        .context("pins have a folder")?
        .to_owned();
    if !super::is_bpffs(&mount)? {
        record.change(&Change::BpfMount(mount), || Ok(()))?;
    }
    record.change(
        &Change::Cgroup(cgroup_root()?.join(site.plane())),
        || Ok(()),
    )?;
    record.change(&Change::Pins(site.pins()), || Ok(()))
}

fn start(record: &Record, site: Site) -> Result<Daemon> {
    let mut command = Command::new(site.programs().join("weir-dataplane"));
    command
        .arg("--config")
        .arg(config(site))
        .arg("run")
        .current_dir("/")
        .env("HOME", "/nonexistent");
    let log = site.logs().join("weir-dataplane.log");
    Daemon::start(
        record,
        "weir-dataplane",
        &log,
        &mut command,
        Stop::Terminate,
    )
}
