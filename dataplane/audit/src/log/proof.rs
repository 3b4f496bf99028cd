//! Inclusion and consistency proofs (RFC 6962 §2.1.1, §2.1.2): made from tiles, checked
//! from hashes alone (RFC 9162 §2.1.3.2, §2.1.4.2).

use weir_facts::Digest;

use super::Files;
use super::tile::Tile;
use super::tree::{ResumeError, empty_root, node_hash, read_hashes, subtree_root};
use crate::limits::TILE_WIDTH;

/// Why a proof could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index or the smaller size is not within the tree.
    #[error("{asked} is not within a tree of {size} leaves")]
    Outside {
        /// What was asked for.
        asked: u64,
        /// The tree's leaves.
        size: u64,
    },
    /// A tile is missing or malformed.
    #[error(transparent)]
    Tile(#[from] ResumeError),
}

/// The hashes of a tree of `size` leaves, out of its tiles. What they say is worth what the
/// root that they lead to is worth.
struct Hashes<'f> {
    files: &'f mut dyn Files,
    size: u64,
}

impl Hashes<'_> {
    /// The root over leaves `from` to `to`, where `from` is a multiple of the largest power of
    /// two that is not above their count.
    fn range(&mut self, from: u64, to: u64) -> Result<Digest, ProofError> {
        match to - from {
            0 => Ok(empty_root()),
            count if count.is_power_of_two() => self.perfect(from, count),
            count => {
                let middle = from + split(count);
                Ok(node_hash(
                    &self.range(from, middle)?,
                    &self.range(middle, to)?,
                ))
            }
        }
    }

    fn perfect(&mut self, from: u64, count: u64) -> Result<Digest, ProofError> {
        let height = count.ilog2();
        let (level, width) = (height / 8, 1usize << (height % 8));
        let first = from >> (8 * level);
        let (index, offset) = (
            first / TILE_WIDTH as u64,
            (first % TILE_WIDTH as u64) as usize,
        );
        let at_level = self.size >> (8 * level);
        let in_tile = at_level
            .saturating_sub(index * TILE_WIDTH as u64)
            .min(TILE_WIDTH as u64) as usize;
        // The height of a u64 is below 64, the level below 8.
        let tile = Tile {
            level: Some(level as u8),
            index,
            width: in_tile,
        };
        let hashes = read_hashes(tile, self.files)?;
        let outside = ProofError::Outside {
            asked: from,
            size: self.size,
        };
        hashes
            .get(offset..offset + width)
            .map(subtree_root)
            .ok_or(outside)
    }

    fn path(
        &mut self,
        index: u64,
        from: u64,
        to: u64,
        proof: &mut Vec<Digest>,
    ) -> Result<(), ProofError> {
        if to - from <= 1 {
            return Ok(());
        }
        let middle = from + split(to - from);
        if index < middle {
            self.path(index, from, middle, proof)?;
            proof.push(self.range(middle, to)?);
        } else {
            self.path(index, middle, to, proof)?;
            proof.push(self.range(from, middle)?);
        }
        Ok(())
    }

    fn subproof(
        &mut self,
        old: u64,
        from: u64,
        to: u64,
        known: Known,
        proof: &mut Vec<Digest>,
    ) -> Result<(), ProofError> {
        if old == to {
            if known == Known::No {
                proof.push(self.range(from, to)?);
            }
            return Ok(());
        }
        let middle = from + split(to - from);
        if old <= middle {
            self.subproof(old, from, middle, known, proof)?;
            proof.push(self.range(middle, to)?);
        } else {
            self.subproof(old, middle, to, Known::No, proof)?;
            proof.push(self.range(from, middle)?);
        }
        Ok(())
    }
}

/// Whether the verifier has the root of the part at hand: it is the whole old tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Yes,
    No,
}

/// The largest power of two below `count`, which is at least two.
const fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root of the first `size` leaves of a log that has at least `tiles_size` of them in its tiles.
///
/// # Errors
/// If the tree is smaller, or a tile is missing.
pub fn root(size: u64, tiles_size: u64, files: &mut dyn Files) -> Result<Digest, ProofError> {
    if size > tiles_size {
        return Err(ProofError::Outside {
            asked: size,
            size: tiles_size,
        });
    }
    Hashes {
        files,
        size: tiles_size,
    }
    .range(0, size)
}

/// Proof that leaf `index` is in the tree of `size` leaves.
///
/// # Errors
/// If it is not, or a tile is missing.
pub fn inclusion(index: u64, size: u64, files: &mut dyn Files) -> Result<Vec<Digest>, ProofError> {
    if index >= size {
        return Err(ProofError::Outside { asked: index, size });
    }
    let mut proof = Vec::new();
    Hashes { files, size }.path(index, 0, size, &mut proof)?;
    Ok(proof)
}

/// Proof that the tree of `old` leaves is the beginning of the tree of `size` leaves.
///
/// # Errors
/// If `old` is larger, or a tile is missing.
pub fn consistency(old: u64, size: u64, files: &mut dyn Files) -> Result<Vec<Digest>, ProofError> {
    if old > size {
        return Err(ProofError::Outside { asked: old, size });
    }
    let mut proof = Vec::new();
    if old > 0 && old < size {
        Hashes { files, size }.subproof(old, 0, size, Known::Yes, &mut proof)?;
    }
    Ok(proof)
}

/// Whether `proof` leads from the leaf's hash to the root (RFC 9162 §2.1.3.2).
#[must_use]
pub fn includes(leaf: &Digest, index: u64, size: u64, root: &Digest, proof: &[Digest]) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree of `old` leaves is the beginning of the tree of
/// `size` leaves (RFC 9162 §2.1.4.2).
#[must_use]
pub fn is_consistent(
    old: u64,
    old_root: &Digest,
    size: u64,
    root: &Digest,
    proof: &[Digest],
) -> bool {
    if old == size || old == 0 {
        let same = if old == size {
            old_root == root
        } else {
            *old_root == empty_root()
        };
        return same && proof.is_empty();
    }
    if old > size {
        return false;
    }
    let (first, rest) = if old.is_power_of_two() {
        (Some(old_root), proof)
    } else {
        (proof.first(), proof.get(1..).unwrap_or_default())
    };
    let Some(first) = first else { return false };
    let shift = (old - 1).trailing_ones();
    let (mut node, mut last) = ((old - 1) >> shift, (size - 1) >> shift);
    let (mut old_hash, mut hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && old_hash == *old_root && hash == *root
}
