//! A small relay over real sockets: what the proxy does with rings, done with threads, so
//! that a flow can be tested against a real server and real clients.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod cluster;
pub(crate) mod world;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use weir_audit::{
    Append, CommitmentKey, Journal, JournalError, Memory, Position, Receipt, Record, WorkerId,
};
use weir_facts::{ApprovalId, ConnectionName, FlowId, Now, OperationRef, Side, Workload};
use weir_flow::{
    ApprovalRequest, Arrival, Calls, CancelKey, CatalogCell, Decision, Effect, Env, Event, Flow,
    Meters, Outbox, Piece, PlanCache, SeenTools, Start, World,
};

/// What people answer to a request for approval.
pub(crate) type People = dyn Fn(&ApprovalRequest) -> Decision + Send + Sync;

/// A kept record, as far as tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) kind: weir_audit::Kind,
    pub(crate) verdict: String,
    pub(crate) outcome: String,
    pub(crate) summary: String,
    pub(crate) masked: Vec<(String, String)>,
    pub(crate) accesses: Vec<String>,
    pub(crate) reason: String,
    pub(crate) rows: u64,
}

/// A guarded port in front of a server.
pub(crate) struct Guard {
    pub(crate) port: u16,
    pub(crate) world: Arc<RwLock<Arc<World>>>,
    pub(crate) kept: Arc<Mutex<Vec<Kept>>>,
    /// How often the catalogue was read.
    pub(crate) readings: Arc<AtomicU32>,
    /// How often a flow has waited for its records to be synced.
    pub(crate) syncs: Arc<AtomicU32>,
    /// While it is set, nobody decides what is asked.
    pub(crate) is_silent: Arc<AtomicBool>,
    /// While it is set, no cancel reaches the server.
    pub(crate) is_deaf: Arc<AtomicBool>,
    /// Requests that were given up.
    pub(crate) withdrawn: Arc<Mutex<Vec<ApprovalId>>>,
    /// Bytes that a flow is offered at a time; 0 for as many as have come.
    pub(crate) cut: Arc<AtomicUsize>,
    /// The flow, counted from 1, that hears nothing more of its server.
    pub(crate) muted: Arc<AtomicU32>,
}

/// What every flow of a guard shares.
struct Shared {
    world: Arc<RwLock<Arc<World>>>,
    kept: Arc<Mutex<Vec<Kept>>>,
    readings: Arc<AtomicU32>,
    syncs: Arc<AtomicU32>,
    is_silent: Arc<AtomicBool>,
    is_deaf: Arc<AtomicBool>,
    withdrawn: Arc<Mutex<Vec<ApprovalId>>>,
    cut: Arc<AtomicUsize>,
    muted: Arc<AtomicU32>,
    people: Box<People>,
    server: SocketAddr,
    connection: ConnectionName,
    workload: Option<Arc<Workload>>,
    meters: Meters,
    tools: SeenTools,
    pub(crate) calls: Arc<Calls>,
    /// Which session is cancelled by which key.
    offered: Mutex<HashMap<CancelKey, Sender<Message>>>,
    /// Who waits for what a cancel leads to.
    cancelling: Mutex<HashMap<FlowId, Sender<Message>>>,
    /// What all flows know of a database, as in the proxy.
    cells: Mutex<HashMap<Arc<str>, Arc<CatalogCell>>>,
}

impl Shared {
    fn cell(&self, world: &World, database: &Arc<str>) -> Result<Arc<CatalogCell>, String> {
        let mut cells = self.cells.lock().expect("unpoisoned");
        let changes = cells.get(database).map_or(0, |cell| cell.changes());
        let connection = world
            .connections
            .named(&self.connection)
            .expect("registered");
        let catalog = Arc::new(cluster::catalog(connection, database)?);
        Ok(match cells.get(database) {
            Some(cell) => {
                cell.store(catalog, changes);
                cell.clone()
            }
            None => {
                let cell = Arc::new(CatalogCell::new(catalog));
                cells.insert(database.clone(), cell.clone());
                cell
            }
        })
    }
}

