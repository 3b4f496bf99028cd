//! Thresholds of rows and bytes: not one row beyond them goes before people have agreed.

mod support;

use std::sync::Arc;

use support::cluster::Cluster;
use support::world::{
    SCHEMA, bind, engineer, error, execute, kept, parse, snapshot, sync, tags, world,
};
use support::{Guard, Raw};
use weir_audit::Kind;
use weir_facts::Group;
use weir_flow::Decision;

fn guard(cluster: &Cluster, bulk: &str, decision: Decision) -> Guard {
    let bulk = format!("[connection.demo-pg.bulk]\n{bulk}\n\n[connection.demo-pg.columns]");
    let mut world = world(cluster);
    world.snapshot = Arc::new(snapshot("masks.toml", |text| {
        text.replace("[connection.demo-pg.columns]", &bulk)
    }));
    Guard::start(
        cluster.address,
        "demo-pg",
        world,
        Some(engineer(&["engineering"])),
        Box::new(move |_| decision.clone()),
    )
}

fn approved() -> Decision {
    Decision::Approved {
        approvers: vec!["weir|dana".into()],
        groups: vec![Group("dba".into())],
    }
}

fn query(text: &str) -> Vec<u8> {
    Raw::frame(b'Q', format!("{text}\0").as_bytes())
}

/// The types of an answer's frames with runs of rows as their number: `T10DEZ`.
fn shape(frames: &[(u8, Vec<u8>)]) -> String {
    let tags = tags(frames);
    let mut shape = String::new();
    let mut rest = tags.as_str();
    while let Some(first) = rest.chars().next() {
        let run = rest.chars().take_while(|tag| *tag == first).count();
        if matches!(first, 'D' | 'd') {
            shape.push_str(&run.to_string());
            shape.push(first);
        } else {
            shape.push_str(&rest[..run]);
        }
        rest = &rest[run..];
    }
    shape
}

fn fresh(bulk: &str, decision: Decision) -> (Cluster, Guard) {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let guard = guard(&cluster, bulk, decision);
    (cluster, guard)
}

#[test]
fn a_statement_ends_at_its_threshold_and_the_session_goes_on() {
    let (cluster, guard) = fresh("statement_rows = 10\ncrossing = \"end\"", approved());
    cluster.sql(
        "postgres",
        "INSERT INTO customers SELECT id, 'x', 'secret-' || id FROM generate_series(10, 40) id",
    );
    let mut raw = Raw::open(guard.port, "app");
    let mut ask = |message: &[u8]| {
        raw.send(message);
        raw.until(b'Z')
    };
    for (text, expected) in [
        ("SELECT generate_series(1, 10)", "T10DCZ"),
        ("SELECT generate_series(1, 11)", "T10DEZ"),
        // Longer than anybody drains: the server is asked to cancel it.
        (
            "SELECT repeat('x', 8000), generate_series(1, 1000000000)",
            "T10DEZ",
        ),
        (
            "SELECT repeat('x', 100000) FROM generate_series(1, 20)",
            "T10DEZ",
        ),
        ("SELECT id, ssn FROM customers", "T10DEZ"),
        ("COPY (SELECT generate_series(1, 20)) TO STDOUT", "H10dEZ"),
        (
            "SELECT 1; SELECT generate_series(1, 11); SELECT 2",
            "T1DCT9DEZ",
        ),
        ("SELECT 1", "T1DCZ"),
    ] {
        println!("{text}");
        let frames = ask(&query(text));
        assert_eq!(shape(&frames), expected, "{text}: {}", error(&frames));
        if expected.contains('E') {
            assert!(error(&frames).contains("53400"), "{}", error(&frames));
        }
        let told = String::from_utf8_lossy(&frames.concat_bodies()).into_owned();
        assert!(!told.contains("secret"), "{text}");
    }
    let outcomes = kept(&guard, Kind::Outcome);
    let ended: Vec<_> = outcomes
        .iter()
        .filter(|it| it.outcome.starts_with("ended by a threshold"))
        .collect();
    assert_eq!(ended.len(), 6);
    assert!(ended.iter().all(|it| it.rows == 10), "{ended:?}");
    assert!(
        kept(&guard, Kind::Refusal)
            .iter()
            .all(|it| it.reason.contains("more than 10 rows of one statement"))
    );
    // In a transaction, what was done before stays to be kept or dropped.
    for (text, expected) in [
        ("BEGIN", "CZ"),
        ("INSERT INTO scratch VALUES (1)", "CZ"),
        ("SELECT generate_series(1, 11)", "T10DEZ"),
        ("ROLLBACK", "CZ"),
    ] {
        assert_eq!(shape(&ask(&query(text))), expected, "{text}");
    }
}

/// The bodies of frames, one behind the other.
trait Bodies {
    fn concat_bodies(&self) -> Vec<u8>;
}

impl Bodies for Vec<(u8, Vec<u8>)> {
    fn concat_bodies(&self) -> Vec<u8> {
        self.iter().flat_map(|(_, body)| body.clone()).collect()
    }
}

#[test]
fn rows_are_counted_exactly_wherever_the_stream_is_cut() {
    let (_cluster, guard) = fresh("statement_rows = 5000\ncrossing = \"end\"", approved());
    let mut raw = Raw::open(guard.port, "app");
    for text in [
        "SELECT repeat('x', i % 97) FROM generate_series(1, 20000) i",
        "SELECT repeat('x', 7 * i % 1013), i FROM generate_series(1, 20000) i",
    ] {
        raw.send(&query(text));
        let frames = raw.until(b'Z');
        assert_eq!(shape(&frames), "T5000DEZ", "{}", error(&frames));
    }
}

