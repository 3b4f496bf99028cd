//! Texts that were not read, in a session of which only actions are guarded ([`Guards::Actions`]):
//! the grammar does not take them, they name what was made unseen, or the server may read them in
//! another way. Each is judged as `pg.unknown`. A session that has run one is blind: should values
//! be guarded from it by a later policy, it ends, for nobody knows what it has left behind.

use std::sync::Arc;

use weir_facts::{Access, Action, RelationName, Resource, Verdict};
use weir_postgres::message;
use weir_postgres::refuse::SqlState;
use weir_postgres::session::{Effect as SessionEffect, Lookup, Name, Pins, Statement};

use super::client::{Act, Asked, sha256};
use super::desk::{Deferred, Desk, Judged, JudgedStatement, Trouble};
use super::end::End;
use super::guards::Guards;
use super::plan::{Plan, Question};
use super::refusal::Refusal;
use super::stop::Stop;
use crate::io::Env;

/// Stands for the text of a statement that was prepared unseen. The grammar refuses it, so that it
/// is never taken for one that was read.
const UNSEEN: &str = "(a statement that was prepared unseen)";

/// The same for a FunctionCall.
const CALL: &str = "(a function call by message)";

/// What records say of a text whose constants cannot be told from the rest.
const MISREAD: &str = "(a text that was not read)";

impl Desk {
    /// Whether only actions are guarded here.
    pub(crate) fn guards_actions(&self) -> bool {
        self.scope.guards == Guards::Actions
    }

    /// Holds the session to what is guarded now.
    ///
    /// # Errors
    /// Values are guarded by now, and the session is blind.
    pub(crate) fn hold_to_scope(&mut self) -> Result<(), End> {
        match self.scope.guards {
            Guards::Actions => self.session.pin(Pins::Loose),
            Guards::Values if self.is_blind() => {
                return Err(Refusal::new(
                    SqlState::ADMIN_SHUTDOWN,
                    "weir: the policy has changed, and this session has run statements that were not read",
                )
                .hint("connect again")
                .into());
            }
            Guards::Values => self.session.pin(Pins::Held),
        }
        Ok(())
    }

    /// Whether something has run here that was not read, or changes how texts are read.
    pub(crate) fn is_blind(&self) -> bool {
        self.ran_unread || self.session.has_slipped()
    }

    /// Whether the server may read a text in another way than the grammar does here: a backslash
    /// in a string, or a character of another encoding.
    pub(crate) fn may_be_misread(&self, text: &str) -> bool {
        self.is_blind() && text.bytes().any(|byte| byte == b'\\' || !byte.is_ascii())
    }

    /// The plan of a text that was not read; `also` is what is known of it nevertheless.
    ///
    /// # Errors
    /// `otherwise`, where policy does not permit it.
    pub(crate) fn unread(
        &self,
        env: &Env<'_>,
        text: &str,
        also: &[Access],
        otherwise: impl FnOnce(&Plan) -> Refusal,
    ) -> Result<Arc<Plan>, Trouble> {
        let mut plan = Plan::unread(text, also, &self.question(env));
        if self.may_be_misread(text) || text.contains(char::REPLACEMENT_CHARACTER) {
            plan.summary = MISREAD.to_owned();
        }
        if self.guards_actions() && plan.judgement.verdict == Verdict::Allow {
            Ok(Arc::new(plan))
        } else {
            Err(otherwise(&plan).into())
        }
    }

    /// The plan of a text with names that the catalogue does not have; they are asked as written,
    /// and as `pg.unknown`.
    pub(crate) fn plan_of_unknown(&self, env: &Env<'_>, text: &str) -> Result<Arc<Plan>, Trouble> {
        let question = Question {
            uncommitted_ddl: true,
            ..self.question(env)
        };
        match Plan::make(text, &question) {
            Ok(plan) => Ok(Arc::new(plan)),
            Err(refusal) => self.unread(env, text, &[], |_| Refusal::of_text(text, refusal)),
        }
    }

    /// A plan with the session's view of its statements, whose parameters Parse gives types. Where only actions are guarded, a text
    /// that names what was made unseen is taken as one that was not read.
    pub(crate) fn viewed(
        &self,
        env: &Env<'_>,
        plan: Arc<Plan>,
        types: Option<&Arc<[u32]>>,
    ) -> Result<(Arc<Plan>, Vec<JudgedStatement>), Stop> {
        let statements = self.statements_typed(&plan, types);
        if !self.guards_actions() {
            return Ok((plan, statements?));
        }
        match statements {
            Ok(statements) if !self.leads_to_unseen(&statements) => Ok((plan, statements)),
            Ok(_) | Err(Stop::Refused(_)) => {
                let plan = self.unread(env, &plan.text, &plan.accesses, denied)?;
                let statements = self.statements_typed(&plan, types)?;
                Ok((plan, statements))
            }
            Err(stop @ (Stop::Wait | Stop::End(_))) => Err(stop),
        }
    }

