use super::share::SHARE_MAX;
use super::table::{CALLS_MAX, TRACEABLE_NS, UNANSWERED_NS};
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

fn process(pid: u32, parents: &[ProcessRef]) -> Workload {
    let own = started(pid);
    Workload {
        name: "server".into(),
        groups: Vec::new(),
        owner: None,
        uid: 1000,
        gid: 1000,
        pid,
        cgroup: "/".into(),
        executable: "/bin/server".into(),
        executable_digest: None,
        lineage: std::iter::once(own)
            .chain(parents.iter().copied())
            .collect(),
    }
}

fn started(pid: u32) -> ProcessRef {
    ProcessRef {
        pid,
        started_ticks: 5,
    }
}

const ADA: Owner = Owner::User(1000);
const EVE: Owner = Owner::User(1001);

fn link(calls: &Calls, pid: impl Into<Option<u32>>, sql: &str, now_ns: u64) -> Option<Link> {
    let process = pid.into().map(|pid| process(pid, &[]));
    let said = Said { sql, session: None };
    calls.link(process.as_ref(), said, now_ns)
}

/// What a statement without a comment is linked to, by its session's name.
fn link_named(calls: &Calls, pid: u32, now_ns: u64) -> Option<Link> {
    let said = Said {
        sql: "SELECT 1",
        session: TraceId::of(TRACE),
    };
    calls.link(Some(&process(pid, &[])), said, now_ns)
}

fn begin(
    calls: &Arc<Calls>,
    target: SocketAddr,
    operation: OperationRef,
    traces: Traces,
    now_ns: u64,
) -> OpenCall {
    calls.open(Place::at(target), ADA, operation, traces, now_ns)
}

fn sql() -> String {
    format!("SELECT 1 /*traceparent='{TRACE}'*/")
}

fn traces() -> Traces {
    Traces::of(None, TraceId::of(TRACE))
}

#[test]
fn the_only_call_that_is_open_in_a_process_is_the_cause() {
    let calls = table();
    assert_eq!(link(&calls, SERVER, "SELECT 1", 1), None);
    let open = begin(&calls, target(), operation(1), Traces::default(), 1);
    let elsewhere = begin(&calls, elsewhere(), operation(2), Traces::default(), 1);
    let linked = Some(Link::Process(call(1)));
    assert_eq!(link(&calls, SERVER, "SELECT 1", 2), linked);
    assert_eq!(link(&calls, OTHER, "SELECT 1", 2), None);
    assert_eq!(link(&calls, None, "SELECT 1", 2), None);
    open.answered(3);
    assert_eq!(link(&calls, SERVER, "SELECT 1", 4), None);
    elsewhere.answered(3);
    assert_eq!(calls.count.load(Ordering::Relaxed), 0);
}

#[test]
fn of_several_open_calls_none_is_named() {
    let calls = table();
    let first = begin(&calls, target(), operation(1), Traces::default(), 1);
    let second = begin(&calls, target(), operation(2), Traces::default(), 1);
    let ambiguous = |candidates| Some(Link::Ambiguous { candidates });
    assert_eq!(link(&calls, SERVER, "SELECT 1", 2), ambiguous(2));
    first.answered(3);
    let linked = Some(Link::Process(call(2)));
    assert_eq!(link(&calls, SERVER, "SELECT 1", 4), linked);
    drop(second);
}

#[test]
fn a_call_of_a_server_whose_processes_are_not_known_can_be_anybodys() {
    let calls = table();
    let unknown: SocketAddr = "127.0.0.1:3902".parse().unwrap();
    let open = begin(&calls, unknown, operation(1), Traces::default(), 1);
    let ambiguous = |candidates| Some(Link::Ambiguous { candidates });
    assert_eq!(link(&calls, SERVER, "SELECT 1", 2), ambiguous(1));
    let known = begin(&calls, target(), operation(2), Traces::default(), 1);
    assert_eq!(link(&calls, SERVER, "SELECT 1", 2), ambiguous(2));
    calls.served(unknown, Serving::Processes(vec![OTHER]));
    let linked = Some(Link::Process(call(2)));
    assert_eq!(link(&calls, SERVER, "SELECT 1", 2), linked);
    drop((open, known));
}

#[test]
fn a_call_without_an_answer_stays_a_candidate_and_is_forgotten_in_time() {
    let calls = table();
    drop(begin(&calls, target(), operation(1), Traces::default(), 1));
    let second = begin(&calls, target(), operation(2), Traces::default(), 2);
    let ambiguous = Some(Link::Ambiguous { candidates: 2 });
    assert_eq!(link(&calls, SERVER, "SELECT 1", 3), ambiguous);
    let later = UNANSWERED_NS + 2;
    let linked = Some(Link::Process(call(2)));
    assert_eq!(link(&calls, SERVER, "SELECT 1", later), linked);
    second.answered(later);
    assert_eq!(calls.count.load(Ordering::Relaxed), 0);
}

