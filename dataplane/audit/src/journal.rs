use weir_facts::{FlowId, OperationRef, OperationSeq};

use crate::chain::{Position, leaf_hash};
use crate::frame;
use crate::leaf::{self, Place};
use crate::limits::{LEAF_BYTES_AIM, LEAF_BYTES_MAX};
use crate::recall::Recall;
use crate::{CommitmentKey, Kind, Record, RecordSeq, Room, WorkerId};

/// Where frames are kept. What is kept survives the death of this process.
pub trait Store {
    /// Keeps a frame, whole, before it returns.
    ///
    /// # Errors
    /// If it cannot be kept; then nothing of it is.
    fn append(&mut self, frame: &[u8], room: Room) -> Result<(), StoreFull>;
}

/// A store that takes nothing more now. The caller refuses the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFull {
    /// No space, or only the reserve for finishing what was begun.
    #[error("the ledger has no room")]
    NoRoom,
    /// The ledger has failed or was closed, and keeps nothing any more.
    #[error("the ledger has stopped")]
    Stopped,
}

/// Why a record was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreFull),
    /// The record names another operation than the one that it is appended for.
    #[error(
        "the record names flow {flow:?} operation {operation:?}, not the operation it is kept for"
    )]
    OtherOperation {
        /// The record's flow.
        flow: Option<FlowId>,
        /// The record's operation.
        operation: Option<OperationSeq>,
    },
    /// The leaf would be empty or larger than a log entry may be; cannot happen within the caps.
    #[error("the leaf has no size that a log entry may have")]
    LeafSize,
    /// The sequence has no next number.
    #[error("the worker's sequence is used up")]
    SequenceEnd,
}

/// The object-safe face of [`Journal`].
pub trait Append {
    /// See [`Journal::append`].
    ///
    /// # Errors
    /// If the record was not kept: then what it tells of must not happen.
    fn append(
        &mut self,
        op: Option<OperationRef>,
        record: &Record<'_>,
    ) -> Result<Receipt, JournalError>;
}

/// Proof that a record was kept. Only [`Journal::append`] makes one.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a receipt is what release asks for"]
pub struct Receipt {
    operation: Option<OperationRef>,
    worker: WorkerId,
    seq: RecordSeq,
    kind: Kind,
}

impl Receipt {
    /// The operation that the record was kept for.
    #[must_use]
    pub const fn operation(&self) -> Option<OperationRef> {
        self.operation
    }

    /// The worker whose sequence the record is in.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }

    /// The record's place in the worker's sequence, to wait for its being synced.
    #[must_use]
    pub const fn seq(&self) -> RecordSeq {
        self.seq
    }

    /// What the record tells of: release of an operation asks for an [`Kind::Intent`].
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}

/// Writes one worker's records: gives each its sequence number and the hash of the one
/// before, encodes it, and keeps it in the store.
///
/// Allocates nothing per record once its buffer has grown to the largest.
#[derive(Debug)]
pub struct Journal<S> {
    worker: WorkerId,
    position: Position,
    key: CommitmentKey,
    recall: Recall,
    store: S,
    frame: Vec<u8>,
}

impl<S: Store> Journal<S> {
    /// Continues the sequence of `worker` after `position`.
    #[must_use]
    pub fn new(worker: WorkerId, position: Position, key: CommitmentKey, store: S) -> Self {
        let frame = Vec::with_capacity(frame::HEADER_BYTES + 2 * LEAF_BYTES_AIM);
        Self {
            worker,
            position,
            key,
            recall: Recall::new(),
            store,
            frame,
        }
    }

    /// The worker whose records these are.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }

    /// The last record that was kept.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Keeps `record`. `op` is the operation that the receipt will be spent on.
    ///
    /// # Errors
    /// If the record was not kept: then what it tells of must not happen. A number in the
    /// sequence is used only by a record that was kept.
    pub fn append(
        &mut self,
        op: Option<OperationRef>,
        record: &Record<'_>,
    ) -> Result<Receipt, JournalError> {
        check_operation(op, record)?;
        let (position, key, recall) = (&self.position, &self.key, &mut self.recall);
        let place = Place::after(self.worker, position, key, recall, op, record)
            .ok_or(JournalError::SequenceEnd)?;
        frame::start(&mut self.frame);
        leaf::write(&mut self.frame, &place, record);
        let seq = place.seq;
        frame::finish(&mut self.frame, self.worker, seq, &self.position.hash)
            .ok_or(JournalError::LeafSize)?;
        let leaf = self
            .frame
            .get(frame::HEADER_BYTES..)
            .ok_or(JournalError::LeafSize)?;
        let hash = leaf_hash(leaf);
        self.store.append(&self.frame, record.kind.room())?;
        self.position = Position { seq, hash };
        Ok(Receipt {
            operation: op,
            worker: self.worker,
            seq,
            kind: record.kind,
        })
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The store, for whoever takes out of it what was kept.
    pub const fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }
}

impl<S: Store> Append for Journal<S> {
    fn append(
        &mut self,
        op: Option<OperationRef>,
        record: &Record<'_>,
    ) -> Result<Receipt, JournalError> {
        Self::append(self, op, record)
    }
}

fn check_operation(op: Option<OperationRef>, record: &Record<'_>) -> Result<(), JournalError> {
    let Some(op) = op else { return Ok(()) };
    let same = record.flow.is_none_or(|flow| flow == op.flow)
        && record.operation.is_none_or(|seq| seq == op.seq)
        && record.digest.is_none_or(|digest| digest == op.digest);
    if same {
        return Ok(());
    }
    Err(JournalError::OtherOperation {
        flow: record.flow,
        operation: record.operation,
    })
}

/// Frames in memory, one after the other as in a segment. For tests and for tools that
/// build logs; what it keeps does not survive the process.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    bytes: Vec<u8>,
}

impl Memory {
    /// The frames with their padding, as [`frame::Scanner`] reads them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Store for Memory {
    fn append(&mut self, frame: &[u8], _room: Room) -> Result<(), StoreFull> {
        self.bytes.extend_from_slice(frame);
        self.bytes.resize(frame::padded(self.bytes.len()), 0);
        Ok(())
    }
}

const _: () = assert!(frame::HEADER_BYTES + LEAF_BYTES_MAX < u32::MAX as usize);
