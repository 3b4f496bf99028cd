//! A flow that speaks PostgreSQL's protocol 3.
//!
//! ```text
//!   Dialing ─ Dialed ─▶ Opening ─ StartupMessage ─▶ Proving ─ proved ─▶ judged ─▶ Entering ─▶ Ready
//!      │                   │ CancelRequest             │ wrong             │ denied   │ refused
//!      ▼                   ▼                           ▼                   ▼          ▼
//!    reset            Cancelling                     FATAL               FATAL      FATAL
//!                          │ the server has closed
//!                          ▼
//!                        Over
//! ```

mod bulk;
mod cache;
mod client;
mod context;
mod deferred;
mod desk;
mod effect;
mod end;
mod extended;
mod freshness;
mod guards;
mod hold;
mod layout;
mod login;
mod matching;
mod named;
mod notice;
mod opening;
mod plan;
mod proving;
mod ready;
mod refusal;
mod server;
mod shown;
mod stash;
mod stop;
mod unread;

use std::sync::Arc;

use weir_audit::Kind;
use weir_facts::{Principal, Side};
use weir_postgres::frame::ServerReader;
use weir_postgres::message::Authentication;
use weir_postgres::refuse::SqlState;
use weir_postgres::startup::StartupMessage;

use crate::io::{Arrival, CatalogCell, Effect, Env, Event, Piece, ServerCancel, Start};
use crate::release::Counter;
use crate::world::{Connection, Stale, Target, World};
pub use cache::PlanCache;
use context::Context;
use end::End;
use login::{Logged, Login};
use named::SessionName;
use opening::{Opened, Opening};
use proving::{Challenge, Proof, Proven, Who};
use ready::Ready;
use refusal::Refusal;

/// How long a client may take until it is in: PostgreSQL's own `authentication_timeout`.
const OPENING_NS: u64 = 60_000_000_000;

/// How long a CancelRequest may take. A server closes its connection as soon as it has signalled;
/// a client that waits longer is better told nothing more than kept.
const CANCEL_NS: u64 = 10_000_000_000;

/// A Postgres flow.
pub(crate) struct PostgresFlow {
    id: weir_facts::FlowId,
    arrival: Arrival,
    connection: Arc<Connection>,
    state: State,
    deadline_ns: Option<u64>,
    eof: [bool; 2],
}

enum State {
    Dialing,
    Opening(Opening),
    /// A CancelRequest is on its way. The client is told that it has arrived by the end of its
    /// connection, as by a server: whatever it runs next is not meant any more.
    Cancelling,
    Proving {
        proof: Proof,
    },
    Entering(Box<Entering>),
    Ready(Box<Ready>),
    Over,
}

/// The client is known and may enter; the server and its catalogue are not there yet.
struct Entering {
    context: Context,
    login: Option<Login>,
    server: Option<ServerReader>,
    cell: Option<Arc<CatalogCell>>,
}

impl PostgresFlow {
    /// Dials the server; the client is not answered before it is there.
    pub(crate) fn begin(start: &Start, connection: Arc<Connection>, env: &mut Env<'_>) -> Self {
        env.out.effects.push(Effect::Dial {
            target: start.arrival.target,
        });
        Self {
            id: start.id,
            arrival: start.arrival.clone(),
            connection,
            state: State::Dialing,
            deadline_ns: Some(env.now.mono_ns.saturating_add(OPENING_NS)),
            eof: [false; 2],
        }
    }

    /// Offers bytes of a side.
    pub(crate) fn handle_bytes(
        &mut self,
        env: &mut Env<'_>,
        side: Side,
        input: &mut [u8],
    ) -> usize {
        let mut at = 0;
        match self.read(env, side, input, &mut at) {
            Ok(()) => at,
            Err(end) => {
                self.end(env, &end);
                input.len()
            }
        }
    }

