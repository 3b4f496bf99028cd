//! What a leaf says, and what it does not.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use support::{leaf, now, operation};
use weir_audit::limits::LEAF_BYTES_AIM;
use weir_audit::verify::{LeafError, read_leaf};
use weir_audit::{
    CommitmentKey, Journal, JournalError, Kind, Position, Protocol, Record, RecordSeq, Room, Store,
    StoreFull, WorkerId,
};
use weir_facts::{
    Action, Agent, ApprovalId, CallRef, ConnectionName, Digest, FlowId, Group, Identity, Link,
    OperationSeq, PolicyId, Principal, Workload,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "counts what the system's allocator is asked")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as it came.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn principal(text: &str) -> Principal {
    let groups: Vec<Group> = (0..40).map(|_| Group(text.into())).collect();
    Principal {
        workload: Some(Arc::new(Workload {
            name: text.into(),
            groups: groups.clone(),
            owner: Some(text.into()),
            uid: u32::MAX,
            gid: u32::MAX,
            pid: u32::MAX,
            cgroup: text.into(),
            executable: text.into(),
            executable_digest: Some(Digest([0xff; 32])),
            lineage: Arc::default(),
        })),
        identity: Some(Arc::new(Identity {
            issuer: text.into(),
            subject: text.into(),
            is_service: true,
            groups,
        })),
        agent: Some(Arc::new(Agent { name: text.into() })),
    }
}

