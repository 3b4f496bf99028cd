//! One HTTP request and what it asks, message by message.

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

/// Why a body cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unjudged {
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("an answer to a request that the server did not make")]
    Answer,
    #[error("no message for {0}")]
    OAuth(&'static str),
    #[error("initialize in a batch")]
    Batch,
    #[error("a notification about a request, outside of a session")]
    Stray,
    #[error("two requests with one id")]
    Repeated,
    #[error("{}", .0.inside)]
    Refused(Box<Refused>),
}

/// The messages of a POST with their verdicts, and the body that would go on.
pub(crate) struct Judged {
    pub(crate) plans: Vec<Plan>,
    pub(crate) body: Vec<u8>,
    /// Requests of the caller's that it no longer wants.
    pub(crate) cancels: Vec<Digest>,
    /// How many of the messages name a request, where no session tells whose it is.
    pub(crate) strays: usize,
}

/// Judges a body message by message.
pub(crate) fn judge(
    desk: &mut Desk,
    env: &mut Env<'_>,
    exchange: &Exchange,
) -> Result<Judged, Unjudged> {
    let document = Document::parse(&exchange.body).map_err(MessageError::Json)?;
    let body = Body::read(&document, Side::Client, exchange.revision())?;
    let mut edits = Replacements::new();
    let mut plans = Vec::with_capacity(body.messages().len());
    let mut cancels = Vec::new();
    let mut strays = 0;
    for message in body.messages() {
        let plan = match &message.shape {
            Shape::Request { id, method, params } => {
                let plan = request(desk, env, exchange, Some(id), method, *params, &mut edits)?;
                let onward = renamed(env, exchange, &message.value, &mut edits);
                Plan { onward, ..plan }
            }
            Shape::Notification { method, params } => {
                strays += usize::from(is_stray(exchange, method));
                cancels.extend(cancelled(desk, exchange, method, *params, &mut edits));
                request(desk, env, exchange, None, method, *params, &mut edits)?
            }
            Shape::Result { .. } | Shape::Error { .. } if exchange.revision().is_stateless() => {
                return Err(Unjudged::Answer);
            }
            Shape::Result { id, .. } | Shape::Error { id: Some(id), .. } => {
                let holder = desk.context.holder(&exchange.caller, &exchange.session);
                let raw = desk
                    .context
                    .seal
                    .open_request(&holder, id)
                    .ok_or(Unjudged::Answer)?;
                let span = message
                    .value
                    .get("id")
                    .map(|id| id.span())
                    .ok_or(Unjudged::Answer)?;
                edits.push((span, raw));
                match &message.shape {
                    Shape::Result { result, .. } => {
                        answer(desk, env, exchange, answers(result), Some(*result))
                    }
                    Shape::Error { .. } | Shape::Request { .. } | Shape::Notification { .. } => {
                        answer(desk, env, exchange, vec![connect()], None)
                    }
                }
            }
            Shape::Error { id: None, .. } => return Err(Unjudged::Answer),
        };
        let initializes = matches!(
            plan.what,
            What::Request {
                method: ClientMethod::Initialize,
                ..
            }
        );
        if initializes && matches!(body, Body::Batch(_)) {
            return Err(Unjudged::Batch);
        }
        if let What::Request { id, .. } = &plan.what
            && plans.iter().any(|other: &Plan| other.what.is_request(id))
        {
            return Err(Unjudged::Repeated);
        }
        plans.push(plan);
    }
    // What is replaced are values apart from each other; were they not, nothing would go on.
    let edits = Edits::sorted(edits).map_err(|_| MessageError::Envelope)?;
    Ok(Judged {
        plans,
        body: edits.apply(&exchange.body),
        cancels,
        strays,
    })
}

/// Whether a notification names a request or its progress outside of any session: ids are each
/// client's own, and a server would take it for whoever has a request of that id.
fn is_stray(exchange: &Exchange, method: &str) -> bool {
    let method = ClientMethod::read(exchange.revision(), method);
    exchange.session.is_empty()
        && matches!(
            method,
            ClientMethod::NotificationsCancelled | ClientMethod::NotificationsProgress
        )
}

/// In a session of 2024-11-05, a request goes on under an id that Weir draws: the stream that
/// answers it answers nothing else by that id.
fn renamed(
    env: &mut Env<'_>,
    exchange: &Exchange,
    message: &Value<'_>,
    edits: &mut Replacements,
) -> Option<Box<str>> {
    let _ = exchange.endpoint.as_ref()?;
    let span = message.get("id")?.span();
    let name = sessions::draw(env.random);
    edits.push((span, stateless::quoted(&name)));
    Some(name)
}

