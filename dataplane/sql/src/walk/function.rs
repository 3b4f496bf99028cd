//! Function calls: which are known, which act on something else, which are asked about.

use pg_raw_parse::nodes::{FuncCall, SelectStmt, TypeCast};
use pg_raw_parse::raw::A_Expr_Kind;
use pg_raw_parse::{ConstValue, Node};
use weir_facts::{Access, Action, RelationName, Resource};

use super::scope::Scope;
use super::{Walk, Walked, qualified, strings};
use crate::Relation;
use crate::trust::{is_harmless_function, is_harmless_in_information_schema, is_harmless_setting};

impl Walk<'_> {
    pub(super) fn function(&mut self, call: &FuncCall, scope: &Scope<'_>) -> Walked<()> {
        self.function_called(call);
        self.expressions(call.args(), scope)?;
        for sort in call.agg_order() {
            self.operators(sort.use_op());
            self.expression(sort.node(), scope)?;
        }
        self.expression(call.agg_filter(), scope)?;
        match call.over() {
            Some(window) => self.window(window, scope),
            None => Ok(()),
        }
    }

    fn function_called(&mut self, call: &FuncCall) {
        let names = strings(call.funcname());
        let Some((schema, name)) = names.as_deref().and_then(qualified) else {
            self.unknown(Resource::Connection);
            return;
        };
        if self.means_built_in(schema, name) && self.acts(name, call) {
            return;
        }
        self.function_name(schema, name);
    }

    /// Asks about a function by name, unless it is a known one that nothing shadows.
    pub(super) fn function_name(&mut self, schema: Option<&str>, name: &str) {
        if self.means_built_in(schema, name) && is_harmless_function(name) {
            return;
        }
        let catalog = self.catalog;
        let is_user = || {
            let mut overloads = catalog.functions.get(name).into_iter().flatten();
            overloads.any(|one| &*one.schema == "information_schema")
        };
        if schema == Some("information_schema")
            && is_harmless_in_information_schema(name)
            && !is_user()
        {
            return;
        }
        let overloads = catalog.functions.get(name).into_iter().flatten();
        let fits =
            |function: &&RelationName| schema.is_none_or(|schema| &*function.schema == schema);
        let mut asked = false;
        for function in overloads.filter(fits) {
            self.call(&function.schema, &function.name);
            asked = true;
        }
        let built_in_too = schema.is_none_or(|schema| schema == "pg_catalog")
            && catalog.built_in.contains(name)
            && !is_harmless_function(name);
        if !asked || built_in_too {
            self.call(schema.unwrap_or("pg_catalog"), name);
        }
    }

    fn means_built_in(&self, schema: Option<&str>, name: &str) -> bool {
        let overloads = || self.catalog.functions.get(name).into_iter().flatten();
        match schema {
            // A superuser's own may stand beside the server's.
            Some("pg_catalog") => !overloads().any(|one| &*one.schema == "pg_catalog"),
            Some(_) => false,
            None => !self.catalog.shadowed.contains(name),
        }
    }

    /// Functions that are accesses of another kind. Whether this call is one; its arguments
    /// are walked by the caller.
    fn acts(&mut self, name: &str, call: &FuncCall) -> bool {
        let args: Vec<Node<'_>> = call.args().iter().collect();
        match (name, args.as_slice()) {
            ("nextval", [sequence]) => self.sequence(*sequence, Action::PgUpdate),
            ("setval", [sequence, value, ..]) if is_fixed(*value) => {
                self.sequence(*sequence, Action::PgUpdate)
            }
            ("currval", [sequence]) => self.sequence(*sequence, Action::PgSelect),
            ("pg_notify", [_, _]) => {
                self.writes = true;
                self.ask(Action::PgNotify, Resource::Connection);
                true
            }
            ("set_config", [setting, value, local]) if is_fixed(*local) => {
                self.set_config(*setting, *value)
            }
            ("current_setting", [setting] | [setting, _]) => match text_of(*setting) {
                Some(setting) if setting.contains('.') => {
                    self.read_settings();
                    true
                }
                Some(_) => true,
                None => self.names_setting(*setting),
            },
            _ => false,
        }
    }

    /// A sequence that a constant names; `false` where it is not a constant.
    fn sequence(&mut self, name: Node<'_>, action: Action) -> bool {
        let Some(text) = text_of(name) else {
            return false;
        };
        let Some((schema, name)) = parse_name(&text) else {
            return false;
        };
        let Ok(candidates) = self.candidates_named(schema.as_deref(), &name, action) else {
            return false;
        };
        for sequence in candidates {
            self.writes |= action != Action::PgSelect;
            self.ask(action, Resource::Table(sequence.name.clone()));
            self.sequences.insert(sequence.name.clone());
        }
        true
    }

    /// Whether sequences are all that the statement reaches: there are no rows to choose from.
    pub(super) fn only_moves_sequences(&self) -> bool {
        let is_chosen = |access: &Access| matches!(&access.resource, Resource::Table(name) if self.sequences.contains(name));
        !self.accesses.is_empty() && self.accesses.iter().all(is_chosen)
    }

    /// `set_config('name', value, …)`: as SET, but a value that is computed can carry anything
    /// to where every session can read it.
    fn set_config(&mut self, setting: Node<'_>, value: Node<'_>) -> bool {
        let by_row = || self.setting.clone().filter(|_| is_named(setting, "name"));
        let Some(setting) = text_of(setting).or_else(by_row) else {
            return false;
        };
        let setting = setting.to_ascii_lowercase();
        let fixed = text_of(value);
        // A parameter is the client's own, as a constant is; asyncpg puts `jit` back with one.
        let is_own = fixed.is_some() || (is_fixed(value) && !self.is_prepared);
        if !is_own || !is_harmless_setting(&setting, fixed.as_deref()) {
            self.ask(Action::PgSet, Resource::Parameter(setting.into()));
        }
        true
    }

    /// A setting that a parameter names, as SQLAlchemy asks for one: which it is, is seen when
    /// the parameter is bound.
    fn names_setting(&mut self, name: Node<'_>) -> bool {
        let parameter = match name {
            Node::TypeCast(cast) if is_text(cast) => cast.arg(),
            other => other,
        };
        let Node::ParamRef(parameter) = parameter else {
            return false;
        };
        let number = u16::try_from(parameter.number).ok().filter(|n| *n > 0);
        match number {
            Some(number) if !self.is_prepared => self.settings.insert(number),
            Some(_) | None => return false,
        };
        true
    }

    /// The parameter that a query is about, of the shape in which pg_dump sets one only where the
    /// server has it: `SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'y'`.
    pub(super) fn one_setting(&self, select: &SelectStmt) -> Option<String> {
        let from = select.from_clause();
        let (Some(Node::RangeVar(range)), 1) = (from.first(), from.len()) else {
            return None;
        };
        if range.relname() != Some("pg_settings") || range.alias().is_some() {
            return None;
        }
        // Somebody's own relation of that name may say anything.
        let is_system = |relation: &Relation| &*relation.name.schema == "pg_catalog";
        if !self.catalog.by_name("pg_settings").all(is_system)
            || range
                .schemaname()
                .is_some_and(|schema| schema != "pg_catalog")
        {
            return None;
        }
        let Node::A_Expr(equals) = select.where_clause() else {
            return None;
        };
        let is_equality = equals.kind == A_Expr_Kind::AEXPR_OP
            && strings(equals.name()).as_deref() == Some(&["="])
            && is_named(equals.lexpr(), "name");
        let Node::A_Const(_) = equals.rexpr() else {
            return None;
        };
        is_equality.then(|| text_of(equals.rexpr())).flatten()
    }

    /// Settings beyond the server's own can hold anything that a session put there.
    pub(super) fn read_settings(&mut self) {
        let name = RelationName {
            schema: "pg_catalog".into(),
            name: "pg_settings".into(),
        };
        self.ask(Action::PgReadStatistics, Resource::Table(name));
    }
}

