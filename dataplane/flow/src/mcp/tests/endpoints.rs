//! 2024-11-05's transport: one flow is the stream, others bring its messages.

use weir_audit::Kind;
use weir_facts::{FlowId, Side};

use super::bench::{ADA, Bench, CAL, Kept, Reply, chunk, json, post, sse};
use super::{CALL, REFUND};
use crate::ResourceUri;
use crate::io::{Decision, Effect, Event, Piece};
use crate::mcp::limits::AFTER_CLIENT_NS;
use crate::world::McpAuthorization;

const PLACE: &str = "/messages/?session_id=at-server";

fn get(token: &str) -> String {
    format!(
        "GET /sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n"
    )
}

/// The stream of a session of Ada's, and what she is told of where its messages go.
fn listening() -> (Bench, String) {
    let mut stream = Bench::new();
    let shown = name_endpoint(&mut stream, PLACE);
    let target = target_of(&shown.client).expect("an endpoint");
    (stream, target)
}

fn name_endpoint(stream: &mut Bench, data: &str) -> Reply {
    stream.client(&get(ADA));
    stream.server(&format!(
        "{}{}",
        sse(),
        chunk(&format!("event: endpoint\r\ndata: {data}\r\n\r\n"))
    ))
}

fn target_of(shown: &str) -> Option<String> {
    let (_, rest) = shown.split_once("event: endpoint\ndata: ")?;
    rest.split_once('\n').map(|(target, _)| target.to_owned())
}

/// Another connection of the same host.
fn beside(stream: &Bench) -> Bench {
    let mut other = Bench::new();
    other.calls = stream.calls.clone();
    other
}

fn posted(token: &str, target: &str, body: &str) -> String {
    let plain =
        post(token, "", body).replace("Accept: application/json, text/event-stream", "Accept: */*");
    plain.replace("POST /mcp ", &format!("POST {target} "))
}

/// The id under which a request went on.
fn name_of(sent: &str) -> String {
    let (_, body) = sent.split_once("\r\n\r\n").expect("a body");
    let (_, rest) = body.split_once(r#""id":""#).expect("an id of Weir's");
    rest.split_once('"').expect("its end").0.to_owned()
}

fn told(reply: &Reply) -> Vec<String> {
    let messages = reply.effects.iter().filter_map(|effect| match effect {
        Effect::ToStream { stream, message } => {
            assert_eq!(*stream, FlowId(7));
            Some(String::from_utf8_lossy(message).into_owned())
        }
        _ => None,
    });
    messages.collect()
}

fn answer(id: &str, text: &str) -> String {
    let result = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
    );
    chunk(&format!("event: message\ndata: {result}\n\n"))
}

const TAKEN: &str = "HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\nAccepted";

/// Posts a call that is allowed and taken; the id under which it went on.
fn call(stream: &Bench, target: &str, body: &str) -> (Bench, String) {
    let mut other = beside(stream);
    let sent = other.client(&posted(ADA, target, body)).server;
    let name = name_of(&sent);
    let shown = other.server(TAKEN).client;
    assert!(shown.starts_with("HTTP/1.1 202") && !shown.contains("Accepted\n"));
    (other, name)
}

fn outcomes(bench: &Bench) -> Vec<Kept> {
    bench.of_kind(Kind::Outcome)
}

