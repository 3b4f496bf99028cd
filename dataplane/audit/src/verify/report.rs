use std::fmt;

use crate::frame::FrameError;
use crate::log::{BundleError, Checkpoint, CheckpointError};
use crate::{Kind, RecordSeq, WorkerId};

use super::LeafError;

/// What verification found. The log is sound if [`Report::fault`] is `None`; open intents
/// are for a person to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The checkpoint of the log, if its signature holds.
    pub checkpoint: Option<Checkpoint>,
    /// Leaves that were checked before the end or the fault.
    pub leaves: u64,
    /// Leaves of each kind, in the order of [`Kind::ALL`].
    pub kinds: [u64; Kind::ALL.len()],
    /// Each worker's records, by worker.
    pub workers: Vec<WorkerReport>,
    /// Intents without an outcome and without a gap or close after them: in flight when the
    /// checkpoint was made. The first [`crate::limits::REPORTED_MAX`] of them.
    pub open: Vec<OpenIntent>,
    /// How many there are in all.
    pub open_total: u64,
    /// Intents without an outcome that a gap or a close after them explains.
    pub explained: u64,
    /// Records that name the MCP call that caused them: by trace context, by process, and
    /// those for which several calls came into question.
    pub links: Links,
    /// Indexes of the gap leaves, the first [`crate::limits::REPORTED_MAX`] of them.
    pub gaps: Vec<u64>,
    /// Stored checkpoints that this log is consistent with.
    pub stored_consistent: u64,
    /// Time of the first and of the last leaf, in microseconds since the Unix epoch.
    pub times_us: Option<(u64, u64)>,
    /// The first thing that is wrong.
    pub fault: Option<Fault>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.fault.is_none()
    }

    /// Leaves of one kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        Kind::ALL
            .iter()
            .zip(self.kinds)
            .find_map(|(each, count)| (*each == kind).then_some(count))
            .unwrap_or(0)
    }
}

/// Records that were caused by MCP calls, by how that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// By the trace context of the call.
    pub trace: u64,
    /// By the process in which the call was the only one.
    pub process: u64,
    /// Not known which of several calls.
    pub ambiguous: u64,
}

/// One worker's records in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerReport {
    /// The worker.
    pub worker: WorkerId,
    /// Its last record; as none is missing, also their count.
    pub last: RecordSeq,
}

/// An operation that was released and has no outcome in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenIntent {
    /// The intent's index in the log.
    pub index: u64,
    /// Its flow.
    pub flow: u64,
    /// Its position there.
    pub operation: u32,
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The leaf, where one can be named.
    pub index: Option<u64>,
    /// The file, as a path below the log's directory, or the stored checkpoint's name.
    pub file: String,
    /// What.
    pub what: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{} at leaf {index}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// A file could not be read.
    #[error("cannot be read: {0}")]
    Read(String),
    /// A file is missing.
    #[error("is missing")]
    Missing,
    /// A file has not the size of its hashes.
    #[error("has a wrong size")]
    Size,
    /// A checkpoint is not believed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A bundle is not made of entries.
    #[error("is not an entry bundle: {0}")]
    Bundle(BundleError),
    /// A tile does not have the hashes that follow from the entries.
    #[error("does not have the hashes of the entries")]
    Tile,
    /// The entries do not have the root that was signed.
    #[error("signs another root than the entries have")]
    Root,
    /// The log has fewer leaves than a stored checkpoint says that it had.
    #[error("had {stored} leaves, now the log has {now}: it was cut")]
    Cut {
        /// Leaves then.
        stored: u64,
        /// Leaves now.
        now: u64,
    },
    /// The log was another when the checkpoint was stored.
    #[error("has another root for the same leaves: the log was rewritten")]
    Rewritten,
    /// A leaf is not one of ours.
    #[error("is not a record: {0}")]
    Leaf(#[from] LeafError),
    /// A record of a worker is missing, doubled or replaced.
    #[error("worker {worker}: {error}")]
    Chain {
        /// The worker.
        worker: WorkerId,
        /// How it does not follow.
        error: FrameError,
    },
    /// More operations are open at once than can be followed.
    #[error("more intents are open at once than can be followed")]
    TooManyOpen,
}
