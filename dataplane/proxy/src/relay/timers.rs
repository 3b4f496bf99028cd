//! Deadlines of flows, looked at once per tick.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Deadlines, earliest first. A flow that moves its deadline later leaves the old entry, which
/// then finds nothing due and is entered again: moving is the rule, expiring the exception.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, u32, u64)>>,
}

impl Timers {
    /// Calls for slot `slot` of serial `serial` at `deadline_ns`.
    pub(crate) fn add(&mut self, deadline_ns: u64, slot: u32, serial: u64) {
        self.heap.push(Reverse((deadline_ns, slot, serial)));
    }

    /// The next one that is due: slot and serial.
    pub(crate) fn due(&mut self, now_ns: u64) -> Option<(u32, u64)> {
        let Reverse((deadline, slot, serial)) = *self.heap.peek()?;
        if deadline > now_ns {
            return None;
        }
        self.heap.pop();
        Some((slot, serial))
    }
}

#[cfg(test)]
mod tests {
    use super::Timers;

    #[test]
    fn deadlines_come_in_order_and_not_before_their_time() {
        let mut timers = Timers::default();
        [30, 10, 20]
            .into_iter()
            .for_each(|at| timers.add(at, at as u32, 0));
        assert_eq!(timers.due(9), None);
        assert_eq!(timers.due(25), Some((10, 0)));
        assert_eq!(timers.due(25), Some((20, 0)));
        assert_eq!(timers.due(25), None);
    }
}
