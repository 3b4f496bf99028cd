//! What a call is known by while its server works on it.

use std::sync::Arc;

use weir_facts::{CallRef, Digest, FlowId, Link, OperationSeq, ProcessRef, Side, Workload};

use super::bench::{ADA, Bench, chunk, json, post, sse};
use super::{CALL, text_result};
use crate::Serving;
use crate::calls::Said;
use crate::io::Program;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER: &str = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const SERVER: u32 = 700;

fn serving() -> Bench {
    let bench = Bench::new();
    let target = "127.0.0.1:3901".parse().expect("an address");
    bench.calls.served(target, Serving::Processes(vec![SERVER]));
    bench
}

fn first() -> CallRef {
    CallRef {
        flow: FlowId(7),
        operation: OperationSeq(1),
    }
}

fn linked(bench: &Bench, pid: u32, sql: &str) -> Option<Link> {
    let process = Workload {
        pid,
        ..(*Bench::workload("server")).clone()
    };
    let said = Said { sql, session: None };
    bench.calls.link(Some(&process), said, bench.now.mono_ns)
}

fn traced(traceparent: &str) -> String {
    format!("SELECT 1 /*traceparent='{traceparent}'*/")
}

/// The `traceparent` that went on.
fn carried(onward: &str) -> Vec<&str> {
    let lines = onward.split("\r\n");
    lines
        .filter_map(|line| line.strip_prefix("traceparent: "))
        .collect()
}

#[test]
fn a_call_is_open_from_its_first_byte_until_its_answer() {
    let mut bench = serving();
    assert_eq!(linked(&bench, SERVER, "SELECT 1"), None);
    bench.client(&post(ADA, "", CALL));
    assert_eq!(
        linked(&bench, SERVER, "SELECT 1"),
        Some(Link::Process(first()))
    );
    bench.server(&json(&text_result("done")));
    assert_eq!(linked(&bench, SERVER, "SELECT 1"), None);
}

#[test]
fn a_call_whose_answer_nobody_saw_stays_open() {
    let mut bench = serving();
    bench.client(&post(ADA, "", CALL));
    bench.server(sse());
    bench.server(&chunk(": still at it\n\n"));
    bench.eof(Side::Server);
    assert_eq!(
        linked(&bench, SERVER, "SELECT 1"),
        Some(Link::Process(first()))
    );
}

#[test]
fn a_denied_call_is_never_open() {
    let mut bench = serving();
    let denied = CALL.replace("lookup_customer", "run_shell");
    assert_eq!(bench.client(&post(ADA, "", &denied)).server, "");
    assert_eq!(linked(&bench, SERVER, "SELECT 1"), None);
}

#[test]
fn a_clients_trace_goes_on_as_it_came_and_leads_to_its_call() {
    let mut bench = serving();
    let fields = format!("traceparent: {PARENT}\r\n");
    let onward = bench.client(&post(ADA, &fields, CALL)).server;
    assert_eq!(carried(&onward), [PARENT]);
    let trace = Some(Link::Trace(first()));
    assert_eq!(linked(&bench, 9, &traced(PARENT)), trace);
    assert_eq!(linked(&bench, 9, &traced(OTHER)), None);
}

#[test]
fn the_trace_of_meta_is_the_calls_and_becomes_the_header_where_there_is_none() {
    let meta = |value: &str| {
        CALL.replace(
            r#""params":{"#,
            &format!(r#""params":{{"_meta":{{"traceparent":"{value}"}},"#),
        )
    };
    let mut bench = serving();
    let onward = bench.client(&post(ADA, "", &meta(PARENT))).server;
    assert_eq!(carried(&onward), [PARENT]);
    let trace = Some(Link::Trace(first()));
    assert_eq!(linked(&bench, 9, &traced(PARENT)), trace);
    let mut bench = serving();
    let fields = format!("traceparent: {OTHER}\r\n");
    let onward = bench.client(&post(ADA, &fields, &meta(PARENT))).server;
    assert_eq!(carried(&onward), [OTHER]);
    assert_eq!(linked(&bench, 9, &traced(PARENT)), trace);
    assert_eq!(linked(&bench, 9, &traced(OTHER)), trace);
}

#[test]
fn a_call_without_a_trace_gets_one_that_a_malformed_one_cannot_replace() {
    for fields in ["", "traceparent: 00-x\r\n"] {
        let mut bench = serving();
        let onward = bench.client(&post(ADA, fields, CALL)).server;
        let [begun] = carried(&onward)[..] else {
            panic!("{onward}");
        };
        let trace = Some(Link::Trace(first()));
        assert_eq!(linked(&bench, 9, &traced(begun)), trace, "{onward}");
        bench.server(&json(&text_result("done")));
        assert_eq!(linked(&bench, 9, &traced(begun)), trace, "also afterwards");
    }
}

#[test]
fn the_call_of_a_server_without_a_port_is_its_processes_and_those_it_starts() {
    let server = ProcessRef {
        pid: SERVER,
        started_ticks: 9,
    };
    let mut bench = Bench::started(Arc::new(Program {
        executable: "/usr/bin/node".into(),
        executable_digest: None,
        process: server,
        arguments_digest: Digest([2; 32]),
        started_by: "/usr/bin/agent".into(),
    }));
    let worker = Workload {
        pid: 702,
        lineage: [
            ProcessRef {
                pid: 702,
                started_ticks: 11,
            },
            server,
        ]
        .into(),
        ..(*Bench::workload("server")).clone()
    };
    let said = Said {
        sql: "SELECT 1",
        session: None,
    };
    let linked = |bench: &Bench| bench.calls.link(Some(&worker), said, bench.now.mono_ns);
    let onward = bench.client(&post(ADA, "", CALL)).server;
    assert!(carried(&onward).is_empty(), "{onward}");
    assert_eq!(linked(&bench), Some(Link::Process(first())));
    // A process of that number alone is another one.
    assert_eq!(self::linked(&bench, SERVER, "SELECT 1"), None);
    bench.server(&json(&text_result("done")));
    assert_eq!(linked(&bench), None);
}
