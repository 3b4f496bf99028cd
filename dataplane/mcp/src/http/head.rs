//! Collects a head from chunks and checks its lines before anything interprets them.

use memchr::memmem;

use super::HttpError;
use crate::limits::HEAD_BYTES_MAX;

/// The bytes of a head so far.
#[derive(Debug, Default)]
pub(super) struct HeadBytes {
    bytes: Vec<u8>,
    /// How much of it is known to have proper lines.
    checked: usize,
    /// The first line is whole, and one of HTTP's.
    has_first_line: bool,
}

impl HeadBytes {
    /// Takes bytes up to and including the empty line that ends the head. Returns how
    /// many, and whether the head is whole.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<(usize, bool), HttpError> {
        let had = self.bytes.len();
        let room = HEAD_BYTES_MAX - had;
        let offered = input.get(..input.len().min(room)).unwrap_or(input);
        self.bytes.extend_from_slice(offered);
        // The mark may have begun in an earlier chunk.
        let from = had.saturating_sub(3);
        let end = memmem::find(self.bytes.get(from..).unwrap_or_default(), b"\r\n\r\n")
            .map(|at| from + at + 4);
        if let Some(end) = end {
            self.bytes.truncate(end);
        }
        self.check()?;
        match end {
            Some(end) => Ok((end - had, true)),
            None if self.bytes.len() >= HEAD_BYTES_MAX => Err(HttpError::HeadTooLarge),
            None => Ok((offered.len(), false)),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.checked = 0;
        self.has_first_line = false;
    }

    /// Every LF has its CR and every CR its LF; no NUL; no empty line before the first.
    /// What cannot become a head is refused before its end is seen, so that a client of
    /// another protocol is not waited for. Of several faults the first counts, however the
    /// bytes arrive.
    fn check(&mut self) -> Result<(), HttpError> {
        if self
            .bytes
            .first()
            .is_some_and(|byte| !byte.is_ascii_uppercase())
        {
            return Err(HttpError::FirstLine);
        }
        let mut at = self.checked;
        let mut previous = at
            .checked_sub(1)
            .and_then(|last| self.bytes.get(last))
            .copied();
        while let Some(&byte) = self.bytes.get(at) {
            match (previous, byte) {
                (Some(b'\r'), b'\n') => {}
                (Some(b'\r'), _) | (_, b'\n' | 0) => return Err(HttpError::LineEnd),
                (_, b'\r') if !self.has_first_line => {
                    check_first_line(self.bytes.get(..at).unwrap_or_default())?;
                    self.has_first_line = true;
                }
                (Some(_) | None, _) => {}
            }
            previous = Some(byte);
            at += 1;
        }
        self.checked = at;
        Ok(())
    }
}

/// A line of HTTP/0.9 has no version and would never be followed by an empty line.
fn check_first_line(line: &[u8]) -> Result<(), HttpError> {
    let is_request = line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0");
    let is_status = line.starts_with(b"HTTP/1.1 ") || line.starts_with(b"HTTP/1.0 ");
    if is_request || is_status {
        Ok(())
    } else {
        Err(HttpError::FirstLine)
    }
}

/// Runs httparse over a whole head and hands its result to `read`.
pub(super) fn version_of(version: Option<u8>) -> Result<super::Version, HttpError> {
    match version {
        Some(0) => Ok(super::Version::Http10),
        Some(1) => Ok(super::Version::Http11),
        Some(_) | None => Err(HttpError::FirstLine),
    }
}

/// What httparse found, in this crate's words.
pub(super) fn syntax(error: httparse::Error) -> HttpError {
    match error {
        httparse::Error::TooManyHeaders => HttpError::HeadTooLarge,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => {
            super::FieldError::Syntax.into()
        }
        httparse::Error::NewLine => HttpError::LineEnd,
        httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => {
            HttpError::FirstLine
        }
    }
}
