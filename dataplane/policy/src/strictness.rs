//! Of several masks, the strictest.
//!
//! From strictest to mildest, by what a value still tells:
//!
//! 1. `null`: nothing.
//! 2. `fixed:…`: that there is a value. Of two, the first in order of text.
//! 3. `redact`: its length.
//! 4. `keep_first:N` among themselves and `keep_last:N` among themselves: the smaller N.
//! 5. Two different kinds of the rest (`hash`, `keep_first`, `keep_last`, `partial_email`,
//!    `date_year`, `digits`) tell different things, and neither author agreed to the other's:
//!    `redact`.

use weir_facts::MaskRule;

/// The rule that shows nothing that either of two would hide.
pub(crate) fn strictest(a: MaskRule, b: MaskRule) -> MaskRule {
    use MaskRule::{
        DateYear, Digits, Fixed, Hash, KeepFirst, KeepLast, Null, PartialEmail, Redact,
    };
    match (a, b) {
        (Null, _) | (_, Null) => Null,
        (Fixed(a), Fixed(b)) => Fixed(a.min(b)),
        (fixed @ Fixed(_), _) | (_, fixed @ Fixed(_)) => fixed,
        (Redact, _) | (_, Redact) => Redact,
        (Hash, Hash) => Hash,
        (KeepFirst(a), KeepFirst(b)) => KeepFirst(a.min(b)),
        (KeepLast(a), KeepLast(b)) => KeepLast(a.min(b)),
        (PartialEmail, PartialEmail) => PartialEmail,
        (DateYear, DateYear) => DateYear,
        (Digits, Digits) => Digits,
        (Hash | KeepFirst(_) | KeepLast(_) | PartialEmail | DateYear | Digits, _) => Redact,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &[&str] = &[
        "null",
        "fixed:a",
        "fixed:b",
        "redact",
        "hash",
        "keep_first:1",
        "keep_first:4",
        "keep_last:1",
        "keep_last:4",
        "partial_email",
        "date_year",
        "digits",
    ];

    fn of(a: &str, b: &str) -> String {
        strictest(a.parse().expect(a), b.parse().expect(b)).to_string()
    }

    #[test]
    fn order_and_repetition_of_masks_do_not_matter() {
        for a in RULES {
            assert_eq!(of(a, a), *a);
            for b in RULES {
                assert_eq!(of(a, b), of(b, a));
                for c in RULES {
                    assert_eq!(of(&of(a, b), c), of(a, &of(b, c)), "{a} {b} {c}");
                }
            }
        }
    }

    #[test]
    fn masks_that_show_different_parts_show_none_together() {
        assert_eq!(of("keep_last:4", "keep_first:1"), "redact");
        assert_eq!(of("keep_last:4", "keep_last:1"), "keep_last:1");
        assert_eq!(of("partial_email", "keep_last:4"), "redact");
        assert_eq!(of("redact", "keep_last:4"), "redact");
        assert_eq!(of("hash", "digits"), "redact");
    }
}
