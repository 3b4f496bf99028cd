//! A running session's messages from the client: judged, recorded, released.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use weir_facts::{Digest, OperationRef};
use weir_policy::Judgement;
use weir_postgres::frame::{ClientTag, Tag};
use weir_postgres::message::{self, MessageError, TransactionStatus};
use weir_postgres::session::{
    Admission, Effect as SessionEffect, Lifetime, Lookup, Name, NameError, Origin, RequestError,
    Statement, Violation,
};
use weir_sql::{CopyDirection, StatementKind};

use super::desk::{
    Allowance, Deferred, Desk, Grant, Judged, JudgedStatement, Running, Trouble, Waiting,
};
use super::end::End;
use super::plan::Plan;
use super::refusal::Refusal;
use crate::io::{Effect, Env, Piece};
use crate::release::{Mismatch, Released};
use crate::world::Durability;
use weir_postgres::refuse::{Severity, SqlState};

/// Pipelined messages that are kept back for the Execute that people must approve. A
/// statement with its parameters fits; a bulk load does not, and is refused.
const STASH_BYTES_MAX: usize = 1 << 20;

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
        if !self.stash.is_empty() {
            return self.on_stashing(env, tag, frame);
        }
        let act = self.dispatch(env, tag, frame);
        self.settle(env, tag, frame, act)
    }

    fn dispatch(&mut self, env: &mut Env<'_>, tag: ClientTag, frame: &[u8]) -> Result<Act, Stop> {
        use ClientTag as C;
        let body = frame
            .get(weir_postgres::frame::HEADER_BYTES..)
            .unwrap_or_default();
        match tag {
            C::Query => self.on_query(env, message::Query::parse(body)?.text, frame),
            C::Parse => self.on_parse(env, &message::Parse::parse(body)?, frame),
            C::Bind => self.on_bind(env, &message::Bind::parse(body)?, frame),
            C::Describe => self.on_describe(env, &message::Describe::parse(body)?),
            C::Execute => self.on_execute(env, message::Execute::parse(body)?.portal, frame),
            C::Close => self.on_close(&message::Close::parse(body)?),
            C::Sync => {
                message::parse_empty(body)?;
                self.session.sync();
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
            C::FunctionCall => Err(Refusal::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "weir: calling functions by message is refused",
            )
            .hint("call the function in a SELECT")
            .into()),
            C::Authentication => Err(Stop::End(End::client(
                "an authentication message after authentication",
            ))),
        }
    }

    fn settle(
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

    fn message_done(&mut self) {
        if self.freshness == super::desk::Freshness::Reread {
            self.freshness = super::desk::Freshness::Fresh;
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
        self.context
            .keep_refusal(env, &refusal.message, &refusal.inside, frame);
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

    fn on_query(&mut self, env: &mut Env<'_>, text: &str, frame: &[u8]) -> Result<Act, Stop> {
        let plan = self.plan(env, text)?;
        let statements = self.statements(&plan)?;
        let allowance = Self::allowed(&plan)?;
        self.check_behind(env, &statements)?;
        let deferred = || Deferred::Query {
            statements: statements.clone(),
            frame: Bytes::copy_from_slice(frame),
        };
        match allowance {
            Allowance::Run => {}
            Allowance::Ask => return self.ask(env, &plan, deferred(), true),
        }
        let operation = self.context.counter.operation(sha256(&[frame]));
        self.admit_operation(
            env,
            operation,
            &plan,
            &plan.judgement,
            None,
            frame,
            deferred,
        )
        .and_then(|released| match released {
            None => Ok(Act::Done),
            Some(released) => {
                let begun = self.begin_query(env, &released, &statements);
                self.begun(env, released, begun)
            }
        })
    }

    /// What EXECUTE and FETCH lead to must be allowed without approval: people are shown the
    /// text at hand only.
    pub(crate) fn check_behind(
        &mut self,
        env: &mut Env<'_>,
        statements: &[JudgedStatement],
    ) -> Result<(), Stop> {
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
        }
        Ok(())
    }

    /// The statement that EXECUTE or FETCH leads to must be allowed as it stands now.
    fn behind(
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
    #[expect(
        clippy::too_many_arguments,
        reason = "one operation with its plan, its verdict and its bytes"
    )]
    fn admit_operation(
        &mut self,
        env: &mut Env<'_>,
        operation: OperationRef,
        plan: &Plan,
        judgement: &Judgement,
        grant: Option<&Grant>,
        bytes: &[u8],
        deferred: impl FnOnce() -> Deferred,
    ) -> Result<Option<Released>, Stop> {
        let receipt = self
            .context
            .keep_intent(env, operation, plan, judgement, grant, bytes);
        let Ok(receipt) = receipt else {
            return Err(Refusal::unrecorded().into());
        };
        let Some(permit) = judgement.permit(operation) else {
            return Err(Stop::End(End::Broken(
                "an operation without a permit was about to be released",
            )));
        };
        let durable = match env.world.settings.durability {
            Durability::Kept => false,
            Durability::SyncedExceptPlainReads => !plan.is_plain_read(),
        };
        if durable {
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

    fn begin_query(
        &mut self,
        env: &Env<'_>,
        released: &Released,
        statements: &[JudgedStatement],
    ) -> Result<(), Stop> {
        let ticket = self.session.query(Origin::Client, statements)?;
        let changes_catalog = |statement: &JudgedStatement| {
            let plan = statement.plan.plan();
            let facts = statement.plan.statement(&plan);
            facts.is_none_or(|facts| facts.changes_catalog)
        };
        self.running.push_back(Running::new(
            ticket,
            released.operation(),
            env.now.mono_ns,
            true,
            statements.iter().any(changes_catalog),
        ));
        Ok(())
    }

    fn on_parse(
        &mut self,
        env: &mut Env<'_>,
        parse: &message::Parse<'_>,
        frame: &[u8],
    ) -> Result<Act, Stop> {
        let name = Name::new(parse.name)?;
        let plan = self.plan(env, parse.text)?;
        let statements = self.statements(&plan)?;
        let allowance = Self::allowed(&plan)?;
        if allowance == Allowance::Ask && statements.len() == 1 && self.stash_for_approval(frame) {
            return Ok(Act::Done);
        }
        let statement = match statements.as_slice() {
            [statement] => statement.clone(),
            [] => Arc::new(Statement {
                plan: Judged::new(&plan, 0, 0),
                effect: SessionEffect::None,
            }),
            // The server refuses it with the same words.
            [_, ..] => {
                return Err(Refusal::new(
                    SqlState::SYNTAX_ERROR,
                    "cannot insert multiple commands into a prepared statement",
                )
                .into());
            }
        };
        self.behind(env, &[], &statement)?;
        self.session.parse(name, statement)?;
        Ok(Act::Forward)
    }

    fn on_bind(
        &mut self,
        env: &mut Env<'_>,
        bind: &message::Bind<'_>,
        frame: &[u8],
    ) -> Result<Act, Stop> {
        let (portal, name) = (Name::new(bind.portal)?, Name::new(bind.statement)?);
        let statement = match self.session.statement(name.as_str()) {
            Lookup::Found(statement) => statement.clone(),
            Lookup::Wait => return Err(Stop::Wait),
            Lookup::Unknown => return Err(unknown_statement().into()),
        };
        let plan = self.current(env, &statement.plan)?;
        if self.behind(env, &[], &statement)? == Allowance::Ask {
            return Err(indirect().into());
        }
        if Self::allowed(&plan)? == Allowance::Ask {
            if self.stash_for_approval(frame) {
                return Ok(Act::Done);
            }
            // The server plans at Bind, and planning runs functions.
            let act = Deferred::Execute {
                stash: vec![Bytes::copy_from_slice(frame)],
                frame: Bytes::new(),
            };
            return self.ask(env, &plan, act, false);
        }
        self.note_bind(&portal, &plan, frame);
        self.session
            .bind(portal, &name, bind.result_formats.clone())?;
        Ok(Act::Forward)
    }

    /// Remembers what a portal was bound with, for the digest of its Execute.
    fn note_bind(&mut self, portal: &Name, plan: &Plan, frame: &[u8]) {
        // Portals that ended with their transaction are still here: live ones are fewer. One that
        // is forgotten too soon is executed under a digest without its Bind.
        if self.binds.len() >= weir_postgres::limits::PORTALS_MAX {
            self.binds.clear();
        }
        let digest = sha256(&[plan.text.as_bytes(), frame]);
        self.binds.insert(portal.as_str().into(), digest);
    }

    fn on_describe(
        &mut self,
        _env: &mut Env<'_>,
        describe: &message::Describe<'_>,
    ) -> Result<Act, Stop> {
        let name = Name::new(describe.name)?;
        match describe.target {
            message::Target::Statement => self.session.describe_statement(Origin::Client, &name)?,
            message::Target::Portal => self.session.describe_portal(Origin::Client, &name)?,
        };
        Ok(Act::Forward)
    }

    fn on_close(&mut self, close: &message::Close<'_>) -> Result<Act, Stop> {
        let name = Name::new(close.name)?;
        match close.target {
            message::Target::Statement => self.session.close_statement(name),
            message::Target::Portal => {
                self.binds.remove(name.as_str());
                self.session.close_portal(name)
            }
        };
        Ok(Act::Forward)
    }

    fn on_execute(&mut self, env: &mut Env<'_>, portal: &str, frame: &[u8]) -> Result<Act, Stop> {
        let portal = Name::new(portal)?;
        let (written, runs) = self.portal_runs(&portal)?;
        let plan = self.current(env, &runs.plan)?;
        let allowance =
            Self::allowed(&plan)?.max(Self::allowed(&*self.current(env, &written.plan)?)?);
        if allowance == Allowance::Ask {
            let act = Deferred::Execute {
                stash: Vec::new(),
                frame: Bytes::copy_from_slice(frame),
            };
            return self.ask(env, &plan, act, false);
        }
        let operation = self
            .context
            .counter
            .operation(self.execute_digest(&portal, &plan, frame));
        let deferred = || Deferred::Execute {
            stash: Vec::new(),
            frame: Bytes::copy_from_slice(frame),
        };
        let bytes = plan.text.clone();
        let released = self.admit_operation(
            env,
            operation,
            &plan,
            &plan.judgement,
            None,
            bytes.as_bytes(),
            deferred,
        )?;
        let Some(released) = released else {
            return Ok(Act::Done);
        };
        let begun = self.begin_execute(env, &portal, &runs, &plan, &released);
        self.begun(env, released, begun)
    }

    /// Lets a recorded operation go on, or records that it did not.
    fn begun(
        &self,
        env: &mut Env<'_>,
        released: Released,
        begun: Result<(), Stop>,
    ) -> Result<Act, Stop> {
        match begun {
            Ok(()) => Ok(Act::Release(released)),
            Err(stop) => {
                self.keep_unsent(env, &released, "not sent")?;
                Err(stop)
            }
        }
    }

    fn portal_runs(&self, portal: &Name) -> Result<(JudgedStatement, JudgedStatement), Stop> {
        let written = match self.session.portal(portal.as_str()) {
            Lookup::Found(facts) => facts.statement.clone(),
            Lookup::Wait => return Err(Stop::Wait),
            Lookup::Unknown => return Err(unknown_portal().into()),
        };
        match self.session.resolve(&[], &written) {
            Lookup::Found(runs) => Ok((written, runs)),
            Lookup::Wait => Err(Stop::Wait),
            Lookup::Unknown => Err(unknown(&written.effect)),
        }
    }

    fn execute_digest(&self, portal: &Name, plan: &Plan, frame: &[u8]) -> Digest {
        let bound = self.binds.get(portal.as_str());
        let bound = bound.map_or(&[][..], |digest| &digest.0);
        sha256(&[plan.text.as_bytes(), bound, frame])
    }

    /// Weir describes a portal itself before it runs, where cells will be edited: the
    /// description that a client saw may be another one's by now.
    fn begin_execute(
        &mut self,
        env: &mut Env<'_>,
        portal: &Name,
        runs: &JudgedStatement,
        plan: &Plan,
        released: &Released,
    ) -> Result<(), Stop> {
        let statement = runs.plan.statement(plan);
        // Also where no rows are predicted: rows that come nevertheless must not find a layout
        // from a time when the statement was thought clear.
        if statement.is_some_and(|statement| statement.sensitive) {
            self.session.describe_portal(Origin::Weir, portal)?;
            let mut describe = Vec::new();
            message::Describe {
                target: message::Target::Portal,
                name: portal.as_str(),
            }
            .encode(&mut describe);
            env.out.to_server.push(Piece::Bytes(describe.into()));
        }
        let ticket = self.session.execute(portal)?;
        self.running.push_back(Running::new(
            ticket,
            released.operation(),
            env.now.mono_ns,
            false,
            statement.is_some_and(|statement| statement.changes_catalog),
        ));
        Ok(())
    }

    /// Keeps a message back for the Execute behind it, where people must approve that. Only
    /// where nothing runs yet: a statement that waits must not hold locks.
    fn stash_for_approval(&mut self, frame: &[u8]) -> bool {
        if !self.session.is_quiet() || self.session.status() != TransactionStatus::Idle {
            return false;
        }
        self.stash.push(Bytes::copy_from_slice(frame));
        true
    }

    /// One statement waits at a time: its Parse, its Bind, the Execute of that portal. Whatever
    /// else comes is not what people would be shown, so nothing waits then.
    fn on_stashing(&mut self, env: &mut Env<'_>, tag: ClientTag, frame: &[u8]) -> Result<Act, End> {
        use ClientTag as C;
        let body = frame
            .get(weir_postgres::frame::HEADER_BYTES..)
            .unwrap_or_default();
        let held: usize = self.stash.iter().map(Bytes::len).sum();
        let (is_kept, is_asked) = match tag {
            C::Describe => (true, false),
            C::Bind => (self.binds_stashed(&message::Bind::parse(body)?)?, false),
            C::Execute => (
                false,
                self.executes_stashed(message::Execute::parse(body)?.portal)?,
            ),
            C::Sync
            | C::Flush
            | C::Terminate
            | C::Parse
            | C::Close
            | C::Query
            | C::FunctionCall
            | C::CopyData
            | C::CopyDone
            | C::CopyFail
            | C::Authentication => (false, false),
        };
        if is_kept && held + frame.len() <= STASH_BYTES_MAX {
            self.stash.push(Bytes::copy_from_slice(frame));
            return Ok(Act::Done);
        }
        if is_asked {
            let asked = self.ask_stashed(env, frame);
            if !matches!(asked, Err(Stop::Wait)) {
                self.stash.clear();
            }
            return self.settle(env, tag, frame, asked);
        }
        self.replay(env)?;
        let act = self.dispatch(env, tag, frame);
        self.settle(env, tag, frame, act)
    }

    /// The first message of a type that was kept back, without its header.
    fn stashed(&self, tag: ClientTag) -> Option<Bytes> {
        let header = weir_postgres::frame::HEADER_BYTES;
        self.stash
            .iter()
            .find(|frame| frame.first() == Some(&tag.byte()))
            .map(|frame| frame.slice(header.min(frame.len())..))
    }

    /// Whether a Bind is the only one, and of the statement that was kept back.
    fn binds_stashed(&self, bind: &message::Bind<'_>) -> Result<bool, MessageError> {
        if self.stashed(ClientTag::Bind).is_some() {
            return Ok(false);
        }
        match self.stashed(ClientTag::Parse) {
            Some(parse) => Ok(message::Parse::parse(&parse)?.name == bind.statement),
            None => Ok(false),
        }
    }

    /// Whether an Execute runs the portal of the Bind that was kept back.
    fn executes_stashed(&self, portal: &str) -> Result<bool, MessageError> {
        match self.stashed(ClientTag::Bind) {
            Some(bind) => Ok(message::Bind::parse(&bind)?.portal == portal),
            None => Ok(false),
        }
    }

    /// Sends on what was kept back. None of it executes; a Bind does not go on, since the server
    /// plans with it, and planning runs functions.
    fn replay(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        for frame in std::mem::take(&mut self.stash) {
            if frame.first() == Some(&ClientTag::Bind.byte()) {
                self.refuse(env, ClientTag::Bind, &frame, &unexecuted());
                return Ok(());
            }
            self.replay_one(env, &frame)?;
        }
        Ok(())
    }

    /// Reports a kept message to the session and sends it. Its statement was judged when it
    /// was kept; whether it runs is asked at Execute.
    pub(crate) fn replay_one(&mut self, env: &mut Env<'_>, frame: &Bytes) -> Result<(), End> {
        let tag = frame.first().copied().and_then(ClientTag::from_byte);
        let body = frame
            .get(weir_postgres::frame::HEADER_BYTES..)
            .unwrap_or_default();
        let done = match tag {
            Some(ClientTag::Parse) => self.replay_parse(env, body),
            Some(ClientTag::Bind) => self.replay_bind(env, body, frame),
            Some(ClientTag::Describe) => message::Describe::parse(body)
                .map_err(Stop::from)
                .and_then(|it| self.on_describe(env, &it))
                .map(|_| ()),
            Some(ClientTag::Close) => message::Close::parse(body)
                .map_err(Stop::from)
                .and_then(|it| self.on_close(&it))
                .map(|_| ()),
            Some(_) | None => Err(Stop::End(End::Broken(
                "a message that is never kept back was kept back",
            ))),
        };
        match done {
            Ok(()) => {
                env.out.to_server.push(Piece::Bytes(frame.clone()));
                Ok(())
            }
            Err(Stop::Refused(refusal)) => {
                self.refuse(env, ClientTag::Parse, frame, &refusal);
                Ok(())
            }
            Err(Stop::End(end)) => Err(end),
            Err(Stop::Wait) => {
                self.refuse(env, ClientTag::Parse, frame, &unsettled());
                Ok(())
            }
        }
    }

    fn replay_parse(&mut self, env: &mut Env<'_>, body: &[u8]) -> Result<(), Stop> {
        let parse = message::Parse::parse(body)?;
        let name = Name::new(parse.name)?;
        let plan = self.plan(env, parse.text)?;
        let _ = Self::allowed(&plan)?;
        let statement = self.statements(&plan)?.into_iter().next();
        let statement = statement.unwrap_or_else(|| {
            Arc::new(Statement {
                plan: Judged::new(&plan, 0, 0),
                effect: SessionEffect::None,
            })
        });
        self.session.parse(name, statement)?;
        Ok(())
    }

    fn replay_bind(&mut self, env: &mut Env<'_>, body: &[u8], frame: &[u8]) -> Result<(), Stop> {
        let bind = message::Bind::parse(body)?;
        let (portal, name) = (Name::new(bind.portal)?, Name::new(bind.statement)?);
        let statement = match self.session.statement(name.as_str()) {
            Lookup::Found(statement) => statement.clone(),
            Lookup::Wait | Lookup::Unknown => return Err(unknown_statement().into()),
        };
        let plan = self.current(env, &statement.plan)?;
        let _ = Self::allowed(&plan)?;
        self.note_bind(&portal, &plan, frame);
        self.session
            .bind(portal, &name, bind.result_formats.clone())?;
        Ok(())
    }

    fn ask_stashed(&mut self, env: &mut Env<'_>, frame: &[u8]) -> Result<Act, Stop> {
        let plan = self.stashed_plan(env)?;
        let act = Deferred::Execute {
            stash: std::mem::take(&mut self.stash),
            frame: Bytes::copy_from_slice(frame),
        };
        self.ask(env, &plan, act, true)
    }

    /// What a kept pipeline will execute: the statement of its one Bind.
    fn stashed_plan(&mut self, env: &mut Env<'_>) -> Result<Arc<Plan>, Stop> {
        if let Some(parse) = self.stashed(ClientTag::Parse) {
            return Ok(self.plan(env, message::Parse::parse(&parse)?.text)?);
        }
        let bind = self.stashed(ClientTag::Bind).ok_or_else(unknown_portal)?;
        match self
            .session
            .statement(message::Bind::parse(&bind)?.statement)
        {
            Lookup::Found(statement) => {
                let statement = statement.clone();
                Ok(self.current(env, &statement.plan)?)
            }
            Lookup::Wait => Err(Stop::Wait),
            Lookup::Unknown => Err(unknown_statement().into()),
        }
    }

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
        let mut parts: Vec<&[u8]> = vec![plan.text.as_bytes()];
        parts.extend(stash.iter().map(|frame| &frame[..]));
        parts.push(&frame);
        let operation = self.context.counter.operation(sha256(&parts));
        let bytes = plan.text.clone();
        let admitted = self.admit_operation(
            env,
            operation,
            plan,
            judgement,
            Some(grant),
            bytes.as_bytes(),
            || act.clone(),
        );
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
    fn keep_unsent(
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

    fn begin_deferred_execute(
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

    fn statements_of(&mut self, plan: &Plan) -> Result<Vec<JudgedStatement>, End> {
        let shared = Arc::new(Plan::clone(plan));
        self.statements(&shared)
            .map_err(|_| End::Broken("an approved statement has a name that is refused"))
    }

    /// The session's view of a plan's statements.
    fn statements(&self, plan: &Arc<Plan>) -> Result<Vec<JudgedStatement>, Stop> {
        plan.steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let effect = effect(plan, index, 0, &step.kind)?;
                Ok(Arc::new(Statement {
                    plan: Judged::new(plan, index, 0),
                    effect,
                }))
            })
            .collect()
    }
}

fn effect(
    plan: &Arc<Plan>,
    index: usize,
    nesting: u8,
    kind: &StatementKind,
) -> Result<SessionEffect<Judged>, NameError> {
    use StatementKind as K;
    let inner = |kind: &StatementKind| -> Result<JudgedStatement, NameError> {
        let effect = effect(plan, index, nesting + 1, kind)?;
        Ok(Arc::new(Statement {
            plan: Judged::new(plan, index, nesting + 1),
            effect,
        }))
    };
    Ok(match kind {
        K::Prepare {
            name,
            inner: statement,
        } => SessionEffect::Prepare {
            name: Name::new(name)?,
            statement: inner(&statement.kind)?,
        },
        K::Execute { name } => SessionEffect::Execute {
            name: Name::new(name)?,
        },
        K::Deallocate { name: Some(name) } => SessionEffect::Deallocate {
            name: Name::new(name)?,
        },
        K::Deallocate { name: None } => SessionEffect::DeallocateAll,
        K::DeclareCursor {
            name,
            inner: statement,
            hold,
        } => SessionEffect::Declare {
            name: Name::new(name)?,
            lifetime: if *hold {
                Lifetime::Session
            } else {
                Lifetime::Transaction
            },
            statement: inner(&statement.kind)?,
        },
        K::Fetch { name, .. } => SessionEffect::Fetch {
            name: Name::new(name)?,
        },
        K::CloseCursor { name: Some(name) } => SessionEffect::CloseCursor {
            name: Name::new(name)?,
        },
        K::CloseCursor { name: None } => SessionEffect::CloseAllCursors,
        K::Discard { all: true } => SessionEffect::DiscardAll,
        K::Copy {
            direction: CopyDirection::FromClient,
        } => SessionEffect::CopyIn,
        K::Copy {
            direction: CopyDirection::ToClient,
        } => SessionEffect::CopyOut,
        K::Explain { .. }
        | K::Select
        | K::Insert
        | K::Update
        | K::Delete
        | K::Merge
        | K::Begin
        | K::Commit
        | K::Rollback
        | K::Savepoint { .. }
        | K::Release { .. }
        | K::RollbackTo { .. }
        | K::TwoPhase
        | K::Set { .. }
        | K::Reset { .. }
        | K::Show { .. }
        | K::Discard { all: false }
        | K::Copy {
            direction: CopyDirection::Server,
        }
        | K::Do
        | K::Call
        | K::Lock
        | K::Truncate
        | K::Listen
        | K::Notify
        | K::Unlisten
        | K::Maintain
        | K::Constraints
        | K::Ddl(_)
        | K::CreateTableAs
        | K::Unknown(_) => SessionEffect::None,
    })
}

/// Why a message goes no further.
pub(crate) enum Stop {
    /// Offer it again.
    Wait,
    /// It is refused.
    Refused(Box<Refusal>),
    /// The flow ends.
    End(End),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Wait => Self::Wait,
            Trouble::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

macro_rules! ends {
    ($($error:ty),+) => {
        $(impl From<$error> for Stop {
            fn from(error: $error) -> Self {
                Self::End(error.into())
            }
        })+
    };
}

ends!(Violation, MessageError, Mismatch, End);

impl From<NameError> for Stop {
    fn from(error: NameError) -> Self {
        Refusal::new(SqlState::UNKNOWN_STATEMENT, &format!("weir: {error}")).into()
    }
}

impl From<RequestError> for Stop {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::NotYet => Self::Wait,
            RequestError::UnknownStatement => unknown_statement().into(),
            RequestError::UnknownPortal => unknown_portal().into(),
            RequestError::TooManyStatements | RequestError::TooManyPortals => {
                Refusal::new(SqlState::LIMIT_EXCEEDED, &format!("weir: {error}")).into()
            }
            RequestError::NotBetweenRequests => {
                Self::End(End::Broken("a query of Weir's own amid a pipeline"))
            }
        }
    }
}

/// What EXECUTE or FETCH leads to is held: people would be shown a name.
pub(crate) fn indirect() -> Refusal {
    Refusal::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        "weir: what this leads to needs approval",
    )
    .hint("run the statement itself, outside a transaction")
}

