//! `kill -9` under load: what was acknowledged is there.

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use support::{append, config, last_of, open, verified};
use tempfile::tempdir;
use weir_audit::Kind;
use weir_ledger::Ledger;

const WORKERS: u16 = 2;
const KILLS: u64 = 30;
const DIRECTORY: &str = "WEIR_LEDGER_CRASH_DIRECTORY";

/// Not a test of its own: what the test below starts, and kills. Two workers write as fast
/// as they can, and say after each record which one was kept, and which one was synced.
#[test]
#[ignore = "the child of the test below"]
fn child_that_writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let (ledger, _) = Ledger::open(config(Path::new(&directory), WORKERS)).expect("opens");
    let (acknowledge, acknowledged) = mpsc::sync_channel::<String>(4096);
    for worker in 0..WORKERS {
        let (handle, acknowledge) = (ledger.handle(), acknowledge.clone());
        let mut journal = ledger.journal(worker).expect("a journal");
        thread::spawn(move || {
            for operation in 1.. {
                let Ok(receipt) = append(&mut journal, Kind::Intent, operation) else {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                let seq = receipt.seq();
                acknowledge
                    .send(format!("kept {worker} {seq}\n"))
                    .expect("somebody writes");
                if operation % 64 == 0 {
                    let acknowledge = acknowledge.clone();
                    handle.sync(receipt.worker(), seq, move |result| {
                        let synced = result.expect("synced");
                        // The channel is full only if nobody reads: then nobody counts it either.
                        let _ = acknowledge.try_send(format!("synced {worker} {}\n", synced.seq));
                    });
                }
            }
        });
    }
    let mut out = std::io::stdout().lock();
    while let Ok(mut lines) = acknowledged.recv() {
        lines.extend(acknowledged.try_iter().take(256));
        out.write_all(lines.as_bytes()).expect("somebody reads");
    }
}

/// Runs the child for a while, kills it, and returns the last record of each worker that it
/// had acknowledged, and how many acknowledgements of a sync there were.
fn run_and_kill(directory: &Path, for_ms: u64) -> ([u64; WORKERS as usize], u64) {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--ignored",
            "--exact",
            "child_that_writes_until_it_is_killed",
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let out = child.stdout.take().expect("piped");
    let reader = thread::spawn(move || {
        let (mut last, mut synced) = ([0u64; WORKERS as usize], 0);
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            let [what @ ("kept" | "synced"), worker, seq] = words.as_slice() else {
                continue;
            };
            let (Ok(worker), Ok(seq)) = (worker.parse::<usize>(), seq.parse::<u64>()) else {
                continue;
            };
            last[worker] = last[worker].max(seq);
            synced += u64::from(*what == "synced");
        }
        (last, synced)
    });
    thread::sleep(Duration::from_millis(for_ms));
    child.kill().expect("kills");
    child.wait().expect("ends");
    reader.join().expect("reads")
}

#[test]
fn thirty_kills_under_load_lose_nothing_that_was_acknowledged() {
    let directory = tempdir().expect("a directory");
    let (mut total, mut synced_total) = (0, 0);
    for kill in 0..KILLS {
        let (acknowledged, synced) = run_and_kill(directory.path(), 150 + kill * 37 % 200);
        let (ledger, _) = open(directory.path(), WORKERS);
        for (worker, seq) in (0..WORKERS).zip(acknowledged) {
            let found = ledger.position(worker).seq.0;
            assert!(
                found >= seq,
                "kill {kill}, worker {worker}: {seq} acknowledged, {found} found"
            );
        }
        total = acknowledged.iter().sum();
        synced_total += synced;
        // An unclean end again, so that recovery after recovery is seen, too.
        drop(ledger);
    }
    open(directory.path(), WORKERS).0.close().expect("closes");
    let report = verified(directory.path());
    println!(
        "{total} records acknowledged over {KILLS} kills, {synced_total} syncs, {} leaves",
        report.leaves
    );
    assert!(
        total > 1000 && synced_total > 0,
        "{total} records, {synced_total} syncs: no load"
    );
    let found: u64 = (0..WORKERS).map(|worker| last_of(&report, worker)).sum();
    assert!(found >= total);
    assert!(report.gaps.len() as u64 >= KILLS);
}
