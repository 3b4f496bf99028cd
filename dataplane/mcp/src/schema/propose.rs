//! Values that a schema itself names or implies: what is said of them says nothing of a value
//! whose place they take.

use std::collections::BTreeSet;

use super::{Constant, Effort, Node, NodeId, Reach, Schema};
use crate::limits::PROPOSALS_MAX;

/// A value to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// `null`
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A string.
    Text(String),
}

impl Schema {
    /// Values that may fit at a place, none of which hangs on what stands there.
    #[must_use]
    pub fn proposals(&self, reach: &Reach, effort: &Effort) -> Vec<Proposal> {
        let mut found = Vec::new();
        self.each(reach, effort, |node| {
            node.propose(&mut found);
            if found.len() >= PROPOSALS_MAX {
                return Vec::new();
            }
            node.any
                .iter()
                .chain(&node.one)
                .flatten()
                .copied()
                .collect()
        });
        found.truncate(PROPOSALS_MAX);
        found
    }

    /// Bounds of the lengths of texts at a place, the strictest.
    #[must_use]
    pub fn lengths(&self, reach: &Reach, effort: &Effort) -> (usize, usize) {
        let (mut min, mut max) = (0, u64::MAX);
        self.each(reach, effort, |node| {
            min = min.max(node.length_min.unwrap_or(0));
            max = max.min(node.length_max.unwrap_or(u64::MAX));
            Vec::new()
        });
        let counted = |length| usize::try_from(length).unwrap_or(usize::MAX);
        (counted(min), counted(max))
    }

    /// Visits the parts of a place, those that they apply in place, and what the visit names.
    fn each(&self, reach: &Reach, effort: &Effort, mut visit: impl FnMut(&Node) -> Vec<NodeId>) {
        let mut seen = BTreeSet::new();
        let mut open: Vec<NodeId> = reach.parts().map(|(id, _)| id).collect();
        open.reverse();
        while let Some(id) = open.pop() {
            let Some(node) = self.node(id).filter(|_| seen.insert(id)) else {
                continue;
            };
            let named = visit(node);
            if !effort.spend(1 + named.len() + node.all.len()) {
                return;
            }
            open.extend(named.into_iter().rev());
            open.extend(&node.all);
        }
    }
}

impl Node {
    fn propose(&self, found: &mut Vec<Proposal>) {
        let room = PROPOSALS_MAX.saturating_sub(found.len());
        for constant in self.choices.iter().flatten().chain(&self.named).take(room) {
            found.extend(match constant {
                Constant::Null => Some(Proposal::Null),
                Constant::Bool(truth) => Some(Proposal::Bool(*truth)),
                Constant::Number(text) => Some(Proposal::Number((**text).to_owned())),
                Constant::Text(text) => Some(Proposal::Text((**text).to_owned())),
                Constant::Composite => None,
            });
        }
        found.extend(
            self.format
                .map(|format| Proposal::Text(format.nothing().to_owned())),
        );
        let mut number = |number: f64| {
            if number.is_finite() {
                // Integers without a fraction, which not every schema takes for one.
                found.push(Proposal::Number(number.to_string()));
            }
        };
        for bound in self.bounds.iter().take(room) {
            number(bound.of);
            for away in [1.0, -1.0, 0.5, -0.5] {
                number(bound.of + away);
            }
            number(bound.of.ceil());
            number(bound.of.floor());
            if let Some(step) = self.multiple_of {
                number((bound.of / step).ceil() * step);
                number((bound.of / step).floor() * step);
                number(((bound.of / step).floor() + 1.0) * step);
                number(((bound.of / step).ceil() - 1.0) * step);
            }
        }
    }
}
