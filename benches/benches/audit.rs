//! One record into a journal. Twin: serde_json of the same fields, without chain, commitment
//! or frame, and SHA-256 of a leaf, which the chain needs in any case.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use sha2::{Digest as _, Sha256};
use weir_audit::{
    CommitmentKey, Journal, Kind, Position, Protocol, Record, Room, Store, StoreFull, WorkerId,
};
use weir_facts::{
    Action, ConnectionName, Digest, FlowId, Group, Identity, Now, OperationRef, OperationSeq,
    PolicyId, Principal,
};

/// Copies each frame over the last one, as a segment would take it.
struct Copies(Vec<u8>, usize);

impl Store for Copies {
    fn append(&mut self, frame: &[u8], _: Room) -> Result<(), StoreFull> {
        self.0
            .get_mut(..frame.len())
            .ok_or(StoreFull::NoRoom)?
            .copy_from_slice(frame);
        self.1 = frame.len();
        Ok(())
    }
}

const SUMMARY: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";
const BYTES: &[u8] = b"SELECT abalance FROM pgbench_accounts WHERE aid = 4711;";
const NOW: Now = Now {
    mono_ns: 0,
    unix_us: 1_800_000_000_000_000,
};

fn records(c: &mut Criterion) {
    let groups = vec![Group("engineers".into()), Group("pii-readers".into())];
    let identity = Identity {
        issuer: "https://id.example".into(),
        subject: "u-1234".into(),
        is_service: false,
        groups,
    };
    let principal = Principal {
        workload: None,
        identity: Some(Arc::new(identity)),
        agent: None,
    };
    let (connection, policies) = (
        ConnectionName::new("prod-pg"),
        [PolicyId("readers-may-select".into())],
    );
    let store = Copies(vec![0; 1 << 16], 0);
    let mut journal = Journal::new(
        WorkerId(0),
        Position::START,
        CommitmentKey::new(&[1; 32]),
        store,
    );
    let record = Record {
        principal: Some(&principal),
        connection: Some(&connection),
        protocol: Protocol::Postgres,
        database: "shop",
        role: "weir_app",
        summary: SUMMARY,
        accesses: &[(Action::PgSelect, "prod-pg/public/pgbench_accounts")],
        verdict: "allow",
        policies: &policies,
        bundle: "b1946ac92492d2347c6235b4d2611184",
        bytes: BYTES,
        ..Record::new(Kind::Intent, NOW)
    };
    let mut group = c.benchmark_group("audit");
    group.bench_function("append", |b| {
        let operation = OperationRef {
            flow: FlowId(77),
            seq: OperationSeq(1),
            digest: Digest([2; 32]),
        };
        b.iter(|| {
            journal
                .append(Some(operation), black_box(&record))
                .expect("fixed input")
                .seq()
        });
    });
    group.bench_function("twin: serde_json", |b| {
        b.iter(|| {
            let leaf = serde_json::json!({
                "kind": "intent", "time": NOW.unix_us, "flow": 77, "operation": 1, "connection": "prod-pg", "protocol": "postgres",
                "database": "shop", "role": "weir_app", "summary": SUMMARY, "verdict": "allow", "groups": ["engineers", "pii-readers"],
                "accesses": [["pg.select", "prod-pg/public/pgbench_accounts"]], "policies": ["readers-may-select"],
                "bundle": "b1946ac92492d2347c6235b4d2611184", "issuer": "https://id.example", "subject": "u-1234",
            });
            serde_json::to_vec(black_box(&leaf)).expect("fixed input")
        });
    });
    let leaf = vec![7; 810];
    group.bench_function("twin: SHA-256 of a leaf", |b| {
        b.iter(|| Sha256::digest(black_box(&leaf)))
    });
    group.finish();
}

criterion_group!(benches, records);
criterion_main!(benches);
