//! Types, and arguments that have others than their schema says.

use std::fmt;

use weir_facts::Step;

use super::admits::is_integer;
use super::effort::Fuel;
use super::{Effort, NodeId, Reach, Schema};
use crate::json::{Kind, Value};
use crate::limits::SCHEMA_DEPTH_MAX;

/// Some of the types of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeSet(u8);

/// The types by their names.
const NAMED: &[(&str, TypeSet)] = &[
    ("null", TypeSet::NULL),
    ("boolean", TypeSet::BOOLEAN),
    ("integer", TypeSet::INTEGER),
    ("number", TypeSet::NUMBER),
    ("string", TypeSet::STRING),
    ("array", TypeSet::ARRAY),
    ("object", TypeSet::OBJECT),
];

impl TypeSet {
    /// `null`
    pub const NULL: Self = Self(1);
    /// `boolean`
    pub const BOOLEAN: Self = Self(2);
    /// `integer`
    pub const INTEGER: Self = Self(4);
    /// `number`
    pub const NUMBER: Self = Self(8);
    /// `string`
    pub const STRING: Self = Self(16);
    /// `array`
    pub const ARRAY: Self = Self(32);
    /// `object`
    pub const OBJECT: Self = Self(64);
    /// None.
    pub const NONE: Self = Self(0);
    /// Every type.
    pub const ALL: Self = Self(127);

    /// Both together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What both have.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether they have one in common.
    #[must_use]
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// `type`: a name or a list of names. A name that there is not is any type.
    pub(super) fn read(value: &Value<'_>) -> Self {
        let named = |name: &Value<'_>| {
            let known = NAMED.iter().find(|(own, _)| name.is_text(own));
            known.map_or(Self::ALL, |(_, set)| *set)
        };
        match value.kind() {
            Kind::Array => value
                .elements()
                .fold(Self::NONE, |all, name| all.union(named(&name))),
            Kind::String => named(value),
            Kind::Object | Kind::Key | Kind::Number | Kind::True | Kind::False | Kind::Null => {
                Self::ALL
            }
        }
    }

    fn of(value: &Value<'_>) -> Self {
        match value.kind() {
            Kind::Null => Self::NULL,
            Kind::True | Kind::False => Self::BOOLEAN,
            Kind::Number if is_integer(value.number().unwrap_or_default()) => {
                Self::INTEGER.union(Self::NUMBER)
            }
            Kind::Number => Self::NUMBER,
            Kind::String | Kind::Key => Self::STRING,
            Kind::Array => Self::ARRAY,
            Kind::Object => Self::OBJECT,
        }
    }
}

impl fmt::Display for TypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = NAMED.iter().filter(|(_, set)| self.any(*set));
        if let Some((name, _)) = names.next() {
            f.write_str(name)?;
        }
        names.try_for_each(|(name, _)| write!(f, " or {name}"))
    }
}

/// An argument of another type than its schema says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistyped {
    /// Where, as a JSON Pointer without its first `/`; empty for all of them.
    pub argument: String,
    /// What it should be; nothing where that could not be found out.
    pub wanted: TypeSet,
}

impl Mistyped {
    const fn unknown() -> Self {
        Self {
            argument: String::new(),
            wanted: TypeSet::NONE,
        }
    }
}

impl fmt::Display for Mistyped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { argument, wanted } = self;
        if *wanted == TypeSet::NONE {
            return write!(
                f,
                "the arguments cannot be held against the tool's definition"
            );
        }
        if argument.is_empty() {
            return write!(f, "the arguments must be {wanted}");
        }
        write!(f, "the argument {argument:?} must be {wanted}")
    }
}

impl Schema {
    /// The first value that has a type which the schema does not let it have. Of alternatives, one
    /// must take it; what the schema leaves undecided passes. Arguments that are nested too deep, or
    /// take too long, are mistyped: who sends them chooses how many come before the one that is.
    #[must_use]
    pub fn mistyped(&self, value: &Value<'_>) -> Option<Mistyped> {
        let effort = Effort::of(value.next_index() - value.index());
        let found = self.first(0, value, &mut String::new(), &effort, 0);
        found.or_else(|| effort.is_spent().then(Mistyped::unknown))
    }

