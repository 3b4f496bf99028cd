//! The ledger in one process: what is kept is in the log, in order, and is published.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use support::{
    PATIENCE, append, checkpoint, config, last_of, open, operate, segments, sync, verified, vkey,
};
use tempfile::tempdir;
use weir_audit::{JournalError, Kind, Position, Record, RecordSeq, StoreFull, WorkerId};
use weir_facts::Now;
use weir_ledger::{CloseError, Config, Ledger, OpenError, Reader, SyncError};

#[test]
fn a_clean_reopen_continues_the_tree_without_a_gap() {
    let directory = tempdir().expect("a directory");
    for round in 1..=3u64 {
        let (ledger, gap) = open(directory.path(), 1);
        assert_eq!(gap, None);
        let mut journal = ledger.journal(0).expect("a journal");
        assert_eq!(journal.position().seq, RecordSeq((round - 1) * 200));
        for operation in 1..=100 {
            operate(&mut journal, operation);
        }
        drop(journal);
        ledger.close().expect("closes");
        assert!(segments(directory.path()).is_empty());
        let report = verified(directory.path());
        assert_eq!(
            (report.leaves, last_of(&report, 0)),
            (round * 201, round * 200)
        );
        assert_eq!(
            (
                report.count(Kind::Close),
                report.open_total,
                report.gaps.len()
            ),
            (round, 0, 0)
        );
    }
}

#[test]
fn two_workers_outrun_the_disk_and_no_record_is_refused_or_missing() {
    let directory = tempdir().expect("a directory");
    let (ledger, _) = open(directory.path(), 2);
    let ledger = std::sync::Arc::new(ledger);
    let writers = [0, 1].map(|worker| {
        let mut journal = ledger.journal(worker).expect("a journal");
        thread::spawn(move || {
            for operation in 1..=5000 {
                let _intent = append(&mut journal, Kind::Intent, operation).expect("kept");
                let _outcome = append(&mut journal, Kind::Outcome, operation).expect("kept");
            }
        })
    });
    for writer in writers {
        writer.join().expect("ends");
    }
    let size = checkpoint(&ledger);
    assert_eq!(size, 20_000);
    let report = verified(directory.path());
    assert_eq!(
        (last_of(&report, 0), last_of(&report, 1), report.open_total),
        (10_000, 10_000, 0)
    );
    std::sync::Arc::into_inner(ledger)
        .expect("the last")
        .close()
        .expect("closes");
    assert_eq!(verified(directory.path()).leaves, 20_001);
}

#[test]
fn a_sync_acknowledges_the_record_and_all_before_it() {
    let directory = tempdir().expect("a directory");
    let (ledger, _) = open(directory.path(), 1);
    let mut journal = ledger.journal(0).expect("a journal");
    let seq = operate(&mut journal, 1);
    let synced = sync(&ledger, WorkerId(0), seq).expect("synced");
    assert!(synced.seq >= seq);
    assert!(
        sync(&ledger, WorkerId(0), RecordSeq(1))
            .expect("synced long since")
            .seq
            >= seq
    );
    assert_eq!(
        sync(&ledger, WorkerId(7), seq),
        Err(SyncError::Worker(WorkerId(7)))
    );
    let (done, wait) = mpsc::channel();
    ledger.sync(WorkerId(0), RecordSeq(99), move |result| {
        done.send(result).expect("somebody waits")
    });
    assert!(
        wait.recv_timeout(Duration::from_millis(100)).is_err(),
        "a record that is not kept is not acknowledged"
    );
    drop(journal);
    ledger.close().expect("closes");
    assert_eq!(wait.recv_timeout(PATIENCE), Ok(Err(SyncError::Closed)));
}

#[test]
fn a_checkpoint_comes_by_itself_and_the_reader_ships_every_leaf_once() {
    let directory = tempdir().expect("a directory");
    let (ledger, _) = open(directory.path(), 1);
    let published = ledger.checkpoints();
    let mut journal = ledger.journal(0).expect("a journal");
    let mut reader = Reader::new(&directory.path().join("ledger/log"), vkey(directory.path()));
    let mut shipped = Vec::new();
    for round in 1..=3u64 {
        for operation in 1..=200 {
            operate(&mut journal, operation);
        }
        while published
            .recv_timeout(PATIENCE)
            .expect("a checkpoint")
            .checkpoint
            .size
            < round * 400
        {}
        loop {
            let leaves = reader.leaves(shipped.len() as u64).expect("reads");
            if leaves.leaves.is_empty() {
                assert_eq!(leaves.checkpoint.size, shipped.len() as u64);
                break;
            }
            shipped.extend(leaves.leaves);
        }
        assert_eq!(shipped.len() as u64, round * 400);
    }
    drop(journal);
    ledger.close().expect("closes");
    let first: serde_json::Value = serde_json::from_slice(&shipped[0]).expect("JSON");
    assert_eq!(
        (&first["seq"], &first["worker"], &first["kind"]),
        (&1.into(), &0.into(), &"intent".into())
    );
}

#[test]
fn an_idle_log_has_heartbeats() {
    let directory = tempdir().expect("a directory");
    let heartbeat = Duration::from_millis(50);
    let checkpoint_interval = Duration::from_millis(50);
    let config = Config {
        heartbeat,
        checkpoint_interval,
        ..config(directory.path(), 1)
    };
    let (ledger, _) = Ledger::open(config).expect("opens");
    let published = ledger.checkpoints();
    let started = Instant::now();
    while published
        .recv_timeout(PATIENCE)
        .expect("a checkpoint")
        .checkpoint
        .size
        < 3
    {}
    assert!(started.elapsed() >= Duration::from_millis(150));
    ledger.close().expect("closes");
    assert!(verified(directory.path()).count(Kind::Heartbeat) >= 3);
}

