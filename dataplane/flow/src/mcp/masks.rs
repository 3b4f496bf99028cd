//! What is masked in one answer, and the masking.

mod blob;
mod fit;
mod places;

use std::ops::Range;

use weir_facts::{JsonPath, MaskRule, Reveal};
use weir_mask::MaskKey;
use weir_mask::detect::{self, Class, ClassSet};
use weir_mcp::json::{Document, Edits, quote};
use weir_mcp::reveal::{Offer, Offered, Shown, reveal_except, reveal_inner};
use weir_mcp::schema::Schema;

use self::blob::Blobs;
use self::fit::Form;
use self::places::{Marks, structured};
use super::limits::{DOCUMENTS_MAX, MASKED_NAMED_MAX};

/// What becomes of the classes that the connection's answers are searched for, and of what stands
/// at labelled places of a tool's results.
#[derive(Clone, Debug)]
pub(crate) struct Masks {
    wanted: ClassSet,
    rules: Vec<(Class, Hidden)>,
    /// Only those that are not shown as they are.
    places: Vec<Place>,
    /// What is no text, where that is not shown as it is.
    blobs: Option<Hidden>,
}

/// A labelled place.
#[derive(Clone, Debug)]
struct Place {
    path: JsonPath,
    hidden: Hidden,
}

/// What becomes of a value that is not shown as it is.
#[derive(Clone, Debug)]
enum Hidden {
    Masked(MaskRule),
    /// The answer that holds it is withheld.
    Denied(String),
}

impl Hidden {
    fn of(reveal: Reveal) -> Option<Self> {
        match reveal {
            Reveal::Clear => None,
            Reveal::Mask(rule, _) => Some(Self::Masked(rule)),
            Reveal::Deny(denial) => Some(Self::Denied(denial.outside.to_string())),
        }
    }
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
    /// What the caller may be told.
    pub(crate) outside: String,
    /// For the record.
    pub(crate) inside: String,
}

impl Withheld {
    fn of(what: &str, outside: &str) -> Self {
        Self {
            outside: outside.to_owned(),
            inside: format!("the answer holds {what} that may not be shown"),
        }
    }

    /// A text in which labelled places cannot be found.
    fn unread(pointer: &str) -> Self {
        Self {
            outside: "a text begins like JSON and cannot be read".to_owned(),
            inside: format!(
                "{pointer} begins like JSON, and labelled places cannot be found in it"
            ),
        }
    }

    /// A value that must be masked, and for which the schema leaves nothing else.
    fn unfit(pointer: &str) -> Self {
        Self {
            outside: "the tool's outputSchema leaves no other value for one that must be masked"
                .to_owned(),
            inside: format!(
                "no mask of {pointer} satisfies the outputSchema: change the mask, or the schema"
            ),
        }
    }
}

impl Masks {
    /// Classes that are shown in the clear are not looked for, and neither are such places.
    pub(crate) fn new(
        rules: impl Iterator<Item = (Class, Reveal)>,
        places: impl Iterator<Item = (JsonPath, Reveal)>,
        blobs: Reveal,
    ) -> Self {
        let rules: Vec<_> = rules
            .filter_map(|(class, reveal)| Some((class, Hidden::of(reveal)?)))
            .collect();
        let places = places.filter_map(|(path, reveal)| {
            let hidden = Hidden::of(reveal)?;
            Some(Place { path, hidden })
        });
        Self {
            wanted: super::verdict::wanted(rules.iter().map(|(class, _)| *class)),
            places: places.collect(),
            rules,
            blobs: Hidden::of(blobs),
        }
    }

