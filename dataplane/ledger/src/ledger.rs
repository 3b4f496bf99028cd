use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, bounded};
use weir_audit::log::{Checkpoint, VerifierKey};
use weir_audit::{CommitmentKey, Journal, Position, RecordSeq, WorkerId};

use crate::engine::{self, Setup};
use crate::layout::Layout;
use crate::limits::CHECKPOINTS_MAX;
use crate::start::{lock, make_directories, take_up};
use crate::worker::{Phase, Shared, SyncRequest};
use crate::{CloseError, Config, OpenError, SyncError, WorkerStore, keys};

/// A record that is durable: it and all before it of its worker survive the host's death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The worker.
    pub worker: WorkerId,
    /// The last durable record, at or after the one asked for.
    pub seq: RecordSeq,
}

/// A checkpoint as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The signed note.
    pub note: String,
}

/// What was found at a start that follows an unclean end; also in the log, as a gap leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Records that were kept and not yet in the tree; they are now.
    pub records: u64,
    /// Bytes of torn tails that were cut. They had never been acknowledged as synced.
    pub cut_bytes: u64,
}

/// How the ledger was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Counts starts, from 1.
    pub epoch: u64,
    /// Leaves in the log now.
    pub size: u64,
    /// What checkpoints verify against.
    pub vkey: VerifierKey,
    /// Set if the end before this start was not a clean one.
    pub gap: Option<Gap>,
}

/// Whether the ledger keeps and acknowledges records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Running,
    /// It is closing or closed.
    Closed,
    /// It does not, for this reason, until the process is started anew.
    Failed(String),
}

/// Asks things of the ledger, from any thread.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Calls `wake` once record `seq` of `worker`, and all before it, are durable. Starts a
    /// sync at once, together with all others that wait. `wake` runs on the thread that syncs
    /// (where the ledger refuses at once, on the caller's): it must be short.
    pub fn sync(
        &self,
        worker: WorkerId,
        seq: RecordSeq,
        wake: impl FnOnce(Result<Synced, SyncError>) + Send + 'static,
    ) {
        if usize::from(worker.0) >= self.shared.workers.len() {
            wake(Err(SyncError::Worker(worker)));
            return;
        }
        self.shared.ask_sync(SyncRequest {
            worker,
            seq,
            wake: Box::new(wake),
        });
    }

    /// Signs a checkpoint over everything that is kept now, and calls `wake` once it is durable.
    pub fn checkpoint(
        &self,
        wake: impl FnOnce(Result<SignedCheckpoint, SyncError>) + Send + 'static,
    ) {
        self.shared.ask_checkpoint(Box::new(wake));
    }

    /// Whether the ledger works.
    #[must_use]
    pub fn health(&self) -> Health {
        match self.shared.phase() {
            Phase::Running => Health::Running,
            Phase::Closing | Phase::Closed => Health::Closed,
            Phase::Failed => Health::Failed(self.shared.failure().unwrap_or_default()),
        }
    }
}

/// An open ledger. Dropping it without [`Ledger::close`] is an unclean end.
pub struct Ledger {
    handle: Handle,
    key: CommitmentKey,
    positions: BTreeMap<WorkerId, Position>,
    stores: Mutex<BTreeMap<u16, WorkerStore>>,
    checkpoints: Receiver<SignedCheckpoint>,
    thread: Option<JoinHandle<Result<(), CloseError>>>,
}

