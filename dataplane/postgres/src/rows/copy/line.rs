//! A row of the text formats: fields between delimiters, a line end behind them.
//!
//! Read as strictly as the server writes (`CopyAttributeOutText`, `CopyAttributeOutCSV`): what it
//! would not have written is no row.

use std::ops::Range;

use super::super::edit::{Edit, Edited, Fresh};
use crate::frame::ServerTag;
use crate::message::MessageError;

/// How fields are told apart.
pub(super) struct Line<'a> {
    delimiter: u8,
    null: &'a [u8],
    style: Style<'a>,
}

enum Style<'a> {
    Escaped,
    Quoted {
        quote: u8,
        escape: u8,
        always: &'a [usize],
        is_single: bool,
    },
}

/// A field where it lies.
struct Found {
    /// With its quotes.
    outer: Range<usize>,
    /// Without them.
    inner: Range<usize>,
    /// It is not its value byte by byte.
    is_escaped: bool,
}

impl Found {
    fn is_quoted(&self) -> bool {
        self.outer != self.inner
    }
}

impl<'a> Line<'a> {
    pub(super) const fn text(delimiter: u8, null: &'a [u8]) -> Self {
        Self {
            delimiter,
            null,
            style: Style::Escaped,
        }
    }

    pub(super) const fn csv(
        delimiter: u8,
        null: &'a [u8],
        quote: u8,
        escape: u8,
        always: &'a [usize],
        count: usize,
    ) -> Self {
        let style = Style::Quoted {
            quote,
            escape,
            always,
            is_single: count == 1,
        };
        Self {
            delimiter,
            null,
            style,
        }
    }

    /// The line that names the columns. FORCE_QUOTE does not count for it.
    pub(super) fn put_header(&self, names: &[Box<[u8]>], out: &mut Vec<u8>) {
        for (position, name) in names.iter().enumerate() {
            if position > 0 {
                out.push(self.delimiter);
            }
            match &self.style {
                Style::Escaped => self.put_escaped(name, out),
                Style::Quoted { .. } => self.put_csv(name, self.needs_quotes(name), out),
            }
        }
        out.push(b'\n');
    }

    pub(super) fn edit(
        &self,
        body: &mut [u8],
        count: usize,
        columns: impl IntoIterator<Item = usize>,
        mut change: impl FnMut(usize, &mut [u8]) -> Edit,
        out: &mut Vec<u8>,
    ) -> Result<Edited, MessageError> {
        let Some((b'\n', line)) = body.split_last_mut() else {
            return Err(MessageError::CopyRow);
        };
        let mut chosen = columns.into_iter();
        let mut next = chosen.next();
        let mut fresh: Option<Fresh> = None;
        let mut at = 0;
        for position in 0..count {
            if position > 0 {
                at = self.behind_delimiter(line, at)?;
            }
            let found = self.field(line, at)?;
            at = found.outer.end;
            if next != Some(position) {
                continue;
            }
            next = chosen.next();
            let shown = match self.change(line, position, &found, &mut change)? {
                Edit::InPlace => continue,
                Edit::Replace(shown) => Some(shown),
                Edit::Null => None,
            };
            fresh
                .get_or_insert_with(|| Fresh::begin(ServerTag::CopyData, out))
                .replace(line, found.outer, out, |out| {
                    self.put(position, shown.as_deref(), out);
                });
        }
        if at != line.len() {
            return Err(MessageError::CopyRow);
        }
        match fresh {
            None => Ok(Edited::InPlace),
            Some(fresh) => fresh.finish(body, out).map(|()| Edited::Rewritten),
        }
    }

    /// What becomes of a field. In place: it stays, or was changed where it lies.
    fn change(
        &self,
        line: &mut [u8],
        position: usize,
        found: &Found,
        mut change: impl FnMut(usize, &mut [u8]) -> Edit,
    ) -> Result<Edit, MessageError> {
        let raw = line
            .get_mut(found.inner.clone())
            .ok_or(MessageError::CopyRow)?;
        if !found.is_quoted() && raw == self.null {
            return Ok(Edit::InPlace);
        }
        // What is not its value byte by byte, or is quoted as we would not, stays if it is not changed.
        if found.is_escaped || !self.fits(position, raw, found.is_quoted()) {
            let value = if found.is_escaped {
                self.decoded(raw)?
            } else {
                raw.to_vec()
            };
            let mut changed = value.clone();
            return Ok(match change(position, &mut changed) {
                Edit::InPlace if changed != value => Edit::Replace(changed),
                other => other,
            });
        }
        Ok(match change(position, raw) {
            Edit::InPlace if !self.fits(position, raw, found.is_quoted()) => {
                Edit::Replace(raw.to_vec())
            }
            other => other,
        })
    }

    fn behind_delimiter(&self, line: &[u8], at: usize) -> Result<usize, MessageError> {
        if line.get(at) == Some(&self.delimiter) {
            Ok(at + 1)
        } else {
            Err(MessageError::CopyRow)
        }
    }

    fn field(&self, line: &[u8], start: usize) -> Result<Found, MessageError> {
        match self.style {
            Style::Escaped => self.escaped_field(line, start),
            Style::Quoted { quote, escape, .. } if line.get(start) == Some(&quote) => {
                quoted_field(line, start, quote, escape)
            }
            Style::Quoted { quote, .. } => self.plain_field(line, start, quote),
        }
    }

