//! Labelled places of a tool's results, what its outputSchema makes of masked values, and files in
//! messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json as value};

use super::CALL;
use super::bench::{ADA, Bench, json, post};

const LABELS: &str = r#"
[connection.demo-mcp.tools.lookup_customer]
"$.customer.salary" = ["salary"]
"$.customer.vip" = ["salary"]
"$..note" = ["note"]
"$.tags[0]" = ["note"]
"$.secret" = ["hidden"]
[connection.demo-mcp.tools."*"]
"$.anywhere" = ["note"]
[connection.demo-mcp.tools.list_orders]
"$.elsewhere" = ["note"]
"#;

const POLICY: &str = r#"
@id("m-salary") @effect("mask") @mask("null")
forbid(principal, action == Weir::Action::"mcp.reveal", resource == Weir::DataClass::"salary");
@id("m-note") @effect("mask") @mask("keep_last:2")
forbid(principal, action == Weir::Action::"mcp.reveal", resource == Weir::DataClass::"note");
@id("m-hidden")
forbid(principal, action == Weir::Action::"mcp.reveal", resource == Weir::DataClass::"hidden");
@id("m-blob") @effect("mask") @mask("null")
forbid(principal, action == Weir::Action::"mcp.reveal", resource == Weir::DataClass::"blob");
"#;

/// What a client sees of a result, and what the record says was masked.
fn masked_by(bench: &mut Bench, result: &Value) -> (Value, Vec<(String, String)>) {
    bench.client(&post(ADA, "", CALL));
    let answer = value!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string();
    let shown = bench.server(&json(&answer)).client;
    let body = shown.split_once("\r\n\r\n").expect("a body").1;
    let body: Value = serde_json::from_str(body).expect("JSON");
    (body["result"].clone(), bench.last().masked)
}

#[test]
fn what_stands_at_a_labelled_place_is_masked_in_the_structured_content_and_in_texts_that_are_json()
{
    let content = value!({
        "customer": {"name": "Ada", "salary": 50_000, "vip": true, "note": "secret"},
        "tags": ["first", "second"], "anywhere": {"deep": ["value", 1234]}, "elsewhere": "open",
        "salary": 1
    });
    let masked = value!({
        "customer": {"name": "Ada", "salary": 0, "vip": false, "note": "****et"},
        "tags": ["***st", "second"], "anywhere": {"deep": ["***ue", 34]}, "elsewhere": "open",
        "salary": 1
    });
    let result = value!({
        "content": [
            {"type": "text", "text": content.to_string()},
            {"type": "resource", "resource": {"uri": "x", "text": content.to_string()}}
        ],
        "structuredContent": content
    });
    let mut bench = Bench::labelled(LABELS, POLICY);
    let (shown, places) = masked_by(&mut bench, &result);
    assert_eq!(shown["structuredContent"], masked);
    for text in [
        &shown["content"][0]["text"],
        &shown["content"][1]["resource"]["text"],
    ] {
        let text: Value = serde_json::from_str(text.as_str().expect("a text")).expect("JSON");
        assert_eq!(text, masked);
    }
    let note = (
        "/result/structuredContent/customer/note".to_owned(),
        "keep_last:2 ($..note)".to_owned(),
    );
    assert!(places.contains(&note), "{places:?}");
    // Without the labels, all of it is shown.
    let (open, places) = masked_by(&mut Bench::new(), &result);
    assert_eq!(open["structuredContent"], content);
    assert!(places.is_empty());
}

#[test]
fn a_place_that_may_not_be_shown_withholds_the_answer_and_an_errors_data_is_no_way_around() {
    let mut bench = Bench::labelled(LABELS, POLICY);
    let result = value!({"content": [], "structuredContent": {"secret": "CLEAR"}});
    let (told, _) = masked_by(&mut bench, &result);
    assert_eq!(told["isError"], true);
    assert!(!told.to_string().contains("CLEAR"), "{told}");
    bench.client(&post(ADA, "", CALL));
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no","data":{"customer":{"note":"CLEAR"}}}}"#;
    let told = bench.server(&json(error)).client;
    assert!(told.contains("***AR") && !told.contains("CLEAR"), "{told}");
}

#[test]
fn a_detector_and_a_label_together_tell_no_more_than_each_alone() {
    let labels = "[connection.demo-mcp.tools.lookup_customer]\n\"$.ssn\" = [\"first\"]\n";
    let policy = r#"@id("m") @effect("mask") @mask("keep_first:3")
        forbid(principal, action == Weir::Action::"mcp.reveal", resource == Weir::DataClass::"first");"#;
    let mut bench = Bench::labelled(labels, policy);
    let result = value!({"content": [], "structuredContent": {"ssn": "123-45-6789"}});
    let (shown, _) = masked_by(&mut bench, &result);
    assert_eq!(shown["structuredContent"]["ssn"], "***********");
}

