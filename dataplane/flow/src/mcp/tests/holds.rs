//! Calls that people are asked about, and who waits for whom.

use std::sync::Arc;

use weir_facts::Side;

use super::bench::{ADA, Bench, post};
use super::{CALL, REFUND};
use crate::io::{Decision, Effect, Event};

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
    assert_ne!(digest(super::bench::CAL, REFUND), first);
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
