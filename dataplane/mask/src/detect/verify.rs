//! Whether a candidate is a value, and where it ends. Each looks at a bounded number of bytes.

use std::ops::Range;

use super::class::{Class, ClassSet};
use crate::limits::VALUE_BYTES_MAX;

/// Longest local part and domain (RFC 5321, section 4.5.3.1).
const LOCAL_BYTES_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 255;
/// Digits of the longest payment card (ISO/IEC 7812-1) and of the shortest in use.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Characters of the longest account number (ISO 13616) and of the shortest in use, Norway's.
const IBAN_CHARACTERS: std::ops::RangeInclusive<usize> = 15..=34;
/// Digits after the `+` (ITU-T E.164), and how few still make a number.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// Longest API key that is followed.
const KEY_BYTES_MAX: usize = 255;

/// The value at a candidate's position, in this order of classes where several fit.
pub(super) fn value(text: &[u8], at: usize, wanted: ClassSet) -> Option<(Range<usize>, Class)> {
    let first = *text.get(at)?;
    let found = |class: Class, check: fn(&[u8], usize) -> Option<Range<usize>>| {
        if wanted.contains(class) {
            check(text, at).map(|range| (range, class))
        } else {
            None
        }
    };
    match first {
        b'@' => found(Class::Email, email),
        b'+' => found(Class::Phone, phone_abroad),
        b'0'..=b'9' => found(Class::Ssn, ssn)
            .or_else(|| found(Class::PaymentCard, payment_card))
            .or_else(|| found(Class::Phone, phone_at_home)),
        b'e' => found(Class::Jwt, jwt),
        _ => found(Class::ApiKey, api_key).or_else(|| found(Class::Iban, iban)),
    }
}

fn byte(text: &[u8], at: usize) -> Option<u8> {
    text.get(at).copied()
}

fn before(text: &[u8], at: usize) -> Option<u8> {
    at.checked_sub(1).and_then(|at| byte(text, at))
}

fn digit(text: &[u8], at: usize) -> bool {
    byte(text, at).is_some_and(|byte| byte.is_ascii_digit())
}

fn digits(text: &[u8], range: Range<usize>) -> bool {
    text.get(range)
        .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
}

fn is_alphanumeric(byte: Option<u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric())
}

fn run(text: &[u8], at: usize, most: usize, belongs: fn(u8) -> bool) -> usize {
    text.get(at..)
        .unwrap_or_default()
        .iter()
        .take(most)
        .take_while(|byte| belongs(**byte))
        .count()
}

/// `ddd-dd-dddd`; 000, 00 and 0000 are nobody's. Numbers for taxpayers (9xx) look the same.
fn ssn(text: &[u8], at: usize) -> Option<Range<usize>> {
    let number = text.get(at..at.checked_add(11)?)?;
    let [a @ .., s1, _, _, s2, _, _, _, _] = number.first_chunk::<11>()?;
    let (group, serial) = (number.get(4..6)?, number.get(7..)?);
    let shaped = s1 == s2
        && matches!(s1, b'-' | b' ' | b'.')
        && [a.as_slice(), group, serial]
            .iter()
            .all(|part| part.iter().all(u8::is_ascii_digit));
    let issued = a != b"000" && group != b"00" && serial != b"0000";
    let alone =
        !digit(text, at + 11) && !before(text, at).is_some_and(|byte| byte.is_ascii_digit());
    (shaped && issued && alone).then_some(at..at + 11)
}

/// Digits with at most one space or hyphen between two of them, at least three in the first group.
/// The longest run that passes wins.
fn payment_card(text: &[u8], at: usize) -> Option<Range<usize>> {
    // No scheme issues numbers that start with 0, 1 or 7; times in milliseconds start with 1.
    if !matches!(byte(text, at)?, b'2'..=b'6' | b'8' | b'9') || !digits(text, at..at + 3) {
        return None;
    }
    let (mut number, mut best) = ([0; 19], None);
    let (mut count, mut here) = (0, at);
    while let (Some(slot), Some(next)) = (number.get_mut(count), byte(text, here)) {
        if next.is_ascii_digit() {
            *slot = next - b'0';
            (count, here) = (count + 1, here + 1);
            let ends = !is_alphanumeric(byte(text, here));
            if ends && CARD_DIGITS.contains(&count) && number.get(..count).is_some_and(luhn) {
                best = Some(at..here);
            }
        } else if matches!(next, b' ' | b'-') && digit(text, here + 1) && count > 0 {
            here += 1;
        } else {
            break;
        }
    }
    best
}

