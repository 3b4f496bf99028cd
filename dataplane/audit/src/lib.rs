//! Records, the hash chain, the Merkle log, and its verification.
//!
//! A [`Journal`] turns a borrowed [`Record`] into a canonical leaf, chains it to the one
//! before it of the same worker, and keeps it in a [`Store`]; the [`Receipt`] proves that.
//! [`log`] is the tree over all leaves in the C2SP formats (tlog-tiles, checkpoints as
//! signed notes), which tools that are not ours can verify.
//! [`verify`] checks all of it.
//!
//! Nothing here opens a file, reads a clock or makes a random number. Start with
//! [`Journal::append`].

mod chain;
mod commitment;
pub mod frame;
mod journal;
mod json;
mod leaf;
pub mod limits;
pub mod log;
mod recall;
mod record;
pub mod verify;

pub use chain::{Position, leaf_hash};
pub use commitment::CommitmentKey;
pub use journal::{Append, Journal, JournalError, Memory, Receipt, Store, StoreFull};
pub use leaf::LEAF_VERSION;
pub use record::{Kind, Protocol, Record, RecordSeq, Room, WorkerId};
