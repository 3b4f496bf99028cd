//! Calls that wait for people.
//!
//! ```text
//!   ask ─▶ Approval ─ approved ─▶ Redeem ─ granted ─▶ recorded and released
//!             │ denied, expired, unavailable      │ not granted
//!             │ deadline: the client's rung       │
//!             ▼                                   ▼
//!          answered as the tool's own error ──────┘
//! ```
//!
//! A client that leaves has not cancelled (2025-11-25, transports): its request stays open, and
//! the same call, sent again, meets what was decided. Only `notifications/cancelled` withdraws it.
//! Since 2026-07-28 a client that closes the stream has cancelled.

use std::sync::Arc;

use weir_audit::Kind;
use weir_facts::{Access, ApprovalId, Digest, Group, HoldTerms, Resource, Verdict};
use weir_mcp::message::client::ClientMethod;
use weir_mcp::message::{Id, Revision};
use weir_mcp::refuse;
use weir_policy::{Judgement, Value};
use zeroize::Zeroizing;

use super::context::{Told, sha256_of};
use super::exchange::{Exchange, Held, Plan, What};
use super::limits::{BEAT_NS, HOLD_NS_MAX, REDEEM_NS, TASK_ASK_NS};
use super::rung::Rung;
use super::task::{Parked, Poll};
use super::verdict::judge_approved;
use super::{Desk, authorization, gate, pins, pulse};
use crate::io::{ApprovalRequest, Decision, Effect, Env};
use crate::tools::Standing;

/// What people gave.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) approval: ApprovalId,
    pub(crate) approvers: Vec<Arc<str>>,
    pub(crate) groups: Vec<Group>,
}

/// A call that people are asked about.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) request: ApprovalId,
    /// By which name people see it, once that is known.
    pub(crate) approval: Option<ApprovalId>,
    /// How the client is answered if nobody decides in time.
    pub(crate) rung: Rung,
    pub(crate) digest: Digest,
    pub(crate) deadline_ns: u64,
    /// When the client is told next that its call still waits.
    pub(crate) beat_ns: u64,
    /// How often it was.
    pub(crate) beats: u32,
    pub(crate) plan: Plan,
    /// The body that would go on.
    pub(crate) body: Vec<u8>,
}

impl Asking {
    /// By which name people see it, as far as that is known.
    pub(crate) fn name(&self) -> ApprovalId {
        self.approval.unwrap_or(self.request)
    }

    /// Which approval the client was told to come back for, if it brings that back.
    pub(crate) fn brought(&self) -> Option<ApprovalId> {
        let state = self.plan.stateless.as_ref()?.own_state.as_ref()?;
        ApprovalId::parse(state)
    }

    /// Whether the client comes back for another approval than this: that one was used, or is
    /// over.
    pub(crate) fn is_another(&self, approval: ApprovalId) -> bool {
        self.brought().is_some_and(|brought| brought != approval)
    }

    /// Whether a task's call is approved under another name than the task has: what people were
    /// asked then was used, or is over.
    pub(crate) fn is_another_task(&self, approval: ApprovalId) -> bool {
        let poll = self.plan.poll.as_ref();
        poll.is_some_and(|poll| poll.ask.key.approval != approval)
    }

    /// What is kept of it as a task, and the request that it was on its way for.
    pub(crate) fn into_parked(mut self) -> (Option<Poll>, Parked) {
        let poll = self.plan.poll.take();
        if let Some(known) = &mut self.plan.stateless {
            // Its server gets no task to make.
            known.has_tasks = false;
        }
        let parked = Parked {
            plan: self.plan,
            body: self.body,
            digest: self.digest,
        };
        (poll, parked)
    }

    /// Whether the person at the client will not have it.
    pub(crate) fn is_declined(&self) -> bool {
        let known = self.plan.stateless.as_ref();
        known.is_some_and(|known| known.is_declined)
    }
}

