//! The client's first packets, up to its StartupMessage.

use std::sync::Arc;

use weir_facts::{Access, Action, Digest, Principal, Resource, Verdict};
use weir_postgres::refuse::SqlState;
use weir_postgres::startup::{Packet, PacketReader, StartupMessage};

use super::context::Context;
use super::end::End;
use super::proving::Who;
use super::refusal::Refusal;
use crate::io::{Arrival, CancelKey, Effect, Env, Piece};
use crate::world::{ClientTls, Connection, World};

/// Reads the client up to its StartupMessage.
pub(crate) struct Opening {
    packets: PacketReader,
    encryption: Encryption,
    /// What the client's verified certificate names.
    names: Arc<[Arc<str>]>,
}

/// How far TLS with the client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    None,
    /// The handshake is under way: what the client sends is not ours to read.
    Handshake,
    /// TLS, with the `tls-server-end-point` of Weir's leaf.
    Up(Option<Digest>),
}

/// What the first packets led to.
pub(crate) enum Opened {
    /// More is needed.
    Wait,
    /// A CancelRequest was routed.
    Cancel,
    /// A session begins.
    Startup(Box<StartupMessage>),
}

impl Opening {
    pub(crate) fn new() -> Self {
        Self {
            packets: PacketReader::new(),
            encryption: Encryption::None,
            names: Arc::from([]),
        }
    }

    pub(crate) const fn encryption(&self) -> Encryption {
        self.encryption
    }

    /// What the client's verified certificate names; nothing if it has none.
    pub(crate) fn names(&self) -> &Arc<[Arc<str>]> {
        &self.names
    }

    pub(crate) fn encrypted(&mut self, channel_binding: Option<Digest>, names: Arc<[Arc<str>]>) {
        self.packets.encrypted();
        self.encryption = Encryption::Up(channel_binding);
        self.names = names;
    }

    pub(crate) fn handle_bytes(
        &mut self,
        env: &mut Env<'_>,
        connection: &Connection,
        input: &[u8],
        at: &mut usize,
    ) -> Result<Opened, End> {
        while self.encryption != Encryption::Handshake {
            let packet = self.packets.next(input, at).map_err(|error| {
                End::from(Refusal::new(error.code(), &format!("weir: {error}")))
            })?;
            match packet {
                None => return Ok(Opened::Wait),
                Some(Packet::SslRequest) => {
                    env.out
                        .to_client
                        .push(Piece::Bytes(bytes::Bytes::from_static(b"S")));
                    env.out.to_client.push(Piece::StartTls { role: None });
                    self.encryption = Encryption::Handshake;
                }
                Some(Packet::DirectTls) => {
                    env.out.to_client.push(Piece::StartTls { role: None });
                    self.encryption = Encryption::Handshake;
                }
                Some(Packet::GssEncRequest) => {
                    env.out
                        .to_client
                        .push(Piece::Bytes(bytes::Bytes::from_static(b"N")));
                }
                Some(Packet::Cancel(cancel)) => {
                    env.out
                        .effects
                        .push(Effect::RouteCancel(cancel_key(cancel.process, &cancel.key)));
                    return Ok(Opened::Cancel);
                }
                Some(Packet::Startup(startup)) => {
                    if connection.client_tls == ClientTls::Required
                        && self.encryption == Encryption::None
                    {
                        return Err(Refusal::new(
                            SqlState::INVALID_AUTHORIZATION,
                            "weir: this connection needs TLS",
                        )
                        .hint("connect with sslmode=require")
                        .into());
                    }
                    return Ok(Opened::Startup(Box::new(startup)));
                }
            }
        }
        Ok(Opened::Wait)
    }
}

/// The key under which a flow is found by a CancelRequest.
pub(crate) fn cancel_key(process: u32, key: &[u8]) -> CancelKey {
    CancelKey(process.to_be_bytes().iter().chain(key).copied().collect())
}

/// Judges whether the principal may open a session here.
pub(crate) fn judge_connect(
    context: &Context,
    env: &Env<'_>,
    world: &World,
) -> Result<(), Refusal> {
    let access = Access {
        action: Action::PgConnect,
        resource: Resource::Connection,
    };
    let judging = context.judging(env, world);
    let judgement = world.judge(
        &context.principal,
        &context.connection.name,
        &[access],
        &judging,
    );
    match &judgement.verdict {
        Verdict::Allow => Ok(()),
        Verdict::Deny(denial) => Err(Refusal::denied(denial, &judgement)),
        Verdict::Hold(_) => Err(Refusal::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "weir: opening a session here needs approval, which a connect cannot wait for",
        )),
    }
}

/// Who asks: the workload as the kernel attested it, and who it proved to be.
pub(crate) fn principal(arrival: &Arrival, who: Who) -> Principal {
    Principal {
        workload: arrival.workload.clone(),
        identity: who.identity,
        agent: who.agent,
    }
}
