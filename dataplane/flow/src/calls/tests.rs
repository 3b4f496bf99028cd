use super::*;
use weir_facts::{Digest, FlowId, OperationSeq};

const SERVER: u32 = 700;
const OTHER: u32 = 701;
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn target() -> SocketAddr {
    "127.0.0.1:3901".parse().unwrap()
}

fn elsewhere() -> SocketAddr {
    "192.0.2.7:443".parse().unwrap()
}

fn operation(flow: u64) -> OperationRef {
    OperationRef {
        flow: FlowId(flow),
        seq: OperationSeq(1),
        digest: Digest([0; 32]),
    }
}

fn call(flow: u64) -> CallRef {
    CallRef {
        flow: FlowId(flow),
        operation: OperationSeq(1),
    }
}

fn table() -> Arc<Calls> {
    let calls = Arc::new(Calls::new());
    calls.served(target(), Serving::Processes(vec![SERVER]));
    calls.served(elsewhere(), Serving::Elsewhere);
    calls
}

fn sql() -> String {
    format!("SELECT 1 /*traceparent='{TRACE}'*/")
}

fn traces() -> Vec<TraceId> {
    TraceId::of(TRACE).into_iter().collect()
}

#[test]
fn the_only_call_that_is_open_in_a_process_is_the_cause() {
    let calls = table();
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", 1), None);
    let open = calls.open(target(), operation(1), Vec::new(), 1);
    let elsewhere = calls.open(elsewhere(), operation(2), Vec::new(), 1);
    let linked = Some(Link::Process(call(1)));
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", 2), linked);
    assert_eq!(calls.link(Some(OTHER), "SELECT 1", 2), None);
    assert_eq!(calls.link(None, "SELECT 1", 2), None);
    open.answered(3);
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", 4), None);
    elsewhere.answered(3);
    assert_eq!(calls.count.load(Ordering::Relaxed), 0);
}

#[test]
fn of_several_open_calls_none_is_named() {
    let calls = table();
    let first = calls.open(target(), operation(1), Vec::new(), 1);
    let second = calls.open(target(), operation(2), Vec::new(), 1);
    let ambiguous = |candidates| Some(Link::Ambiguous { candidates });
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", 2), ambiguous(2));
    first.answered(3);
    let linked = Some(Link::Process(call(2)));
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", 4), linked);
    drop(second);
}

#[test]
fn a_call_of_a_server_whose_processes_are_not_known_can_be_anybodys() {
    let calls = table();
    let unknown: SocketAddr = "127.0.0.1:3902".parse().unwrap();
    let open = calls.open(unknown, operation(1), Vec::new(), 1);
    let ambiguous = |candidates| Some(Link::Ambiguous { candidates });
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", 2), ambiguous(1));
    let known = calls.open(target(), operation(2), Vec::new(), 1);
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", 2), ambiguous(2));
    calls.served(unknown, Serving::Processes(vec![OTHER]));
    let linked = Some(Link::Process(call(2)));
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", 2), linked);
    drop((open, known));
}

#[test]
fn a_call_without_an_answer_stays_a_candidate_and_is_forgotten_in_time() {
    let calls = table();
    drop(calls.open(target(), operation(1), Vec::new(), 1));
    let second = calls.open(target(), operation(2), Vec::new(), 2);
    let ambiguous = Some(Link::Ambiguous { candidates: 2 });
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", 3), ambiguous);
    let later = UNANSWERED_NS + 2;
    let linked = Some(Link::Process(call(2)));
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", later), linked);
    second.answered(later);
    assert_eq!(calls.count.load(Ordering::Relaxed), 0);
}

#[test]
fn a_trace_names_its_call_among_many_and_wherever_it_runs() {
    let calls = table();
    let mut open = vec![calls.open(elsewhere(), operation(1), traces(), 1)];
    open.extend((2..66).map(|flow| calls.open(target(), operation(flow), Vec::new(), 1)));
    let linked = Some(Link::Trace(call(1)));
    assert_eq!(calls.link(Some(SERVER), &sql(), 2), linked);
    assert_eq!(calls.link(None, &sql(), 2), linked);
    let other = sql().replace("0af7", "1af7");
    let ambiguous = Some(Link::Ambiguous { candidates: 64 });
    assert_eq!(calls.link(Some(SERVER), &other, 2), ambiguous);
}

#[test]
fn calls_of_one_trace_are_told_apart_by_the_process_or_not_at_all() {
    let calls = table();
    let nested: SocketAddr = "127.0.0.1:3902".parse().unwrap();
    calls.served(nested, Serving::Processes(vec![OTHER]));
    let outer = calls.open(target(), operation(1), traces(), 1);
    let inner = calls.open(nested, operation(2), traces(), 1);
    let linked = |flow| Some(Link::Trace(call(flow)));
    assert_eq!(calls.link(Some(OTHER), &sql(), 2), linked(2));
    assert_eq!(calls.link(Some(SERVER), &sql(), 2), linked(1));
    let ambiguous = Some(Link::Ambiguous { candidates: 2 });
    assert_eq!(calls.link(Some(9), &sql(), 2), ambiguous);
    drop((outer, inner));
}

#[test]
fn what_a_server_does_after_its_answer_is_found_by_its_trace_alone() {
    let calls = table();
    calls.open(target(), operation(1), traces(), 1).answered(2);
    let other = calls.open(target(), operation(2), Vec::new(), 3);
    assert_eq!(
        calls.link(Some(SERVER), &sql(), 4),
        Some(Link::Trace(call(1)))
    );
    let linked = Some(Link::Process(call(2)));
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", 4), linked);
    let later = TRACEABLE_NS + 3;
    assert_eq!(calls.link(Some(SERVER), &sql(), later), linked);
    other.answered(later);
}

#[test]
fn what_does_not_fit_makes_links_by_process_ambiguous() {
    let calls = table();
    let mut open: Vec<_> = (0..CALLS_MAX as u64)
        .map(|flow| calls.open(elsewhere(), operation(flow), Vec::new(), 1))
        .collect();
    let over = calls.open(elsewhere(), operation(u64::MAX), Vec::new(), 1);
    open.pop().unwrap().answered(1);
    let here = calls.open(target(), operation(u64::MAX - 1), Vec::new(), 1);
    let ambiguous = |candidates| Some(Link::Ambiguous { candidates });
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", 2), ambiguous(2));
    drop(over);
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", 2), ambiguous(2));
    let later = UNANSWERED_NS + 2;
    let linked = Some(Link::Process(call(u64::MAX - 1)));
    assert_eq!(calls.link(Some(SERVER), "SELECT 1", later), linked);
    drop(here);
}

#[test]
fn a_server_is_asked_for_once_in_a_while() {
    let calls = Calls::new();
    assert!(calls.is_to_be_asked(target(), 1));
    assert!(!calls.is_to_be_asked("[::ffff:127.0.0.1]:3901".parse().unwrap(), 2));
    assert!(calls.is_to_be_asked(target(), 1 + SERVING_NS));
}
