//! Expressions: whatever sensitive column is in one is inferred.

use pg_raw_parse::nodes::{A_Expr, A_Indices, SubLink, TypeCast, TypeName, WindowDef};
use pg_raw_parse::raw::{A_Expr_Kind, SubLinkType};
use pg_raw_parse::{Node, list};
use weir_facts::Resource;

use super::scope::{Col, Scope};
use super::{Walk, Walked, name, strings};
use crate::statement::NO_ORIGIN;

impl Walk<'_> {
    /// One entry of a target list. Bare columns keep what they carry.
    pub(super) fn target(
        &mut self,
        node: Node<'_>,
        label: Option<&str>,
        scope: &Scope<'_>,
    ) -> Walked<Vec<Col>> {
        let mut columns = match self.bare(node, scope)? {
            Some(columns) => columns,
            None => vec![self.computed(node, scope)?],
        };
        if let (Some(label), [column]) = (label, columns.as_mut_slice()) {
            column.name = label.into();
        }
        Ok(columns)
    }

    /// A target that is no bare column. A cast may vanish, then the server reports the
    /// argument's origin.
    fn computed(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Walked<Col> {
        let mut column = Col::computed(name::of(node, self.catalog.server_version));
        let (Node::TypeCast(_) | Node::CollateClause(_)) = node else {
            self.expression(node, scope)?;
            return Ok(column);
        };
        let mut inner = node;
        loop {
            inner = match inner {
                Node::TypeCast(cast) => {
                    self.type_name(cast.type_name());
                    self.reg_cast(cast);
                    cast.arg()
                }
                Node::CollateClause(collate) => collate.arg(),
                _ => break,
            };
        }
        match self.bare(inner, scope)? {
            Some(columns) => {
                self.infer_all(&columns);
                column
                    .origins
                    .extend(columns.into_iter().flat_map(|column| column.origins));
                column.origins.dedup();
            }
            None => self.expression(inner, scope)?,
        }
        debug_assert!(column.origins.contains(&NO_ORIGIN));
        Ok(column)
    }

    pub(super) fn expressions(&mut self, nodes: &list::NodeList, scope: &Scope<'_>) -> Walked<()> {
        nodes
            .iter()
            .try_for_each(|node| self.expression(node, scope))
    }

    /// An expression at any place but as a whole target.
    pub(super) fn expression(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Walked<()> {
        self.deeper(|walk| walk.expression_here(node, scope))
    }

    fn expression_here(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Walked<()> {
        if let Some(columns) = self.bare(node, scope)? {
            self.infer_all(&columns);
            return Ok(());
        }
        match node {
            Node::None
            | Node::A_Const(_)
            | Node::SetToDefault(_)
            | Node::SQLValueFunction(_)
            | Node::CurrentOfExpr(_)
            | Node::MergeSupportFunc(_) => Ok(()),
            Node::ParamRef(parameter) => {
                self.matches.uses(parameter.number);
                Ok(())
            }
            Node::NodeList(nodes) => self.expressions(nodes, scope),
            Node::A_Expr(operation) => self.operation(operation, scope),
            Node::BoolExpr(all) => self.expressions(all.args(), scope),
            Node::FuncCall(call) => self.function(call, scope),
            Node::TypeCast(cast) => self.cast(cast, scope),
            Node::CollateClause(collate) => self.expression(collate.arg(), scope),
            Node::SubLink(link) => self.sub_link(link, scope),
            Node::CaseExpr(case) => {
                if !matches!(case.arg(), Node::None) {
                    self.operator("=");
                }
                self.expression(case.arg(), scope)?;
                self.expressions(case.args(), scope)?;
                self.expression(case.defresult(), scope)
            }
            Node::CaseWhen(when) => {
                self.expression(when.expr(), scope)?;
                self.expression(when.result(), scope)
            }
            Node::A_ArrayExpr(array) => self.expressions(array.elements(), scope),
            Node::RowExpr(row) => self.expressions(row.args(), scope),
            Node::CoalesceExpr(all) => self.expressions(all.args(), scope),
            Node::MinMaxExpr(all) => self.expressions(all.args(), scope),
            Node::NullTest(test) => self.expression(test.arg(), scope),
            Node::BooleanTest(test) => self.expression(test.arg(), scope),
            Node::NamedArgExpr(argument) => self.expression(argument.arg(), scope),
            Node::GroupingFunc(grouping) => self.expressions(grouping.args(), scope),
            Node::MultiAssignRef(source) => self.expression(source.source(), scope),
            Node::A_Indirection(indirection) => {
                self.expression(indirection.arg(), scope)?;
                self.subscripts(indirection.indirection(), scope)
            }
            Node::A_Indices(indices) => self.indices(indices, scope),
            Node::ResTarget(target) => self.expression(target.val(), scope),
            Node::SortBy(sort) => self.expression(sort.node(), scope),
            Node::XmlExpr(xml) => {
                self.expressions(xml.named_args(), scope)?;
                self.expressions(xml.args(), scope)
            }
            Node::XmlSerialize(xml) => self.expression(xml.expr(), scope),
            json => self.json(json, scope),
        }
    }

    /// `a op b`. The left spine of `a || b || c …` is followed in a loop, so that a long
    /// chain is not a deep one.
    fn operation(&mut self, operation: &A_Expr, scope: &Scope<'_>) -> Walked<()> {
        let mut next = operation;
        loop {
            self.operator_name(next);
            self.expression(next.rexpr(), scope)?;
            match next.lexpr() {
                Node::A_Expr(left) => next = left,
                other => return self.expression(other, scope),
            }
        }
    }

    fn operator_name(&mut self, operation: &A_Expr) {
        match operation.kind {
            A_Expr_Kind::AEXPR_BETWEEN
            | A_Expr_Kind::AEXPR_NOT_BETWEEN
            | A_Expr_Kind::AEXPR_BETWEEN_SYM
            | A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM => ["<", ">", "<=", ">="]
                .iter()
                .for_each(|name| self.operator(name)),
            _ => self.operators(operation.name()),
        }
    }

    /// A possibly qualified operator name.
    pub(super) fn operators(&mut self, names: &list::NodeList) {
        match strings(names).and_then(|names| names.last().copied()) {
            Some(name) => self.operator(name),
            None if names.is_empty() => {}
            None => self.unknown(Resource::Connection),
        }
    }

    /// An operator is trusted unless one of its name runs user code.
    pub(super) fn operator(&mut self, name: &str) {
        let catalog = self.catalog;
        for function in catalog.operators.get(name).into_iter().flatten() {
            self.call(&function.schema, &function.name);
        }
    }

    fn cast(&mut self, cast: &TypeCast, scope: &Scope<'_>) -> Walked<()> {
        self.type_name(cast.type_name());
        self.reg_cast(cast);
        self.expression(cast.arg(), scope)
    }

    /// Casts and domain checks may run user code.
    pub(super) fn type_name(&mut self, name: Option<&TypeName>) {
        let catalog = self.catalog;
        let names = name
            .into_iter()
            .flat_map(|name| name.names().iter().filter_map(|part| part.sval()));
        let code = names.last().and_then(|name| catalog.casts.get(name));
        for function in code.into_iter().flatten() {
            self.call(&function.schema, &function.name);
        }
    }

    fn reg_cast(&mut self, cast: &TypeCast) {
        let names = cast
            .type_name()
            .into_iter()
            .flat_map(|name| name.names().iter().filter_map(|part| part.sval()));
        let to_reg = names.last().is_some_and(|name| name.starts_with("reg"));
        let constant = matches!(cast.arg(), Node::A_Const(_) | Node::ParamRef(_));
        self.casts_to_reg |= to_reg && !constant;
    }

    fn sub_link(&mut self, link: &SubLink, scope: &Scope<'_>) -> Walked<()> {
        self.expression(link.testexpr(), scope)?;
        if link.oper_name().is_empty() && !matches!(link.testexpr(), Node::None) {
            self.operator("=");
        }
        self.operators(link.oper_name());
        let columns = self.query(link.subselect(), Some(scope))?;
        match link.sub_link_type {
            // Whether a row exists does not depend on what it would have shown.
            SubLinkType::EXISTS_SUBLINK => {}
            _ => self.infer_all(&columns),
        }
        Ok(())
    }

    /// `[i]`, `[i:j]`, `.field` of a value.
    pub(super) fn subscripts(&mut self, path: &list::NodeList, scope: &Scope<'_>) -> Walked<()> {
        path.iter().try_for_each(|step| match step {
            Node::A_Indices(indices) => self.indices(indices, scope),
            Node::String(field) => {
                // `.field` of a composite can also be a function of it.
                let field = field.sval().unwrap_or_default();
                if self.catalog.functions.contains_key(field) {
                    self.function_name(None, field);
                }
                Ok(())
            }
            Node::A_Star(_) => {
                self.is_opaque = true;
                Ok(())
            }
            _ => {
                self.unknown(Resource::Connection);
                Ok(())
            }
        })
    }

    fn indices(&mut self, indices: &A_Indices, scope: &Scope<'_>) -> Walked<()> {
        self.expression(indices.lidx(), scope)?;
        self.expression(indices.uidx(), scope)
    }

    pub(super) fn window(&mut self, window: &WindowDef, scope: &Scope<'_>) -> Walked<()> {
        self.expressions(window.partition_clause(), scope)?;
        for sort in window.order_clause() {
            self.operators(sort.use_op());
            self.expression(sort.node(), scope)?;
        }
        self.expression(window.start_offset(), scope)?;
        self.expression(window.end_offset(), scope)
    }
}
