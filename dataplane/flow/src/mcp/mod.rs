//! The MCP half of a flow: Streamable HTTP between one client and one server.
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
//! One request at a time: nothing is taken from the client while one is answered. Bodies
//! of requests are whole before their first byte goes on, since a late duplicate key may
//! change what they ask; answers are whole, or events are, before they are shown.

mod answer;
mod caller;
mod context;
mod exchange;
mod gate;
mod hold;
mod limits;
mod masks;
mod message;
mod verdict;

use std::sync::Arc;

use weir_audit::{JournalError, Kind, RecordSeq};
use weir_facts::{PolicyId, Side, Verdict};
use weir_mcp::http::rewrite::{Answer, AnswerFraming, CONTINUE, answer as answer_head};
use weir_mcp::http::{
    FieldError, Framing, HttpError, Method, Part, Reader, RequestHead, ResponseHead,
};
use weir_mcp::limits::{ANSWER_BODY_BYTES_MAX, REQUEST_BODY_BYTES_MAX};
use weir_mcp::message::{MessageError, Revision};
use weir_mcp::refuse::{self, Close, Refusal};

use self::answer::{After, Answering};
use self::caller::Caller;
use self::context::{Context, Told};
use self::exchange::{Exchange, Judged, Plan, Unjudged, What};
use self::gate::Admitted;
use self::hold::{Asking, Decided, Redeeming};
use self::limits::{AFTER_CLIENT_NS, RECEIVE_NS};
use self::verdict::Verdicts;
use crate::io::{Effect, Env, Event, Piece, Start};
use crate::release::Mismatch;
use crate::world::{ClientTls, Connection, Stale, TlsMode};

/// How a client is told to authenticate (RFC 6750 §3).
const CHALLENGE: &str = "Bearer realm=\"weir\"";

/// The first byte of a TLS handshake record (RFC 8446 §5.1); no HTTP method begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// What judging needs at any time.
pub(crate) struct Desk {
    pub(crate) context: Context,
    pub(crate) verdicts: Verdicts,
}

/// The MCP half of a flow.
pub(crate) struct McpFlow {
    desk: Desk,
    state: State,
    link: ClientLink,
    client: Reader,
    server: Reader,
    /// The caller whose session was last recorded, and in which world.
    known: Option<(Arc<[u8]>, u64)>,
    /// When the request that is being received must be whole, or the answer to a client
    /// that has left must be over.
    limit_ns: Option<u64>,
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
    Idle,
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
}

/// A request that is refused.
struct Stop {
    refusal: Refusal,
    /// For the record.
    inside: String,
    policies: Vec<PolicyId>,
    caller: Option<Caller>,
}

