//! The control tasks: everything that is slow, on one thread beside the workers. They talk to
//! the control plane, the warden and the catalogues, and tell workers what came
//! of what their flows asked for.

mod answers;
mod approvals;
mod asked;
mod cancels;
mod catalogs;
mod check;
mod health;
mod keeper;
mod login;
mod mcp;
mod place;
mod rotation;
mod said;
mod server_tls;
mod shipping;
mod stream;
mod tools;
mod warden;
mod world;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use ed25519_dalek::VerifyingKey;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use weir_api::v1;
use weir_api::v1::from_data_plane::Message as From;
use weir_facts::FlowId;
use weir_flow::{Calls, CatalogCell, SeenTools, World};
use weir_handover::{HealthReport, ProxyEnd, ProxyReport, ToProxy, Welcome};

use crate::relay::{Both, Mailbox, ToControl, ToWorker, Worker};
use crate::tls::AcceptorSource;
use approvals::Approvals;
use cancels::CancelKeys;
use catalogs::Catalogs;
use keeper::Keeper;
use place::{Notice, Place};
use rotation::Rotation;
use shipping::Shipping;
use stream::Uplink;
use tools::ToolReports;
use warden::{FromWarden, Warden};
pub use world::{Envelope, compile};

/// How often life is told of, health reported, and the leaf looked at.
const TICK: Duration = Duration::from_secs(1);

/// How often new leaves are looked for.
const SHIP: Duration = Duration::from_millis(250);

/// What tasks beside the loop tell it.
pub(crate) enum Internal {
    /// A stream is being opened; this is its way up.
    Connecting(Uplink),
    /// It ended, or could not be opened.
    Disconnected,
    /// The control plane said this.
    Inbound(Box<v1::ToDataPlane>),
    /// A connection was looked at.
    Checked(v1::ConnectionChecked),
    /// A catalogue was read, or could not be.
    Catalog(Place, Result<Arc<CatalogCell>>),
}

/// What the control tasks start with.
pub struct Start {
    /// What the warden handed over.
    pub welcome: Welcome,
    /// Its socket.
    pub channel: ProxyEnd,
    /// The workers.
    pub workers: Vec<Worker>,
    /// Their questions.
    pub mailbox: Mailbox<ToControl>,
    /// What they see of servers' tools.
    pub tools: Arc<SeenTools>,
    /// The world that they judge by.
    pub world: Arc<ArcSwap<World>>,
    /// The MCP calls that are open.
    pub calls: Arc<Calls>,
    /// The version in force, if one was kept.
    pub held: Option<v1::Version>,
    /// Its files.
    pub log: PathBuf,
    /// The key that its checkpoints are checked against, as text.
    pub log_vkey: String,
    /// Weir's leaf.
    pub tls: Option<Arc<AcceptorSource>>,
    /// Makes the challenges of unknown users.
    pub mock_key: [u8; 32],
}

struct Control {
    welcome: Welcome,
    workers: Vec<Worker>,
    world: Arc<ArcSwap<World>>,
    calls: Arc<Calls>,
    held: Option<v1::Version>,
    keeper: Keeper,
    tls: Option<Arc<AcceptorSource>>,
    mock_key: [u8; 32],
    log_vkey: String,
    warden: Warden,
    catalogs: Rc<Catalogs>,
    cancels: CancelKeys,
    /// Flows that are the streams of sessions.
    streams: HashMap<FlowId, Place>,
    approvals: Approvals,
    rotation: Rotation,
    tools: ToolReports,
    uplink: Option<Uplink>,
    shipping: Shipping,
    redirect: Option<HealthReport>,
    internal: UnboundedSender<Internal>,
}

