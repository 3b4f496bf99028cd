//! The warden's one loop: wait for an event, change one thing, look after the proxy.

mod force;
mod hand;
mod keep;
mod report;

use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use weir_handover::limits::ATTESTS_OPEN_MAX;
use weir_handover::{CanaryReport, CanaryState, ToProxy, ToWarden};

use crate::attest::Attestor;
use crate::canary::{self, Canary};
use crate::child::{self, Job, Launch, Proxy, Question};
use crate::guards::{self, Resolved};
use crate::hooks::{Cgroups, Hooks};
use crate::limits::{ATTESTORS, BACKOFF_MIN, EVENTS_MAX, RESCAN};
use crate::listeners::Listeners;
use crate::state::{Held, State};
use crate::status::{self, Status};
use crate::stdio::{self, Asked};
use crate::{Config, credentials, serving, sys, systemd};

/// How long a proxy may take to finish what runs when the warden is told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Signals that mean: stop.
const SIGNALS: [libc::c_int; 2] = [libc::SIGTERM, libc::SIGINT];

/// What the loop waits for.
pub(crate) enum Event {
    /// A proxy said something.
    Said {
        boot: u64,
        message: ToWarden,
        descriptors: Vec<OwnedFd>,
    },
    /// A proxy's end was closed.
    Gone { boot: u64, why: String },
    /// A canary came back.
    Canary(CanaryReport),
    /// Somebody wants to know.
    Status(Sender<Box<Status>>),
    /// Somebody wants a flow to a server that it starts itself.
    Stdio(Box<Asked>),
    /// Stop.
    Stop,
}

/// Everything that the loop changes.
struct Warden {
    config: Config,
    state: State,
    hooks: Option<(Hooks, Cgroups, u16)>,
    listeners: Listeners,
    held: Option<Held>,
    resolved: Resolved,
    attestor: Arc<Attestor>,
    canary: CanaryReport,
    launch: Launch,
    events: SyncSender<Event>,
    jobs: SyncSender<Job>,
    proxy: Option<Proxy>,
    restarts: u64,
    backoff: Duration,
    start_at: Instant,
    rescan_at: Instant,
    health_at: Instant,
    stopping: Option<Instant>,
}

/// Runs until it is told to stop. The hooks stay.
pub fn run(config: Config) -> Result<()> {
    let kept = systemd::kept();
    sys::block_signals(&SIGNALS).context("block signals")?;
    let (events, inbox) = mpsc::sync_channel(EVENTS_MAX);
    let mut warden = Warden::new(config, Listeners::new(kept), events.clone())?;
    stdio::serve(&warden.config.stdio_socket(), &warden.attestor, &events)?;
    let asks = warden.start_canary()?;
    status::serve(&warden.config.status_socket(), asks, events.clone())?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(
            move || {
                while sys::wait_signal(&SIGNALS).is_ok() && events.send(Event::Stop).is_ok() {}
            },
        )?;
    warden.serve(&inbox);
    Ok(())
}

impl Warden {
    fn new(config: Config, mut listeners: Listeners, events: SyncSender<Event>) -> Result<Self> {
        let user = credentials::user(&config.user)?;
        make_directories(&config, user)?;
        let hooks = install_hooks(&config)?;
        if hooks.is_some() {
            listeners.add_redirect(
                config.base_port,
                u16::try_from(config.cpus.len()).unwrap_or(u16::MAX),
            )?;
        }
        for (address, connection) in &config.listen {
            listeners.add_configured(*address, connection)?;
        }
        let launch = Launch {
            executable: child::executable(config.proxy.as_deref())?,
            cgroup: hooks.as_ref().map(|(_, cgroups, _)| cgroups.proxy.clone()),
            user,
        };
        let state = State::new(config.state_dir.join("warden"));
        let now = Instant::now();
        let canary_state = if hooks.is_some() {
            CanaryState::Pending
        } else {
            CanaryState::NotApplicable
        };
        let cgroups = hooks.as_ref().map(|(_, cgroups, _)| cgroups);
        // Without the redirect, no caller's cgroup is ever looked up by its id.
        let root = cgroups.map_or_else(|| config.state_dir.clone(), |cgroups| cgroups.root.clone());
        let attestor = Arc::new(Attestor::new(root, config.gone));
        let mut warden = Self {
            jobs: start_attestors(&attestor)?,
            attestor,
            held: state.held()?,
            resolved: guards::resolve(&config.state_dir, &[]),
            canary: CanaryReport {
                state: canary_state,
                at: canary::unix_s(),
                detail: String::new(),
            },
            config,
            state,
            hooks,
            listeners,
            launch,
            events,
            proxy: None,
            restarts: 0,
            backoff: BACKOFF_MIN,
            start_at: now,
            rescan_at: now,
            health_at: now,
            stopping: None,
        };
        // What was in force before this start is in force before the first proxy runs.
        if let Some(held) = warden.held.take() {
            warden.put_in_force(held)?;
        } else {
            warden.reserve_ports()?;
        }
        Ok(warden)
    }

    fn start_canary(&self) -> Result<Option<Sender<Sender<()>>>> {
        let Some((_, cgroups, port)) = &self.hooks else {
            return Ok(None);
        };
        let launch = Launch {
            executable: canary::executable()?,
            cgroup: Some(cgroups.canary.clone()),
            user: self.launch.user,
        };
        let canary = Canary {
            launch,
            port: *port,
        };
        let (asks, asked) = mpsc::channel();
        let events = self.events.clone();
        std::thread::Builder::new()
            .name("canary".to_owned())
            .spawn(move || canary.run(&asked, &events))?;
        Ok(Some(asks))
    }

