//! What nodes ship of their logs.

mod support;

use support::{Control, Node};
use weir_api::v1::{self, from_data_plane::Message as From};
use weir_audit::frame::Scanner;
use weir_audit::log::{Checkpoint, SigningKey};
use weir_audit::{CommitmentKey, Journal, Kind, Memory, Position, Protocol, Record, WorkerId};
use weir_facts::{
    CallRef, ConnectionName, Digest, FlowId, Group, Identity, Link, Now, OperationSeq, PolicyId,
    Principal,
};

/// Leaves as a data plane writes them: one session with a masked and a refused operation.
fn leaves() -> Vec<Vec<u8>> {
    let identity = Identity {
        issuer: "weir".into(),
        subject: "alice".into(),
        is_service: false,
        groups: vec![Group("dev".into())],
    };
    let principal = Principal {
        workload: None,
        identity: Some(identity.into()),
        agent: None,
    };
    let connection = ConnectionName::new("prod-pg");
    let at = |us| Now {
        mono_ns: 0,
        unix_us: us,
    };
    let base = |kind, us| Record {
        flow: Some(FlowId(7)),
        principal: Some(&principal),
        connection: Some(&connection),
        protocol: Protocol::Postgres,
        source: Some("127.0.0.1:40000".parse().expect("address")),
        ..Record::new(kind, at(us))
    };
    let mask = [PolicyId("mask-ssn".into())];
    let masked = [("prod-pg/public/customers/ssn", "keep_last:4")];
    let select = Record {
        operation: Some(OperationSeq(1)),
        verdict: "mask",
        summary: "SELECT ssn FROM customers WHERE id = $1",
        policies: &mask,
        ..base(Kind::Intent, 2_000_000)
    };
    let answer = Record {
        operation: Some(OperationSeq(1)),
        masked: &masked,
        rows: 3,
        outcome: "SELECT 3",
        ..base(Kind::Outcome, 3_000_000)
    };
    let refused = Record {
        operation: Some(OperationSeq(2)),
        verdict: "deny",
        summary: "DROP TABLE customers",
        reason: "nothing permits",
        ..base(Kind::Refusal, 4_000_000)
    };
    let records = [
        base(Kind::Session, 1_000_000),
        select,
        answer,
        refused,
        Record::new(Kind::Heartbeat, at(5_000_000)),
    ];
    let leaves = kept(&records);
    assert_eq!(leaves.len(), records.len());
    leaves
}

async fn ship(node: &mut Node, first_index: u64, leaf: &[Vec<u8>]) -> u64 {
    node.say(From::Leaves(v1::Leaves {
        first_index,
        leaf: leaf.to_vec(),
    }))
    .await;
    node.leaves_ack().await
}

#[tokio::test]
async fn shipped_leaves_are_shown_as_sessions_once_however_often_they_come() {
    let control = Control::start().await;
    let join = control.node("n1").await;
    let mut node = Node::new(&join).await;
    assert_eq!(node.leaves_ack().await, 0);
    let leaves = leaves();
    assert_eq!(ship(&mut node, 0, &leaves[..3]).await, 3);
    assert_eq!(
        ship(&mut node, 4, &leaves[4..]).await,
        3,
        "a gap is not taken"
    );
    assert_eq!(ship(&mut node, 1, &leaves[1..]).await, 5, "an overlap is");
    assert_eq!(ship(&mut node, 0, &leaves).await, 5);
    drop(node);
    let mut node = Node::new(&join).await;
    assert_eq!(node.leaves_ack().await, 5, "told where to go on");

    let sessions = control
        .get(&control.admin, "/sessions?who=alice&connection=prod-pg")
        .await;
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "{sessions}");
    let session = &sessions[0];
    let seen = [
        "operations",
        "refused",
        "held",
        "masked",
        "rows",
        "started_us",
        "last_us",
    ]
    .map(|name| session[name].as_u64());
    assert_eq!(
        seen,
        [2, 1, 0, 1, 3, 1_000_000, 4_000_000].map(Some),
        "{session}"
    );
    assert_eq!(session["id"], "n1.0000000000000007");
    let detail = control
        .get(&control.admin, "/sessions/n1.0000000000000007")
        .await;
    let events = detail["events"].as_array().expect("events");
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["kind"].as_str().expect("kind"))
        .collect();
    assert_eq!(kinds, ["session", "intent", "outcome", "refusal"]);
    assert_eq!(
        events[2]["masked"][0]["what"],
        "prod-pg/public/customers/ssn"
    );
    assert_eq!(events[3]["reason"], "nothing permits");
    assert_eq!(
        control
            .get(&control.admin, "/sessions?who=bob")
            .await
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    assert_eq!(
        control
            .get(&control.admin, "/alerts")
            .await
            .as_array()
            .map(Vec::len),
        Some(0)
    );
}

