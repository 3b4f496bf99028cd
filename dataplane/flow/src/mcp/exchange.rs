//! One HTTP request and what it asks, message by message.

mod judge;

use std::borrow::Cow;
use std::sync::Arc;

use weir_facts::{Access, Action, Denial, Digest, OperationRef, Resource, Side, Verdict};
use weir_mcp::http::RequestHead;
use weir_mcp::http::rewrite::AnswerFraming;
use weir_mcp::json::{Document, Edits, Value, removed_members};
use weir_mcp::message::client::{Asked, ClientMethod};
use weir_mcp::message::server::answers;
use weir_mcp::message::stateless::{TASKS_EXTENSION, elicitation};
use weir_mcp::message::{Body, Id, MessageError, Revision, Shape, envelope};
use weir_mcp::oauth::Endpoint;
use weir_mcp::refuse;
use weir_mcp::session::{Client, Resumable};
use weir_policy::{Judgement, Level};

pub(crate) use self::judge::{Judged, Unjudged, judge};
use super::Desk;
use super::bodies::Room;
use super::caller::Caller;
use super::hold::{Grant, cancel_key};
use super::sessions::{self, Session};
use super::stateless::{self, Reading, Refused, Replacements, Stateless};
use super::task::{self, OwnTask, Poll};
use super::verdict::{arguments, typed};
use crate::calls::OpenCall;
use crate::io::Env;
use crate::trace::TraceId;

/// A request whose head was accepted.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) head: RequestHead,
    pub(crate) caller: Caller,
    /// The revision that the client named; without one, 2025-03-26 is meant.
    pub(crate) revision: Option<Revision>,
    /// What it named instead, where that is none that is served.
    pub(crate) unserved: Option<String>,
    /// The session at the server, or the place of its messages; empty where there is none.
    pub(crate) session: String,
    /// What the client declared when it opened the session.
    pub(crate) client: Client,
    /// The server's event id to resume after, and what that stream may still answer.
    pub(crate) resumed: Option<(String, Vec<Resumable>)>,
    pub(crate) begun_ns: u64,
    /// When the caller's token ends.
    pub(crate) ends_ns: Option<u64>,
    pub(crate) body: Vec<u8>,
    /// What the body takes of what a worker holds.
    pub(crate) room: Room,
    /// How the answer is framed that has begun, as events, before the server's did.
    pub(crate) begun: Option<AnswerFraming>,
    /// The session of 2024-11-05 whose stream this is, or whose message.
    pub(crate) endpoint: Option<Arc<Session>>,
    /// The endpoint of the server's own authorization server that it is for, if that is no MCP.
    pub(crate) oauth: Option<Endpoint>,
    /// The client was told that its message was taken, before the server was.
    pub(crate) is_accepted: bool,
}

impl Exchange {
    /// Takes a piece of the body. Whether there was room for it.
    pub(crate) fn receive(&mut self, piece: &[u8]) -> bool {
        let fits = self.room.resize(self.body.len() + piece.len());
        if fits {
            self.body.extend_from_slice(piece);
        }
        fits
    }

    /// The revision whose rules hold. A request of one that is not served is read like
    /// the newest, to be told so.
    pub(crate) fn revision(&self) -> Revision {
        match (self.revision, &self.unserved) {
            (Some(named), _) if self.endpoint.is_some() && named.has_batches() => {
                Revision::V2024_11_05
            }
            (None, _) if self.endpoint.is_some() => Revision::V2024_11_05,
            (Some(named), _) => named,
            (None, Some(_)) => Revision::V2026_07_28,
            (None, None) => Revision::V2025_03_26,
        }
    }
}

/// What one message is.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Request {
        id: Id,
        method: ClientMethod,
        name: String,
        progress: Option<Id>,
    },
    Notification,
    /// The client answers a request of the server's.
    Answer,
    /// GET or DELETE, which have no message.
    Http,
}

impl What {
    fn is_request(&self, named: &Id) -> bool {
        matches!(self, Self::Request { id, .. } if id == named)
    }
}

/// One message, judged.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) what: What,
    pub(crate) access: Access,
    /// What it is allowed for beside that: answers that it brings to what the server has asked.
    pub(crate) inputs: Vec<Access>,
    pub(crate) summary: String,
    pub(crate) judgement: Judgement,
    /// The `traceparent` that its `_meta` names, where it names one.
    pub(crate) trace: Option<Box<str>>,
    /// Where it is held: what an approval is bound to, and the arguments to judge again with.
    pub(crate) held: Option<Held>,
    /// What 2026-07-28 adds to it.
    pub(crate) stateless: Option<Box<Stateless>>,
    /// What the client declares of itself in it, or has when it opened the session.
    pub(crate) client: Client,
    /// Whether it asks to be answered with a task and nothing else (2025-11-25).
    pub(crate) wants_task: bool,
    /// What it asks of tasks that Weir has made.
    pub(crate) own_task: Option<OwnTask>,
    /// The request about its task that it is on its way for.
    pub(crate) poll: Option<Poll>,
    /// The id under which it goes on, where that is not its own.
    pub(crate) onward: Option<Box<str>>,
}

