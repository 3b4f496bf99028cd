//! The log against readers that we did not write, and against whoever changes it.

mod support;

use std::collections::BTreeSet;

use signed_note::{Note, StandardVerifier, VerifierList};
use support::{Log, ORIGIN, journal, key, leaves, now, operation, session};
use weir_audit::log::{Checkpoint, ResumeError, Tree, proof};
use weir_audit::verify::{FaultKind, Report, verify};
use weir_audit::{Kind, Record, WorkerId, leaf_hash};
use weir_facts::Digest;

/// Sizes around every edge of tiles.
const SIZES: &[u64] = &[
    0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 1000, 65_535, 65_536, 65_537, 66_000,
];

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

/// A log of plain entries, at every one of `SIZES` in turn.
fn at_sizes(mut check: impl FnMut(&Log, &Tree)) {
    let (mut log, mut tree) = (Log::default(), Tree::new());
    for size in SIZES {
        let mut files = Vec::new();
        while tree.size() < *size {
            let index = tree.size();
            assert_eq!(tree.append(&entry(index), &mut files), Ok(index));
        }
        files.extend(tree.partials());
        log.put(files);
        log.sign(&tree);
        check(&log, &tree);
    }
}

struct Oracle<'l>(&'l Log);

impl tlog_tiles::TileReader for Oracle<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        // Its paths have the height in them, as the checksum database of Go has.
        let path = |tile: &tlog_tiles::Tile| tile.path().replacen("tile/8/", "tile/", 1);
        Ok(tiles
            .iter()
            .map(|tile| self.0.files.get(&path(tile)).cloned().unwrap_or_default())
            .collect())
    }

    fn save_tiles(&self, _tiles: &[tlog_tiles::Tile], _data: &[Vec<u8>]) {}
}

#[test]
fn a_foreign_reader_finds_the_same_tree_and_believes_our_proofs() {
    at_sizes(|log, tree| {
        let size = tree.size();
        let root = tlog_tiles::Hash(tree.root().0);
        let oracle = Oracle(log);
        let reader = tlog_tiles::TileHashReader::new(size, root, &oracle);
        assert_eq!(
            tlog_tiles::tree_hash(size, &reader).expect("reads"),
            root,
            "size {size}"
        );
        for index in [0, 1, size / 2, size.saturating_sub(1)]
            .into_iter()
            .filter(|index| *index < size)
        {
            let ours = proof::inclusion(index, size, &mut log.reader()).expect("proves");
            let theirs = ours.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect();
            let hash = tlog_tiles::record_hash(&entry(index));
            tlog_tiles::check_record(&theirs, size, root, index, hash).expect("believes");
        }
    });
}

#[test]
fn foreign_proofs_are_believed_by_us() {
    at_sizes(|log, tree| {
        let size = tree.size();
        let root = tree.root();
        let oracle = Oracle(log);
        let reader = tlog_tiles::TileHashReader::new(size, tlog_tiles::Hash(root.0), &oracle);
        for index in [0, size / 3, size.saturating_sub(1)]
            .into_iter()
            .filter(|index| *index < size)
        {
            let theirs = tlog_tiles::prove_record(size, index, &reader).expect("proves");
            let proof: Vec<Digest> = theirs.iter().map(|hash| Digest(hash.0)).collect();
            assert!(proof::includes(
                &leaf_hash(&entry(index)),
                index,
                size,
                &root,
                &proof
            ));
        }
    });
}

#[test]
fn a_foreign_reader_opens_our_checkpoint() {
    let log = Log::write(&session(0, 10));
    let vkey = Log::verifier().to_string();
    let verifier = StandardVerifier::new(&vkey).expect("a vkey");
    let note = Note::from_bytes(&log.checkpoint()).expect("a note");
    let (signed, unknown) = note
        .verify(&VerifierList::new(vec![Box::new(verifier)]))
        .expect("verifies");
    assert_eq!((signed.len(), unknown.len()), (1, 0));
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).expect("a checkpoint");
    let ours = Checkpoint::open(&log.checkpoint(), &Log::verifier()).expect("opens");
    assert_eq!(
        (checkpoint.origin(), checkpoint.size(), checkpoint.hash().0),
        (ORIGIN, 20, ours.root.0)
    );
}

