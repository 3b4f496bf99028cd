//! What workers and control tasks say to each other.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use weir_facts::{ConnectionName, FlowId, Workload};
use weir_flow::{Effect, Event, Program};
use weir_redirect::FlowOrigin;

/// What a worker asks of the control tasks.
#[derive(Debug)]
pub enum ToControl {
    /// Find out who this is; answered by [`ToWorker::Attested`].
    Attest {
        /// Who asks.
        worker: u16,
        /// For which flow.
        flow: FlowId,
        /// What the kernel knew at connect.
        origin: FlowOrigin,
    },
    /// An effect that is not the relay's own.
    Effect {
        /// Who asks.
        worker: u16,
        /// For which flow.
        flow: FlowId,
        /// What.
        effect: Effect,
    },
    /// The flow is over: forget its requests and cancel keys.
    Ended {
        /// Who says so.
        worker: u16,
        /// Which flow.
        flow: FlowId,
    },
}

/// A flow that came by no listener: `weir mcp run` has asked the warden for it.
#[derive(Debug)]
pub struct Both {
    /// The client's link: a connected, blocking stream socket that nobody else has.
    pub client: OwnedFd,
    /// The server's, likewise.
    pub server: OwnedFd,
    /// Which registered server.
    pub connection: ConnectionName,
    /// Who asked.
    pub caller: Arc<Workload>,
    /// What it has started.
    pub program: Arc<Program>,
}

/// What control tasks tell a worker.
#[derive(Debug)]
pub enum ToWorker {
    /// The answer to [`ToControl::Attest`].
    Attested {
        /// Which flow.
        flow: FlowId,
        /// Who it is, or why that is not known: then the connection is reset.
        caller: Result<Arc<Workload>, String>,
    },
    /// A flow whose links are there and whose caller is attested; it begins at once.
    Handed(Box<Both>),
    /// An event for one flow. One that has ended meanwhile does not get it.
    Event {
        /// Which flow.
        flow: FlowId,
        /// What.
        event: Event,
    },
    /// [`super::Shared::world`] was replaced: every flow is told.
    WorldChanged,
    /// Accept no more, let flows finish, reset the rest after this time, end the thread.
    Drain {
        /// How long flows may take.
        within: Duration,
    },
}
