//! What goes in and out of a flow: bytes, events, effects. The shell carries them out;
//! the flow never waits.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use weir_audit::{Append, RecordSeq};
use weir_facts::{
    Access, ApprovalId, ConnectionName, Digest, FlowId, Group, HoldTerms, Now, Principal,
    ProcessRef, Side, Workload,
};
use weir_sql::{Catalog, Epoch};

use crate::calls::Calls;
use crate::meter::Meters;
use crate::postgres::PlanCache;
use crate::tools::{SeenTool, SeenTools};
use crate::world::World;

/// Everything that a flow is born with.
pub struct Start {
    /// Its name in records.
    pub id: FlowId,
    /// Who connected, and to what.
    pub arrival: Arrival,
    /// The world as it is now.
    pub world: Arc<World>,
    /// When it was accepted.
    pub now: Now,
}

/// What the kernel told of an accepted connection.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The caller's address.
    pub source: SocketAddr,
    /// The address that the caller asked for.
    pub target: SocketAddr,
    /// The registered server behind `target`; `None` is refused.
    pub connection: Option<ConnectionName>,
    /// The attested caller, unless it came from another host.
    pub workload: Option<Arc<Workload>>,
    /// The server of standard input and output that the caller has started, if both ends were
    /// handed over instead of dialled. There are no addresses then.
    pub program: Option<Arc<Program>>,
}

/// A server that its client has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Path of its executable.
    pub executable: Arc<str>,
    /// SHA-256 of the executable's content; `None` for one too large to be read.
    pub executable_digest: Option<Digest>,
    /// The process: the asker's child.
    pub process: ProcessRef,
    /// SHA-256 over its arguments, each with a NUL behind it. They are not told themselves: they
    /// may be secrets.
    pub arguments_digest: Digest,
    /// Executable of the process that asked for it; empty where that could not be seen.
    pub started_by: Arc<str>,
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stdio server {}", self.executable)?;
        if let Some(digest) = &self.executable_digest {
            write!(f, " (sha256 {digest})")?;
        }
        write!(f, ", arguments sha256 {}", self.arguments_digest)?;
        if !self.started_by.is_empty() {
            write!(f, ", started by {}", self.started_by)?;
        }
        Ok(())
    }
}

/// What a call into a flow may use. Time and randomness are arguments, so that a run can
/// be replayed from its inputs.
pub struct Env<'a> {
    /// The time of this call.
    pub now: Now,
    /// Where answers go.
    pub out: &'a mut Outbox,
    /// The world as it is now.
    pub world: &'a Arc<World>,
    /// This worker's journal.
    pub journal: &'a mut dyn Append,
    /// Fills a slice with random bytes.
    pub random: &'a mut dyn FnMut(&mut [u8]),
    /// This worker's judged statements.
    pub plans: &'a mut PlanCache,
    /// What was done lately, over all flows of the host.
    pub meters: &'a Meters,
    /// What servers showed of their tools, over all flows of the host.
    pub tools: &'a SeenTools,
    /// The MCP calls that are open on the host.
    pub calls: &'a Arc<Calls>,
}

/// What a call asks of the shell. The shell empties it after each call.
#[derive(Debug, Default)]
pub struct Outbox {
    /// In order, towards the client.
    pub to_client: Vec<Piece>,
    /// In order, towards the server.
    pub to_server: Vec<Piece>,
    /// In order, towards the control tasks.
    pub effects: Vec<Effect>,
}

impl Outbox {
    /// The queue towards `side`.
    pub const fn to(&mut self, side: Side) -> &mut Vec<Piece> {
        match side {
            Side::Client => &mut self.to_client,
            Side::Server => &mut self.to_server,
        }
    }

    /// Forgets everything, keeping the capacity.
    pub fn clear(&mut self) {
        self.to_client.clear();
        self.to_server.clear();
        self.effects.clear();
    }
}

/// One thing to do on a side's link, after everything queued there before it.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Send these bytes of the call's input, as the call left them.
    Span(Range<usize>),
    /// Send these bytes.
    Bytes(Bytes),
    /// Begin TLS on this link: as server towards the client, as client towards the server.
    /// Input of that side that the flow has not taken is ciphertext.
    StartTls {
        /// Towards a server: the role whose certificate is shown, if it has one.
        role: Option<Arc<str>>,
    },
    /// Send no more on this link (half-close).
    Shutdown,
    /// Drop this link with RST, at once.
    Reset,
}

