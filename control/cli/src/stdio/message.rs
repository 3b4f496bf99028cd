//! What the two ends must know of a message to carry it: no more. Weir judges it between them.

use weir_mcp::json::{Document, Kind, Value, quote};
use weir_mcp::message::{Id, IdKey};

/// The key in `_meta` by which a request of 2026-07-28 names its revision.
const META_REVISION: &str = "io.modelcontextprotocol/protocolVersion";
/// The key in `_meta` by which a notification of 2026-07-28 names its subscription.
const META_SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// A message, as far as its carriers look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Wants an answer.
    Request(Request),
    /// Wants none.
    Notification(Notification),
    /// Is one.
    Answer {
        /// To which request.
        id: Id,
        /// The revision that the answer to `initialize` settles on.
        revision: Option<String>,
    },
    /// What it is, the data plane will say.
    Unclear,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: Id,
    pub(crate) method: String,
    /// Tool, prompt, URI or task, for the headers of 2026-07-28.
    pub(crate) name: Option<String>,
    /// The revision that it names itself: then it stands for itself (2026-07-28).
    pub(crate) revision: Option<String>,
    pub(crate) progress: Option<IdKey>,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notification {
    pub(crate) method: String,
    pub(crate) revision: Option<String>,
    /// The request that it cancels.
    pub(crate) cancels: Option<IdKey>,
    pub(crate) progress: Option<IdKey>,
    pub(crate) subscription: Option<IdKey>,
}

/// The messages of a line: one, or those of a batch, each with its bytes. `None` is no JSON, or
/// a batch of nothing.
pub(crate) fn split(line: &[u8]) -> Option<Vec<(Vec<u8>, Seen)>> {
    let document = Document::parse(line).ok()?;
    let root = document.root();
    let one = |value: Value<'_>| (value.raw().to_vec(), see(&value));
    match root.kind() {
        Kind::Array => {
            let all: Vec<_> = root.elements().map(one).collect();
            (!all.is_empty()).then_some(all)
        }
        Kind::Object
        | Kind::Key
        | Kind::String
        | Kind::Number
        | Kind::True
        | Kind::False
        | Kind::Null => Some(vec![one(root)]),
    }
}

fn see(message: &Value<'_>) -> Seen {
    let id = message.get("id").and_then(|id| Id::read(&id));
    let method = message
        .get("method")
        .filter(|method| method.kind() == Kind::String)
        .and_then(|method| method.text());
    let params = message.get("params");
    let meta = params.and_then(|params| params.get("_meta"));
    let of_meta = |name: &str| meta.and_then(|meta| meta.get(name));
    let of_params = |name: &str| params.and_then(|params| params.get(name));
    let revision = of_meta(META_REVISION).and_then(|value| text(&value));
    match (method, id) {
        (Some(method), Some(id)) => Seen::Request(Request {
            id,
            name: match &*method {
                "tools/call" | "prompts/get" => of_params("name"),
                "resources/read" => of_params("uri"),
                "tasks/get" | "tasks/update" | "tasks/cancel" => of_params("taskId"),
                _ => None,
            }
            .and_then(|value| text(&value)),
            method: method.into_owned(),
            revision,
            progress: of_meta("progressToken").and_then(|token| key(&token)),
        }),
        (Some(method), None) if message.get("id").is_none() => Seen::Notification(Notification {
            cancels: (method == "notifications/cancelled")
                .then(|| of_params("requestId").and_then(|id| key(&id)))
                .flatten(),
            method: method.into_owned(),
            revision,
            progress: of_params("progressToken").and_then(|token| key(&token)),
            subscription: of_meta(META_SUBSCRIPTION).and_then(|id| key(&id)),
        }),
        (None, Some(id)) => Seen::Answer {
            id,
            revision: message
                .get("result")
                .and_then(|result| result.get("protocolVersion"))
                .and_then(|value| text(&value)),
        },
        (Some(_), None) | (None, None) => Seen::Unclear,
    }
}

fn text(value: &Value<'_>) -> Option<String> {
    value.text().map(std::borrow::Cow::into_owned)
}

fn key(value: &Value<'_>) -> Option<IdKey> {
    Id::read(value).map(|id| id.key().clone())
}

/// `-32000`: a transport's error, as the reference SDKs number it.
const TRANSPORT_ERROR: i32 = -32000;

