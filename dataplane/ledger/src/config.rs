use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::OpenError;
use crate::limits::{self, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, WORKERS_MAX};

/// How a ledger is to be opened.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it lies; made if it is not there.
    pub directory: PathBuf,
    /// Names the log in its checkpoints: `<deployment>/<gateway>`. No white space, no plus.
    pub origin: String,
    /// How many workers write.
    pub workers: u16,
    /// Bytes of one segment, a multiple of 4096.
    pub segment_bytes: u32,
    /// Kept records are synced at least this often.
    pub group_commit: Duration,
    /// A checkpoint is signed at least this often while the log grows.
    pub checkpoint_interval: Duration,
    /// And after this many leaves.
    pub checkpoint_leaves: u64,
    /// An idle log says so this often.
    pub heartbeat: Duration,
}

impl Config {
    /// The usual sizes and times, for this directory, origin and number of workers.
    #[must_use]
    pub fn new(directory: &Path, origin: &str, workers: u16) -> Self {
        Self {
            directory: directory.to_owned(),
            origin: origin.to_owned(),
            workers,
            segment_bytes: limits::SEGMENT_BYTES,
            group_commit: limits::GROUP_COMMIT,
            checkpoint_interval: limits::CHECKPOINT_INTERVAL,
            checkpoint_leaves: limits::CHECKPOINT_LEAVES,
            heartbeat: limits::HEARTBEAT,
        }
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let wrong = |what: &str| Err(OpenError::Config(what.to_owned()));
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return wrong("segment_bytes is not between 1 MiB and 1 GiB");
        }
        if !self.segment_bytes.is_multiple_of(4096) {
            return wrong("segment_bytes is not a multiple of 4096");
        }
        if self.workers == 0 || self.workers > WORKERS_MAX {
            return wrong("workers is not between 1 and 1024");
        }
        if self.group_commit.is_zero()
            || self.checkpoint_interval.is_zero()
            || self.heartbeat.is_zero()
        {
            return wrong("an interval is zero");
        }
        Ok(())
    }
}
