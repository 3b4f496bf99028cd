//! Checks that nothing else would notice if they were gone.

use weir_audit::Kind;

use super::bench::{ADA, Bench, agreed, chunk, json, post, sse};
use super::{CALL, REFUND, text_result};
use crate::io::{Event, Piece};
use crate::resource::ResourceUri;
use crate::token::OpaqueTokens;
use crate::world::McpAuthorization;

const SECRET: &str = "123-45-6789";

/// An hour in microseconds.
const HOUR_US: u64 = 3_600_000_000;

/// Nobody is shown a number of this class, masked or not.
const NO_SSN: &str = r#"@id("test-no-ssn") forbid(principal, action == Weir::Action::"mcp.reveal", resource == Weir::DataClass::"ssn");"#;

/// Policies under which the server may ask the client.
const ASKS: &str = r#"@id("test-asks") permit(principal, action in [Weir::Action::"mcp.elicitation", Weir::Action::"mcp.sampling", Weir::Action::"mcp.roots"], resource in Weir::Connection::"demo-mcp");"#;

#[test]
fn a_client_without_tls_is_refused_where_tls_is_required() {
    let mut bench = Bench::secured();
    let reply = bench.client(&post(ADA, "", CALL));
    assert!(
        reply.client.starts_with("HTTP/1.1 403") && reply.client.contains("TLS is required"),
        "{}",
        reply.client
    );
    assert_eq!(
        (reply.server.as_str(), bench.last().kind),
        ("", Kind::Refusal)
    );
}

#[test]
fn where_the_policy_is_out_of_date_nobody_is_served_if_the_world_says_so() {
    let mut bench = Bench::stale();
    let reply = bench.client(&post(ADA, "", CALL));
    assert!(
        reply.client.starts_with("HTTP/1.1 503") && reply.server.is_empty(),
        "{}",
        reply.client
    );
}

#[test]
fn what_has_neither_requests_of_servers_nor_notifications_gets_none_of_clients() {
    // A name that Weir did give this client, for an answer of another revision.
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    let ping = chunk("data: {\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"ping\"}\n\n");
    let shown = bench.server(&format!("{}{ping}", sse())).client;
    let id = shown
        .split("\"id\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let answer = format!(
        r#"{{"jsonrpc":"2.0","id":"{}","result":{{}}}}"#,
        id.expect("a name")
    );
    assert!(
        Bench::new()
            .client(&post(ADA, "", &answer))
            .server
            .contains(r#""id":5"#)
    );
    let fields = "MCP-Protocol-Version: 2026-07-28\r\n";
    let reply = Bench::new().client(&post(ADA, fields, &answer));
    assert!(reply.client.starts_with("HTTP/1.1 400"), "{}", reply.client);
    assert_eq!(reply.server, "");
}

#[test]
fn a_notification_that_wants_an_answer_and_a_request_that_wants_none_reach_nobody() {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}"#.to_owned(),
        CALL.replace(r#""id":1,"#, ""),
    ] {
        let mut bench = Bench::new();
        let reply = bench.client(&post(ADA, "", &body));
        assert!(
            reply.client.starts_with("HTTP/1.1 400") && reply.server.is_empty(),
            "{body}: {}",
            reply.client
        );
    }
}

#[test]
fn a_verdict_and_a_mask_that_hang_on_the_hour_are_not_kept() {
    let mut bench = Bench::also(
        r#"@id("test-late") forbid(principal, action == Weir::Action::"mcp.call_tool", resource == Weir::Tool::"demo-mcp/lookup_customer") when { context.clock.hour == 23 };"#,
    );
    assert!(
        bench
            .client(&post(ADA, "", CALL))
            .server
            .contains("tools/call")
    );
    bench.server(&json(&text_result("fine")));
    bench.now.unix_us += HOUR_US;
    let reply = bench.client(&post(ADA, "", CALL));
    assert_eq!(reply.server, "", "{}", reply.client);

    let mut bench = Bench::also(
        r#"@id("test-late") forbid(principal, action == Weir::Action::"mcp.reveal", resource == Weir::DataClass::"ssn") when { context.clock.hour == 23 };"#,
    );
    let mut shown = || {
        bench.client(&post(ADA, "", CALL));
        let shown = bench.server(&json(&text_result(SECRET))).client;
        bench.now.unix_us += HOUR_US;
        shown
    };
    assert!(shown().contains("6789"));
    let late = shown();
    assert!(
        late.contains("withheld") && !late.contains("6789"),
        "{late}"
    );
}

