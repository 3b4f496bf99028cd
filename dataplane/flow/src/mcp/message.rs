//! One message of the server's on its way to the client: matched, filtered, masked,
//! recorded.

use std::collections::BTreeSet;

use weir_audit::Kind;
use weir_facts::{Side, Verdict};
use weir_mcp::json::{Document, Edits, Kind as JsonKind, Value};
use weir_mcp::message::client::ClientMethod;
use weir_mcp::message::server::{Passage, ServerMethod};
use weir_mcp::message::{Body, Id, Message, Revision, Shape};
use weir_mcp::refuse;
use weir_mcp::session::Pending;

use super::context::Told;
use super::exchange::{Exchange, Running};
use super::limits::ABSENT_TEXT_BYTES_MAX;
use super::masks::{Masks, Withheld};
use super::reshape::Unfit;
use super::stateless::Replacements;
use super::{Desk, End, aside, pins};
use crate::io::Env;

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// These bytes may leave. Where it answers a request, that is recorded.
    Send(Vec<u8>),
    /// These bytes of Weir's own may leave, instead of what the server said.
    Instead(Vec<u8>),
    /// Nothing of it may leave.
    Drop(&'static str),
}

/// The stream that a message came on.
pub(crate) struct Stream<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) pending: &'a mut Pending<Running>,
}

/// Which request a notification is about, as its token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// One that this stream answers: the token is the client's own word.
    This,
    /// Perhaps one of another stream: the token is the server's word, and masked like all others.
    Others,
    Nothing,
}

/// An answer as it will leave, with what its record says.
struct Ready {
    bytes: Vec<u8>,
    places: Vec<(String, String)>,
    verdict: &'static str,
    reason: String,
    outcome: String,
    rows: u64,
    /// Whether it is Weir that answers.
    is_own: bool,
}

impl Ready {
    fn refused(bytes: Vec<u8>, reason: String) -> Self {
        Self {
            bytes,
            places: Vec::new(),
            verdict: "deny",
            reason,
            outcome: "withheld".to_owned(),
            rows: 0,
            is_own: true,
        }
    }
}

