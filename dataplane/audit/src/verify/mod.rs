//! Checks a log from its files alone: every hash from the entries up to the signature, each
//! worker's chain, that intents have outcomes, and that the log still is what others saw.
//!
//! Root with the signing key can sign another log. What stands against that are the
//! checkpoints that others stored: give them to [`verify`].

mod chains;
mod leaf;
mod report;

pub use leaf::{LeafError, LeafFacts, read_leaf};
pub use report::{Fault, FaultKind, Links, OpenIntent, Report, WorkerReport};

use crate::limits::{HASH_BYTES, TILE_WIDTH};
use crate::log::{
    CHECKPOINT_PATH, Checkpoint, File, Files, ResumeError, Tile, Tree, VerifierKey, read_bundle,
    read_file,
};
use chains::Chains;

/// Checks the log in `files` against the key of its origin, and against checkpoints that
/// the control plane or witnesses stored: name and signed note each, in any order.
#[must_use]
pub fn verify(files: &mut dyn Files, key: &VerifierKey, stored: &[(String, Vec<u8>)]) -> Report {
    let mut verifier = Verifier {
        files,
        tree: Tree::new(),
        chains: Chains::default(),
        report: Report::default(),
    };
    let result = verifier.run(key, stored);
    let Verifier {
        chains, mut report, ..
    } = verifier;
    chains.finish(&mut report);
    report.fault = result.err();
    report
}

struct Verifier<'f> {
    files: &'f mut dyn Files,
    tree: Tree,
    chains: Chains,
    report: Report,
}

/// A stored checkpoint, opened, by what the caller calls it.
struct Stored<'s> {
    name: &'s str,
    checkpoint: Checkpoint,
}

impl Verifier<'_> {
    fn run(&mut self, key: &VerifierKey, stored: &[(String, Vec<u8>)]) -> Result<(), Fault> {
        let checkpoint = self.checkpoint(key)?;
        let size = checkpoint.size;
        self.report.checkpoint = Some(checkpoint.clone());
        let stored = open_stored(key, stored, size)?;
        let mut stored = stored.iter().peekable();
        let bundles = size.div_ceil(TILE_WIDTH as u64);
        while let Some(empty) = stored.next_if(|stored| stored.checkpoint.size == 0) {
            self.compare(empty)?;
        }
        for index in 0..bundles {
            // The remainder is at most 256.
            let width = (size - index * TILE_WIDTH as u64).min(TILE_WIDTH as u64) as usize;
            let tile = Tile {
                level: None,
                index,
                width,
            };
            let (path, bundle) = read_file(tile, self.files).map_err(fault_of_read)?;
            let entries = read_bundle(&bundle, width)
                .map_err(|error| fault(None, &path, FaultKind::Bundle(error)))?;
            for entry in entries {
                self.entry(&path, entry)?;
                while let Some(same) =
                    stored.next_if(|stored| stored.checkpoint.size == self.tree.size())
                {
                    self.compare(same)?;
                }
            }
        }
        for file in self.tree.partials() {
            self.tile(&file)?;
        }
        if self.tree.root() != checkpoint.root {
            return Err(fault(None, CHECKPOINT_PATH, FaultKind::Root));
        }
        Ok(())
    }

    fn checkpoint(&mut self, key: &VerifierKey) -> Result<Checkpoint, Fault> {
        let wrong = |what| fault(None, CHECKPOINT_PATH, what);
        let note = self
            .files
            .read(CHECKPOINT_PATH)
            .map_err(|error| wrong(FaultKind::Read(error)))?;
        let note = note.ok_or_else(|| wrong(FaultKind::Missing))?;
        Checkpoint::open(&note, key).map_err(|error| wrong(error.into()))
    }

    /// Adds one entry to the tree; whatever becomes full by it must lie there as it should.
    fn entry(&mut self, path: &str, entry: &[u8]) -> Result<(), Fault> {
        let index = self.tree.size();
        let mut full = Vec::new();
        let added = self.tree.append(entry, &mut full);
        added.map_err(|_| fault(Some(index), path, FaultKind::Size))?;
        for file in &full {
            self.tile(file)?;
        }
        self.chains
            .take(index, entry, &mut self.report)
            .map_err(|what| fault(Some(index), path, what))?;
        self.report.leaves += 1;
        Ok(())
    }

    /// Compares a tile with the one in the files. Bundles are what the tree is made of.
    fn tile(&mut self, wanted: &File) -> Result<(), Fault> {
        let Some(level) = wanted.tile.level else {
            return Ok(());
        };
        let (path, found) = read_file(wanted.tile, self.files).map_err(fault_of_read)?;
        if found == wanted.bytes {
            return Ok(());
        }
        if found.len() != wanted.bytes.len() {
            return Err(fault(None, &path, FaultKind::Size));
        }
        let differing = found
            .iter()
            .zip(&wanted.bytes)
            .position(|(found, wanted)| found != wanted);
        let hash = (differing.unwrap_or(0) / HASH_BYTES) as u64;
        let index = (wanted.tile.index * TILE_WIDTH as u64 + hash) << (8 * u32::from(level));
        Err(fault(Some(index), &path, FaultKind::Tile))
    }

    fn compare(&mut self, stored: &Stored<'_>) -> Result<(), Fault> {
        if self.tree.root() != stored.checkpoint.root {
            return Err(fault(None, stored.name, FaultKind::Rewritten));
        }
        self.report.stored_consistent += 1;
        Ok(())
    }
}

/// Opens the stored checkpoints; smallest first.
fn open_stored<'s>(
    key: &VerifierKey,
    stored: &'s [(String, Vec<u8>)],
    size: u64,
) -> Result<Vec<Stored<'s>>, Fault> {
    let mut opened = Vec::with_capacity(stored.len());
    for (name, note) in stored {
        let checkpoint =
            Checkpoint::open(note, key).map_err(|error| fault(None, name, error.into()))?;
        if checkpoint.size > size {
            return Err(fault(
                None,
                name,
                FaultKind::Cut {
                    stored: checkpoint.size,
                    now: size,
                },
            ));
        }
        opened.push(Stored { name, checkpoint });
    }
    opened.sort_by_key(|stored| stored.checkpoint.size);
    Ok(opened)
}

fn fault(index: Option<u64>, file: &str, what: FaultKind) -> Fault {
    Fault {
        index,
        file: file.to_owned(),
        what,
    }
}

fn fault_of_read(error: ResumeError) -> Fault {
    match error {
        ResumeError::Read { path, error } => fault(None, &path, FaultKind::Read(error)),
        ResumeError::Missing(path) => fault(None, &path, FaultKind::Missing),
        ResumeError::TileSize(path) => fault(None, &path, FaultKind::Size),
        ResumeError::Bundle { path, error } => fault(None, &path, FaultKind::Bundle(error)),
        ResumeError::Entry { path, index } => fault(Some(index), &path, FaultKind::Tile),
        ResumeError::Root | ResumeError::Size(_) => fault(None, CHECKPOINT_PATH, FaultKind::Root),
    }
}