#[test]
fn a_trace_names_its_call_among_many_and_wherever_it_runs() {
    let calls = table();
    let mut open = vec![begin(&calls, elsewhere(), operation(1), traces(), 1)];
    open.extend((2..66).map(|flow| begin(&calls, target(), operation(flow), Traces::default(), 1)));
    let linked = Some(Link::Trace(call(1)));
    assert_eq!(link(&calls, SERVER, &sql(), 2), linked);
    assert_eq!(link(&calls, None, &sql(), 2), linked);
    let other = sql().replace("0af7", "1af7");
    let ambiguous = Some(Link::Ambiguous { candidates: 64 });
    assert_eq!(link(&calls, SERVER, &other, 2), ambiguous);
}

#[test]
fn calls_of_one_trace_are_told_apart_by_the_process_or_not_at_all() {
    let calls = table();
    let nested: SocketAddr = "127.0.0.1:3902".parse().unwrap();
    calls.served(nested, Serving::Processes(vec![OTHER]));
    let outer = begin(&calls, target(), operation(1), traces(), 1);
    let inner = begin(&calls, nested, operation(2), traces(), 1);
    let linked = |flow| Some(Link::Trace(call(flow)));
    assert_eq!(link(&calls, OTHER, &sql(), 2), linked(2));
    assert_eq!(link(&calls, SERVER, &sql(), 2), linked(1));
    let ambiguous = Some(Link::Ambiguous { candidates: 2 });
    assert_eq!(link(&calls, 9, &sql(), 2), ambiguous);
    drop((outer, inner));
}

#[test]
fn what_a_server_does_after_its_answer_is_found_by_its_trace_alone() {
    let calls = table();
    begin(&calls, target(), operation(1), traces(), 1).answered(2);
    let other = begin(&calls, target(), operation(2), Traces::default(), 3);
    assert_eq!(link(&calls, SERVER, &sql(), 4), Some(Link::Trace(call(1))));
    let linked = Some(Link::Process(call(2)));
    assert_eq!(link(&calls, SERVER, "SELECT 1", 4), linked);
    let later = TRACEABLE_NS + 3;
    assert_eq!(link(&calls, SERVER, &sql(), later), linked);
    other.answered(later);
}

#[test]
fn whoever_makes_many_calls_uses_up_its_own_share() {
    let calls = table();
    let many = |now_ns| {
        let open = |flow| {
            let id = operation(flow);
            calls.open(Place::at(elsewhere()), EVE, id, Traces::default(), now_ns)
        };
        (100_000..100_001 + CALLS_MAX as u64)
            .map(open)
            .collect::<Vec<_>>()
    };
    let eves = many(1);
    let one = begin(&calls, target(), operation(1), traces(), 1);
    let linked = Some(Link::Process(call(1)));
    assert_eq!(link(&calls, SERVER, "SELECT 1", 2), linked);
    assert_eq!(link(&calls, OTHER, &sql(), 2), Some(Link::Trace(call(1))));
    // Nor if nobody has seen an answer to any of hers.
    drop(eves);
    assert_eq!(link(&calls, SERVER, "SELECT 1", 3), linked);
    let more = many(3);
    let two = begin(&calls, target(), operation(2), Traces::default(), 3);
    let ambiguous = Some(Link::Ambiguous { candidates: 2 });
    assert_eq!(link(&calls, SERVER, "SELECT 1", 4), ambiguous);
    one.answered(4);
    let linked = Some(Link::Process(call(2)));
    assert_eq!(link(&calls, SERVER, "SELECT 1", 5), linked);
    two.answered(5);
    more.into_iter().for_each(|open| open.answered(5));
    // Hers are forgotten in time, and the table is empty.
    assert_eq!(link(&calls, SERVER, "SELECT 1", 6 + UNANSWERED_NS), None);
    assert_eq!(calls.count.load(Ordering::Relaxed), 0);
}

#[test]
fn of_answered_calls_the_oldest_of_the_same_caller_make_room() {
    let calls = table();
    let first = TraceId::of(&TRACE.replace("0af7", "1af7"));
    let of_first = sql().replace("0af7", "1af7");
    let owned = |owner, flow, trace| {
        let (place, traces) = (Place::at(elsewhere()), Traces::of(None, trace));
        calls
            .open(place, owner, operation(flow), traces, 1)
            .answered(1);
    };
    owned(EVE, 1, TraceId::of(TRACE));
    owned(ADA, 2, first);
    for flow in 3..=SHARE_MAX as u64 + 1 {
        owned(ADA, flow, TraceId::of(TRACE));
    }
    let of_ada = Some(Link::Trace(call(2)));
    assert_eq!(link(&calls, None, &of_first, 2), of_ada);
    owned(ADA, SHARE_MAX as u64 + 2, None);
    assert_eq!(
        link(&calls, None, &of_first, 2),
        None,
        "the oldest has gone"
    );
    // All others are there, and the other caller's above all.
    let candidates = SHARE_MAX as u32;
    let ambiguous = Some(Link::Ambiguous { candidates });
    assert_eq!(link(&calls, None, &sql(), 2), ambiguous);
    assert_eq!(link(&calls, None, &sql(), 2 + TRACEABLE_NS), None);
    assert_eq!(calls.count.load(Ordering::Relaxed), 0);
}