#[test]
fn a_call_goes_to_the_place_and_its_answer_comes_masked_on_the_stream() {
    let (mut stream, target) = listening();
    assert!(target.starts_with("/sse?session_id=weir."), "{target}");
    assert!(!target.contains("at-server"), "{target}");
    let mut other = beside(&stream);
    let sent = other.client(&posted(ADA, &target, CALL)).server;
    assert!(
        sent.starts_with(&format!("POST {PLACE} HTTP/1.1\r\n")),
        "{sent}"
    );
    assert!(!sent.contains("Mcp-Session-Id"), "{sent}");
    let name = name_of(&sent);
    assert!(sent.ends_with(&CALL.replace(r#""id":1"#, &format!(r#""id":"{name}""#))));
    let shown = other.server(TAKEN).client;
    assert!(
        shown.starts_with("HTTP/1.1 202") && shown.ends_with("\r\n\r\n"),
        "{shown}"
    );
    assert_eq!(outcomes(&other).len(), 0, "its outcome is not known yet");
    let shown = stream
        .server(&answer(&format!("\"{name}\""), "SSN 123-45-6789"))
        .client;
    assert!(
        shown.contains(r#""id":1,"#) && !shown.contains("123-45"),
        "{shown}"
    );
    let kept = stream.last();
    assert_eq!(
        (kept.kind, kept.outcome.as_str()),
        (Kind::Outcome, "result")
    );
    assert!(kept.summary.ends_with("lookup_customer") && !kept.masked.is_empty());
    // The connection serves the next message.
    assert!(!other.client(&posted(ADA, &target, CALL)).server.is_empty());
}

#[test]
fn an_answer_to_nothing_that_was_judged_is_dropped() {
    let (mut stream, target) = listening();
    let (_, name) = call(&stream, &target, CALL);
    for stray in [
        "1".to_owned(),
        "\"1\"".to_owned(),
        format!("\"{}\"", "0".repeat(name.len())),
    ] {
        let shown = stream.server(&answer(&stray, "x")).client;
        assert!(!shown.contains("data"), "{stray}: {shown}");
        assert_eq!(stream.last().kind, Kind::Refusal);
    }
    let batch = format!(r#"[{{"jsonrpc":"2.0","id":"{name}","result":{{}}}}]"#);
    let shown = stream.server(&chunk(&format!("data: {batch}\n\n"))).client;
    assert!(!shown.contains("data"), "{shown}");
    let good = format!("\"{name}\"");
    assert!(stream.server(&answer(&good, "x")).client.contains("data"));
    let again = stream.server(&answer(&good, "x")).client;
    assert!(!again.contains("data"), "once: {again}");
}

#[test]
fn nobody_else_reaches_a_session_by_any_name() {
    let (stream, target) = listening();
    for (token, at) in [(CAL, target.as_str()), (CAL, PLACE), (ADA, PLACE)] {
        let mut other = beside(&stream);
        let reply = other.client(&posted(token, at, CALL));
        assert!(
            reply.client.starts_with("HTTP/1.1 404") && reply.server.is_empty(),
            "{token} {at}: {}",
            reply.client
        );
    }
    let forged = target.replace("weir.", "weir.A");
    let reply = beside(&stream).client(&posted(ADA, &forged, CALL));
    assert!(reply.client.starts_with("HTTP/1.1 404"), "{}", reply.client);
}

#[test]
fn a_session_ends_with_its_stream() {
    let (mut stream, target) = listening();
    call(&stream, &target, CALL);
    stream.eof(Side::Client);
    let kept = outcomes(&stream);
    assert!(
        kept.iter()
            .any(|kept| kept.summary.ends_with("lookup_customer")
                && kept.outcome == "not answered: the stream ended"),
        "{kept:?}"
    );
    let reply = beside(&stream).client(&posted(ADA, &target, CALL));
    assert!(
        reply.client.starts_with("HTTP/1.1 404") && reply.server.is_empty(),
        "{}",
        reply.client
    );
}

#[test]
fn a_denied_call_is_answered_on_the_stream() {
    let (mut stream, target) = listening();
    let mut other = beside(&stream);
    let denied = CALL.replace("lookup_customer", "run_shell");
    let reply = other.client(&posted(ADA, &target, &denied));
    assert!(
        reply.client.starts_with("HTTP/1.1 202") && reply.server.is_empty(),
        "{}",
        reply.client
    );
    let [message] = told(&reply).try_into().expect("one message");
    assert!(
        message.contains(r#""id":1,"#) && message.contains("run_shell"),
        "{message}"
    );
    let shown = stream.event(Event::Message(message.clone().into())).client;
    assert!(shown.contains(&format!("data: {message}\n\n")), "{shown}");
}

#[test]
fn a_held_call_is_taken_at_once_and_answered_on_the_stream() {
    let (mut stream, target) = listening();
    let held = || {
        let mut other = beside(&stream);
        let asked = other.client(&posted(ADA, &target, REFUND));
        let request = asked.asked().expect("people are asked");
        assert!(
            asked.client.starts_with("HTTP/1.1 202")
                && asked.client.contains("Connection: close")
                && asked.server.is_empty(),
            "{}",
            asked.client
        );
        assert_eq!(asked.pieces, [Piece::Shutdown]);
        let gone = other.eof(Side::Client);
        assert!(
            gone.effects.is_empty(),
            "it still waits: {:?}",
            gone.effects
        );
        (other, request)
    };
    let decided = |id, decision| Event::Approval {
        request: id,
        approval: id,
        decision,
    };
    // Denied.
    let (mut other, request) = held();
    let denied = Decision::Denied {
        reason: "too much".into(),
    };
    let reply = other.event(decided(request.id, denied));
    let [message] = told(&reply).try_into().expect("one message");
    assert!(
        message.contains("too much") && message.contains(r#""id":1,"#),
        "{message}"
    );
    assert!(reply.client.is_empty() && reply.server.is_empty());
    // Nobody decides.
    let (mut other, _) = held();
    let reply = other.wait(|reply| !told(reply).is_empty());
    assert!(told(&reply)[0].contains("Approval pending"), "{reply:?}");
    // Approved.
    let (mut other, request) = held();
    let approved = Decision::Approved {
        approvers: vec!["weir|bob".into()],
        groups: vec![weir_facts::Group("support-leads".into())],
    };
    other.event(decided(request.id, approved.clone()));
    let redeemed = Event::Redeemed {
        id: request.id,
        granted: true,
    };
    let sent = other.event(redeemed).server;
    let name = name_of(&sent);
    assert!(other.flow.deadline().is_some(), "not for ever");
    assert_eq!(other.server(TAKEN).client, "", "it was told already");
    let shown = stream
        .server(&answer(&format!("\"{name}\""), "done"))
        .client;
    assert!(
        shown.contains("done") && shown.contains(r#""id":1,"#),
        "{shown}"
    );
    // Approved, and the server is gone.
    let (mut other, request) = held_again(&stream, &target);
    other.event(decided(request, approved));
    other.event(Event::Redeemed {
        id: request,
        granted: true,
    });
    let reply = other.eof(Side::Server);
    assert!(told(&reply)[0].contains("did not accept"), "{reply:?}");
}

fn held_again(stream: &Bench, target: &str) -> (Bench, weir_facts::ApprovalId) {
    let mut other = beside(stream);
    let asked = other.client(&posted(ADA, target, REFUND));
    let id = asked.asked().expect("people are asked").id;
    (other, id)
}

#[test]
fn what_the_server_does_not_take_is_not_waited_for() {
    let (mut stream, target) = listening();
    let mut other = beside(&stream);
    let name = name_of(&other.client(&posted(ADA, &target, CALL)).server);
    let shown = other
        .server("HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\n\r\nsecret")
        .client;
    assert!(
        shown.starts_with("HTTP/1.1 400") && !shown.contains("secret"),
        "{shown}"
    );
    assert_eq!(outcomes(&other)[0].outcome, "HTTP 400");
    let late = stream.server(&answer(&format!("\"{name}\""), "x")).client;
    assert!(!late.contains("data"), "{late}");
    assert!(
        !other.client(&posted(ADA, &target, CALL)).server.is_empty(),
        "its id is free again"
    );
}

#[test]
fn two_open_calls_of_one_id_are_one_too_many() {
    let (stream, target) = listening();
    call(&stream, &target, CALL);
    let mut other = beside(&stream);
    let reply = other.client(&posted(ADA, &target, CALL));
    assert!(
        reply.client.starts_with("HTTP/1.1 400") && reply.server.is_empty(),
        "{}",
        reply.client
    );
    assert!(outcomes(&other)[0].outcome.starts_with("not sent: "));
}

#[test]
fn a_cancellation_names_the_call_as_it_went_on() {
    let (stream, target) = listening();
    let (mut other, name) = call(&stream, &target, CALL);
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let sent = other.client(&posted(ADA, &target, cancel)).server;
    assert!(
        sent.ends_with(&cancel.replace(":1}", &format!(":\"{name}\"}}"))),
        "{sent}"
    );
}

#[test]
fn the_servers_requests_are_sealed_for_their_session() {
    let policy = r#"
@id("test-asks") permit(principal, action == Weir::Action::"mcp.roots", resource == Weir::Connection::"demo-mcp");
"#;
    let mut stream = Bench::also(policy);
    let target = target_of(&name_endpoint(&mut stream, PLACE).client).expect("an endpoint");
    let asks = r#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#;
    let shown = stream.server(&chunk(&format!("data: {asks}\n\n"))).client;
    let (_, rest) = shown.split_once(r#""id":""#).expect("a sealed id");
    let sealed = rest.split_once('"').expect("its end").0;
    let reply = format!(r#"{{"jsonrpc":"2.0","id":"{sealed}","result":{{"roots":[]}}}}"#);
    let mut other = Bench::also(policy);
    other.calls = stream.calls.clone();
    let sent = other.client(&posted(ADA, &target, &reply)).server;
    assert!(sent.contains(r#""id":5,"#), "{sent}");
    // Not where it was not asked.
    let mut elsewhere = Bench::also(policy);
    let reply = elsewhere.client(&post(ADA, "", &reply));
    assert!(reply.client.starts_with("HTTP/1.1 400") && reply.server.is_empty());
}

#[test]
fn an_endpoint_elsewhere_ends_the_stream() {
    for data in [
        "http://elsewhere/m",
        "//elsewhere/m",
        "https://localhost/m",
        "",
    ] {
        let mut stream = Bench::new();
        let shown = name_endpoint(&mut stream, data);
        assert_eq!(target_of(&shown.client), None, "{}", shown.client);
        assert!(
            shown.pieces.contains(&Piece::Reset),
            "{data}: {:?}",
            shown.pieces
        );
    }
    let (mut stream, _) = listening();
    let again = "event: endpoint\ndata: /other\n\n";
    let shown = stream.server(&chunk(again)).client;
    assert!(!shown.contains("endpoint"), "a stream has one: {shown}");
    // The place of an open session is nobody else's.
    let mut other = beside(&stream);
    assert!(
        name_endpoint(&mut other, PLACE)
            .pieces
            .contains(&Piece::Reset)
    );
}

#[test]
fn an_endpoint_outside_of_the_resource_ends_the_stream() {
    let mut stream = Bench::new();
    stream.authorize(
        McpAuthorization::Weir {
            resource: ResourceUri::parse("http://localhost/sse"),
        },
        Vec::new(),
        "",
    );
    assert!(
        name_endpoint(&mut stream, PLACE)
            .pieces
            .contains(&Piece::Reset)
    );
}

#[test]
fn a_stream_of_another_transport_has_no_endpoint() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    let shown = bench
        .server(&format!(
            "{}{}",
            sse(),
            chunk("event: endpoint\ndata: /m\n\n")
        ))
        .client;
    assert!(!shown.contains("endpoint"), "{shown}");
}

#[test]
fn messages_of_a_session_have_no_batches_and_no_later_revision() {
    let (stream, target) = listening();
    let reply = beside(&stream).client(&posted(ADA, &target, &format!("[{CALL}]")));
    assert!(reply.client.starts_with("HTTP/1.1 400") && reply.server.is_empty());
    let named = |body: &str| {
        let line = " HTTP/1.1\r\nMCP-Protocol-Version: 2025-03-26\r\n";
        posted(ADA, &target, body).replace(" HTTP/1.1\r\n", line)
    };
    let reply = beside(&stream).client(&named(&format!("[{CALL}]")));
    assert!(reply.client.starts_with("HTTP/1.1 400") && reply.server.is_empty());
    let sent = beside(&stream).client(&named(CALL)).server;
    assert!(
        sent.contains("MCP-Protocol-Version: 2025-03-26\r\n"),
        "{sent}"
    );
    let stateless = posted(ADA, &target, CALL).replace(
        " HTTP/1.1\r\n",
        " HTTP/1.1\r\nMCP-Protocol-Version: 2026-07-28\r\n",
    );
    let reply = beside(&stream).client(&stateless);
    assert!(reply.client.starts_with("HTTP/1.1 400") && reply.server.is_empty());
}

#[test]
fn an_answer_in_the_reply_to_a_post_is_not_shown() {
    let (stream, target) = listening();
    let mut other = beside(&stream);
    let name = name_of(&other.client(&posted(ADA, &target, CALL)).server);
    let result = format!(r#"{{"jsonrpc":"2.0","id":"{name}","result":{{"content":[]}}}}"#);
    let shown = other.server(&json(&result)).client;
    assert!(
        shown.starts_with("HTTP/1.1 202") && !shown.contains("result"),
        "{shown}"
    );
}

#[test]
fn a_client_that_leaves_before_its_message_was_taken_has_not_cancelled() {
    let (mut stream, target) = listening();
    let mut other = beside(&stream);
    let name = name_of(&other.client(&posted(ADA, &target, CALL)).server);
    other.eof(Side::Client);
    let due = other.flow.deadline().expect("a limit");
    assert!(due <= other.now.mono_ns + AFTER_CLIENT_NS);
    other.server(TAKEN);
    let shown = stream
        .server(&answer(&format!("\"{name}\""), "done"))
        .client;
    assert!(shown.contains("done"), "{shown}");
}

/// What Weir itself told the server.
fn aside(reply: &Reply) -> Vec<String> {
    let messages = reply.effects.iter().filter_map(|effect| match effect {
        Effect::SendAside(message) => {
            assert_eq!(
                message.target,
                "127.0.0.1:3901".parse().expect("an address")
            );
            Some(String::from_utf8_lossy(&message.request).into_owned())
        }
        _ => None,
    });
    messages.collect()
}

const ASKS: &str = r#"{"jsonrpc":"2.0","id":"srv-5","method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}"#;

#[test]
fn a_server_that_asks_in_vain_among_several_calls_is_told_no() {
    let (mut stream, target) = listening();
    call(&stream, &target, CALL);
    call(&stream, &target, &CALL.replace(r#""id":1"#, r#""id":2"#));
    let reply = stream.server(&chunk(&format!("data: {ASKS}\n\n")));
    assert!(!reply.client.contains("data"), "{}", reply.client);
    let [told] = aside(&reply).try_into().expect("one message");
    assert!(
        told.starts_with(&format!("POST {PLACE} HTTP/1.1\r\n")),
        "{told}"
    );
    assert!(told.contains("Connection: close\r\n") && !told.contains("Mcp-Session-Id"));
    assert!(
        told.contains("Authorization: Bearer stored-at-weir\r\n"),
        "{told}"
    );
    assert!(
        told.ends_with(
            r#"{"jsonrpc":"2.0","id":"srv-5","error":{"code":-32601,"message":"The client does not do this"}}"#
        ),
        "{told}"
    );
    assert_eq!(stream.of_kind(Kind::Outcome).len(), 0, "both calls wait on");
}

#[test]
fn a_server_that_asks_in_vain_on_its_own_stream_is_told_no_in_its_session() {
    let mut bench = Bench::new();
    let get = format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADA}\r\nAccept: text/event-stream\r\n\r\n"
    );
    bench.client(&get);
    let reply = bench.server(&format!("{}{}", sse(), chunk(&format!("data: {ASKS}\n\n"))));
    let [told] = aside(&reply).try_into().expect("one message");
    assert!(told.starts_with("POST /mcp HTTP/1.1\r\n"), "{told}");
    assert!(
        told.contains("Accept: application/json, text/event-stream\r\n")
            && told.contains("Content-Type: application/json\r\n"),
        "{told}"
    );
    let unknown = ASKS.replace("sampling/createMessage", "client/run");
    let reply = bench.server(&chunk(&format!("data: {unknown}\n\n")));
    assert_eq!(aside(&reply).len(), 1);
}

#[test]
fn a_server_that_is_verified_is_not_told_in_the_clear() {
    let mut bench = Bench::securing();
    bench.event(Event::TlsUp {
        side: Side::Server,
        channel_binding: None,
        names: Vec::new().into(),
    });
    bench.client(&post(ADA, "", CALL));
    let reply = bench.server(&format!("{}{}", sse(), chunk(&format!("data: {ASKS}\n\n"))));
    assert!(aside(&reply).is_empty());
    assert!(reply.client.contains("may not ask"), "{}", reply.client);
}
