//! The MCP half of a flow: Streamable HTTP, or a side of 2024-11-05's HTTP with SSE, between one
//! client and one server.
//!
//! ```text
//!   Dialing ─▶ Securing ─▶ Idle ◀──────────────────────────────┐
//!                           │ head: caller, connect, session    │ answer over
//!                           ▼                                   │
//!                       Receiving ── body whole: judged ──▶ Answering
//!                           │ held, or record not yet durable   ▲
//!                           └──────────▶ Waiting ───────────────┘
//! ```
//!
//! A head whose token was signed with a key that is not known waits in `Fetching` before it is
//! received. One request at a time: nothing is taken from the client while one is answered. Bodies
//! of requests are whole before their first byte goes on, since a late duplicate key may
//! change what they ask; answers are whole, or events are, before they are shown. In a session of
//! 2024-11-05, one flow is the stream and others bring its messages: `sessions` ties them.

mod answer;
mod aside;
mod authorization;
mod bodies;
mod caller;
mod context;
mod end;
mod event;
mod exchange;
mod gate;
mod head;
mod hold;
mod limits;
mod masks;
mod message;
mod oauth;
mod pins;
mod post;
mod posted;
mod pulse;
mod reshape;
mod rung;
mod sessions;
mod stateless;
mod task;
mod verdict;
mod wait;

use std::sync::Arc;

use weir_audit::{JournalError, Kind, RecordSeq};
use weir_facts::{PolicyId, Principal, Side, Verdict};
use weir_mcp::http::rewrite::{Answer, AnswerFraming, CONTINUE, answer as answer_head};
use weir_mcp::http::{
    FieldError, Framing, HttpError, Method, Part, Reader, RequestHead, ResponseHead,
};
use weir_mcp::limits::{ANSWER_BODY_BYTES_MAX, REQUEST_BODY_BYTES_MAX};
use weir_mcp::message::{MessageError, Revision};
use weir_mcp::oauth::MESSAGE_BYTES_MAX;
use weir_mcp::refuse::{self, Close, Refusal};

use self::answer::{After, Answering};
pub(crate) use self::bodies::Bodies;
use self::caller::{Caller, Remembered};
use self::context::{Context, Told};
use self::exchange::{Exchange, Judged, Plan, Unjudged, What};
use self::gate::Admitted;
use self::head::Patience;
use self::hold::{Asking, Decided, Leaving, Redeeming};
use self::limits::{AFTER_CLIENT_NS, AFTER_TASK_NS, KEYS_WAIT_NS, RECEIVE_NS};
pub(crate) use self::oauth::Authorities;
pub(crate) use self::sessions::Sessions;
pub(crate) use self::task::Parked;
use self::task::Watch;
pub(crate) use self::verdict::SharedVerdicts;
use self::verdict::Verdicts;
use crate::io::{Effect, Env, Event, Piece, Start};
use crate::release::Mismatch;
use crate::world::{ClientTls, Connection, Stale, TlsMode};

/// The first byte of a TLS handshake record (RFC 8446 §5.1); no HTTP method begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// `internal_error` before any key was agreed on (RFC 8446 §6): a client of TLS is told that the
/// connection cannot be, and by nobody whom it has verified.
const TLS_ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 80];

/// What judging needs at any time.
pub(crate) struct Desk {
    pub(crate) context: Context,
    pub(crate) verdicts: Verdicts,
    /// The token that was seen last.
    pub(crate) remembered: Remembered,
}

/// The MCP half of a flow.
pub(crate) struct McpFlow {
    desk: Desk,
    state: State,
    link: ClientLink,
    client: Reader,
    server: Reader,
    /// The caller whose session was last recorded, and in which world.
    known: Option<(Principal, u64)>,
    /// When the request that is being received must be whole, or the answer to a client
    /// that has left must be over.
    limit_ns: Option<u64>,
    /// The server has closed its connection while a request waits: it is dialled again before
    /// anything is sent.
    server_gone: bool,
    draining: bool,
}

/// Whether the client speaks TLS to Weir.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientLink {
    Undecided,
    Handshaking,
    Plain,
    Secured,
}

