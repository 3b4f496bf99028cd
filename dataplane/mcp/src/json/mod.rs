//! Strict JSON: one pass finds every value and key, and refuses what parsers read
//! differently.
//!
//! [`Document::parse`] accepts a subset of RFC 8259: one document, UTF-8, no byte order
//! mark, no lone surrogates, numbers within a double's range, bounded depth. Duplicate
//! keys are a question of who reads the object: [`Value::unique_keys`] and
//! [`Document::unique_keys_everywhere`] refuse them where policy reads. Values stay in
//! the body; nothing is copied until a string with escapes is asked for.

mod canonical;
mod edit;
mod keys;
mod parse;
mod scan;
mod text;

use std::borrow::Cow;
use std::ops::Range;

pub use canonical::canonical;
pub(crate) use canonical::canonical_members;
pub use edit::{Edits, removed_members};
pub use keys::{KeyEquality, fold, same_folded};
pub use parse::JsonError;
pub use text::quote;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// The name of an object's member.
    Key,
    /// `"…"` as a value.
    String,
    /// A number.
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// A value or key: where it lies, and where the next one after everything in it is.
#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// Whether a string has escapes.
    escaped: bool,
    /// Whether every byte of it is below 0x80.
    ascii: bool,
    start: u32,
    end: u32,
    next: u32,
}

/// A body that was read, with the place of each of its values.
#[derive(Debug)]
pub struct Document<'b> {
    bytes: &'b [u8],
    nodes: Vec<Node>,
}

impl<'b> Document<'b> {
    /// Reads a whole body.
    ///
    /// # Errors
    /// Where the body is not exactly one document of the subset named above.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, JsonError> {
        Self::parse_reusing(bytes, Vec::new())
    }

    /// Reads the document at the beginning of a body after which others may follow, or anything
    /// else, and says where it ends. A number ends where it is no number any more.
    ///
    /// # Errors
    /// Where the body does not begin with a document of the subset named above.
    pub fn parse_first(bytes: &'b [u8]) -> Result<(Self, usize), JsonError> {
        let mut nodes = Vec::new();
        let end = parse::parse_first(bytes, &mut nodes)?;
        let bytes = bytes.get(..end).unwrap_or(bytes);
        Ok((Self { bytes, nodes }, end))
    }

    fn parse_reusing(bytes: &'b [u8], mut nodes: Vec<Node>) -> Result<Self, JsonError> {
        nodes.reserve(bytes.len() / 16 + 8);
        parse::parse(bytes, &mut nodes)?;
        Ok(Self { bytes, nodes })
    }

    /// The body itself.
    #[must_use]
    pub const fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        self.value(0)
            .expect("parse succeeds only after it pushed the outermost value")
    }

    /// Every value and key in the order of the body.
    pub fn values(&self) -> impl Iterator<Item = Value<'_>> {
        (0..self.nodes.len()).filter_map(|index| self.value(index))
    }

    fn value(&self, index: usize) -> Option<Value<'_>> {
        let node = *self.nodes.get(index)?;
        Some(Value {
            bytes: self.bytes,
            nodes: &self.nodes,
            index,
            node,
        })
    }
}

/// One value or key of a [`Document`].
#[derive(Clone, Copy, Debug)]
pub struct Value<'d> {
    bytes: &'d [u8],
    nodes: &'d [Node],
    index: usize,
    node: Node,
}

