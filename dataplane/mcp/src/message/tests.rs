use weir_facts::{Access, Action, Resource};

use super::client::{Asked, ClientMethod};
use super::server::{Passage, ServerMethod, answers};
use super::*;

const NEWEST: Revision = Revision::V2025_11_25;

fn shape(body: &str, side: Side, revision: Revision) -> Result<String, MessageError> {
    let document = Document::parse(body.as_bytes())?;
    let body = Body::read(&document, side, revision)?;
    let words: Vec<_> = body
        .messages()
        .iter()
        .map(|message| match &message.shape {
            Shape::Request { method, .. } => format!("request {method}"),
            Shape::Notification { method, .. } => format!("notification {method}"),
            Shape::Result { .. } => "result".into(),
            Shape::Error { id, .. } => if id.is_some() {
                "error"
            } else {
                "error of nothing"
            }
            .into(),
        })
        .collect();
    Ok(words.join(", "))
}

#[test]
fn messages_are_told_apart() {
    let cases = [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            "request ping",
        ),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"x","params":{}}"#,
            "request x",
        ),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            "notification notifications/initialized",
        ),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "result"),
        (
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#,
            "error",
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#,
            "error of nothing",
        ),
        (
            r#"{"jsonrpc":"2.0","error":{"code":1,"message":""}}"#,
            "error of nothing",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(
            shape(body, Side::Client, NEWEST).as_deref(),
            Ok(expected),
            "{body}"
        );
        assert_eq!(
            shape(body, Side::Server, NEWEST).as_deref(),
            Ok(expected),
            "{body}"
        );
    }
}

#[test]
fn a_message_that_two_receivers_could_take_differently_is_refused() {
    let cases = [
        r"[]",
        r"1",
        r#""x""#,
        r"{}",
        r#"{"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","m\u0065thod":"b"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","METHOD":"b"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"Method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","param\u017f":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":[]}"#,
        r#"{"jsonrpc":"2.0","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":null}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","extra":1}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":1.0,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":1e0,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":-0,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":[1],"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":true,"method":"a"}"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
    ];
    for body in cases {
        for side in [Side::Client, Side::Server] {
            assert!(shape(body, side, NEWEST).is_err(), "{body}");
        }
    }
}

#[test]
fn keys_must_be_unique_everywhere_in_what_a_client_sends_and_may_be_data_in_what_a_server_does() {
    let asked = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"o":{"a":1,"A":2}}}}"#;
    assert!(shape(asked, Side::Client, NEWEST).is_err());
    let answered = r#"{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"id":1,"ID":2}}}"#;
    assert!(shape(answered, Side::Server, NEWEST).is_ok());
}

#[test]
fn batches_exist_in_one_revision_only_and_are_bounded() {
    let one = r#"{"jsonrpc":"2.0","method":"ping"}"#;
    let batch = |count: usize| format!("[{}]", vec![one; count].join(","));
    for revision in Revision::ALL {
        let is_read = shape(&batch(2), Side::Client, *revision).is_ok();
        assert_eq!(is_read, *revision == Revision::V2025_03_26, "{revision:?}");
    }
    assert_eq!(
        shape("[]", Side::Client, Revision::V2025_03_26),
        Err(MessageError::Shape)
    );
    assert_eq!(
        shape("[[]]", Side::Client, Revision::V2025_03_26),
        Err(MessageError::Shape)
    );
    let many = batch(BATCH_MESSAGES_MAX + 1);
    assert_eq!(
        shape(&many, Side::Client, Revision::V2025_03_26),
        Err(MessageError::Batch)
    );
}

