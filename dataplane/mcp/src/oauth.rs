//! OAuth at the MCP server's own address, where the server is its own authorization server: which
//! of its paths are part of that, what may be sent there, and what of its answers is shown.
//!
//! The messages of OAuth are not MCP's: nothing in them is judged by what it says. So only the
//! paths that the server's metadata names are reached, only by requests of the form that OAuth
//! gives them, and answers are written anew with the members that clients need.

use crate::http::rewrite::{Answer, AnswerFraming, field};
use crate::http::{Method, RequestHead, plain_target};
use crate::json::{Document, KeyEquality, Kind, Value, quote};

/// Largest message of OAuth; requests and tokens of real servers are below 16 KiB.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Largest page that asks a person to log in.
pub const PAGE_BYTES_MAX: usize = 256 << 10;

/// Bytes of where a redirect leads: a URL with a code, a state and the issuer.
const LOCATION_BYTES_MAX: usize = 4096;

/// One of an authorization server's endpoints (RFC 8414 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Where a person agrees; a browser goes there (RFC 6749 §3.1).
    Authorization,
    /// Where tokens come from (RFC 6749 §3.2).
    Token,
    /// Where clients register (RFC 7591).
    Registration,
    /// Where tokens are given back (RFC 7009).
    Revocation,
}

/// Members of a token's answer that clients use (RFC 6749 §5, RFC 8693 §2.2.1, OpenID Connect Core
/// §3.1.3.3). None of them is a text for people.
const TOKEN: &[&str] = &[
    "access_token",
    "token_type",
    "expires_in",
    "refresh_token",
    "scope",
    "id_token",
    "issued_token_type",
    "error",
];

/// Members of a registered client (RFC 7591 §2, §3.2).
const CLIENT: &[&str] = &[
    "client_id",
    "client_secret",
    "client_id_issued_at",
    "client_secret_expires_at",
    "redirect_uris",
    "token_endpoint_auth_method",
    "grant_types",
    "response_types",
    "client_name",
    "client_uri",
    "logo_uri",
    "scope",
    "contacts",
    "tos_uri",
    "policy_uri",
    "jwks_uri",
    "software_id",
    "software_version",
    "application_type",
    "error",
];

/// Members whose values are random, or made for the client alone: nothing is looked for in them.
const OPAQUE: &[&str] = &[
    "access_token",
    "refresh_token",
    "id_token",
    "client_id",
    "client_secret",
];

impl Endpoint {
    const ALL: &[Self] = &[
        Self::Authorization,
        Self::Token,
        Self::Registration,
        Self::Revocation,
    ];

    const fn member(self) -> &'static str {
        match self {
            Self::Authorization => "authorization_endpoint",
            Self::Token => "token_endpoint",
            Self::Registration => "registration_endpoint",
            Self::Revocation => "revocation_endpoint",
        }
    }

    /// What it is called in records: never with what was sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "OAuth authorization",
            Self::Token => "OAuth token",
            Self::Registration => "OAuth registration",
            Self::Revocation => "OAuth revocation",
        }
    }

    const fn media(self) -> &'static str {
        match self {
            Self::Authorization | Self::Token | Self::Revocation => {
                "application/x-www-form-urlencoded"
            }
            Self::Registration => "application/json",
        }
    }

    /// Whether a request has the method and the content that this endpoint takes.
    #[must_use]
    pub fn takes(self, head: &RequestHead) -> bool {
        let has_form = head.fields.media_type().as_deref() == Some(self.media());
        match (head.method, self) {
            (Method::Get, Self::Authorization) => true,
            (Method::Get, Self::Token | Self::Registration | Self::Revocation) => false,
            (
                Method::Post,
                Self::Authorization | Self::Token | Self::Registration | Self::Revocation,
            ) => has_form,
            (
                Method::Delete | Method::Options | Method::Other,
                Self::Authorization | Self::Token | Self::Registration | Self::Revocation,
            ) => false,
        }
    }

    /// Whether a body is a message for this endpoint.
    #[must_use]
    pub fn reads(self, body: &[u8]) -> bool {
        match self {
            Self::Authorization => is_form(body, ""),
            Self::Token => is_form(body, "grant_type"),
            Self::Revocation => is_form(body, "token"),
            Self::Registration => is_registration(body),
        }
    }

    /// Whether a status of this endpoint's is shown as it is.
    #[must_use]
    pub const fn shows(self, status: u16) -> bool {
        match self {
            Self::Authorization => matches!(status, 200 | 302 | 303 | 307 | 400 | 401 | 403 | 429),
            Self::Token | Self::Registration | Self::Revocation => {
                matches!(status, 200 | 201 | 400 | 401 | 403 | 429 | 503)
            }
        }
    }
}

