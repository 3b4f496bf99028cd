//! What stays the same for one MCP flow, and its records.

use std::net::SocketAddr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use weir_audit::{JournalError, Kind, Protocol, Receipt, Record};
use weir_facts::{Access, Action, ApprovalId, Digest, FlowId, OperationRef, PolicyId, Workload};
use weir_mcp::http::{Authority, HostError, RequestHead, check_host};
use weir_mcp::session::{Holder, Seal};

use super::caller::Caller;
use crate::calls::Place;
use crate::io::{Env, Start};
use crate::release::Counter;
use crate::tools::ServerTools;
use crate::trace::push_hex;
use crate::world::{Connection, McpAuthorization, McpTarget, Target};

/// One flow's facts.
pub(crate) struct Context {
    pub(crate) id: FlowId,
    pub(crate) source: SocketAddr,
    pub(crate) target: SocketAddr,
    /// Where its calls are open.
    pub(crate) place: Place,
    pub(crate) connection: Arc<Connection>,
    /// The world that this is of.
    world: u64,
    pub(crate) workload: Option<Arc<Workload>>,
    /// What was started, as sessions tell it; empty for a server with an address.
    pub(crate) program: String,
    pub(crate) counter: Counter,
    pub(crate) seal: Seal,
    /// What this host has seen of the server's tools.
    pub(crate) tools: Arc<ServerTools>,
    /// Names that this server is known by.
    hosts: Vec<Authority>,
    /// Whether it has no others: it was registered by name.
    is_named: bool,
}

/// What is recorded of one operation, beside who and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) summary: &'a str,
    pub(crate) accesses: &'a [Access],
    pub(crate) verdict: &'a str,
    pub(crate) policies: &'a [PolicyId],
    pub(crate) reason: &'a str,
    pub(crate) session: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) approval: Option<ApprovalId>,
    pub(crate) approvers: &'a [Arc<str>],
    pub(crate) masked: &'a [(&'a str, &'a str)],
    pub(crate) rows: u64,
    pub(crate) response_bytes: u64,
    pub(crate) duration_us: u64,
    pub(crate) outcome: &'a str,
}

impl Told<'_> {
    pub(crate) const NOTHING: Self = Self {
        summary: "",
        accesses: &[],
        verdict: "",
        policies: &[],
        reason: "",
        session: "",
        bytes: &[],
        approval: None,
        approvers: &[],
        masked: &[],
        rows: 0,
        response_bytes: 0,
        duration_us: 0,
        outcome: "",
    };
}

impl Context {
    pub(crate) fn new(start: &Start, connection: Arc<Connection>, env: &Env<'_>) -> Self {
        let arrival = &start.arrival;
        Self {
            id: start.id,
            source: arrival.source,
            target: arrival.target,
            place: match &arrival.program {
                Some(program) => Place::Started(program.process),
                None => Place::at(arrival.target),
            },
            hosts: hosts(&connection, arrival.target),
            is_named: is_named(&connection),
            tools: env.tools.of(&connection.name),
            connection,
            world: env.world.version,
            workload: arrival.workload.clone(),
            program: arrival
                .program
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
            counter: Counter::new(start.id),
            seal: Seal::new(&seal_key(&env.world.mock_key)),
        }
    }

    /// The server as it is registered now: a credential may have been replaced, and whose the
    /// tokens are may have been decided anew.
    pub(crate) fn refresh(&mut self, env: &Env<'_>) {
        if std::mem::replace(&mut self.world, env.world.version) == env.world.version {
            return;
        }
        if let Some(now) = env.world.connections.named(&self.connection.name) {
            self.hosts = hosts(now, self.target);
            self.is_named = is_named(now);
            self.connection = Arc::clone(now);
        }
    }

    /// Whose the tokens of clients are.
    pub(crate) fn authorization(&self) -> Option<&McpAuthorization> {
        self.mcp().map(|target| &target.authorization)
    }

    pub(crate) fn mcp(&self) -> Option<&McpTarget> {
        match &self.connection.target {
            Target::Mcp(target) => Some(target),
            Target::Postgres(_) => None,
        }
    }

