//! The confined process that touches every hostile byte: rings, TLS, snapshots, control stream.
//!
//! What it never does: hold a capability, open a file or an address that its configuration or the
//! kernel's facts did not name, or let bytes pass that a flow did not release.
//!
//! Start with [`relay`], the loop; [`control`] does what is slow beside it, [`tls`] and [`stages`]
//! are their helpers, [`confine`] and [`heap`] are what the process does before all else.

pub mod confine;
pub mod control;
pub mod heap;
pub mod relay;
pub mod stages;
#[cfg(test)]
mod tests;
pub mod tls;
