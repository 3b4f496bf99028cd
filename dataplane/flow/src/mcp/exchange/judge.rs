//! From a request to what it asks for, judged.

use super::*;

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
