//! Masks of `bytea`.

use weir_facts::MaskRule;

use super::hex::{hex, unhex};
use super::string::HIDDEN;
use super::{Format, Masked};
use crate::MaskKey;

pub(super) fn mask(rule: &MaskRule, key: &MaskKey, format: Format, value: &mut [u8]) -> Masked {
    match format {
        Format::Binary => raw(rule, key, value),
        // Text is `\x` and hexadecimal digits, or the old escape format, which is not read here.
        Format::Text => match value.strip_prefix(b"\\x").and_then(unhex) {
            None => Masked::Null,
            Some(mut bytes) => match raw(rule, key, &mut bytes) {
                Masked::InPlace => Masked::Replaced(written(&bytes)),
                Masked::Replaced(shown) => Masked::Replaced(written(&shown)),
                Masked::Null => Masked::Null,
            },
        },
    }
}

fn raw(rule: &MaskRule, key: &MaskKey, value: &mut [u8]) -> Masked {
    let length = value.len();
    // What would keep everything keeps nothing.
    let kept = |count: u8| {
        if usize::from(count) < length {
            usize::from(count)
        } else {
            0
        }
    };
    let hidden = match rule {
        MaskRule::Redact => value,
        MaskRule::KeepFirst(count) => value.get_mut(kept(*count)..).unwrap_or_default(),
        MaskRule::KeepLast(count) => value.get_mut(..length - kept(*count)).unwrap_or_default(),
        MaskRule::Hash => return Masked::Replaced(key.hash(value).to_vec()),
        MaskRule::Fixed(shown) => return Masked::Replaced(shown.as_bytes().to_vec()),
        MaskRule::Null | MaskRule::PartialEmail | MaskRule::DateYear | MaskRule::Digits => {
            return Masked::Null;
        }
    };
    hidden.fill(HIDDEN);
    Masked::InPlace
}

fn written(bytes: &[u8]) -> Vec<u8> {
    let mut text = b"\\x".to_vec();
    text.extend(hex(bytes));
    text
}
