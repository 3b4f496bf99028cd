//! The demo's policies for a server of the tests' own, and a client of its own manners.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::cluster::Cluster;
use super::{Guard, Kept, Raw};
use weir_audit::Kind;
use weir_facts::{ConnectionName, Group, Workload};
use weir_flow::{
    Attribution, Authentication, ClientLogin, ClientTls, Connection, Connections, Credential,
    Decision, Durability, PostgresTarget, Settings, Stale, Target, Tls, TlsMode, World,
};
use weir_mask::MaskKey;
use weir_policy::{Bundle, ClockTrust, ConnectionFacts, ConnectionKind, Directory, Snapshot};
use zeroize::Zeroizing;

pub(crate) const SCHEMA: &str = "
    CREATE ROLE app LOGIN PASSWORD 'secret';
    CREATE TABLE customers(id int PRIMARY KEY, name text NOT NULL, ssn text UNIQUE, email text, tier int CHECK (tier < 100));
    INSERT INTO customers VALUES (1,'Alice','123-45-6789','alice@corp.example',1),(2,'Bob','987-65-4321','bob@corp.example',2);
    CREATE VIEW contacts AS SELECT id, ssn AS tax_ref FROM customers;
    CREATE TABLE scratch(id int);
    ALTER TABLE customers OWNER TO app; ALTER VIEW contacts OWNER TO app; ALTER TABLE scratch OWNER TO app;
";

/// The demo's bundle, with one file changed.
pub(crate) fn snapshot(changed: &str, change: impl Fn(String) -> String) -> Snapshot {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/demo");
    let read = |name: &str| {
        let text = std::fs::read_to_string(format!("{root}/{name}")).expect("a file of the bundle");
        let text = if name == changed { change(text) } else { text };
        (name.to_owned(), text)
    };
    let bundle = Bundle::parse(&["policies.cedar", "mcp.cedar", "masks.toml"].map(read));
    let facts = ConnectionFacts::new(
        ConnectionName::new("demo-pg"),
        ConnectionKind::Postgres,
        "demo",
        None,
    );
    let bundle = Arc::new(bundle.expect("the demo's bundle"));
    Snapshot::compile(bundle, &[facts.expect("facts")], Directory::default())
}

pub(crate) fn world(cluster: &Cluster) -> World {
    world_at(cluster.address)
}

/// The same for a server that nobody starts.
pub(crate) fn world_at(address: SocketAddr) -> World {
    let name = ConnectionName::new("demo-pg");
    let snapshot = snapshot("", |text| text);
    let credential = |role: &str| Credential {
        role: role.into(),
        password: Zeroizing::new("secret".to_owned()),
        derived: Arc::default(),
        certificate: None,
    };
    let target = PostgresTarget {
        credentials: vec![credential("app"), credential("postgres")],
        default_role: None,
        catalog_role: Some("postgres".into()),
        database: "postgres".into(),
    };
    World {
        version: 1,
        snapshot: Arc::new(snapshot),
        connections: Connections::new([Connection {
            name,
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
            target: Target::Postgres(target),
        }]),
        accounts: HashMap::new(),
        tokens: HashMap::new(),
        authentication: Authentication::local(),
        workloads: Vec::new(),
        locks: Vec::new(),
        mock_key: [2; 32],
        bundle: "demo".into(),
        clock: ClockTrust::Trusted,
        settings: Settings {
            durability: Durability::SyncedExceptPlainReads,
            attribution: Attribution::ApplicationName,
            postgres_hold_ns: 5_000_000_000,
            mcp_hold_ns: 5_000_000_000,
            inbox: None,
            not_after_us: u64::MAX,
            stale: Stale::Continue,
        },
    }
}

pub(crate) fn engineer(groups: &[&str]) -> Workload {
    Workload {
        name: "tests".into(),
        groups: groups.iter().map(|name| Group((*name).into())).collect(),
        owner: None,
        uid: 0,
        gid: 0,
        pid: 1,
        cgroup: "/".into(),
        executable: "/usr/bin/psql".into(),
        executable_digest: None,
        lineage: Arc::default(),
    }
}

pub(crate) fn guard(cluster: &Cluster, groups: &[&str]) -> Guard {
    let people = |_: &_| Decision::Approved {
        approvers: vec!["weir|dana".into()],
        groups: vec![Group("dba".into())],
    };
    Guard::start(
        cluster.address,
        "demo-pg",
        world(cluster),
        Some(engineer(groups)),
        Box::new(people),
    )
}

pub(crate) fn kept(guard: &Guard, kind: Kind) -> Vec<Kept> {
    guard
        .kept
        .lock()
        .expect("unpoisoned")
        .iter()
        .filter(|record| record.kind == kind)
        .cloned()
        .collect()
}

/// Messages of the extended protocol.
pub(crate) fn parse(name: &str, text: &str, types: &[u32]) -> Vec<u8> {
    let mut body = format!("{name}\0{text}\0").into_bytes();
    body.extend((types.len() as u16).to_be_bytes());
    types.iter().for_each(|oid| body.extend(oid.to_be_bytes()));
    Raw::frame(b'P', &body)
}

pub(crate) fn bind(portal: &str, statement: &str, format: u16, value: &[u8]) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0").into_bytes();
    for number in [1, format, 1] {
        body.extend(number.to_be_bytes());
    }
    body.extend((value.len() as u32).to_be_bytes());
    body.extend(value);
    body.extend([0, 0]);
    Raw::frame(b'B', &body)
}

pub(crate) fn execute(portal: &str, rows: u32) -> Vec<u8> {
    let mut body = format!("{portal}\0").into_bytes();
    body.extend(rows.to_be_bytes());
    Raw::frame(b'E', &body)
}

pub(crate) fn sync() -> Vec<u8> {
    Raw::frame(b'S', b"")
}

pub(crate) fn tags(frames: &[(u8, Vec<u8>)]) -> String {
    frames.iter().map(|(tag, _)| char::from(*tag)).collect()
}

pub(crate) fn error(frames: &[(u8, Vec<u8>)]) -> String {
    let error = frames.iter().find(|(tag, _)| *tag == b'E');
    error.map_or_else(String::new, |(_, body)| {
        String::from_utf8_lossy(body).replace('\0', " ")
    })
}
