//! SELECT, VALUES, set operations and WITH.

use std::sync::Arc;

use pg_raw_parse::nodes::{CommonTableExpr, SelectStmt, WithClause};
use pg_raw_parse::raw::SetOperation;
use pg_raw_parse::{Node, list};
use weir_facts::{Action, Resource};

use super::scope::{Col, Cte, From, Scope};
use super::{Walk, Walked};

/// The common table expression that a recursive query may mention from its second arm on.
type OwnName<'n> = Option<(&'n CommonTableExpr, usize)>;

impl Walk<'_> {
    /// A query in a sub-select, a CTE or a COPY: its result columns.
    pub(super) fn query(&mut self, node: Node<'_>, outer: Option<&Scope<'_>>) -> Walked<Vec<Col>> {
        self.query_of(node, outer, None)
    }

    fn query_of(
        &mut self,
        node: Node<'_>,
        outer: Option<&Scope<'_>>,
        own: OwnName<'_>,
    ) -> Walked<Vec<Col>> {
        self.deeper(|walk| match node {
            Node::SelectStmt(select) => walk.select(select, outer, own),
            Node::InsertStmt(insert) => walk.insert(insert, outer),
            Node::UpdateStmt(update) => walk.update(update, outer),
            Node::DeleteStmt(delete) => walk.delete(delete, outer),
            Node::MergeStmt(merge) => walk.merge(merge, outer),
            _ => {
                walk.unknown(Resource::Connection);
                walk.is_opaque = true;
                Ok(Vec::new())
            }
        })
    }

    fn select(
        &mut self,
        select: &SelectStmt,
        outer: Option<&Scope<'_>>,
        own: OwnName<'_>,
    ) -> Walked<Vec<Col>> {
        let sight = self.ctes.len();
        self.with(select.with_clause(), outer)?;
        let columns = if select.op != SetOperation::SETOP_NONE {
            self.set_operation(select, outer, own)?
        } else if !select.values_lists().is_empty() {
            self.values(select, outer)?
        } else {
            self.simple(select, outer)?
        };
        self.ctes.truncate(sight);
        if let Some(into) = select.into_clause() {
            self.creates_table = true;
            self.infer_all(&columns);
            self.create_as(into);
        }
        Ok(columns)
    }

    fn simple(&mut self, select: &SelectStmt, outer: Option<&Scope<'_>>) -> Walked<Vec<Col>> {
        let from = self.list_of_from(select.from_clause(), outer)?;
        let scope = Scope {
            from,
            parent: outer,
        };
        let mut outputs = Vec::new();
        let setting = self.one_setting(select);
        let outer_setting = std::mem::replace(&mut self.setting, setting);
        for target in select.target_list() {
            outputs.extend(self.target(target.val(), target.name(), &scope)?);
        }
        self.setting = outer_setting;
        self.condition(select.where_clause(), &scope)?;
        for node in select.group_clause() {
            self.group(node, &outputs, &scope)?;
        }
        self.expression(select.having_clause(), &scope)?;
        for window in select.window_clause() {
            match window {
                Node::WindowDef(window) => self.window(window, &scope)?,
                _ => self.unknown(Resource::Connection),
            }
        }
        self.distinct(select.distinct_clause(), &outputs, &scope)?;
        self.tail(select, &outputs, &scope)?;
        self.lock(select, &scope);
        Ok(outputs)
    }

    /// DISTINCT compares every result column; DISTINCT ON those that it names.
    fn distinct(
        &mut self,
        clause: &list::NodeList,
        outputs: &[Col],
        scope: &Scope<'_>,
    ) -> Walked<()> {
        if clause.iter().any(|node| matches!(node, Node::None)) {
            self.infer_all(outputs);
            return Ok(());
        }
        clause
            .iter()
            .try_for_each(|node| self.by_output_first(node, outputs, scope))
    }

    /// ORDER BY, LIMIT, OFFSET.
    fn tail(&mut self, select: &SelectStmt, outputs: &[Col], scope: &Scope<'_>) -> Walked<()> {
        self.sort(select.sort_clause(), outputs, scope)?;
        self.expression(select.limit_offset(), scope)?;
        self.expression(select.limit_count(), scope)
    }

    /// FOR UPDATE and alike lock the named relations, or all.
    fn lock(&mut self, select: &SelectStmt, scope: &Scope<'_>) {
        let catalog = self.catalog;
        for clause in select.locking_clause() {
            self.writes = true;
            let named: Vec<_> = clause.locked_rels().iter().collect();
            let is_named = |name: &Option<Arc<str>>| {
                named.is_empty()
                    || named.iter().any(|node| match node {
                        Node::RangeVar(range) => range.relname() == name.as_deref(),
                        _ => true,
                    })
            };
            let locked = scope
                .from
                .rtes
                .iter()
                .filter(|rte| is_named(&rte.name))
                .flat_map(|rte| &rte.relations);
            for relation in locked.filter_map(|oid| catalog.relation(*oid)) {
                self.ask(Action::PgLock, Resource::Table(relation.name.clone()));
            }
        }
    }

    /// UNION, INTERSECT, EXCEPT: rows of all arms are compared or mixed, so that nothing
    /// bare comes out. A long chain of arms is followed in a loop.
    fn set_operation(
        &mut self,
        select: &SelectStmt,
        outer: Option<&Scope<'_>>,
        own: OwnName<'_>,
    ) -> Walked<Vec<Col>> {
        let mut arms = Vec::new();
        let mut next = select;
        loop {
            arms.extend(next.rarg());
            match next.larg() {
                Some(left) if left.op != SetOperation::SETOP_NONE && is_plain(left) => next = left,
                left => break arms.extend(left),
            }
        }
        let mut outputs: Vec<Col> = Vec::new();
        for (at, arm) in arms.iter().rev().enumerate() {
            let columns = self.query(Node::SelectStmt(arm), outer)?;
            self.infer_all(&columns);
            if at == 0 {
                outputs = columns
                    .into_iter()
                    .map(|column| Col::computed(column.name))
                    .collect();
                if let Some((cte, index)) = own {
                    let columns = self.cte_columns(cte, outputs.clone());
                    self.define_cte(index, columns);
                }
            }
        }
        let scope = Scope {
            from: From::default(),
            parent: outer,
        };
        self.tail(select, &outputs, &scope)?;
        Ok(outputs)
    }

    fn values(&mut self, select: &SelectStmt, outer: Option<&Scope<'_>>) -> Walked<Vec<Col>> {
        let scope = Scope {
            from: From::default(),
            parent: outer,
        };
        let mut width = 0;
        for row in select.values_lists() {
            if let Node::NodeList(row) = row {
                width = width.max(row.len());
            }
            self.expression(row, &scope)?;
        }
        self.count_columns(width)?;
        let outputs: Vec<Col> = (1..=width)
            .map(|at| Col::computed(format!("column{at}")))
            .collect();
        self.tail(select, &outputs, &scope)?;
        Ok(outputs)
    }

    /// Brings the expressions of a WITH clause into sight, until the caller truncates.
    pub(super) fn with(
        &mut self,
        with: Option<&WithClause>,
        outer: Option<&Scope<'_>>,
    ) -> Walked<()> {
        let Some(with) = with else { return Ok(()) };
        if !with.recursive {
            for cte in with.ctes() {
                let columns = self.query(cte.ctequery(), outer)?;
                let columns = self.cte_columns(cte, columns);
                self.push_cte(cte, Some(columns));
            }
            return Ok(());
        }
        let first = self.ctes.len();
        for cte in with.ctes() {
            self.push_cte(cte, None);
        }
        for (at, cte) in with.ctes().iter().enumerate() {
            let index = first + at;
            let columns = self.query_of(cte.ctequery(), outer, Some((cte, index)))?;
            let columns = self.cte_columns(cte, columns);
            self.define_cte(index, columns);
        }
        Ok(())
    }

    fn push_cte(&mut self, cte: &CommonTableExpr, columns: Option<Vec<Col>>) {
        let name = super::shared(cte.ctename());
        self.ctes.push(Cte {
            name,
            columns,
            open: self.is_opaque,
        });
    }

    fn define_cte(&mut self, index: usize, columns: Vec<Col>) {
        let open = self.is_opaque;
        if let Some(cte) = self.ctes.get_mut(index) {
            cte.columns = Some(columns);
            cte.open = open;
        }
    }

    /// Applies the column list, and what SEARCH and CYCLE add.
    fn cte_columns(&mut self, cte: &CommonTableExpr, mut columns: Vec<Col>) -> Vec<Col> {
        if !cte.aliascolnames().is_empty()
            && self.is_opaque
            && columns.iter().any(|c| !c.carries.is_empty())
        {
            self.unknown(Resource::Connection);
        }
        for (column, name) in columns.iter_mut().zip(cte.aliascolnames()) {
            if let Some(name) = name.as_str() {
                column.name = name.into();
            }
        }
        let search = cte
            .search_clause()
            .and_then(|search| search.search_seq_column());
        let cycle = cte.cycle_clause();
        let mark = cycle.and_then(|cycle| cycle.cycle_mark_column());
        let path = cycle.and_then(|cycle| cycle.cycle_path_column());
        columns.extend(
            [search, mark, path]
                .into_iter()
                .flatten()
                .map(Col::computed),
        );
        columns
    }
}

/// A set operation with no clauses of its own, which may be read as part of the one above.
fn is_plain(select: &SelectStmt) -> bool {
    select.with_clause().is_none()
        && select.sort_clause().is_empty()
        && select.locking_clause().is_empty()
        && matches!(select.limit_count(), Node::None)
        && matches!(select.limit_offset(), Node::None)
}
