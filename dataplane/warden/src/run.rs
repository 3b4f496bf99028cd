//! The warden's one loop: wait for an event, change one thing, look after the proxy.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use weir_handover::limits::ATTESTS_OPEN_MAX;
use weir_handover::{
    CanaryReport, CanaryState, Control, Equipment, HealthReport, ListenerRole, Listening, Redirected, ToProxy, ToWarden,
    Welcome,
};

use crate::attest::Attestor;
use crate::canary::{self, Canary};
use crate::child::{self, Job, Launch, Proxy};
use crate::guards::{self, Resolved};
use crate::hooks::{Cgroups, Hooks};
use crate::limits::{ATTESTORS, BACKOFF_MAX, BACKOFF_MIN, CANARY_EVERY, RESCAN};
use crate::listeners::Listeners;
use crate::state::{Held, State};
use crate::status::{self, ProxyStatus, Status};
use crate::{Config, credentials, sys, systemd};

/// How long a proxy may take to finish what runs when the warden is told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Signals that mean: stop.
const SIGNALS: [libc::c_int; 2] = [libc::SIGTERM, libc::SIGINT];

/// What the loop waits for.
pub(crate) enum Event {
    /// A proxy said something.
    Said { boot: u64, message: ToWarden, descriptors: Vec<OwnedFd> },
    /// A proxy's end was closed.
    Gone { boot: u64, why: String },
    /// A canary came back.
    Canary(CanaryReport),
    /// Somebody wants to know.
    Status(Sender<Box<Status>>),
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
    canary: CanaryReport,
    launch: Launch,
    events: Sender<Event>,
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
    let (events, inbox) = mpsc::channel();
    let mut warden = Warden::new(config, Listeners::new(kept), events.clone())?;
    let asks = warden.start_canary()?;
    status::serve(&warden.config.status_socket(), asks, events.clone())?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while sys::wait_signal(&SIGNALS).is_ok() && events.send(Event::Stop).is_ok() {}
    })?;
    warden.serve(&inbox);
    Ok(())
}

