//! The extended query protocol: Parse, Bind, Describe, Execute, Close.

use std::sync::Arc;

use bytes::Bytes;
use weir_facts::Digest;
use weir_postgres::message::{self};
use weir_postgres::refuse::SqlState;
use weir_postgres::session::{Effect as SessionEffect, Lookup, Name, Origin, Statement};

use super::bulk::Counted;
use super::client::{Act, Asked, sha256};
use super::desk::{Allowance, Bound, Deferred, Desk, Judged, JudgedStatement, Running, redefines};
use super::matching::check_match_types;
use super::plan::Plan;
use super::refusal::Refusal;
use super::stop::{Stop, indirect, unknown, unknown_portal, unknown_statement};
use crate::io::{Env, Piece};
use crate::release::Released;

impl Desk {
    pub(crate) fn on_parse(
        &mut self,
        env: &mut Env<'_>,
        parse: &message::Parse<'_>,
        frame: &[u8],
    ) -> Result<Act, Stop> {
        let name = Name::new(parse.name)?;
        let plan = self.plan(env, parse.text)?;
        // Such a value is cast and checked by users' code wherever it meets another.
        if !self.scope.sensitive.is_empty()
            && parse
                .parameter_types()
                .any(|oid| self.scope.catalog.runs_code(oid))
        {
            return Err(Refusal::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "weir: a parameter's type runs code that is not known to be harmless",
            )
            .hint("leave the type open, or pass text")
            .into());
        }
        let types = parameter_types(parse);
        let (plan, statements) = self.viewed(env, plan, types.as_ref())?;
        let allowance = Self::allowed(&plan)?;
        check_match_types(&plan, types.as_deref().unwrap_or_default())?;
        if allowance == Allowance::Ask && statements.len() == 1 && self.stash_for_approval(frame) {
            return Ok(Act::Done);
        }
        let statement = match statements.as_slice() {
            [statement] => statement.clone(),
            [] => Arc::new(Statement {
                plan: Judged::new(&plan, 0, 0).typed(types),
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

    pub(crate) fn on_bind(
        &mut self,
        env: &mut Env<'_>,
        bind: &message::Bind<'_>,
        frame: &[u8],
    ) -> Result<Act, Stop> {
        let (portal, name) = (Name::new(bind.portal)?, Name::new(bind.statement)?);
        if self.guards_actions() && matches!(self.session.statement(name.as_str()), Lookup::Unknown)
        {
            self.assume_statement(env, &name)?;
        }
        let statement = match self.session.statement(name.as_str()) {
            Lookup::Found(statement) => statement.clone(),
            Lookup::Wait => return Err(Stop::Wait),
            Lookup::Unknown => return Err(unknown_statement().into()),
        };
        let plan = self.current(env, &statement.plan)?;
        if let Some(facts) = statement.plan.statement(&plan) {
            check_settings(facts, bind)?;
        }
        if self.behind(env, &[], &statement)? == Allowance::Ask {
            return Err(indirect().into());
        }
        if Self::allowed(&plan)? == Allowance::Ask {
            if self.stash_for_approval(frame) {
                return Ok(Act::Done);
            }
            if self.ends_preparation(env) {
                return Err(Stop::Wait);
            }
            // The server plans at Bind, and planning runs functions.
            let act = Deferred::Execute {
                stash: vec![Bytes::copy_from_slice(frame)],
                frame: Bytes::new(),
            };
            return self.ask(env, &plan, act, false);
        }
        self.note_bind(&portal, &statement, &plan, frame);
        self.session
            .bind(portal, &name, bind.result_formats.clone())?;
        self.note_sent();
        Ok(Act::Forward)
    }

    /// Remembers what a portal was bound with, for the digest of its Execute.
    pub(crate) fn note_bind(
        &mut self,
        portal: &Name,
        statement: &JudgedStatement,
        plan: &Plan,
        frame: &[u8],
    ) {
        // Portals that ended with their transaction are still here: live ones are fewer. One that
        // is forgotten too soon is executed under a digest without its Bind.
        if self.binds.len() >= weir_postgres::limits::PORTALS_MAX {
            self.binds.clear();
        }
        let digest = bound_digest(plan, statement.plan.types(), frame);
        self.next_bind += 1;
        let bound = Bound {
            serial: self.next_bind,
            digest,
            spent: None,
            gone: None,
        };
        self.binds.insert(portal.as_str().into(), bound);
    }

    pub(crate) fn on_describe(
        &mut self,
        env: &mut Env<'_>,
        describe: &message::Describe<'_>,
    ) -> Result<Act, Stop> {
        let name = Name::new(describe.name)?;
        if self.guards_actions() {
            self.assume_described(env, describe.target, &name)?;
        }
        match describe.target {
            message::Target::Statement => self.session.describe_statement(Origin::Client, &name)?,
            message::Target::Portal => self.session.describe_portal(Origin::Client, &name)?,
        };
        Ok(Act::Forward)
    }

    pub(crate) fn on_close(&mut self, close: &message::Close<'_>) -> Result<Act, Stop> {
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

    pub(crate) fn on_execute(
        &mut self,
        env: &mut Env<'_>,
        portal: &str,
        frame: &[u8],
    ) -> Result<Act, Stop> {
        let portal = Name::new(portal)?;
        if self.guards_actions() {
            self.assume_described(env, message::Target::Portal, &portal)?;
        }
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
        let matching = self.portal_matching(env, &portal, &written, &plan)?;
        let operation = self
            .context
            .counter
            .operation(self.execute_digest(&portal, &plan, frame));
        let deferred = || Deferred::Execute {
            stash: Vec::new(),
            frame: Bytes::copy_from_slice(frame),
        };
        let bytes = plan.text.clone();
        let asked = Asked {
            matching,
            ..Asked::new(operation, &plan, &plan.judgement, bytes.as_bytes())
        };
        let released = self.admit_operation(env, &asked, deferred)?;
        let Some(released) = released else {
            return Ok(Act::Done);
        };
        let begun = self.begin_execute(env, &portal, &runs, &plan, &released);
        self.begun(env, released, begun)
    }

    /// Lets a recorded operation go on, or records that it did not.
    pub(crate) fn begun(
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

    pub(crate) fn portal_runs(
        &self,
        portal: &Name,
    ) -> Result<(JudgedStatement, JudgedStatement), Stop> {
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

    pub(crate) fn execute_digest(&self, portal: &Name, plan: &Plan, frame: &[u8]) -> Digest {
        let bound = self.binds.get(portal.as_str());
        let bound = bound.map_or(&[][..], |bound| &bound.digest.0);
        sha256(&[&plan.text_digest.0, bound, frame])
    }

    /// The counters of a portal's rows.
    fn portal_counted(&self, portal: &Name, runs: &JudgedStatement) -> Option<Box<Counted>> {
        self.scope.bulk.as_ref()?;
        let Lookup::Found(facts) = self.session.portal(portal.as_str()) else {
            return None;
        };
        let written = facts.statement.clone();
        self.counted(runs.plan.plan(), Some((portal.as_str(), &written)))
    }

    /// Weir describes a portal itself before it runs, where cells will be edited: the
    /// description that a client saw may be another one's by now.
    pub(crate) fn begin_execute(
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
        if self.scope.net.is_some() || statement.is_some_and(|statement| statement.sensitive) {
            self.session.describe_portal(Origin::Weir, portal)?;
            let mut describe = Vec::new();
            message::Describe {
                target: message::Target::Portal,
                name: portal.as_str(),
            }
            .encode(&mut describe);
            env.out.to_server.push(Piece::Bytes(describe.into()));
        }
        let counted = self.portal_counted(portal, runs);
        let ticket = self.session.execute(portal)?;
        self.note_sent();
        if statement.is_none_or(redefines) {
            self.note_redefinition();
        }
        self.ran_unread |= plan.blinds || matches!(runs.effect, SessionEffect::Unread);
        let mut running = Running::new(
            ticket,
            released.operation(),
            env.now.mono_ns,
            false,
            statement.is_some_and(|statement| statement.changes_catalog),
        );
        running.counted = counted;
        self.running.push_back(running);
        Ok(())
    }
}

/// A setting that a parameter names must be one of the server's own: others hold whatever some
/// session has put there.
pub(crate) fn check_settings(
    facts: &weir_sql::Statement,
    bind: &message::Bind<'_>,
) -> Result<(), Refusal> {
    if facts.settings.is_empty() {
        return Ok(());
    }
    let values = (1..).zip(bind.parameters.iter());
    let mut names = values.filter(|(number, _)| facts.settings.contains(number));
    if names.any(|(_, name)| name.is_some_and(|name| name.contains(&b'.'))) {
        return Err(Refusal::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "weir: settings beyond the server's own are not read by a parameter",
        )
        .hint("write the setting's name in the statement, for policy to judge"));
    }
    Ok(())
}

/// The types that a Parse gives its parameters; `None` where it gives none.
pub(crate) fn parameter_types(parse: &message::Parse<'_>) -> Option<Arc<[u32]>> {
    let mut types = parse.parameter_types().peekable();
    types.peek()?;
    Some(types.collect())
}

/// What an operation is bound to: the text, the types that Parse gave its parameters, their
/// formats and values, and the formats of the result.
pub(crate) fn bound_digest(plan: &Plan, types: &[u32], bind: &[u8]) -> Digest {
    let values = bound_values(bind).unwrap_or_default();
    if types.is_empty() {
        return sha256(&[&plan.text_digest.0, &[], values]);
    }
    let types: Vec<u8> = types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
    sha256(&[&plan.text_digest.0, &types, values])
}

/// A Bind's formats and values, without the names of portal and statement: drivers number
/// those, so that the same operation has other ones on another connection.
fn bound_values(frame: &[u8]) -> Option<&[u8]> {
    let body = frame.get(weir_postgres::frame::HEADER_BYTES..)?;
    body.splitn(3, |byte| *byte == 0).nth(2)
}