impl Stream<'_> {
    /// Deals with the body of a JSON answer or of an event: one message, or a batch.
    pub(crate) fn body(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        body: &[u8],
    ) -> Result<Passed, End> {
        let Ok(document) = Document::parse(body) else {
            return Ok(Passed::Drop("an answer that is no JSON"));
        };
        match Body::read(&document, Side::Server, self.exchange.revision()) {
            Ok(Body::One(message)) => self.message(desk, env, &document, &message),
            Ok(Body::Batch(messages)) => self.batch(desk, env, &messages),
            Err(_) => Ok(Passed::Drop("an answer that is no message")),
        }
    }

    fn batch(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        messages: &[Message<'_>],
    ) -> Result<Passed, End> {
        let mut out = vec![b'['];
        for message in messages {
            if let Passed::Send(bytes) | Passed::Instead(bytes) =
                self.body(desk, env, message.value.raw())?
            {
                if out.len() > 1 {
                    out.push(b',');
                }
                out.extend_from_slice(&bytes);
            }
        }
        if out.len() == 1 {
            return Ok(Passed::Drop("a batch of which nothing may pass"));
        }
        out.push(b']');
        Ok(Passed::Send(out))
    }

    fn message(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        document: &Document<'_>,
        message: &Message<'_>,
    ) -> Result<Passed, End> {
        match &message.shape {
            Shape::Result { id, result } => {
                let Some(running) = self.pending.answer(id) else {
                    return Ok(Passed::Drop("an answer to nothing that was asked"));
                };
                if running.method == ClientMethod::ToolsList {
                    let Exchange {
                        caller, session, ..
                    } = self.exchange;
                    pins::look(desk, env, caller, session, result)?;
                }
                let ready = self.result(desk, env, document, &running, id, result)?;
                self.keep(desk, env, running, ready)
            }
            Shape::Error {
                id: Some(id),
                error,
            } => {
                let Some(running) = self.pending.answer(id) else {
                    return Ok(Passed::Drop("an error about nothing that was asked"));
                };
                let ready = self.error(desk, env, document, &running, id, error);
                self.keep(desk, env, running, ready)
            }
            Shape::Error { id: None, .. } => Ok(self.told(desk, env, document)),
            Shape::Request { .. } if self.exchange.revision().is_stateless() => Ok(Passed::Drop(
                "a request of the server's, which this revision does not have",
            )),
            Shape::Request { id, method, .. } => {
                self.asks(desk, env, document, &message.value, id, method)
            }
            Shape::Notification { method, params } => {
                self.notifies(desk, env, document, ServerMethod::read(method), *params)
            }
        }
    }

    /// A result, in its order: what a list shows, whether the revision is served, whether
    /// the tool is there at all, what values show.
    fn result(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        document: &Document<'_>,
        running: &Running,
        id: &Id,
        result: &Value<'_>,
    ) -> Result<Ready, End> {
        let revision = self.exchange.revision();
        let reshaped = match self.reshape(desk, env, running, result) {
            Ok(reshaped) => reshaped,
            Err(Unfit::Ends(end)) => return Err(end),
            Err(Unfit::Shape(why)) => {
                let text = "The server's answer could not be read";
                let told = refuse::error(Some(id), refuse::INTERNAL_ERROR, text);
                return Ok(Ready::refused(told, why.to_owned()));
            }
            Err(Unfit::Asks) => {
                let told = asks_in_vain(revision, id, running.method);
                let why = "the server asks for what policy does not allow";
                return Ok(Ready::refused(told, why.to_owned()));
            }
        };
        let shaped = replaced(document, reshaped.edits)?;
        if running.method == ClientMethod::Initialize && !is_served(result) {
            let told = refuse::error(
                Some(id),
                refuse::INVALID_REQUEST,
                "Unsupported protocol version",
            );
            let why = "the server chose a revision that is not served";
            return Ok(Ready::refused(told, why.to_owned()));
        }
        if running.method == ClientMethod::ToolsCall && is_absent_result(result, &running.subject) {
            return Ok(absent(revision, id, &running.subject));
        }
        let is_error = result
            .get("isError")
            .is_some_and(|value| value.kind() == JsonKind::True);
        let answers = Some((id, running.method));
        let ready = self.mask(desk, env, &shaped, &reshaped.sealed, tool(running), answers);
        let plain = if is_error { "tool error" } else { "result" };
        Ok(Ready {
            rows: reshaped.rows,
            outcome: reshaped.outcome.unwrap_or(plain).to_owned(),
            ..ready
        })
    }

    fn error(
        &self,
        desk: &mut Desk,
        env: &Env<'_>,
        document: &Document<'_>,
        running: &Running,
        id: &Id,
        error: &Value<'_>,
    ) -> Ready {
        let text = error
            .get("message")
            .and_then(|message| message.text())
            .unwrap_or_default();
        if running.method == ClientMethod::ToolsCall && is_absent_text(&text, &running.subject) {
            return absent(self.exchange.revision(), id, &running.subject);
        }
        let code = error
            .get("code")
            .and_then(|code| code.number())
            .unwrap_or("without code")
            .to_owned();
        let ready = self.mask(
            desk,
            env,
            &Shaped::Read(document),
            &[],
            tool(running),
            Some((id, running.method)),
        );
        Ready {
            outcome: format!("error {code}"),
            ..ready
        }
    }

    /// An error that names no request.
    fn told(&self, desk: &mut Desk, env: &Env<'_>, document: &Document<'_>) -> Passed {
        let ready = self.mask_untold(desk, env, Shaped::Read(document), &[]);
        Passed::Send(ready.bytes)
    }

    /// Masks a message. One that may not be shown is replaced: where it answers a call,
    /// by an answer that says so.
    fn mask(
        &self,
        desk: &mut Desk,
        env: &Env<'_>,
        shaped: &Shaped<'_>,
        sealed: &[&[&str]],
        tool: &str,
        answers: Option<(&Id, ClientMethod)>,
    ) -> Ready {
        let masks = desk
            .verdicts
            .masks(&desk.context, env, &self.exchange.caller, tool);
        self.masked(desk, env, shaped, sealed, tool, &masks, answers)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what `mask` has, and the masks that it looked up"
    )]
    fn masked(
        &self,
        desk: &Desk,
        env: &Env<'_>,
        shaped: &Shaped<'_>,
        sealed: &[&[&str]],
        tool: &str,
        masks: &Masks,
        answers: Option<(&Id, ClientMethod)>,
    ) -> Ready {
        let withheld = |text: &str, reason: String| {
            let revision = self.exchange.revision();
            let told = match answers {
                Some((id, ClientMethod::ToolsCall)) => refuse::tool_error(revision, id, text),
                Some((id, _)) => refuse::withheld(revision, Some(id), text),
                None => refuse::withheld(revision, None, text),
            };
            Ready::refused(told, reason)
        };
        let again;
        let document = match shaped {
            Shaped::Read(document) => *document,
            Shaped::Edited(bytes) => match Document::parse(bytes) {
                Ok(document) => {
                    again = document;
                    &again
                }
                Err(_) => {
                    return withheld(
                        "The answer could not be read",
                        "a filtered answer that is no JSON".to_owned(),
                    );
                }
            },
        };
        // The schema is of what results of the tool hold, which most masks never meet.
        let definition = (!masks.is_empty() && !tool.is_empty())
            .then(|| pins::definition(&desk.context, env, tool))
            .flatten();
        let schema = definition
            .as_ref()
            .and_then(|definition| definition.schemas().output.as_ref());
        let key = &desk.context.connection.mask_key;
        match masks.apply(document, sealed, key, schema) {
            Ok(masked) => Ready {
                bytes: masked.edits.apply(document.bytes()),
                verdict: if masked.places.is_empty() {
                    "allow"
                } else {
                    "mask"
                },
                places: masked.places,
                reason: String::new(),
                outcome: "result".to_owned(),
                rows: 0,
                is_own: false,
            },
            Err(Withheld { outside, inside }) => withheld(
                &format!("The answer was withheld by policy: {outside}"),
                inside,
            ),
        }
    }

    /// Records the outcome of a request, and lets its answer go.
    fn keep(
        &self,
        desk: &Desk,
        env: &mut Env<'_>,
        mut running: Running,
        ready: Ready,
    ) -> Result<Passed, End> {
        let masked: Vec<_> = ready
            .places
            .iter()
            .map(|(place, rule)| (place.as_str(), rule.as_str()))
            .collect();
        let duration_us = env.now.mono_ns.saturating_sub(running.begun_ns) / 1000;
        let told = Told {
            summary: &summary(&running),
            verdict: ready.verdict,
            reason: &ready.reason,
            session: &self.exchange.session,
            masked: &masked,
            rows: ready.rows,
            response_bytes: ready.bytes.len() as u64,
            duration_us,
            outcome: &ready.outcome,
            ..Told::NOTHING
        };
        let caller = Some(&self.exchange.caller);
        let _ = desk
            .context
            .keep(env, Kind::Outcome, Some(running.operation), caller, told)?;
        if let Some(call) = running.call.take() {
            call.answered(env.now.mono_ns);
        }
        if let Some(poll) = running.poll.take() {
            poll.finish(&ready.bytes, env.now.unix_us);
        }
        Ok(if ready.is_own {
            Passed::Instead(ready.bytes)
        } else {
            Passed::Send(ready.bytes)
        })
    }

    /// Whether policy lets the server ask the client this. Either way it is recorded.
    pub(super) fn may_ask(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        known: ServerMethod,
        method: &str,
        bytes: &[u8],
    ) -> Result<bool, End> {
        let Passage::Judged(access) = known.passage() else {
            return Ok(known.passage() == Passage::WithSession);
        };
        let judgement = desk
            .verdicts
            .judge(&desk.context, env, &self.exchange.caller, &access);
        let allowed = judgement.verdict == Verdict::Allow;
        let told = Told {
            summary: method,
            accesses: std::slice::from_ref(&access),
            verdict: if allowed { "allow" } else { "deny" },
            policies: &judgement.policies,
            reason: "the server asks the client",
            session: &self.exchange.session,
            bytes,
            ..Told::NOTHING
        };
        let caller = Some(&self.exchange.caller);
        if allowed {
            let _ = desk.context.keep(env, Kind::Intent, None, caller, told)?;
        } else {
            desk.context.keep_refusal(env, caller, told);
        }
        Ok(allowed)
    }

    /// The server asks the client. Its id is sealed, so that the answer can be told from
    /// one to a request that was never made.
    fn asks(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        document: &Document<'_>,
        message: &Value<'_>,
        id: &Id,
        method: &str,
    ) -> Result<Passed, End> {
        let known = ServerMethod::read(method);
        if !known.is_request() {
            aside::decline(desk, env, self.exchange, id);
            return Ok(Passed::Drop(
                "a request of the server's that Weir does not know",
            ));
        }
        if self
            .pending
            .iter()
            .any(|(_, running)| running.poll.is_some())
        {
            let why = "a request of the server's for a task, whose client nobody waits at";
            return self.unasked(desk, env, id, why);
        }
        if !self.may_ask(desk, env, known, method, message.raw())? {
            let why = "a request of the server's that policy does not allow";
            return self.unasked(desk, env, id, why);
        }
        let Some(span) = message.get("id").map(|id| id.span()) else {
            return Ok(Passed::Drop("a request without an id"));
        };
        let holder = desk
            .context
            .holder(&self.exchange.caller, &self.exchange.session);
        let sealed = edited(document, span, desk.context.seal.request(&holder, id));
        let ready = self.mask_untold(desk, env, Shaped::Edited(sealed), &[]);
        if ready.verdict == "deny" {
            return self.unasked(desk, env, id, "a request that may not be shown");
        }
        Ok(Passed::Send(ready.bytes))
    }

    /// The client is not asked. The server waits for its answer, and would have the client
    /// wait for the call: so the server is told no, and the call is answered now, where the stream
    /// has one only.
    fn unasked(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        asked: &Id,
        why: &'static str,
    ) -> Result<Passed, End> {
        aside::decline(desk, env, self.exchange, asked);
        let only = match self.pending.len() {
            1 => self.pending.drain().next(),
            _ => None,
        };
        let Some((id, running)) = only else {
            return Ok(Passed::Drop(why));
        };
        let told = asks_in_vain(self.exchange.revision(), &id, running.method);
        self.keep(desk, env, running, Ready::refused(told, why.to_owned()))
    }

    fn notifies(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        document: &Document<'_>,
        method: ServerMethod,
        params: Option<Value<'_>>,
    ) -> Result<Passed, End> {
        if method.is_request() || method.passage() != Passage::WithSession {
            return Ok(Passed::Drop("a notification that Weir does not know"));
        }
        let progress = if method == ServerMethod::NotificationsProgress {
            self.progress(params)
        } else {
            Progress::Others
        };
        if progress == Progress::Nothing {
            return Ok(Passed::Drop("progress of nothing that was asked"));
        }
        let reshaped = if self.exchange.revision().is_stateless() {
            self.reshape_notification(desk, env, method, params)
        } else {
            self.reshape_of_session(desk, env, method, params)
        };
        let mut reshaped = match reshaped {
            Ok(reshaped) => reshaped,
            Err(Unfit::Ends(end)) => return Err(end),
            Err(Unfit::Shape(why)) => return Ok(Passed::Drop(why)),
            Err(Unfit::Asks) => {
                return Ok(Passed::Drop(
                    "a task that asks for what policy does not allow",
                ));
            }
        };
        if progress == Progress::This {
            reshaped.sealed.push(&["params", "progressToken"]);
        }
        let shaped = replaced(document, reshaped.edits)?;
        let ready = match reshaped.tool {
            Some(tool) => self.mask(desk, env, &shaped, &reshaped.sealed, &tool, None),
            None => self.mask_untold(desk, env, shaped, &reshaped.sealed),
        };
        Ok(if ready.verdict == "deny" {
            Passed::Drop("a notification that may not be shown")
        } else {
            Passed::Send(ready.bytes)
        })
    }

    /// Progress names a request of this stream. On a stream that answers nothing, it may
    /// name one of another.
    fn progress(&self, params: Option<Value<'_>>) -> Progress {
        let token = params
            .and_then(|params| params.get("progressToken"))
            .and_then(|token| Id::read(&token));
        let Some(token) = token else {
            return Progress::Nothing;
        };
        let is_this = |running: &Running| running.progress.as_ref() == Some(&token);
        if self.pending.iter().any(|(_, running)| is_this(running)) {
            Progress::This
        } else if self.pending.is_empty() && !self.exchange.revision().is_stateless() {
            Progress::Others
        } else {
            Progress::Nothing
        }
    }

    /// Masks a message that does not tell which request it is about: as for each that this stream
    /// answers, one after another; and where it answers none, as for any tool's.
    fn mask_untold(
        &self,
        desk: &mut Desk,
        env: &Env<'_>,
        shaped: Shaped<'_>,
        sealed: &[&[&str]],
    ) -> Ready {
        let tools: BTreeSet<_> = self.pending.iter().map(|(_, asked)| tool(asked)).collect();
        let mut tools = tools.into_iter();
        let Some(first) = tools.next() else {
            let caller = &self.exchange.caller;
            let masks = desk.verdicts.masks_of_any(&desk.context, env, caller);
            return self.masked(desk, env, &shaped, sealed, "", &masks, None);
        };
        let mut ready = self.mask(desk, env, &shaped, sealed, first, None);
        for tool in tools {
            if ready.is_own {
                break;
            }
            let shaped = Shaped::Edited(std::mem::take(&mut ready.bytes));
            let mut again = self.mask(desk, env, &shaped, sealed, tool, None);
            if !again.is_own && again.places.is_empty() {
                again.verdict = ready.verdict;
            }
            again.places.splice(0..0, ready.places);
            ready = again;
        }
        ready
    }
}