/// A call whose approval is being spent.
#[derive(Debug)]
pub(crate) struct Redeeming {
    pub(crate) grant: Grant,
    pub(crate) digest: Digest,
    pub(crate) judgement: Judgement,
    /// When it is no longer waited for.
    pub(crate) deadline_ns: u64,
    pub(crate) plan: Plan,
    pub(crate) body: Vec<u8>,
}

/// Asks people for a call. `None` where the plan is not one that can wait.
pub(crate) fn ask(
    desk: &Desk,
    env: &mut Env<'_>,
    exchange: &Exchange,
    plan: Plan,
    body: Vec<u8>,
) -> Option<Asking> {
    let Verdict::Hold(terms) = &plan.judgement.verdict else {
        return None;
    };
    let held = plan.held.as_ref()?;
    let mut random = [0; 16];
    (env.random)(&mut random);
    let request = ApprovalId(u128::from_be_bytes(random));
    let (digest, definition) = bound(desk, env, exchange, &plan)?;
    let effect = ApprovalRequest {
        definition,
        ..request_of(desk, exchange, &plan, held, terms, request, digest)
    };
    let told = Told {
        summary: &plan.summary,
        accesses: &plan.accesses(),
        verdict: "hold",
        policies: &plan.judgement.policies,
        reason: &terms.reason,
        session: &exchange.session,
        bytes: &body,
        approval: Some(request),
        outcome: "requested",
        ..Told::NOTHING
    };
    let kept = desk
        .context
        .keep(env, Kind::Approval, None, Some(&exchange.caller), told);
    // What is not recorded does not happen: nobody is asked.
    let _ = kept.ok()?;
    env.out
        .effects
        .push(Effect::RequestApproval(Box::new(effect)));
    let hold_ns = env.world.settings.mcp_hold_ns.min(HOLD_NS_MAX);
    Some(Asking {
        request,
        approval: None,
        rung: Rung::of(env, exchange, &plan),
        digest,
        deadline_ns: env.now.mono_ns.saturating_add(hold_ns),
        beat_ns: env.now.mono_ns.saturating_add(BEAT_NS),
        beats: 0,
        plan,
        body,
    })
}

/// Asks once more for the call of a task, for a request about that task. That people are asked was
/// recorded when it was made.
pub(crate) fn ask_again(
    desk: &Desk,
    env: &mut Env<'_>,
    exchange: &Exchange,
    parked: Parked,
    poll: Poll,
) -> Option<Asking> {
    let Parked { plan, body, digest } = parked;
    let patience_ns = if poll.ask.method == ClientMethod::TasksResult {
        env.world.settings.mcp_hold_ns.min(HOLD_NS_MAX)
    } else {
        TASK_ASK_NS
    };
    let plan = Plan {
        poll: Some(poll),
        ..plan
    };
    let (Verdict::Hold(terms), Some(held)) = (&plan.judgement.verdict, &plan.held) else {
        return None;
    };
    let mut random = [0; 16];
    (env.random)(&mut random);
    let request = ApprovalId(u128::from_be_bytes(random));
    let definition = bound(desk, env, exchange, &plan).and_then(|(_, definition)| definition);
    let effect = ApprovalRequest {
        definition,
        cancel: None,
        ..request_of(desk, exchange, &plan, held, terms, request, digest)
    };
    env.out
        .effects
        .push(Effect::RequestApproval(Box::new(effect)));
    Some(Asking {
        request,
        approval: None,
        rung: Rung::Task,
        digest,
        deadline_ns: env.now.mono_ns.saturating_add(patience_ns),
        beat_ns: env.now.mono_ns.saturating_add(BEAT_NS),
        beats: 0,
        plan,
        body,
    })
}

