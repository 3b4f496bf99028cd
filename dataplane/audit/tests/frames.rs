//! Frames are whole and follow each other, or they are refused.

mod support;

use proptest::prelude::*;
use support::{journal, now, session};
use weir_audit::frame::{
    self, ALIGN, Follower, FrameError, HEADER_BYTES, Scanner, Tail, judge_tail,
};
use weir_audit::{Kind, Position, Record, WorkerId};

fn segment(records: u64) -> Vec<u8> {
    let mut journal = journal(3);
    for at in 0..records {
        let summary = "q".repeat(at as usize);
        let record = Record {
            summary: &summary,
            ..Record::new(Kind::Intent, now(at))
        };
        let _receipt = journal.append(None, &record).expect("kept");
    }
    journal.store().bytes().to_vec()
}

/// Frames read, where it stopped, and why.
fn scan(bytes: &[u8]) -> (usize, usize, Option<FrameError>) {
    let mut scanner = Scanner::new(bytes, WorkerId(3), Some(Position::START));
    let mut count = 0;
    loop {
        match scanner.read() {
            Ok(Some(_)) => count += 1,
            Ok(None) => return (count, scanner.offset(), None),
            Err(error) => return (count, scanner.offset(), Some(error)),
        }
    }
}

#[test]
fn frames_read_back_in_order() {
    let bytes = segment(20);
    assert_eq!(scan(&bytes), (20, bytes.len(), None));
    assert_eq!(session(0, 3).len(), 6);
}

/// The same by links: the hash of each leaf, where it stopped, and why.
fn follow(bytes: &[u8], from: Position) -> (Vec<Position>, usize, Option<FrameError>) {
    let mut follower = Follower::new(bytes, WorkerId(3), from);
    let mut read = Vec::new();
    loop {
        match follower.read() {
            Ok(Some((frame, hash))) => read.push(Position {
                seq: frame.seq,
                hash,
            }),
            Ok(None) => return (read, follower.offset(), None),
            Err(error) => return (read, follower.offset(), Some(error)),
        }
    }
}

#[test]
fn links_are_the_hashes_of_the_leaves_wherever_a_walk_is_cut() {
    let bytes = segment(6);
    let (mut scanner, mut hashes, mut ends) = (
        Scanner::new(&bytes, WorkerId(3), Some(Position::START)),
        vec![Position::START],
        vec![0],
    );
    while let Some((frame, hash)) = scanner.read().expect("follows") {
        hashes.push(Position {
            seq: frame.seq,
            hash,
        });
        ends.push(scanner.offset());
    }
    for from in 0..ends.len() {
        for to in from..ends.len() {
            let (read, offset, error) = follow(&bytes[ends[from]..ends[to]], hashes[from]);
            assert_eq!((offset, error), (ends[to] - ends[from], None));
            assert_eq!(read, hashes[from + 1..=to]);
        }
    }
}

#[test]
fn a_walk_by_links_must_go_on_where_the_one_before_ended_and_sees_every_flipped_bit() {
    let bytes = segment(3);
    let other = Position {
        hash: weir_audit::leaf_hash(b"another"),
        ..Position::START
    };
    assert!(matches!(
        follow(&bytes, other).2,
        Some(FrameError::Chain { .. })
    ));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let (read, offset, error) = follow(&flipped, Position::START);
            assert!(
                error.is_some() && read.len() < 3 && offset <= at,
                "byte {at} bit {bit}: {error:?}"
            );
        }
    }
}

#[test]
fn every_flipped_bit_of_a_segment_is_seen() {
    let bytes = segment(4);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let (count, offset, error) = scan(&flipped);
            assert!(
                error.is_some() && count < 4 && offset <= at,
                "byte {at} bit {bit}: {count} {error:?}"
            );
        }
    }
}

#[test]
fn a_removed_doubled_or_swapped_frame_is_seen() {
    let bytes = segment(3);
    let (_, first) = frame::read(&bytes).expect("whole");
    let (_, second) = frame::read(&bytes[first..]).expect("whole");
    let (a, b, c) = (
        &bytes[..first],
        &bytes[first..first + second],
        &bytes[first + second..],
    );
    for (what, frames) in [
        ("removed", [a, c].concat()),
        ("doubled", [a, b, b, c].concat()),
        ("swapped", [b, a, c].concat()),
        ("first removed", [b, c].concat()),
    ] {
        assert!(
            matches!(scan(&frames).2, Some(FrameError::Chain { .. })),
            "{what}"
        );
    }
}

#[test]
fn a_frame_of_another_worker_is_refused() {
    let bytes = segment(1);
    let error = Scanner::new(&bytes, WorkerId(4), None)
        .read()
        .expect_err("another worker");
    assert_eq!(error, FrameError::Worker(WorkerId(3)));
}

#[test]
fn lengths_that_lie_are_refused() {
    let bytes = segment(1);
    for length in [1u32, 3, 65_536, i32::MAX as u32, u32::MAX - 1, u32::MAX] {
        let mut lying = bytes.clone();
        lying[..4].copy_from_slice(&length.to_le_bytes());
        assert!(frame::read(&lying).is_err(), "{length}");
    }
    assert_eq!(frame::read(&[0; 100]), Err(FrameError::Unfinished));
    assert_eq!(frame::read(b""), Err(FrameError::Unfinished));
}

#[test]
fn a_tail_cut_anywhere_is_torn_beyond_the_durable_mark_and_tampering_before_it() {
    let whole = segment(5);
    let (_, first) = frame::read(&whole).expect("whole");
    for cut in first + 1..whole.len() {
        let mut bytes = whole.clone();
        bytes[cut..].fill(0);
        bytes.resize(whole.len() + 4096, 0);
        let (count, at, error) = scan(&bytes);
        let judged = judge_tail(&bytes, at, first, error);
        assert!(
            count >= 1 && matches!(judged, Tail::Clean | Tail::Torn(_)),
            "cut at {cut}: {judged:?}"
        );
        let judged = judge_tail(&bytes, at, whole.len(), error);
        // A cut within the padding's zeros, or a leaf's length's, changes nothing.
        assert!(
            bytes[..whole.len()] == whole || matches!(judged, Tail::Tampered(_)),
            "cut at {cut}: {judged:?}"
        );
    }
}

#[test]
fn frames_are_aligned_and_zero_padded() {
    let bytes = segment(7);
    assert_eq!(bytes.len() % ALIGN, 0);
    let (frame, taken) = frame::read(&bytes).expect("whole");
    assert_eq!(taken, frame::padded(HEADER_BYTES + frame.leaf.len()));
}

proptest! {
    #[test]
    fn no_bytes_make_the_scanner_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (_, at, error) = scan(&bytes);
        let _ = judge_tail(&bytes, at, 0, error);
    }
}