#[test]
fn what_does_not_fit_makes_links_by_process_to_its_server_ambiguous() {
    let calls = table();
    let mut open: Vec<_> = (0..SHARE_MAX as u64)
        .map(|flow| begin(&calls, elsewhere(), operation(flow), Traces::default(), 1))
        .collect();
    let opened = |owner, flow| {
        let place = Place::at(target());
        calls.open(place, owner, operation(flow), Traces::default(), 1)
    };
    let over = opened(ADA, 70_000);
    open.pop().unwrap().answered(1);
    let here = opened(ADA, 70_001);
    let ambiguous = |candidates| Some(Link::Ambiguous { candidates });
    assert_eq!(link(&calls, SERVER, "SELECT 1", 2), ambiguous(2));
    drop(over);
    assert_eq!(link(&calls, SERVER, "SELECT 1", 2), ambiguous(2));
    let later = UNANSWERED_NS + 2;
    let linked = Some(Link::Process(call(70_001)));
    assert_eq!(link(&calls, SERVER, "SELECT 1", later), linked);
    drop(here);
}

#[test]
fn a_started_servers_calls_are_its_processes_and_their_childrens() {
    let calls = table();
    let server = Place::Started(started(800));
    let linked = |process: &Workload, now_ns| {
        let said = Said {
            sql: "SELECT 1",
            session: None,
        };
        calls.link(Some(process), said, now_ns)
    };
    let own = process(800, &[started(10)]);
    let worker = process(802, &[started(801), started(800), started(10)]);
    let successor = ProcessRef {
        pid: 800,
        started_ticks: 6,
    };
    let later = process(803, &[successor]);
    let first = calls.open(server, ADA, operation(1), Traces::default(), 1);
    let by_process = |flow| Some(Link::Process(call(flow)));
    assert_eq!(linked(&own, 2), by_process(1));
    assert_eq!(linked(&worker, 2), by_process(1));
    assert_eq!(linked(&later, 2), None, "of another process of that number");
    assert_eq!(linked(&process(10, &[]), 2), None, "the client itself");
    let second = calls.open(server, ADA, operation(2), Traces::default(), 3);
    let ambiguous = Some(Link::Ambiguous { candidates: 2 });
    assert_eq!(linked(&worker, 4), ambiguous);
    // One that the server itself has started: what it does, it does for its own call.
    let inner = Place::Started(started(801));
    let third = calls.open(inner, ADA, operation(3), Traces::default(), 4);
    assert_eq!(linked(&worker, 5), by_process(3));
    assert_eq!(linked(&own, 5), ambiguous);
    third.answered(5);
    second.answered(5);
    assert_eq!(linked(&worker, 6), by_process(1));
    first.answered(6);
    assert_eq!(linked(&worker, 7), None);
    assert_eq!(calls.count.load(Ordering::Relaxed), 0);
}

#[test]
fn a_trace_in_the_sessions_name_names_a_call_that_is_open_unless_a_comment_has_one() {
    let calls = table();
    let one = begin(&calls, target(), operation(1), traces(), 1);
    let two = begin(&calls, target(), operation(2), Traces::default(), 1);
    assert_eq!(link_named(&calls, SERVER, 2), Some(Link::Trace(call(1))));
    let other = Said {
        sql: &sql().replace("0af7", "1af7"),
        session: TraceId::of(TRACE),
    };
    let ambiguous = Some(Link::Ambiguous { candidates: 2 });
    let workload = process(SERVER, &[]);
    assert_eq!(calls.link(Some(&workload), other, 2), ambiguous);
    // The name stays behind when the connection serves the next call.
    one.answered(3);
    assert_eq!(link_named(&calls, SERVER, 4), ambiguous);
    two.answered(5);
    let ambiguous = Some(Link::Ambiguous { candidates: 1 });
    assert_eq!(link_named(&calls, SERVER, 6), ambiguous);
    assert_eq!(link_named(&calls, SERVER, 6 + TRACEABLE_NS), None);
}

#[test]
fn a_server_is_asked_for_once_in_a_while() {
    let calls = Calls::new();
    assert!(calls.is_to_be_asked(target(), 1));
    assert!(!calls.is_to_be_asked("[::ffff:127.0.0.1]:3901".parse().unwrap(), 2));
    assert!(calls.is_to_be_asked(target(), 1 + SERVING_NS));
}
