//! What a request waits for, and what follows.

use weir_facts::ApprovalId;
use weir_mcp::message::client::ClientMethod;

use super::rung::Rung;
use super::*;
use crate::io::Decision;

impl McpFlow {
    /// Takes what the request waits for, if it is what `pick` is looking for.
    pub(super) fn waiting_for<T>(
        &mut self,
        pick: impl FnOnce(Waiting) -> Result<T, Box<Waiting>>,
    ) -> Option<(Box<Exchange>, T)> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Waiting(exchange, waiting) => match pick(*waiting) {
                Ok(found) => Some((exchange, found)),
                Err(other) => {
                    self.state = State::Waiting(exchange, other);
                    None
                }
            },
            other => {
                self.state = other;
                None
            }
        }
    }

    /// People decided, or nobody can be asked.
    pub(super) fn on_approval(
        &mut self,
        env: &mut Env<'_>,
        mut exchange: Box<Exchange>,
        mut asking: Asking,
        approval: ApprovalId,
        decision: Decision,
    ) {
        if matches!(decision, Decision::Unavailable) && asking.plan.poll.is_some() {
            return self.tell_pending(env, &exchange, asking);
        }
        if !matches!(decision, Decision::Unavailable) {
            if asking.is_another(approval) {
                return self.unknown_state(env, &exchange, asking);
            }
            if asking.is_another_task(approval) {
                return self.overtaken_task(env, &exchange, asking);
            }
            if asking.plan.wants_task && asking.plan.poll.is_none() {
                // Its client takes nothing but a task, and asks for what came of it.
                asking.approval = Some(approval);
                return self.begin_task(env, exchange, asking, approval);
            }
        }
        if asking.is_declined() {
            return self.declined(env, &exchange, asking);
        }
        if task::is_given_up(env, &asking.plan) {
            let inside = "its task was given up";
            return self.answer_held(env, &exchange, asking.plan, None, inside);
        }
        if !head::name_again(&mut self.desk, env, &mut exchange) {
            return self.unnamed(env, &exchange, asking.plan);
        }
        let decided = hold::decide(&self.desk, env, &exchange, asking, approval, decision);
        self.on_decided(env, exchange, decided);
    }

    /// People are asked, and have not decided.
    pub(super) fn on_opened(
        &mut self,
        env: &mut Env<'_>,
        request: ApprovalId,
        approval: ApprovalId,
    ) {
        let Some((exchange, mut asking)) = self.waiting_for(|waiting| match waiting {
            Waiting::Approval(asking) if asking.request == request => Ok(asking),
            other => Err(Box::new(other)),
        }) else {
            return;
        };
        asking.approval = Some(approval);
        let (is_another, is_another_task) = (
            asking.is_another(approval),
            asking.is_another_task(approval),
        );
        if is_another || is_another_task {
            // Nobody is to decide on what was asked for only now, and by mistake.
            let leaving = match approval == request {
                true => Leaving::Withdrawn,
                false => Leaving::ForNow,
            };
            hold::leave(&self.desk, env, &exchange, &asking, leaving);
        }
        if is_another {
            return self.unknown_state(env, &exchange, asking);
        }
        if is_another_task {
            return self.overtaken_task(env, &exchange, asking);
        }
        if asking.is_declined() {
            hold::leave(&self.desk, env, &exchange, &asking, Leaving::Withdrawn);
            return self.declined(env, &exchange, asking);
        }
        let poll = asking.plan.poll.as_ref().map(|poll| poll.ask.method);
        match (asking.rung, poll) {
            (Rung::Task, None) => return self.begin_task(env, exchange, asking, approval),
            (_, Some(ClientMethod::TasksResult)) => {}
            (_, Some(_)) => return self.tell_pending(env, &exchange, asking),
            (Rung::Result | Rung::Url | Rung::Input, None) => {}
        }
        if asking.rung.is_answered_at_once(&asking, approval) {
            return self.tell_pending(env, &exchange, asking);
        }
        self.state = State::Waiting(exchange, Box::new(Waiting::Approval(asking)));
    }

    /// The client brings back the name of an approval that was used, or is over.
    fn unknown_state(&mut self, env: &mut Env<'_>, exchange: &Exchange, asking: Asking) {
        let answers = match &asking.plan.what {
            What::Request { id, .. } => Some(refuse::unknown_state(id)),
            What::Notification | What::Answer | What::Http => None,
        };
        let inside = "a requestState of an approval that was used, or is over";
        self.answer_held(env, exchange, asking.plan, answers, inside);
    }

    /// What people were asked for a task was used, or is over.
    fn overtaken_task(&mut self, env: &mut Env<'_>, exchange: &Exchange, asking: Asking) {
        let text = "The approval of this task was used, or is over. Nothing was executed. \
                    Call again to ask anew.";
        let answers = hold::answer(exchange.revision(), &asking.plan, Some(text));
        let inside = "a task whose approval was used, or is over";
        self.answer_held(env, exchange, asking.plan, answers, inside);
    }

    /// The person at the client will not have the call.
    fn declined(&mut self, env: &mut Env<'_>, exchange: &Exchange, asking: Asking) {
        let text = "Declined at the client. Nothing was executed.";
        let answers = hold::answer(exchange.revision(), &asking.plan, Some(text));
        let inside = "declined at the client";
        self.answer_held(env, exchange, asking.plan, answers, inside);
    }

    pub(super) fn on_decided(
        &mut self,
        env: &mut Env<'_>,
        exchange: Box<Exchange>,
        decided: Decided,
    ) {
        match decided {
            Decided::Redeem(redeeming) => {
                self.state = State::Waiting(exchange, Box::new(Waiting::Redeem(*redeeming)));
            }
            Decided::Answer {
                plan,
                answers,
                inside,
            } => self.answer_held(env, &exchange, *plan, answers, &inside),
        }
    }

    pub(super) fn on_redeemed(&mut self, env: &mut Env<'_>, id: ApprovalId, granted: bool) {
        let Some((mut exchange, redeeming)) = self.waiting_for(|waiting| match waiting {
            Waiting::Redeem(redeeming) if redeeming.grant.approval == id => Ok(redeeming),
            other => Err(Box::new(other)),
        }) else {
            return;
        };
        if !granted {
            return self.unspent(env, &exchange, redeeming);
        }
        if task::is_given_up(env, &redeeming.plan) {
            let inside = "its task was given up";
            return self.answer_held(env, &exchange, redeeming.plan, None, inside);
        }
        if !head::name_again(&mut self.desk, env, &mut exchange) {
            return self.unnamed(env, &exchange, redeeming.plan);
        }
        let redeeming = match hold::overtaken(&self.desk, env, &exchange, redeeming) {
            Ok(redeeming) => redeeming,
            Err(decided) => return self.on_decided(env, exchange, *decided),
        };
        match hold::admit(&mut self.desk, env, &exchange, redeeming) {
            Ok(admitted) => self.go_on(env, exchange, admitted),
            Err(error) => self.unavailable(env, &exchange, &error.to_string()),
        }
    }

    /// Answers a call whose caller has lost its token while it waited.
    pub(super) fn unnamed(&mut self, env: &mut Env<'_>, exchange: &Exchange, plan: Plan) {
        let text = "The token of this call ended or was taken away while it waited for people. \
                    Nothing was executed. Call again with another token.";
        let answers = hold::answer(exchange.revision(), &plan, Some(text));
        self.answer_held(env, exchange, plan, answers, text);
    }

    pub(super) fn unspent(&mut self, env: &mut Env<'_>, exchange: &Exchange, redeeming: Redeeming) {
        let id = redeeming.grant.approval;
        let text = format!(
            "Approval {id} was used before, or can no longer be used. Call again to ask anew."
        );
        let answers = hold::answer(exchange.revision(), &redeeming.plan, Some(&text));
        let inside = "the approval was not there to be spent";
        self.answer_held(env, exchange, redeeming.plan, answers, inside);
    }

    /// Answers a call that waited for people and was not executed, or tells its task of it.
    pub(super) fn answer_held(
        &mut self,
        env: &mut Env<'_>,
        exchange: &Exchange,
        mut plan: Plan,
        answers: Option<Vec<u8>>,
        inside: &str,
    ) {
        self.keep_held(env, exchange, &plan, inside);
        if let Some(poll) = plan.poll.take() {
            return self.settle(env, exchange, poll, answers.as_deref());
        }
        self.reply_messages(env, exchange, 1, answers.into_iter().collect());
    }

    /// Records that a call which waited for people was not executed.
    fn keep_held(&self, env: &mut Env<'_>, exchange: &Exchange, plan: &Plan, inside: &str) {
        let told = Told {
            summary: &plan.summary,
            accesses: std::slice::from_ref(&plan.access),
            policies: &plan.judgement.policies,
            reason: inside,
            session: &exchange.session,
            ..Told::NOTHING
        };
        self.desk
            .context
            .keep_refusal(env, Some(&exchange.caller), told);
    }

    /// The client has closed the stream of a call that waits, which since 2026-07-28 cancels it
    /// (patterns, "Cancellation").
    pub(super) fn on_closed(&mut self, env: &mut Env<'_>) {
        if let Some((exchange, asking)) = self.waiting_for(|waiting| match waiting {
            Waiting::Approval(asking) if asking.plan.poll.is_none() => Ok(asking),
            other => Err(Box::new(other)),
        }) {
            hold::leave(&self.desk, env, &exchange, &asking, Leaving::Withdrawn);
        }
        self.leave(env);
    }

    /// The caller wants the call no more that it waits for.
    pub(super) fn on_cancelled(&mut self, env: &mut Env<'_>) {
        let Some((exchange, asking)) = self.waiting_for(|waiting| match waiting {
            Waiting::Approval(asking) => Ok(asking),
            other => Err(Box::new(other)),
        }) else {
            return;
        };
        hold::leave(&self.desk, env, &exchange, &asking, Leaving::Withdrawn);
        let text = "The call was cancelled. Nothing was executed.";
        let answers = hold::answer(exchange.revision(), &asking.plan, Some(text));
        self.reply_messages(env, &exchange, 1, answers.into_iter().collect());
    }

    /// Tells the client to come back. The request stays open: the same call, sent again, meets its
    /// decision.
    pub(super) fn tell_pending(&mut self, env: &mut Env<'_>, exchange: &Exchange, asking: Asking) {
        if asking.plan.poll.is_some() {
            if let Some(ask) = self.put_back(env, asking) {
                self.reply_task(env, exchange, &ask);
            }
            return;
        }
        let told = Leaving::Told(asking.rung);
        hold::leave(&self.desk, env, exchange, &asking, told);
        let answers = rung::pending(&self.desk, env, exchange, &asking);
        self.reply_messages(env, exchange, 1, answers.into_iter().collect());
    }

    /// Asks for a new connection to a server that has closed the one it had.
    pub(super) fn dial_again(
        &mut self,
        env: &mut Env<'_>,
        exchange: Box<Exchange>,
        admitted: Admitted,
    ) {
        env.out.effects.push(Effect::Dial {
            target: self.desk.context.target,
        });
        self.state = State::Waiting(exchange, Box::new(Waiting::Server(admitted)));
    }

    /// The server can be spoken to again.
    pub(super) fn on_server_back(&mut self, env: &mut Env<'_>) {
        let Some((exchange, admitted)) = self.waiting_for(|waiting| match waiting {
            Waiting::Server(admitted) => Ok(admitted),
            other => Err(Box::new(other)),
        }) else {
            return;
        };
        self.server_gone = false;
        self.server = Reader::new(u64::MAX);
        self.release(env, exchange, admitted);
    }

    /// The flow ends: a request for approval stays open for whoever comes back, and what was
    /// recorded and never sent is told so.
    pub(super) fn drop_waiting(&mut self, env: &mut Env<'_>, why: &str) {
        let Some((exchange, waiting)) = self.waiting_for(Ok) else {
            return;
        };
        match waiting {
            Waiting::Approval(asking) if asking.plan.poll.is_some() => {
                self.put_back(env, asking);
            }
            Waiting::Task(_) => {}
            Waiting::Approval(asking) => {
                hold::leave(&self.desk, env, &exchange, &asking, Leaving::ForNow);
            }
            Waiting::Durable { admitted, .. } | Waiting::Server(admitted) => {
                gate::abandon(&self.desk, env, &exchange, &admitted, why)
            }
            Waiting::Redeem(redeeming) => {
                let told = Told {
                    summary: &redeeming.plan.summary,
                    reason: why,
                    ..Told::NOTHING
                };
                self.desk
                    .context
                    .keep_refusal(env, Some(&exchange.caller), told);
            }
        }
    }
}
