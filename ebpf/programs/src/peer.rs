//! `getpeername4`, `getpeername6`: the client sees the address that it asked for.

use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use weir_ebpf_abi::Origin;
use weir_ebpf_abi::address::{Words, is_listener, mapped};

use crate::maps::CLIENTS;

/// The peer of an IPv4 socket.
#[cgroup_sock_addr(getpeername4)]
pub fn getpeername4(ctx: SockAddrContext) -> i32 {
    // SAFETY: the kernel gives a valid context, and the verifier bounds every access to it.
    let sock_addr = unsafe { &mut *ctx.sock_addr };
    if let Some(origin) = origin(&ctx, mapped(sock_addr.user_ip4)) {
        sock_addr.user_ip4 = origin.destination[3];
        sock_addr.user_port = u32::from(origin.destination_port.to_be());
    }
    1
}

/// The peer of an IPv6 socket.
#[cgroup_sock_addr(getpeername6)]
pub fn getpeername6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as in `getpeername4`.
    let sock_addr = unsafe { &mut *ctx.sock_addr };
    let actual = [
        sock_addr.user_ip6[0],
        sock_addr.user_ip6[1],
        sock_addr.user_ip6[2],
        sock_addr.user_ip6[3],
    ];
    if let Some(origin) = origin(&ctx, actual) {
        sock_addr.user_ip6[0] = origin.destination[0];
        sock_addr.user_ip6[1] = origin.destination[1];
        sock_addr.user_ip6[2] = origin.destination[2];
        sock_addr.user_ip6[3] = origin.destination[3];
        sock_addr.user_port = u32::from(origin.destination_port.to_be());
    }
    1
}

/// The origin of a socket whose actual peer is the listener that it was sent to. A socket
/// that was disconnected and connected elsewhere keeps its storage but has another peer.
#[inline(always)]
fn origin(ctx: &SockAddrContext, actual: Words) -> Option<&'static Origin> {
    // SAFETY: as in `getpeername4`.
    let port = u16::from_be(unsafe { (*ctx.sock_addr).user_port } as u16);
    // SAFETY: the map has values of this type, and the socket outlives the call.
    let origin = unsafe { CLIENTS.get_ptr_mut(ctx).as_ref() }?;
    (is_listener(actual) && port == origin.listener_port).then_some(origin)
}
