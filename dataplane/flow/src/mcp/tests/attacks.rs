//! What a hostile client or server tries, one attack each.

use serde_json::json as value;

use super::bench::{ADA, ADA_ALONE, Bench, agreed, chunk, json, post, sse};
use super::{CALL, text_result};
use crate::io::{Effect, Event};

const SECRET: &str = "123-45-6789";

/// Policies under which the server may ask the client.
const ASKS: &str = r#"@id("test-asks") permit(principal, action in [Weir::Action::"mcp.elicitation", Weir::Action::"mcp.sampling", Weir::Action::"mcp.roots"], resource in Weir::Connection::"demo-mcp");"#;

/// An approval that any call of a method that nobody knows needs.
const UNKNOWN_IS_HELD: &str = r#"
@id("test-unknown") permit(principal, action == Weir::Action::"mcp.unknown", resource in Weir::Connection::"demo-mcp");
@id("test-unknown-held") @effect("approve") @approvers("support-leads") @quorum("1") @expires("30m")
forbid(principal, action == Weir::Action::"mcp.unknown", resource)
unless { context.approvals.contains(Weir::Group::"support-leads") };
"#;

fn listen(fields: &str) -> String {
    format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADA}\r\nAccept: text/event-stream\r\n{fields}\r\n"
    )
}

/// What the client sees of events that answer its call, before the answer.
fn shown_of_events(bench: &mut Bench, events: &str) -> String {
    bench.client(&post(ADA, "", CALL));
    bench.server(&format!("{}{}", sse(), chunk(events))).client
}

#[test]
fn a_verdict_is_not_kept_for_the_same_person_in_other_groups() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    let shown = bench.server(&json(&text_result("fine"))).client;
    assert!(shown.contains("fine"), "{shown}");
    let reply = bench.client(&post(ADA_ALONE, "", CALL));
    assert!(
        reply.client.starts_with("HTTP/1.1 403") && reply.server.is_empty(),
        "{} {}",
        reply.client,
        reply.server
    );
}

#[test]
fn a_progress_token_of_nothing_that_was_asked_carries_no_value() {
    let line = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","progressToken":"{SECRET}","data":"x"}}}}"#
    );
    let shown = shown_of_events(&mut Bench::new(), &format!("data: {line}\n\n"));
    assert!(shown.contains("6789") && !shown.contains(SECRET), "{shown}");

    let progress = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"{SECRET}","progress":1}}}}"#
    );
    let mut bench = Bench::new();
    bench.client(&listen(""));
    let events = chunk(&format!("data: {progress}\n\n"));
    let shown = bench.server(&format!("{}{events}", sse())).client;
    assert!(
        shown.contains("text/event-stream") && !shown.contains(SECRET),
        "{shown}"
    );
}