impl Stop {
    fn new(refusal: Refusal, inside: impl ToString) -> Self {
        Self {
            refusal,
            inside: inside.to_string(),
            policies: Vec::new(),
            caller: None,
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
        env.out.effects.push(Effect::Dial {
            target: start.arrival.target,
        });
        Self {
            desk: Desk {
                context: Context::new(start, connection, env),
                verdicts: Verdicts::default(),
            },
            state: State::Dialing,
            link: ClientLink::Undecided,
            client: Reader::new(REQUEST_BODY_BYTES_MAX as u64),
            server: Reader::new(u64::MAX),
            known: None,
            limit_ns: None,
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
                State::Dialing | State::Securing | State::Waiting(..) | State::Answering(_) => {
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
                env.out.to_client.push(Piece::StartTls);
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
            (Some(Part::Head(head)), State::Idle) => match self.on_head(env, head) {
                Ok(exchange) => {
                    if exchange.head.expects_continue {
                        env.out.to_client.push(Piece::Bytes(CONTINUE.into()));
                    }
                    self.state = State::Receiving(Box::new(exchange));
                }
                Err((stop, framing)) => self.refuse(env, stop, framing),
            },
            (Some(Part::Content(span)), State::Receiving(exchange)) => {
                exchange
                    .body
                    .extend_from_slice(taken.get(span).unwrap_or_default());
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
                | State::Idle
                | State::Receiving(_)
                | State::Waiting(..)
                | State::Answering(_)
                | State::Over,
            ) => self.end(env, &End::Broken("a part of a request at another time")),
        }
    }

    /// Judges a head. The framing of what was refused says whether content may follow.
    fn on_head(
        &mut self,
        env: &mut Env<'_>,
        head: RequestHead,
    ) -> Result<Exchange, (Stop, Framing)> {
        let framing = head.framing;
        self.check_head(env, &head)
            .map_err(|stop| (stop, framing))
            .and_then(|(caller, revision)| {
                let named = self.name_session(&caller, &head).map_err(|stop| {
                    (
                        Stop {
                            caller: Some(caller.clone()),
                            ..stop
                        },
                        framing,
                    )
                })?;
                Ok(Exchange {
                    head,
                    caller,
                    revision,
                    session: named.0,
                    resumed: named.1,
                    begun_ns: env.now.mono_ns,
                    body: Vec::new(),
                })
            })
    }

    fn check_head(
        &mut self,
        env: &mut Env<'_>,
        head: &RequestHead,
    ) -> Result<(Caller, Option<Revision>), Stop> {
        if is_stale(env, Stale::DenyAll) || (self.known.is_none() && is_stale(env, Stale::DenyNew))
        {
            return Err(Stop::new(Refusal::Unavailable, "the policy is out of date"));
        }
        if self.link == ClientLink::Plain
            && self.desk.context.connection.client_tls == ClientTls::Required
        {
            return Err(Stop::new(
                Refusal::Forbidden("TLS is required".into()),
                "a client without TLS",
            ));
        }
        self.desk
            .context
            .check_host(head)
            .map_err(|error| Stop::new(Refusal::Forbidden(error.to_string()), error))?;
        let caller = caller::authenticate(self.desk.context.workload.as_ref(), head, env)
            .map_err(|error| Stop::new(Refusal::Unauthorized, error))?;
        self.connect(env, &caller)?;
        let with = |stop: Stop| Stop {
            caller: Some(caller.clone()),
            ..stop
        };
        check_form(head).map_err(with)?;
        let named = head.fields.get("mcp-protocol-version");
        if Revision::of_header(named).is_none() {
            return Err(with(Stop::new(
                Refusal::Revision,
                "a revision that is not served",
            )));
        }
        Ok((caller.clone(), named.and_then(Revision::parse)))
    }

    /// Judges the use of this server by this caller. The first time, and whenever that
    /// changes, it is recorded.
    fn connect(&mut self, env: &mut Env<'_>, caller: &Caller) -> Result<(), Stop> {
        let access = exchange::connect();
        let judgement = self
            .desk
            .verdicts
            .judge(&self.desk.context, env, caller, &access);
        let denial = match &judgement.verdict {
            Verdict::Allow => None,
            Verdict::Hold(_) => Some((
                "this needs approval, which a connection cannot wait for".into(),
                "held".into(),
            )),
            Verdict::Deny(denial) => Some((denial.outside.clone(), denial.inside.clone())),
        };
        let now = (caller.key.clone(), env.world.version);
        if self.known.as_ref() != Some(&now) {
            let told = Told {
                accesses: std::slice::from_ref(&access),
                verdict: if denial.is_some() { "deny" } else { "allow" },
                policies: &judgement.policies,
                reason: denial
                    .as_ref()
                    .map_or("", |(_, inside): &(Arc<str>, Arc<str>)| inside),
                ..Told::NOTHING
            };
            self.desk
                .context
                .keep(env, Kind::Session, None, Some(caller), told)
                .map_err(|error| Stop::new(Refusal::Unavailable, error))
                .map(drop)?;
            self.known = Some(now);
        }
        match denial {
            None => Ok(()),
            Some((outside, inside)) => Err(Stop {
                refusal: Refusal::Forbidden(outside.to_string()),
                inside: inside.to_string(),
                policies: judgement.policies,
                caller: Some(caller.clone()),
            }),
        }
    }

    /// The server's session and event id behind the names that the client was given.
    #[expect(
        clippy::type_complexity,
        reason = "two halves of one look-up, taken apart at once"
    )]
    fn name_session(
        &self,
        caller: &Caller,
        head: &RequestHead,
    ) -> Result<(String, Option<(String, Vec<weir_mcp::session::Resumable>)>), Stop> {
        let context = &self.desk.context;
        let session = match head.fields.get("mcp-session-id") {
            None => String::new(),
            Some(shown) => context
                .seal
                .open_session(&context.connection.name, &caller.key, shown)
                .ok_or_else(|| Stop::new(Refusal::Session, "a session that is not this caller's"))?
                .to_owned(),
        };
        let resumed = match head.fields.get("last-event-id") {
            Some(shown) if head.method == Method::Get => {
                let holder = context.holder(caller, &session);
                let opened = context.seal.open_event(&holder, shown);
                Some(opened.ok_or_else(|| {
                    Stop::new(Refusal::Session, "an event that is not this caller's")
                })?)
            }
            Some(_) | None => None,
        };
        Ok((session, resumed))
    }

