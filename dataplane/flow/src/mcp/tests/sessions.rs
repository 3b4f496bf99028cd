//! Sessions and their streams, over flows.

use weir_audit::Kind;
use weir_facts::Side;

use super::CALL;
use super::bench::{ADA, Bench, Reply, json, post, sse};
use crate::io::Effect;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"sampling":{},"roots":{"listChanged":true},"experimental":{}},"clientInfo":{"name":"c","version":"1"}}}"#;

fn initialize(bench: &mut Bench, token: &str) -> (String, Reply) {
    let sent = bench.client(&post(token, "", INITIALIZE)).server;
    let result = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;
    let answer = json(result).replace("\r\n\r\n", "\r\nMcp-Session-Id: at-server\r\n\r\n");
    (sent, bench.server(&answer))
}

fn session_of(reply: &Reply) -> String {
    let field = reply
        .client
        .split("\r\n")
        .find_map(|line| line.strip_prefix("Mcp-Session-Id: "));
    field.expect("a session").to_owned()
}

#[test]
fn a_session_is_bound_to_its_caller_over_flows() {
    let mut bench = Bench::new();
    let (sent, reply) = initialize(&mut bench, ADA);
    let session = session_of(&reply);
    assert!(
        session.starts_with("at-server.") && session.len() > 40,
        "{session}"
    );
    assert!(
        sent.contains(r#""capabilities":{"experimental":{}}"#),
        "what policy denies the server is not offered: {sent}"
    );
    let named = format!("Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: 2025-11-25\r\n");
    let sent = Bench::new().client(&post(ADA, &named, CALL)).server;
    assert!(
        sent.contains("\r\nMcp-Session-Id: at-server\r\n")
            && sent.contains("MCP-Protocol-Version: 2025-11-25"),
        "{sent}"
    );
    for (token, fields) in [
        (super::bench::CAL, named.as_str()),
        (ADA, "Mcp-Session-Id: at-server\r\n"),
    ] {
        let reply = Bench::new().client(&post(token, fields, CALL));
        assert!(
            reply.client.starts_with("HTTP/1.1 404") && reply.server.is_empty(),
            "{}",
            reply.client
        );
    }
}

#[test]
fn a_revision_that_is_not_served_is_refused_on_both_sides() {
    let reply = Bench::new().client(&post(ADA, "MCP-Protocol-Version: 1999-01-01\r\n", CALL));
    assert!(
        reply.client.starts_with("HTTP/1.1 400")
            && reply.client.contains(r#""id":1,"error":{"code":-32022"#)
            && reply
                .client
                .contains(r#""supported":["2026-07-28"],"requested":"1999-01-01""#)
            && reply.server.is_empty(),
        "{}",
        reply.client
    );
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", INITIALIZE));
    let shown = bench.server(&json(
        r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2024-10-07","capabilities":{}}}"#,
    ));
    assert!(
        shown.client.contains("Unsupported protocol version"),
        "{}",
        shown.client
    );
}

#[test]
fn a_stream_that_broke_is_resumed_on_another_flow_and_still_filtered() {
    let mut bench = Bench::new();
    let (_, reply) = initialize(&mut bench, ADA);
    let session = format!("Mcp-Session-Id: {}\r\n", session_of(&reply));
    bench.client(&post(
        ADA,
        &session,
        r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#,
    ));
    let shown = bench
        .server(&format!(
            "{}{}0\r\n\r\n",
            sse(),
            super::bench::chunk("id: e1\nretry: 10\ndata:\n\n")
        ))
        .client;
    let id = shown
        .split("id: ")
        .nth(1)
        .and_then(|rest| rest.split('\n').next())
        .expect("an id")
        .to_owned();
    let get = |token: &str, id: &str| {
        format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n{session}Last-Event-ID: {id}\r\n\r\n"
        )
    };
    let mut other = Bench::new();
    let sent = other.client(&get(ADA, &id)).server;
    assert!(sent.contains("\r\nLast-Event-ID: e1\r\n"), "{sent}");
    let tools =
        r#"{"jsonrpc":"2.0","id":"l","result":{"tools":[{"name":"echo"},{"name":"run_shell"}]}}"#;
    let stray = r#"{"jsonrpc":"2.0","id":"other","result":{"tools":[{"name":"run_shell"}]}}"#;
    let events = format!("id: e2\ndata: {tools}\n\ndata: {stray}\n\n");
    let shown = other
        .server(&format!("{}{}", sse(), super::bench::chunk(&events)))
        .client;
    assert!(
        shown.contains("echo") && !shown.contains("run_shell"),
        "{shown}"
    );
    assert!(
        Bench::new()
            .client(&get(ADA, "e1"))
            .client
            .starts_with("HTTP/1.1 404")
    );
    assert!(
        Bench::new()
            .client(&get(super::bench::CAL, &id))
            .client
            .starts_with("HTTP/1.1 404")
    );
}

#[test]
fn the_servers_stream_and_the_end_of_a_session_are_recorded() {
    let mut bench = Bench::new();
    let (_, reply) = initialize(&mut bench, ADA);
    let head = format!(
        "Host: localhost\r\nAuthorization: Bearer {ADA}\r\nMcp-Session-Id: {}\r\n",
        session_of(&reply)
    );
    let sent = bench
        .client(&format!("DELETE /mcp HTTP/1.1\r\n{head}\r\n"))
        .server;
    assert!(
        sent.starts_with("DELETE /mcp HTTP/1.1\r\n") && sent.contains("Mcp-Session-Id: at-server"),
        "{sent}"
    );
    let shown = bench.server("HTTP/1.1 204 No Content\r\n\r\n").client;
    assert!(shown.starts_with("HTTP/1.1 204"), "{shown}");
    assert_eq!(
        (bench.last().kind, bench.last().outcome.as_str()),
        (Kind::Outcome, "HTTP 204")
    );
    bench.client(&format!(
        "GET /mcp HTTP/1.1\r\n{head}Accept: text/event-stream\r\n\r\n"
    ));
    assert_eq!(bench.last().summary, "GET");
    let shown = bench
        .server("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 4\r\n\r\nnope")
        .client;
    assert!(
        shown.starts_with("HTTP/1.1 405") && !shown.contains("nope"),
        "{shown}"
    );
    bench.client(&format!(
        "GET /mcp HTTP/1.1\r\n{head}Accept: text/event-stream\r\n\r\n"
    ));
    let noise =
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"x:123-45-6789"}}"#;
    let shown = bench
        .server(&format!(
            "{}{}",
            sse(),
            super::bench::chunk(&format!("data: {noise}\n\n"))
        ))
        .client;
    assert!(
        shown.contains("notifications/message") && !shown.contains("123-45"),
        "{shown}"
    );
    assert!(
        bench
            .eof(Side::Client)
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Finished))
    );
    assert_eq!(bench.last().outcome, "the client has left");
}

