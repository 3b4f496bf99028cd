//! A disk without space: new records are refused, nothing that was kept is lost.

mod support;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use support::{append, checkpoint, last_of, open, verified};
use tempfile::tempdir;
use weir_audit::{JournalError, Kind, StoreFull};

/// A small tmpfs, unmounted when dropped.
struct Small<'p>(&'p Path);

impl<'p> Small<'p> {
    fn mount(at: &'p Path, bytes: u64) -> Self {
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(at)
            .status()
            .expect("mount runs");
        assert!(
            status.success(),
            "mounting a tmpfs needs root, as which these tests run"
        );
        Self(at)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let status = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0)
            .status();
        assert!(status.is_ok_and(|status| status.success()) || thread::panicking());
    }
}

#[test]
fn a_full_disk_refuses_new_operations_lets_open_ones_finish_and_recovers() {
    let directory = tempdir().expect("a directory");
    let _small = Small::mount(directory.path(), 16 << 20);
    let (ledger, _) = open(directory.path(), 1);
    let mut journal = ledger.journal(0).expect("a journal");
    // Somebody else fills the disk.
    let filler = directory.path().join("filler");
    thread::sleep(Duration::from_millis(200));
    let written = fs::write(&filler, vec![1; 16 << 20]);
    assert!(written.is_err(), "the disk is full");
    let deadline = Instant::now() + support::PATIENCE;
    let mut operation = 0;
    // Intents until they are refused for good: segments that were ready are used up.
    let mut refused_since = None;
    while refused_since.is_none_or(|since: Instant| since.elapsed() < Duration::from_millis(300)) {
        assert!(Instant::now() < deadline, "it never refuses");
        match append(&mut journal, Kind::Intent, operation + 1) {
            Ok(_receipt) => {
                operation += 1;
                refused_since = None;
            }
            Err(error) => {
                assert_eq!(error, JournalError::Store(StoreFull::NoRoom));
                refused_since.get_or_insert_with(Instant::now);
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
    let kept = journal.position().seq.0;
    // What was begun can be finished: the reserve takes the outcomes.
    for finished in 1..=100 {
        let _receipt = append(&mut journal, Kind::Outcome, finished).expect("the reserve takes it");
    }
    assert_eq!(
        append(&mut journal, Kind::Refusal, 1),
        Err(JournalError::Store(StoreFull::NoRoom))
    );
    // With space again it goes on by itself.
    fs::remove_file(&filler).expect("removes");
    let deadline = Instant::now() + support::PATIENCE;
    while append(&mut journal, Kind::Intent, operation + 1).is_err() {
        assert!(Instant::now() < deadline, "it never takes records again");
        thread::sleep(Duration::from_millis(5));
    }
    checkpoint(&ledger);
    drop(journal);
    ledger.close().expect("closes");
    assert_eq!(last_of(&verified(directory.path()), 0), kept + 101);
}

#[test]
fn the_reserve_lets_a_ledger_on_a_full_disk_close_cleanly() {
    let directory = tempdir().expect("a directory");
    let _small = Small::mount(directory.path(), 16 << 20);
    let (ledger, _) = open(directory.path(), 1);
    let mut journal = ledger.journal(0).expect("a journal");
    thread::sleep(Duration::from_millis(300));
    assert!(fs::write(directory.path().join("filler"), vec![1; 16 << 20]).is_err());
    let _receipt = append(&mut journal, Kind::Outcome, 1).expect("kept");
    drop(journal);
    ledger.close().expect("closes");
    let report = verified(directory.path());
    assert_eq!(
        (report.count(Kind::Close), report.count(Kind::Outcome)),
        (1, 1)
    );
}