    /// A request is whole.
    fn on_request(&mut self, env: &mut Env<'_>, exchange: Box<Exchange>) {
        let summary = match exchange.head.method {
            Method::Post => return self.on_post(env, exchange),
            Method::Get => "GET",
            Method::Delete => "DELETE",
            Method::Options | Method::Other => {
                return self.end(env, &End::Broken("a method that was refused"));
            }
        };
        let judgement = self.desk.verdicts.judge(
            &self.desk.context,
            env,
            &exchange.caller,
            &exchange::connect(),
        );
        let plan = Plan::connect(What::Http, summary, judgement);
        self.admit(env, exchange, vec![plan], Vec::new());
    }

    fn on_post(&mut self, env: &mut Env<'_>, exchange: Box<Exchange>) {
        let Judged { plans, body } = match exchange::judge(&mut self.desk, env, &exchange) {
            Ok(judged) => judged,
            Err(unjudged) => return self.refuse_unjudged(env, &exchange, &unjudged),
        };
        if plans
            .iter()
            .any(|plan| matches!(plan.judgement.verdict, Verdict::Deny(_)))
        {
            return self.deny(env, &exchange, &plans, &body);
        }
        if !plans
            .iter()
            .any(|plan| matches!(plan.judgement.verdict, Verdict::Hold(_)))
        {
            return self.admit(env, exchange, plans, body);
        }
        match <[Plan; 1]>::try_from(plans) {
            Ok([plan]) => self.ask(env, exchange, plan, body),
            // Which of them was approved could not be told from the answer to all.
            Err(plans) => self.deny(env, &exchange, &plans, &body),
        }
    }

    fn refuse_unjudged(&mut self, env: &mut Env<'_>, exchange: &Exchange, unjudged: &Unjudged) {
        let refusal = match unjudged {
            Unjudged::Message(MessageError::Json(_)) => Refusal::Json,
            Unjudged::Message(
                MessageError::Shape
                | MessageError::Envelope
                | MessageError::Name(_)
                | MessageError::Id
                | MessageError::Params(_)
                | MessageError::Batch,
            )
            | Unjudged::Answer
            | Unjudged::Batch => Refusal::Message,
        };
        let told = Told {
            summary: "POST",
            reason: &unjudged.to_string(),
            session: &exchange.session,
            bytes: &exchange.body,
            ..Told::NOTHING
        };
        self.desk
            .context
            .keep_refusal(env, Some(&exchange.caller), told);
        self.reply(
            env,
            &refusal.answer(self.close_of(exchange), CHALLENGE),
            exchange,
            refusal.closes(),
        );
    }

    /// Some message of the body may not go on, so none does.
    fn deny(&mut self, env: &mut Env<'_>, exchange: &Exchange, plans: &[Plan], body: &[u8]) {
        let mut answers = Vec::new();
        for plan in plans {
            let inside = match &plan.judgement.verdict {
                Verdict::Deny(denial) => denial.inside.to_string(),
                Verdict::Hold(_) => "needs approval, and is not alone".to_owned(),
                Verdict::Allow => "another message of the batch is not allowed".to_owned(),
            };
            let told = Told {
                summary: &plan.summary,
                accesses: std::slice::from_ref(&plan.access),
                verdict: "deny",
                policies: &plan.judgement.policies,
                reason: &inside,
                session: &exchange.session,
                bytes: body,
                ..Told::NOTHING
            };
            self.desk
                .context
                .keep_refusal(env, Some(&exchange.caller), told);
            answers.extend(self.denial(env, exchange, plan));
        }
        self.reply_messages(env, exchange, plans.len(), answers);
    }

