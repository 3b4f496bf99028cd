//! The string by which a node joins: where the control plane is, who the node is, and
//! which keys to trust. It is made by `weir node add` and given to the data plane out
//! of band, so nothing is trusted on first use.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

const PREFIX: &str = "weir-join-1.";

/// Longest join string read, in bytes: a certificate and a few short fields.
const JOIN_BYTES_MAX: usize = 16 << 10;

/// What a node needs to know to join.
#[derive(Clone, PartialEq, Eq)]
pub struct Join {
    /// The control plane's gRPC address: `http://127.0.0.1:7401` or `https://…`.
    pub url: String,
    /// The node's registered name.
    pub node: String,
    /// The node's secret.
    pub token: String,
    /// The key that signs updates.
    pub control_key: VerifyingKey,
    /// The certificate authority of the control plane's TLS, PEM; `None` on loopback without TLS.
    pub ca_pem: Option<String>,
}

/// A join string that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JoinError {
    /// It is not one, or was cut short.
    #[error("not a join string (they start with {PREFIX:?})")]
    Malformed,
    /// The key in it is no Ed25519 public key.
    #[error("the control plane's key in the join string is not an Ed25519 public key")]
    Key,
}

// The wire twin: short names keep the string short.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    url: String,
    node: String,
    token: String,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
}

impl Join {
    /// Reads a join string; surrounding white space is ignored.
    ///
    /// # Errors
    /// [`JoinError`] if it was not written by [`Join::encode`].
    pub fn parse(text: &str) -> Result<Self, JoinError> {
        let body = text
            .trim()
            .strip_prefix(PREFIX)
            .ok_or(JoinError::Malformed)?;
        if body.len() > JOIN_BYTES_MAX {
            return Err(JoinError::Malformed);
        }
        let json = URL_SAFE_NO_PAD
            .decode(body)
            .map_err(|_| JoinError::Malformed)?;
        let wire: Wire = serde_json::from_slice(&json).map_err(|_| JoinError::Malformed)?;
        let control_key = key_parse(&wire.key).ok_or(JoinError::Key)?;
        Ok(Self {
            url: wire.url,
            node: wire.node,
            token: wire.token,
            control_key,
            ca_pem: wire.ca,
        })
    }

    /// Writes it. Contains the node's secret.
    #[must_use]
    pub fn encode(&self) -> String {
        let wire = Wire {
            url: self.url.clone(),
            node: self.node.clone(),
            token: self.token.clone(),
            key: key_encode(&self.control_key),
            ca: self.ca_pem.clone(),
        };
        let json = serde_json::to_vec(&wire).expect("a struct of strings always serializes");
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

// Not derived: the token stays out of logs.
impl std::fmt::Debug for Join {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join")
            .field("url", &self.url)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// A control plane's public key as text: base64url of its 32 bytes.
#[must_use]
pub fn key_encode(key: &VerifyingKey) -> String {
    URL_SAFE_NO_PAD.encode(key.as_bytes())
}

/// Reads what [`key_encode`] writes; `None` if it is no point of the curve or a weak one.
#[must_use]
pub fn key_parse(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes)
        .ok()
        .filter(|key| !key.is_weak())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join() -> Join {
        Join {
            url: "http://127.0.0.1:1".into(),
            node: "a".into(),
            token: "secret-token".into(),
            control_key: ed25519_dalek::SigningKey::from_bytes(&[3; 32]).verifying_key(),
            ca_pem: None,
        }
    }

    #[test]
    fn a_join_string_reads_back() {
        let text = join().encode();
        assert_eq!(Join::parse(&format!(" {text}\n")).expect("parses"), join());
    }

    #[test]
    fn a_cut_or_foreign_string_is_refused() {
        let text = join().encode();
        let cut = text.get(..text.len() - 9).expect("longer than nine");
        for wrong in [
            "",
            "weir-join-1.",
            "weir-join-2.e30",
            "weir-join-1.e30",
            cut,
        ] {
            assert_eq!(Join::parse(wrong).expect_err(wrong), JoinError::Malformed);
        }
    }

    #[test]
    fn a_weak_key_is_refused() {
        assert!(key_parse(&URL_SAFE_NO_PAD.encode([0u8; 32])).is_none());
    }

    #[test]
    fn the_secret_stays_out_of_debug_output() {
        assert!(!format!("{:?}", join()).contains("secret-token"));
    }
}