    fn read(
        &mut self,
        env: &mut Env<'_>,
        side: Side,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<(), End> {
        match (&mut self.state, side) {
            (State::Dialing, _) | (State::Opening(_) | State::Proving { .. }, Side::Server) => {
                Ok(())
            }
            (State::Opening(opening), Side::Client) => {
                match opening.handle_bytes(env, &self.connection, input, at)? {
                    Opened::Wait => Ok(()),
                    Opened::Cancel => {
                        self.deadline_ns = Some(env.now.mono_ns.saturating_add(CANCEL_NS));
                        self.state = State::Cancelling;
                        Ok(())
                    }
                    Opened::Startup(startup) => {
                        let asking = proving::Asking {
                            arrival: &self.arrival,
                            connection: &self.connection,
                            encryption: opening.encryption(),
                            names: opening.names(),
                        };
                        match asking.challenge(env, startup)? {
                            Challenge::Prove(proof) => {
                                self.state = State::Proving { proof };
                                Ok(())
                            }
                            Challenge::Known(startup, who) => self.enter(env, &startup, who),
                        }
                    }
                }
            }
            (State::Proving { proof }, Side::Client) => {
                let proven = proof.handle_bytes(env, &self.connection, input, at)?;
                self.proven(env, proven)
            }
            (State::Entering(_), Side::Client) => Ok(()),
            (State::Entering(entering), Side::Server) => {
                let Some(login) = &mut entering.login else {
                    return Ok(());
                };
                if let Logged::In(reader) = login.handle_bytes(env, input, at)? {
                    entering.login = None;
                    entering.server = Some(reader);
                    self.be_ready(env)?;
                    // What came behind AuthenticationOk in the same bytes.
                    if let State::Ready(ready) = &mut self.state {
                        *at += read_rest(ready, env, input, *at)?;
                    }
                }
                Ok(())
            }
            (State::Ready(ready), side) => {
                *at = ready.handle_bytes(env, side, input)?;
                Ok(())
            }
            (State::Cancelling | State::Over, _) => {
                *at = input.len();
                Ok(())
            }
        }
    }

    /// Goes on once the client is known.
    fn proven(&mut self, env: &mut Env<'_>, proven: Proven) -> Result<(), End> {
        let Proven::Known(who) = proven else {
            return Ok(());
        };
        let State::Proving { proof } = std::mem::replace(&mut self.state, State::Over) else {
            return Err(End::Broken("a proof that vanished"));
        };
        self.enter(env, &proof.into_startup(), who)
    }

    /// The client is known: judge, record, and go to the server.
    fn enter(&mut self, env: &mut Env<'_>, startup: &StartupMessage, who: Who) -> Result<(), End> {
        let Target::Postgres(target) = &self.connection.target else {
            return Err(End::Broken("a Postgres flow to something else"));
        };
        let principal = opening::principal(&self.arrival, who);
        let credential = target.credential(&startup.user);
        let role = credential.map_or_else(
            || Arc::from(startup.user.as_str()),
            |credential| credential.role.clone(),
        );
        let shown = show(&principal);
        let named = login::named(env, &self.connection, startup, &shown);
        let name = named
            .as_ref()
            .map(|(sent, own)| SessionName::new(sent, own));
        let context = Context {
            id: self.id,
            source: self.arrival.source,
            target: self.arrival.target,
            connection: self.connection.clone(),
            name: name.unwrap_or_default(),
            principal,
            database: startup.database.as_str().into(),
            role,
            cancel_key_bytes: startup.version.cancel_key_bytes(),
            counter: Counter::new(self.id),
        };
        let world = env.world.clone();
        let judged = check_fresh(&world, env, Stale::DenyNew)
            .and_then(|()| opening::judge_connect(&context, env, &world));
        let judged = judged.and_then(|()| {
            credential.ok_or_else(|| {
                Refusal::new(SqlState::INVALID_AUTHORIZATION, "weir: no credential for this user at the server")
                    .hint("ask whoever keeps this connection to add the role, or connect as one that is there")
            })
        });
        keep_session(&context, env, judged.as_ref().err())?;
        let credential = judged?;
        let sent = named.map(|(sent, _)| sent);
        let login = Login::begin(env, &self.connection, credential, startup, sent)?;
        env.out.effects.push(Effect::Catalog {
            connection: self.connection.name.clone(),
            database: context.database.clone(),
            stale: None,
        });
        let entering = Entering {
            context,
            login: Some(login),
            server: None,
            cell: None,
        };
        self.state = State::Entering(Box::new(entering));
        Ok(())
    }

    /// Both the server and the catalogue are there: the client is let in.
    fn be_ready(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        let is_whole = matches!(&self.state, State::Entering(entering) if entering.server.is_some() && entering.cell.is_some());
        if !is_whole {
            return Ok(());
        }
        let State::Entering(entering) = std::mem::replace(&mut self.state, State::Over) else {
            return Err(End::Broken("a session that vanished while it was entered"));
        };
        let Entering {
            context,
            server,
            cell,
            ..
        } = *entering;
        let (Some(server), Some(cell)) = (server, cell) else {
            return Err(End::Broken("a session without its server"));
        };
        // The world may have changed while the server was asked.
        opening::judge_connect(&context, env, &env.world.clone())?;
        let mut out = Vec::new();
        Authentication::encode_ok(&mut out);
        env.out.to_client.push(Piece::Bytes(out.into()));
        self.deadline_ns = None;
        self.state = State::Ready(Box::new(Ready::new(context, cell, server, env)));
        Ok(())
    }

    /// A side will send no more.
    pub(crate) fn handle_eof(&mut self, env: &mut Env<'_>, side: Side) {
        self.eof[usize::from(side == Side::Server)] = true;
        match (&mut self.state, side) {
            (State::Ready(ready), Side::Client) => {
                ready.desk.withdraw(env);
                env.out.to_server.push(Piece::Shutdown);
            }
            (State::Ready(ready), Side::Server) => {
                ready.desk.withdraw(env);
                ready.desk.abandon(env, "the server closed the connection");
                env.out.to_client.push(Piece::Shutdown);
            }
            (State::Dialing | State::Opening(_) | State::Proving { .. }, Side::Client) => {
                return self.left_early(env);
            }
            // Many clients do not wait; their request is carried out nevertheless.
            (State::Cancelling, Side::Client) => return,
            (State::Entering(_), Side::Client) | (State::Cancelling, Side::Server) => {
                return self.leave(env);
            }
            (
                State::Dialing | State::Opening(_) | State::Proving { .. } | State::Entering(_),
                Side::Server,
            ) => {
                return self.end(env, &End::Unserved("it closed the connection".to_owned()));
            }
            (State::Over, _) => {}
        }
        if self.eof == [true; 2] || side == Side::Server {
            self.state = State::Over;
            env.out.effects.push(Effect::Finished);
        }
    }

    /// Something happened.
    pub(crate) fn handle_event(&mut self, env: &mut Env<'_>, event: Event) {
        if let Err(end) = self.event(env, event) {
            self.end(env, &end);
        }
    }

    fn event(&mut self, env: &mut Env<'_>, event: Event) -> Result<(), End> {
        match (&mut self.state, event) {
            (State::Dialing, Event::Dialed) => {
                self.state = State::Opening(Opening::new());
                Ok(())
            }
            (State::Dialing, Event::DialFailed { reason }) => {
                keep_unopened(self, env, &reason);
                env.out.to_client.push(Piece::Reset);
                env.out.effects.push(Effect::Finished);
                self.state = State::Over;
                Ok(())
            }
            (
                State::Opening(opening),
                Event::TlsUp {
                    side: Side::Client,
                    channel_binding,
                    names,
                },
            ) => {
                opening.encrypted(channel_binding, names);
                Ok(())
            }
            (
                State::Entering(entering),
                Event::TlsUp {
                    side: Side::Server,
                    channel_binding,
                    names: _,
                },
            ) => {
                match &mut entering.login {
                    Some(login) => login.encrypted(env, channel_binding),
                    None => return Err(End::Broken("TLS after the login")),
                }
                Ok(())
            }
            (State::Entering(entering), Event::Catalog(catalog)) => {
                let cell = catalog.map_err(|reason| {
                    End::from(
                        Refusal::new(
                            SqlState::CONNECTION_FAILURE,
                            "weir: the catalogue cannot be read, so nothing can be judged",
                        )
                        .inside(reason),
                    )
                })?;
                entering.cell = Some(cell);
                self.be_ready(env)
            }
            (
                _,
                Event::TlsFailed {
                    side: Side::Client,
                    reason,
                },
            ) => Err(End::Client(reason)),
            (
                _,
                Event::TlsFailed {
                    side: Side::Server,
                    reason,
                },
            ) => Err(End::Unserved(reason)),
            (State::Ready(ready), event) => ready.handle_event(env, event),
            (State::Cancelling, Event::CancelRouted(cancel)) => {
                self.send_cancel(env, cancel);
                Ok(())
            }
            // It is over in a moment.
            (State::Cancelling, Event::Drain | Event::Locked { .. }) | (State::Over, _) => Ok(()),
            (_, Event::Drain | Event::Locked { .. }) => Err(Refusal::new(
                SqlState::CANNOT_CONNECT_NOW,
                "weir: no new session is begun now; try again",
            )
            .into()),
            (State::Proving { proof }, Event::WorldChanged) => {
                let proven = proof.on_world(env, &self.connection)?;
                self.proven(env, proven)
            }
            (
                _,
                Event::WorldChanged
                | Event::CancelRequested { .. }
                | Event::HungUp { .. }
                | Event::ApprovalOpened { .. }
                | Event::Message(_),
            ) => Ok(()),
            _ => Err(End::Broken("an event out of its time")),
        }
    }

    /// The deadline passed.
    pub(crate) fn handle_timeout(&mut self, env: &mut Env<'_>) {
        match &mut self.state {
            State::Ready(ready) => {
                if let Err(end) = ready.desk.on_deadline(env) {
                    self.end(env, &end);
                }
            }
            State::Proving { proof }
                if self.deadline_ns.is_none_or(|end| env.now.mono_ns < end) =>
            {
                if let Err(end) = proof.on_deadline(env) {
                    self.end(env, &end);
                }
            }
            State::Dialing | State::Opening(_) | State::Proving { .. } | State::Entering(_) => {
                self.end(env, &End::client("the session was not opened in time"));
            }
            State::Cancelling => self.leave(env),
            State::Over => {}
        }
    }

    /// When to be woken.
    pub(crate) fn deadline(&self) -> Option<u64> {
        match &self.state {
            State::Ready(ready) => ready.desk.deadline(),
            State::Proving { proof } => proof.deadline().into_iter().chain(self.deadline_ns).min(),
            State::Dialing | State::Opening(_) | State::Cancelling | State::Entering(_) => {
                self.deadline_ns
            }
            State::Over => None,
        }
    }

    /// The client has left before its session was open; what it began is told.
    fn left_early(&mut self, env: &mut Env<'_>) {
        keep_unopened(self, env, "the client left before its session was open");
        self.leave(env);
    }

    /// Sends a CancelRequest by this flow's own connection to the server, which is there already:
    /// the server's end of it is how the client learns that the request has arrived.
    fn send_cancel(&mut self, env: &mut Env<'_>, cancel: Option<ServerCancel>) {
        match cancel {
            Some(cancel) if cancel.target == self.arrival.target => {
                env.out.to_server.push(Piece::Bytes(cancel.request));
            }
            // The session is at another of the server's addresses. Nobody says when it arrives there.
            Some(cancel) => {
                env.out.effects.push(Effect::SendCancel(cancel));
                self.leave(env);
            }
            None => self.leave(env),
        }
    }

    /// Ends without a word: the client has left, or asked for nothing more.
    fn leave(&mut self, env: &mut Env<'_>) {
        env.out.to_client.push(Piece::Shutdown);
        env.out.to_server.push(Piece::Shutdown);
        env.out.effects.push(Effect::Finished);
        self.state = State::Over;
    }

    fn end(&mut self, env: &mut Env<'_>, end: &End) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Ready(mut ready) => {
                ready.desk.withdraw(env);
                ready.desk.abandon(env, "the flow was ended");
                end.finish(Some(&ready.desk.context), env);
            }
            State::Entering(entering) => end.finish(Some(&entering.context), env),
            State::Dialing
            | State::Opening(_)
            | State::Cancelling
            | State::Proving { .. }
            | State::Over => {
                let context = self.anonymous();
                end.finish(Some(&context), env);
            }
        }
    }

    /// The flow before anybody has said who it is.
    fn anonymous(&self) -> Context {
        Context {
            id: self.id,
            source: self.arrival.source,
            target: self.arrival.target,
            connection: self.connection.clone(),
            name: SessionName::default(),
            principal: opening::principal(&self.arrival, Who::NOBODY),
            database: "".into(),
            role: "".into(),
            cancel_key_bytes: 0,
            counter: Counter::new(self.id),
        }
    }
}

