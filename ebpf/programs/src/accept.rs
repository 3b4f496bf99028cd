//! `sock_ops`: the origin travels from the client's socket to the accepted one.
//!
//! ```text
//! client                                server
//! connect4/6: CLIENTS[sk] = origin
//! SYN         ─────────────────────────▶
//!             ◀───────────────────────── SYN-ACK
//! ACTIVE_ESTABLISHED:
//!   HANDOVERS[tuple] = origin, sequences
//! ACK         ─────────────────────────▶ PASSIVE_ESTABLISHED:
//!                                          ACCEPTED[sk] = HANDOVERS[tuple] if the sequences agree
//!                                        accept() returns
//! CLOSE: HANDOVERS[tuple] removed if it is still this socket's
//! ```
//!
//! The client's ACK leaves only after ACTIVE_ESTABLISHED has run, so the record is there
//! first. (A server-side TCP Fast Open would turn the order around; then nothing is found.)
//! An accepted socket without a record is reset by the proxy; it never guesses.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{
    BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_STATE_CB,
    BPF_SOCK_OPS_STATE_CB_FLAG, bpf_sock,
};
use aya_ebpf::helpers::generated::{
    bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_sk_storage_get,
};
use aya_ebpf::macros::sock_ops;
use aya_ebpf::programs::SockOpsContext;
use weir_ebpf_abi::address::{Words, is_listener, is_mapped, mapped};
use weir_ebpf_abi::{Counter, Handover, HandoverKey, Origin};

use crate::count::count;
use crate::govern::switches;
use crate::maps::{ACCEPTED, CLIENTS, HANDOVERS};

/// `AF_INET`.
const INET: u32 = 2;
/// `BPF_TCP_CLOSE`.
const CLOSE: u32 = 7;
/// `BPF_SK_STORAGE_GET_F_CREATE`.
const CREATE: u64 = 1;

/// Reads a field of the context exactly once and in place. LLVM otherwise merges the IPv4
/// and the IPv6 branch into one load from a computed offset, which the verifier rejects
/// ("dereference of modified ctx ptr").
macro_rules! field {
    ($place:expr) => {
        // SAFETY: a field of the context that the kernel gave; the verifier bounds the access.
        unsafe { core::ptr::read_volatile(&raw const $place) }
    };
}

/// Both ends of a socket.
struct Ends {
    local: Words,
    local_port: u32,
    remote: Words,
    remote_port: u32,
}

/// A socket changed its state.
#[sock_ops]
pub fn sock_ops(ctx: SockOpsContext) -> u32 {
    let op = field!((*ctx.ops).op);
    if op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB {
        client_established(&ctx);
    } else if op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB {
        server_established(&ctx);
    } else if op == BPF_SOCK_OPS_STATE_CB && ctx.arg(1) == CLOSE {
        client_closed(&ctx);
    }
    1
}

#[inline(always)]
fn client_established(ctx: &SockOpsContext) {
    let ends = ends(ctx);
    if !switches().is_listener_port(ends.remote_port) || !is_listener(ends.remote) {
        return;
    }
    let Some(origin) = client_origin(ctx) else {
        return;
    };
    if u32::from(origin.listener_port) != ends.remote_port {
        return;
    }
    let handover = Handover {
        origin: *origin,
        client_sequence: field!((*ctx.ops).snd_una),
        server_sequence: field!((*ctx.ops).rcv_nxt),
    };
    if HANDOVERS
        .insert(
            &key(ctx, ends.local, ends.local_port, ends.remote_port),
            &handover,
            0,
        )
        .is_err()
    {
        count(Counter::HandoverFull);
        return;
    }
    // Keep what other programs asked for.
    let flags = field!((*ctx.ops).bpf_sock_ops_cb_flags) | BPF_SOCK_OPS_STATE_CB_FLAG;
    let _ = ctx.set_cb_flags(flags as i32);
    count(Counter::Established);
}