#[test]
fn the_token_of_progress_that_is_awaited_comes_back_as_it_was_given() {
    let mut bench = Bench::new();
    let call = CALL.replace(
        r#""name":"#,
        &format!(r#""_meta":{{"progressToken":"{SECRET}"}},"name":"#),
    );
    bench.client(&post(ADA, "", &call));
    let progress = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"{SECRET}","progress":1,"message":"{SECRET}"}}}}"#
    );
    let events = chunk(&format!("data: {progress}\n\n"));
    let shown = bench.server(&format!("{}{events}", sse())).client;
    assert!(
        shown.contains(&format!(r#""progressToken":"{SECRET}""#))
            && shown.matches(SECRET).count() == 1,
        "{shown}"
    );
}

#[test]
fn names_of_the_servers_carry_no_value() {
    // A session.
    let mut bench = Bench::new();
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    bench.client(&post(ADA, "", initialize));
    let result = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;
    let field = format!("\r\nMcp-Session-Id: of-{SECRET}\r\n\r\n");
    let shown = bench
        .server(&json(result).replace("\r\n\r\n", &field))
        .client;
    assert!(!shown.contains(SECRET), "{shown}");
    let session = shown
        .split("\r\n")
        .find_map(|line| line.strip_prefix("Mcp-Session-Id: "))
        .expect("a session");
    let named = format!("Mcp-Session-Id: {session}\r\n");
    let sent = bench.client(&post(ADA, &named, CALL)).server;
    assert!(
        sent.contains(&format!("\r\nMcp-Session-Id: of-{SECRET}\r\n")),
        "{sent}"
    );
    let reply = Bench::new().client(&post(super::bench::CAL, &named, CALL));
    assert!(reply.client.starts_with("HTTP/1.1 404") && reply.server.is_empty());

    // An event, and a request.
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    let ping = format!(r#"{{"jsonrpc":"2.0","id":"{SECRET}","method":"ping"}}"#);
    let shown = shown_of_events(
        &mut Bench::new(),
        &format!("id: {SECRET}\ndata: {ping}\n\n"),
    );
    assert!(
        shown.contains("\nid: ") && shown.contains(r#""method":"ping""#),
        "{shown}"
    );
    assert!(!shown.contains(SECRET) && !shown.contains(&hex), "{shown}");
}

#[test]
fn the_pause_before_a_client_comes_back_carries_no_value() {
    let shown = shown_of_events(&mut Bench::new(), "id: 1\nretry: 4111111111111111\n\n");
    assert!(
        shown.contains("retry: ") && !shown.contains("4111"),
        "{shown}"
    );
}

#[test]
fn fields_of_an_answer_carry_no_value() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    let fields = format!(
        "\r\nAllow: POST, {SECRET}\r\nRetry-After: 4111111111111111\r\nContent-Type: application/json; x={SECRET}\r\nX: {SECRET}\r\n\r\n"
    );
    let answer = format!("HTTP/1.1 503 {SECRET}{fields}").replace(
        "\r\n\r\n",
        &format!("\r\nContent-Length: {}\r\n\r\n{SECRET}", SECRET.len()),
    );
    let shown = bench.server(&answer).client;
    assert!(
        shown.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{shown}"
    );
    assert!(
        !shown.contains(SECRET)
            && !shown.contains("4111")
            && shown.to_lowercase().contains("allow: post\r\n"),
        "{shown}"
    );
}

#[test]
fn a_batch_with_one_id_twice_reaches_nobody() {
    let twice = format!("[{CALL},{}]", CALL.replace("7", "8"));
    let mut bench = Bench::new();
    let reply = bench.client(&post(ADA, "", &twice));
    assert!(
        reply.client.starts_with("HTTP/1.1 400") && reply.server.is_empty(),
        "{} {}",
        reply.client,
        reply.server
    );
    assert_eq!(bench.last().kind, weir_audit::Kind::Refusal);
}

#[test]
fn an_approval_is_for_all_that_goes_on() {
    let digest = |request: &str| {
        let mut bench = Bench::also(UNKNOWN_IS_HELD);
        let asked = bench.client(request).asked();
        asked.map(|asked| (asked.digest, asked.operation))
    };
    let unknown = |params: &str| {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"accounts/close","params":{params}}}"#);
        digest(&post(ADA, "", &body)).expect("people are asked")
    };
    let (one, shown) = unknown(r#"{"account":"a"}"#);
    let (other, _) = unknown(r#"{"account":"b"}"#);
    assert_ne!(one, other, "the method's parameters");
    assert!(shown.contains(r#"{"account":"a"}"#), "{shown}");
    let (again, _) = unknown(r#"{ "account": "a", "_meta": {"progressToken": 7} }"#);
    assert_eq!(one, again, "what a retry does not repeat");

    // Names that would be cut short for people, or read like a method with its tool.
    let long = format!("accounts/{}", "a".repeat(128));
    for method in [
        long.as_str(),
        "tools/call refund_order",
        "tools/call\trefund_order",
    ] {
        let body = value!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}}).to_string();
        assert_eq!(digest(&post(ADA, "", &body)), None, "{method}");
    }

    let refund = super::REFUND;
    let (plain, shown) = digest(&post(ADA, "", refund)).expect("people are asked");
    assert_eq!(shown, r#"tools/call refund_order {"cents":100,"order":7}"#);
    let more = refund.replace(r#""name":"#, r#""dryRun":false,"name":"#);
    let (beside, shown) = digest(&post(ADA, "", &more)).expect("people are asked");
    assert_ne!(plain, beside, "what stands beside the arguments");
    assert!(shown.contains(r#"{"dryRun":false}"#), "{shown}");
    let elsewhere = post(ADA, "", refund).replace("POST /mcp ", "POST /mcp?tenant=b ");
    let (elsewhere, _) = digest(&elsewhere).expect("people are asked");
    assert_ne!(plain, elsewhere, "where it goes");
}

#[test]
fn an_approval_for_one_resource_is_none_for_another_whose_name_goes_on_like_its_arguments() {
    let policy = UNKNOWN_IS_HELD.replace("mcp.unknown", "mcp.read_resource");
    let digest = |params: &str| {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{params}}}"#);
        let asked = Bench::also(&policy).client(&post(ADA, "", &body)).asked();
        asked.expect("people are asked").digest
    };
    assert_ne!(
        digest(r#"{"uri":"u","arguments":{"a":1},"k":1}"#),
        digest(r#"{"uri":"u\u0000{\"a\":1}","arguments":{"k":1}}"#)
    );
}

#[test]
fn very_many_values_are_all_masked_and_few_of_their_places_are_named() {
    const MANY: usize = 10_000;
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    let row = format!("\"{SECRET}\"");
    let rows = vec![row.as_str(); MANY].join(",");
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[],"structuredContent":{{"rows":[{rows}]}}}}}}"#
    );
    let shown = bench.server(&json(&body)).client;
    assert_eq!(shown.matches("6789").count(), MANY);
    assert!(!shown.contains(SECRET));
    let masked = bench.last().masked;
    let places: Vec<_> = masked.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places.len(), super::super::limits::MASKED_NAMED_MAX);
    assert_eq!(places.last(), Some(&"/result/structuredContent/rows/31"));
}

