use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crossbeam::queue::ArrayQueue;
use tokio::sync::Notify;
use weir_audit::{RecordSeq, Room, Store, StoreFull, WorkerId, frame};

use crate::bell::Bell;
use crate::limits::{
    CHECKPOINTS_MAX, CLOSING_SHARE, REQUESTS_MAX, SEGMENT_PATIENCE, SEGMENT_POLL, SEGMENTS_AHEAD,
};
use crate::segment::Writer;
use crate::{SignedCheckpoint, SyncError, Synced};

/// Who is called when a record is synced.
pub(crate) type SyncWake = Box<dyn FnOnce(Result<Synced, SyncError>) + Send>;

/// Who is called when a checkpoint is durable.
pub(crate) type CheckpointWake = Box<dyn FnOnce(Result<SignedCheckpoint, SyncError>) + Send>;

/// Somebody waits for a record to be synced.
pub(crate) struct SyncRequest {
    pub(crate) worker: WorkerId,
    pub(crate) seq: RecordSeq,
    pub(crate) wake: SyncWake,
}

/// ```text
/// Running ──close──▶ Closing ──▶ Closed
///    └────failed sync───▶ Failed ◀┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Running = 0,
    Closing = 1,
    Closed = 2,
    Failed = 3,
}

/// What the workers, the ledger's owner and its thread share.
pub(crate) struct Shared {
    phase: AtomicU8,
    failure: Mutex<Option<String>>,
    pub(crate) checkpoints: ArrayQueue<CheckpointWake>,
    /// Wakes whoever sequences.
    pub(crate) sequence: Notify,
    /// Ends the pause of whoever sequences.
    pub(crate) hurry: Notify,
    /// Wakes whoever prepares segments.
    pub(crate) prepare: Notify,
    /// The last try for a segment failed: waiting for one is of no use.
    pub(crate) no_space: AtomicBool,
    pub(crate) workers: Vec<Lane>,
}

/// What one worker shares with the ledger's thread.
pub(crate) struct Lane {
    /// Segments that are ready to be written.
    pub(crate) ready: ArrayQueue<Writer>,
    /// The worker's store was dropped, or never given out.
    pub(crate) released: AtomicBool,
    /// Who asked for a sync since the last look.
    asked: Mutex<Vec<SyncRequest>>,
    /// Wakes whoever syncs.
    pub(crate) bell: Bell,
}

impl Lane {
    fn new() -> Self {
        Self {
            ready: ArrayQueue::new(SEGMENTS_AHEAD + 1),
            released: AtomicBool::new(true),
            asked: Mutex::default(),
            bell: Bell::default(),
        }
    }

    /// Everybody who has asked for a sync.
    pub(crate) fn take_requests(&self) -> Vec<SyncRequest> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&self, request: SyncRequest) -> Result<(), SyncRequest> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= REQUESTS_MAX {
            return Err(request);
        }
        asked.push(request);
        drop(asked);
        self.bell.ring();
        Ok(())
    }
}

impl Shared {
    pub(crate) fn new(workers: u16) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Running as u8),
            failure: Mutex::new(None),
            checkpoints: ArrayQueue::new(CHECKPOINTS_MAX),
            sequence: Notify::new(),
            hurry: Notify::new(),
            prepare: Notify::new(),
            no_space: AtomicBool::new(false),
            workers: (0..workers).map(|_| Lane::new()).collect(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Running,
            1 => Phase::Closing,
            2 => Phase::Closed,
            _ => Phase::Failed,
        }
    }

    /// Goes on to `phase`; a failed ledger stays failed.
    pub(crate) fn enter(&self, phase: Phase) {
        let _ = self
            .phase
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                (now != Phase::Failed as u8).then_some(phase as u8)
            });
        self.wake_all();
    }

    /// A sync failed, or what is on disk is not what was kept: nothing is acknowledged any more.
    pub(crate) fn fail(&self, why: String) {
        tracing::error!(%why, "the ledger has failed; nothing is released any more");
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(why);
        self.phase.store(Phase::Failed as u8, Ordering::Release);
        self.wake_all();
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Why nothing is acknowledged.
    pub(crate) fn refusal(&self) -> SyncError {
        self.failure().map_or(SyncError::Closed, SyncError::Failed)
    }

    pub(crate) fn ask_sync(&self, request: SyncRequest) {
        if self.phase() != Phase::Running {
            (request.wake)(Err(self.refusal()));
            return;
        }
        let Some(lane) = self.workers.get(usize::from(request.worker.0)) else {
            return (request.wake)(Err(SyncError::Worker(request.worker)));
        };
        if let Err(request) = lane.ask(request) {
            (request.wake)(Err(SyncError::Busy));
        }
        self.refuse_if_over();
    }

    pub(crate) fn ask_checkpoint(&self, wake: CheckpointWake) {
        if self.phase() != Phase::Running {
            wake(Err(self.refusal()));
            return;
        }
        match self.checkpoints.push(wake) {
            Ok(()) => {
                self.sequence.notify_one();
                self.hurry.notify_one();
            }
            Err(wake) => wake(Err(SyncError::Busy)),
        }
        self.refuse_if_over();
    }

    /// The thread refuses what it finds after it entered its last phase, and whoever asks
    /// looks at the phase after asking: nobody waits for ever.
    pub(crate) fn refuse_if_over(&self) {
        fence(Ordering::SeqCst);
        match self.phase() {
            Phase::Running | Phase::Closing => {}
            Phase::Closed | Phase::Failed => {
                for request in self.workers.iter().flat_map(Lane::take_requests) {
                    (request.wake)(Err(self.refusal()));
                }
                while let Some(wake) = self.checkpoints.pop() {
                    wake(Err(self.refusal()));
                }
            }
        }
    }

    /// Has everything synced that is kept now.
    pub(crate) fn sync_all(&self) {
        self.workers.iter().for_each(|lane| lane.bell.ring());
    }

    fn wake_all(&self) {
        self.sync_all();
        self.sequence.notify_one();
        self.hurry.notify_one();
        self.prepare.notify_one();
    }
}

