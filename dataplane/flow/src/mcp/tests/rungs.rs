//! How a call that waits is answered, by what its client has declared.

use weir_audit::Kind;
use weir_facts::ApprovalId;

use super::bench::{ADA, Bench, CAL, approved, json, post};
use super::{REFUND, text_result};
use crate::io::{Decision, Effect, Event};

const URLS: &str = r#"{"elicitation":{"url":{}}}"#;
const REFUND_7: &str = r#""name":"refund_order","arguments":{"order":7,"cents":100}"#;

/// A call of 2026-07-28.
fn call(token: &str, capabilities: &str, params: &str) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{params},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{capabilities}}}}}}}"#
    );
    let head =
        "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: refund_order\r\n";
    post(token, head, &body)
}

/// The same call with what the client was given to bring back.
fn again(state: &str, action: &str) -> String {
    let params = format!(
        r#"{REFUND_7},"requestState":"{state}","inputResponses":{{"weir_approval":{{"action":"{action}"}}}}"#
    );
    call(ADA, URLS, &params)
}

pub(super) fn member<'t>(shown: &'t str, name: &str) -> &'t str {
    let after = shown.split(&format!("\"{name}\":\"")).nth(1);
    after.and_then(|rest| rest.split('"').next()).expect(name)
}

pub(super) fn opened(request: ApprovalId, approval: ApprovalId) -> Event {
    Event::ApprovalOpened { request, approval }
}

/// Asks, and is told to open a page: the approval and the state.
fn told(bench: &mut Bench) -> (ApprovalId, String) {
    let asked = bench.client(&call(ADA, URLS, REFUND_7));
    assert_eq!(asked.client, "", "people may have decided before");
    let id = asked.asked().expect("people are asked").id;
    let reply = bench.event(opened(id, id));
    let shown = &reply.client;
    assert!(
        shown.contains(r#""resultType":"input_required""#),
        "{shown}"
    );
    assert!(shown.contains(r#""mode":"url","#), "{shown}");
    let page = format!(r#""url":"https://weir.example/#/approvals/{id}""#);
    assert!(shown.contains(&page), "{shown}");
    assert!(
        matches!(reply.effects.as_slice(), [Effect::LeaveApproval(left)] if *left == id),
        "{:?}",
        reply.effects
    );
    assert!(bench.last().reason.contains("input required"));
    (id, member(shown, "requestState").to_owned())
}

#[test]
fn a_client_that_opens_urls_is_asked_to_and_its_retry_resumes() {
    let mut bench = Bench::new();
    let (id, state) = told(&mut bench);
    // Somebody accepts at the client: that is no decision.
    let asked = bench.client(&again(&state, "accept"));
    assert_eq!((asked.client.as_str(), asked.server.as_str()), ("", ""));
    let retry = asked.asked().expect("people are asked").id;
    assert_eq!(bench.event(opened(retry, id)).client, "", "it waits now");
    let spent = bench.event(approved(retry, id));
    assert!(
        matches!(spent.effects.as_slice(), [Effect::RedeemApproval { id: spent, .. }] if *spent == id)
    );
    let sent = bench.event(Event::Redeemed { id, granted: true }).server;
    assert!(sent.contains("refund_order"), "{sent}");
    assert!(!sent.contains("requestState") && !sent.contains("weir_approval"));
    let shown = bench.server(&json(
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"123-45-6789"}]}}"#,
    ));
    assert!(shown.client.contains("6789") && !shown.client.contains("123-45"));

    // What was used is not used again: what is asked for now is another approval.
    let replayed = bench
        .client(&again(&state, "accept"))
        .asked()
        .expect("asked");
    let reply = bench.event(opened(replayed.id, replayed.id));
    assert!(reply.client.starts_with("HTTP/1.1 400"), "{}", reply.client);
    assert!(reply.client.contains("requestState is not valid"));
    assert!(
        matches!(reply.effects.as_slice(), [Effect::WithdrawApproval(id)] if *id == replayed.id)
    );
    let replayed = bench
        .client(&again(&state, "accept"))
        .asked()
        .expect("asked");
    let reply = bench.event(approved(replayed.id, ApprovalId(77)));
    assert!(
        reply.effects.is_empty() && reply.server.is_empty(),
        "{reply:?}"
    );
    assert!(reply.client.contains("requestState is not valid"));
}

