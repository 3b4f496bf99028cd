//! Authentication of both sides, without I/O: what to say next, given what was said.
//!
//! Towards the client Weir is a SCRAM-SHA-256 server that holds a [`Verifier`], never a password.
//! Towards the server it is a client that holds the credential (RFC 5802, RFC 7677; channel binding
//! `tls-server-end-point`, RFC 5929). A client may also show a bearer token (RFC 7628), which is
//! judged elsewhere. Random bytes are arguments.

mod client;
mod keys;
mod oauthbearer;
mod password;
mod scram;
mod server;
mod verifier;

pub use client::{AwaitFinal, Binding, ScramClient};
pub use keys::ClientKeys;
pub use oauthbearer::{Bearer, DUMMY_RESPONSE, OAUTHBEARER, bearer, failure};
pub use password::md5_response;
pub use server::{AwaitProof, Proven, ScramServer};
pub use verifier::{Verifier, VerifierError};

/// The mechanism without channel binding.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";

/// The mechanism with channel binding.
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Why an authentication fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The peer's message is not what the mechanism says (08P01).
    #[error("malformed authentication message")]
    Malformed,
    /// A mechanism that was not offered, or none that we speak is.
    #[error("no common mechanism")]
    Mechanism,
    /// The client believes that we offered no channel binding, but we did: somebody in between
    /// struck it out; or it binds to another channel.
    #[error("channel binding does not agree")]
    Binding,
    /// Wrong password, or unknown user. The two are not told apart.
    #[error("wrong password")]
    Rejected,
    /// The nonce is not an answer to ours.
    #[error("nonce does not begin with ours")]
    Nonce,
    /// Too few or too many iterations.
    #[error("server asks for {0} iterations")]
    Iterations(u32),
    /// The server does not know the password either: its signature is wrong.
    #[error("the server's signature is wrong")]
    ServerSignature,
    /// The server's own refusal.
    #[error("the server refuses")]
    Refused,
}

#[cfg(test)]
mod tests;
