//! The server's answer to one request, and how it reaches the client.
//!
//! ```text
//!            ┌─ application/json ──▶ Json ── whole ──▶ filtered, masked, recorded, sent
//!   Head ────┼─ text/event-stream ─▶ Events ─ each ──▶ the same, event by event
//!            └─ anything else ─────▶ Bare ── over ───▶ status, and a body of our own
//! ```

mod endpoint;
mod oauth;

use weir_audit::Kind;
use weir_mcp::authorization::shown_metadata;
use weir_mcp::endpoint::EVENT;
use weir_mcp::http::rewrite::{Answer, AnswerFraming, answer};
use weir_mcp::http::{
    CHUNK_END, Framing, Method, ResponseHead, Version, chunk_head, encode_chunk, last_chunk,
};
use weir_mcp::limits::ANSWER_BODY_BYTES_MAX;
use weir_mcp::message::client::ClientMethod;
use weir_mcp::message::{Id, Revision};
use weir_mcp::oauth::{Endpoint, PAGE_BYTES_MAX, endpoints};
use weir_mcp::refuse;
use weir_mcp::session::{Client, Pending, Resumable};
use weir_mcp::sse::{self, Event, Item, Parser};

use super::authorization;
use super::bodies::Room;
use super::context::Told;
use super::exchange::{Exchange, Running, What};
use super::limits::{AFTER_TOKEN_NS, COPIED_BYTES_MAX, EVENTS_DROPPED_MAX};
use super::message::{Passed, Stream, summary};
use super::post::status_of;
use super::sessions::Listening;
use super::task::TaskAsk;
use super::{Desk, End, pulse};
use crate::io::{Env, Piece};

/// A request that went on, until its answer is over.
pub(crate) struct Answering {
    pub(crate) exchange: Exchange,
    pending: Pending<Running>,
    /// Operations that no message answers.
    others: Vec<Running>,
    phase: Phase,
    /// The head of the server's answer.
    from: Option<ResponseHead>,
    status: u16,
    shown_bytes: u64,
    /// What of it is held takes this of what a worker holds.
    room: Room,
    /// The server closes after this answer.
    server_closes: bool,
    /// The client has left: nothing is written to it.
    pub(crate) client_gone: bool,
    /// Whether what comes of it is a task's: it is kept, and not written.
    pub(crate) is_task: bool,
    /// Who has asked about that task, and waits.
    pub(crate) task: Option<TaskAsk>,
    /// The session of 2024-11-05 that this is the stream of.
    listening: Option<Listening>,
    /// What this message has asked in such a session.
    asked: Vec<Id>,
    /// Events of which nothing was shown.
    dropped: usize,
}

enum Phase {
    Head,
    Json {
        body: Vec<u8>,
    },
    Events {
        parser: Box<Parser>,
        framing: AnswerFraming,
    },
    /// The server's metadata, for clients that have no token yet.
    Document {
        body: Vec<u8>,
    },
    /// What the server's own authorization server answers.
    OAuth {
        endpoint: Endpoint,
        body: Vec<u8>,
    },
    Bare,
}

/// Whether the connection serves another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Again,
    Close,
}

impl Answering {
    /// What `running` asked is on its way to the server.
    pub(crate) fn new(
        exchange: Exchange,
        room: Room,
        running: Vec<(What, Running)>,
    ) -> Result<Self, End> {
        let mut pending = Pending::default();
        let mut others = Vec::new();
        let mut task = None;
        let mut asked = Vec::new();
        for (what, operation) in running {
            task = task.or_else(|| operation.poll.as_ref().map(|poll| poll.ask.clone()));
            match what {
                What::Request { id, .. } if exchange.endpoint.is_some() => {
                    endpoint::ask(&exchange, &mut asked, id, &mut others, operation)?;
                }
                What::Request { id, .. } => {
                    pending
                        .ask(id, operation)
                        .map_err(|_| End::Broken("two requests with one id were released"))?;
                }
                What::Notification | What::Answer => others.push(operation),
                What::Http => {
                    for asked in exchange.resumed.iter().flat_map(|(_, asked)| asked) {
                        // An id that stands twice is answered once.
                        let _ = pending.ask(
                            asked.id.clone(),
                            resumed(exchange.revision(), &operation, asked),
                        );
                    }
                    others.push(operation);
                }
            }
        }
        Ok(Self {
            client_gone: exchange.is_accepted,
            exchange,
            pending,
            others,
            phase: Phase::Head,
            from: None,
            status: 0,
            shown_bytes: 0,
            room,
            server_closes: false,
            is_task: task.is_some(),
            task,
            listening: None,
            asked,
            dropped: 0,
        })
    }

