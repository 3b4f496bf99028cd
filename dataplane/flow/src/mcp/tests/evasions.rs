//! Ways around labelled places and detectors, and what is made to take forever or to fill the log.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json as value};

use super::CALL;
use super::bench::{ADA, Bench, chunk, json, post, sse};

const LABELS: &str = r#"
[connection.demo-mcp.tools.lookup_customer]
"$..note" = ["note"]
[connection.demo-mcp.tools.echo]
"$..remark" = ["note"]
"#;

const POLICY: &str = r#"
@id("m-note") @effect("mask") @mask("keep_last:2")
forbid(principal, action == Weir::Action::"mcp.reveal", resource == Weir::DataClass::"note");
"#;

fn bench() -> Bench {
    Bench::labelled(LABELS, POLICY)
}

/// What a client sees of the result of a call.
fn shown(bench: &mut Bench, result: &Value) -> Value {
    bench.client(&post(ADA, "", CALL));
    let answer = value!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string();
    let shown = bench.server(&json(&answer)).client;
    let body = shown.split_once("\r\n\r\n").expect("a body").1;
    let body: Value = serde_json::from_str(body).expect("JSON");
    body["result"].clone()
}

fn text(text: &str) -> Value {
    value!({"content": [{"type": "text", "text": text}]})
}

#[test]
fn a_text_that_others_read_as_json_and_weir_does_not_is_withheld() {
    let deep = format!(
        r#"{{"note":"CLEAR","more":{}{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    for unread in [
        r#"{"note":"CLEAR","rate":NaN}"#,
        r#"{"note":"CLEAR","rate":1e999}"#,
        r#"{"note":"CLEAR","name":"\ud83d"}"#,
        r#" [ {"note":"CLEAR"}, {"name":"#,
        r#"{"rows":[{"note":"CLEAR"},]}"#,
        r#"{"rows":"{\"note\":\"CLEAR\",\"rate\":NaN}"}"#,
        &deep,
    ] {
        let mut bench = bench();
        let told = shown(&mut bench, &text(unread));
        assert_eq!(told["isError"], true, "{unread}: {told}");
        assert!(!told.to_string().contains("CLEAR"), "{told}");
        assert!(told.to_string().contains("begins like JSON"), "{told}");
        let reason = bench.last().reason;
        assert!(reason.starts_with("/result/content/0/text"), "{reason}");
    }
    // Prose that begins with a bracket is no JSON, and where nothing is labelled, nothing is lost.
    for prose in ["[INFO] \"done\"", "{name} is here", "[1] a \"source\"", "["] {
        assert_eq!(shown(&mut bench(), &text(prose)), text(prose));
    }
    let truncated = text(r#"{"note":"#);
    assert_eq!(shown(&mut Bench::new(), &truncated), truncated);
}

#[test]
fn labelled_places_are_found_in_json_behind_a_mark_one_after_another_and_inside_of_each_other() {
    for (told, masked) in [
        (
            "\u{feff}{\"note\":\"secret\"}",
            "\u{feff}{\"note\":\"****et\"}",
        ),
        (
            "{\"note\":\"secret\"}\n{\"note\":\"public\"}\n",
            "{\"note\":\"****et\"}\n{\"note\":\"****ic\"}\n",
        ),
        (
            "[]\n[{\"note\":\"secret\"}] that is all, 123-45-6789",
            "[]\n[{\"note\":\"****et\"}] that is all, *******6789",
        ),
        (
            r#"{"page":"[\"{\\\"note\\\":\\\"secret\\\"}\"]"}"#,
            r#"{"page":"[\"{\\\"note\\\":\\\"****et\\\"}\"]"}"#,
        ),
    ] {
        assert_eq!(shown(&mut bench(), &text(told)), text(masked));
    }
    let many = "[1]".repeat(super::super::limits::DOCUMENTS_MAX + 1) + "[\"\"]";
    assert_eq!(
        shown(&mut bench(), &text(&many)),
        text(&many),
        "no string yet"
    );
    let many = "[\"\"]".repeat(super::super::limits::DOCUMENTS_MAX + 1);
    assert_eq!(shown(&mut bench(), &text(&many))["isError"], true);
}

#[test]
fn what_a_server_tells_while_it_works_has_the_labels_of_every_call_that_it_may_be_about() {
    let told = |data: &Value| {
        let log = value!({"jsonrpc": "2.0", "method": "notifications/message",
            "params": {"level": "info", "data": data}});
        chunk(&format!("data: {log}\n\n"))
    };
    let row = value!({"note": "CLEAR", "remark": "PLAIN"});
    for data in [row.clone(), row.to_string().into()] {
        // Two calls on one stream.
        let mut both = bench();
        let other = CALL
            .replace("\"id\":1,", "\"id\":2,")
            .replace("lookup_customer", "echo");
        both.client(&post(ADA, "", &format!("[{CALL},{other}]")));
        let shown = both.server(&format!("{}{}", sse(), told(&data))).client;
        assert!(
            shown.contains("***AR") && shown.contains("***IN"),
            "{shown}"
        );
        // A stream that answers nothing.
        let mut alone = bench();
        alone.client(&format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADA}\r\nAccept: text/event-stream\r\n\r\n"
        ));
        let shown = alone.server(&format!("{}{}", sse(), told(&data))).client;
        assert!(
            shown.contains("***AR") && shown.contains("***IN"),
            "{shown}"
        );
        // One call: its own labels only.
        let mut one = bench();
        one.client(&post(ADA, "", CALL));
        let shown = one.server(&format!("{}{}", sse(), told(&data))).client;
        assert!(
            shown.contains("***AR") && shown.contains("PLAIN"),
            "{shown}"
        );
    }
}

