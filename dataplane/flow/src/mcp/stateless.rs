//! What 2026-07-28 adds to a request: fields that repeat its body, names that the client
//! brings back for tasks and for rounds of input, and what it subscribes to.

use std::ops::Range;
use std::sync::Arc;

use weir_facts::{Access, Action, ApprovalId, Resource, Side, Verdict};
use weir_mcp::json::{Document, Kind as JsonKind, Value, quote, removed_members};
use weir_mcp::message::client::{Asked, ClientMethod};
use weir_mcp::message::stateless::{
    self, Envelope, Filter, StatelessError, TASKS_EXTENSION, check_fields, repeats_arguments,
    told_revision,
};
use weir_mcp::message::{Body, Id, Shape};
use weir_mcp::refuse;
use weir_mcp::schema::ParamFields;
use weir_mcp::session::Origin;

use super::Desk;
use super::context::{Context, Told, sha256_of};
use super::exchange::{Exchange, Unjudged};
use super::rung::APPROVAL_INPUT;
use super::{pins, task};
use crate::io::Env;
use crate::tools::KnownDefinition;

/// What is known of a request of 2026-07-28 beyond its message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stateless {
    /// Fields that repeat the body as it goes on.
    pub(crate) fields: Vec<(String, String)>,
    /// Whether the client takes a task for a result.
    pub(crate) has_tasks: bool,
    /// What Weir itself gave the client to bring back with this request, if it did.
    pub(crate) own_state: Option<String>,
    /// Whether the person at the client refused what Weir asked with it.
    pub(crate) is_declined: bool,
    /// The task that it asks about.
    pub(crate) task: Option<NamedTask>,
    /// The same, where Weir has made it.
    pub(crate) own_task: Option<ApprovalId>,
    /// What it subscribes to.
    pub(crate) subscription: Option<Subscription>,
}

/// A task of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedTask {
    /// Its id there.
    pub(crate) id: String,
    /// Its id as this caller knows it.
    pub(crate) shown: String,
    /// The tool whose call made it.
    pub(crate) tool: String,
}

/// Whose a task is that a request names.
enum Named {
    Server(NamedTask),
    Own(ApprovalId),
}

/// What a stream of changes may tell.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    /// The id of the request, which names it.
    pub(crate) id: Id,
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    pub(crate) uris: Vec<String>,
    pub(crate) tasks: Vec<NamedTask>,
}

/// A request that is answered at once, in the words of its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// For the record.
    pub(crate) inside: String,
}

impl Refused {
    pub(crate) fn unjudged(status: u16, body: Vec<u8>, inside: impl ToString) -> Unjudged {
        Unjudged::Refused(Box::new(Self {
            status,
            body,
            inside: inside.to_string(),
        }))
    }
}

/// A request whose fields and `_meta` agree with each other.
pub(crate) struct Admission<'d> {
    pub(crate) envelope: Envelope<'d>,
    params: Vec<(String, String)>,
}

/// What the server has said of the tool whose arguments the fields of a call repeat, if that is
/// known here.
pub(crate) fn repeated(
    context: &Context,
    env: &Env<'_>,
    exchange: &Exchange,
    params: Option<Value<'_>>,
) -> Option<Arc<KnownDefinition>> {
    if !repeats_arguments(&exchange.head.fields) {
        return None;
    }
    pins::definition(context, env, &params?.get("name")?.text()?)
}

/// Checks that a message is of the revision that its head names. `None` for one that says
/// nothing of itself: of an earlier revision, or a notification.
pub(crate) fn admit<'d>(
    exchange: &Exchange,
    id: Option<&Id>,
    method: &str,
    params: Option<Value<'d>>,
    known: Option<&ParamFields>,
) -> Result<Option<Admission<'d>>, Unjudged> {
    let refused =
        |error: StatelessError| Refused::unjudged(400, refuse::stateless(id, &error), error);
    let fields = &exchange.head.fields;
    let told = told_revision(params);
    if let Some(unserved) = &exchange.unserved {
        if told.is_some() {
            let (_, version) = Envelope::read(params).map_err(refused)?;
            check_fields(fields, &version, method, params, known).map_err(refused)?;
        }
        return Err(refused(StatelessError::Unsupported(unserved.clone())));
    }
    if exchange.revision().is_stateless() {
        if id.is_none() {
            return Ok(None);
        }
        let (envelope, version) = Envelope::read(params).map_err(refused)?;
        let params = check_fields(fields, &version, method, params, known).map_err(refused)?;
        return Ok(Some(Admission { envelope, params }));
    }
    let Some(version) = told else { return Ok(None) };
    match exchange.revision {
        Some(named) if version.is_text(named.as_str()) => Ok(None),
        Some(_) | None => Err(refused(
            check_fields(fields, &version, method, params, known)
                .err()
                .unwrap_or_else(|| StatelessError::Header("two revisions are named".to_owned())),
        )),
    }
}