    /// How a message is answered that did not go on. What the caller may not know of is
    /// answered as if it were not there.
    fn denial(&mut self, env: &Env<'_>, exchange: &Exchange, plan: &Plan) -> Option<Vec<u8>> {
        use weir_facts::{Access, Action, Resource};
        let What::Request { id, .. } = &plan.what else {
            return None;
        };
        let outside = match &plan.judgement.verdict {
            Verdict::Deny(denial) => denial.outside.clone(),
            Verdict::Hold(_) => "this needs approval; send it alone".into(),
            Verdict::Allow => "another message of the batch is not allowed".into(),
        };
        Some(match (&plan.access.action, &plan.access.resource) {
            (Action::McpCallTool, Resource::Tool(name)) => {
                let listed = Access {
                    action: Action::McpListTool,
                    resource: plan.access.resource.clone(),
                };
                if self
                    .desk
                    .verdicts
                    .may_see(&self.desk.context, env, &exchange.caller, &listed)
                {
                    refuse::tool_error(id, &format!("Denied by policy: {outside}"))
                } else {
                    refuse::unknown_tool(id, name)
                }
            }
            (_, Resource::Prompt(name)) => refuse::unknown_prompt(id, name),
            (_, Resource::McpResource(uri)) => refuse::unknown_resource(id, uri),
            (Action::McpUnknown, _) => refuse::unknown_method(id),
            (_, _) => refuse::error(
                Some(id),
                refuse::TRANSPORT_ERROR,
                &format!("Denied by policy: {outside}"),
            ),
        })
    }

    fn ask(&mut self, env: &mut Env<'_>, exchange: Box<Exchange>, plan: Plan, body: Vec<u8>) {
        if !matches!(plan.what, What::Request { .. }) {
            return self.deny(env, &exchange, &[plan], &body);
        }
        match hold::ask(&self.desk, env, &exchange, plan, body) {
            Some(asking) => {
                self.state = State::Waiting(exchange, Box::new(Waiting::Approval(asking)))
            }
            None => self.unavailable(
                env,
                &exchange,
                "the request for approval could not be recorded",
            ),
        }
    }

    fn admit(
        &mut self,
        env: &mut Env<'_>,
        exchange: Box<Exchange>,
        plans: Vec<Plan>,
        body: Vec<u8>,
    ) {
        match gate::admit(&mut self.desk, env, &exchange, plans, body, None) {
            Ok(admitted) => self.go_on(env, exchange, admitted),
            Err(error) => self.unavailable(env, &exchange, &error.to_string()),
        }
    }

    fn go_on(&mut self, env: &mut Env<'_>, exchange: Box<Exchange>, admitted: Admitted) {
        match admitted.durable {
            Some(seq) => {
                self.state = State::Waiting(exchange, Box::new(Waiting::Durable { seq, admitted }));
            }
            None => self.release(env, exchange, admitted),
        }
    }

    fn release(&mut self, env: &mut Env<'_>, exchange: Box<Exchange>, admitted: Admitted) {
        let running = gate::release(&self.desk, env, &exchange, admitted);
        match running.and_then(|running| Answering::new(*exchange, running)) {
            Ok(answering) => self.state = State::Answering(Box::new(answering)),
            Err(end) => self.end(env, &end),
        }
    }

    fn unavailable(&mut self, env: &mut Env<'_>, exchange: &Exchange, inside: &str) {
        let told = Told {
            summary: "POST",
            reason: inside,
            session: &exchange.session,
            ..Told::NOTHING
        };
        self.desk
            .context
            .keep_refusal(env, Some(&exchange.caller), told);
        let refusal = Refusal::Unavailable;
        self.reply(env, &refusal.answer(Close::Yes, CHALLENGE), exchange, true);
    }

    fn close_of(&self, exchange: &Exchange) -> Close {
        if exchange.head.closes || self.draining {
            Close::Yes
        } else {
            Close::No
        }
    }

    /// Sends an answer of our own to a request that is whole.
    fn reply(&mut self, env: &mut Env<'_>, bytes: &[u8], exchange: &Exchange, closes: bool) {
        env.out.to_client.push(Piece::Bytes(bytes.to_vec().into()));
        self.after(
            env,
            if closes || self.close_of(exchange) == Close::Yes {
                After::Close
            } else {
                After::Again
            },
        );
    }