    fn escaped_field(&self, line: &[u8], start: usize) -> Result<Found, MessageError> {
        let mut is_escaped = false;
        let mut at = start;
        while let Some(byte) = line.get(at) {
            match *byte {
                byte if byte == self.delimiter => break,
                b'\\' if line.get(at + 1).is_some() => {
                    is_escaped = true;
                    at += 2;
                }
                // These are escaped wherever they are in a value.
                b'\\' | 0x08..=0x0d => return Err(MessageError::CopyRow),
                _ => at += 1,
            }
        }
        Ok(Found {
            outer: start..at,
            inner: start..at,
            is_escaped,
        })
    }

    fn plain_field(&self, line: &[u8], start: usize, quote: u8) -> Result<Found, MessageError> {
        let rest = line.get(start..).unwrap_or_default();
        let is_end = |byte: &u8| *byte == self.delimiter;
        let end = start + rest.iter().position(is_end).unwrap_or(rest.len());
        let field = line.get(start..end).unwrap_or_default();
        if field
            .iter()
            .any(|byte| *byte == quote || matches!(byte, b'\n' | b'\r'))
        {
            return Err(MessageError::CopyRow);
        }
        Ok(Found {
            outer: start..end,
            inner: start..end,
            is_escaped: false,
        })
    }

    /// The value behind a field that is not its value byte by byte.
    fn decoded(&self, raw: &[u8]) -> Result<Vec<u8>, MessageError> {
        let mut value = Vec::with_capacity(raw.len());
        let mut bytes = raw.iter();
        while let Some(byte) = bytes.next() {
            let escape = match self.style {
                Style::Escaped => b'\\',
                Style::Quoted { escape, .. } => escape,
            };
            if *byte != escape {
                value.push(*byte);
                continue;
            }
            let escaped = *bytes.next().ok_or(MessageError::CopyRow)?;
            value.push(match self.style {
                Style::Escaped => self.meant(escaped).ok_or(MessageError::CopyRow)?,
                Style::Quoted { .. } => escaped,
            });
        }
        Ok(value)
    }

    /// What a backslash and this character stand for.
    fn meant(&self, escaped: u8) -> Option<u8> {
        Some(match escaped {
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'r' => b'\r',
            b'\\' => b'\\',
            _ if escaped == self.delimiter && !is_named(escaped) => escaped,
            _ => return None,
        })
    }

    /// Whether a value can stand where it lies, with its quotes or without.
    fn fits(&self, position: usize, value: &[u8], is_quoted: bool) -> bool {
        match &self.style {
            Style::Escaped => !value
                .iter()
                .any(|byte| *byte == b'\\' || *byte == self.delimiter || is_named(*byte)),
            Style::Quoted {
                quote,
                escape,
                always,
                ..
            } => {
                let is_plain = !value.iter().any(|byte| byte == quote || byte == escape);
                let wanted = always.contains(&position) || self.needs_quotes(value);
                wanted == is_quoted && (is_plain || !is_quoted)
            }
        }
    }

    fn needs_quotes(&self, value: &[u8]) -> bool {
        let Style::Quoted {
            quote, is_single, ..
        } = self.style
        else {
            return false;
        };
        // `\.` alone on a line once ended the data.
        value == self.null
            || (is_single && value == b"\\.")
            || value.iter().any(|byte| {
                *byte == self.delimiter || *byte == quote || matches!(byte, b'\n' | b'\r')
            })
    }

    fn put(&self, position: usize, value: Option<&[u8]>, out: &mut Vec<u8>) {
        match (value, &self.style) {
            (None, _) => out.extend_from_slice(self.null),
            (Some(value), Style::Escaped) => self.put_escaped(value, out),
            (Some(value), Style::Quoted { always, .. }) => {
                let is_quoted = always.contains(&position) || self.needs_quotes(value);
                self.put_csv(value, is_quoted, out);
            }
        }
    }

    fn put_escaped(&self, value: &[u8], out: &mut Vec<u8>) {
        for byte in value {
            match *byte {
                0x08 => out.extend_from_slice(b"\\b"),
                b'\t' => out.extend_from_slice(b"\\t"),
                b'\n' => out.extend_from_slice(b"\\n"),
                0x0b => out.extend_from_slice(b"\\v"),
                0x0c => out.extend_from_slice(b"\\f"),
                b'\r' => out.extend_from_slice(b"\\r"),
                byte if byte == b'\\' || byte == self.delimiter => {
                    out.extend_from_slice(&[b'\\', byte]);
                }
                byte => out.push(byte),
            }
        }
    }

    fn put_csv(&self, value: &[u8], is_quoted: bool, out: &mut Vec<u8>) {
        let (Style::Quoted { quote, escape, .. }, true) = (&self.style, is_quoted) else {
            out.extend_from_slice(value);
            return;
        };
        out.push(*quote);
        for byte in value {
            if byte == quote || byte == escape {
                out.push(*escape);
            }
            out.push(*byte);
        }
        out.push(*quote);
    }
}

/// Characters that have an escape of their own: `\b` to `\r`.
const fn is_named(byte: u8) -> bool {
    matches!(byte, 0x08..=0x0d)
}

fn quoted_field(line: &[u8], start: usize, quote: u8, escape: u8) -> Result<Found, MessageError> {
    let mut is_escaped = false;
    let mut at = start + 1;
    loop {
        let (byte, next) = (line.get(at), line.get(at + 1));
        match (byte, next) {
            (None, _) => return Err(MessageError::CopyRow),
            (Some(byte), Some(next)) if *byte == escape && (*next == quote || *next == escape) => {
                is_escaped = true;
                at += 2;
            }
            (Some(byte), _) if *byte == quote => break,
            (Some(byte), _) if *byte == escape => return Err(MessageError::CopyRow),
            (Some(_), _) => at += 1,
        }
    }
    Ok(Found {
        outer: start..at + 1,
        inner: start + 1..at,
        is_escaped,
    })
}
