//! Sockets on a ring: bytes come as events, segments go out in order, and no descriptor closes
//! while the kernel still works on it. Knows nothing of flows, protocols or TLS.
//!
//! ```text
//!  connect ─► Connecting ─► Open ──close──► Closing ──queue sent, FIN──► Lingering ──EOF──► Dead ─► gone
//!  adopt ───────────────────▲ │               │                             │               ▲
//!                             └─────reset─────┴────deadline, reset──────────┴───────────────┘
//! ```
//! A dead link waits only for its operations. Lingering reads and discards, because closing over
//! unread input would send RST and take the last words (a refusal, mostly) from the peer.

mod close;
mod open;
mod receive;
mod send;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use io_uring::types::Timespec;
use slab::Slab;
use weir_facts::Side;

use super::counters::Counters;
use super::outgoing::{Gather, Outgoing};
use super::pool::{BufferConfig, Chunk, Pool};
use super::ring::{Completion, Ring, Wait};
use super::token::Token;

/// Names a link; stays wrong forever once the link is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkKey {
    slot: u32,
    generation: u32,
}

/// Whom a link's events are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// What the link is to its owner.
    pub(crate) role: Role,
    /// The owner's slot.
    pub(crate) slot: u32,
    /// The owner's own number, so that a slot's next tenant does not get these events.
    pub(crate) serial: u64,
}

/// What a link is to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// One side of a flow.
    Side(Side),
    /// A CancelRequest on its way.
    Errand,
}

/// How a link's input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With FIN.
    Finished,
    /// With a reset or another error; what was sent may not have arrived.
    Broken,
}

/// Something that happened.
pub(crate) enum LinkEvent {
    /// A connection on the listener of this index.
    Accepted { listener: u32, socket: OwnedFd },
    /// Bytes arrived.
    Received { owner: Owner, chunk: Chunk },
    /// No more will arrive.
    Ended { owner: Owner, end: End },
    /// The connect went through.
    Connected { owner: Owner },
    /// It did not; the link is gone.
    Refused { owner: Owner, error: io::Error },
    /// The queue fell to the low mark, as asked for by [`Links::want_relief`].
    Relieved { owner: Owner },
    /// The inbox was raised.
    Woken,
    /// The tick.
    Ticked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    Closing,
    Lingering,
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receive {
    /// Not armed.
    Idle,
    /// Armed.
    Armed,
    /// Armed, and a cancellation is on its way.
    Cancelling,
    /// Ended for want of buffers; armed again when some are back.
    Starved,
    /// The input is over.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Idle,
    /// Submitted without waiting: silence after the next enter means that all of it went.
    Inline,
    /// Waiting in the kernel for room.
    Waiting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    Open,
    Queued,
    Sent,
}

struct Link {
    fd: OwnedFd,
    owner: Owner,
    generation: u32,
    /// Operations in the kernel that use the descriptor.
    operations: u32,
    phase: Phase,
    receive: Receive,
    is_wanted: bool,
    sending: Sending,
    /// The last inline send found no room: the next one waits.
    is_blocked: bool,
    /// A send failed: whatever else is queued goes nowhere.
    is_broken: bool,
    is_dirty: bool,
    wants_relief: bool,
    fin: Fin,
    outgoing: Outgoing,
    address: Option<Box<open::Address>>,
}

struct Listening {
    fd: OwnedFd,
    is_armed: bool,
}

/// All sockets of one worker, their ring and their buffers.
pub(crate) struct Links {
    ring: Ring,
    pool: Pool,
    links: Slab<Link>,
    generation: u32,
    listeners: Vec<Listening>,
    is_accepting: bool,
    inbox: OwnedFd,
    is_inbox_armed: bool,
    tick: Box<Timespec>,
    events: Vec<LinkEvent>,
    dirty: Vec<u32>,
    unsettled: Vec<u32>,
    starved: VecDeque<u32>,
    closing: VecDeque<(u64, LinkKey)>,
    #[expect(
        clippy::vec_box,
        reason = "taken out and given to the kernel by address"
    )]
    spare_gathers: Vec<Box<Gather>>,
    #[expect(
        clippy::vec_box,
        reason = "the kernel reads them where they are until they are submitted"
    )]
    submitted_gathers: Vec<Box<Gather>>,
    heap_bytes: usize,
    counters: Arc<Counters>,
}

