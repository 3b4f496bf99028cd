//! Masks of character strings.

use weir_facts::MaskRule;

use super::hex::hex;
use super::{Masked, calendar};
use crate::MaskKey;

/// What stands for a hidden character.
pub(crate) const HIDDEN: u8 = b'*';

/// Masks a string in place, as long as no character of more than one byte is hidden.
pub(crate) fn mask(rule: &MaskRule, key: &MaskKey, value: &mut [u8]) -> Masked {
    match rule {
        MaskRule::Null => Masked::Null,
        MaskRule::Fixed(shown) => Masked::Replaced(shown.as_bytes().to_vec()),
        MaskRule::Hash => Masked::Replaced(hex(&key.hash(value))),
        MaskRule::Redact => keep(value, 0, 0),
        MaskRule::KeepFirst(count) => keep_first(value, usize::from(*count)),
        MaskRule::KeepLast(count) => keep_last(value, usize::from(*count)),
        MaskRule::PartialEmail => partial_email(value),
        MaskRule::DateYear => {
            match calendar::iso_year(value).filter(|_| value.len() == calendar::ISO_DATE_BYTES) {
                Some(_) => first_of_january(value),
                None => keep(value, 0, 0),
            }
        }
        MaskRule::Digits => digits(key, value),
    }
}

fn keep_first(value: &mut [u8], count: usize) -> Masked {
    let Some(text) = text(value) else {
        return keep(value, 0, 0);
    };
    // Where the first hidden character starts; without one, nothing would be hidden.
    match text.char_indices().nth(count) {
        Some((at, _)) => keep(value, at, 0),
        None => keep(value, 0, 0),
    }
}

fn keep_last(value: &mut [u8], count: usize) -> Masked {
    let Some(text) = text(value) else {
        return keep(value, 0, 0);
    };
    let kept: usize = text.chars().rev().take(count).map(char::len_utf8).sum();
    if kept == value.len() {
        keep(value, 0, 0)
    } else {
        keep(value, 0, kept)
    }
}

/// The value as text. Only a server in SQL_ASCII has others; of those everything is hidden.
fn text(value: &[u8]) -> Option<&str> {
    str::from_utf8(value).ok()
}

/// Hides every character but those of the first and the last bytes, both counts on boundaries of
/// characters. Bytes that are no UTF-8 are hidden one by one.
fn keep(value: &mut [u8], first: usize, last: usize) -> Masked {
    let Some(hidden) = value
        .len()
        .checked_sub(last)
        .and_then(|end| value.get_mut(first..end))
    else {
        return Masked::Null;
    };
    if hidden.is_ascii() || str::from_utf8(hidden).is_err() {
        hidden.fill(HIDDEN);
        return Masked::InPlace;
    }
    let characters = str::from_utf8(hidden).map_or(0, |text| text.chars().count());
    let mut shown = Vec::with_capacity(first + characters + last);
    shown.extend_from_slice(value.get(..first).unwrap_or_default());
    shown.resize(first + characters, HIDDEN);
    shown.extend_from_slice(value.get(value.len() - last..).unwrap_or_default());
    Masked::Replaced(shown)
}

/// The first character of the local part and the domain stay (RFC 5321, section 4.1.2). What is no
/// address is hidden whole, and so is a local part of one character.
fn partial_email(value: &mut [u8]) -> Masked {
    let Some((local, domain)) = text(value).and_then(|text| text.rsplit_once('@')) else {
        return keep(value, 0, 0);
    };
    let of_domain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if local.is_empty() || domain.is_empty() || !domain.bytes().all(of_domain) {
        return keep(value, 0, 0);
    }
    let last = domain.len() + 1;
    let mut characters = local.char_indices();
    let _first = characters.next();
    match characters.next() {
        Some((at, _)) => keep(value, at, last),
        None => keep(value, 0, last),
    }
}

fn first_of_january(value: &mut [u8]) -> Masked {
    match value.last_chunk_mut::<5>() {
        Some(rest) => {
            *rest = *b"01-01";
            Masked::InPlace
        }
        None => Masked::Null,
    }
}

fn digits(key: &MaskKey, value: &mut [u8]) -> Masked {
    let original = value.to_vec();
    let places = value.iter_mut().filter(|byte| byte.is_ascii_digit());
    for (place, digit) in places.zip(key.digits(&original)) {
        *place = b'0' + digit;
    }
    Masked::InPlace
}
