//! Puts what is durable into the tree.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, timeout, timeout_at};
use tokio_uring::fs::File as UringFile;
use weir_audit::frame::{Follower, HEADER_BYTES};
use weir_audit::log;
use weir_audit::{Journal, Kind, Position, Record, Room, Store, StoreFull, WorkerId, leaf_hash};
use weir_facts::{Digest, Now};

use crate::CloseError;
use crate::engine::{Lanes, Live, Setup};
use crate::limits::{RESERVE_BYTES, SEQUENCE_BATCH, SEQUENCE_PAUSE, SPACE_RETRY};
use crate::marks::{Mark, Segments, State};
use crate::publish::Trouble;
use crate::worker::{CheckpointWake, Phase};

/// The shell's clock.
pub(crate) fn clock() -> Now {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // Microseconds since 1970 fit for 580,000 years. Differences of mono_ns mean nothing to the ledger.
    Now {
        mono_ns: 0,
        unix_us: unix.as_micros() as u64,
    }
}

/// Leaves of the ledger's own, on their way into the tree.
#[derive(Debug, Default)]
pub(crate) struct Leaves(Vec<Vec<u8>>);

impl Leaves {
    pub(crate) fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0)
    }
}

impl Store for Leaves {
    fn append(&mut self, frame: &[u8], _room: Room) -> Result<(), StoreFull> {
        self.0.push(
            frame
                .get(HEADER_BYTES..)
                .ok_or(StoreFull::Stopped)?
                .to_vec(),
        );
        Ok(())
    }
}

pub(crate) struct Sequencer {
    pub(crate) setup: Setup,
    pub(crate) lanes: Lanes,
    pub(crate) journal: Journal<Leaves>,
    /// Full tiles and bundles, not written yet.
    pub(crate) unwritten: Vec<log::File>,
    /// Written, not synced yet.
    pub(crate) unsynced: Vec<(PathBuf, UringFile)>,
    /// Directories with entries that are not durable yet.
    pub(crate) directories: BTreeSet<PathBuf>,
    /// Places whose partial files are obsolete once the next checkpoint is durable.
    pub(crate) completed: Vec<log::Tile>,
    /// Partial files as they lie on disk.
    pub(crate) partials: Vec<log::File>,
    pub(crate) published_size: u64,
    pub(crate) published_at: Instant,
    pub(crate) grown_at: Instant,
    pub(crate) askers: Vec<CheckpointWake>,
    /// What was kept when they asked: segments, and offsets that must be in the tree.
    pub(crate) asked_for: Vec<(Arc<Live>, usize)>,
    pub(crate) has_reserve: bool,
}

impl Sequencer {
    pub(crate) fn new(setup: Setup, lanes: Lanes) -> Self {
        let position = setup
            .marks
            .workers
            .get(&WorkerId::LEDGER)
            .map_or(Position::START, |mark| mark.position);
        let journal = Journal::new(
            WorkerId::LEDGER,
            position,
            setup.commitment.clone(),
            Leaves::default(),
        );
        let (published_size, partials) = (setup.tree.size(), setup.tree.partials());
        let now = Instant::now();
        Self {
            setup,
            lanes,
            journal,
            unwritten: Vec::new(),
            unsynced: Vec::new(),
            directories: BTreeSet::new(),
            completed: Vec::new(),
            // These were written when the ledger was opened.
            partials,
            published_size,
            published_at: now,
            grown_at: now,
            askers: Vec::new(),
            asked_for: Vec::new(),
            has_reserve: false,
        }
    }

    /// Sequences whatever becomes durable until the ledger ends.
    pub(crate) async fn run(&mut self) {
        while self.setup.shared.phase() == Phase::Running {
            self.keep_reserve().await;
            match self.round().await {
                Ok(()) => {}
                Err(Trouble::Write(why)) => {
                    tracing::warn!(%why, "the log cannot be written; trying again");
                    tokio::time::sleep(SPACE_RETRY).await;
                }
                Err(Trouble::Sync(why)) => self.setup.shared.fail(why),
            }
        }
    }

    async fn round(&mut self) -> Result<(), Trouble> {
        self.take_askers();
        let more = self.sequence().await?;
        let config = &self.setup.config;
        let grown = self.setup.tree.size() - self.published_size;
        let due = self.published_at + config.checkpoint_interval;
        if grown >= config.checkpoint_leaves
            || self.has_what_was_asked_for()
            || (grown > 0 && Instant::now() >= due)
        {
            return self.checkpoint(State::Open).await;
        }
        if more {
            return Ok(());
        }
        let silent = self.grown_at + config.heartbeat;
        if Instant::now() >= silent {
            return self.own(Kind::Heartbeat, "");
        }
        let until = if grown > 0 { due.min(silent) } else { silent };
        let shared = &self.setup.shared;
        let has_grown = timeout_at(until, shared.sequence.notified()).await.is_ok();
        if has_grown && self.askers.is_empty() && shared.checkpoints.is_empty() {
            // Every sync tells of itself; they are sequenced some at a time.
            let _ = timeout(SEQUENCE_PAUSE, shared.hurry.notified()).await;
        }
        Ok(())
    }

    /// Whoever asks for a checkpoint gets one over everything that is kept at that time.
    fn take_askers(&mut self) {
        let before = self.askers.len();
        // As many as are there now: this ends also while others keep asking.
        for _ in 0..self.setup.shared.checkpoints.len() {
            self.askers.extend(self.setup.shared.checkpoints.pop());
        }
        if self.askers.len() > before {
            let live = (0..self.lanes.count()).flat_map(|worker| self.lanes.live(worker));
            let kept = live.map(|live| {
                let kept = live.segment.kept();
                (live, kept)
            });
            self.asked_for = kept.collect();
            self.setup.shared.sync_all();
        }
    }