impl Guard {
    /// Guards `server`, registered as `connection`, for callers attested as `workload`.
    pub(crate) fn start(
        server: SocketAddr,
        connection: &str,
        world: World,
        workload: Option<Workload>,
        people: Box<People>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let world = Arc::new(RwLock::new(Arc::new(world)));
        let kept = Arc::new(Mutex::new(Vec::new()));
        let readings = Arc::new(AtomicU32::new(0));
        let syncs = Arc::new(AtomicU32::new(0));
        let is_silent = Arc::new(AtomicBool::new(false));
        let is_deaf = Arc::new(AtomicBool::new(false));
        let withdrawn = Arc::new(Mutex::new(Vec::new()));
        let cut = Arc::new(AtomicUsize::new(0));
        let muted = Arc::new(AtomicU32::new(0));
        let shared = Arc::new(Shared {
            world: world.clone(),
            kept: kept.clone(),
            readings: readings.clone(),
            syncs: syncs.clone(),
            is_silent: is_silent.clone(),
            is_deaf: is_deaf.clone(),
            withdrawn: withdrawn.clone(),
            cut: cut.clone(),
            muted: muted.clone(),
            people,
            server,
            connection: ConnectionName::new(connection),
            workload: workload.map(Arc::new),
            meters: Meters::new(),
            tools: SeenTools::new(),
            calls: Arc::new(Calls::new()),
            offered: Mutex::default(),
            cancelling: Mutex::default(),
            cells: Mutex::default(),
        });
        thread::spawn(move || {
            for (id, client) in listener.incoming().flatten().enumerate() {
                let shared = shared.clone();
                thread::spawn(move || Relay::new(&shared, client, id as u64 + 1).run());
            }
        });
        Self {
            port,
            world,
            kept,
            readings,
            syncs,
            is_silent,
            is_deaf,
            withdrawn,
            cut,
            muted,
        }
    }
}

/// The bodies of frames, as text.
pub(crate) fn text_of(frames: Vec<(u8, Vec<u8>)>) -> String {
    let bodies: Vec<u8> = frames.into_iter().flat_map(|(_, body)| body).collect();
    String::from_utf8_lossy(&bodies).into_owned()
}

/// A client that says what no driver says.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn open(port: u16, user: &str) -> Self {
        Self::opened(port, user).0
    }

    /// The same, with what the server says while it is opened.
    pub(crate) fn opened(port: u16, user: &str) -> (Self, Vec<(u8, Vec<u8>)>) {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
        let patience = Some(std::time::Duration::from_secs(60));
        stream.set_read_timeout(patience).expect("a timeout");
        let mut raw = Self(stream);
        let body = format!("\0\x03\0\0user\0{user}\0database\0postgres\0\0");
        let length = u32::try_from(body.len() + 4).expect("short");
        raw.send(&[&length.to_be_bytes(), body.as_bytes()].concat());
        let said = raw.until(b'Z');
        (raw, said)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("sent");
    }

    pub(crate) fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("short");
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    /// Everything that is said to a Query.
    pub(crate) fn ask(&mut self, text: &str) -> String {
        self.send(&Self::frame(b'Q', format!("{text}\0").as_bytes()));
        text_of(self.until(b'Z'))
    }

    /// Reads up to a frame of this type; returns the types and bodies before it.
    pub(crate) fn until(&mut self, last: u8) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        loop {
            let mut header = [0; 5];
            self.0
                .read_exact(&mut header)
                .unwrap_or_else(|error| panic!("{error} after {frames:?}"));
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
            let mut body = vec![0; length - 4];
            self.0.read_exact(&mut body).expect("a body");
            frames.push((header[0], body));
            if header[0] == last {
                return frames;
            }
        }
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut bytes = Vec::new();
        // A reset is an end as well.
        let _ = self.0.read_to_end(&mut bytes);
        let mut frames = Vec::new();
        let mut rest = &bytes[..];
        while let [tag, a, b, c, d, tail @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4;
            let (body, next) = tail.split_at(length.min(tail.len()));
            frames.push((*tag, body.to_vec()));
            rest = next;
        }
        frames
    }
}

/// All flows have one clock, as in one proxy.
static BEGUN: OnceLock<Instant> = OnceLock::new();

enum Message {
    Bytes(Side, Vec<u8>),
    Eof(Side),
    Event(Event),
}

struct Relay<'a> {
    id: u64,
    shared: &'a Shared,
    client: TcpStream,
    server: Option<TcpStream>,
    flow: Flow,
    parked: [Vec<u8>; 2],
    ended: [bool; 2],
    inbox: Receiver<Message>,
    sender: Sender<Message>,
    journal: Recorder<'a>,
    plans: PlanCache,
    begun: Instant,
    finished: bool,
}

struct Recorder<'a> {
    journal: Journal<Memory>,
    kept: &'a Mutex<Vec<Kept>>,
}