    fn leads_to_unseen(&self, statements: &[JudgedStatement]) -> bool {
        statements.iter().enumerate().any(|(index, statement)| {
            let before = statements.get(..index).unwrap_or_default();
            let leads = matches!(
                statement.effect,
                SessionEffect::Execute { .. } | SessionEffect::Fetch { .. }
            );
            leads && matches!(self.session.resolve(before, statement), Lookup::Unknown)
        })
    }

    /// Takes an unknown prepared statement for one that was prepared unseen.
    pub(crate) fn assume_statement(&mut self, env: &Env<'_>, name: &Name) -> Result<(), Stop> {
        let statement = self.unseen(env)?;
        Ok(self.session.assume_statement(name, statement)?)
    }

    /// Takes an unknown portal for one that was opened unseen.
    pub(crate) fn assume_portal(&mut self, env: &Env<'_>, name: &Name) -> Result<(), Stop> {
        let statement = self.unseen(env)?;
        Ok(self.session.assume_portal(name, statement)?)
    }

    /// The same for what is about to be described or executed, if it is unknown.
    pub(crate) fn assume_described(
        &mut self,
        env: &Env<'_>,
        target: message::Target,
        name: &Name,
    ) -> Result<(), Stop> {
        match target {
            message::Target::Statement
                if matches!(self.session.statement(name.as_str()), Lookup::Unknown) =>
            {
                self.assume_statement(env, name)
            }
            message::Target::Portal
                if matches!(self.session.portal(name.as_str()), Lookup::Unknown) =>
            {
                self.assume_portal(env, name)
            }
            message::Target::Statement | message::Target::Portal => Ok(()),
        }
    }

    fn unseen(&self, env: &Env<'_>) -> Result<JudgedStatement, Stop> {
        let plan = self.unread(env, UNSEEN, &[], denied)?;
        Ok(statement(&plan, SessionEffect::Unread))
    }

    /// A text that is not even UTF-8.
    pub(crate) fn on_garbled_query(
        &mut self,
        env: &mut Env<'_>,
        frame: &[u8],
    ) -> Result<Act, Stop> {
        self.refresh(env)?;
        if !self.guards_actions() {
            return Err(message::MessageError::NotUtf8.into());
        }
        let body = frame.get(weir_postgres::frame::HEADER_BYTES..);
        let text = String::from_utf8_lossy(body.unwrap_or_default());
        let plan = self.unread(env, text.trim_end_matches('\0'), &[], denied)?;
        let statement = statement(&plan, SessionEffect::Unread);
        self.run_unread(env, &plan, statement, frame)
    }

    /// A FunctionCall runs where only actions are guarded.
    pub(crate) fn on_function_call(
        &mut self,
        env: &mut Env<'_>,
        call: message::FunctionCall,
        frame: &[u8],
    ) -> Result<Act, Stop> {
        self.refresh(env)?;
        let called = Access {
            action: Action::PgCall,
            resource: Resource::Function(RelationName {
                schema: "".into(),
                name: format!("oid {}", call.function).into(),
            }),
        };
        let plan = self.unread(env, CALL, &[called], |_| {
            Refusal::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "weir: calling functions by message is refused",
            )
            .hint("call the function in a SELECT")
        })?;
        let statement = statement(&plan, SessionEffect::Call);
        self.run_unread(env, &plan, statement, frame)
    }

    fn run_unread(
        &mut self,
        env: &mut Env<'_>,
        plan: &Arc<Plan>,
        statement: JudgedStatement,
        frame: &[u8],
    ) -> Result<Act, Stop> {
        let statements = vec![statement];
        let deferred = || Deferred::Query {
            statements: statements.clone(),
            frame: bytes::Bytes::copy_from_slice(frame),
        };
        let operation = self.context.counter.operation(sha256(&[frame]));
        let judgement = &plan.judgement;
        let asked = Asked::new(operation, plan, judgement, frame);
        let released = self.admit_operation(env, &asked, deferred)?;
        match released {
            None => Ok(Act::Done),
            Some(released) => {
                let begun = self.begin_query(env, &released, &statements);
                self.begun(env, released, begun)
            }
        }
    }
}

fn statement(plan: &Arc<Plan>, effect: SessionEffect<Judged>) -> JudgedStatement {
    Arc::new(Statement {
        plan: Judged::new(plan, 0, 0),
        effect,
    })
}

/// What is said where policy denies a text that was not read.
pub(crate) fn denied(plan: &Plan) -> Refusal {
    match &plan.judgement.verdict {
        Verdict::Deny(denial) => Refusal::denied(denial, &plan.judgement),
        Verdict::Allow | Verdict::Hold(_) => Refusal::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "weir: the statement was not understood and was not run",
        ),
    }
}