/// What the shell is asked to do.
#[derive(Debug)]
pub enum Effect {
    /// Connect to the original destination; answered by [`Event::Dialed`] or [`Event::DialFailed`].
    Dial {
        /// Where to.
        target: SocketAddr,
    },
    /// Hand over the catalogue of a database; answered by [`Event::Catalog`].
    Catalog {
        /// Whose credentials to read it with.
        connection: ConnectionName,
        /// `pg_database.datname`.
        database: Arc<str>,
        /// Read it again if this is the epoch at hand.
        stale: Option<Epoch>,
    },
    /// Ask people; answered by [`Event::Approval`], at once where the same request was decided before.
    RequestApproval(Box<ApprovalRequest>),
    /// The asker no longer wants it.
    WithdrawApproval(ApprovalId),
    /// The asker waits no longer, and may come back: the request stays open.
    LeaveApproval(ApprovalId),
    /// Reaches the flow that waits with this key as [`Event::CancelRequested`]; silence if there is
    /// none, or more than one.
    CancelApproval(Digest),
    /// Spend an approval, which can be done once; answered by [`Event::Redeemed`].
    RedeemApproval {
        /// The approval.
        id: ApprovalId,
        /// What is about to run.
        digest: Digest,
    },
    /// Make the journal durable up to a record; answered by [`Event::Synced`] or [`Event::SyncFailed`].
    Sync(RecordSeq),
    /// Tell the control plane of definitions of tools that it does not know.
    ReportTools(Box<ToolsSeen>),
    /// The keys of this issuer may have been rotated: fetch them, unless that was done a moment
    /// ago. [`Event::WorldChanged`] tells if there are new ones.
    RefreshKeys(Arc<str>),
    /// Find out which processes serve this address; the answer goes into [`Env::calls`].
    FindServer(SocketAddr),
    /// This flow is the stream of a session: what [`Effect::ToStream`] has for it reaches it.
    OfferStream,
    /// The stream of a session gets a message of Weir's own, as [`Event::Message`]; silence if it
    /// is over.
    ToStream {
        /// The flow of the stream.
        stream: FlowId,
        /// JSON-RPC.
        message: Bytes,
    },
    /// A CancelRequest with this key reaches this flow as [`Event::CancelRequested`].
    OfferCancelKey(CancelKey),
    /// Pass a CancelRequest to the flow that offered the key; answered by [`Event::CancelRouted`].
    RouteCancel(CancelKey),
    /// Tell the flow of a CancelRequest what it leads to.
    AnswerCancel {
        /// The flow that asked.
        asker: FlowId,
        /// What the server is to be sent; nothing where the session's flow has dealt with it.
        cancel: Option<ServerCancel>,
    },
    /// Open a connection to the server, send the request, close it.
    SendCancel(ServerCancel),
    /// Open a connection to the server, send the request, read what comes until the server closes
    /// it. Nobody is told of it.
    SendAside(ServerMessage),
    /// Nothing more will come from this flow: close both links once their queues are empty.
    Finished,
}

/// A CancelRequest as a server is to get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCancel {
    /// The server.
    pub target: SocketAddr,
    /// The whole message.
    pub request: Bytes,
}

/// What Weir itself tells a server, beside its flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerMessage {
    /// The server.
    pub target: SocketAddr,
    /// The whole request, which asks for the connection to be closed.
    pub request: Bytes,
}

/// The key of a CancelRequest as Weir gave it to a client: process id and secret, together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CancelKey(pub Box<[u8]>);

/// What people are asked to approve.
#[derive(Clone, Debug)]
pub struct ApprovalRequest {
    /// Names this request.
    pub id: ApprovalId,
    /// Binds it to exactly one operation of one principal.
    pub digest: Digest,
    /// By which its caller can cancel it from another connection.
    pub cancel: Option<Digest>,
    /// SHA-256 of the definition of the tool that is called, if a list has shown one.
    pub definition: Option<Digest>,
    /// The flow that waits.
    pub flow: FlowId,
    /// The registered server.
    pub connection: ConnectionName,
    /// Who asks.
    pub principal: Principal,
    /// From where.
    pub source: SocketAddr,
    /// The operation in full, as approvers see it.
    pub operation: String,
    /// What it does, as policy saw it.
    pub accesses: Vec<Access>,
    /// Who must agree, and until when.
    pub terms: HoldTerms,
}

/// Definitions that a server has shown.
#[derive(Clone, Debug)]
pub struct ToolsSeen {
    /// The registered server.
    pub connection: ConnectionName,
    /// Its tools, those that the control plane does not know yet.
    pub tools: Vec<SeenTool>,
}

