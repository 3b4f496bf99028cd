//! SQL/JSON expressions (PostgreSQL 16 and later). Whatever is not among them is unknown.

use pg_raw_parse::nodes::{
    JsonAggConstructor, JsonBehavior, JsonKeyValue, JsonOutput, JsonValueExpr,
};
use pg_raw_parse::{Node, list};
use weir_facts::Resource;

use super::scope::Scope;
use super::{Walk, Walked};

impl Walk<'_> {
    pub(super) fn json(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Walked<()> {
        match node {
            Node::JsonObjectConstructor(json) => {
                self.output(json.output());
                json.exprs()
                    .iter()
                    .try_for_each(|pair| self.pair(Some(pair), scope))
            }
            Node::JsonArrayConstructor(json) => {
                self.output(json.output());
                json.exprs()
                    .iter()
                    .try_for_each(|value| self.value(Some(value), scope))
            }
            Node::JsonArrayQueryConstructor(json) => {
                self.output(json.output());
                let columns = self.query(json.query(), Some(scope))?;
                self.infer_all(&columns);
                Ok(())
            }
            Node::JsonObjectAgg(json) => {
                self.pair(json.arg(), scope)?;
                self.aggregate(json.constructor(), scope)
            }
            Node::JsonArrayAgg(json) => {
                self.value(json.arg(), scope)?;
                self.aggregate(json.constructor(), scope)
            }
            Node::JsonFuncExpr(json) => {
                self.output(json.output());
                self.value(json.context_item(), scope)?;
                self.expression(json.pathspec(), scope)?;
                self.passing(json.passing(), scope)?;
                self.behavior(json.on_empty(), scope)?;
                self.behavior(json.on_error(), scope)
            }
            Node::JsonIsPredicate(json) => self.expression(json.expr(), scope),
            Node::JsonValueExpr(json) => self.value(Some(json), scope),
            Node::JsonParseExpr(json) => {
                self.output(json.output());
                self.value(json.expr(), scope)
            }
            Node::JsonScalarExpr(json) => {
                self.output(json.output());
                self.expression(json.expr(), scope)
            }
            Node::JsonSerializeExpr(json) => {
                self.output(json.output());
                self.value(json.expr(), scope)
            }
            _ => {
                self.unknown(Resource::Connection);
                Ok(())
            }
        }
    }

    pub(super) fn value(&mut self, value: Option<&JsonValueExpr>, scope: &Scope<'_>) -> Walked<()> {
        let Some(value) = value else { return Ok(()) };
        self.expression(value.raw_expr(), scope)?;
        self.expression(value.formatted_expr(), scope)
    }

    pub(super) fn passing(&mut self, passing: &list::NodeList, scope: &Scope<'_>) -> Walked<()> {
        passing.iter().try_for_each(|argument| match argument {
            Node::JsonArgument(argument) => self.value(argument.val(), scope),
            other => self.expression(other, scope),
        })
    }

    pub(super) fn behavior(
        &mut self,
        behavior: Option<&JsonBehavior>,
        scope: &Scope<'_>,
    ) -> Walked<()> {
        behavior.map_or(Ok(()), |behavior| self.expression(behavior.expr(), scope))
    }

    fn pair(&mut self, pair: Option<&JsonKeyValue>, scope: &Scope<'_>) -> Walked<()> {
        let Some(pair) = pair else { return Ok(()) };
        self.expression(pair.key(), scope)?;
        self.value(pair.value(), scope)
    }

    fn output(&mut self, output: Option<&JsonOutput>) {
        self.type_name(output.and_then(JsonOutput::type_name));
    }

    fn aggregate(
        &mut self,
        aggregate: Option<&JsonAggConstructor>,
        scope: &Scope<'_>,
    ) -> Walked<()> {
        let Some(aggregate) = aggregate else {
            return Ok(());
        };
        self.output(aggregate.output());
        self.expression(aggregate.agg_filter(), scope)?;
        self.expressions(aggregate.agg_order(), scope)?;
        aggregate
            .over()
            .map_or(Ok(()), |window| self.window(window, scope))
    }
}