/// Reads what is left of an input behind `at`. The ranges that come out are moved to where it lies.
fn read_rest(
    ready: &mut Ready,
    env: &mut Env<'_>,
    input: &mut [u8],
    at: usize,
) -> Result<usize, End> {
    let (from_client, from_server) = (env.out.to_client.len(), env.out.to_server.len());
    let rest = input.get_mut(at..).unwrap_or_default();
    let taken = ready.handle_bytes(env, Side::Server, rest)?;
    let new = env
        .out
        .to_client
        .iter_mut()
        .skip(from_client)
        .chain(env.out.to_server.iter_mut().skip(from_server));
    for piece in new {
        if let Piece::Span(span) = piece {
            *span = span.start + at..span.end + at;
        }
    }
    Ok(taken)
}

/// A world that is too old to decide by, if it says so of itself.
pub(crate) fn check_fresh(world: &World, env: &Env<'_>, at_least: Stale) -> Result<(), Refusal> {
    let is_stale = env.now.unix_us > world.settings.not_after_us;
    let denies = match (world.settings.stale, at_least) {
        (Stale::Continue, _) | (Stale::DenyNew, Stale::DenyAll) => false,
        (Stale::DenyNew | Stale::DenyAll, _) => true,
    };
    if is_stale && denies {
        return Err(Refusal::new(
            SqlState::CANNOT_CONNECT_NOW,
            "weir: the policy is out of date, and nothing is allowed by it",
        )
        .hint("this host has not heard from its control plane for too long"));
    }
    Ok(())
}