#[test]
fn an_error_about_no_request_is_masked() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    for id in ["", r#""id":null,"#] {
        let error = format!(
            r#"{{"jsonrpc":"2.0",{id}"error":{{"code":-32700,"message":"near {SECRET}"}}}}"#
        );
        let shown = bench.server(&format!(
            "{}{}",
            sse(),
            chunk(&format!("data: {error}\n\n"))
        ));
        assert!(
            shown.client.contains("near") && !shown.client.contains(SECRET),
            "{}",
            shown.client
        );
        bench = Bench::new();
        bench.client(&post(ADA, "", CALL));
    }
}

#[test]
fn a_question_and_a_notification_that_may_not_be_shown_are_not() {
    let policies = format!("{NO_SSN}\n{ASKS}");
    let ask = format!(
        r#"{{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{{"message":"is it {SECRET}","requestedSchema":{{"type":"object","properties":{{}}}}}}}}"#
    );
    let line = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":"it is {SECRET}"}}}}"#
    );
    for (message, told) in [(ask, true), (line, false)] {
        let mut bench = Bench::also(&policies);
        bench.client(&post(ADA, "", CALL));
        let events = chunk(&format!("data: {message}\n\n"));
        let shown = bench.server(&format!("{}{events}", sse())).client;
        assert!(
            !shown.contains("it is") && !shown.contains("is it"),
            "{shown}"
        );
        assert!(!shown.contains("6789"), "{shown}");
        // Whoever is not asked would wait: the call is answered instead.
        assert_eq!(shown.contains(r#""id":1,"result""#), told, "{shown}");
        assert_eq!(shown.contains("data:"), told, "{shown}");
    }
}

/// A refund of 2026-07-28, with these members beside its arguments.
fn refund(members: &str) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"refund_order","arguments":{{"order":7}}{members},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    );
    let fields =
        "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: refund_order\r\n";
    post(ADA, fields, &body)
}

/// What a client is given for this state of the server's.
fn state_of(content: &str) -> String {
    let mut bench = Bench::new();
    let id = bench.hold(&refund("")).id;
    bench.event(agreed(id));
    bench.event(Event::Redeemed { id, granted: true });
    let result = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"input_required","requestState":"{content}"}}}}"#
    );
    let shown = bench.server(&json(&result)).client;
    let after = shown.split("\"requestState\":\"").nth(1);
    let state = after.and_then(|rest| rest.split('"').next());
    state.expect("a state").to_owned()
}

/// Clients may answer what servers ask their persons.
const ELICITS: &str =
    "@id(\"elicits\") permit(principal, action == Weir::Action::\"mcp.elicitation\", resource);";

