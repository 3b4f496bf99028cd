//! Body framing (RFC 9112 §6, §7.1).

use super::HttpError;
use crate::limits::CHUNK_SIZE_DIGITS_MAX;

/// How content is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// This many bytes, not 0.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Up to the end of the stream; answers only.
    UntilClose,
}

/// ```text
/// Size ──CR──▶ SizeEnd ──LF──▶ Data ──all──▶ DataCr ─▶ DataLf ─▶ Size
///                   └─size 0─▶ EndCr ─▶ EndLf ─▶ Done
/// Counted ──all──▶ Done          ToEnd (until the stream ends)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Counted { left: u64 },
    ToEnd,
    Size { digits: usize, size: u64 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    EndCr,
    EndLf,
    Done,
}

/// Finds the content in a framed body. Holds none of it.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
    /// Bytes of content that may still come.
    room: u64,
}

impl BodyReader {
    /// A reader that refuses content beyond `bytes_max`.
    ///
    /// # Errors
    /// [`HttpError::BodyTooLarge`] where the announced length is beyond it already.
    pub fn new(framing: Framing, bytes_max: u64) -> Result<Self, HttpError> {
        let state = match framing {
            Framing::Empty => State::Done,
            Framing::Length(length) if length > bytes_max => return Err(HttpError::BodyTooLarge),
            Framing::Length(length) => State::Counted { left: length },
            Framing::Chunked => State::Size { digits: 0, size: 0 },
            Framing::UntilClose => State::ToEnd,
        };
        Ok(Self {
            state,
            room: bytes_max,
        })
    }

    /// Whether the body is over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the end of the stream ends this body properly.
    #[must_use]
    pub fn may_end(&self) -> bool {
        matches!(self.state, State::Done | State::ToEnd)
    }

    /// Takes framing and at most one piece of content from `input`: how many bytes were
    /// taken, and where in `input` the content lies.
    ///
    /// # Errors
    /// [`HttpError::Chunk`] or [`HttpError::BodyTooLarge`].
    pub fn take(&mut self, input: &[u8]) -> Result<(usize, std::ops::Range<usize>), HttpError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Done => break,
                State::Counted { left } => {
                    return self.content(input, at, left, |left| match left {
                        0 => State::Done,
                        left => State::Counted { left },
                    });
                }
                State::ToEnd => return self.content(input, at, u64::MAX, |_| State::ToEnd),
                State::Data { left } => {
                    return self.content(input, at, left, |left| match left {
                        0 => State::DataCr,
                        left => State::Data { left },
                    });
                }
                State::Size { .. }
                | State::SizeEnd { .. }
                | State::DataCr
                | State::DataLf
                | State::EndCr
                | State::EndLf => self.state = self.frame(byte)?,
            }
            at += 1;
        }
        Ok((at, at..at))
    }

    fn content(
        &mut self,
        input: &[u8],
        at: usize,
        left: u64,
        next: fn(u64) -> State,
    ) -> Result<(usize, std::ops::Range<usize>), HttpError> {
        let here = (input.len() - at) as u64;
        let taken = here.min(left);
        self.room = self
            .room
            .checked_sub(taken)
            .ok_or(HttpError::BodyTooLarge)?;
        self.state = next(left - taken);
        let end = at + usize::try_from(taken).unwrap_or(input.len() - at);
        Ok((end, at..end))
    }

    /// One byte of chunk framing. Extensions (`;`) and trailers are refused: MCP has
    /// neither, and both are where two readers of one stream have disagreed.
    fn frame(&self, byte: u8) -> Result<State, HttpError> {
        match (self.state, byte) {
            (State::Size { digits, size }, _)
                if byte.is_ascii_hexdigit() && digits < CHUNK_SIZE_DIGITS_MAX =>
            {
                let digit = u64::from(char::from(byte).to_digit(16).unwrap_or(0));
                Ok(State::Size {
                    digits: digits + 1,
                    size: size * 16 + digit,
                })
            }
            (State::Size { digits, size }, b'\r') if digits > 0 => Ok(State::SizeEnd { size }),
            (State::SizeEnd { size: 0 }, b'\n') => Ok(State::EndCr),
            (State::SizeEnd { size }, b'\n') if size > self.room => Err(HttpError::BodyTooLarge),
            (State::SizeEnd { size }, b'\n') => Ok(State::Data { left: size }),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { digits: 0, size: 0 }),
            (State::EndCr, b'\r') => Ok(State::EndLf),
            (State::EndLf, b'\n') => Ok(State::Done),
            (
                State::Size { .. }
                | State::SizeEnd { .. }
                | State::DataCr
                | State::DataLf
                | State::EndCr
                | State::EndLf
                | State::Counted { .. }
                | State::ToEnd
                | State::Data { .. }
                | State::Done,
                _,
            ) => Err(HttpError::Chunk),
        }
    }
}

/// Appends content as one chunk; nothing for empty content, which would end the body.
pub fn encode_chunk(content: &[u8], out: &mut Vec<u8>) {
    if content.is_empty() {
        return;
    }
    out.extend_from_slice(&chunk_head(content.len()));
    out.extend_from_slice(content);
    out.extend_from_slice(CHUNK_END);
}

/// What stands before a chunk of so many bytes, which must not be none.
#[must_use]
pub fn chunk_head(bytes: usize) -> Vec<u8> {
    format!("{bytes:x}\r\n").into_bytes()
}

/// What stands behind a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Appends the chunk that ends a body, without trailers.
pub fn last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}
