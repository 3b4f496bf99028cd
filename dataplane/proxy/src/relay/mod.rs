//! The hot relay: one pinned thread per worker, one io_uring each, no work stealing.
//!
//! ```text
//!  ring ── completions ──► links ── events ──► worker ── bytes, events ──► weir_flow::Flow
//!    ▲                       ▲                   │ ▲                            │
//!    └───── submissions ─────┴──── segments ─────┘ └──── pieces, effects ───────┘
//!                                                │
//!                             ControlLink ◄──────┴──────► Inbox      (control tasks)
//! ```
//!
//! - A received chunk stays in its provided buffer. The flow reads and edits it there, and the
//!   ranges that it releases are sent from there; the buffer returns to the kernel with the last
//!   of them ([`pool`]).
//! - Sends are tried inline and leave no completion when they succeed; one that finds no room is
//!   sent again waiting ([`links`]).
//! - A slow reader stops its own flow: above the high mark the other side's receive is cancelled,
//!   below the low mark it is armed again. Buffers that a waiting link holds are copied out when
//!   few are left, so that it takes them from nobody ([`limits`]).
//! - The thread spins for at most 100 µs before it sleeps, while that pays ([`spin`]).
//!
//! # What it never does
//!
//! - It sends no byte that the flow did not release, and reorders none.
//! - It reads no client before the kernel's facts of it are known and its caller is attested; a
//!   socket without facts, or bound for one of our own listeners, is reset and counted.
//! - It closes no descriptor while an operation of it is in the kernel: operations are ended by
//!   shutdown(2) or cancelled, and waited for.
//! - It drops no future with an operation in flight: there are none.
//! - It resolves no name. The address that was asked for is the address that is dialled.
//! - It grows no queue without bound, and logs nothing of what passes.
//! - It decides nothing: verdicts are the flow's.
//!
//! Start with [`Worker`]; then `worker/mod.rs` for the life of a flow and `links/mod.rs` for the
//! life of a socket.

mod clock;
mod counters;
mod entropy;
mod limits;
mod links;
mod load;
mod mailbox;
mod memory;
mod outgoing;
mod pool;
mod ring;
mod spin;
mod sys;
mod timers;
mod token;
mod worker;

pub use counters::{Counter, Counters};
pub use limits::{BUFFER_BYTES, BUFFERS, CONTROL_MESSAGES, FLOWS_MAX, SPIN_MAX};
pub use mailbox::Mailbox;
pub use pool::BufferConfig;
pub use worker::{
    Both, Listener, ListenerKind, OwnAddresses, Shared, ToControl, ToWorker, Worker, WorkerConfig,
};
