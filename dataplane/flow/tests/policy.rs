//! What policy allows of masked columns, and at which rate; what approvals are bound to.

mod support;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use support::cluster::{Cluster, psql};
use support::world::{
    SCHEMA, bind, engineer, error, execute, guard, kept, parse, snapshot, sync, tags, world,
};
use support::{Guard, Raw};
use weir_audit::Kind;
use weir_facts::Group;
use weir_flow::{ApprovalRequest, Decision};

/// A guard by the demo's policies with one file changed, whose people approve and are noted.
fn changed(
    cluster: &Cluster,
    groups: &[&str],
    change: impl Fn(String) -> String,
) -> (Guard, Arc<Mutex<Vec<ApprovalRequest>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let people = move |request: &ApprovalRequest| {
        noted.lock().expect("unpoisoned").push(request.clone());
        Decision::Approved {
            approvers: vec!["weir|dana".into()],
            groups: vec![Group("dba".into())],
        }
    };
    let mut world = world(cluster);
    world.snapshot = Arc::new(snapshot("policies.cedar", change));
    let guard = Guard::start(
        cluster.address,
        "demo-pg",
        world,
        Some(engineer(groups)),
        Box::new(people),
    );
    (guard, asked)
}

/// Puts an annotation behind the names of rules.
fn annotated(rules: &'static [&str]) -> impl Fn(String) -> String {
    move |text| {
        rules.iter().fold(text, |text, rule| {
            let named = format!("@id(\"{rule}\")");
            text.replace(&named, &format!("{named} @durability(\"kept\")"))
        })
    }
}

/// Rules that say `kept`, and of each statement whether its record is synced.
type Case = (&'static [&'static str], &'static [(&'static str, bool)]);

#[test]
fn a_record_is_synced_unless_every_permit_of_the_operation_says_otherwise() {
    const WRITE: &str = "INSERT INTO scratch VALUES (1)";
    const PREPARE: &str = "PREPARE put AS INSERT INTO scratch VALUES (2)";
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    cluster.sql("postgres", "GRANT CREATE ON SCHEMA public TO app");
    let cases: [Case; 3] = [
        (&[], &[(WRITE, true), ("SELECT id FROM scratch", false)]),
        (
            &["engineers-write", "engineers-define-tables"],
            &[
                (WRITE, false),
                ("INSERT INTO scratch SELECT id FROM customers", true),
                (
                    "INSERT INTO scratch VALUES (1); CREATE TABLE more(id int)",
                    false,
                ),
                // It waits for people, who approve.
                ("DROP TABLE more", true),
            ],
        ),
        // What EXECUTE leads to is not the caller's connection to the server.
        (
            &["engineers-connect"],
            &[("EXECUTE put", true), (WRITE, true)],
        ),
    ];
    for (rules, statements) in cases {
        let (guard, _) = changed(&cluster, &["engineering"], annotated(rules));
        let mut client = Raw::open(guard.port, "app");
        client.ask(PREPARE);
        for (text, is_synced) in statements {
            let before = guard.syncs.load(Ordering::SeqCst);
            let told = client.ask(text);
            assert!(!told.contains("ERROR"), "{rules:?}, {text}: {told}");
            let syncs = guard.syncs.load(Ordering::SeqCst) - before;
            assert_eq!(syncs > 0, *is_synced, "{rules:?}, {text}");
        }
    }
}

fn slower(text: String) -> String {
    text.replace("20/1h", "3/1h")
}