    /// To whom a name sealed for this caller in this session belongs.
    pub(crate) fn holder<'a>(&'a self, caller: &'a Caller, session: &'a str) -> Holder<'a> {
        Holder {
            connection: &self.connection.name,
            caller: &caller.key,
            session,
        }
    }

    /// Whether the request is meant for this server. A server on this host is reached by
    /// names of this host only: any other is a page that was rebound to it. A server elsewhere
    /// that was registered by its name is reached by that one only: by another, whatever stands
    /// behind the same address would get what was judged, and the credential, for this one. One
    /// without a name may have names that we do not know, but no page of another site.
    pub(crate) fn check_host(&self, head: &RequestHead) -> Result<(), HostError> {
        let is_local = self.target.ip().to_canonical().is_loopback();
        if !is_local && !self.is_named && head.fields.get("origin").is_none() {
            return Authority::parse(&head.host)
                .map(drop)
                .ok_or(HostError::Host);
        }
        check_host(head, &self.hosts)
    }

    /// A record of this flow, to be filled in.
    pub(crate) fn record<'a>(
        &'a self,
        kind: Kind,
        env: &Env<'_>,
        caller: Option<&'a Caller>,
    ) -> Record<'a> {
        let has_addresses = self.program.is_empty();
        Record {
            flow: Some(self.id),
            principal: caller.map(|caller| &caller.principal),
            source: has_addresses.then_some(self.source),
            target: has_addresses.then_some(self.target),
            connection: Some(&self.connection.name),
            protocol: Protocol::Mcp,
            ..Record::new(kind, env.now)
        }
    }

    /// Keeps a record.
    pub(crate) fn keep(
        &self,
        env: &mut Env<'_>,
        kind: Kind,
        operation: Option<OperationRef>,
        caller: Option<&Caller>,
        told: Told<'_>,
    ) -> Result<Receipt, JournalError> {
        let ids: Vec<(Action, String)> = told
            .accesses
            .iter()
            .map(|access| (access.action, access.resource_id(&self.connection.name)))
            .collect();
        let accesses: Vec<_> = ids
            .iter()
            .map(|(action, id)| (*action, id.as_str()))
            .collect();
        let session = session_digest(told.session);
        let bundle = env.world.bundle.clone();
        // The answer to a call may come on another flow than the call.
        let flow = operation.map_or(self.id, |operation| operation.flow);
        let record = Record {
            flow: Some(flow),
            operation: operation.map(|operation| operation.seq),
            summary: told.summary,
            accesses: &accesses,
            verdict: told.verdict,
            policies: told.policies,
            reason: told.reason,
            session: &session,
            bundle: &bundle,
            bytes: told.bytes,
            approval: told.approval,
            approvers: told.approvers,
            masked: told.masked,
            rows: told.rows,
            response_bytes: told.response_bytes,
            duration_us: told.duration_us,
            outcome: told.outcome,
            ..self.record(kind, env, caller)
        };
        env.journal.append(operation, &record)
    }

    /// Keeps a refusal. What it tells of is refused whether or not this was kept.
    pub(crate) fn keep_refusal(&self, env: &mut Env<'_>, caller: Option<&Caller>, told: Told<'_>) {
        let told = Told {
            verdict: if told.verdict.is_empty() {
                "deny"
            } else {
                told.verdict
            },
            ..told
        };
        let _ = self.keep(env, Kind::Refusal, None, caller, told);
    }
}

/// Records name a session without giving it away: its id is a bearer secret.
fn session_digest(session: &str) -> String {
    if session.is_empty() {
        return String::new();
    }
    let mut digits = String::with_capacity(2 * 32);
    let digest = Sha256::digest(session.as_bytes());
    digest.iter().for_each(|byte| push_hex(&mut digits, *byte));
    digits
}

fn seal_key(secret: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"weir.mcp.seal.1")
        .chain_update(secret)
        .finalize()
        .into()
}

/// The server's address, its certificate's name, and this host's own names where it is
/// here. Ports are left open: a listener of Weir's has another one.
fn hosts(connection: &Connection, target: SocketAddr) -> Vec<Authority> {
    let is_local = target.ip().to_canonical().is_loopback();
    let local: &[&str] = if is_local {
        &["localhost", "127.0.0.1", "[::1]"]
    } else {
        &[]
    };
    let address = match target.ip().to_canonical() {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    };
    let named = connection.tls.server_name.as_deref();
    let resource = match &connection.target {
        Target::Mcp(target) => target.authorization.resource(),
        Target::Postgres(_) => None,
    };
    let resource = resource.map(|resource| Authority {
        port: None,
        ..resource.authority().clone()
    });
    local
        .iter()
        .copied()
        .chain([address.as_str()])
        .chain(named)
        .filter_map(Authority::parse)
        .chain(resource)
        .collect()
}

/// Whether the operator has said what the server is called.
fn is_named(connection: &Connection) -> bool {
    let is_resource = match &connection.target {
        Target::Mcp(target) => target.authorization.resource().is_some(),
        Target::Postgres(_) => false,
    };
    is_resource || connection.tls.server_name.is_some()
}

/// SHA-256 over parts, each with its length.
pub(crate) fn sha256_of(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Digest(hash.finalize().into())
}
