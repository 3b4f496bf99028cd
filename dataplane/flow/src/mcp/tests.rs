//! Transcripts: what a client and a server say, and what each of them gets to see.

mod bench;

use weir_audit::Kind;
use weir_facts::Side;

use self::bench::{ADA, Bench, EVE, Reply, json, post, sse};
use crate::io::{Decision, Effect, Event, Piece};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lookup_customer","arguments":{"id":7}}}"#;
const REFUND: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refund_order","arguments":{"order":7,"cents":100}}}"#;

fn text_result(text: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
    )
}

#[test]
fn an_allowed_call_is_recorded_goes_on_with_the_servers_credential_and_comes_back_masked() {
    let mut bench = Bench::new();
    let sent = bench.client(&post(ADA, "", CALL)).server;
    assert!(sent.starts_with("POST /mcp HTTP/1.1\r\n"), "{sent}");
    assert!(
        sent.contains("\r\nAuthorization: Bearer stored-at-weir\r\n"),
        "{sent}"
    );
    assert!(!sent.contains(ADA), "{sent}");
    assert!(sent.ends_with(&format!("\r\n\r\n{CALL}")), "{sent}");
    assert_eq!(bench.kinds(), [Kind::Session, Kind::Intent]);
    let shown = bench
        .server(&json(&text_result("SSN 123-45-6789, ok")))
        .client;
    assert!(
        shown.contains("6789, ok") && !shown.contains("123-45-6789"),
        "{shown}"
    );
    assert_eq!(bench.kinds(), [Kind::Session, Kind::Intent, Kind::Outcome]);
    let outcome = bench.last();
    assert_eq!(
        (outcome.verdict.as_str(), outcome.outcome.as_str()),
        ("mask", "result")
    );
    assert_eq!(
        outcome.masked,
        [(
            "/result/content/0/text".to_owned(),
            "keep_last:4".to_owned()
        )]
    );
}

#[test]
fn what_needs_no_edit_is_passed_byte_for_byte() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    let body = r#" {"jsonrpc" : "2.0","id":1,"result":{"content":[],"n":1.50,"t":"\u0041"}} "#;
    let shown = bench.server(&json(body)).client;
    assert!(shown.ends_with(&format!("\r\n\r\n{body}")), "{shown}");
}

#[test]
fn a_value_is_masked_wherever_it_stands() {
    for place in [
        r#""result":{"content":[],"structuredContent":{"rows":[{"ssn":"123-45-6789"}]}}"#,
        r#""result":{"content":[{"type":"resource","resource":{"uri":"x","text":"123-45-6789"}}]}"#,
        r#""result":{"content":[],"structuredContent":{"123-45-6789":1}}"#,
        r#""result":{"content":[{"type":"text","text":"{\"ssn\":\"123-45-6789\"}"}]}"#,
        r#""result":{"content":[{"type":"text","text":"\u0031\u00323-45-6789"}]}"#,
        r#""error":{"code":-32000,"message":"no 123-45-6789","data":{"row":"123-45-6789"}}"#,
    ] {
        let mut bench = Bench::new();
        bench.client(&post(ADA, "", CALL));
        let shown = bench
            .server(&json(&format!(r#"{{"jsonrpc":"2.0","id":1,{place}}}"#)))
            .client;
        assert!(shown.starts_with("HTTP/1.1 200"), "{shown}");
        assert!(
            !shown.contains("123-45") && shown.contains("6789"),
            "{shown}"
        );
    }
}

#[test]
fn every_event_of_a_stream_is_masked_and_the_outcome_is_recorded_before_the_answer_leaves() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"123-45-6789"}}"#;
    let first = bench
        .server(&format!(
            "{}{}",
            sse(),
            bench::chunk(&format!("data: {progress}\n\n"))
        ))
        .client;
    assert!(
        first.contains("Transfer-Encoding: chunked") && first.contains("6789"),
        "{first}"
    );
    assert!(!first.contains("123-45"), "{first}");
    assert_eq!(bench.last().kind, Kind::Intent);
    let answer = bench::chunk(&format!(
        "event: message\ndata: {}\n\n",
        text_result("123-45-6789")
    ));
    let second = bench.server(&answer).client;
    assert!(
        !second.contains("123-45") && second.contains("6789"),
        "{second}"
    );
    assert_eq!(bench.last().kind, Kind::Outcome);
    let end = bench.server("0\r\n\r\n").client;
    assert_eq!(end, "0\r\n\r\n");
    let sent = bench.client(&post(ADA, "", CALL)).server;
    assert!(
        sent.starts_with("POST"),
        "the connection serves another request: {sent}"
    );
}