/// Runs `read` on the request in `body`.
fn asked<T>(body: &str, read: impl FnOnce(Result<Asked<'_>, MessageError>) -> T) -> T {
    let document = Document::parse(body.as_bytes()).expect(body);
    let parsed = Body::read(&document, Side::Client, NEWEST).expect(body);
    match &parsed.messages()[0].shape {
        Shape::Request { method, params, .. } | Shape::Notification { method, params } => {
            read(Asked::read(NEWEST, method, *params))
        }
        Shape::Result { .. } | Shape::Error { .. } => panic!("not a request: {body}"),
    }
}

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

#[test]
fn each_method_asks_policy_for_what_it_does() {
    let connection = || Resource::Connection;
    let cases = [
        (
            "tools/call",
            r#"{"name":"run","arguments":{"a":1}}"#,
            Action::McpCallTool,
            Resource::Tool("run".into()),
        ),
        (
            "tools/call",
            r#"{"n\u0061me":"r\u0075n"}"#,
            Action::McpCallTool,
            Resource::Tool("run".into()),
        ),
        (
            "tools/list",
            r#"{"cursor":"x"}"#,
            Action::McpConnect,
            connection(),
        ),
        (
            "resources/read",
            r#"{"uri":"f:/a"}"#,
            Action::McpReadResource,
            Resource::McpResource("f:/a".into()),
        ),
        (
            "resources/subscribe",
            r#"{"uri":"u"}"#,
            Action::McpReadResource,
            Resource::McpResource("u".into()),
        ),
        (
            "resources/unsubscribe",
            r#"{"uri":"u"}"#,
            Action::McpReadResource,
            Resource::McpResource("u".into()),
        ),
        (
            "prompts/get",
            r#"{"name":"p"}"#,
            Action::McpGetPrompt,
            Resource::Prompt("p".into()),
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"b"}}"#,
            Action::McpComplete,
            Resource::Prompt("p".into()),
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/resource","uri":"u"},"argument":{"name":"a","value":""},"context":{"arguments":{"b":"c"}}}"#,
            Action::McpComplete,
            Resource::McpResource("u".into()),
        ),
        (
            "initialize",
            r#"{"protocolVersion":"2025-11-25"}"#,
            Action::McpConnect,
            connection(),
        ),
        ("ping", "{}", Action::McpConnect, connection()),
        (
            "logging/setLevel",
            r#"{"level":"info"}"#,
            Action::McpConnect,
            connection(),
        ),
        (
            "notifications/cancelled",
            r#"{"requestId":1}"#,
            Action::McpConnect,
            connection(),
        ),
        (
            "tasks/result",
            r#"{"taskId":"1"}"#,
            Action::McpConnect,
            connection(),
        ),
        (
            "tasks/update",
            r#"{"taskId":"1"}"#,
            Action::McpUnknown,
            connection(),
        ),
        (
            "Tools/Call",
            r#"{"name":"run"}"#,
            Action::McpUnknown,
            connection(),
        ),
    ];
    for (method, params, action, resource) in cases {
        asked(&request(method, params), |asked| {
            assert_eq!(
                asked.expect(method).accesses,
                [Access { action, resource }],
                "{method} {params}"
            );
        });
    }
}

