//! Messages, one file each: read from a body by exact length, and written as a whole frame.
//!
//! Read is what somebody has to know; the rest of a frame stays as it came. Formats are those of the
//! protocol chapter "Message Formats".

mod authentication;
mod bind;
mod command_complete;
mod copy;
mod cursor;
mod describe;
mod execute;
mod function_call;
mod key;
mod negotiate;
mod notice;
mod notification;
mod parameter_description;
mod parameter_status;
mod parse;
mod query;
mod ready;
mod row_description;
mod sasl;

pub use authentication::Authentication;
pub use bind::{Bind, Parameters};
pub use command_complete::CommandComplete;
pub use copy::{CopyFail, CopyResponse};
pub(crate) use cursor::Cursor;
pub use describe::{Close, Describe, Target};
pub use execute::Execute;
pub use function_call::FunctionCall;
pub use key::BackendKeyData;
pub use negotiate::NegotiateProtocolVersion;
pub use notice::Notice;
pub use notification::NotificationResponse;
pub use parameter_description::ParameterDescription;
pub use parameter_status::ParameterStatus;
pub use parse::Parse;
pub use query::Query;
pub use ready::{ReadyForQuery, TransactionStatus};
pub use row_description::{Field, Fields, RowDescription};
pub use sasl::{Password, SaslInitialResponse};

use crate::frame::Tag;

/// A body that is not what its type says. The sender broke the protocol (08P01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It ends within a field.
    #[error("message ends within a field")]
    Truncated,
    /// It goes on behind its last field.
    #[error("message goes on behind its last field")]
    TrailingBytes,
    /// A string without its zero byte.
    #[error("string without an end")]
    Unterminated,
    /// A string that is not UTF-8, the only client encoding.
    #[error("string is not UTF-8")]
    NotUtf8,
    /// A length below −1, or below 0 where there is no null.
    #[error("negative length")]
    NegativeLength,
    /// A format code other than 0 and 1.
    #[error("unknown format code")]
    Format,
    /// As many format codes as fit neither none, one, nor each.
    #[error("number of format codes does not fit")]
    FormatCount,
    /// A code that the protocol does not know.
    #[error("unknown code {0}")]
    Code(u32),
    /// More of something than the server can have.
    #[error("too many fields")]
    TooMany,
    /// A CopyData that is no row, no header and no trailer as PostgreSQL writes them.
    #[error("COPY data that is not a whole row")]
    CopyRow,
}

/// Checks the body of a message that has none (ParseComplete, NoData, Sync and the like).
///
/// # Errors
/// [`MessageError::TrailingBytes`].
pub const fn parse_empty(body: &[u8]) -> Result<(), MessageError> {
    Cursor::new(body).finish()
}

/// Writes a message without a body.
pub fn encode_empty(tag: impl Tag, out: &mut Vec<u8>) {
    frame(tag, out, |_| {});
}

/// Writes type, length and what `body` appends.
///
/// A length above 2³²−1 cannot be written; bodies are bounded far below by [`limits`](crate::limits).
pub(crate) fn frame(tag: impl Tag, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag.byte());
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    if let Some(word) = out.get_mut(at..at + 4) {
        word.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a zero-terminated string, up to a zero byte within it.
pub(crate) fn put_string(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    out.extend(text.as_ref().iter().take_while(|byte| **byte != 0));
    out.push(0);
}

#[cfg(test)]
mod tests;
