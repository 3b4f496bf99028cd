//! What is masked in one answer, and the masking.

use std::ops::Range;

use weir_facts::{MaskRule, Reveal};
use weir_mask::MaskKey;
use weir_mask::detect::{self, Class, ClassSet};
use weir_mcp::json::{Document, Edits, quote};
use weir_mcp::reveal::{Offer, Offered, Shown, reveal_except, reveal_inner};

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
            structured: structured(document),
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
    pub(crate) fn find_nothing(&self, text: &str) -> bool {
        let mut found = Vec::new();
        detect::scan_through(text, self.wanted, &mut found);
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
    /// Positions of values where clients hold an answer against the tool's `outputSchema`: types
    /// stay.
    structured: Range<usize>,
    found: Vec<(Range<usize>, Class)>,
    places: Vec<(String, String)>,
    withheld: Option<Withheld>,
}

impl Work<'_> {
    fn show(&mut self, offer: &Offer<'_>) -> Shown {
        let text = offer.text();
        if !self.look(&text) {
            return Shown::Same;
        }
        let is_structured = self.structured.contains(&offer.index());
        let shown = match offer.kind {
            Offered::Text => self.through(offer, &text),
            Offered::Key | Offered::Number => self.replaced(&|| offer.pointer(), &text),
        };
        match (shown, offer.kind) {
            (Shown::Text(shown), Offered::Number) if is_structured => number(&shown),
            (Shown::Null, Offered::Number) if is_structured => number(""),
            (Shown::Null, Offered::Text) if is_structured => Shown::Text(String::new()),
            (shown, Offered::Text | Offered::Key | Offered::Number) => shown,
        }
    }

    /// Whether there is something in a text.
    fn look(&mut self, text: &str) -> bool {
        self.found.clear();
        detect::scan_through(text, self.masks.wanted, &mut self.found);
        !self.found.is_empty()
    }

    /// A text that is JSON stays JSON: its own texts are masked one by one, and what is found in
    /// it after that, between them, as in any text.
    fn through(&mut self, place: &Offer<'_>, text: &str) -> Shown {
        let pointer = || place.pointer();
        let is_json = text.trim_start().starts_with(['{', '[']);
        let Some(inner) = is_json
            .then(|| Document::parse(text.as_bytes()).ok())
            .flatten()
        else {
            return self.replaced(&pointer, text);
        };
        let edits = reveal_inner(&inner, |offer| {
            let text = offer.text();
            if !self.look(&text) {
                return Shown::Same;
            }
            let pointer = || format!("{}#{}", place.pointer(), offer.pointer());
            self.replaced(&pointer, &text)
        });
        let masked = String::from_utf8(edits.apply(text.as_bytes())).unwrap_or_default();
        if !self.look(&masked) {
            return Shown::Text(masked);
        }
        self.replaced(&pointer, &masked)
    }

    /// The text with what was found in it masked.
    fn replaced(&mut self, pointer: Pointer<'_>, text: &str) -> Shown {
        let found = std::mem::take(&mut self.found);
        let shown = self.replace(pointer, text, &found);
        self.found = found;
        shown
    }

    fn replace(
        &mut self,
        pointer: Pointer<'_>,
        text: &str,
        found: &[(Range<usize>, Class)],
    ) -> Shown {
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
            let masked = masked(rule, self.key, value);
            if self.places.len() < MASKED_NAMED_MAX {
                let place = (pointer(), format!("{rule} ({class})"));
                self.places.push(place);
            }
            if masked.is_none() && span.len() == text.len() {
                return Shown::Null;
            }
            out.push_str(before);
            out.push_str(&masked.unwrap_or_default());
            at = span.end;
        }
        match text.get(at..) {
            Some(rest) => {
                out.push_str(rest);
                Shown::Text(out)
            }
            None => Shown::Null,
        }
    }
}

/// Where a text stands, for the record. It takes a walk over the answer, so that only as many are
/// asked for as are named.
type Pointer<'a> = &'a dyn Fn() -> String;

/// Positions of the values in `structuredContent`.
fn structured(document: &Document<'_>) -> Range<usize> {
    let result = document.root().get("result");
    let content = result.and_then(|result| result.get("structuredContent"));
    content.map_or(0..0, |content| content.index()..content.next_index())
}

/// What is shown of a value. One with escapes in it stands inside of a JSON string of the text:
/// the mask is of what they mean, and is written as such a string has it.
fn masked(rule: &MaskRule, key: &MaskKey, value: &str) -> Option<String> {
    if !value.contains('\\') {
        return weir_mask::utf8(rule, key, value);
    }
    let quoted = format!("\"{value}\"");
    let meant = Document::parse(quoted.as_bytes())
        .ok()
        .and_then(|document| {
            let text = document.root().text()?;
            Some(text.into_owned())
        });
    // Not the inside of a string after all: all of it is hidden.
    let Some(meant) = meant else {
        return Some("*".repeat(value.chars().count()));
    };
    let shown = weir_mask::utf8(rule, key, &meant)?;
    let mut written = Vec::new();
    quote(&shown, &mut written);
    let written = String::from_utf8(written).ok()?;
    let inner = written.strip_prefix('"')?.strip_suffix('"')?;
    Some(inner.to_owned())
}

/// A number of the digits that a mask has left, the hidden ones as zeros.
fn number(shown: &str) -> Shown {
    let digits: String = shown
        .chars()
        .map(|shown| if shown.is_ascii_digit() { shown } else { '0' })
        .collect();
    let digits = digits.trim_start_matches('0');
    Shown::Text(if digits.is_empty() { "0" } else { digits }.to_owned())
}
