//! Where a syntax error is. The binding to PostgreSQL's grammar tells its message and not its place;
//! but the message quotes the token that the grammar stumbled over, and it stumbles over the same
//! token in the beginning of the text that ends with it.

use std::ops::Range;

use crate::limits::{POSITION_PROBES_MAX, POSITION_TEXT_BYTES_MAX};

/// How messages of the scanner and the grammar end.
const AT_END: &str = " at end of input";
const AT_TOKEN: &str = " at or near \"";

/// The byte at which `text` failed with `message`; `fails` says whether a beginning of it fails with
/// the same one.
pub(crate) fn of_error(text: &str, message: &str, fails: impl Fn(&str) -> bool) -> Option<usize> {
    if message.ends_with(AT_END) {
        return Some(text.len());
    }
    if text.len() > POSITION_TEXT_BYTES_MAX {
        return None;
    }
    let (_, quoted) = message.split_once(AT_TOKEN)?;
    let token = quoted.strip_suffix('"').filter(|token| !token.is_empty())?;
    let places = text
        .match_indices(token)
        .map(|(at, _)| at..at + token.len());
    // The grammar reads from left to right: behind the first beginning that fails, all do.
    let places = places.filter(|place| is_whole(text, place));
    let mut probed = places.take(POSITION_PROBES_MAX);
    let found = probed.find(|place| text.get(..place.end).is_some_and(&fails));
    found.map(|place| place.start)
}

/// Whether a token could end there: no word goes on behind it.
fn is_whole(text: &str, token: &Range<usize>) -> bool {
    let is_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let (before, behind) = (text.get(..token.end), text.get(token.end..));
    let last = before.and_then(|text| text.chars().next_back());
    let next = behind.and_then(|text| text.chars().next());
    !(last.is_some_and(is_of_word) && next.is_some_and(is_of_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PostgreSQL 15 says to each: the character that `psql` points to, from 1.
    const KNOWN: [(&str, Option<usize>); 14] = [
        ("SELEC 1", Some(1)),
        ("SELECT 1 +", Some(11)),
        ("SELECT 1 + ", Some(12)),
        ("SELECT a FROM b WHERE a a a", Some(25)),
        ("SELECT ), ')', \")\" FROM x", Some(8)),
        ("SELECT ')', \")\" /* ) */ FROM x)", Some(31)),
        ("SELECT 1; SELEC 2", Some(11)),
        ("SELECT 'é漢' FRM x y", Some(17)),
        ("SELECT 1 FROM FROM", Some(15)),
        ("SELECT * FROM a WHERE x NOT y", Some(25)),
        ("SELECT 'abc", Some(8)),
        ("SELECT \"abc", Some(8)),
        ("INSERT INTO t VALUES (1,,2)", Some(25)),
        ("", None),
    ];

    fn place(text: &str) -> Option<usize> {
        let message = |text: &str| match pg_raw_parse::parse(text) {
            Err(pg_raw_parse::Error::Parse(error)) => Some(error.to_string()),
            Err(_) | Ok(_) => None,
        };
        let said = message(text)?;
        let at = of_error(text, &said, |text| message(text).as_ref() == Some(&said))?;
        Some(text[..at].chars().count() + 1)
    }

    #[test]
    fn the_place_is_where_postgresql_points_to() {
        for (text, wanted) in KNOWN {
            assert_eq!(place(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_place_is_not_looked_for_without_end() {
        let many = format!(
            "SELECT {} FROM FROM",
            "'FROM', ".repeat(POSITION_PROBES_MAX)
        );
        assert_eq!(place(&many), None);
        let long = format!("SELECT '{}' FROM FROM", "x".repeat(POSITION_TEXT_BYTES_MAX));
        assert_eq!(place(&long), None);
    }
}