#[test]
fn equality_with_a_masked_column_is_counted_over_all_flows() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let (guard, _) = changed(&cluster, &["engineering", "support"], slower);
    let ask = |text: &str| psql(guard.port, "app", "postgres", text);

    let (rows, errors) =
        ask("SELECT id, ssn FROM customers WHERE ssn = '123-45-6789' AND tier = 1");
    assert_eq!(rows, "1|*******6789\n", "{errors}");
    let (rows, errors) = ask("SELECT id FROM contacts WHERE tax_ref IN ('1', '987-65-4321')");
    assert_eq!(rows, "2\n", "{errors}");
    let intents = kept(&guard, Kind::Intent);
    let last = intents.last().expect("recorded");
    assert_eq!(
        last.reason,
        "compares masked columns with 2 values; 3 of 3 within 1h"
    );
    assert!(
        last.accesses
            .contains(&"pg.match demo-pg/public/customers/ssn".to_owned()),
        "{last:?}"
    );

    let (rows, errors) = ask("SELECT id FROM customers WHERE ssn = '987-65-4321'");
    assert_eq!(rows, "");
    for part in ["53400", "3 within 1h", "try again in "] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    // What is not counted goes on, and inferring is refused however little was matched.
    assert_eq!(ask("SELECT count(*) FROM customers").0, "2\n");
    for text in [
        "SELECT id FROM customers WHERE ssn > '5'",
        "SELECT id FROM customers WHERE NOT ssn = '5'",
        "EXPLAIN ANALYZE SELECT id FROM customers WHERE ssn = '5'",
    ] {
        let (rows, errors) = ask(text);
        assert_eq!(rows, "", "{text}");
        for part in [
            "42501",
            "column public.customers.ssn is masked",
            "another column",
        ] {
            assert!(errors.contains(part), "{part}: {text}: {errors}");
        }
    }
}

#[test]
fn only_who_may_match_matches() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let guard = guard(&cluster, &["engineering"]);
    let text = "SELECT id FROM customers WHERE ssn = '123-45-6789'";
    let (rows, errors) = psql(guard.port, "app", "postgres", text);
    assert!(
        rows.is_empty() && errors.contains("no-inference-on-pii"),
        "{rows}{errors}"
    );
}

#[test]
fn an_operator_of_somebodys_own_is_no_equality() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    cluster.sql(
        "postgres",
        "CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = text_lt)",
    );
    let (guard, _) = changed(&cluster, &["engineering", "support"], |text| text);
    for text in [
        "SELECT id FROM customers WHERE ssn = '5'",
        "SET search_path = public, pg_catalog; SELECT id FROM customers WHERE ssn = '5'",
    ] {
        let (rows, errors) = psql(guard.port, "app", "postgres", text);
        assert!(
            rows.is_empty() && errors.contains("42501"),
            "{rows}{errors}"
        );
    }
}

#[test]
fn a_bound_match_is_counted_once_and_its_type_is_the_columns() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    cluster.sql(
        "postgres",
        "INSERT INTO customers SELECT id, 'x', 's' || id FROM generate_series(10, 20) id;
         ALTER TABLE customers DROP CONSTRAINT customers_ssn_key; UPDATE customers SET ssn = 'same' WHERE id > 9",
    );
    let (guard, _) = changed(&cluster, &["engineering", "support"], slower);
    let mut raw = Raw::open(guard.port, "app");
    let text = "SELECT id FROM customers WHERE ssn = $1";
    raw.send(&[parse("s", text, &[25]), sync()].concat());
    assert_eq!(tags(&raw.until(b'Z')), "1Z");
    // One guess, however many times its portal is resumed.
    raw.send(
        &[
            bind("p", "s", 0, b"same"),
            execute("p", 4),
            execute("p", 4),
            execute("p", 4),
            sync(),
        ]
        .concat(),
    );
    let frames = raw.until(b'Z');
    assert_eq!(tags(&frames), "2DDDDsDDDDsDDDCZ", "{}", error(&frames));
    // Each Bind is another one, and so is each EXECUTE and FETCH.
    raw.send(&[bind("", "s", 0, b"no"), execute("", 0), sync()].concat());
    assert_eq!(tags(&raw.until(b'Z')), "2CZ");
    raw.send(&Raw::frame(b'Q', b"EXECUTE s('same')\0"));
    assert_eq!(tags(&raw.until(b'Z')).replace('D', ""), "TCZ");
    for text in [
        &b"EXECUTE s('other')\0"[..],
        b"BEGIN; DECLARE c CURSOR FOR SELECT id FROM customers WHERE ssn = 'same'; FETCH 1 FROM c\0",
    ] {
        raw.send(&Raw::frame(b'Q', text));
        let frames = raw.until(b'Z');
        assert!(error(&frames).contains("53400"), "{}", error(&frames));
    }
    raw.send(&[bind("", "s", 0, b"same"), execute("", 0), sync()].concat());
    let frames = raw.until(b'Z');
    assert!(error(&frames).contains("53400"), "{}", error(&frames));
    // How common a value is would be told by estimates, and nobody would count.
    for text in [
        &b"EXPLAIN EXECUTE s('other')\0"[..],
        b"EXPLAIN SELECT id FROM customers WHERE ssn = 'other'\0",
    ] {
        raw.send(&Raw::frame(b'Q', text));
        let frames = raw.until(b'Z');
        assert!(error(&frames).contains("42501"), "{}", error(&frames));
    }
    // A declared type that the column would be converted to is refused before anything runs.
    raw.send(&[parse("t", text, &[1042]), sync()].concat());
    let frames = raw.until(b'Z');
    assert!(error(&frames).contains("converts it"), "{}", error(&frames));
    let intents = kept(&guard, Kind::Intent);
    let execute = intents.iter().rfind(|it| it.reason.starts_with("compares"));
    let execute = execute.expect("recorded");
    assert!(
        execute
            .accesses
            .contains(&"pg.match demo-pg/public/customers/ssn".to_owned()),
        "the intent of EXECUTE tells what it leads to: {execute:?}"
    );
}

