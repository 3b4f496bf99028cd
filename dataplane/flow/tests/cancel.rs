//! Cancels: by whose key, by which way, and when the client may go on.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use support::Raw;
use support::cluster::{Cluster, bin};
use support::world::{SCHEMA, error, guard, world_at};
use weir_audit::{CommitmentKey, Journal, Memory, Position, WorkerId};
use weir_facts::{ConnectionName, FlowId, Now, Side};
use weir_flow::{
    Arrival, Calls, CancelKey, Effect, Env, Event, Flow, Meters, Outbox, Piece, PlanCache,
    SeenTools, ServerCancel, Start, World,
};

/// The code of a CancelRequest (protocol, "Message Formats").
const CANCEL: u32 = 80_877_102;

/// A CancelRequest with a process and its key, as BackendKeyData has them.
fn cancel(key: &[u8]) -> Vec<u8> {
    let length = u32::try_from(key.len() + 8).expect("short");
    [&length.to_be_bytes(), &CANCEL.to_be_bytes(), key].concat()
}

/// Sends a CancelRequest, and waits for the end that says that it has arrived.
fn send(port: u16, key: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    stream.write_all(&cancel(key)).expect("sent");
    let _ = stream.read_to_end(&mut Vec::new());
}

/// A session of the server's own that lets nobody read `scratch` until it is over.
struct Holder(Child);

impl Holder {
    fn begin(cluster: &Cluster) -> Self {
        let port = cluster.address.port().to_string();
        let mut psql = Command::new(bin().join("psql"))
            .args(["-X", "-q", "-h", "127.0.0.1", "-U", "postgres", "-p", &port])
            .arg("postgres")
            .env("PGPASSWORD", "secret")
            .stdin(Stdio::piped())
            .spawn()
            .expect("psql runs");
        let input = psql.stdin.as_mut().expect("an input");
        let lock = b"BEGIN; LOCK TABLE scratch IN ACCESS EXCLUSIVE MODE;\n";
        input.write_all(lock).expect("written");
        await_locks(cluster, "granted AND mode = 'AccessExclusiveLock'");
        Self(psql)
    }

    /// The end of its input is its end.
    fn end(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("it ends");
    }
}

/// Waits until there is a lock on `scratch` of which this is true.
fn await_locks(cluster: &Cluster, what: &str) {
    let text =
        format!("SELECT count(*) FROM pg_locks WHERE relation = 'scratch'::regclass AND {what}");
    let begun = Instant::now();
    while cluster.sql("postgres", &text) != "1\n" {
        assert!(begun.elapsed().as_secs() < 60, "no lock: {what}");
    }
}

#[test]
fn the_key_that_a_client_has_ends_its_statement_at_weir_and_nothing_at_the_server() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let guard = guard(&cluster, &["engineering"]);
    let (mut raw, said) = Raw::opened(guard.port, "app");
    let (_, key) = said.iter().find(|(tag, _)| *tag == b'K').expect("a key");
    let mut unknown = key.clone();
    unknown.iter_mut().skip(4).for_each(|byte| *byte ^= 0x55);
    for (port, key, ended) in [
        (cluster.address.port(), key, ""),
        (guard.port, &unknown, ""),
        (guard.port, key, "57014"),
    ] {
        let holder = Holder::begin(&cluster);
        raw.send(&Raw::frame(b'Q', b"SELECT count(*) FROM scratch\0"));
        await_locks(&cluster, "NOT granted");
        // Its end says that whoever it may concern was signalled.
        send(port, key);
        if ended.is_empty() {
            holder.end();
            assert_eq!(error(&raw.until(b'Z')), "");
        } else {
            let said = error(&raw.until(b'Z'));
            assert!(said.contains(ended), "{said}");
            holder.end();
        }
    }
}

/// A flow by which a CancelRequest has come, for a session at `target`.
struct Cancelling {
    flow: Flow,
    world: Arc<World>,
    journal: Journal<Memory>,
    plans: PlanCache,
    calls: Arc<Calls>,
}

const NOW: Now = Now {
    mono_ns: 1,
    unix_us: 1_700_000_000_000_000,
};

