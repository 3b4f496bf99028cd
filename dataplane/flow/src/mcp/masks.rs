//! What is masked in one answer, and the masking.

use std::ops::Range;

use weir_facts::{MaskRule, Reveal};
use weir_mask::MaskKey;
use weir_mask::detect::{self, Class, ClassSet};
use weir_mcp::json::{Document, Edits};
use weir_mcp::reveal::{Offer, Offered, Shown, reveal_except};

use super::limits::MASKED_NAMED_MAX;

/// What becomes of the classes that the connection's answers are searched for.
#[derive(Clone, Debug)]
pub(crate) struct Masks {
    wanted: ClassSet,
    rules: Vec<(Class, Hidden)>,
}

/// What becomes of a value that is not shown as it is.
#[derive(Clone, Debug)]
enum Hidden {
    Masked(MaskRule),
    /// The answer that holds it is withheld.
    Denied(String),
}

/// An answer with everything masked.
#[derive(Debug)]
pub(crate) struct Masked {
    pub(crate) edits: Edits,
    /// Places and rules, for the record.
    pub(crate) places: Vec<(String, String)>,
}

/// An answer holds a value that may not be shown at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Withheld {
    pub(crate) class: Class,
    /// What the caller may be told.
    pub(crate) outside: String,
}

impl Masks {
    /// Classes that are shown in the clear are not looked for.
    pub(crate) fn new(rules: impl Iterator<Item = (Class, Reveal)>) -> Self {
        let rules: Vec<_> = rules
            .filter_map(|(class, reveal)| match reveal {
                Reveal::Clear => None,
                Reveal::Mask(rule, _) => Some((class, Hidden::Masked(rule))),
                Reveal::Deny(denial) => Some((class, Hidden::Denied(denial.outside.to_string()))),
            })
            .collect();
        Self {
            wanted: super::verdict::wanted(rules.iter().map(|(class, _)| *class)),
            rules,
        }
    }

    /// Masks every text of a message but what Weir has sealed.
    pub(crate) fn apply(
        &self,
        document: &Document<'_>,
        sealed: &[&[&str]],
        key: &MaskKey,
    ) -> Result<Masked, Withheld> {
        let mut work = Work {
            masks: self,
            key,
            found: Vec::new(),
            places: Vec::new(),
            withheld: None,
        };
        let edits = if self.wanted.is_empty() {
            Edits::new()
        } else {
            reveal_except(document, sealed, |offer| work.show(offer))
        };
        match work.withheld {
            Some(withheld) => Err(withheld),
            None => Ok(Masked {
                edits,
                places: work.places,
            }),
        }
    }

    /// Whether nothing in a text is of a class that is hidden.
    pub(crate) fn find_nothing(&self, text: &[u8]) -> bool {
        let mut found = Vec::new();
        detect::scan(text, self.wanted, &mut found);
        found.is_empty()
    }

    fn hidden(&self, class: Class) -> Option<&Hidden> {
        self.rules
            .iter()
            .find(|(known, _)| *known == class)
            .map(|(_, hidden)| hidden)
    }
}

struct Work<'a> {
    masks: &'a Masks,
    key: &'a MaskKey,
    found: Vec<(Range<usize>, Class)>,
    places: Vec<(String, String)>,
    withheld: Option<Withheld>,
}

impl Work<'_> {
    fn show(&mut self, offer: &Offer<'_>) -> Shown {
        let text = offer.text();
        self.found.clear();
        detect::scan(text.as_bytes(), self.masks.wanted, &mut self.found);
        if self.found.is_empty() {
            return Shown::Same;
        }
        let found = std::mem::take(&mut self.found);
        let shown = self.replace(offer, &text, &found);
        self.found = found;
        shown
    }

    fn replace(&mut self, offer: &Offer<'_>, text: &str, found: &[(Range<usize>, Class)]) -> Shown {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (span, class) in found {
            let rule = match self.masks.hidden(*class) {
                Some(Hidden::Masked(rule)) => rule,
                Some(Hidden::Denied(outside)) => {
                    self.withheld = Some(Withheld {
                        class: *class,
                        outside: outside.clone(),
                    });
                    return Shown::Null;
                }
                // A detector reported what it was not asked for: it is no value that may be shown.
                None => &MaskRule::Redact,
            };
            // A span that is no part of the text hides all of it.
            let (Some(before), Some(value)) = (text.get(at..span.start), text.get(span.clone()))
            else {
                return Shown::Null;
            };
            let masked = weir_mask::utf8(rule, self.key, value);
            if self.places.len() < MASKED_NAMED_MAX {
                self.places.push((offer.pointer(), rule.to_string()));
            }
            if masked.is_none() && span.len() == text.len() {
                return Shown::Null;
            }
            out.push_str(before);
            out.push_str(&masked.unwrap_or_default());
            at = span.end;
        }
        match (text.get(at..), offer.kind) {
            (Some(rest), Offered::Text | Offered::Key | Offered::Number) => {
                out.push_str(rest);
                Shown::Text(out)
            }
            (None, _) => Shown::Null,
        }
    }
}