    /// Sends messages of our own: one as it is, those of a batch as one; for none, 202.
    fn reply_messages(
        &mut self,
        env: &mut Env<'_>,
        exchange: &Exchange,
        asked: usize,
        answers: Vec<Vec<u8>>,
    ) {
        let body = match answers.as_slice() {
            [] => Vec::new(),
            [one] if asked == 1 => one.clone(),
            many => [b"[".as_slice(), &many.join(&b','), b"]"].concat(),
        };
        let head = Answer {
            status: if body.is_empty() { 202 } else { 200 },
            content_type: (!body.is_empty()).then_some("application/json"),
            session: None,
            framing: AnswerFraming::Length(body.len()),
            closes: self.close_of(exchange) == Close::Yes,
            extra: &[],
        };
        let mut out = answer_head(&head, None);
        out.extend_from_slice(&body);
        self.reply(env, &out, exchange, false);
    }

    fn after(&mut self, env: &mut Env<'_>, after: After) {
        self.limit_ns = None;
        match after {
            After::Again if !self.draining => self.state = State::Idle,
            After::Again | After::Close => self.leave(env),
        }
    }

    /// Ends a flow that owes nobody anything.
    fn leave(&mut self, env: &mut Env<'_>) {
        self.drop_waiting(env, "a peer has left");
        env.out.to_client.push(Piece::Shutdown);
        env.out.to_server.push(Piece::Shutdown);
        env.out.effects.push(Effect::Finished);
        self.limit_ns = None;
        self.state = State::Over;
    }

    /// Refuses a request by its head.
    fn refuse(&mut self, env: &mut Env<'_>, stop: Stop, framing: Framing) {
        let told = Told {
            summary: "HTTP request",
            reason: &stop.inside,
            policies: &stop.policies,
            ..Told::NOTHING
        };
        self.desk
            .context
            .keep_refusal(env, stop.caller.as_ref(), told);
        // An answer to HEAD with content would be read as the next one.
        let is_unknown = stop.refusal == Refusal::Method;
        let closes =
            stop.refusal.closes() || is_unknown || framing != Framing::Empty || self.draining;
        let close = if closes { Close::Yes } else { Close::No };
        env.out
            .to_client
            .push(Piece::Bytes(stop.refusal.answer(close, CHALLENGE).into()));
        self.after(env, if closes { After::Close } else { After::Again });
    }

    /// What the client sends cannot be framed: where its next request begins is unknown.
    fn on_malformed(&mut self, env: &mut Env<'_>, error: HttpError, bytes: &[u8]) {
        let refusal = match error {
            HttpError::HeadTooLarge => Refusal::HeadTooLarge,
            HttpError::LengthRequired => Refusal::Length,
            HttpError::BodyTooLarge => Refusal::BodyTooLarge,
            HttpError::Field(FieldError::ContentEncoding) => Refusal::MediaType,
            HttpError::Field(FieldError::Expect) => Refusal::Expectation,
            HttpError::FirstLine
            | HttpError::LineEnd
            | HttpError::Field(_)
            | HttpError::Target
            | HttpError::UnexpectedBody
            | HttpError::Chunk
            | HttpError::Truncated
            | HttpError::Upgrade => Refusal::Head,
        };
        let told = Told {
            summary: "HTTP request",
            reason: &error.to_string(),
            bytes,
            ..Told::NOTHING
        };
        self.desk.context.keep_refusal(env, None, told);
        env.out
            .to_client
            .push(Piece::Bytes(refusal.answer(Close::Yes, CHALLENGE).into()));
        self.leave(env);
    }

    fn on_server_bytes(&mut self, env: &mut Env<'_>, input: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            match &self.state {
                State::Over => return input.len(),
                State::Dialing | State::Securing => return at,
                State::Idle | State::Receiving(_) | State::Waiting(..) if rest.is_empty() => {
                    return at;
                }
                // Whatever it is, it answers nothing that was asked, and where the answer
                // to the next request begins would be unknown.
                State::Idle | State::Receiving(_) | State::Waiting(..) => {
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
                answering.on_head(&self.desk, env, head);
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
            State::Dialing
            | State::Securing
            | State::Idle
            | State::Receiving(_)
            | State::Waiting(..) => self.leave(env),
            State::Answering(answering) if answering.is_listening() => {
                answering.abandon(&self.desk, env, "the client has left");
                self.leave(env);
            }
            // A client that leaves does not cancel its call (2025-11-25, transports): what
            // comes of it is still recorded.
            State::Answering(answering) => {
                answering.client_gone = true;
                self.limit_ns = Some(env.now.mono_ns.saturating_add(AFTER_CLIENT_NS));
            }
        }
    }

