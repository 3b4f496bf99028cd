//! The one writer of canonical JSON (RFC 8785): keys in order, no white space, the
//! shortest escapes, integers only.

use std::fmt::Display;
use std::io::Write as _;
use std::net::SocketAddr;

use crate::limits::INTEGER_MAX;

/// How each byte of a string is written: 0 as it is, 1 as `\u00XX`, else as `\` and this.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = 1;
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// What of a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// All of it.
    Whole,
    /// A beginning of it.
    Cut,
}

/// The digit of a nibble, by arithmetic, which the compiler makes vector code of.
const fn digit(nibble: u8) -> u8 {
    nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
}

fn escape(byte: u8) -> u8 {
    // A u8 indexes a table of 256 always.
    ESCAPES[usize::from(byte)]
}

fn escaped_bytes(text: &str) -> usize {
    text.bytes().map(escaped_byte).sum()
}

fn escaped_byte(byte: u8) -> usize {
    match escape(byte) {
        0 => 1,
        1 => 6,
        _ => 2,
    }
}

/// The longest beginning of `text`, on a character boundary, that takes at most `cap` bytes escaped.
fn beginning(text: &str, cap: usize) -> &str {
    let mut taken = 0;
    for (at, character) in text.char_indices() {
        let mut utf8 = [0; 4];
        taken += escaped_bytes(character.encode_utf8(&mut utf8));
        if taken > cap {
            return text.split_at_checked(at).map_or("", |(kept, _)| kept);
        }
    }
    text
}

/// Whether nothing in it needs an escape. Without branches, so that the compiler makes
/// vector code of it: nearly all strings are plain.
fn is_plain(text: &str) -> bool {
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    !text
        .as_bytes()
        .iter()
        .fold(false, |any, byte| any | special(byte))
}

fn plain(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        return plain(out, text);
    }
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| escape(*byte) != 0) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else {
            break;
        };
        match escape(*byte) {
            1 => out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                digit(byte >> 4),
                digit(byte & 15),
            ]),
            short => out.extend_from_slice(&[b'\\', short]),
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Writes an object's members. The caller gives keys in ascending order; debug builds check it.
pub(crate) struct Object<'b> {
    out: &'b mut Vec<u8>,
    last: &'static str,
}

impl<'b> Object<'b> {
    pub(crate) fn open(out: &'b mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, last: "" }
    }

    pub(crate) fn close(self) {
        self.out.push(b'}');
    }

    fn key(&mut self, key: &'static str) {
        debug_assert!(self.last < key, "{} comes after {key}", self.last);
        if !self.last.is_empty() {
            self.out.push(b',');
        }
        self.last = key;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A string, or as much of it as takes `cap` bytes.
    pub(crate) fn text(&mut self, key: &'static str, text: &str, cap: usize) -> Fit {
        self.key(key);
        if text.len() <= cap && is_plain(text) {
            plain(self.out, text);
            return Fit::Whole;
        }
        if text.len() <= cap && escaped_bytes(text) <= cap {
            quoted(self.out, text);
            return Fit::Whole;
        }
        quoted(self.out, beginning(text, cap));
        Fit::Cut
    }

    /// A word of ours, which needs no escapes.
    pub(crate) fn word(&mut self, key: &'static str, word: &'static str) {
        self.key(key);
        plain(self.out, word);
    }

    /// An address with its port. Formatters took a fifth of a leaf's time for two of them.
    pub(crate) fn address(&mut self, key: &'static str, address: SocketAddr) {
        let SocketAddr::V4(v4) = address else {
            return self.plain(key, address);
        };
        self.key(key);
        self.out.push(b'"');
        let [first, rest @ ..] = v4.ip().octets();
        decimal(self.out, u64::from(first));
        for octet in rest {
            self.out.push(b'.');
            decimal(self.out, u64::from(octet));
        }
        self.out.push(b':');
        decimal(self.out, u64::from(v4.port()));
        self.out.push(b'"');
    }

    /// Something whose display form needs no escapes.
    pub(crate) fn plain(&mut self, key: &'static str, value: impl Display) {
        self.key(key);
        // Writing to a Vec does not fail.
        let _ = write!(self.out, "\"{value}\"");
    }

    /// Bytes in lower-case hexadecimal.
    pub(crate) fn hex<const N: usize>(&mut self, key: &'static str, bytes: &[u8; N]) {
        self.key(key);
        let mut digits = [[0; 2]; N];
        for (pair, byte) in digits.iter_mut().zip(bytes) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        self.out.push(b'"');
        self.out.extend_from_slice(digits.as_flattened());
        self.out.push(b'"');
    }

    /// An integer; as a string of digits where a JSON reader could round it.
    pub(crate) fn integer(&mut self, key: &'static str, value: u64) {
        self.key(key);
        let exact = value <= INTEGER_MAX;
        if !exact {
            self.out.push(b'"');
        }
        decimal(self.out, value);
        if !exact {
            self.out.push(b'"');
        }
    }

    /// An array of items, each written by `write`; as many whole ones as take `cap` bytes.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        items: impl IntoIterator<Item = T>,
        cap: usize,
        write: impl Fn(&mut Vec<u8>, T),
    ) -> Fit {
        self.key(key);
        self.out.push(b'[');
        let start = self.out.len();
        let mut fit = Fit::Whole;
        for item in items {
            let before = self.out.len();
            if before > start {
                self.out.push(b',');
            }
            write(self.out, item);
            if self.out.len() - start > cap {
                self.out.truncate(before);
                fit = Fit::Cut;
                break;
            }
        }
        self.out.push(b']');
        fit
    }

