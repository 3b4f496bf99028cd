//! One worker in front of a server, with the control tasks that its flows need.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use weir_audit::{
    Append, CommitmentKey, Journal, JournalError, Memory, Position, Receipt, Record, WorkerId,
};
use weir_facts::{ConnectionName, Group, Identity, OperationRef};
use weir_flow::{
    Account, Attribution, Authentication, ClientLogin, ClientTls, Connection, Connections,
    Credential, Durability, Effect, Event, PlanCache, PostgresTarget, Settings, Stale, Target, Tls,
    TlsMode, World,
};
use weir_mask::MaskKey;
use weir_policy::{Bundle, ClockTrust, ConnectionFacts, ConnectionKind, Directory, Snapshot};
use weir_postgres::auth::Verifier;
use zeroize::Zeroizing;

use super::cluster::{Cluster, PASSWORD, binaries};
use crate::control::bed::{CancelKeys, Catalogs, Place, ServerTls};
use crate::relay::{
    BUFFER_BYTES, BufferConfig, FLOWS_MAX, Listener, ListenerKind, Mailbox, OwnAddresses, SPIN_MAX,
    Shared, ToControl, ToWorker, Worker, WorkerConfig,
};
use crate::tls::{AcceptorSource, HostCa};

/// The Weir secret of every account.
pub(super) const SECRET: &str = "weir-secret";

/// How long anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How the server is called.
pub(super) const NAME: &str = "bed-pg";

/// What a record said, as far as tests look at it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) subject: String,
    pub(super) reason: String,
}

/// What a test may change before it starts.
pub(super) struct Setting {
    pub(super) connection: Connection,
    pub(super) authentication: Authentication,
}

/// A guarded port.
pub(super) struct Bed {
    worker: Option<Worker>,
    control: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    pub(super) address: SocketAddr,
    pub(super) ca: PathBuf,
    world: Arc<ArcSwap<World>>,
    inbox: Mailbox<ToWorker>,
    kept: Arc<Mutex<Vec<Kept>>>,
    /// Issuers whose keys were asked for.
    pub(super) wanted: Arc<Mutex<Vec<String>>>,
    state: tempfile::TempDir,
}

struct Recorder {
    journal: Journal<Memory>,
    kept: Arc<Mutex<Vec<Kept>>>,
}

impl Append for Recorder {
    fn append(
        &mut self,
        operation: Option<OperationRef>,
        record: &Record<'_>,
    ) -> Result<Receipt, JournalError> {
        let identity = record.principal.and_then(|who| who.identity.as_ref());
        self.kept.lock().expect("a lock").push(Kept {
            subject: identity.map_or_else(String::new, |who| who.subject.to_string()),
            reason: record.reason.to_owned(),
        });
        self.journal.append(operation, record)
    }
}

fn credential(role: &str) -> Credential {
    Credential {
        role: role.into(),
        password: Zeroizing::new(PASSWORD.to_owned()),
        certificate: None,
        derived: Arc::default(),
    }
}

/// The server as it is registered unless a test says otherwise: no TLS towards it.
pub(super) fn connection(server: SocketAddr) -> Connection {
    let roles = ["app", "old", "clear", "certified", "tls_only"];
    Connection {
        name: ConnectionName::new(NAME),
        addresses: vec![server],
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
            credentials: roles.map(credential).into(),
            default_role: Some("app".into()),
            catalog_role: Some("app".into()),
            database: "postgres".into(),
        }),
    }
}

/// An account with a secret.
pub(super) fn account(name: &str) -> Arc<Account> {
    let identity = Identity {
        issuer: "weir".into(),
        subject: name.into(),
        is_service: false,
        groups: vec![Group("people".into())],
    };
    Arc::new(Account {
        identity: Arc::new(identity),
        scram_verifier: Some(
            Verifier::derive(SECRET, b"sixteen bytes of", 4_096)
                .to_string()
                .into(),
        ),
        has_token: false,
    })
}

