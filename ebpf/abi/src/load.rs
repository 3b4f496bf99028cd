/// Value of map `LOAD`, one per worker, mapped into the workers. Two cache lines: one that
/// the kernel writes and one that the worker writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Load {
    /// Connections that the kernel sent to this worker, ever. Added to atomically.
    pub assigned: u64,
    /// Nothing; keeps the kernel's line apart.
    pub reserved_kernel: [u64; 7],
    /// Connections that the worker has accepted, ever, or that never came.
    pub accepted: u64,
    /// Flows that moved bytes in the worker's last epoch.
    pub active: u64,
    /// CLOCK_MONOTONIC (ns) of `active` and `wait_permille`.
    pub epoch_ns: u64,
    /// How long the worker waited for a CPU in the last epoch, in thousandths of it.
    pub wait_permille: u64,
    /// CLOCK_MONOTONIC (ns) at which the worker was last alive.
    pub heartbeat_ns: u64,
    /// Nothing; fills the worker's line.
    pub reserved_worker: [u64; 3],
}

impl Load {
    /// Bytes from one worker's value to the next.
    pub const SIZE: usize = 128;
    /// Nothing assigned, never alive.
    pub const ZERO: Self = Self {
        assigned: 0,
        reserved_kernel: [0; 7],
        accepted: 0,
        active: 0,
        epoch_ns: 0,
        wait_permille: 0,
        heartbeat_ns: 0,
        reserved_worker: [0; 3],
    };
    /// How far ahead a worker's count may be of a random other's before the next connection
    /// goes there (facts of placement: "unless active(local) > active(other) + 4").
    pub const ACTIVE_SLACK: u64 = 4;
    /// How much longer a worker may wait for its CPU than the other, in thousandths.
    pub const WAIT_SLACK_PERMILLE: u64 = 250;
    /// Below this many active flows of both, waiting says nothing.
    pub const WAIT_ACTIVE_MIN: u64 = 6;
    /// A published epoch older than this (ns) counts as idle: five epochs of 20 ms.
    pub const EPOCH_STALE_NS: u64 = 100_000_000;

    /// Flows to count against the worker at `now_ns`: active ones, and assigned ones that it
    /// has not accepted yet.
    #[must_use]
    #[inline(always)]
    pub const fn flows(&self, now_ns: u64) -> u64 {
        let pending = self.assigned.wrapping_sub(self.accepted);
        // More accepted than assigned happens after a restart; it means none.
        let pending = if pending > u64::MAX / 2 { 0 } else { pending };
        if self.epoch_is_fresh(now_ns) {
            self.active.saturating_add(pending)
        } else {
            pending
        }
    }

    /// Thousandths of the last epoch that the worker waited for its CPU.
    #[must_use]
    #[inline(always)]
    pub const fn wait(&self, now_ns: u64) -> u64 {
        if self.epoch_is_fresh(now_ns) {
            self.wait_permille
        } else {
            0
        }
    }

    #[inline(always)]
    const fn epoch_is_fresh(&self, now_ns: u64) -> bool {
        now_ns.wrapping_sub(self.epoch_ns) < Self::EPOCH_STALE_NS
    }

    /// Whether the worker was alive within `ttl_ns` of `now_ns`. A heartbeat from the near
    /// future is fresh too: the other CPU read its clock after we read ours.
    #[must_use]
    #[inline(always)]
    pub const fn is_alive(&self, now_ns: u64, ttl_ns: u64) -> bool {
        self.heartbeat_ns != 0
            && now_ns.wrapping_sub(self.heartbeat_ns).wrapping_add(ttl_ns)
                <= ttl_ns.saturating_mul(2)
    }

    /// Whether the next connection should go to `other` instead.
    #[must_use]
    #[inline(always)]
    pub const fn yields_to(&self, other: &Self, now_ns: u64) -> bool {
        let (mine, theirs) = (self.flows(now_ns), other.flows(now_ns));
        mine > theirs.saturating_add(Self::ACTIVE_SLACK)
            || (mine.saturating_add(theirs) >= Self::WAIT_ACTIVE_MIN
                && self.wait(now_ns) > other.wait(now_ns).saturating_add(Self::WAIT_SLACK_PERMILLE))
    }
}

const _: () = assert!(size_of::<Load>() == Load::SIZE);
const _: () = assert!(core::mem::offset_of!(Load, accepted) == 64);

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(active: u64, wait_permille: u64) -> Load {
        Load {
            active,
            wait_permille,
            epoch_ns: 1_000,
            heartbeat_ns: 1_000,
            ..Load::ZERO
        }
    }

    #[test]
    fn a_worker_keeps_a_connection_until_it_leads_by_more_than_the_slack() {
        assert!(!busy(5, 0).yields_to(&busy(1, 0), 2_000));
        assert!(busy(6, 0).yields_to(&busy(1, 0), 2_000));
    }

    #[test]
    fn waiting_counts_only_with_enough_flows() {
        assert!(busy(5, 400).yields_to(&busy(1, 0), 2_000));
        assert!(!busy(4, 400).yields_to(&busy(1, 0), 2_000));
        assert!(!busy(5, 250).yields_to(&busy(1, 0), 2_000));
    }

    #[test]
    fn an_old_epoch_counts_as_idle_and_a_pending_connection_counts_at_once() {
        assert!(!busy(100, 900).yields_to(&busy(0, 0), 2_000 + Load::EPOCH_STALE_NS));
        assert_eq!(
            Load {
                assigned: 7,
                ..busy(2, 0)
            }
            .flows(2_000),
            9
        );
        assert_eq!(
            Load {
                accepted: 7,
                ..busy(2, 0)
            }
            .flows(2_000),
            2
        );
    }

    #[test]
    fn a_heartbeat_is_fresh_within_its_time_on_either_side_of_now_and_never_at_zero() {
        let load = Load {
            heartbeat_ns: 1_000_000,
            ..Load::ZERO
        };
        assert!(load.is_alive(1_000_100, 100) && load.is_alive(999_900, 100));
        assert!(!load.is_alive(1_000_101, 100) && !load.is_alive(999_899, 100));
        assert!(!Load::ZERO.is_alive(50, 100));
        assert!(
            !Load {
                heartbeat_ns: u64::MAX,
                ..Load::ZERO
            }
            .is_alive(1_000_000, 100)
        );
    }
}
