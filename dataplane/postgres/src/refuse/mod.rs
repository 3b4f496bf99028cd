//! Refusals in the protocol's own words, and errors of the server without what they may carry.

use crate::frame::ServerTag;
use crate::message::{MessageError, Notice, frame, put_string};

/// Who ends what with an ErrorResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The request fails, the session goes on.
    Error,
    /// The session ends.
    Fatal,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// A SQLSTATE: five characters of `0-9A-Z` (PostgreSQL, appendix "Error Codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlState(&'static str);

impl SqlState {
    /// `42501` insufficient_privilege: policy forbids it.
    pub const INSUFFICIENT_PRIVILEGE: Self = Self("42501");
    /// `08P01` protocol_violation.
    pub const PROTOCOL_VIOLATION: Self = Self("08P01");
    /// `08006` connection_failure: the server cannot be reached, or broke off.
    pub const CONNECTION_FAILURE: Self = Self("08006");
    /// `28000` invalid_authorization_specification: this way of authentication is not taken.
    pub const INVALID_AUTHORIZATION: Self = Self("28000");
    /// `28P01` invalid_password.
    pub const INVALID_PASSWORD: Self = Self("28P01");
    /// `0A000` feature_not_supported.
    pub const FEATURE_NOT_SUPPORTED: Self = Self("0A000");
    /// `54000` program_limit_exceeded: larger than Weir takes.
    pub const LIMIT_EXCEEDED: Self = Self("54000");
    /// `53400` configuration_limit_exceeded: too many of them.
    pub const TOO_MANY: Self = Self("53400");
    /// `26000` invalid_sql_statement_name.
    pub const UNKNOWN_STATEMENT: Self = Self("26000");
    /// `34000` invalid_cursor_name.
    pub const UNKNOWN_PORTAL: Self = Self("34000");
    /// `42P01` undefined_table: the catalogue has no such relation, nor has the server.
    pub const UNDEFINED_TABLE: Self = Self("42P01");
    /// `42601` syntax_error: not parsed, therefore not judged.
    pub const SYNTAX_ERROR: Self = Self("42601");
    /// `22021` character_not_in_repertoire: not UTF-8.
    pub const NOT_UTF8: Self = Self("22021");
    /// `22023` invalid_parameter_value: a start-up parameter that is not taken.
    pub const INVALID_PARAMETER: Self = Self("22023");
    /// `57P01` admin_shutdown: Weir is going down, or the session was ended by an operator.
    pub const ADMIN_SHUTDOWN: Self = Self("57P01");
    /// `57P03` cannot_connect_now: try again later.
    pub const CANNOT_CONNECT_NOW: Self = Self("57P03");
    /// `57014` query_canceled: the hold was withdrawn or has expired.
    pub const QUERY_CANCELED: Self = Self("57014");
    /// `53100` disk_full: nothing can be recorded.
    pub const DISK_FULL: Self = Self("53100");
    /// `XX000` internal_error: an invariant of ours is broken.
    pub const INTERNAL_ERROR: Self = Self("XX000");

    /// The five characters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// What a caller is told. Reasons that only the record may know do not belong in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// What ends.
    pub severity: Severity,
    /// Its code.
    pub code: SqlState,
    /// One sentence.
    pub message: &'a str,
    /// More of it.
    pub detail: Option<&'a str>,
    /// What to do.
    pub hint: Option<&'a str>,
    /// The character of the client's text that it is about, from 1.
    pub position: Option<usize>,
}

impl Refusal<'_> {
    /// Writes the ErrorResponse frame. Zero bytes end a field early; there is no way to say them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(ServerTag::ErrorResponse, out, |out| {
            let mut put = |kind: u8, value: &str| {
                out.push(kind);
                put_string(out, value);
            };
            put(b'S', self.severity.as_str());
            put(b'V', self.severity.as_str());
            put(b'C', self.code.as_str());
            put(b'M', self.message);
            if let Some(detail) = self.detail {
                put(b'D', detail);
            }
            if let Some(hint) = self.hint {
                put(b'H', hint);
            }
            if let Some(position) = self.position {
                put(b'P', &position.to_string());
            }
            out.push(0);
        });
    }

    /// The frame.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// What stands for the text of a server's message that may carry values.
pub const SCRUBBED_MESSAGE: &str = "message withheld: the statement reads masked columns";

/// Writes an ErrorResponse or NoticeResponse anew without what can carry a value: severity, SQLSTATE
/// and position stay; message, detail, hint, context, internal query, names of objects and the
/// place in the server's source go.
///
/// Severities other than the server's own words, positions that are no number and codes that are not
/// five of `0-9A-Z` go as well.
///
/// # Errors
/// [`MessageError`].
pub fn scrub(tag: ServerTag, body: &[u8], out: &mut Vec<u8>) -> Result<(), MessageError> {
    let notice = Notice::parse(body)?;
    frame(tag, out, |out| {
        let mut put = |kind: u8, value: &[u8]| {
            out.push(kind);
            put_string(out, value);
        };
        let severity = notice
            .field(b'V')
            .filter(|value| is_severity(value))
            .unwrap_or(b"ERROR");
        put(b'S', severity);
        put(b'V', severity);
        put(
            b'C',
            notice
                .field(b'C')
                .filter(|code| is_code(code))
                .unwrap_or(b"XX000"),
        );
        put(b'M', SCRUBBED_MESSAGE.as_bytes());
        if let Some(position) = notice.field(b'P').filter(|position| is_position(position)) {
            put(b'P', position);
        }
        out.push(0);
    });
    Ok(())
}

fn is_severity(value: &[u8]) -> bool {
    matches!(
        value,
        b"ERROR" | b"FATAL" | b"PANIC" | b"WARNING" | b"NOTICE" | b"DEBUG" | b"INFO" | b"LOG"
    )
}

fn is_code(code: &[u8]) -> bool {
    code.len() == 5
        && code
            .iter()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

fn is_position(position: &[u8]) -> bool {
    (1..=10).contains(&position.len()) && position.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests;
