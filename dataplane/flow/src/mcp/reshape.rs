//! What becomes of an answer's parts that mean something to the protocol, before its
//! values are masked: lists are filtered, names of the server's are sealed, what it asks
//! the client is judged, hints to caches are bounded.

use weir_mcp::json::{KeyEquality, Kind as JsonKind, Value};
use weir_mcp::limits::{INPUT_REQUESTS_MAX, REQUEST_STATE_LIFE_S};
use weir_mcp::list::List;
use weir_mcp::message::client::ClientMethod;
use weir_mcp::message::server::{Passage, ServerMethod, StatelessStream};
use weir_mcp::message::stateless::{Filter, SUBSCRIPTION_ID};
use weir_mcp::message::{Id, Revision};
use weir_mcp::session::{Origin, State};
use weir_mcp::{announce, cache};

use super::exchange::Running;
use super::message::Stream;
use super::stateless::{
    NamedTask, Replacements, Stateless, Subscription, array, bound_to_body, may_read, quoted,
};
use super::{Desk, End, task};
use crate::io::Env;

/// The one revision with sessions that has tasks.
const WITH_TASKS: Revision = Revision::V2025_11_25;

/// Chains of members' names that lead to what Weir itself has written.
pub(crate) type Sealed = Vec<&'static [&'static str]>;

/// What is changed in a message.
#[derive(Default)]
pub(crate) struct Reshaped {
    pub(crate) edits: Replacements,
    pub(crate) sealed: Sealed,
    /// Elements of a list that stay.
    pub(crate) rows: u64,
    /// What it is, where it is not simply a result.
    pub(crate) outcome: Option<&'static str>,
    /// The tool whose masks hold, where the request does not tell.
    pub(crate) tool: Option<String>,
}

/// Why a message cannot be shown.
pub(crate) enum Unfit {
    /// It is not what it should be, or asks what it may not.
    Shape(&'static str),
    /// It asks the client what policy does not allow.
    Asks,
    /// The flow ends.
    Ends(End),
}

impl From<End> for Unfit {
    fn from(end: End) -> Self {
        Self::Ends(end)
    }
}

impl Stream<'_> {
    /// Reshapes a result.
    pub(super) fn reshape(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        running: &Running,
        result: &Value<'_>,
    ) -> Result<Reshaped, Unfit> {
        if !self.exchange.revision().is_stateless() {
            let mut reshaped = Reshaped::default();
            self.filter(desk, env, running.method, result, &mut reshaped)?;
            if running.method == ClientMethod::Initialize {
                let chosen = result.get("protocolVersion");
                let has_tasks = chosen.is_some_and(|it| it.is_text(WITH_TASKS.as_str()))
                    && task::are_offered(&desk.context, env, self.exchange);
                reshaped.edits.extend(announce::session(result, has_tasks));
            }
            return Ok(reshaped);
        }
        result
            .unique_keys(KeyEquality::Folded)
            .map_err(|_| Unfit::Shape("a result with duplicate keys"))?;
        let known = running
            .stateless
            .as_deref()
            .ok_or(Unfit::Shape("a result of no request of 2026-07-28"))?;
        match kind_of(result) {
            Some(Shown::Complete) => self.complete(desk, env, running, known, result),
            Some(Shown::InputRequired) => self.input_required(desk, env, running, result),
            Some(Shown::Task) => self.created(desk, running, known, result),
            None => Err(Unfit::Shape("a result of a type that was not declared")),
        }
    }

    fn filter(
        &self,
        desk: &mut Desk,
        env: &Env<'_>,
        method: ClientMethod,
        result: &Value<'_>,
        reshaped: &mut Reshaped,
    ) -> Result<(), Unfit> {
        let Some(list) = List::of(method) else {
            return Ok(());
        };
        let caller = &self.exchange.caller;
        let has_tasks = list == List::Tools
            && self.exchange.revision() == WITH_TASKS
            && task::are_offered(&desk.context, env, self.exchange);
        let Desk {
            context, verdicts, ..
        } = desk;
        let filtered = list
            .filter_with(
                result,
                |name| verdicts.may_see(context, env, caller, &list.access(name)),
                |name, tool| {
                    (has_tasks && task::may_be(context, env, name))
                        .then(|| announce::tool(tool))
                        .flatten()
                },
            )
            .map_err(|_| Unfit::Shape("a list that cannot be read"))?;
        reshaped.rows = filtered.kept.len() as u64;
        reshaped.edits.extend(filtered.edits.into_list());
        Ok(())
    }

