//! Columns as they are: every way to write a bare column, and nothing else.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{A_Indirection, ColumnRef, FuncCall};
use weir_facts::{ColumnId, Resource};

use super::scope::{Col, Meaning, Rte, Scope, column_of};
use super::{Walk, Walked, qualified, strings};
use crate::statement::NO_ORIGIN;
use crate::trust::is_harmless_function;

/// A part of a column reference.
#[derive(Clone, Copy)]
enum Part<'n> {
    Name(&'n str),
    Star,
}

impl Walk<'_> {
    /// The columns that `node` is, if it is bare: `c`, `t.c`, `s.t.c`, `*`, `t.*`, `(t).c`,
    /// `(t).*`, `(t.*).c`, `c(t)`. `None` for anything else, which was not looked into.
    pub(super) fn bare(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Walked<Option<Vec<Col>>> {
        match node {
            Node::ColumnRef(reference) => self.column_ref(reference, scope).map(Some),
            Node::A_Indirection(indirection) => self.field_of_row(indirection, scope),
            Node::FuncCall(call) => Ok(self
                .column_by_function(call, scope)
                .map(|column| vec![column])),
            _ => Ok(None),
        }
    }

    fn column_ref(&mut self, reference: &ColumnRef, scope: &Scope<'_>) -> Walked<Vec<Col>> {
        let Some(parts) = parts(reference) else {
            self.unknown(Resource::Connection);
            return Ok(Vec::new());
        };
        match parts.as_slice() {
            [Part::Star] => self.everything(scope),
            [Part::Name(name)] => Ok(vec![self.unqualified(name, scope)]),
            [.., Part::Name(schema), Part::Name(row), last] => {
                self.of_row(Some(schema), row, *last, scope)
            }
            [Part::Name(row), last] => self.of_row(None, row, *last, scope),
            _ => {
                self.unknown(Resource::Connection);
                Ok(Vec::new())
            }
        }
    }

    /// `*`
    fn everything(&mut self, scope: &Scope<'_>) -> Walked<Vec<Col>> {
        self.open_star(scope.from.open, &scope.from.star);
        self.count_columns(scope.from.star.len())?;
        Ok(scope.from.star.clone())
    }

    fn unqualified(&mut self, name: &str, scope: &Scope<'_>) -> Col {
        match scope.unqualified(name) {
            Meaning::Column(column) => column,
            Meaning::Row(rows) => self.whole_row(name, &rows),
            Meaning::Nothing => {
                self.unresolved(scope);
                Col::computed(name)
            }
        }
    }

    /// `row.name`, `row.*`
    fn of_row(
        &mut self,
        schema: Option<&str>,
        row: &str,
        last: Part<'_>,
        scope: &Scope<'_>,
    ) -> Walked<Vec<Col>> {
        let rows = scope.rows(schema, row);
        if rows.is_empty() {
            self.unresolved(scope);
            return Ok(match last {
                Part::Name(name) => vec![Col::computed(name)],
                Part::Star => {
                    self.is_opaque = true;
                    Vec::new()
                }
            });
        }
        match last {
            Part::Name(name) => Ok(vec![self.field(&rows, name)]),
            Part::Star => self.all_of(&rows),
        }
    }

    fn all_of(&mut self, rows: &[&Rte]) -> Walked<Vec<Col>> {
        let columns: Vec<Col> = rows
            .iter()
            .flat_map(|rte| rte.columns.iter().cloned())
            .collect();
        self.open_star(rows.len() > 1 || rows.iter().any(|rte| rte.open), &columns);
        self.count_columns(columns.len())?;
        Ok(columns)
    }

    /// A column of a row, or a function of the row in a column's clothes: `t.row_to_json`.
    fn field(&mut self, rows: &[&Rte], name: &str) -> Col {
        if let Some(column) = column_of(rows, name) {
            return column;
        }
        self.function_name(None, name);
        self.whole_row(name, rows)
    }

    /// A row as one value: everything in it is inferred.
    fn whole_row(&mut self, name: &str, rows: &[&Rte]) -> Col {
        let mut origins = vec![NO_ORIGIN];
        for rte in rows {
            self.infer_all(&rte.columns);
            origins.extend(rte.relations.iter().map(|relation| ColumnId {
                relation: *relation,
                attnum: 0,
            }));
        }
        Col {
            name: name.into(),
            origins,
            carries: Vec::new(),
        }
    }

    /// A `*` over columns whose number or order is unknown.
    fn open_star(&mut self, open: bool, columns: &[Col]) {
        if open {
            self.is_opaque = true;
            if columns.iter().any(|column| !column.carries.is_empty()) {
                self.unknown(Resource::Connection);
            }
        }
    }

    /// A name that we cannot resolve. The server will most likely not either; but where
    /// sensitive columns are in sight, nobody finds out.
    fn unresolved(&mut self, scope: &Scope<'_>) {
        if scope.carries_any() {
            self.unknown(Resource::Connection);
        }
    }

    /// `(t).c`, `(t).*`, `(t.*).c`
    fn field_of_row(
        &mut self,
        indirection: &A_Indirection,
        scope: &Scope<'_>,
    ) -> Walked<Option<Vec<Col>>> {
        let Some(rows) = row_meant(indirection.arg(), scope) else {
            return Ok(None);
        };
        let mut path = indirection.indirection().iter();
        match (path.next(), path.next()) {
            (Some(Node::String(field)), None) => Ok(Some(vec![
                self.field(&rows, field.sval().unwrap_or_default()),
            ])),
            (Some(Node::A_Star(_)), None) => self.all_of(&rows).map(Some),
            _ => Ok(None),
        }
    }

    /// `c(t)`: a column in a function's clothes. A function of that name would come first, so
    /// that there must be none.
    fn column_by_function(&self, call: &FuncCall, scope: &Scope<'_>) -> Option<Col> {
        if !is_plain(call) {
            return None;
        }
        let rows = row_meant(call.args().first()?, scope)?;
        let names = strings(call.funcname())?;
        let (None, name) = qualified(&names)? else {
            return None;
        };
        if is_harmless_function(name) || self.catalog.functions.contains_key(name) {
            return None;
        }
        let exists = rows
            .iter()
            .any(|rte| rte.columns.iter().any(|column| &*column.name == name));
        exists.then(|| column_of(&rows, name))?
    }
}