fn tool(running: &Running) -> &str {
    if running.method == ClientMethod::ToolsCall || running.method.is_of_task() {
        &running.subject
    } else {
        ""
    }
}

/// A message whose values are still to be masked.
enum Shaped<'d> {
    /// As it was read: it is not read once more.
    Read(&'d Document<'d>),
    /// With something replaced.
    Edited(Vec<u8>),
}

fn replaced<'d>(document: &'d Document<'d>, edits: Replacements) -> Result<Shaped<'d>, End> {
    if edits.is_empty() {
        return Ok(Shaped::Read(document));
    }
    let edits =
        Edits::sorted(edits).map_err(|_| End::Broken("replacements in an answer that overlap"))?;
    Ok(Shaped::Edited(edits.apply(document.bytes())))
}

fn edited(document: &Document<'_>, span: std::ops::Range<usize>, replacement: Vec<u8>) -> Vec<u8> {
    let mut edits = Edits::new();
    // The only edit of this document fits.
    let _ = edits.push(span, replacement);
    edits.apply(document.bytes())
}

pub(crate) fn summary(running: &Running) -> String {
    if running.subject.is_empty() {
        running.name.clone()
    } else {
        format!("{} {}", running.name, running.subject)
    }
}

/// 2026-07-28 is not agreed on by a handshake.
fn is_served(result: &Value<'_>) -> bool {
    let version = result
        .get("protocolVersion")
        .and_then(|version| version.text());
    let revision = version.and_then(|version| Revision::parse(&version));
    revision.is_some_and(|revision| revision.is_served() && !revision.is_stateless())
}

