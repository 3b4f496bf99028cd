//! Every kind of statement, by an allow-list: what is not named here is unknown.

use pg_raw_parse::nodes::{CallStmt, SelectStmt, TruncateStmt};
use pg_raw_parse::raw::DiscardMode;
use pg_raw_parse::raw::SetOperation;
use pg_raw_parse::{Node, list};
use weir_facts::{Action, RelationName, RelationOid, Resource};

use super::scope::{From, Scope};
use super::{Facts, Walk, Walked, qualified, shared, strings};
use crate::StatementKind;

impl<'a> Walk<'a> {
    pub(super) fn any_statement(&mut self, node: Node<'_>) -> Walked<Facts> {
        match node {
            Node::SelectStmt(_)
            | Node::InsertStmt(_)
            | Node::UpdateStmt(_)
            | Node::DeleteStmt(_)
            | Node::MergeStmt(_) => self.rows_statement(node),
            Node::TransactionStmt(statement) => Ok(self.transaction(statement)),
            Node::VariableSetStmt(statement) => Ok(self.set(statement)),
            Node::VariableShowStmt(statement) => Ok(self.show(statement)),
            Node::PrepareStmt(statement) => self.prepare(statement),
            Node::ExecuteStmt(statement) => {
                let nothing = Scope {
                    from: From::default(),
                    parent: None,
                };
                self.expressions(statement.params(), &nothing)?;
                Ok(Facts::of(StatementKind::Execute {
                    name: shared(statement.name()),
                }))
            }
            Node::DeallocateStmt(statement) => Ok(Facts::of(StatementKind::Deallocate {
                name: statement.name().map(Into::into),
            })),
            Node::DeclareCursorStmt(statement) => self.declare(statement),
            Node::FetchStmt(statement) => {
                let name = shared(statement.portalname());
                Ok(Facts::of(StatementKind::Fetch {
                    name,
                    is_move: statement.ismove,
                }))
            }
            Node::ClosePortalStmt(statement) => Ok(Facts::of(StatementKind::CloseCursor {
                name: statement.portalname().map(Into::into),
            })),
            Node::DiscardStmt(statement) => Ok(Facts::of(StatementKind::Discard {
                all: statement.target == DiscardMode::DISCARD_ALL,
            })),
            Node::ConstraintsSetStmt(_) => {
                self.is_sensitive |= !self.sensitive.is_empty();
                Ok(Facts::of(StatementKind::Constraints))
            }
            Node::ExplainStmt(statement) => self.explain(statement),
            Node::CopyStmt(statement) => self.copy(statement),
            Node::DoStmt(_) => {
                self.execute_code(Resource::Connection);
                Ok(Facts {
                    changes_catalog: true,
                    ..Facts::of(StatementKind::Do)
                })
            }
            Node::CallStmt(statement) => self.call_procedure(statement),
            Node::LockStmt(statement) => {
                self.on_each(statement.relations(), Action::PgLock)?;
                Ok(Facts::of(StatementKind::Lock))
            }
            Node::TruncateStmt(statement) => self.truncate(statement),
            Node::ListenStmt(_) => Ok(self.notifies(StatementKind::Listen)),
            Node::NotifyStmt(_) => Ok(self.notifies(StatementKind::Notify)),
            Node::UnlistenStmt(_) => Ok(Facts::of(StatementKind::Unlisten)),
            other => self.define_statement(other),
        }
    }

    fn rows_statement(&mut self, node: Node<'_>) -> Walked<Facts> {
        self.matches.possible = true;
        let columns = self.query(node, None)?;
        self.matches.possible = false;
        let (kind, has_where, answers) = match node {
            Node::InsertStmt(insert) => (
                StatementKind::Insert,
                // It changes no more rows than it brings.
                insert.on_conflict_clause().is_some(),
                insert.returning_clause().is_some(),
            ),
            Node::UpdateStmt(update) => (
                StatementKind::Update,
                is_some(update.where_clause()),
                update.returning_clause().is_some(),
            ),
            Node::DeleteStmt(delete) => (
                StatementKind::Delete,
                is_some(delete.where_clause()),
                delete.returning_clause().is_some(),
            ),
            Node::MergeStmt(merge) => (
                StatementKind::Merge,
                true,
                merge.returning_clause().is_some(),
            ),
            Node::SelectStmt(select) if self.creates_table => (
                StatementKind::CreateTableAs,
                is_some(select.where_clause()),
                false,
            ),
            Node::SelectStmt(select) => (
                StatementKind::Select,
                has_where(select) || self.only_moves_sequences(),
                true,
            ),
            _ => (StatementKind::Unknown("query"), false, true),
        };
        let has_where = match node {
            Node::SelectStmt(_) => changed_with(node).unwrap_or(has_where),
            _ => has_where && changed_with(node) != Some(false),
        };
        let columns = if answers {
            self.describe(columns)
        } else {
            None
        };
        Ok(Facts {
            columns,
            has_where,
            changes_catalog: self.creates_table,
            ..Facts::of(kind)
        })
    }

