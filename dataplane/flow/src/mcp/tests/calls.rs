//! Which calls go on, and what their callers are told where they do not.

use weir_audit::Kind;

use super::bench::{ADA, Bench, json, post};
use super::{CALL, REFUND, text_result};
use crate::io::Event;

#[test]
fn a_list_shows_what_the_caller_may_use_and_keeps_its_cursor() {
    let mut bench = Bench::new();
    bench.client(&post(
        ADA,
        "",
        r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#,
    ));
    let tools = r#"{"jsonrpc":"2.0","id":"l","result":{"tools":[{"name":"echo"},{"name":"run_shell","description":"rm"},{"name":"refund_order"}],"nextCursor":"c"}}"#;
    let shown = bench.server(&json(tools)).client;
    assert!(
        shown.contains(r#"[{"name":"echo"},{"name":"refund_order"}],"nextCursor":"c""#),
        "{shown}"
    );
    assert_eq!(bench.last().rows, 2);
}

#[test]
fn a_denied_tool_and_an_absent_one_look_the_same() {
    let call = |name: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#)
    };
    let mut bench = Bench::new();
    let denied = bench.client(&post(ADA, "", &call("run_shell")));
    assert_eq!(denied.server, "");
    assert_eq!(
        (bench.last().kind, bench.last().verdict.as_str()),
        (Kind::Refusal, "deny")
    );
    let unknown = |name: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-32602,"message":"Unknown tool: {name}"}}}}"#
        )
    };
    assert!(
        denied.client.ends_with(&unknown("run_shell")),
        "{}",
        denied.client
    );
    for absent in [
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"MCP error -32602: Tool echo not found"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Unknown tool: 'echo'"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"Unknown tool: echo"}],"isError":true}}"#,
    ] {
        let mut bench = Bench::new();
        bench.client(&post(ADA, "", &call("echo")));
        let shown = bench.server(&json(absent)).client;
        assert!(shown.ends_with(&unknown("echo")), "{shown}");
        assert_eq!(head_of(&shown), head_of(&denied.client), "{shown}");
    }
}

/// The head without the digits of its length, which is the name's.
fn head_of(answer: &str) -> String {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    head.trim_end_matches(|c: char| c.is_ascii_digit())
        .to_owned()
}

#[test]
fn arguments_decide_and_a_listed_tools_caller_is_told_why_not() {
    let call = |arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"list_orders","arguments":{arguments}}}}}"#
        )
    };
    let mut bench = Bench::new();
    bench.list("list_orders");
    for refused in [
        r#"{"limit":101}"#,
        r#"{"limit":"10"}"#,
        r#"{"limit":1e3}"#,
        "{}",
        r#"{"limit":9007199254740993}"#,
    ] {
        let reply = bench.client(&post(ADA, "", &call(refused)));
        assert_eq!(reply.server, "", "{refused}");
        assert!(
            reply.client.contains("at most 100 orders")
                && reply.client.contains(r#""isError":true"#),
            "{}",
            reply.client
        );
    }
    for fine in [r#"{"limit":100}"#, r#"{"limit":1e1}"#] {
        let mut bench = Bench::new();
        bench.list("list_orders");
        let reply = bench.client(&post(ADA, "", &call(fine)));
        assert!(reply.server.contains("list_orders"), "{fine}");
    }
}

/// Ada may list every tool, but `list_orders` she may call with some arguments only.
#[test]
fn a_tool_that_no_list_has_shown_is_refused_as_one_that_is_not_there() {
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_orders"}}"#;
    let mut bench = Bench::new();
    let unlisted = bench.client(&post(ADA, "", call));
    let absent =
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Unknown tool: list_orders"}}"#;
    assert_eq!(unlisted.server, "");
    assert!(unlisted.client.ends_with(absent), "{}", unlisted.client);
    bench.list("list_orders");
    let listed = bench.client(&post(ADA, "", call));
    assert_eq!(listed.server, "");
    assert!(
        listed.client.contains("at most 100 orders"),
        "{}",
        listed.client
    );
}

#[test]
fn a_policy_that_changes_is_felt_by_the_next_call() {
    let mut bench = Bench::new();
    assert!(
        bench
            .client(&post(ADA, "", CALL))
            .server
            .contains("tools/call")
    );
    bench.server(&json(&text_result("ok")));
    bench.forbid_everything();
    bench.event(Event::WorldChanged);
    let reply = bench.client(&post(ADA, "", CALL));
    assert!(
        reply.client.starts_with("HTTP/1.1 403") && reply.server.is_empty(),
        "{}",
        reply.client
    );
}

#[test]
fn a_notification_is_accepted_and_an_unknown_one_is_not_passed_on() {
    let mut bench = Bench::new();
    assert!(
        bench
            .client(&post(
                ADA,
                "",
                r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#
            ))
            .server
            .contains("initialized")
    );
    let shown = bench
        .server("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        .client;
    assert!(
        shown.starts_with("HTTP/1.1 202 Accepted\r\n") && shown.contains("Content-Length: 0"),
        "{shown}"
    );
    let reply = bench.client(&post(
        ADA,
        "",
        r#"{"jsonrpc":"2.0","method":"notifications/other"}"#,
    ));
    assert!(
        reply.client.starts_with("HTTP/1.1 202") && reply.server.is_empty(),
        "{}",
        reply.client
    );
}

#[test]
fn a_batch_goes_on_whole_or_not_at_all() {
    let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
    let mut bench = Bench::new();
    assert!(
        bench
            .client(&post(ADA, "", &format!("[{ping},{CALL}]")))
            .server
            .ends_with(&format!("[{ping},{CALL}]"))
    );
    assert_eq!(bench.kinds(), [Kind::Session, Kind::Intent, Kind::Intent]);
    let answers = format!(
        r#"[{},{{"jsonrpc":"2.0","id":"p","result":{{}}}},{{"jsonrpc":"2.0","id":"x","result":{{}}}}]"#,
        text_result("123-45-6789")
    );
    let shown = bench.server(&json(&answers)).client;
    assert!(
        shown.contains(r#""id":"p""#)
            && !shown.contains(r#""id":"x""#)
            && !shown.contains("123-45"),
        "{shown}"
    );
    for bad in [
        format!("[{ping},{}]", CALL.replace("lookup_customer", "run_shell")),
        format!("[{ping},{REFUND}]"),
    ] {
        let reply = Bench::new().client(&post(ADA, "", &bad));
        assert_eq!(reply.server, "", "{bad}");
        assert!(
            reply.client.contains(r#""id":"p""#) && reply.client.contains(r#""id":1"#),
            "{}",
            reply.client
        );
    }
}
