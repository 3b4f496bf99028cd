//! What resource servers say of authorization: metadata (RFC 9728, RFC 8414) and challenges (RFC
//! 6750 §3), written by Weir where it is the resource server, and shown where the server is.
//!
//! Of a server's own, only what clients need to get a token is shown, written anew.

use crate::json::{Document, KeyEquality, Kind, Value, quote};

/// Largest metadata of a server that is read; those of real ones are below 8 KiB.
pub const METADATA_BYTES_MAX: usize = 64 << 10;

/// Members of metadata that clients use (RFC 9728 §2, RFC 8414 §2, OpenID Connect Discovery §3,
/// RFC 8628 §4, RFC 9126 §5, RFC 9207 §3, RFC 9449 §5). None of them is a text for people.
const MEMBERS: [&str; 33] = [
    "resource",
    "authorization_servers",
    "jwks_uri",
    "scopes_supported",
    "bearer_methods_supported",
    "resource_signing_alg_values_supported",
    "resource_documentation",
    "tls_client_certificate_bound_access_tokens",
    "authorization_details_types_supported",
    "dpop_signing_alg_values_supported",
    "dpop_bound_access_tokens_required",
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "response_types_supported",
    "response_modes_supported",
    "grant_types_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "service_documentation",
    "revocation_endpoint",
    "introspection_endpoint",
    "userinfo_endpoint",
    "end_session_endpoint",
    "code_challenge_methods_supported",
    "client_id_metadata_document_supported",
    "authorization_response_iss_parameter_supported",
    "device_authorization_endpoint",
    "pushed_authorization_request_endpoint",
    "require_pushed_authorization_requests",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
];

/// Parameters of a challenge that clients use (RFC 6750 §3, RFC 9728 §5.1).
const PARAMETERS: [&str; 3] = ["error", "scope", "resource_metadata"];

/// A resource server's metadata.
#[derive(Clone, Copy, Debug)]
pub struct Metadata<'a> {
    /// The resource's URI.
    pub resource: &'a str,
    /// Issuers whose tokens it takes.
    pub authorization_servers: &'a [&'a str],
    /// Scopes that it may ask for.
    pub scopes: &'a [&'a str],
    /// What it is called.
    pub name: &'a str,
}

impl Metadata<'_> {
    /// The document (RFC 9728 §3.2).
    #[must_use]
    pub fn document(&self) -> Vec<u8> {
        let mut out = br#"{"resource":"#.to_vec();
        quote(self.resource, &mut out);
        out.extend_from_slice(br#","authorization_servers":"#);
        list(self.authorization_servers, &mut out);
        out.extend_from_slice(br#","scopes_supported":"#);
        list(self.scopes, &mut out);
        out.extend_from_slice(br#","bearer_methods_supported":["header"],"resource_name":"#);
        quote(self.name, &mut out);
        out.push(b'}');
        out
    }
}

fn list(texts: &[&str], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        quote(text, out);
    }
    out.push(b']');
}

/// What is wrong with what a client showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacks {
    /// It showed no token.
    Token,
    /// Its token is not accepted.
    GoodToken,
    /// Its token has not the scopes.
    Scopes,
}

/// A challenge of Weir's (RFC 6750 §3). Scopes and URL are left out where there is nothing to say.
#[must_use]
pub fn challenge(lacks: Lacks, scopes: &[&str], metadata_url: Option<&str>) -> String {
    let mut text = "Bearer realm=\"weir\"".to_owned();
    let mut put = |name: &str, value: &str| {
        text.push_str(&format!(", {name}={}", quoted(value)));
    };
    match lacks {
        Lacks::Token => {}
        Lacks::GoodToken => put("error", "invalid_token"),
        Lacks::Scopes => put("error", "insufficient_scope"),
    }
    if !scopes.is_empty() {
        put("scope", &scopes.join(" "));
    }
    if let Some(url) = metadata_url {
        put("resource_metadata", url);
    }
    text
}