/// Parameters with plain names and values, each once (RFC 6749 §3.2), among them this one.
fn is_form(body: &[u8], needed: &str) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_graphic();
    let Some(text) = std::str::from_utf8(body)
        .ok()
        .filter(|text| text.bytes().all(|byte| is_plain(&byte)))
    else {
        return false;
    };
    let mut names: Vec<_> = text
        .split('&')
        .map(|pair| pair.split('=').next().unwrap_or_default())
        .collect();
    let has_needed = needed.is_empty() || names.contains(&needed);
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    has_needed && names.len() == count
}

/// An object of a client's own metadata (RFC 7591 §2), which no JSON-RPC message is.
fn is_registration(body: &[u8]) -> bool {
    let Ok(document) = Document::parse(body) else {
        return false;
    };
    let root = document.root();
    root.kind() == Kind::Object
        && document.unique_keys_everywhere(KeyEquality::Folded).is_ok()
        && root
            .get("redirect_uris")
            .is_some_and(|uris| uris.kind() == Kind::Array)
        && ["jsonrpc", "method", "params", "result", "id"]
            .iter()
            .all(|name| root.get(name).is_none())
}

/// The endpoints that a document of metadata names at this origin, with their paths.
#[must_use]
pub fn endpoints(metadata: &[u8], origin: &str) -> Vec<(Endpoint, String)> {
    let Ok(document) = Document::parse(metadata) else {
        return Vec::new();
    };
    let path = |endpoint: &Endpoint| {
        let url = document.root().get(endpoint.member())?;
        let url = Some(url).filter(|url| url.kind() == Kind::String)?.text()?;
        let path = url.strip_prefix(origin)?;
        let is_bare = !path.contains('?');
        let path = plain_target(path).ok().filter(|_| is_bare)?;
        Some((*endpoint, path.to_owned()))
    };
    Endpoint::ALL.iter().filter_map(path).collect()
}

