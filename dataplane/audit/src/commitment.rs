use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use weir_facts::Digest;

/// The key under which a journal's epoch commits to operations. Random, made by the shell
/// and kept beside the segments: whoever holds it can check that given bytes are the ones
/// recorded; whoever does not learns nothing from the leaf, however few values were
/// possible. Destroying it erases what the commitments could tell and breaks no proof.
#[derive(Clone)]
pub struct CommitmentKey {
    keyed: Hmac<Sha256>,
    id: [u8; 8],
}

impl CommitmentKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        let keyed =
            Hmac::new_from_slice(secret).expect("HMAC takes keys of any length (RFC 2104 §3)");
        let named = Sha256::new()
            .chain_update(b"weir commitment key id\n")
            .chain_update(secret)
            .finalize();
        let mut id = [0; 8];
        id.iter_mut().zip(named).for_each(|(to, from)| *to = from);
        Self { keyed, id }
    }

    /// Names the key in leaves and in its file's name; tells nothing of the key.
    #[must_use]
    pub const fn id(&self) -> &[u8; 8] {
        &self.id
    }

    /// HMAC-SHA-256 (RFC 2104) of `bytes`.
    #[must_use]
    pub fn commit(&self, bytes: &[u8]) -> Digest {
        let mut open = self.open();
        open.update(bytes);
        open.finish()
    }

    /// A commitment to be fed in parts.
    pub(crate) fn open(&self) -> Commitment {
        Commitment(self.keyed.clone())
    }
}

impl fmt::Debug for CommitmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommitmentKey(..)")
    }
}

/// A commitment under way.
pub(crate) struct Commitment(Hmac<Sha256>);

impl Commitment {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commitment_is_hmac_sha_256_as_rfc_4231_has_it() {
        // Test case 1 of RFC 4231 uses a 20-byte key; padding it with zeros to 32 is the same key to HMAC.
        let mut secret = [0; 32];
        secret[..20].fill(0x0b);
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(
            CommitmentKey::new(&secret).commit(b"Hi There").to_string(),
            expected
        );
    }

    #[test]
    fn keys_commit_differently_and_do_not_print() {
        let (a, b) = (CommitmentKey::new(&[1; 32]), CommitmentKey::new(&[2; 32]));
        assert_ne!(a.commit(b"x"), b.commit(b"x"));
        assert_ne!(a.id(), b.id());
        assert_eq!(format!("{a:?}"), "CommitmentKey(..)");
    }
}
