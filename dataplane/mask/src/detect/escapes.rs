//! JSON that stands inside of a text: its strings have escapes, behind which values hide.

use std::ops::Range;

use super::{Class, ClassSet, scan};

/// The same as [`scan`], and also every value that a reader of JSON sees once it has resolved
/// the escapes of strings (RFC 8259, section 7): `123\u002d45-6789` is found as a whole. Ranges
/// are of the text as it stands.
pub fn scan_through(text: &str, wanted: ClassSet, found: &mut Vec<(Range<usize>, Class)>) {
    let before = found.len();
    scan(text.as_bytes(), wanted, found);
    if !text.contains('\\') {
        return;
    }
    let seen = Seen::of(text);
    let mut behind = Vec::new();
    scan(seen.text.as_bytes(), wanted, &mut behind);
    for (range, class) in behind {
        found.push((seen.at(range.start)..seen.at(range.end), class));
    }
    merge(found, before);
}

/// A text with its escapes resolved, and where each part of it came from.
struct Seen {
    text: String,
    /// In order; the last one is the end.
    pieces: Vec<Piece>,
}

/// A run of plain text, or what one escape stands for.
struct Piece {
    /// Where it begins in what is seen.
    seen: usize,
    /// Where it begins in the text.
    origin: usize,
    is_plain: bool,
}

impl Seen {
    fn of(text: &str) -> Self {
        let mut seen = Self {
            text: String::with_capacity(text.len()),
            pieces: Vec::new(),
        };
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let plain = rest.find('\\').unwrap_or(rest.len());
            seen.begin(at, plain > 0);
            if plain > 0 {
                seen.text.push_str(rest.get(..plain).unwrap_or_default());
                at += plain;
            } else {
                let (character, taken) = next(rest);
                seen.text.push(character);
                at += taken;
            }
        }
        seen.begin(text.len(), false);
        seen
    }

    fn begin(&mut self, origin: usize, is_plain: bool) {
        self.pieces.push(Piece {
            seen: self.text.len(),
            origin,
            is_plain,
        });
    }

    /// Where a character of what is seen came from; behind the end, the end.
    fn at(&self, index: usize) -> usize {
        let after = self.pieces.partition_point(|piece| piece.seen <= index);
        let piece = after.checked_sub(1).and_then(|at| self.pieces.get(at));
        piece.map_or(0, |piece| match piece.is_plain {
            true => piece.origin + (index - piece.seen),
            false => piece.origin,
        })
    }
}

/// The first character of a text that is not empty, and how many bytes it takes there.
fn next(text: &str) -> (char, usize) {
    let mut characters = text.chars();
    let first = characters.next().unwrap_or_default();
    let plain = (first, first.len_utf8());
    if first != '\\' {
        return plain;
    }
    match characters.next() {
        Some('u') => escaped(text).unwrap_or(plain),
        Some('n') => ('\n', 2),
        Some('r') => ('\r', 2),
        Some('t') => ('\t', 2),
        Some('b') => ('\u{8}', 2),
        Some('f') => ('\u{c}', 2),
        Some(other @ ('"' | '\\' | '/')) => (other, 2),
        Some(_) | None => plain,
    }
}

/// The character of `\uXXXX`, or of its two halves.
fn escaped(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let high = unit(0)?;
    if let Some(character) = char::from_u32(high) {
        return Some((character, 6));
    }
    let low = unit(6).filter(|low| (0xdc00..0xe000).contains(low))?;
    let high = (0xd800..0xdc00).contains(&high).then_some(high)?;
    let both = 0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
    Some((char::from_u32(both)?, 12))
}

/// In order, and those that overlap as one.
fn merge(found: &mut Vec<(Range<usize>, Class)>, before: usize) {
    let mut all = found.split_off(before);
    all.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    for (range, class) in all {
        match found.get_mut(before..).and_then(<[_]>::last_mut) {
            Some((last, _)) if range.start < last.end => last.end = last.end.max(range.end),
            Some(_) | None => found.push((range, class)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<(&str, Class)> {
        let mut found = Vec::new();
        let wanted = Class::ALL.iter().copied().collect();
        scan_through(text, wanted, &mut found);
        found
            .into_iter()
            .map(|(range, class)| (text.get(range).expect("characters"), class))
            .collect()
    }

    #[test]
    fn a_value_behind_escapes_is_found_where_it_stands() {
        for (text, value) in [
            (
                r#"{"ssn":"123\u002d45\u002D6789"}"#,
                r"123\u002d45\u002D6789",
            ),
            (
                r#"{"ssn":"\u0031\u00323-45-6789"}"#,
                r"\u0031\u00323-45-6789",
            ),
            (r#"a\nb 123-45-6789\n"#, "123-45-6789"),
            (r#"\n123-45-6789"#, "123-45-6789"),
        ] {
            assert_eq!(found(text), [(value, Class::Ssn)], "{text}");
        }
        let mail = r#"{"mail":"ada\u0040example.org"}"#;
        assert_eq!(found(mail), [(r"ada\u0040example.org", Class::Email)]);
    }

    #[test]
    fn what_is_no_escape_is_left_as_it_is() {
        for text in [
            r"\",
            r"\u12",
            r"\ud800",
            r"\ud800\u0041",
            r"\x123",
            "é\\u00e9",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
        assert_eq!(found(r"\u 123-45-6789"), [("123-45-6789", Class::Ssn)]);
    }

    /// The slow twin: an origin for each byte, and one for the end.
    fn twin(text: &str) -> (String, Vec<usize>) {
        let (mut seen, mut origins, mut at) = (String::new(), Vec::new(), 0);
        while !text[at..].is_empty() {
            let (character, taken) = next(&text[at..]);
            seen.push(character);
            origins.resize(seen.len(), at);
            at += taken;
        }
        origins.push(text.len());
        (seen, origins)
    }

    proptest! {
        #[test]
        fn what_is_seen_and_where_it_came_from_is_what_the_twin_says(
            text in r#"([\\un0-9a-f\"/]|[ -~]{0,40}|\\u00e9|\\ud83d\\ude00|é|😀){0,30}"#,
        ) {
            let (seen, (text, origins)) = (Seen::of(&text), twin(&text));
            prop_assert_eq!(&seen.text, &text);
            for index in (0..=text.len()).filter(|index| text.is_char_boundary(*index)) {
                prop_assert_eq!(seen.at(index), origins[index], "{}", index);
            }
        }

        /// Nothing that is found without looking behind escapes is lost, and ranges are in
        /// order, apart, and on characters.
        #[test]
        fn everything_that_is_found_plainly_is_covered(text in r#"([\\"un0-9a-f@. -]|123-45-6789|\\u002d|é){0,40}"#) {
            let wanted = Class::ALL.iter().copied().collect();
            let (mut plain, mut through) = (Vec::new(), Vec::new());
            scan(text.as_bytes(), wanted, &mut plain);
            scan_through(&text, wanted, &mut through);
            for (range, _) in &plain {
                prop_assert!(through.iter().any(|(all, _)| all.start <= range.start && range.end <= all.end));
            }
            let mut end = 0;
            for (range, _) in &through {
                prop_assert!(end <= range.start && text.get(range.clone()).is_some());
                end = range.end;
            }
        }
    }
}