    fn complete(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        running: &Running,
        known: &Stateless,
        result: &Value<'_>,
    ) -> Result<Reshaped, Unfit> {
        let mut reshaped = Reshaped::default();
        self.filter(desk, env, running.method, result, &mut reshaped)?;
        if cache::is_cacheable(running.method) {
            reshaped.edits.extend(cache::bounded(result));
        }
        if running.method == ClientMethod::ServerDiscover {
            offer_served(result, &mut reshaped.edits)?;
            if task::are_offered(&desk.context, env, self.exchange) {
                reshaped.edits.extend(announce::discovery(result));
            }
        }
        if let (ClientMethod::TasksGet, Some(task)) = (running.method, &known.task) {
            self.task(desk, env, task, result, &mut reshaped)?;
            reshaped.sealed.push(&["result", "taskId"]);
        }
        if let Some(subscription) = &known.subscription {
            check_subscription(subscription, result.get("_meta"))?;
            reshaped.sealed.push(&["result", "_meta", SUBSCRIPTION_ID]);
        }
        Ok(reshaped)
    }

    /// The server wants input first: what it asks is judged like a request of its own,
    /// and its state is sealed.
    fn input_required(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        running: &Running,
        result: &Value<'_>,
    ) -> Result<Reshaped, Unfit> {
        if !running.method.may_ask_for_input() {
            return Err(Unfit::Shape("a request for input where there may be none"));
        }
        let asks = result.get("inputRequests");
        let state = result.get("requestState");
        let mut reshaped = Reshaped {
            outcome: Some("input required"),
            ..Reshaped::default()
        };
        if let Some(asks) = asks {
            self.input_requests(desk, env, &asks)?;
        } else if state.is_none() {
            return Err(Unfit::Shape("a request for input that asks for nothing"));
        }
        if let Some(state) = state {
            let bound = bound_to_body(self.exchange);
            let sealed = state.text().zip(bound).and_then(|(content, bound)| {
                let holder = desk.context.holder(&self.exchange.caller, "");
                let state = State {
                    origin: Origin::Server,
                    expires_s: env.now.unix_us / 1_000_000 + REQUEST_STATE_LIFE_S,
                    content: &content,
                };
                desk.context.seal.state(&holder, &bound, &state)
            });
            let sealed = sealed.ok_or(Unfit::Shape("a requestState that cannot be kept"))?;
            reshaped.edits.push((state.span(), quoted(&sealed)));
            reshaped.sealed.push(&["result", "requestState"]);
        }
        Ok(reshaped)
    }

    /// What a server asks the client in a result, by key.
    fn input_requests(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        asks: &Value<'_>,
    ) -> Result<(), Unfit> {
        const MALFORMED: Unfit = Unfit::Shape("a request for input that cannot be read");
        asks.unique_keys(KeyEquality::Folded)
            .map_err(|_| MALFORMED)?;
        if asks.kind() != JsonKind::Object || asks.members().count() > INPUT_REQUESTS_MAX {
            return Err(MALFORMED);
        }
        for (_, ask) in asks.members() {
            ask.unique_keys(KeyEquality::Folded)
                .map_err(|_| MALFORMED)?;
            let method = ask
                .get("method")
                .and_then(|method| method.text())
                .ok_or(MALFORMED)?;
            let known = ServerMethod::read(&method);
            let is_ask = known.is_request() && matches!(known.passage(), Passage::Judged(_));
            if !is_ask {
                return Err(Unfit::Shape("a request for input of an unknown kind"));
            }
            if !self.may_ask(desk, env, known, &method, ask.raw())? {
                return Err(Unfit::Asks);
            }
        }
        Ok(())
    }

    /// A task instead of a result: its id is sealed with the tool, whose masks hold for
    /// what comes of it.
    fn created(
        &self,
        desk: &Desk,
        running: &Running,
        known: &Stateless,
        result: &Value<'_>,
    ) -> Result<Reshaped, Unfit> {
        if running.method != ClientMethod::ToolsCall || !known.has_tasks {
            return Err(Unfit::Shape("a task where there may be none"));
        }
        let id = result.get("taskId");
        let sealed = id.and_then(|id| id.text()).and_then(|text| {
            let holder = desk.context.holder(&self.exchange.caller, "");
            desk.context
                .seal
                .task(&holder, Origin::Server, &text, &running.subject)
        });
        let (Some(id), Some(sealed)) = (id, sealed) else {
            return Err(Unfit::Shape("a task without an id that can be kept"));
        };
        Ok(Reshaped {
            edits: vec![(id.span(), quoted(&sealed))],
            sealed: vec![&["result", "taskId"]],
            outcome: Some("task"),
            ..Reshaped::default()
        })
    }

