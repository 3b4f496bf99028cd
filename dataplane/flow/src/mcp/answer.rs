//! The server's answer to one request, and how it reaches the client.
//!
//! ```text
//!            ┌─ application/json ──▶ Json ── whole ──▶ filtered, masked, recorded, sent
//!   Head ────┼─ text/event-stream ─▶ Events ─ each ──▶ the same, event by event
//!            └─ anything else ─────▶ Bare ── over ───▶ status, and a body of our own
//! ```

mod bare;
mod endpoint;
mod events;
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

    /// Ends an answer that had begun before the server's.
    fn finish_begun(&self, env: &mut Env<'_>, framing: AnswerFraming, messages: Vec<Vec<u8>>) {
        if !self.client_gone && !self.is_task {
            pulse::finish(env, framing, messages);
        }
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