impl Warden {
    fn new(config: Config, mut listeners: Listeners, events: Sender<Event>) -> Result<Self> {
        let user = credentials::user(&config.user)?;
        let root = (0, 0);
        credentials::directory(&config.state_dir, 0o755, root)?;
        credentials::directory(&config.state_dir.join("warden"), 0o700, root)?;
        credentials::directory(&config.state_dir.join("proxy"), 0o700, user)?;
        credentials::directory(&config.runtime_dir, 0o755, root)?;
        credentials::directory(&config.runtime_dir.join("proxy"), 0o700, user)?;
        let hooks = match &config.pins {
            Some(pins) => {
                let cgroups = Cgroups::enter(&config)?;
                let port = canary::trap()?;
                Some((Hooks::install(&config, pins, &cgroups, port)?, cgroups, port))
            }
            None => None,
        };
        if hooks.is_some() {
            listeners.add_redirect(config.base_port, u16::try_from(config.cpus.len()).unwrap_or(u16::MAX))?;
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
        let canary_state = if hooks.is_some() { CanaryState::Pending } else { CanaryState::NotApplicable };
        let mut warden = Self {
            jobs: start_attestors(hooks.as_ref().map(|(_, cgroups, _)| cgroups), &config)?,
            held: state.held()?,
            resolved: guards::resolve(&config.state_dir, &[]),
            canary: CanaryReport { state: canary_state, at: canary::unix_s(), detail: String::new() },
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
        let Some((_, cgroups, port)) = &self.hooks else { return Ok(None) };
        let launch = Launch {
            executable: canary::executable()?,
            cgroup: Some(cgroups.canary.clone()),
            user: self.launch.user,
        };
        let canary = Canary { launch, port: *port };
        let (asks, asked) = mpsc::channel();
        let events = self.events.clone();
        std::thread::Builder::new().name("canary".to_owned()).spawn(move || canary.run(&asked, &events))?;
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
            Event::Said { boot, message, descriptors } => {
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
            ToWarden::Attest(_) => {}
        }
    }

    fn apply_guards(&mut self, request: u64, descriptors: Vec<OwnedFd>) {
        let outcome = self.accept(descriptors).map_err(|error| format!("{error:#}"));
        match &outcome {
            Ok(version) => tracing::info!(version, "guards are in force"),
            Err(error) => tracing::warn!(error, "guards are refused"),
        }
        if let Some(proxy) = &self.proxy {
            proxy.send(&ToProxy::GuardsApplied { request, outcome }, &[]);
        }
        self.health_at = Instant::now();
    }

    fn accept(&mut self, descriptors: Vec<OwnedFd>) -> Result<u64> {
        let update = descriptors.into_iter().next().context("no descriptor came with the guards")?;
        let held = guards::check(&self.config, self.held.as_ref(), update)?;
        let version = held.number;
        // Before it is in force: after a crash it cannot be undone by an older one.
        self.state.hold(&held)?;
        self.put_in_force(held)?;
        Ok(version)
    }

    fn put_in_force(&mut self, held: Held) -> Result<()> {
        let changes = self.listeners.follow(&held.listen);
        for (address, error) in &changes.failed {
            tracing::error!(%address, %error, "cannot listen");
        }
        self.reserve_ports()?;
        if let Some((hooks, cgroups, _)) = &self.hooks {
            let resolved = guards::resolve(&cgroups.root, &held.guards);
            hooks.guard(resolved.all, &resolved.cgroups)?;
            hooks.govern(&guards::selectors(&held))?;
            self.resolved = resolved;
        }
        self.held = Some(held);
        self.tell_listeners(changes.added, changes.removed);
        Ok(())
    }

    fn reserve_ports(&self) -> Result<()> {
        self.hooks.as_ref().map_or(Ok(()), |(hooks, _, _)| hooks.reserve(&self.listeners.explicit_ports()))
    }

    fn tell_listeners(&self, added: Vec<ListenerRole>, removed: Vec<ListenerRole>) {
        let Some(proxy) = &self.proxy else { return };
        for role in removed {
            proxy.send(&ToProxy::Unlisten { role }, &[]);
        }
        for role in added {
            if let Some(socket) = self.listeners.socket(&role) {
                proxy.send(&ToProxy::Listen { role }, &[socket.as_fd()]);
            }
        }
    }

    /// Units come and go; their cgroups have new ids then.
    fn rescan(&mut self) {
        let (Some((hooks, cgroups, _)), Some(held)) = (&self.hooks, &self.held) else { return };
        let resolved = guards::resolve(&cgroups.root, &held.guards);
        if resolved == self.resolved {
            return;
        }
        match hooks.guard(resolved.all, &resolved.cgroups) {
            Ok(()) => {
                self.resolved = resolved;
                self.health_at = Instant::now();
            }
            Err(error) => tracing::error!(%error, "guards cannot be changed"),
        }
    }

    fn look_after_proxy(&mut self, now: Instant) {
        match &self.proxy {
            Some(proxy) => {
                if let Some(why) = proxy.overdue(now) {
                    self.end_proxy(why);
                }
            }
            None if now >= self.start_at => {
                if let Err(error) = self.start_proxy() {
                    tracing::error!("the proxy cannot be started: {error:#}");
                    self.delay();
                }
            }
            None => {}
        }
    }

    fn start_proxy(&mut self) -> Result<()> {
        let equipment = self.equipment()?;
        let proxy = Proxy::start(&self.launch, &equipment, &self.events, &self.jobs)?;
        tracing::info!(boot = proxy.boot, pid = proxy.pid(), "started the proxy");
        self.proxy = Some(proxy);
        Ok(())
    }

    fn equipment(&self) -> Result<Equipment> {
        let listeners = self.listeners.all().iter();
        let listeners = listeners.map(|listener| Ok(Listening { role: listener.role.clone(), socket: listener.socket.try_clone()? }));
        let listeners = listeners.collect::<Result<Vec<_>>>()?;
        let (flow_store, load_board) = match &self.hooks {
            Some((hooks, _, _)) => hooks.descriptors().map(|(store, board)| (Some(store), Some(board)))?,
            None => (None, None),
        };
        let redirected = self.hooks.as_ref().map(|(_, _, canary_port)| Redirected {
            base_port: self.config.base_port,
            heartbeat_ttl_ms: u64::try_from(self.config.heartbeat_ttl.as_millis()).unwrap_or(u64::MAX),
            canary_port: *canary_port,
        });
        let control = self.config.join.as_ref().map(|join| Control {
            url: join.url.clone(),
            token: join.token.clone(),
            control_key: join.control_key.to_bytes(),
            ca_pem: join.ca_pem.clone(),
        });
        let welcome = Welcome {
            boot: self.state.next_boot()?,
            node: self.config.node.clone(),
            workers: u16::try_from(self.config.cpus.len())?,
            cpus: self.config.cpus.clone(),
            listeners: listeners.iter().map(|listening| listening.role.clone()).collect(),
            redirected,
            state_dir: self.config.state_dir.join("proxy"),
            runtime_dir: self.config.runtime_dir.join("proxy"),
            control,
            metrics: self.config.metrics,
        };
        Ok(Equipment { welcome, listeners, flow_store, load_board })
    }

    /// Ends the proxy, if there is one, and plans the next.
    fn end_proxy(&mut self, why: &str) {
        let Some(proxy) = self.proxy.take() else { return };
        let (boot, healthy) = (proxy.boot, proxy.was_healthy());
        let status = proxy.end();
        if self.stopping.is_some() {
            tracing::info!(boot, status, "the proxy has ended: {why}");
            return;
        }
        tracing::error!(boot, status, "the proxy is gone: {why}");
        self.restarts += 1;
        if healthy {
            self.backoff = BACKOFF_MIN;
        }
        self.delay();
    }

    fn delay(&mut self) {
        self.start_at = Instant::now() + self.backoff;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }

    fn stop(&mut self) {
        // Asked twice means now.
        let deadline = if self.stopping.is_some() { Duration::ZERO } else { DRAIN };
        self.stopping = Some(Instant::now() + deadline);
        if let Err(error) = systemd::stopping() {
            tracing::warn!(%error, "systemd cannot be told");
        }
        if let Some(proxy) = &self.proxy {
            proxy.drain(deadline);
        }
    }

    fn health(&self) -> HealthReport {
        let (hooks, counters) = match &self.hooks {
            Some((hooks, _, _)) => (hooks.report(), hooks.counters()),
            None => (Ok(Vec::new()), Ok(Vec::new())),
        };
        if let Some(error) = hooks.as_ref().err().or(counters.as_ref().err()) {
            tracing::error!("the hooks cannot be read: {error:#}");
        }
        HealthReport {
            version: self.held.as_ref().map_or(0, |held| held.number),
            guards: self.resolved.reports.clone(),
            // What cannot be read is not attached.
            hooks: hooks.unwrap_or_default(),
            canary: self.canary.clone(),
            counters: counters.unwrap_or_default(),
        }
    }

    fn tell_health(&mut self) {
        self.health_at = Instant::now() + CANARY_EVERY;
        if let Some(proxy) = self.proxy.as_ref().filter(|proxy| proxy.ready) {
            proxy.send(&ToProxy::Health(self.health()), &[]);
        }
    }

    fn status(&self) -> Status {
        let proxy = self.proxy.as_ref().map(|proxy| ProxyStatus {
            pid: proxy.pid(),
            boot: proxy.boot,
            ready: proxy.ready,
            report: proxy.report.clone(),
        });
        let glass = self.hooks.as_ref().map(|(hooks, _, _)| hooks.glass_is_broken());
        Status {
            node: self.config.node.clone(),
            pid: std::process::id(),
            proxy,
            restarts: self.restarts,
            redirect: self.hooks.is_some(),
            glass_broken: glass.is_some_and(|glass| glass.unwrap_or(true)),
            listeners: self.listeners.all().iter().map(describe).collect(),
            health: self.health(),
        }
    }
}

fn describe(listener: &crate::listeners::Listener) -> String {
    let address = listener.socket.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string());
    match &listener.role {
        ListenerRole::Redirect { worker } => format!("{address} (redirect, worker {worker})"),
        ListenerRole::Explicit { connection, .. } => format!("{address} ({connection})"),
    }
}

/// Threads that answer who callers are.
fn start_attestors(cgroups: Option<&Cgroups>, config: &Config) -> Result<SyncSender<Job>> {
    let root = cgroups.map_or_else(|| config.state_dir.clone(), |cgroups| cgroups.root.clone());
    let attestor = Arc::new(Attestor::new(root, config.gone));
    let (jobs, queue) = mpsc::sync_channel::<Job>(ATTESTS_OPEN_MAX);
    let queue = Arc::new(Mutex::new(queue));
    for number in 0..ATTESTORS {
        let (attestor, queue) = (Arc::clone(&attestor), Arc::clone(&queue));
        std::thread::Builder::new().name(format!("attest-{number}")).spawn(move || {
            loop {
                let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok((asked, channel)) = job else { return };
                let answer = ToProxy::Attested { request: asked.request, outcome: attestor.attest(&asked) };
                // A proxy that is gone needs no answer.
                let _ = channel.send(&answer, &[]);
            }
        })?;
    }
    Ok(jobs)
}
