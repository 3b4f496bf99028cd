//! What the privileged process (the warden) and the confined one (the proxy) say to each
//! other, over one `SOCK_SEQPACKET` pair, with descriptors.
//!
//! Only facts and descriptors cross: never a client's bytes. Each side sends one kind of
//! message and receives the other, so a [`WardenEnd`] cannot say what only a proxy may. The
//! warden trusts nothing that it receives: sizes are bounded, guards come as signed bytes,
//! and a proxy that says nonsense is ended.
//!
//! Start with [`ToProxy`] and [`ToWarden`], then [`Equipment`], what a proxy starts with.
//! [`stdio`] is the other conversation of the warden's, with `weir mcp run`.

mod channel;
mod equipment;
pub mod limits;
mod message;
pub mod stdio;
mod sys;

pub use channel::{Channel, HandoverError, ProxyEnd, WardenEnd, inherit, pair};
pub use equipment::{Equipment, EquipmentError, Listening};
pub use message::{
    Attest, CanaryReport, CanaryState, Control, CounterReport, GuardReport, GuardState, Handed,
    HealthReport, HookReport, ListenerRole, ProcessFacts, ProgramFacts, ProxyReport, Redirected,
    Serving, ToProxy, ToWarden, Welcome, WorkloadFacts,
};
pub use sys::{adopt, send as send_packet};
