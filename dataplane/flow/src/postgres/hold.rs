//! Operations that wait for people.
//!
//! ```text
//!   ask ─▶ Approval ─ approved ─▶ Redeem ─ granted ─▶ recorded and released
//!             │ denied, expired, unavailable,   │ not granted
//!             │ cancelled, deadline             │
//!             ▼                                 ▼
//!          refused                           refused
//! ```

use std::sync::Arc;

use bytes::Bytes;
use weir_facts::{Access, ApprovalId, Digest, HoldTerms, Verdict};
use weir_policy::Judgement;
use weir_postgres::frame::{ClientTag, Tag};
use weir_postgres::message::{self, MessageError, TransactionStatus};
use weir_postgres::refuse::SqlState;

use super::client::{Act, sha256};
use super::context::Ending;
use super::desk::{Deferred, Desk, Grant, Trouble, Waiting};
use super::end::End;
use super::extended::bound_digest;
use super::notice;
use super::plan::{self, Plan};
use super::refusal::Refusal;
use super::shown;
use super::stop::{Stop, indirect, unsettled};
use crate::io::{ApprovalRequest, Decision, Effect, Env, Piece, ServerCancel};

/// How long the control plane may take to say whether an approval was spent. Two flows that
/// spend the same one may get one answer between them.
pub(crate) const REDEEM_NS: u64 = 10_000_000_000;

impl Desk {
    /// Asks people for an operation. Where it may wait, nothing is taken from the client until
    /// they have decided; where it may not, it is refused with the approval's name.
    pub(crate) fn ask(
        &mut self,
        env: &mut Env<'_>,
        plan: &Arc<Plan>,
        act: Deferred,
        may_wait: bool,
    ) -> Result<Act, Stop> {
        let Some(terms) = plan::hold_terms(&plan.judgement).cloned() else {
            return Err(indirect().into());
        };
        let mut random = [0; 16];
        (env.random)(&mut random);
        let request = ApprovalId(u128::from_be_bytes(random));
        let digest = self.approval_digest(plan, &act)?;
        let quiet = self.session.is_quiet() && self.session.status() == TransactionStatus::Idle;
        env.out
            .effects
            .push(self.request(request, digest, (plan, &act), &terms));
        if !(may_wait && quiet) || self.has_left {
            return Err(Refusal::unapproved(
                "this needs approval, and cannot wait inside a transaction or pipeline",
                request,
            )
            .into());
        }
        let asked = format!(
            "weir: held for approval by {} ({}); approval {request}",
            groups(&terms),
            terms.reason
        );
        env.out
            .to_client
            .push(Piece::Bytes(notice::notice(&asked).into()));
        let deadline_ns = env
            .now
            .mono_ns
            .saturating_add(env.world.settings.postgres_hold_ns);
        self.waiting = Some(Waiting::Approval {
            request,
            digest,
            plan: plan.clone(),
            act,
            deadline_ns,
        });
        Ok(Act::Done)
    }

    fn request(
        &self,
        id: ApprovalId,
        digest: Digest,
        (plan, act): (&Plan, &Deferred),
        terms: &HoldTerms,
    ) -> Effect {
        let operation = match act {
            Deferred::Query { .. } => plan.text.to_string(),
            Deferred::Execute { stash, .. } => {
                let types = self.types_of(stash);
                shown::operation(&plan.text, types.as_deref().unwrap_or_default(), stash)
            }
        };
        Effect::RequestApproval(Box::new(ApprovalRequest {
            id,
            digest,
            cancel: None,
            definition: None,
            flow: self.context.id,
            connection: self.context.connection.name.clone(),
            principal: self.context.principal.clone(),
            source: self.context.source,
            operation,
            accesses: plan.accesses.iter().map(Access::clone).collect(),
            terms: terms.clone(),
        }))
    }

    /// Binds an approval to who asks, where, and the text with its parameters: their types as
    /// Parse gave them, formats and values. Not to the flow: the same operation may be asked again
    /// on another one.
    fn approval_digest(&self, plan: &Plan, act: &Deferred) -> Result<Digest, MessageError> {
        let bound = match act {
            Deferred::Query { .. } => None,
            Deferred::Execute { stash, frame } => self.deferred_bind(plan, stash, frame)?,
        };
        Ok(self.digest_of(b"weir.postgres.approval.2", plan, bound))
    }

    /// Names an operation of this principal, whatever the flow.
    pub(crate) fn digest_of(&self, what: &[u8], plan: &Plan, bound: Option<Digest>) -> Digest {
        let principal = format!("{:?}", ApprovalSubject::of(&self.context.principal));
        let bound = bound.as_ref().map_or(&[][..], |digest| &digest.0);
        sha256(&[
            what,
            principal.as_bytes(),
            self.context.connection.name.as_str().as_bytes(),
            self.context.database.as_bytes(),
            self.context.role.as_bytes(),
            plan.text.as_bytes(),
            bound,
        ])
    }

