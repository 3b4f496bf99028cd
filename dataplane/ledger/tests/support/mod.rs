//! A ledger in a temporary directory.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use weir_audit::log::VerifierKey;
use weir_audit::verify::{Report, verify};
use weir_audit::{Journal, JournalError, Kind, Receipt, Record, RecordSeq, WorkerId};
use weir_facts::{Digest, FlowId, Now, OperationRef, OperationSeq};
use weir_ledger::{Config, Directory, Gap, Ledger, OpenError, SyncError, Synced, WorkerStore};

pub(crate) const ORIGIN: &str = "test/gateway";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn config(directory: &Path, workers: u16) -> Config {
    Config {
        segment_bytes: 1 << 20,
        ..Config::new(&directory.join("ledger"), ORIGIN, workers)
    }
}

pub(crate) fn open(directory: &Path, workers: u16) -> (Ledger, Option<Gap>) {
    let (ledger, recovered) = Ledger::open(config(directory, workers)).expect("opens");
    (ledger, recovered.gap)
}

#[track_caller]
pub(crate) fn refusal(directory: &Path) -> OpenError {
    match Ledger::open(config(directory, 1)) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

pub(crate) fn append(
    journal: &mut Journal<WorkerStore>,
    kind: Kind,
    operation: u32,
) -> Result<Receipt, JournalError> {
    let op = OperationRef {
        flow: FlowId(u64::from(journal.worker().0)),
        seq: OperationSeq(operation),
        digest: Digest([1; 32]),
    };
    let summary = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";
    let now = Now {
        mono_ns: 0,
        unix_us: 1_800_000_000_000_000,
    };
    journal.append(
        Some(op),
        &Record {
            summary,
            bytes: summary.as_bytes(),
            ..Record::new(kind, now)
        },
    )
}

/// One operation: its intent and its outcome. The last record's number.
pub(crate) fn operate(journal: &mut Journal<WorkerStore>, operation: u32) -> RecordSeq {
    let _intent = append(journal, Kind::Intent, operation).expect("kept");
    append(journal, Kind::Outcome, operation)
        .expect("kept")
        .seq()
}

pub(crate) fn sync(ledger: &Ledger, worker: WorkerId, seq: RecordSeq) -> Result<Synced, SyncError> {
    let (done, wait) = mpsc::channel();
    ledger.sync(worker, seq, move |result| {
        done.send(result).expect("somebody waits")
    });
    wait.recv_timeout(PATIENCE).expect("an answer")
}

pub(crate) fn checkpoint(ledger: &Ledger) -> u64 {
    let (done, wait) = mpsc::channel();
    ledger.checkpoint(move |result| done.send(result).expect("somebody waits"));
    wait.recv_timeout(PATIENCE)
        .expect("an answer")
        .expect("a checkpoint")
        .checkpoint
        .size
}

pub(crate) fn vkey(directory: &Path) -> VerifierKey {
    let text = std::fs::read_to_string(directory.join("ledger/keys/log.vkey")).expect("there");
    VerifierKey::parse(text.trim()).expect("a vkey")
}

/// Verifies the log from its files alone.
pub(crate) fn verified(directory: &Path) -> Report {
    let report = verify(
        &mut Directory::new(&directory.join("ledger/log")),
        &vkey(directory),
        &[],
    );
    assert_eq!(report.fault, None, "{report:?}");
    report
}

pub(crate) fn last_of(report: &Report, worker: u16) -> u64 {
    report
        .workers
        .iter()
        .find(|each| each.worker.0 == worker)
        .map_or(0, |each| each.last.0)
}

pub(crate) fn segments(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory.join("ledger/segments")).expect("there");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}
