//! Who is guarded, and what is governed.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::helpers::generated::{bpf_get_current_ancestor_cgroup_id, bpf_get_netns_cookie};
use aya_ebpf::programs::SockAddrContext;
use weir_ebpf_abi::address::Words;
use weir_ebpf_abi::limits::CGROUP_LEVELS_MAX;
use weir_ebpf_abi::{
    Counter, GuardAll, SELECTOR_PREFIX_BITS, SelectorKey, SelectorKind, Standing, Switches,
};

use crate::count::count;
use crate::maps::{CGROUPS, CONFIG, NETNS, SELECTORS};

/// The whole address: 128 bits behind the selector's prefix.
const EXACT_BITS: u32 = SELECTOR_PREFIX_BITS + 128;

/// What the programs were told. The word is read once, so that a call sees one state.
#[inline(always)]
pub(crate) fn switches() -> Switches {
    match CONFIG.get_ptr(0) {
        // SAFETY: the map has one element and the verifier has seen the null check.
        Some(config) => {
            Switches::from_word(unsafe { core::ptr::read_volatile(&raw const (*config).switches) })
        }
        None => Switches::CLOSED,
    }
}

/// Whether (port in host order, address) is governed.
#[inline(always)]
pub(crate) fn is_governed(port: u32, address: Words) -> bool {
    let [a, b, c, d] = address.map(u32::to_ne_bytes);
    let octets = [
        a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2],
        d[3],
    ];
    let key = Key::new(EXACT_BITS, SelectorKey::new(port as u16, octets).0);
    SELECTORS
        .get(&key)
        .is_some_and(|kind| *kind != SelectorKind::Spare as u32)
}

/// The bits of the caller's cgroup and of its ancestors.
#[inline(always)]
pub(crate) fn standing() -> Standing {
    let mut all = Standing::NONE;
    let mut level = 0;
    while level < CGROUP_LEVELS_MAX {
        // SAFETY: a helper with a plain argument; it answers 0 below the caller's own level.
        let id = unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) };
        if id == 0 {
            break;
        }
        // SAFETY: the value is one aligned word; a concurrent update is seen whole.
        if let Some(bits) = unsafe { CGROUPS.get(&id) } {
            all = all.and(Standing::from_bits(*bits));
        }
        level += 1;
    }
    all
}

/// Whether the caller, who asks for something governed, is to be redirected or refused.
/// Exemption beats a guard, enforcing beats observing. Counts the ways out.
#[inline(always)]
pub(crate) fn is_enforced(switches: Switches) -> bool {
    let standing = standing();
    let all = switches.guard_all();
    let passes = if standing.has(Standing::WEIR) {
        Counter::Weir
    } else if standing.has(Standing::EXEMPT) {
        Counter::Exempt
    } else if !standing.has(Standing::ENFORCE) && !matches!(all, GuardAll::Enforce) {
        if standing.has(Standing::OBSERVE) || matches!(all, GuardAll::Observe) {
            Counter::Observed
        } else {
            Counter::Unguarded
        }
    } else if switches.glass_is_broken() {
        Counter::BrokenGlass
    } else {
        return true;
    };
    count(passes);
    false
}

/// Network namespace of the socket.
#[inline(always)]
pub(crate) fn netns_cookie(ctx: &SockAddrContext) -> u64 {
    // SAFETY: the helper takes the program's own context.
    unsafe { bpf_get_netns_cookie(ctx.as_ptr()) }
}

/// Whether Weir listens in that namespace.
#[inline(always)]
pub(crate) fn has_listeners(netns_cookie: u64) -> bool {
    NETNS.get_ptr(&netns_cookie).is_some()
}
