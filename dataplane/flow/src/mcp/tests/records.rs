//! No record, no call; no outcome, no answer.

use weir_facts::Side;

use super::bench::{ADA, Bench, Reply, agreed, json, post};
use super::{CALL, REFUND, text_result};
use crate::io::{Effect, Event};

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
fn a_call_does_not_wait_where_its_permit_says_so_and_an_approved_one_does() {
    let kept = || Bench::durable_with("engineers-call-tools", "@durability(\"kept\")");
    let is_sync = |effect: &Effect| matches!(effect, Effect::Sync(_));
    let mut bench = kept();
    let call = bench.client(&post(ADA, "", CALL));
    assert!(call.server.ends_with(CALL), "{}", call.server);
    assert!(!call.effects.iter().any(is_sync));
    assert_eq!(bench.last().kind, weir_audit::Kind::Intent);

    let mut bench = kept();
    let request = bench.client(&post(ADA, "", REFUND)).asked();
    let request = request.expect("people are asked");
    bench.event(agreed(request.id));
    let granted = true;
    let id = request.id;
    let redeemed = bench.event(Event::Redeemed { id, granted });
    assert_eq!(redeemed.server, "");
    assert!(redeemed.effects.iter().any(is_sync));

    let explicit = Bench::durable_with("engineers-call-tools", "@durability(\"synced\")")
        .client(&post(ADA, "", CALL));
    assert!(explicit.server.is_empty() && explicit.effects.iter().any(is_sync));
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

#[test]
fn what_was_recorded_and_never_sent_has_an_outcome() {
    let ends: [fn(&mut Bench) -> Reply; 4] = [
        |bench| bench.eof(Side::Client),
        |bench| {
            // The server would be dialled again.
            bench.eof(Side::Server);
            bench.eof(Side::Client)
        },
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