#[tokio::test]
async fn a_leaf_that_changed_is_an_alert_and_what_was_stored_stays() {
    let control = Control::start().await;
    let mut node = Node::new(&control.node("n1").await).await;
    node.leaves_ack().await;
    let leaves = leaves();
    ship(&mut node, 0, &leaves[..2]).await;
    let mut rewritten = leaves.clone();
    rewritten[1] = leaves[2].clone();
    assert_eq!(
        ship(&mut node, 0, &rewritten).await,
        2,
        "nothing is taken behind a contradiction"
    );
    let alerts = control.get(&control.admin, "/alerts").await;
    assert_eq!(alerts[0]["kind"], "leaf_conflict", "{alerts}");
    let nodes = control.get(&control.admin, "/nodes").await;
    assert_eq!(nodes[0]["log_alert"], true);
    assert_eq!(
        ship(&mut node, 2, &[b"{not json".to_vec()]).await,
        3,
        "what does not read is evidence too"
    );
    assert_eq!(
        control.get(&control.admin, "/alerts").await[0]["kind"],
        "leaf_unreadable"
    );
}

#[tokio::test]
async fn contradicting_checkpoints_are_kept_and_told() {
    let control = Control::start().await;
    let join = control.node("n1").await;
    let key = SigningKey::new("n1.example/log", &[5; 32]).expect("key");
    let note = |size, root| v1::Checkpoint {
        origin: "n1.example/log".into(),
        note: Checkpoint {
            origin: "n1.example/log".into(),
            size,
            root: Digest([root; 32]),
        }
        .sign(&key)
        .into_bytes(),
    };
    let hello = v1::Hello {
        log_vkey: key.verifier().to_string(),
        checkpoint: Some(note(10, 1)),
        ..Default::default()
    };
    let node = Node::connect(&join, hello.clone()).await.expect("streams");
    node.say(From::Checkpoint(note(20, 2))).await;
    node.say(From::Checkpoint(note(20, 2))).await;
    control
        .until("/nodes", |nodes| nodes[0]["checkpoint_size"] == 20)
        .await;
    assert_eq!(
        control
            .get(&control.admin, "/alerts")
            .await
            .as_array()
            .map(Vec::len),
        Some(0)
    );

    node.say(From::Checkpoint(note(20, 3))).await;
    control
        .until("/alerts", |alerts| {
            alerts[0]["kind"] == "checkpoint_conflict"
        })
        .await;
    node.say(From::Checkpoint(note(15, 4))).await;
    control
        .until("/alerts", |alerts| alerts[0]["kind"] == "checkpoint_shrunk")
        .await;
    let mut forged = note(30, 5);
    forged.note[20] ^= 1;
    node.say(From::Checkpoint(forged)).await;
    control
        .until("/alerts", |alerts| {
            alerts[0]["kind"] == "checkpoint_unreadable"
        })
        .await;
    drop(node);
    let other = SigningKey::new("n1.example/log", &[6; 32])
        .expect("key")
        .verifier()
        .to_string();
    let hello = v1::Hello {
        log_vkey: other,
        ..hello
    };
    let _node = Node::connect(&join, hello).await.expect("streams");
    let alerts = control
        .until("/alerts", |alerts| {
            alerts.to_string().contains("log_key_changed")
        })
        .await;
    assert!(
        alerts.as_array().is_some_and(|alerts| alerts.len() >= 4),
        "{alerts}"
    );
    let stored = control.get(&control.admin, "/nodes/n1/checkpoints").await;
    assert_eq!(
        stored.as_array().map(Vec::len),
        Some(4),
        "both sides of a contradiction are kept: {stored}"
    );
}

