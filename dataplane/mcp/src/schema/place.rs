//! Which parts of a schema speak of a place in a document.

use std::collections::BTreeSet;

use weir_facts::Step;

use super::admits::{Admits, Fuel, Scalar};
use super::{NodeId, Schema};

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
    pub fn below(&self, reach: &Reach, step: Step<'_>) -> Reach {
        let mut found = BTreeSet::new();
        for (id, is_alternative) in self.opened(reach) {
            self.children(id, step, &mut |child| {
                found.insert((child, is_alternative));
            });
        }
        Reach(found)
    }

    /// Whether the name of a member of the object at `reach` decides about that object: then no
    /// other may take its place.
    #[must_use]
    pub fn minds_names(&self, reach: &Reach) -> bool {
        self.opened(reach)
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
    pub fn prefix(&self, reach: &Reach) -> usize {
        let opened = self.opened(reach);
        let nodes = opened.into_iter().filter_map(|(id, _)| self.node(id));
        nodes.map(|node| node.prefix.len()).max().unwrap_or(0)
    }

    /// Whether `shown` may take the place of `original`: every part that must hold does, and every
    /// alternative says of it what it says of the original, so that whatever hangs on it stays.
    #[must_use]
    pub fn fits(&self, reach: &Reach, original: &Scalar<'_>, shown: &Scalar<'_>) -> bool {
        let fuel = Fuel::new();
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
    fn opened(&self, reach: &Reach) -> BTreeSet<(NodeId, bool)> {
        let mut found = BTreeSet::new();
        let mut open: Vec<_> = reach.parts().collect();
        while let Some((id, is_alternative)) = open.pop() {
            let Some(node) = self.node(id).filter(|_| found.insert((id, is_alternative))) else {
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

    pub(super) fn children(&self, id: NodeId, step: Step<'_>, found: &mut impl FnMut(NodeId)) {
        let Some(node) = self.node(id) else { return };
        match step {
            Step::Name(name) => {
                let mut is_named = false;
                let named = node.properties.iter().filter(|(own, _)| **own == *name);
                for (_, child) in named {
                    is_named = true;
                    found(*child);
                }
                for (pattern, child) in &node.by_pattern {
                    // One that cannot be read may be meant.
                    if pattern.0.as_ref().is_none_or(|it| it.is_match(name)) {
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
