//! Statements that nobody can read: they go on as they are where nothing is hidden and policy
//! permits `pg.unknown`, and nowhere else.

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use support::cluster::{Cluster, psql};
use support::{Guard, Raw};
use weir_facts::{ConnectionName, Group, Workload};
use weir_flow::{
    Attribution, Authentication, ClientLogin, ClientTls, Connection, Connections, Credential,
    Decision, Durability, PostgresTarget, Settings, Stale, Target, Tls, TlsMode, World,
};
use weir_mask::MaskKey;
use weir_policy::{Bundle, ClockTrust, ConnectionFacts, ConnectionKind, Directory, Snapshot};
use zeroize::Zeroizing;

const SCHEMA: &str = "
    CREATE ROLE app LOGIN PASSWORD 'secret';
    CREATE TABLE customers(id int PRIMARY KEY, ssn text);
    INSERT INTO customers VALUES (1,'123-45-6789');
    GRANT ALL ON customers TO app; GRANT CREATE ON SCHEMA public TO app;
";

const EVERYTHING: &str = r#"
@id("all") permit(principal in Weir::Group::"engineering", action, resource in Weir::Connection::"pg");
"#;

const NO_UNKNOWN: &str = r#"
@id("no-unknown") @reason("not understood")
forbid(principal, action == Weir::Action::"pg.unknown", resource in Weir::Connection::"pg");
"#;

const NO_DROP: &str = r#"
@id("no-drop") @reason("nothing is dropped")
forbid(principal, action == Weir::Action::"pg.drop_table", resource in Weir::Connection::"pg");
"#;

const MASKED: &str = r#"
@id("mask") @effect("mask") @mask("redact")
forbid(principal, action == Weir::Action::"pg.reveal", resource in Weir::DataClass::"ssn");
"#;

const CLEAR: &str = "[connection.pg]\nenv = \"demo\"\nunlabelled = \"clear\"\n";
const LABELLED: &str = "[classes]\nssn = []\n[connection.pg]\nenv = \"demo\"\nunlabelled = \"clear\"\n[connection.pg.columns]\n\"public.customers.ssn\" = [\"ssn\"]\n";

/// What is refused by our grammar, or by what we know of the session; the server says the rest.
const UNREADABLE: [&str; 5] = [
    "SELEC 1",
    "EXECUTE nobody",
    "FETCH ALL FROM nobody",
    "SELECT * FROM nowhere",
    "CREATE TABLE t(a int) WITH OIDS",
];

fn world(cluster: &Cluster, version: u64, policies: &str, masks: &str) -> World {
    let name = ConnectionName::new("pg");
    let files = [("policies.cedar", policies), ("masks.toml", masks)];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let bundle = Arc::new(Bundle::parse(&files).expect("a bundle"));
    let facts = ConnectionFacts::new(name.clone(), ConnectionKind::Postgres, "demo", None);
    let snapshot = Snapshot::compile(bundle, &[facts.expect("facts")], Directory::default());
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
        version,
        snapshot: Arc::new(snapshot),
        connections: Connections::new([Connection {
            name,
            addresses: vec![cluster.address],
            tls: Tls {
                mode: TlsMode::Disable,
                ca_pem: "".into(),
                server_name: None,
            },
            client_tls: ClientTls::Optional,
            login: ClientLogin::by_account(),
            attribution: Attribution::Off,
            mask_key: MaskKey::new([1; 32]),
            target: Target::Postgres(target),
        }]),
        accounts: HashMap::new(),
        tokens: HashMap::new(),
        authentication: Authentication::local(),
        workloads: Vec::new(),
        locks: Vec::new(),
        mock_key: [2; 32],
        bundle: "unread".into(),
        clock: ClockTrust::Trusted,
        settings: Settings {
            durability: Durability::SyncedExceptPlainReads,
            attribution: Attribution::Off,
            postgres_hold_ns: 5_000_000_000,
            mcp_hold_ns: 5_000_000_000,
            inbox: None,
            not_after_us: u64::MAX,
            stale: Stale::Continue,
        },
    }
}

