//! Keys of CancelRequests, across workers: which flow offered a key, so that a request
//! that arrives on another worker finds it, and which flow waits to hear what it leads to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use weir_facts::FlowId;
use weir_flow::{CancelKey, Event, ServerCancel};

use super::place::{Notice, Place};

/// All keys on offer.
#[derive(Debug, Default)]
pub(crate) struct CancelKeys {
    places: HashMap<CancelKey, Place>,
    keys: HashMap<FlowId, CancelKey>,
    /// Who asked, and the flow that is to answer.
    asked: HashMap<FlowId, (Place, FlowId)>,
}

impl CancelKeys {
    /// A flow offers its key; it has one. One that another flow offers as well is nobody's: a
    /// request must not reach the wrong session.
    pub(crate) fn offer(&mut self, key: CancelKey, place: Place) {
        self.withdraw(place.flow);
        match self.places.entry(key) {
            Entry::Vacant(vacant) => {
                self.keys.insert(place.flow, vacant.key().clone());
                vacant.insert(place);
            }
            Entry::Occupied(occupied) => {
                let (_, other) = occupied.remove_entry();
                self.keys.remove(&other.flow);
            }
        }
    }

    /// A request came: the flow that it is for is told, or the asker that there is none.
    #[must_use]
    pub(crate) fn route(&mut self, key: &CancelKey, asker: Place) -> Notice {
        let Some(place) = self.places.get(key).copied() else {
            return (asker, Event::CancelRouted(None));
        };
        self.asked.insert(asker.flow, (asker, place.flow));
        let asker = Some(asker.flow);
        let event = Event::CancelRequested { asker };
        (place, event)
    }

    /// The flow `of` a session says what a request leads to. Nothing where nobody waits for it.
    #[must_use]
    pub(crate) fn answer(
        &mut self,
        asker: FlowId,
        of: FlowId,
        cancel: Option<ServerCancel>,
    ) -> Option<Notice> {
        let (place, _) = self
            .asked
            .remove(&asker)
            .filter(|(_, asked)| *asked == of)?;
        Some((place, Event::CancelRouted(cancel)))
    }

    /// A flow is over: there is nothing to cancel for those who wait for its answer.
    #[must_use]
    pub(crate) fn forget(&mut self, flow: FlowId) -> Vec<Notice> {
        self.withdraw(flow);
        self.asked.remove(&flow);
        let waiting = self.asked.extract_if(|_, (_, of)| *of == flow);
        waiting
            .map(|(_, (asker, _))| (asker, Event::CancelRouted(None)))
            .collect()
    }

    fn withdraw(&mut self, flow: FlowId) {
        if let Some(key) = self.keys.remove(&flow) {
            self.places.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(flow: u64) -> Place {
        Place {
            worker: (flow % 3) as u16,
            flow: FlowId(flow),
        }
    }

    fn key(text: &str) -> CancelKey {
        CancelKey(text.as_bytes().into())
    }

    fn cancel() -> ServerCancel {
        ServerCancel {
            target: "127.0.0.1:5432".parse().expect("an address"),
            request: "request".into(),
        }
    }

    fn is_nothing(notice: &Notice, asker: u64) -> bool {
        notice.0 == place(asker) && matches!(notice.1, Event::CancelRouted(None))
    }

    #[test]
    fn a_request_reaches_the_flow_that_offered_its_key_and_the_answer_whoever_asked() {
        let mut keys = CancelKeys::default();
        keys.offer(key("one"), place(1));
        keys.offer(key("two"), place(2));
        let (to, event) = keys.route(&key("two"), place(7));
        assert_eq!(to, place(2));
        assert!(matches!(
            event,
            Event::CancelRequested {
                asker: Some(FlowId(7))
            }
        ));
        let (to, event) = keys
            .answer(FlowId(7), FlowId(2), Some(cancel()))
            .expect("an answer");
        assert_eq!(to, place(7));
        assert!(matches!(event, Event::CancelRouted(Some(it)) if it == cancel()));
        // Once.
        assert!(keys.answer(FlowId(7), FlowId(2), None).is_none());
    }

    #[test]
    fn a_request_with_an_unknown_key_is_answered_at_once() {
        let mut keys = CancelKeys::default();
        keys.offer(key("one"), place(1));
        assert!(is_nothing(&keys.route(&key("other"), place(7)), 7));
        // The flow has another key now.
        keys.offer(key("new"), place(1));
        assert!(is_nothing(&keys.route(&key("one"), place(7)), 7));
        assert_eq!(keys.route(&key("new"), place(7)).0, place(1));
    }

    #[test]
    fn nobody_waits_for_a_flow_that_is_over() {
        let mut keys = CancelKeys::default();
        keys.offer(key("one"), place(1));
        keys.offer(key("two"), place(2));
        let _ = keys.route(&key("one"), place(7));
        let _ = keys.route(&key("two"), place(8));
        let told = keys.forget(FlowId(1));
        assert!(told.len() == 1 && is_nothing(&told[0], 7), "{told:?}");
        assert!(is_nothing(&keys.route(&key("one"), place(9)), 9));
        // An asker that has gone is not told.
        assert!(keys.forget(FlowId(8)).is_empty());
        assert!(keys.answer(FlowId(8), FlowId(2), None).is_none());
    }

    #[test]
    fn only_the_flow_that_was_asked_answers() {
        let mut keys = CancelKeys::default();
        keys.offer(key("one"), place(1));
        let _ = keys.route(&key("one"), place(7));
        assert!(keys.answer(FlowId(7), FlowId(2), Some(cancel())).is_none());
    }

    #[test]
    fn a_key_that_two_flows_offer_cancels_neither() {
        let mut keys = CancelKeys::default();
        keys.offer(key("same"), place(1));
        keys.offer(key("same"), place(2));
        assert!(is_nothing(&keys.route(&key("same"), place(7)), 7));
        assert!(keys.forget(FlowId(1)).is_empty());
        assert!(keys.forget(FlowId(2)).is_empty());
    }
}
