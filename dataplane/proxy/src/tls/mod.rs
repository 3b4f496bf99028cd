//! TLS of both sides of a flow, as state machines that never touch a socket.
//!
//! - [`HostCa`] is made once per host and signs the [`Acceptor`]'s leaf.
//! - [`Acceptor`] answers clients, [`Connector`] speaks to one registered server.
//! - [`Session`] is one link's TLS: ciphertext in, plaintext out, and the reverse.
//!
//! What it never does: fall back to plaintext, resume sessions (each handshake verifies), or
//! verify less than the connection's mode says.

mod acceptor;
mod binding;
mod ca;
mod connector;
mod names;
mod roots;
mod session;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use acceptor::{Acceptor, AcceptorSource, Speaks};
pub(crate) use binding::server_end_point;
pub use ca::{CaError, HostCa, Leaf};
pub use connector::{Connector, ConnectorError, Verify};
pub use roots::trust_host;
pub use session::{Alpn, Fed, Session};

/// The one provider of cryptography: ring. Explicit everywhere, so that no feature of another
/// dependency can add a second one and make the choice ambiguous.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Makes ring the process's default too, for clients (gRPC, catalogue) that ask for it.
/// Call once at start; later calls change nothing.
pub fn install_provider() {
    // An error says that one is installed already, which can only be this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
