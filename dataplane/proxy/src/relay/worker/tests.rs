//! A worker with the real flow: real sockets, a real ring, a server that only accepts.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use time::OffsetDateTime;
use weir_audit::{
    CommitmentKey, Journal, JournalError, Kind, Memory, Position, Receipt, Record, WorkerId,
};
use weir_facts::{ConnectionName, Digest, OperationRef, ProcessRef, Workload};
use weir_flow::{
    Attribution, Authentication, Carrier, ClientLogin, ClientTls, Connection, Connections,
    Credential, Durability, McpAuthorization, McpTarget, PostgresTarget, Program, Settings, Stale,
    Target, Tls, TlsMode, ToolPins,
};
use weir_mask::MaskKey;
use weir_policy::{Bundle, ClockTrust, ConnectionFacts, ConnectionKind, Directory, Snapshot};
use zeroize::Zeroizing;

use super::super::limits::{BUFFER_BYTES, FLOWS_MAX, SPIN_MAX};
use super::super::pool::BufferConfig;
use super::*;
use crate::tls::{AcceptorSource, HostCa, provider};

/// Keeps records, and their kinds for the test.
struct Recorder {
    journal: Journal<Memory>,
    kinds: Arc<Mutex<Vec<Kind>>>,
}

impl Append for Recorder {
    fn append(
        &mut self,
        operation: Option<OperationRef>,
        record: &Record<'_>,
    ) -> Result<Receipt, JournalError> {
        self.kinds.lock().expect("a lock").push(record.kind);
        self.journal.append(operation, record)
    }
}

/// One worker with a redirect listener and explicit ones for `servers`.
struct Rig {
    worker: Option<Worker>,
    explicit: Vec<SocketAddr>,
    redirect: SocketAddr,
    ca: String,
    kinds: Arc<Mutex<Vec<Kind>>>,
    control: Mailbox<ToControl>,
    world: Arc<ArcSwap<World>>,
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn connection(name: &str, address: SocketAddr) -> Connection {
    let credential = Credential {
        role: "app".into(),
        password: Zeroizing::new("secret".to_owned()),
        derived: Arc::default(),
        certificate: None,
    };
    Connection {
        name: ConnectionName::new(name),
        addresses: vec![address],
        tls: Tls {
            mode: TlsMode::Disable,
            ca_pem: "".into(),
            server_name: None,
        },
        client_tls: ClientTls::Optional,
        login: ClientLogin::by_account(),
        attribution: Attribution::ApplicationName,
        mask_key: MaskKey::new([1; 32]),
        target: Target::Postgres(PostgresTarget {
            credentials: vec![credential],
            default_role: None,
            catalog_role: None,
            database: "postgres".into(),
        }),
    }
}

fn world(connections: Vec<Connection>) -> World {
    world_of("", connections)
}

fn world_of(policy: &str, connections: Vec<Connection>) -> World {
    let bundle =
        Bundle::parse(&[("policies.cedar".to_owned(), policy.to_owned())]).expect("a bundle");
    let facts = |connection: &Connection| {
        let kind = match &connection.target {
            Target::Postgres(_) => ConnectionKind::Postgres,
            Target::Mcp(_) => ConnectionKind::Mcp,
        };
        ConnectionFacts::new(connection.name.clone(), kind, "test", None).expect("facts")
    };
    let facts: Vec<_> = connections.iter().map(facts).collect();
    World {
        version: 1,
        snapshot: Arc::new(Snapshot::compile(
            Arc::new(bundle),
            &facts,
            Directory::default(),
        )),
        connections: Connections::new(connections),
        accounts: HashMap::new(),
        tokens: HashMap::new(),
        authentication: Authentication::local(),
        workloads: Vec::new(),
        locks: Vec::new(),
        mock_key: [2; 32],
        bundle: "test".into(),
        clock: ClockTrust::Trusted,
        settings: Settings {
            durability: Durability::Kept,
            attribution: Attribution::Off,
            postgres_hold_ns: 1_000_000_000,
            mcp_hold_ns: 1_000_000_000,
            inbox: None,
            not_after_us: u64::MAX,
            stale: Stale::Continue,
        },
    }
}

impl Rig {
    /// Explicit listeners for each server, where `None` is a name that nobody registered.
    fn new(servers: &[Option<SocketAddr>]) -> Self {
        Self::with_own(servers, &[])
    }

    /// A registered server whose address is one of our own listeners'.
    fn looping() -> Self {
        let server = silent_server();
        Self::with_own(&[Some(server)], &[server])
    }