/// A call, the statement that it caused with its outcome, and one that any of two calls caused.
fn chained() -> Vec<Vec<u8>> {
    let call = CallRef {
        flow: FlowId(7),
        operation: OperationSeq(2),
    };
    let record = |kind, flow, operation, summary, link| Record {
        flow: Some(FlowId(flow)),
        operation: Some(OperationSeq(operation)),
        summary,
        link,
        ..Record::new(
            kind,
            Now {
                mono_ns: 0,
                unix_us: 1,
            },
        )
    };
    let records = [
        record(Kind::Intent, 7, 2, "tools/call lookup", None),
        record(Kind::Intent, 9, 1, "SELECT 1", Some(Link::Trace(call))),
        record(Kind::Outcome, 9, 1, "", None),
        record(
            Kind::Intent,
            9,
            2,
            "SELECT 2",
            Some(Link::Ambiguous { candidates: 2 }),
        ),
        record(Kind::Outcome, 9, 2, "", None),
        record(Kind::Outcome, 7, 2, "tools/call lookup", None),
        record(Kind::Intent, 7, 3, "tools/call other", None),
    ];
    kept(&records)
}

#[tokio::test]
async fn what_a_call_caused_is_told_with_it_and_only_with_it() {
    let control = Control::start().await;
    let mut node = Node::new(&control.node("n1").await).await;
    assert_eq!(node.leaves_ack().await, 0);
    assert_eq!(ship(&mut node, 0, &chained()).await, 7);
    let call = control
        .get(&control.admin, "/sessions/n1.0000000000000007")
        .await;
    let caused: Vec<_> = call["caused"]
        .as_array()
        .expect("caused")
        .iter()
        .map(|caused| {
            assert_eq!(caused["session"], "n1.0000000000000009");
            (caused["by"].as_u64(), caused["event"]["index"].as_u64())
        })
        .collect();
    assert_eq!(caused, [(Some(2), Some(1)), (Some(2), Some(2))], "{call}");
    let statements = control
        .get(&control.admin, "/sessions/n1.0000000000000009")
        .await;
    let links: Vec<_> = statements["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter(|event| event["kind"] == "intent")
        .map(|event| &event["link"])
        .collect();
    assert_eq!(
        *links[0],
        serde_json::json!({"kind": "trace", "session": "n1.0000000000000007", "operation": 2, "candidates": 0})
    );
    assert_eq!(
        *links[1],
        serde_json::json!({"kind": "ambiguous", "session": "", "operation": 0, "candidates": 2})
    );
    assert_eq!(statements["caused"].as_array().map(Vec::len), Some(0));
}

/// The leaves of a journal that keeps these records.
fn kept(records: &[Record<'_>]) -> Vec<Vec<u8>> {
    let mut journal = Journal::new(
        WorkerId(0),
        Position::START,
        CommitmentKey::new(&[1; 32]),
        Memory::default(),
    );
    for record in records {
        let _receipt = journal.append(None, record).expect("keeps");
    }
    let mut scanner = Scanner::new(journal.store().bytes(), WorkerId(0), Some(Position::START));
    let mut leaves = Vec::new();
    while let Some((frame, _)) = scanner.read().expect("reads") {
        leaves.push(frame.leaf.to_vec());
    }
    leaves
}