#[test]
fn an_approval_is_for_one_round_of_a_call_with_what_it_brings_back() {
    let asked = |members: &str| {
        let asked = Bench::also(ELICITS).client(&refund(members)).asked();
        asked.expect("people are asked")
    };
    let (one, other) = (state_of("round-one"), state_of("round-two"));
    let brought = |state: &str, answer: &str| {
        format!(
            r#","requestState":"{state}","inputResponses":{{"a":{{"action":"accept","content":{{"who":"{answer}"}}}}}}"#
        )
    };
    let first = asked(&brought(&one, "ann"));
    assert_eq!(asked(&brought(&one, "ann")).digest, first.digest);
    assert_ne!(asked("").digest, first.digest);
    assert_ne!(asked(&brought(&other, "ann")).digest, first.digest);
    assert_ne!(asked(&brought(&one, "bob")).digest, first.digest);
    assert!(
        first.operation.contains(r#""who":"ann""#) && !first.operation.contains(&one),
        "{}",
        first.operation
    );
}

#[test]
fn another_approval_that_is_spent_does_not_release_a_call() {
    let mut bench = Bench::new();
    let id = bench.hold(&post(ADA, "", REFUND)).id;
    bench.event(agreed(id));
    let other = weir_facts::ApprovalId(id.0 ^ 1);
    let reply = bench.event(Event::Redeemed {
        id: other,
        granted: true,
    });
    assert_eq!(reply.server, "");
    let reply = bench.event(Event::Redeemed { id, granted: true });
    assert!(reply.server.ends_with(REFUND), "{}", reply.server);
}

#[test]
fn of_a_refusal_of_the_servers_own_no_body_is_shown() {
    let server = || McpAuthorization::Server {
        resource: ResourceUri::parse("http://localhost:3901/mcp").expect("canonical"),
        opaque: OpaqueTokens::Refuse,
    };
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let mut bench = Bench::of_workload("reporter");
        bench.authorize(server(), Vec::new(), "");
        let asked = post("", "", CALL).replace("Host: localhost", "Host: localhost:3901");
        assert!(bench.client(&asked).server.contains("tools/call"));
        let answer = json(&text_result("of the server")).replace("200 OK", status);
        let shown = bench.server(&answer).client;
        assert!(
            shown.starts_with(&format!("HTTP/1.1 {status}")) && !shown.contains("of the server"),
            "{shown}"
        );
    }
}

#[test]
fn an_event_of_another_type_than_message_is_no_message() {
    for kind in ["other", "endpoint", "Message"] {
        let mut bench = Bench::new();
        bench.client(&post(ADA, "", CALL));
        let event = |kind: &str, text: &str| {
            chunk(&format!("event: {kind}\ndata: {}\n\n", text_result(text)))
        };
        let shown = bench
            .server(&format!("{}{}", sse(), event(kind, "aside")))
            .client;
        assert!(!shown.contains("aside"), "{kind}: {shown}");
        let reason = bench.last().reason;
        assert_eq!(reason, "an event of a type that MCP does not have");
        let shown = bench.server(&event("message", "answer")).client;
        assert!(shown.contains("answer"), "{kind}: {shown}");
    }
}

#[test]
fn a_session_that_was_not_asked_for_is_not_begun() {
    let named = |answer: &str| answer.replacen("\r\n", "\r\nMcp-Session-Id: at-server\r\n", 1);
    let event = chunk(&format!("data: {}\n\n", text_result("fine")));
    for answer in [
        named(&json(&text_result("fine"))),
        format!("{}{event}", named(sse())),
    ] {
        let mut bench = Bench::new();
        bench.client(&post(ADA, "", CALL));
        let shown = bench.server(&answer).client;
        assert!(
            shown.contains("fine") && !shown.to_lowercase().contains("mcp-session-id"),
            "{shown}"
        );
    }
}

#[test]
fn an_open_stream_ends_when_its_caller_may_not_use_the_server_any_more() {
    let line = chunk(
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":\"news\"}}\n\n",
    );
    let listen = format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADA}\r\nAccept: text/event-stream\r\n\r\n"
    );
    for asked in [listen, post(ADA, "", CALL)] {
        let mut bench = Bench::new();
        bench.client(&asked);
        let shown = bench.server(&format!("{}{line}", sse())).client;
        assert!(shown.contains("news"), "{shown}");
        bench.change_policy();
        let shown = bench.server(&line).client;
        assert!(shown.contains("news"), "one that permits it still: {shown}");
        bench.forbid_everything();
        let reply = bench.event(Event::WorldChanged);
        let is_over = |piece: &Piece| matches!(piece, Piece::Shutdown | Piece::Reset);
        assert!(reply.pieces.iter().any(is_over), "{:?}", reply.pieces);
        assert_eq!(bench.server(&line).client, "");
    }
}
