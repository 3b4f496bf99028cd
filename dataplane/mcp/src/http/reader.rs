//! One side's stream as a sequence of messages.

use std::ops::Range;

use super::body::BodyReader;
use super::head::HeadBytes;
use super::{Framing, HttpError, RequestHead, ResponseHead};

/// A head that a [`Reader`] can read.
pub trait Head: Sized {
    /// Reads a whole head, empty line included.
    ///
    /// # Errors
    /// Where it has no single reading.
    fn read(head: &[u8]) -> Result<Self, HttpError>;
    /// How the content after it is framed.
    fn framing(&self) -> Framing;
}

impl Head for RequestHead {
    fn read(head: &[u8]) -> Result<Self, HttpError> {
        Self::read(head)
    }

    fn framing(&self) -> Framing {
        self.framing
    }
}

impl Head for ResponseHead {
    fn read(head: &[u8]) -> Result<Self, HttpError> {
        Self::read(head)
    }

    fn framing(&self) -> Framing {
        self.framing
    }
}

/// A piece of a message.
#[derive(Debug)]
pub enum Part<H> {
    /// A message begins.
    Head(H),
    /// Content, by its place in the input of this call.
    Content(Range<usize>),
    /// The message is over; the next byte belongs to another.
    End,
}

#[derive(Debug)]
enum State {
    Head,
    Body(BodyReader),
    /// An error was found; nothing more is read.
    Broken(HttpError),
}

/// Reads messages from arbitrary chunks. Where a chunk ends changes nothing but the
/// pieces in which content is handed on.
#[derive(Debug)]
pub struct Reader {
    state: State,
    head: HeadBytes,
    body_bytes_max: u64,
}

impl Reader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(body_bytes_max: u64) -> Self {
        Self {
            state: State::Head,
            head: HeadBytes::default(),
            body_bytes_max,
        }
    }

    /// Takes bytes for at most one part. Returns how many were taken and the part; call
    /// again with the rest until it takes nothing and yields nothing.
    ///
    /// # Errors
    /// The same error again and again once one was found: the stream is lost.
    pub fn take<H: Head>(&mut self, input: &[u8]) -> Result<(usize, Option<Part<H>>), HttpError> {
        let result = self.step(input);
        if let Err(error) = result {
            self.state = State::Broken(error);
        }
        result
    }

    fn step<H: Head>(&mut self, input: &[u8]) -> Result<(usize, Option<Part<H>>), HttpError> {
        match &mut self.state {
            State::Broken(error) => Err(*error),
            State::Head if input.is_empty() => Ok((0, None)),
            State::Head => {
                let (taken, whole) = self.head.take(input)?;
                if !whole {
                    return Ok((taken, None));
                }
                let head = H::read(self.head.bytes())?;
                self.head.clear();
                self.state = State::Body(BodyReader::new(head.framing(), self.body_bytes_max)?);
                Ok((taken, Some(Part::Head(head))))
            }
            State::Body(body) if body.is_done() => {
                self.state = State::Head;
                Ok((0, Some(Part::End)))
            }
            State::Body(body) => {
                let (taken, content) = body.take(input)?;
                Ok((
                    taken,
                    (!content.is_empty()).then_some(Part::Content(content)),
                ))
            }
        }
    }

    /// Whether the stream is between two messages.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head) && self.head.is_empty()
    }

    /// The stream has ended. Whether that ended a message whose content had no other end.
    ///
    /// # Errors
    /// [`HttpError::Truncated`] inside a message.
    pub fn end(&mut self) -> Result<bool, HttpError> {
        match &self.state {
            State::Head if self.head.is_empty() => Ok(false),
            State::Body(body) if body.may_end() => {
                self.state = State::Head;
                Ok(true)
            }
            State::Head | State::Body(_) => Err(HttpError::Truncated),
            State::Broken(error) => Err(*error),
        }
    }
}