    /// Whether this is a stream of the server's own, which nobody but the client ends.
    pub(crate) fn is_listening(&self) -> bool {
        let is_subscription =
            |running: &Running| running.method == ClientMethod::SubscriptionsListen;
        self.exchange.head.method == Method::Get
            || self
                .pending
                .iter()
                .any(|(_, running)| is_subscription(running))
    }

    /// When a stream is over because its caller's token is: what the server says unasked at once,
    /// the answer to a call a while later.
    pub(crate) fn ends_ns(&self) -> Option<u64> {
        let ends_ns = self.exchange.ends_ns.filter(|_| self.has_begun())?;
        Some(if self.is_listening() {
            ends_ns
        } else {
            ends_ns.saturating_add(AFTER_TOKEN_NS)
        })
    }

    /// Ends a stream in order: the client comes back with another token, and resumes.
    pub(crate) fn end_stream(&mut self, desk: &Desk, env: &mut Env<'_>, why: &str) {
        self.abandon(desk, env, why);
        if let Phase::Events {
            framing: AnswerFraming::Chunked,
            ..
        } = self.phase
        {
            let mut end = Vec::new();
            last_chunk(&mut end);
            self.write(env, end);
        }
    }

    /// Whether the client has seen the head of the answer.
    pub(crate) fn has_begun(&self) -> bool {
        matches!(self.phase, Phase::Events { .. }) || self.exchange.begun.is_some()
    }

    /// Whether only an interim answer has ended, which another follows.
    pub(crate) fn is_interim(&self) -> bool {
        matches!(self.phase, Phase::Head)
    }

    fn closes(&self) -> bool {
        self.server_closes
            || self.exchange.head.closes
            || self.exchange.begun == Some(AnswerFraming::UntilClose)
    }

    /// The head of the answer.
    pub(crate) fn on_head(&mut self, desk: &mut Desk, env: &mut Env<'_>, head: ResponseHead) {
        if head.is_interim() {
            return;
        }
        self.status = shown_status(desk, head.status);
        self.server_closes = head.closes;
        if self.is_posted() {
            return self.on_posted_head(head);
        }
        if let Some(endpoint) = self.exchange.oauth {
            return self.on_oauth_head(endpoint, head);
        }
        let media = head.fields.media_type();
        let is_events = self.status == 200 && media.as_deref() == Some("text/event-stream");
        self.phase = match media.as_deref() {
            _ if self.status != head.status || head.framing == Framing::Empty => Phase::Bare,
            // What the server says of a token is in its challenge.
            _ if matches!(self.status, 401 | 403) => Phase::Bare,
            Some("application/json") if desk.context.is_server_document(&self.exchange.head) => {
                Phase::Document { body: Vec::new() }
            }
            _ if self.exchange.head.method == Method::Delete => Phase::Bare,
            Some("text/event-stream") if is_events => self.begin_events(desk, env, &head),
            Some("application/json") if self.exchange.head.method == Method::Post => {
                Phase::Json { body: Vec::new() }
            }
            Some(_) | None => {
                if self.status < 300 && self.status != 202 {
                    self.status = 502;
                }
                Phase::Bare
            }
        };
        self.from = Some(head);
    }

    fn begin_events(&mut self, desk: &mut Desk, env: &mut Env<'_>, head: &ResponseHead) -> Phase {
        if let Some(framing) = self.exchange.begun {
            return Phase::Events {
                parser: Box::new(Parser::new(ANSWER_BODY_BYTES_MAX)),
                framing,
            };
        }
        let framing = match self.exchange.head.version {
            Version::Http11 => AnswerFraming::Chunked,
            Version::Http10 => AnswerFraming::UntilClose,
        };
        let session = self.session(desk, env, head);
        self.write_head(
            env,
            Some(head),
            "text/event-stream",
            session.as_deref(),
            framing,
        );
        Phase::Events {
            parser: Box::new(Parser::new(ANSWER_BODY_BYTES_MAX)),
            framing,
        }
    }

