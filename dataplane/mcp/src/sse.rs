//! Server-sent events (WHATWG HTML, "Server-sent events"), read from arbitrary chunks
//! and written anew, one line of JSON per event.

use memchr::memchr2;
use thiserror::Error;

use crate::limits::{EVENT_ID_BYTES_MAX, RETRY_MS_MAX};

/// Why a stream of events cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SseError {
    /// One event exceeds the reader's bound.
    #[error("event is too large")]
    TooLarge,
    /// Not UTF-8: a reader would show replacement characters where Weir saw none.
    #[error("event is not UTF-8")]
    Utf8,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `id`, where a resumption may name it. One with NUL, or too long to come back in a
    /// header, is dropped.
    pub id: Option<String>,
    /// `event`; MCP has `message` only, which is also meant where there is none.
    pub event: Option<String>,
    /// `data`, its lines joined by LF. `Some("")` primes a stream with an id.
    pub data: Option<String>,
    /// `retry`, in milliseconds; never more than [`RETRY_MS_MAX`].
    pub retry: Option<u64>,
}

/// What a stream consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Event(Event),
    /// A comment, which keeps the connection alive. What it says is not kept: it would
    /// reach the client unread.
    Comment,
}

/// Reads events from arbitrary chunks.
#[derive(Debug)]
pub struct Parser {
    line: Vec<u8>,
    event: Event,
    /// Bytes of the event so far.
    bytes: usize,
    bytes_max: usize,
    /// The last byte was CR: an LF that follows belongs to the same line end.
    after_cr: bool,
    /// Nothing was read yet: a byte order mark is skipped.
    at_start: bool,
}

impl Parser {
    /// A parser at the start of a stream, which holds up to `bytes_max` of one event.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            line: Vec::new(),
            event: Event::default(),
            bytes: 0,
            bytes_max,
            after_cr: false,
            at_start: true,
        }
    }

    /// Takes bytes for at most one item. Returns how many were taken and the item; call
    /// again with the rest until all is taken. What is left at the end of the stream is
    /// an event that was cut, and is not dispatched.
    ///
    /// # Errors
    /// The stream is lost.
    pub fn take(&mut self, input: &[u8]) -> Result<(usize, Option<Item>), SseError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                at += 1;
                continue;
            }
            let rest = input.get(at..).unwrap_or_default();
            let Some(end) = memchr2(b'\r', b'\n', rest) else {
                self.collect(rest)?;
                return Ok((input.len(), None));
            };
            self.collect(rest.get(..end).unwrap_or_default())?;
            self.after_cr = rest.get(end) == Some(&b'\r');
            at += end + 1;
            if let Some(item) = self.line_end()? {
                return Ok((at, Some(item)));
            }
        }
        Ok((at, None))
    }

    /// Bytes that are held of an event that is not whole.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.bytes
    }

    fn collect(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        self.bytes += bytes.len();
        if self.bytes > self.bytes_max {
            return Err(SseError::TooLarge);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn line_end(&mut self) -> Result<Option<Item>, SseError> {
        // An endless run of short fields must not cost nothing.
        self.bytes += 1;
        let line = std::mem::take(&mut self.line);
        let mut text = std::str::from_utf8(&line).map_err(|_| SseError::Utf8)?;
        if std::mem::take(&mut self.at_start) {
            text = text.strip_prefix('\u{feff}').unwrap_or(text);
        }
        let item = match text.split_once(':') {
            None if text.is_empty() => self.dispatch(),
            Some(("", _)) => Some(Item::Comment),
            Some((name, value)) => self.field(name, value.strip_prefix(' ').unwrap_or(value)),
            None => self.field(text, ""),
        };
        self.line = line;
        self.line.clear();
        Ok(item)
    }

    fn field(&mut self, name: &str, value: &str) -> Option<Item> {
        match name {
            "data" => match &mut self.event.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.event.data = Some(value.to_owned()),
            },
            "event" => self.event.event = Some(value.to_owned()),
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                let told: Option<u64> = value.parse().ok();
                self.event.retry = told.map(|told| told.min(RETRY_MS_MAX));
            }
            // "Otherwise, the field is ignored."
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Item> {
        self.bytes = 0;
        let mut event = std::mem::take(&mut self.event);
        event.id = event.id.filter(|id| {
            id.len() <= EVENT_ID_BYTES_MAX && id.bytes().all(|b| (0x20..0x7f).contains(&b))
        });
        let is_empty = event == Event::default();
        (!is_empty).then_some(Item::Event(event))
    }
}

/// Room for what an event has beside its data, mostly.
const EVENT_BYTES: usize = 64;

/// Appends an event. Line breaks in `data` become spaces, which JSON takes for the same:
/// no value of it can begin a line.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    let data = event.data.as_ref().map_or(0, String::len);
    out.reserve(data + EVENT_BYTES);
    let mut line = |name: &str, value: &str| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        let mut rest = value.as_bytes();
        while let Some((before, after)) =
            memchr2(b'\r', b'\n', rest).and_then(|at| rest.split_at_checked(at))
        {
            out.extend_from_slice(before);
            out.push(b' ');
            rest = after.get(1..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
        out.push(b'\n');
    };
    if let Some(name) = &event.event {
        line("event", name);
    }
    if let Some(id) = &event.id {
        line("id", id);
    }
    if let Some(retry) = event.retry {
        line("retry", &retry.to_string());
    }
    if let Some(data) = &event.data {
        line("data", data);
    }
    out.push(b'\n');
}

/// A comment that says nothing, to keep a connection alive.
pub const KEEP_ALIVE: &[u8] = b":\n\n";

#[cfg(test)]
mod tests;