    fn on_server_eof(&mut self, env: &mut Env<'_>) {
        match &mut self.state {
            State::Over => {}
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
            State::Waiting(..) => {
                self.end(env, &End::Server("the connection was closed".to_owned()))
            }
            State::Dialing | State::Securing | State::Idle | State::Receiving(_) => self.leave(env),
        }
    }

    /// Something that was asked for happened, or the world changed.
    pub(crate) fn handle_event(&mut self, env: &mut Env<'_>, event: Event) {
        match event {
            Event::Dialed => self.on_dialed(env),
            Event::DialFailed { reason } => self.reset(env, &reason),
            Event::TlsUp {
                side: Side::Server, ..
            } => {
                if matches!(self.state, State::Securing) {
                    self.state = State::Idle;
                }
            }
            Event::TlsUp {
                side: Side::Client, ..
            } => self.link = ClientLink::Secured,
            Event::TlsFailed { reason, .. } => self.reset(env, &reason),
            Event::Approval {
                request,
                approval,
                decision,
            } => {
                if let Some((exchange, asking)) = self.waiting_for(|waiting| match waiting {
                    Waiting::Approval(asking) if asking.request == request => Ok(asking),
                    other => Err(other),
                }) {
                    let decided =
                        hold::decide(&self.desk, env, &exchange, asking, approval, decision);
                    self.on_decided(env, exchange, decided);
                }
            }
            Event::Redeemed { id, granted } => self.on_redeemed(env, id, granted),
            Event::Synced(synced) => {
                if let Some((exchange, admitted)) = self.waiting_for(|waiting| match waiting {
                    Waiting::Durable { seq, admitted } if seq <= synced => Ok(admitted),
                    other => Err(other),
                }) {
                    self.release(env, exchange, admitted);
                }
            }
            Event::SyncFailed => {
                if let Some((exchange, admitted)) = self.waiting_for(|waiting| match waiting {
                    Waiting::Durable { admitted, .. } => Ok(admitted),
                    other => Err(other),
                }) {
                    gate::abandon(
                        &self.desk,
                        env,
                        &exchange,
                        &admitted,
                        "its intent is not on stable storage",
                    );
                    self.unavailable(env, &exchange, "the intent is not on stable storage");
                }
            }
            Event::WorldChanged => self.on_world_changed(env),
            Event::Locked { reason } => self.on_locked(env, &reason),
            Event::Drain => self.on_drain(env),
            // Postgres' own.
            Event::Catalog(_) | Event::CancelRequested => {}
        }
    }

