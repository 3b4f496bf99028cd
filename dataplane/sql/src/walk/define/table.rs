//! CREATE TABLE, in its own words and AS a query.

use pg_raw_parse::nodes::{
    ColumnDef, Constraint, CreateStmt, CreateTableAsStmt, IntoClause, RangeVar,
};
use pg_raw_parse::raw::ObjectType;
use pg_raw_parse::{Node, list};
use weir_facts::{Action, Resource};

use crate::StatementKind;
use crate::walk::scope::{Col, From, Rte, Scope};
use crate::walk::{Facts, Walk, Walked};

impl<'a> Walk<'a> {
    pub(super) fn create_table(&mut self, create: &CreateStmt) -> Walked<()> {
        if let Some(range) = create.relation() {
            self.ask(
                Action::PgCreateTable,
                Resource::Table(Self::written_name(range)),
            );
        }
        for parent in create.inh_relations() {
            match parent {
                Node::RangeVar(range) => {
                    for relation in self.candidates(range, Action::PgAlterTable)? {
                        self.define(relation, Action::PgAlterTable);
                    }
                }
                _ => self.unknown(Resource::Connection),
            }
        }
        let scope = Scope {
            from: own_columns(create.table_elts()),
            parent: None,
        };
        for element in create.table_elts() {
            self.table_element(element, &scope)?;
        }
        create
            .constraints()
            .iter()
            .try_for_each(|constraint| self.constraint(constraint, &scope))
    }

    fn table_element(&mut self, element: Node<'_>, scope: &Scope<'_>) -> Walked<()> {
        match element {
            Node::ColumnDef(column) => self.column_def(column, scope),
            Node::Constraint(constraint) => self.constraint(constraint, scope),
            Node::TableLikeClause(like) => {
                let Some(range) = like.relation() else {
                    return Ok(());
                };
                for relation in self.candidates(range, Action::PgSelect)? {
                    self.read(relation);
                }
                Ok(())
            }
            _ => {
                self.unknown(Resource::Connection);
                Ok(())
            }
        }
    }

    pub(super) fn column_def(&mut self, column: &ColumnDef, scope: &Scope<'_>) -> Walked<()> {
        self.type_name(column.type_name());
        self.expression(column.raw_default(), scope)?;
        column
            .constraints()
            .iter()
            .try_for_each(|constraint| match constraint {
                Node::Constraint(constraint) => self.constraint(constraint, scope),
                Node::CollateClause(_) => Ok(()),
                _ => {
                    self.unknown(Resource::Connection);
                    Ok(())
                }
            })
    }

    /// CHECK, DEFAULT and GENERATED expressions; a foreign key tells which values exist.
    pub(super) fn constraint(&mut self, constraint: &Constraint, scope: &Scope<'_>) -> Walked<()> {
        self.expression(constraint.raw_expr(), scope)?;
        self.expression(constraint.where_clause(), scope)?;
        match constraint.pktable() {
            Some(range) => self.references(range, constraint.pk_attrs()),
            None => Ok(()),
        }
    }

    fn references(&mut self, range: &RangeVar, keys: &list::NodeList) -> Walked<()> {
        // A table may refer to itself, which does not exist yet.
        if self
            .catalog
            .by_name(range.relname().unwrap_or_default())
            .next()
            .is_none()
        {
            return Ok(());
        }
        let candidates = self.candidates(range, Action::PgSelect)?;
        for relation in &candidates {
            self.read(relation);
        }
        let rte = self.rte(range, &candidates)?;
        let named: Vec<&str> = keys.iter().filter_map(Node::as_str).collect();
        let keys: Vec<Col> = rte
            .columns
            .into_iter()
            .filter(|column| named.contains(&&*column.name))
            .collect();
        self.infer_all(&keys);
        Ok(())
    }

    pub(super) fn create_table_as(&mut self, create: &CreateTableAsStmt) -> Walked<Facts> {
        let columns = self.query(create.query(), None)?;
        let materialized = create.objtype == ObjectType::OBJECT_MATVIEW;
        if let Some(range) = create.into().and_then(IntoClause::rel) {
            let action = if materialized {
                Action::PgDefineCode
            } else {
                Action::PgCreateTable
            };
            self.ask(action, Resource::Table(Self::written_name(range)));
        }
        if !materialized {
            // A copy has no lineage: nothing would hide it again.
            self.infer_all(&columns);
        }
        self.writes = true;
        Ok(Facts {
            changes_catalog: true,
            ..Facts::of(StatementKind::CreateTableAs)
        })
    }

    /// SELECT … INTO
    pub(in crate::walk) fn create_as(&mut self, into: &IntoClause) {
        match into.rel() {
            Some(range) => self.ask(
                Action::PgCreateTable,
                Resource::Table(Self::written_name(range)),
            ),
            None => self.unknown(Resource::Connection),
        }
    }
}

/// The columns of the table that is being made.
fn own_columns(elements: &list::NodeList) -> From {
    let columns = elements.iter().filter_map(|element| match element {
        Node::ColumnDef(column) => column.colname().map(Col::computed),
        _ => None,
    });
    From::one(Rte {
        columns: columns.collect(),
        open: true,
        ..Rte::default()
    })
}
