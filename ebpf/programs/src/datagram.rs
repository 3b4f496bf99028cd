//! `sendmsg4`, `sendmsg6`: datagrams to governed ports fail, so that QUIC clients fall back
//! to TCP. (Connected datagram sockets are refused by the connect hooks.)

use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use weir_ebpf_abi::Counter;
use weir_ebpf_abi::address::{Words, effective, mapped};

use crate::count::count;
use crate::govern::{is_enforced, is_governed, switches};

/// An unconnected IPv4 datagram, or one to an IPv4 address from an IPv6 socket.
#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    // SAFETY: the kernel gives a valid context, and the verifier bounds every access to it.
    let sock_addr = unsafe { &*ctx.sock_addr };
    judge(mapped(sock_addr.user_ip4), sock_addr.user_port)
}

/// An unconnected IPv6 datagram.
#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as in `sendmsg4`.
    let sock_addr = unsafe { &*ctx.sock_addr };
    let asked = [
        sock_addr.user_ip6[0],
        sock_addr.user_ip6[1],
        sock_addr.user_ip6[2],
        sock_addr.user_ip6[3],
    ];
    judge(asked, sock_addr.user_port)
}

/// 0 fails the call with EPERM, 1 lets it go on.
#[inline(always)]
fn judge(asked: Words, user_port: u32) -> i32 {
    let port = u32::from(u16::from_be(user_port as u16));
    if !is_governed(port, effective(asked)) || !is_enforced(switches()) {
        return 1;
    }
    count(Counter::RefusedProtocol);
    0
}