#[test]
fn a_request_without_what_policy_needs_is_refused() {
    let cases = [
        ("tools/call", "{}"),
        ("tools/call", r#"{"name":""}"#),
        ("tools/call", r#"{"name":1}"#),
        ("tools/call", r#"{"name":["run"]}"#),
        ("tools/call", r#"{"Name":"run"}"#),
        ("tools/call", r#"{"name":"run","Arguments":{}}"#),
        ("tools/call", r#"{"name":"run","arguments":[]}"#),
        ("tools/call", r#"{"name":"run","arguments":"{}"}"#),
        ("tools/call", r#"{"name":"run","_meta":1}"#),
        (
            "tools/call",
            r#"{"name":"run","_meta":{"progresstoken":1}}"#,
        ),
        (
            "tools/call",
            r#"{"name":"run","_meta":{"progressToken":1.5}}"#,
        ),
        ("resources/read", r#"{"name":"run"}"#),
        ("resources/read", r#"{"URI":"u"}"#),
        ("prompts/get", "{}"),
        ("tools/call ", r#"{"name":"run"}"#),
        ("tools/call run", "{}"),
        ("tools/\u{1d41c}all", "{}"),
        ("completion/complete", "{}"),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/other","name":"p"}}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","Name":"p"}}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"p"}}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":1}}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"b"},"context":{"Arguments":{}}}"#,
        ),
        (
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"b"},"context":{"arguments":[]}}"#,
        ),
        ("initialize", r#"{"protocolversion":"2025-11-25"}"#),
    ];
    for (method, params) in cases {
        asked(&request(method, params), |asked| {
            assert!(asked.is_err(), "{method} {params}")
        });
    }
    let long = format!(
        r#"{{"name":"{}"}}"#,
        "x".repeat(crate::limits::NAME_BYTES_MAX + 1)
    );
    asked(&request("tools/call", &long), |asked| {
        assert!(asked.is_err())
    });
}

#[test]
fn an_approval_is_bound_to_everything_that_a_server_could_tell_apart() {
    let canonical = |params: &str| {
        asked(&request("tools/call", params), |asked| {
            asked.expect(params).canonical()
        })
    };
    let first = canonical(r#"{"name":"run","arguments":{"a":1,"b":"x"}}"#);
    for same in [
        r#"{"arguments":{"b":"\u0078","a":1},"name":"run"}"#,
        r#"{"name":"run", "arguments": { "a" : 1 , "b" : "x" } , "_meta":{"progressToken":9}}"#,
    ] {
        assert_eq!(canonical(same), first, "{same}");
    }
    for other in [
        r#"{"name":"run2","arguments":{"a":1,"b":"x"}}"#,
        r#"{"name":"run","arguments":{"a":1.0,"b":"x"}}"#,
        r#"{"name":"run","arguments":{"a":"1","b":"x"}}"#,
        r#"{"name":"run","arguments":{"a":1,"b":"x "}}"#,
        r#"{"name":"run","arguments":{"a":1}}"#,
        r#"{"name":"run","arguments":{"a":1,"b":"x","c":null}}"#,
    ] {
        assert_ne!(canonical(other), first, "{other}");
    }
}

#[test]
fn what_goes_on_in_meta_is_bound_but_for_what_names_the_attempt() {
    let bound = |meta: &str| {
        let params = format!(r#"{{"name":"run","arguments":{{}},"_meta":{meta}}}"#);
        let body = request("tools/call", &params);
        let document = Document::parse(body.as_bytes()).expect("JSON");
        let params = document.root().get("params");
        let asked = Asked::read(NEWEST, "tools/call", params).expect("a call");
        let shown = asked.canonical_with(params, &[]);
        (String::from_utf8(shown).expect("text"), envelope(params))
    };
    let plain = bound("{}");
    assert_eq!(plain.0, "tools/call run\0{}");
    for same in [
        r#"{"progressToken":9}"#,
        r#"{"traceparent":"00-1-2-01","tracestate":"a=1"}"#,
        r#"{"io.modelcontextprotocol/related-task":{"taskId":"1"}}"#,
        r#"{"claudecode/toolUseId":"toolu_1","vscode.requestId":"1"}"#,
    ] {
        assert_eq!(bound(same), plain, "{same}");
    }
    let long = format!(r#"{{"tracestate":"{}"}}"#, "x".repeat(600));
    for other in [
        r#"{"tenant":"a"}"#,
        r#"{"Traceparent":"00-1-2-01"}"#,
        r#"{"traceparent ":"00-1-2-01"}"#,
        r#"{"baggage":"a=1"}"#,
        r#"{"io.modelcontextprotocol/clientInfo":{"name":"c"}}"#,
        &long,
    ] {
        let told = bound(other);
        assert_ne!(told.0, plain.0, "{other}: people are not shown it");
    }
    assert_eq!(
        bound(r#"{"b":2,"progressToken":1,"a":1}"#).0,
        "tools/call run\0{}\0{\"_meta\":{\"a\":1,\"b\":2}}"
    );
    let spoken = bound(r#"{"io.modelcontextprotocol/clientCapabilities":{"a":{}}}"#);
    assert!(spoken.0 == plain.0 && spoken.1 != plain.1, "{spoken:?}");
}

#[test]
fn a_server_may_not_make_the_client_act_unless_policy_says_so() {
    let judged = |action| {
        Passage::Judged(Access {
            action,
            resource: Resource::Connection,
        })
    };
    let cases = [
        ("ping", Passage::WithSession),
        ("notifications/progress", Passage::WithSession),
        ("notifications/message", Passage::WithSession),
        ("notifications/tools/list_changed", Passage::WithSession),
        ("sampling/createMessage", judged(Action::McpSampling)),
        ("elicitation/create", judged(Action::McpElicitation)),
        ("roots/list", judged(Action::McpRoots)),
        ("notifications/other", Passage::Never),
        ("tools/call", Passage::Never),
    ];
    for (method, passage) in cases {
        assert_eq!(ServerMethod::read(method).passage(), passage, "{method}");
    }
}

#[test]
fn a_clients_answer_is_judged_for_what_it_has_in_it() {
    use Action as A;
    let cases: &[(&str, &[Action])] = &[
        ("{}", &[A::McpConnect]),
        (r#"{"_meta":{"a":1}}"#, &[A::McpConnect]),
        (
            r#"{"role":"assistant","content":{"type":"text","text":"x"},"model":"m"}"#,
            &[A::McpSampling],
        ),
        (
            r#"{"action":"accept","content":{"name":"x"}}"#,
            &[A::McpElicitation],
        ),
        (r#"{"roots":[{"uri":"file:///x"}]}"#, &[A::McpRoots]),
        (r#"{"Roots":[]}"#, &[A::McpRoots]),
        (
            r#"{"action":"accept","roots":[]}"#,
            &[A::McpElicitation, A::McpRoots],
        ),
        (r#"{"other":1}"#, &[A::McpUnknown]),
        ("[]", &[A::McpUnknown]),
    ];
    for (text, expected) in cases {
        let document = Document::parse(text.as_bytes()).expect("JSON");
        let asked: Vec<_> = answers(&document.root())
            .into_iter()
            .map(|access| access.action)
            .collect();
        assert_eq!(&asked, expected, "{text}");
    }
}

#[test]
fn a_revision_that_is_not_served_is_not_guessed_at() {
    assert_eq!(Revision::of_header(None), Some(Revision::V2025_03_26));
    for (text, served) in [
        ("2025-03-26", true),
        ("2025-06-18", true),
        ("2025-11-25", true),
        ("2024-11-05", true),
        ("2024-10-07", false),
        ("2026-07-28", true),
        ("v999.0.0", false),
        ("2025-11-26", false),
        ("", false),
    ] {
        assert_eq!(Revision::of_header(Some(text)).is_some(), served, "{text}");
    }
    assert!(ClientMethod::read(NEWEST, "notifications/initialized").is_notification());
    assert!(!ClientMethod::read(NEWEST, "tools/call").is_notification());
}

#[test]
fn each_revision_has_its_own_methods() {
    for (method, old, new) in [
        ("initialize", true, false),
        ("ping", true, false),
        ("logging/setLevel", true, false),
        ("resources/subscribe", true, false),
        ("notifications/cancelled", true, false),
        ("server/discover", false, true),
        ("subscriptions/listen", false, true),
        ("tasks/get", true, true),
        ("tasks/cancel", true, true),
        ("tasks/update", false, true),
        ("tasks/list", true, false),
        ("tasks/result", true, false),
        ("tools/call", true, true),
        ("prompts/get", true, true),
    ] {
        let is_known = |revision| ClientMethod::read(revision, method) != ClientMethod::Unknown;
        assert_eq!(is_known(Revision::V2025_11_25), old, "{method}");
        assert_eq!(is_known(Revision::V2026_07_28), new, "{method}");
    }
}
