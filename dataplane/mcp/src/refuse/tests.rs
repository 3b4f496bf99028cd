use super::*;
use crate::http::{Part, Reader, ResponseHead};
use crate::json::Document;

fn id(json: &str) -> Id {
    Id::read(&Document::parse(json.as_bytes()).expect(json).root()).expect(json)
}

const ALL: &[Refusal] = &[
    Refusal::Head,
    Refusal::Json,
    Refusal::Message,
    Refusal::Revision,
    Refusal::NoSession,
    Refusal::Unauthorized,
    Refusal::Session,
    Refusal::Path,
    Refusal::Method,
    Refusal::Accept,
    Refusal::Length,
    Refusal::BodyTooLarge,
    Refusal::HeadTooLarge,
    Refusal::MediaType,
    Refusal::Expectation,
    Refusal::BadGateway,
    Refusal::Unavailable,
    Refusal::Timeout,
];

#[test]
fn every_refusal_is_an_answer_that_our_own_reader_takes() {
    let forbidden = [Refusal::Forbidden("a \"reason\"\r\nX-Injected: 1".into())];
    for refusal in ALL.iter().chain(&forbidden) {
        let bytes = refusal.answer(Close::No, "Bearer");
        let mut reader = Reader::new(1 << 20);
        let (taken, part) = reader.take::<ResponseHead>(&bytes).expect("a head");
        let Some(Part::Head(head)) = part else {
            panic!("{refusal:?}: no head")
        };
        assert_eq!(head.status, refusal.status());
        assert_eq!(head.closes, refusal.closes(), "{refusal:?}");
        assert_eq!(head.fields.get("x-injected"), None);
        let body = Document::parse(&bytes[taken..]).expect("JSON");
        let error = body.root().get("error").expect("an error");
        assert!(
            error
                .get("code")
                .and_then(|code| code.number())
                .is_some_and(|code| code.starts_with("-32"))
        );
    }
}

#[test]
fn a_refusal_without_credential_says_how_to_get_one() {
    let bytes = Refusal::Unauthorized.answer(Close::No, "Bearer realm=\"weir\"");
    assert!(
        String::from_utf8(bytes)
            .expect("ASCII")
            .contains("\r\nWWW-Authenticate: Bearer realm=\"weir\"\r\n")
    );
}

#[test]
fn an_error_repeats_the_id_as_it_came() {
    for raw in ["7", r#""a\u0062""#] {
        let body = unknown_tool(Revision::V2025_11_25, &id(raw), "x\"y");
        let text = String::from_utf8(body).expect("UTF-8");
        assert_eq!(
            text,
            format!(
                r#"{{"jsonrpc":"2.0","id":{raw},"error":{{"code":-32602,"message":"Unknown tool: x\"y"}}}}"#
            )
        );
    }
}

#[test]
fn a_pending_call_is_told_its_approval_and_what_to_do() {
    let body = pending(
        Revision::V2025_11_25,
        &id("7"),
        ApprovalId(0xabc),
        "drops need a second person",
    );
    let document = Document::parse(&body).expect("JSON");
    let result = document.root().get("result").expect("a result");
    assert!(
        result
            .get("isError")
            .is_some_and(|value| value.raw() == b"true")
    );
    let text = result
        .get("content")
        .and_then(|list| list.elements().next())
        .and_then(|first| first.get("text"));
    let text = text
        .and_then(|text| text.text())
        .expect("text")
        .into_owned();
    assert!(
        text.contains("00000000000000000000000000000abc") && text.contains("Retry the same call"),
        "{text}"
    );
}

#[test]
fn what_2026_07_28_adds_to_answers_is_in_those_of_weir() {
    let told = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (old, new) = (Revision::V2025_11_25, Revision::V2026_07_28);
    assert!(!told(tool_error(old, &id("1"), "x")).contains("resultType"));
    assert!(told(tool_error(new, &id("1"), "x")).contains(r#""resultType":"complete""#));
    assert!(told(unknown_resource(old, &id("1"), "x:")).contains("-32002"));
    assert!(told(unknown_resource(new, &id("1"), "x:")).contains("-32602"));
    assert!(told(withheld(old, None, "x")).contains("-32000"));
    assert!(told(withheld(new, None, "x")).contains("-32603"));
}

#[test]
fn requests_of_2026_07_28_are_refused_in_its_words() {
    let told = |bytes: Vec<u8>| {
        Document::parse(&bytes).expect("JSON");
        String::from_utf8(bytes).expect("UTF-8")
    };
    assert_eq!(
        told(stateless(
            Some(&id("7")),
            &StatelessError::Unsupported("1900-01-01\"".into())
        )),
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28"],"requested":"1900-01-01\""}}}"#
    );
    assert_eq!(
        told(stateless(
            None,
            &StatelessError::Header("Mcp-Method header is missing".into())
        )),
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"Header mismatch: Mcp-Method header is missing"}}"#
    );
    assert!(told(stateless(Some(&id("7")), &StatelessError::Meta("_meta"))).contains("-32602"));
    assert_eq!(
        told(missing_extension(&id("7"), "io.modelcontextprotocol/tasks")),
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32021,"message":"Missing required client capability","data":{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}"#
    );
    assert_eq!(status_of(Revision::V2026_07_28, METHOD_NOT_FOUND), 404);
    assert_eq!(status_of(Revision::V2026_07_28, HEADER_MISMATCH), 400);
    assert_eq!(status_of(Revision::V2026_07_28, INTERNAL_ERROR), 200);
    assert_eq!(status_of(Revision::V2025_11_25, METHOD_NOT_FOUND), 200);
}
