use serde::{Deserialize, Serialize};

/// One flow as the audit log tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// `<node>.<flow>`.
    pub id: String,
    /// Where.
    pub node: String,
    /// The flow, 16 hexadecimal digits.
    pub flow: String,
    /// When its first record was made, in microseconds.
    pub started_us: u64,
    /// When its last was.
    pub last_us: u64,
    /// It is over.
    pub closed: bool,
    /// The identity; empty if none.
    pub identity: String,
    /// The workload; empty if none.
    pub workload: String,
    /// The server.
    pub connection: String,
    /// `postgres` or `mcp`.
    pub protocol: String,
    /// The caller's address.
    pub source: String,
    /// Operations recorded.
    pub operations: u64,
    /// Operations refused.
    pub refused: u64,
    /// Operations that waited for people.
    pub held: u64,
    /// Operations of which something was masked.
    pub masked: u64,
    /// Rows that left.
    pub rows: u64,
}

/// A column or path that was masked, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masked {
    /// Which.
    pub what: String,
    /// The mask.
    pub rule: String,
}

/// The MCP call that caused an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// How it is known: `trace`, `process`, or `ambiguous` where several calls came into question.
    pub kind: String,
    /// The call's session; empty if ambiguous.
    pub session: String,
    /// The call's position there; 0 if ambiguous.
    pub operation: u64,
    /// How many calls came into question; 0 if one is named.
    pub candidates: u64,
}

/// A record of another session that a call caused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Caused {
    /// The call's position in the session at hand.
    pub by: u64,
    /// The session that the record is of.
    pub session: String,
    /// Its identity; empty if none.
    pub identity: String,
    /// Its workload; empty if none.
    pub workload: String,
    /// Its server.
    pub connection: String,
    /// The record.
    pub event: Event,
}

/// One record of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Index of the leaf in the node's log: what a proof is asked for.
    pub index: u64,
    /// `session`, `intent`, `outcome`, `refusal`, `approval`, `gap`, `heartbeat`, `close`.
    pub kind: String,
    /// When, in microseconds.
    pub at_us: u64,
    /// Position in the flow; 0 if the record is of no operation.
    pub operation: u64,
    /// The normalised operation.
    pub summary: String,
    /// `allow`, `mask`, `hold`, `deny` or empty.
    pub verdict: String,
    /// Policies that decided.
    pub policies: Vec<String>,
    /// The reason recorded.
    pub reason: String,
    /// The approval; empty if none.
    pub approval: String,
    /// Who approved.
    pub approvers: Vec<String>,
    /// The MCP call that caused it.
    #[serde(default)]
    pub link: Option<Link>,
    /// What was masked.
    pub masked: Vec<Masked>,
    /// Rows that left.
    pub rows: u64,
    /// Command tag, SQLSTATE or HTTP status.
    pub outcome: String,
    /// From the operation's arrival, in microseconds.
    pub duration_us: u64,
}

/// A session and its records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionDetail {
    /// The session.
    pub session: Session,
    /// Its records, in the log's order.
    pub events: Vec<Event>,
    /// What the calls among them caused in other sessions, by call, in the log's order.
    #[serde(default)]
    pub caused: Vec<Caused>,
    /// Index to ask for more from; `None` if these are all.
    pub next: Option<u64>,
}

/// Something that a person should look at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alert {
    /// When.
    pub at: u64,
    /// Which node.
    pub node: String,
    /// One word: `checkpoint_conflict`, `checkpoint_shrunk`, `leaf_conflict`, `log_key_changed`.
    pub kind: String,
    /// What was seen.
    pub detail: String,
}

/// One entry of the control plane's own log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ManagementEntry {
    /// Position, from 1.
    pub seq: u64,
    /// When.
    pub at: u64,
    /// Which account; `weir-control` for itself.
    pub actor: String,
    /// What: `policy.push`.
    pub action: String,
    /// On what.
    pub subject: String,
    /// How, as JSON; never a secret.
    pub detail: serde_json::Value,
    /// SHA-256 over the entry and the hash before it, hexadecimal.
    pub hash: String,
}