impl Append for Recorder<'_> {
    fn append(
        &mut self,
        op: Option<OperationRef>,
        record: &Record<'_>,
    ) -> Result<Receipt, JournalError> {
        self.kept.lock().expect("unpoisoned").push(Kept {
            kind: record.kind,
            verdict: record.verdict.to_owned(),
            outcome: record.outcome.to_owned(),
            summary: record.summary.to_owned(),
            reason: record.reason.to_owned(),
            rows: record.rows,
            accesses: record
                .accesses
                .iter()
                .map(|(action, id)| format!("{action} {id}"))
                .collect(),
            masked: record
                .masked
                .iter()
                .map(|(column, rule)| ((*column).to_owned(), (*rule).to_owned()))
                .collect(),
        });
        self.journal.append(op, record)
    }
}

impl<'a> Relay<'a> {
    fn new(shared: &'a Shared, client: TcpStream, id: u64) -> Self {
        let (sender, inbox) = channel();
        let arrival = Arrival {
            source: client.peer_addr().expect("connected"),
            target: shared.server,
            connection: Some(shared.connection.clone()),
            workload: shared.workload.clone(),
            program: None,
        };
        let begun = *BEGUN.get_or_init(Instant::now);
        let world = shared.world.read().expect("unpoisoned").clone();
        let start = Start {
            id: FlowId(id),
            arrival,
            world,
            now: now(begun),
        };
        let journal = Journal::new(
            WorkerId(0),
            Position::START,
            CommitmentKey::new(&[7; 32]),
            Memory::default(),
        );
        read_side(Side::Client, &client, &sender);
        Self {
            id,
            shared,
            client,
            server: None,
            flow: Flow::new(start),
            parked: [Vec::new(), Vec::new()],
            ended: [false; 2],
            inbox,
            sender,
            journal: Recorder {
                journal,
                kept: &shared.kept,
            },
            plans: PlanCache::new(),
            begun,
            finished: false,
        }
    }

    fn run(&mut self) {
        self.call(&mut [], |flow, env, _| flow.begin(env));
        while !self.finished {
            let Ok(message) = self.inbox.recv() else {
                return;
            };
            match message {
                Message::Bytes(Side::Server, _)
                    if u64::from(self.shared.muted.load(Ordering::SeqCst)) == self.id => {}
                Message::Bytes(side, bytes) => {
                    let cut = match self.shared.cut.load(Ordering::Relaxed) {
                        0 => bytes.len(),
                        cut => cut,
                    };
                    for piece in bytes.chunks(cut) {
                        self.parked[index(side)].extend_from_slice(piece);
                        self.offer();
                    }
                }
                Message::Eof(side) => self.end(side),
                Message::Event(event) => {
                    self.call(&mut [], |flow, env, _| flow.handle_event(env, event))
                }
            }
            self.offer();
            for side in [Side::Client, Side::Server] {
                if self.ended[index(side)] && self.parked[index(side)].is_empty() {
                    self.end(side);
                }
            }
        }
        let _ = self.client.shutdown(Shutdown::Write);
        if let Some(server) = &self.server {
            let _ = server.shutdown(Shutdown::Both);
        }
    }

    /// A side sends no more; its end is told once everything was taken.
    fn end(&mut self, side: Side) {
        self.ended[index(side)] = !self.parked[index(side)].is_empty();
        if self.ended[index(side)] {
            let event = Event::HungUp { side };
            self.call(&mut [], |flow, env, _| flow.handle_event(env, event));
        } else {
            self.call(&mut [], |flow, env, _| flow.handle_eof(env, side));
        }
    }

    /// Offers what is parked until neither side gets on.
    fn offer(&mut self) {
        loop {
            let mut progress = false;
            for side in [Side::Client, Side::Server] {
                let mut input = std::mem::take(&mut self.parked[index(side)]);
                if input.is_empty() || self.finished {
                    continue;
                }
                let mut taken = 0;
                self.call(&mut input, |flow, env, input| {
                    taken = flow.handle_bytes(env, side, input)
                });
                input.drain(..taken);
                self.parked[index(side)] = input;
                progress |= taken > 0;
            }
            if !progress {
                return;
            }
        }
    }