enum State {
    Dialing,
    /// TLS towards the server is being set up.
    Securing,
    /// It could not be: the client is told so in the words that it speaks.
    Unsecured,
    Idle,
    /// A token was signed with a key that nobody here knows; its keys are fetched.
    Fetching(Box<RequestHead>, u64),
    Receiving(Box<Exchange>),
    Waiting(Box<Exchange>, Box<Waiting>),
    Answering(Box<Answering>),
    Over,
}

/// What a request waits for.
enum Waiting {
    /// Its record.
    Durable { seq: RecordSeq, admitted: Admitted },
    /// People.
    Approval(Asking),
    /// An approval's being spent.
    Redeem(Redeeming),
    /// A new connection to the server.
    Server(Admitted),
    /// A task that another flow is busy with.
    Task(Watch),
}

/// A request that is refused.
struct Stop {
    refusal: Refusal,
    /// For the record.
    inside: String,
    policies: Vec<PolicyId>,
    caller: Option<Box<Caller>>,
    /// What a client is told that needs a token, or a better one.
    challenge: String,
    /// Whose keys may have been rotated, if that is why.
    issuer: Option<Arc<str>>,
}

impl Stop {
    fn new(refusal: Refusal, inside: impl ToString) -> Self {
        Self {
            refusal,
            inside: inside.to_string(),
            policies: Vec::new(),
            caller: None,
            challenge: String::new(),
            issuer: None,
        }
    }
}

