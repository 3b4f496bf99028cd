//! One name space: what the server has confirmed, and what is under way.

use std::collections::HashMap;

use super::{Lookup, Name, Ticket};

/// Which requests a later one can rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// A request of the extended protocol in this segment: what follows it in the segment runs only
    /// if it succeeded.
    Segment(u64),
    /// A statement of a Query: what follows runs whether it succeeded or not.
    Query,
}

#[derive(Debug)]
struct Touch<V> {
    ticket: Ticket,
    reach: Reach,
    value: Option<V>,
}

#[derive(Debug)]
pub(super) struct Slot<V, L> {
    pub(super) value: V,
    pub(super) layout: Option<L>,
}

#[derive(Debug)]
pub(super) struct Names<V, L> {
    confirmed: HashMap<Name, Slot<V, L>>,
    unnamed: Option<Slot<V, L>>,
    touched: HashMap<Name, Touch<V>>,
    touched_unnamed: Option<Touch<V>>,
    touched_all: Option<(Ticket, Reach)>,
}

impl<V, L> Names<V, L> {
    pub(super) fn new() -> Self {
        Self {
            confirmed: HashMap::new(),
            unnamed: None,
            touched: HashMap::new(),
            touched_unnamed: None,
            touched_all: None,
        }
    }

    /// How many named entries there could be if everything under way succeeded.
    pub(super) fn len_possible(&self) -> usize {
        self.confirmed.len() + self.touched.len()
    }

    /// What the name will stand for when a request sent now in `segment` runs.
    pub(super) fn find(&self, name: &str, segment: u64) -> Lookup<&V> {
        let (touch, all) = if name.is_empty() {
            (self.touched_unnamed.as_ref(), None)
        } else {
            (self.touched.get(name), self.touched_all)
        };
        let (reach, value) = match (touch, all) {
            (Some(touch), Some((ticket, reach))) if ticket > touch.ticket => (reach, None),
            (Some(touch), Some(_) | None) => (touch.reach, touch.value.as_ref()),
            (None, Some((_, reach))) => (reach, None),
            (None, None) => {
                return self
                    .confirmed(name)
                    .map_or(Lookup::Unknown, |slot| Lookup::Found(&slot.value));
            }
        };
        if reach != Reach::Segment(segment) {
            return Lookup::Wait;
        }
        value.map_or(Lookup::Unknown, Lookup::Found)
    }

    pub(super) fn confirmed(&self, name: &str) -> Option<&Slot<V, L>> {
        if name.is_empty() {
            self.unnamed.as_ref()
        } else {
            self.confirmed.get(name)
        }
    }

    pub(super) fn confirmed_mut(&mut self, name: &str) -> Option<&mut Slot<V, L>> {
        if name.is_empty() {
            self.unnamed.as_mut()
        } else {
            self.confirmed.get_mut(name)
        }
    }

    /// Notes that a request under way makes (`Some`) or removes (`None`) the name.
    pub(super) fn touch(&mut self, name: &Name, ticket: Ticket, reach: Reach, value: Option<V>) {
        let touch = Touch {
            ticket,
            reach,
            value,
        };
        if name.is_unnamed() {
            self.touched_unnamed = Some(touch);
        } else {
            self.touched.insert(name.clone(), touch);
        }
    }

    pub(super) fn touch_all(&mut self, ticket: Ticket, reach: Reach) {
        self.touched_all = Some((ticket, reach));
    }

    /// Forgets what a request that is done, or was never run, had announced for the name.
    pub(super) fn settle(&mut self, name: &str, ticket: Ticket) {
        if name.is_empty() {
            if self
                .touched_unnamed
                .as_ref()
                .is_some_and(|touch| touch.ticket == ticket)
            {
                self.touched_unnamed = None;
            }
        } else if self
            .touched
            .get(name)
            .is_some_and(|touch| touch.ticket == ticket)
        {
            self.touched.remove(name);
        }
    }

    /// Whether a request under way makes or removes the name.
    pub(super) fn is_touched(&self, name: &str) -> bool {
        if name.is_empty() {
            self.touched_unnamed.is_some()
        } else {
            self.touched.contains_key(name) || self.touched_all.is_some()
        }
    }

    pub(super) fn settle_all(&mut self, ticket: Ticket) {
        if self.touched_all.is_some_and(|(by, _)| by == ticket) {
            self.touched_all = None;
        }
    }

    /// The server has confirmed the name.
    pub(super) fn confirm(&mut self, name: &Name, value: V) {
        let slot = Slot {
            value,
            layout: None,
        };
        if name.is_unnamed() {
            self.unnamed = Some(slot);
        } else {
            self.confirmed.insert(name.clone(), slot);
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        if name.is_empty() {
            self.unnamed = None;
        } else {
            self.confirmed.remove(name);
        }
    }

    /// Every named entry is gone.
    pub(super) fn remove_named(&mut self) {
        self.confirmed.clear();
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        self.unnamed = self.unnamed.take().filter(|slot| keep(&slot.value));
        if !self.confirmed.is_empty() {
            self.confirmed.retain(|_, slot| keep(&slot.value));
        }
    }
}
