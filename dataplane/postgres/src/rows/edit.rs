use std::ops::Range;

use crate::frame::{ServerTag, Tag};
use crate::message::MessageError;

/// What became of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It stays, or was changed where it lies.
    InPlace,
    /// It is this one now, of any length.
    Replace(Vec<u8>),
    /// It is null now.
    Null,
}

/// Where an edited row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// Where it was, of the same length.
    InPlace,
    /// In the fresh buffer, as a whole frame.
    Rewritten,
}

/// Edits the values of chosen columns of a DataRow, leaving nulls alone.
///
/// `columns` are positions from 0, ascending; `count` is how many columns the row must have. As long
/// as no length changes nothing is copied; else the row is appended to `out` as a frame.
///
/// # Errors
/// [`MessageError`]; [`MessageError::FormatCount`] if the row has another number of columns than was
/// described. The row must not be passed on then, for it may be edited in part.
pub fn edit(
    body: &mut [u8],
    count: usize,
    columns: impl IntoIterator<Item = usize>,
    change: impl FnMut(usize, &mut [u8]) -> Edit,
    out: &mut Vec<u8>,
) -> Result<Edited, MessageError> {
    edit_tuple(ServerTag::DataRow, body, 0, count, columns, change, out)
}

/// The same for a tuple that starts at `start` of a body: DataRow's values, and those of a row of
/// COPY's binary format, are written alike.
pub(super) fn edit_tuple(
    tag: ServerTag,
    body: &mut [u8],
    start: usize,
    count: usize,
    columns: impl IntoIterator<Item = usize>,
    mut change: impl FnMut(usize, &mut [u8]) -> Edit,
    out: &mut Vec<u8>,
) -> Result<Edited, MessageError> {
    let announced = body
        .get(start..)
        .and_then(|tuple| tuple.first_chunk())
        .map(|word| usize::from(u16::from_be_bytes(*word)));
    if announced.ok_or(MessageError::Truncated)? != count {
        return Err(MessageError::FormatCount);
    }
    let mut chosen = columns.into_iter();
    let mut next = chosen.next();
    let mut fresh: Option<Fresh> = None;
    let mut at = start + 2;
    for position in 0..count {
        let (value, end) = value_at(body, at)?;
        if next == Some(position) {
            next = chosen.next();
            if let Some(span) = value {
                let edited = change(position, body.get_mut(span).ok_or(MessageError::Truncated)?);
                if edited != Edit::InPlace {
                    fresh.get_or_insert_with(|| Fresh::begin(tag, out)).replace(
                        body,
                        at..end,
                        out,
                        |out| put(body, at..end, &edited, out),
                    );
                }
            }
        }
        at = end;
    }
    if at != body.len() {
        return Err(MessageError::TrailingBytes);
    }
    match fresh {
        None => Ok(Edited::InPlace),
        Some(fresh) => fresh.finish(body, out).map(|()| Edited::Rewritten),
    }
}

/// The span of the value whose length word is at `at` (`None` for null), and where the next begins.
fn value_at(body: &[u8], at: usize) -> Result<(Option<Range<usize>>, usize), MessageError> {
    let start = at + 4;
    let word = body
        .get(at..start)
        .and_then(|word| word.first_chunk())
        .ok_or(MessageError::Truncated)?;
    let length = match i32::from_be_bytes(*word) {
        -1 => return Ok((None, start)),
        length => usize::try_from(length).map_err(|_| MessageError::NegativeLength)?,
    };
    let end = start
        .checked_add(length)
        .filter(|end| *end <= body.len())
        .ok_or(MessageError::Truncated)?;
    Ok((Some(start..end), end))
}

/// Writes a value with its length in place of the one at `span`.
fn put(body: &[u8], span: Range<usize>, edit: &Edit, out: &mut Vec<u8>) {
    match edit {
        Edit::Replace(value) => {
            // Longer than 2³¹−1 cannot be said: null is the safe value.
            match i32::try_from(value.len()) {
                Ok(length) => {
                    out.extend_from_slice(&length.to_be_bytes());
                    out.extend_from_slice(value);
                }
                Err(_) => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            }
        }
        Edit::Null => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        Edit::InPlace => out.extend_from_slice(body.get(span).unwrap_or_default()),
    }
}

/// A row that is being written anew.
pub(super) struct Fresh {
    /// Where its length word is in the buffer.
    length_at: usize,
    /// How much of the old body is in it.
    copied: usize,
}

impl Fresh {
    pub(super) fn begin(tag: ServerTag, out: &mut Vec<u8>) -> Self {
        out.push(tag.byte());
        let length_at = out.len();
        out.extend_from_slice(&[0; 4]);
        Self {
            length_at,
            copied: 0,
        }
    }

    /// Lets `write` say what stands in the place of `span`.
    pub(super) fn replace(
        &mut self,
        body: &[u8],
        span: Range<usize>,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        out.extend_from_slice(body.get(self.copied..span.start).unwrap_or_default());
        write(out);
        self.copied = span.end;
    }

    pub(super) fn finish(self, body: &[u8], out: &mut Vec<u8>) -> Result<(), MessageError> {
        out.extend_from_slice(body.get(self.copied..).unwrap_or_default());
        let length =
            i32::try_from(out.len() - self.length_at).map_err(|_| MessageError::TooMany)?;
        let word = out
            .get_mut(self.length_at..self.length_at + 4)
            .ok_or(MessageError::Truncated)?;
        word.copy_from_slice(&length.to_be_bytes());
        Ok(())
    }
}
