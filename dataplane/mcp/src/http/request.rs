//! A request's head, checked.

use super::body::Framing;
use super::head::{syntax, version_of};
use super::{FieldError, Fields, HttpError, Version};
use crate::limits::FIELDS_MAX;

/// The methods that Streamable HTTP has, and the two that browsers add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Sends a message.
    Post,
    /// Opens the server's stream, or resumes one.
    Get,
    /// Ends the session.
    Delete,
    /// A browser asks what it may send.
    Options,
    /// Anything else: answered with 405.
    Other,
}

/// A request's head that has one reading.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// What to do.
    pub method: Method,
    /// Path and optional query, as they came: it starts with `/` and has no fragment,
    /// backslash, control character or dot segment.
    pub target: String,
    /// The version of the line.
    pub version: Version,
    /// Host, not empty.
    pub host: String,
    /// How the content is framed.
    pub framing: Framing,
    /// Whether the client wants the connection closed after the answer.
    pub closes: bool,
    /// Whether the client waits for `100 Continue` before it sends content.
    pub expects_continue: bool,
    /// All fields.
    pub fields: Fields,
}

impl RequestHead {
    /// Reads a whole head, empty line included.
    ///
    /// # Errors
    /// What a reader could take differently; see [`HttpError`].
    pub fn read(head: &[u8]) -> Result<Self, HttpError> {
        let mut headers = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head).map_err(syntax)? {
            httparse::Status::Complete(length) if length == head.len() => {}
            httparse::Status::Complete(_) | httparse::Status::Partial => {
                return Err(HttpError::FirstLine);
            }
        }
        let version = version_of(request.version)?;
        let method = request.method.ok_or(HttpError::FirstLine)?;
        let target = plain_target(request.path.unwrap_or_default())?;
        let fields = Fields::read(request.headers)?;
        Self::check(method_of(method), target, version, fields)
    }

    fn check(
        method: Method,
        target: &str,
        version: Version,
        fields: Fields,
    ) -> Result<Self, HttpError> {
        let host = fields
            .get("host")
            .filter(|host| !host.is_empty())
            .ok_or(FieldError::NoHost)?
            .to_owned();
        fields.identity_content()?;
        let framing = framing(method, version, &fields)?;
        let closes = fields.closes(version)?;
        let expects_continue = match (fields.get("expect"), version) {
            (None, _) => false,
            (Some(value), Version::Http11) if value.eq_ignore_ascii_case("100-continue") => {
                framing != Framing::Empty
            }
            (Some(_), Version::Http11 | Version::Http10) => return Err(FieldError::Expect.into()),
        };
        let target = target.to_owned();
        Ok(Self {
            method,
            target,
            version,
            host,
            framing,
            closes,
            expects_continue,
            fields,
        })
    }

    /// The path without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The token of `Authorization: Bearer` (RFC 6750 §2.1); `None` where there is no
    /// such field or it is another scheme.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.fields.get("authorization")?.split_once(' ')?;
        let token = token.trim_matches(' ');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let is_token = !token.is_empty() && token.bytes().all(plain);
        (scheme.eq_ignore_ascii_case("bearer") && is_token).then_some(token)
    }
}

fn method_of(method: &str) -> Method {
    match method {
        "POST" => Method::Post,
        "GET" => Method::Get,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        _ => Method::Other,
    }
}

/// Origin-form only (RFC 9112 §3.2.1): an absolute form beside Host is two answers to
/// one question, and dot segments, plain or encoded, are resolved by some servers only.
pub(crate) fn plain_target(target: &str) -> Result<&str, HttpError> {
    let path = target.split('?').next().unwrap_or_default();
    let byte_is_plain = |byte: u8| byte.is_ascii_graphic() && !b"#\\\"<>^`{|}".contains(&byte);
    let lower = path.to_ascii_lowercase();
    let has_dots = path
        .split('/')
        .any(|segment| segment == "." || segment == "..");
    let hides = lower.contains("%2e")
        || lower.contains("%2f")
        || lower.contains("%5c")
        || lower.contains("%00");
    if target.starts_with('/')
        && !target.starts_with("//")
        && target.bytes().all(byte_is_plain)
        && !has_dots
        && !hides
    {
        Ok(target)
    } else {
        Err(HttpError::Target)
    }
}

fn framing(method: Method, version: Version, fields: &Fields) -> Result<Framing, HttpError> {
    let framing = match (fields.is_chunked(version)?, fields.content_length()?) {
        (true, Some(_)) => return Err(FieldError::TwoLengths.into()),
        (true, None) => Framing::Chunked,
        (false, Some(0) | None) => Framing::Empty,
        (false, Some(length)) => Framing::Length(length),
    };
    match (method, framing) {
        (Method::Post, Framing::Empty) if fields.get("content-length").is_none() => {
            Err(HttpError::LengthRequired)
        }
        (Method::Get | Method::Delete | Method::Options, Framing::Length(_) | Framing::Chunked) => {
            Err(HttpError::UnexpectedBody)
        }
        (Method::Post | Method::Get | Method::Delete | Method::Options | Method::Other, _) => {
            Ok(framing)
        }
    }
}
