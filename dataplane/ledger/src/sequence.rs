//! Puts what is durable into the tree, and publishes the tree.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, timeout_at};
use tokio_uring::fs::File as UringFile;
use weir_audit::frame::{HEADER_BYTES, Scanner};
use weir_audit::log::{self, CHECKPOINT_PATH, Checkpoint};
use weir_audit::{Journal, Kind, Position, Record, Room, Store, StoreFull, WorkerId};
use weir_facts::Now;

use crate::engine::{Lanes, Live, Setup};
use crate::files::make_parents;
use crate::layout::unfinished;
use crate::limits::{RESERVE_BYTES, SEQUENCE_BATCH, SPACE_RETRY};
use crate::marks::{Mark, Segments, State};
use crate::worker::{CheckpointWake, Phase};
use crate::{CloseError, SignedCheckpoint};

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

/// What went wrong with a file.
pub(crate) enum Trouble {
    /// A write: nothing was published; it is tried again.
    Write(String),
    /// A sync: never tried again.
    Sync(String),
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> Trouble {
    move |error| Trouble::Write(format!("{}: {error}", path.display()))
}

fn syncing(path: &Path) -> impl FnOnce(io::Error) -> Trouble {
    move |error| Trouble::Sync(format!("fsync {}: {error}", path.display()))
}

pub(crate) struct Sequencer {
    setup: Setup,
    lanes: Lanes,
    journal: Journal<Leaves>,
    /// Full tiles and bundles, not written yet.
    unwritten: Vec<log::File>,
    /// Written, not synced yet.
    unsynced: Vec<(PathBuf, UringFile)>,
    /// Directories with entries that are not durable yet.
    directories: BTreeSet<PathBuf>,
    /// Places whose partial files are obsolete once the next checkpoint is durable.
    completed: Vec<log::Tile>,
    /// Partial files as they lie on disk.
    partials: Vec<log::File>,
    published_size: u64,
    published_at: Instant,
    grown_at: Instant,
    askers: Vec<CheckpointWake>,
    /// What was kept when they asked: segments, and offsets that must be in the tree.
    asked_for: Vec<(Rc<Live>, usize)>,
    has_reserve: bool,
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
        let published_size = setup.tree.size();
        let now = Instant::now();
        Self {
            setup,
            lanes,
            journal,
            unwritten: Vec::new(),
            unsynced: Vec::new(),
            directories: BTreeSet::new(),
            completed: Vec::new(),
            partials: Vec::new(),
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
        let _ = timeout_at(until, self.setup.shared.sequence.notified()).await;
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
            let lanes = self.lanes.borrow();
            let live = lanes.iter().flat_map(|lane| &lane.live);
            self.asked_for = live
                .map(|live| (Rc::clone(live), live.segment.kept()))
                .collect();
            self.setup.shared.commit.notify_one();
        }
    }

