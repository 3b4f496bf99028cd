use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{ARGUMENT_DEPTH_MAX, ARGUMENTS_MAX};
use crate::uses::{ArgumentMap, ArgumentUse};

/// A tool's argument, typed as JSON types it (RFC 8259).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction that fits; anything else is a [`Value::Number`].
    Long(i64),
    /// Any other number, as it was written. Policies cannot compare it, only see that it is there.
    Number(Box<str>),
    /// A string.
    String(Box<str>),
    /// An array.
    Array(Vec<Value>),
    /// An object, in order of appearance.
    Object(Vec<(Box<str>, Value)>),
}

/// Arguments by path, one map per type, so that a policy that asks for a string gets a string.
///
/// A path is the argument's JSON pointer (RFC 6901) without its first `/`: `limit`,
/// `filter/owner`, `ids/0`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaves {
    /// Every path that is present, of any type, inner nodes too.
    pub(crate) names: Vec<String>,
    pub(crate) strings: BTreeMap<String, String>,
    pub(crate) longs: BTreeMap<String, i64>,
    pub(crate) bools: BTreeMap<String, bool>,
    /// Those that are `null`: as good as absent.
    pub(crate) nulls: BTreeSet<String>,
}

/// Why arguments cannot be shown to policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentsError {
    #[error("the arguments are not an object")]
    NotAnObject,
    #[error("the arguments have more than {ARGUMENTS_MAX} values")]
    TooMany,
    #[error("the arguments are nested deeper than {ARGUMENT_DEPTH_MAX}")]
    TooDeep,
    #[error("an argument is named twice")]
    Duplicate,
}

impl Leaves {
    /// Flattens the object that `params.arguments` is; absent arguments are an empty object.
    pub(crate) fn of(arguments: Option<&Value>) -> Result<Self, ArgumentsError> {
        let mut leaves = Self::default();
        match arguments {
            None | Some(Value::Null) => {}
            Some(Value::Object(members)) => leaves.object("", members, 0)?,
            Some(
                Value::Bool(_)
                | Value::Long(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_),
            ) => {
                return Err(ArgumentsError::NotAnObject);
            }
        }
        leaves.names.sort_unstable();
        if leaves.names.array_windows().any(|[a, b]| a == b) {
            return Err(ArgumentsError::Duplicate);
        }
        Ok(leaves)
    }

    /// An argument that is there and is of no type as which `uses` read it: whatever they say of it
    /// would silently not apply.
    pub(crate) fn unread<'u>(&self, uses: &[&'u ArgumentUse]) -> Option<&'u ArgumentUse> {
        let is_read = |used: &ArgumentUse| match used.map {
            ArgumentMap::Strings => self.strings.contains_key(&used.path),
            ArgumentMap::Longs => self.longs.contains_key(&used.path),
            ArgumentMap::Bools => self.bools.contains_key(&used.path),
            ArgumentMap::Names => true,
        };
        let typed = uses.iter().filter(|used| used.map != ArgumentMap::Names);
        let mut there = typed.filter(|used| {
            self.names.binary_search(&used.path).is_ok() && !self.nulls.contains(&used.path)
        });
        there
            .find(|used| {
                let mut same = uses
                    .iter()
                    .filter(|other| other.path == used.path && other.map != ArgumentMap::Names);
                !same.any(|other| is_read(other))
            })
            .copied()
    }

    fn object(
        &mut self,
        at: &str,
        members: &[(Box<str>, Value)],
        depth: usize,
    ) -> Result<(), ArgumentsError> {
        members.iter().try_for_each(|(name, value)| {
            let step = name.replace('~', "~0").replace('/', "~1");
            self.value(below(at, &step, depth), value, depth + 1)
        })
    }

    fn value(&mut self, at: String, value: &Value, depth: usize) -> Result<(), ArgumentsError> {
        if depth > ARGUMENT_DEPTH_MAX {
            return Err(ArgumentsError::TooDeep);
        }
        if self.names.len() >= ARGUMENTS_MAX {
            return Err(ArgumentsError::TooMany);
        }
        self.names.push(at.clone());
        match value {
            Value::Null => drop(self.nulls.insert(at)),
            Value::Number(_) => {}
            Value::Bool(shown) => drop(self.bools.insert(at, *shown)),
            Value::Long(shown) => drop(self.longs.insert(at, *shown)),
            Value::String(shown) => drop(self.strings.insert(at, shown.to_string())),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(below(&at, &index.to_string(), depth), item, depth + 1)?;
                }
            }
            Value::Object(members) => self.object(&at, members, depth)?,
        }
        Ok(())
    }
}

/// The path one step down. At the root there is nothing to separate from.
fn below(at: &str, step: &str, depth: usize) -> String {
    if depth == 0 {
        step.to_owned()
    } else {
        format!("{at}/{step}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(members: Vec<(&str, Value)>) -> Value {
        Value::Object(
            members
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    #[test]
    fn values_are_found_by_path_and_type() {
        let arguments = object(vec![
            ("limit", Value::Long(10)),
            (
                "filter",
                object(vec![
                    ("own/er", Value::String("x".into())),
                    ("deep", Value::Bool(true)),
                ]),
            ),
            (
                "ids",
                Value::Array(vec![Value::Long(7), Value::Number("1.5".into())]),
            ),
        ]);
        let leaves = Leaves::of(Some(&arguments)).expect("valid");
        assert_eq!(
            leaves.longs,
            BTreeMap::from([("ids/0".into(), 7), ("limit".into(), 10)])
        );
        assert_eq!(
            leaves.strings,
            BTreeMap::from([("filter/own~1er".into(), "x".into())])
        );
        assert_eq!(leaves.bools, BTreeMap::from([("filter/deep".into(), true)]));
        assert_eq!(
            leaves.names,
            [
                "filter",
                "filter/deep",
                "filter/own~1er",
                "ids",
                "ids/0",
                "ids/1",
                "limit"
            ]
        );
    }

    #[test]
    fn what_two_readers_could_see_differently_is_refused() {
        let twice = object(vec![("a", Value::Long(1)), ("a", Value::Long(2))]);
        assert_eq!(Leaves::of(Some(&twice)), Err(ArgumentsError::Duplicate));
        assert_eq!(
            Leaves::of(Some(&Value::Long(1))),
            Err(ArgumentsError::NotAnObject)
        );
    }

    #[test]
    fn an_empty_name_is_a_path_of_its_own() {
        let arguments = object(vec![
            ("", object(vec![("a", Value::Long(1))])),
            ("a", Value::Long(2)),
        ]);
        let leaves = Leaves::of(Some(&arguments)).expect("valid");
        assert_eq!(
            leaves.longs,
            BTreeMap::from([("/a".into(), 1), ("a".into(), 2)])
        );
    }

    #[test]
    fn depth_and_count_are_bounded() {
        let mut deep = Value::Long(1);
        for _ in 0..=ARGUMENT_DEPTH_MAX {
            deep = object(vec![("a", deep)]);
        }
        assert_eq!(Leaves::of(Some(&deep)), Err(ArgumentsError::TooDeep));
        let many = object(vec![("a", Value::Array(vec![Value::Null; ARGUMENTS_MAX]))]);
        assert_eq!(Leaves::of(Some(&many)), Err(ArgumentsError::TooMany));
    }
}
