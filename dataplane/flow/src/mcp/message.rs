//! One message of the server's on its way to the client: matched, filtered, masked,
//! recorded.

mod absent;
mod asks;

use std::collections::BTreeSet;

use weir_audit::Kind;
use weir_facts::{Side, Verdict};
use weir_mcp::json::{Document, Edits, Kind as JsonKind, Value};
use weir_mcp::message::client::ClientMethod;
use weir_mcp::message::server::{Passage, ServerMethod};
use weir_mcp::message::{Body, Id, Message, Revision, Shape};
use weir_mcp::refuse;
use weir_mcp::session::Pending;

use self::absent::{absent, is_absent_result, is_absent_text};
use self::asks::asks_in_vain;
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
