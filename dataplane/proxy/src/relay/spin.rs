//! When to wait for the next completion by looking instead of sleeping: it halves the latency of
//! a lone request across cores, and loses as soon as others need the core.

use std::time::{Duration, Instant};

use super::limits::{SPIN_FLOWS_MAX, SPIN_WAIT_PERMILLE_MAX};

/// What the last epoch looked like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Epoch {
    /// Flows that moved bytes.
    pub(crate) active_flows: u32,
    /// Per mille of it that the worker was runnable but did not run.
    pub(crate) wait_permille: u32,
}

/// Learns whether spinning pays here and now.
pub(crate) struct Spin {
    limit: Duration,
    score: i32,
    round: u32,
    is_allowed: bool,
}

/// A hit is worth 4 and a miss costs 6: spinning goes on while it succeeds three times in five.
const HIT: i32 = 4;
const MISS: i32 = -6;
const SCORE_MAX: i32 = 100;
/// Below zero, one turn in so many tries again.
const RETRY_ROUNDS: u32 = 32;
/// Looks between readings of the clock.
const LOOKS: u32 = 8;

impl Spin {
    /// Spins up to `limit` per turn; zero is never.
    pub(crate) const fn new(limit: Duration) -> Self {
        Self {
            limit,
            score: 0,
            round: 0,
            is_allowed: false,
        }
    }

    /// Looks at the epoch that ended.
    pub(crate) fn learn(&mut self, epoch: Epoch) {
        let is_lone = (1..=SPIN_FLOWS_MAX).contains(&epoch.active_flows);
        self.is_allowed =
            !self.limit.is_zero() && is_lone && epoch.wait_permille <= SPIN_WAIT_PERMILLE_MAX;
    }

    /// Whether to spin in this turn.
    pub(crate) fn is_due(&mut self) -> bool {
        self.round = self.round.wrapping_add(1);
        self.is_allowed && (self.score >= 0 || self.round.is_multiple_of(RETRY_ROUNDS))
    }

    /// Looks until `is_ready`, or the limit. Returns whether it paid.
    pub(crate) fn run(&mut self, mut is_ready: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if is_ready() {
                    // Later than the limit means that somebody else had the core meanwhile.
                    let is_ours = start.elapsed() <= self.limit;
                    self.score = (self.score + if is_ours { HIT } else { MISS })
                        .clamp(-SCORE_MAX, SCORE_MAX);
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= self.limit {
                self.score = (self.score + MISS).max(-SCORE_MAX);
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lone() -> Epoch {
        Epoch {
            active_flows: 1,
            wait_permille: 0,
        }
    }

    #[test]
    fn misses_turn_spinning_off_and_hits_turn_it_on_again() {
        let mut spin = Spin::new(Duration::from_micros(50));
        spin.learn(lone());
        assert!(spin.is_due());
        assert!(!spin.run(|| false));
        let due = (0..RETRY_ROUNDS).filter(|_| spin.is_due()).count();
        assert_eq!(due, 1, "it tries again now and then");
        (0..3).for_each(|_| assert!(spin.run(|| true)));
        assert!(spin.is_due());
    }

    #[test]
    fn many_flows_or_a_contended_core_forbid_it() {
        let mut spin = Spin::new(Duration::from_micros(50));
        spin.learn(Epoch {
            active_flows: SPIN_FLOWS_MAX + 1,
            wait_permille: 0,
        });
        assert!(!spin.is_due());
        spin.learn(Epoch {
            active_flows: 1,
            wait_permille: SPIN_WAIT_PERMILLE_MAX + 1,
        });
        assert!(!spin.is_due());
        spin.learn(Epoch::default());
        assert!(!spin.is_due(), "nothing is outstanding");
    }

    #[test]
    fn a_limit_of_zero_is_never() {
        let mut spin = Spin::new(Duration::ZERO);
        spin.learn(lone());
        assert!(!spin.is_due());
    }
}
