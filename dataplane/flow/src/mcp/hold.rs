//! Calls that wait for people.
//!
//! ```text
//!   ask ─▶ Approval ─ approved ─▶ Redeem ─ granted ─▶ recorded and released
//!             │ denied, expired, unavailable      │ not granted
//!             │ deadline: "pending, retry"        │
//!             ▼                                   ▼
//!          answered as the tool's own error ──────┘
//! ```

use std::sync::Arc;

use weir_audit::Kind;
use weir_facts::{ApprovalId, Digest, Group, HoldTerms, Verdict};
use weir_mcp::message::client::ClientMethod;
use weir_mcp::message::{Id, Revision};
use weir_mcp::refuse;
use weir_policy::Judgement;

use super::context::{Told, sha256_of};
use super::exchange::{Exchange, Held, Plan, What};
use super::limits::REDEEM_NS;
use super::verdict::judge_approved;
use super::{Desk, gate};
use crate::io::{ApprovalRequest, Decision, Effect, Env};

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
    pub(crate) digest: Digest,
    pub(crate) deadline_ns: u64,
    pub(crate) plan: Plan,
    /// The body that would go on.
    pub(crate) body: Vec<u8>,
}

/// A call whose approval is being spent.
#[derive(Debug)]
pub(crate) struct Redeeming {
    pub(crate) grant: Grant,
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
    let digest = digest(desk, exchange, held);
    let effect = request_of(desk, exchange, &plan, held, terms, request, digest);
    let told = Told {
        summary: &plan.summary,
        accesses: std::slice::from_ref(&plan.access),
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
    let deadline_ns = env
        .now
        .mono_ns
        .saturating_add(env.world.settings.mcp_hold_ns);
    Some(Asking {
        request,
        digest,
        deadline_ns,
        plan,
        body,
    })
}

/// Binds an approval to who asks, where, and the call with its arguments. Not to flow or
/// session: the same call may be asked again on another one.
fn digest(desk: &Desk, exchange: &Exchange, held: &Held) -> Digest {
    let connection = desk.context.connection.name.as_str().as_bytes();
    sha256_of(&[
        b"weir.mcp.approval.1",
        &exchange.caller.key,
        connection,
        &held.canonical,
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
        flow: desk.context.id,
        connection: desk.context.connection.name.clone(),
        principal: exchange.caller.principal.clone(),
        source: desk.context.source,
        operation: String::from_utf8_lossy(&held.canonical).replacen('\0', " ", 1),
        accesses: vec![plan.access.clone()],
        terms: terms.clone(),
    }
}

/// What follows a decision.
pub(crate) enum Decided {
    Redeem(Redeeming),
    /// The call is answered with this message, and was not executed.
    Answer {
        plan: Plan,
        text: String,
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
    let answer = |plan: Plan, text: String| Decided::Answer {
        plan,
        inside: text.clone(),
        text,
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
                format!("Approval {approval} was denied: {reason}"),
            );
        }
        Decision::Expired => {
            return answer(
                asking.plan,
                format!("Approval {approval} expired. Call again to ask anew."),
            );
        }
        Decision::Unavailable => {
            let text = "This call needs approval, and nobody can be asked now. Try again later.";
            return answer(asking.plan, text.to_owned());
        }
    };
    let arguments = asking
        .plan
        .held
        .as_ref()
        .and_then(|held| held.arguments.as_ref());
    let accesses = std::slice::from_ref(&asking.plan.access);
    let judgement = judge_approved(
        &desk.context,
        env,
        &exchange.caller,
        accesses,
        arguments,
        &grant.groups,
    );
    match &judgement.verdict {
        Verdict::Allow => {
            env.out.effects.push(Effect::RedeemApproval {
                id: approval,
                digest: asking.digest,
            });
            let deadline_ns = env.now.mono_ns.saturating_add(REDEEM_NS);
            Decided::Redeem(Redeeming {
                grant,
                judgement,
                deadline_ns,
                plan: asking.plan,
                body: asking.body,
            })
        }
        Verdict::Hold(_) => {
            let text = format!(
                "Approval {approval} does not cover what policy asks for now. Call again to ask anew."
            );
            answer(asking.plan, text)
        }
        Verdict::Deny(denial) => Decided::Answer {
            text: format!("Denied by policy: {}", denial.outside),
            inside: denial.inside.to_string(),
            plan: asking.plan,
        },
    }
}

/// How a call that was not executed is answered: a tool's own error, which the model
/// reads; for anything else a JSON-RPC error.
pub(crate) fn answer(revision: Revision, plan: &Plan, text: &str) -> Option<Vec<u8>> {
    let What::Request { id, method, .. } = &plan.what else {
        return None;
    };
    Some(refused(revision, id, *method, text))
}

fn refused(revision: Revision, id: &Id, method: ClientMethod, text: &str) -> Vec<u8> {
    if method == ClientMethod::ToolsCall {
        refuse::tool_error(revision, id, text)
    } else {
        refuse::withheld(revision, Some(id), text)
    }
}

/// How a call is answered that still waits when its client no longer can.
pub(crate) fn pending(revision: Revision, asking: &Asking) -> Option<Vec<u8>> {
    let What::Request { id, method, .. } = &asking.plan.what else {
        return None;
    };
    let reason = match &asking.plan.judgement.verdict {
        Verdict::Hold(terms) => terms.reason.to_string(),
        Verdict::Allow | Verdict::Deny(_) => String::new(),
    };
    if *method == ClientMethod::ToolsCall {
        return Some(refuse::pending(revision, id, asking.request, &reason));
    }
    let text = format!(
        "Approval pending, id {} ({reason}). Retry the same request once it is approved.",
        asking.request
    );
    Some(refused(revision, id, *method, &text))
}

/// Records that nobody waits for an approval any more, and tells the control plane.
pub(crate) fn withdraw(desk: &Desk, env: &mut Env<'_>, exchange: &Exchange, asking: &Asking) {
    env.out
        .effects
        .push(Effect::WithdrawApproval(asking.request));
    let told = Told {
        summary: &asking.plan.summary,
        session: &exchange.session,
        approval: Some(asking.request),
        outcome: "withdrawn",
        ..Told::NOTHING
    };
    // The flow ends whether or not this was kept; the request itself was recorded.
    let _ = desk
        .context
        .keep(env, Kind::Approval, None, Some(&exchange.caller), told);
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
