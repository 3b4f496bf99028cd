//! Randomness for cores, drawn from the kernel in blocks: a nonce costs a copy, not a system call.

use zeroize::Zeroize;

const BLOCK_BYTES: usize = 512;

/// A block of kernel randomness; each byte is given out once and wiped.
pub(crate) struct Entropy {
    block: [u8; BLOCK_BYTES],
    used: usize,
}

impl Entropy {
    /// Draws its first block when first asked.
    pub(crate) const fn new() -> Self {
        Self {
            block: [0; BLOCK_BYTES],
            used: BLOCK_BYTES,
        }
    }

    /// Fills `target`.
    ///
    /// # Panics
    /// If the kernel gives no randomness, which it does not after boot.
    pub(crate) fn fill(&mut self, target: &mut [u8]) {
        for byte in target {
            if self.used == BLOCK_BYTES {
                getrandom::fill(&mut self.block)
                    .expect("getrandom cannot fail once the kernel is seeded");
                self.used = 0;
            }
            let next = &mut self.block[self.used];
            *byte = *next;
            *next = 0;
            self.used += 1;
        }
    }
}

impl Drop for Entropy {
    fn drop(&mut self) {
        self.block.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::Entropy;

    #[test]
    fn no_two_fills_agree_even_across_blocks() {
        let mut entropy = Entropy::new();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let mut nonce = [0u8; 24];
            entropy.fill(&mut nonce);
            assert!(seen.insert(nonce));
        }
    }
}
