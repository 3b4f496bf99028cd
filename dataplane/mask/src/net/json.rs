//! JSON as the server writes it: strings and numbers, one by one.
//!
//! The server has checked it (or written it itself), so that telling strings from the rest is
//! enough; nothing is too deep, too long or too strange to be searched.

use std::fmt::Write as _;
use std::ops::Range;

use super::{Fit, Found, Net};
use crate::MaskKey;
use crate::detect;
use crate::transform::Masked;

/// Masks what strings, names of members and numbers hold.
pub(super) fn mask(net: &Net, key: &MaskKey, text: &mut [u8]) -> Masked {
    let mut found = Found::new();
    // Without an escape a string is its bytes, and what is in none of them is in no string.
    if !text.contains(&b'\\') {
        detect::scan(text, net.wanted, &mut found);
        if found.is_empty() {
            return Masked::InPlace;
        }
    }
    let mut out: Option<Vec<u8>> = None;
    let mut copied = 0;
    let mut at = 0;
    while let Some(token) = next(text, at) {
        at = token.span.end;
        let Some(raw) = text.get(token.span.clone()) else {
            return Masked::Null;
        };
        let mut value = token.value(raw);
        found.clear();
        detect::scan(&value, net.wanted, &mut found);
        if found.is_empty() {
            continue;
        }
        let is_withheld = found
            .iter()
            .any(|(_, class)| net.rules.contains(&(*class, None)));
        if is_withheld {
            found.iter().for_each(|(_, class)| net.note(*class));
            return Masked::Null;
        }
        let shown = match net.hide(key, Fit::Anything, &mut value, &found) {
            Masked::InPlace => Some(value),
            Masked::Replaced(shown) => Some(shown),
            Masked::Null => None,
        };
        let out = out.get_or_insert_with(|| Vec::with_capacity(text.len()));
        out.extend_from_slice(text.get(copied..token.span.start).unwrap_or_default());
        token.put(shown.as_deref(), out);
        copied = token.span.end;
    }
    match out {
        None if text.contains(&b'\\') => Masked::InPlace,
        // Something was found, and in no token: this is no JSON.
        None => net.plain(key, Fit::SameLength, text),
        Some(mut out) => {
            out.extend_from_slice(text.get(copied..).unwrap_or_default());
            Masked::Replaced(out)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A string that is a value.
    Text,
    /// A string before a colon.
    Name,
    Number,
}

/// A string with its quotes, or a number.
#[derive(Debug)]
struct Token {
    kind: Kind,
    span: Range<usize>,
}

impl Token {
    /// What it says, escapes resolved.
    fn value(&self, raw: &[u8]) -> Vec<u8> {
        match self.kind {
            Kind::Number => raw.to_vec(),
            Kind::Text | Kind::Name => {
                let inner = raw.strip_prefix(b"\"").unwrap_or(raw);
                unescaped(inner.strip_suffix(b"\"").unwrap_or(inner))
            }
        }
    }

    fn put(&self, shown: Option<&[u8]>, out: &mut Vec<u8>) {
        match (self.kind, shown) {
            (Kind::Name, None) => out.extend_from_slice(b"\"\""),
            (Kind::Text | Kind::Number, None) => out.extend_from_slice(b"null"),
            (Kind::Number, Some(shown)) if is_number(shown) => out.extend_from_slice(shown),
            (Kind::Text | Kind::Name | Kind::Number, Some(shown)) => quote(shown, out),
        }
    }
}

fn next(text: &[u8], from: usize) -> Option<Token> {
    let starts = |byte: &u8| matches!(byte, b'"' | b'-' | b'0'..=b'9');
    let start = from + text.get(from..)?.iter().position(starts)?;
    if text.get(start) != Some(&b'"') {
        let belongs = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = text.get(start..)?.iter().take_while(belongs).count();
        return Some(Token {
            kind: Kind::Number,
            span: start..start + length,
        });
    }
    let mut end = start + 1;
    loop {
        match text.get(end) {
            Some(b'"') => break,
            Some(b'\\') => end += 2,
            Some(_) => end += 1,
            // Cut off: the rest is one string.
            None => break,
        }
    }
    let end = text.len().min(end + 1);
    let behind = text
        .get(end..)?
        .iter()
        .find(|byte| !byte.is_ascii_whitespace());
    let kind = if behind == Some(&b':') {
        Kind::Name
    } else {
        Kind::Text
    };
    Some(Token {
        kind,
        span: start..end,
    })
}

fn unescaped(inner: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(inner.len());
    let mut rest = inner;
    loop {
        match rest {
            [] => return value,
            [b'\\', b'u', behind @ ..] => {
                let (character, behind) = character(behind);
                value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = behind;
            }
            [b'\\', escaped, behind @ ..] => {
                value.push(match escaped {
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'f' => 12,
                    b'r' => b'\r',
                    other => *other,
                });
                rest = behind;
            }
            [plain, behind @ ..] => {
                value.push(*plain);
                rest = behind;
            }
        }
    }
}

/// The character of `XXXX`, or of the two halves `XXXX\uXXXX`, and what comes behind it.
fn character(digits: &[u8]) -> (char, &[u8]) {
    let Some((high, behind)) = code(digits) else {
        return (char::REPLACEMENT_CHARACTER, digits);
    };
    let low = behind.strip_prefix(b"\\u").and_then(code);
    match (high, low) {
        (0xd800..0xdc00, Some((low @ 0xdc00..0xe000, behind))) => {
            let both = 0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
            (
                char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER),
                behind,
            )
        }
        _ => (
            char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER),
            behind,
        ),
    }
}

fn code(digits: &[u8]) -> Option<(u32, &[u8])> {
    let (four, behind) = digits.split_first_chunk::<4>()?;
    let is_hex = four.iter().all(u8::is_ascii_hexdigit);
    let code = u32::from_str_radix(str::from_utf8(four).ok()?, 16).ok()?;
    is_hex.then_some((code, behind))
}

/// RFC 8259, section 7.
fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => {
                let mut escape = String::with_capacity(6);
                let _ = write!(escape, "\\u{byte:04x}");
                out.extend_from_slice(escape.as_bytes());
            }
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// RFC 8259, section 6.
fn is_number(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => {
            let (mantissa, exponent) = unsigned.split_at(at);
            (mantissa, exponent.get(1..))
        }
        None => (unsigned, None),
    };
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = mantissa.splitn(2, |byte| *byte == b'.');
    let whole = parts.next().unwrap_or_default();
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with(b"0"))
        && parts.next().is_none_or(digits)
        && exponent.is_none_or(|exponent| {
            digits(
                exponent
                    .strip_prefix(b"-")
                    .or(exponent.strip_prefix(b"+"))
                    .unwrap_or(exponent),
            )
        })
}
