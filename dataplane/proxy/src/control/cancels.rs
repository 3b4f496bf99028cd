//! Keys of CancelRequests, across workers: which flow offered a key, so that a request
//! that arrives on another worker finds it.

use std::collections::HashMap;

use weir_facts::FlowId;
use weir_flow::CancelKey;

/// Where a flow lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The worker that owns it.
    pub(crate) worker: u16,
    /// The flow.
    pub(crate) flow: FlowId,
}

/// All keys on offer.
#[derive(Debug, Default)]
pub(crate) struct CancelKeys {
    places: HashMap<CancelKey, Place>,
    keys: HashMap<FlowId, CancelKey>,
}

impl CancelKeys {
    /// A flow offers its key; it has one.
    pub(crate) fn offer(&mut self, key: CancelKey, place: Place) {
        if let Some(old) = self.keys.insert(place.flow, key.clone()) {
            self.places.remove(&old);
        }
        self.places.insert(key, place);
    }

    /// Where a request with this key belongs.
    #[must_use]
    pub(crate) fn place(&self, key: &CancelKey) -> Option<Place> {
        self.places.get(key).copied()
    }

    /// A flow is over.
    pub(crate) fn forget(&mut self, flow: FlowId) {
        if let Some(key) = self.keys.remove(&flow) {
            self.places.remove(&key);
        }
    }
}
