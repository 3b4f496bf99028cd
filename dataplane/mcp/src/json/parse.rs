//! The walker: one pass over the body, no recursion, a node for each value and key.

use thiserror::Error;

use super::scan::plain_run;
use super::{Kind, Node};
use crate::limits::{JSON_DEPTH_MAX, JSON_NODES_MAX, JSON_NUMBER_BYTES_MAX};

/// Why a body is not one JSON document that every parser reads alike (RFC 8259, stricter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JsonError {
    /// The body ends inside a value, or is empty.
    #[error("JSON ends at byte {0}, inside a value")]
    Truncated(usize),
    /// A byte that the grammar does not have here, a byte order mark included.
    #[error("JSON has an unexpected byte at {0}")]
    Unexpected(usize),
    /// Something other than white space follows the document.
    #[error("JSON goes on after the document, at byte {0}")]
    Trailing(usize),
    /// A string holds an unescaped control character.
    #[error("JSON string has a control character at byte {0}")]
    Control(usize),
    /// A string is not UTF-8.
    #[error("JSON string is not UTF-8 at byte {0}")]
    Utf8(usize),
    /// An escape that the grammar does not have.
    #[error("JSON string has an unknown escape at byte {0}")]
    Escape(usize),
    /// Half of a surrogate pair, which Node keeps and Go replaces.
    #[error("JSON string has a lone surrogate at byte {0}")]
    Surrogate(usize),
    /// A number that no double holds, which some read as infinite and some refuse.
    #[error("JSON number at byte {0} is out of range")]
    Number(usize),
    /// Nested deeper than [`JSON_DEPTH_MAX`].
    #[error("JSON is nested deeper than {JSON_DEPTH_MAX} at byte {0}")]
    Deep(usize),
    /// More than [`JSON_NODES_MAX`] values and keys, or 4 GiB.
    #[error("JSON has more values than Weir reads")]
    Large,
    /// Two keys of one object that some parser takes for the same.
    #[error("JSON object has a duplicate key at byte {0}")]
    Duplicate(usize),
}

pub(super) fn parse(bytes: &[u8], nodes: &mut Vec<Node>) -> Result<(), JsonError> {
    let mut walker = first(bytes, nodes)?;
    walker.space();
    if walker.at == bytes.len() {
        Ok(())
    } else {
        Err(JsonError::Trailing(walker.at))
    }
}

/// Reads the document at the beginning. Where it ends.
pub(super) fn parse_first(bytes: &[u8], nodes: &mut Vec<Node>) -> Result<usize, JsonError> {
    first(bytes, nodes).map(|walker| walker.at)
}

fn first<'a>(bytes: &'a [u8], nodes: &'a mut Vec<Node>) -> Result<Walker<'a>, JsonError> {
    nodes.clear();
    if u32::try_from(bytes.len()).is_err() {
        return Err(JsonError::Large);
    }
    let mut walker = Walker {
        bytes,
        at: 0,
        nodes,
        open: Vec::with_capacity(16),
    };
    walker.space();
    walker.value()?;
    while let Some(&open) = walker.open.last() {
        walker.step(open)?;
    }
    Ok(walker)
}

struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: &'a mut Vec<Node>,
    /// Containers that are open, by index into `nodes`.
    open: Vec<usize>,
}