fn world(setting: Setting) -> World {
    let policy = "@id(\"all\") permit(principal, action, resource);".to_owned();
    let bundle = Bundle::parse(&[("policies.cedar".to_owned(), policy)]).expect("a bundle");
    let facts = ConnectionFacts::new(
        ConnectionName::new(NAME),
        ConnectionKind::Postgres,
        "test",
        None,
    );
    let names = ["app", "old", "clear", "certified", "tls_only"];
    World {
        version: 1,
        snapshot: Arc::new(Snapshot::compile(
            Arc::new(bundle),
            &[facts.expect("facts")],
            Directory::default(),
        )),
        connections: Connections::new([setting.connection]),
        accounts: names.map(|name| (name.into(), account(name))).into(),
        tokens: HashMap::new(),
        authentication: setting.authentication,
        workloads: Vec::new(),
        locks: Vec::new(),
        mock_key: [2; 32],
        bundle: "test".into(),
        clock: ClockTrust::Trusted,
        settings: Settings {
            durability: Durability::Kept,
            attribution: Attribution::ApplicationName,
            postgres_hold_ns: 1_000_000_000,
            mcp_hold_ns: 1_000_000_000,
            inbox: None,
            not_after_us: u64::MAX,
            stale: Stale::Continue,
        },
    }
}

impl Bed {
    /// Guards a server.
    pub(super) fn start(cluster: &Cluster, change: impl FnOnce(&mut Setting)) -> Self {
        Self::at(cluster.address, change)
    }

    /// Guards whoever listens at an address.
    pub(super) fn at(server: SocketAddr, change: impl FnOnce(&mut Setting)) -> Self {
        let mut setting = Setting {
            connection: connection(server),
            authentication: Authentication::local(),
        };
        change(&mut setting);
        let state = tempfile::tempdir().expect("a directory");
        let now = OffsetDateTime::now_utc();
        let ca = HostCa::open(state.path(), now).expect("a CA");
        let ca_file = state.path().join("shown.crt");
        std::fs::write(&ca_file, ca.certificate_pem()).expect("written");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let mailbox = Mailbox::new(1024).expect("a mailbox");
        let world = Arc::new(ArcSwap::from_pointee(world(setting)));
        let shared = Shared {
            world: Arc::clone(&world),
            tls: Some(Arc::new(
                AcceptorSource::new(ca, Vec::new(), now).expect("a leaf"),
            )),
            origins: None,
            load: None,
            own: Arc::new(OwnAddresses::new([address])),
            control: mailbox.clone(),
            ledger: None,
            meters: Arc::new(weir_flow::Meters::new()),
            tools: Arc::default(),
            calls: Arc::default(),
        };
        let kept = Arc::new(Mutex::new(Vec::new()));
        let worker = Worker::spawn(worker_config(listener, Arc::clone(&kept)), shared);
        let worker = worker.expect("a worker");
        let (stop, wanted) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let tasks = Tasks {
            mailbox,
            inbox: worker.inbox.clone(),
            world: Arc::clone(&world),
            wanted: Arc::clone(&wanted),
            stop: Arc::clone(&stop),
        };
        Self {
            inbox: worker.inbox.clone(),
            control: Some(std::thread::spawn(move || tasks.run())),
            worker: Some(worker),
            stop,
            address,
            ca: ca_file,
            world,
            kept,
            wanted,
            state,
        }
    }

    /// A psql's answer to one statement; `more` is what libpq is told beside host, port and user.
    pub(super) fn psql(&self, user: &str, more: &str, text: &str) -> (String, String) {
        let conninfo = format!(
            "host=127.0.0.1 port={} user={user} dbname=postgres connect_timeout=60 {more}",
            self.address.port()
        );
        let output = Command::new(binaries().join("psql"))
            .args(["-X", "-q", "-A", "-t", "-d", &conninfo, "-c", text])
            .env("PGPASSWORD", SECRET)
            .env("HOME", self.state.path())
            .stdin(Stdio::null())
            .output()
            .expect("psql runs");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    }