#[test]
fn a_resource_that_may_not_be_read_does_not_change_for_its_caller() {
    let policy = r#"
@id("test-reads") permit(principal, action == Weir::Action::"mcp.read_resource", resource in Weir::Connection::"demo-mcp")
when { resource == Weir::McpResource::"demo-mcp/file:///a" };
"#;
    let mut bench = Bench::also(policy);
    let get = format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADA}\r\nAccept: text/event-stream\r\n\r\n"
    );
    bench.client(&get);
    bench.server(sse());
    for (uri, passes) in [("file:///a", true), ("file:///payroll", false)] {
        let told = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"{uri}"}}}}"#
        );
        let shown = bench
            .server(&super::bench::chunk(&format!("data: {told}\n\n")))
            .client;
        assert_eq!(shown.contains(uri), passes, "{shown}");
    }
}

#[test]
fn servers_that_know_2024_11_05_only_are_served_over_streamable_http() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", INITIALIZE));
    let chosen =
        r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2024-11-05","capabilities":{}}}"#;
    let shown = bench.server(&json(chosen)).client;
    assert!(shown.contains(chosen), "{shown}");
    let field = "MCP-Protocol-Version: 2024-11-05\r\n";
    let sent = Bench::new().client(&post(ADA, field, CALL)).server;
    assert!(sent.contains(field) && sent.ends_with(CALL), "{sent}");
    let batch = format!("[{CALL}]");
    let reply = Bench::new().client(&post(ADA, field, &batch));
    assert!(
        reply.client.starts_with("HTTP/1.1 400") && reply.server.is_empty(),
        "it has no batches: {}",
        reply.client
    );
}

#[test]
fn what_names_a_request_outside_of_a_session_is_told_to_no_server() {
    let mut bench = Bench::new();
    let (_, reply) = initialize(&mut bench, ADA);
    let named = format!(
        "Mcp-Session-Id: {}\r\nMCP-Protocol-Version: 2025-11-25\r\n",
        session_of(&reply)
    );
    for params in [
        r#""method":"notifications/cancelled","params":{"requestId":1}"#,
        r#""method":"notifications/progress","params":{"progressToken":1,"progress":1}"#,
    ] {
        let message = format!(r#"{{"jsonrpc":"2.0",{params}}}"#);
        let mut alone = Bench::new();
        let reply = alone.client(&post(ADA, "", &message));
        assert!(
            reply.client.starts_with("HTTP/1.1 202") && reply.server.is_empty(),
            "{}",
            reply.client
        );
        assert_eq!(alone.last().kind, Kind::Refusal);
        let batch = format!(r#"[{message},{{"jsonrpc":"2.0","id":7,"method":"ping"}}]"#);
        let reply = Bench::new().client(&post(ADA, "", &batch));
        assert!(
            reply.client.starts_with("HTTP/1.1 400") && reply.server.is_empty(),
            "{}",
            reply.client
        );
        let sent = Bench::new().client(&post(ADA, &named, &message)).server;
        assert!(sent.contains(params), "{sent}");
    }
}
