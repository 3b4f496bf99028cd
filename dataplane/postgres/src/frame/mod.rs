//! Frames over arbitrary chunks: type byte, 32-bit length (itself included), body.
//!
//! A frame that lies whole in the chunk is shown in place, to be edited there; one that straddles
//! chunks is assembled in a buffer; bulk that nobody has to see is passed on in pieces, for the
//! price of a walk over its headers.

mod tag;

use std::ops::Range;

pub use tag::{ClientTag, ServerTag, Streamed, Tag};

use crate::limits;

/// Bytes of type and length.
pub const HEADER_BYTES: usize = 5;

/// What makes a stream unreadable. Nothing after it can be believed: the flow ends (08P01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A type byte that this side does not send.
    #[error("unknown message type 0x{0:02x}")]
    UnknownType(u8),
    /// A length word below 4.
    #[error("message type 0x{tag:02x} with length {length}")]
    LengthTooSmall {
        /// The type byte.
        tag: u8,
        /// The length word.
        length: u32,
    },
    /// A length word above the bound of its type.
    #[error("message type 0x{tag:02x} with length {length}, at most {max} are taken")]
    LengthTooLarge {
        /// The type byte.
        tag: u8,
        /// The length word.
        length: u32,
        /// The bound.
        max: usize,
    },
}

/// Where a whole frame lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the chunk, header included.
    Span(Range<usize>),
    /// In the reader's buffer, until [`FrameReader::next`] is called again or
    /// [`FrameReader::take_assembled`] takes it away.
    Assembled,
}

/// A whole frame.
#[derive(Debug)]
pub struct Frame<'a, T> {
    /// Its type.
    pub tag: T,
    /// Where it lies.
    pub place: Place,
    bytes: &'a mut [u8],
}

impl<T: Tag> Frame<'_, T> {
    /// Header and body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The body, without type and length.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// The body, to be edited where it lies. Its length stays.
    #[must_use]
    pub fn body_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(HEADER_BYTES..).unwrap_or_default()
    }
}

/// A run of bulk frames of one type, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<T> {
    /// Their type.
    pub tag: T,
    /// A header whose beginning came with an earlier chunk. It goes before the range.
    pub header: Option<[u8; HEADER_BYTES]>,
    /// Bytes of the chunk.
    pub range: Range<usize>,
    /// How many frames begin in this piece.
    pub frames: u64,
    /// Whether the last of them ends with it.
    pub ends: bool,
}

impl<T> Piece<T> {
    /// Bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.range.len() + self.header.map_or(0, |header| header.len())
    }
}

/// What the reader found.
#[derive(Debug)]
pub enum Step<'a, T> {
    /// A whole frame.
    Frame(Frame<'a, T>),
    /// Bulk to be passed on.
    Piece(Piece<T>),
}

/// What the last call left.
///
/// ```text
///          header incomplete          body incomplete
///   Idle ────────────────────▶ Head ──────────────────▶ Body ──▶ Assembled ──▶ Idle
///     │                          │ bulk
///     └──────── bulk ────────────┴──────▶ Bulk ──▶ Idle
/// ```
#[derive(Debug)]
enum State<T> {
    Idle,
    Head {
        bytes: [u8; HEADER_BYTES],
        have: usize,
    },
    Body {
        tag: T,
        total: usize,
    },
    Assembled {
        tag: T,
    },
    Bulk {
        tag: T,
        left: usize,
    },
}

/// Cuts one side's bytes into frames. Holds at most one incomplete frame, bounded by its type.
#[derive(Debug)]
pub struct FrameReader<T> {
    state: State<T>,
    buffer: Vec<u8>,
    again: bool,
}

/// Reads a client's frames.
pub type ClientReader = FrameReader<ClientTag>;

/// Reads a server's frames.
pub type ServerReader = FrameReader<ServerTag>;