/// Why a flow ends before its peers wanted to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The server broke the protocol, or its answer cannot be shown.
    #[error("the server's answer: {0}")]
    Server(String),
    /// No record can be kept.
    #[error("not recorded: {0}")]
    Journal(#[from] JournalError),
    /// An invariant of ours does not hold.
    #[error("broken invariant: {0}")]
    Broken(&'static str),
}

impl From<Mismatch> for End {
    fn from(_: Mismatch) -> Self {
        Self::Broken("proofs that name another operation")
    }
}

impl McpFlow {
    /// A flow whose destination is registered: dials it.
    pub(crate) fn begin(start: &Start, connection: Arc<Connection>, env: &mut Env<'_>) -> Self {
        let target = start.arrival.target;
        env.out.effects.push(Effect::Dial { target });
        // The warden has told who a server is that was handed over.
        let listens = start.arrival.program.is_none();
        if listens && env.calls.is_to_be_asked(target, env.now.mono_ns) {
            env.out.effects.push(Effect::FindServer(target));
        }
        Self {
            desk: Desk {
                context: Context::new(start, connection, env),
                verdicts: Verdicts::default(),
                remembered: Remembered::default(),
            },
            state: State::Dialing,
            link: ClientLink::Undecided,
            client: Reader::new(REQUEST_BODY_BYTES_MAX as u64),
            server: Reader::new(u64::MAX),
            known: None,
            limit_ns: None,
            server_gone: false,
            draining: false,
        }
    }

    /// Takes bytes of a side; see `Flow::handle_bytes`.
    pub(crate) fn handle_bytes(
        &mut self,
        env: &mut Env<'_>,
        side: Side,
        input: &mut [u8],
    ) -> usize {
        match side {
            Side::Client => self.on_client_bytes(env, input),
            Side::Server => self.on_server_bytes(env, input),
        }
    }

    fn on_client_bytes(&mut self, env: &mut Env<'_>, input: &[u8]) -> usize {
        let mut at = 0;
        loop {
            match &self.state {
                State::Over => return input.len(),
                State::Unsecured if rest_is_empty(input, at) => return at,
                State::Unsecured => {
                    self.tell_unsecured(env, input.get(at..).unwrap_or_default());
                    return input.len();
                }
                State::Dialing
                | State::Securing
                | State::Fetching(..)
                | State::Waiting(..)
                | State::Answering(_) => {
                    return at;
                }
                State::Idle | State::Receiving(_) => {}
            }
            let rest = input.get(at..).unwrap_or_default();
            if !self.is_readable(env, rest) {
                return at;
            }
            match self.client.take::<RequestHead>(rest) {
                Ok((0, None)) => return at,
                Ok((taken, part)) => {
                    let content = rest.get(..taken).unwrap_or_default();
                    self.on_part(env, part, content);
                    at += taken;
                }
                Err(error) => self.on_malformed(env, error, rest),
            }
        }
    }

    /// Decides on TLS at the first byte, and starts the clock of a request at its first.
    fn is_readable(&mut self, env: &mut Env<'_>, rest: &[u8]) -> bool {
        match (self.link, rest.first()) {
            (ClientLink::Undecided, Some(&TLS_HANDSHAKE)) => {
                env.out.to_client.push(Piece::StartTls { role: None });
                self.link = ClientLink::Handshaking;
            }
            (ClientLink::Undecided, Some(_)) => self.link = ClientLink::Plain,
            (
                ClientLink::Undecided
                | ClientLink::Handshaking
                | ClientLink::Plain
                | ClientLink::Secured,
                _,
            ) => {}
        }
        if !rest.is_empty() && self.limit_ns.is_none() {
            self.limit_ns = Some(env.now.mono_ns.saturating_add(RECEIVE_NS));
        }
        self.link != ClientLink::Handshaking
    }

    fn on_part(&mut self, env: &mut Env<'_>, part: Option<Part<RequestHead>>, taken: &[u8]) {
        match (part, &mut self.state) {
            (Some(Part::Head(head)), State::Idle) => self.receive(env, head, Patience::Some),
            (Some(Part::Content(span)), State::Receiving(exchange)) => {
                if !exchange.receive(taken.get(span).unwrap_or_default()) {
                    let stop = Stop::new(Refusal::Unavailable, "no room for one more body");
                    self.refuse(env, stop, Framing::Chunked);
                } else if exchange.oauth.is_some() && exchange.body.len() > MESSAGE_BYTES_MAX {
                    self.refuse_oauth(env, Refusal::BodyTooLarge, "a message that is too large");
                }
            }
            (Some(Part::End), State::Receiving(_)) => {
                if let State::Receiving(exchange) = std::mem::replace(&mut self.state, State::Idle)
                {
                    self.limit_ns = None;
                    self.on_request(env, exchange);
                }
            }
            // The end of a request without content that was refused by its head.
            (Some(Part::End), State::Idle) => self.limit_ns = None,
            (None, _) => {}
            (
                Some(Part::Head(_) | Part::Content(_) | Part::End),
                State::Dialing
                | State::Securing
                | State::Unsecured
                | State::Idle
                | State::Fetching(..)
                | State::Receiving(_)
                | State::Waiting(..)
                | State::Answering(_)
                | State::Over,
            ) => self.end(env, &End::Broken("a part of a request at another time")),
        }
    }

    fn on_server_bytes(&mut self, env: &mut Env<'_>, input: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            match &self.state {
                State::Over | State::Unsecured => return input.len(),
                State::Dialing | State::Securing => return at,
                State::Idle | State::Fetching(..) | State::Receiving(_) | State::Waiting(..)
                    if rest.is_empty() =>
                {
                    return at;
                }
                // Whatever it is, it answers nothing that was asked, and where the answer
                // to the next request begins would be unknown.
                State::Idle | State::Fetching(..) | State::Receiving(_) | State::Waiting(..) => {
                    self.end(env, &End::Server("bytes that nothing asked for".to_owned()));
                    return input.len();
                }
                State::Answering(_) => {}
            }
            match self.server.take::<ResponseHead>(rest) {
                Ok((0, None)) => return at,
                Ok((taken, part)) => {
                    let content = rest.get(..taken).unwrap_or_default();
                    if let Err(end) = self.on_answer_part(env, part, content) {
                        self.end(env, &end);
                        return input.len();
                    }
                    at += taken;
                }
                Err(error) => {
                    self.end(env, &End::Server(error.to_string()));
                    return input.len();
                }
            }
        }
    }

    fn on_answer_part(
        &mut self,
        env: &mut Env<'_>,
        part: Option<Part<ResponseHead>>,
        taken: &[u8],
    ) -> Result<(), End> {
        let State::Answering(answering) = &mut self.state else {
            return Err(End::Broken("an answer to nothing"));
        };
        match part {
            None => Ok(()),
            Some(Part::Head(head)) => {
                let too_long = matches!(head.framing, Framing::Length(length) if length > ANSWER_BODY_BYTES_MAX as u64);
                if too_long {
                    return Err(End::Server(
                        "an answer that is too large to be judged".to_owned(),
                    ));
                }
                answering.on_head(&mut self.desk, env, head);
                Ok(())
            }
            Some(Part::Content(span)) => {
                answering.on_content(&mut self.desk, env, taken.get(span).unwrap_or_default())
            }
            Some(Part::End) if answering.is_interim() => Ok(()),
            Some(Part::End) => self.finish(env),
        }
    }

    /// The answer is over.
    fn finish(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        let State::Answering(mut answering) = std::mem::replace(&mut self.state, State::Idle)
        else {
            return Err(End::Broken("the end of no answer"));
        };
        let after = answering.finish(&mut self.desk, env);
        let gone = answering.client_gone;
        if let (Ok(after), Some(ask), false) = (&after, answering.task.take(), gone) {
            answering.exchange.head.closes |= *after == After::Close;
            self.reply_task(env, &answering.exchange, &ask);
            return Ok(());
        }
        match after {
            Ok(after) => {
                self.after(env, if gone { After::Close } else { after });
                Ok(())
            }
            Err(end) => {
                // What could not be recorded is put back, so that ending the flow tells of it.
                self.state = State::Answering(answering);
                Err(end)
            }
        }
    }

    /// A side will send no more.
    pub(crate) fn handle_eof(&mut self, env: &mut Env<'_>, side: Side) {
        match side {
            Side::Client => self.on_client_eof(env),
            Side::Server => self.on_server_eof(env),
        }
    }

    fn on_client_eof(&mut self, env: &mut Env<'_>) {
        match &mut self.state {
            State::Over => {}
            State::Waiting(exchange, _) if exchange.revision().is_stateless() => {
                self.on_closed(env);
            }
            // It was told that its message was taken; what becomes of it is told elsewhere.
            State::Waiting(exchange, _) if exchange.is_accepted => {}
            State::Dialing
            | State::Securing
            | State::Unsecured
            | State::Idle
            | State::Fetching(..)
            | State::Receiving(_)
            | State::Waiting(..) => self.leave(env),
            State::Answering(answering) if answering.is_listening() => {
                answering.abandon(&self.desk, env, "the client has left");
                self.leave(env);
            }
            // Whoever asks how far a task is gives nothing up by leaving.
            State::Answering(answering) if answering.is_task => {
                answering.client_gone = true;
                self.limit_ns = Some(env.now.mono_ns.saturating_add(AFTER_TASK_NS));
            }
            // Since 2026-07-28 it cancels its call (patterns, "Cancellation"): the server
            // sees its own stream close.
            State::Answering(answering) if answering.exchange.revision().is_stateless() => {
                answering.abandon(
                    &self.desk,
                    env,
                    "cancelled: the client has closed the stream",
                );
                self.leave(env);
            }
            // Before, a client that leaves does not (2025-11-25, transports): what comes
            // of it is still recorded.
            State::Answering(answering) => {
                answering.client_gone = true;
                self.limit_ns = Some(env.now.mono_ns.saturating_add(AFTER_CLIENT_NS));
            }
        }
    }

    fn on_server_eof(&mut self, env: &mut Env<'_>) {
        match &mut self.state {
            // The client is told once it has said how.
            State::Over | State::Unsecured => {}
            State::Answering(answering) => {
                let ended = self.server.end();
                let has_begun = answering.has_begun();
                // A stream of events may end anywhere: the client resumes or asks again.
                if matches!(ended, Ok(true)) || has_begun {
                    match self.finish(env) {
                        Ok(()) if matches!(self.state, State::Over) => {}
                        Ok(()) => self.leave(env),
                        Err(end) => self.end(env, &end),
                    }
                } else {
                    self.end(
                        env,
                        &End::Server("the connection was closed inside an answer".to_owned()),
                    );
                }
            }
            // Servers close connections that are idle for some seconds; people take longer.
            State::Waiting(exchange, _) => {
                self.server_gone = true;
                exchange.head.closes = true;
            }
            State::Dialing
            | State::Securing
            | State::Idle
            | State::Fetching(..)
            | State::Receiving(_) => self.leave(env),
        }
    }
}

fn rest_is_empty(input: &[u8], at: usize) -> bool {
    input.len() <= at
}

#[cfg(test)]
mod tests;