/// A Bind of what is held, with no Execute behind it.
fn unexecuted() -> Refusal {
    Refusal::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        "weir: this needs approval, which is asked for by an Execute right behind its Bind",
    )
    .hint("send one Parse, Bind and Execute together, outside a transaction")
}

/// The catalogue changed while a message was kept back.
pub(crate) fn unsettled() -> Refusal {
    Refusal::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        "weir: the catalogue changed meanwhile; run the statement again",
    )
}

fn unknown_statement() -> Refusal {
    Refusal::new(
        SqlState::UNKNOWN_STATEMENT,
        "prepared statement does not exist",
    )
}

fn unknown_portal() -> Refusal {
    Refusal::new(SqlState::UNKNOWN_PORTAL, "portal does not exist")
}

fn unknown<P>(effect: &SessionEffect<P>) -> Stop {
    match effect {
        SessionEffect::Fetch { name } => Refusal::new(
            SqlState::UNKNOWN_PORTAL,
            &format!("cursor \"{name}\" does not exist"),
        )
        .into(),
        SessionEffect::Execute { name } => Refusal::new(
            SqlState::UNKNOWN_STATEMENT,
            &format!("prepared statement \"{name}\" does not exist"),
        )
        .into(),
        _ => unknown_portal().into(),
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

/// SHA-256 of one text, as tokens are stored.
pub(crate) fn sha256_plain(text: &[u8]) -> Digest {
    Digest(Sha256::digest(text).into())
}