/// Hands a record to `with` in which every field is `text`, and every list long.
fn full<R>(text: &str, with: impl FnOnce(&Record<'_>) -> R) -> R {
    let who = principal(text);
    let connection = ConnectionName::new(text);
    let accesses = vec![(Action::PgReadStatistics, text); 50];
    let policies = vec![PolicyId(text.into()); 50];
    let approvers: Vec<Arc<str>> = vec![text.into(); 50];
    let masked = vec![(text, text); 50];
    let address = Some(
        "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535"
            .parse()
            .expect("an address"),
    );
    with(&Record {
        flow: Some(FlowId(u64::MAX)),
        operation: Some(OperationSeq(u32::MAX)),
        principal: Some(&who),
        source: address,
        target: address,
        connection: Some(&connection),
        protocol: Protocol::Postgres,
        database: text,
        role: text,
        session: text,
        summary: text,
        accesses: &accesses,
        verdict: text,
        policies: &policies,
        bundle: text,
        reason: text,
        approval: Some(ApprovalId(u128::MAX)),
        approvers: &approvers,
        link: Some(Link::Process(CallRef {
            flow: FlowId(u64::MAX),
            operation: OperationSeq(u32::MAX),
        })),
        masked: &masked,
        digest: Some(Digest([0xee; 32])),
        bytes: b"canary-4711",
        rows: u64::MAX,
        response_bytes: u64::MAX,
        duration_us: u64::MAX,
        outcome: text,
        ..Record::new(Kind::Heartbeat, now(u64::MAX))
    })
}

fn json(leaf: &[u8]) -> Value {
    serde_json::from_slice(leaf).expect("JSON")
}

#[test]
fn the_fullest_record_still_makes_a_leaf_of_four_kibibytes() {
    for text in ["x", "\u{1}", "\"", "é", "😀", "\\u0000"] {
        let text = text.repeat(5000);
        let leaf = full(&text, |record| leaf(None, record));
        assert!(leaf.len() <= LEAF_BYTES_AIM, "{} bytes", leaf.len());
        assert!(read_leaf(&leaf).is_ok());
    }
}

#[test]
fn what_is_withheld_is_named_and_committed_to() {
    let long = "y".repeat(5000);
    let record = Record {
        summary: &long,
        reason: "short",
        ..Record::new(Kind::Intent, now(1))
    };
    let value = json(&leaf(None, &record));
    assert_eq!(value["withheld"]["fields"], serde_json::json!(["summary"]));
    let mut committed = (long.len() as u64).to_le_bytes().to_vec();
    committed.extend_from_slice(long.as_bytes());
    let expected = CommitmentKey::new(&[5; 32]).commit(&committed).to_string();
    assert_eq!(value["withheld"]["commitment"], expected);
    assert!(long.starts_with(value["summary"].as_str().expect("text")));
    let whole = json(&leaf(
        None,
        &Record {
            reason: "short",
            ..Record::new(Kind::Intent, now(1))
        },
    ));
    assert_eq!(whole.get("withheld"), None);
}

#[test]
fn the_operations_bytes_and_digests_enter_the_leaf_as_commitments_only() {
    let op = operation(1, 1);
    let record = Record {
        bytes: b"SELECT 'canary-4711'",
        ..Record::new(Kind::Intent, now(1))
    };
    let leaf = leaf(Some(op), &record);
    let text = String::from_utf8(leaf.clone()).expect("UTF-8");
    assert!(!text.contains("canary") && !text.contains(&op.digest.to_string()));
    let key = CommitmentKey::new(&[5; 32]);
    assert_eq!(
        json(&leaf)["commitment"],
        key.commit(record.bytes).to_string()
    );
    assert_eq!(
        json(&leaf)["release_commitment"],
        key.commit(&op.digest.0).to_string()
    );
    assert_eq!(
        json(&leaf)["key"],
        key.id()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    );
}

#[test]
fn a_record_of_another_operation_is_not_kept() {
    let mut journal = support::journal(0);
    let op = operation(1, 7);
    for record in [
        Record {
            flow: Some(FlowId(2)),
            ..Record::new(Kind::Intent, now(1))
        },
        Record {
            operation: Some(OperationSeq(8)),
            ..Record::new(Kind::Intent, now(1))
        },
        Record {
            digest: Some(Digest([1; 32])),
            ..Record::new(Kind::Intent, now(1))
        },
    ] {
        let result = journal.append(Some(op), &record);
        assert!(
            matches!(result, Err(JournalError::OtherOperation { .. })),
            "{result:?}"
        );
    }
    assert!(journal.store().bytes().is_empty());
    let record = Record {
        flow: Some(FlowId(1)),
        ..Record::new(Kind::Intent, now(1))
    };
    let receipt = journal.append(Some(op), &record).expect("kept");
    assert_eq!(
        (receipt.operation(), receipt.seq(), receipt.kind()),
        (Some(op), RecordSeq(1), Kind::Intent)
    );
}

struct Fails(bool);

impl Store for Fails {
    fn append(&mut self, _frame: &[u8], _room: Room) -> Result<(), StoreFull> {
        if self.0 {
            Err(StoreFull::NoRoom)
        } else {
            Ok(())
        }
    }
}

#[test]
fn a_record_that_was_not_kept_uses_no_number() {
    let mut journal = Journal::new(
        WorkerId(0),
        Position::START,
        CommitmentKey::new(&[5; 32]),
        Fails(true),
    );
    let record = Record::new(Kind::Intent, now(1));
    assert_eq!(
        journal.append(None, &record),
        Err(JournalError::Store(StoreFull::NoRoom))
    );
    journal.store_mut().0 = false;
    assert_eq!(
        journal.append(None, &record).expect("kept").seq(),
        RecordSeq(1)
    );
}

#[test]
fn records_of_a_steady_state_allocate_nothing() {
    let mut journal = Journal::new(
        WorkerId(0),
        Position::START,
        CommitmentKey::new(&[5; 32]),
        Fails(false),
    );
    let long = "z".repeat(3000);
    full(&long, |record| {
        let _receipt = journal.append(None, record).expect("kept");
        let before = ALLOCATIONS.with(Cell::get);
        for _ in 0..100 {
            let _receipt = journal.append(None, record).expect("kept");
        }
        assert_eq!(ALLOCATIONS.with(Cell::get), before);
    });
}

#[test]
fn a_leaf_that_is_not_canonical_is_refused() {
    let good = String::from_utf8(leaf(None, &Record::new(Kind::Close, now(12)))).expect("UTF-8");
    assert!(read_leaf(good.as_bytes()).is_ok());
    for (what, bad) in [
        ("white space", good.replace(":1,", ": 1,")),
        ("a second document", format!("{good} ")),
        (
            "an escape that need not be",
            good.replace("close", "clos\\u0065"),
        ),
        (
            "a number with a leading zero",
            good.replace(":12,", ":012,"),
        ),
        ("an unknown kind", good.replace("close", "closf")),
        ("another version", good.replace("\"v\":2", "\"v\":3")),
        ("a doubled key", good.replace("\"v\":2", "\"v\":2,\"v\":2")),
        ("keys out of order", good.replace("\"kind\"", "\"zind\"")),
        ("a missing member", good.replace("\"time_us\":12,", "")),
        ("null", good.replace(":12,", ":null,")),
        (
            "depth",
            good.replace(":12,", &format!(":{}{},", "[".repeat(9), "]".repeat(9))),
        ),
        ("nothing", String::new()),
    ] {
        assert_ne!(bad, good, "{what}");
        assert!(read_leaf(bad.as_bytes()).is_err(), "{what}");
    }
    assert_eq!(read_leaf(b"{\"kind\":\"\xff\"}"), Err(LeafError::Form(9)));
}

proptest! {
    #[test]
    fn any_record_makes_a_canonical_leaf(text in "(.|[\\x00-\\x7f]){0,60}", repeat in 1usize..30) {
        let text = text.repeat(repeat);
        let leaf = full(&text, |record| leaf(None, record));
        let value = json(&leaf);
        // serde_json keeps objects sorted and writes the same short escapes: the round trip is the identity.
        prop_assert_eq!(serde_json::to_vec(&value).expect("writes"), leaf.clone());
        prop_assert!(leaf.len() <= LEAF_BYTES_AIM);
        let facts = read_leaf(&leaf).expect("reads back");
        prop_assert_eq!((facts.flow, facts.operation), (Some(u64::MAX), Some(u32::MAX)));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_leaf(&bytes);
    }

    #[test]
    fn no_json_makes_the_reader_panic(bytes in "[\\[\\]{}\",:0-9a-z\\\\]{0,80}") {
        let _ = read_leaf(bytes.as_bytes());
    }
}

#[test]
fn a_link_reads_back_as_it_was_written() {
    let call = CallRef {
        flow: FlowId(0x0102_0304_0506_0708),
        operation: OperationSeq(9),
    };
    let links = [
        Link::Trace(call),
        Link::Process(call),
        Link::Ambiguous { candidates: 64 },
    ];
    for link in links {
        let record = Record {
            link: Some(link),
            ..Record::new(Kind::Intent, now(1))
        };
        let leaf = leaf(None, &record);
        assert_eq!(read_leaf(&leaf).expect("a leaf").link, Some(link));
        assert_eq!(json(&leaf)["link"]["kind"], link.as_str());
    }
    let none = leaf(None, &Record::new(Kind::Intent, now(1)));
    assert_eq!(read_leaf(&none).expect("a leaf").link, None);
}

#[test]
fn a_link_that_names_nothing_is_refused_and_leaves_of_version_1_are_read() {
    let record = Record {
        link: Some(Link::Ambiguous { candidates: 2 }),
        ..Record::new(Kind::Intent, now(1))
    };
    let leaf = String::from_utf8(leaf(None, &record)).expect("UTF-8");
    let other = |from: &str, to: &str| {
        let other = leaf.replace(from, to);
        assert_ne!(other, leaf);
        read_leaf(other.as_bytes())
    };
    for (from, to) in [
        ("ambiguous", "process"),
        ("ambiguous", "guess"),
        (r#""candidates":2,"#, ""),
        (r#"{"candidates":2,"kind":"ambiguous"}"#, r#""process""#),
        (r#""v":2"#, r#""v":3"#),
        (r#""v":2"#, r#""v":0"#),
    ] {
        assert!(other(from, to).is_err(), "{from} -> {to}");
    }
    assert!(other(r#""v":2"#, r#""v":1"#).is_ok());
}