    fn first(
        &self,
        id: NodeId,
        value: &Value<'_>,
        at: &mut String,
        effort: &Effort,
        depth: u32,
    ) -> Option<Mistyped> {
        if depth >= SCHEMA_DEPTH_MAX || !effort.spend(1) {
            return Some(Mistyped::unknown());
        }
        let node = self.node(id)?;
        if let Some(wanted) = node.types.filter(|types| !types.any(TypeSet::of(value))) {
            return Some(Mistyped {
                argument: at.clone(),
                wanted,
            });
        }
        for id in &node.all {
            if let Some(found) = self.first(*id, value, at, effort, depth + 1) {
                return Some(found);
            }
        }
        for list in node.any.iter().chain(&node.one) {
            let mut each = list
                .iter()
                .map(|id| self.first(*id, value, at, effort, depth + 1));
            let first = each.next().flatten();
            if first.is_some() && each.all(|found| found.is_some()) {
                return first.map(|first| Mistyped {
                    wanted: self.declared_at(id, &Fuel::new(effort), 0),
                    ..first
                });
            }
        }
        self.first_below(id, value, at, effort, depth)
    }

    fn first_below(
        &self,
        id: NodeId,
        value: &Value<'_>,
        at: &mut String,
        effort: &Effort,
        depth: u32,
    ) -> Option<Mistyped> {
        let named = value.members().map(|(key, member)| {
            let name = key.text().unwrap_or_default().into_owned();
            (
                name.replace('~', "~0").replace('/', "~1"),
                Some(name),
                0,
                member,
            )
        });
        let counted = value
            .elements()
            .enumerate()
            .map(|(index, element)| (index.to_string(), None, index, element));
        for (token, name, index, inner) in named.chain(counted) {
            let step = match &name {
                Some(name) => Step::Name(name),
                None => Step::Index(index),
            };
            let mut children = Vec::new();
            self.children(id, step, effort, &mut |child| children.push(child));
            // `contains` asks for one of the elements only.
            let contains = self.node(id).and_then(|node| node.contains);
            children.retain(|child| Some(*child) != contains);
            let end = at.len();
            if end > 0 {
                at.push('/');
            }
            at.push_str(&token);
            let found = children
                .into_iter()
                .find_map(|child| self.first(child, &inner, at, effort, depth + 1));
            if found.is_some() {
                return found;
            }
            at.truncate(end);
        }
        None
    }

    /// The types that an argument may have, by its path (a JSON Pointer without its first `/`).
    /// `None` where the schema does not declare it, though it may let it pass.
    #[must_use]
    pub fn declared(&self, argument: &str) -> Option<TypeSet> {
        let effort = Effort::of(0);
        let mut reach = self.root();
        for token in argument.split('/') {
            let name = token.replace("~1", "/").replace("~0", "~");
            let mut below = self.below(&reach, Step::Name(&name), &effort);
            if let (true, Ok(index)) = (below.is_empty(), name.parse()) {
                below = self.below(&reach, Step::Index(index), &effort);
            }
            if below.is_empty() {
                return None;
            }
            reach = below;
        }
        Some(self.types(&reach, &effort))
    }

    /// The types that a value at a place may have, as far as they are declared.
    #[must_use]
    pub fn types(&self, reach: &Reach, effort: &Effort) -> TypeSet {
        let must: Vec<_> = reach.parts().collect();
        let fuel = Fuel::new(effort);
        let held = must.iter().filter(|(_, is_alternative)| !is_alternative);
        let types = held.fold(TypeSet::ALL, |all, (id, _)| {
            all.common(self.declared_at(*id, &fuel, 0))
        });
        let mut alternatives = must.iter().filter(|(_, is_alternative)| *is_alternative);
        let other = alternatives.next().map(|(first, _)| {
            alternatives.fold(self.declared_at(*first, &fuel, 0), |all, (id, _)| {
                all.union(self.declared_at(*id, &fuel, 0))
            })
        });
        types.common(other.unwrap_or(TypeSet::ALL))
    }

    fn declared_at(&self, id: NodeId, fuel: &Fuel<'_>, depth: u32) -> TypeSet {
        let Some(node) = self
            .node(id)
            .filter(|_| depth < SCHEMA_DEPTH_MAX && fuel.burn())
        else {
            return TypeSet::ALL;
        };
        let own = node.types.unwrap_or(TypeSet::ALL);
        let all = node.all.iter().fold(own, |all, id| {
            all.common(self.declared_at(*id, fuel, depth + 1))
        });
        let lists = node.any.iter().chain(&node.one);
        lists.fold(all, |all, list| {
            let any = list.iter().fold(TypeSet::NONE, |any, id| {
                any.union(self.declared_at(*id, fuel, depth + 1))
            });
            all.common(any)
        })
    }
}
