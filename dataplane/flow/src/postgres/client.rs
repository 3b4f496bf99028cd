//! A running session's messages from the client: judged, recorded, released.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use weir_facts::{Digest, OperationRef};
use weir_policy::{Judgement, Level};
use weir_postgres::frame::ClientTag;
use weir_postgres::message::{self, TransactionStatus};
use weir_postgres::session::{Admission, Lookup, Origin};

use super::desk::{Allowance, Deferred, Desk, Grant, JudgedStatement, Running, Waiting, redefines};
use super::end::End;
use super::matching::Matching;
use super::plan::Plan;
use super::refusal::Refusal;
use super::stop::{Stop, indirect, unknown};
use crate::io::{Effect, Env, Piece};
use crate::release::Released;
use crate::world::Durability;
use weir_postgres::refuse::Severity;

/// What becomes of a client's frame.
#[derive(Debug)]
pub(crate) enum Act {
    /// It goes on as it is; it executes nothing.
    Forward,
    /// It goes on as it is; it executes, and may.
    Release(Released),
    /// It was dealt with.
    Done,
    /// Not now: offer it again.
    PutBack,
}

/// An operation that may run once it is recorded.
pub(crate) struct Asked<'a> {
    pub(crate) operation: OperationRef,
    pub(crate) plan: &'a Plan,
    /// What EXECUTE and FETCH in it lead to.
    pub(crate) behind: &'a [Arc<Plan>],
    pub(crate) judgement: &'a Judgement,
    pub(crate) grant: Option<&'a Grant>,
    /// What it compares masked columns with, where that is counted.
    pub(crate) matching: Option<Matching>,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Asked<'a> {
    /// An operation that nobody had to approve, and that leads to no other one.
    pub(crate) const fn new(
        operation: OperationRef,
        plan: &'a Plan,
        judgement: &'a Judgement,
        bytes: &'a [u8],
    ) -> Self {
        Self {
            operation,
            plan,
            behind: &[],
            judgement,
            grant: None,
            matching: None,
            bytes,
        }
    }

    /// How safe its record must be before it goes on. What people approved is synced, and a plain
    /// read, with which no change could be lost, is not; of anything else, every permit must say
    /// that it need not be, those of what EXECUTE and FETCH lead to among them.
    fn level(&self) -> Level {
        let behind = self.behind.iter().map(|plan| plan.judgement.level);
        match self.grant {
            Some(_) => Level::Synced,
            None if self.plan.is_plain_read() => Level::Kept,
            None => behind.fold(self.judgement.level, Level::max),
        }
    }
}

impl Desk {
    /// Deals with a whole frame of the client's.
    pub(crate) fn on_client(
        &mut self,
        env: &mut Env<'_>,
        tag: ClientTag,
        frame: &[u8],
    ) -> Result<Act, End> {
        match self.session.admit(tag)? {
            Admission::Proceed => {}
            Admission::Wait => return Ok(Act::PutBack),
            Admission::Drop => return Ok(Act::Done),
        }
        if self.is_behind_ending()
            && !matches!(
                tag,
                ClientTag::Sync | ClientTag::Flush | ClientTag::Terminate
            )
        {
            return Ok(Act::Done);
        }
        if !self.stash.is_empty() {
            return self.on_stashing(env, tag, frame);
        }
        let act = self.dispatch(env, tag, frame);
        self.settle(env, tag, frame, act)
    }

