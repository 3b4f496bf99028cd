#![no_std]
#![forbid(unsafe_code)]
//! What user space and the eBPF programs say to each other: keys and values of every map.
//!
//! Each type is `repr(C)` without padding and has its size and offsets asserted at compile
//! time, because both sides are built by different compilers and a pinned map outlives
//! them. Whoever changes any of it raises [`ABI_VERSION`]; user space refuses to take over
//! pins of another version.
//!
//! Nothing here does anything: no pointers, no system calls, no `std`. Start with
//! [`Origin`], what the kernel knows of a redirected connection, and [`Config`], what it is
//! told.

pub mod address;
mod config;
mod counter;
mod handover;
pub mod limits;
mod load;
mod origin;
mod selector;
mod standing;
mod wire;

pub use config::{Config, GuardAll, Switches};
pub use counter::Counter;
pub use handover::{Handover, HandoverKey};
pub use load::Load;
pub use origin::{Family, Origin, words_of};
pub use selector::{SELECTOR_PREFIX_BITS, SelectorKey, SelectorKind};
pub use standing::Standing;

/// Version of everything in this crate and of the maps' names, types and sizes.
pub const ABI_VERSION: u64 = 1;