/// What a client sees of content under a schema.
fn under(schema: &Value, content: &Value) -> (Value, String) {
    let mut bench = bench();
    let tool = value!({"name": "lookup_customer", "inputSchema": {"type": "object"}, "outputSchema": schema});
    bench.define(&tool.to_string());
    let shown = shown(
        &mut bench,
        &value!({"content": [], "structuredContent": content}),
    );
    (shown, bench.last().reason)
}

#[test]
fn of_many_values_that_fit_nowhere_the_first_is_named_and_the_others_are_not_looked_at() {
    let schema = value!({"additionalProperties": {"items": {"pattern": "^cus_"}}});
    let (told, reason) = under(&schema, &value!({"note": vec!["cus_CLEAR"; 1000]}));
    assert_eq!(told["isError"], true);
    assert!(reason.contains("/note/0 "), "{reason}");
}

#[test]
fn a_schema_that_takes_too_long_withholds_the_answer() {
    // Each name is held against every pattern, and each pattern leads to a part of its own.
    let patterns: serde_json::Map<_, _> = (0..1000)
        .map(|at| {
            (
                format!("[{}]", char::from_u32(0x4e00 + at).expect("a letter")),
                value!({}),
            )
        })
        .collect();
    let names: serde_json::Map<_, _> = (0..20_000)
        .map(|at| (format!("name {at}"), value!(at)))
        .chain([("note".to_owned(), value!("CLEAR"))])
        .collect();
    let (told, _) = under(&value!({"patternProperties": patterns}), &names.into());
    assert_eq!(told["isError"], true, "{}", told["content"]);
    assert!(told.to_string().contains("outputSchema"), "{told}");

    // A few values of any schema that people write are no trouble.
    let schema = value!({"properties": {"rows": {"items": {"properties": {
        "note": {"type": "string", "pattern": "^[a-z0-9*]+$", "minLength": 1}}}}}});
    let rows = vec![value!({"note": "secret", "n": 1, "name": "x"}); 2_000];
    let (fine, _) = under(&schema, &value!({"rows": rows}));
    assert_eq!(fine["structuredContent"]["rows"][1_999]["note"], "****et");
}

