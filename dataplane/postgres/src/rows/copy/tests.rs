use proptest::prelude::*;

use super::*;

/// The obvious writer: `CopyAttributeOutText` and `CopyAttributeOutCSV`, value by value.
fn written(form: &CopyForm, row: &[Option<Vec<u8>>]) -> Vec<u8> {
    let fields: Vec<Vec<u8>> = row
        .iter()
        .enumerate()
        .map(|(at, value)| match (form, value) {
            (CopyForm::Binary, None) => (-1_i32).to_be_bytes().to_vec(),
            (CopyForm::Binary, Some(value)) => {
                let length = i32::try_from(value.len()).unwrap().to_be_bytes();
                [&length[..], value].concat()
            }
            (CopyForm::Text { null, .. } | CopyForm::Csv { null, .. }, None) => null.to_vec(),
            (CopyForm::Text { delimiter, .. }, Some(value)) => value
                .iter()
                .flat_map(|byte| match byte {
                    8 => b"\\b".to_vec(),
                    9 => b"\\t".to_vec(),
                    10 => b"\\n".to_vec(),
                    11 => b"\\v".to_vec(),
                    12 => b"\\f".to_vec(),
                    13 => b"\\r".to_vec(),
                    byte if *byte == b'\\' || byte == delimiter => vec![b'\\', *byte],
                    byte => vec![*byte],
                })
                .collect(),
            (
                CopyForm::Csv {
                    delimiter,
                    null,
                    quote,
                    escape,
                    quoted,
                },
                Some(value),
            ) => {
                let special = |byte: &u8| [*delimiter, *quote, b'\n', b'\r'].contains(byte);
                let is_quoted = quoted.contains(&at)
                    || value[..] == null[..]
                    || value.iter().any(special)
                    || (row.len() == 1 && value == b"\\.");
                if is_quoted {
                    let inner = value.iter().flat_map(|byte| {
                        let escaped = byte == quote || byte == escape;
                        escaped.then_some(*escape).into_iter().chain([*byte])
                    });
                    std::iter::once(*quote)
                        .chain(inner)
                        .chain([*quote])
                        .collect()
                } else {
                    value.clone()
                }
            }
        })
        .collect();
    match form {
        CopyForm::Binary => [
            &u16::try_from(row.len()).unwrap().to_be_bytes()[..],
            &fields.concat(),
        ]
        .concat(),
        CopyForm::Text { delimiter, .. } | CopyForm::Csv { delimiter, .. } => {
            [fields.join(delimiter), b"\n".to_vec()].concat()
        }
    }
}

fn text() -> CopyForm {
    CopyForm::Text {
        delimiter: b'\t',
        null: b"\\N"[..].into(),
    }
}

fn csv(delimiter: u8, quote: u8, escape: u8, quoted: Vec<usize>) -> CopyForm {
    CopyForm::Csv {
        delimiter,
        null: b""[..].into(),
        quote,
        escape,
        quoted,
    }
}

fn form() -> impl Strategy<Value = CopyForm> {
    let null = prop::sample::select(vec![&b""[..], b"\\N", b"\\q", b"nil"]);
    let quoted = proptest::collection::btree_set(0..5_usize, 0..3);
    prop_oneof![
        prop::sample::select(vec![b'\t', b'|', b'*', 1, 0x0b]).prop_map(|delimiter| {
            CopyForm::Text {
                delimiter,
                null: b"\\N"[..].into(),
            }
        }),
        (
            prop::sample::select(vec![b',', b';', b'*', b'\t']),
            null,
            prop::sample::select(vec![
                (b'"', b'"'),
                (b'"', b'\\'),
                (b'\'', b'"'),
                (b'"', b',')
            ]),
            quoted,
        )
            .prop_map(|(delimiter, null, (quote, escape), quoted)| CopyForm::Csv {
                delimiter,
                null: null.into(),
                quote,
                escape,
                quoted: quoted.into_iter().collect(),
            }),
        Just(CopyForm::Binary),
    ]
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    let hostile = prop::sample::select(b"ab*,;|\t\n\r\\\"'N.q\x01\x08\x0b\x0c\xc3".to_vec());
    proptest::option::of(proptest::collection::vec(hostile, 0..7))
}

