//! Held calls that their clients want as tasks, and what is asked of these.
//!
//! ```text
//!   tools/call ── held ─▶ a task instead of a result; the call is parked ([`crate::tasks`])
//!   tasks/get, tasks/result ─▶ taken, asked for again ─ undecided ─▶ put back: "working"
//!                                          │ approved
//!                                          ▼
//!                               spent, released once; what comes of it is kept, masked
//! ```
//!
//! A call that waits for nobody and that its client wants as a task runs at once, as one.
//!
//! A request about a task asks for the parked call's approval again, and goes the way of any call
//! that waits. `tasks/get` never waits for the server: it is answered, the connection closes, and
//! the flow goes on for the task alone. `tasks/result` waits, for as long as a held call does.

use std::sync::Arc;

use weir_facts::{Access, Action, ApprovalId, Digest, Resource, Verdict};
use weir_mcp::carrier::{self, Task, TaskStatus};
use weir_mcp::json::{Document, Kind as JsonKind};
use weir_mcp::message::Id;
use weir_mcp::message::client::ClientMethod;
use weir_mcp::refuse;
use weir_mcp::session::Origin;

use super::context::sha256_of;
use super::limits::{
    AFTER_TASK_NS, HOLD_NS_MAX, TASK_AFTER_S, TASK_LIFE_S_MAX, TASK_POLL_MS, TASK_RUN_S,
    TASK_WATCH_NS, TASK_WORDS_MAX,
};
use super::rung::Rung;
use super::*;
use crate::calls::Calls;
use crate::tasks::{NewTask, Outcome, RESULT_BYTES_MAX, Seen, Stage, TaskKey, Times};

const NO_ROOM: &str = "Too many tasks wait for approval. Call again without a task.";

/// A call of a task that waits.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) plan: Plan,
    pub(crate) body: Vec<u8>,
    pub(crate) digest: Digest,
}

/// What a request asks of tasks that Weir has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnTask {
    /// This one.
    One(ApprovalId),
    /// Which there are.
    List,
}

/// A request about a task.
#[derive(Clone, Debug)]
pub(crate) struct TaskAsk {
    pub(crate) id: Id,
    pub(crate) method: ClientMethod,
    pub(crate) key: TaskKey,
}

/// A task's call on its way, for a request about it. Dropped without a word on what came of it, it
/// was interrupted: it may have run, so it is not run again.
pub(crate) struct Poll {
    pub(crate) ask: TaskAsk,
    calls: Arc<Calls>,
    begun_us: u64,
    is_out: bool,
}

impl std::fmt::Debug for Poll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Poll").field(&self.ask).finish()
    }
}

impl Poll {
    fn new(env: &Env<'_>, ask: TaskAsk) -> Self {
        Self {
            ask,
            calls: Arc::clone(env.calls),
            begun_us: env.now.unix_us,
            is_out: true,
        }
    }

    /// What came of the call: the message that answers it.
    pub(crate) fn finish(mut self, message: &[u8], now_us: u64) {
        self.is_out = false;
        let outcome = outcome(message);
        self.calls.tasks.finish(self.ask.key, outcome, now_us);
    }

    fn put_back(mut self, call: Parked) {
        self.is_out = false;
        self.calls.tasks.put_back(self.ask.key, call);
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        if self.is_out {
            let outcome = failed("The call was interrupted. It is not known what came of it.");
            self.calls
                .tasks
                .finish(self.ask.key, outcome, self.begun_us);
        }
    }
}

/// `tasks/result` of a task that another flow is busy with.
#[derive(Debug)]
pub(crate) struct Watch {
    ask: TaskAsk,
    until_ns: u64,
    pub(crate) next_ns: u64,
}

