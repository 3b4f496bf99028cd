//! Refusals, in the words of HTTP and JSON-RPC.
//!
//! Only what a caller may be told is written; the inside reason goes to the record.

use weir_facts::ApprovalId;

use crate::http::rewrite::{Answer, AnswerFraming, answer};
use crate::json::quote;
use crate::message::stateless::StatelessError;
use crate::message::{Id, Revision};

/// `-32700`: the body is not JSON (JSON-RPC 2.0 §5.1).
pub const PARSE_ERROR: i32 = -32700;
/// `-32600`: the body is no message.
pub const INVALID_REQUEST: i32 = -32600;
/// `-32601`: there is no such method.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// `-32602`: there is no such tool or prompt, or its arguments are wrong.
pub const INVALID_PARAMS: i32 = -32602;
/// `-32603`: the server cannot.
pub const INTERNAL_ERROR: i32 = -32603;
/// `-32002`: there is no such resource (MCP, "Resources", error handling).
pub const RESOURCE_NOT_FOUND: i32 = -32002;
/// `-32000`: a transport's refusal, as the reference SDKs number it.
pub const TRANSPORT_ERROR: i32 = -32000;
/// `-32001`: the session does not exist, as the reference SDKs number it.
pub const SESSION_NOT_FOUND: i32 = -32001;

/// `-32020`: header fields and body disagree (2026-07-28, "Server Validation").
pub const HEADER_MISMATCH: i32 = -32020;
/// `-32021`: the client lacks a capability (2026-07-28, basic, "Error Codes").
pub const MISSING_REQUIRED_CLIENT_CAPABILITY: i32 = -32021;
/// `-32022`: the revision is not served (2026-07-28, versioning).
pub const UNSUPPORTED_PROTOCOL_VERSION: i32 = -32022;

/// Why a whole HTTP request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The head cannot be framed or has no single reading.
    Head,
    /// The body is not JSON that everybody reads alike.
    Json,
    /// The body is no message of this revision.
    Message,
    /// The revision of `MCP-Protocol-Version` is not served.
    Revision,
    /// No session was named where one is needed.
    NoSession,
    /// No valid credential.
    Unauthorized,
    /// A token with another scope would do (RFC 6750 §3.1).
    InsufficientScope,
    /// The credential is valid and does not suffice, or Host or Origin is wrong.
    Forbidden(String),
    /// The session does not exist, or is another's.
    Session,
    /// There is nothing at this path.
    Path,
    /// The method has no meaning here.
    Method,
    /// `Accept` takes neither JSON nor events.
    Accept,
    /// No length.
    Length,
    /// Too large a body.
    BodyTooLarge,
    /// Too large a head.
    HeadTooLarge,
    /// The body is not `application/json`, or it is encoded.
    MediaType,
    /// An unknown expectation.
    Expectation,
    /// The server cannot be reached or its answer cannot be believed.
    BadGateway,
    /// Weir cannot keep a record, or is going down.
    Unavailable,
    /// The server does not answer.
    Timeout,
}

