//! The heads that go on, written from nothing.
//!
//! Only fields that are named here leave. A field that Weir does not know may be a
//! credential, an instruction to a proxy or a copy of the message that disagrees with
//! it, so it stays behind; an operator can name more.

use super::{Method, RequestHead, ResponseHead};
use crate::limits::RETRY_AFTER_DIGITS_MAX;
use crate::message::Revision;

/// Fields of a request that go on as they came.
const REQUEST_FIELDS: &[&str] = &[
    "user-agent",
    "accept-language",
    "traceparent",
    "tracestate",
    "baggage",
];

/// Methods that a server may say it has.
const METHODS: &[&str] = &["GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH"];

/// Where documents about a server are (RFC 8615).
pub const WELL_KNOWN: &str = "/.well-known/";

/// What Weir decides about a request that goes on.
#[derive(Clone, Debug)]
pub struct Onward<'a> {
    /// The Host of the target.
    pub host: &'a str,
    /// The whole `Authorization` of the client, where it was made for the target and not for
    /// Weir: any other never goes on.
    pub authorization: Option<&'a str>,
    /// Name and value of what Weir itself shows to the target.
    pub credential: Option<(&'a str, &'a str)>,
    /// The revision that the session speaks, once that is known.
    pub revision: Option<Revision>,
    /// The session at the server.
    pub session: Option<&'a str>,
    /// The server's own id of the event to resume after.
    pub last_event_id: Option<&'a str>,
    /// A `traceparent` in place of the client's.
    pub traceparent: Option<&'a str>,
    /// Names, in lower case, of further fields that the operator lets through.
    pub extra_fields: &'a [&'a str],
    /// Further fields that Weir writes: those that repeat a body of 2026-07-28.
    pub repeated: &'a [(String, String)],
    /// Bytes of the body; `None` for GET and DELETE, which have none.
    pub body_bytes: Option<usize>,
}

/// Room for most heads.
const HEAD_BYTES: usize = 1024;

/// Writes the head of the request that goes on, empty line included, with room for its body.
#[must_use]
pub fn request(head: &RequestHead, onward: &Onward<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + onward.body_bytes.unwrap_or_default());
    let method = match head.method {
        Method::Post => "POST",
        Method::Get => "GET",
        Method::Delete => "DELETE",
        Method::Options | Method::Other => "OPTIONS",
    };
    for part in [method, " ", &head.target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    field(&mut out, "Host", onward.host);
    let accept = match head.method {
        Method::Post => "application/json, text/event-stream",
        Method::Get if head.path().starts_with(WELL_KNOWN) => "application/json",
        Method::Get => "text/event-stream",
        Method::Delete | Method::Options | Method::Other => "*/*",
    };
    field(&mut out, "Accept", accept);
    field(&mut out, "Accept-Encoding", "identity");
    if let Some(value) = onward.authorization {
        field(&mut out, "Authorization", value);
    }
    if let Some((name, value)) = onward.credential {
        field(&mut out, name, value);
    }
    if let Some(revision) = onward.revision {
        field(&mut out, "MCP-Protocol-Version", revision.as_str());
    }
    for (name, value) in onward.repeated {
        field(&mut out, name, value);
    }
    if let Some(session) = onward.session {
        field(&mut out, "Mcp-Session-Id", session);
    }
    if let Some(id) = onward.last_event_id {
        field(&mut out, "Last-Event-ID", id);
    }
    if let Some(traceparent) = onward.traceparent {
        field(&mut out, "traceparent", traceparent);
    }
    let is_own = |name: &str| {
        let own = onward.credential;
        own.is_some_and(|(own, _)| own.eq_ignore_ascii_case(name))
            || onward.traceparent.is_some() && name == "traceparent"
    };
    for (name, value) in head.fields.iter() {
        if (REQUEST_FIELDS.contains(&name) || onward.extra_fields.contains(&name)) && !is_own(name)
        {
            field(&mut out, name, value);
        }
    }
    if let Some(bytes) = onward.body_bytes {
        field(&mut out, "Content-Type", "application/json");
        field(&mut out, "Content-Length", &bytes.to_string());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// How the content of an answer is framed towards the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFraming {
    /// No content and no length: 204 alone, which may not announce one.
    None,
    /// This many bytes.
    Length(usize),
    /// Chunks.
    Chunked,
    /// Up to the end of the connection, for a client of HTTP/1.0.
    UntilClose,
}

/// What Weir decides about an answer that goes to the client.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The media type of the content.
    pub content_type: Option<&'a str>,
    /// The session as the client shall name it.
    pub session: Option<&'a str>,
    /// How the content is framed.
    pub framing: AnswerFraming,
    /// Whether the connection closes after it.
    pub closes: bool,
    /// Further fields, such as a challenge.
    pub extra: &'a [(&'a str, &'a str)],
}

/// Writes the head of an answer, empty line included. `from` is the server's, where it
/// has one. What leaves may depend on who asked, so no cache may keep it.
#[must_use]
pub fn answer(answer: &Answer<'_>, from: Option<&ResponseHead>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(
        format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status)).as_bytes(),
    );
    if let Some(content_type) = answer.content_type {
        field(&mut out, "Content-Type", content_type);
    }
    if let Some(session) = answer.session {
        field(&mut out, "Mcp-Session-Id", session);
    }
    field(&mut out, "Cache-Control", "no-store");
    for (name, value) in from.iter().flat_map(|head| head.fields.iter()) {
        if let Some(value) = shown_field(name, value) {
            field(&mut out, name, &value);
        }
    }
    for (name, value) in answer.extra {
        field(&mut out, name, value);
    }
    match answer.framing {
        AnswerFraming::None => {}
        AnswerFraming::Length(bytes) => field(&mut out, "Content-Length", &bytes.to_string()),
        AnswerFraming::Chunked => field(&mut out, "Transfer-Encoding", "chunked"),
        AnswerFraming::UntilClose => {}
    }
    if answer.closes || answer.framing == AnswerFraming::UntilClose {
        field(&mut out, "Connection", "close");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// What is shown of a field of the server's. `Set-Cookie`, `WWW-Authenticate` and everything
/// about the connection or a cache belong to the server's leg alone, and no text of its own
/// leaves unread.
fn shown_field(name: &str, value: &str) -> Option<String> {
    match name {
        "retry-after" => {
            let is_short = (1..=RETRY_AFTER_DIGITS_MAX).contains(&value.len());
            let is_pause = is_short && value.bytes().all(|byte| byte.is_ascii_digit());
            is_pause.then(|| value.to_owned())
        }
        "allow" => {
            let named = value.split(',').map(str::trim);
            let known: Vec<_> = named.filter(|method| METHODS.contains(method)).collect();
            Some(known.join(", "))
        }
        _ => None,
    }
}

/// The interim answer to `Expect: 100-continue` (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Values come from checked fields or from Weir; a line break in one is dropped all the
/// same, so that no caller can write a second field by mistake.
pub(crate) fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let is_content = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    if value.as_bytes().iter().all(is_content) {
        out.extend_from_slice(value.as_bytes());
    } else {
        out.extend(value.bytes().filter(is_content));
    }
    out.extend_from_slice(b"\r\n");
}

/// The reason phrase (RFC 9110 §15); clients ignore it, people read it.
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
