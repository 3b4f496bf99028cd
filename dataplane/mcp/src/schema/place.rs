//! Which parts of a schema speak of a place in a document.

use std::collections::BTreeSet;

use weir_facts::Step;

use super::admits::{Admits, Scalar};
use super::effort::Fuel;
use super::{Effort, Node, NodeId, Schema};

/// The parts that speak of one place. A part that is one of several alternatives (`anyOf`, `oneOf`,
/// `not`, `if`) need not hold there, but whether it does decides about the whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reach(BTreeSet<(NodeId, bool)>);

impl Reach {
    /// Whether nothing is said of the place.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an alternative speaks of the place.
    #[must_use]
    pub fn has_alternatives(&self) -> bool {
        self.0.iter().any(|(_, is_alternative)| *is_alternative)
    }

    /// How many parts that are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = (NodeId, bool)> {
        self.0.iter().copied()
    }
}

impl Schema {
    /// What speaks of the outermost value.
    #[must_use]
    pub fn root(&self) -> Reach {
        Reach(BTreeSet::from([(0, false)]))
    }

    /// What speaks of a place one step below another.
    #[must_use]
    pub fn below(&self, reach: &Reach, step: Step<'_>, effort: &Effort) -> Reach {
        let mut found = BTreeSet::new();
        for (id, is_alternative) in self.opened(reach, effort) {
            self.children(id, step, effort, &mut |child| {
                found.insert((child, is_alternative));
            });
        }
        Reach(found)
    }

    /// Whether the name of a member of the object at `reach` decides about that object: then no
    /// other may take its place.
    #[must_use]
    pub fn minds_names(&self, reach: &Reach, effort: &Effort) -> bool {
        self.opened(reach, effort)
            .into_iter()
            .filter_map(|(id, _)| self.node(id))
            .any(|node| {
                node.additional.is_some()
                    || node.property_names.is_some()
                    || !node.by_pattern.is_empty()
                    || !node.required.is_empty()
            })
    }

    /// How many elements at the beginning of the arrays at `reach` have parts of their own; all
    /// after them have the same.
    #[must_use]
    pub fn prefix(&self, reach: &Reach, effort: &Effort) -> usize {
        let opened = self.opened(reach, effort);
        let nodes = opened.into_iter().filter_map(|(id, _)| self.node(id));
        nodes.map(|node| node.prefix.len()).max().unwrap_or(0)
    }

    /// Whether `shown` may take the place of `original`: every part that must hold does, and every
    /// alternative says of it what it says of the original, so that whatever hangs on it stays.
    #[must_use]
    pub fn fits(
        &self,
        reach: &Reach,
        original: &Scalar<'_>,
        shown: &Scalar<'_>,
        effort: &Effort,
    ) -> bool {
        let fuel = Fuel::new(effort);
        reach.parts().all(|(id, is_alternative)| {
            let admits = self.admits(id, shown, &fuel, 0);
            if is_alternative {
                admits != Admits::Undecided && admits == self.admits(id, original, &fuel, 0)
            } else {
                admits == Admits::Yes
            }
        })
    }

    /// The parts with those that they apply in place.
    fn opened(&self, reach: &Reach, effort: &Effort) -> BTreeSet<(NodeId, bool)> {
        let mut found = BTreeSet::new();
        let mut open: Vec<_> = reach.parts().collect();
        while let Some((id, is_alternative)) = open.pop() {
            if !found.insert((id, is_alternative)) {
                continue;
            }
            let Some(node) = self
                .node(id)
                .filter(|node| effort.spend(1 + node.applied_in_place()))
            else {
                continue;
            };
            open.extend(node.all.iter().map(|id| (*id, is_alternative)));
            let listed = node.any.iter().chain(&node.one).flatten();
            let condition = node.condition.iter().flat_map(|it| {
                [Some(it.cause), it.then, it.otherwise]
                    .into_iter()
                    .flatten()
            });
            let alternatives = listed.copied().chain(node.not).chain(condition);
            open.extend(alternatives.map(|id| (id, true)));
            open.extend(node.dependent.iter().map(|id| (*id, true)));
        }
        found
    }

    pub(super) fn children(
        &self,
        id: NodeId,
        step: Step<'_>,
        effort: &Effort,
        found: &mut impl FnMut(NodeId),
    ) {
        let Some(node) = self
            .node(id)
            .filter(|node| effort.spend(1 + node.properties.len() / 8))
        else {
            return;
        };
        match step {
            Step::Name(name) => {
                let mut is_named = false;
                let named = node.properties.iter().filter(|(own, _)| **own == *name);
                for (_, child) in named {
                    is_named = true;
                    found(*child);
                }
                for (pattern, child) in &node.by_pattern {
                    // One that cannot be decided may be meant.
                    if pattern.is_in(name, effort).unwrap_or(true) {
                        is_named = true;
                        found(*child);
                    }
                }
                if !is_named {
                    node.additional.into_iter().for_each(&mut *found);
                }
            }
            Step::Index(index) => {
                let own = node.prefix.get(index).copied().or(node.items);
                own.into_iter().chain(node.contains).for_each(found);
            }
        }
    }
}

impl Node {
    /// How many parts it applies in place.
    fn applied_in_place(&self) -> usize {
        let listed = self.any.iter().chain(&self.one).map(Vec::len);
        self.all.len() + self.dependent.len() + listed.sum::<usize>()
    }
}
