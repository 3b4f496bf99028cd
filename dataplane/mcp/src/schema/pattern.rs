//! `pattern` and `patternProperties`: regular expressions of whoever writes the schema.

use regex_lite::{Regex, RegexBuilder};

use super::Effort;
use crate::limits::PATTERN_BYTES_MAX;

/// What compiled patterns are taken to be as large as: the next of these, since how large one is
/// cannot be asked.
const SIZES: [usize; 6] = [256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, PATTERN_BYTES_MAX];

/// Bytes of a compiled pattern that a unit of effort looks at, for each byte of a text.
const BYTES_PER_UNIT: usize = 1024;

/// A regular expression. ECMA 262 writes them; where the grammars differ (look-around, references
/// back), this one has none, and the pattern cannot be decided.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Option<(Regex, usize)>);

impl Pattern {
    /// Compiles a pattern into what is left of `room`, in bytes. One without room cannot be decided.
    pub(super) fn read(text: &str, room: &mut usize) -> Self {
        let mut sizes = SIZES.into_iter().take_while(|size| size <= room);
        let built = sizes.find_map(|size| {
            let regex = RegexBuilder::new(text).size_limit(size).build();
            Some((regex.ok()?, size))
        });
        if let Some((_, size)) = &built {
            *room = room.saturating_sub(*size);
        }
        Self(built)
    }

    /// Whether it is in a text; `None` where that cannot be decided.
    pub(super) fn is_in(&self, text: &str, effort: &Effort) -> Option<bool> {
        let (regex, size) = self.0.as_ref()?;
        let steps = text.len().saturating_add(1).saturating_mul(*size) / BYTES_PER_UNIT;
        effort
            .spend(steps.saturating_add(1))
            .then(|| regex.is_match(text))
    }
}
