//! An answer's head, checked.

use super::body::Framing;
use super::head::{syntax, version_of};
use super::{FieldError, Fields, HttpError, Version};
use crate::limits::FIELDS_MAX;

/// An answer's head that has one reading.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code, 100 to 599.
    pub status: u16,
    /// The version of the line.
    pub version: Version,
    /// How the content is framed.
    pub framing: Framing,
    /// Whether the server closes the connection after this answer.
    pub closes: bool,
    /// All fields.
    pub fields: Fields,
}

impl ResponseHead {
    /// Reads a whole head, empty line included, of an answer to anything but HEAD and
    /// CONNECT, which Weir never sends.
    ///
    /// # Errors
    /// What a reader could take differently; see [`HttpError`].
    pub fn read(head: &[u8]) -> Result<Self, HttpError> {
        let mut headers = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(head).map_err(syntax)? {
            httparse::Status::Complete(length) if length == head.len() => {}
            httparse::Status::Complete(_) | httparse::Status::Partial => {
                return Err(HttpError::FirstLine);
            }
        }
        let version = version_of(response.version)?;
        let status = response
            .code
            .filter(|code| (100..600).contains(code))
            .ok_or(HttpError::FirstLine)?;
        if status == 101 {
            return Err(HttpError::Upgrade);
        }
        let fields = Fields::read(response.headers)?;
        fields.identity_content()?;
        let framing = framing(status, version, &fields)?;
        let closes = fields.closes(version)? || framing == Framing::UntilClose;
        Ok(Self {
            status,
            version,
            framing,
            closes,
            fields,
        })
    }

    /// Whether this is an interim answer (1xx), which another follows.
    #[must_use]
    pub const fn is_interim(&self) -> bool {
        self.status < 200
    }
}

fn framing(status: u16, version: Version, fields: &Fields) -> Result<Framing, HttpError> {
    let framing = match (fields.is_chunked(version)?, fields.content_length()?) {
        (true, Some(_)) => return Err(FieldError::TwoLengths.into()),
        (true, None) => Framing::Chunked,
        (false, Some(0)) => Framing::Empty,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClose,
    };
    if !(status < 200 || status == 204 || status == 304) {
        return Ok(framing);
    }
    match framing {
        // RFC 9112 §6.3: these end with their head, whatever it says; a server that
        // announces content here would have its next answer read as that content.
        Framing::Empty | Framing::UntilClose => Ok(Framing::Empty),
        Framing::Length(_) | Framing::Chunked => Err(HttpError::UnexpectedBody),
    }
}