impl Ledger {
    /// Opens the ledger, making it if there is none: puts everything that was kept and not
    /// sequenced into the tree, notes an unclean end with a gap leaf, makes this start's
    /// commitment key, and starts the ledger's thread with a segment ready for each worker.
    ///
    /// # Errors
    /// If anything that was durable is missing or changed, if another process has the
    /// ledger, if keys are missing or open to others, or a system call fails.
    pub fn open(config: Config) -> Result<(Self, Recovered), OpenError> {
        config.check()?;
        let layout = Layout::new(&config.directory);
        make_directories(&layout)?;
        let lock = lock(&layout)?;
        let marked = layout.marks().exists();
        if marked && !layout.keys().join("signing.key").exists() {
            let what = "the key that signed this log is missing".to_owned();
            return Err(OpenError::Key {
                path: layout.keys().join("signing.key"),
                what,
            });
        }
        let signing = keys::signing_key(&layout.keys(), &config.origin)?;
        let commitment = keys::commitment_key(&layout.keys())?;
        let (found, gap) = take_up(&layout, &signing, &commitment)?;
        let recovered = Recovered {
            epoch: found.marks.epoch,
            size: found.tree.size(),
            vkey: signing.verifier(),
            gap,
        };
        let positions = found
            .marks
            .workers
            .iter()
            .map(|(worker, mark)| (*worker, mark.position))
            .collect();
        let shared = Arc::new(Shared::new(config.workers));
        let stores = (0..config.workers).map(|index| {
            (
                index,
                WorkerStore::new(Arc::clone(&shared), WorkerId(index)),
            )
        });
        let stores = Mutex::new(stores.collect());
        let (published, checkpoints) = bounded(CHECKPOINTS_MAX);
        let setup = Setup {
            layout,
            config,
            signing,
            commitment: commitment.clone(),
            shared: Arc::clone(&shared),
            tree: found.tree,
            marks: found.marks,
            published,
            overtaken: checkpoints.clone(),
            _lock: lock,
        };
        let thread = engine::start(setup)?;
        let handle = Handle { shared };
        Ok((
            Self {
                handle,
                key: commitment,
                positions,
                stores,
                checkpoints,
                thread: Some(thread),
            },
            recovered,
        ))
    }

    /// The store of one worker, once; `None` if it was given out, or there is no such worker.
    pub fn worker(&self, index: u16) -> Option<WorkerStore> {
        self.stores
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&index)
    }

    /// The journal of one worker, which continues its sequence; once, as [`Ledger::worker`].
    pub fn journal(&self, index: u16) -> Option<Journal<WorkerStore>> {
        let store = self.worker(index)?;
        Some(Journal::new(
            WorkerId(index),
            self.position(index),
            self.key.clone(),
            store,
        ))
    }

    /// Where a worker's sequence stood when the ledger was opened.
    #[must_use]
    pub fn position(&self, index: u16) -> Position {
        self.positions
            .get(&WorkerId(index))
            .copied()
            .unwrap_or(Position::START)
    }

    /// This start's commitment key.
    #[must_use]
    pub const fn commitment_key(&self) -> &CommitmentKey {
        &self.key
    }

    /// Something to ask the ledger with, for any thread.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// See [`Handle::sync`].
    pub fn sync(
        &self,
        worker: WorkerId,
        seq: RecordSeq,
        wake: impl FnOnce(Result<Synced, SyncError>) + Send + 'static,
    ) {
        self.handle.sync(worker, seq, wake);
    }

    /// See [`Handle::checkpoint`].
    pub fn checkpoint(
        &self,
        wake: impl FnOnce(Result<SignedCheckpoint, SyncError>) + Send + 'static,
    ) {
        self.handle.checkpoint(wake);
    }

    /// Checkpoints as they become durable. A reader that is slow misses earlier ones, never the last.
    #[must_use]
    pub fn checkpoints(&self) -> Receiver<SignedCheckpoint> {
        self.checkpoints.clone()
    }

    /// See [`Handle::health`].
    #[must_use]
    pub fn health(&self) -> Health {
        self.handle.health()
    }

    /// Ends cleanly: everything that was kept goes into the tree, then a close leaf, then a
    /// last checkpoint. The workers' stores must be dropped; this waits
    /// [`crate::limits::CLOSE_PATIENCE`] for that.
    ///
    /// # Errors
    /// If the end is not a clean one. Nothing that was kept is lost by that.
    pub fn close(mut self) -> Result<(), CloseError> {
        self.stores
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.handle.shared.enter(Phase::Closing);
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread
            .join()
            .unwrap_or_else(|_| Err(CloseError::Failed("the ledger's thread panicked".into())))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.handle.shared.enter(Phase::Closed);
            // The end is unclean whatever the thread says; the next start tells of it.
            let _ = thread.join();
        }
    }
}
