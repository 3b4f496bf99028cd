//! What happens to a ledger's directory before its first record: everything that was kept
//! and is not in the tree yet goes into the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use weir_audit::frame::{Scanner, Tail, judge_tail};
use weir_audit::log::{self, Checkpoint, SigningKey, Tree, VerifierKey, proof};
use weir_audit::{Position, WorkerId};

use crate::layout::Layout;
use crate::limits::{MARKS_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES};
use crate::marks::{Mark, Marks, Segments, State};
use crate::segment::{Header, durable_mark};
use crate::{Directory, OpenError};

/// The log as it was found, with all that had been kept.
pub(crate) struct Found {
    pub(crate) tree: Tree,
    pub(crate) marks: Marks,
    /// Full tiles and bundles that the recovered records made; not written yet.
    pub(crate) files: Vec<log::File>,
    /// Segments whose records are all in the tree now.
    pub(crate) obsolete: Vec<PathBuf>,
    pub(crate) records: u64,
    pub(crate) cut_bytes: u64,
}

/// Reads the marks, and takes up the tree that they tell of. `None` in an empty directory.
pub(crate) fn find(layout: &Layout, key: &SigningKey) -> Result<Option<Found>, OpenError> {
    let verifier = key.verifier();
    let Some(marks) = read_marks(layout, &verifier)? else {
        return if is_virgin(layout)? {
            Ok(None)
        } else {
            Err(OpenError::tampered(&layout.marks(), 0, "it is missing"))
        };
    };
    let mut directory = Directory::new(&layout.log());
    check_checkpoint(layout, &marks, &verifier, &mut directory)?;
    let tree =
        Tree::resume(marks.size, &marks.root, &mut directory).map_err(|error| OpenError::Log {
            directory: layout.log(),
            error,
        })?;
    let mut found = Found {
        tree,
        marks,
        files: Vec::new(),
        obsolete: Vec::new(),
        records: 0,
        cut_bytes: 0,
    };
    found.recover(layout)?;
    Ok(Some(found))
}

fn read_marks(layout: &Layout, key: &VerifierKey) -> Result<Option<Marks>, OpenError> {
    let path = layout.marks();
    let bytes = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::system("stat", &path)(error)),
    };
    let malformed = || {
        OpenError::tampered(
            &path,
            0,
            "it is malformed or not signed by this ledger's key",
        )
    };
    if bytes > MARKS_BYTES_MAX {
        return Err(malformed());
    }
    let note = fs::read(&path).map_err(OpenError::system("read", &path))?;
    Marks::open(&note, key).map(Some).ok_or_else(malformed)
}

/// Whether nothing was ever kept here.
fn is_virgin(layout: &Layout) -> Result<bool, OpenError> {
    let log_is_there =
        layout.log().join(log::CHECKPOINT_PATH).exists() || layout.log().join("tile").exists();
    Ok(!log_is_there && segments(layout)?.is_empty())
}

/// The checkpoint that others see is the marks' own or, where the process died between the
/// two, an earlier one of the same log.
fn check_checkpoint(
    layout: &Layout,
    marks: &Marks,
    key: &VerifierKey,
    directory: &mut Directory,
) -> Result<(), OpenError> {
    let path = layout.log().join(log::CHECKPOINT_PATH);
    let wrong = |what: String| OpenError::tampered(&path, 0, what);
    let note = match fs::read(&path) {
        Ok(note) => note,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && marks.size == 0 => {
            return Ok(());
        }
        Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
    };
    let checkpoint = Checkpoint::open(&note, key).map_err(|error| wrong(error.to_string()))?;
    if checkpoint.size > marks.size {
        return Err(wrong(format!(
            "it has {} leaves, the marks have {}",
            checkpoint.size, marks.size
        )));
    }
    let root = proof::root(checkpoint.size, marks.size, directory)
        .map_err(|error| wrong(error.to_string()))?;
    if root == checkpoint.root {
        Ok(())
    } else {
        Err(wrong("its root is not that of the tiles".into()))
    }
}

/// The segments that lie there, by worker and ordinal.
fn segments(layout: &Layout) -> Result<BTreeMap<WorkerId, BTreeMap<u64, PathBuf>>, OpenError> {
    let directory = layout.segments();
    let mut found: BTreeMap<WorkerId, BTreeMap<u64, PathBuf>> = BTreeMap::new();
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(OpenError::system("readdir", &directory)(error)),
    };
    for entry in entries {
        let path = entry
            .map_err(OpenError::system("readdir", &directory))?
            .path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if let Some((worker, ordinal)) = Layout::parse_segment(name) {
            found.entry(worker).or_default().insert(ordinal, path);
        } else if name.ends_with(".new") {
            // A segment that was being prepared: it never held a record.
            fs::remove_file(&path).map_err(OpenError::system("unlink", &path))?;
        } else {
            return Err(OpenError::tampered(&path, 0, "no segment is called that"));
        }
    }
    Ok(found)
}

impl Found {
    fn recover(&mut self, layout: &Layout) -> Result<(), OpenError> {
        let mut found = segments(layout)?;
        let known: BTreeSet<WorkerId> = self
            .marks
            .workers
            .keys()
            .chain(found.keys())
            .copied()
            .collect();
        for worker in known {
            let files = found.remove(&worker).unwrap_or_default();
            let none = Segments { first: 0, end: 0 };
            let start = Mark {
                position: Position::START,
                segments: none,
            };
            let mark = self.marks.workers.get(&worker).copied().unwrap_or(start);
            check_ordinals(layout, worker, mark.segments, &files)?;
            let mut lane = LaneScan {
                worker,
                mark: mark.position,
                position: None,
                torn: None,
            };
            for path in files.values() {
                self.segment(path, &mut lane)?;
                self.obsolete.push(path.clone());
            }
            let position = lane
                .position
                .filter(|position| position.seq >= mark.position.seq)
                .unwrap_or(mark.position);
            let end = files
                .last_key_value()
                .map_or(mark.segments.end, |(last, _)| {
                    mark.segments.end.max(last + 1)
                });
            self.marks.workers.insert(
                worker,
                Mark {
                    position,
                    segments: Segments { first: end, end },
                },
            );
        }
        Ok(())
    }