/// An error in the name of the transport.
pub(crate) fn error(id: Option<&Id>, message: &str) -> Vec<u8> {
    let mut out = br#"{"jsonrpc":"2.0","id":"#.to_vec();
    out.extend_from_slice(id.map_or(b"null", Id::raw));
    out.extend_from_slice(format!(r#","error":{{"code":{TRANSPORT_ERROR},"message":"#).as_bytes());
    quote(message, &mut out);
    out.extend_from_slice(b"}}");
    out
}

/// The error of an HTTP answer that names no request: over HTTP the connection tells which it
/// is, over standard output only the id does. `None` where the body is no error.
pub(crate) fn error_for(id: Option<&Id>, body: &[u8]) -> Option<Vec<u8>> {
    let document = Document::parse(body).ok()?;
    let root = document.root();
    let error = root
        .get("error")
        .filter(|error| error.kind() == Kind::Object)?;
    let named = root.get("id").is_some_and(|id| id.kind() != Kind::Null);
    let (Some(id), false) = (id, named) else {
        return Some(body.to_vec());
    };
    let mut out = br#"{"jsonrpc":"2.0","id":"#.to_vec();
    out.extend_from_slice(id.raw());
    out.extend_from_slice(br#","error":"#);
    out.extend_from_slice(error.raw());
    out.push(b'}');
    Some(out)
}

/// A notification that gives a request up.
pub(crate) fn cancellation(id: &Id) -> Vec<u8> {
    let mut out =
        br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"#.to_vec();
    out.extend_from_slice(id.raw());
    out.extend_from_slice(b"}}");
    out
}

/// A value that a header can carry (2026-07-28, transports, "Value Encoding"): as it is where it
/// is visible ASCII without space at its ends, else in Base64.
pub(crate) fn header_value(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        && text.trim() == text
        && !(text.starts_with("=?base64?") && text.ends_with("?="));
    if is_plain {
        text.to_owned()
    } else {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        format!("=?base64?{encoded}?=")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Seen {
        let mut all = split(line.as_bytes()).unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0).1
    }

    #[test]
    fn ids_keep_their_type_and_tokens_are_found() {
        let Seen::Request(request) = one(
            r#"{"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"name":"t","_meta":{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
        ) else {
            panic!("a request")
        };
        assert_eq!(request.id.raw(), b"\"1\"");
        assert_eq!(
            (request.name.as_deref(), request.revision.as_deref()),
            (Some("t"), Some("2026-07-28"))
        );
        assert_eq!(request.progress, Some(IdKey::Integer(7)));
        let Seen::Notification(told) = one(
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"_meta":{"io.modelcontextprotocol/subscriptionId":"s"}}}"#,
        ) else {
            panic!("a notification")
        };
        assert_eq!(told.cancels, Some(IdKey::Integer(1)));
        assert_eq!(told.subscription, Some(IdKey::String("s".into())));
    }

    #[test]
    fn what_is_not_understood_is_left_to_the_data_plane() {
        for line in [
            r#"{"id":null,"method":"a"}"#,
            r#"{"id":1.5,"method":"a"}"#,
            "{}",
            "7",
        ] {
            assert_eq!(one(line), Seen::Unclear, "{line}");
        }
        for line in ["", "[]", "{", "{}{}", "\u{feff}{}"] {
            assert!(split(line.as_bytes()).is_none(), "{line}");
        }
        assert_eq!(
            split(br#"[{"method":"a"},{"id":1,"result":{}}]"#)
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn an_error_without_an_id_gets_the_requests() {
        let Seen::Request(asked) = one(r#"{"id":"x","method":"a"}"#) else {
            panic!("a request")
        };
        let id = Some(&asked.id);
        let named = error_for(
            id,
            br#"{"jsonrpc":"2.0","error":{"code":-1,"message":"m"},"id":null}"#,
        );
        assert_eq!(
            named.unwrap(),
            br#"{"jsonrpc":"2.0","id":"x","error":{"code":-1,"message":"m"}}"#
        );
        let own = br#"{"jsonrpc":"2.0","id":3,"error":{"code":-1,"message":"m"}}"#;
        assert_eq!(error_for(id, own).unwrap(), own);
        assert!(error_for(id, b"Bad Gateway").is_none());
        assert!(error_for(id, br#"{"result":{}}"#).is_none());
    }

    #[test]
    fn names_that_no_header_can_carry_are_encoded() {
        assert_eq!(header_value("get_weather"), "get_weather");
        assert_eq!(header_value("f\u{fc}r"), "=?base64?ZsO8cg==?=");
        for odd in [" a", "a\n", "=?base64?YQ==?="] {
            assert!(header_value(odd).starts_with("=?base64?"), "{odd:?}");
        }
    }
}