impl Walker<'_> {
    fn peek(&self) -> Result<u8, JsonError> {
        self.bytes
            .get(self.at)
            .copied()
            .ok_or(JsonError::Truncated(self.at))
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek()? == byte {
            self.at += 1;
            Ok(())
        } else {
            Err(JsonError::Unexpected(self.at))
        }
    }

    /// One more member of the innermost container, or its end.
    fn step(&mut self, open: usize) -> Result<(), JsonError> {
        let container = self.nodes.get(open).map_or(Kind::Array, |node| node.kind);
        let is_object = container == Kind::Object;
        self.space();
        if self.peek()? == if is_object { b'}' } else { b']' } {
            self.close(open);
            return Ok(());
        }
        let has_members = self.nodes.len() > open + 1;
        if has_members {
            self.expect(b',')?;
            self.space();
        }
        if is_object {
            self.key()?;
            self.space();
            self.expect(b':')?;
            self.space();
        }
        self.value()
    }

    fn close(&mut self, open: usize) {
        self.at += 1;
        self.open.pop();
        let (end, next) = (offset(self.at), offset(self.nodes.len()));
        if let Some(node) = self.nodes.get_mut(open) {
            node.end = end;
            node.next = next;
        }
    }

    fn value(&mut self) -> Result<(), JsonError> {
        match self.peek()? {
            b'"' => self.string(Kind::String),
            b'{' => self.container(Kind::Object),
            b'[' => self.container(Kind::Array),
            b't' => self.word(b"true", Kind::True),
            b'f' => self.word(b"false", Kind::False),
            b'n' => self.word(b"null", Kind::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(JsonError::Unexpected(self.at)),
        }
    }

    fn key(&mut self) -> Result<(), JsonError> {
        match self.peek()? {
            b'"' => self.string(Kind::Key),
            _ => Err(JsonError::Unexpected(self.at)),
        }
    }

    fn push(
        &mut self,
        kind: Kind,
        start: usize,
        end: usize,
        escaped: bool,
        ascii: bool,
    ) -> Result<(), JsonError> {
        if self.nodes.len() >= JSON_NODES_MAX {
            return Err(JsonError::Large);
        }
        let next = offset(self.nodes.len() + 1);
        self.nodes.push(Node {
            kind,
            escaped,
            ascii,
            start: offset(start),
            end: offset(end),
            next,
        });
        Ok(())
    }

    fn container(&mut self, kind: Kind) -> Result<(), JsonError> {
        if self.open.len() >= JSON_DEPTH_MAX {
            return Err(JsonError::Deep(self.at));
        }
        self.open.push(self.nodes.len());
        self.push(kind, self.at, self.at, false, true)?;
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<(), JsonError> {
        let start = self.at;
        for &byte in word {
            self.expect(byte)?;
        }
        self.push(kind, start, self.at, false, true)
    }

    fn string(&mut self, kind: Kind) -> Result<(), JsonError> {
        let start = self.at;
        let (mut escaped, mut ascii) = (false, true);
        self.at += 1;
        loop {
            let run = plain_run(self.bytes, self.at);
            ascii &= run.ascii;
            if !run.ascii {
                self.utf8(run.end)?;
            }
            self.at = run.end;
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(JsonError::Control(self.at)),
            }
        }
        self.at += 1;
        self.push(kind, start, self.at, escaped, ascii)
    }

    /// A run ends at ASCII bytes only, so each can be checked alone.
    fn utf8(&self, end: usize) -> Result<(), JsonError> {
        let run = self.bytes.get(self.at..end).unwrap_or_default();
        match std::str::from_utf8(run) {
            Ok(_) => Ok(()),
            Err(error) => Err(JsonError::Utf8(self.at + error.valid_up_to())),
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at += 1;
        match self.peek()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.at += 1;
                Ok(())
            }
            b'u' => {
                self.at += 1;
                self.unicode(start)
            }
            _ => Err(JsonError::Escape(start)),
        }
    }

    fn unicode(&mut self, start: usize) -> Result<(), JsonError> {
        match self.hex4(start)? {
            0xD800..=0xDBFF => {
                if self.bytes.get(self.at..self.at + 2) != Some(b"\\u") {
                    return Err(JsonError::Surrogate(start));
                }
                self.at += 2;
                match self.hex4(start)? {
                    0xDC00..=0xDFFF => Ok(()),
                    _ => Err(JsonError::Surrogate(start)),
                }
            }
            0xDC00..=0xDFFF => Err(JsonError::Surrogate(start)),
            _ => Ok(()),
        }
    }

    fn hex4(&mut self, start: usize) -> Result<u32, JsonError> {
        let digits = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<4>());
        let digits = digits.ok_or(JsonError::Truncated(self.bytes.len()))?;
        self.at += 4;
        digits.iter().try_fold(0, |code, &digit| {
            let digit = char::from(digit)
                .to_digit(16)
                .ok_or(JsonError::Escape(start))?;
            Ok(code * 16 + digit)
        })
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek()?.is_ascii_digit() {
            return Err(JsonError::Unexpected(self.at));
        }
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        if self.peek()? == b'-' {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        self.in_range(start)?;
        self.push(Kind::Number, start, self.at, false, true)
    }

    fn in_range(&self, start: usize) -> Result<(), JsonError> {
        let raw = self.bytes.get(start..self.at).unwrap_or_default();
        // Up to 300 digits without an exponent stay below 1.8e308.
        if raw.len() <= 300 && memchr::memchr2(b'e', b'E', raw).is_none() {
            return Ok(());
        }
        let value = std::str::from_utf8(raw)
            .ok()
            .and_then(|text| text.parse::<f64>().ok());
        match value {
            Some(value) if value.is_finite() && raw.len() <= JSON_NUMBER_BYTES_MAX => Ok(()),
            _ => Err(JsonError::Number(start)),
        }
    }
}

/// Lengths are below 4 GiB, as `parse` checked; nodes are fewer than bytes.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
