//! The second net: fields that nobody labelled, searched for values of wanted classes.
//!
//! | type | how |
//! |---|---|
//! | text, varchar, char, name, unknown, cstring | the value is searched, and what is found is masked |
//! | json, jsonb | string by string and number by number, names of members too; it stays JSON |
//! | xml | as text; what is shown instead has no markup |
//! | arrays of these | element by element |
//! | records, users' types, and where the type is not told | as bytes; what is found is hidden at its length, so that nothing around it moves |
//! | all others | not searched |

mod json;

use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

use weir_facts::MaskRule;

use crate::MaskKey;
use crate::detect::{self, Class, ClassSet};
use crate::transform::array;
use crate::transform::kind::element_of;
use crate::transform::string::{self, HIDDEN};
use crate::transform::{Format, Masked};

/// What becomes of found values, class by class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Net {
    wanted: ClassSet,
    rules: Vec<(Class, Option<MaskRule>)>,
    seen: Seen,
}

/// Classes that were found since somebody looked. No part of what a net is.
#[derive(Debug, Default)]
struct Seen(AtomicU8);

impl Clone for Seen {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Seen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Seen {}

/// Where in a field a value is, and of which class.
type Found = Vec<(Range<usize>, Class)>;

/// The first OID of a user's object (`FirstNormalObjectId`).
const FIRST_USER_OID: u32 = 16_384;

/// How a field of a type is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Plain,
    Json,
    Jsonb,
    Xml,
    Array(u32),
    /// Something around the value may count or delimit it.
    Foreign,
}

impl Shape {
    /// `None` for types in which no value is looked for.
    fn of(type_oid: u32) -> Option<Self> {
        match type_oid {
            // name, text, unknown, bpchar, varchar, cstring
            19 | 25 | 705 | 1042 | 1043 | 2275 => Some(Self::Plain),
            114 => Some(Self::Json),
            142 => Some(Self::Xml),
            3802 => Some(Self::Jsonb),
            // Not told; record.
            0 | 2249 | FIRST_USER_OID.. => Some(Self::Foreign),
            _ => {
                let element = element_of(type_oid)?;
                Self::of(element).map(|_| Self::Array(element))
            }
        }
    }
}

/// What may be shown in place of a found value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Anything,
    /// Nothing that XML reads as markup.
    NoMarkup,
    /// As many bytes.
    SameLength,
}