    /// How far a task is, in a result or a notification.
    fn task(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        task: &NamedTask,
        told: &Value<'_>,
        reshaped: &mut Reshaped,
    ) -> Result<(), Unfit> {
        let id = told
            .get("taskId")
            .filter(|id| id.is_text(&task.id))
            .ok_or(Unfit::Shape("another task than the one asked about"))?;
        reshaped.edits.push((id.span(), quoted(&task.shown)));
        match told.get("inputRequests") {
            Some(asks) => self.input_requests(desk, env, &asks),
            None => Ok(()),
        }
    }

    /// A notification on a stream of 2026-07-28.
    pub(super) fn reshape_notification(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        method: ServerMethod,
        params: Option<Value<'_>>,
    ) -> Result<Reshaped, Unfit> {
        let subscription = self.subscription();
        let stream = match subscription {
            Some(_) => StatelessStream::Subscription,
            None => StatelessStream::Request,
        };
        if !method.is_on(stream) {
            return Err(Unfit::Shape(
                "a notification that this stream may not carry",
            ));
        }
        let Some(subscription) = subscription else {
            return Ok(Reshaped::default());
        };
        let params = params.ok_or(Unfit::Shape("a notification without its subscription"))?;
        params
            .unique_keys(KeyEquality::Folded)
            .map_err(|_| Unfit::Shape("a notification with duplicate keys"))?;
        let mut reshaped = Reshaped::default();
        if method == ServerMethod::NotificationsCancelled {
            let cancelled = params.get("requestId").and_then(|id| Id::read(&id));
            return match cancelled {
                Some(id) if id == subscription.id => Ok(reshaped),
                Some(_) | None => Err(Unfit::Shape("a cancellation of another request")),
            };
        }
        check_subscription(subscription, params.get("_meta"))?;
        reshaped.sealed.push(&["params", "_meta", SUBSCRIPTION_ID]);
        self.subscribed(desk, env, method, subscription, &params, &mut reshaped)?;
        Ok(reshaped)
    }

    /// A notification on a stream of a session: what it cancels is named as the client
    /// knows it, and a resource that the caller may not read does not change for it.
    pub(super) fn reshape_of_session(
        &self,
        desk: &mut Desk,
        env: &Env<'_>,
        method: ServerMethod,
        params: Option<Value<'_>>,
    ) -> Result<Reshaped, Unfit> {
        let mut reshaped = Reshaped::default();
        if method == ServerMethod::NotificationsCancelled {
            let request = params.and_then(|params| params.get("requestId"));
            let id = request.and_then(|request| Id::read(&request));
            let (Some(request), Some(id)) = (request, id) else {
                return Err(Unfit::Shape("a cancellation of no request"));
            };
            let holder = desk
                .context
                .holder(&self.exchange.caller, &self.exchange.session);
            let sealed = desk.context.seal.request(&holder, &id);
            reshaped.edits.push((request.span(), sealed));
        }
        if method == ServerMethod::NotificationsResourcesUpdated {
            let uri = params.and_then(|params| params.get("uri")?.text());
            if !uri.is_some_and(|uri| may_read(desk, env, self.exchange, &uri)) {
                return Err(Unfit::Shape("a change of a resource that may not be read"));
            }
        }
        Ok(reshaped)
    }

