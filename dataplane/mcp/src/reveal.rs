//! Every text of an answer, offered for replacement.
//!
//! A value can be anywhere: in content, structured content, resources, prompts, errors,
//! progress, log lines, elicitation, even in keys and numbers. So the walk knows no
//! method: it offers all of them but the parts of the envelope that carry no value, and truth
//! values beside them.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::json::{Document, Edits, Kind, Value, quote};

/// Which kind of text is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// A string.
    Text,
    /// The name of a member.
    Key,
    /// A number, as written.
    Number,
    /// `true` or `false`.
    Truth,
}

/// A text that is about to leave.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'d> {
    value: Value<'d>,
    document: &'d Document<'d>,
    /// Which kind.
    pub kind: Offered,
}

/// What is shown in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The text itself.
    Same,
    /// Another text. A number's replacement stays a number where it reads as one.
    Text(String),
    /// Another value: JSON, as it will stand there. Not in place of a key.
    Literal(String),
    /// `null`; an empty name in place of a key.
    Null,
}

impl<'d> Offer<'d> {
    /// The text, escapes resolved.
    #[must_use]
    pub fn text(&self) -> Cow<'d, str> {
        match self.kind {
            Offered::Text | Offered::Key => self.value.text().unwrap_or_default(),
            Offered::Number => Cow::Borrowed(self.value.number().unwrap_or_default()),
            Offered::Truth => Cow::Borrowed(match self.value.kind() == Kind::True {
                true => "true",
                false => "false",
            }),
        }
    }

    /// Its position among all values of the document.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.value.index()
    }

    /// Where it stands, as a JSON Pointer (RFC 6901): `/result/content/0/text`. A key's
    /// pointer is its member's with the name replaced by `*`, so that a record of a
    /// masked key does not repeat it. Finding it takes time in proportion to the document.
    #[must_use]
    pub fn pointer(&self) -> String {
        let mut pointer = String::with_capacity(POINTER_BYTES);
        let mut at = self.document.root();
        while at.index() != self.value.index() {
            let Some(inner) = step_towards(at, self.value.index(), &mut pointer) else {
                break;
            };
            at = inner;
        }
        pointer
    }
}

/// Room for most pointers.
const POINTER_BYTES: usize = 48;

/// The child of `from` that holds the value at `index`. Its reference token is added to `pointer`.
fn step_towards<'d>(from: Value<'d>, index: usize, pointer: &mut String) -> Option<Value<'d>> {
    let holds = |value: &Value<'_>| value.index() <= index && index < value.next_index();
    if from.kind() == Kind::Array {
        let mut elements = from.elements().enumerate();
        let (position, element) = elements.find(|(_, element)| holds(element))?;
        // Writing to a String does not fail.
        let _ = write!(pointer, "/{position}");
        return Some(element);
    }
    let (key, value) = from
        .members()
        .find(|(key, value)| key.index() == index || holds(value))?;
    if key.index() == index {
        pointer.push_str("/*");
        return Some(key);
    }
    let name = key.text()?;
    pointer.push('/');
    for part in name.split_inclusive(['~', '/']) {
        let (plain, escape) = match part.as_bytes().last() {
            Some(b'~') => (part.strip_suffix('~'), "~0"),
            Some(b'/') => (part.strip_suffix('/'), "~1"),
            Some(_) | None => (Some(part), ""),
        };
        pointer.push_str(plain.unwrap_or(part));
        pointer.push_str(escape);
    }
    Some(value)
}

/// Offers every text of a message, or of each message of a batch, to `show`, and returns
/// the replacements. The envelope's `jsonrpc`, `id` and `method` and its own member names
/// are not offered: they are Weir's or the client's own words, and have been checked as
/// such.
pub fn reveal<'d>(document: &'d Document<'d>, show: impl FnMut(&Offer<'d>) -> Shown) -> Edits {
    reveal_except(document, &[], show)
}

/// The same without what stands at `sealed`, each a chain of members' names from the
/// outermost object: names that Weir itself has sealed, which come back as they are or
/// not at all.
pub fn reveal_except<'d>(
    document: &'d Document<'d>,
    sealed: &[&[&str]],
    show: impl FnMut(&Offer<'d>) -> Shown,
) -> Edits {
    let mut fixed = fixed(document);
    for path in sealed {
        let at = path
            .iter()
            .try_fold(document.root(), |value, name| value.get(name));
        fixed.extend(
            at.iter()
                .flat_map(|value| value.index()..value.next_index()),
        );
    }
    fixed.sort_unstable();
    walk(document, &fixed, show)
}

/// Offers every text of a document that stands inside of a text: it has no envelope.
pub fn reveal_inner<'d>(
    document: &'d Document<'d>,
    show: impl FnMut(&Offer<'d>) -> Shown,
) -> Edits {
    walk(document, &[], show)
}

fn walk<'d>(
    document: &'d Document<'d>,
    fixed: &[usize],
    mut show: impl FnMut(&Offer<'d>) -> Shown,
) -> Edits {
    let mut edits = Edits::new();
    for value in document.values() {
        let kind = match value.kind() {
            Kind::String => Offered::Text,
            Kind::Key => Offered::Key,
            Kind::Number => Offered::Number,
            Kind::True | Kind::False => Offered::Truth,
            Kind::Object | Kind::Array | Kind::Null => continue,
        };
        if fixed.binary_search(&value.index()).is_ok() {
            continue;
        }
        let replacement = written(
            kind,
            show(&Offer {
                value,
                document,
                kind,
            }),
        );
        if let Some(replacement) = replacement {
            // Values are walked from front to back and texts do not nest.
            let _ = edits.push(value.span(), replacement);
        }
    }
    edits
}

fn written(kind: Offered, shown: Shown) -> Option<Vec<u8>> {
    let text = match (kind, shown) {
        (_, Shown::Same) => return None,
        (Offered::Key, Shown::Null | Shown::Literal(_)) => String::new(),
        (Offered::Text | Offered::Number | Offered::Truth, Shown::Null) => {
            return Some(b"null".to_vec());
        }
        (Offered::Text | Offered::Number | Offered::Truth, Shown::Literal(json)) => {
            return Some(json.into_bytes());
        }
        (Offered::Number, Shown::Text(text)) if is_number(&text) => return Some(text.into_bytes()),
        (Offered::Text | Offered::Key | Offered::Number | Offered::Truth, Shown::Text(text)) => {
            text
        }
    };
    let mut out = Vec::with_capacity(text.len() + 2);
    quote(&text, &mut out);
    Some(out)
}

fn is_number(text: &str) -> bool {
    Document::parse(text.as_bytes()).is_ok_and(|document| document.root().number() == Some(text))
}

/// Positions that are not offered, ascending.
fn fixed(document: &Document<'_>) -> Vec<usize> {
    let root = document.root();
    let mut fixed = Vec::with_capacity(8);
    match root.kind() {
        Kind::Array => root
            .elements()
            .for_each(|message| fixed_of(&message, &mut fixed)),
        Kind::Object => fixed_of(&root, &mut fixed),
        Kind::Key | Kind::String | Kind::Number | Kind::True | Kind::False | Kind::Null => {}
    }
    fixed.sort_unstable();
    fixed
}

fn fixed_of(message: &Value<'_>, fixed: &mut Vec<usize>) {
    const ENVELOPE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];
    for (key, value) in message.members() {
        let name = key.text().unwrap_or_default();
        if ENVELOPE.contains(&&*name) {
            fixed.push(key.index());
        }
        if matches!(&*name, "jsonrpc" | "id" | "method") {
            fixed.push(value.index());
        }
    }
}

#[cfg(test)]
mod tests;
