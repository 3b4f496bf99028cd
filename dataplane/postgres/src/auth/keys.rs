use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub(super) type Key = [u8; 32];

pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104 §3)");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

pub(super) fn hash(data: &[u8]) -> Key {
    Sha256::digest(data).into()
}

/// What a password becomes with a salt and a number of iterations. Deriving it is what costs; a
/// caller that logs in often keeps it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ClientKeys {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
    pub(super) client: Key,
    pub(super) server: Key,
}

impl std::fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientKeys")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl ClientKeys {
    /// Derives the keys (RFC 5802 §3). The password goes through SASLprep; one that SASLprep refuses
    /// is taken as it is, as PostgreSQL does.
    #[must_use]
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let prepared = Zeroizing::new(
            stringprep::saslprep(password).map_or_else(|_| password.to_owned(), Into::into),
        );
        let salted = Zeroizing::new(pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(
            prepared.as_bytes(),
            salt,
            iterations,
        ));
        Self {
            salt: salt.to_vec(),
            iterations,
            client: hmac(salted.as_slice(), &[b"Client Key"]),
            server: hmac(salted.as_slice(), &[b"Server Key"]),
        }
    }

    pub(super) fn fit(&self, salt: &[u8], iterations: u32) -> bool {
        self.iterations == iterations && self.salt == salt
    }
}
