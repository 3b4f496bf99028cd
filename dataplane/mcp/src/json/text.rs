//! Strings: escapes resolved and written.

use std::borrow::Cow;

use super::scan::plain_run;

/// The text between the quotes of a string that the walker has accepted.
pub(super) fn unquote(raw: &[u8], escaped: bool) -> Cow<'_, str> {
    let inner = raw
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
        .unwrap_or_default();
    // The walker has checked the encoding; this check is for the type, at memory speed.
    let inner = std::str::from_utf8(inner).unwrap_or_default();
    if escaped {
        Cow::Owned(unescape(inner))
    } else {
        Cow::Borrowed(inner)
    }
}

fn unescape(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut characters = escape.chars();
        match characters.next() {
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('u') => {
                let (character, after) = unicode(characters.as_str());
                text.push(character);
                rest = after;
                continue;
            }
            Some(other) => text.push(other),
            None => {}
        }
        rest = characters.as_str();
    }
    text.push_str(rest);
    text
}

/// The character of `XXXX` or `XXXX\uXXXX`, and what follows.
fn unicode(digits: &str) -> (char, &str) {
    let code = |text: &str| {
        text.get(..4)
            .and_then(|four| u32::from_str_radix(four, 16).ok())
    };
    let high = code(digits).unwrap_or(0xFFFD);
    let after = digits.get(4..).unwrap_or_default();
    if !(0xD800..0xDC00).contains(&high) {
        return (
            char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER),
            after,
        );
    }
    let low = after.get(2..).and_then(code).unwrap_or(0xDC00);
    let pair = 0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF);
    (
        char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER),
        after.get(6..).unwrap_or_default(),
    )
}

/// Appends `text` as a JSON string, quotes included.
pub fn quote(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut at = 0;
    loop {
        let end = plain_run(bytes, at).end;
        plain(bytes.get(at..end).unwrap_or_default(), out);
        let Some(byte) = bytes.get(end) else { break };
        escape(*byte, out);
        at = end + 1;
    }
    out.push(b'"');
}

/// A run that needs no escape but for DEL, which the grammar has as it is, and some readers not.
fn plain(mut run: &[u8], out: &mut Vec<u8>) {
    while let Some((before, after)) =
        memchr::memchr(0x7f, run).and_then(|at| run.split_at_checked(at))
    {
        out.extend_from_slice(before);
        escape(0x7f, out);
        run = after.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(run);
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend([digit(byte >> 4), digit(byte & 0xF)]);
        }
    }
}
