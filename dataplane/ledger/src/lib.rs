//! Durable append of records, recovery, and the log's files.
//!
//! A worker keeps a record by copying its frame into a shared mapping of a preallocated
//! segment ([`WorkerStore`]): that survives `kill -9` and costs no system call. A worker that
//! outruns the disk waits for its next segment; only a full disk refuses. A thread for each
//! worker syncs its segments. One, on tokio-uring, prepares segments, sequences the frames of all
//! workers into the Merkle tree, and writes tiles, entry bundles and signed checkpoints.
//!
//! It never decides what is recorded, never opens a socket, never retries a failed sync.
//! Start with [`Ledger::open`], then [`Ledger::journal`] for each worker.
//!
//! ```text
//! <directory>/
//!   lock                          held while a ledger is open
//!   marks                         how far the tree is, per worker; signed
//!   reserve                       space for closing on a full disk
//!   keys/signing.key              Ed25519, 0600, hexadecimal      keys/log.vkey   its public half
//!   keys/commitment-<id>.key      one per start, 0600; removing it erases what its commitments tell
//!   segments/w<worker>-<ordinal>.seg
//!   log/checkpoint  log/tile/…    C2SP tlog-tiles, as the auditor gets it
//! ```
//!
//! What is acknowledged, and what that means: *kept* (append returned) survives the death of
//! the process; *synced* ([`Handle::sync`] called back) survives the death of the host.

mod bell;
mod commit;
mod config;
mod engine;
mod error;
mod files;
mod keys;
mod layout;
mod ledger;
pub mod limits;
mod map;
mod marks;
mod prepare;
mod publish;
mod reader;
mod recover;
mod segment;
mod sequence;
mod start;
mod worker;

pub use config::Config;
pub use error::{CloseError, OpenError, SyncError};
pub use keys::{commitment_path, signing_key};
pub use ledger::{Gap, Handle, Health, Ledger, Recovered, SignedCheckpoint, Synced};
pub use reader::{Directory, Leaves, ReadError, Reader};
pub use worker::WorkerStore;
