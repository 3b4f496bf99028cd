//! Masks of JSON, floats, booleans and UUIDs: constants and hashes of their type, or nothing.

use weir_facts::MaskRule;

use super::Format;
use super::hex::hex;
use super::kind::Kind;
use crate::MaskKey;

/// A JSON string (RFC 8259, section 7) in place of any JSON value.
pub(super) fn json(rule: &MaskRule, key: &MaskKey, value: &[u8]) -> Option<Vec<u8>> {
    match rule {
        MaskRule::Hash => Some(quoted(&hex(&key.hash(value)))),
        MaskRule::Fixed(shown) => Some(quoted(shown.as_bytes())),
        MaskRule::KeepFirst(_)
        | MaskRule::KeepLast(_)
        | MaskRule::Redact
        | MaskRule::Null
        | MaskRule::PartialEmail
        | MaskRule::DateYear
        | MaskRule::Digits => None,
    }
}

/// `jsonb_send` writes a version number, 1, and then text.
pub(super) fn jsonb(
    rule: &MaskRule,
    key: &MaskKey,
    format: Format,
    value: &[u8],
) -> Option<Vec<u8>> {
    match format {
        Format::Text => json(rule, key, value),
        Format::Binary => {
            let mut shown = json(rule, key, value.strip_prefix(&[1])?)?;
            shown.insert(0, 1);
            Some(shown)
        }
    }
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            0..=0x1f => {
                out.extend(b"\\u00");
                out.extend(hex(&[*byte]));
            }
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
    out
}

/// The text of `fixed:…`, which is the only rule that constants come from.
pub(super) fn fixed(rule: &MaskRule) -> Option<&str> {
    match rule {
        MaskRule::Fixed(shown) => Some(shown),
        MaskRule::KeepFirst(_)
        | MaskRule::KeepLast(_)
        | MaskRule::Redact
        | MaskRule::Null
        | MaskRule::Hash
        | MaskRule::PartialEmail
        | MaskRule::DateYear
        | MaskRule::Digits => None,
    }
}

pub(super) fn float(rule: &MaskRule, kind: Kind, format: Format) -> Option<Vec<u8>> {
    let constant: f64 = fixed(rule)?
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the operator wrote a constant for a column of this precision"
    )]
    let narrow = constant as f32;
    Some(match (format, kind == Kind::Float4) {
        (Format::Text, true) => narrow.to_string().into_bytes(),
        (Format::Text, false) => constant.to_string().into_bytes(),
        (Format::Binary, true) => narrow.to_be_bytes().to_vec(),
        (Format::Binary, false) => constant.to_be_bytes().to_vec(),
    })
}

pub(super) fn boolean(rule: &MaskRule, format: Format) -> Option<Vec<u8>> {
    let truth = match fixed(rule)? {
        "t" | "true" => true,
        "f" | "false" => false,
        _ => return None,
    };
    Some(match format {
        Format::Text => vec![if truth { b't' } else { b'f' }],
        Format::Binary => vec![u8::from(truth)],
    })
}

/// Hashes to a UUID of version 8 (RFC 9562, section 5.8), so that it stays one.
pub(super) fn uuid(
    rule: &MaskRule,
    key: &MaskKey,
    format: Format,
    value: &[u8],
) -> Option<Vec<u8>> {
    let shown = match (rule, format) {
        (MaskRule::Hash, Format::Binary) => version_8(key.hash(value)),
        (MaskRule::Hash, Format::Text) => {
            version_8(key.hash(&uuid_bytes(str::from_utf8(value).ok()?)?))
        }
        (other, _) => uuid_bytes(fixed(other)?)?,
    };
    Some(match format {
        Format::Binary => shown.to_vec(),
        Format::Text => {
            let digits = hex(&shown);
            let groups = [0..8, 8..12, 12..16, 16..20, 20..32]
                .map(|group| digits.get(group).unwrap_or_default());
            groups.join(&b'-')
        }
    })
}

fn version_8(mut bytes: [u8; 16]) -> [u8; 16] {
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = *version & 0x0f | 0x80;
    *variant = *variant & 0x3f | 0x80;
    bytes
}

/// 32 hexadecimal digits in the groups of RFC 9562, section 4.
fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let hyphens = text
        .bytes()
        .enumerate()
        .all(|(at, byte)| matches!(at, 8 | 13 | 18 | 23) == (byte == b'-'));
    if text.len() != 36 || !hyphens {
        return None;
    }
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    let clean = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    clean
        .then(|| u128::from_str_radix(&digits, 16).ok())
        .flatten()
        .map(u128::to_be_bytes)
}