    /// The name that the client gets for a session that the server has just opened.
    fn session(&self, desk: &mut Desk, env: &Env<'_>, head: &ResponseHead) -> Option<String> {
        let (_, opening) = self
            .pending
            .iter()
            .find(|(_, running)| running.method == ClientMethod::Initialize)?;
        let id = head.fields.get("mcp-session-id")?;
        let is_plain = self.may_show(desk, env, id);
        let holder = desk.context.holder(&self.exchange.caller, id);
        if is_plain {
            desk.context.seal.session(&holder, opening.client)
        } else {
            desk.context.seal.concealed_session(&holder, opening.client)
        }
    }

    /// Whether a text of the server's that is in no message holds no value that is hidden.
    fn may_show(&self, desk: &mut Desk, env: &Env<'_>, text: &str) -> bool {
        let caller = &self.exchange.caller;
        let masks = desk.verdicts.masks(&desk.context, env, caller, "");
        masks.find_nothing(text)
    }

    fn write_head(
        &self,
        env: &mut Env<'_>,
        from: Option<&ResponseHead>,
        content_type: &str,
        session: Option<&str>,
        framing: AnswerFraming,
    ) {
        let content_type = (!content_type.is_empty()).then_some(content_type);
        let shown = Answer {
            status: self.status,
            content_type,
            session,
            framing,
            closes: self.closes(),
            extra: &[],
        };
        self.write(env, answer(&shown, from));
    }

    fn write(&self, env: &mut Env<'_>, bytes: Vec<u8>) {
        if !self.client_gone && !self.is_task && !bytes.is_empty() {
            env.out.to_client.push(Piece::Bytes(bytes.into()));
        }
    }

    /// A piece of the answer's content.
    pub(crate) fn on_content(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        content: &[u8],
    ) -> Result<(), End> {
        match &mut self.phase {
            Phase::Head => Err(End::Broken("content before its head")),
            Phase::Json { body } if body.len() + content.len() > ANSWER_BODY_BYTES_MAX => Err(
                End::Server("an answer that is too large to be judged".to_owned()),
            ),
            Phase::Json { body } if !self.room.resize(body.len() + content.len()) => Err(no_room()),
            Phase::Json { body } => {
                body.extend_from_slice(content);
                Ok(())
            }
            Phase::Document { body } if authorization::is_too_large(body.len() + content.len()) => {
                Err(End::Server(
                    "metadata that is too large to be read".to_owned(),
                ))
            }
            Phase::Document { body } => {
                body.extend_from_slice(content);
                Ok(())
            }
            Phase::OAuth { body, .. } if body.len() + content.len() > PAGE_BYTES_MAX => Err(
                End::Server("a message of OAuth that is too large to be read".to_owned()),
            ),
            Phase::OAuth { body, .. } => {
                body.extend_from_slice(content);
                Ok(())
            }
            Phase::Bare => Ok(()),
            Phase::Events { .. } => self.on_events(desk, env, content),
        }
    }

    fn on_events(&mut self, desk: &mut Desk, env: &mut Env<'_>, content: &[u8]) -> Result<(), End> {
        let mut rest = content;
        let mut out = Vec::new();
        while !rest.is_empty() {
            let Phase::Events { parser, .. } = &mut self.phase else {
                return Err(End::Broken("events without their stream"));
            };
            let (taken, item) = parser
                .take(rest)
                .map_err(|error| End::Server(error.to_string()))?;
            rest = rest.get(taken..).unwrap_or_default();
            match item {
                None => {}
                Some(Item::Comment) => out.extend_from_slice(sse::KEEP_ALIVE),
                Some(Item::Event(event)) => {
                    if let Some(event) = self.event(desk, env, event)? {
                        sse::encode(&event, &mut out);
                    }
                }
            }
        }
        self.write_events(env, out);
        match &self.phase {
            Phase::Events { parser, .. } if !self.room.resize(parser.held()) => Err(no_room()),
            Phase::Events { .. }
            | Phase::Head
            | Phase::Json { .. }
            | Phase::Document { .. }
            | Phase::OAuth { .. }
            | Phase::Bare => Ok(()),
        }
    }

