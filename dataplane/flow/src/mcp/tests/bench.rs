//! A flow on the bench: a world with the shipped policies, and a shell that does nothing.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use weir_audit::{
    Append, CommitmentKey, Journal, JournalError, Kind, Memory, Position, Receipt, Record,
    StoreFull, WorkerId,
};
use weir_facts::{
    ApprovalId, ConnectionName, Digest, FlowId, Group, Identity, Now, OperationRef, Side, Workload,
};
use weir_mask::MaskKey;
use weir_policy::{Bundle, ClockTrust, ConnectionFacts, ConnectionKind, Directory, Snapshot};

use super::super::McpFlow;
use super::super::bodies::Room;
use super::super::limits::BODIES_BYTES_MAX;
use crate::calls::Calls;
use crate::io::{
    ApprovalRequest, Arrival, Decision, Effect, Env, Event, Outbox, Piece, Program, Start,
};
use crate::meter::Meters;
use crate::postgres::PlanCache;
use crate::token::IdentityProvider;
use crate::tools::{SeenTools, ToolPins};
use crate::world::{
    Attribution, Authentication, Carrier, ClientLogin, ClientTls, Connection, Connections,
    Durability, McpAuthorization, McpCredential, McpTarget, Settings, Stale, Target, Tls, TlsMode,
    Token, World,
};

/// An engineer's token.
pub(super) const ADA: &str = "token-of-ada";
/// Another engineer's.
pub(super) const CAL: &str = "token-of-cal";
/// Ada's, from before she was given a group.
pub(super) const ADA_ALONE: &str = "token-of-ada-alone";
/// Of somebody whom no policy knows.
pub(super) const EVE: &str = "token-of-eve";
/// An engineer's that ends 20 s after the bench's clock begins.
pub(super) const BRIEF: &str = "token-of-today";
/// An engineer's that has expired.
pub(super) const EXPIRED: &str = "token-of-last-year";

/// A record, as far as tests look at it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) kind: Kind,
    pub(super) summary: String,
    pub(super) verdict: String,
    pub(super) outcome: String,
    pub(super) masked: Vec<(String, String)>,
    pub(super) rows: u64,
    pub(super) reason: String,
}

struct Book {
    journal: Journal<Memory>,
    kept: Vec<Kept>,
    full: bool,
}

impl Append for Book {
    fn append(
        &mut self,
        op: Option<OperationRef>,
        record: &Record<'_>,
    ) -> Result<Receipt, JournalError> {
        if self.full {
            return Err(StoreFull::NoRoom.into());
        }
        self.kept.push(Kept {
            kind: record.kind,
            summary: record.summary.to_owned(),
            verdict: record.verdict.to_owned(),
            outcome: record.outcome.to_owned(),
            masked: record
                .masked
                .iter()
                .map(|(place, rule)| ((*place).to_owned(), (*rule).to_owned()))
                .collect(),
            rows: record.rows,
            reason: record.reason.to_owned(),
        });
        self.journal.append(op, record)
    }
}

/// What one call into the flow said.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) client: String,
    pub(super) server: String,
    /// Towards the client, other than bytes.
    pub(super) pieces: Vec<Piece>,
    pub(super) effects: Vec<Effect>,
    pub(super) taken: usize,
}

impl Reply {
    pub(super) fn asked(&self) -> Option<ApprovalRequest> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::RequestApproval(request) => Some((**request).clone()),
            _ => None,
        })
    }
}

/// What `dana` of the support's leads says.
pub(super) fn approved(request: ApprovalId, approval: ApprovalId) -> Event {
    Event::Approval {
        request,
        approval,
        decision: Decision::Approved {
            approvers: vec!["weir|dana".into()],
            groups: vec![Group("support-leads".into())],
        },
    }
}

/// The same of a request that nobody has asked before.
pub(super) fn agreed(id: ApprovalId) -> Event {
    approved(id, id)
}