    /// Whether everything is shown as it is.
    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.places.is_empty() && self.blobs.is_none()
    }

    /// Masks every value of a message that must be, but what Weir has sealed. `schema` is that of
    /// the tool's structured content.
    pub(crate) fn apply(
        &self,
        document: &Document<'_>,
        sealed: &[&[&str]],
        key: &MaskKey,
        schema: Option<&Schema>,
    ) -> Result<Masked, Withheld> {
        if self.is_empty() {
            return Ok(Masked {
                edits: Edits::new(),
                places: Vec::new(),
            });
        }
        let content = structured(&document.root());
        let mut work = Work {
            masks: self,
            key,
            found: Vec::new(),
            places: Vec::new(),
            withheld: None,
            marks: Marks::of_message(&self.places, &document.root()),
            blobs: Blobs::of(document),
            form: Form::of(content, schema),
        };
        let edits = reveal_except(document, sealed, |offer| work.show(offer));
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
    found: Vec<(Range<usize>, Class)>,
    places: Vec<(String, String)>,
    withheld: Option<Withheld>,
    /// Values at labelled places.
    marks: Marks,
    /// Strings that carry other files.
    blobs: Blobs,
    /// What the structured content must stay.
    form: Form<'a>,
}

impl Work<'_> {
    fn show(&mut self, offer: &Offer<'_>) -> Shown {
        if self.withheld.is_some() {
            // Nothing of the answer is shown, and the first reason is as good as any.
            return Shown::Same;
        }
        let text = offer.text();
        let blob = self.blobs.decoded(offer.index(), &text);
        let is_marked = self.marks.has(offer.index());
        let has_places = !self.masks.places.is_empty();
        let is_plain = blob.as_ref().is_none_or(|blob| blob.may_be_plain(&text));
        let is_found = offer.kind != Offered::Truth && is_plain && self.look(&text);
        // What reads as a value where it stands is one, whatever else it can be decoded to.
        let blob = blob.filter(|_| !is_found);
        let is_looked_into = has_places && offer.kind == Offered::Text && is_json(&text);
        if !is_found && !is_marked && blob.is_none() && !is_looked_into {
            return Shown::Same;
        }
        self.form.begin();
        let pointer: Pointer<'_> = &|| offer.pointer();
        let shown = match (offer.kind, blob) {
            (_, Some(blob)) => self.opened(pointer, blob),
            (Offered::Text, None) => self.through(pointer, &text, is_found),
            (Offered::Key | Offered::Number, None) if is_found => self.replaced(pointer, &text),
            (Offered::Key | Offered::Number | Offered::Truth, None) => Shown::Same,
        };
        let shown = self.marked(offer.index(), pointer, &text, shown);
        if shown == Shown::Same || !self.form.holds(offer.index()) {
            return shown;
        }
        match self.form.fitted(offer, &text, shown) {
            Ok(shown) => shown,
            Err(fit::Unfit) => {
                self.withheld = Some(Withheld::unfit(&pointer()));
                Shown::Null
            }
        }
    }

    /// Whether there is something in a text.
    fn look(&mut self, text: &str) -> bool {
        self.found.clear();
        detect::scan_through(text, self.masks.wanted, &mut self.found);
        !self.found.is_empty()
    }

    /// A text that is JSON, or several documents of it one after another, stays so: its own texts
    /// are masked one by one, and what is found in it after that, between them, as in any text.
    fn through(&mut self, pointer: Pointer<'_>, text: &str, is_found: bool) -> Shown {
        let mut masked = String::new();
        let mut rest = text;
        let mut is_same = true;
        let mut count = 0;
        while let Some(begun) = json_in(rest) {
            count += 1;
            let read = Document::parse_first(begun.as_bytes()).ok();
            let Some((inner, taken)) = read.filter(|_| count <= DOCUMENTS_MAX) else {
                if !self.masks.places.is_empty() && has_strings(begun) {
                    self.withheld = Some(Withheld::unread(&pointer()));
                    return Shown::Null;
                }
                break;
            };
            let edits = self.inside(pointer, &inner);
            is_same &= edits.is_empty();
            masked.push_str(rest.strip_suffix(begun).unwrap_or_default());
            masked.push_str(&String::from_utf8(edits.apply(inner.bytes())).unwrap_or_default());
            rest = begun.get(taken..).unwrap_or_default();
        }
        if rest.len() == text.len() {
            return match is_found {
                true => self.replaced(pointer, text),
                false => Shown::Same,
            };
        }
        if is_same && !is_found {
            return Shown::Same;
        }
        masked.push_str(rest);
        if !self.look(&masked) {
            return Shown::Text(masked);
        }
        self.replaced(pointer, &masked)
    }

    /// What is replaced in a document that is a text, or part of one. Texts in it may be JSON in
    /// turn; each such step at least doubles what quotes take, so that there are few.
    fn inside(&mut self, pointer: Pointer<'_>, inner: &Document<'_>) -> Edits {
        let marks = Marks::of_text(&self.masks.places, &inner.root());
        let outer = std::mem::replace(&mut self.marks, marks);
        let has_places = !self.masks.places.is_empty();
        let edits = reveal_inner(inner, |offer| {
            if self.withheld.is_some() {
                return Shown::Same;
            }
            let text = offer.text();
            let is_marked = self.marks.has(offer.index());
            let is_found = offer.kind != Offered::Truth && self.look(&text);
            let is_looked_into = has_places && offer.kind == Offered::Text && is_json(&text);
            if !is_found && !is_marked && !is_looked_into {
                return Shown::Same;
            }
            let pointer: Pointer<'_> = &|| format!("{}#{}", pointer(), offer.pointer());
            let shown = match (offer.kind, is_found) {
                (Offered::Text, _) => self.through(pointer, &text, is_found),
                (_, true) => self.replaced(pointer, &text),
                (_, false) => Shown::Same,
            };
            let is_value = is_marked && offer.kind != Offered::Text;
            match self.marked(offer.index(), pointer, &text, shown) {
                shown if is_value => fit::of_kind(offer.kind, shown),
                shown => shown,
            }
        });
        self.marks = outer;
        edits
    }

    /// What is shown of a value at a labelled place, of which the detectors' masks have left
    /// `shown`: neither tells more than alone.
    fn marked(&mut self, index: usize, pointer: Pointer<'_>, text: &str, shown: Shown) -> Shown {
        let masks = self.masks;
        let places = self.marks.of(index).filter_map(|at| masks.places.get(at));
        let mut shown = shown;
        for place in places.collect::<Vec<_>>() {
            let rule = match &place.hidden {
                Hidden::Masked(rule) => rule,
                Hidden::Denied(outside) => {
                    let what = format!("a value at {}", place.path);
                    self.withheld = Some(Withheld::of(&what, outside));
                    return Shown::Null;
                }
            };
            let masked = match &shown {
                Shown::Same => weir_mask::utf8(rule, self.key, text),
                Shown::Text(text) | Shown::Literal(text) => weir_mask::utf8(rule, self.key, text),
                Shown::Null => None,
            };
            self.form.note(rule);
            self.note(pointer, || format!("{rule} ({})", place.path));
            shown = masked.map_or(Shown::Null, Shown::Text);
        }
        shown
    }

    fn note(&mut self, pointer: Pointer<'_>, rule: impl FnOnce() -> String) {
        if self.places.len() < MASKED_NAMED_MAX {
            self.places.push((pointer(), rule()));
        }
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
                    let what = format!("a value of class {class}");
                    self.withheld = Some(Withheld::of(&what, outside));
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
            self.form.note(rule);
            self.note(pointer, || format!("{rule} ({class})"));
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

/// Whether a text may be a JSON document of its own.
fn is_json(text: &str) -> bool {
    json_in(text).is_some()
}

/// What of a text may be a JSON document: all after blanks, and the mark that some files begin with.
fn json_in(text: &str) -> Option<&str> {
    let begun = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    begun.starts_with(['{', '[']).then_some(begun)
}

/// Whether a text that begins like a JSON document has a string where the first could be: then it is
/// one that others may read and Weir cannot (cut short, `NaN`, half of a character), and no prose.
fn has_strings(text: &str) -> bool {
    let is_before = |c: char| c.is_whitespace() || matches!(c, '{' | '[');
    text.trim_start_matches(is_before).starts_with('"')
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
