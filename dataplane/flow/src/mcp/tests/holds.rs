//! Calls that people are asked about, and who waits for whom.

use std::sync::Arc;

use weir_facts::{Digest, Side};

use super::bench::{ADA, Bench, agreed, json, post};
use super::{CALL, REFUND, text_result};
use crate::io::{Decision, Effect, Event};
use crate::tools::{FirstSight, ToolPin, ToolPins};

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
    let decided = bench.event(agreed(request.id));
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
    assert_ne!(digest(super::bench::CAL, REFUND), first);
}

#[test]
fn an_approval_is_for_what_goes_on_in_meta_too() {
    let asked = |meta: &str| {
        let call = REFUND.replace(r#""arguments""#, &format!(r#""_meta":{meta},"arguments""#));
        let asked = Bench::new().client(&post(ADA, "", &call)).asked();
        asked.expect("people are asked")
    };
    let plain = asked("{}");
    let retried = asked(r#"{"progressToken":7,"traceparent":"00-1-2-01","tracestate":"a=1"}"#);
    assert_eq!(retried.digest, plain.digest, "the same call, once more");
    let tenant = asked(r#"{"tenant":"a"}"#);
    assert!(tenant.operation.contains(r#"{"_meta":{"tenant":"a"}}"#));
    assert_ne!(tenant.digest, plain.digest);
    assert_ne!(asked(r#"{"tenant":"b"}"#).digest, tenant.digest);
    assert_eq!(
        asked(r#"{"progressToken":7,"tenant":"a"}"#).digest,
        tenant.digest
    );
    let spoken = asked(r#"{"io.modelcontextprotocol/logLevel":"debug"}"#);
    assert!(spoken.digest != plain.digest && spoken.operation == plain.operation);
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
        let id = bench.hold(&post(ADA, "", REFUND)).id;
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
    let id = bench.hold(&post(ADA, "", REFUND)).id;
    bench.event(agreed(id));
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
    let id = bench.hold(&post(ADA, "", REFUND)).id;
    let begun = bench.now.mono_ns;
    let pending = format!("Approval pending, id {id}");
    let reply = bench.wait(|reply| reply.client.contains(&pending));
    assert!(
        reply.client.contains("asked: support-leads"),
        "{}",
        reply.client
    );
    assert!(
        bench.now.mono_ns - begun < 50_000_000_000,
        "clients give up at 60 s"
    );
    assert!(
        matches!(reply.effects.as_slice(), [Effect::LeaveApproval(left)] if *left == id),
        "the request stays open: {:?}",
        reply.effects
    );
    assert_eq!(bench.last().outcome, "left open");
    assert!(
        bench.client(&post(ADA, "", REFUND)).asked().is_some(),
        "the same connection asks again"
    );
}

#[test]
fn a_client_that_leaves_has_not_cancelled() {
    let mut bench = Bench::new();
    let id = bench.hold(&post(ADA, "", REFUND)).id;
    let reply = bench.eof(Side::Client);
    assert!(
        matches!(reply.effects.as_slice(), [Effect::LeaveApproval(left), Effect::Finished] if *left == id),
        "{:?}",
        reply.effects
    );
    assert_eq!(bench.last().outcome, "left open");
    assert_eq!(bench.event(agreed(id)).server, "");
}

#[test]
fn a_cancelled_call_is_withdrawn_and_answered() {
    let mut bench = Bench::new();
    let request = bench.hold(&post(ADA, "", REFUND));
    // It comes on another connection, from the same caller.
    let cancel = |token: &str, id: &str| {
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        );
        let reply = Bench::new().client(&post(token, "", &text));
        reply.effects.into_iter().find_map(|effect| match effect {
            Effect::CancelApproval(key) => Some(key),
            _ => None,
        })
    };
    assert_eq!(cancel(ADA, "1"), request.cancel);
    assert_ne!(cancel(ADA, "2"), request.cancel);
    assert_ne!(cancel(ADA, "\"1\""), request.cancel);
    assert_ne!(cancel(super::bench::CAL, "1"), request.cancel);

    let reply = bench.event(Event::CancelRequested { asker: None });
    assert!(
        matches!(reply.effects.as_slice(), [Effect::WithdrawApproval(id)] if *id == request.id)
    );
    assert!(reply.client.contains("was cancelled"), "{}", reply.client);
    assert_eq!(bench.last().outcome, "withdrawn");
    assert_eq!(bench.event(agreed(request.id)).server, "");
}

#[test]
fn a_token_that_ends_while_its_call_waits_releases_nothing() {
    type Meanwhile = fn(&mut Bench);
    let ends: [Meanwhile; 2] = [
        |bench| bench.now.unix_us += 20_000_000,
        |bench| drop(bench.revoke_tokens()),
    ];
    for meanwhile in ends {
        for (has_begun, is_late) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut bench = Bench::new();
            let asked = bench.client(&post(super::bench::BRIEF, "", REFUND)).asked();
            let id = asked.expect("people are asked").id;
            if has_begun {
                bench.wait(|reply| reply.client.contains("text/event-stream"));
            }
            if is_late {
                bench.event(agreed(id));
            }
            meanwhile(&mut bench);
            let reply = if is_late {
                bench.event(Event::Redeemed { id, granted: true })
            } else {
                bench.event(agreed(id))
            };
            assert_eq!(reply.server, "");
            assert!(reply.effects.is_empty(), "it is not spent: {reply:?}");
            let said = "Call again with another token";
            assert!(reply.client.contains(said), "{said}: {}", reply.client);
            assert!(bench.last().reason.contains("The token of this call"));
        }
    }
}

#[test]
fn a_call_that_waits_is_told_so_and_its_answer_comes_as_events() {
    let with_token = REFUND.replace(
        r#""params":{"#,
        r#""params":{"_meta":{"progressToken":"t"},"#,
    );
    let progress = r#"data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":0.001,"message":"waiting for approval"}}"#;
    for (call, beat) in [(REFUND, ":\n\n"), (with_token.as_str(), progress)] {
        let mut bench = Bench::new();
        let id = bench
            .client(&post(ADA, "", call))
            .asked()
            .expect("people are asked")
            .id;
        let first = bench.wait(|_| true).client;
        assert!(first.starts_with("HTTP/1.1 200"), "{first}");
        assert!(
            first.contains("text/event-stream") && first.contains(beat),
            "{first}"
        );
        assert!(!bench.wait(|_| true).client.contains("HTTP/1.1"));
        bench.event(agreed(id));
        let sent = bench.event(Event::Redeemed { id, granted: true }).server;
        assert!(sent.ends_with(call), "{sent}");
        let shown = bench.server(&json(&text_result("SSN 123-45-6789"))).client;
        assert!(
            !shown.contains("HTTP/1.1") && !shown.contains("123-45"),
            "{shown}"
        );
        assert!(
            shown.contains("data: {") && shown.ends_with("\r\n0\r\n\r\n"),
            "{shown}"
        );
        // The connection serves the next call.
        assert!(bench.client(&post(ADA, "", CALL)).server.ends_with(CALL));
    }
}

#[test]
fn an_answer_that_has_begun_ends_as_one_whatever_becomes_of_the_call() {
    let held = || {
        let mut bench = Bench::new();
        let asked = bench.client(&post(ADA, "", REFUND)).asked();
        bench.wait(|reply| reply.client.contains("text/event-stream"));
        (bench, asked.expect("people are asked").id)
    };
    let ended = |shown: &str, said: &str| {
        assert!(!shown.contains("HTTP/1.1"), "one head: {shown}");
        assert!(
            shown.contains(said) && shown.ends_with("0\r\n\r\n"),
            "{said}: {shown}"
        );
    };
    let (mut bench, id) = held();
    let decision = Decision::Denied {
        reason: "too much".into(),
    };
    let event = Event::Approval {
        request: id,
        approval: id,
        decision,
    };
    ended(&bench.event(event).client, "too much");
    let (mut bench, _) = held();
    let pending = bench.wait(|reply| reply.client.contains("Approval pending"));
    ended(&pending.client, "Retry the same call");
    let (mut bench, id) = held();
    bench.event(agreed(id));
    bench.event(Event::Redeemed { id, granted: true });
    let refused = "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno";
    ended(&bench.server(refused).client, r#""id":1,"error""#);
    let (mut bench, id) = held();
    bench.event(agreed(id));
    bench.event(Event::Redeemed { id, granted: true });
    let reply = bench.server("nonsense\r\n\r\n");
    assert_eq!(reply.client, "");
    assert!(reply.pieces.contains(&crate::io::Piece::Reset));
}

#[test]
fn a_server_that_closes_while_a_call_waits_is_dialled_again() {
    let held = || {
        let mut bench = Bench::new();
        let asked = bench.client(&post(ADA, "", REFUND)).asked();
        let reply = bench.eof(Side::Server);
        assert!(
            reply.effects.is_empty() && reply.client.is_empty(),
            "{reply:?}"
        );
        (bench, asked.expect("people are asked").id)
    };
    let dialling = || {
        let (mut bench, id) = held();
        bench.event(agreed(id));
        let reply = bench.event(Event::Redeemed { id, granted: true });
        assert!(
            matches!(reply.effects.as_slice(), [Effect::Dial { .. }]),
            "{reply:?}"
        );
        assert_eq!(reply.server, "");
        bench
    };
    let mut bench = dialling();
    let sent = bench.event(Event::Dialed).server;
    assert!(sent.ends_with(REFUND), "{sent}");
    let reply = bench.server(&json(&text_result("refunded")));
    assert!(reply.client.contains("refunded"), "{}", reply.client);

    let mut bench = dialling();
    let reason = "connection refused".to_owned();
    let reply = bench.event(Event::DialFailed { reason });
    assert!(reply.client.starts_with("HTTP/1.1 502"), "{}", reply.client);
    let outcomes = bench.outcomes();
    assert!(
        outcomes.iter().any(|outcome| outcome.contains("not sent")),
        "{outcomes:?}"
    );

    // Whoever is told to come back comes on another connection.
    let (mut bench, id) = held();
    let reply = bench.wait(|reply| reply.client.contains("Approval pending"));
    assert!(reply.client.contains(&id.to_string()), "{}", reply.client);
    assert!(reply.pieces.contains(&crate::io::Piece::Shutdown));
    let is_over = |effect: &Effect| matches!(effect, Effect::Finished);
    assert!(reply.effects.iter().any(is_over), "{:?}", reply.effects);
}

#[test]
fn an_approval_is_for_the_policy_and_the_definition_that_it_was_asked_under() {
    let digest = |bench: &mut Bench| {
        let asked = bench.client(&post(ADA, "", REFUND)).asked();
        asked.expect("people are asked").digest
    };
    let pins = |byte: u8, pending: Option<u8>, decision: u64| {
        let pin = ToolPin {
            approved: Some(Digest([byte; 32])),
            pending: pending.map(|byte| Digest([byte; 32])),
            decision,
        };
        ToolPins::new(FirstSight::Trusted, [("refund_order".into(), pin)])
    };
    let mut bench = Bench::new();
    let plain = digest(&mut bench);
    let mut bench = Bench::new();
    bench.change_policy();
    assert_ne!(digest(&mut bench), plain);
    let mut bench = Bench::new();
    bench.decide_tools(pins(1, None, 0));
    let asked = bench.hold(&post(ADA, "", REFUND));
    assert_ne!(asked.digest, plain);
    assert_eq!(asked.definition, Some(Digest([1; 32])));

    // Changes while it waits, and while the approval is spent.
    type Change = fn(&mut Bench, &dyn Fn(u8, Option<u8>, u64) -> ToolPins);
    let changes: [(Change, &str); 3] = [
        (|bench, _| bench.change_policy(), "Call again to ask anew"),
        (
            |bench, pins| bench.decide_tools(pins(2, None, 1)),
            "Call again to ask anew",
        ),
        (
            |bench, pins| bench.decide_tools(pins(1, Some(2), 0)),
            "Unknown tool: refund_order",
        ),
    ];
    for (change, said) in changes {
        for is_late in [false, true] {
            let mut bench = Bench::new();
            bench.decide_tools(pins(1, None, 0));
            let id = bench.hold(&post(ADA, "", REFUND)).id;
            let reply = if is_late {
                bench.event(agreed(id));
                change(&mut bench, &pins);
                bench.event(Event::Redeemed { id, granted: true })
            } else {
                change(&mut bench, &pins);
                bench.event(agreed(id))
            };
            assert_eq!(reply.server, "", "{said} {is_late}");
            assert!(
                reply.client.contains(said),
                "{said} {is_late}: {}",
                reply.client
            );
        }
    }
}

#[test]
fn an_approval_that_is_never_spent_is_not_waited_for() {
    let mut bench = Bench::new();
    let id = bench.hold(&post(ADA, "", REFUND)).id;
    bench.event(agreed(id));
    bench.now.mono_ns = bench.flow.deadline().expect("it waits");
    assert!(bench.timeout().client.contains("can no longer be used"));
    assert_eq!(
        bench.event(Event::Redeemed { id, granted: true }).server,
        ""
    );
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
            names: Arc::from([]),
        },
        Event::WorldChanged,
    ] {
        bench.event(event);
        assert_eq!(bench.client(&post(ADA, "", CALL)).server, "");
    }
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