/// The head that goes on, empty line included: what OAuth needs, and nothing of MCP's.
#[must_use]
pub fn request(
    head: &RequestHead,
    endpoint: Endpoint,
    credential: Option<(&str, &str)>,
    body_bytes: usize,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let is_post = head.method == Method::Post;
    let method = if is_post { "POST" } else { "GET" };
    out.extend_from_slice(format!("{method} {} HTTP/1.1\r\n", head.target).as_bytes());
    field(&mut out, "Host", &head.host);
    let (accept, passed): (_, &[&str]) = match endpoint {
        Endpoint::Authorization => ("text/html, */*", &["cookie", "user-agent"]),
        // The client's own authentication at the endpoint (RFC 6749 §2.3.1, RFC 7591 §3).
        Endpoint::Token | Endpoint::Registration | Endpoint::Revocation => {
            ("application/json", &["authorization", "user-agent"])
        }
    };
    field(&mut out, "Accept", accept);
    field(&mut out, "Accept-Encoding", "identity");
    for (name, value) in head.fields.iter() {
        if passed.contains(&name) {
            field(&mut out, name, value);
        }
    }
    if let Some((name, value)) = credential {
        field(&mut out, name, value);
    }
    if is_post {
        field(&mut out, "Content-Type", endpoint.media());
        field(&mut out, "Content-Length", &body_bytes.to_string());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// An answer's body as the client is shown it, and what of it may hold somebody's values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// What is sent.
    pub body: Vec<u8>,
    /// What is to be searched before.
    pub searched: String,
}

/// What a client is shown of the JSON that an endpoint answers with: the members that it needs.
/// `None` if it is no such document.
#[must_use]
pub fn shown(endpoint: Endpoint, json: &[u8]) -> Option<Shown> {
    let members = match endpoint {
        Endpoint::Token => TOKEN,
        Endpoint::Registration => CLIENT,
        Endpoint::Revocation => &["error"],
        Endpoint::Authorization => return None,
    };
    let document = Document::parse(json).ok()?;
    document.unique_keys_everywhere(KeyEquality::Exact).ok()?;
    let root = Some(document.root()).filter(|root| root.kind() == Kind::Object)?;
    let mut shown = Shown {
        body: b"{".to_vec(),
        searched: String::new(),
    };
    for name in members {
        let Some(value) = root.get(name).filter(is_plain) else {
            continue;
        };
        if shown.body.len() > 1 {
            shown.body.push(b',');
        }
        quote(name, &mut shown.body);
        shown.body.push(b':');
        shown.body.extend_from_slice(value.raw());
        if !OPAQUE.contains(name) {
            shown
                .searched
                .push_str(&String::from_utf8_lossy(value.raw()));
            shown.searched.push('\n');
        }
    }
    shown.body.push(b'}');
    Some(shown)
}

fn is_plain(value: &Value<'_>) -> bool {
    match value.kind() {
        Kind::String | Kind::True | Kind::False | Kind::Number => true,
        Kind::Array => value.elements().all(|each| each.kind() == Kind::String),
        Kind::Object | Kind::Key | Kind::Null => false,
    }
}

/// Where a redirect of the authorization endpoint leads: to a client's own listener or scheme, or to
/// where a person logs in. `None` for what no URL looks like.
#[must_use]
pub fn location(value: &str) -> Option<&str> {
    let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && !value.is_empty() && value.len() <= LOCATION_BYTES_MAX).then_some(value)
}

