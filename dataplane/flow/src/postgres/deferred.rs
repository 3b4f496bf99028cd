//! Operations that were kept back, sent once people have agreed or their record is durable.

use std::sync::Arc;

use weir_policy::Judgement;
use weir_postgres::frame::ClientTag;
use weir_postgres::message::{self};
use weir_postgres::session::Name;

use super::client::{Asked, sha256};
use super::desk::{Allowance, Deferred, Desk, Grant};
use super::end::End;
use super::matching::Matching;
use super::plan::Plan;
use super::stop::{Stop, indirect, unsettled};
use crate::io::{Env, Piece};
use crate::release::Released;

impl Desk {
    /// Runs what people have approved, or what has become durable.
    pub(crate) fn run_deferred(
        &mut self,
        env: &mut Env<'_>,
        act: Deferred,
        plan: &Plan,
        judgement: &Judgement,
        grant: &Grant,
    ) -> Result<(), End> {
        let (act, stash, frame) = match act {
            // What runs is laid out as it is judged now, not as it was when it was asked for.
            Deferred::Query { frame, .. } => {
                let statements = self.statements_of(plan)?;
                let act = Deferred::Query {
                    statements,
                    frame: frame.clone(),
                };
                (act, Vec::new(), frame)
            }
            Deferred::Execute { stash, frame } => {
                let (kept, last) = (stash.clone(), frame.clone());
                (Deferred::Execute { stash, frame }, kept, last)
            }
        };
        let mut parts: Vec<&[u8]> = vec![&plan.text_digest.0];
        parts.extend(stash.iter().map(|frame| &frame[..]));
        parts.push(&frame);
        let operation = self.context.counter.operation(sha256(&parts));
        let bytes = plan.text.clone();
        let admitted = self.behind_deferred(env, &act, plan, judgement);
        let admitted = admitted.and_then(|(behind, matching)| {
            let asked = Asked {
                behind: &behind,
                grant: Some(grant),
                matching,
                ..Asked::new(operation, plan, judgement, bytes.as_bytes())
            };
            self.admit_operation(env, &asked, || act.clone())
        });
        match admitted {
            Ok(None) => Ok(()),
            // Where records are only kept, the bytes go on at once.
            Ok(Some(released)) => self.send_deferred(env, act, released),
            Err(Stop::Refused(refusal)) => {
                self.refuse_deferred(env, &act, &refusal);
                Ok(())
            }
            Err(Stop::End(end)) => Err(end),
            Err(Stop::Wait) => Err(End::Broken(
                "an approved operation could not be judged at once",
            )),
        }
    }

    /// What a deferred operation leads to, and what it compares masked columns with.
    fn behind_deferred(
        &mut self,
        env: &mut Env<'_>,
        act: &Deferred,
        plan: &Plan,
        judgement: &Judgement,
    ) -> Result<(Vec<Arc<Plan>>, Option<Matching>), Stop> {
        let statements = match act {
            Deferred::Query { statements, .. } => statements.clone(),
            Deferred::Execute { stash, .. } => {
                let types = self.types_of(stash);
                self.statements_typed(&Arc::new(plan.clone()), types.as_ref())?
            }
        };
        let behind = self.check_behind(env, &statements)?;
        let matching = self.matching(env, &statements, (plan, judgement))?;
        Ok((behind, matching))
    }

    /// Sends a deferred operation, with its proofs spent.
    pub(crate) fn send_deferred(
        &mut self,
        env: &mut Env<'_>,
        act: Deferred,
        released: Released,
    ) -> Result<(), End> {
        if self.session.is_skipping() {
            // Something before it failed while it waited: the server would ignore it.
            return self.keep_unsent(env, &released, "skipped");
        }
        let (tag, begun, frame) = match act {
            Deferred::Query { statements, frame } => (
                ClientTag::Query,
                self.begin_query(env, &released, &statements),
                frame,
            ),
            Deferred::Execute { stash, frame } => {
                for kept in &stash {
                    self.replay_one(env, kept)?;
                }
                (
                    ClientTag::Execute,
                    self.begin_deferred_execute(env, &frame, &released),
                    frame,
                )
            }
        };
        match begun {
            Ok(()) => {
                env.out.to_server.push(released.spend(Piece::Bytes(frame)));
                Ok(())
            }
            Err(Stop::Refused(refusal)) => {
                self.keep_unsent(env, &released, refusal.code.as_str())?;
                self.refuse(env, tag, &frame, &refusal);
                Ok(())
            }
            Err(Stop::End(end)) => Err(end),
            Err(Stop::Wait) => {
                self.keep_unsent(env, &released, "not sent")?;
                self.refuse(env, tag, &frame, &unsettled());
                Ok(())
            }
        }
    }

    /// The outcome of an operation that was recorded and then did not run.
    pub(crate) fn keep_unsent(
        &self,
        env: &mut Env<'_>,
        released: &Released,
        outcome: &str,
    ) -> Result<(), End> {
        let ending = super::context::Ending {
            outcome,
            ..Default::default()
        };
        let _ = self
            .context
            .keep_outcome(env, released.operation(), ending)?;
        Ok(())
    }

    pub(crate) fn begin_deferred_execute(
        &mut self,
        env: &mut Env<'_>,
        frame: &[u8],
        released: &Released,
    ) -> Result<(), Stop> {
        let body = frame
            .get(weir_postgres::frame::HEADER_BYTES..)
            .unwrap_or_default();
        let portal = Name::new(message::Execute::parse(body)?.portal)?;
        let (written, runs) = self.portal_runs(&portal)?;
        let plan = runs.plan.plan();
        if !Arc::ptr_eq(&written, &runs)
            && Self::allowed(&*self.current(env, &runs.plan)?)? == Allowance::Ask
        {
            return Err(indirect().into());
        }
        self.begin_execute(env, &portal, &runs, &plan, released)
    }
}
