use super::*;
use crate::http::RequestHead;
use crate::json::Document;
use crate::schema::ToolSchemas;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn fields(lines: &str) -> Fields {
    let head = format!("POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n{lines}\r\n");
    RequestHead::read(head.as_bytes())
        .unwrap_or_else(|error| panic!("{lines}: {error}"))
        .fields
}

fn check(lines: &str, method: &str, params: &str) -> Result<Vec<(String, String)>, StatelessError> {
    let params = format!("{{{params}}}");
    let document = Document::parse(params.as_bytes()).expect("JSON");
    let (_, version) = Envelope::read(Some(document.root()))?;
    check_fields(
        &fields(lines),
        &version,
        method,
        Some(document.root()),
        None,
    )
}

const CALL: &str =
    "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: read_file\r\n";

fn call(lines: &str, arguments: &str) -> Result<Vec<(String, String)>, StatelessError> {
    let params = format!(r#""name":"read_file","arguments":{arguments},{META}"#);
    check(&format!("{CALL}{lines}"), "tools/call", &params)
}

#[test]
fn fields_that_repeat_the_body_pass_and_all_others_are_a_mismatch() {
    let named = format!(r#""name":"read_file",{META}"#);
    assert_eq!(check(CALL, "tools/call", &named), Ok(Vec::new()));
    for (told, instead) in [
        ("MCP-Protocol-Version: 2026-07-28\r\n", ""),
        (
            "MCP-Protocol-Version: 2026-07-28\r\n",
            "MCP-Protocol-Version: 2025-11-25\r\n",
        ),
        ("Mcp-Method: tools/call\r\n", ""),
        ("Mcp-Method: tools/call\r\n", "Mcp-Method: tools/list\r\n"),
        ("Mcp-Method: tools/call\r\n", "Mcp-Method: TOOLS/CALL\r\n"),
        (
            "Mcp-Method: tools/call\r\n",
            "Mcp-Method: =?base64?dG9vbHMvY2FsbA==?=\r\n",
        ),
        ("Mcp-Name: read_file\r\n", ""),
        ("Mcp-Name: read_file\r\n", "Mcp-Name:\r\n"),
        ("Mcp-Name: read_file\r\n", "Mcp-Name: delete_everything\r\n"),
        ("Mcp-Name: read_file\r\n", "Mcp-Name: Read_File\r\n"),
        (
            "Mcp-Name: read_file\r\n",
            "Mcp-Name: =?base64?cmVhZF9maWxl=?=\r\n",
        ),
        (
            "Mcp-Name: read_file\r\n",
            "Mcp-Name: =?BASE64?cmVhZF9maWxl?=\r\n",
        ),
        (
            "Mcp-Name: read_file\r\n",
            "Mcp-Name: =?base64?cmVh!ZF9maWxl?=\r\n",
        ),
        ("Mcp-Name: read_file\r\n", "Mcp-Name: =?base64?/w==?=\r\n"),
    ] {
        let lines = CALL.replace(told, instead);
        let checked = check(&lines, "tools/call", &named);
        assert!(
            matches!(checked, Err(StatelessError::Header(_))),
            "{lines}: {checked:?}"
        );
    }
    let encoded = CALL.replace("read_file", "=?base64?cmVhZF9maWxl?=");
    assert_eq!(check(&encoded, "tools/call", &named), Ok(Vec::new()));
    assert!(
        check(CALL, "tools/call", META).is_err(),
        "no name to repeat"
    );
    let uri = CALL
        .replace("tools/call", "resources/read")
        .replace("read_file", "file:///a");
    assert!(
        check(
            &uri,
            "resources/read",
            &format!(r#""uri":"file:///a",{META}"#)
        )
        .is_ok()
    );
    assert!(
        check(
            &uri,
            "resources/read",
            &format!(r#""uri":"file:///b",{META}"#)
        )
        .is_err()
    );
    let task = CALL
        .replace("tools/call", "tasks/get")
        .replace("read_file", "t");
    assert!(check(&task, "tasks/get", &format!(r#""taskId":"t",{META}"#)).is_ok());
    assert!(check(&task, "tasks/get", &format!(r#""taskId":"u",{META}"#)).is_err());
}

#[test]
fn a_request_without_its_meta_is_malformed() {
    for params in [
        "",
        r#""_meta":[]"#,
        r#""_meta":{}"#,
        r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#,
        r#""_meta":{"io.modelcontextprotocol/clientCapabilities":{}}"#,
        r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":[]}"#,
        r#""_meta":{"io.modelcontextprotocol/protocolVersion":7,"io.modelcontextprotocol/clientCapabilities":{}}"#,
        r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/ClientCapabilities":{},"io.modelcontextprotocol/clientCapabilities":{}}"#,
    ] {
        let checked = check(CALL, "tools/list", params);
        assert!(
            matches!(checked, Err(StatelessError::Meta(_))),
            "{params}: {checked:?}"
        );
    }
}

#[test]
fn parameters_in_fields_must_repeat_an_argument() {
    let arguments = r#"{"region":"us-west1","n":42,"deep":{"on":true,"text":"Hello, 世界"},"list":["x"],"none":null}"#;
    for (value, passes) in [
        ("us-west1", true),
        ("=?base64?dXMtd2VzdDE=?=", true),
        ("=?base64?dXMtd2VzdDE?=", false),
        ("42", true),
        ("42.0", true),
        ("42.5", false),
        ("042", true),
        ("true", true),
        ("false", false),
        ("=?base64?SGVsbG8sIOS4lueVjA==?=", true),
        ("x", false),
        ("null", false),
        ("eu-north1", false),
    ] {
        let checked = call(&format!("Mcp-Param-Any: {value}\r\n"), arguments);
        assert_eq!(checked.is_ok(), passes, "{value}: {checked:?}");
    }
    assert_eq!(
        call(
            "Mcp-Param-Region: =?base64?dXMtd2VzdDE=?=\r\nMcp-Param-T: =?base64?SGVsbG8sIOS4lueVjA==?=\r\n",
            arguments
        ),
        Ok(vec![
            ("mcp-param-region".to_owned(), "us-west1".to_owned()),
            (
                "mcp-param-t".to_owned(),
                "=?base64?SGVsbG8sIOS4lueVjA==?=".to_owned()
            ),
        ]),
        "they are written anew"
    );
    assert!(call("Mcp-Param-Region: us-west1\r\n", "{}").is_err());
}

#[test]
fn a_field_that_the_schema_names_repeats_that_argument_and_no_other() {
    let definition = br#"{"inputSchema":{"properties":{"region":{"x-mcp-header":"Region"},
        "in":{"properties":{"limit":{"x-mcp-header":"Limit"}}}}}}"#;
    let known = ToolSchemas::read(definition).fields;
    let params = format!(
        r#"{{"name":"read_file",{META},"arguments":{{"region":"a","other":"b","in":{{"limit":7}}}}}}"#
    );
    let document = Document::parse(params.as_bytes()).expect("JSON");
    let (_, version) = Envelope::read(Some(document.root())).expect("an envelope");
    for (line, passes) in [
        ("Mcp-Param-Region: a", true),
        ("Mcp-Param-Region: b", false),
        ("Mcp-Param-Region: 7", false),
        ("Mcp-Param-Limit: 7", true),
        ("Mcp-Param-Limit: a", false),
        ("Mcp-Param-Other: b", true),
    ] {
        let checked = check_fields(
            &fields(&format!("{CALL}{line}\r\n")),
            &version,
            "tools/call",
            Some(document.root()),
            Some(&known),
        );
        assert_eq!(checked.is_ok(), passes, "{line}: {checked:?}");
    }
}

#[test]
fn every_text_survives_its_field() {
    for text in [
        "a",
        "",
        " padded ",
        "line1\nline2",
        "Hello, 世界",
        "=?base64?literal?=",
        "=?base64?",
        "\t",
        "a\tb",
        "\u{7f}",
    ] {
        let value = encode(text);
        assert_eq!(decode(&value).as_deref(), Some(text), "{value}");
        assert!(
            value
                .bytes()
                .all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte))
        );
        assert_eq!(value.trim(), value);
    }
    assert_eq!(
        encode("=?base64?literal?="),
        "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="
    );
}

#[test]
fn elicitation_without_a_mode_means_forms() {
    for (capabilities, url, form) in [
        ("{}", false, false),
        (r#"{"elicitation":{}}"#, false, true),
        (r#"{"elicitation":{"url":{}}}"#, true, false),
        (r#"{"elicitation":{"url":{},"form":{}}}"#, true, true),
        (r#"{"elicitation":true}"#, false, false),
    ] {
        let document = Document::parse(capabilities.as_bytes()).expect("JSON");
        assert_eq!(
            elicitation(&document.root()),
            Elicitation { url, form },
            "{capabilities}"
        );
    }
}

#[test]
fn a_subscription_is_read_strictly() {
    let read = |filter: &str| {
        let params = format!(r#"{{"notifications":{filter}}}"#);
        let document = Document::parse(params.as_bytes()).expect("JSON");
        Filter::read(Some(document.root())).map(|filter| {
            (
                filter.tools,
                filter.uris.map(|uris| uris.elements().count()),
            )
        })
    };
    assert_eq!(read("{}"), Ok((false, None)));
    assert_eq!(
        read(r#"{"toolsListChanged":true,"resourceSubscriptions":["a:","b:"],"other":1}"#),
        Ok((true, Some(2)))
    );
    for wrong in [
        "[]",
        r#"{"toolsListChanged":1}"#,
        r#"{"ToolsListChanged":true}"#,
        r#"{"resourceSubscriptions":"a:"}"#,
        r#"{"resourceSubscriptions":[1]}"#,
        r#"{"resourcesubscriptions":["a:"]}"#,
        r#"{"taskIds":[null]}"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    let many = vec![r#""a:""#; SUBSCRIBED_MAX + 1].join(",");
    assert!(read(&format!(r#"{{"resourceSubscriptions":[{many}]}}"#)).is_err());
}