    /// Adds a segment's records that are not in the tree yet.
    fn segment(&mut self, path: &Path, lane: &mut LaneScan) -> Result<(), OpenError> {
        let bytes = read_segment(path)?;
        let header = Header::read(&bytes).filter(|header| header.worker == lane.worker);
        let header = header.filter(|header| header.bytes as usize == bytes.len());
        let durable = durable_mark(&bytes).filter(|_| header.is_some());
        let durable =
            durable.ok_or_else(|| OpenError::tampered(path, 0, "its header is damaged"))?;
        let frames = bytes.get(SEGMENT_HEADER_BYTES..).unwrap_or_default();
        let durable = durable - SEGMENT_HEADER_BYTES;
        if let Some(torn) = &lane.torn {
            return self.after_torn(path, frames, durable, torn);
        }
        let mut scanner = Scanner::new(frames, lane.worker, lane.position);
        let error = loop {
            let at = scanner.offset();
            match scanner.read() {
                Ok(Some((frame, hash))) => {
                    let position = Position {
                        seq: frame.seq,
                        hash,
                    };
                    self.record(path, at, frame.leaf, position, lane)?;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        lane.position = scanner.position();
        let at = scanner.offset();
        match judge_tail(frames, at, durable, error) {
            Tail::Clean => Ok(()),
            Tail::Torn(cut) => {
                self.cut_bytes += cut as u64;
                tracing::warn!(segment = %path.display(), offset = at + SEGMENT_HEADER_BYTES, cut, "cut a torn tail");
                lane.torn = Some(path.to_owned());
                Ok(())
            }
            Tail::Tampered(error) => Err(OpenError::tampered(
                path,
                at + SEGMENT_HEADER_BYTES,
                error.to_string(),
            )),
        }
    }

    fn record(
        &mut self,
        path: &Path,
        at: usize,
        leaf: &[u8],
        position: Position,
        lane: &mut LaneScan,
    ) -> Result<(), OpenError> {
        let tampered = |what: &str| OpenError::tampered(path, at + SEGMENT_HEADER_BYTES, what);
        let first = lane.position.is_none();
        lane.position = Some(position);
        if position.seq < lane.mark.seq {
            return Ok(());
        }
        if position.seq == lane.mark.seq {
            let same = position.hash == lane.mark.hash;
            return if same {
                Ok(())
            } else {
                Err(tampered("it is not the record that is in the tree"))
            };
        }
        if first {
            lane.check_first(leaf, position)
                .ok_or_else(|| tampered("records before it are missing"))?;
        }
        self.tree
            .append_hashed(leaf, position.hash, &mut self.files)
            .map_err(|error| tampered(&error.to_string()))?;
        self.records += 1;
        Ok(())
    }

    /// After a torn tail a later segment can hold only what was never synced.
    fn after_torn(
        &mut self,
        path: &Path,
        frames: &[u8],
        durable: usize,
        torn: &Path,
    ) -> Result<(), OpenError> {
        if durable > 0 {
            let what = format!(
                "it has durable records, but {} before it ends torn",
                torn.display()
            );
            return Err(OpenError::tampered(path, SEGMENT_HEADER_BYTES, what));
        }
        self.cut_bytes += frames
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last as u64 + 1);
        Ok(())
    }

    /// How the tree was left: whether the end was a clean one.
    pub(crate) fn was_clean(&self) -> bool {
        self.marks.state == State::Clean && self.records == 0 && self.cut_bytes == 0
    }
}

/// Where the scan of one worker's segments stands.
struct LaneScan {
    worker: WorkerId,
    mark: Position,
    position: Option<Position>,
    torn: Option<PathBuf>,
}

impl LaneScan {
    /// The first record found that is not in the tree must be the one after the mark.
    fn check_first(&self, leaf: &[u8], position: Position) -> Option<()> {
        let facts = weir_audit::verify::read_leaf(leaf).ok()?;
        let next = self.mark.seq.0.checked_add(1)?;
        (position.seq.0 == next && facts.prev == self.mark.hash).then_some(())
    }
}

/// Segments that the marks tell of must be there; none may be missing between two that are.
fn check_ordinals(
    layout: &Layout,
    worker: WorkerId,
    marked: Segments,
    files: &BTreeMap<u64, PathBuf>,
) -> Result<(), OpenError> {
    let end = files
        .last_key_value()
        .map_or(marked.end, |(last, _)| marked.end.max(last + 1));
    for ordinal in marked.first..end {
        if !files.contains_key(&ordinal) {
            return Err(OpenError::tampered(
                &layout.segment(worker, ordinal),
                0,
                "it is missing",
            ));
        }
    }
    Ok(())
}

fn read_segment(path: &Path) -> Result<Vec<u8>, OpenError> {
    let bytes = fs::metadata(path)
        .map_err(OpenError::system("stat", path))?
        .len();
    if bytes > u64::from(SEGMENT_BYTES_MAX) {
        return Err(OpenError::tampered(path, 0, "no segment is that large"));
    }
    fs::read(path).map_err(OpenError::system("read", path))
}
