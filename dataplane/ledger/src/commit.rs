//! Group commit: one fdatasync per segment that grew, then everyone who waits is called.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use weir_audit::{RecordSeq, WorkerId};

use crate::Synced;
use crate::engine::{Lanes, Live};
use crate::worker::{Phase, Shared, SyncRequest, SyncWake};

/// Who waits, by worker, then by record.
type Waiting = BTreeMap<WorkerId, BTreeMap<RecordSeq, Vec<SyncWake>>>;

pub(crate) struct Committer {
    shared: Arc<Shared>,
    lanes: Lanes,
    durable: BTreeMap<WorkerId, RecordSeq>,
    waiting: Waiting,
}

/// What one round makes durable of one worker.
struct Round {
    worker: WorkerId,
    seq: Option<RecordSeq>,
    grown: Vec<(Rc<Live>, usize)>,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, lanes: Lanes) -> Self {
        Self {
            shared,
            lanes,
            durable: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Commits whenever somebody asks, and every `interval`, until the ledger ends.
    pub(crate) async fn run(&mut self, interval: Duration) {
        while self.shared.phase() == Phase::Running {
            // Either somebody asks, or it is time: both mean to commit.
            let _ = timeout(interval, self.shared.commit.notified()).await;
            self.take_requests();
            if let Err(why) = self.commit().await {
                self.shared.fail(why);
            }
        }
    }

    pub(crate) fn take_requests(&mut self) {
        // As many as are there now: this ends also while others keep asking.
        for _ in 0..self.shared.syncs.len() {
            let Some(SyncRequest { worker, seq, wake }) = self.shared.syncs.pop() else {
                return;
            };
            self.waiting
                .entry(worker)
                .or_default()
                .entry(seq)
                .or_default()
                .push(wake);
        }
    }

    /// Syncs everything that is kept now. After an error nothing may be acknowledged.
    pub(crate) async fn commit(&mut self) -> Result<(), String> {
        let rounds = self.rounds();
        let mut syncs = Vec::new();
        for (live, _) in rounds.iter().flat_map(|round| &round.grown) {
            let live = Rc::clone(live);
            syncs.push(tokio_uring::spawn(
                async move { live.file.sync_data().await },
            ));
        }
        // All are waited for, also after one failed: an operation in the kernel is never left alone.
        let mut failed = None;
        for sync in syncs {
            match sync.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failed = Some(format!("fdatasync of a segment: {error}")),
                Err(error) => failed = Some(format!("a sync ended: {error}")),
            }
        }
        if let Some(why) = failed {
            return Err(why);
        }
        for round in rounds {
            self.acknowledge(round);
        }
        Ok(())
    }

    fn rounds(&self) -> Vec<Round> {
        let lanes = self.lanes.borrow();
        let round = |(worker, lane): (u16, &crate::engine::LaneSegments)| {
            // The record first, then the offsets: whatever is kept meanwhile is synced, too, and waits for the next round.
            let seq = lane
                .live
                .iter()
                .rev()
                .find_map(|live| live.segment.last_seq());
            let grown = lane
                .live
                .iter()
                .map(|live| (Rc::clone(live), live.segment.kept()));
            let grown = grown
                .filter(|(live, kept)| live.durable.get() < *kept)
                .collect();
            Round {
                worker: WorkerId(worker),
                seq,
                grown,
            }
        };
        (0u16..).zip(lanes.iter()).map(round).collect()
    }

    fn acknowledge(&mut self, round: Round) {
        let grew = !round.grown.is_empty();
        for (live, kept) in round.grown {
            live.segment.mark_durable(kept);
            live.durable.set(kept);
        }
        let known = self.durable.get(&round.worker).copied();
        let Some(seq) = round.seq.or(known) else {
            return;
        };
        self.durable.insert(round.worker, seq);
        if grew {
            self.shared.sequence.notify_one();
        }
        let Some(waiting) = self.waiting.get_mut(&round.worker) else {
            return;
        };
        let later = waiting.split_off(&RecordSeq(seq.0.saturating_add(1)));
        let done = std::mem::replace(waiting, later);
        let synced = Synced {
            worker: round.worker,
            seq,
        };
        done.into_values()
            .flatten()
            .for_each(|wake| wake(Ok(synced)));
    }

    /// Refuses whoever still waits.
    pub(crate) fn refuse_rest(&mut self) {
        let refusal = self.shared.refusal();
        for wake in std::mem::take(&mut self.waiting)
            .into_values()
            .flat_map(BTreeMap::into_values)
            .flatten()
        {
            wake(Err(refusal.clone()));
        }
    }
}
