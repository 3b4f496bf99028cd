use std::fmt;

use zeroize::Zeroize;

/// Keys `hash` and `digits`: equal values of one connection mask equally, and nobody
/// without the key can try candidates. Wiped when dropped.
#[derive(Clone)]
pub struct MaskKey([u8; 32]);

impl MaskKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
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
