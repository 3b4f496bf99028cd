use proptest::prelude::*;

use super::*;
use crate::limits;

fn frame_bytes(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// What leaves if nobody edits, and the frames seen, when the input comes in these pieces.
fn relay(chunks: &[&[u8]], streamed: Streamed<ServerTag>) -> (Vec<u8>, Vec<u8>, u64) {
    let mut reader = ServerReader::new();
    let (mut left, mut tags, mut streamed_frames) = (Vec::new(), Vec::new(), 0);
    for chunk in chunks {
        let mut chunk = chunk.to_vec();
        let mut at = 0;
        loop {
            let copy = chunk.clone();
            match reader.next(&mut chunk, &mut at, streamed).unwrap() {
                Some(Step::Frame(frame)) => {
                    tags.push(frame.tag.byte());
                    match &frame.place {
                        Place::Span(span) => left.extend_from_slice(&copy[span.clone()]),
                        Place::Assembled => left.extend_from_slice(frame.bytes()),
                    }
                }
                Some(Step::Piece(piece)) => {
                    tags.extend(std::iter::repeat_n(
                        piece.tag.byte(),
                        usize::try_from(piece.frames).unwrap(),
                    ));
                    streamed_frames += piece.frames;
                    left.extend(piece.header.into_iter().flatten());
                    left.extend_from_slice(&copy[piece.range.clone()]);
                }
                None => break,
            }
        }
        assert_eq!(at, chunk.len());
    }
    assert!(reader.is_between_frames());
    (left, tags, streamed_frames)
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let tag = prop_oneof![3 => Just(b'D'), 1 => Just(b'd'), 1 => Just(b'C'), 1 => Just(b'Z'), 1 => Just(b'E')];
    let frame = (tag, proptest::collection::vec(any::<u8>(), 0..20))
        .prop_map(|(tag, body)| frame_bytes(tag, &body));
    proptest::collection::vec(frame, 1..12).prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn splitting_anywhere_changes_nothing(
        bytes in stream(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        streams in any::<bool>(),
    ) {
        let streamed = if streams { Streamed::both(ServerTag::DataRow, ServerTag::CopyData) } else { Streamed::NONE };
        let whole = relay(&[&bytes], streamed);
        prop_assert_eq!(&whole.0, &bytes);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            chunks.push(&bytes[from..cut]);
            from = cut;
        }
        prop_assert_eq!(relay(&chunks, streamed), whole);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(relay(&single, streamed), relay(&[&bytes], streamed));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), cut in any::<prop::sample::Index>()) {
        let mut reader = ClientReader::new();
        let (one, two) = bytes.split_at(cut.index(bytes.len() + 1));
        for chunk in [one, two] {
            let mut chunk = chunk.to_vec();
            let mut at = 0;
            while let Ok(Some(_)) = reader.next(&mut chunk, &mut at, Streamed::only(ClientTag::CopyData)) {}
        }
    }
}

#[test]
fn impossible_lengths_are_refused_wherever_the_chunk_ends() {
    for length in [0, 1, 2, 3, 0x7fff_ffff_u32, 0xffff_ffff, 0x8000_0000] {
        let mut bytes = vec![b'Q'];
        bytes.extend_from_slice(&length.to_be_bytes());
        for cut in 0..=bytes.len() {
            let mut reader = ClientReader::new();
            let (one, two) = bytes.split_at(cut);
            let outcome = [one, two].into_iter().try_for_each(|chunk| {
                reader
                    .next(&mut chunk.to_vec(), &mut 0, Streamed::NONE)
                    .map(drop)
            });
            assert!(outcome.is_err(), "{length:#x} cut at {cut}");
        }
    }
}

#[test]
fn each_type_has_its_own_bound() {
    let longest = u32::try_from(limits::SMALL_MESSAGE_BYTES_MAX).unwrap();
    for (length, is_taken) in [(longest, true), (longest + 1, false)] {
        let mut bytes = [vec![b'E'], length.to_be_bytes().to_vec()].concat();
        let outcome = ClientReader::new()
            .next(&mut bytes, &mut 0, Streamed::NONE)
            .map(drop);
        assert_eq!(outcome.is_ok(), is_taken);
    }
}

#[test]
fn an_unknown_type_is_refused_at_its_first_byte() {
    let outcome = ClientReader::new()
        .next(&mut [b'?'], &mut 0, Streamed::NONE)
        .map(drop);
    assert_eq!(outcome, Err(FrameError::UnknownType(b'?')));
}

#[test]
fn only_bulk_is_streamed() {
    let bytes = frame_bytes(b'E', b"\0");
    assert_eq!(
        relay(&[&bytes], Streamed::only(ServerTag::ErrorResponse)).2,
        0
    );
}

#[test]
fn a_frame_put_back_comes_again() {
    let mut bytes = frame_bytes(b'Q', b"select 1\0");
    let mut reader = ClientReader::new();
    let mut at = 0;
    let Some(Step::Frame(frame)) = reader.next(&mut bytes, &mut at, Streamed::NONE).unwrap() else {
        panic!()
    };
    let place = frame.place.clone();
    reader.put_back(&place, &mut at);
    assert_eq!(at, 0);
    let (one, two) = bytes.split_at(3);
    let mut at = 0;
    assert!(
        reader
            .next(&mut one.to_vec(), &mut at, Streamed::NONE)
            .unwrap()
            .is_none()
    );
    let mut at = 0;
    let mut chunk = two.to_vec();
    for _ in 0..3 {
        let Some(Step::Frame(frame)) = reader.next(&mut chunk, &mut at, Streamed::NONE).unwrap()
        else {
            panic!()
        };
        assert_eq!(frame.body(), b"select 1\0");
        reader.put_back(&Place::Assembled, &mut at);
    }
    assert!(
        reader
            .next(&mut [], &mut 0, Streamed::NONE)
            .unwrap()
            .is_some()
    );
    assert_eq!(reader.take_assembled(), bytes);
    assert!(
        reader
            .next(&mut [], &mut 0, Streamed::NONE)
            .unwrap()
            .is_none()
    );
}

#[test]
fn memory_grows_with_what_came_not_with_what_was_announced() {
    let mut reader = ClientReader::new();
    let mut bytes = [
        vec![b'B'],
        0x00ff_ffff_u32.to_be_bytes().to_vec(),
        vec![0; 10],
    ]
    .concat();
    assert!(
        reader
            .next(&mut bytes, &mut 0, Streamed::NONE)
            .unwrap()
            .is_none()
    );
    assert!(reader.held_bytes() < 1_024);
}
