//! FROM: relations, sub-selects, functions and joins.

use std::sync::Arc;

use pg_raw_parse::nodes::{
    Alias, JoinExpr, JsonTable, JsonTableColumn, RangeFunction, RangeSubselect, RangeTableFunc,
    RangeTableSample, RangeVar,
};
use pg_raw_parse::{Node, list};
use weir_facts::{Action, Resource};

use super::scope::{Col, From, Rte, Scope};
use super::{Walk, Walked, name, qualified, strings};
use crate::trust::{function_columns, returns_open_record};

impl Walk<'_> {
    pub(super) fn list_of_from(
        &mut self,
        items: &list::NodeList,
        outer: Option<&Scope<'_>>,
    ) -> Walked<From> {
        let mut from = From::default();
        for item in items {
            let next = self.item_of_from(item, outer, &from)?;
            from = from.and(&next);
        }
        Ok(from)
    }

    /// One item; `left` is what LATERAL can see beside `outer`.
    pub(super) fn item_of_from(
        &mut self,
        item: Node<'_>,
        outer: Option<&Scope<'_>>,
        left: &From,
    ) -> Walked<From> {
        self.deeper(|walk| match item {
            Node::RangeVar(range) => walk.range(range),
            Node::RangeSubselect(select) => walk.sub_select(select, outer, left),
            Node::RangeFunction(function) => walk.range_function(function, outer, left),
            Node::JoinExpr(join) => walk.join(join, outer, left),
            Node::RangeTableSample(sample) => walk.sample(sample, outer, left),
            Node::RangeTableFunc(table) => walk.xml_table(table, outer, left),
            Node::JsonTable(table) => walk.json_table(table, outer, left),
            _ => {
                walk.unknown(Resource::Connection);
                Ok(From {
                    open: true,
                    ..From::default()
                })
            }
        })
    }

    fn range(&mut self, range: &RangeVar) -> Walked<From> {
        if range.schemaname().is_none()
            && let Some(rte) = self.cte(range)?
        {
            return Ok(From::one(rte));
        }
        let candidates = self.candidates(range, Action::PgSelect)?;
        for relation in &candidates {
            self.read(relation);
        }
        self.rte(range, &candidates).map(From::one)
    }

    /// A common table expression by the innermost name.
    fn cte(&mut self, range: &RangeVar) -> Walked<Option<Rte>> {
        let Some(cte) = self
            .ctes
            .iter()
            .rev()
            .find(|cte| Some(&*cte.name) == range.relname())
        else {
            return Ok(None);
        };
        let cte = cte.clone();
        let mut rte = Rte {
            name: Some(Arc::clone(&cte.name)),
            open: cte.open,
            ..Rte::default()
        };
        match cte.columns {
            Some(columns) => rte.columns = columns,
            None => {
                // A forward or mutual reference: its columns are not known yet.
                self.unknown(Resource::Connection);
                rte.open = true;
            }
        }
        self.count_columns(rte.columns.len())?;
        if let Some(alias) = range.alias() {
            self.rename(&mut rte, alias);
        }
        Ok(Some(rte))
    }

    fn sub_select(
        &mut self,
        select: &RangeSubselect,
        outer: Option<&Scope<'_>>,
        left: &From,
    ) -> Walked<From> {
        let columns = if select.lateral {
            let beside = self.beside(outer, left)?;
            self.query(select.subquery(), Some(&beside))?
        } else {
            self.query(select.subquery(), outer)?
        };
        let mut rte = Rte {
            columns,
            open: self.is_opaque,
            ..Rte::default()
        };
        if let Some(alias) = select.alias() {
            self.rename(&mut rte, alias);
        }
        Ok(From::one(rte))
    }

    /// What a lateral item sees.
    fn beside<'p>(&mut self, outer: Option<&'p Scope<'p>>, left: &From) -> Walked<Scope<'p>> {
        self.count_columns(left.width())?;
        Ok(Scope {
            from: left.clone(),
            parent: outer,
        })
    }

    /// `f(…)`, `ROWS FROM (…)`; always lateral.
    fn range_function(
        &mut self,
        range: &RangeFunction,
        outer: Option<&Scope<'_>>,
        left: &From,
    ) -> Walked<From> {
        let scope = self.beside(outer, left)?;
        let mut rte = Rte::default();
        let alias_name = range.alias().and_then(Alias::aliasname);
        for item in range.functions() {
            let Node::NodeList(item) = item else {
                self.unknown(Resource::Connection);
                continue;
            };
            let mut parts = item.iter();
            let call = parts.next().unwrap_or(Node::None);
            self.expression(call, &scope)?;
            let coldefs = parts.next().unwrap_or(Node::None);
            self.function_rte(
                call,
                coldefs,
                alias_name.filter(|_| !range.is_rowsfrom),
                &mut rte,
            );
        }
        self.define_columns(range.coldeflist().iter(), &mut rte);
        if range.ordinality {
            rte.columns.push(Col::computed("ordinality"));
        }
        self.count_columns(rte.columns.len())?;
        if let Some(alias) = range.alias() {
            self.rename(&mut rte, alias);
        }
        Ok(From::one(rte))
    }

    /// The columns of one function's rows.
    fn function_rte(
        &mut self,
        call: Node<'_>,
        coldefs: Node<'_>,
        alias: Option<&str>,
        rte: &mut Rte,
    ) {
        if let Node::NodeList(coldefs) = coldefs {
            let columns = coldefs.iter().filter_map(|node| match node {
                Node::ColumnDef(column) => Some(column),
                _ => None,
            });
            self.define_columns(columns, rte);
            return;
        }
        let name = name::of(call, self.catalog.server_version);
        rte.name = Some(name.as_str().into());
        if let Node::FuncCall(call) = call {
            let names = strings(call.funcname());
            let Some((schema, bare)) = names.as_deref().and_then(qualified) else {
                return;
            };
            if let Some(columns) = function_columns(bare) {
                rte.columns
                    .extend(columns.iter().map(|column| Col::computed(*column)));
                return;
            }
            let built_in = schema.is_none_or(|schema| schema == "pg_catalog");
            if !built_in || returns_open_record(bare) || self.catalog.functions.contains_key(bare) {
                // One column, or those of a row type that its arguments decide.
                rte.open = true;
            }
        }
        rte.columns.push(Col::computed(alias.unwrap_or(&name)));
    }

    fn define_columns<'n>(
        &mut self,
        columns: impl Iterator<Item = &'n pg_raw_parse::nodes::ColumnDef>,
        rte: &mut Rte,
    ) {
        let mut first = true;
        for column in columns {
            if std::mem::take(&mut first) && rte.open {
                rte.columns.clear();
                rte.open = false;
            }
            self.type_name(column.type_name());
            rte.columns
                .push(Col::computed(column.colname().unwrap_or_default()));
        }
    }

    fn sample(
        &mut self,
        sample: &RangeTableSample,
        outer: Option<&Scope<'_>>,
        left: &From,
    ) -> Walked<From> {
        let from = self.item_of_from(sample.relation(), outer, left)?;
        let scope = self.beside(outer, left)?;
        self.expressions(sample.args(), &scope)?;
        self.expression(sample.repeatable(), &scope)?;
        match strings(sample.method()).as_deref().and_then(qualified) {
            Some((None | Some("pg_catalog"), "bernoulli" | "system")) => {}
            Some((schema, method)) => self.call(schema.unwrap_or_default(), method),
            None => self.unknown(Resource::Connection),
        }
        Ok(from)
    }

    fn xml_table(
        &mut self,
        table: &RangeTableFunc,
        outer: Option<&Scope<'_>>,
        left: &From,
    ) -> Walked<From> {
        let scope = self.beside(outer, left)?;
        self.expression(table.docexpr(), &scope)?;
        self.expression(table.rowexpr(), &scope)?;
        self.expressions(table.namespaces(), &scope)?;
        let mut rte = Rte {
            name: Some("xmltable".into()),
            ..Rte::default()
        };
        for column in table.columns() {
            self.type_name(column.type_name());
            self.expression(column.colexpr(), &scope)?;
            self.expression(column.coldefexpr(), &scope)?;
            rte.columns
                .push(Col::computed(column.colname().unwrap_or_default()));
        }
        if let Some(alias) = table.alias() {
            self.rename(&mut rte, alias);
        }
        Ok(From::one(rte))
    }

    fn json_table(
        &mut self,
        table: &JsonTable,
        outer: Option<&Scope<'_>>,
        left: &From,
    ) -> Walked<From> {
        let scope = self.beside(outer, left)?;
        self.value(table.context_item(), &scope)?;
        self.passing(table.passing(), &scope)?;
        self.behavior(table.on_error(), &scope)?;
        let mut rte = Rte {
            name: Some("json_table".into()),
            ..Rte::default()
        };
        for column in table.columns() {
            self.json_column(column, &scope, &mut rte)?;
        }
        if let Some(alias) = table.alias() {
            self.rename(&mut rte, alias);
        }
        Ok(From::one(rte))
    }

    fn json_column(
        &mut self,
        column: &JsonTableColumn,
        scope: &Scope<'_>,
        rte: &mut Rte,
    ) -> Walked<()> {
        self.type_name(column.type_name());
        self.behavior(column.on_empty(), scope)?;
        self.behavior(column.on_error(), scope)?;
        let nested = column.columns();
        if nested.is_empty() {
            rte.columns
                .push(Col::computed(column.name().unwrap_or_default()));
            return Ok(());
        }
        self.deeper(|walk| {
            nested.iter().try_for_each(|node| match node {
                Node::JsonTableColumn(column) => walk.json_column(column, scope, rte),
                _ => {
                    walk.unknown(Resource::Connection);
                    Ok(())
                }
            })
        })
    }

    fn join(&mut self, join: &JoinExpr, outer: Option<&Scope<'_>>, left: &From) -> Walked<From> {
        let l = self.item_of_from(join.larg(), outer, left)?;
        self.count_columns(left.width() + l.width())?;
        let seen = left.clone().and(&l);
        let r = self.item_of_from(join.rarg(), outer, &seen)?;
        let mut from = From {
            rtes: [l.rtes.clone(), r.rtes.clone()].concat(),
            star: Vec::new(),
            open: l.open || r.open,
        };
        let using = self.using(join, &l, &r);
        let merged = self.merge_columns(&using, &l, &r);
        let rest = l
            .star
            .iter()
            .chain(&r.star)
            .filter(|column| !using.contains(&column.name))
            .cloned();
        from.star = merged.iter().cloned().chain(rest).collect();
        self.count_columns(from.star.len())?;
        if let Some(alias) = join.join_using_alias() {
            let mut rte = Rte {
                columns: merged,
                ..Rte::default()
            };
            self.rename(&mut rte, alias);
            from.rtes.push(rte);
        }
        let scope = Scope {
            from,
            parent: outer,
        };
        self.expression(join.quals(), &scope)?;
        let mut from = scope.from;
        if let Some(alias) = join.alias() {
            let mut rte = Rte {
                columns: from.star,
                open: from.open,
                ..Rte::default()
            };
            self.rename(&mut rte, alias);
            from = From::one(rte);
        }
        Ok(from)
    }

    /// Columns that USING or NATURAL joins by.
    fn using(&mut self, join: &JoinExpr, l: &From, r: &From) -> Vec<Arc<str>> {
        if !join.is_natural {
            return join
                .using_clause()
                .iter()
                .filter_map(|name| name.sval())
                .map(Arc::from)
                .collect();
        }
        if l.open || r.open {
            self.unknown(Resource::Connection);
        }
        let mut names: Vec<Arc<str>> = Vec::new();
        for column in &l.star {
            if !names.contains(&column.name) && r.star.iter().any(|other| other.name == column.name)
            {
                names.push(Arc::clone(&column.name));
            }
        }
        names
    }

    /// Both sides are compared; which of them the merged column is depends on join and types.
    fn merge_columns(&mut self, using: &[Arc<str>], l: &From, r: &From) -> Vec<Col> {
        if !using.is_empty() {
            self.operator("=");
        }
        let mut merged = Vec::new();
        for name in using {
            let both = l
                .star
                .iter()
                .chain(&r.star)
                .filter(|column| column.name == *name);
            let column = both.fold(Col::computed(Arc::clone(name)), Col::or);
            self.infer(&column.carries);
            merged.push(column);
        }
        merged
    }
}
