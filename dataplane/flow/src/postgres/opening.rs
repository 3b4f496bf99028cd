//! The client's first packets, and the proof of who it is.

use std::sync::Arc;

use weir_facts::{Access, Action, Digest, Identity, Principal, Resource, Side, Verdict};
use weir_postgres::auth::{AwaitProof, ScramServer, Verifier};
use weir_postgres::frame::{ClientReader, ClientTag, Step, Streamed};
use weir_postgres::message::{Authentication, Password, SaslInitialResponse};
use weir_postgres::refuse::SqlState;
use weir_postgres::startup::{Packet, PacketReader, StartupMessage};

use super::client::sha256_plain;
use super::context::Context;
use super::end::{End, unreadable};
use super::refusal::Refusal;
use crate::io::{Arrival, CancelKey, Effect, Env, Piece};
use crate::world::{Account, ClientTls, Connection, World};

/// Reads the client up to its StartupMessage.
pub(crate) struct Opening {
    packets: PacketReader,
    encryption: Encryption,
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
    /// A CancelRequest was routed: the connection is over.
    Cancel,
    /// A session begins.
    Startup(Box<StartupMessage>),
}

impl Opening {
    pub(crate) fn new() -> Self {
        Self {
            packets: PacketReader::new(),
            encryption: Encryption::None,
        }
    }

    pub(crate) const fn encryption(&self) -> Encryption {
        self.encryption
    }

