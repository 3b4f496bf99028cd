//! The user-space side of the redirect: loads the eBPF programs, attaches them, pins them,
//! replaces them without a gap, and reads what they know of a flow.
//!
//! It never reads a byte of a connection, decides nothing about callers, and leaves the
//! hooks in place when it is dropped: pinned links go on without user space and refuse.
//! Only [`detach`] opens the way, and that is an explicit act.
//!
//! [`Redirect`] is for the privileged process. [`FlowStore`] and [`LoadBoard`] need no
//! privilege, only a descriptor that the privileged process passed on. Start with
//! [`Redirect::install`].

mod bpffs;
mod cgroup;
mod counters;
mod error;
mod flow;
mod hook;
mod install;
mod load;
mod netns;
mod object;
mod pins;
mod selector;
mod status;
mod sys;
mod tables;

pub use bpffs::mount_bpffs;
pub use cgroup::{Cgroup, cgroup_root};
pub use counters::Counters;
pub use error::Error;
pub use flow::{Caller, FlowOrigin, FlowStore};
pub use hook::Hook;
pub use install::{Place, Redirect, detach};
pub use load::{LoadBoard, LoadCell};
pub use netns::netns_cookie;
pub use object::OBJECT_SHA256;
pub use selector::{Selector, SelectorError};
pub use status::{Attached, HookStatus};
pub use tables::{Glass, GuardMode, Listeners};
pub use weir_ebpf_abi::{Counter, Family, GuardAll, SelectorKind, Standing};