    pub(crate) fn dispatch(
        &mut self,
        env: &mut Env<'_>,
        tag: ClientTag,
        frame: &[u8],
    ) -> Result<Act, Stop> {
        use ClientTag as C;
        let body = frame
            .get(weir_postgres::frame::HEADER_BYTES..)
            .unwrap_or_default();
        match tag {
            C::Query => match message::Query::parse(body) {
                Ok(query) => self.on_query(env, query.text, frame),
                Err(message::MessageError::NotUtf8) => self.on_garbled_query(env, frame),
                Err(error) => Err(error.into()),
            },
            C::Parse => self.on_parse(env, &message::Parse::parse(body)?, frame),
            C::Bind => self.on_bind(env, &message::Bind::parse(body)?, frame),
            C::Describe => self.on_describe(env, &message::Describe::parse(body)?),
            C::Execute => self.on_execute(env, message::Execute::parse(body)?.portal, frame),
            C::Close => self.on_close(&message::Close::parse(body)?),
            C::Sync => {
                message::parse_empty(body)?;
                self.session.sync();
                self.note_commit();
                Ok(Act::Forward)
            }
            C::Flush => {
                message::parse_empty(body)?;
                Ok(Act::Forward)
            }
            C::CopyData => Ok(Act::Forward),
            C::CopyDone | C::CopyFail => {
                self.session.end_copy_in()?;
                Ok(Act::Forward)
            }
            C::Terminate => {
                message::parse_empty(body)?;
                self.session.terminate();
                Ok(Act::Forward)
            }
            C::FunctionCall => {
                self.on_function_call(env, message::FunctionCall::parse(body)?, frame)
            }
            C::Authentication => Err(Stop::End(End::client(
                "an authentication message after authentication",
            ))),
        }
    }

    pub(crate) fn settle(
        &mut self,
        env: &mut Env<'_>,
        tag: ClientTag,
        frame: &[u8],
        act: Result<Act, Stop>,
    ) -> Result<Act, End> {
        match act {
            Ok(act) => {
                self.message_done();
                Ok(act)
            }
            Err(Stop::Wait) => Ok(Act::PutBack),
            Err(Stop::End(end)) => Err(end),
            Err(Stop::Refused(refusal)) => {
                self.message_done();
                self.refuse(env, tag, frame, &refusal);
                Ok(Act::Done)
            }
        }
    }

    pub(crate) fn message_done(&mut self) {
        if self.freshness == super::freshness::Freshness::Reread {
            self.freshness = super::freshness::Freshness::Fresh;
        }
    }

    /// Refuses a message at its place among the answers, and records that.
    pub(crate) fn refuse(
        &mut self,
        env: &mut Env<'_>,
        tag: ClientTag,
        frame: &[u8],
        refusal: &Refusal,
    ) {
        let is_settled = self.session.is_settled();
        self.context
            .keep_refusal(env, &refusal.message, &refusal.inside, frame, is_settled);
        if self.session.is_skipping() {
            // The server ignores everything to the next Sync, and answers nothing of it.
            return;
        }
        let answer = refusal.to_frame(Severity::Error);
        let mut out = Vec::new();
        let simple = matches!(tag, ClientTag::Query | ClientTag::FunctionCall);
        let local =
            self.session.is_quiet() && self.session.status() != TransactionStatus::InTransaction;
        if simple && local {
            let mut reply = answer;
            message::ReadyForQuery {
                status: self.session.status(),
            }
            .encode(&mut reply);
            env.out.to_client.push(Piece::Bytes(reply.into()));
            return;
        }
        if simple {
            self.session.refuse_query(answer, &mut out);
        } else {
            self.session.refuse_extended(answer, &mut out);
        }
        env.out.to_server.push(Piece::Bytes(out.into()));
    }

    pub(crate) fn on_query(
        &mut self,
        env: &mut Env<'_>,
        text: &str,
        frame: &[u8],
    ) -> Result<Act, Stop> {
        let plan = self.plan(env, text)?;
        let (plan, statements) = self.viewed(env, plan, None)?;
        let allowance = Self::allowed(&plan)?;
        let behind = self.check_behind(env, &statements)?;
        let deferred = || Deferred::Query {
            statements: statements.clone(),
            frame: Bytes::copy_from_slice(frame),
        };
        match allowance {
            Allowance::Run => {}
            Allowance::Ask => return self.ask(env, &plan, deferred(), true),
        }
        let matching = self.matching(env, &statements, (&plan, &plan.judgement))?;
        let operation = self.context.counter.operation(plan.query_digest(frame));
        let asked = Asked {
            behind: &behind,
            matching,
            ..Asked::new(operation, &plan, &plan.judgement, frame)
        };
        self.admit_operation(env, &asked, deferred)
            .and_then(|released| match released {
                None => Ok(Act::Done),
                Some(released) => {
                    let begun = self.begin_query(env, &released, &statements);
                    self.begun(env, released, begun)
                }
            })
    }