    fn with_own(servers: &[Option<SocketAddr>], more: &[SocketAddr]) -> Self {
        let state = tempfile::tempdir().expect("a directory");
        let now = OffsetDateTime::now_utc();
        let ca = HostCa::open(state.path(), now).expect("a CA");
        let pem = ca.certificate_pem();
        let tls = AcceptorSource::new(ca, Vec::new(), now).expect("a leaf");
        let (redirect, redirect_address) = listener();
        let mut listeners = vec![Listener {
            socket: redirect.into(),
            kind: ListenerKind::Redirect,
        }];
        let (mut explicit, mut connections) = (Vec::new(), Vec::new());
        for (number, server) in servers.iter().enumerate() {
            let (socket, address) = listener();
            let name = format!("server-{number}");
            connections.extend(server.map(|server| connection(&name, server)));
            let kind = ListenerKind::Explicit(ConnectionName::new(&name));
            listeners.push(Listener {
                socket: socket.into(),
                kind,
            });
            explicit.push(address);
        }
        let kinds = Arc::new(Mutex::new(Vec::new()));
        let journal = Journal::new(
            WorkerId(0),
            Position::START,
            CommitmentKey::new(&[7; 32]),
            Memory::default(),
        );
        let control = Mailbox::new(1024).expect("a mailbox");
        let own = explicit
            .iter()
            .copied()
            .chain([redirect_address])
            .chain(more.iter().copied());
        let shared = Shared {
            world: Arc::new(ArcSwap::from_pointee(world(connections))),
            tls: Some(Arc::new(tls)),
            origins: None,
            load: None,
            own: Arc::new(OwnAddresses::new(own)),
            meters: Arc::new(Meters::new()),
            tools: Arc::default(),
            calls: Arc::default(),
            control: control.clone(),
            ledger: None,
        };
        let config = WorkerConfig {
            index: 0,
            cpu: None,
            listeners,
            buffers: BufferConfig {
                bytes: BUFFER_BYTES,
                count: 64,
            },
            flows_max: FLOWS_MAX,
            spin: SPIN_MAX,
            boot: 1,
            journal: Box::new(Recorder {
                journal,
                kinds: Arc::clone(&kinds),
            }),
            plans: PlanCache::new(),
        };
        let world = Arc::clone(&shared.world);
        let worker = Some(Worker::spawn(config, shared).expect("a worker"));
        Self {
            world,
            worker,
            explicit,
            redirect: redirect_address,
            ca: pem,
            kinds,
            control,
        }
    }

    fn tell(&self, message: ToWorker) {
        let worker = self.worker.as_ref().expect("it runs");
        assert!(worker.inbox.send(message).is_ok(), "the inbox is full");
    }

    fn counters(&self) -> &Counters {
        &self.worker.as_ref().expect("it runs").counters
    }

    fn stop(&mut self) {
        let Some(worker) = self.worker.take() else {
            return;
        };
        let drain = ToWorker::Drain {
            within: Duration::from_secs(1),
        };
        assert!(worker.inbox.send(drain).is_ok());
        worker
            .thread
            .join()
            .expect("no panic")
            .expect("a clean end");
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a socket");
    stream
}

fn is_reset(address: SocketAddr) -> bool {
    let error = connect(address).read(&mut [0; 1]).err();
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

/// A server that accepts and keeps what it accepted.
fn silent_server() -> SocketAddr {
    let (listener, address) = listener();
    std::thread::spawn(move || listener.incoming().flatten().collect::<Vec<_>>());
    address
}

#[test]
fn a_socket_that_the_kernel_did_not_redirect_is_reset_and_counted() {
    let mut rig = Rig::new(&[]);
    assert!(is_reset(rig.redirect));
    assert_eq!(rig.counters().without_facts.value(), 1);
    rig.stop();
}

#[test]
fn a_connection_bound_for_one_of_our_own_listeners_is_reset_and_counted() {
    let mut rig = Rig::looping();
    assert!(is_reset(rig.explicit[0]));
    assert_eq!(rig.counters().loops.value(), 1);
    rig.stop();
}

#[test]
fn a_destination_that_nobody_registered_is_refused_in_a_record_and_reset() {
    let mut rig = Rig::new(&[None]);
    assert!(is_reset(rig.explicit[0]));
    assert_eq!(*rig.kinds.lock().expect("a lock"), [Kind::Refusal]);
    rig.stop();
}

#[test]
fn a_refused_dial_is_a_reset_to_the_client() {
    let (listener, nobody) = listener();
    drop(listener);
    let mut rig = Rig::new(&[Some(nobody)]);
    assert!(is_reset(rig.explicit[0]));
    assert_eq!(rig.counters().dial_failures.value(), 1);
    rig.stop();
}

#[test]
fn an_ssl_request_is_answered_with_s_and_a_handshake_that_verifies_fully() {
    let mut rig = Rig::new(&[Some(silent_server())]);
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(rig.ca.as_bytes()).expect("the CA"))
        .expect("a root");
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client =
        rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().expect("a name"))
            .expect("a client");
    let mut stream = connect(rig.explicit[0]);
    stream
        .write_all(&[0, 0, 0, 8, 4, 210, 22, 47])
        .expect("an SSLRequest");
    let mut answer = [0; 1];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"S");
    while client.is_handshaking() {
        client.complete_io(&mut stream).expect("a handshake");
    }
    rig.stop();
}

