use sha2::{Digest as _, Sha256};
use weir_facts::Digest;

use crate::RecordSeq;

/// RFC 6962 §2.1: the hash of a leaf. The chain of a worker links these, so that a link is
/// a hash of the tree, too.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Digest {
    Digest(
        Sha256::new()
            .chain_update([0])
            .chain_update(leaf)
            .finalize()
            .into(),
    )
}

/// Where a worker's sequence stands: the last record and the hash of its leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last record's place; 0 before the first.
    pub seq: RecordSeq,
    /// The last leaf's hash; zeros before the first.
    pub hash: Digest,
}

impl Position {
    /// Before the first record.
    pub const START: Self = Self {
        seq: RecordSeq(0),
        hash: Digest([0; 32]),
    };
}