fn failed(text: &str) -> Outcome {
    let mut json = format!(r#"{{"code":{},"message":"#, refuse::INTERNAL_ERROR).into_bytes();
    weir_mcp::json::quote(text, &mut json);
    json.push(b'}');
    Outcome::Error(json.into())
}

/// What a message says came of a call.
fn outcome(message: &[u8]) -> Outcome {
    if message.len() > RESULT_BYTES_MAX {
        return failed("The result is too large for a task.");
    }
    let Ok(document) = Document::parse(message) else {
        return failed("The answer could not be read.");
    };
    let root = document.root();
    if let Some(error) = root.get("error") {
        return Outcome::Error(error.raw().into());
    }
    let Some(result) = root.get("result") else {
        return failed("The answer could not be read.");
    };
    let kind = result.get("resultType");
    if kind.is_some_and(|kind| !kind.is_text("complete")) {
        return failed("The server asks for input, which a task that waited cannot pass on.");
    }
    let is_error = result.get("isError");
    Outcome::Result {
        json: result.raw().into(),
        is_error: is_error.is_some_and(|flag| flag.kind() == JsonKind::True),
    }
}

/// The words of an error, or of a tool's.
fn why(json: &[u8]) -> String {
    let Ok(document) = Document::parse(json) else {
        return String::new();
    };
    let root = document.root();
    let content = root.get("content");
    let first = content.and_then(|content| content.elements().next());
    let text = match first {
        Some(first) => first.get("text").and_then(|text| text.text()),
        None => root.get("message").and_then(|text| text.text()),
    };
    let text = text.unwrap_or_default();
    text.chars().take(TASK_WORDS_MAX).collect()
}

/// Whose tasks a caller's are.
fn owner(desk: &Desk, exchange: &Exchange) -> Digest {
    let token = hold::unknown_token(desk, exchange);
    sha256_of(&[
        b"weir.mcp.task.1",
        token.as_ref().map_or(&[], |token| token.as_bytes()),
        &exchange.caller.key,
        desk.context.connection.name.as_str().as_bytes(),
        exchange.session.as_bytes(),
    ])
}

/// Which of Weir's own tasks a name stands for that this caller was given, if its tool is still
/// there for it.
pub(crate) fn open(
    desk: &mut Desk,
    env: &Env<'_>,
    exchange: &Exchange,
    shown: &str,
) -> Option<ApprovalId> {
    let holder = desk.context.holder(&exchange.caller, &exchange.session);
    let (origin, id, tool) = desk.context.seal.open_task(&holder, shown)?;
    let is_there = origin == Origin::Weir
        && desk
            .verdicts
            .may_use(&desk.context, env, &exchange.caller, &tool);
    ApprovalId::parse(&id).filter(|_| is_there)
}

/// Whether clients are told that calls at this server may be tasks: where people may be asked about
/// some. In sessions of 2024-11-05 there are none.
pub(crate) fn are_offered(context: &Context, env: &Env<'_>, exchange: &Exchange) -> bool {
    let name = &context.connection.name;
    exchange.endpoint.is_none() && env.world.snapshot.may_hold(name, Action::McpCallTool)
}

impl McpFlow {
    /// People are asked about a call that its client wants as a task: it is parked.
    pub(super) fn begin_task(
        &mut self,
        env: &mut Env<'_>,
        exchange: Box<Exchange>,
        asking: Asking,
        approval: ApprovalId,
    ) {
        let (What::Request { id, .. }, Some(new)) = (asking.plan.what.clone(), size(env, &asking))
        else {
            return self.end(env, &End::Broken("a task of what is no held call"));
        };
        let key = TaskKey {
            owner: owner(&self.desk, &exchange),
            approval,
        };
        if !env.calls.tasks.has_room(key, new.bytes, env.now.mono_ns) {
            return self.without_task(env, exchange, asking, &id);
        }
        let told = Leaving::Told(Rung::Task);
        hold::leave(&self.desk, env, &exchange, &asking, told);
        let (_, call) = asking.into_parked();
        let new = NewTask {
            tool: new.tool,
            times: new.times,
            bytes: new.bytes,
            call,
        };
        let tool = new.tool.clone();
        let told = match env.calls.tasks.keep(key, new, env.now.mono_ns) {
            Ok(times) => {
                let seen = Seen {
                    approval,
                    tool,
                    times,
                    stage: Stage::Working,
                };
                let revision = exchange.revision();
                self.shown(&exchange, &seen, |task| task.created(&id, revision))
            }
            // Another worker took the room.
            Err(_) => Some(refuse::withheld(exchange.revision(), Some(&id), NO_ROOM)),
        };
        self.reply_messages(env, &exchange, 1, told.into_iter().collect());
    }

    /// A call that waits for nobody, of a client that wants a task: it runs at once, and its client
    /// asks for what came of it.
    pub(super) fn run_task(
        &mut self,
        env: &mut Env<'_>,
        exchange: Box<Exchange>,
        plan: Plan,
        body: Vec<u8>,
    ) {
        let What::Request { id, method, .. } = plan.what.clone() else {
            return self.end(env, &End::Broken("a task of what is no call"));
        };
        let mut random = [0; 16];
        (env.random)(&mut random);
        let key = TaskKey {
            owner: owner(&self.desk, &exchange),
            approval: ApprovalId(u128::from_be_bytes(random)),
        };
        let new = NewTask {
            tool: plan.subject().into(),
            times: times(env, TASK_RUN_S),
            bytes: body.len(),
            call: (),
        };
        if !env.calls.tasks.run(key, new, env.now.mono_ns) {
            let answers = Some(refuse::withheld(exchange.revision(), Some(&id), NO_ROOM));
            return self.answer_held(env, &exchange, plan, answers, "no room for a task");
        }
        let ask = TaskAsk { id, method, key };
        let poll = Some(Poll::new(env, ask));
        self.admit(env, exchange, vec![Plan { poll, ..plan }], body);
    }

    /// There is no room for a task: the next rung, where the client takes anything else.
    fn without_task(
        &mut self,
        env: &mut Env<'_>,
        exchange: Box<Exchange>,
        mut asking: Asking,
        id: &Id,
    ) {
        if asking.plan.wants_task {
            hold::leave(&self.desk, env, &exchange, &asking, Leaving::ForNow);
            let answers = Some(refuse::withheld(exchange.revision(), Some(id), NO_ROOM));
            return self.answer_held(env, &exchange, asking.plan, answers, "no room for a task");
        }
        asking.rung = Rung::without_tasks(env, &exchange, &asking.plan);
        if asking.rung.is_answered_at_once(&asking, asking.name()) {
            return self.tell_pending(env, &exchange, asking);
        }
        self.state = State::Waiting(exchange, Box::new(Waiting::Approval(asking)));
    }

    /// A request about tasks that Weir has made.
    pub(super) fn on_task(
        &mut self,
        env: &mut Env<'_>,
        exchange: Box<Exchange>,
        plan: &Plan,
        own: OwnTask,
    ) {
        let What::Request { id, method, .. } = &plan.what else {
            return self.end(
                env,
                &End::Broken("a question about tasks that is no request"),
            );
        };
        let owner = owner(&self.desk, &exchange);
        let approval = match own {
            OwnTask::One(approval) => approval,
            OwnTask::List => return self.list_tasks(env, &exchange, id, owner),
        };
        let ask = TaskAsk {
            id: id.clone(),
            method: *method,
            key: TaskKey { owner, approval },
        };
        let Some(seen) = env.calls.tasks.see(ask.key, env.now.mono_ns) else {
            let told = refuse::unknown_task(id);
            return self.reply_messages(env, &exchange, 1, vec![told]);
        };
        match (method, seen.stage) {
            (ClientMethod::TasksCancel, Stage::Working) => self.cancel_task(env, &exchange, &ask),
            (ClientMethod::TasksCancel, Stage::Over(_)) if !exchange.revision().is_stateless() => {
                let text = "Cannot cancel task: already in a terminal status";
                let told = refuse::error(Some(id), refuse::INVALID_PARAMS, text);
                self.reply_messages(env, &exchange, 1, vec![told]);
            }
            (ClientMethod::TasksCancel | ClientMethod::TasksUpdate, _) => {
                self.reply_messages(env, &exchange, 1, vec![carrier::acknowledged(id)]);
            }
            (_, Stage::Over(_)) => self.reply_task(env, &exchange, &ask),
            (_, Stage::Working) => self.poll_task(env, exchange, ask),
        }
    }

    /// Asks for the approval of a task's call again, unless somebody else is at it.
    fn poll_task(&mut self, env: &mut Env<'_>, exchange: Box<Exchange>, ask: TaskAsk) {
        let is_patient = ask.method == ClientMethod::TasksResult;
        let Some(parked) = env.calls.tasks.take(ask.key, env.now.mono_ns) else {
            if !is_patient {
                return self.reply_task(env, &exchange, &ask);
            }
            let now_ns = env.now.mono_ns;
            let watch = Watch {
                ask,
                until_ns: now_ns.saturating_add(HOLD_NS_MAX),
                next_ns: now_ns.saturating_add(TASK_WATCH_NS),
            };
            self.state = State::Waiting(exchange, Box::new(Waiting::Task(watch)));
            return;
        };
        let poll = Poll::new(env, ask);
        match hold::ask_again(&self.desk, env, &exchange, parked, poll) {
            Some(asking) => {
                self.state = State::Waiting(exchange, Box::new(Waiting::Approval(asking)));
            }
            None => self.end(env, &End::Broken("a task of what is no held call")),
        }
    }

    /// Another flow was busy with the task that is waited for.
    pub(super) fn on_watch(&mut self, env: &mut Env<'_>, exchange: Box<Exchange>, watch: Watch) {
        let now_ns = env.now.mono_ns;
        let seen = env.calls.tasks.see(watch.ask.key, now_ns);
        let is_over = seen.is_none_or(|seen| matches!(seen.stage, Stage::Over(_)));
        if is_over || watch.until_ns <= now_ns {
            return self.reply_task(env, &exchange, &watch.ask);
        }
        let next_ns = now_ns.saturating_add(TASK_WATCH_NS).min(watch.until_ns);
        let watch = Watch { next_ns, ..watch };
        self.state = State::Waiting(exchange, Box::new(Waiting::Task(watch)));
    }

    /// Nobody has decided on a task's call: it is put back.
    pub(super) fn put_back(&mut self, env: &mut Env<'_>, asking: Asking) -> Option<TaskAsk> {
        env.out.effects.push(Effect::LeaveApproval(asking.request));
        let (poll, parked) = asking.into_parked();
        let poll = poll?;
        let ask = poll.ask.clone();
        poll.put_back(parked);
        Some(ask)
    }

    /// What came of a task's call without its having run.
    pub(super) fn settle(
        &mut self,
        env: &mut Env<'_>,
        exchange: &Exchange,
        poll: Poll,
        answers: Option<&[u8]>,
    ) {
        let ask = poll.ask.clone();
        poll.finish(answers.unwrap_or_default(), env.now.unix_us);
        self.reply_task(env, exchange, &ask);
    }

    fn cancel_task(&mut self, env: &mut Env<'_>, exchange: &Exchange, ask: &TaskAsk) {
        let cancelled = Outcome::Cancelled;
        env.calls.tasks.finish(ask.key, cancelled, env.now.unix_us);
        let approval = ask.key.approval;
        env.out.effects.push(Effect::WithdrawApproval(approval));
        let told = Told {
            summary: "tasks/cancel",
            session: &exchange.session,
            approval: Some(approval),
            outcome: "withdrawn",
            reason: "its task was cancelled",
            ..Told::NOTHING
        };
        // It is given up whether or not this was kept.
        let _ = self
            .desk
            .context
            .keep(env, Kind::Approval, None, Some(&exchange.caller), told);
        if exchange.revision().is_stateless() {
            let told = carrier::acknowledged(&ask.id);
            return self.reply_messages(env, exchange, 1, vec![told]);
        }
        self.reply_task(env, exchange, ask);
    }

    fn list_tasks(&mut self, env: &mut Env<'_>, exchange: &Exchange, id: &Id, owner: Digest) {
        let mut own = env.calls.tasks.of(owner, env.now.mono_ns);
        let Desk {
            context, verdicts, ..
        } = &mut self.desk;
        own.retain(|seen| verdicts.may_use(context, env, &exchange.caller, &seen.tool));
        let revision = exchange.revision();
        let tasks = own
            .iter()
            .filter_map(|seen| self.shown(exchange, seen, |task| task.listed(revision)));
        let told = carrier::task_list(id, tasks);
        self.reply_messages(env, exchange, 1, vec![told]);
    }

    /// A task as its owner knows it.
    fn shown(
        &self,
        exchange: &Exchange,
        seen: &Seen,
        write: impl FnOnce(&Task<'_>) -> Vec<u8>,
    ) -> Option<Vec<u8>> {
        let id = self.task_id(exchange, seen)?;
        let (status, message) = match &seen.stage {
            Stage::Working => (
                TaskStatus::Working,
                "waits for approval, or runs".to_owned(),
            ),
            // Clients of 2025-11-25 do not ask for the result of a task that has failed.
            Stage::Over(Outcome::Result {
                json,
                is_error: true,
            }) if !exchange.revision().is_stateless() => (TaskStatus::Failed(json), why(json)),
            Stage::Over(Outcome::Result { json, .. }) => {
                (TaskStatus::Completed(json), String::new())
            }
            Stage::Over(Outcome::Error(json)) => (TaskStatus::Failed(json), why(json)),
            Stage::Over(Outcome::Cancelled) => (TaskStatus::Cancelled, String::new()),
        };
        Some(write(&Task {
            id: &id,
            status,
            message: &message,
            created_us: seen.times.created_us,
            updated_us: seen.times.updated_us,
            ttl_ms: seen.times.ttl_ms,
            poll_ms: TASK_POLL_MS,
        }))
    }

    fn task_id(&self, exchange: &Exchange, seen: &Seen) -> Option<String> {
        let context = &self.desk.context;
        let holder = context.holder(&exchange.caller, &exchange.session);
        let approval = seen.approval.to_string();
        context
            .seal
            .task(&holder, Origin::Weir, &approval, &seen.tool)
    }

    /// The answer to a request about a task, as it stands.
    fn told_of_task(&self, env: &Env<'_>, exchange: &Exchange, ask: &TaskAsk) -> Vec<u8> {
        let (id, revision) = (&ask.id, exchange.revision());
        let unknown = || refuse::unknown_task(id);
        let Some(seen) = env.calls.tasks.see(ask.key, env.now.mono_ns) else {
            return unknown();
        };
        if ask.method != ClientMethod::TasksResult {
            let is_call = ask.method == ClientMethod::ToolsCall;
            let told = self.shown(exchange, &seen, |task| match is_call {
                true => task.created(id, revision),
                false => task.shown(id, revision),
            });
            return told.unwrap_or_else(unknown);
        }
        let Some(name) = self.task_id(exchange, &seen) else {
            return unknown();
        };
        match &seen.stage {
            Stage::Working => {
                let text = "The task waits for approval, or runs. Ask again.";
                refuse::withheld(revision, Some(id), text)
            }
            Stage::Over(Outcome::Result { json, .. }) => {
                carrier::task_result(id, &name, json).unwrap_or_else(unknown)
            }
            Stage::Over(Outcome::Error(json)) => carrier::task_error(id, json),
            Stage::Over(Outcome::Cancelled) => {
                let text = "The task was cancelled";
                refuse::error(Some(id), refuse::INVALID_PARAMS, text)
            }
        }
    }

    /// Answers a request about a task.
    pub(super) fn reply_task(&mut self, env: &mut Env<'_>, exchange: &Exchange, ask: &TaskAsk) {
        let told = self.told_of_task(env, exchange, ask);
        self.reply_messages(env, exchange, 1, vec![told]);
    }

    /// A task's call is on its way to the server. Whoever asks how far it is is told now.
    pub(super) fn on_task_released(&mut self, env: &mut Env<'_>) {
        let State::Answering(answering) = &self.state else {
            return;
        };
        match answering.task.as_ref().map(|ask| ask.method) {
            None => {}
            Some(ClientMethod::TasksResult) => {
                let until_ns = answering.exchange.begun_ns.saturating_add(HOLD_NS_MAX);
                self.limit_ns = Some(until_ns.max(env.now.mono_ns));
            }
            Some(_) => self.detach(env),
        }
    }

    /// Answers the client of a task that runs, and goes on without it.
    pub(super) fn detach(&mut self, env: &mut Env<'_>) {
        let State::Answering(mut answering) = std::mem::replace(&mut self.state, State::Idle)
        else {
            return;
        };
        if let Some(ask) = answering.task.clone().filter(|_| !answering.client_gone) {
            answering.exchange.head.closes = true;
            let told = self.told_of_task(env, &answering.exchange, &ask);
            self.write_messages(env, &answering.exchange, 1, vec![told]);
            env.out.to_client.push(Piece::Shutdown);
        }
        answering.client_gone = true;
        self.limit_ns = Some(env.now.mono_ns.saturating_add(AFTER_TASK_NS));
        self.state = State::Answering(answering);
    }
}

/// A task that has not got its call yet.
fn size(env: &Env<'_>, asking: &Asking) -> Option<NewTask<()>> {
    let Verdict::Hold(terms) = &asking.plan.judgement.verdict else {
        return None;
    };
    // Until nobody can decide any more, and what was decided has been asked for.
    let life_s = u64::from(terms.expires_s)
        .saturating_add(TASK_AFTER_S)
        .min(TASK_LIFE_S_MAX);
    let held = asking.plan.held.as_ref()?;
    Some(NewTask {
        tool: asking.plan.subject().into(),
        times: times(env, life_s),
        // The arguments are there as bytes, in canonical form and as values.
        bytes: asking.body.len() + 3 * held.canonical.len(),
        call: (),
    })
}

/// Those of a task that begins now.
const fn times(env: &Env<'_>, life_s: u64) -> Times {
    let now_us = env.now.unix_us;
    Times {
        created_us: now_us,
        updated_us: now_us,
        ttl_ms: life_s * 1000,
    }
}

/// Whether people may be asked about calls of a tool.
pub(crate) fn may_be(context: &Context, env: &Env<'_>, tool: &str) -> bool {
    let call = Access {
        action: Action::McpCallTool,
        resource: Resource::Tool(tool.into()),
    };
    let name = &context.connection.name;
    env.world.snapshot.may_hold_access(name, &call)
}

/// Whether nobody wants a task's call any more: it was cancelled, or is forgotten.
pub(crate) fn is_given_up(env: &Env<'_>, plan: &Plan) -> bool {
    let Some(poll) = &plan.poll else { return false };
    let seen = env.calls.tasks.see(poll.ask.key, env.now.mono_ns);
    seen.is_none_or(|seen| matches!(seen.stage, Stage::Over(_)))
}

/// Whether a call is to be answered with a task.
pub(crate) fn is_wanted(exchange: &Exchange, plan: &Plan) -> bool {
    let is_call = matches!(
        &plan.what,
        What::Request {
            method: ClientMethod::ToolsCall,
            ..
        }
    );
    let has_tasks = plan.stateless.as_ref().is_some_and(|known| known.has_tasks);
    is_call && (plan.wants_task || (exchange.revision().is_stateless() && has_tasks))
}
