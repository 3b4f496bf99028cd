use sha2::{Digest as _, Sha256};
use weir_facts::Digest;

use super::Files;
use super::tile::{BundleError, Tile, read_bundle};
use crate::chain::leaf_hash;
use crate::limits::{HASH_BYTES, LEAF_BYTES_MAX, TILE_LEVELS_MAX, TILE_WIDTH};

/// RFC 6962 §2.1: the root of no leaves.
#[must_use]
pub fn empty_root() -> Digest {
    Digest(Sha256::digest([]).into())
}

/// RFC 6962 §2.1: the hash of an inner node.
pub(crate) fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest(
        Sha256::new()
            .chain_update([1])
            .chain_update(left.0)
            .chain_update(right.0)
            .finalize()
            .into(),
    )
}

/// The root over one to 256 hashes of one level.
pub(crate) fn subtree_root(hashes: &[Digest]) -> Digest {
    match hashes {
        [] => empty_root(),
        [only] => *only,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            node_hash(&subtree_root(left), &subtree_root(right))
        }
    }
}

/// A file of the log that is to be written, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Which tile or bundle.
    pub tile: Tile,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Why an entry was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// An entry's length is a `uint16`.
    #[error("an entry of {0} bytes is too long for a bundle")]
    EntryLength(usize),
    /// No level is left for the tree to grow.
    #[error("the tree is full")]
    Full,
}

/// Why a tree could not be taken up again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// The file could not be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// What the reader said.
        error: String,
    },
    /// The file is missing.
    #[error("{0} is missing")]
    Missing(String),
    /// The file's size is not that of its hashes.
    #[error("{0} has a wrong size")]
    TileSize(String),
    /// The bundle's entries are not its tile's hashes.
    #[error("{path}: entry {index} does not have the hash of its tile")]
    Entry {
        /// The bundle.
        path: String,
        /// The leaf's index in the log.
        index: u64,
    },
    /// The bundle cannot be read.
    #[error("{path}: {error}")]
    Bundle {
        /// The bundle.
        path: String,
        /// What is wrong with it.
        error: BundleError,
    },
    /// The tiles do not have the root that was signed.
    #[error("the tiles at the right edge do not have the root that was signed")]
    Root,
    /// No tree is that large.
    #[error("{0} leaves are more than a log can have")]
    Size(u64),
}

/// The right edge of one level.
#[derive(Clone, Debug, Default)]
struct Level {
    full_tiles: u64,
    hashes: Vec<Digest>,
}

/// A growing tree: holds the right edge only, at most 255 hashes a level.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    levels: Vec<Level>,
    bundle: Vec<u8>,
    size: u64,
}

impl Tree {
    /// The tree of no leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up a tree of `size` leaves whose root was `root`, from its tiles.
    ///
    /// # Errors
    /// If the tiles at the right edge do not have that root, or the last bundle is not theirs.
    pub fn resume(size: u64, root: &Digest, files: &mut dyn Files) -> Result<Self, ResumeError> {
        let mut tree = Self {
            size,
            ..Self::default()
        };
        let mut below = size;
        while below > 0 {
            let level = u8::try_from(tree.levels.len())
                .ok()
                .filter(|level| *level < TILE_LEVELS_MAX);
            let level = level.ok_or(ResumeError::Size(size))?;
            let (index, width) = (
                below / TILE_WIDTH as u64,
                (below % TILE_WIDTH as u64) as usize,
            );
            let hashes = if width == 0 {
                Vec::new()
            } else {
                read_hashes(
                    Tile {
                        level: Some(level),
                        index,
                        width,
                    },
                    files,
                )?
            };
            tree.levels.push(Level {
                full_tiles: index,
                hashes,
            });
            below = index;
        }
        if tree.root() != *root {
            return Err(ResumeError::Root);
        }
        tree.resume_bundle(files)?;
        Ok(tree)
    }

    fn resume_bundle(&mut self, files: &mut dyn Files) -> Result<(), ResumeError> {
        let Some(edge) = self.levels.first().filter(|level| !level.hashes.is_empty()) else {
            return Ok(());
        };
        let tile = Tile {
            level: None,
            index: edge.full_tiles,
            width: edge.hashes.len(),
        };
        let (path, bundle) = read_file(tile, files)?;
        let entries = read_bundle(&bundle, tile.width).map_err(|error| ResumeError::Bundle {
            path: path.clone(),
            error,
        })?;
        let differing = entries
            .iter()
            .zip(&edge.hashes)
            .position(|(entry, hash)| leaf_hash(entry) != *hash);
        if let Some(at) = differing {
            let index = edge.full_tiles * TILE_WIDTH as u64 + at as u64;
            return Err(ResumeError::Entry { path, index });
        }
        self.bundle = bundle;
        Ok(())
    }

    /// Leaves in it.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds an entry; appends to `files` what became full by it. Returns the entry's index.
    ///
    /// # Errors
    /// If the entry cannot be one; then nothing changed.
    pub fn append(&mut self, entry: &[u8], files: &mut Vec<File>) -> Result<u64, TreeError> {
        self.append_hashed(entry, leaf_hash(entry), files)
    }

