//! Group commit: a thread for each worker syncs what that worker has kept, then everyone who
//! waits is called.
//!
//! It calls fdatasync itself. By the ledger's ring a sync went through a thread of the kernel's
//! and back, and woke the ledger's thread twice: with one record at a time, as tool calls come,
//! that was more than a fifth of all that the data plane did for a call.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use weir_audit::{RecordSeq, WorkerId};

use crate::Synced;
use crate::bell::IDLE;
use crate::engine::{Lanes, Live};
use crate::worker::{Lane, Phase, Shared, SyncRequest, SyncWake};

/// Syncs one worker's segments.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    lanes: Lanes,
    worker: u16,
    durable: Option<RecordSeq>,
    /// Who waits, by record.
    waiting: BTreeMap<RecordSeq, Vec<SyncWake>>,
}

/// What one round makes durable.
struct Round {
    seq: Option<RecordSeq>,
    grown: Vec<(Arc<Live>, usize)>,
}

/// Starts the threads, each of which gives its committer back when the ledger ends.
pub(crate) fn start(
    shared: &Arc<Shared>,
    lanes: &Lanes,
    interval: Duration,
) -> Result<Vec<JoinHandle<Committer>>, String> {
    (0..lanes.count())
        .map(|worker| {
            let committer = Committer {
                shared: Arc::clone(shared),
                lanes: lanes.clone(),
                worker,
                durable: None,
                waiting: BTreeMap::new(),
            };
            thread::Builder::new()
                .name(format!("weir-sync-{worker}"))
                .spawn(move || committer.run(interval))
                .map_err(|error| format!("a thread that syncs: {error}"))
        })
        .collect()
}

impl Committer {
    /// Commits whenever somebody asks, and what was kept at the latest after `interval`, until
    /// the ledger ends.
    fn run(mut self, interval: Duration) -> Self {
        let shared = Arc::clone(&self.shared);
        let ended = catch_unwind(AssertUnwindSafe(|| {
            if let Some(lane) = shared.workers.get(usize::from(self.worker)) {
                self.serve(&shared, lane, interval);
            }
        }));
        if ended.is_err() {
            // Whoever waits for it would wait for ever.
            shared.fail("a thread that syncs panicked".to_owned());
        }
        self
    }

    fn serve(&mut self, shared: &Shared, lane: &Lane, interval: Duration) {
        lane.bell.is_heard_here();
        while shared.phase() == Phase::Running {
            lane.bell.sleep_unless(IDLE, || self.has_grown());
            lane.bell.wait(interval);
            self.take_requests();
            if let Err(why) = self.commit() {
                shared.fail(why);
            }
        }
    }

    fn has_grown(&self) -> bool {
        let mut live = self.lanes.live(self.worker).into_iter();
        self.shared.phase() != Phase::Running || live.any(|live| live.is_to_be_synced())
    }

    pub(crate) fn take_requests(&mut self) {
        let lane = self.shared.workers.get(usize::from(self.worker));
        for SyncRequest { seq, wake, .. } in lane.map(Lane::take_requests).unwrap_or_default() {
            self.waiting.entry(seq).or_default().push(wake);
        }
    }

    /// Syncs everything that is kept now. After an error nothing may be acknowledged.
    pub(crate) fn commit(&mut self) -> Result<(), String> {
        let round = self.round();
        for (live, _) in &round.grown {
            let synced = live.file.sync_data();
            synced.map_err(|error| format!("fdatasync of a segment: {error}"))?;
        }
        self.acknowledge(round);
        Ok(())
    }

    fn round(&self) -> Round {
        let live = self.lanes.live(self.worker);
        // The record first, then the offsets: whatever is kept meanwhile is synced, too, and waits for the next round.
        let seq = live.iter().rev().find_map(|live| live.segment.last_seq());
        let grown = live.into_iter().filter_map(|live| {
            let kept = live.segment.kept();
            (live.durable() < kept).then_some((live, kept))
        });
        Round {
            seq,
            grown: grown.collect(),
        }
    }

    fn acknowledge(&mut self, round: Round) {
        let grew = !round.grown.is_empty();
        for (live, kept) in round.grown {
            live.segment.mark_durable(kept);
            live.is_durable_to(kept);
        }
        let Some(seq) = round.seq.or(self.durable) else {
            return;
        };
        self.durable = Some(seq);
        let later = self.waiting.split_off(&RecordSeq(seq.0.saturating_add(1)));
        let done = std::mem::replace(&mut self.waiting, later);
        let synced = Synced {
            worker: WorkerId(self.worker),
            seq,
        };
        done.into_values()
            .flatten()
            .for_each(|wake| wake(Ok(synced)));
        if grew {
            self.shared.sequence.notify_one();
        }
    }

    /// Refuses whoever still waits.
    pub(crate) fn refuse_rest(&mut self) {
        let refusal = self.shared.refusal();
        for wake in std::mem::take(&mut self.waiting).into_values().flatten() {
            wake(Err(refusal.clone()));
        }
    }
}