#[test]
fn inclusion_and_consistency_proofs_hold_for_every_pair_up_to_forty_and_no_other() {
    let mut logs = Vec::new();
    let (mut tree, mut log) = (Tree::new(), Log::default());
    for index in 0..=40 {
        let mut files = tree.partials();
        log.put(std::mem::take(&mut files));
        logs.push((tree.root(), log.clone()));
        tree.append(&entry(index), &mut files).expect("fits");
    }
    for size in 1..=40u64 {
        let (root, log) = &logs[size as usize];
        for index in 0..size {
            let path = proof::inclusion(index, size, &mut log.reader()).expect("proves");
            let leaf = leaf_hash(&entry(index));
            assert!(proof::includes(&leaf, index, size, root, &path));
            assert!(!proof::includes(&leaf_hash(b"x"), index, size, root, &path));
            assert!(!proof::includes(&leaf, index + 1, size, root, &path));
            assert!(!proof::includes(
                &leaf,
                index,
                size,
                &Digest([0; 32]),
                &path
            ));
            let longer = [path.as_slice(), &[Digest([0; 32])]].concat();
            assert!(!proof::includes(&leaf, index, size, root, &longer));
        }
        for old in 0..=size {
            let (old_root, _) = &logs[old as usize];
            let path = proof::consistency(old, size, &mut log.reader()).expect("proves");
            assert!(
                proof::is_consistent(old, old_root, size, root, &path),
                "{old} {size}"
            );
            assert!(!proof::is_consistent(
                old,
                &Digest([1; 32]),
                size,
                root,
                &path
            ));
            assert_eq!(
                old == 0,
                proof::is_consistent(old, old_root, size, &Digest([1; 32]), &path),
                "{old} {size}"
            );
            assert_eq!(
                proof::root(old, size, &mut log.reader()).expect("reads"),
                *old_root
            );
        }
    }
    assert!(proof::inclusion(5, 5, &mut logs[5].1.reader()).is_err());
    assert!(proof::consistency(6, 5, &mut logs[5].1.reader()).is_err());
}

#[test]
fn a_tree_is_taken_up_where_it_was_left() {
    at_sizes(|log, tree| {
        let mut resumed =
            Tree::resume(tree.size(), &tree.root(), &mut log.reader()).expect("resumes");
        let mut grown = tree.clone();
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for index in 0..300 {
            grown.append(&entry(index), &mut a).expect("fits");
            resumed.append(&entry(index), &mut b).expect("fits");
        }
        assert_eq!(
            (grown.root(), a, grown.partials()),
            (resumed.root(), b, resumed.partials())
        );
    });
    let log = Log::write(&session(0, 200));
    let root = Checkpoint::open(&log.checkpoint(), &Log::verifier())
        .expect("opens")
        .root;
    assert_eq!(
        Tree::resume(399, &root, &mut log.reader()).err(),
        Some(ResumeError::Missing("tile/0/001.p/143".into()))
    );
    assert_eq!(
        Tree::resume(400, &Digest([0; 32]), &mut log.reader()).err(),
        Some(ResumeError::Root)
    );
}

/// Two workers, a restart with a gap, an end: 2 × 150 operations.
fn two_workers() -> Vec<Vec<u8>> {
    let (a, b) = (session(0, 150), session(1, 150));
    let mut all: Vec<Vec<u8>> = a.into_iter().zip(b).flat_map(|(a, b)| [a, b]).collect();
    let mut ledger = journal(WorkerId::LEDGER.0);
    let _receipt = ledger
        .append(None, &Record::new(Kind::Close, now(5)))
        .expect("kept");
    all.extend(leaves(&ledger));
    all
}

fn check(log: &Log, stored: &[(String, Vec<u8>)]) -> Report {
    verify(&mut log.reader(), &Log::verifier(), stored)
}

#[test]
fn a_sound_log_is_sound() {
    let log = Log::write(&two_workers());
    let report = check(&log, &[("then".into(), log.checkpoint())]);
    assert_eq!(report.fault, None);
    assert_eq!(
        (
            report.leaves,
            report.count(Kind::Intent),
            report.count(Kind::Outcome)
        ),
        (601, 300, 300)
    );
    assert_eq!(
        (
            report.workers.len(),
            report.open_total,
            report.stored_consistent
        ),
        (3, 0, 1)
    );
    assert!(check(&Log::write(&[]), &[]).is_sound());
}

/// Flips a bit in every `step`th byte of every file whose path has `part` in it.
fn flip(log: &Log, part: &str, step: usize) {
    for (path, bytes) in log.files.iter().filter(|(path, _)| path.contains(part)) {
        let mut flipped = log.clone();
        for at in (0..bytes.len()).step_by(step) {
            flipped.files.get_mut(path).expect("there")[at] ^= 0x20;
            assert!(!check(&flipped, &[]).is_sound(), "{path} byte {at}");
            flipped.files.get_mut(path).expect("there")[at] ^= 0x20;
        }
    }
}

#[test]
fn every_flipped_byte_of_a_log_is_detected() {
    flip(&Log::write(&session(0, 12)), "", 1);
    // A log with two levels of tiles: every byte of tiles and checkpoint, some of the bundles.
    let log = Log::write(&two_workers());
    flip(&log, "tile/0", 7);
    flip(&log, "tile/1", 1);
    flip(&log, "checkpoint", 1);
    flip(&log, "entries", 401);
}

#[test]
fn a_removed_or_lengthened_file_is_detected() {
    let log = Log::write(&two_workers());
    for path in log.files.keys() {
        let mut removed = log.clone();
        removed.files.remove(path);
        assert!(!check(&removed, &[]).is_sound(), "{path} removed");
        let mut longer = log.clone();
        longer.files.get_mut(path).expect("there").push(0);
        assert!(!check(&longer, &[]).is_sound(), "{path} longer");
    }
}