/// The request that a notification says is not wanted any more. Its id goes on as the request's did.
fn cancelled(
    desk: &Desk,
    exchange: &Exchange,
    method: &str,
    params: Option<Value<'_>>,
    edits: &mut Replacements,
) -> Option<Digest> {
    let is_cancel =
        ClientMethod::read(exchange.revision(), method) == ClientMethod::NotificationsCancelled;
    let named = params.filter(|_| is_cancel)?.get("requestId")?;
    let id = Id::read(&named)?;
    let session = exchange.endpoint.as_ref();
    if let Some(name) = session.and_then(|session| session.name_of(&id)) {
        edits.push((named.span(), stateless::quoted(&name)));
    }
    Some(cancel_key(desk, exchange, &id))
}

/// The client answers the server: for what the server may have it do. The first thing that is
/// not allowed decides.
fn answer(
    desk: &mut Desk,
    env: &Env<'_>,
    exchange: &Exchange,
    asked: Vec<Access>,
    result: Option<Value<'_>>,
) -> Plan {
    let mut plan: Option<Plan> = None;
    for access in asked {
        let caller = &exchange.caller;
        let judgement = desk
            .verdicts
            .judge_answer(&desk.context, env, caller, &access, result);
        let is_allowed = judgement.verdict == Verdict::Allow;
        let judged = Plan {
            access,
            ..Plan::connect(What::Answer, "answer to the server", judgement)
        };
        if !is_allowed {
            return judged;
        }
        plan.get_or_insert(judged);
    }
    plan.unwrap_or_else(|| {
        let judgement = desk
            .verdicts
            .judge(&desk.context, env, &exchange.caller, &connect());
        Plan::connect(What::Answer, "answer to the server", judgement)
    })
}

fn request(
    desk: &mut Desk,
    env: &mut Env<'_>,
    exchange: &Exchange,
    id: Option<&Id>,
    method: &str,
    params: Option<Value<'_>>,
    edits: &mut Replacements,
) -> Result<Plan, Unjudged> {
    let definition = stateless::repeated(&desk.context, env, exchange, params);
    let known = definition.as_deref().map(|known| &known.schemas().fields);
    let admission = stateless::admit(exchange, id, method, params, known)?;
    let asked = Asked::read(exchange.revision(), method, params)?;
    let is_named_notification = asked.method.is_notification();
    let is_known = asked.method != ClientMethod::Unknown;
    if is_known && is_named_notification == id.is_some() {
        return Err(MessageError::Envelope.into());
    }
    let mut client = exchange.client;
    let extensions = admission
        .as_ref()
        .and_then(|admission| admission.envelope.capabilities.get("extensions"));
    if let Some(capabilities) = stateless::declared(asked.method, params, admission.as_ref()) {
        client.opens_urls = elicitation(&capabilities).url;
        withhold_capabilities(desk, env, exchange, capabilities, edits);
    }
    let own_task = own_task(desk, env, exchange, id, asked.method, params)?;
    let known = match (id, admission) {
        (Some(id), Some(admission)) => {
            let reading = Reading {
                exchange,
                id,
                method_name: method,
                params,
                asked: &asked,
            };
            let known = reading.read(desk, env, admission, edits)?;
            Some(Box::new(known))
        }
        (Some(_) | None, _) => None,
    };
    let access = asked
        .accesses
        .first()
        .cloned()
        .ok_or(MessageError::Envelope)?;
    let judgement = desk
        .verdicts
        .judge_call(&desk.context, env, &exchange.caller, &access, &asked);
    let own_task = own_task.or_else(|| own_of(known.as_deref()));
    // What answers Weir itself stays here.
    let is_own = own_task.is_some() || known.as_ref().is_some_and(|it| it.own_state.is_some());
    let (access, judgement, inputs) = match is_own {
        true => (access, judgement, Vec::new()),
        false => with_inputs(desk, env, exchange, access, judgement, &asked),
    };
    let is_held = matches!(judgement.verdict, Verdict::Hold(_));
    let wants_task = asked.is_task_augmented
        && exchange.revision() == Revision::V2025_11_25
        && (is_held || task::are_offered(&desk.context, env, exchange));
    if let (true, Some(id)) = (asked.is_task_augmented, id) {
        let is_denied = matches!(judgement.verdict, Verdict::Deny(_));
        if !(is_denied || wants_task) {
            let why = "a call that asks to be a task, where there are none";
            return Err(Refused::unjudged(200, refuse::no_tasks(id), why));
        }
    }
    if wants_task || is_held && asked.method == ClientMethod::ToolsCall {
        // It is a task of Weir's, and of nobody else.
        edits.extend(without_tasks(params, extensions));
    }
    let held = is_held.then(|| Held::new(&asked, params, known.as_deref()));
    let what = match id {
        Some(id) => What::Request {
            id: id.clone(),
            method: asked.method,
            name: method.to_owned(),
            progress: asked.progress_token,
        },
        None => What::Notification,
    };
    Ok(Plan {
        what,
        access,
        inputs,
        summary: asked.summary,
        judgement,
        trace: id.and_then(|_| traceparent(params)),
        held,
        client,
        wants_task,
        own_task,
        stateless: known,
        poll: None,
        onward: None,
    })
}