    pub(crate) fn encrypted(&mut self, channel_binding: Option<Digest>) {
        self.packets.encrypted();
        self.encryption = Encryption::Up(channel_binding);
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
                    env.out.to_client.push(Piece::StartTls);
                    self.encryption = Encryption::Handshake;
                }
                Some(Packet::DirectTls) => {
                    env.out.to_client.push(Piece::StartTls);
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

/// A client that proves itself.
pub(crate) struct Proof {
    reader: ClientReader,
    startup: Box<StartupMessage>,
    method: Method,
}

/// ```text
///   Scram ── SASLInitialResponse ──▶ Challenged ── SASLResponse ──▶ proven
///   Token ── PasswordMessage ──▶ proven
/// ```
enum Method {
    Scram(Box<ScramServer>, Option<Arc<Account>>),
    Challenged(Box<AwaitProof>, Option<Arc<Account>>),
    Token,
    Over,
}

/// Whether the client is known by now.
pub(crate) enum Proven {
    /// It has to say more.
    Wait,
    /// This is it. `None`: the attested workload alone.
    Identity(Option<Arc<Identity>>),
}

/// Chooses how the client proves itself, by its start-up user: an account with a Weir
/// secret by SCRAM, one with a token by that token inside TLS, nobody's name by the
/// attested workload alone.
pub(crate) fn challenge(
    env: &mut Env<'_>,
    arrival: &Arrival,
    startup: Box<StartupMessage>,
    encryption: Encryption,
) -> Result<Result<Proof, Box<StartupMessage>>, End> {
    let account = env.world.accounts.get(&*startup.user).cloned();
    let mut out = Vec::new();
    startup.negotiate(&mut out);
    let method = match account {
        Some(account) if account.scram_verifier.is_none() && account.has_token => {
            token_method(encryption, &mut out)?
        }
        None if arrival.workload.is_some() => {
            if !out.is_empty() {
                env.out.to_client.push(Piece::Bytes(out.into()));
            }
            return Ok(Err(startup));
        }
        // An unknown user is asked like a known one, so that its being unknown is not told.
        account => scram_method(env, account, &startup.user, encryption, &mut out)?,
    };
    env.out.to_client.push(Piece::Bytes(out.into()));
    Ok(Ok(Proof {
        reader: ClientReader::new(),
        startup,
        method,
    }))
}

fn token_method(encryption: Encryption, out: &mut Vec<u8>) -> Result<Method, End> {
    if !matches!(encryption, Encryption::Up(_)) {
        return Err(Refusal::new(
            SqlState::INVALID_AUTHORIZATION,
            "weir: a token is taken inside TLS only",
        )
        .hint("connect with sslmode=require")
        .into());
    }
    Authentication::encode_cleartext_password(out);
    Ok(Method::Token)
}

fn scram_method(
    env: &mut Env<'_>,
    account: Option<Arc<Account>>,
    user: &str,
    encryption: Encryption,
    out: &mut Vec<u8>,
) -> Result<Method, End> {
    let binding = match encryption {
        Encryption::Up(binding) => binding,
        Encryption::None | Encryption::Handshake => None,
    };
    let verifier = account
        .as_ref()
        .and_then(|account| account.scram_verifier.as_deref());
    let verifier = match verifier {
        Some(text) => text
            .parse()
            .map_err(|_| End::Broken("a SCRAM verifier that does not parse"))?,
        None => Verifier::mock(user, &env.world.mock_key),
    };
    let server = ScramServer::new(verifier, binding.map(|digest| digest.0.to_vec()));
    Authentication::encode_sasl(server.mechanisms(), out);
    Ok(Method::Scram(Box::new(server), account))
}

impl Proof {
    pub(crate) fn into_startup(self) -> Box<StartupMessage> {
        self.startup
    }

    pub(crate) fn handle_bytes(
        &mut self,
        env: &mut Env<'_>,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Proven, End> {
        loop {
            let step = self.reader.next(input, at, Streamed::NONE);
            let Some(step) = step.map_err(|error| unreadable(Side::Client, error))? else {
                return Ok(Proven::Wait);
            };
            let Step::Frame(frame) = step else {
                return Err(End::Broken("a streamed authentication message"));
            };
            if frame.tag != ClientTag::Authentication {
                return Err(End::client("something else than an authentication message"));
            }
            let proven = answer(&mut self.method, env, frame.body())?;
            if matches!(proven, Proven::Identity(_)) {
                return Ok(proven);
            }
        }
    }
}

fn answer(method: &mut Method, env: &mut Env<'_>, body: &[u8]) -> Result<Proven, End> {
    let mut out = Vec::new();
    match std::mem::replace(method, Method::Over) {
        Method::Token => {
            let password = Password::parse(body)?;
            let digest = sha256_plain(password.password);
            let identity = env.world.token(&digest, env.now.unix_us).cloned();
            identity
                .map(|identity| Proven::Identity(Some(identity)))
                .ok_or_else(wrong_password)
        }
        Method::Scram(server, account) => {
            let initial = SaslInitialResponse::parse(body)?;
            let mut nonce = [0; 18];
            (env.random)(&mut nonce);
            let data = initial.data.unwrap_or_default();
            let (next, challenge) = server
                .on_client_first(initial.mechanism, data, &nonce)
                .map_err(|_| wrong_password())?;
            *method = Method::Challenged(Box::new(next), account);
            Authentication::encode_sasl_continue(&challenge, &mut out);
            env.out.to_client.push(Piece::Bytes(out.into()));
            Ok(Proven::Wait)
        }
        Method::Challenged(server, account) => {
            let (_, last) = server.on_client_final(body).map_err(|_| wrong_password())?;
            let account = account.ok_or_else(wrong_password)?;
            Authentication::encode_sasl_final(&last, &mut out);
            env.out.to_client.push(Piece::Bytes(out.into()));
            Ok(Proven::Identity(Some(account.identity.clone())))
        }
        Method::Over => Err(End::client("an authentication message too many")),
    }
}

fn wrong_password() -> End {
    Refusal::new(SqlState::INVALID_PASSWORD, "weir: authentication failed")
        .hint("the password is the Weir secret or token of the account that the user name names")
        .into()
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
pub(crate) fn principal(arrival: &Arrival, identity: Option<Arc<Identity>>) -> Principal {
    Principal {
        workload: arrival.workload.clone(),
        identity,
        agent: None,
    }
}