/// The head of an answer with a body that was read.
#[must_use]
pub const fn answer<'a>(
    status: u16,
    media: Option<&'a str>,
    bytes: usize,
    closes: bool,
    extra: &'a [(&'a str, &'a str)],
) -> Answer<'a> {
    Answer {
        status,
        content_type: media,
        session: None,
        framing: AnswerFraming::Length(bytes),
        closes,
        extra,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &[u8] =
        br#"{"issuer":"https://x","authorization_endpoint":"https://x/authorize",
        "token_endpoint":"https://x/token","registration_endpoint":"https://elsewhere/register",
        "revocation_endpoint":"https://x.evil.example/revoke"}"#;

    fn head(text: &str) -> RequestHead {
        RequestHead::read(text.as_bytes()).expect("a head")
    }

    #[test]
    fn only_endpoints_of_the_same_origin_are_known() {
        assert_eq!(
            endpoints(METADATA, "https://x"),
            [
                (Endpoint::Authorization, "/authorize".to_owned()),
                (Endpoint::Token, "/token".to_owned()),
            ]
        );
        for bad in [
            r#"{"token_endpoint":"https://x"}"#,
            r#"{"token_endpoint":"https://x/a?b"}"#,
            r#"{"token_endpoint":"https://x/a/../b"}"#,
            r#"{"token_endpoint":["https://x/a"]}"#,
            "[]",
            "",
        ] {
            assert_eq!(endpoints(bad.as_bytes(), "https://x"), [], "{bad}");
        }
    }

    #[test]
    fn an_endpoint_takes_its_own_messages_only() {
        let post = |media: &str| {
            head(&format!(
                "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: {media}\r\nContent-Length: 1\r\n\r\n"
            ))
        };
        let get = head("GET /token HTTP/1.1\r\nHost: x\r\n\r\n");
        let form = "application/x-www-form-urlencoded";
        assert!(Endpoint::Token.takes(&post(form)) && !Endpoint::Token.takes(&get));
        assert!(!Endpoint::Token.takes(&post("application/json")));
        assert!(Endpoint::Registration.takes(&post("application/json")));
        assert!(Endpoint::Authorization.takes(&get) && !Endpoint::Registration.takes(&get));
        for (endpoint, body, reads) in [
            (
                Endpoint::Token,
                "grant_type=refresh_token&refresh_token=r",
                true,
            ),
            (Endpoint::Token, "grant_type=a&grant_type=b", false),
            (Endpoint::Token, "code=1", false),
            (Endpoint::Token, r#"{"jsonrpc":"2.0"}"#, false),
            (Endpoint::Token, "grant_type=a\r\nX: y", false),
            (
                Endpoint::Registration,
                r#"{"redirect_uris":["http://localhost/cb"]}"#,
                true,
            ),
            (
                Endpoint::Registration,
                r#"{"redirect_uris":[],"method":"tools/call"}"#,
                false,
            ),
            (
                Endpoint::Registration,
                r#"{"redirect_uris":[],"Redirect_URIs":[]}"#,
                false,
            ),
            (Endpoint::Registration, r#"{"client_name":"x"}"#, false),
            (Endpoint::Registration, "[]", false),
            (Endpoint::Revocation, "token=t", true),
            (Endpoint::Revocation, "x=t", false),
        ] {
            assert_eq!(
                endpoint.reads(body.as_bytes()),
                reads,
                "{endpoint:?} {body}"
            );
        }
    }

    #[test]
    fn what_goes_on_has_the_clients_own_secret_and_no_cookie_and_the_page_the_reverse() {
        let text = "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1\r\nAuthorization: Basic YTpi\r\nCookie: c=1\r\nMcp-Session-Id: s\r\n\r\n";
        let sent = |endpoint| {
            let credential = Some(("X-Key", "k"));
            String::from_utf8(request(&head(text), endpoint, credential, 1)).expect("text")
        };
        let token = sent(Endpoint::Token);
        assert!(token.contains("Basic YTpi") && token.contains("X-Key: k"));
        assert!(!token.contains("c=1") && !token.contains("Mcp-"), "{token}");
        let page = sent(Endpoint::Authorization);
        assert!(page.contains("c=1") && !page.contains("Basic"), "{page}");
    }

    #[test]
    fn of_an_answer_only_what_clients_use_is_shown_and_all_but_secrets_is_searched() {
        let json = br#"{"access_token":"a-1","token_type":"Bearer","expires_in":60,"error_description":"alice","scope":"x y","extra":{"a":1}}"#;
        let told = shown(Endpoint::Token, json).expect("a document");
        assert_eq!(
            String::from_utf8_lossy(&told.body),
            r#"{"access_token":"a-1","token_type":"Bearer","expires_in":60,"scope":"x y"}"#
        );
        let searched = &told.searched;
        assert!(
            searched.contains("x y") && !searched.contains("a-1"),
            "{searched}"
        );
        for bad in ["", "[]", r#"{"scope":"a","scope":"b"}"#] {
            assert_eq!(shown(Endpoint::Token, bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(shown(Endpoint::Authorization, json), None);
    }

    #[test]
    fn a_redirect_is_a_plain_url() {
        assert!(location("http://localhost:1/cb?code=c&state=s").is_some());
        assert!(location("app.example://cb").is_some());
        for bad in ["", "http://x/\r\nSet-Cookie: y", "http://x/ä"] {
            assert_eq!(location(bad), None, "{bad}");
        }
        assert_eq!(location(&"x".repeat(LOCATION_BYTES_MAX + 1)), None);
    }
}