#[test]
fn bytes_are_counted_before_a_row_goes() {
    let (_cluster, guard) = fresh("statement_bytes = 2500000\ncrossing = \"end\"", approved());
    let mut raw = Raw::open(guard.port, "app");
    raw.send(&query(
        "SELECT repeat('x', 1000000) FROM generate_series(1, 5)",
    ));
    assert_eq!(shape(&raw.until(b'Z')), "T2DEZ");
    raw.send(&query("SELECT repeat('x', 2600000)"));
    assert_eq!(shape(&raw.until(b'Z')), "TEZ");
}

#[test]
fn a_portal_is_counted_on_when_it_is_resumed() {
    let (_cluster, guard) = fresh("statement_rows = 10\ncrossing = \"end\"", approved());
    let mut raw = Raw::open(guard.port, "app");
    let pipeline = [
        parse("", "SELECT generate_series(1, $1::int)", &[]),
        bind("p", "", 0, b"100"),
        execute("p", 4),
        execute("p", 4),
        execute("p", 4),
        execute("p", 4),
        sync(),
    ];
    raw.send(&pipeline.concat());
    let frames = raw.until(b'Z');
    assert_eq!(shape(&frames), "124Ds4Ds2DEZ", "{}", error(&frames));
    // Behind the error, nothing is answered and nothing runs up to the Sync.
    raw.send(&query("SELECT 1"));
    assert_eq!(shape(&raw.until(b'Z')), "T1DCZ");
    // A new portal begins anew.
    let pipeline = [
        parse("", "SELECT generate_series(1, $1::int)", &[]),
        bind("p", "", 0, b"10"),
        execute("p", 0),
        sync(),
    ];
    raw.send(&pipeline.concat());
    assert_eq!(shape(&raw.until(b'Z')), "1210DCZ");
}

#[test]
fn a_window_counts_over_all_flows_of_the_principal() {
    let bulk = "window = \"1h\"\nwindow_rows = 10\ncrossing = \"end\"";
    let (_cluster, guard) = fresh(bulk, approved());
    for (rows, expected) in [(6, "T6DCZ"), (4, "T4DCZ"), (1, "TEZ")] {
        let mut raw = Raw::open(guard.port, "app");
        raw.send(&query(&format!("SELECT generate_series(1, {rows})")));
        let frames = raw.until(b'Z');
        assert_eq!(shape(&frames), expected, "{}", error(&frames));
    }
}

#[test]
fn the_rest_streams_once_people_agree_and_ends_if_they_do_not() {
    let bulk = "statement_rows = 10\ncrossing = \"ask\"\napprovers = [\"dba\"]";
    let (cluster, granted) = fresh(bulk, approved());
    let mut raw = Raw::open(granted.port, "app");
    raw.send(&query("SELECT generate_series(1, 5000)"));
    let frames = raw.until(b'Z');
    assert_eq!(shape(&frames), "T10DN4990DCZ", "{}", error(&frames));
    let approvals = kept(&granted, Kind::Approval);
    assert_eq!(
        approvals.iter().map(|it| &*it.verdict).collect::<Vec<_>>(),
        ["hold", "approved"]
    );
    // It was for that operation alone.
    raw.send(&query("SELECT generate_series(1, 12)"));
    assert_eq!(shape(&raw.until(b'Z')), "T10DN2DCZ");

    let denied = Decision::Denied {
        reason: "too much".into(),
    };
    let denying = guard(&cluster, bulk, denied);
    let mut raw = Raw::open(denying.port, "app");
    raw.send(&query("SELECT generate_series(1, 5000)"));
    let frames = raw.until(b'Z');
    assert_eq!(shape(&frames), "T10DNEZ");
    assert!(error(&frames).contains("too much"), "{}", error(&frames));
    raw.send(&query("SELECT 1"));
    assert_eq!(shape(&raw.until(b'Z')), "T1DCZ");
}

#[test]
fn a_paused_statement_is_given_up_when_its_client_leaves() {
    let bulk = "statement_rows = 10\ncrossing = \"ask\"\napprovers = [\"dba\"]";
    let (_cluster, guard) = fresh(bulk, approved());
    guard
        .is_silent
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let mut raw = Raw::open(guard.port, "app");
    raw.send(&query("SELECT generate_series(1, 5000)"));
    let frames = raw.until(b'N');
    assert_eq!(shape(&frames), "T10DN");
    drop(raw);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while guard.withdrawn.lock().expect("unpoisoned").is_empty() {
        assert!(std::time::Instant::now() < deadline, "it was not withdrawn");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn what_writes_is_not_left_done_behind_an_error() {
    let (_cluster, guard) = fresh("statement_rows = 10\ncrossing = \"end\"", approved());
    guard
        .is_deaf
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let mut raw = Raw::open(guard.port, "app");
    raw.send(&query(
        "INSERT INTO scratch SELECT generate_series(1, 50) RETURNING id",
    ));
    // The server has done it by now: the connection is closed, so that nobody takes it for undone.
    let frames = raw.until(b'E');
    assert_eq!(shape(&frames), "T10DE");
    assert!(error(&frames).contains("FATAL"), "{}", error(&frames));
}