/// Replacements in a body, in any order.
pub(crate) type Replacements = Vec<(Range<usize>, Vec<u8>)>;

/// A request of 2026-07-28 that is being read.
pub(crate) struct Reading<'a, 'd> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) id: &'a Id,
    pub(crate) method_name: &'a str,
    pub(crate) params: Option<Value<'d>>,
    pub(crate) asked: &'a Asked<'d>,
}

impl<'d> Reading<'_, 'd> {
    /// Reads what the client brings back and subscribes to, and replaces the names that
    /// it was given by the server's own.
    pub(crate) fn read(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        admission: Admission<'d>,
        edits: &mut Replacements,
    ) -> Result<Stateless, Unjudged> {
        let Admission { envelope, params } = admission;
        let mut known = Stateless {
            has_tasks: envelope.has_extension(TASKS_EXTENSION),
            ..Stateless::default()
        };
        if self.asked.method.is_of_task() {
            match self.task(desk, env, known.has_tasks, edits)? {
                Named::Server(task) => known.task = Some(task),
                Named::Own(task) => known.own_task = Some(task),
            }
        } else if self.asked.method == ClientMethod::SubscriptionsListen {
            known.subscription = Some(self.subscription(desk, env, known.has_tasks, edits)?);
        } else {
            known.own_state = self.state(desk, env, edits)?;
            known.is_declined = known.own_state.is_some() && self.is_declined();
        }
        known.fields = self.fields(params, known.task.as_ref());
        Ok(known)
    }

    fn refused(&self, body: Vec<u8>, inside: &str) -> Unjudged {
        Refused::unjudged(400, body, inside)
    }

    /// The fields that go on, from the body as it goes on.
    fn fields(
        &self,
        params: Vec<(String, String)>,
        task: Option<&NamedTask>,
    ) -> Vec<(String, String)> {
        let mut fields = Vec::with_capacity(2 + params.len());
        fields.push(("Mcp-Method".to_owned(), self.method_name.to_owned()));
        let named = match task {
            Some(task) => Some(std::borrow::Cow::Borrowed(task.id.as_str())),
            None => stateless::named_by(self.asked.method)
                .and_then(|member| self.params?.get(member)?.text()),
        };
        fields.extend(named.map(|name| ("Mcp-Name".to_owned(), stateless::encode(&name))));
        fields.extend(params);
        fields
    }

    /// The server's task behind the name that this caller was given.
    fn task(
        &self,
        desk: &mut Desk,
        env: &Env<'_>,
        has_tasks: bool,
        edits: &mut Replacements,
    ) -> Result<Named, Unjudged> {
        if !has_tasks {
            let told = refuse::missing_extension(self.id, TASKS_EXTENSION);
            return Err(self.refused(told, "a task of a client that does not declare tasks"));
        }
        let named = self.params.and_then(|params| params.get("taskId"));
        let shown = named.and_then(|named| named.text());
        if let Some(own) = shown
            .as_ref()
            .and_then(|shown| task::open(desk, env, self.exchange, shown))
        {
            return Ok(Named::Own(own));
        }
        let task = shown.and_then(|shown| open(desk, env, self.exchange, &shown));
        let (Some(named), Some(task)) = (named, task) else {
            let told = refuse::unknown_task(self.id);
            return Err(self.refused(told, "a task that is not this caller's"));
        };
        edits.push((named.span(), quoted(&task.id)));
        Ok(Named::Server(task))
    }

    /// What the client brings back of an earlier round. The server gets its own state;
    /// what Weir gave, and what answers it, stays here.
    fn state(
        &self,
        desk: &Desk,
        env: &Env<'_>,
        edits: &mut Replacements,
    ) -> Result<Option<String>, Unjudged> {
        let Some((params, state)) = self
            .params
            .and_then(|params| Some((params, params.get("requestState")?)))
        else {
            return Ok(None);
        };
        let opened = state
            .text()
            .filter(|_| self.asked.method.may_ask_for_input())
            .and_then(|shown| {
                let holder = desk.context.holder(&self.exchange.caller, "");
                let now_s = env.now.unix_us / 1_000_000;
                let bound = bound_to(self.asked);
                desk.context.seal.open_state(&holder, &bound, now_s, &shown)
            });
        match opened {
            None => {
                let told = refuse::unknown_state(self.id);
                Err(self.refused(
                    told,
                    "a requestState that is not of this caller and request",
                ))
            }
            Some((Origin::Server, content)) => {
                edits.push((state.span(), quoted(&content)));
                Ok(None)
            }
            Some((Origin::Weir, content)) => {
                let spans = removed_members(&params, |key| {
                    key.is_text("requestState") || key.is_text("inputResponses")
                });
                edits.extend(spans.into_iter().map(|span| (span, Vec::new())));
                Ok(Some(content))
            }
        }
    }

    /// Whether the client answers that its person will not have it. That one will is no
    /// decision: it is made in the inbox.
    fn is_declined(&self) -> bool {
        let answer = self
            .params
            .and_then(|params| params.get("inputResponses")?.get(APPROVAL_INPUT))
            .and_then(|answer| answer.get("action"));
        answer.is_some_and(|action| action.is_text("decline"))
    }

    /// What of a subscription this caller may be told. The rest is left out, as a server
    /// leaves out what it does not support.
    fn subscription(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        has_tasks: bool,
        edits: &mut Replacements,
    ) -> Result<Subscription, Unjudged> {
        let filter = Filter::read(self.params)?;
        if filter.tasks.is_some() && !has_tasks {
            let told = refuse::missing_extension(self.id, TASKS_EXTENSION);
            return Err(self.refused(told, "tasks of a client that does not declare tasks"));
        }
        let mut subscription = Subscription {
            id: self.id.clone(),
            tools: filter.tools,
            prompts: filter.prompts,
            resources: filter.resources,
            uris: Vec::new(),
            tasks: Vec::new(),
        };
        if let Some(list) = filter.uris {
            for uri in list.elements().filter_map(|uri| uri.text()) {
                if may_read(desk, env, self.exchange, &uri) {
                    subscription.uris.push(uri.into_owned());
                }
            }
            edits.push((list.span(), array(&subscription.uris)));
        }
        if let Some(list) = filter.tasks {
            for shown in list.elements().filter_map(|shown| shown.text()) {
                subscription
                    .tasks
                    .extend(open(desk, env, self.exchange, &shown));
            }
            let ids = subscription.tasks.iter().map(|task| &task.id);
            edits.push((list.span(), array(ids)));
        }
        let asked = |list: Option<Value<'_>>| list.map_or(0, |list| list.elements().count());
        let left_out = asked(filter.uris) + asked(filter.tasks)
            - subscription.uris.len()
            - subscription.tasks.len();
        if left_out > 0 {
            let told = Told {
                summary: self.method_name,
                reason: "resources or tasks that this caller may not be told of",
                rows: left_out as u64,
                ..Told::NOTHING
            };
            desk.context
                .keep_refusal(env, Some(&self.exchange.caller), told);
        }
        Ok(subscription)
    }
}

