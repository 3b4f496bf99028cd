use std::net::IpAddr;

use weir_facts::{Group, Now, PolicyId, Verdict};

use crate::{ClockTrust, Reads, Value};

/// What a question hangs on beside who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct JudgeContext<'a> {
    /// The time; policies see weekday and hour in the connection's zone.
    pub now: Now,
    /// Whether that time may decide anything.
    pub clock: ClockTrust,
    /// Where the caller is. A v4-mapped address is seen as IPv4.
    pub source: IpAddr,
    /// Groups whose approval this very operation has.
    pub approvals: &'a [Group],
    /// Whether the session has a transaction open. Postgres only.
    pub in_transaction: bool,
    /// Whether the statement has a WHERE clause. Postgres only.
    pub has_where: bool,
    /// The session's database. Postgres only; empty else.
    pub database: &'a str,
    /// The role that the session has at the server. Postgres only; empty else.
    pub role: &'a str,
    /// `params.arguments` of a call. MCP only; absent is an empty object.
    pub arguments: Option<&'a Value>,
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What policy says.
    pub verdict: Verdict,
    /// The policies that decided: those that permit, that hold, or that forbid. Sorted.
    pub policies: Vec<PolicyId>,
    /// What of the context the deciding slices read.
    pub reads: Reads,
    /// Whether the same question from the same principal has the same answer for as long as
    /// the snapshot lives. `false` if time, source address, arguments, approvals or the state of
    /// the transaction have a say. Database, role and the statement's own facts belong into the
    /// cache's key.
    pub cacheable: bool,
}
