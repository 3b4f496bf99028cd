//! Where flows are found, across workers.

use weir_facts::FlowId;
use weir_flow::Event;

/// Where a flow lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The worker that owns it.
    pub(crate) worker: u16,
    /// The flow.
    pub(crate) flow: FlowId,
}

/// An event and whom it is for.
pub(crate) type Notice = (Place, Event);