    /// Takes what the request waits for, if it is what `pick` is looking for.
    fn waiting_for<T>(
        &mut self,
        pick: impl FnOnce(Waiting) -> Result<T, Waiting>,
    ) -> Option<(Box<Exchange>, T)> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Waiting(exchange, waiting) => match pick(*waiting) {
                Ok(found) => Some((exchange, found)),
                Err(other) => {
                    self.state = State::Waiting(exchange, Box::new(other));
                    None
                }
            },
            other => {
                self.state = other;
                None
            }
        }
    }

    fn on_dialed(&mut self, env: &mut Env<'_>) {
        if !matches!(self.state, State::Dialing) {
            return;
        }
        match self.desk.context.connection.tls.mode {
            // HTTP has no way to offer TLS beside plain text.
            TlsMode::Disable | TlsMode::Prefer => self.state = State::Idle,
            TlsMode::Require | TlsMode::VerifyFull => {
                env.out.to_server.push(Piece::StartTls);
                self.state = State::Securing;
            }
        }
    }

    fn on_decided(&mut self, env: &mut Env<'_>, exchange: Box<Exchange>, decided: Decided) {
        match decided {
            Decided::Redeem(redeeming) => {
                self.state = State::Waiting(exchange, Box::new(Waiting::Redeem(redeeming)));
            }
            Decided::Answer { plan, text, inside } => {
                self.answer_held(env, &exchange, &plan, &text, &inside)
            }
        }
    }

    fn on_redeemed(&mut self, env: &mut Env<'_>, id: weir_facts::ApprovalId, granted: bool) {
        let Some((exchange, redeeming)) = self.waiting_for(|waiting| match waiting {
            Waiting::Redeem(redeeming) if redeeming.grant.approval == id => Ok(redeeming),
            other => Err(other),
        }) else {
            return;
        };
        if !granted {
            return self.unspent(env, &exchange, &redeeming);
        }
        match hold::admit(&mut self.desk, env, &exchange, redeeming) {
            Ok(admitted) => self.go_on(env, exchange, admitted),
            Err(error) => self.unavailable(env, &exchange, &error.to_string()),
        }
    }

    fn unspent(&mut self, env: &mut Env<'_>, exchange: &Exchange, redeeming: &Redeeming) {
        let id = redeeming.grant.approval;
        let text = format!(
            "Approval {id} was used before, or can no longer be used. Call again to ask anew."
        );
        self.answer_held(
            env,
            exchange,
            &redeeming.plan,
            &text,
            "the approval was not there to be spent",
        );
    }

    /// Answers a call that waited for people and was not executed.
    fn answer_held(
        &mut self,
        env: &mut Env<'_>,
        exchange: &Exchange,
        plan: &Plan,
        text: &str,
        inside: &str,
    ) {
        let told = Told {
            summary: &plan.summary,
            accesses: std::slice::from_ref(&plan.access),
            policies: &plan.judgement.policies,
            reason: inside,
            session: &exchange.session,
            ..Told::NOTHING
        };
        self.desk
            .context
            .keep_refusal(env, Some(&exchange.caller), told);
        self.reply_messages(
            env,
            exchange,
            1,
            hold::answer(plan, text).into_iter().collect(),
        );
    }

    /// Open streams are judged again; what is asked next is judged anew anyway.
    fn on_world_changed(&mut self, env: &mut Env<'_>) {
        let State::Answering(answering) = &mut self.state else {
            return;
        };
        let caller = answering.exchange.caller.clone();
        let judgement =
            self.desk
                .verdicts
                .judge(&self.desk.context, env, &caller, &exchange::connect());
        if judgement.verdict != Verdict::Allow {
            self.end(
                env,
                &End::Server("policy no longer allows this session".to_owned()),
            );
        }
    }

    fn on_locked(&mut self, env: &mut Env<'_>, reason: &str) {
        self.reset(env, &format!("ended by an operator: {reason}"));
    }

    /// The flow ends: what a request waits for is withdrawn, and what was recorded of it
    /// and never sent is told so.
    fn drop_waiting(&mut self, env: &mut Env<'_>, why: &str) {
        let Some((exchange, waiting)) = self.waiting_for(Ok) else {
            return;
        };
        match waiting {
            Waiting::Approval(asking) => hold::withdraw(&self.desk, env, &exchange, &asking),
            Waiting::Durable { admitted, .. } => {
                gate::abandon(&self.desk, env, &exchange, &admitted, why)
            }
            Waiting::Redeem(redeeming) => {
                let told = Told {
                    summary: &redeeming.plan.summary,
                    reason: why,
                    ..Told::NOTHING
                };
                self.desk
                    .context
                    .keep_refusal(env, Some(&exchange.caller), told);
            }
        }
    }

    fn on_drain(&mut self, env: &mut Env<'_>) {
        self.draining = true;
        match &mut self.state {
            State::Dialing | State::Securing | State::Idle => self.leave(env),
            State::Answering(answering) if answering.is_listening() => {
                answering.abandon(&self.desk, env, "Weir is going down");
                self.leave(env);
            }
            State::Receiving(_) | State::Waiting(..) | State::Answering(_) | State::Over => {}
        }
    }

    /// The deadline passed.
    pub(crate) fn handle_timeout(&mut self, env: &mut Env<'_>) {
        let now = env.now.mono_ns;
        if let Some((exchange, asking)) = self.waiting_for(|waiting| match waiting {
            Waiting::Approval(asking) if asking.deadline_ns <= now => Ok(asking),
            other => Err(other),
        }) {
            // The request stays open: the same call, sent again, meets its decision.
            let answers: Vec<_> = hold::pending(&asking).into_iter().collect();
            return self.reply_messages(env, &exchange, 1, answers);
        }
        if let Some((exchange, redeeming)) = self.waiting_for(|waiting| match waiting {
            Waiting::Redeem(redeeming) if redeeming.deadline_ns <= now => Ok(redeeming),
            other => Err(other),
        }) {
            return self.unspent(env, &exchange, &redeeming);
        }
        if self.limit_ns.is_none_or(|limit| limit > now) {
            return;
        }
        match &mut self.state {
            State::Answering(answering) => {
                answering.abandon(
                    &self.desk,
                    env,
                    "the client had left, and the server did not answer",
                );
                self.leave(env);
            }
            State::Idle | State::Receiving(_) => {
                let stop = Stop::new(Refusal::Head, "a request that took too long");
                self.refuse(env, stop, Framing::Chunked);
            }
            State::Dialing | State::Securing | State::Waiting(..) | State::Over => {
                self.limit_ns = None
            }
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<u64> {
        let held = match &self.state {
            State::Waiting(_, waiting) => match &**waiting {
                Waiting::Approval(asking) => Some(asking.deadline_ns),
                Waiting::Redeem(redeeming) => Some(redeeming.deadline_ns),
                Waiting::Durable { .. } => None,
            },
            State::Dialing
            | State::Securing
            | State::Idle
            | State::Receiving(_)
            | State::Answering(_)
            | State::Over => None,
        };
        [held, self.limit_ns].into_iter().flatten().min()
    }

    /// Ends the flow closed: a client that has seen nothing of the answer is told that
    /// there is none; one that has, sees the connection break.
    fn end(&mut self, env: &mut Env<'_>, end: &End) {
        let told = end.to_string();
        self.drop_waiting(env, &told);
        let mut begun = false;
        let mut caller = None;
        if let State::Answering(answering) = &mut self.state {
            begun = answering.has_begun() || answering.client_gone;
            caller = Some(answering.exchange.caller.clone());
            answering.abandon(&self.desk, env, &told);
        }
        let record = Told {
            summary: "flow",
            reason: &told,
            ..Told::NOTHING
        };
        self.desk.context.keep_refusal(env, caller.as_ref(), record);
        if begun {
            env.out.to_client.push(Piece::Reset);
        } else {
            let refusal = match end {
                End::Server(_) => Refusal::BadGateway,
                End::Journal(_) | End::Broken(_) => Refusal::Unavailable,
            };
            env.out
                .to_client
                .push(Piece::Bytes(refusal.answer(Close::Yes, CHALLENGE).into()));
            env.out.to_client.push(Piece::Shutdown);
        }
        env.out.to_server.push(Piece::Reset);
        env.out.effects.push(Effect::Finished);
        self.limit_ns = None;
        self.state = State::Over;
    }

    /// Ends the flow where nobody can be told, or nobody should be.
    fn reset(&mut self, env: &mut Env<'_>, reason: &str) {
        self.drop_waiting(env, reason);
        if let State::Answering(answering) = &mut self.state {
            answering.abandon(&self.desk, env, reason);
        }
        self.desk.context.keep_refusal(
            env,
            None,
            Told {
                summary: "flow",
                reason,
                ..Told::NOTHING
            },
        );
        env.out.to_client.push(Piece::Reset);
        env.out.to_server.push(Piece::Reset);
        env.out.effects.push(Effect::Finished);
        self.limit_ns = None;
        self.state = State::Over;
    }
}

/// What a method needs beside its caller.
fn check_form(head: &RequestHead) -> Result<(), Stop> {
    let accepts = |media: &str| {
        let family = media.split('/').next().unwrap_or_default();
        let fields = &head.fields;
        fields.lists("accept", media)
            || fields.lists("accept", "*/*")
            || fields.lists("accept", &format!("{family}/*"))
    };
    match head.method {
        Method::Post if head.fields.media_type().as_deref() != Some("application/json") => {
            Err(Stop::new(Refusal::MediaType, "content that is not JSON"))
        }
        Method::Post if accepts("application/json") && accepts("text/event-stream") => Ok(()),
        Method::Get if accepts("text/event-stream") => Ok(()),
        Method::Post | Method::Get => Err(Stop::new(
            Refusal::Accept,
            "a client that does not take events",
        )),
        Method::Delete => Ok(()),
        Method::Options | Method::Other => Err(Stop::new(
            Refusal::Method,
            "a method that MCP does not have",
        )),
    }
}

fn is_stale(env: &Env<'_>, at_least: Stale) -> bool {
    let denies = match (env.world.settings.stale, at_least) {
        (Stale::Continue, _) | (Stale::DenyNew, Stale::DenyAll) => false,
        (Stale::DenyNew | Stale::DenyAll, _) => true,
    };
    denies && env.now.unix_us > env.world.settings.not_after_us
}

#[cfg(test)]
mod tests;