    /// Replaces the identity providers, as a push does.
    pub(super) fn push(&self, setting: impl FnOnce(&mut Setting), server: SocketAddr) {
        let mut new = Setting {
            connection: connection(server),
            authentication: Authentication::local(),
        };
        setting(&mut new);
        self.world.store(Arc::new(world(new)));
        assert!(self.inbox.send(ToWorker::WorldChanged).is_ok());
    }

    /// Waits until a record says something.
    pub(super) fn await_record(&self, what: &str, is_it: impl Fn(&Kept) -> bool) -> Kept {
        until(what, || {
            let kept = self.kept.lock().expect("a lock");
            kept.iter().find(|record| is_it(record)).cloned()
        })
    }
}

/// Waits for something, with patience.
pub(super) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn worker_config(listener: TcpListener, kept: Arc<Mutex<Vec<Kept>>>) -> WorkerConfig {
    let journal = Journal::new(
        WorkerId(0),
        Position::START,
        CommitmentKey::new(&[7; 32]),
        Memory::default(),
    );
    WorkerConfig {
        index: 0,
        cpu: None,
        listeners: vec![Listener {
            socket: listener.into(),
            kind: ListenerKind::Explicit(ConnectionName::new(NAME)),
        }],
        buffers: BufferConfig {
            bytes: BUFFER_BYTES,
            count: 64,
        },
        flows_max: FLOWS_MAX,
        spin: SPIN_MAX,
        boot: 1,
        journal: Box::new(Recorder { journal, kept }),
        plans: PlanCache::new(),
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let within = Duration::from_secs(1);
        let _ = self.inbox.send(ToWorker::Drain { within });
        if let Some(worker) = self.worker.take() {
            let _ = worker.thread.join();
        }
        self.stop.store(true, Ordering::Release);
        if let Some(control) = self.control.take() {
            let _ = control.join();
        }
    }
}

/// What the control tasks do of what flows ask, with their own parts.
struct Tasks {
    mailbox: Mailbox<ToControl>,
    inbox: Mailbox<ToWorker>,
    world: Arc<ArcSwap<World>>,
    wanted: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

impl Tasks {
    fn run(self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let catalogs = Catalogs::new(ServerTls);
            let mut cancels = CancelKeys::default();
            while !self.stop.load(Ordering::Acquire) {
                let mut asked = Vec::new();
                self.mailbox.drain(|message| asked.push(message));
                for message in asked {
                    if let ToControl::Effect { flow, effect, .. } = message {
                        self.effect(&catalogs, &mut cancels, Place { worker: 0, flow }, effect);
                    }
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }

    fn effect(
        &self,
        catalogs: &std::rc::Rc<Catalogs>,
        cancels: &mut CancelKeys,
        place: Place,
        effect: Effect,
    ) {
        let tell = |flow, event| {
            let _ = self.inbox.send(ToWorker::Event { flow, event });
        };
        match effect {
            Effect::Catalog {
                connection,
                database,
                stale,
            } => {
                let connection = self.world.load().connections.named(&connection).cloned();
                let (catalogs, inbox) = (catalogs.clone(), self.inbox.clone());
                tokio::task::spawn_local(async move {
                    let connection = connection.expect("registered");
                    let cell = catalogs.cell(&connection, &database, stale).await;
                    let cell = cell.map_err(|error| format!("{error:#}"));
                    let event = Event::Catalog(cell);
                    let flow = place.flow;
                    let _ = inbox.send(ToWorker::Event { flow, event });
                });
            }
            Effect::OfferCancelKey(key) => cancels.offer(key, place),
            Effect::RouteCancel(key) => {
                let (to, event) = cancels.route(&key, place);
                tell(to.flow, event);
            }
            Effect::AnswerCancel { asker, cancel } => {
                let notice = cancels.answer(asker, place.flow, cancel);
                notice
                    .into_iter()
                    .for_each(|(to, event)| tell(to.flow, event));
            }
            Effect::RefreshKeys(issuer) => {
                self.wanted.lock().expect("a lock").push(issuer.to_string());
            }
            Effect::ReportTools(_) => {}
            other => panic!("no test asks for {other:?}"),
        }
    }
}