    /// A nested object, written by `members`.
    pub(crate) fn object<R>(
        &mut self,
        key: &'static str,
        members: impl FnOnce(&mut Object<'_>) -> R,
    ) -> R {
        self.key(key);
        let mut inner = Object::open(self.out);
        let result = members(&mut inner);
        inner.close();
        result
    }
}

/// A string as an array's item.
pub(crate) fn item(out: &mut Vec<u8>, text: &str) {
    quoted(out, text);
}

/// A pair of strings as an array's item: `["a","b"]`.
pub(crate) fn pair(out: &mut Vec<u8>, left: &str, right: &str) {
    out.push(b'[');
    quoted(out, left);
    out.push(b',');
    quoted(out, right);
    out.push(b']');
}

fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        // The remainder of a division by ten fits in a byte.
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        count += 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.split_at(20 - count).1);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str, cap: usize) -> (String, Fit) {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        let fit = object.text("k", text, cap);
        object.close();
        (String::from_utf8(out).expect("JSON is UTF-8"), fit)
    }

    #[test]
    fn escapes_are_the_ones_of_rfc_8785() {
        let text = "\u{0}\u{8}\t\n\u{b}\u{c}\r\u{1f}\"\\/\u{7f}\u{2028}é😀";
        let expected = "{\"k\":\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\\"\\\\/\u{7f}\u{2028}é😀\"}";
        assert_eq!(written(text, 200), (expected.to_owned(), Fit::Whole));
    }

    #[test]
    fn a_cut_never_splits_a_character_or_an_escape() {
        assert_eq!(written("ab\u{0}c", 7).0, "{\"k\":\"ab\"}");
        assert_eq!(written("aé", 2), ("{\"k\":\"a\"}".to_owned(), Fit::Cut));
    }

    #[test]
    fn an_address_is_written_as_it_is_displayed() {
        for address in ["127.0.0.1:5432", "255.0.10.9:1", "[::1]:65535"] {
            let mut out = Vec::new();
            let mut object = Object::open(&mut out);
            object.address("k", address.parse().expect("an address"));
            object.close();
            assert_eq!(
                String::from_utf8_lossy(&out),
                format!("{{\"k\":\"{address}\"}}")
            );
        }
    }

    #[test]
    fn an_integer_that_a_double_would_round_is_a_string() {
        for (value, expected) in [
            (0, "{\"k\":0}"),
            (INTEGER_MAX, "{\"k\":9007199254740991}"),
            (INTEGER_MAX + 1, "{\"k\":\"9007199254740992\"}"),
            (u64::MAX, "{\"k\":\"18446744073709551615\"}"),
        ] {
            let mut out = Vec::new();
            let mut object = Object::open(&mut out);
            object.integer("k", value);
            object.close();
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_back_as_itself_or_as_its_beginning(text in ".*|[\\x00-\\x7f]*", cap in 0usize..80) {
            let (json, fit) = written(&text, cap);
            let value: serde_json::Value = serde_json::from_str(&json).expect("valid JSON");
            let read = value["k"].as_str().expect("a string").to_owned();
            prop_assert!(text.starts_with(&read));
            prop_assert_eq!(fit == Fit::Whole, read == text);
            prop_assert_eq!(serde_json::to_string(&value).expect("writes"), json.clone());
            let around = written("", 0).0.len();
            prop_assert!(fit == Fit::Whole || json.len() <= cap + around);
        }
    }
}
