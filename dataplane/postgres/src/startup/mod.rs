//! Start-up: the packets without a type byte that come before everything else, what of a client's
//! parameters may pass, and the server's own start-up message.
//!
//! One connection is either a cancel request or begins one session, after at most one SSLRequest and
//! one GSSENCRequest. Bytes that come with such a request were sent before the answer was known, and
//! are refused (CVE-2021-23214).

mod build;
mod options;
mod packet;
mod parameter;

pub use build::{BuildError, PINNED, ServerStartup, encode_cancel, encode_ssl_request};
pub use packet::{Cancel, Packet, PacketReader, StartupMessage, Version};
pub use parameter::{Parameter, Setting};

use crate::refuse::SqlState;

/// Why a start-up is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartupError {
    /// Not a packet of this protocol: length or layout.
    #[error("invalid start-up packet")]
    Layout,
    /// Bytes behind a request that has to be answered first.
    #[error("received data behind an encryption or cancel request")]
    Premature,
    /// SSLRequest or GSSENCRequest a second time, or inside TLS.
    #[error("encryption was asked for twice")]
    AskedTwice,
    /// A protocol version other than 3.
    #[error("unsupported frontend protocol {0}.{1}")]
    Version(u16, u16),
    /// Text that is not UTF-8.
    #[error("start-up parameter is not UTF-8")]
    NotUtf8,
    /// The same parameter twice.
    #[error("start-up parameter \"{0}\" appears twice")]
    Duplicate(String),
    /// A parameter that no client may set.
    #[error("start-up parameter \"{0}\" is not allowed")]
    Parameter(String),
    /// A parameter with a value that is not taken.
    #[error("start-up parameter \"{0}\" has a value that is not allowed")]
    Value(String),
    /// No user.
    #[error("no user name in the start-up packet")]
    NoUser,
}

impl StartupError {
    /// The SQLSTATE of the FATAL that refuses it.
    #[must_use]
    pub const fn code(&self) -> SqlState {
        match self {
            Self::Layout | Self::Premature | Self::AskedTwice => SqlState::PROTOCOL_VIOLATION,
            Self::Version(..) => SqlState::FEATURE_NOT_SUPPORTED,
            Self::NotUtf8 => SqlState::NOT_UTF8,
            Self::Duplicate(_) | Self::Parameter(_) | Self::Value(_) => SqlState::INVALID_PARAMETER,
            Self::NoUser => SqlState::INVALID_AUTHORIZATION,
        }
    }
}

#[cfg(test)]
mod tests;