impl<'d> Value<'d> {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.node.kind
    }

    /// Its position among all values of the document.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The position after its last descendant.
    #[must_use]
    pub const fn next_index(&self) -> usize {
        self.node.next as usize
    }

    /// Where it lies in the body, quotes and brackets included.
    #[must_use]
    pub const fn span(&self) -> Range<usize> {
        self.node.start as usize..self.node.end as usize
    }

    /// Its bytes as they came.
    #[must_use]
    pub fn raw(&self) -> &'d [u8] {
        self.bytes.get(self.span()).unwrap_or_default()
    }

    /// The text of a string or key, escapes resolved; `None` for anything else.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'d, str>> {
        match self.node.kind {
            Kind::String | Kind::Key => Some(text::unquote(self.raw(), self.node.escaped)),
            Kind::Object | Kind::Array | Kind::Number | Kind::True | Kind::False | Kind::Null => {
                None
            }
        }
    }

    /// The text of a number as it was written; `None` for anything else.
    #[must_use]
    pub fn number(&self) -> Option<&'d str> {
        match self.node.kind {
            Kind::Number => std::str::from_utf8(self.raw()).ok(),
            Kind::Object
            | Kind::Array
            | Kind::Key
            | Kind::String
            | Kind::True
            | Kind::False
            | Kind::Null => None,
        }
    }

    /// The members of an object as key and value; nothing for anything else.
    #[must_use]
    pub fn members(&self) -> Members<'d> {
        Members {
            children: self.children(Kind::Object),
        }
    }

    /// The elements of an array; nothing for anything else.
    #[must_use]
    pub fn elements(&self) -> Elements<'d> {
        Elements {
            children: self.children(Kind::Array),
        }
    }

    /// The first member of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'d>> {
        self.members()
            .find(|(key, _)| key.is_text(name))
            .map(|(_, value)| value)
    }

    /// Whether it is a string or key of exactly this text.
    #[must_use]
    pub fn is_text(&self, text: &str) -> bool {
        if self.node.escaped {
            self.text().as_deref() == Some(text)
        } else {
            self.plain() == Some(text.as_bytes())
        }
    }

    /// Whether it is a string or key of this text in another letter case, and not of
    /// exactly this text. `text` is ASCII.
    #[must_use]
    pub fn is_text_but_for_case(&self, text: &str) -> bool {
        match self.plain_ascii() {
            Some(plain) => plain != text.as_bytes() && plain.eq_ignore_ascii_case(text.as_bytes()),
            None => self
                .text()
                .is_some_and(|own| own != text && same_folded(&own, text)),
        }
    }

    fn plain(&self) -> Option<&'d [u8]> {
        match self.node.kind {
            Kind::String | Kind::Key => self.raw().strip_prefix(b"\"")?.strip_suffix(b"\""),
            Kind::Object | Kind::Array | Kind::Number | Kind::True | Kind::False | Kind::Null => {
                None
            }
        }
    }

    /// The bytes of a string or key that has neither escapes nor bytes above 0x7F.
    fn plain_ascii(&self) -> Option<&'d [u8]> {
        if self.node.escaped || !self.node.ascii {
            return None;
        }
        self.plain()
    }

    fn children(&self, of: Kind) -> Children<'d> {
        let end = if self.node.kind == of {
            self.next_index()
        } else {
            self.index + 1
        };
        Children {
            bytes: self.bytes,
            nodes: self.nodes,
            at: self.index + 1,
            end,
        }
    }
}

#[derive(Clone, Debug)]
struct Children<'d> {
    bytes: &'d [u8],
    nodes: &'d [Node],
    at: usize,
    end: usize,
}

impl<'d> Iterator for Children<'d> {
    type Item = Value<'d>;

    fn next(&mut self) -> Option<Value<'d>> {
        if self.at >= self.end {
            return None;
        }
        let node = *self.nodes.get(self.at)?;
        let index = self.at;
        self.at = node.next as usize;
        Some(Value {
            bytes: self.bytes,
            nodes: self.nodes,
            index,
            node,
        })
    }
}

/// The members of an object, in the order of the body.
#[derive(Clone, Debug)]
pub struct Members<'d> {
    children: Children<'d>,
}

impl<'d> Iterator for Members<'d> {
    type Item = (Value<'d>, Value<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.children.next()?;
        let value = self.children.next()?;
        Some((key, value))
    }
}

/// The elements of an array, in the order of the body.
#[derive(Clone, Debug)]
pub struct Elements<'d> {
    children: Children<'d>,
}

impl<'d> Iterator for Elements<'d> {
    type Item = Value<'d>;

    fn next(&mut self) -> Option<Value<'d>> {
        self.children.next()
    }
}

#[cfg(test)]
mod tests;
