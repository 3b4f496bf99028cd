//! How long each stage of a flow takes: histograms per worker thread, clocked by quanta, handed
//! over by pointer and merged by whoever asks, so that the hot path never waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hdrhistogram::Histogram;

macro_rules! stages {
    ($($(#[doc = $help:literal])+ $variant:ident = $name:literal,)+) => {
        /// A stage that is measured.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Stage { $($(#[doc = $help])+ $variant,)+ }

        impl Stage {
            /// All of them, in the order of a flow's life.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name in metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

stages! {
    /// From accept to the attested caller.
    Attest = "attest",
    /// From the decision to dial to the server's SYN-ACK.
    Dial = "dial",
    /// A TLS handshake, on either side.
    Handshake = "tls_handshake",
    /// One call into the flow: parse, judge, record, edit.
    Judge = "judge",
    /// All flows of one turn served: what a turn adds to the latency of those behind.
    Turn = "turn",
}

/// Longest duration that is told apart: a minute.
const NANOS_MAX: u64 = 60_000_000_000;
/// Two significant digits: 1 % precision in about 20 KiB a stage.
const DIGITS: u8 = 2;

/// One histogram of nanoseconds per stage.
pub struct Stages {
    histograms: Vec<Histogram<u64>>,
}

impl Stages {
    /// Empty histograms.
    #[must_use]
    pub fn new() -> Self {
        let histogram = || {
            Histogram::new_with_max(NANOS_MAX, DIGITS)
                .expect("one minute in nanoseconds at two digits is in range")
        };
        Self {
            histograms: Stage::ALL.iter().map(|_| histogram()).collect(),
        }
    }

    /// Counts one duration.
    pub fn record(&mut self, stage: Stage, nanos: u64) {
        if let Some(histogram) = self.histograms.get_mut(stage as usize) {
            histogram.saturating_record(nanos);
        }
    }

    /// The histogram of a stage.
    #[must_use]
    pub fn histogram(&self, stage: Stage) -> Option<&Histogram<u64>> {
        self.histograms.get(stage as usize)
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.histograms.iter_mut().zip(&other.histograms) {
            mine.add(theirs)
                .expect("all histograms have the same bounds");
        }
    }

    fn reset(&mut self) {
        self.histograms.iter_mut().for_each(Histogram::reset);
    }
}

impl Default for Stages {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a worker and a reader meet. The worker keeps a set for itself; when asked, it swaps it
/// for the empty one that waits here.
#[derive(Clone, Default)]
pub struct Exchange {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_asked: AtomicBool,
    slot: Mutex<Stages>,
}

impl Exchange {
    /// Takes what was handed over since the last call into `total` and asks for more, which
    /// comes within a tick. Call it twice a scrape interval to see everything.
    pub fn collect(&self, total: &mut Stages) {
        let mut slot = self
            .shared
            .slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        total.merge(&slot);
        slot.reset();
        self.shared.is_asked.store(true, Ordering::Release);
    }

    /// For the worker, once per tick: swaps its set if somebody asked and nobody is reading.
    pub(crate) fn offer(&self, stages: &mut Stages) {
        if !self.shared.is_asked.load(Ordering::Acquire) {
            return;
        }
        if let Ok(mut slot) = self.shared.slot.try_lock() {
            std::mem::swap(&mut *slot, stages);
            self.shared.is_asked.store(false, Ordering::Release);
        }
    }
}

/// A stopwatch on quanta's clock: two reads of the time-stamp counter.
#[derive(Clone)]
pub(crate) struct Stopwatch(quanta::Clock);

impl Stopwatch {
    /// Calibrates the clock, once per process.
    pub(crate) fn new() -> Self {
        Self(quanta::Clock::new())
    }

    /// A point in time.
    pub(crate) fn mark(&self) -> u64 {
        self.0.raw()
    }

    /// Nanoseconds since a point in time.
    pub(crate) fn nanos_since(&self, mark: u64) -> u64 {
        self.0.delta_as_nanos(mark, self.0.raw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_records_reaches_the_reader_once() {
        let exchange = Exchange::default();
        let (mut mine, mut total) = (Stages::new(), Stages::new());
        mine.record(Stage::Judge, 1_000);
        exchange.offer(&mut mine);
        exchange.collect(&mut total);
        assert_eq!(
            total.histogram(Stage::Judge).expect("a stage").len(),
            0,
            "nobody had asked yet"
        );
        mine.record(Stage::Judge, 3_000);
        exchange.offer(&mut mine);
        mine.record(Stage::Judge, 5_000);
        (0..2).for_each(|_| exchange.collect(&mut total));
        let judge = total.histogram(Stage::Judge).expect("a stage");
        assert_eq!(judge.len(), 2);
        assert!(judge.max().abs_diff(3_000) < 100);
    }

    #[test]
    fn a_duration_beyond_the_longest_is_counted_as_the_longest() {
        let mut stages = Stages::new();
        stages.record(Stage::Dial, u64::MAX);
        assert_eq!(stages.histogram(Stage::Dial).expect("a stage").len(), 1);
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::HashSet<_> =
            Stage::ALL.iter().map(|stage| stage.name()).collect();
        assert_eq!(names.len(), Stage::ALL.len());
    }
}
