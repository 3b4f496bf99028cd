//! `bind4`, `bind6`: Weir's ports belong to Weir even while it is down. Whoever could bind a
//! freed listener port would receive the next client and its password.

use aya_ebpf::helpers::generated::bpf_set_retval;
use aya_ebpf::macros::cgroup_sock_addr;
use aya_ebpf::programs::SockAddrContext;
use weir_ebpf_abi::{Counter, Standing};

use crate::count::count;
use crate::govern::{has_listeners, netns_cookie, standing, switches};
use crate::maps::PORTS;

/// `-EACCES`, as for a privileged port.
const NOT_ALLOWED: i32 = -13;

/// An IPv4 socket binds.
#[cgroup_sock_addr(bind4)]
pub fn bind4(ctx: SockAddrContext) -> i32 {
    judge(&ctx)
}

/// An IPv6 socket binds.
#[cgroup_sock_addr(bind6)]
pub fn bind6(ctx: SockAddrContext) -> i32 {
    judge(&ctx)
}

/// Any protocol and any address: a wildcard bind would catch loopback as well.
#[inline(always)]
fn judge(ctx: &SockAddrContext) -> i32 {
    // SAFETY: the kernel gives a valid context, and the verifier bounds every access to it.
    let port = u32::from(u16::from_be(unsafe { (*ctx.sock_addr).user_port } as u16));
    if port == 0 || !(switches().is_listener_port(port) || PORTS.get_ptr(&port).is_some()) {
        return 1;
    }
    // A port of the same number in a namespace without Weir's listeners is another port.
    if !has_listeners(netns_cookie(ctx)) || standing().has(Standing::WEIR) {
        return 1;
    }
    count(Counter::RefusedBind);
    // SAFETY: a helper with a plain argument.
    unsafe { bpf_set_retval(NOT_ALLOWED) };
    0
}
