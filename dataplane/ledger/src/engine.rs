//! The ledger's thread: tasks that prepare segments and sequence, side by side; and what it
//! shares with the threads that sync.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use tokio::time::{Instant, sleep};
use weir_audit::log::{SigningKey, Tree};
use weir_audit::{CommitmentKey, WorkerId};

use crate::commit::Committer;
use crate::layout::Layout;
use crate::limits::{CLOSE_PATIENCE, SEGMENT_HEADER_BYTES};
use crate::marks::Marks;
use crate::segment::Segment;
use crate::sequence::Sequencer;
use crate::worker::{Phase, Shared};
use crate::{CloseError, Config, OpenError, SignedCheckpoint, commit, prepare};

/// Everything that the thread starts with.
pub(crate) struct Setup {
    pub(crate) layout: Layout,
    pub(crate) config: Config,
    pub(crate) signing: SigningKey,
    pub(crate) commitment: CommitmentKey,
    pub(crate) shared: Arc<Shared>,
    pub(crate) tree: Tree,
    pub(crate) marks: Marks,
    pub(crate) published: Sender<SignedCheckpoint>,
    /// The other end, to take out what a slow reader did not.
    pub(crate) overtaken: Receiver<SignedCheckpoint>,
    /// Held for as long as the thread runs.
    pub(crate) _lock: File,
}

/// A segment in use, as the ledger's threads see it.
pub(crate) struct Live {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: File,
    /// Everything before it is synced; moved by whoever syncs.
    durable: AtomicUsize,
    /// Everything before it is in the tree; moved by whoever sequences.
    sequenced: AtomicUsize,
}

impl Live {
    /// A new segment: nothing is in it.
    pub(crate) fn new(segment: Arc<Segment>, file: File) -> Self {
        Self {
            segment,
            file,
            durable: AtomicUsize::new(SEGMENT_HEADER_BYTES),
            sequenced: AtomicUsize::new(SEGMENT_HEADER_BYTES),
        }
    }

    pub(crate) fn durable(&self) -> usize {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn is_durable_to(&self, offset: usize) {
        self.durable.store(offset, Ordering::Release);
    }

    pub(crate) fn is_to_be_synced(&self) -> bool {
        self.durable() < self.segment.kept()
    }

    pub(crate) fn sequenced(&self) -> usize {
        self.sequenced.load(Ordering::Relaxed)
    }

    pub(crate) fn is_sequenced_to(&self, offset: usize) {
        self.sequenced.store(offset, Ordering::Relaxed);
    }
}

/// One worker's segments, oldest first.
#[derive(Default)]
pub(crate) struct LaneSegments {
    pub(crate) live: VecDeque<Arc<Live>>,
    pub(crate) next_ordinal: u64,
}

/// Every worker's segments, for the ledger's threads.
#[derive(Clone)]
pub(crate) struct Lanes(Arc<Vec<Mutex<LaneSegments>>>);

impl Lanes {
    /// How many workers there are.
    pub(crate) fn count(&self) -> u16 {
        // Made from a u16.
        u16::try_from(self.0.len()).unwrap_or(u16::MAX)
    }

    /// Looks at one worker's segments, or changes them; `None` where there is no such worker.
    pub(crate) fn with<R>(
        &self,
        worker: u16,
        act: impl FnOnce(&mut LaneSegments) -> R,
    ) -> Option<R> {
        let lane = self.0.get(usize::from(worker))?;
        Some(act(&mut lane
            .lock()
            .unwrap_or_else(PoisonError::into_inner)))
    }