/// The rows that an expression names as such: `t`, `s.t`, `t.*`.
fn row_meant<'s>(node: Node<'_>, scope: &'s Scope<'_>) -> Option<Vec<&'s Rte>> {
    let Node::ColumnRef(reference) = node else {
        return None;
    };
    let rows = match parts(reference)?.as_slice() {
        [Part::Name(name)] | [Part::Name(name), Part::Star] => match scope.unqualified(name) {
            Meaning::Row(rows) => rows,
            Meaning::Column(_) if matches!(parts(reference)?.last(), Some(Part::Name(_))) => {
                return None;
            }
            Meaning::Column(_) | Meaning::Nothing => scope.rows(None, name),
        },
        [Part::Name(schema), Part::Name(name), Part::Star] => scope.rows(Some(schema), name),
        _ => return None,
    };
    (!rows.is_empty()).then_some(rows)
}

fn is_plain(call: &FuncCall) -> bool {
    call.args().len() == 1
        && !call.agg_star
        && !call.agg_distinct
        && !call.agg_within_group
        && !call.func_variadic
        && call.over().is_none()
        && call.agg_order().is_empty()
        && matches!(call.agg_filter(), Node::None)
}

fn parts(reference: &ColumnRef) -> Option<Vec<Part<'_>>> {
    let part = |node| match node {
        Node::String(name) => name.sval().map(Part::Name),
        Node::A_Star(_) => Some(Part::Star),
        _ => None,
    };
    reference.fields().iter().map(part).collect()
}
