//! The steps of opening a ledger, before its thread runs.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use weir_audit::log::{CHECKPOINT_PATH, Checkpoint, SigningKey, Tree, empty_root};
use weir_audit::{CommitmentKey, Journal, Kind, Position, Record, WorkerId};

use crate::files::{replace, write_log};
use crate::layout::Layout;
use crate::marks::{Mark, Marks, Segments, State};
use crate::recover::{self, Found};
use crate::sequence::{Leaves, clock};
use crate::{Gap, OpenError};

pub(crate) fn make_directories(layout: &Layout) -> Result<(), OpenError> {
    for path in [
        layout.root().to_owned(),
        layout.keys(),
        layout.segments(),
        layout.log(),
    ] {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(OpenError::system("mkdir", &path))?;
    }
    crate::files::sync_directory(layout.root())
}

/// Takes the ledger for this process; the lock goes with the file's last descriptor.
pub(crate) fn lock(layout: &Layout) -> Result<File, OpenError> {
    let path = layout.lock();
    let file = File::create(&path).map_err(OpenError::system("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(OpenError::Locked(path)),
        Err(fs::TryLockError::Error(error)) => Err(OpenError::system("flock", &path)(error)),
    }
}

/// Finds or makes the log, notes an unclean end, and makes all of it durable under this
/// start's epoch.
pub(crate) fn take_up(
    layout: &Layout,
    signing: &SigningKey,
    commitment: &CommitmentKey,
) -> Result<(Found, Option<Gap>), OpenError> {
    let Some(mut found) = recover::find(layout, signing)? else {
        let marks = Marks {
            epoch: 1,
            state: State::Open,
            size: 0,
            root: empty_root(),
            workers: BTreeMap::new(),
        };
        publish(layout, signing, &marks)?;
        let found = Found {
            tree: Tree::new(),
            marks,
            files: Vec::new(),
            obsolete: Vec::new(),
            records: 0,
            cut_bytes: 0,
        };
        return Ok((found, None));
    };
    let gap = (!found.was_clean()).then_some(Gap {
        records: found.records,
        cut_bytes: found.cut_bytes,
    });
    found.marks.epoch += 1;
    found.marks.state = State::Open;
    if let Some(gap) = gap {
        note_gap(&mut found, gap, commitment)?;
    }
    // The disk may be full: recovery writes into what was set aside for that.
    remove_if_there(&layout.reserve())?;
    let mut files = std::mem::take(&mut found.files);
    files.extend(found.tree.partials());
    write_log(&layout.log(), &files)?;
    found.marks.size = found.tree.size();
    found.marks.root = found.tree.root();
    publish(layout, signing, &found.marks)?;
    for path in &found.obsolete {
        fs::remove_file(path).map_err(OpenError::system("unlink", path))?;
    }
    Ok((found, gap))
}

fn remove_if_there(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(OpenError::system("unlink", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn note_gap(found: &mut Found, gap: Gap, commitment: &CommitmentKey) -> Result<(), OpenError> {
    let start = Mark {
        position: Position::START,
        segments: Segments { first: 0, end: 0 },
    };
    let mark = found.marks.workers.entry(WorkerId::LEDGER).or_insert(start);
    let mut journal = Journal::new(
        WorkerId::LEDGER,
        mark.position,
        commitment.clone(),
        Leaves::default(),
    );
    let reason = format!(
        "unclean end before start {}: {} records recovered, {} bytes of torn tails cut",
        found.marks.epoch, gap.records, gap.cut_bytes
    );
    let _receipt = journal
        .append(
            None,
            &Record {
                reason: &reason,
                ..Record::new(Kind::Gap, clock())
            },
        )
        .map_err(|_| OpenError::SequenceEnd(WorkerId::LEDGER))?;
    mark.position = journal.position();
    for leaf in journal.store_mut().take() {
        found
            .tree
            .append(&leaf, &mut found.files)
            .map_err(|error| OpenError::Thread(error.to_string()))?;
    }
    Ok(())
}

/// Writes marks, then the checkpoint that they tell of.
fn publish(layout: &Layout, signing: &SigningKey, marks: &Marks) -> Result<(), OpenError> {
    replace(&layout.marks(), marks.sign(signing).as_bytes())?;
    let origin = signing.verifier().name().to_owned();
    let checkpoint = Checkpoint {
        origin,
        size: marks.size,
        root: marks.root,
    };
    replace(
        &layout.log().join(CHECKPOINT_PATH),
        checkpoint.sign(signing).as_bytes(),
    )
}