/// The task of this caller's that `shown` names, if its tool is still there for it.
fn open(desk: &mut Desk, env: &Env<'_>, exchange: &Exchange, shown: &str) -> Option<NamedTask> {
    let holder = desk.context.holder(&exchange.caller, "");
    let (origin, id, tool) = desk.context.seal.open_task(&holder, shown)?;
    let is_there = origin == Origin::Server
        && desk
            .verdicts
            .may_use(&desk.context, env, &exchange.caller, &tool);
    is_there.then(|| NamedTask {
        id,
        shown: shown.to_owned(),
        tool,
    })
}

/// Whether policy lets a caller read a resource, now and without asking anybody.
pub(crate) fn may_read(desk: &mut Desk, env: &Env<'_>, exchange: &Exchange, uri: &str) -> bool {
    let access = Access {
        action: Action::McpReadResource,
        resource: Resource::McpResource(uri.into()),
    };
    let judgement = desk
        .verdicts
        .judge(&desk.context, env, &exchange.caller, &access);
    judgement.verdict == Verdict::Allow
}

/// What a state is bound to beside its caller: the method, what it names, and its
/// arguments. Neither `_meta` nor what is brought back.
pub(crate) fn bound_to(asked: &Asked<'_>) -> Vec<u8> {
    sha256_of(&[b"weir.mcp.state.1", &asked.canonical()])
        .0
        .to_vec()
}

/// The same of a request that has gone on, from its body as it came.
pub(crate) fn bound_to_body(exchange: &Exchange) -> Option<Vec<u8>> {
    let document = Document::parse(&exchange.body).ok()?;
    let body = Body::read(&document, Side::Client, exchange.revision()).ok()?;
    let [message] = body.messages() else {
        return None;
    };
    match &message.shape {
        Shape::Request { method, params, .. } => {
            let asked = Asked::read(exchange.revision(), method, *params).ok()?;
            Some(bound_to(&asked))
        }
        Shape::Notification { .. } | Shape::Result { .. } | Shape::Error { .. } => None,
    }
}

pub(crate) fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    quote(text, &mut out);
    out
}

pub(crate) fn array(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<u8> {
    let texts: Vec<_> = texts
        .into_iter()
        .map(|text| quoted(text.as_ref()))
        .collect();
    [b"[".as_slice(), &texts.join(&b','), b"]"].concat()
}

/// The capabilities that a message declares: `initialize` in its `params`, a request of
/// 2026-07-28 in its `_meta`.
pub(crate) fn declared<'d>(
    method: ClientMethod,
    params: Option<Value<'d>>,
    admission: Option<&Admission<'d>>,
) -> Option<Value<'d>> {
    if let Some(admission) = admission {
        return Some(admission.envelope.capabilities);
    }
    params
        .filter(|_| method == ClientMethod::Initialize)?
        .get("capabilities")
        .filter(|value| value.kind() == JsonKind::Object)
}
