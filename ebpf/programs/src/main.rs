#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
//! What Weir does inside the kernel: connections from guarded cgroups to governed ports are
//! sent to Weir's listeners or refused, and the accepted socket learns who called.
//!
//! Attached once, at the root of the cgroup2 tree, because a socket's cgroup at its creation
//! decides which hooks it meets and a lower hook could be dodged. Every map and link is
//! pinned: these programs go on without user space, and without it they refuse.
//!
//! Nothing here fails open: what is guarded and selected and cannot be redirected, for
//! whatever reason, is refused and counted. `weir-ebpf-abi` has the types, and
//! [`connect`] is the place to start.

mod accept;
mod bind;
mod connect;
mod count;
mod datagram;
mod govern;
mod maps;
mod peer;
mod placement;

/// The kernel's licence check: helpers that Weir calls are open to GPL-compatible programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