const DELETE_HELD: &str = r#"
@id("delete-needs-dba") @effect("approve") @approvers("dba") @reason("DELETE needs a DBA")
forbid(principal, action == Weir::Action::"pg.delete", resource in Weir::Connection::"demo-pg")
unless { context.approvals.contains(Weir::Group::"dba") };
"#;

#[test]
fn an_approval_is_bound_to_types_and_values_and_to_no_flow() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let (guard, asked) = changed(&cluster, &["engineering"], |text| text + DELETE_HELD);
    let text = "DELETE FROM scratch WHERE id = $1";
    let seven = 7_i32.to_be_bytes();
    let once = |name: &str, types: &[u32], format: u16, value: &[u8]| {
        let mut raw = Raw::open(guard.port, "app");
        let pipeline = [
            parse(name, text, types),
            bind(name, name, format, value),
            execute(name, 0),
            sync(),
        ];
        raw.send(&pipeline.concat());
        let frames = raw.until(b'Z');
        assert_eq!(tags(&frames), "N12CZ", "{}", error(&frames));
    };
    once("a", &[23], 1, &seven);
    once("b", &[23], 1, &seven);
    // A Parse that came before, with the same type.
    let mut raw = Raw::open(guard.port, "app");
    raw.send(&[parse("c", text, &[23]), sync()].concat());
    assert_eq!(tags(&raw.until(b'Z')), "1Z");
    raw.send(&[bind("c", "c", 1, &seven), execute("c", 0), sync()].concat());
    let frames = raw.until(b'Z');
    assert_eq!(tags(&frames), "N2CZ", "{}", error(&frames));
    // Another type, another format, another value.
    once("d", &[20], 1, &7_i64.to_be_bytes());
    once("e", &[23], 0, b"7");
    once("f", &[], 0, b"7");
    once("g", &[23], 1, &8_i32.to_be_bytes());

    let asked = asked.lock().expect("unpoisoned");
    let digests: Vec<_> = asked.iter().map(|request| request.digest).collect();
    let [a, b, c, others @ ..] = digests.as_slice() else {
        panic!("{digests:?}")
    };
    assert!(a == b && b == c, "the same operation on three flows");
    for (at, digest) in others.iter().enumerate() {
        let before = &digests[..at + 3];
        assert!(!before.contains(digest), "operation {at} is another one");
    }
    assert_eq!(
        asked[2].operation,
        format!("{text}\n-- $1 int4 (binary) = 7")
    );
    assert!(asked[4].operation.ends_with("-- $1 int4 (text) = '7'"));
}