impl Refusal {
    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Head | Self::Json | Self::Message | Self::Revision | Self::NoSession => 400,
            Self::Unauthorized => 401,
            Self::InsufficientScope | Self::Forbidden(_) => 403,
            Self::Session | Self::Path => 404,
            Self::Method => 405,
            Self::Accept => 406,
            Self::Length => 411,
            Self::BodyTooLarge => 413,
            Self::MediaType => 415,
            Self::Expectation => 417,
            Self::HeadTooLarge => 431,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }

    const fn code(&self) -> i32 {
        match self {
            Self::Json => PARSE_ERROR,
            Self::Message => INVALID_REQUEST,
            Self::Session => SESSION_NOT_FOUND,
            Self::BadGateway | Self::Unavailable | Self::Timeout => INTERNAL_ERROR,
            Self::Head
            | Self::Revision
            | Self::NoSession
            | Self::Unauthorized
            | Self::InsufficientScope
            | Self::Forbidden(_)
            | Self::Path
            | Self::Method
            | Self::Accept
            | Self::Length
            | Self::BodyTooLarge
            | Self::HeadTooLarge
            | Self::MediaType
            | Self::Expectation => TRANSPORT_ERROR,
        }
    }

    fn message(&self) -> String {
        let text = match self {
            Self::Head => "Bad Request: malformed HTTP",
            Self::Json => "Parse error",
            Self::Message => "Invalid Request",
            Self::Revision => return unsupported_revision(),
            Self::NoSession => "Bad Request: Mcp-Session-Id header is required",
            Self::Unauthorized => "Unauthorized",
            Self::InsufficientScope => "Forbidden: the token's scopes do not suffice",
            Self::Forbidden(reason) => return format!("Forbidden: {reason}"),
            Self::Session => "Session not found",
            Self::Path => "Not Found",
            Self::Method => "Method not allowed",
            Self::Accept => {
                "Not Acceptable: Client must accept both application/json and text/event-stream"
            }
            Self::Length => "Length Required",
            Self::BodyTooLarge => "Request body too large",
            Self::HeadTooLarge => "Request header too large",
            Self::MediaType => "Unsupported Media Type: Content-Type must be application/json",
            Self::Expectation => "Expectation Failed",
            Self::BadGateway => "Bad gateway",
            Self::Unavailable => "Service unavailable",
            Self::Timeout => "Gateway timeout",
        };
        text.to_owned()
    }

    /// Whether the connection must close: where the next request starts is unknown, or
    /// content may follow that nobody will read.
    #[must_use]
    pub const fn closes(&self) -> bool {
        match self {
            Self::Head
            | Self::Length
            | Self::BodyTooLarge
            | Self::HeadTooLarge
            | Self::MediaType
            | Self::Expectation
            | Self::BadGateway
            | Self::Unavailable
            | Self::Timeout => true,
            Self::Json
            | Self::Message
            | Self::Revision
            | Self::NoSession
            | Self::Unauthorized
            | Self::InsufficientScope
            | Self::Forbidden(_)
            | Self::Session
            | Self::Path
            | Self::Method
            | Self::Accept => false,
        }
    }

    /// The whole answer: head and a JSON-RPC error that answers no id. The caller may
    /// ask for the connection to close as well; `challenge` is what `WWW-Authenticate`
    /// says with 401 and 403 (RFC 9728 §5.1, RFC 6750 §3.1).
    #[must_use]
    pub fn answer(&self, close: Close, challenge: &str) -> Vec<u8> {
        let body = error(None, self.code(), &self.message());
        let extra: &[(&str, &str)] = match self {
            Self::Unauthorized | Self::InsufficientScope => &[("WWW-Authenticate", challenge)],
            Self::Method => &[("Allow", "GET, POST, DELETE")],
            Self::Head
            | Self::Json
            | Self::Message
            | Self::Revision
            | Self::NoSession
            | Self::Forbidden(_)
            | Self::Session
            | Self::Path
            | Self::Accept
            | Self::Length
            | Self::BodyTooLarge
            | Self::HeadTooLarge
            | Self::MediaType
            | Self::Expectation
            | Self::BadGateway
            | Self::Unavailable
            | Self::Timeout => &[],
        };
        let mut out = answer(
            &Answer {
                status: self.status(),
                content_type: Some("application/json"),
                session: None,
                framing: AnswerFraming::Length(body.len()),
                closes: self.closes() || close == Close::Yes,
                extra,
            },
            None,
        );
        out.extend_from_slice(&body);
        out
    }
}

/// Whether the connection closes after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// It closes.
    Yes,
    /// It stays, unless the refusal itself must close it.
    No,
}

fn unsupported_revision() -> String {
    let served: Vec<_> = Revision::ALL
        .iter()
        .rev()
        .filter(|revision| revision.is_served())
        .map(|revision| revision.as_str())
        .collect();
    format!(
        "Bad Request: Unsupported protocol version (supported versions: {})",
        served.join(", ")
    )
}