    /// One call into the flow, and everything that it asks for.
    fn call(&mut self, input: &mut [u8], call: impl FnOnce(&mut Flow, &mut Env<'_>, &mut [u8])) {
        let mut out = Outbox::default();
        let world = self.shared.world.read().expect("unpoisoned").clone();
        let mut seed = self.begun.elapsed().as_nanos() as u8;
        let mut random = |bytes: &mut [u8]| {
            for byte in bytes {
                seed = seed.wrapping_mul(181).wrapping_add(7);
                *byte = seed;
            }
        };
        let mut env = Env {
            now: now(self.begun),
            out: &mut out,
            world: &world,
            journal: &mut self.journal,
            random: &mut random,
            plans: &mut self.plans,
            meters: &self.shared.meters,
            tools: &self.shared.tools,
            calls: &self.shared.calls,
        };
        call(&mut self.flow, &mut env, input);
        if let Some(server) = &mut self.server {
            send(server, &out.to_server, input);
        }
        send(&mut self.client, &out.to_client, input);
        for effect in out.effects {
            self.carry_out(effect, &world);
        }
    }

    fn carry_out(&mut self, effect: Effect, world: &Arc<World>) {
        match effect {
            Effect::Dial { target } => {
                let event = match TcpStream::connect(target) {
                    Ok(server) => {
                        read_side(Side::Server, &server, &self.sender);
                        self.server = Some(server);
                        Event::Dialed
                    }
                    Err(error) => Event::DialFailed {
                        reason: error.to_string(),
                    },
                };
                self.tell(event);
            }
            Effect::Catalog { database, .. } => {
                self.shared.readings.fetch_add(1, Ordering::Relaxed);
                self.tell(Event::Catalog(self.shared.cell(world, &database)));
            }
            Effect::RequestApproval(request) => {
                let decision = (self.shared.people)(&request);
                if self.shared.is_silent.load(Ordering::SeqCst) {
                    return;
                }
                self.tell(Event::Approval {
                    request: request.id,
                    approval: ApprovalId(9),
                    decision,
                });
            }
            Effect::RedeemApproval { id, .. } => self.tell(Event::Redeemed { id, granted: true }),
            Effect::Sync(seq) => {
                self.shared.syncs.fetch_add(1, Ordering::SeqCst);
                self.tell(Event::Synced(seq));
            }
            Effect::Finished => self.finished = true,
            Effect::WithdrawApproval(id) => {
                self.shared.withdrawn.lock().expect("unpoisoned").push(id);
            }
            Effect::SendCancel(cancel) => {
                if !self.shared.is_deaf.load(Ordering::SeqCst) {
                    let sent = TcpStream::connect(cancel.target)
                        .and_then(|mut it| it.write_all(&cancel.request));
                    sent.expect("the server takes cancels");
                }
            }
            Effect::ReportTools(_)
            | Effect::LeaveApproval(_)
            | Effect::CancelApproval(_)
            | Effect::RefreshKeys(_)
            | Effect::FindServer(_)
            | Effect::OfferStream
            | Effect::SendAside(_)
            | Effect::ToStream { .. } => {}
            Effect::OfferCancelKey(key) => {
                let mut offered = self.shared.offered.lock().expect("unpoisoned");
                offered.insert(key, self.sender.clone());
            }
            Effect::RouteCancel(key) => self.route_cancel(&key),
            Effect::AnswerCancel { asker, cancel } => {
                let mut cancelling = self.shared.cancelling.lock().expect("unpoisoned");
                if let Some(asking) = cancelling.remove(&asker) {
                    let _ = asking.send(Message::Event(Event::CancelRouted(cancel)));
                }
            }
        }
    }

    fn route_cancel(&self, key: &CancelKey) {
        let offered = self.shared.offered.lock().expect("unpoisoned");
        let Some(session) = offered.get(key) else {
            return self.tell(Event::CancelRouted(None));
        };
        let asker = FlowId(self.id);
        let mut cancelling = self.shared.cancelling.lock().expect("unpoisoned");
        cancelling.insert(asker, self.sender.clone());
        let asked = Event::CancelRequested { asker: Some(asker) };
        let _ = session.send(Message::Event(asked));
    }

    fn tell(&self, event: Event) {
        let _ = self.sender.send(Message::Event(event));
    }
}

fn send(stream: &mut TcpStream, pieces: &[Piece], input: &[u8]) {
    for piece in pieces {
        let _ = match piece {
            Piece::Span(span) => stream.write_all(&input[span.clone()]),
            Piece::Bytes(bytes) => stream.write_all(bytes),
            Piece::Shutdown => stream.shutdown(Shutdown::Write),
            Piece::Reset => stream.shutdown(Shutdown::Both),
            Piece::StartTls { .. } => panic!("this relay has no TLS"),
        };
    }
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Server)
}

fn now(begun: Instant) -> Now {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    Now {
        mono_ns: begun.elapsed().as_nanos() as u64 + 1,
        unix_us: unix.as_micros() as u64,
    }
}

fn read_side(side: Side, stream: &TcpStream, sender: &Sender<Message>) {
    let (mut stream, sender) = (stream.try_clone().expect("a descriptor"), sender.clone());
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => {
                    let _ = sender.send(Message::Eof(side));
                    return;
                }
                Ok(count)
                    if sender
                        .send(Message::Bytes(side, buffer[..count].to_vec()))
                        .is_err() =>
                {
                    return;
                }
                Ok(_) => {}
            }
        }
    });
}
