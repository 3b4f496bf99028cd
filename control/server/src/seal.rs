//! Secrets in the store are sealed: a copy of the database alone opens nothing.
//!
//! ChaCha20-Poly1305 (RFC 8439) with a random nonce; what the secret is for is
//! authenticated with it, so that a sealed value cannot be moved to another row.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// A value that does not open: another key sealed it, or for another place, or it was changed.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value of {0} does not open with this sealing key")]
pub(crate) struct SealError(pub(crate) String);

/// Seals and opens.
pub(crate) struct Sealer(LessSafeKey);

impl Sealer {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key)
            .expect("the key has the 32 bytes of the algorithm");
        Self(LessSafeKey::new(key))
    }

    /// nonce ‖ ciphertext ‖ tag. `place` names the row.
    pub(crate) fn seal(&self, place: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let failed = || SealError(place.to_owned());
        let mut nonce = [0u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| failed())?;
        let mut sealed = secret.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| failed())?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// What [`Sealer::seal`] sealed for the same place.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let failed = || SealError(place.to_owned());
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(failed)?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .0
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut bytes)
            .map_err(|_| failed())?
            .len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_with_its_key_and_in_its_place() {
        let sealer = Sealer::new(&[1; 32]);
        let sealed = sealer.seal("credential/a/b", b"pw").expect("seals");
        assert_eq!(
            sealer
                .open("credential/a/b", &sealed)
                .expect("opens")
                .as_slice(),
            b"pw"
        );
        assert!(
            sealer.open("credential/a/c", &sealed).is_err(),
            "moved to another row"
        );
        assert!(
            Sealer::new(&[2; 32])
                .open("credential/a/b", &sealed)
                .is_err(),
            "other key"
        );
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(
                sealer.open("credential/a/b", &flipped).is_err(),
                "byte {at}"
            );
        }
        assert!(
            sealer.open("credential/a/b", &sealed[..11]).is_err(),
            "shorter than a nonce"
        );
    }
}
