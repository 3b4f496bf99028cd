use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use weir_facts::{
    Action, ApprovalId, ConnectionName, Digest, FlowId, Link, Now, OperationSeq, PolicyId,
    Principal,
};

/// What a record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A session was opened, or its opening was judged.
    Session,
    /// An operation is about to be released. Kept before its first byte goes on.
    Intent,
    /// What came of a released operation. Kept before the last byte of the answer goes back.
    Outcome,
    /// An operation that was not released.
    Refusal,
    /// An approval was asked for, given, denied, spent or withdrawn.
    Approval,
    /// An MCP server showed a tool for the first time, or with another definition than before.
    Tool,
    /// The ledger was opened after an unclean end: what was recovered and what was cut.
    Gap,
    /// Nothing happened for a while, and the ledger was there. Silence is evidence.
    Heartbeat,
    /// The ledger ended cleanly.
    Close,
}

impl Kind {
    /// Every kind, in declaration order.
    pub const ALL: &[Self] = &[
        Self::Session,
        Self::Intent,
        Self::Outcome,
        Self::Refusal,
        Self::Approval,
        Self::Tool,
        Self::Gap,
        Self::Heartbeat,
        Self::Close,
    ];

    /// The word that leaves use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Refusal => "refusal",
            Self::Approval => "approval",
            Self::Tool => "tool",
            Self::Gap => "gap",
            Self::Heartbeat => "heartbeat",
            Self::Close => "close",
        }
    }

    /// Reads the word that [`Kind::as_str`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    /// Which part of a store's space a record of this kind may use.
    #[must_use]
    pub const fn room(self) -> Room {
        match self {
            Self::Session
            | Self::Intent
            | Self::Refusal
            | Self::Approval
            | Self::Tool
            | Self::Heartbeat => Room::Opening,
            Self::Outcome | Self::Gap | Self::Close => Room::Closing,
        }
    }
}

/// Which part of a store's space a frame may use. When space runs out, the last of it is
/// kept for finishing what was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// The record begins something: it is refused while the reserve would be needed for it.
    Opening,
    /// The record finishes something that was begun: it may use the reserve.
    Closing,
}

/// The protocol that the operation was asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// PostgreSQL's frontend/backend protocol.
    Postgres,
    /// Model Context Protocol.
    Mcp,
    /// None: the record is the ledger's own, or the flow ended before its protocol was known.
    None,
}

impl Protocol {
    /// The word that leaves use; empty for none.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mcp => "mcp",
            Self::None => "",
        }
    }
}

/// A worker's number: each has its own sequence and hash chain within the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

impl WorkerId {
    /// The ledger itself, for gap, heartbeat and close leaves.
    pub const LEDGER: Self = Self(u16::MAX);
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Position of a record in its worker's sequence, from 1, without gaps over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordSeq(pub u64);

impl fmt::Display for RecordSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One audit entry, borrowed from whoever knows it; built on the stack for each
/// operation. Empty strings, empty slices and `None` do not appear in the leaf.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// What this tells of.
    pub kind: Kind,
    /// When, by the shell's clock; the leaf takes `unix_us`.
    pub now: Now,
    /// The flow it happened on.
    pub flow: Option<FlowId>,
    /// The operation's position in that flow.
    pub operation: Option<OperationSeq>,
    /// Who asked: all parts that are known.
    pub principal: Option<&'a Principal>,
    /// The caller's address.
    pub source: Option<SocketAddr>,
    /// The address that the caller asked for.
    pub target: Option<SocketAddr>,
    /// The registered server.
    pub connection: Option<&'a ConnectionName>,
    /// The protocol spoken.
    pub protocol: Protocol,
    /// Postgres: the database of the session.
    pub database: &'a str,
    /// Postgres: the role that Weir uses at the server.
    pub role: &'a str,
    /// MCP: digest of the session id.
    pub session: &'a str,
    /// The operation, normalised: constants replaced by `$n`; method and tool.
    pub summary: &'a str,
    /// Every (action, resource id) that was judged.
    pub accesses: &'a [(Action, &'a str)],
    /// `allow`, `mask`, `hold` or `deny`.
    pub verdict: &'a str,
    /// The policies that decided.
    pub policies: &'a [PolicyId],
    /// Id of the bundle that they are from, in hexadecimal.
    pub bundle: &'a str,
    /// Inside reason of a denial, and other words for the operator.
    pub reason: &'a str,
    /// The approval that this asks for, or spends.
    pub approval: Option<ApprovalId>,
    /// Who approved.
    pub approvers: &'a [Arc<str>],
    /// The MCP call that caused it.
    pub link: Option<Link>,
    /// Column or path, and the mask rule applied to it.
    pub masked: &'a [(&'a str, &'a str)],
    /// SHA-256 of the operation where its bytes are no longer held together. The leaf takes
    /// a commitment to it, never the digest itself. Where `None`, the digest of the
    /// [`weir_facts::OperationRef`] that the record is appended for is used.
    pub digest: Option<Digest>,
    /// The operation's bytes; the leaf takes HMAC-SHA-256 of them under the epoch's key.
    pub bytes: &'a [u8],
    /// Rows, or results, that went to the client.
    pub rows: u64,
    /// Bytes that went to the client.
    pub response_bytes: u64,
    /// From the operation's arrival to this record, in microseconds.
    pub duration_us: u64,
    /// How it ended, in the protocol's words: `SELECT 3`, an SQLSTATE, an HTTP status.
    pub outcome: &'a str,
}

impl Record<'_> {
    /// A record that says only what happened and when; the caller fills in the rest with
    /// struct update syntax.
    #[must_use]
    pub const fn new(kind: Kind, now: Now) -> Self {
        Self {
            kind,
            now,
            flow: None,
            operation: None,
            principal: None,
            source: None,
            target: None,
            connection: None,
            protocol: Protocol::None,
            database: "",
            role: "",
            session: "",
            summary: "",
            accesses: &[],
            verdict: "",
            policies: &[],
            bundle: "",
            reason: "",
            approval: None,
            approvers: &[],
            link: None,
            masked: &[],
            digest: None,
            bytes: &[],
            rows: 0,
            response_bytes: 0,
            duration_us: 0,
            outcome: "",
        }
    }
}