#[test]
fn a_flipped_byte_is_named_by_file_and_leaf() {
    let mut log = Log::write(&two_workers());
    let bundle = log.files.get_mut("tile/entries/001").expect("there");
    let at = bundle.len() - 30;
    bundle[at] ^= 1;
    let fault = check(&log, &[]).fault.expect("seen");
    assert_eq!(
        (fault.index, fault.file.as_str()),
        (Some(511), "tile/0/001")
    );
    let mut log = Log::write(&two_workers());
    log.files.get_mut("tile/0/000").expect("there")[32 * 77 + 5] ^= 1;
    let fault = check(&log, &[]).fault.expect("seen");
    assert_eq!(
        (fault.index, fault.file.as_str(), fault.what),
        (Some(77), "tile/0/000", FaultKind::Tile)
    );
}

#[test]
fn a_log_that_was_signed_anew_is_caught_by_stored_checkpoints() {
    let honest = two_workers();
    let stored = [(
        "witness 1".to_owned(),
        Log::write(&honest[..400]).checkpoint(),
    )];
    assert!(check(&Log::write(&honest), &stored).is_sound());
    // Root with the key takes one worker's last operation out and signs again: every hash is right.
    let rewritten = Log::write(&[&honest[..300], &session(7, 151)[..]].concat());
    assert!(check(&rewritten, &[]).is_sound());
    let fault = check(&rewritten, &stored).fault.expect("seen");
    assert_eq!(
        (fault.file.as_str(), fault.what),
        ("witness 1", FaultKind::Rewritten)
    );
    let cut = check(&Log::write(&honest[..399]), &stored)
        .fault
        .expect("seen");
    assert_eq!(
        cut.what,
        FaultKind::Cut {
            stored: 400,
            now: 399
        }
    );
}

#[test]
fn a_missing_doubled_or_swapped_record_is_caught_in_a_log_signed_anew() {
    let honest = session(0, 5);
    let without: Vec<_> = [&honest[..3], &honest[4..]].concat();
    let doubled: Vec<_> = [&honest[..4], &honest[3..]].concat();
    let mut swapped = honest.clone();
    swapped.swap(2, 3);
    for (what, leaves, at) in [
        ("missing", without, 3),
        ("doubled", doubled, 4),
        ("swapped", swapped, 2),
    ] {
        let fault = check(&Log::write(&leaves), &[]).fault.expect(what);
        assert!(
            fault.index == Some(at) && matches!(fault.what, FaultKind::Chain { .. }),
            "{what}: {fault}"
        );
    }
}

#[test]
fn an_intent_without_outcome_is_reported_and_a_gap_explains_it() {
    let mut worker = journal(0);
    for seq in 1..=3 {
        let _receipt = worker
            .append(Some(operation(1, seq)), &Record::new(Kind::Intent, now(1)))
            .expect("kept");
    }
    let _receipt = worker
        .append(Some(operation(1, 2)), &Record::new(Kind::Outcome, now(2)))
        .expect("kept");
    let open = leaves(&worker);
    let report = check(&Log::write(&open), &[]);
    assert!(report.is_sound());
    assert_eq!(
        report
            .open
            .iter()
            .map(|open| (open.index, open.operation))
            .collect::<Vec<_>>(),
        [(0, 1), (2, 3)]
    );
    let mut ledger = journal(WorkerId::LEDGER.0);
    let _receipt = ledger
        .append(None, &Record::new(Kind::Gap, now(3)))
        .expect("kept");
    let report = check(&Log::write(&[open, leaves(&ledger)].concat()), &[]);
    assert_eq!(
        (report.open_total, report.explained, report.gaps),
        (0, 2, vec![4])
    );
}

#[test]
fn a_partial_tile_that_went_when_the_full_one_came_does_not_matter() {
    let all = two_workers();
    let early = Log::write(&all[..300]);
    let mut late = Log::write(&all);
    late.files.insert("checkpoint".into(), early.checkpoint());
    late.files.insert(
        "tile/1/000.p/1".into(),
        early.files["tile/1/000.p/1"].clone(),
    );
    let report = check(&late, &[]);
    assert_eq!((report.fault, report.leaves), (None, 300));
}

#[test]
fn a_log_of_another_key_or_origin_is_refused() {
    let log = Log::write(&session(0, 1));
    let other = weir_audit::log::SigningKey::new(ORIGIN, &[8; 32])
        .expect("a name")
        .verifier();
    assert!(!verify(&mut log.reader(), &other, &[]).is_sound());
    let elsewhere = weir_audit::log::SigningKey::new("elsewhere", &[7; 32])
        .expect("a name")
        .verifier();
    assert!(!verify(&mut log.reader(), &elsewhere, &[]).is_sound());
    let paths: BTreeSet<_> = log.files.keys().cloned().collect();
    assert_eq!(paths.len(), 3, "{paths:?}");
    assert_eq!(key().verifier(), Log::verifier());
}
