//! Which arguments of calls a policy reads, and as what.

use serde_json::Value;

/// A map of `context.arguments`, each of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArgumentMap {
    /// `strings`
    Strings,
    /// `longs`
    Longs,
    /// `bools`
    Bools,
    /// `names`: arguments of any type.
    Names,
}

impl ArgumentMap {
    /// The name that policies have for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strings => "strings",
            Self::Longs => "longs",
            Self::Bools => "bools",
            Self::Names => "names",
        }
    }

    fn read(name: &str) -> Option<Self> {
        [Self::Strings, Self::Longs, Self::Bools, Self::Names]
            .into_iter()
            .find(|map| map.as_str() == name)
    }
}

/// An argument that a policy reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArgumentUse {
    /// Its path: a JSON Pointer (RFC 6901) without its first `/`.
    pub path: String,
    /// As what.
    pub map: ArgumentMap,
}

/// What a policy reads, from Cedar's JSON policy format. Names that are computed are not seen.
pub(crate) fn of_policy(json: &Value) -> Vec<ArgumentUse> {
    let mut found = Vec::new();
    if let Some(conditions) = json.get("conditions") {
        look(conditions, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn look(json: &Value, found: &mut Vec<ArgumentUse>) {
    match json {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::Array(items) => items.iter().for_each(|item| look(item, found)),
        Value::Object(members) => {
            for (operator, operand) in members {
                if matches!(operator.as_str(), "getTag" | "hasTag" | "contains") {
                    found.extend(used(operand));
                }
                look(operand, found);
            }
        }
    }
}

/// `context.arguments.MAP` with a name.
fn used(operand: &Value) -> Option<ArgumentUse> {
    let record = operand.pointer("/left/.")?;
    let is_arguments = record.pointer("/left/./attr")? == "arguments"
        && record.pointer("/left/./left/Var")? == "context";
    let map = ArgumentMap::read(record.get("attr")?.as_str()?)?;
    let path = operand.pointer("/right/Value")?.as_str()?.to_owned();
    is_arguments.then_some(ArgumentUse { path, map })
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn arguments_are_found_wherever_a_condition_reads_them() {
        let text = "permit(principal, action, resource) when {
            context.arguments.longs.hasTag(\"limit\") && context.arguments.longs.getTag(\"limit\") > 1
            || !(context.arguments.names.contains(\"x/y\")) && principal.groups.contains(\"z\")
        } unless { context.arguments.strings.hasTag(\"s\") };";
        let policy = cedar_policy::Policy::from_str(text).expect("a policy");
        let uses = of_policy(&policy.to_json().expect("JSON"));
        let told: Vec<_> = uses
            .iter()
            .map(|used| (used.path.as_str(), used.map))
            .collect();
        let expected = [
            ("limit", ArgumentMap::Longs),
            ("s", ArgumentMap::Strings),
            ("x/y", ArgumentMap::Names),
        ];
        assert_eq!(told, expected);
    }
}