/// A tool that the server does not have is answered as one that the caller may not call.
fn absent(revision: Revision, id: &Id, name: &str) -> Ready {
    Ready {
        bytes: refuse::unknown_tool(revision, id, name),
        places: Vec::new(),
        verdict: "allow",
        reason: "the server has no such tool".to_owned(),
        outcome: format!("error {}", refuse::INVALID_PARAMS),
        rows: 0,
        is_own: true,
    }
}

fn is_absent_result(result: &Value<'_>, name: &str) -> bool {
    let is_error = result
        .get("isError")
        .is_some_and(|value| value.kind() == JsonKind::True);
    let mut content = result
        .get("content")
        .map(|content| content.elements())
        .into_iter()
        .flatten();
    let (Some(first), None) = (content.next(), content.next()) else {
        return false;
    };
    let text = first.get("text").and_then(|text| text.text());
    is_error && text.is_some_and(|text| is_absent_text(&text, name))
}

/// The ways in which the reference SDKs say that there is no such tool, punctuation and
/// letter case aside.
fn is_absent_text(text: &str, name: &str) -> bool {
    if text.len() > ABSENT_TEXT_BYTES_MAX {
        return false;
    }
    let plain = |text: &str| {
        let words: Vec<_> = text
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .collect();
        words.join(" ").to_lowercase()
    };
    let (text, name) = (plain(text), plain(name));
    let text = text
        .strip_prefix("mcp error ")
        .map_or(text.as_str(), |rest| {
            rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ')
        });
    [
        format!("unknown tool {name}"),
        format!("tool {name} not found"),
        format!("tool not found {name}"),
    ]
    .iter()
    .any(|said| said == text)
}

/// The answer to a call for which the server asks the client what it may not ask.
fn asks_in_vain(revision: Revision, id: &Id, method: ClientMethod) -> Vec<u8> {
    let text = "Denied by policy: the server asks for what it may not ask this client";
    if method == ClientMethod::ToolsCall {
        refuse::tool_error(revision, id, text)
    } else {
        refuse::withheld(revision, Some(id), text)
    }
}