    /// The same where the entry's hash is known: `leaf` is [`leaf_hash`] of `entry`, which is the
    /// caller's promise.
    ///
    /// # Errors
    /// As [`Tree::append`].
    pub fn append_hashed(
        &mut self,
        entry: &[u8],
        leaf: Digest,
        files: &mut Vec<File>,
    ) -> Result<u64, TreeError> {
        let too_long = TreeError::EntryLength(entry.len());
        if entry.len() > LEAF_BYTES_MAX {
            return Err(too_long);
        }
        let length = u16::try_from(entry.len()).map_err(|_| too_long)?;
        let size = self.size.checked_add(1).ok_or(TreeError::Full)?;
        if size >> (8 * u32::from(TILE_LEVELS_MAX)) != 0 {
            return Err(TreeError::Full);
        }
        self.bundle.extend_from_slice(&length.to_be_bytes());
        self.bundle.extend_from_slice(entry);
        self.size = size;
        self.grow(leaf, files);
        Ok(size - 1)
    }

    fn grow(&mut self, leaf: Digest, files: &mut Vec<File>) {
        let mut hash = leaf;
        for number in 0..TILE_LEVELS_MAX {
            let at = usize::from(number);
            if self.levels.len() == at {
                self.levels.push(Level::default());
            }
            let Some(level) = self.levels.get_mut(at) else {
                return;
            };
            level.hashes.push(hash);
            if level.hashes.len() < TILE_WIDTH {
                return;
            }
            let index = level.full_tiles;
            if number == 0 {
                let tile = Tile {
                    level: None,
                    index,
                    width: TILE_WIDTH,
                };
                // The next one will be about as large.
                let next = Vec::with_capacity(self.bundle.len());
                files.push(File {
                    tile,
                    bytes: std::mem::replace(&mut self.bundle, next),
                });
            }
            let tile = Tile {
                level: Some(number),
                index,
                width: TILE_WIDTH,
            };
            files.push(File {
                tile,
                bytes: tile_bytes(&level.hashes),
            });
            hash = subtree_root(&level.hashes);
            level.hashes.clear();
            level.full_tiles += 1;
        }
    }

    /// The partial tiles and the partial bundle at the right edge: what a checkpoint of this
    /// size needs beside the full ones.
    #[must_use]
    pub fn partials(&self) -> Vec<File> {
        let mut files = Vec::with_capacity(self.levels.len() + 1);
        for (number, level) in (0u8..)
            .zip(&self.levels)
            .filter(|(_, level)| !level.hashes.is_empty())
        {
            let tile = Tile {
                level: Some(number),
                index: level.full_tiles,
                width: level.hashes.len(),
            };
            if number == 0 {
                files.push(File {
                    tile: Tile {
                        level: None,
                        ..tile
                    },
                    bytes: self.bundle.clone(),
                });
            }
            files.push(File {
                tile,
                bytes: tile_bytes(&level.hashes),
            });
        }
        files
    }

    /// The root over all leaves (RFC 6962 §2.1).
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut root = None;
        for level in &self.levels {
            for perfect in perfect_parts(&level.hashes).into_iter().rev() {
                root = Some(root.map_or(perfect, |right| node_hash(&perfect, &right)));
            }
        }
        root.unwrap_or_else(empty_root)
    }
}

/// The roots of the perfect subtrees that `hashes` falls into, largest first.
fn perfect_parts(hashes: &[Digest]) -> Vec<Digest> {
    let mut parts = Vec::new();
    let mut rest = hashes;
    while !rest.is_empty() {
        let width = 1 << rest.len().ilog2();
        let (part, after) = rest.split_at(width);
        parts.push(subtree_root(part));
        rest = after;
    }
    parts
}

fn tile_bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Reads a tile or bundle, by its path and, where that is a partial one and gone, as the
/// beginning of the full one in its place (C2SP tlog-tiles §Partial tiles).
pub(crate) fn read_file(
    tile: Tile,
    files: &mut dyn Files,
) -> Result<(String, Vec<u8>), ResumeError> {
    let path = tile.path();
    if let Some(bytes) = read_path(&path, files)? {
        return Ok((path, bytes));
    }
    if !tile.is_partial() {
        return Err(ResumeError::Missing(path));
    }
    let full_path = tile.full().path();
    let Some(full) = read_path(&full_path, files)? else {
        return Err(ResumeError::Missing(path));
    };
    let beginning = tile
        .beginning(full)
        .ok_or_else(|| ResumeError::TileSize(full_path.clone()))?;
    Ok((full_path, beginning))
}

fn read_path(path: &str, files: &mut dyn Files) -> Result<Option<Vec<u8>>, ResumeError> {
    files.read(path).map_err(|error| ResumeError::Read {
        path: path.to_owned(),
        error,
    })
}

/// The hashes of a tile, as many as its width says.
pub(crate) fn read_hashes(tile: Tile, files: &mut dyn Files) -> Result<Vec<Digest>, ResumeError> {
    let (path, bytes) = read_file(tile, files)?;
    if bytes.len() != tile.width * HASH_BYTES {
        return Err(ResumeError::TileSize(path));
    }
    let (hashes, _) = bytes.as_chunks::<HASH_BYTES>();
    Ok(hashes.iter().map(|hash| Digest(*hash)).collect())
}
