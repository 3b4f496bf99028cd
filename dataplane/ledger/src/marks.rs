//! The ledger's own note of how far it got: which records of each worker are in the tree,
//! and which segments must be there. Signed, so that a changed one is not believed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use weir_audit::log::{SigningKey, VerifierKey};
use weir_audit::{Position, RecordSeq, WorkerId};
use weir_facts::Digest;

const FIRST_LINE: &str = "weir-ledger-marks/v1";

/// How the ledger was when the marks were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Running: finding these marks at a start means an unclean end.
    Open,
    /// Ended cleanly: everything is in the tree.
    Clean,
}

/// Segments by ordinal that hold records of a worker, or will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segments {
    /// The first that is still needed.
    pub(crate) first: u64,
    /// The ordinal after the last that exists.
    pub(crate) end: u64,
}

/// One worker's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The last record in the tree.
    pub(crate) position: Position,
    /// Its segments.
    pub(crate) segments: Segments,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) epoch: u64,
    pub(crate) state: State,
    pub(crate) size: u64,
    pub(crate) root: Digest,
    pub(crate) workers: BTreeMap<WorkerId, Mark>,
}

impl Marks {
    /// The signed note.
    pub(crate) fn sign(&self, key: &SigningKey) -> String {
        let state = match self.state {
            State::Open => "open",
            State::Clean => "clean",
        };
        let mut text = format!(
            "{FIRST_LINE}\nepoch {}\nstate {state}\nsize {}\nroot {}\n",
            self.epoch, self.size, self.root
        );
        for (worker, mark) in &self.workers {
            let Mark { position, segments } = mark;
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "worker {worker} seq {} hash {} segments {} {}",
                position.seq, position.hash, segments.first, segments.end
            );
        }
        key.sign(&text)
    }

    /// Reads a signed note; `None` if it is malformed or not signed by the key.
    pub(crate) fn open(note: &[u8], key: &VerifierKey) -> Option<Self> {
        let mut lines = key.open(note).ok()?.strip_suffix('\n')?.split('\n');
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let epoch = lines.next()?.strip_prefix("epoch ")?.parse().ok()?;
        let state = match lines.next()? {
            "state open" => State::Open,
            "state clean" => State::Clean,
            _ => return None,
        };
        let size = lines.next()?.strip_prefix("size ")?.parse().ok()?;
        let root = digest(lines.next()?.strip_prefix("root ")?)?;
        let workers = lines.map(worker).collect::<Option<_>>()?;
        Some(Self {
            epoch,
            state,
            size,
            root,
            workers,
        })
    }
}

fn worker(line: &str) -> Option<(WorkerId, Mark)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [
        "worker",
        worker,
        "seq",
        seq,
        "hash",
        hash,
        "segments",
        first,
        end,
    ] = words.as_slice()
    else {
        return None;
    };
    let position = Position {
        seq: RecordSeq(seq.parse().ok()?),
        hash: digest(hash)?,
    };
    let segments = Segments {
        first: first.parse().ok()?,
        end: end.parse().ok()?,
    };
    Some((WorkerId(worker.parse().ok()?), Mark { position, segments }))
}

fn digest(text: &str) -> Option<Digest> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_read_back_and_a_flipped_byte_is_refused() {
        let key = SigningKey::new("log", &[1; 32]).expect("a name");
        let mark = Mark {
            position: Position {
                seq: RecordSeq(9),
                hash: Digest([7; 32]),
            },
            segments: Segments { first: 3, end: 6 },
        };
        let marks = Marks {
            epoch: 4,
            state: State::Open,
            size: 10,
            root: Digest([5; 32]),
            workers: [(WorkerId(0), mark), (WorkerId::LEDGER, mark)].into(),
        };
        let note = marks.sign(&key);
        assert_eq!(Marks::open(note.as_bytes(), &key.verifier()), Some(marks));
        for at in 0..note.len() {
            let mut flipped = note.clone().into_bytes();
            flipped[at] ^= 1;
            assert_eq!(Marks::open(&flipped, &key.verifier()), None, "byte {at}");
        }
    }
}