#[test]
fn an_answer_to_nothing_never_reaches_the_client() {
    for stray in [
        r#"{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"STRAY"}]}}"#,
        r#"{"jsonrpc":"2.0","id":"1","result":{"content":[{"type":"text","text":"STRAY"}]}}"#,
        r#"{"jsonrpc":"2.0","id":2,"error":{"code":1,"message":"STRAY"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/STRAY","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":9,"progress":1,"message":"STRAY"}}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{"messages":["STRAY"]}}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"STRAY"}"#,
        r#"{"STRAY":1}"#,
        "STRAY",
    ] {
        let mut bench = Bench::new();
        bench.client(&post(ADA, "", CALL));
        let events = format!(
            "data: {stray}\n\nevent: endpoint\ndata: STRAY\n\n: STRAY\n\ndata: {}\n\n",
            text_result("fine")
        );
        let shown = bench
            .server(&format!("{}{}0\r\n\r\n", sse(), bench::chunk(&events)))
            .client;
        assert!(
            shown.contains("fine") && !shown.contains("STRAY"),
            "{stray}: {shown}"
        );
        let mut bench = Bench::new();
        bench.client(&post(ADA, "", CALL));
        let shown = bench.server(&json(stray)).client;
        assert!(
            !shown.contains("STRAY") && shown.starts_with("HTTP/1.1 502"),
            "{stray}: {shown}"
        );
    }
}

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
    for refused in [
        r#"{"limit":101}"#,
        r#"{"limit":"10"}"#,
        r#"{"limit":1e1}"#,
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
    assert!(
        bench
            .client(&post(ADA, "", &call(r#"{"limit":100}"#)))
            .server
            .contains("list_orders")
    );
}

#[test]
fn nobody_without_a_good_token_is_served() {
    for (token, status) in [
        ("", "401"),
        ("wrong", "401"),
        (bench::EXPIRED, "401"),
        (EVE, "403"),
    ] {
        let mut bench = Bench::new();
        let reply = bench.client(&post(token, "", CALL));
        assert!(
            reply.client.starts_with(&format!("HTTP/1.1 {status}")),
            "{token}: {}",
            reply.client
        );
        assert_eq!(reply.server, "", "{token}");
        assert_eq!(bench.last().kind, Kind::Refusal, "{token}");
    }
}

#[test]
fn an_attested_workload_is_a_caller_but_does_not_make_up_for_a_bad_token() {
    let mut bench = Bench::of_workload("reporter");
    assert!(
        bench
            .client(&post("", "", r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#))
            .server
            .contains("ping")
    );
    let mut bench = Bench::of_workload("reporter");
    assert!(
        bench
            .client(&post("wrong", "", CALL))
            .client
            .starts_with("HTTP/1.1 401")
    );
}

#[test]
fn what_cannot_be_read_in_one_way_reaches_nobody() {
    let bodies = [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"run_shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","METHOD":"tools/call","params":{"name":"run_shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","n\u0061me":"run_shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1,"A":2}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}]"#,
        "not json",
    ];
    for body in bodies {
        let mut bench = Bench::new();
        let reply = bench.client(&post(ADA, "", body));
        assert!(
            reply.client.starts_with("HTTP/1.1 400"),
            "{body}: {}",
            reply.client
        );
        assert_eq!(reply.server, "", "{body}");
        assert_eq!(bench.last().kind, Kind::Refusal, "{body}");
    }
}

#[test]
fn a_request_for_another_host_or_from_another_site_is_refused() {
    for (field, status) in [
        ("Host: evil.example\r\n", "403"),
        ("Host: localhost\r\nOrigin: http://evil.example\r\n", "403"),
        ("Host: localhost\r\nOrigin: null\r\n", "403"),
        (
            "Host: localhost:1234\r\nOrigin: http://localhost:6274\r\n",
            "200",
        ),
    ] {
        let mut bench = Bench::new();
        let request = post(ADA, "", CALL).replace("Host: localhost\r\n", field);
        let reply = bench.client(&request);
        match status {
            "200" => assert!(reply.server.contains("tools/call"), "{field}"),
            _ => assert!(
                reply.client.starts_with("HTTP/1.1 403") && reply.server.is_empty(),
                "{field}"
            ),
        }
    }
}

#[test]
fn a_held_call_runs_once_after_approval_and_its_bytes_are_those_that_were_asked_about() {
    let mut bench = Bench::new();
    let asked = bench.client(&post(ADA, "", REFUND));
    assert_eq!((asked.client.as_str(), asked.server.as_str()), ("", ""));
    let request = asked.asked().expect("people are asked");
    assert_eq!(
        request.operation,
        r#"tools/call refund_order {"cents":100,"order":7}"#
    );
    assert!(bench.flow.deadline().is_some());
    let decided = bench.event(approved(request.id));
    assert_eq!(decided.server, "");
    assert!(decided.effects.iter().any(|effect| matches!(effect, Effect::RedeemApproval { digest, .. } if *digest == request.digest)));
    let sent = bench
        .event(Event::Redeemed {
            id: request.id,
            granted: true,
        })
        .server;
    assert!(sent.ends_with(REFUND), "{sent}");
    assert_eq!(bench.last().verdict, "approved");
}

fn approved(id: weir_facts::ApprovalId) -> Event {
    let decision = Decision::Approved {
        approvers: vec!["weir|bob".into()],
        groups: vec![weir_facts::Group("support-leads".into())],
    };
    Event::Approval {
        request: id,
        approval: id,
        decision,
    }
}

#[test]
fn the_same_call_asked_again_has_the_same_digest_and_another_has_not() {
    let digest = |token: &str, call: &str| {
        let mut bench = Bench::new();
        bench
            .client(&post(token, "", call))
            .asked()
            .expect("people are asked")
            .digest
    };
    let first = digest(ADA, REFUND);
    let reordered = r#"{"method":"tools/call","id":"again","jsonrpc":"2.0","params":{"arguments":{"cents":100, "order":7},"name":"refund_order"}}"#;
    assert_eq!(digest(ADA, reordered), first);
    assert_ne!(digest(ADA, &REFUND.replace("100", "101")), first);
    assert_ne!(digest(ADA, &REFUND.replace("100", "1e2")), first);
    assert_ne!(digest(bench::CAL, REFUND), first);
}

#[test]
fn a_call_that_people_do_not_approve_is_answered_and_not_executed() {
    let decisions = [
        (
            Decision::Denied {
                reason: "too much".into(),
            },
            "too much",
        ),
        (Decision::Expired, "expired"),
        (Decision::Unavailable, "nobody can be asked"),
        (
            Decision::Approved {
                approvers: vec![],
                groups: vec![weir_facts::Group("others".into())],
            },
            "does not cover",
        ),
    ];
    for (decision, said) in decisions {
        let mut bench = Bench::new();
        let id = bench
            .client(&post(ADA, "", REFUND))
            .asked()
            .expect("people are asked")
            .id;
        let reply = bench.event(Event::Approval {
            request: id,
            approval: id,
            decision,
        });
        assert_eq!(reply.server, "", "{said}");
        assert!(
            reply.client.contains(said) && reply.client.contains(r#""isError":true"#),
            "{said}: {}",
            reply.client
        );
    }
    let mut bench = Bench::new();
    let id = bench
        .client(&post(ADA, "", REFUND))
        .asked()
        .expect("people are asked")
        .id;
    bench.event(approved(id));
    let reply = bench.event(Event::Redeemed { id, granted: false });
    assert!(
        reply.server.is_empty() && reply.client.contains("used before"),
        "{}",
        reply.client
    );
}

#[test]
fn a_call_that_waits_too_long_is_told_to_come_back_and_stays_open() {
    let mut bench = Bench::new();
    let id = bench
        .client(&post(ADA, "", REFUND))
        .asked()
        .expect("people are asked")
        .id;
    bench.now.mono_ns = bench.flow.deadline().expect("it waits");
    let reply = bench.timeout();
    assert!(
        reply.client.contains(&format!("Approval pending, id {id}")),
        "{}",
        reply.client
    );
    assert!(
        reply.effects.is_empty(),
        "the request is not withdrawn: {:?}",
        reply.effects
    );
    assert!(
        bench.client(&post(ADA, "", REFUND)).asked().is_some(),
        "the same connection asks again"
    );
}

#[test]
fn a_client_that_leaves_withdraws_what_it_waits_for() {
    let mut bench = Bench::new();
    let id = bench
        .client(&post(ADA, "", REFUND))
        .asked()
        .expect("people are asked")
        .id;
    let reply = bench.eof(Side::Client);
    assert!(
        reply.effects.iter().any(
            |effect| matches!(effect, Effect::WithdrawApproval(withdrawn) if *withdrawn == id)
        )
    );
    assert!(
        reply
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Finished))
    );
    assert_eq!(bench.last().outcome, "withdrawn");
    assert_eq!(bench.event(approved(id)).server, "");
}

#[test]
fn a_call_waits_for_its_record_where_the_world_says_so() {
    let mut bench = Bench::durable();
    let listed = bench.client(&post(
        ADA,
        "",
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
    ));
    assert!(
        listed.server.contains("ping"),
        "a plain read goes on at once"
    );
    bench.server(&json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
    let call = bench.client(&post(ADA, "", CALL));
    assert_eq!(call.server, "");
    let seq = call.effects.iter().find_map(|effect| {
        if let Effect::Sync(seq) = effect {
            Some(*seq)
        } else {
            None
        }
    });
    let seq = seq.expect("its record is made durable");
    assert_eq!(
        bench
            .event(Event::Synced(weir_audit::RecordSeq(seq.0 - 1)))
            .server,
        ""
    );
    assert!(
        bench
            .event(Event::Synced(seq))
            .server
            .contains("tools/call")
    );
    let mut bench = Bench::durable();
    bench.client(&post(ADA, "", CALL));
    let reply = bench.event(Event::SyncFailed);
    assert!(reply.client.starts_with("HTTP/1.1 503") && reply.server.is_empty());
}

#[test]
fn nothing_goes_on_and_nothing_comes_back_that_cannot_be_recorded() {
    let mut bench = Bench::new();
    bench.client(&post(
        ADA,
        "",
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
    ));
    bench.server(&json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
    bench.full = true;
    let reply = bench.client(&post(ADA, "", CALL));
    assert!(
        reply.client.starts_with("HTTP/1.1 503") && reply.server.is_empty(),
        "{}",
        reply.client
    );
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    bench.full = true;
    let reply = bench.server(&json(&text_result("SECRET")));
    assert!(
        reply.client.starts_with("HTTP/1.1 503") && !reply.client.contains("SECRET"),
        "{}",
        reply.client
    );
}

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
        (bench::CAL, named.as_str()),
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
    let reply = Bench::new().client(&post(ADA, "MCP-Protocol-Version: 2026-07-28\r\n", CALL));
    assert!(
        reply.client.starts_with("HTTP/1.1 400") && reply.client.contains("2025-11-25"),
        "{}",
        reply.client
    );
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", INITIALIZE));
    let shown = bench.server(&json(
        r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2024-11-05","capabilities":{}}}"#,
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
            bench::chunk("id: e1\nretry: 10\ndata:\n\n")
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
        .server(&format!("{}{}", sse(), bench::chunk(&events)))
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
            .client(&get(bench::CAL, &id))
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
    let noise = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:123-45-6789"}}"#;
    let shown = bench
        .server(&format!(
            "{}{}",
            sse(),
            bench::chunk(&format!("data: {noise}\n\n"))
        ))
        .client;
    assert!(
        shown.contains("notifications/resources/updated") && !shown.contains("123-45"),
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

#[test]
fn a_server_that_answers_nonsense_is_not_passed_on() {
    for nonsense in [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nLEAKS",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nLEAKS",
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/LEAKS\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer resource_metadata=\"LEAKS\"\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n\"LEAKS\"",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\nLEAKS",
        "HTTP/1.1 101 Switching\r\n\r\nLEAKS",
    ] {
        let mut bench = Bench::new();
        bench.client(&post(ADA, "", CALL));
        let shown = bench.server(nonsense).client;
        assert!(
            shown.starts_with("HTTP/1.1 502") && !shown.contains("LEAKS"),
            "{nonsense:?}: {shown}"
        );
        assert!(bench.kinds().contains(&Kind::Outcome), "{nonsense:?}");
    }
    let mut bench = Bench::new();
    bench.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(
        matches!(bench.client(&post(ADA, "", CALL)).server.as_str(), ""),
        "an answer before any question ends the flow"
    );
}

#[test]
fn an_answer_without_end_is_not_held_without_bound() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    bench.server(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let chunk = bench::chunk(&" ".repeat(1 << 20));
    let ended = (0..32)
        .map(|_| bench.server(&chunk))
        .find(|reply| !reply.client.is_empty());
    assert!(ended.expect("it ends").client.starts_with("HTTP/1.1 502"));
}

#[test]
fn what_was_recorded_and_never_sent_has_an_outcome() {
    let ends: [fn(&mut Bench) -> Reply; 4] = [
        |bench| bench.eof(Side::Client),
        |bench| bench.eof(Side::Server),
        |bench| bench.event(Event::SyncFailed),
        |bench| bench.event(Event::Locked { reason: "x".into() }),
    ];
    for end in ends {
        let mut bench = Bench::durable();
        bench.client(&post(ADA, "", CALL));
        assert_eq!(end(&mut bench).server, "");
        assert!(
            bench
                .outcomes()
                .iter()
                .any(|outcome| outcome.starts_with("not sent")),
            "{:?}",
            bench.outcomes()
        );
    }
}

#[test]
fn an_event_for_a_flow_that_is_over_does_not_revive_it() {
    let mut bench = Bench::new();
    bench.eof(Side::Client);
    for event in [
        Event::Dialed,
        Event::TlsUp {
            side: Side::Server,
            channel_binding: None,
        },
        Event::WorldChanged,
    ] {
        bench.event(event);
        assert_eq!(bench.client(&post(ADA, "", CALL)).server, "");
    }
}

#[test]
fn an_approval_that_is_never_spent_is_not_waited_for() {
    let mut bench = Bench::new();
    let id = bench
        .client(&post(ADA, "", REFUND))
        .asked()
        .expect("people are asked")
        .id;
    bench.event(approved(id));
    bench.now.mono_ns = bench.flow.deadline().expect("it waits");
    assert!(bench.timeout().client.contains("can no longer be used"));
    assert_eq!(
        bench.event(Event::Redeemed { id, granted: true }).server,
        ""
    );
}

#[test]
fn a_body_that_the_server_cuts_short_is_not_shown() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    bench.server("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"jsonrpc\":\"2.0\",");
    let reply = bench.eof(Side::Server);
    assert!(reply.client.starts_with("HTTP/1.1 502"), "{}", reply.client);
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
fn a_slow_client_is_not_waited_for_and_a_waiting_one_is() {
    let mut bench = Bench::new();
    assert_eq!(bench.flow.deadline(), None);
    bench.client("POST /mcp HTTP/1.1\r\nHo");
    bench.now.mono_ns = bench.flow.deadline().expect("a request has begun");
    let reply = bench.timeout();
    assert!(reply.client.starts_with("HTTP/1.1 400"), "{}", reply.client);
    assert!(
        reply
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Finished))
    );
}

#[test]
fn a_client_that_expects_to_be_asked_is_asked() {
    let mut bench = Bench::new();
    let request = post(ADA, "Expect: 100-continue\r\n", CALL);
    let (head, body) = request.split_once("\r\n\r\n").expect("a body");
    assert_eq!(
        bench.client(&format!("{head}\r\n\r\n")).client,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    assert!(bench.client(body).server.ends_with(CALL));
}

#[test]
fn splitting_what_both_sides_send_changes_nothing() {
    let request = post(ADA, "", CALL);
    let answer = format!(
        "{}{}0\r\n\r\n",
        sse(),
        bench::chunk(&format!("id: 1\ndata: {}\n\n", text_result("123-45-6789")))
    );
    let mut whole = Bench::new();
    let sent = whole.client(&request).server;
    let shown = whole.server(&answer).client;
    for size in [1, 2, 3, 7, 64] {
        let mut split = Bench::new();
        let pieces = |text: &str| {
            text.as_bytes()
                .chunks(size)
                .map(|piece| String::from_utf8_lossy(piece).into_owned())
                .collect::<Vec<_>>()
        };
        let parts: String = pieces(&request)
            .iter()
            .map(|piece| split.client(piece).server)
            .collect();
        assert_eq!(parts, sent, "{size}");
        let parts: String = pieces(&answer)
            .iter()
            .map(|piece| split.server(piece).client)
            .collect();
        assert_eq!(parts, shown, "{size}");
        assert_eq!(split.kinds(), whole.kinds(), "{size}");
    }
}

#[test]
fn a_tls_hello_begins_tls_and_nothing_of_it_is_taken() {
    let mut bench = Bench::new();
    let reply = bench.client("\x16\x03\x01");
    assert_eq!(reply.pieces, [Piece::StartTls]);
    assert_eq!(reply.taken, 0);
    bench.event(Event::TlsUp {
        side: Side::Client,
        channel_binding: None,
    });
    assert!(
        bench
            .client(&post(ADA, "", CALL))
            .server
            .contains("tools/call")
    );
}
