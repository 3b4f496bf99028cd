//! HTTP/1.1 framing (RFC 9112), stricter than the RFC wherever two readers could differ.
//!
//! A [`Reader`] takes arbitrary chunks of one side's stream and yields heads, body data
//! and ends. [`RequestHead`] and [`ResponseHead`] are checked heads: a value of either
//! type has one possible reading. [`rewrite`] writes the heads that go on; nothing of a
//! head is forwarded but what its allow-lists name.

mod body;
mod fields;
mod head;
mod host;
mod reader;
mod request;
mod response;
pub mod rewrite;

use thiserror::Error;

pub use body::{BodyReader, CHUNK_END, Framing, chunk_head, encode_chunk, last_chunk};
pub use fields::{FieldError, Fields};
pub use host::{Authority, HostError, check_host};
pub use reader::{Part, Reader};
pub(crate) use request::plain_target;
pub use request::{Method, RequestHead};
pub use response::ResponseHead;

/// Which protocol version a head names. Nothing else is read (RFC 9112 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunks, one exchange per connection.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// Why a stream is not HTTP/1.1 that every reader frames alike. The connection cannot be
/// used after any of these: where the next message starts is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HttpError {
    /// The first line is no request or status line of HTTP/1.0 or 1.1.
    #[error("first line is not HTTP/1.1")]
    FirstLine,
    /// A line ends without CR LF, or CR, LF or NUL stands elsewhere.
    #[error("a line does not end in CR LF")]
    LineEnd,
    /// The head exceeds its bounds.
    #[error(
        "head exceeds {} bytes or {} fields",
        crate::limits::HEAD_BYTES_MAX,
        crate::limits::FIELDS_MAX
    )]
    HeadTooLarge,
    /// A field's syntax, or a rule about fields.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The target is not a plain path with an optional query (origin-form).
    #[error("request target is not a plain path")]
    Target,
    /// A request with content and neither Content-Length nor chunks.
    #[error("request has no length")]
    LengthRequired,
    /// A method or status that may not have content has some.
    #[error("content where there may be none")]
    UnexpectedBody,
    /// A chunk's size line, end or trailer is not plain: extensions and trailers are refused.
    #[error("chunk is malformed")]
    Chunk,
    /// The body exceeds the reader's bound.
    #[error("body is too large")]
    BodyTooLarge,
    /// The stream ended inside a message.
    #[error("stream ends inside a message")]
    Truncated,
    /// The server switched protocols, which was not asked for.
    #[error("unexpected switch of protocols")]
    Upgrade,
}

#[cfg(test)]
mod tests;