    fn write_events(&mut self, env: &mut Env<'_>, events: Vec<u8>) {
        self.shown_bytes += events.len() as u64;
        let Phase::Events { framing, .. } = &self.phase else {
            return;
        };
        match framing {
            AnswerFraming::Chunked if events.len() > COPIED_BYTES_MAX => {
                self.write(env, chunk_head(events.len()));
                self.write(env, events);
                self.write(env, CHUNK_END.to_vec());
            }
            AnswerFraming::Chunked => {
                let mut chunk = Vec::with_capacity(events.len() + 16);
                encode_chunk(&events, &mut chunk);
                self.write(env, chunk);
            }
            AnswerFraming::UntilClose | AnswerFraming::Length(_) | AnswerFraming::None => {
                self.write(env, events);
            }
        }
    }

    fn event(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        event: Event,
    ) -> Result<Option<Event>, End> {
        if event.event.as_deref() == Some(EVENT) && self.may_name_endpoint() {
            return self.name_endpoint(desk, env, &event).map(Some);
        }
        if event.event.as_deref().is_some_and(|name| name != "message") {
            return self.drop_event(desk, env, "an event of a type that MCP does not have");
        }
        let data = match event.data.as_deref() {
            None => None,
            // It primes the stream: an id to resume after, and nothing to show.
            Some("") => Some(String::new()),
            Some(data) => match self.message(desk, env, data.as_bytes())? {
                Passed::Send(bytes) | Passed::Instead(bytes) => Some(
                    String::from_utf8(bytes)
                        .map_err(|_| End::Broken("an edited message that is no text"))?,
                ),
                Passed::Drop(why) => return self.drop_event(desk, env, why),
            },
        };
        if self.exchange.revision().is_stateless() || self.listening.is_some() {
            // Nothing is resumed there, so there are neither ids nor pauses.
            let event = Event {
                id: None,
                retry: None,
                data,
                ..event
            };
            return Ok((event.data.is_some()).then_some(event));
        }
        // The id is sealed after the message, which may have answered a request: what
        // comes after this event can no longer answer it.
        let id = event.id.and_then(|id| self.sealed(desk, &id));
        Ok(Some(Event { id, data, ..event }))
    }

    /// A message of the server's, on whichever stream.
    fn message(&mut self, desk: &mut Desk, env: &mut Env<'_>, body: &[u8]) -> Result<Passed, End> {
        let exchange = &self.exchange;
        let Some(listening) = &self.listening else {
            let pending = &mut self.pending;
            return Stream { exchange, pending }.body(desk, env, body);
        };
        let passed = listening.session.on_message(body, |body, pending| {
            Stream { exchange, pending }.body(desk, env, body)
        });
        passed.unwrap_or(Ok(Passed::Drop("an answer to nothing that was asked")))
    }

    fn sealed(&self, desk: &Desk, id: &str) -> Option<String> {
        let asked: Vec<_> = self
            .pending
            .iter()
            .map(|(id, running)| Resumable {
                method: running.method.as_str().to_owned(),
                subject: running.subject.clone(),
                id: id.clone(),
            })
            .collect();
        let holder = desk
            .context
            .holder(&self.exchange.caller, &self.exchange.session);
        desk.context.seal.event(&holder, id, &asked)
    }

    /// Drops an event, and records that. Each is recorded with ten times the bytes that it takes a
    /// server to send it.
    fn drop_event(
        &mut self,
        desk: &Desk,
        env: &mut Env<'_>,
        why: &str,
    ) -> Result<Option<Event>, End> {
        self.dropped += 1;
        if self.dropped > EVENTS_DROPPED_MAX {
            let why = "too many events of which nothing may be shown";
            return Err(End::Server(why.to_owned()));
        }
        self.note_dropped(desk, env, why);
        Ok(None)
    }

    fn note_dropped(&self, desk: &Desk, env: &mut Env<'_>, why: &str) {
        let told = Told {
            summary: "message of the server",
            reason: why,
            session: &self.exchange.session,
            ..Told::NOTHING
        };
        desk.context
            .keep_refusal(env, Some(&self.exchange.caller), told);
    }

