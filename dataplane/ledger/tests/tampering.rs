//! What was durable and is not there any more keeps the ledger from starting; a torn tail
//! that never was is cut.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{
    append, checkpoint, config, last_of, open, operate, refusal, segments, sync, verified,
};
use tempfile::{TempDir, tempdir};
use weir_audit::{Kind, RecordSeq, WorkerId};
use weir_ledger::{Config, Ledger, OpenError};

/// Where frames begin in a segment.
const FRAMES: usize = 4096;

/// A directory as a killed process leaves it: 100 operations in the tree, 100 synced ones
/// that are not, and where its first segment's records end.
fn killed() -> (TempDir, PathBuf, usize) {
    let directory = tempdir().expect("a directory");
    let config = Config {
        checkpoint_interval: std::time::Duration::from_secs(3600),
        ..config(directory.path(), 1)
    };
    let (ledger, _) = Ledger::open(config).expect("opens");
    let mut journal = ledger.journal(0).expect("a journal");
    for operation in 1..=100 {
        operate(&mut journal, operation);
    }
    checkpoint(&ledger);
    let mut last = RecordSeq(0);
    for operation in 101..=200 {
        last = operate(&mut journal, operation);
    }
    sync(&ledger, WorkerId(0), last).expect("synced");
    drop(ledger);
    drop(journal);
    let segment = segments(directory.path()).remove(0);
    let bytes = fs::read(&segment).expect("there");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("frames") + 1;
    (directory, segment, end.next_multiple_of(8))
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("there");
    change(&mut bytes);
    fs::write(path, bytes).expect("writes");
}

/// Opens, and checks that exactly these records of worker 0 are in the log.
fn opens_with(directory: &Path, records: u64) -> weir_ledger::Gap {
    let (ledger, gap) = open(directory, 1);
    assert_eq!(ledger.position(0).seq, RecordSeq(records));
    ledger.close().expect("closes");
    assert_eq!(last_of(&verified(directory), 0), records);
    gap.expect("an unclean end")
}

#[test]
fn what_was_kept_and_not_sequenced_is_recovered() {
    let (directory, _, _) = killed();
    let gap = opens_with(directory.path(), 400);
    assert_eq!((gap.records, gap.cut_bytes), (200, 0));
}

#[test]
fn a_torn_frame_beyond_the_durable_mark_is_cut() {
    for (what, tail) in [
        (
            "a body without its length",
            [&[0u8; 4][..], &[7; 300]].concat(),
        ),
        (
            "a length without its body",
            [&200u32.to_le_bytes()[..], &[0; 40], &[1]].concat(),
        ),
        (
            "a length that goes too far",
            u32::MAX.to_le_bytes().to_vec(),
        ),
        ("a byte", vec![0, 0, 0, 0, 0, 9]),
    ] {
        let (directory, segment, end) = killed();
        change(&segment, |bytes| {
            bytes[end..end + tail.len()].copy_from_slice(&tail)
        });
        let gap = opens_with(directory.path(), 400);
        assert!(
            gap.cut_bytes > 0 && gap.cut_bytes <= tail.len() as u64,
            "{what}: {gap:?}"
        );
        let (ledger, gap) = open(directory.path(), 1);
        assert_eq!(gap, None, "{what}: it is cut once");
        ledger.close().expect("closes");
    }
}

#[test]
fn a_flipped_byte_in_the_middle_keeps_the_ledger_from_starting() {
    let (directory, segment, end) = killed();
    let good = fs::read(&segment).expect("there");
    for at in (FRAMES..end)
        .step_by(997)
        .chain([FRAMES, FRAMES + 60, end - 9])
    {
        change(&segment, |bytes| bytes[at] ^= 0x40);
        let error = refusal(directory.path());
        let OpenError::Tampered { file, offset, .. } = &error else {
            panic!("byte {at}: {error}")
        };
        assert!(
            *file == segment && *offset <= at as u64 && *offset + 1024 > at as u64,
            "byte {at}: {error}"
        );
        fs::write(&segment, &good).expect("writes");
    }
    opens_with(directory.path(), 400);
}

#[test]
fn a_tail_that_was_durable_and_is_gone_keeps_the_ledger_from_starting() {
    let (directory, segment, end) = killed();
    change(&segment, |bytes| bytes[end - 500..].fill(0));
    assert!(matches!(
        refusal(directory.path()),
        OpenError::Tampered { .. }
    ));
}