    /// What an Execute is bound to: by the Bind that was kept back with it, or by an earlier one.
    fn deferred_bind(
        &self,
        plan: &Plan,
        stash: &[Bytes],
        execute: &[u8],
    ) -> Result<Option<Digest>, MessageError> {
        let is_bind = |frame: &&Bytes| frame.first() == Some(&ClientTag::Bind.byte());
        if let Some(bind) = stash.iter().find(is_bind) {
            let types = self.types_of(stash);
            let types = types.as_deref().unwrap_or_default();
            return Ok(Some(bound_digest(plan, types, bind)));
        }
        let body = execute
            .get(weir_postgres::frame::HEADER_BYTES..)
            .unwrap_or_default();
        let portal = message::Execute::parse(body)?.portal;
        Ok(self.binds.get(portal).map(|bound| bound.digest))
    }

    /// People decided.
    pub(crate) fn on_decision(
        &mut self,
        env: &mut Env<'_>,
        about: ApprovalId,
        approval: ApprovalId,
        decision: Decision,
    ) -> Result<(), End> {
        if self.on_bulk_decision(env, about, approval, &decision)? {
            return Ok(());
        }
        // A decision can come late: whatever else is waited for stays.
        let (digest, plan, act) = match self.waiting.take() {
            Some(Waiting::Approval {
                request,
                digest,
                plan,
                act,
                ..
            }) if request == about => (digest, plan, act),
            other => {
                self.waiting = other;
                return Ok(());
            }
        };
        match decision {
            Decision::Approved { approvers, groups } => {
                let grant = Grant {
                    approval,
                    approvers,
                    groups,
                };
                self.redeem(env, digest, &plan, act, grant)
            }
            Decision::Denied { reason } => {
                self.refuse_deferred(
                    env,
                    &act,
                    &Refusal::new(
                        SqlState::INSUFFICIENT_PRIVILEGE,
                        &format!("weir: approval {approval} was denied: {reason}"),
                    ),
                );
                Ok(())
            }
            Decision::Expired => {
                self.refuse_deferred(
                    env,
                    &act,
                    &Refusal::new(
                        SqlState::INSUFFICIENT_PRIVILEGE,
                        &format!("weir: approval {approval} expired"),
                    ),
                );
                Ok(())
            }
            Decision::Unavailable => {
                let refusal = Refusal::new(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    "weir: this needs approval, and nobody can be asked now",
                )
                .hint("the control plane cannot be reached; try again later");
                self.refuse_deferred(env, &act, &refusal);
                Ok(())
            }
        }
    }

    /// Judges again, with what people gave, before it is spent.
    fn redeem(
        &mut self,
        env: &mut Env<'_>,
        digest: Digest,
        plan: &Arc<Plan>,
        act: Deferred,
        grant: Grant,
    ) -> Result<(), End> {
        if let Err(refusal) = self.judge_again(env, plan, &act, &grant) {
            self.refuse_deferred(env, &act, &refusal);
            return Ok(());
        }
        env.out.effects.push(Effect::RedeemApproval {
            id: grant.approval,
            digest,
        });
        self.waiting = Some(Waiting::Redeem {
            grant,
            plan: plan.clone(),
            act,
            deadline_ns: env.now.mono_ns.saturating_add(REDEEM_NS),
        });
        Ok(())
    }

    /// Judges an operation by the world of this moment, with what people gave.
    fn judge_again(
        &mut self,
        env: &mut Env<'_>,
        plan: &Plan,
        act: &Deferred,
        grant: &Grant,
    ) -> Result<(Arc<Plan>, Judgement), Refusal> {
        let fresh = match self.plan(env, &plan.text) {
            Ok(fresh) => fresh,
            Err(Trouble::Refused(refusal)) => return Err(*refusal),
            // What was approved may mean something else now.
            Err(Trouble::Wait | Trouble::End(_)) => return Err(unsettled()),
        };
        if let Deferred::Query { statements, .. } = act {
            match self.check_behind(env, statements) {
                Ok(_) => {}
                Err(Stop::Refused(refusal)) => return Err(*refusal),
                Err(Stop::Wait | Stop::End(_)) => return Err(unsettled()),
            }
        }
        let judgement = fresh.judge_approved(&self.question(env), &grant.groups);
        match &judgement.verdict {
            Verdict::Allow => Ok((fresh, judgement)),
            Verdict::Hold(_) => Err(Refusal::unapproved(
                "the approval does not cover what policy asks for now",
                grant.approval,
            )),
            Verdict::Deny(denial) => Err(Refusal::denied(denial, &judgement)),
        }
    }

