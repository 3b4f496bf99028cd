//! Commitments made lately: clients send the same statements again and again.

use std::fmt;

use weir_facts::Digest;

use crate::CommitmentKey;

/// Commitments kept: those of a worker's busiest statements.
const SLOTS: usize = 256;

/// Longer texts are committed to each time: they are rarely sent twice, and 256 of these are
/// 128 KiB.
const BYTES_MAX: usize = 512;

/// What one key committed to lately. A commitment costs three to five compressions of
/// SHA-256, to find it costs a comparison.
pub(crate) struct Recall(Box<[Slot]>);

#[derive(Clone)]
struct Slot {
    bytes: Vec<u8>,
    commitment: Digest,
}

impl Recall {
    pub(crate) fn new() -> Self {
        let empty = Slot {
            bytes: Vec::new(),
            commitment: Digest([0; 32]),
        };
        Self(vec![empty; SLOTS].into())
    }

    /// `key`'s commitment to `bytes`. Always to be asked with the same key.
    pub(crate) fn commit(&mut self, key: &CommitmentKey, bytes: &[u8]) -> Digest {
        let slot = self.0.get_mut(crc32c::crc32c(bytes) as usize % SLOTS);
        let Some(slot) = slot.filter(|_| (1..=BYTES_MAX).contains(&bytes.len())) else {
            return key.commit(bytes);
        };
        if slot.bytes != bytes {
            slot.commitment = key.commit(bytes);
            slot.bytes.clear();
            slot.bytes.extend_from_slice(bytes);
        }
        slot.commitment
    }
}

impl fmt::Debug for Recall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recall(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recalled_is_what_would_be_made_anew() {
        let key = CommitmentKey::new(&[7; 32]);
        let mut recall = Recall::new();
        // More texts than slots, short and long ones, each of them again and again.
        for round in 0..3 {
            for at in 0..2 * SLOTS {
                let text = format!("{at}").repeat(at % 7 * 40);
                assert_eq!(
                    recall.commit(&key, text.as_bytes()),
                    key.commit(text.as_bytes()),
                    "{round}: {at}"
                );
            }
        }
        assert_eq!(format!("{recall:?}"), "Recall(..)");
    }
}