#[test]
fn arguments_that_come_first_do_not_tire_the_check_of_those_that_come_last() {
    let policy = r#"@id("much") forbid(principal, action == Weir::Action::"mcp.call_tool", resource == Weir::Tool::"demo-mcp/lookup_customer")
        when { context.arguments.longs.hasTag("opt") && context.arguments.longs.getTag("opt") > 100 };"#;
    let called = |arguments: &Value| {
        let mut bench = Bench::also(policy);
        bench.define(
            r#"{"name":"lookup_customer","inputSchema":{"type":"object","properties":{
            "ids":{"type":"array","items":{"anyOf":[{"type":"string"},{"type":"null"},{"type":"boolean"},
                {"type":"object"},{"type":"array"},{"type":"integer"}]}},"limit":{"type":"number"}}}}"#,
        );
        let call = CALL.replace(r#"{"id":7}"#, &arguments.to_string());
        let reply = bench.client(&post(ADA, "", &call));
        (reply.server.contains("tools/call"), reply.client)
    };
    let ids: Vec<_> = (0..1000).collect();
    assert!(called(&value!({"ids": ids, "limit": 1})).0);
    let (is_sent, told) = called(&value!({"ids": ids, "limit": "1"}));
    assert!(!is_sent && told.contains("must be number"), "{told}");
}

#[test]
fn base64_in_any_form_that_clients_take_is_decoded_and_a_value_in_its_place_is_one() {
    const SECRET: &str = "the number of ada, which nobody needs, is 123-45-6789?>?";
    let whole = STANDARD.encode(SECRET);
    let wrapped = whole.as_bytes().chunks(16).map(String::from_utf8_lossy);
    let wrapped: Vec<_> = wrapped.collect();
    let blob = |text: &str| {
        let result =
            value!({"content": [{"type": "resource", "resource": {"uri": "x", "blob": text}}]});
        let shown = shown(&mut bench(), &result);
        let shown = shown["content"][0]["resource"]["blob"].as_str();
        shown.expect("a text").to_owned()
    };
    for (text, told) in [
        (wrapped.join("\r\n"), "*******6789"),
        (URL_SAFE_NO_PAD.encode(SECRET), "*******6789"),
        (wrapped.join("!"), ""),
        (format!("data:;base64,{whole}"), ""),
    ] {
        let shown = blob(&text);
        let digits = STANDARD.decode(&shown).expect("base64, or nothing");
        let decoded = String::from_utf8_lossy(&digits);
        assert!(!decoded.contains("123-45"), "{text}: {decoded}");
        assert!(decoded.contains(told), "{text}: {decoded}");
    }
    for plain in ["123-45-6789", "4111111111111111"] {
        let shown = blob(plain);
        assert!(shown.contains('*') && shown != plain, "{shown}");
    }
    let link = value!({"content": [{"type": "resource_link", "name": "x", "uri": format!("data:text/plain;base64,{whole}")}]});
    assert_eq!(shown(&mut bench(), &link)["content"][0]["uri"], "");
    let picture = STANDARD.encode([0x89, 0x50, 0xff, 0x00].repeat(100));
    let wrapped: Vec<_> = picture
        .as_bytes()
        .chunks(76)
        .map(String::from_utf8_lossy)
        .collect();
    let nobody_asks = value!({"content": [{"type": "image", "mimeType": "image/png", "data": wrapped.join("\n")}]});
    assert_eq!(shown(&mut Bench::new(), &nobody_asks), nobody_asks);
}

#[test]
fn a_server_that_says_what_nobody_may_see_again_and_again_does_not_fill_the_log() {
    use super::super::limits::EVENTS_DROPPED_MAX;
    let mut bench = bench();
    bench.client(&post(ADA, "", CALL));
    bench.server(&format!(
        "{}{}",
        sse(),
        chunk(&"data: x\n\n".repeat(EVENTS_DROPPED_MAX))
    ));
    let before = bench.kinds().len();
    assert!(before > EVENTS_DROPPED_MAX);
    bench.server(&chunk(&"data: x\n\n".repeat(100)));
    let after = bench.kinds().len();
    assert!(after <= before + 4, "{before} {after}");
    assert!(
        bench
            .outcomes()
            .iter()
            .any(|it| it.contains("too many events"))
            || bench.last().reason.contains("too many events"),
        "{:?}",
        bench.last()
    );
}
