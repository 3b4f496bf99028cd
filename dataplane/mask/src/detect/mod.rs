//! Finds sensitive values in text whose meaning nobody declared.
//!
//! One pass over 64-byte blocks finds where a value could start; the few candidates are verified
//! byte by byte (check digits, boundaries). Time is linear in the text, and nothing is
//! allocated but the findings.

mod block;
mod candidates;
mod class;
mod escapes;
mod verify;

use std::ops::Range;

pub use class::{Class, ClassSet};
pub use escapes::scan_through;

use candidates::Wanted;

/// Appends every value of a wanted class, in order of where it starts; ranges do not overlap and
/// lie on boundaries of characters if the text is UTF-8. Of values that overlap an e-mail address
/// wins, then the one that starts first.
///
/// The text is one whole string: what is cut by its end is not found. Text that must be looked at
/// in windows needs an overlap of the longest value that matters ([`crate::limits::VALUE_BYTES_MAX`]
/// per part of a token), and findings that touch a window's end count only in the next window.
pub fn scan(text: &[u8], wanted: ClassSet, found: &mut Vec<(Range<usize>, Class)>) {
    let before = found.len();
    Wanted::new(wanted).each(text, |at| add(text, at, wanted, before, found));
}

fn add(
    text: &[u8],
    at: usize,
    wanted: ClassSet,
    before: usize,
    found: &mut Vec<(Range<usize>, Class)>,
) {
    let ends = |found: &[(Range<usize>, Class)]| {
        found
            .get(before..)
            .and_then(<[_]>::last)
            .map_or(0, |(last, _)| last.end)
    };
    if at < ends(found) {
        return;
    }
    let Some((mut range, class)) = verify::value(text, at, wanted) else {
        return;
    };
    // Only an e-mail address starts before its candidate, and then it may hold what was found.
    while found.len() > before
        && found
            .last()
            .is_some_and(|(last, _)| last.start >= range.start)
    {
        found.pop();
    }
    range.start = range.start.max(ends(found));
    if range.start < at || class != Class::Email {
        found.push((range, class));
    }
}

#[cfg(test)]
mod tests;