pub(super) struct Bench {
    pub(super) flow: McpFlow,
    pub(super) now: Now,
    /// The ledger takes nothing more.
    pub(super) full: bool,
    world: Arc<World>,
    book: Book,
    plans: PlanCache,
    tools: SeenTools,
    pub(super) calls: Arc<Calls>,
    drawn: u8,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::start(Durability::Kept, None, None)
    }

    pub(super) fn durable() -> Self {
        Self::start(Durability::SyncedExceptPlainReads, None, None)
    }

    /// The same, with something put before a rule of the demo's.
    pub(super) fn durable_with(rule: &str, annotation: &str) -> Self {
        let mut bench = Self::durable();
        let mut files = shipped();
        let named = format!("@id(\"{rule}\")");
        for (_, text) in &mut files {
            *text = text.replace(&named, &format!("{named} {annotation}"));
        }
        let durability = Durability::SyncedExceptPlainReads;
        bench.world = Arc::new(world(2, files, durability, ToolPins::none()));
        bench
    }

    pub(super) fn of_workload(name: &str) -> Self {
        Self::start(Durability::Kept, Some(Self::workload(name)), None)
    }

    pub(super) fn workload(name: &str) -> Arc<Workload> {
        Arc::new(Workload {
            name: name.into(),
            groups: vec![Group("engineering".into())],
            owner: None,
            uid: 1000,
            gid: 1000,
            pid: 1,
            cgroup: "/".into(),
            executable: "/bin/x".into(),
            executable_digest: None,
            lineage: Arc::default(),
        })
    }

    /// What becomes of a flow that came with or without a program, to a server of this carrier.
    pub(super) fn carried(carrier: Carrier, program: Option<Arc<Program>>) -> (Vec<Kept>, Outbox) {
        let mut world = world(1, shipped(), Durability::Kept, ToolPins::none());
        world.connections = Connections::new([connection(
            carrier,
            McpAuthorization::Weir { resource: None },
            ToolPins::none(),
        )]);
        let world = Arc::new(world);
        let now = Now {
            mono_ns: 1,
            unix_us: 1_700_000_000_000_000,
        };
        let start = Start {
            id: FlowId(7),
            arrival: Arrival {
                source: "127.0.0.1:50000".parse().expect("an address"),
                target: "127.0.0.1:3901".parse().expect("an address"),
                connection: Some(ConnectionName::new("demo-mcp")),
                workload: None,
                program,
            },
            world: world.clone(),
            now,
        };
        let mut book = Book {
            journal: Journal::new(
                WorkerId(0),
                Position::START,
                CommitmentKey::new(&[1; 32]),
                Memory::default(),
            ),
            kept: Vec::new(),
            full: false,
        };
        let (mut plans, mut out) = (PlanCache::new(), Outbox::default());
        let mut random = |bytes: &mut [u8]| bytes.fill(9);
        let mut env = Env {
            now,
            out: &mut out,
            world: &world,
            journal: &mut book,
            random: &mut random,
            plans: &mut plans,
            meters: &Meters::new(),
            tools: &SeenTools::new(),
            calls: &Arc::new(Calls::new()),
        };
        crate::Flow::new(start).begin(&mut env);
        (book.kept, out)
    }

    /// Another connection of the same host.
    pub(super) fn beside(other: &Self) -> Self {
        Self {
            calls: Arc::clone(&other.calls),
            now: other.now,
            ..Self::new()
        }
    }

    /// The same once this policy is there, too.
    pub(super) fn beside_with(other: &Self, policy: &str) -> Self {
        Self {
            calls: Arc::clone(&other.calls),
            now: other.now,
            ..Self::also(policy)
        }
    }

    /// In front of a server that its client has started.
    pub(super) fn started(program: Arc<Program>) -> Self {
        Self::start(Durability::Kept, None, Some(program))
    }

    fn start(
        durability: Durability,
        workload: Option<Arc<Workload>>,
        program: Option<Arc<Program>>,
    ) -> Self {
        let world = Arc::new(world(1, shipped(), durability, ToolPins::none()));
        let connection = world
            .connections
            .named(&ConnectionName::new("demo-mcp"))
            .expect("registered")
            .clone();
        let mut bench = Self::dial(world, connection, workload, program);
        bench.event(Event::Dialed);
        bench
    }

    /// To a server on another host that was registered by this name.
    pub(super) fn elsewhere(name: &str) -> Self {
        let world = Arc::new(world(1, shipped(), Durability::Kept, ToolPins::none()));
        let weir = McpAuthorization::Weir { resource: None };
        let mut connection = connection(Carrier::Address, weir, ToolPins::none());
        connection.tls.server_name = Some(name.into());
        let target = "192.0.2.7:3901".parse().expect("an address");
        let mut bench = Self::dial_to(target, world, Arc::new(connection), None, None);
        bench.event(Event::Dialed);
        bench
    }

    /// Where clients must speak TLS, to one that does not.
    pub(super) fn secured() -> Self {
        let world = Arc::new(world(1, shipped(), Durability::Kept, ToolPins::none()));
        let weir = McpAuthorization::Weir { resource: None };
        let mut connection = connection(Carrier::Address, weir, ToolPins::none());
        connection.client_tls = ClientTls::Required;
        let mut bench = Self::dial(world, Arc::new(connection), None, None);
        bench.event(Event::Dialed);
        bench
    }

    /// Long after the control plane was heard last, where nobody is to be served then.
    pub(super) fn stale() -> Self {
        let mut bench = Self::new();
        let mut world = world(2, shipped(), Durability::Kept, ToolPins::none());
        world.settings.stale = Stale::DenyAll;
        world.settings.not_after_us = 1;
        bench.world = Arc::new(world);
        bench
    }

    /// Puts Ada into this group beside the engineers.
    pub(super) fn give_ada(&mut self, group: &str) -> Reply {
        let version = self.world.version + 1;
        let mut world = world(version, shipped(), Durability::Kept, ToolPins::none());
        let digest = Digest(Sha256::digest(ADA.as_bytes()).into());
        let token = world.tokens.get_mut(&digest).expect("Ada's");
        let identity = Identity {
            groups: vec![Group("engineering".into()), Group(group.into())],
            ..(*token.identity).clone()
        };
        token.identity = Arc::new(identity);
        self.world = Arc::new(world);
        self.event(Event::WorldChanged)
    }

    /// A flow to a server that must be verified, whose handshake has begun.
    pub(super) fn securing() -> Self {
        let files = shipped();
        let world = Arc::new(world(1, files, Durability::Kept, ToolPins::none()));
        let weir = McpAuthorization::Weir { resource: None };
        let mut connection = connection(Carrier::Address, weir, ToolPins::none());
        connection.tls.mode = TlsMode::VerifyFull;
        let mut bench = Self::dial(world, Arc::new(connection), None, None);
        let reply = bench.event(Event::Dialed);
        assert_eq!(reply.server, "");
        bench
    }

    fn dial(
        world: Arc<World>,
        connection: Arc<Connection>,
        workload: Option<Arc<Workload>>,
        program: Option<Arc<Program>>,
    ) -> Self {
        let target = "127.0.0.1:3901".parse().expect("an address");
        Self::dial_to(target, world, connection, workload, program)
    }

    fn dial_to(
        target: std::net::SocketAddr,
        world: Arc<World>,
        connection: Arc<Connection>,
        workload: Option<Arc<Workload>>,
        program: Option<Arc<Program>>,
    ) -> Self {
        let now = Now {
            mono_ns: 1,
            unix_us: 1_700_000_000_000_000,
        };
        let arrival = Arrival {
            source: "127.0.0.1:50000".parse().expect("an address"),
            target,
            connection: Some(connection.name.clone()),
            workload,
            program,
        };
        let start = Start {
            id: FlowId(7),
            arrival,
            world: world.clone(),
            now,
        };
        let journal = Journal::new(
            WorkerId(0),
            Position::START,
            CommitmentKey::new(&[1; 32]),
            Memory::default(),
        );
        let mut book = Book {
            journal,
            kept: Vec::new(),
            full: false,
        };
        let mut plans = PlanCache::new();
        let tools = SeenTools::new();
        let mut out = Outbox::default();
        let mut random = |bytes: &mut [u8]| bytes.fill(9);
        let calls = Arc::new(Calls::new());
        let mut env = Env {
            now,
            out: &mut out,
            world: &world,
            journal: &mut book,
            random: &mut random,
            plans: &mut plans,
            meters: &Meters::new(),
            tools: &tools,
            calls: &calls,
        };
        let listens = start.arrival.program.is_none();
        let flow = McpFlow::begin(&start, connection, &mut env);
        let dials = |effect: &Effect| matches!(effect, Effect::Dial { target: dialled } if *dialled == target);
        let asks =
            |effect: &Effect| matches!(effect, Effect::FindServer(asked) if *asked == target);
        match out.effects.as_slice() {
            [first, second] => assert!(listens && dials(first) && asks(second)),
            [only] => assert!(!listens && dials(only)),
            other => panic!("{other:?}"),
        }
        Self {
            flow,
            now,
            full: false,
            world,
            book,
            plans,
            tools,
            calls,
            drawn: 0,
        }
    }

    fn call(&mut self, act: impl FnOnce(&mut McpFlow, &mut Env<'_>) -> usize) -> Reply {
        let mut out = Outbox::default();
        self.book.full = self.full;
        self.now.mono_ns += 1000;
        let drawn = &mut self.drawn;
        let mut random = |bytes: &mut [u8]| {
            *drawn = drawn.wrapping_add(1);
            bytes.fill(*drawn);
        };
        let mut env = Env {
            now: self.now,
            out: &mut out,
            world: &self.world,
            journal: &mut self.book,
            random: &mut random,
            plans: &mut self.plans,
            meters: &Meters::new(),
            tools: &self.tools,
            calls: &self.calls,
        };
        let taken = act(&mut self.flow, &mut env);
        let text = |pieces: &[Piece]| {
            pieces
                .iter()
                .filter_map(|piece| match piece {
                    Piece::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
                    Piece::Span(_) | Piece::StartTls { .. } | Piece::Shutdown | Piece::Reset => {
                        None
                    }
                })
                .collect::<String>()
        };
        let (client, server) = (text(&out.to_client), text(&out.to_server));
        let pieces = out
            .to_client
            .into_iter()
            .filter(|piece| !matches!(piece, Piece::Bytes(_)))
            .collect();
        Reply {
            client,
            server,
            pieces,
            effects: out.effects,
            taken,
        }
    }

    pub(super) fn client(&mut self, text: &str) -> Reply {
        let mut bytes = text.as_bytes().to_vec();
        self.call(|flow, env| flow.handle_bytes(env, Side::Client, &mut bytes))
    }

    pub(super) fn server(&mut self, text: &str) -> Reply {
        let mut bytes = text.as_bytes().to_vec();
        self.call(|flow, env| flow.handle_bytes(env, Side::Server, &mut bytes))
    }

    /// Has Ada ask for what people must approve.
    pub(super) fn hold(&mut self, request: &str) -> ApprovalRequest {
        let asked = self.client(request).asked();
        asked.expect("people are asked")
    }

    /// Has Ada list, and the server show, a tool.
    pub(super) fn list(&mut self, tool: &str) -> Reply {
        let list = r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#;
        self.client(&post(ADA, "", list));
        self.server(&json(&format!(
            r#"{{"jsonrpc":"2.0","id":"l","result":{{"tools":[{{"name":"{tool}","inputSchema":{{"type":"object"}}}}]}}}}"#
        )))
    }

    pub(super) fn event(&mut self, event: Event) -> Reply {
        self.call(|flow, env| {
            flow.handle_event(env, event);
            0
        })
    }

    pub(super) fn eof(&mut self, side: Side) -> Reply {
        self.call(|flow, env| {
            flow.handle_eof(env, side);
            0
        })
    }

    pub(super) fn timeout(&mut self) -> Reply {
        self.call(|flow, env| {
            flow.handle_timeout(env);
            0
        })
    }

    pub(super) fn kinds(&self) -> Vec<Kind> {
        self.book.kept.iter().map(|kept| kept.kind).collect()
    }

    pub(super) fn outcomes(&self) -> Vec<String> {
        self.book
            .kept
            .iter()
            .filter(|kept| kept.kind == Kind::Outcome)
            .map(|kept| kept.outcome.clone())
            .collect()
    }

    pub(super) fn of_kind(&self, kind: Kind) -> Vec<Kept> {
        let kept = self.book.kept.iter().filter(|kept| kept.kind == kind);
        kept.cloned().collect()
    }

    pub(super) fn last(&self) -> Kept {
        self.book.kept.last().expect("a record").clone()
    }

    /// Puts the same policies in force under another bundle's id.
    pub(super) fn change_policy(&mut self) {
        let version = self.world.version + 1;
        let other = world(version, shipped(), Durability::Kept, ToolPins::none());
        self.world = Arc::new(World {
            bundle: "01".into(),
            ..other
        });
        self.event(Event::WorldChanged);
    }

    /// Puts another authorization in force, of which the flow is told later.
    pub(super) fn authorize_quietly(
        &mut self,
        authorization: McpAuthorization,
        providers: Vec<IdentityProvider>,
    ) {
        let version = self.world.version + 1;
        let mut world = world(version, shipped(), Durability::Kept, ToolPins::none());
        world.connections = Connections::new([connection(
            Carrier::Address,
            authorization,
            ToolPins::none(),
        )]);
        world.authentication.providers = providers;
        self.world = Arc::new(world);
    }

    /// Other flows of the worker hold all that may be held.
    pub(super) fn fill_bodies(&mut self) -> Room {
        let mut room = self.plans.bodies.room();
        assert!(room.resize(BODIES_BYTES_MAX));
        room
    }

    /// Other flows of the worker hold all that this one does not.
    pub(super) fn fill_rest(&mut self) -> Room {
        let mut room = self.plans.bodies.room();
        let rest = (0..=BODIES_BYTES_MAX)
            .rev()
            .find(|bytes| room.resize(*bytes));
        assert!(rest.is_some());
        room
    }

    /// Lets time pass until something is due, and tells the flow; until the reply is as wanted.
    pub(super) fn wait(&mut self, wanted: impl Fn(&Reply) -> bool) -> Reply {
        for _ in 0..100 {
            self.now.mono_ns = self.flow.deadline().expect("something is due");
            let reply = self.timeout();
            if wanted(&reply) {
                return reply;
            }
        }
        panic!("it never came");
    }

    /// Puts what was decided of tools in force.
    pub(super) fn decide_tools(&mut self, pins: ToolPins) {
        let version = self.world.version + 1;
        self.world = Arc::new(world(version, shipped(), Durability::Kept, pins));
        self.event(Event::WorldChanged);
    }

    /// Replaces the world by one in which tokens are as said, with another policy beside the
    /// shipped ones.
    pub(super) fn authorize(
        &mut self,
        authorization: McpAuthorization,
        providers: Vec<IdentityProvider>,
        policy: &str,
    ) -> Reply {
        let files: Vec<_> = shipped()
            .into_iter()
            .chain([("more.cedar".to_owned(), policy.to_owned())])
            .collect();
        let mut world = world(
            self.world.version + 1,
            files,
            Durability::Kept,
            ToolPins::none(),
        );
        world.connections = Connections::new([connection(
            Carrier::Address,
            authorization,
            ToolPins::none(),
        )]);
        world.authentication.providers = providers;
        self.world = Arc::new(world);
        self.event(Event::WorldChanged)
    }

    /// Takes the local tokens away.
    pub(super) fn revoke_tokens(&mut self) -> Reply {
        let mut world = world(
            self.world.version + 1,
            shipped(),
            Durability::Kept,
            ToolPins::none(),
        );
        world.tokens.clear();
        self.world = Arc::new(world);
        self.event(Event::WorldChanged)
    }

    /// Adds labels to `masks.toml`, behind what is said of the server, and a policy. Blobs are
    /// looked for.
    pub(super) fn labelled(labels: &str, policy: &str) -> Self {
        let mut bench = Self::new();
        let mut files = shipped();
        for (name, text) in &mut files {
            if name == "masks.toml" {
                *text = text.replace("\"jwt\"]", "\"jwt\", \"blob\"]");
                text.push_str(labels);
            }
        }
        files.push(("extra.cedar".to_owned(), policy.to_owned()));
        bench.world = Arc::new(world(2, files, Durability::Kept, ToolPins::none()));
        bench
    }

    /// Has Ada list, and the server show, a tool of this definition.
    pub(super) fn define(&mut self, tool: &str) {
        let list = r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#;
        self.client(&post(ADA, "", list));
        let shown = self.server(&json(&format!(
            r#"{{"jsonrpc":"2.0","id":"l","result":{{"tools":[{tool}]}}}}"#
        )));
        assert!(shown.client.starts_with("HTTP/1.1 200"), "{}", shown.client);
    }

    /// Adds a policy to those that are shipped.
    pub(super) fn also(policy: &str) -> Self {
        let mut bench = Self::new();
        let extra = ("extra.cedar".to_owned(), policy.to_owned());
        let files = shipped().into_iter().chain([extra]).collect();
        bench.world = Arc::new(world(2, files, Durability::Kept, ToolPins::none()));
        bench
    }

    /// Under this policy alone, beside the shipped masks.
    pub(super) fn under(policy: &str) -> Self {
        let mut bench = Self::new();
        let files = shipped()
            .into_iter()
            .filter(|(name, _)| name == "masks.toml")
            .chain([("policies.cedar".to_owned(), policy.to_owned())])
            .collect();
        bench.world = Arc::new(world(2, files, Durability::Kept, ToolPins::none()));
        bench
    }

    /// Replaces the policies by none, which allow nothing.
    pub(super) fn forbid_everything(&mut self) {
        let nothing = vec![("policies.cedar".to_owned(), String::new())];
        let files: Vec<_> = shipped()
            .into_iter()
            .filter(|(name, _)| name == "masks.toml")
            .chain(nothing)
            .collect();
        let version = self.world.version + 1;
        self.world = Arc::new(world(version, files, Durability::Kept, ToolPins::none()));
    }
}

