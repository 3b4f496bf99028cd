//! The confined process that touches every hostile byte: rings, TLS, snapshots, control stream.
//!
//! What it never does: hold a capability, open a file or an address that its configuration or the
//! kernel's facts did not name, or let bytes pass that a flow did not release.
//!
//! Start with [`relay`], the loop; [`tls`] and [`stages`] are its helpers.

pub mod relay;
pub mod stages;
pub mod tls;