/// Where one worker's frames are kept: a copy into its mapped segment, no system call. What
/// is kept survives the death of the process.
pub struct WorkerStore {
    shared: Arc<Shared>,
    worker: WorkerId,
    writer: Option<Writer>,
}

impl WorkerStore {
    pub(crate) fn new(shared: Arc<Shared>, worker: WorkerId) -> Self {
        if let Some(lane) = shared.workers.get(usize::from(worker.0)) {
            lane.released.store(false, Ordering::Release);
        }
        Self {
            shared,
            worker,
            writer: None,
        }
    }

    /// Goes on to the next segment that is ready.
    fn advance(&mut self) -> Result<(), StoreFull> {
        let lane = self
            .shared
            .workers
            .get(usize::from(self.worker.0))
            .ok_or(StoreFull::Stopped)?;
        let next = lane.ready.pop();
        self.shared.prepare.notify_one();
        self.writer = Some(next.ok_or(StoreFull::NoRoom)?);
        Ok(())
    }

    fn has_next(&self) -> bool {
        self.shared
            .workers
            .get(usize::from(self.worker.0))
            .is_some_and(|lane| !lane.ready.is_empty())
    }

    /// Waits for the segment that the ledger's thread is preparing: a worker that is faster than
    /// the disk is slowed down, not refused. Where there is no space for one, it does not wait.
    fn wait_for_next(&self) -> Result<(), StoreFull> {
        let since = Instant::now();
        while !self.has_next() {
            if self.shared.phase() != Phase::Running {
                return Err(StoreFull::Stopped);
            }
            if self.shared.no_space.load(Ordering::Acquire) || since.elapsed() > SEGMENT_PATIENCE {
                return Err(StoreFull::NoRoom);
            }
            self.shared.prepare.notify_one();
            thread::sleep(SEGMENT_POLL);
        }
        Ok(())
    }

    /// Whether the current segment may take `bytes` for this purpose.
    fn admits(&self, writer: &Writer, bytes: usize, room: Room) -> bool {
        let Some(left) = writer.room().checked_sub(bytes) else {
            return false;
        };
        match room {
            Room::Closing => true,
            Room::Opening => left >= writer.capacity() / CLOSING_SHARE || self.has_next(),
        }
    }
}

impl Store for WorkerStore {
    fn append(&mut self, frame: &[u8], room: Room) -> Result<(), StoreFull> {
        if self.shared.phase() != Phase::Running {
            return Err(StoreFull::Stopped);
        }
        let bytes = frame::padded(frame.len());
        let fits = self
            .writer
            .as_ref()
            .is_some_and(|writer| writer.room() >= bytes);
        if !fits {
            // The old segment stays current until there is a next one: a shorter closing record may still fit.
            self.wait_for_next()?;
            self.advance()?;
        }
        let writer = self.writer.as_ref().ok_or(StoreFull::NoRoom)?;
        if !self.admits(writer, bytes, room) {
            self.wait_for_next()?;
        }
        let kept = self
            .writer
            .as_mut()
            .is_some_and(|writer| writer.keep(frame));
        if !kept {
            return Err(StoreFull::NoRoom);
        }
        if let Some(lane) = self.shared.workers.get(usize::from(self.worker.0)) {
            lane.bell.note();
        }
        Ok(())
    }
}

impl Drop for WorkerStore {
    fn drop(&mut self) {
        // First the segment is sealed, then the ledger may take it as final.
        self.writer = None;
        if let Some(lane) = self.shared.workers.get(usize::from(self.worker.0)) {
            lane.released.store(true, Ordering::Release);
        }
        self.shared.sequence.notify_one();
    }
}
