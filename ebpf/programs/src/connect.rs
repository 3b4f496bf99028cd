//! `connect4`, `connect6`: pass, refuse, or rewrite the destination.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::{
    bpf_get_socket_cookie, bpf_ktime_get_boot_ns, bpf_set_retval, bpf_sk_storage_get,
};
use aya_ebpf::helpers::{
    bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
};
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use weir_ebpf_abi::address::{
    LOOPBACK_V4_WORD, LOOPBACK_V6, Words, effective, is_listener, is_mapped, mapped,
};
use weir_ebpf_abi::{Counter, Family, Origin, Switches};

use crate::count::count;
use crate::govern::{has_listeners, is_enforced, is_governed, netns_cookie, switches};
use crate::maps::CLIENTS;
use crate::placement;

/// `SOCK_STREAM`.
const STREAM: u32 = 1;
/// `IPPROTO_TCP`; an MPTCP socket says so too.
const TCP: u32 = 6;
/// `-ECONNREFUSED`: what a client knows how to handle (libpq tries its next host).
const REFUSED: i32 = -111;
/// `BPF_SK_STORAGE_GET_F_CREATE`.
const CREATE: u64 = 1;

/// What a hook answers: 0 fails the call, 1 lets it go on.
const FAIL: i32 = 0;
/// See [`FAIL`].
const PASS: i32 = 1;

/// What is done with a connect.
enum Way {
    /// Nothing.
    Pass,
    /// It fails, and this is why.
    Refuse(Counter),
    /// It goes to this listener port (host order).
    Redirect(u32),
}

/// An IPv4 socket connects.
#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    // SAFETY: the kernel gives a valid context, and the verifier bounds every access to it.
    let sock_addr = unsafe { &mut *ctx.sock_addr };
    let asked = mapped(sock_addr.user_ip4);
    match judge(&ctx, Family::V4, asked) {
        Way::Pass => PASS,
        Way::Refuse(why) => refuse(why),
        Way::Redirect(port) => {
            sock_addr.user_ip4 = LOOPBACK_V4_WORD;
            sock_addr.user_port = u32::from((port as u16).to_be());
            PASS
        }
    }
}

/// An IPv6 socket connects, to a native or a v4-mapped address.
#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as in `connect4`.
    let sock_addr = unsafe { &mut *ctx.sock_addr };
    let asked = [
        sock_addr.user_ip6[0],
        sock_addr.user_ip6[1],
        sock_addr.user_ip6[2],
        sock_addr.user_ip6[3],
    ];
    let family = if is_mapped(asked) {
        Family::V4Mapped
    } else {
        Family::V6
    };
    match judge(&ctx, family, asked) {
        Way::Pass => PASS,
        Way::Refuse(why) => refuse(why),
        Way::Redirect(port) => {
            if is_mapped(asked) {
                // Stays mapped: ::1 would be another family on the wire.
                sock_addr.user_ip6[3] = LOOPBACK_V4_WORD;
            } else {
                sock_addr.user_ip6[0] = LOOPBACK_V6[0];
                sock_addr.user_ip6[1] = LOOPBACK_V6[1];
                sock_addr.user_ip6[2] = LOOPBACK_V6[2];
                sock_addr.user_ip6[3] = LOOPBACK_V6[3];
            }
            sock_addr.user_port = u32::from((port as u16).to_be());
            PASS
        }
    }
}

#[inline(always)]
fn refuse(why: Counter) -> i32 {
    count(why);
    // SAFETY: a helper with a plain argument.
    unsafe { bpf_set_retval(REFUSED) };
    FAIL
}

#[inline(always)]
fn judge(ctx: &SockAddrContext, family: Family, asked: Words) -> Way {
    // SAFETY: as in `connect4`.
    let sock_addr = unsafe { &*ctx.sock_addr };
    let is_tcp = sock_addr.type_ == STREAM && sock_addr.protocol == TCP;
    let port = u32::from(u16::from_be(sock_addr.user_port as u16));
    let destination = effective(asked);
    let switches = switches();
    if is_tcp
        && switches.is_listener_port(port)
        && is_listener(destination)
        && has_listeners(netns_cookie(ctx))
    {
        return Way::Refuse(Counter::RefusedOwnListener);
    }
    if !is_governed(port, destination) {
        count(Counter::Unselected);
        return Way::Pass;
    }
    if !is_enforced(switches) {
        return Way::Pass;
    }
    if !is_tcp {
        return Way::Refuse(Counter::RefusedProtocol);
    }
    redirect(ctx, switches, family, destination, port)
}

#[inline(always)]
fn redirect(
    ctx: &SockAddrContext,
    switches: Switches,
    family: Family,
    destination: Words,
    port: u32,
) -> Way {
    let netns_cookie = netns_cookie(ctx);
    if switches.workers() == 0 {
        return Way::Refuse(Counter::RefusedUnconfigured);
    }
    if !has_listeners(netns_cookie) {
        return Way::Refuse(Counter::RefusedNetns);
    }
    let Some(worker) = placement::pick(switches) else {
        return Way::Refuse(Counter::RefusedStale);
    };
    let listener_port = switches.base_port() + worker;
    let uid_gid = bpf_get_current_uid_gid();
    let pid_tgid = bpf_get_current_pid_tgid();
    let mut origin = Origin {
        destination,
        // SAFETY: helpers that take the program's own context or nothing.
        socket_cookie: unsafe { bpf_get_socket_cookie(ctx.as_ptr()) },
        // SAFETY: as above.
        connect_boottime_ns: unsafe { bpf_ktime_get_boot_ns() },
        // SAFETY: as above.
        cgroup_id: unsafe { bpf_get_current_cgroup_id() },
        netns_cookie,
        tgid: (pid_tgid >> 32) as u32,
        tid: pid_tgid as u32,
        uid: uid_gid as u32,
        gid: (uid_gid >> 32) as u32,
        destination_port: port as u16,
        listener_port: listener_port as u16,
        family: family as u32,
    };
    if !remember(ctx, &mut origin) {
        return Way::Refuse(Counter::RefusedStorage);
    }
    placement::assign(worker);
    count(Counter::Redirected);
    Way::Redirect(listener_port)
}

/// Stores the origin with the client's socket; a second connect on the same socket
/// overwrites what the first left.
#[inline(always)]
fn remember(ctx: &SockAddrContext, origin: &mut Origin) -> bool {
    // SAFETY: the map is a socket storage with values of this type; the kernel holds the
    // socket's lock during the hook, so nobody else writes the value.
    unsafe {
        let sk = (*ctx.sock_addr).__bindgen_anon_1.sk;
        let value = bpf_sk_storage_get(
            (&raw const CLIENTS).cast_mut().cast(),
            sk.cast(),
            core::ptr::from_mut(origin).cast(),
            CREATE,
        )
        .cast::<Origin>();
        if value.is_null() {
            return false;
        }
        *value = *origin;
    }
    true
}