/// ISO/IEC 7812-1, annex B.
fn luhn(number: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = number
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            u32::from(if index % 2 == 1 {
                doubled(*digit)
            } else {
                *digit
            })
        })
        .sum();
    sum.is_multiple_of(10)
}

/// `ddd-ddd-dddd` with `-`, `.` or a space, or `(ddd) ddd-dddd`; area and exchange start with 2 to 9.
fn phone_at_home(text: &[u8], at: usize) -> Option<Range<usize>> {
    let opened = before(text, at) == Some(b'(');
    let exchange = if opened {
        if byte(text, at + 3) != Some(b')') {
            return None;
        }
        at + 4 + usize::from(byte(text, at + 4) == Some(b' '))
    } else {
        if !matches!(byte(text, at + 3), Some(b'-' | b'.' | b' ')) {
            return None;
        }
        at + 4
    };
    let line = exchange + 4;
    let shaped = digits(text, at..at + 3)
        && digits(text, exchange..exchange + 3)
        && matches!(byte(text, exchange + 3), Some(b'-' | b'.' | b' '))
        && digits(text, line..line + 4);
    let numbered = [at, exchange]
        .iter()
        .all(|start| matches!(byte(text, *start), Some(b'2'..=b'9')));
    (shaped && numbered && !is_alphanumeric(byte(text, line + 4)))
        .then_some(at - usize::from(opened)..line + 4)
}

/// `+` and digits, with spaces, hyphens, dots and parentheses between them.
fn phone_abroad(text: &[u8], at: usize) -> Option<Range<usize>> {
    if is_alphanumeric(before(text, at)) {
        return None;
    }
    let (mut count, mut end, mut gap) = (0, at, 0);
    for (offset, next) in text.get(at + 1..)?.iter().enumerate() {
        match next {
            b'0'..=b'9' => {
                (count, end, gap) = (count + 1, at + 2 + offset, 0);
                if count > *PHONE_DIGITS.end() {
                    return None;
                }
            }
            b' ' | b'-' | b'.' | b'(' | b')' if gap < 2 => gap += 1,
            _ => break,
        }
    }
    (PHONE_DIGITS.contains(&count) && !is_alphanumeric(byte(text, end))).then_some(at..end)
}

/// Two letters, two check digits, then letters and digits, in one or in groups parted by one space.
fn iban(text: &[u8], at: usize) -> Option<Range<usize>> {
    let head = text.get(at..)?.first_chunk::<4>()?;
    let shaped = matches!(head, [b'A'..=b'Z', b'A'..=b'Z', b'0'..=b'9', b'0'..=b'9']);
    if !shaped || is_alphanumeric(before(text, at)) {
        return None;
    }
    let (mut number, mut best) = ([0; 34], None);
    let (mut count, mut here) = (0, at);
    while let (Some(slot), Some(next)) = (number.get_mut(count), byte(text, here)) {
        if next.is_ascii_uppercase() || next.is_ascii_digit() {
            *slot = next;
            (count, here) = (count + 1, here + 1);
            let ends = !is_alphanumeric(byte(text, here));
            if ends && IBAN_CHARACTERS.contains(&count) && number.get(..count).is_some_and(mod_97) {
                best = Some(at..here);
            }
        } else if next == b' ' && count.is_multiple_of(4) && is_alphanumeric(byte(text, here + 1)) {
            here += 1;
        } else {
            break;
        }
    }
    best
}

/// ISO 7064, MOD 97-10, over the number with its first four characters moved to the end.
fn mod_97(number: &[u8]) -> bool {
    let Some((head, body)) = number.split_at_checked(4) else {
        return false;
    };
    let remainder = body
        .iter()
        .chain(head)
        .fold(0_u32, |all, character| match character {
            b'0'..=b'9' => (all * 10 + u32::from(character - b'0')) % 97,
            letter => (all * 100 + u32::from(letter.saturating_sub(b'A')) + 10) % 97,
        });
    remainder == 1
}