/// Binds an approval to who asks, where, the call with all that goes on but what names the attempt,
/// what the tool was said to be, and the policy. Where only the server can tell whose the token is, to the token,
/// too. Not to flow or session: the same call may be asked again on another one. With it the tool's
/// definition. `None` for a tool that nobody may use by now.
fn bound(
    desk: &Desk,
    env: &Env<'_>,
    exchange: &Exchange,
    plan: &Plan,
) -> Option<(Digest, Option<Digest>)> {
    let held = plan.held.as_ref()?;
    let definition = match &plan.access.resource {
        Resource::Tool(name) => match pins::standing(&desk.context, env, name) {
            Standing::Trusted(definition) => definition,
            Standing::Quarantined(_) => return None,
        },
        Resource::Connection
        | Resource::Table(_)
        | Resource::Column(_)
        | Resource::Function(_)
        | Resource::Parameter(_)
        | Resource::Prompt(_)
        | Resource::McpResource(_)
        | Resource::DataClass(_) => None,
    };
    let token = unknown_token(desk, exchange);
    let digest = sha256_of(&[
        b"weir.mcp.approval.4",
        exchange.head.target.as_bytes(),
        token.as_ref().map_or(&[], |token| token.as_bytes()),
        held.state.as_deref().unwrap_or_default().as_bytes(),
        &exchange.caller.key,
        desk.context.connection.name.as_str().as_bytes(),
        // It begins what follows, and ends where its own length says.
        plan.subject().as_bytes(),
        &held.canonical,
        &held.envelope,
        definition.as_ref().map_or(&[], |digest| &digest.0),
        env.world.bundle.as_bytes(),
    ]);
    Some((digest, definition))
}

/// The token of a caller of which only the server can tell who it is.
pub(crate) fn unknown_token(desk: &Desk, exchange: &Exchange) -> Option<Zeroizing<String>> {
    let nameless = exchange.caller.principal.identity.is_none();
    authorization::onward(&desk.context, &exchange.head).filter(|_| nameless)
}

/// What people approve must still be what would run.
fn is_still(
    desk: &Desk,
    env: &Env<'_>,
    exchange: &Exchange,
    plan: &Plan,
    digest: &Digest,
) -> Result<(), Overtaken> {
    match bound(desk, env, exchange, plan) {
        Some((now, _)) if now == *digest => Ok(()),
        Some(_) => Err(Overtaken::Changed),
        None => Err(Overtaken::Quarantined),
    }
}

/// Why an approval is not for what would run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overtaken {
    Changed,
    Quarantined,
}

impl Overtaken {
    fn answer(self, revision: Revision, plan: Plan, approval: ApprovalId) -> Decided {
        let text = format!(
            "Approval {approval} was asked for before the policy or the tool's definition changed. \
             Nothing was executed. Call again to ask anew."
        );
        let (told, inside) = match self {
            Self::Changed => (Some(text.clone()), text),
            Self::Quarantined => (
                None,
                "the tool was quarantined while its call waited".to_owned(),
            ),
        };
        Decided::Answer {
            answers: answer(revision, &plan, told.as_deref()),
            inside,
            plan: Box::new(plan),
        }
    }
}

/// By what a caller names a request of its own that waits.
pub(crate) fn cancel_key(desk: &Desk, exchange: &Exchange, id: &Id) -> Digest {
    sha256_of(&[
        b"weir.mcp.cancel.1",
        &exchange.caller.key,
        desk.context.connection.name.as_str().as_bytes(),
        exchange.session.as_bytes(),
        id.raw(),
    ])
}

fn request_of(
    desk: &Desk,
    exchange: &Exchange,
    plan: &Plan,
    held: &Held,
    terms: &HoldTerms,
    id: ApprovalId,
    digest: Digest,
) -> ApprovalRequest {
    ApprovalRequest {
        id,
        digest,
        cancel: match &plan.what {
            What::Request { id, .. } => Some(cancel_key(desk, exchange, id)),
            What::Notification | What::Answer | What::Http => None,
        },
        definition: None,
        flow: desk.context.id,
        connection: desk.context.connection.name.clone(),
        principal: exchange.caller.principal.clone(),
        source: desk.context.source,
        operation: String::from_utf8_lossy(&held.canonical).replace('\0', " "),
        accesses: plan.accesses().into_owned(),
        terms: terms.clone(),
    }
}

