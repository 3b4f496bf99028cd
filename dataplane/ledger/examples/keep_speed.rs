//! How long it takes to keep a record, and to sync one:
//! `cargo run --release -p weir-ledger --example keep_speed -- DIRECTORY`.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use weir_audit::{Journal, Kind, Protocol, Receipt, Record, WorkerId};
use weir_facts::{Action, Digest, FlowId, Now, OperationRef, OperationSeq};
use weir_ledger::{Config, Ledger, WorkerStore};

const RECORDS: u32 = 50_000;
const SYNCS: u32 = 500;

fn keep(journal: &mut Journal<WorkerStore>, seq: u32) -> Option<Receipt> {
    let op = OperationRef {
        flow: FlowId(77),
        seq: OperationSeq(seq),
        digest: Digest([2; 32]),
    };
    let record = Record {
        protocol: Protocol::Postgres,
        database: "shop",
        role: "weir_app",
        summary: "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
        accesses: &[(Action::PgSelect, "prod-pg/public/pgbench_accounts")],
        verdict: "allow",
        bundle: "b1946ac92492d2347c6235b4d2611184",
        bytes: b"SELECT abalance FROM pgbench_accounts WHERE aid = 4711;",
        ..Record::new(
            Kind::Outcome,
            Now {
                mono_ns: 0,
                unix_us: 1_800_000_000_000_000 + u64::from(seq),
            },
        )
    };
    journal.append(Some(op), &record).ok()
}

/// The value below which this share of the sorted times lies.
fn share(times: &[Duration], per_mille: usize) -> Duration {
    times
        .get(times.len() * per_mille / 1000)
        .copied()
        .unwrap_or_default()
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let mean = times.iter().sum::<Duration>() / u32::try_from(times.len().max(1)).unwrap_or(1);
    println!(
        "{what}: mean {mean:?}, p50 {:?}, p99 {:?}, p999 {:?}",
        share(&times, 500),
        share(&times, 990),
        share(&times, 999)
    );
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args()
        .nth(1)
        .map(PathBuf::from)
        .ok_or("say where the ledger may lie")?;
    let (ledger, recovered) = Ledger::open(Config::new(&directory, "speed", 1))?;
    println!("start {}, {} leaves", recovered.epoch, recovered.size);
    let mut journal = ledger.journal(0).ok_or("the journal was given out")?;
    let mut times = Vec::with_capacity(RECORDS as usize);
    let mut refused = 0;
    for seq in 0..RECORDS {
        let start = Instant::now();
        let kept = keep(&mut journal, seq).is_some();
        times.push(start.elapsed());
        refused += u32::from(!kept);
    }
    print("kept", times);
    println!("{refused} of {RECORDS} refused");
    std::thread::sleep(Duration::from_secs(2));
    let mut times = Vec::with_capacity(SYNCS as usize);
    for seq in 0..SYNCS {
        let (done, wait) = mpsc::channel();
        let start = Instant::now();
        let receipt = keep(&mut journal, seq).ok_or("refused")?;
        ledger.sync(WorkerId(0), receipt.seq(), move |result| {
            drop(done.send(result))
        });
        wait.recv()??;
        times.push(start.elapsed());
    }
    print("kept and synced, one at a time", times);
    drop(journal);
    ledger.close()?;
    Ok(())
}