    fn subscribed(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        method: ServerMethod,
        subscription: &Subscription,
        params: &Value<'_>,
        reshaped: &mut Reshaped,
    ) -> Result<(), Unfit> {
        use ServerMethod as M;
        let is_asked = match method {
            M::NotificationsToolsListChanged => subscription.tools,
            M::NotificationsPromptsListChanged => subscription.prompts,
            M::NotificationsResourcesListChanged => subscription.resources,
            M::NotificationsResourcesUpdated => {
                let uri = params.get("uri").and_then(|uri| uri.text());
                !subscription.uris.is_empty()
                    && uri.is_some_and(|uri| may_read(desk, env, self.exchange, &uri))
            }
            M::NotificationsSubscriptionsAcknowledged => {
                acknowledge(subscription, *params, reshaped)?;
                true
            }
            M::NotificationsTasks => {
                let named = params.get("taskId").and_then(|id| id.text());
                let task = subscription
                    .tasks
                    .iter()
                    .find(|task| named.as_deref() == Some(&task.id))
                    .ok_or(Unfit::Shape("a task that was not asked about"))?;
                self.task(desk, env, task, params, reshaped)?;
                reshaped.sealed.push(&["params", "taskId"]);
                reshaped.tool = Some(task.tool.clone());
                true
            }
            M::Ping
            | M::SamplingCreateMessage
            | M::ElicitationCreate
            | M::RootsList
            | M::NotificationsMessage
            | M::NotificationsProgress
            | M::NotificationsCancelled
            | M::NotificationsElicitationComplete
            | M::Unknown => false,
        };
        if is_asked {
            Ok(())
        } else {
            Err(Unfit::Shape("a change that was not asked about"))
        }
    }

    /// What this stream is subscribed to, if it is a subscription's.
    pub(super) fn subscription(&self) -> Option<&Subscription> {
        self.pending
            .iter()
            .find_map(|(_, running)| running.stateless.as_ref()?.subscription.as_ref())
    }
}

enum Shown {
    Complete,
    InputRequired,
    Task,
}

/// What a result is; one that does not say so is complete (basic, "ResultType").
fn kind_of(result: &Value<'_>) -> Option<Shown> {
    let Some(kind) = result.get("resultType") else {
        return Some(Shown::Complete);
    };
    match kind.text().as_deref() {
        Some("complete") => Some(Shown::Complete),
        Some("input_required") => Some(Shown::InputRequired),
        Some("task") => Some(Shown::Task),
        Some(_) | None => None,
    }
}

/// Revisions that the server supports and Weir does not serve are not offered.
fn offer_served(result: &Value<'_>, edits: &mut Replacements) -> Result<(), Unfit> {
    let supported = result
        .get("supportedVersions")
        .filter(|list| list.kind() == JsonKind::Array)
        .ok_or(Unfit::Shape("a discovery without revisions"))?;
    let served: Vec<_> = supported
        .elements()
        .filter_map(|version| Revision::parse(&version.text()?))
        .filter(|revision| revision.is_served())
        .map(Revision::as_str)
        .collect();
    if served.is_empty() {
        return Err(Unfit::Shape("a discovery of revisions that are not served"));
    }
    if served.len() != supported.elements().count() {
        edits.push((supported.span(), array(served)));
    }
    Ok(())
}

/// Every message of a subscription names it.
fn check_subscription(subscription: &Subscription, meta: Option<Value<'_>>) -> Result<(), Unfit> {
    let named = meta
        .and_then(|meta| meta.get(SUBSCRIPTION_ID))
        .and_then(|id| Id::read(&id));
    if named.as_ref() == Some(&subscription.id) {
        Ok(())
    } else {
        Err(Unfit::Shape("a message of another subscription"))
    }
}

/// What the server has agreed to tell, in the words in which the client asked for it:
/// resources that it was let ask for, tasks by the names that it knows.
fn acknowledge(
    subscription: &Subscription,
    params: Value<'_>,
    reshaped: &mut Reshaped,
) -> Result<(), Unfit> {
    let filter = Filter::read(Some(params))
        .map_err(|_| Unfit::Shape("an acknowledgement that cannot be read"))?;
    if let Some(list) = filter.uris {
        let agreed = list.elements().filter_map(|uri| uri.text());
        let agreed: Vec<_> = agreed
            .filter(|uri| subscription.uris.iter().any(|asked| asked == uri))
            .collect();
        if agreed.len() != list.elements().count() {
            reshaped.edits.push((list.span(), array(agreed)));
        }
    }
    if let Some(list) = filter.tasks {
        let shown = list.elements().filter_map(|id| {
            let id = id.text()?;
            let task = subscription.tasks.iter().find(|task| task.id == id)?;
            Some(task.shown.as_str())
        });
        reshaped
            .edits
            .push((list.span(), array(shown.collect::<Vec<_>>())));
        reshaped
            .sealed
            .push(&["params", "notifications", "taskIds"]);
    }
    Ok(())
}