#[test]
fn records_go_on_over_many_segments_and_sequenced_segments_are_removed() {
    let directory = tempdir().expect("a directory");
    let (ledger, _) = open(directory.path(), 1);
    let mut journal = ledger.journal(0).expect("a journal");
    for operation in 0..12_000 {
        let _receipt = append(&mut journal, Kind::Outcome, operation).expect("kept");
    }
    checkpoint(&ledger);
    // Nobody waits for the removal: it comes when the ledger's thread gets to it.
    let deadline = Instant::now() + PATIENCE;
    while segments(directory.path()).len() > 5 {
        let left = segments(directory.path());
        assert!(Instant::now() < deadline, "{left:?}");
        thread::sleep(Duration::from_millis(5));
    }
    drop(journal);
    ledger.close().expect("closes");
    assert_eq!(last_of(&verified(directory.path()), 0), 12_000);
}

#[test]
fn keys_are_for_their_owner_only_and_one_that_others_can_read_is_refused() {
    let directory = tempdir().expect("a directory");
    open(directory.path(), 1).0.close().expect("closes");
    let keys = directory.path().join("ledger/keys");
    let mut secret = 0;
    for entry in std::fs::read_dir(&keys).expect("there") {
        let entry = entry.expect("an entry");
        if entry.file_name().to_string_lossy().ends_with(".key") {
            assert_eq!(
                entry.metadata().expect("there").permissions().mode() & 0o777,
                0o600
            );
            secret += 1;
        }
    }
    assert_eq!(secret, 2);
    let path = keys.join("signing.key");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("changes");
    assert!(matches!(
        support::refusal(directory.path()),
        OpenError::Key { .. }
    ));
    std::fs::remove_file(&path).expect("removes");
    assert!(matches!(
        support::refusal(directory.path()),
        OpenError::Key { .. }
    ));
    assert!(!path.exists(), "no new key is made for a log that has one");
}

#[test]
fn a_second_process_is_kept_out() {
    let directory = tempdir().expect("a directory");
    let (ledger, _) = open(directory.path(), 1);
    assert!(matches!(
        support::refusal(directory.path()),
        OpenError::Locked(_)
    ));
    ledger.close().expect("closes");
    open(directory.path(), 1).0.close().expect("closes");
}

#[test]
fn a_ledger_that_is_dropped_leaves_a_gap_and_loses_nothing() {
    let directory = tempdir().expect("a directory");
    let (ledger, _) = open(directory.path(), 1);
    let mut journal = ledger.journal(0).expect("a journal");
    let _receipt = append(&mut journal, Kind::Intent, 1).expect("kept");
    drop(ledger);
    let refused = append(&mut journal, Kind::Intent, 2);
    assert_eq!(refused, Err(JournalError::Store(StoreFull::Stopped)));
    drop(journal);
    let (ledger, gap) = open(directory.path(), 1);
    assert!(gap.is_some());
    let journal = ledger.journal(0).expect("a journal");
    assert_eq!(journal.position().seq, RecordSeq(1));
    drop(journal);
    ledger.close().expect("closes");
    let report = verified(directory.path());
    assert_eq!(
        (report.count(Kind::Gap), report.explained, report.open_total),
        (1, 1, 0)
    );
}

#[test]
fn a_close_while_somebody_still_writes_is_not_clean_and_loses_nothing() {
    let directory = tempdir().expect("a directory");
    let (ledger, _) = open(directory.path(), 1);
    let mut journal = ledger.journal(0).expect("a journal");
    let _receipt = append(&mut journal, Kind::Intent, 1).expect("kept");
    assert_eq!(ledger.close(), Err(CloseError::StillWriting(WorkerId(0))));
    drop(journal);
    let (ledger, gap) = open(directory.path(), 1);
    assert!(gap.is_some() && ledger.position(0).seq == RecordSeq(1));
    ledger.close().expect("closes");
}

#[test]
fn fewer_workers_after_a_restart_leave_the_others_chains_whole() {
    let directory = tempdir().expect("a directory");
    for workers in [3, 1, 3] {
        let (ledger, _) = open(directory.path(), workers);
        for worker in 0..workers {
            operate(&mut ledger.journal(worker).expect("a journal"), 1);
        }
        ledger.close().expect("closes");
    }
    let report = verified(directory.path());
    assert_eq!([0, 1, 2].map(|worker| last_of(&report, worker)), [6, 4, 4]);
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    let directory = tempdir().expect("a directory");
    let good = config(directory.path(), 1);
    for bad in [
        Config {
            workers: 0,
            ..good.clone()
        },
        Config {
            segment_bytes: 4096,
            ..good.clone()
        },
        Config {
            segment_bytes: (1 << 20) + 1,
            ..good.clone()
        },
        Config {
            group_commit: Duration::ZERO,
            ..good.clone()
        },
    ] {
        assert!(matches!(Ledger::open(bad), Err(OpenError::Config(_))));
    }
    assert!(matches!(
        Ledger::open(Config {
            origin: "a b".into(),
            ..good
        }),
        Err(OpenError::Origin(_))
    ));
}

#[test]
fn the_position_before_the_first_record_is_the_start() {
    let directory = tempdir().expect("a directory");
    let (ledger, _) = open(directory.path(), 1);
    let mut journal = ledger.journal(0).expect("a journal");
    assert!(ledger.journal(0).is_none() && ledger.journal(1).is_none());
    assert_eq!(journal.position(), Position::START);
    let record = Record::new(
        Kind::Session,
        Now {
            mono_ns: 0,
            unix_us: 1,
        },
    );
    assert_eq!(
        journal.append(None, &record).expect("kept").seq(),
        RecordSeq(1)
    );
    drop(journal);
    ledger.close().expect("closes");
}