/// What a request must be allowed for with the answers that it brings to what the server has asked:
/// each like an answer of its own (2025-11-25). The first that is not allowed decides.
fn with_inputs(
    desk: &mut Desk,
    env: &Env<'_>,
    exchange: &Exchange,
    access: Access,
    judgement: Judgement,
    asked: &Asked<'_>,
) -> (Access, Judgement, Vec<Access>) {
    let mut inputs = Vec::new();
    if matches!(judgement.verdict, Verdict::Deny(_)) {
        return (access, judgement, inputs);
    }
    let answers = asked.responses.iter();
    let each = answers.flat_map(|(answer, inputs)| inputs.iter().map(move |input| (answer, input)));
    for (answer, input) in each {
        let caller = &exchange.caller;
        let mut judged =
            desk.verdicts
                .judge_answer(&desk.context, env, caller, input, Some(*answer));
        if let Verdict::Hold(terms) = &judged.verdict {
            judged.verdict = Verdict::Deny(Denial {
                outside: "an answer to the server cannot wait for approval".into(),
                advice: None,
                scopes: Vec::new(),
                inside: "an answer to the server that needs approval".into(),
                policies: terms.policies.clone(),
            });
        }
        if judged.verdict != Verdict::Allow {
            return (input.clone(), judged, Vec::new());
        }
        if !inputs.contains(input) {
            inputs.push(input.clone());
        }
    }
    (access, judgement, inputs)
}

/// What of a call would have the server make a task of it.
fn without_tasks(params: Option<Value<'_>>, extensions: Option<Value<'_>>) -> Replacements {
    let asks = params.map(|params| removed_members(&params, |key| key.is_text("task")));
    let declares = extensions
        .map(|extensions| removed_members(&extensions, |key| key.is_text(TASKS_EXTENSION)));
    let spans = asks.into_iter().chain(declares).flatten();
    spans.map(|span| (span, Vec::new())).collect()
}

/// Which of Weir's own tasks a request of 2026-07-28 names.
fn own_of(known: Option<&Stateless>) -> Option<OwnTask> {
    known?.own_task.map(OwnTask::One)
}

/// What a request of 2025-11-25 asks of tasks. Those that servers of it have are not served, so
/// all of them are Weir's.
fn own_task(
    desk: &mut Desk,
    env: &Env<'_>,
    exchange: &Exchange,
    id: Option<&Id>,
    method: ClientMethod,
    params: Option<Value<'_>>,
) -> Result<Option<OwnTask>, Unjudged> {
    let Some(id) = id.filter(|_| !exchange.revision().is_stateless()) else {
        return Ok(None);
    };
    if method == ClientMethod::TasksList {
        return Ok(Some(OwnTask::List));
    }
    if !method.is_of_task() {
        return Ok(None);
    }
    let shown = params.and_then(|params| params.get("taskId")?.text());
    let task = shown.and_then(|shown| task::open(desk, env, exchange, &shown));
    let unknown = || {
        let why = "a task that is not this caller's";
        Refused::unjudged(200, refuse::unknown_task(id), why)
    };
    task.map(|task| Some(OwnTask::One(task)))
        .ok_or_else(unknown)
}

/// `_meta.traceparent` (MCP 2026-07-28, basic, "_meta"; earlier clients send it, too).
fn traceparent(params: Option<Value<'_>>) -> Option<Box<str>> {
    let traceparent = params?.get("_meta")?.get("traceparent")?.text()?;
    TraceId::of(&traceparent).map(|_| traceparent.into())
}

/// A server that may not make this client act is told that it cannot, rather than left
/// to wait for an answer. The tasks of servers of 2025-11-25, an experiment, are not served:
/// neither side hears that the other has them.
fn withhold_capabilities(
    desk: &mut Desk,
    env: &Env<'_>,
    exchange: &Exchange,
    capabilities: Value<'_>,
    edits: &mut Replacements,
) {
    const ACTING: &[(&str, Action)] = &[
        ("sampling", Action::McpSampling),
        ("elicitation", Action::McpElicitation),
        ("roots", Action::McpRoots),
    ];
    let mut withheld = vec!["tasks"];
    for (name, action) in ACTING {
        let access = Access {
            action: *action,
            resource: Resource::Connection,
        };
        let judgement = desk
            .verdicts
            .judge(&desk.context, env, &exchange.caller, &access);
        if judgement.verdict != Verdict::Allow {
            withheld.push(name);
        }
    }
    let spans = removed_members(&capabilities, |key| {
        withheld
            .iter()
            .any(|name| key.is_text(name) || key.is_text_but_for_case(name))
    });
    edits.extend(spans.into_iter().map(|span| (span, Vec::new())));
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
