//! Processes that the stage starts and later ends, by their id and start time.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::record::Record;

/// How long a process may take to end by itself.
const END_MAX: Duration = Duration::from_secs(10);

/// A process that no other can be taken for: a process id comes back, a start time does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// What it is, for messages.
    pub name: String,
    /// Its process id.
    pub pid: i32,
    /// Clock ticks since boot at its start (proc(5), field 22 of stat).
    pub started: u64,
}

/// The signal at which a process ends in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stop {
    /// SIGTERM.
    Terminate,
    /// SIGINT: PostgreSQL's fast shutdown.
    Interrupt,
}

impl Stop {
    const fn signal(self) -> i32 {
        match self {
            Self::Terminate => libc::SIGTERM,
            Self::Interrupt => libc::SIGINT,
        }
    }
}

/// A process that is meant to stay.
pub(crate) struct Daemon {
    identity: Identity,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a command with its output in a log, which later starts continue.
    pub(crate) fn start(
        record: &Record,
        name: &str,
        log: &Path,
        command: &mut Command,
        stop: Stop,
    ) -> Result<Self> {
        record.start(stop, || {
            use std::os::unix::process::CommandExt;
            let output = append(log)?;
            // A group of its own: Ctrl-C ends the stage in order, not its parts at random.
            command
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(output.try_clone()?)
                .stderr(output);
            let child = command
                .spawn()
                .with_context(|| format!("start {command:?}"))?;
            let pid = i32::try_from(child.id()).context("a process id")?;
            let started = about(pid)
                .map(|about| about.started)
                .with_context(|| format!("{name} ended at once"))?;
            let identity = Identity {
                name: name.to_owned(),
                pid,
                started,
            };
            Ok((
                Self {
                    identity: identity.clone(),
                    child,
                    log: log.to_owned(),
                },
                identity,
            ))
        })
    }

    /// Its process id.
    pub(crate) const fn pid(&self) -> i32 {
        self.identity.pid
    }

    /// Waits until something holds that shows that it serves.
    ///
    /// # Errors
    /// It ended, or time is over: with the end of its log.
    pub(crate) fn await_ready(
        &mut self,
        within: Duration,
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let begun = Instant::now();
        while !is_ready() {
            if let Some(status) = self.child.try_wait().context("wait")? {
                bail!(
                    "{} ended with {status}; its log ends:\n{}",
                    self.identity.name,
                    self.tail()
                );
            }
            if begun.elapsed() > within {
                bail!(
                    "{} does not serve after {} s; its log ends:\n{}",
                    self.identity.name,
                    within.as_secs(),
                    self.tail()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The last lines that it printed.
    pub(crate) fn tail(&self) -> String {
        let text = String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned();
        let lines: Vec<_> = text.lines().rev().take(12).collect();
        lines
            .into_iter()
            .rev()
            .map(|line| format!("  {line}\n"))
            .collect()
    }

    /// Ends it without a chance to put anything in order.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().context("kill")?;
        self.child.wait().context("wait").map(|_| ())
    }
}

/// Opens a file to write at its end.
pub(crate) fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))
}

/// What /proc says of a process.
pub(crate) struct About {
    /// Clock ticks since boot at its start.
    pub started: u64,
    /// Its parent.
    pub parent: i32,
    /// It has ended and nobody has asked for its status.
    pub is_zombie: bool,
}

/// Looks a process up.
pub(crate) fn about(pid: i32) -> Option<About> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name, is in brackets and may hold anything.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(About {
        is_zombie: *fields.first()? == "Z",
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// The children of a process.
pub(crate) fn children(parent: i32) -> Vec<i32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| about(*pid).is_some_and(|about| about.parent == parent && !about.is_zombie))
        .collect()
}

/// The processes of a user.
pub(crate) fn of_user(uid: u32) -> Vec<i32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_theirs = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|about| about.uid() == uid);
    all.filter(is_theirs)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident_kib(pid: i32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    line.trim().trim_end_matches(" kB").parse().context("VmRSS")
}

/// Whether this very process still runs.
fn is_running(identity: &Identity) -> bool {
    about(identity.pid).is_some_and(|about| about.started == identity.started && !about.is_zombie)
}

/// Ends a process: asks first, then kills.
pub(crate) fn end(identity: &Identity, stop: Stop) -> Result<()> {
    if is_running(identity) {
        signal(identity.pid, stop.signal());
    }
    let begun = Instant::now();
    while is_running(identity) {
        if begun.elapsed() > END_MAX {
            kill(identity.pid);
        }
        if begun.elapsed() > END_MAX * 2 {
            bail!("{} (process {}) does not end", identity.name, identity.pid);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// SIGKILL.
pub(crate) fn kill(pid: i32) {
    signal(pid, libc::SIGKILL);
}

fn signal(pid: i32, signal: i32) {
    // Never a group, nor everybody.
    if pid <= 1 {
        return;
    }
    #[expect(
        unsafe_code,
        reason = "the standard library sends no signal but SIGKILL to its own children"
    )]
    // SAFETY: kill takes two integers and touches no memory of ours.
    unsafe {
        libc::kill(pid, signal);
    }
}