    /// The answer is over.
    pub(crate) fn finish(&mut self, desk: &mut Desk, env: &mut Env<'_>) -> Result<After, End> {
        let from = self.from.take();
        let head = from.as_ref();
        self.close_session(desk, env);
        match std::mem::replace(&mut self.phase, Phase::Bare) {
            Phase::Head => return Err(End::Server("no answer".to_owned())),
            Phase::Json { body } => self.finish_json(desk, env, head, &body)?,
            Phase::Document { body } => self.finish_document(desk, env, head, &body)?,
            Phase::OAuth { endpoint, body } => {
                self.finish_oauth(desk, env, head, endpoint, &body)?;
            }
            Phase::Bare => self.finish_bare(desk, env, head)?,
            Phase::Events { parser, framing } => {
                self.keep_rest(desk, env)?;
                self.phase = Phase::Events { parser, framing };
                if framing == AnswerFraming::Chunked {
                    let mut end = Vec::new();
                    last_chunk(&mut end);
                    self.write(env, end);
                }
            }
        }
        Ok(if self.closes() {
            After::Close
        } else {
            After::Again
        })
    }

    fn finish_json(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        head: Option<&ResponseHead>,
        body: &[u8],
    ) -> Result<(), End> {
        let session = head.and_then(|head| self.session(desk, env, head));
        let mut stream = Stream {
            exchange: &self.exchange,
            pending: &mut self.pending,
        };
        let passed = stream.body(desk, env, body)?;
        if let Passed::Instead(bytes) = &passed {
            // A server's status would tell its own answer from Weir's.
            self.status = status_of(self.exchange.revision(), bytes);
        }
        match passed {
            Passed::Send(bytes) | Passed::Instead(bytes) => {
                self.shown_bytes = bytes.len() as u64;
                self.keep_rest(desk, env)?;
                if let Some(framing) = self.exchange.begun {
                    self.finish_begun(env, framing, vec![bytes]);
                    return Ok(());
                }
                self.write_head(
                    env,
                    head,
                    "application/json",
                    session.as_deref(),
                    AnswerFraming::Length(bytes.len()),
                );
                self.write(env, bytes);
            }
            Passed::Drop(why) => {
                self.note_dropped(desk, env, why);
                if self.status < 300 {
                    self.status = if self.pending.is_empty() { 202 } else { 502 };
                }
                self.finish_bare(desk, env, head)?;
            }
        }
        Ok(())
    }

    fn finish_bare(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        head: Option<&ResponseHead>,
    ) -> Result<(), End> {
        if self.is_posted() {
            return self.finish_posted(desk, env, head);
        }
        let asked: Vec<_> = self.pending.iter().map(|(id, _)| id.clone()).collect();
        self.keep_rest(desk, env)?;
        match self.exchange.begun {
            None => self.write_bare(desk, env, head),
            Some(framing) => {
                let (revision, text) = (
                    self.exchange.revision(),
                    bare_text(self.status, &self.exchange.session),
                );
                let told = asked
                    .iter()
                    .map(|id| refuse::withheld(revision, Some(id), text));
                self.finish_begun(env, framing, told.collect());
            }
        }
        Ok(())
    }

    /// Ends an answer that had begun before the server's.
    fn finish_begun(&self, env: &mut Env<'_>, framing: AnswerFraming, messages: Vec<Vec<u8>>) {
        if !self.client_gone && !self.is_task {
            pulse::finish(env, framing, messages);
        }
    }

    /// Metadata of the server: what clients use of it, and no value that is hidden from the caller.
    fn finish_document(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        head: Option<&ResponseHead>,
        body: &[u8],
    ) -> Result<(), End> {
        let text = shown_metadata(body).and_then(|shown| String::from_utf8(shown).ok());
        let shown = text.filter(|text| self.may_show(desk, env, text));
        let Some(shown) = shown.map(String::into_bytes) else {
            self.note_dropped(desk, env, "metadata that is none, or holds masked values");
            self.status = 502;
            self.keep_rest(desk, env)?;
            self.write_bare(desk, env, head);
            return Ok(());
        };
        if let Some(resource) = desk.context.server_resource() {
            let named = endpoints(&shown, resource.origin());
            let name = &desk.context.connection.name;
            env.calls.authorities.learn(name, resource, named);
        }
        self.shown_bytes = shown.len() as u64;
        self.keep_rest(desk, env)?;
        let framing = AnswerFraming::Length(shown.len());
        self.write_head(env, head, "application/json", None, framing);
        self.write(env, shown);
        Ok(())
    }

