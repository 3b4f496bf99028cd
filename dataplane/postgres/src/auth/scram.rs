//! The grammar of SCRAM messages (RFC 5802 §7), as far as PostgreSQL speaks it: no authorization
//! identity, no extensions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::AuthError;
use crate::limits;

/// What the client says of channel binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    /// `n`: it has none.
    None,
    /// `y`: it has, and believes that the server has not.
    Unused,
    /// `p=tls-server-end-point`.
    ServerEndPoint,
}

impl Flag {
    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::None => "n,,",
            Self::Unused => "y,,",
            Self::ServerEndPoint => "p=tls-server-end-point,,",
        }
    }
}

pub(super) fn encode(data: &[u8]) -> String {
    STANDARD.encode(data)
}

pub(super) fn decode(text: &str) -> Result<Vec<u8>, AuthError> {
    STANDARD.decode(text).map_err(|_| AuthError::Malformed)
}

pub(super) fn decode_key(text: &str) -> Result<[u8; 32], AuthError> {
    decode(text)?.try_into().map_err(|_| AuthError::Malformed)
}

pub(super) fn text(data: &[u8]) -> Result<&str, AuthError> {
    if data.len() > limits::SCRAM_MESSAGE_BYTES_MAX {
        return Err(AuthError::Malformed);
    }
    std::str::from_utf8(data).map_err(|_| AuthError::Malformed)
}

/// Takes `name=value` from the front, up to the comma that the next attribute stands behind.
pub(super) fn attribute<'a>(rest: &mut &'a str, name: &str) -> Result<&'a str, AuthError> {
    let (first, others) = rest.split_once(',').unwrap_or((rest, ""));
    let value = first
        .strip_prefix(name)
        .and_then(|value| value.strip_prefix('='))
        .ok_or(AuthError::Malformed)?;
    *rest = others;
    Ok(value)
}

/// Splits the client's first message into its flag and the bare message.
pub(super) fn split_flag(message: &str) -> Result<(Flag, &str), AuthError> {
    for flag in [Flag::None, Flag::Unused, Flag::ServerEndPoint] {
        if let Some(bare) = message.strip_prefix(flag.header()) {
            return Ok((flag, bare));
        }
    }
    Err(AuthError::Malformed)
}

/// A nonce is printable ASCII without a comma.
pub(super) fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty()
        && nonce
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b',')
}