impl Links {
    /// A ring with its buffers, listening on `listeners`, woken by the eventfd `inbox`. Must be
    /// called on the thread that will use it.
    pub(crate) fn new(
        buffers: BufferConfig,
        listeners: Vec<OwnedFd>,
        inbox: OwnedFd,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let ring = Ring::new()?;
        let pool = Pool::new(&ring, buffers)?;
        let listeners = listeners
            .into_iter()
            .map(|fd| Listening {
                fd,
                is_armed: false,
            })
            .collect();
        let mut links = Self {
            ring,
            pool,
            links: Slab::new(),
            generation: 0,
            listeners,
            is_accepting: true,
            inbox,
            is_inbox_armed: false,
            tick: Box::new(Timespec::new()),
            events: Vec::new(),
            dirty: Vec::new(),
            unsettled: Vec::new(),
            starved: VecDeque::new(),
            closing: VecDeque::new(),
            spare_gathers: Vec::new(),
            submitted_gathers: Vec::new(),
            heap_bytes: 0,
            counters,
        };
        links.arm_inbox()?;
        links.arm_listeners()?;
        Ok(links)
    }

    /// Submits what is pending, sleeps if asked to and if nothing is pressing, and turns
    /// completions into events.
    pub(crate) fn turn(&mut self, wait: Wait, now_ns: u64) -> io::Result<()> {
        self.expire(now_ns)?;
        self.feed_starved()?;
        self.flush()?;
        let wait = if self.is_pressing() { Wait::No } else { wait };
        self.ring.enter(wait)?;
        let harvest = self.ring.take_harvest();
        let result = self.digest(&harvest);
        self.ring.recycle(harvest);
        result
    }

    fn digest(&mut self, harvest: &[Completion]) -> io::Result<()> {
        // Sends first: those that failed must be told from those whose silence means success,
        // before anything below queues the next one.
        for completion in harvest {
            if let Some(Token::Send(slot)) = Token::unpack(completion.user_data) {
                self.on_send(slot, completion.result)?;
            }
        }
        self.settle()?;
        for completion in harvest {
            match Token::unpack(completion.user_data) {
                Some(Token::Receive(slot)) => self.on_receive(slot, *completion)?,
                Some(Token::Accept(listener)) => self.on_accept(listener, *completion)?,
                Some(Token::Connect(slot)) => self.on_connect(slot, completion.result)?,
                Some(Token::Wake) => self.on_wake(*completion)?,
                Some(Token::Tick) => self.events.push(LinkEvent::Ticked),
                Some(Token::Send(_) | Token::Aside) | None => {}
            }
        }
        self.feed_starved()
    }

    /// Whether something waits for nothing but the next turn.
    fn is_pressing(&self) -> bool {
        let follows = |slot: &u32| {
            self.links
                .get(*slot as usize)
                .is_some_and(Link::has_follow_up)
        };
        !self.events.is_empty() || !self.dirty.is_empty() || self.unsettled.iter().any(follows)
    }

    /// Whether entering the kernel would find something.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.ring.is_ready()
    }

    /// Whether submissions are pending or a turn is needed at once.
    pub(crate) fn has_pending(&mut self) -> bool {
        self.is_pressing() || self.ring.has_unsubmitted()
    }

    /// What happened since the last call; give the vector back with [`Links::recycle`].
    pub(crate) fn take_events(&mut self) -> Vec<LinkEvent> {
        std::mem::take(&mut self.events)
    }

    /// Returns an emptied vector of events for reuse.
    pub(crate) fn recycle(&mut self, mut events: Vec<LinkEvent>) {
        events.clear();
        if self.events.is_empty() {
            self.events = events;
        }
    }

    /// Links that are not gone yet, lingering ones too.
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    /// Heap bytes in all queues.
    pub(crate) const fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    fn link(&self, key: LinkKey) -> Option<&Link> {
        self.links
            .get(key.slot as usize)
            .filter(|link| link.generation == key.generation)
    }

    fn link_mut(&mut self, key: LinkKey) -> Option<&mut Link> {
        self.links
            .get_mut(key.slot as usize)
            .filter(|link| link.generation == key.generation)
    }

    fn insert(&mut self, fd: OwnedFd, owner: Owner, phase: Phase) -> LinkKey {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let slot = self.links.insert(Link {
            fd,
            owner,
            generation,
            operations: 0,
            phase,
            receive: Receive::Idle,
            is_wanted: false,
            sending: Sending::Idle,
            is_blocked: false,
            is_broken: false,
            is_dirty: false,
            wants_relief: false,
            fin: Fin::Open,
            outgoing: Outgoing::default(),
            address: None,
        });
        LinkKey {
            slot: slot as u32,
            generation,
        }
    }
}

impl Link {
    /// Whether there is more to do as soon as the send in flight is known to be through.
    fn has_follow_up(&self) -> bool {
        self.outgoing.has_more()
            || self.fin == Fin::Queued
            || self.wants_relief
            || self.phase == Phase::Dead
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.abandon();
    }
}

#[cfg(test)]
mod tests;