/// A cast to `text` or `varchar`, which leave a parameter's bytes as they are.
fn is_text(cast: &TypeCast) -> bool {
    let Some(name) = cast.type_name() else {
        return false;
    };
    let names: Vec<&str> = name.names().iter().filter_map(|part| part.sval()).collect();
    matches!(
        names.as_slice(),
        ["text"] | ["varchar"] | ["pg_catalog", "text" | "varchar"]
    )
}

/// The unqualified column of this name.
fn is_named(node: Node<'_>, name: &str) -> bool {
    let Node::ColumnRef(reference) = node else {
        return false;
    };
    strings(reference.fields()).as_deref() == Some(&[name])
}

/// A constant's text, through casts: `'x'`, `'x'::regclass`.
pub(super) fn text_of(node: Node<'_>) -> Option<String> {
    let mut node = node;
    while let Node::TypeCast(cast) = node {
        node = cast.arg();
    }
    match node {
        Node::A_Const(constant) => match constant.val()? {
            ConstValue::String(text) | ConstValue::Float(text) => Some(text.to_owned()),
            ConstValue::Integer(number) => Some(number.to_string()),
            ConstValue::Boolean(truth) => Some(if truth { "on" } else { "off" }.to_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// A constant or a parameter, through casts and a sign.
fn is_fixed(node: Node<'_>) -> bool {
    match node {
        Node::A_Const(_) | Node::ParamRef(_) => true,
        Node::TypeCast(cast) => matches!(cast.arg(), Node::A_Const(_) | Node::ParamRef(_)),
        _ => false,
    }
}

/// `schema.name` as regclass reads it: folded unless quoted. `None` for anything unusual.
fn parse_name(text: &str) -> Option<(Option<String>, String)> {
    let part = |part: &str| -> Option<String> {
        if let Some(quoted) = part
            .strip_prefix('"')
            .and_then(|part| part.strip_suffix('"'))
        {
            return (!quoted.contains('"') && !quoted.is_empty()).then(|| quoted.to_owned());
        }
        let plain = !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '$');
        plain.then(|| part.to_ascii_lowercase())
    };
    match text.trim().split('.').collect::<Vec<_>>().as_slice() {
        [name] => Some((None, part(name)?)),
        [schema, name] => Some((Some(part(schema)?), part(name)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_strings_are_read_as_regclass_reads_them() {
        assert_eq!(
            parse_name("Orders_id_seq"),
            Some((None, "orders_id_seq".into()))
        );
        assert_eq!(
            parse_name("public.\"Orders_id_seq\""),
            Some((Some("public".into()), "Orders_id_seq".into()))
        );
        for text in ["", "a.b.c", "a b", "\"a\"\"b\"", "a.", "'"] {
            assert_eq!(parse_name(text), None, "{text:?}");
        }
    }
}