fn shipped() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/demo");
    let entries = folder.read_dir().expect("the shipped policies").flatten();
    let files = entries.filter(|entry| entry.path().is_file()).map(|entry| {
        let text = std::fs::read_to_string(entry.path()).expect("text");
        (entry.file_name().to_string_lossy().into_owned(), text)
    });
    files.collect()
}

fn connection(carrier: Carrier, authorization: McpAuthorization, tools: ToolPins) -> Connection {
    Connection {
        name: ConnectionName::new("demo-mcp"),
        addresses: vec!["127.0.0.1:3901".parse().expect("an address")],
        tls: Tls {
            mode: TlsMode::Disable,
            ca_pem: "".into(),
            server_name: None,
        },
        client_tls: ClientTls::Optional,
        login: ClientLogin::by_account(),
        attribution: Attribution::Off,
        mask_key: MaskKey::new([3; 32]),
        target: Target::Mcp(McpTarget {
            carrier,
            credential: Some(McpCredential {
                field: "Authorization".into(),
                value: "Bearer stored-at-weir".to_owned().into(),
            }),
            authorization,
            tools,
        }),
    }
}

fn world(
    version: u64,
    files: Vec<(String, String)>,
    durability: Durability,
    tools: ToolPins,
) -> World {
    let name = ConnectionName::new("demo-mcp");
    let bundle = Arc::new(Bundle::parse(&files).unwrap_or_else(|error| panic!("{error}")));
    let facts = ConnectionFacts::new(name, ConnectionKind::Mcp, "demo", None).expect("a name");
    let connection = connection(
        Carrier::Address,
        McpAuthorization::Weir { resource: None },
        tools,
    );
    let token = |subject: &str, group: &str, expires_us: u64| Token {
        identity: Arc::new(Identity {
            issuer: "weir".into(),
            subject: subject.into(),
            is_service: false,
            groups: vec![Group(group.into())],
        }),
        expires_us,
    };
    let digest = |text: &str| Digest(Sha256::digest(text.as_bytes()).into());
    World {
        version,
        snapshot: Arc::new(Snapshot::compile(bundle, &[facts], Directory::default())),
        connections: Connections::new([connection]),
        accounts: HashMap::new(),
        tokens: HashMap::from([
            (digest(ADA), token("ada", "engineering", u64::MAX)),
            (digest(ADA_ALONE), token("ada", "nobody", u64::MAX)),
            (digest(CAL), token("cal", "engineering", u64::MAX)),
            (digest(EVE), token("eve", "nobody", u64::MAX)),
            (
                digest(BRIEF),
                token("ada", "engineering", 1_700_000_020_000_000),
            ),
            (digest(EXPIRED), token("ada", "engineering", 1)),
        ]),
        authentication: Authentication::local(),
        workloads: Vec::new(),
        locks: Vec::new(),
        mock_key: [5; 32],
        bundle: "00".into(),
        clock: ClockTrust::Trusted,
        settings: Settings {
            durability,
            attribution: Attribution::Off,
            postgres_hold_ns: 1,
            mcp_hold_ns: 50_000_000_000,
            inbox: Some("https://weir.example".into()),
            not_after_us: u64::MAX,
            stale: Stale::Continue,
        },
    }
}

/// A POST with a body.
pub(super) fn post(token: &str, fields: &str, body: &str) -> String {
    let authorization = if token.is_empty() {
        String::new()
    } else {
        format!("Authorization: Bearer {token}\r\n")
    };
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A JSON answer.
pub(super) fn json(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The head of an answer of events.
pub(super) fn sse() -> &'static str {
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
}

/// One chunk.
pub(super) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
