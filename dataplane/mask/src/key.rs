use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

/// Keys `hash` and `digits`: equal values of one connection mask equally, and nobody
/// without the key can try candidates. Wiped when dropped.
#[derive(Clone)]
pub struct MaskKey([u8; 32]);

/// What a keyed value is for, so that one use tells nothing about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Hash,
    Digits,
}

impl MaskKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// HMAC-SHA-256 (RFC 2104) of purpose, block number and value.
    fn block(&self, purpose: Purpose, number: u32, value: &[u8]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(match purpose {
            Purpose::Hash => b"weir mask hash\0",
            Purpose::Digits => b"weir mask digits\0",
        });
        mac.update(&number.to_be_bytes());
        mac.update(value);
        mac.finalize().into_bytes().into()
    }

    /// 128 bits that equal values share.
    pub(crate) fn hash(&self, value: &[u8]) -> [u8; 16] {
        let block = self.block(Purpose::Hash, 0, value);
        *block.first_chunk().expect("a block is longer")
    }

    /// Endless decimal digits, 0 to 9, that equal values share.
    pub(crate) fn digits<'a>(&'a self, value: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
        // 250 is the largest multiple of ten that a byte can be below: no digit is likelier.
        (0..=u32::MAX)
            .flat_map(move |number| self.block(Purpose::Digits, number, value))
            .filter(|byte| *byte < 250)
            .map(|byte| byte % 10)
    }
}

impl Drop for MaskKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey(…)")
    }
}