    fn notifies(&mut self, kind: StatementKind) -> Facts {
        self.ask(Action::PgNotify, Resource::Connection);
        Facts::of(kind)
    }

    pub(super) fn execute_code(&mut self, resource: Resource) {
        self.ask(Action::PgExecuteCode, resource);
        self.is_sensitive |= !self.sensitive.is_empty();
    }

    fn call_procedure(&mut self, statement: &CallStmt) -> Walked<Facts> {
        let nothing = Scope {
            from: From::default(),
            parent: None,
        };
        let names = statement
            .funccall()
            .and_then(|call| strings(call.funcname()));
        match names.as_deref().and_then(qualified) {
            Some((schema, name)) => {
                let name = RelationName {
                    schema: schema.unwrap_or_default().into(),
                    name: name.into(),
                };
                self.execute_code(Resource::Function(name));
            }
            None => self.execute_code(Resource::Connection),
        }
        if let Some(call) = statement.funccall() {
            self.expressions(call.args(), &nothing)?;
        }
        Ok(Facts {
            changes_catalog: true,
            ..Facts::of(StatementKind::Call)
        })
    }

    /// Names of relations, each asked for.
    pub(super) fn on_each(
        &mut self,
        relations: &list::NodeList,
        action: Action,
    ) -> Walked<Vec<RelationOid>> {
        let mut oids = Vec::new();
        for node in relations {
            let Node::RangeVar(range) = node else {
                self.unknown(Resource::Connection);
                continue;
            };
            for relation in self.candidates(range, action)? {
                match action {
                    Action::PgLock => self.define(relation, action),
                    _ => self.write(relation, action),
                }
                oids.push(relation.oid);
            }
        }
        Ok(oids)
    }

    /// TRUNCATE … CASCADE also empties whatever refers to it.
    fn truncate(&mut self, statement: &TruncateStmt) -> Walked<Facts> {
        let mut emptied = self.on_each(statement.relations(), Action::PgTruncate)?;
        let catalog = self.catalog;
        let mut at = 0;
        while let Some(oid) = emptied.get(at).copied().filter(|_| statement.behavior != 0) {
            at += 1;
            let referring = catalog
                .foreign_keys
                .iter()
                .filter(|key| key.to == oid)
                .map(|key| key.from);
            for relation in referring.filter_map(|oid| catalog.relation(oid)) {
                if !emptied.contains(&relation.oid) {
                    emptied.push(relation.oid);
                    self.write(relation, Action::PgTruncate);
                }
            }
        }
        Ok(Facts::of(StatementKind::Truncate))
    }
}

fn is_some(node: Node<'_>) -> bool {
    !matches!(node, Node::None)
}

/// Whether every UPDATE and DELETE in a statement's WITH clause has a WHERE clause; `None` if
/// there is none of them.
fn changed_with(node: Node<'_>) -> Option<bool> {
    let with = match node {
        Node::SelectStmt(select) => select.with_clause(),
        Node::InsertStmt(insert) => insert.with_clause(),
        Node::UpdateStmt(update) => update.with_clause(),
        Node::DeleteStmt(delete) => delete.with_clause(),
        Node::MergeStmt(merge) => merge.with_clause(),
        _ => None,
    };
    let changes = with?.ctes().iter().filter_map(|cte| match cte.ctequery() {
        Node::UpdateStmt(update) => Some(is_some(update.where_clause())),
        Node::DeleteStmt(delete) => Some(is_some(delete.where_clause())),
        _ => None,
    });
    changes.reduce(|all, one| all && one)
}

fn has_where(select: &SelectStmt) -> bool {
    select.op == SetOperation::SETOP_NONE && is_some(select.where_clause())
}
