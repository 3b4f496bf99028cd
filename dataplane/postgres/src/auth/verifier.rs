use std::fmt;
use std::str::FromStr;

use super::keys::{ClientKeys, Key, hash, hmac};
use super::scram::{decode, decode_key, encode};

/// Iterations of PostgreSQL's own verifiers, and of the challenge for a user that does not exist.
const ITERATIONS: u32 = 4_096;

/// What a server keeps of a password: enough to check a proof, not enough to make one. Written as
/// PostgreSQL writes it in `pg_authid.rolpassword`:
/// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    pub(super) stored_key: Key,
    pub(super) server_key: Key,
    /// It stands for a user that does not exist: no proof is accepted.
    pub(super) is_mock: bool,
}

/// A verifier that is not in PostgreSQL's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SCRAM-SHA-256 verifier")]
pub struct VerifierError;

impl Verifier {
    /// Makes a verifier of a password. `salt` is 16 random bytes; `iterations` at least 1.
    #[must_use]
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let keys = ClientKeys::derive(password, salt, iterations.max(1));
        Self {
            iterations: keys.iterations,
            salt: salt.to_vec(),
            stored_key: hash(&keys.client),
            server_key: keys.server,
            is_mock: false,
        }
    }

    /// The challenge for a user that does not exist: always the same one for a name, so that asking
    /// twice does not tell. `secret` is random and stays as long as the verifiers do.
    #[must_use]
    pub fn mock(user: &str, secret: &[u8; 32]) -> Self {
        let mut salt = hmac(secret, &[b"salt\0", user.as_bytes()]).to_vec();
        salt.truncate(16);
        Self {
            iterations: ITERATIONS,
            salt,
            stored_key: hmac(secret, &[b"stored\0", user.as_bytes()]),
            server_key: hmac(secret, &[b"server\0", user.as_bytes()]),
            is_mock: true,
        }
    }
}

impl FromStr for Verifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Self, VerifierError> {
        let parts = || {
            let (scheme, rest) = text.split_once('$')?;
            let (parameters, keys) = rest.split_once('$')?;
            let (iterations, salt) = parameters.split_once(':')?;
            let (stored, server) = keys.split_once(':')?;
            (scheme == super::SCRAM_SHA_256).then_some((iterations, salt, stored, server))
        };
        let (iterations, salt, stored, server) = parts().ok_or(VerifierError)?;
        let is_number =
            !iterations.is_empty() && iterations.bytes().all(|byte| byte.is_ascii_digit());
        let iterations = iterations
            .parse()
            .ok()
            .filter(|count| is_number && *count > 0)
            .ok_or(VerifierError)?;
        Ok(Self {
            iterations,
            salt: decode(salt)
                .ok()
                .filter(|salt| !salt.is_empty())
                .ok_or(VerifierError)?,
            stored_key: decode_key(stored).map_err(|_| VerifierError)?,
            server_key: decode_key(server).map_err(|_| VerifierError)?,
            is_mock: false,
        })
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            iterations,
            salt,
            stored_key,
            server_key,
            is_mock: _,
        } = self;
        let (salt, stored, server) = (encode(salt), encode(stored_key), encode(server_key));
        write!(
            f,
            "{}${iterations}:{salt}${stored}:{server}",
            super::SCRAM_SHA_256
        )
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}
