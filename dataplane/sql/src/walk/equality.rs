//! Equality of a hidden column with values that the client brings: the one comparison that
//! policy may allow without allowing inference.
//!
//! Only as a whole condition of WHERE, or one of several that AND joins: `c = $1`,
//! `'x' = t.c`, `c IN ('x', 'y')`. Each value tests one guess, and what else the statement does
//! can tell no more of the column than which rows the guesses hit. So values are counted.
//!
//! A value must be a constant or a parameter, and of a type whose comparison with the column
//! converts the value, never the column: converting `numeric` to `float8` would test a range.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{A_Expr, TypeCast, TypeName};
use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType};
use weir_facts::{Action, ColumnId, Resource};

use super::scope::{Col, Scope};
use super::{Walk, Walked, strings};
use crate::statement::{MatchFamily, MatchParameter};

/// A value that a column is compared with.
enum Value {
    Constant,
    /// Its number, and whether the text says its type.
    Parameter {
        number: i32,
        is_typed: bool,
    },
}

/// What the walk has met of such comparisons.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// Values that hidden columns are compared with.
    pub(super) count: u32,
    /// Parameters among them, with the columns.
    parameters: Vec<(MatchParameter, Vec<ColumnId>)>,
    /// How often each parameter is used at all.
    used: std::collections::BTreeMap<i32, u32>,
    /// Inside of what does not answer with what it matches: EXPLAIN.
    pub(super) forbidden: bool,
    /// Inside a statement that runs as it is written: no view's definition, no rule.
    pub(super) possible: bool,
}

impl Matches {
    pub(super) fn uses(&mut self, parameter: i32) {
        let used = self.used.entry(parameter).or_default();
        *used = used.saturating_add(1);
    }

    pub(super) fn parameters(&self) -> Vec<MatchParameter> {
        self.parameters.iter().map(|(it, _)| *it).collect()
    }
}