/// The last known good world, checked as on arrival.
///
/// # Errors
/// It is there and cannot be used.
pub fn last_known_good(
    welcome: &Welcome,
    mock_key: [u8; 32],
) -> Result<Option<(World, v1::Version)>> {
    let Some(address) = &welcome.control else {
        return Ok(None);
    };
    let Some(update) = Keeper::new(&welcome.state_dir).load()? else {
        return Ok(None);
    };
    let key = VerifyingKey::from_bytes(&address.control_key).context("the control plane's key")?;
    let opened = weir_api::reopen(&update, &welcome.node, &key).context("the kept world")?;
    let version = opened.version().clone();
    let envelope = Envelope {
        version: version.number,
        not_after: opened.not_after(),
    };
    Ok(Some((
        compile(envelope, mock_key, opened.into_world())?,
        version,
    )))
}

/// Runs the control tasks until the warden asks to drain or is gone. Returns the workers' threads.
///
/// # Errors
/// What cannot be done without: the warden's socket, the mailbox.
pub async fn run(start: Start) -> Result<Vec<Worker>> {
    let (internal, mut inbound) = unbounded_channel();
    let (warden, mut from_warden) = Warden::start(start.channel)?;
    if let Some(address) = start.welcome.control.clone() {
        tokio::task::spawn_local(stream::keep(address, internal.clone()));
    }
    let mailbox = start.mailbox.clone();
    let wake = mailbox
        .wake()
        .try_clone_to_owned()
        .context("the mailbox's eventfd")?;
    #[expect(
        unsafe_code,
        reason = "waiting on an eventfd is what AsyncFd is for; its safe constructor is deprecated as unsound"
    )]
    // SAFETY: an owned descriptor has no other registration, and is closed only with the AsyncFd.
    let wake = unsafe { AsyncFd::register_with_interest(wake, Interest::READABLE) };
    let wake = wake
        .map_err(|error| error.into_parts().1)
        .context("the mailbox's eventfd")?;
    let shipping = Shipping::new(&start.log, &start.log_vkey)?;
    let tools = ToolReports::open(&start.welcome.state_dir)?;
    tools.restore(&start.tools, &start.world.load());
    let mut control = Control {
        keeper: Keeper::new(&start.welcome.state_dir),
        welcome: start.welcome,
        workers: start.workers,
        world: start.world,
        calls: start.calls,
        held: start.held,
        tls: start.tls,
        mock_key: start.mock_key,
        log_vkey: start.log_vkey,
        warden,
        catalogs: Catalogs::new(server_tls::ServerTls),
        cancels: CancelKeys::default(),
        streams: HashMap::new(),
        approvals: Approvals::default(),
        rotation: Rotation::default(),
        tools,
        uplink: None,
        shipping,
        redirect: None,
        internal,
    };
    control.warden.ready()?;
    control.restore_guards();
    let deadline = control
        .serve(&mailbox, &wake, &mut inbound, &mut from_warden)
        .await?;
    control.drain(deadline);
    Ok(control.workers)
}

impl Control {
    async fn serve(
        &mut self,
        mailbox: &Mailbox<ToControl>,
        wake: &AsyncFd<OwnedFd>,
        inbound: &mut UnboundedReceiver<Internal>,
        from_warden: &mut UnboundedReceiver<FromWarden>,
    ) -> Result<Duration> {
        let mut tick = tokio::time::interval(TICK);
        let mut ship = tokio::time::interval(SHIP);
        loop {
            tokio::select! {
                ready = wake.readable() => {
                    ready.context("the mailbox's eventfd")?.clear_ready();
                    let mut asked = Vec::new();
                    mailbox.drain(|message| asked.push(message));
                    asked.into_iter().for_each(|message| self.on_worker(message));
                }
                Some(message) = inbound.recv() => self.on_internal(message),
                message = from_warden.recv() => match message {
                    Some((ToProxy::Drain { deadline_ms }, _)) => return Ok(Duration::from_millis(deadline_ms)),
                    Some((message, descriptors)) => self.on_warden(message, descriptors),
                    // Without the warden nobody can be attested: end, and let it start another.
                    None => return Ok(Duration::ZERO),
                },
                _ = tick.tick() => self.on_tick(),
                _ = ship.tick() => self.ship(),
            }
        }
    }