fn keep_session(
    context: &Context,
    env: &mut Env<'_>,
    refused: Option<&Refusal>,
) -> Result<(), End> {
    let bundle = env.world.bundle.clone();
    let record = weir_audit::Record {
        verdict: if refused.is_some() { "deny" } else { "allow" },
        reason: refused.map_or("", |refusal| &refusal.inside),
        policies: refused.map_or(&[], |refusal| &refusal.policies),
        bundle: &bundle,
        ..context.record(Kind::Session, env)
    };
    let _ = env.journal.append(None, &record)?;
    Ok(())
}

fn keep_unopened(flow: &PostgresFlow, env: &mut Env<'_>, reason: &str) {
    let context = flow.anonymous();
    let record = weir_audit::Record {
        reason,
        verdict: "deny",
        ..context.record(Kind::Refusal, env)
    };
    // The client is reset whether or not this was kept.
    let _ = env.journal.append(None, &record);
}

/// The principal, short enough for `application_name`.
fn show(principal: &Principal) -> String {
    let identity = principal
        .identity
        .as_ref()
        .map(|identity| &*identity.subject);
    let workload = principal.workload.as_ref().map(|workload| &*workload.name);
    match (identity, workload) {
        (Some(identity), Some(workload)) => format!("{identity}@{workload}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "unknown".to_owned(),
    }
}