impl Walk<'_> {
    /// The condition of a WHERE clause.
    pub(super) fn condition(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Walked<()> {
        match node {
            Node::BoolExpr(all) if all.boolop == BoolExprType::AND_EXPR => self.deeper(|walk| {
                let mut parts = all.args().iter();
                parts.try_for_each(|part| walk.condition(part, scope))
            }),
            Node::A_Expr(operation) if self.is_match(operation, scope)? => Ok(()),
            other => self.expression(other, scope),
        }
    }

    /// Whether an operation is such a comparison; then it is asked for and counted.
    fn is_match(&mut self, operation: &A_Expr, scope: &Scope<'_>) -> Walked<bool> {
        if !self.matches.possible || self.matches.forbidden || self.catalog.equality_altered {
            return Ok(false);
        }
        let (left, right) = (operation.lexpr(), operation.rexpr());
        let names = strings(operation.name());
        if !matches!(names.as_deref(), Some(["="] | ["pg_catalog", "="])) {
            return Ok(false);
        }
        let (column, values): (Node<'_>, Vec<Node<'_>>) = match (operation.kind, right) {
            (A_Expr_Kind::AEXPR_IN, Node::NodeList(listed)) => (left, listed.iter().collect()),
            (A_Expr_Kind::AEXPR_OP, value) if is_column(left) => (left, vec![value]),
            (A_Expr_Kind::AEXPR_OP, column) if is_column(column) => (column, vec![left]),
            _ => return Ok(false),
        };
        if !is_column(column) || !values.iter().all(|value| is_value(*value)) {
            return Ok(false);
        }
        let columns = self.bare(column, scope)?.unwrap_or_default();
        let [column] = columns.as_slice() else {
            return Ok(false);
        };
        let Some(family) = self.family(column) else {
            return Ok(false);
        };
        let values: Option<Vec<Value>> =
            values.into_iter().map(|node| value(node, family)).collect();
        let Some(values) = values else {
            return Ok(false);
        };
        self.operator("=");
        self.count_match(column, family, &values);
        Ok(true)
    }

    /// The types that a column may be compared with: `None` if it is not hidden, may be worked
    /// out from something else, or has a type of no known equality.
    fn family(&self, column: &Col) -> Option<MatchFamily> {
        let mut families = column.carries.iter().map(|id| {
            let mark = self.sensitive.mark(*id).filter(|mark| !mark.computed)?;
            let known = |id: &ColumnId| self.catalog.column_name(*id).is_some();
            let found = self.catalog.relation(id.relation)?.column(id.attnum)?;
            let all_known = mark.sources.iter().all(known);
            MatchFamily::of(found.type_oid).filter(|_| all_known)
        });
        let first = families.next()??;
        families.all(|other| other == Some(first)).then_some(first)
    }

    fn count_match(&mut self, column: &Col, family: MatchFamily, values: &[Value]) {
        let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
        self.matches.count = self.matches.count.saturating_add(count);
        for value in values {
            if let Value::Parameter { number, is_typed } = value {
                let parameter = MatchParameter {
                    number: *number,
                    family,
                    is_typed: *is_typed,
                };
                self.matches.uses(*number);
                self.matches
                    .parameters
                    .push((parameter, column.carries.clone()));
            }
        }
        self.ask_about(Action::PgMatch, &column.carries);
    }

    /// A parameter takes the type that its first use gives it, so that one that is also used
    /// elsewhere may bring another type than its column's: that is inference.
    pub(super) fn settle_matches(&mut self) {
        let found = std::mem::take(&mut self.matches.parameters);
        for (parameter, columns) in &found {
            if self.matches.used.get(&parameter.number) != Some(&1) {
                self.infer(columns);
            }
        }
        self.matches.parameters = found;
    }

    /// The types that PREPARE declares must be ones that a column may be compared with.
    pub(super) fn settle_declared(&mut self, declared: &[&TypeName]) {
        let found = std::mem::take(&mut self.matches.parameters);
        for (parameter, columns) in &found {
            let at = usize::try_from(parameter.number).ok();
            let name = at.and_then(|at| declared.get(at.checked_sub(1)?));
            let fits = name.is_none_or(|name| type_fits(name, parameter.family));
            if !parameter.is_typed && !fits {
                self.infer(columns);
            }
        }
        self.matches.parameters = found;
    }

    /// Asks about columns and the labelled ones behind them.
    pub(super) fn ask_about(&mut self, action: Action, columns: &[ColumnId]) {
        for id in columns {
            let sources = self
                .sensitive
                .mark(*id)
                .map_or(&[][..], |mark| &mark.sources);
            for id in std::iter::once(id).chain(sources) {
                match self.catalog.column_name(*id) {
                    Some(name) => self.ask(action, Resource::Column(name)),
                    None => self.unknown(Resource::Connection),
                }
            }
        }
    }
}

fn is_column(node: Node<'_>) -> bool {
    matches!(node, Node::ColumnRef(_) | Node::A_Indirection(_))
}

fn is_value(node: Node<'_>) -> bool {
    match node {
        Node::A_Const(_) | Node::ParamRef(_) => true,
        Node::TypeCast(cast) => matches!(cast.arg(), Node::A_Const(_) | Node::ParamRef(_)),
        _ => false,
    }
}

fn value(node: Node<'_>, family: MatchFamily) -> Option<Value> {
    match node {
        Node::A_Const(_) => Some(Value::Constant),
        Node::ParamRef(parameter) => Some(Value::Parameter {
            number: parameter.number,
            is_typed: false,
        }),
        Node::TypeCast(cast) if cast_fits(cast, family) => match cast.arg() {
            Node::A_Const(_) => Some(Value::Constant),
            Node::ParamRef(parameter) => Some(Value::Parameter {
                number: parameter.number,
                is_typed: true,
            }),
            _ => None,
        },
        _ => None,
    }
}

fn cast_fits(cast: &TypeCast, family: MatchFamily) -> bool {
    cast.type_name().is_some_and(|name| type_fits(name, family))
}

/// Whether a type's name is one of the family's, as a plain type: no array, no set.
fn type_fits(name: &TypeName, family: MatchFamily) -> bool {
    let parts: Option<Vec<&str>> = name.names().iter().map(|part| part.sval()).collect();
    let is_plain = name.array_bounds().is_empty() && !name.setof && !name.pct_type;
    let known = match parts.as_deref() {
        Some([name] | ["pg_catalog", name]) => family.has_type(name),
        _ => false,
    };
    is_plain && known
}