proptest! {
    #[test]
    fn edits_are_written_as_the_server_would_have_written_them(
        form in form(),
        row in proptest::collection::vec((value(), any::<bool>(), 0..5_u8, value()), 0..5),
    ) {
        let before: Vec<_> = row.iter().map(|(value, ..)| value.clone()).collect();
        let mut body = written(&form, &before);
        let chosen: Vec<usize> =
            row.iter().enumerate().filter(|(_, (_, chosen, ..))| *chosen).map(|(at, _)| at).collect();
        let mut after = before.clone();
        for at in &chosen {
            let (_, _, kind, other) = &row[*at];
            after[*at] = after[*at].take().and_then(|value| match kind {
                0 => Some(value),
                1 => Some(vec![b'*'; value.len()]),
                2 => Some(vec![b'"'; value.len()]),
                3 => other.clone(),
                _ => None,
            });
        }
        let mut rows = CopyRows::new(form.clone(), row.len(), CopyHeader::Absent);
        rows.stage = Stage::Rows;
        let mut out = Vec::new();
        let edited = rows.edit(&mut body, chosen, |at, value| {
            assert_eq!(Some(&*value), before[at].as_deref(), "as DataRow would have it");
            match row[at].2 {
                0 => Edit::InPlace,
                1 => { value.fill(b'*'); Edit::InPlace }
                2 => { value.fill(b'"'); Edit::InPlace }
                3 => row[at].3.clone().map_or(Edit::Null, Edit::Replace),
                _ => Edit::Null,
            }
        }, &mut out).unwrap();
        let wanted = written(&form, &after);
        match edited {
            Edited::InPlace => prop_assert_eq!(body, wanted),
            Edited::Rewritten => {
                prop_assert_eq!(out[0], b'd');
                prop_assert_eq!(&out[1..5], &u32::try_from(out.len() - 1).unwrap().to_be_bytes());
                prop_assert_eq!(&out[5..], &wanted[..]);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic_and_no_edit_changes_none(
        form in form(), count in 0..4_usize, body in proptest::collection::vec(
            prop::sample::select(b"ab,\t\n\\\"N\0\x01\x02\xff".to_vec()), 0..24),
    ) {
        let mut rows = CopyRows::new(form, count, CopyHeader::Unchecked);
        for _ in 0..3 {
            let (mut edited, mut out) = (body.clone(), Vec::new());
            let _ = rows.edit(&mut edited, 0..count, |_, _| Edit::InPlace, &mut out);
            prop_assert_eq!(&edited, &body);
            prop_assert!(out.is_empty());
        }
    }
}

fn edit(rows: &mut CopyRows, body: &[u8]) -> Result<Vec<u8>, MessageError> {
    let (mut body, mut out) = (body.to_vec(), Vec::new());
    let hide = |_: usize, _: &mut [u8]| Edit::Replace(b"x".to_vec());
    match rows.edit(&mut body, [0], hide, &mut out)? {
        Edited::InPlace => Ok(body),
        Edited::Rewritten => Ok(out.split_off(5)),
    }
}

#[test]
fn what_is_no_whole_row_is_an_error() {
    let csv = csv(b',', b'"', b'"', Vec::new());
    for (form, body) in [
        (text(), &b"a\tb"[..]),
        (text(), b""),
        (text(), b"a\n"),
        (text(), b"a\tb\tc\n"),
        (text(), b"a\tb\nc\td\n"),
        (text(), b"a\\x\tb\n"),
        (text(), b"a\tb\\\n"),
        (text(), b"a\x0b\tb\n"),
        (csv.clone(), b"a,b"),
        (csv.clone(), b"a\n"),
        (csv.clone(), b"a,b,c\n"),
        (csv.clone(), b"a,b\nc,d\n"),
        (csv.clone(), b"\"a,b\n"),
        (csv.clone(), b"\"a\"b,c\n"),
        (csv.clone(), b"a\"b,c\n"),
        (csv, b"a\rb,c\n"),
    ] {
        let mut rows = CopyRows::new(form.clone(), 2, CopyHeader::Absent);
        assert!(edit(&mut rows, body).is_err(), "{form:?} {body:?}");
    }
}

#[test]
fn a_header_is_exactly_the_names_of_the_columns() {
    let names = || CopyHeader::Names(vec![b"a\tb"[..].into(), b"c,\"d"[..].into()]);
    for (form, header) in [
        (text(), &b"a\\tb\tc,\"d\n"[..]),
        (csv(b',', b'"', b'"', vec![0, 1]), b"a\tb,\"c,\"\"d\"\n"),
    ] {
        let mut rows = CopyRows::new(form.clone(), 2, names());
        assert_eq!(edit(&mut rows, header).as_deref(), Ok(header));
        let row = written(&form, &[Some(b"1".to_vec()), None]);
        let shown = written(&form, &[Some(b"x".to_vec()), None]);
        assert_eq!(edit(&mut rows, &row), Ok(shown));
        let mut rows = CopyRows::new(form.clone(), 2, names());
        assert_eq!(edit(&mut rows, &row), Err(MessageError::CopyRow));
    }
}

#[test]
fn the_binary_header_and_trailer_come_with_a_row_or_without() {
    let row = written(&CopyForm::Binary, &[Some(b"secret".to_vec())]);
    let shown = written(&CopyForm::Binary, &[Some(b"x".to_vec())]);
    let start = || CopyRows::new(CopyForm::Binary, 1, CopyHeader::Absent);
    let mut rows = start();
    let first = [BINARY_HEADER, &row].concat();
    assert_eq!(
        edit(&mut rows, &first),
        Ok([BINARY_HEADER, &shown].concat())
    );
    assert_eq!(edit(&mut rows, &row), Ok(shown.clone()));
    assert_eq!(
        edit(&mut rows, BINARY_TRAILER).as_deref(),
        Ok(BINARY_TRAILER)
    );
    assert_eq!(edit(&mut rows, &row), Err(MessageError::CopyRow));

    let empty = [BINARY_HEADER, BINARY_TRAILER].concat();
    let mut rows = start();
    assert_eq!(edit(&mut rows, &empty).as_ref(), Ok(&empty));
    assert_eq!(edit(&mut rows, &row), Err(MessageError::CopyRow));

    assert_eq!(edit(&mut start(), &row), Err(MessageError::CopyRow));
    let with_oids = [b"PGCOPY\n\xff\r\n\0\0\x01\0\0\0\0\0\0", &row[..]].concat();
    assert_eq!(edit(&mut start(), &with_oids), Err(MessageError::CopyRow));
}