/// A JSON-RPC error; `null` for the id where the request could not be read.
#[must_use]
pub fn error(id: Option<&Id>, code: i32, message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.map_or(b"null", Id::raw));
    out.extend_from_slice(format!(r#","error":{{"code":{code},"message":"#).as_bytes());
    quote(message, &mut out);
    out.extend_from_slice(b"}}");
    out
}

/// An error with `data`, a JSON value.
fn error_with(id: Option<&Id>, code: i32, message: &str, data: &[u8]) -> Vec<u8> {
    let mut out = error(id, code, message);
    out.truncate(out.len() - 2);
    out.extend_from_slice(br#","data":"#);
    out.extend_from_slice(data);
    out.extend_from_slice(b"}}");
    out
}

/// The error of a request that cannot be served as one of 2026-07-28.
#[must_use]
pub fn stateless(id: Option<&Id>, why: &StatelessError) -> Vec<u8> {
    let requested = match why {
        StatelessError::Meta(_) => return error(id, INVALID_PARAMS, &why.to_string()),
        StatelessError::Header(_) => return error(id, HEADER_MISMATCH, &why.to_string()),
        StatelessError::Unsupported(requested) => requested,
    };
    // Only revisions without a handshake are named: which of the others the server has,
    // it tells a client that tries to open a session.
    let served: Vec<_> = Revision::ALL
        .iter()
        .filter(|revision| revision.is_served() && revision.is_stateless())
        .map(|revision| format!("\"{}\"", revision.as_str()))
        .collect();
    let mut data = format!(r#"{{"supported":[{}],"requested":"#, served.join(",")).into_bytes();
    quote(requested, &mut data);
    data.push(b'}');
    error_with(
        id,
        UNSUPPORTED_PROTOCOL_VERSION,
        "Unsupported protocol version",
        &data,
    )
}

/// The error of a request that needs an extension that the client has not declared
/// (2026-07-28, basic, "Per-request protocol fields").
#[must_use]
pub fn missing_extension(id: &Id, extension: &str) -> Vec<u8> {
    let mut data = br#"{"requiredCapabilities":{"extensions":{"#.to_vec();
    quote(extension, &mut data);
    data.extend_from_slice(b":{}}}}");
    error_with(
        Some(id),
        MISSING_REQUIRED_CLIENT_CAPABILITY,
        "Missing required client capability",
        &data,
    )
}

/// The HTTP status of an answer of Weir's own that is a JSON-RPC error with this code:
/// 2026-07-28 gives some of them one, before it every message is a 200.
#[must_use]
pub const fn status_of(revision: Revision, code: i32) -> u16 {
    if !revision.is_stateless() {
        return 200;
    }
    match code {
        METHOD_NOT_FOUND => 404,
        PARSE_ERROR
        | INVALID_REQUEST
        | INVALID_PARAMS
        | HEADER_MISMATCH
        | MISSING_REQUIRED_CLIENT_CAPABILITY
        | UNSUPPORTED_PROTOCOL_VERSION => 400,
        _ => 200,
    }
}

/// The answer to a call of a tool that does not exist (MCP, "Tools", error handling) or
/// that the caller may not call. One answer for both: the difference would tell which
/// tools there are. Before 2026-07-28 it is the error that the specification has; since
/// then the reference servers say it in a result, and so does Weir.
#[must_use]
pub fn unknown_tool(revision: Revision, id: &Id, name: &str) -> Vec<u8> {
    let text = format!("Unknown tool: {name}");
    if revision.is_stateless() {
        tool_error(revision, id, &text)
    } else {
        error(Some(id), INVALID_PARAMS, &text)
    }
}

/// The answer for a prompt that does not exist or that the caller may not get.
#[must_use]
pub fn unknown_prompt(id: &Id, name: &str) -> Vec<u8> {
    error(Some(id), INVALID_PARAMS, &format!("Unknown prompt: {name}"))
}

/// The answer for a resource that does not exist or that the caller may not read.
#[must_use]
pub fn unknown_resource(revision: Revision, id: &Id, uri: &str) -> Vec<u8> {
    // 2026-07-28 may not emit the older code any more ("Error Codes").
    let code = if revision.is_stateless() {
        INVALID_PARAMS
    } else {
        RESOURCE_NOT_FOUND
    };
    error(Some(id), code, &format!("Resource not found: {uri}"))
}

/// The answer to a request that is known, and that Weir does not let pass.
#[must_use]
pub fn withheld(revision: Revision, id: Option<&Id>, text: &str) -> Vec<u8> {
    // The range of -32000 is closed to new use (2026-07-28, "Error Codes").
    let code = if revision.is_stateless() {
        INTERNAL_ERROR
    } else {
        TRANSPORT_ERROR
    };
    error(id, code, text)
}

/// The answer for a task that does not exist, or is another caller's.
#[must_use]
pub fn unknown_task(id: &Id) -> Vec<u8> {
    error(
        Some(id),
        INVALID_PARAMS,
        "Failed to retrieve task: Task not found",
    )
}

/// The answer to a call that asks to be run as a task, to which Weir tells clients of
/// 2025-11-25 that no server is able (basic/utilities/tasks, "Tool-Level Negotiation").
#[must_use]
pub fn no_tasks(id: &Id) -> Vec<u8> {
    error(
        Some(id),
        METHOD_NOT_FOUND,
        "Task-augmented calls are not supported",
    )
}

/// The answer to a `requestState` that Weir did not give to this caller for this request,
/// or that has expired (2026-07-28, "Multi Round-Trip Requests", server requirements).
#[must_use]
pub fn unknown_state(id: &Id) -> Vec<u8> {
    error(
        Some(id),
        INVALID_PARAMS,
        "requestState is not valid for this request, or has expired",
    )
}

/// The answer for a method that does not exist or that the caller may not use.
#[must_use]
pub fn unknown_method(id: &Id) -> Vec<u8> {
    error(Some(id), METHOD_NOT_FOUND, "Method not found")
}

/// A tool's own error, which the model sees (MCP, "Tools", `isError`). A refusal that
/// the caller can do something about is told this way; one that must look as if the
/// tool did not exist is [`unknown_tool`].
#[must_use]
pub fn tool_error(revision: Revision, id: &Id, text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(160 + text.len());
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.raw());
    out.extend_from_slice(br#","result":{"#);
    if revision.is_stateless() {
        out.extend_from_slice(br#""resultType":"complete","#);
    }
    out.extend_from_slice(br#""content":[{"type":"text","text":"#);
    quote(text, &mut out);
    out.extend_from_slice(br#"}],"isError":true}}"#);
    out
}

/// What a caller is told whose call waits for approval.
#[must_use]
pub fn pending(revision: Revision, id: &Id, approval: ApprovalId, reason: &str) -> Vec<u8> {
    let because = if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    };
    tool_error(
        revision,
        id,
        &format!(
            "Approval pending, id {approval}{because}. Nothing was executed. \
             Retry the same call, with the same arguments, once it is approved."
        ),
    )
}

#[cfg(test)]
mod tests;
