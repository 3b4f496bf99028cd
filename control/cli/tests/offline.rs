//! What `weir` does without a control plane: verify a log, test a bundle, exit as documented.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use weir_audit::frame::Scanner;
use weir_audit::log::{CHECKPOINT_PATH, Checkpoint, File, SigningKey, Tree};
use weir_audit::{CommitmentKey, Journal, Kind, Memory, Position, Record, WorkerId};
use weir_facts::Now;

const ORIGIN: &str = "gw.example/log";

fn weir(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .env_clear()
        .env("HOME", "/nonexistent")
        .output()
        .expect("runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("ends by itself")
}

fn key() -> SigningKey {
    SigningKey::new(ORIGIN, &[4; 32]).expect("key")
}

/// Writes a ledger's directory with so many heartbeats; returns the signed heads of each size.
fn ledger(directory: &Path, count: u64) -> Vec<String> {
    let mut journal = Journal::new(
        WorkerId(0),
        Position::START,
        CommitmentKey::new(&[1; 32]),
        Memory::default(),
    );
    for at in 0..count {
        let now = Now {
            mono_ns: 0,
            unix_us: at + 1,
        };
        let _receipt = journal
            .append(None, &Record::new(Kind::Heartbeat, now))
            .expect("keeps");
    }
    let mut scanner = Scanner::new(journal.store().bytes(), WorkerId(0), Some(Position::START));
    let (mut tree, mut files, mut notes) = (Tree::new(), Vec::new(), Vec::new());
    while let Some((frame, _)) = scanner.read().expect("reads") {
        tree.append(frame.leaf, &mut files).expect("appends");
        let head = Checkpoint {
            origin: ORIGIN.into(),
            size: tree.size(),
            root: tree.root(),
        };
        notes.push(head.sign(&key()));
    }
    files.extend(tree.partials());
    let log = directory.join("log");
    for File { tile, bytes } in files {
        write(&log.join(tile.path()), &bytes);
    }
    write(
        &log.join(CHECKPOINT_PATH),
        notes.last().expect("a leaf").as_bytes(),
    );
    write(
        &directory.join("keys/log.vkey"),
        format!("{}\n", key().verifier()).as_bytes(),
    );
    notes
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
    std::fs::write(path, bytes).expect("writes");
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory)
        .expect("reads")
        .map(|entry| entry.expect("entry").path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn a_sound_log_verifies_and_every_flipped_byte_of_it_is_found() {
    let directory = tempfile::tempdir().expect("tempdir");
    let notes = ledger(directory.path(), 300);
    let stored = directory.path().join("stored.json");
    write(
        &stored,
        serde_json::to_string(&[&notes[6], &notes[255], &notes[299]])
            .expect("JSON")
            .as_bytes(),
    );
    let (log, stored) = (
        directory.path().to_str().expect("text"),
        stored.to_str().expect("text"),
    );
    let verify = || {
        weir(&[
            "audit",
            "verify",
            log,
            "--checkpoints",
            stored,
            "--output",
            "json",
        ])
    };
    let sound = verify();
    assert_eq!(code(&sound), 0, "{sound:?}");
    let report: serde_json::Value = serde_json::from_slice(&sound.stdout).expect("JSON");
    assert_eq!(
        (
            &report["sound"],
            &report["leaves"],
            &report["stored_consistent"]
        ),
        (&true.into(), &300.into(), &3.into())
    );

    for path in files(&directory.path().join("log")) {
        let bytes = std::fs::read(&path).expect("reads");
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        std::fs::write(&path, &flipped).expect("writes");
        let verified = verify();
        assert_eq!(code(&verified), 1, "{}: {verified:?}", path.display());
        std::fs::write(&path, &bytes).expect("writes");
    }
    assert_eq!(code(&verify()), 0);
}

#[test]
fn a_log_that_was_cut_and_signed_again_is_found_by_stored_checkpoints() {
    let (long, short) = (
        tempfile::tempdir().expect("tempdir"),
        tempfile::tempdir().expect("tempdir"),
    );
    let notes = ledger(long.path(), 20);
    ledger(short.path(), 10);
    let notes_directory = long.path().join("notes");
    write(&notes_directory.join("a"), notes[14].as_bytes());
    let (log, notes) = (
        short.path().to_str().expect("text"),
        notes_directory.to_str().expect("text"),
    );
    assert_eq!(
        code(&weir(&["audit", "verify", log])),
        0,
        "by itself it looks sound"
    );
    let told = weir(&["audit", "verify", log, "--checkpoints", notes]);
    assert_eq!(code(&told), 1);
    assert!(
        String::from_utf8_lossy(&told.stdout).contains("NOT SOUND"),
        "{told:?}"
    );
}

#[test]
fn another_key_does_not_verify() {
    let directory = tempfile::tempdir().expect("tempdir");
    ledger(directory.path(), 3);
    let other = SigningKey::new(ORIGIN, &[5; 32])
        .expect("key")
        .verifier()
        .to_string();
    let log = directory.path().to_str().expect("text");
    assert_eq!(code(&weir(&["audit", "verify", log, "--vkey", &other])), 1);
    assert_eq!(
        code(&weir(&[
            "audit",
            "verify",
            log,
            "--vkey",
            &key().verifier().to_string()
        ])),
        0
    );
}

#[test]
fn exit_codes_are_as_documented() {
    let directory = tempfile::tempdir().expect("tempdir");
    write(
        &directory.path().join("a.cedar"),
        b"@id(\"a\")\npermit(principal, action, resource);\n",
    );
    let bundle = directory.path().to_str().expect("text");
    assert_eq!(code(&weir(&["policy", "test", bundle])), 0);
    write(&directory.path().join("b.cedar"), b"permit(principal");
    assert_eq!(code(&weir(&["policy", "test", bundle])), 1);
    assert_eq!(code(&weir(&["no-such-command"])), 2);
    assert_eq!(code(&weir(&["whoami"])), 3, "not logged in");
    // Port 1 of the loopback: nobody listens there.
    let unreachable = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["whoami"])
        .env("WEIR_URL", "http://127.0.0.1:1")
        .env("WEIR_TOKEN", "x")
        .output()
        .expect("runs");
    assert_eq!(code(&unreachable), 4, "{unreachable:?}");
}