#[test]
fn a_damaged_header_or_a_shortened_segment_keeps_the_ledger_from_starting() {
    let (directory, segment, end) = killed();
    let good = fs::read(&segment).expect("there");
    for at in [0, 9, 13, 17, 25, 64, 70, 100] {
        change(&segment, |bytes| bytes[at] ^= 1);
        assert!(
            matches!(refusal(directory.path()), OpenError::Tampered { .. }),
            "byte {at}"
        );
        fs::write(&segment, &good).expect("writes");
    }
    change(&segment, |bytes| bytes.truncate(end));
    assert!(matches!(
        refusal(directory.path()),
        OpenError::Tampered { .. }
    ));
}

#[test]
fn a_missing_segment_keeps_the_ledger_from_starting() {
    let (directory, segment, _) = killed();
    fs::remove_file(&segment).expect("removes");
    let error = refusal(directory.path());
    assert!(
        matches!(&error, OpenError::Tampered { file, .. } if *file == segment),
        "{error}"
    );
}

#[test]
fn a_segment_of_another_history_keeps_the_ledger_from_starting() {
    let (directory, segment, _) = killed();
    let other = killed();
    let foreign = fs::read(&other.1).expect("there");
    // Another ledger's segment: whole frames, a right header, another history.
    change(&segment, |bytes| *bytes = foreign);
    assert!(matches!(
        refusal(directory.path()),
        OpenError::Tampered { .. }
    ));
}

#[test]
fn changed_marks_checkpoint_or_tiles_keep_the_ledger_from_starting() {
    let (directory, _, _) = killed();
    let root = directory.path().join("ledger");
    for path in [
        "marks",
        "log/checkpoint",
        "log/tile/0/000.p/200",
        "log/tile/entries/000.p/200",
    ] {
        let path = root.join(path);
        let good = fs::read(&path).expect("there");
        for at in [0, good.len() / 2, good.len() - 2] {
            change(&path, |bytes| bytes[at] ^= 1);
            let error = refusal(directory.path());
            assert!(
                matches!(error, OpenError::Tampered { .. } | OpenError::Log { .. }),
                "{path:?} {at}: {error}"
            );
            fs::write(&path, &good).expect("writes");
        }
        fs::remove_file(&path).expect("removes");
        // Where records after the checkpoint made the tile full, the full one would do: it goes, too.
        let full = path.parent().expect("a parent").with_extension("");
        if full.is_file() {
            fs::remove_file(&full).expect("removes");
        }
        let error = refusal(directory.path());
        assert!(
            matches!(error, OpenError::Tampered { .. } | OpenError::Log { .. }),
            "{path:?} gone: {error}"
        );
        fs::write(&path, &good).expect("writes");
    }
    opens_with(directory.path(), 400);
}

#[test]
fn a_checkpoint_one_behind_the_marks_is_brought_up_and_one_ahead_refused() {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("ledger/log/checkpoint");
    let marks = directory.path().join("ledger/marks");
    let (ledger, _) = open(directory.path(), 1);
    let early = (
        fs::read(&path).expect("there"),
        fs::read(&marks).expect("there"),
    );
    operate(&mut ledger.journal(0).expect("a journal"), 1);
    ledger.close().expect("closes");
    // The process died between the two.
    fs::write(&path, &early.0).expect("writes");
    open(directory.path(), 1).0.close().expect("closes");
    assert_eq!(last_of(&verified(directory.path()), 0), 2);
    fs::write(&marks, &early.1).expect("writes");
    assert!(matches!(
        refusal(directory.path()),
        OpenError::Tampered { .. }
    ));
}

#[test]
fn an_intent_that_was_recovered_is_explained_by_the_gap() {
    let directory = tempdir().expect("a directory");
    let (ledger, _) = open(directory.path(), 1);
    let mut journal = ledger.journal(0).expect("a journal");
    let receipt = append(&mut journal, Kind::Intent, 1).expect("kept");
    sync(&ledger, WorkerId(0), receipt.seq()).expect("synced");
    drop(ledger);
    drop(journal);
    opens_with(directory.path(), 1);
    let report = verified(directory.path());
    assert_eq!((report.explained, report.open_total), (1, 0));
}
