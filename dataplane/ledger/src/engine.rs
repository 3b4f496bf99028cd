//! The ledger's thread: tasks that sync, prepare segments and sequence, side by side.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use tokio::time::{Instant, sleep};
use tokio_uring::fs::File as UringFile;
use weir_audit::log::{SigningKey, Tree};
use weir_audit::{CommitmentKey, WorkerId};

use crate::commit::Committer;
use crate::layout::Layout;
use crate::limits::CLOSE_PATIENCE;
use crate::marks::Marks;
use crate::segment::Segment;
use crate::sequence::Sequencer;
use crate::worker::{Phase, Shared};
use crate::{CloseError, Config, OpenError, SignedCheckpoint, prepare};

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

/// A segment in use, as the thread sees it.
pub(crate) struct Live {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: UringFile,
    /// Everything before it is synced.
    pub(crate) durable: Cell<usize>,
    /// Everything before it is in the tree.
    pub(crate) sequenced: Cell<usize>,
}

/// One worker's segments, oldest first.
#[derive(Default)]
pub(crate) struct LaneSegments {
    pub(crate) live: VecDeque<Rc<Live>>,
    pub(crate) next_ordinal: u64,
}

/// What the tasks share; borrowed only between awaits.
pub(crate) type Lanes = Rc<RefCell<Vec<LaneSegments>>>;

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
    let prepared = prepare::first(&layout, &config, &shared, &lanes).await;
    let failed = prepared.is_err();
    // Nobody listens only if the opener is gone.
    let _ = ready.send(prepared);
    if failed {
        return Err(CloseError::Failed("no segment could be prepared".into()));
    }
    let group_commit = config.group_commit;
    let preparer = tokio_uring::spawn(prepare::run(
        layout,
        config,
        Arc::clone(&shared),
        Rc::clone(&lanes),
    ));
    let mut committer = Committer::new(Arc::clone(&shared), Rc::clone(&lanes));
    let committing = tokio_uring::spawn(async move {
        committer.run(group_commit).await;
        committer
    });
    let mut sequencer = Sequencer::new(setup, Rc::clone(&lanes));
    sequencer.run().await;
    let (committer, prepared) = (committing.await, preparer.await);
    let result = match (committer, prepared) {
        (Ok(committer), Ok(())) => finish(&shared, committer, sequencer).await,
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
    Rc::new(RefCell::new((0..setup.config.workers).map(lane).collect()))
}

/// The end: a clean one if that was asked for and everything could be done.
async fn finish(
    shared: &Shared,
    mut committer: Committer,
    mut sequencer: Sequencer,
) -> Result<(), CloseError> {
    let result = match shared.phase() {
        Phase::Closing => close(shared, &mut committer, &mut sequencer).await,
        Phase::Failed => Err(CloseError::Failed(shared.failure().unwrap_or_default())),
        // Dropped: nobody said that the workers have ended.
        Phase::Closed | Phase::Running => Ok(()),
    };
    shared.enter(Phase::Closed);
    committer.refuse_rest();
    sequencer.refuse_askers();
    result
}

async fn close(
    shared: &Shared,
    committer: &mut Committer,
    sequencer: &mut Sequencer,
) -> Result<(), CloseError> {
    wait_for_release(shared).await?;
    committer.take_requests();
    if let Err(why) = committer.commit().await {
        shared.fail(why.clone());
        return Err(CloseError::Failed(why));
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
