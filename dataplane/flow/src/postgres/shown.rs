//! An operation as approvers see it: its text, and the values that its parameters are bound to.

use std::fmt::Write as _;

use bytes::Bytes;
use weir_postgres::frame::{ClientTag, HEADER_BYTES, Tag};
use weir_postgres::message::Bind;
use weir_postgres::rows::Format;

/// Bytes of one value that are shown: a name, an address, a key; of a document its beginning.
const VALUE_BYTES_MAX: usize = 256;

/// Values that are shown: more are a bulk load, which nobody reads to the end.
const VALUES_MAX: usize = 100;

/// Bytes of text and values from which on no further value is shown: the control plane takes
/// 16 KiB, and one value, escaped, is less than 2.
const SHOWN_BYTES_MAX: usize = 13 << 10;

/// The text, with a comment line for each parameter behind it.
pub(crate) fn operation(text: &str, types: &[u32], stash: &[Bytes]) -> String {
    let mut out = text.to_owned();
    let bind = stash
        .iter()
        .find(|frame| frame.first() == Some(&ClientTag::Bind.byte()))
        .and_then(|frame| frame.get(HEADER_BYTES..))
        .and_then(|body| Bind::parse(body).ok());
    let Some(bind) = bind else {
        out.push_str("\n-- its parameters were bound earlier and are not at hand");
        return out;
    };
    for (at, value) in bind.parameters.iter().enumerate().take(VALUES_MAX) {
        if out.len() > SHOWN_BYTES_MAX {
            out.push_str("\n-- and more that is too long to be shown");
            return out;
        }
        let oid = types.get(at).copied().unwrap_or_default();
        let format = bind.parameter_formats.of(at).unwrap_or(Format::Text);
        let _ = write!(out, "\n-- ${} {} ", at + 1, type_name(oid));
        write_value(&mut out, oid, format, value);
    }
    if bind.parameters.len() > VALUES_MAX {
        let _ = write!(out, "\n-- and {} more", bind.parameters.len() - VALUES_MAX);
    }
    out
}

fn write_value(out: &mut String, oid: u32, format: Format, value: Option<&[u8]>) {
    let Some(value) = value else {
        out.push_str("= NULL");
        return;
    };
    let shown = value.get(..VALUE_BYTES_MAX).unwrap_or(value);
    let number = match format {
        Format::Text => None,
        Format::Binary => integer(oid, value),
    };
    let is_text = match format {
        Format::Text => true,
        Format::Binary => matches!(oid, 25 | 1042 | 1043),
    };
    let _ = match (number, is_text) {
        (Some(number), _) => write!(out, "(binary) = {number}"),
        // Escaped, so that a value cannot look like another line.
        (None, true) => write!(
            out,
            "({}) = '{}'",
            word(format),
            String::from_utf8_lossy(shown).escape_debug()
        ),
        (None, false) => {
            out.push_str("(binary) = \\x");
            shown.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
        }
    };
    if shown.len() < value.len() {
        let _ = write!(out, " … of {} bytes", value.len());
    }
}

const fn word(format: Format) -> &'static str {
    match format {
        Format::Text => "text",
        Format::Binary => "binary",
    }
}

/// A binary `int2`, `int4`, `int8` or `bool`.
fn integer(oid: u32, value: &[u8]) -> Option<i64> {
    match oid {
        16 => Some(i64::from(*value.first().filter(|_| value.len() == 1)?)),
        21 => Some(i16::from_be_bytes(value.try_into().ok()?).into()),
        23 => Some(i32::from_be_bytes(value.try_into().ok()?).into()),
        20 => Some(i64::from_be_bytes(value.try_into().ok()?)),
        _ => None,
    }
}

/// The name of a built-in type that drivers declare; others by number.
fn type_name(oid: u32) -> String {
    let known = match oid {
        0 | 705 => "of the type that the server finds",
        16 => "bool",
        17 => "bytea",
        20 => "int8",
        21 => "int2",
        23 => "int4",
        25 => "text",
        114 => "json",
        700 => "float4",
        701 => "float8",
        1042 => "bpchar",
        1043 => "varchar",
        1082 => "date",
        1114 => "timestamp",
        1184 => "timestamptz",
        1700 => "numeric",
        2950 => "uuid",
        3802 => "jsonb",
        _ => return format!("type {oid}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(formats: &[u16], values: &[Option<&[u8]>]) -> Bytes {
        let mut body = b"p\0s\0".to_vec();
        body.extend((formats.len() as u16).to_be_bytes());
        formats.iter().for_each(|it| body.extend(it.to_be_bytes()));
        body.extend((values.len() as u16).to_be_bytes());
        for value in values {
            match value {
                None => body.extend((-1_i32).to_be_bytes()),
                Some(value) => {
                    body.extend((value.len() as i32).to_be_bytes());
                    body.extend(*value);
                }
            }
        }
        body.extend([0, 0]);
        let mut frame = vec![b'B'];
        frame.extend((body.len() as u32 + 4).to_be_bytes());
        frame.extend(body);
        frame.into()
    }

    #[test]
    fn values_are_shown_with_type_and_format() {
        let stash = [bind(
            &[0, 1, 1, 1, 0],
            &[
                Some(b"a'\n-- $9 b"),
                Some(&7_i32.to_be_bytes()),
                Some(b"\x01\xff"),
                Some(b"bob"),
                None,
            ],
        )];
        let shown = operation("SELECT $1", &[0, 23, 17, 25], &stash);
        assert_eq!(
            shown.lines().collect::<Vec<_>>(),
            [
                "SELECT $1",
                "-- $1 of the type that the server finds (text) = 'a\\'\\n-- $9 b'",
                "-- $2 int4 (binary) = 7",
                "-- $3 bytea (binary) = \\x01ff",
                "-- $4 text (binary) = 'bob'",
                "-- $5 of the type that the server finds = NULL",
            ]
        );
    }

    #[test]
    fn what_is_long_is_cut_and_says_so() {
        let long = vec![b'x'; 10_000];
        let shown = operation("q", &[25], &[bind(&[0], &[Some(&long)])]);
        assert!(shown.len() < 400, "{}", shown.len());
        assert!(shown.ends_with("… of 10000 bytes"), "{shown}");
        let many = vec![Some(&b"v"[..]); 5_000];
        let shown = operation("q", &[], &[bind(&[], &many)]);
        assert!(shown.ends_with("-- and 4900 more"), "{shown}");
    }
}
