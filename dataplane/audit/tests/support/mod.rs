//! A log in memory, written the way the ledger writes one.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;

use weir_audit::frame::{HEADER_BYTES, Scanner};
use weir_audit::log::{Checkpoint, File, SigningKey, Tree, VerifierKey};
use weir_audit::{CommitmentKey, Journal, Kind, Memory, Position, Record, WorkerId};
use weir_facts::{Digest, FlowId, Now, OperationRef, OperationSeq};

pub(crate) const ORIGIN: &str = "gw.example/audit";

pub(crate) fn now(unix_us: u64) -> Now {
    Now {
        mono_ns: 0,
        unix_us,
    }
}

pub(crate) fn operation(flow: u64, seq: u32) -> OperationRef {
    OperationRef {
        flow: FlowId(flow),
        seq: OperationSeq(seq),
        digest: Digest([9; 32]),
    }
}

pub(crate) fn journal(worker: u16) -> Journal<Memory> {
    Journal::new(
        WorkerId(worker),
        Position::START,
        CommitmentKey::new(&[5; 32]),
        Memory::default(),
    )
}

/// The leaves that a journal kept.
pub(crate) fn leaves(journal: &Journal<Memory>) -> Vec<Vec<u8>> {
    let mut scanner = Scanner::new(
        journal.store().bytes(),
        journal.worker(),
        Some(Position::START),
    );
    let mut leaves = Vec::new();
    while let Some((frame, _)) = scanner.read().expect("whole frames") {
        leaves.push(frame.leaf.to_vec());
    }
    leaves
}

/// The one leaf of a record.
pub(crate) fn leaf(op: Option<OperationRef>, record: &Record<'_>) -> Vec<u8> {
    let mut journal = journal(0);
    let _receipt = journal.append(op, record).expect("kept");
    assert!(journal.store().bytes().len() > HEADER_BYTES);
    leaves(&journal).remove(0)
}

/// Intents and outcomes of one worker.
pub(crate) fn session(worker: u16, operations: u32) -> Vec<Vec<u8>> {
    let mut journal = journal(worker);
    for seq in 1..=operations {
        let op = operation(u64::from(worker), seq);
        for kind in [Kind::Intent, Kind::Outcome] {
            let at = now(1_000_000 + u64::from(seq));
            let record = Record {
                summary: "SELECT $1",
                ..Record::new(kind, at)
            };
            let _receipt = journal.append(Some(op), &record).expect("kept");
        }
    }
    leaves(&journal)
}

pub(crate) fn key() -> SigningKey {
    SigningKey::new(ORIGIN, &[7; 32]).expect("a name")
}

/// A log's files.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Log {
    pub(crate) fn write(leaves: &[Vec<u8>]) -> Self {
        let mut log = Self::default();
        let mut tree = Tree::new();
        let mut files = Vec::new();
        for leaf in leaves {
            tree.append(leaf, &mut files).expect("fits");
        }
        files.extend(tree.partials());
        log.put(files);
        log.sign(&tree);
        log
    }

    pub(crate) fn put(&mut self, files: Vec<File>) {
        self.files
            .extend(files.into_iter().map(|file| (file.tile.path(), file.bytes)));
    }

    pub(crate) fn sign(&mut self, tree: &Tree) {
        let checkpoint = Checkpoint {
            origin: ORIGIN.into(),
            size: tree.size(),
            root: tree.root(),
        };
        self.files
            .insert("checkpoint".into(), checkpoint.sign(&key()).into_bytes());
    }

    pub(crate) fn checkpoint(&self) -> Vec<u8> {
        self.files["checkpoint"].clone()
    }

    pub(crate) fn reader(&self) -> impl FnMut(&str) -> Result<Option<Vec<u8>>, String> + '_ {
        |path| Ok(self.files.get(path).cloned())
    }

    pub(crate) fn verifier() -> VerifierKey {
        key().verifier()
    }
}