/// What becomes of an SSN, a salary and a note under a schema of theirs.
fn under(schema: &Value, content: &Value) -> (Value, String) {
    let mut bench = Bench::labelled(LABELS, POLICY);
    let tool = value!({"name": "lookup_customer", "inputSchema": {"type": "object"}, "outputSchema": schema});
    bench.define(&tool.to_string());
    let (shown, _) = masked_by(
        &mut bench,
        &value!({"content": [], "structuredContent": content}),
    );
    (shown, bench.last().reason)
}

#[test]
fn masked_values_satisfy_the_output_schema() {
    for (schema, content, wanted) in [
        (
            value!({"pattern": "^\\d{3}-\\d\\d-\\d{4}$"}),
            value!("123-45-6789"),
            value!("000-00-6789"),
        ),
        (
            value!({"maxLength": 11}),
            value!("123-45-6789"),
            value!("*******6789"),
        ),
        (
            value!({"type": "string", "enum": ["none", "123-45-6789"]}),
            value!("123-45-6789"),
            value!("none"),
        ),
        (
            value!({"const": "123-45-6789"}),
            value!("123-45-6789"),
            value!("123-45-6789"),
        ),
        (
            value!({"$ref": "#/$defs/s"}),
            value!("123-45-6789"),
            value!("000-00-6789"),
        ),
        (
            value!({"anyOf": [{"pattern": "^[0-9-]+$"}, {"type": "null"}]}),
            value!("123-45-6789"),
            value!("000-00-6789"),
        ),
    ] {
        let schema = value!({
            "type": "object", "$defs": {"s": {"type": "string", "pattern": "^[0-9-]+$"}},
            "properties": {"rows": {"type": "array", "items": {"properties": {"ssn": schema}}}}
        });
        let content = value!({"rows": [{"ssn": content}, {"ssn": content}]});
        let (shown, _) = under(&schema, &content);
        let rows = &shown["structuredContent"]["rows"];
        assert_eq!(
            (&rows[0]["ssn"], &rows[1]["ssn"]),
            (&wanted, &wanted),
            "{schema}"
        );
    }
    for (schema, wanted) in [
        (
            value!({"type": "integer", "minimum": 15_000}),
            value!(15_000),
        ),
        (value!({"type": ["integer", "null"]}), value!(null)),
        (
            value!({"type": "integer", "exclusiveMinimum": 0, "multipleOf": 7}),
            value!(7),
        ),
        (value!({"enum": [1, 2]}), value!(1)),
        (value!({"type": "number"}), value!(0)),
    ] {
        let schema = value!({"properties": {"customer": {"properties": {"salary": schema}}}});
        let (shown, _) = under(&schema, &value!({"customer": {"salary": 50_001}}));
        assert_eq!(
            shown["structuredContent"]["customer"]["salary"], wanted,
            "{schema}"
        );
    }
    for (schema, wanted) in [
        (value!({"format": "email"}), value!("xxx@xxxx.xxxxxle")),
        (value!({"minLength": 20}), value!("**************le****")),
        (value!({"maxLength": 4}), value!("****")),
        (value!({"maxLength": 0}), value!("")),
    ] {
        let schema_of = value!({"properties": {"note": schema}});
        let (shown, _) = under(&schema_of, &value!({"note": "ada@corp.example"}));
        assert_eq!(shown["structuredContent"]["note"], wanted, "{schema}");
    }
}

#[test]
fn where_no_mask_satisfies_the_schema_nothing_is_shown() {
    for schema in [
        value!({"pattern": "^cus_"}),
        value!({"pattern": "^(?=cus)"}),
        value!({"$ref": "https://elsewhere.example/"}),
        value!({"not": {"enum": ["", null, 0, false]}, "type": "array"}),
    ] {
        let schema = value!({"properties": {"note": schema}});
        let (told, reason) = under(&schema, &value!({"note": "cus_CLEAR"}));
        assert_eq!(told["isError"], true, "{schema}: {told}");
        assert!(!told.to_string().contains("CLEAR"), "{told}");
        assert!(told.to_string().contains("outputSchema"), "{told}");
        assert!(
            reason.contains("/result/structuredContent/note"),
            "{reason}"
        );
    }
    // What tells one alternative from another cannot be replaced by the other's.
    let schema = value!({"oneOf": [
        {"properties": {"note": {"const": "CLEAR-1"}}}, {"properties": {"note": {"const": "CLEAR-2"}}}
    ]});
    let (told, _) = under(&schema, &value!({"note": "CLEAR-2"}));
    assert!(!told.to_string().contains("CLEAR-2"), "{told}");
}

#[test]
fn a_masked_name_of_a_member_that_the_schema_decides_by_withholds_the_answer() {
    let content = value!({"123-45-6789": 1});
    let (shown, _) = under(&value!({"type": "object"}), &content);
    assert_eq!(shown["structuredContent"], value!({"*******6789": 1}));
    let (told, _) = under(
        &value!({"type": "object", "additionalProperties": {"type": "integer"}}),
        &content,
    );
    assert!(!told.to_string().contains("123-45"), "{told}");
    assert_eq!(told["isError"], true);
}