#[test]
fn what_is_prepared_with_flush_waits_outside_of_a_transaction() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let port = cluster.address.port();
    let server_said = Arc::new(Mutex::new(Vec::new()));
    let (noted, locks) = (
        server_said.clone(),
        "SELECT state, (SELECT count(*) FROM pg_locks WHERE pid = a.pid) FROM pg_stat_activity a WHERE usename = 'app'",
    );
    let people = move |_: &ApprovalRequest| {
        let (said, _) = psql(port, "postgres", "postgres", locks);
        noted.lock().expect("unpoisoned").push(said);
        Decision::Approved {
            approvers: vec!["weir|dana".into()],
            groups: vec![Group("dba".into())],
        }
    };
    let mut world = world(&cluster);
    world.snapshot = Arc::new(snapshot("policies.cedar", |text| text + DELETE_HELD));
    let workload = Some(engineer(&["engineering"]));
    let server = cluster.address;
    let guard = Guard::start(server, "demo-pg", world, workload, Box::new(people));
    let mut raw = Raw::open(guard.port, "app");
    let (describe, flush) = (Raw::frame(b'D', b"Ss\0"), Raw::frame(b'H', b""));
    let text = "DELETE FROM scratch WHERE id = $1";
    // What asyncpg sends: first this, and the rest when it has the types.
    let prepared = [parse("s", text, &[]), describe, flush].concat();
    let bound = [bind("", "s", 0, b"7"), execute("", 0), sync()].concat();
    raw.send(&prepared);
    assert_eq!(tags(&raw.until(b'n')), "1tn");
    raw.send(&bound);
    let frames = raw.until(b'Z');
    assert_eq!(tags(&frames), "N2CZ", "{}", error(&frames));
    // A client that does not wait for what it flushed.
    let other = [Raw::frame(b'C', b"Ss\0"), sync(), prepared, bound].concat();
    raw.send(&other);
    assert_eq!(tags(&raw.until(b'Z')), "3Z");
    let frames = raw.until(b'Z');
    assert_eq!(tags(&frames), "1tnN2CZ", "{}", error(&frames));
    let said = server_said.lock().expect("unpoisoned");
    assert_eq!(*said, ["idle|0\n", "idle|0\n"]);
}

#[test]
fn what_is_bound_without_an_execute_right_behind_it_reaches_no_server() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let (guard, _) = changed(&cluster, &["engineering"], |text| text + DELETE_HELD);
    let mut raw = Raw::open(guard.port, "app");
    let held = [
        parse("s", "DELETE FROM scratch WHERE id = $1", &[]),
        bind("p", "s", 0, b"7"),
    ]
    .concat();
    // A server plans where it binds, and planning runs functions.
    for behind in [
        Vec::new(),
        Raw::frame(b'H', b""),
        execute("other", 0),
        [bind("q", "s", 0, b"8"), execute("p", 0)].concat(),
        parse("t", "SELECT 1", &[]),
    ] {
        raw.send(&[held.clone(), behind, sync()].concat());
        let frames = raw.until(b'Z');
        assert_eq!(tags(&frames), "1EZ", "{}", error(&frames));
        assert!(
            error(&frames).contains("right behind its Bind"),
            "{}",
            error(&frames)
        );
        raw.send(&[Raw::frame(b'C', b"Ss\0"), sync()].concat());
        assert_eq!(tags(&raw.until(b'Z')), "3Z");
    }
}

#[test]
fn a_parameter_of_a_type_that_runs_code_is_refused() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    cluster.sql(
        "postgres",
        "CREATE FUNCTION looks(text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
         CREATE DOMAIN noisy AS text CHECK (looks(VALUE)); CREATE DOMAIN quiet AS text;",
    );
    let guard = guard(&cluster, &["engineering"]);
    let mut raw = Raw::open(guard.port, "app");
    let mut said = |name: &str| {
        let text = format!("SELECT oid FROM pg_type WHERE typname = '{name}'");
        let oid = cluster.sql("postgres", &text).trim().parse();
        let asked = parse("", "SELECT $1", &[oid.expect("an oid")]);
        raw.send(&[asked, bind("", "", 0, b"x"), execute("", 0), sync()].concat());
        error(&raw.until(b'Z'))
    };
    assert_eq!(said("text"), "");
    assert_eq!(said("quiet"), "");
    assert!(said("noisy").contains("runs code"), "{}", said("noisy"));
}

