use weir_ebpf_abi::Counter;

use crate::maps::COUNTERS;

/// Adds one.
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    if let Some(slot) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the slot is this CPU's, and cgroup programs are not preempted by each other
        // on it in a way that could do more than lose a count.
        unsafe { *slot += 1 }
    }
}