/// What follows a decision.
pub(crate) enum Decided {
    Redeem(Box<Redeeming>),
    /// The call is answered with this, and was not executed.
    Answer {
        plan: Box<Plan>,
        answers: Option<Vec<u8>>,
        inside: String,
    },
}

/// People decided: judges again, with what they gave, before it is spent.
pub(crate) fn decide(
    desk: &Desk,
    env: &mut Env<'_>,
    exchange: &Exchange,
    asking: Asking,
    approval: ApprovalId,
    decision: Decision,
) -> Decided {
    let revision = exchange.revision();
    let answer = |plan: Plan, text: String| Decided::Answer {
        answers: answer(revision, &plan, Some(&text)),
        plan: Box::new(plan),
        inside: text,
    };
    let grant = match decision {
        Decision::Approved { approvers, groups } => Grant {
            approval,
            approvers,
            groups,
        },
        Decision::Denied { reason } => {
            return answer(
                asking.plan,
                format!("Approval {approval} was denied: {reason}. Nothing was executed."),
            );
        }
        Decision::Expired => {
            return answer(
                asking.plan,
                format!(
                    "Approval {approval} expired. Nothing was executed. Call again to ask anew."
                ),
            );
        }
        Decision::Unavailable => {
            let text = "This call needs approval, and nobody can be asked now. Try again later.";
            return answer(asking.plan, text.to_owned());
        }
    };
    if let Err(overtaken) = is_still(desk, env, exchange, &asking.plan, &asking.digest) {
        return overtaken.answer(revision, asking.plan, approval);
    }
    let judgement = judge_again(desk, env, exchange, &asking.plan, &grant.groups);
    match &judgement.verdict {
        Verdict::Allow => {
            env.out.effects.push(Effect::RedeemApproval {
                id: approval,
                digest: asking.digest,
            });
            let deadline_ns = env.now.mono_ns.saturating_add(REDEEM_NS);
            Decided::Redeem(Box::new(Redeeming {
                digest: asking.digest,
                grant,
                judgement,
                deadline_ns,
                plan: asking.plan,
                body: asking.body,
            }))
        }
        Verdict::Hold(_) => {
            let text = format!(
                "Approval {approval} does not cover what policy asks for now. Call again to ask anew."
            );
            answer(asking.plan, text)
        }
        Verdict::Deny(denial) => {
            let text = format!("Denied by policy: {}", denial.outside);
            Decided::Answer {
                answers: self::answer(revision, &asking.plan, Some(&text)),
                inside: denial.inside.to_string(),
                plan: Box::new(asking.plan),
            }
        }
    }
}

/// What policy says of a call with what people gave, and of the answers that it brings.
fn judge_again(
    desk: &Desk,
    env: &Env<'_>,
    exchange: &Exchange,
    plan: &Plan,
    groups: &[Group],
) -> Judgement {
    let judge = |access: &Access, arguments: &[Value]| {
        let accesses = std::slice::from_ref(access);
        let (context, caller) = (&desk.context, &exchange.caller);
        judge_approved(context, env, caller, accesses, arguments, groups)
    };
    let held = plan.held.as_ref();
    let call = judge(
        &plan.access,
        held.map_or(&[], |held| held.arguments.as_slice()),
    );
    let inputs = held.iter().flat_map(|held| &held.inputs);
    let inputs = inputs.map(|(access, answer)| judge(access, std::slice::from_ref(answer)));
    Judgement::all(std::iter::once(call).chain(inputs))
}

