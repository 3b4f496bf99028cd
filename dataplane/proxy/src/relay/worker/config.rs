//! What a worker is given at its start.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use weir_audit::Append;
use weir_facts::ConnectionName;
use weir_flow::{Calls, Meters, PlanCache, SeenTools, World};
use weir_ledger::Handle;
use weir_redirect::{FlowStore, LoadBoard};

use super::super::mailbox::Mailbox;
use super::super::pool::BufferConfig;
use super::message::ToControl;
use super::own::OwnAddresses;
use crate::tls::AcceptorSource;

/// A listening socket of one worker.
pub struct Listener {
    /// Bound and listening; TCP.
    pub socket: OwnedFd,
    /// What arrives there.
    pub kind: ListenerKind,
}

/// What arrives at a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Connections that the hooks redirected; any other is reset.
    Redirect,
    /// Connections for one registered server, made on purpose. Their caller is not attested.
    Explicit(ConnectionName),
}

/// What is a worker's own.
pub struct WorkerConfig {
    /// Its number; the redirect sends connections to port base + number.
    pub index: u16,
    /// The CPU to stay on; `None` goes where the scheduler likes.
    pub cpu: Option<usize>,
    /// Its listeners, of any family.
    pub listeners: Vec<Listener>,
    /// Its provided buffers.
    pub buffers: BufferConfig,
    /// Flows at one time; further connections are reset.
    pub flows_max: usize,
    /// Longest spin per turn; zero is never.
    pub spin: Duration,
    /// The ordinal of this start of the data plane: high bits of flow ids. At most 20 bits count.
    pub boot: u32,
    /// Where records go.
    pub journal: Box<dyn Append + Send>,
    /// Judged statements.
    pub plans: PlanCache,
}

/// What all workers share with each other and with the control tasks.
#[derive(Clone)]
pub struct Shared {
    /// The world; replaced by the control tasks, who then send [`super::ToWorker::WorldChanged`].
    pub world: Arc<ArcSwap<World>>,
    /// Weir's leaf; `None` answers no TLS.
    pub tls: Option<Arc<AcceptorSource>>,
    /// Who redirected sockets are; `None` where there is no redirect.
    pub origins: Option<Arc<FlowStore>>,
    /// Where load is published; `None` where there is no redirect.
    pub load: Option<Arc<LoadBoard>>,
    /// Weir's own listeners, of all workers: nothing may be dialled there.
    pub own: Arc<OwnAddresses>,
    /// What was done lately, over all flows of the host.
    pub meters: Arc<Meters>,
    /// What servers showed of their tools, over all flows of the host.
    pub tools: Arc<SeenTools>,
    /// The MCP calls that are open on the host; the control tasks tell whose servers are where.
    pub calls: Arc<Calls>,
    /// What workers ask of the control tasks.
    pub control: Mailbox<ToControl>,
    /// Whom workers ask to make records durable, where records are kept by a ledger.
    pub ledger: Option<Handle>,
}
