//! OAUTHBEARER (RFC 7628) as PostgreSQL 18 speaks it: the client's one message, and the JSON by
//! which it learns where tokens come from. Whether a token is good is not decided here.

use super::AuthError;

/// Stands between the parts of a message (RFC 7628 §3.1, `kvsep`).
const SEPARATOR: char = '\u{1}';

/// What a client sends to end a failed exchange (RFC 7628 §3.2.3).
pub const DUMMY_RESPONSE: &[u8] = b"\x01";

/// The mechanism's name.
pub const OAUTHBEARER: &str = "OAUTHBEARER";

/// What the client's message holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bearer<'a> {
    /// A token.
    Token(&'a str),
    /// None: the client asks where it gets one.
    Discovery,
}

impl std::fmt::Debug for Bearer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Discovery => "Discovery",
        })
    }
}

/// Reads the client's message: `n,,` or `y,,`, then `auth=Bearer <token>`, each part behind a
/// separator. As in PostgreSQL an authorization identity is refused, and so is any part that is
/// given twice; parts that are not known are skipped (RFC 7628 §3.1).
///
/// # Errors
/// [`AuthError::Binding`] for channel binding, which the mechanism does not have;
/// [`AuthError::Malformed`] for everything else that is no such message.
pub fn bearer(message: &[u8]) -> Result<Bearer<'_>, AuthError> {
    let message = std::str::from_utf8(message).map_err(|_| AuthError::Malformed)?;
    if message.starts_with('p') {
        return Err(AuthError::Binding);
    }
    let parts = ["n,,", "y,,"]
        .iter()
        .find_map(|header| message.strip_prefix(header))
        .and_then(|rest| rest.strip_prefix(SEPARATOR))
        .and_then(|rest| rest.strip_suffix(SEPARATOR))
        .filter(|parts| parts.ends_with(SEPARATOR))
        .ok_or(AuthError::Malformed)?;
    let mut found = None;
    for part in parts.split_terminator(SEPARATOR) {
        let (key, value) = part.split_once('=').ok_or(AuthError::Malformed)?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(AuthError::Malformed);
        }
        if key == "auth" && found.replace(value).is_some() {
            return Err(AuthError::Malformed);
        }
    }
    credentials(found.ok_or(AuthError::Malformed)?)
}

/// `Bearer <b64token>` (RFC 6750 §2.1); empty is a question (RFC 7628 §4.3).
fn credentials(value: &str) -> Result<Bearer<'_>, AuthError> {
    if value.is_empty() {
        return Ok(Bearer::Discovery);
    }
    let (scheme, token) = value.split_once(' ').ok_or(AuthError::Malformed)?;
    let token = token.trim_start_matches(' ');
    let body = token.trim_end_matches('=');
    let is_token = !body.is_empty()
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
    if scheme.eq_ignore_ascii_case("bearer") && is_token {
        Ok(Bearer::Token(token))
    } else {
        Err(AuthError::Malformed)
    }
}

/// What a client is told of a token that is none or not good (RFC 7628 §3.2.2), as the data of
/// AuthenticationSASLContinue. `configuration` is the address of the issuer's metadata.
#[must_use]
pub fn failure(configuration: &str, scope: &str) -> Vec<u8> {
    let mut json = String::from("{\"status\":\"invalid_token\",\"openid-configuration\":");
    quote(configuration, &mut json);
    json.push_str(",\"scope\":");
    quote(scope, &mut json);
    json.push('}');
    json.into_bytes()
}

fn quote(text: &str, out: &mut String) {
    use std::fmt::Write as _;
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if u32::from(control) < 0x20 => {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_libpq_are_read() {
        assert_eq!(
            bearer(b"n,,\x01auth=Bearer abc.def-_~+/==\x01\x01"),
            Ok(Bearer::Token("abc.def-_~+/=="))
        );
        assert_eq!(bearer(b"n,,\x01auth=\x01\x01"), Ok(Bearer::Discovery));
        assert_eq!(
            bearer(b"y,,\x01host=db\x01port=1\x01auth=bearer  t\x01\x01"),
            Ok(Bearer::Token("t"))
        );
    }

    #[test]
    fn everything_else_is_refused() {
        assert_eq!(
            bearer(b"p=tls-exporter,,\x01auth=Bearer t\x01\x01"),
            Err(AuthError::Binding)
        );
        for message in [
            b"".as_slice(),
            b"n,,",
            b"n,,\x01",
            b"n,,\x01\x01",
            b"n,a=root,\x01auth=Bearer t\x01\x01",
            b"n,,\x01auth=Bearer t\x01",
            b"n,,\x01auth=Bearer t",
            b"n,,auth=Bearer t\x01\x01",
            b"n,,\x01auth=Bearer t\x01auth=Bearer u\x01\x01",
            b"n,,\x01auth=Bearer t\x01\x01more",
            b"n,,\x01auth=Bearer t\x01\x01auth=Bearer u\x01\x01",
            b"n,,\x01auth=Basic t\x01\x01",
            b"n,,\x01auth=Bearer\x01\x01",
            b"n,,\x01auth=Bearer =\x01\x01",
            b"n,,\x01auth=Bearer a=b\x01\x01",
            b"n,,\x01auth=Bearer a b\x01\x01",
            b"n,,\x01auth=Bearer a\0\x01\x01",
            b"n,,\x01auth\x01\x01",
            b"n,,\x01=x\x01auth=Bearer t\x01\x01",
            b"n,,\x01host=db\x01\x01",
            b"n,,\x01auth=Bearer \xff\x01\x01",
        ] {
            assert_eq!(bearer(message), Err(AuthError::Malformed), "{message:?}");
        }
    }

    #[test]
    fn the_failure_is_json_whatever_the_names_are() {
        let said = failure("https://idp.example/a\"b\\", "openid \u{1}");
        assert_eq!(
            String::from_utf8(said).unwrap(),
            r#"{"status":"invalid_token","openid-configuration":"https://idp.example/a\"b\\","scope":"openid \u0001"}"#
        );
    }
}