#[test]
fn what_is_bound_amid_a_transaction_does_not_wait() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let (guard, _) = changed(&cluster, &["engineering"], |text| text + DELETE_HELD);
    let mut raw = Raw::open(guard.port, "app");
    let held = |name: &str| {
        [
            parse(name, "DELETE FROM scratch WHERE id = $1", &[]),
            Raw::frame(b'H', b""),
        ]
        .concat()
    };
    let bound = |name: &str| [bind("", name, 0, b"7"), execute("", 0), sync()].concat();
    // A Sync of Weir's own would commit what the client has not.
    raw.send(
        &[
            parse("i", "INSERT INTO scratch VALUES ($1)", &[]),
            bind("", "i", 0, b"1"),
            execute("", 0),
        ]
        .concat(),
    );
    raw.send(&[held("a"), bound("a")].concat());
    let frames = raw.until(b'Z');
    assert!(
        error(&frames).contains("cannot wait inside a transaction"),
        "{}",
        error(&frames)
    );
    assert_eq!(
        cluster.sql("postgres", "SELECT count(*) FROM scratch"),
        "0\n"
    );
    assert!(!raw.ask("BEGIN").contains("weir"));
    raw.send(&[held("b"), bound("b")].concat());
    let frames = raw.until(b'Z');
    assert!(
        error(&frames).contains("cannot wait inside a transaction"),
        "{}",
        error(&frames)
    );
}

#[test]
fn a_client_that_leaves_during_a_hold_withdraws_its_request() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let (guard, _) = changed(&cluster, &["engineering"], |text| text + DELETE_HELD);
    guard.is_silent.store(true, Ordering::SeqCst);
    let mut raw = Raw::open(guard.port, "app");
    let text = "DELETE FROM scratch WHERE id = $1";
    let pipeline = [
        parse("", text, &[]),
        bind("", "", 0, b"7"),
        execute("", 0),
        sync(),
    ];
    raw.send(&pipeline.concat());
    raw.until(b'N');
    raw.0
        .shutdown(std::net::Shutdown::Write)
        .expect("half-closed");
    // The Sync that waited behind the hold is answered, and the session ends.
    let frames = raw.until(b'Z');
    assert!(error(&frames).contains("57014"), "{}", error(&frames));
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut raw.0, &mut rest).expect("ends");
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(guard.withdrawn.lock().expect("unpoisoned").len(), 1);
}

#[test]
fn functions_that_are_vouched_for_are_used_near_masked_columns() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    cluster.sql(
        "postgres",
        "CREATE FUNCTION initials(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT left($1, 1)'",
    );
    let text = "SELECT initials(name) AS i, ssn FROM customers WHERE id = 1";
    let plain = guard(&cluster, &["engineering"]);
    let (rows, errors) = psql(plain.port, "app", "postgres", text);
    assert!(
        rows.is_empty() && errors.contains("no-unknown-functions"),
        "{rows}{errors}"
    );

    let mut world = world(&cluster);
    world.snapshot = Arc::new(snapshot("masks.toml", |text| {
        text.replace(
            "[connection.demo-pg]\n",
            "[connection.demo-pg]\nharmless_functions = [\"public.initials(text)\"]\n",
        )
    }));
    let vouching = Guard::start(
        cluster.address,
        "demo-pg",
        world,
        Some(engineer(&["engineering"])),
        Box::new(|_| Decision::Expired),
    );
    let ask = |text: &str| psql(vouching.port, "app", "postgres", text);
    let (rows, errors) = ask(text);
    assert_eq!(rows, "A|*******6789\n", "{errors}");
    let (rows, errors) = ask("SELECT initials(ssn) FROM customers");
    assert!(
        rows.is_empty() && errors.contains("column public.customers.ssn is masked"),
        "{rows}{errors}"
    );
    // Which overload is meant is the server's to find: one that nobody vouches for ends it.
    cluster.sql(
        "postgres",
        "CREATE FUNCTION initials(varchar) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM customers LIMIT 1'",
    );
    let (rows, errors) = ask("SELECT initials('x'::varchar) FROM customers");
    assert!(
        rows.is_empty() && errors.contains("42501"),
        "{rows}{errors}"
    );
}