    /// A status with a body of our own: nothing of the server's was read, so nothing of
    /// it is shown.
    fn write_bare(&self, desk: &mut Desk, env: &mut Env<'_>, head: Option<&ResponseHead>) {
        if self.status < 300 {
            let framing = if self.status == 204 {
                AnswerFraming::None
            } else {
                AnswerFraming::Length(0)
            };
            self.write_head(env, head, "", None, framing);
            return;
        }
        let text = bare_text(self.status, &self.exchange.session);
        let body = refuse::withheld(self.exchange.revision(), None, text);
        let said = head.filter(|_| matches!(self.status, 401 | 403));
        let challenges = said.map(|head| authorization::challenges(&desk.context, head));
        let mut challenges = challenges.unwrap_or_default();
        challenges.retain(|challenge| self.may_show(desk, env, challenge));
        let extra: Vec<_> = challenges
            .iter()
            .map(|challenge| ("WWW-Authenticate", challenge.as_str()))
            .collect();
        let shown = Answer {
            status: self.status,
            content_type: Some("application/json"),
            session: None,
            framing: AnswerFraming::Length(body.len()),
            closes: self.closes(),
            extra: &extra,
        };
        self.write(env, answer(&shown, head));
        self.write(env, body);
    }

    /// Records what came of everything that no message answered. Before the last bytes.
    fn keep_rest(&mut self, desk: &Desk, env: &mut Env<'_>) -> Result<(), End> {
        let outcome = format!("HTTP {}", self.status);
        let others = std::mem::take(&mut self.others);
        for running in &others {
            self.keep_outcome(desk, env, running, &outcome)?;
        }
        let unanswered: Vec<_> = self.pending.drain().map(|(_, running)| running).collect();
        // A server that answers with an error of HTTP's is done with what was asked.
        let is_over = self.status >= 400;
        for mut running in unanswered {
            let is_resumed = others
                .iter()
                .any(|other| other.operation == running.operation);
            if !is_resumed {
                self.keep_outcome(desk, env, &running, &format!("{outcome}, not answered"))?;
            }
            if let Some(call) = running.call.take().filter(|_| is_over) {
                call.answered(env.now.mono_ns);
            }
        }
        Ok(())
    }

    fn keep_outcome(
        &self,
        desk: &Desk,
        env: &mut Env<'_>,
        running: &Running,
        outcome: &str,
    ) -> Result<(), End> {
        let summary = summary(running);
        let told = Told {
            summary: &summary,
            session: &self.exchange.session,
            duration_us: env.now.mono_ns.saturating_sub(running.begun_ns) / 1000,
            response_bytes: self.shown_bytes,
            outcome,
            ..Told::NOTHING
        };
        let caller = Some(&self.exchange.caller);
        let _ = desk
            .context
            .keep(env, Kind::Outcome, Some(running.operation), caller, told)?;
        Ok(())
    }

    /// The flow ends before the answer does: records that, as far as it can.
    pub(crate) fn abandon(&mut self, desk: &Desk, env: &mut Env<'_>, why: &str) {
        self.close_session(desk, env);
        self.take_back(desk, env, why);
        let rest: Vec<_> = self
            .others
            .drain(..)
            .chain(self.pending.drain().map(|(_, running)| running))
            .collect();
        for running in &rest {
            // The flow ends whether or not this was kept.
            let _ = self.keep_outcome(desk, env, running, why);
        }
    }
}

/// A request that a resumed stream may still answer runs under the resumption's own
/// record: its own is on another flow.
fn resumed(revision: Revision, under: &Running, asked: &Resumable) -> Running {
    Running {
        operation: under.operation,
        method: ClientMethod::read(revision, &asked.method),
        name: asked.method.clone(),
        subject: asked.subject.clone(),
        progress: None,
        stateless: None,
        client: Client::default(),
        poll: None,
        call: None,
        begun_ns: under.begun_ns,
        onward: None,
    }
}

fn no_room() -> End {
    End::Server("no room for one more answer".to_owned())
}

const fn bare_text(status: u16, session: &str) -> &'static str {
    match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 if !session.is_empty() => "Session not found",
        405 => "Method not allowed",
        _ => "The server did not accept the request",
    }
}

/// The status that the client sees. A redirect is not followed and not passed on; what
/// the server says of a credential is about Weir's, not the client's, unless it is its own
/// resource server.
fn shown_status(desk: &Desk, status: u16) -> u16 {
    match status {
        401 | 403 if desk.context.server_resource().is_some() => status,
        200 | 202 | 204 | 400 | 404 | 405 | 406 | 409 | 413 | 415 | 429 | 503 | 504 => status,
        _ => 502,
    }
}