    fn has_what_was_asked_for(&self) -> bool {
        !self.askers.is_empty()
            && self
                .asked_for
                .iter()
                .all(|(live, kept)| live.sequenced.get() >= *kept)
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
            self.add(&leaf)?;
        }
        self.mark(WorkerId::LEDGER, self.journal.position());
        Ok(())
    }

    fn add(&mut self, leaf: &[u8]) -> Result<(), Trouble> {
        self.grown_at = Instant::now();
        self.setup
            .tree
            .append(leaf, &mut self.unwritten)
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
        let live: Vec<Rc<Live>> = self
            .lanes
            .borrow()
            .get(usize::from(index))
            .map(|lane| lane.live.iter().cloned().collect())
            .unwrap_or_default();
        let mut left = SEQUENCE_BATCH;
        for live in live {
            let (done, sealed) = (
                self.segment(WorkerId(index), &live, &mut left)?,
                live.segment.is_sealed(),
            );
            if left == 0 {
                return Ok(true);
            }
            // The next segment's frames follow only once this one is final and wholly sequenced.
            if !(done && sealed && live.sequenced.get() == live.segment.kept()) {
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
        let (from, to) = (live.sequenced.get(), live.durable.get());
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
        let mut scanner = Scanner::new(segment.frames(from, to), worker, Some(position));
        let mut result = Ok(true);
        while *left > 0 {
            match scanner.read() {
                Ok(Some((frame, _))) => {
                    *left -= 1;
                    self.add(frame.leaf)?;
                }
                Ok(None) => break,
                Err(error) => {
                    let at = from + scanner.offset();
                    let ordinal = segment.ordinal();
                    result = Err(Trouble::Sync(format!(
                        "worker {worker}, segment {ordinal}, offset {at}: {error}"
                    )));
                    break;
                }
            }
        }
        live.sequenced.set(from + scanner.offset());
        if let Some(position) = scanner.position() {
            self.mark(worker, position);
        }
        result.map(|_| live.sequenced.get() == to)
    }

    /// Writes what became full. What could not be written stays for the next time.
    async fn write_files(&mut self) -> Result<(), Trouble> {
        while let Some(file) = self.unwritten.pop() {
            if let Err(trouble) = self.write(&file).await {
                self.unwritten.push(file);
                return Err(trouble);
            }
            self.completed.push(file.tile);
        }
        Ok(())
    }

    async fn write(&mut self, file: &log::File) -> Result<(), Trouble> {
        let base = self.setup.layout.log();
        let path = base.join(file.tile.path());
        make_parents(&base, &path, &mut self.directories).map_err(writing(&path))?;
        let out = UringFile::from_std(fs::File::create(&path).map_err(writing(&path))?);
        let (result, _) = out.write_all_at(file.bytes.clone(), 0).await;
        result.map_err(writing(&path))?;
        self.unsynced.push((path, out));
        Ok(())
    }

    /// Makes the tree durable as it is, then says so: tiles, marks, checkpoint, in this order.
    async fn checkpoint(&mut self, state: State) -> Result<(), Trouble> {
        self.write_files().await?;
        let partials = self.setup.tree.partials();
        for file in partials
            .iter()
            .filter(|file| !self.partials.contains(file))
            .cloned()
            .collect::<Vec<_>>()
        {
            self.write(&file).await?;
        }
        self.partials = partials;
        self.sync_files().await?;
        let (marks, obsolete) = self.next_marks(state);
        let layout = self.setup.layout.clone();
        replace(&layout.marks(), marks.sign(&self.setup.signing)).await?;
        self.setup.marks = marks;
        let origin = self.setup.config.origin.clone();
        let checkpoint = Checkpoint {
            origin,
            size: self.setup.marks.size,
            root: self.setup.marks.root,
        };
        let note = checkpoint.sign(&self.setup.signing);
        replace(&layout.log().join(CHECKPOINT_PATH), note.clone()).await?;
        self.published_size = checkpoint.size;
        self.published_at = Instant::now();
        self.publish(&SignedCheckpoint { checkpoint, note });
        self.remove(obsolete);
        Ok(())
    }

    async fn sync_files(&mut self) -> Result<(), Trouble> {
        for (path, file) in std::mem::take(&mut self.unsynced) {
            file.sync_data().await.map_err(syncing(&path))?;
            file.close().await.map_err(syncing(&path))?;
        }
        for path in std::mem::take(&mut self.directories) {
            let directory = fs::File::open(&path).map_err(syncing(&path))?;
            UringFile::from_std(directory)
                .sync_all()
                .await
                .map_err(syncing(&path))?;
        }
        Ok(())
    }

    /// Marks for the tree as it is, and how many segments of each worker they make obsolete.
    fn next_marks(&self, state: State) -> (crate::marks::Marks, Vec<usize>) {
        let mut marks = self.setup.marks.clone();
        (marks.state, marks.size, marks.root) =
            (state, self.setup.tree.size(), self.setup.tree.root());
        let mut obsolete = Vec::new();
        for (worker, lane) in (0u16..).zip(self.lanes.borrow().iter()) {
            let done = |live: &&Rc<Live>| match state {
                State::Open => {
                    live.segment.is_sealed() && live.sequenced.get() == live.segment.kept()
                }
                // At the end all are: also those that nobody wrote to.
                State::Clean => live.sequenced.get() == live.segment.kept(),
            };
            let count = lane.live.iter().take_while(done).count();
            let first = lane
                .live
                .get(count)
                .map_or(lane.next_ordinal, |live| live.segment.ordinal());
            let position = marks
                .workers
                .get(&WorkerId(worker))
                .map_or(Position::START, |mark| mark.position);
            let segments = Segments {
                first,
                end: lane.next_ordinal,
            };
            marks
                .workers
                .insert(WorkerId(worker), Mark { position, segments });
            obsolete.push(count);
        }
        (marks, obsolete)
    }

    fn publish(&mut self, signed: &SignedCheckpoint) {
        if let Err(full) = self.setup.published.try_send(signed.clone()) {
            // The oldest goes. If a reader was quicker, there is room all the same.
            let _ = self.setup.overtaken.try_recv();
            let _ = self.setup.published.try_send(full.into_inner());
        }
        if self.has_what_was_asked_for() {
            self.asked_for.clear();
            for wake in self.askers.drain(..) {
                wake(Ok(signed.clone()));
            }
        }
    }

    /// Removes segments, oldest first, and partial files whose full ones are durable.
    fn remove(&mut self, obsolete: Vec<usize>) {
        for (worker, count) in (0u16..).zip(obsolete) {
            for _ in 0..count {
                let front = self
                    .lanes
                    .borrow_mut()
                    .get_mut(usize::from(worker))
                    .and_then(|lane| lane.live.pop_front());
                let Some(live) = front else { break };
                let path = self
                    .setup
                    .layout
                    .segment(WorkerId(worker), live.segment.ordinal());
                if let Err(error) = fs::remove_file(&path) {
                    // Its records are in the tree: a later start skips them.
                    tracing::warn!(path = %path.display(), %error, "unlink");
                }
            }
        }
        for tile in self.completed.drain(..) {
            let path = self.setup.layout.log().join(tile.partials_path());
            match fs::remove_dir_all(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(path = %path.display(), %error, "rmdir"),
            }
        }
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

/// Replaces a file as a whole, durably.
async fn replace(path: &Path, text: String) -> Result<(), Trouble> {
    let new = unfinished(path);
    let file = UringFile::from_std(fs::File::create(&new).map_err(writing(&new))?);
    let (result, _) = file.write_all_at(text.into_bytes(), 0).await;
    result.map_err(writing(&new))?;
    file.sync_all().await.map_err(syncing(&new))?;
    file.close().await.map_err(syncing(&new))?;
    fs::rename(&new, path).map_err(writing(path))?;
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    let directory = UringFile::from_std(fs::File::open(parent).map_err(syncing(parent))?);
    directory.sync_all().await.map_err(syncing(parent))
}
