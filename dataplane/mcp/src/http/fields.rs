//! Header fields: kept in one buffer, names in lower case, and the rules on repetition.

use std::ops::Range;

use thiserror::Error;

use crate::limits::FIELDS_MAX;

/// What is wrong with a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FieldError {
    /// Not `name: value`: a space before the colon, a folded line, a control character.
    #[error("header field is malformed")]
    Syntax,
    /// A field that has one value stands twice.
    #[error("header field is repeated")]
    Repeated,
    /// Content-Length is not a plain decimal number.
    #[error("Content-Length is not a plain number")]
    ContentLength,
    /// Transfer-Encoding is not exactly `chunked`, or stands in HTTP/1.0.
    #[error("Transfer-Encoding is not exactly chunked")]
    TransferEncoding,
    /// Both Content-Length and Transfer-Encoding.
    #[error("both Content-Length and Transfer-Encoding")]
    TwoLengths,
    /// Connection names a field that is not about the connection.
    #[error("Connection names an unknown option")]
    Connection,
    /// No Host, or an empty one.
    #[error("Host is missing")]
    NoHost,
    /// Content-Encoding other than identity: what is in there cannot be seen.
    #[error("content is encoded")]
    ContentEncoding,
    /// Expect is not `100-continue`.
    #[error("unknown expectation")]
    Expect,
}

/// Fields that may stand more than once: lists that this crate does not read, or reads
/// as a list. Everything that anything here depends on has one value.
const REPEATABLE: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "cookie",
    "forwarded",
    "link",
    "server-timing",
    "set-cookie",
    "tracestate",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-forwarded-for",
];

#[derive(Clone, Debug)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

/// The header fields of one head.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    text: String,
    list: Vec<Field>,
}

impl Fields {
    pub(super) fn read(headers: &[httparse::Header<'_>]) -> Result<Self, FieldError> {
        let mut fields = Self {
            text: String::with_capacity(512),
            list: Vec::with_capacity(headers.len()),
        };
        for header in headers {
            fields.push(header.name, header.value)?;
        }
        Ok(fields)
    }

    fn push(&mut self, name: &str, value: &[u8]) -> Result<(), FieldError> {
        if name.is_empty() || self.list.len() >= FIELDS_MAX {
            return Err(FieldError::Syntax);
        }
        // Bytes above 0x7F have no agreed meaning (RFC 9110 §5.5); the fields that carry
        // them in practice are not read here, so only those lose their value.
        let value = std::str::from_utf8(value)
            .ok()
            .filter(|text| text.is_ascii());
        let value = value.unwrap_or_default().trim_matches([' ', '\t']);
        if value
            .bytes()
            .any(|byte| byte != b'\t' && byte.is_ascii_control())
        {
            return Err(FieldError::Syntax);
        }
        let start = self.text.len();
        self.text.push_str(name);
        self.text
            .get_mut(start..)
            .map(str::make_ascii_lowercase)
            .unwrap_or_default();
        let middle = self.text.len();
        self.text.push_str(value);
        let field = Field {
            name: start..middle,
            value: middle..self.text.len(),
        };
        let name = self.text.get(start..middle).unwrap_or_default();
        if !REPEATABLE.contains(&name) && self.get(name).is_some() {
            return Err(FieldError::Repeated);
        }
        self.list.push(field);
        Ok(())
    }

    /// The first value of a field; `name` in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a field; `name` in lower case.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter()
            .filter(move |(field, _)| *field == name)
            .map(|(_, value)| value)
    }

    /// Every field, names in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().filter_map(|field| {
            Some((
                self.text.get(field.name.clone())?,
                self.text.get(field.value.clone())?,
            ))
        })
    }

    /// Whether a list field has an element, ignoring parameters and letter case.
    #[must_use]
    pub fn lists(&self, name: &str, element: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|item| {
                let item = item.split(';').next().unwrap_or_default();
                item.trim_matches([' ', '\t']).eq_ignore_ascii_case(element)
            })
    }

    /// The media type of the content without parameters, in lower case.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        let value = self.get("content-type")?;
        Some(
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase(),
        )
    }

    /// Content-Length, plain decimal digits only (RFC 9112 §6.3 allows lists of equal
    /// values; here they are refused).
    pub(super) fn content_length(&self) -> Result<Option<u64>, FieldError> {
        let Some(value) = self.get("content-length") else {
            return Ok(None);
        };
        let plain = !value.is_empty()
            && value.len() <= 18
            && value.bytes().all(|byte| byte.is_ascii_digit());
        let canonical = value == "0" || !value.starts_with('0');
        match value.parse() {
            Ok(length) if plain && canonical => Ok(Some(length)),
            Ok(_) | Err(_) => Err(FieldError::ContentLength),
        }
    }

    pub(super) fn is_chunked(&self, version: super::Version) -> Result<bool, FieldError> {
        let Some(value) = self.get("transfer-encoding") else {
            return Ok(false);
        };
        match version {
            super::Version::Http11 if value.eq_ignore_ascii_case("chunked") => Ok(true),
            super::Version::Http11 | super::Version::Http10 => Err(FieldError::TransferEncoding),
        }
    }

    /// Whether the connection closes after this message. A Connection field that names
    /// anything else would make some hops drop that field and others keep it.
    pub(super) fn closes(&self, version: super::Version) -> Result<bool, FieldError> {
        const OPTIONS: &[&str] = &["close", "keep-alive", "te", "upgrade", "http2-settings"];
        let mut closes = version == super::Version::Http10;
        for option in self.all("connection").flat_map(|value| value.split(',')) {
            let option = option.trim_matches([' ', '\t']).to_ascii_lowercase();
            if !option.is_empty() && !OPTIONS.contains(&option.as_str()) {
                return Err(FieldError::Connection);
            }
            closes |= option == "close";
        }
        Ok(closes)
    }

    pub(super) fn identity_content(&self) -> Result<(), FieldError> {
        match self.get("content-encoding") {
            None => Ok(()),
            Some(value) if value.eq_ignore_ascii_case("identity") => Ok(()),
            Some(_) => Err(FieldError::ContentEncoding),
        }
    }
}