#[test]
fn a_state_is_for_its_caller_its_call_and_its_hour() {
    let mut bench = Bench::new();
    let (_, state) = told(&mut bench);
    let with = |params: &str| format!(r#"{params},"requestState":"{state}""#);
    let misuses = [
        call(CAL, URLS, &with(REFUND_7)),
        call(ADA, URLS, &with(&REFUND_7.replace("100", "101"))),
        call(ADA, URLS, &with(&REFUND_7.replace('7', "8"))),
    ];
    for misuse in misuses {
        let reply = Bench::new().client(&misuse);
        assert!(reply.asked().is_none() && reply.server.is_empty());
        assert!(
            reply.client.contains("requestState is not valid"),
            "{}",
            reply.client
        );
    }
    let mut late = Bench::new();
    late.now.unix_us += 3600 * 1_000_000;
    let reply = late.client(&again(&state, "accept"));
    assert!(reply.asked().is_none() && reply.client.contains("requestState is not valid"));
}

#[test]
fn whoever_waits_in_vain_gets_another_state_before_clients_give_up() {
    let mut bench = Bench::new();
    let (id, state) = told(&mut bench);
    let begun = bench.now.mono_ns;
    let retry = bench
        .client(&again(&state, "accept"))
        .asked()
        .expect("asked")
        .id;
    bench.event(opened(retry, id));
    let reply = bench.wait(|reply| reply.client.contains("requestState"));
    assert!(bench.now.mono_ns - begun < 50_000_000_000);
    let next = member(&reply.client, "requestState").to_owned();
    let retry = bench
        .client(&again(&next, "cancel"))
        .asked()
        .expect("asked")
        .id;
    let decision = Decision::Denied {
        reason: "too much".into(),
    };
    let reply = bench.event(Event::Approval {
        request: retry,
        approval: id,
        decision,
    });
    assert!(reply.client.contains("too much"), "{}", reply.client);
}

#[test]
fn a_call_that_its_own_person_declines_is_withdrawn() {
    let mut bench = Bench::new();
    let (id, state) = told(&mut bench);
    let retry = bench
        .client(&again(&state, "decline"))
        .asked()
        .expect("asked")
        .id;
    let reply = bench.event(opened(retry, id));
    assert!(matches!(reply.effects.as_slice(), [Effect::WithdrawApproval(gone)] if *gone == retry));
    assert!(
        reply.client.contains("Declined at the client"),
        "{}",
        reply.client
    );
    // Even where people have agreed meanwhile.
    let retry = bench
        .client(&again(&state, "decline"))
        .asked()
        .expect("asked")
        .id;
    let reply = bench.event(approved(retry, id));
    assert!(
        reply.effects.is_empty() && reply.server.is_empty(),
        "{reply:?}"
    );
}

#[test]
fn a_client_that_opens_no_urls_is_held() {
    for capabilities in [
        "{}",
        r#"{"elicitation":{}}"#,
        r#"{"elicitation":{"form":{}}}"#,
    ] {
        let mut bench = Bench::new();
        let asked = bench.client(&call(ADA, capabilities, REFUND_7)).asked();
        let id = asked.expect("people are asked").id;
        assert_eq!(bench.event(opened(id, id)).client, "");
        let reply = bench.wait(|reply| reply.client.contains("Approval pending"));
        let page = format!("https://weir.example/#/approvals/{id}");
        assert!(reply.client.contains(&page), "{}", reply.client);
        assert!(bench.last().reason.contains("pending"));
    }
}

/// Opens a session of 2025-11-25, and returns the fields that name it.
pub(super) fn session(bench: &mut Bench, capabilities: &str) -> String {
    let ask = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{capabilities},"clientInfo":{{"name":"c","version":"1"}}}}}}"#
    );
    bench.client(&post(ADA, "", &ask));
    let body = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;
    let opened = bench.server(&format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: s1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let line = opened
        .client
        .lines()
        .find(|line| line.to_lowercase().starts_with("mcp-session-id"))
        .expect("a session");
    format!("{line}\r\nMCP-Protocol-Version: 2025-11-25\r\n")
}

#[test]
fn a_session_that_opens_urls_gets_the_error_that_asks_to() {
    let mut bench = Bench::new();
    let head = session(&mut bench, URLS);
    let id = bench
        .client(&post(ADA, &head, REFUND))
        .asked()
        .expect("asked")
        .id;
    let reply = bench.event(opened(id, id));
    assert!(
        reply.client.starts_with("HTTP/1.1 200") && reply.client.contains(r#""code":-32042"#),
        "{}",
        reply.client
    );
    let elicitation =
        format!(r#""elicitationId":"{id}","url":"https://weir.example/#/approvals/{id}""#);
    assert!(reply.client.contains(&elicitation), "{}", reply.client);
    assert!(matches!(
        reply.effects.as_slice(),
        [Effect::LeaveApproval(_)]
    ));
    assert!(bench.last().reason.contains("a URL to open"));

    // It comes back before anybody has decided, and waits; then is told again.
    let retry = bench
        .client(&post(ADA, &head, REFUND))
        .asked()
        .expect("asked")
        .id;
    assert_eq!(bench.event(opened(retry, id)).client, "");
    let reply = bench.wait(|reply| reply.client.contains("-32042"));
    assert!(reply.client.contains(&elicitation), "{}", reply.client);

    // And once they have.
    let retry = bench
        .client(&post(ADA, &head, REFUND))
        .asked()
        .expect("asked")
        .id;
    bench.event(approved(retry, id));
    let sent = bench.event(Event::Redeemed { id, granted: true }).server;
    assert!(sent.ends_with(REFUND), "{sent}");
    let shown = bench.server(&json(&text_result("refunded")));
    assert!(shown.client.contains("refunded"));
    let approvals = bench.of_kind(Kind::Approval);
    assert_eq!(
        approvals
            .iter()
            .filter(|kept| kept.outcome == "left open")
            .count(),
        2
    );
}

#[test]
fn what_a_session_has_not_declared_it_is_not_given() {
    let mut bench = Bench::new();
    let urls = session(&mut bench, URLS);
    let mut plain = Bench::new();
    let plain = session(&mut plain, r#"{"elicitation":{}}"#);
    // An older revision does not have the error, whatever was declared.
    let older = urls.replace("2025-11-25", "2025-06-18");
    for head in [plain, older] {
        let mut bench = Bench::new();
        let id = bench
            .client(&post(ADA, &head, REFUND))
            .asked()
            .expect("asked")
            .id;
        assert_eq!(bench.event(opened(id, id)).client, "");
        let reply = bench.wait(|reply| reply.client.contains("Approval pending"));
        assert!(!reply.client.contains("-32042"));
    }
    // And what it was given is not to be written anew.
    let forged = urls.replace(".u", ".");
    let reply = Bench::new().client(&post(ADA, &forged, REFUND));
    assert!(reply.client.starts_with("HTTP/1.1 404"), "{}", reply.client);
}