    pub(crate) fn has_what_was_asked_for(&self) -> bool {
        !self.askers.is_empty()
            && self
                .asked_for
                .iter()
                .all(|(live, kept)| live.sequenced() >= *kept)
    }

    /// Adds a leaf of the ledger's own.
    fn own(&mut self, kind: Kind, reason: &str) -> Result<(), Trouble> {
        let record = Record {
            reason,
            ..Record::new(kind, clock())
        };
        let _receipt = self
            .journal
            .append(None, &record)
            .map_err(|error| Trouble::Sync(error.to_string()))?;
        for leaf in self.journal.store_mut().take() {
            self.add(&leaf, leaf_hash(&leaf))?;
        }
        self.grown_at = Instant::now();
        self.mark(WorkerId::LEDGER, self.journal.position());
        Ok(())
    }

    fn add(&mut self, leaf: &[u8], hash: Digest) -> Result<(), Trouble> {
        self.setup
            .tree
            .append_hashed(leaf, hash, &mut self.unwritten)
            .map_err(|error| Trouble::Sync(error.to_string()))?;
        Ok(())
    }

    fn mark(&mut self, worker: WorkerId, position: Position) {
        let none = Segments { first: 0, end: 0 };
        self.setup
            .marks
            .workers
            .entry(worker)
            .or_insert(Mark {
                position,
                segments: none,
            })
            .position = position;
    }

    /// Sequences a batch of every worker's durable frames; whether there may be more.
    async fn sequence(&mut self) -> Result<bool, Trouble> {
        self.write_files().await?;
        let mut more = false;
        for index in 0..self.setup.config.workers {
            more |= self.lane(index)?;
        }
        self.write_files().await?;
        Ok(more)
    }

    fn lane(&mut self, index: u16) -> Result<bool, Trouble> {
        let mut left = SEQUENCE_BATCH;
        for live in self.lanes.live(index) {
            let (done, sealed) = (
                self.segment(WorkerId(index), &live, &mut left)?,
                live.segment.is_sealed(),
            );
            if left == 0 {
                return Ok(true);
            }
            // The next segment's frames follow only once this one is final and wholly sequenced.
            if !(done && sealed && live.sequenced() == live.segment.kept()) {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Sequences up to `left` durable frames of one segment; whether all that are durable are done.
    fn segment(
        &mut self,
        worker: WorkerId,
        live: &Live,
        left: &mut usize,
    ) -> Result<bool, Trouble> {
        let (from, to) = (live.sequenced(), live.durable());
        if from == to {
            return Ok(true);
        }
        let position = self
            .setup
            .marks
            .workers
            .get(&worker)
            .map_or(Position::START, |mark| mark.position);
        let segment = &live.segment;
        let mut frames = Follower::new(segment.frames(from, to), worker, position);
        let mut result = Ok(true);
        while *left > 0 {
            match frames.read() {
                Ok(Some((frame, hash))) => {
                    *left -= 1;
                    self.add(frame.leaf, hash)?;
                }
                Ok(None) => break,
                Err(error) => {
                    let at = from + frames.offset();
                    let ordinal = segment.ordinal();
                    result = Err(Trouble::Sync(format!(
                        "worker {worker}, segment {ordinal}, offset {at}: {error}"
                    )));
                    break;
                }
            }
        }
        live.is_sequenced_to(from + frames.offset());
        self.mark(worker, frames.position());
        self.grown_at = Instant::now();
        result.map(|_| live.sequenced() == to)
    }

    /// Writes what became full. What could not be written stays for the next time.
    pub(crate) async fn write_files(&mut self) -> Result<(), Trouble> {
        while let Some(file) = self.unwritten.pop() {
            match self.write(file).await {
                Ok(tile) => self.completed.push(tile),
                Err((file, trouble)) => {
                    self.unwritten.push(file);
                    return Err(trouble);
                }
            }
        }
        Ok(())
    }

    /// The clean end: all that is kept, the close leaf, the last checkpoint.
    pub(crate) async fn close(&mut self) -> Result<(), CloseError> {
        self.take_askers();
        self.close_tree().await.map_err(|trouble| match trouble {
            Trouble::Write(why) => CloseError::Write(why),
            Trouble::Sync(why) => {
                self.setup.shared.fail(why.clone());
                CloseError::Failed(why)
            }
        })
    }

    async fn close_tree(&mut self) -> Result<(), Trouble> {
        self.release_reserve();
        while self.sequence().await? {}
        self.own(Kind::Close, "clean end")?;
        self.checkpoint(State::Clean).await
    }

    pub(crate) fn refuse_askers(&mut self) {
        let refusal = self.setup.shared.refusal();
        for wake in self.askers.drain(..) {
            wake(Err(refusal.clone()));
        }
    }

    /// Sets space aside, as soon as there is some. It is given free at the end (and by the next
    /// start) only: while the ledger runs, a full disk means that operations are refused.
    async fn keep_reserve(&mut self) {
        if self.has_reserve {
            return;
        }
        let path = self.setup.layout.reserve();
        self.has_reserve = reserve(&path).await.is_ok();
        if !self.has_reserve {
            let _ = fs::remove_file(&path);
        }
    }

    /// Gives the space free for what must still be written.
    fn release_reserve(&mut self) {
        if std::mem::take(&mut self.has_reserve) {
            let _ = fs::remove_file(self.setup.layout.reserve());
        }
    }
}

async fn reserve(path: &Path) -> io::Result<()> {
    let file = UringFile::from_std(fs::File::create(path)?);
    file.fallocate(0, RESERVE_BYTES, 0).await?;
    file.close().await
}
