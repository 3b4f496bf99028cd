//! One worker: a pinned thread that serves its flows until it is drained.
//!
//! ```text
//!  accept ─► facts? ──none──► RST, counted
//!              │ redirected              │ explicit listener
//!              ▼                         │
//!          attesting ──refused, late──► RST
//!              │ attested                │
//!              ▼                         ▼
//!          running: dial ─► bytes, events, deadlines ─► finished ─► both links close
//! ```
//! One event is one call into the flow, then everything that the call released is carried out,
//! then what the flow had left untaken is offered again, until nothing moves ([`flow`], [`input`],
//! [`output`]).

mod accept;
mod config;
mod drain;
mod errand;
mod flow;
mod inbox;
mod input;
mod message;
mod output;
mod own;
mod secure;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::{ArcSwap, Cache};
use slab::Slab;
use weir_audit::Append;
use weir_facts::{FlowId, Now};
use weir_flow::{Calls, Env, Meters, Outbox, PlanCache, SeenTools, World};

pub use self::config::{Listener, ListenerKind, Shared, WorkerConfig};
use self::errand::Errand;
use self::flow::FlowSlot;
pub use self::message::{Both, ToControl, ToWorker};
pub use self::own::OwnAddresses;
use self::secure::ConnectorCache;
use super::clock;
use super::counters::Counters;
use super::entropy::Entropy;
use super::limits::{INBOX_MESSAGES, TICK_BUSY, TICK_IDLE};
use super::links::{LinkEvent, Links, Role};
use super::load::Meter;
use super::mailbox::Mailbox;
use super::ring::Wait;
use super::spin::Spin;
use super::sys;
use super::timers::Timers;
use crate::stages::{Exchange, Stage, Stages, Stopwatch};

/// A worker that runs.
pub struct Worker {
    /// Where to send it messages.
    pub inbox: Mailbox<ToWorker>,
    /// What it counts.
    pub counters: Arc<Counters>,
    /// Its stage latencies.
    pub stages: Exchange,
    /// Its thread; ends after [`ToWorker::Drain`], or with the error that stopped it: then the
    /// process must end too, since its connections are gone.
    pub thread: JoinHandle<io::Result<()>>,
}

impl Worker {
    /// Starts a worker.
    ///
    /// # Errors
    /// No descriptors or no thread. What fails on the thread itself comes from joining it.
    pub fn spawn(config: WorkerConfig, shared: Shared) -> io::Result<Self> {
        let inbox = Mailbox::new(INBOX_MESSAGES)?;
        let (counters, stages) = (Arc::new(Counters::default()), Exchange::default());
        let mine = (inbox.clone(), Arc::clone(&counters), stages.clone());
        let thread = std::thread::Builder::new()
            .name(format!("relay-{}", config.index))
            .spawn(move || {
                let (inbox, counters, stages) = mine;
                Engine::new(config, shared, inbox, counters, stages)?.run()
            })?;
        Ok(Self {
            inbox,
            counters,
            stages,
            thread,
        })
    }
}

/// What a call into a flow needs, besides the flow.
struct Desk {
    now: Now,
    outbox: Outbox,
    world: Arc<World>,
    journal: Box<dyn Append + Send>,
    entropy: Entropy,
    plans: PlanCache,
    meters: Arc<Meters>,
    tools: Arc<SeenTools>,
    calls: Arc<Calls>,
}

/// A flow's code panicked: the flow must end.
struct Panicked;

impl Desk {
    fn call<R>(&mut self, body: impl FnOnce(&mut Env<'_>) -> R) -> Result<R, Panicked> {
        let entropy = &mut self.entropy;
        let mut random = |target: &mut [u8]| entropy.fill(target);
        let mut env = Env {
            now: self.now,
            out: &mut self.outbox,
            world: &self.world,
            journal: &mut *self.journal,
            random: &mut random,
            plans: &mut self.plans,
            meters: &self.meters,
            tools: &self.tools,
            calls: &self.calls,
        };
        // A panic in one flow must not take the others with it. What it shares with them (journal,
        // plans) is changed in single steps that do not panic half-way.
        catch_unwind(AssertUnwindSafe(|| body(&mut env))).map_err(|_| Panicked)
    }
}

struct Engine {
    index: u16,
    flows_max: usize,
    next_flow: u64,
    kinds: Vec<ListenerKind>,
    shared: Shared,
    world: Cache<Arc<ArcSwap<World>>, Arc<World>>,
    inbox: Mailbox<ToWorker>,
    links: Links,
    flows: Slab<FlowSlot>,
    by_id: HashMap<FlowId, u32>,
    errands: Slab<Errand>,
    desk: Desk,
    connectors: ConnectorCache,
    timers: Timers,
    spin: Spin,
    meter: Meter,
    parked_bytes: usize,
    /// Next slot to be told of a new world.
    sweep: Option<usize>,
    drain_ends_ns: Option<u64>,
    is_tick_slow: bool,
    counters: Arc<Counters>,
    stopwatch: Stopwatch,
    stages: Stages,
    exchange: Exchange,
}

impl Engine {
    fn new(
        config: WorkerConfig,
        shared: Shared,
        inbox: Mailbox<ToWorker>,
        counters: Arc<Counters>,
        exchange: Exchange,
    ) -> io::Result<Self> {
        if let Some(cpu) = config.cpu {
            sys::pin_to(cpu)?;
        }
        let (sockets, kinds): (Vec<_>, Vec<_>) = config
            .listeners
            .into_iter()
            .map(|listener| (listener.socket, listener.kind))
            .unzip();
        let wake = inbox.wake().try_clone_to_owned()?;
        let mut links = Links::new(config.buffers, sockets, wake, Arc::clone(&counters))?;
        links.arm_tick(TICK_IDLE)?;
        let now = clock::now();
        let (meters, tools) = (Arc::clone(&shared.meters), Arc::clone(&shared.tools));
        let calls = Arc::clone(&shared.calls);
        let mut world = Cache::new(Arc::clone(&shared.world));
        let current = Arc::clone(world.load());
        let boot = u64::from(config.boot & 0xf_ffff) << 44;
        Ok(Self {
            index: config.index,
            flows_max: config.flows_max,
            next_flow: boot | u64::from(config.index & 0xff) << 36,
            kinds,
            meter: Meter::new(shared.load.clone(), config.index, now.mono_ns),
            shared,
            world,
            inbox,
            links,
            flows: Slab::new(),
            by_id: HashMap::new(),
            errands: Slab::new(),
            desk: Desk {
                now,
                outbox: Outbox::default(),
                world: current,
                journal: config.journal,
                entropy: Entropy::new(),
                plans: config.plans,
                meters,
                tools,
                calls,
            },
            connectors: ConnectorCache::default(),
            timers: Timers::default(),
            spin: Spin::new(config.spin),
            parked_bytes: 0,
            sweep: None,
            drain_ends_ns: None,
            is_tick_slow: true,
            counters,
            stopwatch: Stopwatch::new(),
            stages: Stages::new(),
            exchange,
        })
    }

