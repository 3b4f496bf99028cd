//! One intercepted connection, from its first byte to its last: detect, judge, hold,
//! record, release, edit.
//!
//! A [`Flow`] is told what arrived ([`Flow::handle_bytes`], [`Flow::handle_event`]) and
//! answers into an [`Outbox`]: bytes for either side, and effects that the shell carries
//! out. It opens no socket, reads no clock and waits for nothing.
//!
//! What it never does: let bytes of an operation go on without a permit and a receipt that
//! name exactly these bytes; pass on what it could not parse; tell a client more of a
//! refusal than the outside message.
//!
//! Start with [`Flow`]; then `postgres::PostgresFlow` and `mcp::McpFlow`, its two halves.

mod calls;
mod io;
mod mcp;
mod meter;
mod postgres;
mod release;
mod resource;
mod tasks;
mod token;
mod tools;
mod trace;
mod world;

use weir_audit::{Kind, Record};
use weir_facts::Side;

pub use calls::{Calls, Serving};
pub use io::{
    ApprovalRequest, Arrival, CancelKey, CatalogCell, Decision, Effect, Env, Event, Outbox, Piece,
    Program, ServerCancel, ServerMessage, Start, ToolsSeen,
};
pub use meter::Meters;
pub use postgres::PlanCache;
pub use resource::ResourceUri;
pub use token::{
    Algorithm, Audience, Bearer, IdentityProvider, JwkError, KeySet, OpaqueTokens, ServerToken,
    TokenError, Unverified,
};
pub use tools::{
    Doubt, FirstSight, KnownDefinition, OTHERS_MAX, SeenTool, SeenTools, ServerTools, Standing,
    TOOLS_MAX, ToolPin, ToolPins,
};
pub use world::{
    Account, Attribution, Authentication, Carrier, Certificate, ClientLogin, ClientTls, Connection,
    Connections, Credential, Derived, Durability, Lock, Locked, LoginMethod, LoginRule,
    McpAuthorization, McpCredential, McpTarget, PostgresTarget, Process, Settings, Stale, Target,
    Tls, TlsMode, Token, WorkloadRule, World, canonical, source_ip,
};

use mcp::McpFlow;
use postgres::PostgresFlow;

/// One intercepted connection, both sides.
pub struct Flow {
    start: Start,
    protocol: Protocol,
}

enum Protocol {
    /// Nothing was read yet; the first event or byte decides.
    Undecided,
    Postgres(Box<PostgresFlow>),
    Mcp(Box<McpFlow>),
    /// Refused or over: takes everything and says nothing.
    Over,
}

impl Flow {
    /// A flow that was accepted and whose caller is attested. Call [`Flow::begin`] once.
    #[must_use]
    pub const fn new(start: Start) -> Self {
        Self {
            start,
            protocol: Protocol::Undecided,
        }
    }

    /// Dials the server, or refuses a destination that nobody registered.
    pub fn begin(&mut self, env: &mut Env<'_>) {
        let name = self.start.arrival.connection.as_ref();
        let connection = name
            .and_then(|name| env.world.connections.named(name))
            .cloned();
        self.protocol = match connection {
            None => {
                refuse(&self.start, env, UNREGISTERED);
                Protocol::Over
            }
            Some(connection) if !is_carried(&self.start, &connection) => {
                refuse(&self.start, env, MISCARRIED);
                Protocol::Over
            }
            Some(connection) => match &connection.target {
                Target::Postgres(_) => {
                    Protocol::Postgres(Box::new(PostgresFlow::begin(&self.start, connection, env)))
                }
                Target::Mcp(_) => {
                    Protocol::Mcp(Box::new(McpFlow::begin(&self.start, connection, env)))
                }
            },
        };
    }

    /// Offers plaintext read from a side. Returns how many bytes were taken; what was not
    /// taken is offered again after the next event of this flow.
    pub fn handle_bytes(&mut self, env: &mut Env<'_>, side: Side, input: &mut [u8]) -> usize {
        match &mut self.protocol {
            Protocol::Undecided => 0,
            Protocol::Postgres(flow) => flow.handle_bytes(env, side, input),
            Protocol::Mcp(flow) => flow.handle_bytes(env, side, input),
            Protocol::Over => input.len(),
        }
    }

    /// A side will send no more.
    pub fn handle_eof(&mut self, env: &mut Env<'_>, side: Side) {
        match &mut self.protocol {
            Protocol::Undecided | Protocol::Over => env.out.effects.push(Effect::Finished),
            Protocol::Postgres(flow) => flow.handle_eof(env, side),
            Protocol::Mcp(flow) => flow.handle_eof(env, side),
        }
    }

    /// Something that was asked for happened, or the world changed.
    pub fn handle_event(&mut self, env: &mut Env<'_>, event: Event) {
        match &mut self.protocol {
            Protocol::Undecided | Protocol::Over => {}
            Protocol::Postgres(flow) => flow.handle_event(env, event),
            Protocol::Mcp(flow) => flow.handle_event(env, event),
        }
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, env: &mut Env<'_>) {
        match &mut self.protocol {
            Protocol::Undecided | Protocol::Over => {}
            Protocol::Postgres(flow) => flow.handle_timeout(env),
            Protocol::Mcp(flow) => flow.handle_timeout(env),
        }
    }

    /// When to call [`Flow::handle_timeout`], in [`weir_facts::Now::mono_ns`].
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        match &self.protocol {
            Protocol::Undecided | Protocol::Over => None,
            Protocol::Postgres(flow) => flow.deadline(),
            Protocol::Mcp(flow) => flow.deadline(),
        }
    }
}

const UNREGISTERED: &str = "the destination is governed but no connection is registered for it";

const MISCARRIED: &str =
    "a server that clients start was dialled, or one with an address was handed over";

/// Whether the flow came by the way that its server is registered for. Credentials of a server
/// with an address must never reach a program that a client has started.
fn is_carried(start: &Start, connection: &Connection) -> bool {
    let carrier = match &connection.target {
        Target::Postgres(_) => Carrier::Address,
        Target::Mcp(target) => target.carrier,
    };
    match carrier {
        Carrier::Address => start.arrival.program.is_none(),
        Carrier::Stdio => start.arrival.program.is_some(),
    }
}

fn refuse(start: &Start, env: &mut Env<'_>, reason: &str) {
    let arrival = &start.arrival;
    let has_addresses = arrival.program.is_none();
    let record = Record {
        flow: Some(start.id),
        source: has_addresses.then_some(arrival.source),
        target: has_addresses.then_some(arrival.target),
        connection: arrival.connection.as_ref(),
        verdict: "deny",
        reason,
        ..Record::new(Kind::Refusal, env.now)
    };
    // The connection is reset whether or not the refusal could be recorded.
    let _ = env.journal.append(None, &record);
    env.out.to_client.push(Piece::Reset);
    env.out.effects.push(Effect::Finished);
}
