//! How long one record takes: `cargo run --release -p weir-audit --example append_speed`.

use std::sync::Arc;
use std::time::Instant;

use weir_audit::{
    CommitmentKey, Journal, Kind, Position, Protocol, Record, Room, Store, StoreFull, WorkerId,
};
use weir_facts::{
    Action, ConnectionName, Digest, FlowId, Group, Identity, Now, OperationRef, OperationSeq,
    PolicyId, Principal,
};

/// Copies the frame over the last one, as a segment would take it.
struct Copies(Vec<u8>, usize);

impl Store for Copies {
    fn append(&mut self, frame: &[u8], _room: Room) -> Result<(), StoreFull> {
        let to = self.0.get_mut(..frame.len()).ok_or(StoreFull::NoRoom)?;
        to.copy_from_slice(frame);
        self.1 = frame.len();
        Ok(())
    }
}

/// The share of hashing: the leaf's link, and the two commitments.
fn hashing() {
    let (leaf, key, count) = (vec![7; 810], CommitmentKey::new(&[1; 32]), 200_000);
    let start = Instant::now();
    for _ in 0..count {
        std::hint::black_box(weir_audit::leaf_hash(std::hint::black_box(&leaf)));
    }
    let link = start.elapsed().as_nanos() / count;
    let start = Instant::now();
    for _ in 0..count {
        std::hint::black_box(key.commit(std::hint::black_box(&[3; 55])));
    }
    let commitment = start.elapsed().as_nanos() / count;
    println!("hash of a leaf of 810 bytes: {link} ns; a commitment: {commitment} ns");
}

fn main() {
    hashing();
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
    let connection = ConnectionName::new("prod-pg");
    let policies = [PolicyId("readers-may-select".into())];
    let store = Copies(vec![0; 1 << 16], 0);
    let mut journal = Journal::new(
        WorkerId(0),
        Position::START,
        CommitmentKey::new(&[1; 32]),
        store,
    );
    for round in 0..5u32 {
        let count = 200_000;
        let start = Instant::now();
        for seq in 0..count {
            let op = OperationRef {
                flow: FlowId(77),
                seq: OperationSeq(seq),
                digest: Digest([2; 32]),
            };
            let record = Record {
                principal: Some(&principal),
                connection: Some(&connection),
                protocol: Protocol::Postgres,
                database: "shop",
                role: "weir_app",
                summary: "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
                accesses: &[(Action::PgSelect, "prod-pg/public/pgbench_accounts")],
                verdict: "allow",
                policies: &policies,
                bundle: "b1946ac92492d2347c6235b4d2611184",
                bytes: b"SELECT abalance FROM pgbench_accounts WHERE aid = 4711;",
                ..Record::new(
                    Kind::Intent,
                    Now {
                        mono_ns: 0,
                        unix_us: 1_800_000_000_000_000 + u64::from(seq),
                    },
                )
            };
            let Ok(receipt) = journal.append(Some(op), &record) else {
                return;
            };
            std::hint::black_box(receipt.seq());
        }
        let ns = start.elapsed().as_nanos() / u128::from(count);
        println!(
            "round {round}: {ns} ns per record, frame of {} bytes",
            journal.store().1
        );
    }
}