/// How a call that was not executed is answered: a tool's own error, which the model
/// reads; for anything else a JSON-RPC error. Without a text, as if the tool were not there.
pub(crate) fn answer(revision: Revision, plan: &Plan, text: Option<&str>) -> Option<Vec<u8>> {
    let What::Request { id, method, .. } = &plan.what else {
        return None;
    };
    Some(match text {
        Some(text) => refused(revision, id, *method, text),
        None => refuse::unknown_tool(revision, id, plan.subject()),
    })
}

pub(crate) fn refused(revision: Revision, id: &Id, method: ClientMethod, text: &str) -> Vec<u8> {
    if method == ClientMethod::ToolsCall {
        refuse::tool_error(revision, id, text)
    } else {
        refuse::withheld(revision, Some(id), text)
    }
}

/// Tells the client that its call still waits.
pub(crate) fn beat(env: &mut Env<'_>, exchange: &mut Exchange, asking: &mut Asking, closes: bool) {
    asking.beats = asking.beats.saturating_add(1);
    asking.beat_ns = env.now.mono_ns.saturating_add(BEAT_NS);
    let progress = match &asking.plan.what {
        What::Request {
            progress: Some(token),
            ..
        } => Some((token, asking.beats)),
        What::Request { progress: None, .. } | What::Notification | What::Answer | What::Http => {
            None
        }
    };
    match &exchange.endpoint {
        Some(session) => pulse::beat_on_stream(env, session, progress),
        None => pulse::beat(env, exchange, closes, progress),
    }
}

/// Why nobody waits for an approval any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// The caller does not want the call any more.
    Withdrawn,
    /// The caller has left, and may come back.
    ForNow,
    /// The caller was told to come back, in this form.
    Told(Rung),
}

/// Records that nobody waits for an approval any more, and tells the control plane if that ends it.
pub(crate) fn leave(
    desk: &Desk,
    env: &mut Env<'_>,
    exchange: &Exchange,
    asking: &Asking,
    leaving: Leaving,
) {
    let (outcome, reason) = match leaving {
        Leaving::Withdrawn => ("withdrawn", ""),
        Leaving::ForNow => ("left open", ""),
        Leaving::Told(rung) => ("left open", rung.told()),
    };
    env.out.effects.push(match leaving {
        Leaving::Withdrawn => Effect::WithdrawApproval(asking.request),
        Leaving::ForNow | Leaving::Told(_) => Effect::LeaveApproval(asking.request),
    });
    let told = Told {
        summary: &asking.plan.summary,
        session: &exchange.session,
        approval: Some(asking.name()),
        reason,
        outcome,
        ..Told::NOTHING
    };
    // The flow ends whether or not this was kept; the request itself was recorded.
    let _ = desk
        .context
        .keep(env, Kind::Approval, None, Some(&exchange.caller), told);
}

/// Whether a call whose approval was spent is still the one that people approved; else the answer.
pub(crate) fn overtaken(
    desk: &Desk,
    env: &Env<'_>,
    exchange: &Exchange,
    redeeming: Redeeming,
) -> Result<Redeeming, Box<Decided>> {
    match is_still(desk, env, exchange, &redeeming.plan, &redeeming.digest) {
        Ok(()) => Ok(redeeming),
        Err(overtaken) => {
            let approval = redeeming.grant.approval;
            let decided = overtaken.answer(exchange.revision(), redeeming.plan, approval);
            Err(Box::new(decided))
        }
    }
}

/// Admits a call whose approval was spent.
pub(crate) fn admit(
    desk: &mut Desk,
    env: &mut Env<'_>,
    exchange: &Exchange,
    redeeming: Redeeming,
) -> Result<gate::Admitted, gate::Unrecorded> {
    let Redeeming {
        grant,
        judgement,
        plan,
        body,
        ..
    } = redeeming;
    let plan = Plan { judgement, ..plan };
    gate::admit(desk, env, exchange, vec![plan], body, Some(&grant))
}