fn engineer() -> Workload {
    Workload {
        name: "tests".into(),
        groups: vec![Group("engineering".into())],
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

fn guard(cluster: &Cluster, policies: &str, masks: &str) -> Guard {
    let nobody = |_: &_| Decision::Unavailable;
    Guard::start(
        cluster.address,
        "pg",
        world(cluster, 1, policies, masks),
        Some(engineer()),
        Box::new(nobody),
    )
}

fn push(guard: &Guard, cluster: &Cluster, policies: &str, masks: &str) {
    let next = world(cluster, 2, policies, masks);
    *guard.world.write().expect("unpoisoned") = Arc::new(next);
}

fn start() -> Cluster {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    cluster
}

fn query(raw: &mut Raw, text: &str) -> String {
    raw.send(&Raw::frame(b'Q', &[text.as_bytes(), b"\0"].concat()));
    said(&raw.until(b'Z'))
}

fn said(frames: &[(u8, Vec<u8>)]) -> String {
    let text = frames.iter().map(|(tag, body)| {
        let body = String::from_utf8_lossy(body).replace('\0', " ");
        format!("{} {body}\n", char::from(*tag))
    });
    text.collect()
}

/// The flow ends: says what came before.
fn last_words(raw: &mut Raw, text: &str) -> String {
    raw.send(&Raw::frame(b'Q', &[text.as_bytes(), b"\0"].concat()));
    said(&raw.rest())
}

#[test]
fn where_nothing_is_hidden_the_server_answers_what_nobody_can_read() {
    let cluster = start();
    let guard = guard(&cluster, EVERYTHING, CLEAR);
    for text in UNREADABLE {
        let direct = psql(cluster.address.port(), "app", "postgres", text);
        let guarded = psql(guard.port, "app", "postgres", text);
        assert_eq!(guarded, direct, "{text}");
        assert!(guarded.1.contains("ERROR"), "{text}: {guarded:?}");
        assert!(!guarded.1.contains("weir"), "{text}: {guarded:?}");
        let answer = query(&mut Raw::open(guard.port, "app"), text);
        assert!(is_from_server(&answer), "{text}: {answer}");
    }
}

#[test]
fn elsewhere_what_nobody_can_read_is_refused() {
    let cluster = start();
    let unknown = format!("{EVERYTHING}{NO_UNKNOWN}");
    let masked = format!("{EVERYTHING}{MASKED}");
    for (policies, masks) in [(&*unknown, CLEAR), (&*masked, LABELLED)] {
        let guard = guard(&cluster, policies, masks);
        let mut raw = Raw::open(guard.port, "app");
        for text in UNREADABLE {
            let answer = query(&mut raw, text);
            assert!(answer.starts_with("E "), "{text}: {answer}");
            assert!(!is_from_server(&answer), "{text}: {answer}");
        }
        // lo_creat by message; in a SELECT it is a function like any other.
        raw.send(&Raw::frame(b'F', &call(957)));
        let answer = said(&raw.until(b'Z'));
        assert!(answer.contains("by message is refused"), "{answer}");
        let ended = last_words(&mut raw, "SET standard_conforming_strings = off");
        assert!(ended.contains("broke") || ended.contains("weir"), "{ended}");
        assert!(!ended.contains("Z I"), "{ended}");
    }
}

/// The server's errors name the line of its source; Weir's do not.
fn is_from_server(answer: &str) -> bool {
    answer.contains(".c L") || answer.contains(".l L")
}

/// A FunctionCall of a function with one integer, 131072.
fn call(function: u32) -> Vec<u8> {
    let mut body = function.to_be_bytes().to_vec();
    body.extend_from_slice(&[0, 1, 0, 1, 0, 1, 0, 0, 0, 4, 0, 2, 0, 0, 0, 1]);
    body
}

#[test]
fn where_nothing_is_hidden_functions_are_called_by_message_and_strings_read_otherwise() {
    let cluster = start();
    let guard = guard(&cluster, EVERYTHING, CLEAR);
    let mut raw = Raw::open(guard.port, "app");
    raw.send(&Raw::frame(b'F', &call(957)));
    let tags: Vec<u8> = raw.until(b'Z').iter().map(|(tag, _)| *tag).collect();
    assert_eq!(tags, b"VZ");
    query(&mut raw, "SET standard_conforming_strings = off");
    query(&mut raw, "SET escape_string_warning = off");
    let answer = query(&mut raw, r"SELECT 'a\' secret' AS c");
    assert!(answer.contains("a' secret"), "{answer}");
    raw.send(&Raw::frame(b'Q', b"SELECT '\xff'\0"));
    let answer = said(&raw.until(b'Z'));
    assert!(answer.contains("22021"), "{answer}");
    assert!(query(&mut raw, "SELECT 40 + 2").contains("42"));
    let kept = guard.kept.lock().expect("unpoisoned");
    let told = |word: &str| kept.iter().any(|record| record.summary.contains(word));
    assert!(told("escape_string_warning"));
    assert!(!told("secret"), "a constant is in a record: {kept:?}");
}

#[test]
fn a_session_that_ran_what_nobody_read_ends_when_something_is_hidden() {
    let cluster = start();
    let masked = format!("{EVERYTHING}{MASKED}");
    let unknown = format!("{EVERYTHING}{NO_UNKNOWN}");
    let blinding = [
        "SELEC 1",
        "EXECUTE nobody",
        "SET standard_conforming_strings = off",
        "DO $$ BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END $$",
    ];
    for text in blinding {
        for (policies, masks) in [(&*masked, LABELLED), (&*unknown, CLEAR)] {
            let guard = guard(&cluster, EVERYTHING, CLEAR);
            let mut raw = Raw::open(guard.port, "app");
            query(&mut raw, text);
            assert!(query(&mut raw, "SELECT ssn FROM customers").contains("123-45"));
            push(&guard, &cluster, policies, masks);
            let ended = last_words(&mut raw, "SELECT ssn FROM customers");
            assert!(!ended.contains("123-45"), "{text}: {ended}");
            assert!(ended.contains("57P01"), "{text}: {ended}");
            assert!(ended.contains("connect again"), "{text}: {ended}");
        }
    }
}

#[test]
fn a_session_that_was_read_goes_on_masked_and_pinned() {
    let cluster = start();
    let guard = guard(&cluster, EVERYTHING, CLEAR);
    let mut raw = Raw::open(guard.port, "app");
    query(&mut raw, "PREPARE seen AS SELECT ssn FROM customers");
    assert!(query(&mut raw, "EXECUTE seen").contains("123-45"));
    // Nobody waits for the catalogue here, but whoever is masked afterwards does.
    query(&mut raw, "CREATE VIEW v AS SELECT ssn AS x FROM customers");
    let masked = format!("{EVERYTHING}{MASKED}");
    push(&guard, &cluster, &masked, LABELLED);
    for text in [
        "EXECUTE seen",
        "SELECT x FROM v",
        "SELECT ssn FROM customers",
    ] {
        let answer = query(&mut raw, text);
        assert!(answer.contains("D "), "{text}: {answer}");
        assert!(!answer.contains("123-45"), "{text}: {answer}");
    }
    assert!(query(&mut raw, "EXECUTE nobody").starts_with("E "));
    let ended = last_words(&mut raw, "SET standard_conforming_strings = off");
    assert!(!ended.contains("Z I"), "{ended}");
}

#[test]
fn notifications_end_where_something_is_hidden() {
    let cluster = start();
    let guard = guard(&cluster, EVERYTHING, CLEAR);
    let mut raw = Raw::open(guard.port, "app");
    raw.ask("LISTEN news");
    // Whatever the server has for this session comes before the end of its next answer.
    let mut told = |payload: &str| {
        let text = format!("SELECT pg_notify('news', '{payload}')");
        cluster.sql("postgres", &text);
        raw.ask("SELECT 1")
    };
    assert!(told("open").contains("open"));
    push(&guard, &cluster, &format!("{EVERYTHING}{MASKED}"), LABELLED);
    // A session takes a policy up with its next message.
    told("nothing");
    let said = told("123-45-6789");
    assert!(!said.contains("123-45"), "{said}");
}

#[test]
fn names_made_unseen_are_taken_for_what_nobody_read() {
    let cluster = start();
    cluster.sql(
        "postgres",
        "CREATE FUNCTION opens() RETURNS refcursor LANGUAGE plpgsql AS $$
         DECLARE c refcursor := 'unseen'; BEGIN OPEN c FOR SELECT ssn FROM customers; RETURN c; END $$",
    );
    let masked = format!("{EVERYTHING}{MASKED}");
    for (policies, masks, shows) in [(EVERYTHING, CLEAR, true), (&masked, LABELLED, false)] {
        let guard = guard(&cluster, policies, masks);
        let mut raw = Raw::open(guard.port, "app");
        query(&mut raw, "BEGIN");
        query(&mut raw, "SELECT opens()");
        let answer = query(&mut raw, "FETCH ALL FROM unseen");
        assert_eq!(answer.contains("123-45"), shows, "{answer}");
        query(&mut raw, "ROLLBACK");
        query(&mut raw, "BEGIN");
        query(&mut raw, "SELECT opens()");
        let execute = Raw::frame(b'E', b"unseen\0\0\0\0\0");
        raw.send(&[execute, Raw::frame(b'S', b"")].concat());
        let answer = said(&raw.until(b'Z'));
        assert_eq!(answer.contains("123-45"), shows, "{answer}");
    }
}

#[test]
fn what_is_denied_by_name_stays_denied_for_what_was_just_made() {
    let cluster = start();
    let policies = format!("{EVERYTHING}{NO_DROP}");
    let guard = guard(&cluster, &policies, CLEAR);
    let mut raw = Raw::open(guard.port, "app");
    for text in [
        "CREATE TABLE fresh(a int)",
        "BEGIN; CREATE TABLE fresher(a int)",
    ] {
        let made = query(&mut raw, text);
        assert!(made.contains("CREATE TABLE"), "{made}");
    }
    for text in ["DROP TABLE fresher", "ROLLBACK", "DROP TABLE fresh"] {
        let answer = query(&mut raw, text);
        let is_denied = answer.contains("nothing is dropped");
        assert_eq!(is_denied, text.starts_with("DROP"), "{text}: {answer}");
    }
}

#[test]
fn a_churn_of_definitions_is_not_waited_for() {
    let cluster = start();
    let guard = guard(&cluster, EVERYTHING, CLEAR);
    let mut raw = Raw::open(guard.port, "app");
    for round in 0..20 {
        for text in [
            format!("CREATE TABLE churn_{round}(a int)"),
            format!("INSERT INTO churn_{round} VALUES ({round})"),
            format!("DROP TABLE churn_{round}"),
        ] {
            let answer = query(&mut raw, &text);
            assert!(answer.starts_with("C "), "{text}: {answer}");
        }
    }
    let readings = guard.readings.load(std::sync::atomic::Ordering::Relaxed);
    assert!(readings < 20, "the catalogue was read {readings} times");
}