    fn serve(&mut self, inbox: &Receiver<Event>) {
        loop {
            match inbox.recv_timeout(RESCAN) {
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
                // This end holds a sender itself.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            if let Some(deadline) = self.stopping {
                if self.proxy.is_none() || now >= deadline {
                    self.end_proxy("the warden stops");
                    return;
                }
                continue;
            }
            self.look_after_proxy(now);
            if now >= self.rescan_at {
                self.rescan_at = now + RESCAN;
                self.rescan();
            }
            if now >= self.health_at {
                self.tell_health();
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Said {
                boot,
                message,
                descriptors,
            } => {
                if self.proxy.as_ref().is_some_and(|proxy| proxy.boot == boot) {
                    self.hear(message, descriptors);
                }
            }
            Event::Gone { boot, why } => {
                if self.proxy.as_ref().is_some_and(|proxy| proxy.boot == boot) {
                    self.end_proxy(&why);
                }
            }
            Event::Canary(report) => {
                if report.state != self.canary.state {
                    tracing::info!(detail = report.detail, "canary {:?}", report.state);
                    self.health_at = Instant::now();
                }
                self.canary = report;
            }
            Event::Status(asker) => {
                let _ = asker.send(Box::new(self.status()));
            }
            Event::Stdio(asked) => {
                let outcome = self.hand(&asked);
                if let Err(reason) = &outcome {
                    let (connection, uid) = (&asked.connection, asked.caller.uid);
                    tracing::warn!(connection, uid, reason, "a stdio server is refused");
                }
                let _ = asked.answer.send(outcome);
            }
            Event::Stop => self.stop(),
        }
    }

    fn hear(&mut self, message: ToWarden, descriptors: Vec<OwnedFd>) {
        let Some(proxy) = &mut self.proxy else { return };
        match message {
            ToWarden::Ready => {
                proxy.ready = true;
                proxy.hear(proxy.report.clone());
                tracing::info!(boot = proxy.boot, pid = proxy.pid(), "the proxy serves");
                if let Err(error) = systemd::ready() {
                    tracing::warn!(%error, "systemd cannot be told");
                }
                self.health_at = Instant::now();
            }
            ToWarden::Alive(report) => proxy.hear(report),
            ToWarden::ApplyGuards { request } => self.apply_guards(request, descriptors),
            ToWarden::Drained => {
                if self.stopping.is_some() {
                    self.end_proxy("it has drained");
                }
            }
            // The ear hands these to the attestors.
            ToWarden::Attest(_) | ToWarden::FindServer { .. } => {}
        }
    }

    fn stop(&mut self) {
        // Asked twice means now.
        let deadline = if self.stopping.is_some() {
            Duration::ZERO
        } else {
            DRAIN
        };
        self.stopping = Some(Instant::now() + deadline);
        if let Err(error) = systemd::stopping() {
            tracing::warn!(%error, "systemd cannot be told");
        }
        if let Some(proxy) = &self.proxy {
            proxy.drain(deadline);
        }
    }
}

/// Threads that answer who callers and servers are.
fn start_attestors(attestor: &Arc<Attestor>) -> Result<SyncSender<Job>> {
    let (jobs, queue) = mpsc::sync_channel::<Job>(ATTESTS_OPEN_MAX);
    let queue = Arc::new(Mutex::new(queue));
    for number in 0..ATTESTORS {
        let (attestor, queue) = (Arc::clone(attestor), Arc::clone(&queue));
        std::thread::Builder::new()
            .name(format!("attest-{number}"))
            .spawn(move || {
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((asked, channel)) = job else { return };
                    let answer = match asked {
                        Question::Caller(asked) => ToProxy::Attested {
                            request: asked.request,
                            outcome: attestor.attest(&asked),
                        },
                        Question::Server(target) => ToProxy::Served {
                            target,
                            serving: serving::find(target),
                        },
                    };
                    // A proxy that is gone needs no answer.
                    let _ = channel.send(&answer, &[]);
                }
            })?;
    }
    Ok(jobs)
}

/// Root's directories, and those that the proxy may write to.
fn make_directories(config: &Config, user: (u32, u32)) -> Result<()> {
    let root = (0, 0);
    credentials::directory(&config.state_dir, 0o755, root)?;
    credentials::directory(&config.state_dir.join("warden"), 0o700, root)?;
    credentials::directory(&config.state_dir.join("proxy"), 0o700, user)?;
    credentials::directory(&config.runtime_dir, 0o755, root)?;
    credentials::directory(&config.runtime_dir.join("proxy"), 0o700, user)
}

/// The redirect, if it is configured: its hooks, Weir's cgroups, and the canary's port.
fn install_hooks(config: &Config) -> Result<Option<(Hooks, Cgroups, u16)>> {
    let Some(pins) = &config.pins else {
        return Ok(None);
    };
    let cgroups = Cgroups::enter(config)?;
    let port = canary::trap()?;
    let hooks = Hooks::install(config, pins, &cgroups, port)?;
    Ok(Some((hooks, cgroups, port)))
}
