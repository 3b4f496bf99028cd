//! Replacements in a body that is otherwise left as it came.

use std::ops::Range;

use super::Value;

/// Replacements of spans, in ascending order, none overlapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    list: Vec<(Range<usize>, Vec<u8>)>,
}

impl Edits {
    /// Nothing to replace.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Replaces `span`. One that starts before the end of the last is not taken: the
    /// caller walks a body from front to back, so it would edit what is already gone.
    ///
    /// # Errors
    /// The span, where it was not taken.
    pub fn push(&mut self, span: Range<usize>, replacement: Vec<u8>) -> Result<(), Range<usize>> {
        let after = self.list.last().map_or(0, |(last, _)| last.end);
        if span.start < after || span.end < span.start {
            return Err(span);
        }
        self.list.push((span, replacement));
        Ok(())
    }

    /// Replacements in any order.
    ///
    /// # Errors
    /// A span that overlaps another.
    pub fn sorted(mut list: Vec<(Range<usize>, Vec<u8>)>) -> Result<Self, Range<usize>> {
        list.sort_by_key(|(span, _)| (span.start, span.end));
        let mut edits = Self::new();
        for (span, replacement) in list {
            edits.push(span, replacement)?;
        }
        Ok(edits)
    }

    /// Every span with its replacement, in order.
    #[must_use]
    pub fn into_list(self) -> Vec<(Range<usize>, Vec<u8>)> {
        self.list
    }

    /// Whether the body stays as it is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many spans are replaced.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// The body with everything replaced.
    #[must_use]
    pub fn apply(&self, body: &[u8]) -> Vec<u8> {
        let grown: usize = self
            .list
            .iter()
            .map(|(_, replacement)| replacement.len())
            .sum();
        let mut out = Vec::with_capacity(body.len() + grown);
        let mut at = 0;
        for (span, replacement) in &self.list {
            out.extend_from_slice(body.get(at..span.start).unwrap_or_default());
            out.extend_from_slice(replacement);
            at = span.end;
        }
        out.extend_from_slice(body.get(at..).unwrap_or_default());
        out
    }
}

/// The spans that leave `object` without the members whose keys `is_removed` picks, commas
/// included. None of them touches a member that stays.
pub fn removed_members(
    object: &Value<'_>,
    mut is_removed: impl FnMut(&Value<'_>) -> bool,
) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut kept_end = None;
    let mut removed: Option<Range<usize>> = None;
    for (key, value) in object.members() {
        let whole = key.span().start..value.span().end;
        if is_removed(&key) {
            let start = removed.map_or(whole.start, |run| run.start);
            removed = Some(start..whole.end);
            continue;
        }
        if let Some(run) = removed.take() {
            // With a member before it, a run takes the comma before it; else the one after.
            spans.push(kept_end.map_or(run.start..whole.start, |end| end..run.end));
        }
        kept_end = Some(whole.end);
    }
    if let Some(run) = removed {
        spans.push(kept_end.unwrap_or(run.start)..run.end);
    }
    spans
}