    /// One worker's segments, oldest first.
    pub(crate) fn live(&self, worker: u16) -> Vec<Arc<Live>> {
        let live = self.with(worker, |lane| lane.live.iter().cloned().collect());
        live.unwrap_or_default()
    }
}

/// Starts the thread; returns once every worker has a segment to write to.
pub(crate) fn start(setup: Setup) -> Result<JoinHandle<Result<(), CloseError>>, OpenError> {
    let (ready, wait) = bounded(1);
    let thread = std::thread::Builder::new()
        .name("weir-ledger".into())
        .spawn(move || tokio_uring::start(run(setup, ready)))
        .map_err(|error| OpenError::Thread(error.to_string()))?;
    match wait.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(why)) => Err(OpenError::Thread(why)),
        Err(_) => Err(OpenError::Thread("it ended before it was ready".into())),
    }
}

async fn run(setup: Setup, ready: Sender<Result<(), String>>) -> Result<(), CloseError> {
    let shared = Arc::clone(&setup.shared);
    let lanes = lanes(&setup);
    let (layout, config) = (setup.layout.clone(), setup.config.clone());
    let started = match prepare::first(&layout, &config, &shared, &lanes).await {
        Ok(()) => commit::start(&shared, &lanes, config.group_commit),
        Err(why) => Err(why),
    };
    let (committers, prepared) = match started {
        Ok(committers) => (committers, Ok(())),
        Err(why) => (Vec::new(), Err(why)),
    };
    let failed = prepared.is_err();
    // Nobody listens only if the opener is gone.
    let _ = ready.send(prepared);
    if failed {
        shared.enter(Phase::Closed);
        return Err(CloseError::Failed("no segment could be prepared".into()));
    }
    let preparer = tokio_uring::spawn(prepare::run(
        layout,
        config,
        Arc::clone(&shared),
        lanes.clone(),
    ));
    let mut sequencer = Sequencer::new(setup, lanes);
    sequencer.run().await;
    // They end as the sequencer does; nothing else runs here that could wait for this thread.
    let committers: Result<Vec<_>, _> = committers.into_iter().map(JoinHandle::join).collect();
    let result = match (committers, preparer.await) {
        (Ok(committers), Ok(())) => finish(&shared, committers, sequencer).await,
        _ => Err(CloseError::Failed("a task of the ledger panicked".into())),
    };
    shared.enter(Phase::Closed);
    shared.refuse_if_over();
    result
}

fn lanes(setup: &Setup) -> Lanes {
    let lane = |index| {
        let mark = setup.marks.workers.get(&WorkerId(index));
        LaneSegments {
            live: VecDeque::new(),
            next_ordinal: mark.map_or(0, |mark| mark.segments.end),
        }
    };
    let lanes = (0..setup.config.workers).map(|index| Mutex::new(lane(index)));
    Lanes(Arc::new(lanes.collect()))
}

/// The end: a clean one if that was asked for and everything could be done.
async fn finish(
    shared: &Shared,
    mut committers: Vec<Committer>,
    mut sequencer: Sequencer,
) -> Result<(), CloseError> {
    let result = match shared.phase() {
        Phase::Closing => close(shared, &mut committers, &mut sequencer).await,
        Phase::Failed => Err(CloseError::Failed(shared.failure().unwrap_or_default())),
        // Dropped: nobody said that the workers have ended.
        Phase::Closed | Phase::Running => Ok(()),
    };
    shared.enter(Phase::Closed);
    committers.iter_mut().for_each(Committer::refuse_rest);
    sequencer.refuse_askers();
    result
}

async fn close(
    shared: &Shared,
    committers: &mut [Committer],
    sequencer: &mut Sequencer,
) -> Result<(), CloseError> {
    wait_for_release(shared).await?;
    for committer in committers {
        committer.take_requests();
        if let Err(why) = committer.commit() {
            shared.fail(why.clone());
            return Err(CloseError::Failed(why));
        }
    }
    sequencer.close().await
}

async fn wait_for_release(shared: &Shared) -> Result<(), CloseError> {
    let deadline = Instant::now() + CLOSE_PATIENCE;
    for (worker, lane) in (0u16..).zip(&shared.workers) {
        while !lane.released.load(Ordering::Acquire) {
            if Instant::now() >= deadline {
                return Err(CloseError::StillWriting(WorkerId(worker)));
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
    Ok(())
}
