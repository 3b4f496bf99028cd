//! Which keys somebody takes for the same.

use std::borrow::Cow;

use super::{Document, JsonError, Kind, Value};

/// When two keys of one object count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEquality {
    /// The same characters, once escapes are resolved.
    Exact,
    /// The same but for letter case, as Go's `encoding/json` and others match fields.
    Folded,
}

/// Pairs are compared one by one up to here; above, keys are sorted.
const PAIRWISE_MAX: usize = 8;

impl<'d> Value<'d> {
    /// Whether all keys of this object differ; true for anything that is no object.
    ///
    /// # Errors
    /// [`JsonError::Duplicate`] with the place of one of the two.
    pub fn unique_keys(&self, equality: KeyEquality) -> Result<(), JsonError> {
        let count = self.members().count();
        if count <= PAIRWISE_MAX {
            self.unique_pairwise(equality)
        } else {
            self.unique_sorted(equality)
        }
    }

    fn unique_pairwise(&self, equality: KeyEquality) -> Result<(), JsonError> {
        let mut rest = self.members();
        while let Some((key, _)) = rest.next() {
            if rest
                .clone()
                .any(|(other, _)| same_key(&key, &other, equality))
            {
                return Err(JsonError::Duplicate(key.span().start));
            }
        }
        Ok(())
    }

    fn unique_sorted(&self, equality: KeyEquality) -> Result<(), JsonError> {
        let spelled = |key: Value<'d>| {
            let text = key.text().unwrap_or_default();
            match equality {
                KeyEquality::Exact => text,
                KeyEquality::Folded => Cow::Owned(fold(&text)),
            }
        };
        let mut keys: Vec<_> = self
            .members()
            .map(|(key, _)| (spelled(key), key.span().start))
            .collect();
        keys.sort_unstable();
        for (one, other) in keys.iter().zip(keys.iter().skip(1)) {
            if one.0 == other.0 {
                return Err(JsonError::Duplicate(other.1));
            }
        }
        Ok(())
    }
}

impl Document<'_> {
    /// [`Value::unique_keys`] for every object of the document.
    ///
    /// # Errors
    /// [`JsonError::Duplicate`] with the place of one of the two.
    pub fn unique_keys_everywhere(&self, equality: KeyEquality) -> Result<(), JsonError> {
        self.values()
            .filter(|value| value.kind() == Kind::Object)
            .try_for_each(|object| object.unique_keys(equality))
    }
}

fn same_key(one: &Value<'_>, other: &Value<'_>, equality: KeyEquality) -> bool {
    // Nearly all keys are plain ASCII: they are compared where they lie.
    if let (Some(one), Some(other)) = (one.plain_ascii(), other.plain_ascii()) {
        return match equality {
            KeyEquality::Exact => one == other,
            KeyEquality::Folded => one.eq_ignore_ascii_case(other),
        };
    }
    let (Some(one), Some(other)) = (one.text(), other.text()) else {
        return false;
    };
    match equality {
        KeyEquality::Exact => one == other,
        KeyEquality::Folded => same_folded(&one, &other),
    }
}

/// Whether two keys are the same but for letter case.
#[must_use]
pub fn same_folded(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    fold(one) == fold(other)
}

/// The key without letter case. Upper case first, so that U+017F (ſ) becomes `s`; then
/// lower, so that U+212A (the Kelvin sign) becomes `k`: both are what Go's simple folding
/// does, and where full mappings merge more (ß and ss), more is refused.
#[must_use]
pub fn fold(key: &str) -> String {
    if key.is_ascii() {
        return key.to_ascii_lowercase();
    }
    key.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}