#[test]
fn a_server_that_asks_reveals_nothing_by_its_tokens() {
    let ask = format!(
        r#"{{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{{"progressToken":"{SECRET}","message":"{SECRET}","requestedSchema":{{"type":"object","properties":{{}}}}}}}}"#
    );
    let shown = shown_of_events(&mut Bench::also(ASKS), &format!("data: {ask}\n\n"));
    assert!(
        shown.contains("elicitation/create") && !shown.contains(SECRET),
        "{shown}"
    );
}

#[test]
fn a_call_that_was_approved_does_not_run_for_a_token_that_was_taken_away_meanwhile() {
    for spent_before in [false, true] {
        let mut bench = Bench::new();
        let asked = bench.client(&post(ADA, "", super::REFUND)).asked();
        let id = asked.expect("people are asked").id;
        if spent_before {
            bench.event(agreed(id));
        }
        bench.revoke_tokens();
        let reply = if spent_before {
            bench.event(Event::Redeemed { id, granted: true })
        } else {
            bench.event(agreed(id))
        };
        assert!(
            reply.server.is_empty() && reply.client.contains("Nothing was executed"),
            "{} {}",
            reply.client,
            reply.server
        );
        let spends = |effect: &Effect| matches!(effect, Effect::RedeemApproval { .. });
        assert!(!reply.effects.iter().any(spends));
    }
}

#[test]
fn a_request_whose_token_is_taken_away_before_it_is_whole_reaches_nobody() {
    let mut bench = Bench::new();
    let request = post(ADA, "", CALL);
    let (head, rest) = request.split_at(request.len() - 5);
    assert_eq!(bench.client(head).client, "");
    let reply = bench.revoke_tokens();
    assert!(reply.client.starts_with("HTTP/1.1 401"), "{}", reply.client);
    assert_eq!(bench.client(rest).server, "");
}

#[test]
fn a_stream_that_is_open_goes_on_with_the_groups_that_its_caller_has_now() {
    let mut bench = Bench::new();
    bench.client(&listen(""));
    let line = |text: &str| {
        let line = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":"{text}"}}}}"#
        );
        chunk(&format!("data: {line}\n\n"))
    };
    bench.give_ada("pii-readers");
    let shown = bench.server(&format!("{}{}", sse(), line(SECRET))).client;
    assert!(shown.contains(SECRET), "{shown}");
    bench.give_ada("engineering");
    let shown = bench.server(&line(SECRET)).client;
    assert!(shown.contains("6789") && !shown.contains(SECRET), "{shown}");
}

#[test]
fn a_server_that_was_registered_by_name_is_not_spoken_to_by_another() {
    for (host, is_served) in [
        ("crm.example", true),
        ("CRM.example:8443", true),
        ("hr.example", false),
    ] {
        let mut bench = Bench::elsewhere("crm.example");
        let request = post(ADA, "", CALL).replace("Host: localhost", &format!("Host: {host}"));
        let reply = bench.client(&request);
        assert_eq!(reply.server.contains("tools/call"), is_served, "{host}");
        assert_eq!(
            reply.client.starts_with("HTTP/1.1 403"),
            !is_served,
            "{host}"
        );
    }
}

#[test]
fn bodies_of_all_flows_together_are_bounded() {
    let mut bench = Bench::new();
    let full = bench.fill_bodies();
    let reply = bench.client(&post(ADA, "", CALL));
    assert!(
        reply.client.starts_with("HTTP/1.1 503") && reply.server.is_empty(),
        "{}",
        reply.client
    );
    drop(full);
    for answer in [
        json(&text_result("fine")),
        format!(
            "{}{}",
            sse(),
            chunk(&format!("data: {}\n", text_result("fine")))
        ),
    ] {
        let mut bench = Bench::new();
        assert!(bench.client(&post(ADA, "", CALL)).server.ends_with(CALL));
        let _full = bench.fill_rest();
        let reply = bench.server(&answer);
        assert!(!reply.client.contains("fine"), "{}", reply.client);
        assert!(
            bench
                .outcomes()
                .iter()
                .any(|outcome| outcome.contains("no room"))
        );
    }
}
