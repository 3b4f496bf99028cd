//! Whether a scalar may stand where a part speaks.

use super::effort::Fuel;
use super::{Bound, Constant, Effort, Node, NodeId, Schema, TypeSet};
use crate::limits::SCHEMA_DEPTH_MAX;

/// A value that is no object and no array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// `null`
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(&'a str),
    /// A string, escapes resolved.
    Text(&'a str),
}

/// An answer that may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admits {
    Yes,
    No,
    Undecided,
}

impl From<bool> for Admits {
    fn from(admits: bool) -> Self {
        if admits { Self::Yes } else { Self::No }
    }
}

impl Admits {
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Undecided, _) | (_, Self::Undecided) => Self::Undecided,
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    const fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    const fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Undecided => Self::Undecided,
        }
    }
}

impl Scalar<'_> {
    fn types(&self) -> TypeSet {
        match self {
            Self::Null => TypeSet::NULL,
            Self::Bool(_) => TypeSet::BOOLEAN,
            Self::Number(text) => match is_integer(text) {
                true => TypeSet::INTEGER.union(TypeSet::NUMBER),
                false => TypeSet::NUMBER,
            },
            Self::Text(_) => TypeSet::STRING,
        }
    }

    fn equals(&self, constant: &Constant) -> bool {
        match (self, constant) {
            (Self::Null, Constant::Null) => true,
            (Self::Bool(one), Constant::Bool(other)) => one == other,
            (Self::Number(one), Constant::Number(other)) => {
                **one == **other || float(one).is_some_and(|one| Some(one) == float(other))
            }
            (Self::Text(one), Constant::Text(other)) => **one == **other,
            (Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_), _) => false,
        }
    }
}

/// Whether JSON Schema calls it an integer: `1.0` and `1e3` are.
pub(super) fn is_integer(text: &str) -> bool {
    float(text).is_some_and(|number| number.fract() == 0.0)
}

fn float(text: &str) -> Option<f64> {
    text.parse().ok()
}

impl Schema {
    pub(super) fn admits(
        &self,
        id: NodeId,
        value: &Scalar<'_>,
        fuel: &Fuel<'_>,
        depth: u32,
    ) -> Admits {
        let Some(node) = self
            .node(id)
            .filter(|_| fuel.burn() && depth < SCHEMA_DEPTH_MAX)
        else {
            return Admits::Undecided;
        };
        let own = node.admits(value, fuel.effort);
        if own == Admits::No {
            return own;
        }
        let each = |id: &NodeId| self.admits(*id, value, fuel, depth + 1);
        let all = node.all.iter().map(each).fold(own, Admits::and);
        let any = node.any.as_ref().map_or(Admits::Yes, |any| {
            any.iter().map(each).fold(Admits::No, Admits::or)
        });
        let one = node
            .one
            .as_ref()
            .map_or(Admits::Yes, |one| exactly_one(one.iter().map(each)));
        let not = node
            .not
            .iter()
            .map(each)
            .fold(Admits::Yes, |_, it| it.not());
        let condition = node.condition.map_or(Admits::Yes, |it| {
            let branch = |id: Option<NodeId>| id.as_ref().map_or(Admits::Yes, each);
            match each(&it.cause) {
                Admits::Yes => branch(it.then),
                Admits::No => branch(it.otherwise),
                Admits::Undecided => Admits::Undecided,
            }
        });
        all.and(any).and(one).and(not).and(condition)
    }
}

fn exactly_one(each: impl Iterator<Item = Admits>) -> Admits {
    let (mut yes, mut undecided) = (0, 0);
    for admits in each {
        yes += u32::from(admits == Admits::Yes);
        undecided += u32::from(admits == Admits::Undecided);
    }
    match (yes, undecided) {
        (2.., _) | (0, 0) => Admits::No,
        (1, 0) => Admits::Yes,
        (0 | 1, _) => Admits::Undecided,
    }
}

impl Node {
    /// By the keywords of this part alone.
    fn admits(&self, value: &Scalar<'_>, effort: &Effort) -> Admits {
        if !effort.spend(self.work_for(value)) {
            return Admits::Undecided;
        }
        if let Some(always) = self.always {
            return always.into();
        }
        let is_of_type = self.types.is_none_or(|types| types.any(value.types()));
        let is_chosen = self
            .choices
            .as_ref()
            .is_none_or(|choices| choices.iter().any(|choice| value.equals(choice)));
        let shape = match value {
            Scalar::Null | Scalar::Bool(_) => Admits::Yes,
            Scalar::Number(text) => self.admits_number(text),
            Scalar::Text(text) => self.admits_text(text, effort),
        };
        let known = if self.is_unknown {
            Admits::Undecided
        } else {
            Admits::Yes
        };
        Admits::from(is_of_type && is_chosen).and(shape).and(known)
    }

    /// What is to be compared, in units of effort.
    fn work_for(&self, value: &Scalar<'_>) -> usize {
        let choices = self.choices.as_ref().map_or(0, Vec::len);
        let length = match value {
            Scalar::Null | Scalar::Bool(_) => 0,
            Scalar::Number(text) | Scalar::Text(text) => text.len(),
        };
        choices / 4 + self.bounds.len() / 4 + length / 64
    }

    fn admits_number(&self, text: &str) -> Admits {
        let Some(number) = float(text) else {
            return Admits::Undecided;
        };
        let is_within = |bound: &Bound| {
            let order = number.partial_cmp(&bound.of);
            order.is_some_and(|order| bound.is.contains(&order))
        };
        let is_multiple = self
            .multiple_of
            .is_none_or(|of| (number / of).fract() == 0.0);
        Admits::from(self.bounds.iter().all(is_within) && is_multiple)
    }

    fn admits_text(&self, text: &str, effort: &Effort) -> Admits {
        let length = text.chars().count() as u64;
        let fits = self.length_min.is_none_or(|min| length >= min)
            && self.length_max.is_none_or(|max| length <= max)
            && self.format.is_none_or(|format| format.has(text));
        let pattern = match &self.pattern {
            None => Admits::Yes,
            Some(pattern) => pattern
                .is_in(text, effort)
                .map_or(Admits::Undecided, Admits::from),
        };
        Admits::from(fits).and(pattern)
    }
}
