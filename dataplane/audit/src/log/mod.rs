//! The Merkle tree over all leaves, in formats that we did not invent: C2SP tlog-tiles
//! (tiles and entry bundles as files), tlog-checkpoint and signed-note.
//!
//! [`Tree`] grows and says which files to write; [`Checkpoint`] is what gets signed;
//! [`proof`] proves that a leaf is in a tree and that one tree is a beginning of another.

mod checkpoint;
mod note;
pub mod proof;
mod tile;
mod tree;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use note::{NoteError, SigningKey, VerifierKey, VerifierKeyError};
pub use tile::{BundleError, Tile, read_bundle};
pub(crate) use tree::read_file;
pub use tree::{File, ResumeError, Tree, TreeError, empty_root};

/// The path of the checkpoint below the log's directory (C2SP tlog-tiles).
pub const CHECKPOINT_PATH: &str = "checkpoint";

/// The files of a log, by the paths that C2SP tlog-tiles gives them.
pub trait Files {
    /// The whole content; `None` if there is no such file.
    ///
    /// # Errors
    /// Whatever kept the file from being read, in words for the operator.
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, String>;
}

impl<F: FnMut(&str) -> Result<Option<Vec<u8>>, String>> Files for F {
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        self(path)
    }
}