#[test]
fn a_file_that_is_text_is_masked_like_text_and_others_as_policy_says() {
    let blob = |kind: &str, content: &[u8]| {
        value!({"type": "resource", "resource": {
        "uri": "x", "mimeType": kind, "blob": STANDARD.encode(content)}})
    };
    let result = value!({"content": [
        blob("text/plain", b"SSN 123-45-6789"),
        blob("application/json", br#"{"customer":{"note":"secret"}}"#),
        blob("image/png", b"it lies: 123-45-6789"),
        blob("image/png", b"\x89PNG\xff"),
        {"type": "image", "mimeType": "image/png", "data": STANDARD.encode(b"\x89PNG\xff")},
        blob("text/plain; charset=utf-16", b"1\x002\x00\xff\xfe"),
        {"type": "resource", "resource": {"uri": "x", "blob": "no base64: 123-45-6789"}},
    ]});
    let read = |shown: &Value, at: usize| {
        let item = &shown["content"][at];
        let text = item["data"].as_str().or(item["resource"]["blob"].as_str());
        String::from_utf8_lossy(&STANDARD.decode(text.expect("a text")).expect("base64"))
            .into_owned()
    };
    let (shown, _) = masked_by(&mut Bench::labelled(LABELS, POLICY), &result);
    assert_eq!(read(&shown, 0), "SSN *******6789");
    assert_eq!(read(&shown, 1), r#"{"customer":{"note":"****et"}}"#);
    assert_eq!(read(&shown, 2), "it lies: *******6789");
    for at in 3..6 {
        assert_eq!(read(&shown, at), "", "{at}");
    }
    assert_eq!(
        shown["content"][6]["resource"]["blob"],
        "no base64: *******6789"
    );
    // Where nobody asks for blobs, those that are no text pass.
    let (shown, _) = masked_by(&mut Bench::new(), &result);
    assert_eq!(shown["content"][3], result["content"][3]);
    assert_eq!(shown["content"][4], result["content"][4]);
    assert_eq!(read(&shown, 2), "it lies: *******6789");
    assert_eq!(read(&shown, 5), "");
}

#[test]
fn nothing_changes_where_nothing_is_masked() {
    let mut bench = Bench::labelled(LABELS, POLICY);
    let tool = value!({"name": "lookup_customer", "inputSchema": {}, "outputSchema": {"properties": {"other": {"pattern": "^a"}}}});
    bench.define(&tool.to_string());
    let result = value!({"content": [{"type": "text", "text": "{ \"other\" : \"b\" }"}], "structuredContent": {"other": "b", "n": 1.50}});
    let (shown, places) = masked_by(&mut bench, &result);
    assert_eq!((shown, places.len()), (result, 0));
}

const MUCH: &str = r#"@id("much") forbid(principal, action == Weir::Action::"mcp.call_tool", resource == Weir::Tool::"demo-mcp/lookup_customer")
when { context.arguments.longs.hasTag("limit") && context.arguments.longs.getTag("limit") > 100 };"#;

/// What of calls of a tool with a limit goes on, with its definition known or not.
fn called(policy: &str, is_known: bool, arguments: &str) -> (bool, String) {
    let mut bench = Bench::also(policy);
    if is_known {
        let tool = r#"{"name":"lookup_customer","inputSchema":{"type":"object","properties":{"limit":{"type":"number"},"opt":{"type":["number","null"]}}}}"#;
        bench.define(tool);
    }
    let call = CALL.replace(r#"{"id":7}"#, arguments);
    let reply = bench.client(&post(ADA, "", &call));
    (reply.server.contains("tools/call"), reply.client)
}

#[test]
fn an_argument_of_another_type_does_not_get_past_a_rule() {
    for fine in [
        r#"{"limit":100}"#,
        r#"{"limit":1e2}"#,
        "{}",
        r#"{"opt":null,"other":1.5}"#,
    ] {
        assert!(called(MUCH, true, fine).0, "{fine}");
    }
    for wrong in [
        r#"{"limit":1000}"#,
        r#"{"limit":1000.0}"#,
        r#"{"limit":1e3}"#,
        r#"{"limit":"1000"}"#,
        r#"{"limit":150.5}"#,
        r#"{"limit":[1000]}"#,
    ] {
        let (is_sent, told) = called(MUCH, true, wrong);
        assert!(
            !is_sent && told.contains("Denied by policy"),
            "{wrong}: {told}"
        );
    }
    // By the definition alone: the rule reads another argument.
    let (is_sent, told) = called(&MUCH.replace("limit", "opt"), true, r#"{"limit":"1000"}"#);
    assert!(!is_sent && told.contains("must be number"), "{told}");
    // By the rule alone: no list has shown the tool.
    assert!(!called(MUCH, false, r#"{"limit":"1000"}"#).0);
    // Where no rule reads arguments, they are the server's business.
    assert!(called("", true, r#"{"limit":"1000"}"#).0);
}
