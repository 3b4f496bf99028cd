//! Which worker gets the next connection: the caller's CPU's, unless it is the busier one.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_get_smp_processor_id};
use weir_ebpf_abi::{Load, Switches};

use crate::maps::{CONFIG, CPU_WORKERS, LOAD};

/// Worker numbers are below [`Switches::workers`]; `None` if neither the local nor the
/// other candidate is alive.
#[inline(always)]
pub(crate) fn pick(switches: Switches) -> Option<u32> {
    let workers = switches.workers();
    if workers == 0 {
        return None;
    }
    let ttl_ns = CONFIG.get(0)?.heartbeat_ttl_ns;
    let local = local_worker(workers);
    let other = another(local, workers);
    let (local_load, other_load) = (load(local)?, load(other)?);
    // SAFETY: a helper without arguments. Read after the loads, so that no heartbeat in them
    // is from our future.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let local_alive = local_load.is_alive(now_ns, ttl_ns);
    let other_alive = other_load.is_alive(now_ns, ttl_ns);
    let picked = match (local_alive, other_alive) {
        (true, true) if local_load.yields_to(&other_load, now_ns) => other,
        (true, _) => local,
        (false, true) => other,
        (false, false) => return None,
    };
    Some(picked)
}

/// Notes that a connection is on its way.
#[inline(always)]
pub(crate) fn assign(worker: u32) {
    if let Some(load) = LOAD.get_ptr_mut(worker) {
        // SAFETY: `assigned` is the first field of an element that the verifier knows. Written
        // in assembly because core has no atomic addition for this target (no
        // compare-and-swap), while the instruction set has this one.
        unsafe {
            core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) &raw mut (*load).assigned, in(reg) 1_u64);
        }
    }
}

#[inline(always)]
fn local_worker(workers: u32) -> u32 {
    // SAFETY: a helper without arguments.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    match CPU_WORKERS.get(cpu) {
        Some(&worker) if worker < workers => worker,
        Some(_) | None => cpu % workers,
    }
}

#[inline(always)]
fn another(local: u32, workers: u32) -> u32 {
    if workers == 1 {
        return local;
    }
    // SAFETY: a helper without arguments.
    let random = unsafe { bpf_get_prandom_u32() };
    (local + 1 + random % (workers - 1)) % workers
}

#[inline(always)]
fn load(worker: u32) -> Option<Load> {
    let load = LOAD.get_ptr(worker)?;
    // SAFETY: the verifier has seen the null check; each field is one aligned word that its
    // only writer writes whole.
    unsafe {
        Some(Load {
            assigned: core::ptr::read_volatile(&raw const (*load).assigned),
            accepted: core::ptr::read_volatile(&raw const (*load).accepted),
            active: core::ptr::read_volatile(&raw const (*load).active),
            epoch_ns: core::ptr::read_volatile(&raw const (*load).epoch_ns),
            wait_permille: core::ptr::read_volatile(&raw const (*load).wait_permille),
            heartbeat_ns: core::ptr::read_volatile(&raw const (*load).heartbeat_ns),
            ..Load::ZERO
        })
    }
}