    fn on_warden(&mut self, message: ToProxy, descriptors: Vec<OwnedFd>) {
        match message {
            ToProxy::Hand(handed) => {
                match warden::handed(&self.world.load(), *handed, descriptors) {
                    Some(both) => self.hand(both),
                    None => tracing::error!("a flow was handed over without its links"),
                }
            }
            ToProxy::Attested { request, outcome } => {
                let Some(place) = self.warden.attested(request) else {
                    return;
                };
                let caller = outcome.map(|facts| warden::workload(&self.world.load(), facts));
                self.tell(
                    place.worker,
                    ToWorker::Attested {
                        flow: place.flow,
                        caller,
                    },
                );
            }
            ToProxy::Served { target, serving } => {
                self.calls.served(target, warden::serving(serving));
            }
            ToProxy::GuardsApplied {
                outcome: Err(error),
                ..
            } => tracing::error!(%error, "guards not applied"),
            ToProxy::GuardsApplied { outcome: Ok(_), .. } => {}
            ToProxy::Health(report) => self.redirect = Some(report),
            ToProxy::Listen { role } | ToProxy::Unlisten { role } => {
                tracing::warn!(?role, "listeners change at the next start of the proxy");
            }
            ToProxy::Welcome(_) | ToProxy::Drain { .. } => {
                tracing::warn!("a message out of its time from the warden")
            }
        }
    }

    /// To the worker with the fewest flows. What a worker does not take is closed, which its
    /// client notices.
    fn hand(&self, both: Box<Both>) {
        let flows = |index: &usize| {
            let worker = self.workers.get(*index);
            worker.map_or(u64::MAX, |worker| worker.counters.flows.value())
        };
        let fewest = (0..self.workers.len()).min_by_key(flows);
        if let Some(index) = fewest {
            self.tell(index as u16, ToWorker::Handed(both));
        }
    }

    fn on_tick(&mut self) {
        let active_flows = self
            .workers
            .iter()
            .map(|worker| worker.counters.flows.value())
            .sum();
        let world = self.world.load().version;
        let report = ProxyReport {
            active_flows,
            world,
            connected: self.uplink.is_some(),
        };
        if let Err(error) = self.warden.alive(report) {
            tracing::error!(%error, "the warden does not hear");
        }
        if let Some(tls) = &self.tls
            && let Err(error) = tls.renew(time::OffsetDateTime::now_utc())
        {
            tracing::error!(%error, "leaf not renewed");
        }
        let health = health::report(
            self.redirect.as_ref(),
            &self.workers,
            active_flows,
            world,
            self.shipping.size(),
        );
        self.send(approvals::from(From::Health(health)));
    }

    fn ship(&mut self) {
        let Some(uplink) = &self.uplink else { return };
        for message in self.shipping.next() {
            // A full way up is tried again at the next tick, from the last acknowledged leaf.
            if uplink.try_send(message).is_err() {
                self.shipping.restart();
                return;
            }
        }
    }

    fn notify(&self, (place, event): Notice) {
        self.tell(
            place.worker,
            ToWorker::Event {
                flow: place.flow,
                event,
            },
        );
    }

    fn tell(&self, worker: u16, message: ToWorker) {
        let Some(worker) = self.workers.get(usize::from(worker)) else {
            return;
        };
        if worker.inbox.send(message).is_err() {
            tracing::error!("a worker does not take messages");
        }
    }

    fn send(&self, message: v1::FromDataPlane) -> bool {
        self.uplink
            .as_ref()
            .is_some_and(|uplink| uplink.try_send(message).is_ok())
    }

    fn drain(&self, within: Duration) {
        for index in 0..self.workers.len() {
            self.tell(index as u16, ToWorker::Drain { within });
        }
        if let Err(error) = self.warden.drained() {
            tracing::warn!(%error, "the warden is gone");
        }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// What tests set beside a worker.
#[cfg(test)]
pub(crate) mod bed {
    pub(crate) use super::cancels::CancelKeys;
    pub(crate) use super::catalogs::Catalogs;
    pub(crate) use super::check::check;
    pub(crate) use super::place::Place;
    pub(crate) use super::server_tls::ServerTls;
}
