//! What the connect hooks read of a worker: that it lives, how much it has to do, and how long
//! it waits for its core.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use weir_redirect::{LoadBoard, LoadCell};

use super::spin::Epoch;

/// Without an accept for this long, connections that were assigned and did not come never will.
const PENDING_TIMEOUT_NS: u64 = 1_000_000_000;

/// Counts active flows and the wait for the core, epoch by epoch.
pub(crate) struct Meter {
    board: Option<Arc<LoadBoard>>,
    worker: u16,
    schedstat: Option<File>,
    epoch: u32,
    active: u32,
    began_ns: u64,
    waited_ns: u64,
    wait_permille: u32,
    accepted_ns: u64,
}

impl Meter {
    /// A meter of the calling thread, which publishes to `board` where there is one.
    pub(crate) fn new(board: Option<Arc<LoadBoard>>, worker: u16, now_ns: u64) -> Self {
        let schedstat = File::open("/proc/thread-self/schedstat").ok();
        let mut meter = Self {
            board,
            worker,
            schedstat,
            epoch: 1,
            active: 0,
            began_ns: now_ns,
            waited_ns: 0,
            wait_permille: 0,
            accepted_ns: now_ns,
        };
        meter.waited_ns = meter.run_queue_wait_ns();
        if let Some(cell) = meter.cell() {
            // What was assigned before our time will not come to us.
            cell.settle();
            cell.beat(now_ns);
        }
        meter
    }

    fn cell(&self) -> Option<LoadCell<'_>> {
        self.board.as_ref()?.cell(self.worker)
    }

    /// A connection came through the redirect.
    pub(crate) fn accepted(&mut self, now_ns: u64) {
        if let Some(cell) = self.cell() {
            cell.accepted(1);
        }
        self.accepted_ns = now_ns;
    }

    /// A flow moved bytes; it remembers the epoch in `last`, so that it counts once.
    pub(crate) const fn moved(&mut self, last: &mut u32) {
        if *last != self.epoch {
            *last = self.epoch;
            self.active += 1;
        }
    }

    /// Ends the epoch and publishes it.
    pub(crate) fn end_epoch(&mut self, now_ns: u64) -> Epoch {
        let waited_ns = self.run_queue_wait_ns();
        let length_ns = now_ns.saturating_sub(self.began_ns).max(1);
        let share = waited_ns
            .saturating_sub(self.waited_ns)
            .saturating_mul(1000)
            / length_ns;
        // Half of the last epoch stays in: single epochs of 20 ms are noisy.
        self.wait_permille = u32::midpoint(self.wait_permille, share.min(1000) as u32);
        let epoch = Epoch {
            active_flows: self.active,
            wait_permille: self.wait_permille,
        };
        if let Some(cell) = self.cell() {
            if now_ns.saturating_sub(self.accepted_ns) > PENDING_TIMEOUT_NS {
                cell.settle();
            }
            cell.epoch(
                now_ns,
                u64::from(epoch.active_flows),
                u64::from(epoch.wait_permille),
            );
            cell.beat(now_ns);
        }
        (self.waited_ns, self.began_ns, self.active) = (waited_ns, now_ns, 0);
        self.epoch = self.epoch.wrapping_add(1).max(1);
        epoch
    }

    /// Says that this worker takes no more connections.
    pub(crate) fn stop(&self) {
        if let Some(cell) = self.cell() {
            cell.stop();
        }
    }

    /// Nanoseconds that this thread was runnable and did not run: the second word of schedstat.
    fn run_queue_wait_ns(&self) -> u64 {
        let mut text = [0u8; 96];
        let read = self
            .schedstat
            .as_ref()
            .and_then(|file| file.read_at(&mut text, 0).ok())
            .unwrap_or(0);
        let words = text
            .get(..read)
            .and_then(|text| str::from_utf8(text).ok())
            .unwrap_or("");
        words
            .split_ascii_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .unwrap_or(self.waited_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_counts_each_flow_once() {
        let mut meter = Meter::new(None, 0, 1_000);
        let (mut first, mut second) = (0, 0);
        (0..3).for_each(|_| meter.moved(&mut first));
        meter.moved(&mut second);
        assert_eq!(meter.end_epoch(20_001_000).active_flows, 2);
        meter.moved(&mut first);
        assert_eq!(meter.end_epoch(40_001_000).active_flows, 1);
    }

    #[test]
    fn waiting_is_a_share_of_the_epoch() {
        let mut meter = Meter::new(None, 0, 0);
        meter.schedstat = None;
        assert!(meter.end_epoch(20_000_000).wait_permille <= 1000);
    }
}