impl Cancelling {
    fn begin(own: SocketAddr) -> Self {
        let world = Arc::new(world_at(own));
        let arrival = Arrival {
            source: "127.0.0.1:50000".parse().expect("an address"),
            target: own,
            connection: Some(ConnectionName::new("demo-pg")),
            workload: None,
            program: None,
        };
        let start = Start {
            id: FlowId(7),
            arrival,
            world: world.clone(),
            now: NOW,
        };
        let key = CommitmentKey::new(&[1; 32]);
        let mut cancelling = Self {
            flow: Flow::new(start),
            world,
            journal: Journal::new(WorkerId(0), Position::START, key, Memory::default()),
            plans: PlanCache::new(),
            calls: Arc::new(Calls::new()),
        };
        let begun = cancelling.call(|flow, env| flow.begin(env));
        assert!(matches!(begun.effects.as_slice(), [Effect::Dial { .. }]));
        cancelling.event(Event::Dialed);
        let mut request = cancel(&[0, 0, 0, 9, 1, 2, 3, 4]);
        let asked = cancelling.call(|flow, env| {
            flow.handle_bytes(env, Side::Client, &mut request);
        });
        let [Effect::RouteCancel(CancelKey(key))] = asked.effects.as_slice() else {
            panic!("{asked:?}");
        };
        assert_eq!(**key, [0, 0, 0, 9, 1, 2, 3, 4]);
        cancelling
    }

    fn call(&mut self, act: impl FnOnce(&mut Flow, &mut Env<'_>)) -> Outbox {
        let mut out = Outbox::default();
        let mut random = |bytes: &mut [u8]| bytes.fill(9);
        let mut env = Env {
            now: NOW,
            out: &mut out,
            world: &self.world,
            journal: &mut self.journal,
            random: &mut random,
            plans: &mut self.plans,
            meters: &Meters::new(),
            tools: &SeenTools::new(),
            calls: &self.calls,
        };
        act(&mut self.flow, &mut env);
        out
    }

    fn event(&mut self, event: Event) -> Outbox {
        self.call(|flow, env| flow.handle_event(env, event))
    }

    fn eof(&mut self, side: Side) -> Outbox {
        self.call(|flow, env| flow.handle_eof(env, side))
    }
}

fn is_over(out: &Outbox) -> bool {
    out.to_client.contains(&Piece::Shutdown) && matches!(out.effects.last(), Some(Effect::Finished))
}

const REQUEST: &[u8] = b"the server's own";

fn at(target: SocketAddr) -> Event {
    Event::CancelRouted(Some(ServerCancel {
        target,
        request: REQUEST.into(),
    }))
}

#[test]
fn a_cancel_goes_by_its_own_connection_and_is_over_when_the_server_says_so() {
    let here = "127.0.0.1:5432".parse().expect("an address");
    let mut cancelling = Cancelling::begin(here);
    let out = cancelling.event(at(here));
    assert_eq!(out.to_server, [Piece::Bytes(REQUEST.into())]);
    // Whoever hears of its end runs the next statement, which is not meant.
    assert!(
        out.to_client.is_empty() && out.effects.is_empty(),
        "{out:?}"
    );
    // Many clients do not wait.
    let out = cancelling.eof(Side::Client);
    assert!(
        out.to_server.is_empty() && out.effects.is_empty(),
        "{out:?}"
    );
    assert!(is_over(&cancelling.eof(Side::Server)));
    // A server that never ends it is not waited for for ever.
    let mut cancelling = Cancelling::begin(here);
    cancelling.event(at(here));
    assert!(cancelling.flow.deadline().is_some());
    let out = cancelling.call(|flow, env| flow.handle_timeout(env));
    assert!(is_over(&out), "{out:?}");
}

#[test]
fn a_cancel_of_a_session_elsewhere_goes_there_and_not_to_this_server() {
    let here = "127.0.0.1:5432".parse().expect("an address");
    let there = "127.0.0.2:5432".parse().expect("an address");
    let out = Cancelling::begin(here).event(at(there));
    let sent = |effect: &Effect| matches!(effect, Effect::SendCancel(cancel) if cancel.target == there && &*cancel.request == REQUEST);
    assert!(out.effects.iter().any(sent) && is_over(&out), "{out:?}");
    let is_bytes = |piece: &Piece| matches!(piece, Piece::Bytes(_));
    assert!(!out.to_server.iter().any(is_bytes), "{out:?}");
    // A key of nobody's: the server hears nothing.
    let out = Cancelling::begin(here).event(Event::CancelRouted(None));
    assert!(
        is_over(&out) && !out.to_server.iter().any(is_bytes),
        "{out:?}"
    );
}