/// A quoted-string (RFC 9110 §5.6.4).
fn quoted(value: &str) -> String {
    let plain = |c: &char| *c == ' ' || c.is_ascii_graphic();
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars().filter(plain) {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    text
}

/// What a client is shown of a server's challenge: that it is one for bearer tokens, and what it
/// needs to get a better one, at the resource's own origin. `None` where it is another, or cannot
/// be read.
#[must_use]
pub fn shown_challenge(value: &str, origin: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut shown = Vec::new();
    let mut rest = rest.trim_start();
    while !rest.is_empty() {
        let (name, value, after) = parameter(rest)?;
        let is_new = !shown.iter().any(|(known, _)| *known == name);
        let is_here = |url: &str| {
            url.strip_prefix(origin)
                .is_some_and(|path| path.starts_with('/'))
        };
        let fits = name != "resource_metadata" || is_here(&value);
        if PARAMETERS.contains(&name.as_str()) && is_new && fits {
            shown.push((name, value));
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => "",
            // Another challenge in the same field, or nothing that RFC 9110 §11.2 has.
            None => return None,
        };
    }
    let parameters: Vec<_> = shown
        .iter()
        .map(|(name, value)| format!("{name}={}", quoted(value)))
        .collect();
    Some(
        format!("Bearer {}", parameters.join(", "))
            .trim_end()
            .to_owned(),
    )
}

/// One `name=value` (RFC 9110 §11.2), and what follows.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_end().to_ascii_lowercase();
    let is_token = |text: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/:=".contains(&byte);
        !text.is_empty() && text.bytes().all(fits)
    };
    if !is_token(&name) || name.contains('=') {
        return None;
    }
    let rest = rest.trim_start();
    let Some(inner) = rest.strip_prefix('"') else {
        let end = rest.find([',', ' ']).unwrap_or(rest.len());
        let (value, after) = rest.split_at_checked(end)?;
        return is_token(value).then(|| (name, value.to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((name, value, inner.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(character),
        }
    }
    None
}

/// What a client is shown of a server's metadata: the members that it needs, with values that are
/// texts, lists of texts, or yes and no. `None` if it is no such document.
#[must_use]
pub fn shown_metadata(json: &[u8]) -> Option<Vec<u8>> {
    let document = Document::parse(json).ok()?;
    let root = document.root();
    document.unique_keys_everywhere(KeyEquality::Exact).ok()?;
    if root.kind() != Kind::Object {
        return None;
    }
    let mut out = b"{".to_vec();
    for name in MEMBERS {
        let Some(value) = root.get(name).filter(is_plain) else {
            continue;
        };
        if out.len() > 1 {
            out.push(b',');
        }
        quote(name, &mut out);
        out.push(b':');
        out.extend_from_slice(value.raw());
    }
    out.push(b'}');
    Some(out)
}

fn is_plain(value: &Value<'_>) -> bool {
    match value.kind() {
        Kind::String | Kind::True | Kind::False => true,
        Kind::Array => value.elements().all(|each| each.kind() == Kind::String),
        Kind::Object | Kind::Key | Kind::Number | Kind::Null => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_says_what_is_lacking_and_where_to_get_it() {
        let url = Some("https://mcp.example/.well-known/oauth-protected-resource/mcp");
        assert_eq!(challenge(Lacks::Token, &[], None), "Bearer realm=\"weir\"");
        assert_eq!(
            challenge(Lacks::Scopes, &["a", "b"], url),
            "Bearer realm=\"weir\", error=\"insufficient_scope\", scope=\"a b\", \
             resource_metadata=\"https://mcp.example/.well-known/oauth-protected-resource/mcp\""
        );
        assert!(challenge(Lacks::GoodToken, &["a\"\r\nX: y"], None).contains(r#"scope="a\"X: y""#));
    }

    #[test]
    fn of_a_servers_challenge_only_what_clients_use_is_shown() {
        for (said, shown) in [
            ("Bearer", Some("Bearer")),
            (
                "bearer realm=\"alice's SSN is 1\", scope=\"a b\" , error=insufficient_scope",
                Some("Bearer scope=\"a b\", error=\"insufficient_scope\""),
            ),
            (
                r#"Bearer resource_metadata="https://x/\"y", error_description="secret, text""#,
                Some(r#"Bearer resource_metadata="https://x/\"y""#),
            ),
            (
                "Bearer resource_metadata=\"https://x.evil.example/\", scope=\"a\"",
                Some("Bearer scope=\"a\""),
            ),
            (
                "Bearer scope=\"a\", scope=\"b\"",
                Some("Bearer scope=\"a\""),
            ),
            ("Basic realm=\"x\"", None),
            ("Bearer scope=\"a", None),
            ("Bearer scope", None),
            ("Bearer scope=\"a\" Basic realm=\"x\"", None),
            ("", None),
        ] {
            assert_eq!(
                shown_challenge(said, "https://x").as_deref(),
                shown,
                "{said}"
            );
        }
    }

    #[test]
    fn of_a_servers_metadata_only_what_clients_use_is_shown() {
        let text = r#"{"resource":"https://x/mcp","resource_name":"alice","scopes_supported":["a"],"jwks_uri":{"x":1},"issuer":7,"secret":"s"}"#;
        let shown = shown_metadata(text.as_bytes()).expect("a document");
        assert_eq!(
            String::from_utf8(shown).expect("text"),
            r#"{"resource":"https://x/mcp","scopes_supported":["a"]}"#
        );
        for bad in ["", "[]", "\"x\"", r#"{"issuer":"a","issuer":"b"}"#, "{} {}"] {
            assert!(shown_metadata(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_document_of_our_own_is_read_back() {
        let written = Metadata {
            resource: "https://x/mcp",
            authorization_servers: &["https://idp"],
            scopes: &["openid", "refunds:write"],
            name: "the \"crm\"",
        }
        .document();
        let document = Document::parse(&written).expect("JSON");
        let text = |name: &str| document.root().get(name).and_then(|value| value.text());
        assert_eq!(text("resource").as_deref(), Some("https://x/mcp"));
        assert_eq!(text("resource_name").as_deref(), Some("the \"crm\""));
    }
}
