use std::io;
use std::path::{Path, PathBuf};

use weir_audit::WorkerId;
use weir_audit::log::{ResumeError, VerifierKeyError};

/// Why the ledger does not start. Nothing that is wrong with what is on disk is repaired by
/// itself, but for a torn tail that was never acknowledged as synced.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A system call failed.
    #[error("{call} {path}: {error}", path = path.display())]
    System {
        /// The call.
        call: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// Another process has the ledger.
    #[error("{path} is locked by another process", path = .0.display())]
    Locked(PathBuf),
    /// The configuration cannot be.
    #[error("{0}")]
    Config(String),
    /// A key file is missing, malformed, or open to others.
    #[error("{path}: {what}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The origin cannot name a log.
    #[error("the log's origin: {0}")]
    Origin(#[from] VerifierKeyError),
    /// Something that was durable is missing or changed: tampering, or the medium lost it.
    #[error("{file}, offset {offset}: {what}. This is no crash: somebody changed it or the medium lost it. The ledger does not start", file = file.display())]
    Tampered {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The tree cannot be taken up.
    #[error("the log in {directory} was changed or lost: {error}. The ledger does not start", directory = directory.display())]
    Log {
        /// The log's directory.
        directory: PathBuf,
        /// What is wrong.
        error: ResumeError,
    },
    /// A number is used up.
    #[error("worker {0}: its sequence is used up")]
    SequenceEnd(WorkerId),
    /// The thread did not come up.
    #[error("the ledger's thread: {0}")]
    Thread(String),
}

impl OpenError {
    pub(crate) fn system(call: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System {
            call,
            path: path.to_owned(),
            error,
        }
    }

    pub(crate) fn tampered(file: &Path, offset: usize, what: impl Into<String>) -> Self {
        Self::Tampered {
            file: file.to_owned(),
            offset: offset as u64,
            what: what.into(),
        }
    }
}

/// Why a record was not acknowledged as synced. It may be on disk or not: do not release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// A sync failed once. It is never tried again: the second try would succeed and lie.
    #[error("the ledger has failed: {0}")]
    Failed(String),
    /// The ledger was closed.
    #[error("the ledger was closed")]
    Closed,
    /// More requests wait than there can be flows.
    #[error("too many requests wait for the ledger")]
    Busy,
    /// There is no such worker.
    #[error("worker {0} is unknown to the ledger")]
    Worker(WorkerId),
}

/// Why the ledger's end was not a clean one. The next start writes a gap leaf.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// Somebody still holds a worker's store.
    #[error("worker {0} still writes")]
    StillWriting(WorkerId),
    /// The ledger had failed.
    #[error("the ledger has failed: {0}")]
    Failed(String),
    /// No space for the closing leaf.
    #[error("the closing leaf could not be written: {0}")]
    Write(String),
}