impl<T: Tag> Default for FrameReader<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Tag> FrameReader<T> {
    /// A reader at the beginning of a frame.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Idle,
            buffer: Vec::new(),
            again: false,
        }
    }

    /// Whether the last frame is complete: an end of stream here cuts nothing.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Idle | State::Assembled { .. }) && !self.again
    }

    /// Bytes held for an incomplete frame.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// The next step in `chunk` from `at`, which is moved behind it; `None` when the chunk is used up.
    ///
    /// # Errors
    /// [`FrameError`]; the reader must not be used afterwards.
    pub fn next<'a>(
        &'a mut self,
        chunk: &'a mut [u8],
        at: &mut usize,
        streamed: Streamed<T>,
    ) -> Result<Option<Step<'a, T>>, FrameError> {
        if self.again {
            self.again = false;
        } else if matches!(self.state, State::Assembled { .. }) {
            self.release();
        }
        loop {
            let rest = chunk.get(*at..).unwrap_or_default();
            match &mut self.state {
                State::Assembled { tag } => {
                    let tag = *tag;
                    let frame = Frame {
                        tag,
                        place: Place::Assembled,
                        bytes: &mut self.buffer,
                    };
                    return Ok(Some(Step::Frame(frame)));
                }
                State::Idle if rest.is_empty() => return Ok(None),
                State::Idle => {
                    let Some(header) = rest.first_chunk() else {
                        let mut bytes = [0; HEADER_BYTES];
                        bytes
                            .iter_mut()
                            .zip(rest)
                            .for_each(|(to, from)| *to = *from);
                        T::from_byte(bytes[0]).ok_or(FrameError::UnknownType(bytes[0]))?;
                        self.state = State::Head {
                            bytes,
                            have: rest.len(),
                        };
                        *at = chunk.len();
                        return Ok(None);
                    };
                    let (tag, total) = parse_header(header, streamed)?;
                    if streamed.contains(tag) {
                        return self.run(chunk, at, tag, None, streamed).map(Some);
                    }
                    if rest.len() < total {
                        self.buffer.extend_from_slice(rest);
                        *at = chunk.len();
                        self.state = State::Body { tag, total };
                        return Ok(None);
                    }
                    let span = *at..*at + total;
                    *at = span.end;
                    let bytes = chunk.get_mut(span.clone()).unwrap_or_default();
                    return Ok(Some(Step::Frame(Frame {
                        tag,
                        place: Place::Span(span),
                        bytes,
                    })));
                }
                State::Head { bytes, have } => {
                    if rest.is_empty() {
                        return Ok(None);
                    }
                    let missing = bytes.get_mut(*have..).unwrap_or_default();
                    let taken = missing.len().min(rest.len());
                    missing
                        .iter_mut()
                        .zip(rest)
                        .for_each(|(to, from)| *to = *from);
                    *have += taken;
                    *at += taken;
                    if *have < HEADER_BYTES {
                        return Ok(None);
                    }
                    let header = *bytes;
                    let (tag, total) = parse_header(&header, streamed)?;
                    if streamed.contains(tag) {
                        self.state = State::Bulk {
                            tag,
                            left: total - HEADER_BYTES,
                        };
                        return self.run(chunk, at, tag, Some(header), streamed).map(Some);
                    }
                    self.buffer.extend_from_slice(&header);
                    self.state = State::Body { tag, total };
                }
                State::Body { tag, total } => {
                    let taken = (*total - self.buffer.len()).min(rest.len());
                    self.buffer
                        .extend_from_slice(rest.get(..taken).unwrap_or_default());
                    *at += taken;
                    if self.buffer.len() < *total {
                        return Ok(None);
                    }
                    self.state = State::Assembled { tag: *tag };
                }
                State::Bulk { .. } if rest.is_empty() => return Ok(None),
                State::Bulk { tag, .. } => {
                    let tag = *tag;
                    return self.run(chunk, at, tag, None, streamed).map(Some);
                }
            }
        }
    }

    /// The type of the frame that [`FrameReader::next`] would show or begin, if a byte of it is there.
    ///
    /// # Errors
    /// [`FrameError::UnknownType`].
    pub fn peek(&self, chunk: &[u8], at: usize) -> Result<Option<T>, FrameError> {
        let byte = match &self.state {
            State::Assembled { tag } if self.again => return Ok(Some(*tag)),
            State::Body { tag, .. } | State::Bulk { tag, .. } => return Ok(Some(*tag)),
            State::Head { bytes, .. } => bytes.first(),
            State::Idle | State::Assembled { .. } => chunk.get(at),
        };
        byte.map(|byte| T::from_byte(*byte).ok_or(FrameError::UnknownType(*byte)))
            .transpose()
    }

    /// Gives back the frame shown last, to be shown again by the next call: the caller cannot go on yet.
    pub fn put_back(&mut self, place: &Place, at: &mut usize) {
        match place {
            Place::Span(span) => *at = span.start,
            Place::Assembled => self.again = true,
        }
    }

    /// Takes the assembled frame shown last, header included, with the edits made to it. Empty if
    /// there is none.
    #[must_use]
    pub fn take_assembled(&mut self) -> Vec<u8> {
        if !matches!(self.state, State::Assembled { .. }) {
            return Vec::new();
        }
        self.state = State::Idle;
        self.again = false;
        std::mem::take(&mut self.buffer)
    }

    fn release(&mut self) {
        self.state = State::Idle;
        self.buffer.clear();
        if self.buffer.capacity() > limits::ASSEMBLY_BYTES_KEPT {
            self.buffer = Vec::new();
        }
    }

    /// As many bulk frames of one type as the chunk has, beginning within one or at one.
    fn run(
        &mut self,
        chunk: &[u8],
        at: &mut usize,
        tag: T,
        header: Option<[u8; HEADER_BYTES]>,
        streamed: Streamed<T>,
    ) -> Result<Step<'static, T>, FrameError> {
        let start = *at;
        let mut frames = u64::from(header.is_some());
        let mut left = match self.state {
            State::Bulk { left, .. } => left,
            State::Idle | State::Head { .. } | State::Body { .. } | State::Assembled { .. } => 0,
        };
        loop {
            let rest = chunk.get(*at..).unwrap_or_default();
            let taken = left.min(rest.len());
            *at += taken;
            left -= taken;
            if left > 0 {
                break;
            }
            let rest = rest.get(taken..).unwrap_or_default();
            let Some(next) = rest.first_chunk() else {
                break;
            };
            if next[0] != tag.byte() || !streamed.contains(tag) {
                break;
            }
            let (_, total) = match parse_header(next, streamed) {
                Ok(parsed) => parsed,
                // What came before it is sound; the next call reports the error.
                Err(_) if frames > 0 || *at > start => break,
                Err(error) => return Err(error),
            };
            left = total;
            frames += 1;
        }
        self.state = if left > 0 {
            State::Bulk { tag, left }
        } else {
            State::Idle
        };
        Ok(Step::Piece(Piece {
            tag,
            header,
            range: start..*at,
            frames,
            ends: left == 0,
        }))
    }
}

fn parse_header<T: Tag>(
    header: &[u8; HEADER_BYTES],
    streamed: Streamed<T>,
) -> Result<(T, usize), FrameError> {
    let [byte, a, b, c, d] = *header;
    let tag = T::from_byte(byte).ok_or(FrameError::UnknownType(byte))?;
    let length = u32::from_be_bytes([a, b, c, d]);
    if length < 4 {
        return Err(FrameError::LengthTooSmall { tag: byte, length });
    }
    let max = if streamed.contains(tag) {
        limits::STREAMED_BYTES_MAX
    } else {
        tag.whole_bytes_max()
    };
    match usize::try_from(length) {
        Ok(bytes) if bytes <= max => Ok((tag, bytes + 1)),
        Ok(_) | Err(_) => Err(FrameError::LengthTooLarge {
            tag: byte,
            length,
            max,
        }),
    }
}

#[cfg(test)]
mod tests;
