//! Starting the proxy without any privilege, and noticing what becomes of it.

use std::ffi::CString;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use weir_handover::{Attest, Equipment, ProxyEnd, ProxyReport, ToProxy, ToWarden, WardenEnd, pair};

use crate::limits::{ALIVE_TIMEOUT, HEALTHY_AFTER, PROXY_FILES, READY_TIMEOUT, SEND_TIMEOUT};
use crate::run::Event;
use crate::sys::{self, Confinement};

/// A question about processes that waits for a thread, and where its answer goes.
pub(crate) type Job = (Question, Arc<WardenEnd>);

/// What is asked about processes.
pub(crate) enum Question {
    /// Who is this caller?
    Caller(Attest),
    /// Who serves this address?
    Server(SocketAddr),
}

/// How a process of Weir's is started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// Its executable.
    pub(crate) executable: PathBuf,
    /// The cgroup that it enters, if there is a redirect.
    pub(crate) cgroup: Option<PathBuf>,
    /// User and group that it becomes.
    pub(crate) user: (u32, u32),
}

impl Launch {
    /// A command with nothing of the warden's but its output.
    pub(crate) fn command(&self, leave: Option<OwnedFd>) -> Result<Command> {
        // By descriptor: the user that it becomes need not be able to walk the path.
        let executable = File::open(&self.executable)
            .with_context(|| format!("open {}", self.executable.display()))?;
        let mut command = Command::new(format!("/proc/self/fd/{}", executable.as_raw_fd()));
        command
            .arg0(&self.executable)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null());
        for name in ["RUST_LOG", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let procs = self
            .cgroup
            .as_ref()
            .map(|cgroup| CString::new(cgroup.join("cgroup.procs").as_os_str().as_bytes()));
        let confinement = Confinement {
            procs: procs.transpose()?,
            leave: leave.map(|socket| (socket, ProxyEnd::DESCRIPTOR)),
            user: Some(self.user),
            files_max: PROXY_FILES,
            executable: executable.into(),
        };
        sys::confine(&mut command, confinement);
        Ok(command)
    }
}

/// A running proxy.
pub(crate) struct Proxy {
    /// Its boot number, which tells its messages from those of another.
    pub(crate) boot: u64,
    pub(crate) ready: bool,
    pub(crate) report: ProxyReport,
    child: Child,
    pidfd: OwnedFd,
    channel: Arc<WardenEnd>,
    started: Instant,
    heard: Instant,
}

impl Proxy {
    /// Starts one and says welcome. Call it on the thread that lives as long as the process:
    /// the child dies with it.
    pub(crate) fn start(
        launch: &Launch,
        equipment: &Equipment,
        events: &SyncSender<Event>,
        jobs: &SyncSender<Job>,
    ) -> Result<Self> {
        let (ours, theirs) = pair().context("socketpair")?;
        ours.set_send_timeout(SEND_TIMEOUT).context("SO_SNDTIMEO")?;
        let mut command = launch.command(Some(theirs.into_socket()))?;
        let child = command
            .spawn()
            .with_context(|| format!("start {}", launch.executable.display()))?;
        // The command holds the proxy's end; while it did, the proxy's death would go unnoticed.
        drop(command);
        let pidfd = sys::pidfd_open(child.id()).context("pidfd_open")?;
        let channel = Arc::new(ours);
        channel.send(
            &ToProxy::Welcome(Box::new(equipment.welcome.clone())),
            &equipment.descriptors(),
        )?;
        let boot = equipment.welcome.boot;
        let (ear, events, jobs) = (Arc::clone(&channel), events.clone(), jobs.clone());
        std::thread::Builder::new()
            .name(format!("proxy-{boot}"))
            .spawn(move || hear(boot, &ear, &events, &jobs))?;
        let now = Instant::now();
        let report = ProxyReport::default();
        Ok(Self {
            boot,
            ready: false,
            report,
            child,
            pidfd,
            channel,
            started: now,
            heard: now,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends; a proxy that cannot be told is ended, and its end is noticed.
    pub(crate) fn send(&self, message: &ToProxy, descriptors: &[std::os::fd::BorrowedFd<'_>]) {
        if let Err(error) = self.channel.send(message, descriptors) {
            tracing::warn!(%error, boot = self.boot, "the proxy cannot be told; it is ended");
            let _ = sys::kill(self.pidfd.as_fd());
        }
    }

    /// It said that it is alive.
    pub(crate) fn hear(&mut self, report: ProxyReport) {
        self.heard = Instant::now();
        self.report = report;
    }

    /// Why it must be ended, if it must.
    pub(crate) fn overdue(&self, now: Instant) -> Option<&'static str> {
        if !self.ready && now.duration_since(self.started) > READY_TIMEOUT {
            return Some("it does not begin to serve");
        }
        (self.ready && now.duration_since(self.heard) > ALIVE_TIMEOUT).then_some("it is silent")
    }

    /// Whether it lived long enough to be started again at once.
    pub(crate) fn was_healthy(&self) -> bool {
        self.ready && self.started.elapsed() > HEALTHY_AFTER
    }

    /// Ends it and waits for its end.
    pub(crate) fn end(mut self) -> String {
        let _ = sys::kill(self.pidfd.as_fd());
        self.child
            .wait()
            .map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// Asks it to finish.
    pub(crate) fn drain(&self, deadline: Duration) {
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        self.send(&ToProxy::Drain { deadline_ms }, &[]);
    }
}

/// Receives until the proxy is gone or says nonsense; either way it is over then.
fn hear(boot: u64, channel: &Arc<WardenEnd>, events: &SyncSender<Event>, jobs: &SyncSender<Job>) {
    let why = loop {
        match channel.receive() {
            // A full queue makes the proxy wait, nobody else.
            Ok(Some((ToWarden::Attest(asked), _))) => {
                if jobs
                    .send((Question::Caller(asked), Arc::clone(channel)))
                    .is_err()
                {
                    break "the warden is going".to_owned();
                }
            }
            Ok(Some((ToWarden::FindServer { target }, _))) => {
                if jobs
                    .send((Question::Server(target), Arc::clone(channel)))
                    .is_err()
                {
                    break "the warden is going".to_owned();
                }
            }
            Ok(Some((message, descriptors))) => {
                if events
                    .send(Event::Said {
                        boot,
                        message,
                        descriptors,
                    })
                    .is_err()
                {
                    break "the warden is going".to_owned();
                }
            }
            Ok(None) => break "it closed its end".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    let _ = events.send(Event::Gone { boot, why });
}

/// The proxy's executable: the configured one, or the one beside this.
pub(crate) fn executable(configured: Option<&Path>) -> Result<PathBuf> {
    match configured {
        Some(path) => Ok(path.to_owned()),
        None => {
            let own = std::env::current_exe().context("find this executable")?;
            Ok(own
                .parent()
                .context("this executable has no directory")?
                .join("weir-proxy"))
        }
    }
}
