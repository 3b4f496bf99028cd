//! COPY, every way.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{CopyStmt, RangeVar};
use weir_facts::{Action, Resource};

use super::scope::{Col, From, Rte, Scope};
use super::{Facts, Walk, Walked};
use crate::catalog::{Generated, Relation};
use crate::{CopyDirection, CopyForm, StatementKind};

/// What COPY TO sends in each row.
struct Copied {
    columns: Vec<Col>,
    /// They are a relation's, or the outputs of a query that changes nothing.
    is_read: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn copy(&mut self, statement: &CopyStmt) -> Walked<Facts> {
        let server = statement.is_program || statement.filename().is_some();
        if server {
            // A file or a program of the server's host: nothing of it passes here.
            self.unknown(Resource::Connection);
        }
        if statement.is_program {
            self.execute_code(Resource::Connection);
        }
        if statement.is_from {
            self.copy_from(statement)?;
            let direction = if server {
                CopyDirection::Server
            } else {
                CopyDirection::FromClient
            };
            return Ok(Facts::of(StatementKind::Copy {
                direction,
                form: None,
            }));
        }
        let copied = self.copy_to(statement)?;
        if server || !copied.is_read {
            self.infer_all(&copied.columns);
            let (direction, form) = if server {
                (CopyDirection::Server, None)
            } else {
                (CopyDirection::ToClient, form(statement, &copied.columns))
            };
            return Ok(Facts::of(StatementKind::Copy { direction, form }));
        }
        Ok(self.sent(statement, copied.columns))
    }

    /// Rows that reach the client: their columns are bare outputs, as a SELECT's are.
    fn sent(&mut self, statement: &CopyStmt, columns: Vec<Col>) -> Facts {
        // No description will contradict what the catalogue no longer says.
        self.is_opaque |= self.session.uncommitted_ddl && !self.sensitive.is_empty();
        let form = form(statement, &columns);
        Facts {
            columns: self.describe(columns),
            ..Facts::of(StatementKind::Copy {
                direction: CopyDirection::ToClient,
                form,
            })
        }
    }

    fn copy_from(&mut self, statement: &CopyStmt) -> Walked<()> {
        let Some(range) = statement.relation() else {
            self.unknown(Resource::Connection);
            return Ok(());
        };
        let candidates = self.candidates(range, Action::PgCopyFrom)?;
        for relation in &candidates {
            self.write(relation, Action::PgCopyFrom);
        }
        let rte = self.rte(range, &candidates)?;
        self.expression(
            statement.where_clause(),
            &Scope {
                from: From::one(rte),
                parent: None,
            },
        )
    }

    fn copy_to(&mut self, statement: &CopyStmt) -> Walked<Copied> {
        let Some(range) = statement.relation() else {
            let before = self.accesses.clone();
            let columns = self.query(statement.query(), None)?;
            let read = self
                .accesses
                .difference(&before)
                .filter(|access| access.action == Action::PgSelect);
            let copied: Vec<Resource> = read.map(|access| access.resource.clone()).collect();
            self.ask(Action::PgCopyTo, Resource::Connection);
            copied
                .into_iter()
                .for_each(|table| self.ask(Action::PgCopyTo, table));
            let is_read = matches!(statement.query(), Node::SelectStmt(_)) && !self.creates_table;
            return Ok(Copied { columns, is_read });
        };
        let candidates = self.candidates(range, Action::PgCopyTo)?;
        for relation in &candidates {
            self.read(relation);
            self.ask(Action::PgCopyTo, Resource::Table(relation.name.clone()));
        }
        let listed: Option<Vec<&str>> = statement.attlist().iter().map(Node::as_str).collect();
        let columns = self.copied_of(range, &candidates, &listed.unwrap_or_default())?;
        Ok(Copied {
            columns,
            is_read: true,
        })
    }

    /// The listed columns, or all that a row of the table stores, in the order of their numbers.
    fn copied_of(
        &mut self,
        range: &RangeVar,
        candidates: &[&'a Relation],
        listed: &[&str],
    ) -> Walked<Vec<Col>> {
        let rte = self.rte(range, candidates)?;
        if !listed.is_empty() {
            return Ok(listed
                .iter()
                .map(|name| named(&rte, name).unwrap_or_else(|| Col::computed(*name)))
                .collect());
        }
        // What one candidate computes, another may store.
        let is_stored = |column: &Col| {
            candidates.iter().any(|relation| {
                relation
                    .column_named(&column.name)
                    .is_some_and(|known| known.generated == Generated::No)
            })
        };
        let differ = candidates.iter().any(|relation| {
            stored(relation).ne(candidates.first().into_iter().copied().flat_map(stored))
        });
        self.is_opaque |= rte.open || differ;
        Ok(rte.columns.into_iter().filter(is_stored).collect())
    }
}

fn form(statement: &CopyStmt, columns: &[Col]) -> Option<CopyForm> {
    let names: Vec<_> = columns.iter().map(|column| &*column.name).collect();
    CopyForm::read(statement.options(), &names)
}

fn named(rte: &Rte, name: &str) -> Option<Col> {
    let found = rte.columns.iter().find(|column| &*column.name == name);
    found.cloned()
}

fn stored(relation: &Relation) -> impl Iterator<Item = &str> {
    let stored = |column: &&crate::Column| column.generated == Generated::No;
    relation
        .columns
        .iter()
        .filter(stored)
        .map(|column| &*column.name)
}