#[inline(always)]
fn server_established(ctx: &SockOpsContext) {
    let ends = ends(ctx);
    if !switches().is_listener_port(ends.local_port) || !is_listener(ends.local) {
        return;
    }
    let key = key(ctx, ends.remote, ends.remote_port, ends.local_port);
    let client_sequence = field!((*ctx.ops).rcv_nxt);
    let server_sequence = field!((*ctx.ops).snd_nxt);
    let Some(sk) = socket(ctx) else { return };
    let Some(handover) = HANDOVERS.get_ptr_mut(&key) else {
        count(Counter::HandoverMissing);
        return;
    };
    // SAFETY: the verifier has seen the null check; only this handshake's two ends use the key.
    let outcome = unsafe {
        if (*handover).client_sequence != client_sequence
            || (*handover).server_sequence != server_sequence
        {
            Counter::HandoverForeign
        } else if bpf_sk_storage_get(
            (&raw const ACCEPTED).cast_mut().cast(),
            sk.cast(),
            (&raw mut (*handover).origin).cast(),
            CREATE,
        )
        .is_null()
        {
            Counter::HandoverMissing
        } else {
            Counter::Accepted
        }
    };
    let _ = HANDOVERS.remove(&key);
    count(outcome);
}

/// Removes what the server's end has not taken, if it is still this socket's.
#[inline(always)]
fn client_closed(ctx: &SockOpsContext) {
    let Some(origin) = client_origin(ctx) else {
        return;
    };
    let ends = ends(ctx);
    let key = key(
        ctx,
        ends.local,
        ends.local_port,
        u32::from(origin.listener_port),
    );
    // SAFETY: a helper that takes the program's own context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    if let Some(handover) = HANDOVERS.get_ptr(&key) {
        // SAFETY: the verifier has seen the null check.
        if unsafe { (*handover).origin.socket_cookie } == cookie {
            let _ = HANDOVERS.remove(&key);
        }
    }
}

#[inline(always)]
fn socket(ctx: &SockOpsContext) -> Option<*mut bpf_sock> {
    // SAFETY: a field of the context that the kernel gave.
    let sk = unsafe { (*ctx.ops).__bindgen_anon_2.sk };
    (!sk.is_null()).then_some(sk)
}

#[inline(always)]
fn client_origin(ctx: &SockOpsContext) -> Option<&'static Origin> {
    let sk = socket(ctx)?;
    // SAFETY: the map has values of this type, and the socket outlives the call.
    unsafe {
        bpf_sk_storage_get(
            (&raw const CLIENTS).cast_mut().cast(),
            sk.cast(),
            core::ptr::null_mut(),
            0,
        )
        .cast::<Origin>()
        .as_ref()
    }
}

#[inline(always)]
fn key(ctx: &SockOpsContext, client: Words, client_port: u32, listener_port: u32) -> HandoverKey {
    HandoverKey {
        // SAFETY: a helper that takes the program's own context.
        netns_cookie: unsafe { bpf_get_netns_cookie(ctx.as_ptr()) },
        client,
        client_port,
        listener_port,
    }
}

#[inline(always)]
fn ends(ctx: &SockOpsContext) -> Ends {
    let o = ctx.ops;
    let (local_v4, remote_v4) = (field!((*o).local_ip4), field!((*o).remote_ip4));
    let local_v6 = [
        field!((*o).local_ip6[0]),
        field!((*o).local_ip6[1]),
        field!((*o).local_ip6[2]),
        field!((*o).local_ip6[3]),
    ];
    let remote_v6 = [
        field!((*o).remote_ip6[0]),
        field!((*o).remote_ip6[1]),
        field!((*o).remote_ip6[2]),
        field!((*o).remote_ip6[3]),
    ];
    // The remote port is in network order in the upper half of its word.
    let (local_port, remote_port) = (
        field!((*o).local_port),
        u32::from_be(field!((*o).remote_port)) & 0xffff,
    );
    // A mapped client and its accepted IPv4 socket must agree, so both use the IPv4 fields.
    if field!((*o).family) == INET || is_mapped(remote_v6) {
        Ends {
            local: mapped(local_v4),
            local_port,
            remote: mapped(remote_v4),
            remote_port,
        }
    } else {
        Ends {
            local: local_v6,
            local_port,
            remote: remote_v6,
            remote_port,
        }
    }
}
