//! Arrays, element by element (documentation, "Arrays"; `array_out` and `array_send`).

use super::{Format, Masked};

/// `MAXDIM`.
const DIMENSIONS_MAX: usize = 6;

/// Changes every element that is not NULL. What cannot be read becomes NULL as a whole.
pub(super) fn mask(
    element: u32,
    format: Format,
    value: &mut [u8],
    change: impl FnMut(&mut [u8]) -> Masked,
) -> Masked {
    match changed(element, format, value, change) {
        Some(shown) if shown.len() == value.len() => {
            value.copy_from_slice(&shown);
            Masked::InPlace
        }
        other => Masked::or_null(other),
    }
}

/// The array with every element changed; `None` if it cannot be read.
pub(crate) fn changed(
    element: u32,
    format: Format,
    value: &[u8],
    change: impl FnMut(&mut [u8]) -> Masked,
) -> Option<Vec<u8>> {
    match format {
        Format::Text => text(value, change),
        Format::Binary => binary(element, value, change),
    }
}

/// `[1:2][0:1]={{a,"b c"},{NULL,d}}`, the bounds only where one is not 1.
fn text(value: &[u8], mut change: impl FnMut(&mut [u8]) -> Masked) -> Option<Vec<u8>> {
    let start = bounds(value)?;
    let mut out = Vec::with_capacity(value.len());
    out.extend_from_slice(value.get(..start)?);
    let mut rest = value.get(start..)?;
    let mut depth = 0_usize;
    // What may come next: an element or an array, which only at its beginning may have none.
    let (mut wants_element, mut may_close) = (true, false);
    loop {
        let (first, behind) = rest.split_first()?;
        match first {
            b'{' if wants_element && depth < DIMENSIONS_MAX => {
                depth += 1;
                may_close = true;
                rest = behind;
                out.push(b'{');
            }
            b'}' if may_close => {
                depth -= 1;
                wants_element = false;
                rest = behind;
                out.push(b'}');
                if depth == 0 {
                    return rest.is_empty().then_some(out);
                }
            }
            b',' if !wants_element => {
                (wants_element, may_close) = (true, false);
                rest = behind;
                out.push(b',');
            }
            _ if wants_element && depth > 0 => {
                let (mut element, behind) = element(rest)?;
                rest = behind;
                (wants_element, may_close) = (false, true);
                match element.as_mut().map(|element| change(element)) {
                    None | Some(Masked::Null) => out.extend_from_slice(b"NULL"),
                    Some(Masked::InPlace) => put(&element?, &mut out),
                    Some(Masked::Replaced(shown)) => put(&shown, &mut out),
                }
            }
            _ => return None,
        }
    }
}

/// Where the array itself begins, behind its bounds.
fn bounds(value: &[u8]) -> Option<usize> {
    if value.first() != Some(&b'[') {
        return Some(0);
    }
    let end = value.iter().position(|byte| *byte == b'=')?;
    let is_bounds = value
        .get(..end)?
        .iter()
        .all(|byte| matches!(byte, b'[' | b']' | b':' | b'-' | b'0'..=b'9'));
    is_bounds.then_some(end + 1)
}

/// An element without quotes and escapes, `None` for NULL, and what comes behind it.
fn element(rest: &[u8]) -> Option<(Option<Vec<u8>>, &[u8])> {
    let Some(mut quoted) = rest.strip_prefix(b"\"") else {
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b',' | b'}'))
            .filter(|end| *end > 0)?;
        let (plain, behind) = rest.split_at_checked(end)?;
        let is_plain = !plain.iter().any(|byte| matches!(byte, b'"' | b'\\' | b'{'));
        let value = (!plain.eq_ignore_ascii_case(b"NULL")).then(|| plain.to_vec());
        return is_plain.then_some((value, behind));
    };
    let mut value = Vec::new();
    loop {
        match quoted {
            [b'"', behind @ ..] => return Some((Some(value), behind)),
            [b'\\', escaped, behind @ ..] => {
                value.push(*escaped);
                quoted = behind;
            }
            [plain, behind @ ..] => {
                value.push(*plain);
                quoted = behind;
            }
            [] => return None,
        }
    }
}

/// Writes an element as `array_out` does.
fn put(value: &[u8], out: &mut Vec<u8>) {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',' | b' ' | 9..=13);
    if !value.is_empty() && !value.eq_ignore_ascii_case(b"NULL") && !value.iter().any(is_special) {
        out.extend_from_slice(value);
        return;
    }
    out.push(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Dimensions, whether there are NULLs, the element's type; for each dimension its length and
/// lower bound; then each element behind its length, −1 for NULL. All words have 32 bits.
fn binary(
    element: u32,
    value: &[u8],
    mut change: impl FnMut(&mut [u8]) -> Masked,
) -> Option<Vec<u8>> {
    let mut rest = value;
    let dimensions = usize::try_from(word(&mut rest)?).ok()?;
    let has_nulls = word(&mut rest)?;
    let of = u32::from_be_bytes(word(&mut rest)?.to_be_bytes());
    if dimensions > DIMENSIONS_MAX || !matches!(has_nulls, 0 | 1) || of != element {
        return None;
    }
    let mut count = usize::from(dimensions > 0);
    for _ in 0..dimensions {
        let length = usize::try_from(word(&mut rest)?).ok()?;
        let _lower = word(&mut rest)?;
        count = count.checked_mul(length)?;
    }
    let mut out = value.get(..value.len() - rest.len())?.to_vec();
    let mut has_nulls = false;
    for _ in 0..count {
        let mut element = match word(&mut rest)? {
            -1 => None,
            length => {
                let (bytes, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                rest = behind;
                Some(bytes.to_vec())
            }
        };
        let shown = match element.as_mut().map(|element| change(element)) {
            None | Some(Masked::Null) => None,
            Some(Masked::InPlace) => element,
            Some(Masked::Replaced(shown)) => Some(shown),
        };
        has_nulls |= shown.is_none();
        let length = shown
            .as_ref()
            .map_or(Ok(-1), |shown| i32::try_from(shown.len()));
        out.extend_from_slice(&length.ok()?.to_be_bytes());
        out.extend_from_slice(&shown.unwrap_or_default());
    }
    out.get_mut(4..8)?
        .copy_from_slice(&i32::from(has_nulls).to_be_bytes());
    rest.is_empty().then_some(out)
}

fn word(rest: &mut &[u8]) -> Option<i32> {
    let (word, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(i32::from_be_bytes(*word))
}