    /// The approval was spent for us, or was not there.
    pub(crate) fn on_redeemed(
        &mut self,
        env: &mut Env<'_>,
        id: ApprovalId,
        granted: bool,
    ) -> Result<(), End> {
        if self.on_bulk_redeemed(env, id, granted)? {
            return Ok(());
        }
        let (grant, plan, act) = match self.waiting.take() {
            Some(Waiting::Redeem {
                grant, plan, act, ..
            }) if grant.approval == id => (grant, plan, act),
            other => {
                self.waiting = other;
                return Ok(());
            }
        };
        if !granted {
            let refusal = Refusal::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                &format!("weir: approval {id} was used before, or can no longer be used"),
            );
            self.refuse_deferred(env, &act, &refusal);
            return Ok(());
        }
        // The world may have changed while it was spent.
        match self.judge_again(env, &plan, &act, &grant) {
            Ok((plan, judgement)) => self.run_deferred(env, act, &plan, &judgement, &grant),
            Err(refusal) => {
                self.refuse_deferred(env, &act, &refusal);
                Ok(())
            }
        }
    }

    /// The client asks to cancel. What waits for people is withdrawn; what runs is the server's to
    /// cancel, by what is returned.
    pub(crate) fn on_cancel(&mut self, env: &mut Env<'_>) -> Result<Option<ServerCancel>, End> {
        if self.cancel_paused(env)? {
            return Ok(None);
        }
        match self.waiting.take() {
            Some(Waiting::Approval { request, act, .. }) => {
                env.out.effects.push(Effect::WithdrawApproval(request));
                let refusal = Refusal::new(
                    SqlState::QUERY_CANCELED,
                    "canceling statement due to user request",
                );
                self.refuse_deferred(env, &act, &refusal);
                Ok(None)
            }
            other => {
                self.waiting = other;
                Ok(self.server_cancel())
            }
        }
    }

    /// The CancelRequest that ends what the server runs for this session.
    pub(crate) fn server_cancel(&self) -> Option<ServerCancel> {
        let request = self.cancel.clone()?;
        let target = self.context.target;
        Some(ServerCancel { target, request })
    }

    /// Nobody decided while the client could wait: the request stays open. Or nobody said whether
    /// the approval was spent.
    pub(crate) fn on_deadline(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        self.on_bulk_deadline(env)?;
        let now = env.now.mono_ns;
        match self.waiting.take() {
            Some(Waiting::Approval {
                request,
                act,
                deadline_ns,
                ..
            }) if deadline_ns <= now => {
                self.refuse_deferred(
                    env,
                    &act,
                    &Refusal::unapproved("nobody has decided yet", request),
                );
            }
            Some(Waiting::Redeem {
                grant,
                act,
                deadline_ns,
                ..
            }) if deadline_ns <= now => {
                let why = "it could not be learned whether the approval can still be used";
                self.refuse_deferred(env, &act, &Refusal::unapproved(why, grant.approval));
            }
            other => self.waiting = other,
        }
        Ok(())
    }

    /// The client sends no more, and waits for nobody: what people are asked for is given up, so that
    /// the rest of what it sent can be dealt with.
    pub(crate) fn on_client_left(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        self.has_left = true;
        if self.paused.is_some() || matches!(self.waiting, Some(Waiting::Approval { .. })) {
            let _ = self.on_cancel(env)?;
        }
        Ok(())
    }

    /// The client went away, or the session is ended: nobody waits any more.
    pub(crate) fn withdraw(&mut self, env: &mut Env<'_>) {
        self.withdraw_paused(env);
        match self.waiting.take() {
            Some(Waiting::Approval { request, .. }) => {
                env.out.effects.push(Effect::WithdrawApproval(request));
            }
            Some(Waiting::Durable { operation, .. }) => {
                let ending = Ending {
                    outcome: "not sent",
                    ..Default::default()
                };
                // The flow ends whether or not this was kept.
                let _ = self.context.keep_outcome(env, operation, ending);
            }
            Some(Waiting::Catalog | Waiting::Redeem { .. }) | None => {}
        }
    }

    pub(crate) fn refuse_deferred(&mut self, env: &mut Env<'_>, act: &Deferred, refusal: &Refusal) {
        let (tag, frame): (ClientTag, &Bytes) = match act {
            Deferred::Query { frame, .. } => (ClientTag::Query, frame),
            Deferred::Execute { frame, .. } => (ClientTag::Execute, frame),
        };
        let frame = frame.clone();
        self.refuse(env, tag, &frame, refusal);
    }
}

fn groups(terms: &HoldTerms) -> String {
    terms
        .approvers
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" and ")
}

/// The parts of a principal that an approval is bound to: not the process, which may be
/// another one when the operation is asked again.
#[derive(Debug)]
#[expect(dead_code, reason = "read through Debug, which names each field")]
struct ApprovalSubject<'a> {
    workload: Option<(&'a str, u32)>,
    identity: Option<(&'a str, &'a str)>,
    agent: Option<&'a str>,
}

impl<'a> ApprovalSubject<'a> {
    fn of(principal: &'a weir_facts::Principal) -> Self {
        Self {
            workload: principal
                .workload
                .as_ref()
                .map(|workload| (&*workload.name, workload.uid)),
            identity: principal
                .identity
                .as_ref()
                .map(|identity| (&*identity.issuer, &*identity.subject)),
            agent: principal.agent.as_ref().map(|agent| &*agent.name),
        }
    }
}