/// What is kept of a message that waits for people.
#[derive(Debug)]
pub(crate) struct Held {
    /// What people are shown and asked about: all that goes on but what names the attempt.
    pub(crate) canonical: Vec<u8>,
    /// How its client speaks, which people are not shown.
    pub(crate) envelope: Vec<u8>,
    /// What tells it apart from all others for a state of Weir's own.
    pub(crate) bound: Vec<u8>,
    /// The server's state that it brings back, of which people could read nothing.
    pub(crate) state: Option<Box<str>>,
    pub(crate) arguments: Vec<weir_policy::Value>,
    /// The answers that it brings, with what each must be allowed for.
    pub(crate) inputs: Vec<(Access, weir_policy::Value)>,
}

impl Held {
    fn new(asked: &Asked<'_>, params: Option<Value<'_>>, known: Option<&Stateless>) -> Self {
        // What Weir itself gave the client to bring back stays here, and with it what answers it.
        let is_own = known.is_some_and(|known| known.own_state.is_some());
        let is_call = asked.method == ClientMethod::ToolsCall;
        let stays: &[&str] = match (is_own, is_call) {
            (true, true) => &["requestState", "inputResponses", "task"],
            (true, false) => &["requestState", "inputResponses"],
            (false, true) => &["requestState", "task"],
            (false, false) => &["requestState"],
        };
        let state = params.filter(|_| !is_own);
        let state = state.and_then(|params| params.get("requestState")?.text());
        let inputs = asked.responses.iter().filter(|_| !is_own);
        let inputs = inputs.flat_map(|(answer, accesses)| {
            let with_answer = |access: &Access| (access.clone(), typed(answer));
            accesses.iter().map(with_answer)
        });
        Self {
            canonical: asked.canonical_with(params, stays),
            envelope: envelope(params),
            bound: stateless::bound_to(asked),
            state: state.map(Into::into),
            arguments: arguments(asked),
            inputs: inputs.collect(),
        }
    }
}

impl Plan {
    /// The tool, prompt or resource that it names.
    pub(crate) fn subject(&self) -> &str {
        if let Some(task) = self
            .stateless
            .as_ref()
            .and_then(|known| known.task.as_ref())
        {
            return &task.tool;
        }
        match &self.access.resource {
            Resource::Tool(name) | Resource::Prompt(name) | Resource::McpResource(name) => name,
            Resource::Connection
            | Resource::Table(_)
            | Resource::Column(_)
            | Resource::Function(_)
            | Resource::Parameter(_)
            | Resource::DataClass(_) => "",
        }
    }

    /// How safe its record must be before it goes on: synced, unless it is a plain read, or every
    /// permit says that it need not be. What people approved is always synced.
    pub(crate) fn level(&self, grant: Option<&Grant>) -> Level {
        match grant {
            Some(_) => Level::Synced,
            None if self.is_plain_read() => Level::Kept,
            None => self.judgement.level,
        }
    }

    /// Whether losing its record in a crash of the host would lose no change. What a tool
    /// does is not known, and an answer to the server may let it do anything.
    fn is_plain_read(&self) -> bool {
        match &self.what {
            What::Answer
            | What::Request {
                method: ClientMethod::TasksUpdate | ClientMethod::TasksCancel,
                ..
            } => false,
            What::Http => true,
            What::Request { .. } | What::Notification => match self.access.action {
                Action::McpConnect
                | Action::McpReadResource
                | Action::McpGetPrompt
                | Action::McpComplete => true,
                // All others, and those that an MCP message never asks for.
                _ => false,
            },
        }
    }

    /// All that it is allowed for.
    pub(crate) fn accesses(&self) -> Cow<'_, [Access]> {
        if self.inputs.is_empty() {
            return Cow::Borrowed(std::slice::from_ref(&self.access));
        }
        let all = std::iter::once(&self.access).chain(&self.inputs);
        Cow::Owned(all.cloned().collect())
    }

    pub(crate) fn verdict_word(&self) -> &'static str {
        match self.judgement.verdict {
            Verdict::Allow => "allow",
            Verdict::Hold(_) => "hold",
            Verdict::Deny(_) => "deny",
        }
    }

    pub(crate) fn connect(what: What, summary: &str, judgement: Judgement) -> Self {
        Self {
            what,
            access: connect(),
            inputs: Vec::new(),
            summary: summary.to_owned(),
            judgement,
            trace: None,
            held: None,
            stateless: None,
            client: Client::default(),
            wants_task: false,
            own_task: None,
            poll: None,
            onward: None,
        }
    }
}

/// The access that every use of a session asks for.
pub(crate) const fn connect() -> Access {
    Access {
        action: Action::McpConnect,
        resource: Resource::Connection,
    }
}

/// An operation that went on, until its outcome is recorded.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) operation: OperationRef,
    pub(crate) method: ClientMethod,
    pub(crate) name: String,
    pub(crate) subject: String,
    pub(crate) progress: Option<Id>,
    pub(crate) stateless: Option<Box<Stateless>>,
    pub(crate) client: Client,
    /// The request about its task that it runs for.
    pub(crate) poll: Option<Poll>,
    /// What others may be caused by, until its answer was seen.
    pub(crate) call: Option<OpenCall>,
    /// When its request came.
    pub(crate) begun_ns: u64,
    /// The id under which it went on, where that is not its own.
    pub(crate) onward: Option<Box<str>>,
}
