//! What a running warden tells root about itself, over a Unix socket in its runtime directory.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{self, Sender, SyncSender};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use weir_handover::{CanaryState, HealthReport, ProxyReport};

use crate::Config;
use crate::run::Event;

/// A status is a few KiB; thousands of guards make it larger.
const STATUS_BYTES_MAX: u64 = 16 << 20;

/// Longer than a canary's three connects can take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Everything that `weir-dataplane status` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// Process id of the warden.
    pub pid: u32,
    /// The proxy, if one runs.
    pub proxy: Option<ProxyStatus>,
    /// How often a proxy was started again.
    pub restarts: u64,
    /// Whether connections are redirected, or only explicit listeners are served.
    pub redirect: bool,
    /// Whether the glass is broken: guarded connections pass unredirected.
    pub glass_broken: bool,
    /// Where it listens.
    pub listeners: Vec<String>,
    /// Hooks, guards, canary and counters.
    pub health: HealthReport,
}

/// A running proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyStatus {
    /// Its process id.
    pub pid: u32,
    /// Its boot number.
    pub boot: u64,
    /// Whether it serves.
    pub ready: bool,
    /// What it said last.
    pub report: ProxyReport,
}

/// Asks a running warden, which flies a canary first.
pub fn ask(config: &Config) -> Result<Status> {
    let path = config.status_socket();
    let stream = UnixStream::connect(&path).with_context(|| {
        format!(
            "connect to {}: is weir-dataplane running, and are you root?",
            path.display()
        )
    })?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut text = String::new();
    stream
        .take(STATUS_BYTES_MAX)
        .read_to_string(&mut text)
        .context("the warden does not answer")?;
    serde_json::from_str(&text).context("the warden's answer is not a status")
}

/// What is wrong, one sentence each; nothing if all is well.
#[must_use]
pub fn is_healthy(status: &Status) -> Vec<String> {
    let mut wrong = Vec::new();
    if !status.proxy.as_ref().is_some_and(|proxy| proxy.ready) {
        wrong.push("no proxy serves".to_owned());
    }
    if status.redirect {
        let missing = status
            .health
            .hooks
            .iter()
            .filter(|hook| hook.tag.is_empty() || hook.cgroup_id != 1);
        wrong.extend(missing.map(|hook| {
            format!(
                "hook {} is not attached to the root of the cgroup tree",
                hook.name
            )
        }));
        if status.health.hooks.is_empty() {
            wrong.push("no hook is attached".to_owned());
        }
        if status.health.canary.state != CanaryState::Passed {
            wrong.push(format!("canary: {}", status.health.canary.detail));
        }
        let loose = status.health.guards.iter().filter(|guard| !guard.attached);
        wrong.extend(
            loose.map(|guard| format!("guard {} ({}): {}", guard.name, guard.cgroup, guard.detail)),
        );
    }
    if status.glass_broken {
        wrong.push("the glass is broken: guarded connections pass unredirected".to_owned());
    }
    wrong
}

/// Answers whoever may connect: root alone.
pub(crate) fn serve(
    path: &Path,
    canary: Option<Sender<Sender<()>>>,
    events: SyncSender<Event>,
) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("unlink {}", path.display()));
        }
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("bind {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    std::thread::Builder::new()
        .name("status".to_owned())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                if answer(stream, canary.as_ref(), &events).is_none() {
                    return;
                }
            }
        })?;
    Ok(())
}

/// `None` once the warden is going.
fn answer(
    mut stream: UnixStream,
    canary: Option<&Sender<Sender<()>>>,
    events: &SyncSender<Event>,
) -> Option<()> {
    if let Some(canary) = canary {
        let (asker, flown) = mpsc::channel();
        canary.send(asker).ok()?;
        let _ = flown.recv_timeout(ANSWER_TIMEOUT);
    }
    let (asker, status) = mpsc::channel();
    events.send(Event::Status(asker)).ok()?;
    let status: Box<Status> = status.recv_timeout(ANSWER_TIMEOUT).ok()?;
    let text = serde_json::to_vec(&status).unwrap_or_default();
    let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
    let _ = stream.write_all(&text);
    Some(())
}
