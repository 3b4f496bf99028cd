use proptest::prelude::*;

use super::*;
use crate::message::{Field, RowDescription};

fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(value.unwrap_or_default());
    }
    body
}

fn read(body: &[u8]) -> Vec<Option<Vec<u8>>> {
    values(body)
        .unwrap()
        .map(|value| value.unwrap().map(<[u8]>::to_vec))
        .collect()
}

proptest! {
    #[test]
    fn edits_change_the_chosen_values_and_nothing_else(
        row_of in proptest::collection::vec(
            (proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)), any::<bool>(), 0..4_u8), 0..8
        ),
    ) {
        let given: Vec<Option<&[u8]>> = row_of.iter().map(|(value, ..)| value.as_deref()).collect();
        let mut body = row(&given);
        let chosen: Vec<usize> =
            row_of.iter().enumerate().filter(|(_, (_, chosen, _))| *chosen).map(|(at, _)| at).collect();
        let mut expected: Vec<Option<Vec<u8>>> = row_of.iter().map(|(value, ..)| value.clone()).collect();
        for at in &chosen {
            expected[*at] = expected[*at].take().and_then(|value| match row_of[*at].2 {
                0 => Some(value),
                1 => Some(vec![b'*'; value.len()]),
                2 => Some(b"replaced".to_vec()),
                _ => None,
            });
        }
        let mut out = Vec::new();
        let edited = edit(&mut body, row_of.len(), chosen, |at, value| match row_of[at].2 {
            0 => Edit::InPlace,
            1 => { value.fill(b'*'); Edit::InPlace }
            2 => Edit::Replace(b"replaced".to_vec()),
            _ => Edit::Null,
        }, &mut out).unwrap();
        match edited {
            Edited::InPlace => prop_assert_eq!(read(&body), expected),
            Edited::Rewritten => {
                prop_assert_eq!(out[0], b'D');
                prop_assert_eq!(&out[1..5], &u32::try_from(out.len() - 1).unwrap().to_be_bytes());
                prop_assert_eq!(read(&out[5..]), expected);
            }
        }
    }

    #[test]
    fn no_edits_leave_the_row_as_it_was(body in proptest::collection::vec(any::<u8>(), 0..40), count in 0..6_usize) {
        let mut edited = body.clone();
        let mut out = Vec::new();
        let _ = edit(&mut edited, count, 0..count, |_, _| Edit::InPlace, &mut out);
        prop_assert_eq!(edited, body);
        prop_assert!(out.is_empty());
    }
}

#[test]
fn a_row_that_is_not_as_described_is_an_error() {
    let good = row(&[Some(b"a"), None]);
    let tampered: [(Vec<u8>, usize); 6] = [
        (good.clone(), 1),
        (good.clone(), 3),
        ([good.clone(), vec![0]].concat(), 2),
        (good[..good.len() - 1].to_vec(), 2),
        (b"\0\x01\xff\xff\xff\xfe".to_vec(), 1),
        (b"\0\x01\x7f\xff\xff\xffx".to_vec(), 1),
    ];
    for (mut body, count) in tampered {
        assert!(
            edit(&mut body, count, [0], |_, _| Edit::Null, &mut Vec::new()).is_err(),
            "{body:?}"
        );
    }
}

#[test]
fn formats_are_none_one_or_each() {
    let parse = |bytes: &[u8]| Formats::parse(&mut Cursor::new(bytes));
    assert_eq!(parse(&[0, 0]).unwrap().of(9), Some(Format::Text));
    assert_eq!(parse(&[0, 1, 0, 1]).unwrap().of(9), Some(Format::Binary));
    let each = parse(&[0, 2, 0, 1, 0, 0]).unwrap();
    assert_eq!(
        [each.of(0), each.of(1), each.of(2)],
        [Some(Format::Binary), Some(Format::Text), None]
    );
    assert!(each.fits(2) && !each.fits(3));
    assert!(parse(&[0, 1, 0, 2]).is_err() && parse(&[0, 2, 0, 1]).is_err());
}

#[test]
fn names_and_modifiers_of_a_description_can_be_replaced() {
    let field = |name| Field {
        name,
        relation_oid: 7,
        attnum: 3,
        type_oid: 25,
        type_size: -1,
        type_modifier: 123,
        format: Format::Text,
    };
    let mut frame = Vec::new();
    RowDescription::encode(
        [field(b"leak".as_slice()), field(b"b".as_slice())],
        &mut frame,
    );
    let mut out = Vec::new();
    rename(
        &frame[5..],
        &["ssn", "b"],
        |position| position == 1,
        &mut out,
    )
    .unwrap();
    let told: Vec<_> = RowDescription::parse(&out[5..]).unwrap().fields().collect();
    assert_eq!(
        told,
        [
            Field {
                type_modifier: -1,
                ..field(b"ssn".as_slice())
            },
            field(b"b".as_slice())
        ]
    );
    assert!(rename(&frame[5..], &["ssn"], |_| true, &mut out).is_err());
}
