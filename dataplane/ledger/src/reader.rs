use std::path::{Path, PathBuf};

use weir_audit::limits::TILE_WIDTH;
use weir_audit::log::{
    BundleError, CHECKPOINT_PATH, Checkpoint, CheckpointError, Files, Tile, VerifierKey,
    read_bundle,
};

/// A log's directory as files: for proofs and for verification.
#[derive(Clone, Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// The directory that has `checkpoint` and `tile` in it.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Why leaves could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// Below the log's directory.
        path: String,
        /// What the system said.
        error: String,
    },
    /// The file is missing.
    #[error("{0} is missing")]
    Missing(String),
    /// The checkpoint is not believed.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A bundle is not one.
    #[error("{path}: {error}")]
    Bundle {
        /// Below the log's directory.
        path: String,
        /// What is wrong.
        error: BundleError,
    },
}

/// Reads leaves that a checkpoint covers, for shipping them. It may be used from any
/// process, while the ledger writes.
#[derive(Clone, Debug)]
pub struct Reader {
    files: Directory,
    key: VerifierKey,
}

/// Leaves in the log's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaves {
    /// Index of the first.
    pub first: u64,
    /// The leaves; empty if the checkpoint covers none from there on.
    pub leaves: Vec<Vec<u8>>,
    /// The checkpoint that covers them.
    pub checkpoint: Checkpoint,
    /// That checkpoint as a signed note.
    pub note: Vec<u8>,
}

impl Reader {
    /// Reads the log in `directory`, whose checkpoints `key` signs.
    #[must_use]
    pub fn new(directory: &Path, key: VerifierKey) -> Self {
        Self {
            files: Directory::new(directory),
            key,
        }
    }

    /// The current checkpoint and its signed note.
    ///
    /// # Errors
    /// If it is missing or not signed by the key.
    pub fn checkpoint(&mut self) -> Result<(Checkpoint, Vec<u8>), ReadError> {
        let note = self
            .file(CHECKPOINT_PATH)?
            .ok_or_else(|| ReadError::Missing(CHECKPOINT_PATH.into()))?;
        Ok((Checkpoint::open(&note, &self.key)?, note))
    }

    /// Leaves from index `first` on: those of one bundle, at most 256. Ask again after the last.
    ///
    /// # Errors
    /// If a file is missing or malformed.
    pub fn leaves(&mut self, first: u64) -> Result<Leaves, ReadError> {
        let (checkpoint, note) = self.checkpoint()?;
        let mut leaves = Vec::new();
        if first < checkpoint.size {
            let index = first / TILE_WIDTH as u64;
            let start = index * TILE_WIDTH as u64;
            // Both are at most 256.
            let width = (checkpoint.size - start).min(TILE_WIDTH as u64) as usize;
            let skip = (first - start) as usize;
            leaves = self.bundle(
                Tile {
                    level: None,
                    index,
                    width,
                },
                skip,
            )?;
        }
        Ok(Leaves {
            first,
            leaves,
            checkpoint,
            note,
        })
    }

    fn bundle(&mut self, tile: Tile, skip: usize) -> Result<Vec<Vec<u8>>, ReadError> {
        let mut path = tile.path();
        let mut found = self.file(&path)?;
        if found.is_none() && tile.is_partial() {
            // The partial one went when the full one came.
            path = tile.full().path();
            found = self.file(&path)?;
        }
        let bundle = found.ok_or_else(|| ReadError::Missing(path.clone()))?;
        let bundle = tile
            .beginning(bundle)
            .ok_or_else(|| ReadError::Missing(path.clone()))?;
        let entries =
            read_bundle(&bundle, tile.width).map_err(|error| ReadError::Bundle { path, error })?;
        Ok(entries.into_iter().skip(skip).map(<[u8]>::to_vec).collect())
    }

    fn file(&mut self, path: &str) -> Result<Option<Vec<u8>>, ReadError> {
        self.files.read(path).map_err(|error| ReadError::Read {
            path: path.to_owned(),
            error,
        })
    }
}
