//! What statements do to the session's names: the session's view of a plan.

use std::sync::Arc;

use weir_postgres::session::{Effect as SessionEffect, Lifetime, Name, NameError, Statement};
use weir_sql::{CopyDirection, StatementKind};

use super::desk::{Desk, Judged, JudgedStatement};
use super::end::End;
use super::plan::Plan;
use super::stop::Stop;

impl Desk {
    pub(crate) fn statements_of(&mut self, plan: &Plan) -> Result<Vec<JudgedStatement>, End> {
        let shared = Arc::new(Plan::clone(plan));
        self.statements(&shared)
            .map_err(|_| End::Broken("an approved statement has a name that is refused"))
    }

    /// The session's view of a plan's statements.
    pub(crate) fn statements(&self, plan: &Arc<Plan>) -> Result<Vec<JudgedStatement>, Stop> {
        self.statements_typed(plan, None)
    }

    /// The same, of a Parse that gives the parameters types.
    pub(crate) fn statements_typed(
        &self,
        plan: &Arc<Plan>,
        types: Option<&Arc<[u32]>>,
    ) -> Result<Vec<JudgedStatement>, Stop> {
        plan.steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let effect = effect(plan, index, 0, &step.kind)?;
                Ok(Arc::new(Statement {
                    plan: Judged::new(plan, index, 0).typed(types.cloned()),
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
        K::Unread => SessionEffect::Unread,
        K::Copy {
            direction: CopyDirection::FromClient,
            ..
        } => SessionEffect::CopyIn,
        K::Copy {
            direction: CopyDirection::ToClient,
            ..
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
            ..
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