/// `at` is the `@`. Letters beyond ASCII may stand on both sides (RFC 6531).
fn email(text: &[u8], at: usize) -> Option<Range<usize>> {
    let of_local = |byte: u8| {
        byte.is_ascii_alphanumeric() || byte >= 0x80 || b"._%+-'!#$&*/=?^`{|}~".contains(&byte)
    };
    let of_domain =
        |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'.' | b'-');
    let local = text
        .get(..at)?
        .iter()
        .rev()
        .take(LOCAL_BYTES_MAX)
        .take_while(|byte| of_local(**byte))
        .count();
    // Not within a character, and not with punctuation that belongs to the text around it.
    let of_prose = |byte: &u8| byte & 0xc0 == 0x80 || b".'/=?&|`{*".contains(byte);
    let start = at - local
        + text
            .get(at - local..at)?
            .iter()
            .take_while(|byte| of_prose(byte))
            .count();
    let domain = text.get(at + 1..)?;
    let length = domain
        .iter()
        .take(DOMAIN_BYTES_MAX)
        .take_while(|byte| of_domain(**byte))
        .count();
    let trailing = domain
        .get(..length)?
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b'.' | b'-'))
        .count();
    let domain = domain.get(..length - trailing)?;
    let point = domain.iter().rposition(|byte| *byte == b'.')?;
    let top = domain.get(point + 1..)?;
    let named = top.len() >= 2
        && top
            .iter()
            .all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80 || *byte == b'-');
    let labelled = !domain.starts_with(b".") && !domain.array_windows().any(|pair| pair == b"..");
    (start < at && named && labelled).then_some(start..at + 1 + domain.len())
}

fn of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Three parts in base64url, of which the first two start as a JSON object does (RFC 7515, section
/// 7.1); an unsecured token's third part is empty.
fn jwt(text: &[u8], at: usize) -> Option<Range<usize>> {
    if before(text, at).is_some_and(of_token) || !text.get(at..)?.starts_with(b"eyJ") {
        return None;
    }
    let header = run(text, at, VALUE_BYTES_MAX, of_token);
    let payload_at = at + header + 1;
    let payload = run(text, payload_at, VALUE_BYTES_MAX, of_token);
    let signature_at = payload_at + payload + 1;
    let shaped = header >= 10
        && byte(text, at + header) == Some(b'.')
        && text
            .get(payload_at..)
            .is_some_and(|rest| rest.starts_with(b"ey"))
        && byte(text, payload_at + payload) == Some(b'.');
    shaped.then(|| at..signature_at + run(text, signature_at, VALUE_BYTES_MAX, of_token))
}

/// The published shapes of AWS, GitHub, Slack, and of the many that start with `sk-`.
fn api_key(text: &[u8], at: usize) -> Option<Range<usize>> {
    if before(text, at).is_some_and(of_token) {
        return None;
    }
    let rest = text.get(at..)?;
    let has = |prefix: &[u8]| rest.starts_with(prefix);
    let of_aws = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let tail = |prefix: usize, least: usize, belongs: fn(u8) -> bool| {
        let length = run(text, at + prefix, KEY_BYTES_MAX, belongs);
        (length >= least).then_some(at..at + prefix + length)
    };
    if has(b"AKIA") || has(b"ASIA") {
        let range = tail(4, 16, of_aws)?;
        return (range.len() == 20 && !byte(text, range.end).is_some_and(of_token))
            .then_some(range);
    }
    if has(b"github_pat_") {
        return tail(11, 22, of_token);
    }
    match rest.first_chunk::<5>()? {
        [b'g', b'h', b'p' | b'o' | b'u' | b's' | b'r', b'_', _] => tail(4, 36, of_token),
        [b's', b'k', b'-', ..] => tail(3, 20, of_token),
        [
            b'x',
            b'o',
            b'x',
            b'a' | b'b' | b'e' | b'p' | b'r' | b's',
            b'-',
        ] => tail(5, 10, of_token),
        _ => None,
    }
}
