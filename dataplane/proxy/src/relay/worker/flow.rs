//! A flow's slot: the flow itself, its two links, and what waits between them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::BytesMut;
use weir_facts::{ConnectionName, FlowId, Side};
use weir_flow::{Event, Flow, Program};

use super::super::links::{LinkKey, Owner, Role};
use crate::tls::Session;

/// One flow.
pub(super) struct FlowSlot {
    pub(super) id: FlowId,
    pub(super) source: SocketAddr,
    pub(super) target: SocketAddr,
    pub(super) connection: Option<ConnectionName>,
    /// Where its server's link comes from.
    pub(super) reach: Reach,
    /// `None` while the caller is being attested.
    pub(super) core: Option<Box<Flow>>,
    pub(super) client: End,
    pub(super) server: End,
    /// What the flow has yet to be told.
    pub(super) events: VecDeque<Event>,
    pub(super) is_finished: bool,
    /// Earliest entry in the timers; `u64::MAX` is none.
    pub(super) armed_ns: u64,
    /// The last epoch in which it moved bytes.
    pub(super) epoch: u32,
    /// When attestation or the dial began, on the stopwatch.
    pub(super) mark: u64,
    /// Parked bytes as last counted.
    pub(super) parked_bytes: usize,
}

/// How a flow's server is reached.
pub(super) enum Reach {
    /// It is dialled.
    Dial,
    /// Its link was handed over; `None` once that is in use.
    Handed(Option<OwnedFd>, Arc<Program>),
}

impl Reach {
    /// What the client has started, if the link was handed over.
    pub(super) fn program(&self) -> Option<Arc<Program>> {
        match self {
            Self::Dial => None,
            Self::Handed(_, program) => Some(Arc::clone(program)),
        }
    }
}

/// What became of a side's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Input {
    /// It may send more.
    #[default]
    Open,
    /// It will not; the flow learns it after what is parked.
    Ended,
    /// The flow knows.
    Told,
}

/// One side of a flow.
#[derive(Default)]
pub(super) struct End {
    pub(super) link: Option<LinkKey>,
    pub(super) tls: Option<Box<Secure>>,
    /// Plaintext that the flow has not taken.
    pub(super) parked: BytesMut,
    pub(super) input: Input,
    /// The input ended with a reset, or without TLS's close_notify.
    pub(super) is_broken: bool,
    /// The link's receive is wanted.
    pub(super) is_read: bool,
    /// The flow has sent its last.
    pub(super) is_shut: bool,
    /// The flow has taken at least one byte.
    pub(super) has_spoken: bool,
    /// The flow knows that no more comes than what waits here.
    pub(super) is_hung_up: bool,
}

/// TLS of one side.
pub(super) struct Secure {
    pub(super) session: Session,
    /// Ciphertext that came before the session did.
    pub(super) early: BytesMut,
    /// When the handshake began, on the stopwatch.
    pub(super) mark: u64,
    pub(super) is_up: bool,
    /// The peer broke the protocol: nothing more goes in or out.
    pub(super) is_dead: bool,
}

impl FlowSlot {
    pub(super) const fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    pub(super) const fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Whether both sides have sent and been sent their last.
    pub(super) fn is_over(&self) -> bool {
        let over = |end: &End| end.input == Input::Told && end.is_shut;
        over(&self.client) && over(&self.server)
    }

    /// Bytes that wait in this slot.
    pub(super) fn waiting(&self) -> usize {
        self.client.waiting() + self.server.waiting()
    }
}

impl End {
    /// No more input will come.
    pub(super) fn end_input(&mut self) {
        if self.input == Input::Open {
            self.input = Input::Ended;
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.parked.len() + self.tls.as_ref().map_or(0, |secure| secure.early.len())
    }
}

/// The owner of a flow's link.
pub(super) const fn owner(slot: usize, id: FlowId, side: Side) -> Owner {
    Owner {
        role: Role::Side(side),
        slot: slot as u32,
        serial: id.0,
    }
}