    /// What EXECUTE and FETCH lead to must be allowed without approval: people are shown the
    /// text at hand only. Returns the plans that they lead to.
    pub(crate) fn check_behind(
        &mut self,
        env: &mut Env<'_>,
        statements: &[JudgedStatement],
    ) -> Result<Vec<Arc<Plan>>, Stop> {
        let mut plans = Vec::new();
        for (index, statement) in statements.iter().enumerate() {
            let before = statements.get(..index).unwrap_or_default();
            // What this same text has prepared is shown with it.
            let runs = self.session.resolve(before, statement);
            let is_here =
                |runs: &JudgedStatement| Arc::ptr_eq(&runs.plan.plan(), &statement.plan.plan());
            if matches!(&runs, Lookup::Found(runs) if is_here(runs)) {
                continue;
            }
            if self.behind(env, before, statement)? == Allowance::Ask {
                return Err(indirect().into());
            }
            if let Lookup::Found(runs) = &runs
                && !Arc::ptr_eq(runs, statement)
            {
                plans.push(runs.plan.plan());
            }
        }
        Ok(plans)
    }

    /// The statement that EXECUTE or FETCH leads to must be allowed as it stands now.
    pub(crate) fn behind(
        &mut self,
        env: &mut Env<'_>,
        before: &[JudgedStatement],
        statement: &JudgedStatement,
    ) -> Result<Allowance, Stop> {
        match self.session.resolve(before, statement) {
            Lookup::Found(runs) if Arc::ptr_eq(&runs, statement) => Ok(Allowance::Run),
            Lookup::Found(runs) => {
                let plan = self.current(env, &runs.plan)?;
                Ok(Self::allowed(&plan)?)
            }
            Lookup::Wait => Err(Stop::Wait),
            Lookup::Unknown => Err(unknown(&statement.effect)),
        }
    }

    /// Records an operation and lets it through; `None` while its record is being made durable.
    pub(crate) fn admit_operation(
        &mut self,
        env: &mut Env<'_>,
        asked: &Asked<'_>,
        deferred: impl FnOnce() -> Deferred,
    ) -> Result<Option<Released>, Stop> {
        let note = self.spend(env, asked.matching.as_ref())?;
        let Asked {
            operation,
            judgement,
            ..
        } = *asked;
        let is_settled = self.session.is_settled();
        let receipt = self.context.keep_intent(env, asked, &note, is_settled);
        let Ok(receipt) = receipt else {
            return Err(Refusal::unrecorded().into());
        };
        let Some(permit) = judgement.permit(operation) else {
            return Err(Stop::End(End::Broken(
                "an operation without a permit was about to be released",
            )));
        };
        let is_synced = match env.world.settings.durability {
            Durability::Kept => false,
            Durability::SyncedExceptPlainReads => asked.level() == Level::Synced,
        };
        if is_synced {
            let seq = receipt.seq();
            env.out.effects.push(Effect::Sync(seq));
            self.waiting = Some(Waiting::Durable {
                seq,
                operation,
                permit,
                receipt,
                act: deferred(),
            });
            return Ok(None);
        }
        Ok(Some(Released::new(operation, permit, receipt)?))
    }

    pub(crate) fn begin_query(
        &mut self,
        env: &Env<'_>,
        released: &Released,
        statements: &[JudgedStatement],
    ) -> Result<(), Stop> {
        let ticket = self.session.query(Origin::Client, statements)?;
        self.note_sent();
        let mut changes_catalog = false;
        for statement in statements {
            let plan = statement.plan.plan();
            let facts = statement.plan.statement(&plan);
            changes_catalog |= facts.is_none_or(|facts| facts.changes_catalog);
            if facts.is_none_or(redefines) {
                self.note_redefinition();
            }
            self.ran_unread |= plan.blinds;
        }
        let mut running = Running::new(
            ticket,
            released.operation(),
            env.now.mono_ns,
            true,
            changes_catalog,
        );
        running.counted = statements
            .first()
            .and_then(|statement| self.counted(statement.plan.plan(), None));
        self.running.push_back(running);
        Ok(())
    }
}

/// SHA-256 over parts, each with its length, so that no two lists of parts agree.
pub(crate) fn sha256(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Digest(hash.finalize().into())
}