#[test]
fn flows_end_with_their_clients_and_the_control_tasks_are_told() {
    let mut rig = Rig::new(&[Some(silent_server())]);
    let streams: Vec<_> = (0..200).map(|_| connect(rig.explicit[0])).collect();
    let wait = |wanted: u64| {
        let begun = Instant::now();
        while rig.counters().flows.value() != wanted {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "{} flows",
                rig.counters().flows.value()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait(200);
    drop(streams);
    wait(0);
    let mut ended = 0;
    rig.control
        .drain(|message| ended += u32::from(matches!(message, ToControl::Ended { .. })));
    assert_eq!(ended, 200);
    rig.stop();
}

#[test]
fn a_drained_worker_ends_in_time_and_cuts_who_stays() {
    let mut rig = Rig::new(&[Some(silent_server())]);
    let mut stream = connect(rig.explicit[0]);
    stream.write_all(&[0]).expect("a byte");
    std::thread::sleep(Duration::from_millis(50));
    let begun = Instant::now();
    rig.stop();
    assert!(begun.elapsed() < Duration::from_secs(3));
    // The flow may say why in its protocol's words; then the stream ends, one way or the other.
    let end = stream.read_to_end(&mut Vec::new());
    assert!(end.is_ok() || end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
}

/// A server that its clients start.
fn started(name: &str) -> Connection {
    Connection {
        addresses: Vec::new(),
        target: Target::Mcp(McpTarget {
            carrier: Carrier::Stdio,
            credential: None,
            authorization: McpAuthorization::Weir { resource: None },
            tools: ToolPins::none(),
        }),
        ..connection(name, SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

/// Hands a flow over; what is left are the client's end and the server's.
fn hand(rig: &Rig, connection: &str) -> (UnixStream, UnixStream) {
    let pair = || {
        let (ours, theirs) = UnixStream::pair().expect("two sockets");
        ours.set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a socket");
        (ours, theirs)
    };
    let ((client, its_client), (server, its_server)) = (pair(), pair());
    rig.tell(ToWorker::Handed(Box::new(Both {
        client: its_client.into(),
        server: its_server.into(),
        connection: ConnectionName::new(connection),
        caller: Arc::new(Workload {
            name: "agent".into(),
            groups: Vec::new(),
            owner: None,
            uid: 1000,
            gid: 1000,
            pid: 7,
            cgroup: "/agents".into(),
            executable: "/usr/bin/weir".into(),
            executable_digest: None,
            lineage: Arc::default(),
        }),
        program: Arc::new(Program {
            executable: "/usr/bin/node".into(),
            executable_digest: None,
            process: ProcessRef {
                pid: 8,
                started_ticks: 1,
            },
            arguments_digest: Digest([1; 32]),
            started_by: "".into(),
        }),
    })));
    (client, server)
}

fn read_until(stream: &mut UnixStream, end: &str) -> String {
    let (mut said, mut chunk) = (Vec::new(), [0; 1024]);
    while !String::from_utf8_lossy(&said).contains(end) {
        let read = stream.read(&mut chunk).expect("more to read");
        assert!(
            read > 0,
            "it ended after {:?}",
            String::from_utf8_lossy(&said)
        );
        said.extend_from_slice(&chunk[..read]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn post() -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{PING}",
        PING.len()
    )
}

#[test]
fn a_flow_that_is_handed_over_runs_between_its_two_links() {
    let mut rig = Rig::new(&[]);
    let permit_all = "@id(\"all\") permit(principal, action, resource);";
    rig.world
        .store(Arc::new(world_of(permit_all, vec![started("files")])));
    rig.tell(ToWorker::WorldChanged);
    let (mut client, mut server) = hand(&rig, "files");
    client.write_all(post().as_bytes()).expect("a request");
    let asked = read_until(&mut server, PING);
    assert!(asked.starts_with("POST /mcp HTTP/1.1\r\nHost: localhost\r\n"));
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 36\r\n\r\n";
    server
        .write_all(format!("{head}{answer}").as_bytes())
        .expect("an answer");
    assert!(read_until(&mut client, answer).starts_with("HTTP/1.1 200 OK"));
    drop(server);
    assert_eq!(client.read(&mut [0]).expect("an end"), 0);
    rig.stop();
}

#[test]
fn a_flow_that_is_handed_over_never_reaches_a_server_with_an_address() {
    let (listener, address) = listener();
    listener.set_nonblocking(true).expect("a socket");
    let mut rig = Rig::new(&[Some(address)]);
    let refused = ["server-0", "nobody"].map(|name| {
        let (mut client, mut server) = hand(&rig, name);
        let end = |stream: &mut UnixStream| stream.read(&mut [0]).expect("an end");
        (end(&mut client), end(&mut server))
    });
    assert_eq!(refused, [(0, 0); 2]);
    assert!(listener.accept().is_err(), "nobody was dialled");
    let kinds = rig.kinds.lock().expect("a lock").clone();
    assert_eq!(kinds, [Kind::Refusal, Kind::Refusal]);
    rig.stop();
}