/// What became of a request for approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// People agreed.
    Approved {
        /// Who, as `issuer|subject`.
        approvers: Vec<Arc<str>>,
        /// The groups that they approved for.
        groups: Vec<Group>,
    },
    /// Somebody refused.
    Denied {
        /// Why, in their words.
        reason: Arc<str>,
    },
    /// Nobody decided in time, or the approval was not used in time.
    Expired,
    /// The control plane cannot be reached.
    Unavailable,
}

/// What the shell tells a flow.
#[derive(Debug)]
pub enum Event {
    /// The server's link is up.
    Dialed,
    /// It is not.
    DialFailed {
        /// The system call's words.
        reason: String,
    },
    /// A TLS handshake ended well.
    TlsUp {
        /// On which link.
        side: Side,
        /// The `tls-server-end-point` channel binding (RFC 5929) of that link.
        channel_binding: Option<Digest>,
        /// What a client's certificate names, if it showed one that the connection's CAs vouch
        /// for: `cn:…`, `dns:…`, `email:…`, `uri:…`.
        names: Arc<[Arc<str>]>,
    },
    /// A TLS handshake failed.
    TlsFailed {
        /// On which link.
        side: Side,
        /// Why.
        reason: String,
    },
    /// The catalogue of the database that was asked for.
    Catalog(Result<Arc<CatalogCell>, String>),
    /// A request for approval waits for people; told where it was not decided before.
    ApprovalOpened {
        /// The request, as this flow named it.
        request: ApprovalId,
        /// The approval's own name: another than `request` where the same operation was asked before.
        approval: ApprovalId,
    },
    /// A request for approval was decided.
    Approval {
        /// The request, as this flow named it.
        request: ApprovalId,
        /// The approval's own name: another than `request` where the same operation was asked before.
        approval: ApprovalId,
        /// What became of it.
        decision: Decision,
    },
    /// An approval was spent, or was not there to be spent.
    Redeemed {
        /// Which.
        id: ApprovalId,
        /// Whether it is this flow's to use.
        granted: bool,
    },
    /// Everything up to this record is on stable storage.
    Synced(RecordSeq),
    /// It is not, and will not be.
    SyncFailed,
    /// The world was replaced: open sessions are judged again.
    WorldChanged,
    /// A message of Weir's own for the client of this stream.
    Message(Bytes),
    /// What runs or waits is not wanted any more.
    CancelRequested {
        /// The flow by which a CancelRequest came: it waits for [`Effect::AnswerCancel`].
        asker: Option<FlowId>,
    },
    /// The answer to [`Effect::RouteCancel`]: what the server is to be sent, if anything.
    CancelRouted(Option<ServerCancel>),
    /// A side will send no more, while some of what it sent is not taken yet. Once it is, the
    /// end is told as such.
    HungUp {
        /// Which.
        side: Side,
    },
    /// An operator ended this session.
    Locked {
        /// Why, in their words.
        reason: String,
    },
    /// Weir is going down: finish what runs, begin nothing.
    Drain,
}

/// The newest catalogue of one database. Whoever holds it sees replacements, and is told when
/// another flow changes what it says.
pub struct CatalogCell {
    catalog: ArcSwap<Catalog>,
    changes: AtomicU64,
    /// How many changes the catalogue at hand is known to contain.
    read: AtomicU64,
}

impl CatalogCell {
    /// A cell with its first catalogue.
    #[must_use]
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self {
            catalog: ArcSwap::new(catalog),
            changes: AtomicU64::new(0),
            read: AtomicU64::new(0),
        }
    }

    /// A flow changes the meaning of names, or has just made such a change visible to others:
    /// what was read before may be overtaken.
    pub fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// How many changes were noted. To be asked before the server is, so that [`Self::store`] can
    /// tell what the answer contains.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether a change was noted since the catalogue at hand was asked for.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.read.load(Ordering::Acquire) != self.changes()
    }

    /// The catalogue as last read.
    #[must_use]
    pub fn load(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// The epoch of the catalogue as last read.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.catalog.load().epoch()
    }

    /// Replaces the catalogue by one that was asked for when so many changes were noted.
    pub fn store(&self, catalog: Arc<Catalog>, changes: u64) {
        self.catalog.store(catalog);
        self.read.store(changes, Ordering::Release);
    }
}

impl std::fmt::Debug for CatalogCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CatalogCell").field(&self.epoch()).finish()
    }
}