    fn run(mut self) -> io::Result<()> {
        while !self.is_drained() {
            self.wait()?;
            self.desk.now = clock::now();
            let mark = self.stopwatch.mark();
            self.look_at_world();
            let mut events = self.links.take_events();
            let is_busy = !events.is_empty();
            for event in events.drain(..) {
                self.on_event(event)?;
            }
            self.links.recycle(events);
            self.continue_sweep()?;
            if is_busy {
                self.stages
                    .record(Stage::Turn, self.stopwatch.nanos_since(mark));
            }
        }
        self.meter.stop();
        Ok(())
    }

    /// Submits what the last turn left and waits for something to do: spinning while that pays,
    /// else sleeping.
    fn wait(&mut self) -> io::Result<()> {
        let now_ns = self.desk.now.mono_ns;
        if self.sweep.is_some() {
            return self.links.turn(Wait::No, now_ns);
        }
        if self.spin.is_due() {
            self.links.turn(Wait::No, now_ns)?;
            if self.links.has_pending() {
                return Ok(());
            }
            let links = &mut self.links;
            if self.spin.run(|| links.is_ready()) {
                self.counters.spins.add(1);
                return self.links.turn(Wait::No, now_ns);
            }
        }
        self.counters.sleeps.add(1);
        self.links.turn(Wait::One, now_ns)
    }

    fn on_event(&mut self, event: LinkEvent) -> io::Result<()> {
        match event {
            LinkEvent::Accepted { listener, socket } => self.on_accepted(listener, socket),
            LinkEvent::Received { owner, chunk } => self.on_received(owner, chunk),
            LinkEvent::Ended { owner, end } => self.on_ended(owner, end),
            LinkEvent::Connected { owner } => match owner.role {
                Role::Side(_) => self.on_dialed(owner),
                Role::Errand => self.run_errand(owner),
            },
            LinkEvent::Refused { owner, error } => match owner.role {
                Role::Side(_) => self.on_dial_failed(owner, &error),
                Role::Errand => {
                    self.end_errand(owner);
                    Ok(())
                }
            },
            LinkEvent::Relieved { owner } => self.on_relieved(owner),
            LinkEvent::Woken => self.read_inbox(),
            LinkEvent::Ticked => self.on_tick(),
        }
    }

    fn on_tick(&mut self) -> io::Result<()> {
        let now_ns = self.desk.now.mono_ns;
        self.is_tick_slow = self.flows.is_empty() && self.links.len() == 0;
        self.links.arm_tick(if self.is_tick_slow {
            TICK_IDLE
        } else {
            TICK_BUSY
        })?;
        self.links.arm_listeners()?;
        let epoch = self.meter.end_epoch(now_ns);
        self.spin.learn(epoch);
        while let Some((slot, serial)) = self.timers.due(now_ns) {
            self.on_deadline(slot, serial)?;
        }
        self.counters.flows.set(self.flows.len() as u64);
        self.counters.links.set(self.links.len() as u64);
        self.counters
            .heap_bytes
            .set((self.links.heap_bytes() + self.parked_bytes) as u64);
        self.exchange.offer(&mut self.stages);
        self.enforce_drain()
    }

    /// Ticks often again after an idle time.
    fn quicken(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.is_tick_slow, false) {
            return Ok(());
        }
        self.links.hasten_tick(TICK_BUSY)
    }

    /// Takes up a new world; flows are told over the next turns.
    fn look_at_world(&mut self) {
        let newest = self.world.load();
        if !Arc::ptr_eq(newest, &self.desk.world) {
            self.desk.world = Arc::clone(newest);
            self.connectors.clear();
            self.sweep = Some(0);
        }
    }

    fn is_own(&self, target: SocketAddr) -> bool {
        self.shared.own.contains(target)
    }
}

#[cfg(test)]
mod tests;