impl Net {
    /// Looks for these classes. A class without a rule may not be shown at all: the whole field
    /// that holds such a value becomes NULL.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = (Class, Option<MaskRule>)>) -> Self {
        let rules: Vec<_> = rules.into_iter().collect();
        Self {
            wanted: rules.iter().map(|(class, _)| *class).collect(),
            rules,
            seen: Seen::default(),
        }
    }

    /// The classes of what was found since this was asked last, for records. Whoever shares a net
    /// with others asks before and after a search of its own.
    pub fn take_seen(&self) -> ClassSet {
        ClassSet::of_bits(self.seen.0.swap(0, Ordering::Relaxed))
    }

    /// What becomes of values of a class, for records.
    #[must_use]
    pub fn rule(&self, class: Class) -> Option<&MaskRule> {
        let found = self.rules.iter().find(|(known, _)| *known == class);
        found.and_then(|(_, rule)| rule.as_ref())
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether fields of the type with this `pg_type.oid` (0: unknown) are searched at all.
    #[must_use]
    pub fn searches(type_oid: u32) -> bool {
        Shape::of(type_oid).is_some()
    }

    /// Searches a field in Postgres' text format.
    #[must_use]
    pub fn text(&self, key: &MaskKey, type_oid: u32, value: &mut [u8]) -> Masked {
        self.field(key, type_oid, Format::Text, value)
    }

    /// Searches a field in Postgres' binary format.
    #[must_use]
    pub fn binary(&self, key: &MaskKey, type_oid: u32, value: &mut [u8]) -> Masked {
        self.field(key, type_oid, Format::Binary, value)
    }

    fn field(&self, key: &MaskKey, type_oid: u32, format: Format, value: &mut [u8]) -> Masked {
        match (Shape::of(type_oid), format) {
            (None, _) => Masked::InPlace,
            (Some(Shape::Plain), _) => self.plain(key, Fit::Anything, value),
            (Some(Shape::Xml), _) => self.plain(key, Fit::NoMarkup, value),
            (Some(Shape::Foreign), _) => self.plain(key, Fit::SameLength, value),
            (Some(Shape::Json), _) | (Some(Shape::Jsonb), Format::Text) => {
                json::mask(self, key, value)
            }
            (Some(Shape::Jsonb), Format::Binary) => self.versioned(key, value),
            (Some(Shape::Array(element)), _) => self.array(key, element, format, value),
        }
    }

    /// `jsonb_send` writes a version number, 1, and then text.
    fn versioned(&self, key: &MaskKey, value: &mut [u8]) -> Masked {
        let Some((1, text)) = value.split_first_mut() else {
            return self.plain(key, Fit::SameLength, value);
        };
        match json::mask(self, key, text) {
            Masked::Replaced(mut shown) => {
                shown.insert(0, 1);
                Masked::Replaced(shown)
            }
            other => other,
        }
    }

    fn array(&self, key: &MaskKey, element: u32, format: Format, value: &mut [u8]) -> Masked {
        let mut is_found = false;
        let shown = array::changed(element, format, value, |each| {
            let before = each.to_vec();
            let masked = self.field(key, element, format, each);
            is_found |= masked != Masked::InPlace || *each != *before;
            masked
        });
        match shown {
            Some(shown) if is_found => Masked::Replaced(shown),
            Some(_) => Masked::InPlace,
            None => self.plain(key, Fit::SameLength, value),
        }
    }

    fn plain(&self, key: &MaskKey, fit: Fit, value: &mut [u8]) -> Masked {
        let mut found = Found::new();
        detect::scan(value, self.wanted, &mut found);
        if found.is_empty() {
            return Masked::InPlace;
        }
        self.hide(key, fit, value, &found)
    }

    /// Masks what was found, in place as far as lengths allow.
    fn hide(&self, key: &MaskKey, fit: Fit, value: &mut [u8], found: &Found) -> Masked {
        let whole = value.len();
        let mut out: Option<Vec<u8>> = None;
        let mut copied = 0;
        for (span, class) in found {
            let Some(piece) = value.get_mut(span.clone()) else {
                return Masked::Null;
            };
            let Some(shown) = self.shown(key, *class, piece) else {
                return Masked::Null;
            };
            let shown = match (shown, fit) {
                (Masked::InPlace, _) => continue,
                (Masked::Replaced(shown), _) if shown.len() == piece.len() && is_calm(&shown) => {
                    piece.copy_from_slice(&shown);
                    continue;
                }
                (Masked::Replaced(shown), Fit::Anything) => shown,
                (Masked::Replaced(shown), Fit::NoMarkup) if is_calm(&shown) => shown,
                (Masked::Replaced(_) | Masked::Null, Fit::SameLength)
                | (Masked::Replaced(_), Fit::NoMarkup) => {
                    piece.fill(HIDDEN);
                    continue;
                }
                (Masked::Null, _) if piece.len() == whole => return Masked::Null,
                (Masked::Null, Fit::Anything | Fit::NoMarkup) => Vec::new(),
            };
            let out = out.get_or_insert_with(|| Vec::with_capacity(whole));
            out.extend_from_slice(value.get(copied..span.start).unwrap_or_default());
            out.extend_from_slice(&shown);
            copied = span.end;
        }
        match out {
            None => Masked::InPlace,
            Some(mut out) => {
                out.extend_from_slice(value.get(copied..).unwrap_or_default());
                Masked::Replaced(out)
            }
        }
    }

    fn note(&self, class: Class) {
        self.seen.0.fetch_or(class.bit(), Ordering::Relaxed);
    }

    /// What is shown of a value; `None` where the field that holds it is not shown at all.
    fn shown(&self, key: &MaskKey, class: Class, value: &mut [u8]) -> Option<Masked> {
        self.note(class);
        match self.rules.iter().find(|(known, _)| *known == class) {
            Some((_, Some(rule))) => Some(string::mask(rule, key, value)),
            Some((_, None)) => None,
            // A detector reported what it was not asked for: it is no value that may be shown.
            None => Some(string::mask(&MaskRule::Redact, key, value)),
        }
    }
}

/// Nothing in it delimits anything in the text of a type.
fn is_calm(shown: &[u8]) -> bool {
    shown.iter().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'@' | b'.' | b'-' | b'_' | b'+')
    })
}

#[cfg(test)]
mod tests;
