//! An unmodified psql and a real server with a flow between them.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use support::cluster::{Cluster, psql};
use support::world::{SCHEMA, guard, kept, snapshot, world};
use support::{Guard, Raw, text_of};
use weir_audit::Kind;
use weir_flow::{Lock, Locked};

#[test]
fn an_unmodified_psql_is_masked_held_and_refused() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let guard = guard(&cluster, &["engineering"]);
    let ask = |text: &str| psql(guard.port, "app", "postgres", text);

    let (rows, errors) = ask("SELECT id, name, ssn, email FROM customers ORDER BY id");
    assert_eq!(
        rows, "1|Alice|*******6789|a****@corp.example\n2|Bob|*******4321|b**@corp.example\n",
        "{errors}"
    );
    assert_eq!(
        ask("SELECT ssn AS x FROM customers WHERE id = 1").0,
        "*******6789\n"
    );
    assert_eq!(
        ask("SELECT tax_ref FROM contacts WHERE id = 1").0,
        "*******6789\n"
    );
    assert_eq!(ask("SELECT count(*) FROM customers").0, "2\n");

    for text in [
        "SELECT ssn || '' FROM customers",
        "SELECT id FROM customers WHERE ssn LIKE '1%'",
        "COPY customers TO STDOUT (ENCODING 'latin1')",
        "SELECT ssn::int FROM customers",
        "DO $$ BEGIN RAISE EXCEPTION '%', (SELECT ssn FROM customers LIMIT 1); END $$",
        "SELECT query_to_xml('select * from customers', true, true, '')",
    ] {
        let (rows, errors) = ask(text);
        assert_eq!(rows, "", "{text}");
        assert!(errors.contains("42501"), "{text}: {errors}");
        assert!(!errors.contains("123-45"), "{text}: {errors}");
    }
    let (_, errors) = ask("INSERT INTO customers VALUES (3, 'Carol', '123-45-6789', NULL, 1)");
    assert!(
        errors.contains("23505") && !errors.contains("123-45"),
        "{errors}"
    );

    // Programs tell a missing table by its code.
    let (_, errors) = ask("SELECT * FROM nowhere");
    assert!(
        errors.contains("42P01: relation \"nowhere\" does not exist"),
        "{errors}"
    );

    // A plan may be seen by the statement's name, as sqlx asks for it; what runs may not.
    let prepared = "PREPARE p AS SELECT ssn FROM customers WHERE id = 1;";
    let (plan, errors) = ask(&format!("{prepared} EXPLAIN (COSTS OFF) EXECUTE p"));
    assert!(plan.contains("customers"), "{errors}");
    let (plan, errors) = ask(&format!("{prepared} EXPLAIN (ANALYZE) EXECUTE p"));
    assert!(plan.is_empty() && errors.contains("42501"), "{errors}");

    let (_, errors) = ask("DROP TABLE scratch");
    assert!(errors.contains("held for approval"), "{errors}");
    assert_eq!(
        cluster.sql("postgres", "SELECT to_regclass('scratch') IS NULL"),
        "t\n",
        "{errors}"
    );

    let intents = kept(&guard, Kind::Intent);
    assert_eq!(intents.len(), kept(&guard, Kind::Outcome).len());
    assert!(
        intents
            .iter()
            .any(|record| record.verdict == "mask" && !record.masked.is_empty())
    );
    assert!(intents.iter().any(|record| record.verdict == "approved"));
}

#[test]
fn errors_of_weirs_own_point_to_where_the_servers_do() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let guard = guard(&cluster, &["engineering"]);
    let mut pointed = 0;
    for text in [
        "SELEC 1",
        "SELECT 1 +",
        "SELECT id FROM customers WHERE id id id",
        "SELECT ')', \")\" /* ) */ FROM customers)",
        "SELECT 1; SELEC 2",
        "SELECT 'é漢' FRM customers c d",
        "SELECT 1\n  FROM FROM",
        "SELECT * FROM customers WHERE id NOT tier",
        "SELECT 'abc",
        "SELECT \"abc",
        "SELECT 1 WHERE E'\\x' = $",
        "INSERT INTO scratch VALUES (1,,2)",
        "SELECT * FROM nowhere",
        "SELECT 'é', n.x FROM customers c JOIN public.nowhere AS n USING (id)",
        "SELECT (SELECT max(id) FROM nowhere) FROM customers",
        "WITH n AS (SELECT 1) SELECT * FROM n, nowhere",
        "INSERT INTO nowhere VALUES (1)",
        "INSERT INTO scratch SELECT * FROM nowhere",
        "UPDATE nowhere SET x = 1",
        "DELETE FROM nowhere WHERE x = 1",
        "TRUNCATE nowhere",
        "COPY nowhere TO STDOUT",
        "DROP TABLE nowhere",
    ] {
        // Behind the first line, which quotes codes and words, psql shows the place.
        let place = |port: u16, user: &str| {
            let (_, errors) = psql(port, user, "postgres", text);
            let shown = errors.lines().skip_while(|line| !line.starts_with("LINE "));
            let shown: Vec<_> = shown.take(2).map(str::to_owned).collect();
            shown.join("\n")
        };
        let direct = place(cluster.address.port(), "postgres");
        assert_eq!(place(guard.port, "app"), direct, "{text}");
        pointed += usize::from(!direct.is_empty());
    }
    assert_eq!(pointed, 20, "the server itself pointed to fewer");
}

#[test]
fn a_reader_of_personal_data_sees_it_clear() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let guard = guard(&cluster, &["engineering", "pii-readers"]);
    assert_eq!(
        psql(
            guard.port,
            "app",
            "postgres",
            "SELECT ssn FROM customers WHERE id = 1"
        )
        .0,
        "123-45-6789\n"
    );
    let (rows, errors) = psql(
        guard.port,
        "app",
        "postgres",
        "SELECT id FROM customers WHERE ssn LIKE '1%'",
    );
    assert_eq!(rows, "1\n", "{errors}");
}

#[test]
fn a_stranger_is_refused_before_a_session_begins() {
    let cluster = Cluster::start();
    let guard = guard(&cluster, &[]);
    let (_, errors) = psql(guard.port, "app", "postgres", "SELECT 1");
    assert!(errors.contains("weir:"), "{errors}");
    assert!(kept(&guard, Kind::Intent).is_empty());
}

#[test]
fn a_new_world_changes_what_is_shown() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let guard = guard(&cluster, &["engineering"]);
    let text = "SELECT ssn FROM customers WHERE id = 1";
    let ask = || psql(guard.port, "app", "postgres", text).0;
    assert_eq!(ask(), "*******6789\n");
    let mut next = world(&cluster);
    next.version = 2;
    next.snapshot = Arc::new(snapshot("masks.toml", |text| {
        text.replace("= [\"ssn\"]", "= []")
    }));
    *guard.world.write().expect("unpoisoned") = Arc::new(next);
    assert_eq!(ask(), "123-45-6789\n");
    let verdicts: Vec<_> = kept(&guard, Kind::Intent)
        .into_iter()
        .map(|kept| kept.verdict)
        .collect();
    assert_eq!(verdicts, ["mask", "allow"]);
    let outcomes = kept(&guard, Kind::Outcome);
    assert!(
        outcomes.iter().all(|kept| kept.outcome == "SELECT 1"),
        "{outcomes:?}"
    );
}

#[test]
fn arguments_of_execute_tell_nothing() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    cluster.sql(
        "postgres",
        "CREATE FUNCTION tell() RETURNS text LANGUAGE plpgsql AS $$
         BEGIN RAISE NOTICE '%', (SELECT ssn FROM customers LIMIT 1); RETURN 'told'; END $$",
    );
    let guard = guard(&cluster, &["engineering"]);
    let mut lenient = world(&cluster);
    lenient.version = 2;
    lenient.snapshot = Arc::new(snapshot("policies.cedar", |text| {
        text.replace(r#"Weir::Action::"pg.call", "#, "")
            + r#"@id("all-functions") permit(principal, action == Weir::Action::"pg.call", resource);"#
    }));
    *guard.world.write().expect("unpoisoned") = Arc::new(lenient);
    let mut client = Raw::open(guard.port, "app");
    let mut ask = |text: &str| client.ask(text);
    ask("PREPARE say(text) AS SELECT $1");
    assert!(ask("EXECUTE say('plain')").contains("plain"));
    for text in ["SELECT tell()", "EXECUTE say(tell())"] {
        let answer = ask(text);
        assert!(!answer.contains("123-45"), "{text}: {answer}");
    }
}

/// A guard under whose policy engineers may define views, and a view that hides nothing.
fn guard_of_views(cluster: &Cluster) -> Guard {
    cluster.sql("postgres", SCHEMA);
    cluster.sql(
        "postgres",
        "CREATE VIEW innocent AS SELECT id, name AS word FROM customers; ALTER VIEW innocent OWNER TO app; GRANT CREATE ON SCHEMA public TO app",
    );
    let guard = guard(cluster, &["engineering"]);
    let mut lenient = world(cluster);
    lenient.version = 2;
    lenient.snapshot = Arc::new(snapshot("policies.cedar", |text| {
        text + r#"@id("views") permit(principal, action == Weir::Action::"pg.define_code", resource);"#
    }));
    *guard.world.write().expect("unpoisoned") = Arc::new(lenient);
    guard
}

const INNOCENT: &str = "SELECT word FROM innocent ORDER BY id";
const REPLACE: &str = "CREATE OR REPLACE VIEW innocent AS SELECT id, ssn AS word FROM customers";

#[test]
fn a_view_that_another_session_has_replaced_is_masked_at_once() {
    let cluster = Cluster::start();
    let guard = guard_of_views(&cluster);
    let mut client = Raw::open(guard.port, "app");
    assert!(client.ask(INNOCENT).contains("Alice"));
    let (_, errors) = psql(guard.port, "app", "postgres", REPLACE);
    assert_eq!(errors, "");
    let answer = client.ask(INNOCENT);
    assert!(answer.contains("*******6789"), "{answer}");
    assert!(!answer.contains("123-45"), "{answer}");
}

#[test]
fn a_view_that_is_replaced_while_a_query_waits_for_it_is_withheld() {
    let cluster = Cluster::start();
    let guard = guard_of_views(&cluster);
    let mut client = Raw::open(guard.port, "app");
    assert!(client.ask(INNOCENT).contains("Alice"));
    let mut other = Raw::open(guard.port, "app");
    for text in ["BEGIN", REPLACE] {
        other.ask(text);
    }
    client.send(&Raw::frame(b'Q', format!("{INNOCENT}\0").as_bytes()));
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let begun = std::time::Instant::now();
    while cluster.sql("postgres", waits) != "1\n" {
        assert!(begun.elapsed().as_secs() < 60, "the query does not wait");
    }
    // What waited is answered before the server's word of the COMMIT comes to Weir, as may happen.
    guard.muted.store(2, Ordering::SeqCst);
    other.send(&Raw::frame(b'Q', b"COMMIT\0"));
    let answer = text_of(client.rest());
    assert!(!answer.contains("123-45"), "{answer}");
    assert!(answer.contains("a definition was changed"), "{answer}");
}

#[test]
fn a_lock_shuts_out_who_was_let_in() {
    let cluster = Cluster::start();
    let guard = guard(&cluster, &["engineering"]);
    let ask = || psql(guard.port, "app", "postgres", "SELECT 1");
    cluster.sql("postgres", "CREATE ROLE app LOGIN PASSWORD 'secret'");
    assert_eq!(ask().0, "1\n");
    let mut next = world(&cluster);
    next.version = 2;
    let who = Locked::Workload("tests".into());
    next.locks = vec![Lock {
        who,
        reason: "lost laptop".into(),
    }];
    *guard.world.write().expect("unpoisoned") = Arc::new(next);
    let (rows, errors) = ask();
    assert!(
        rows.is_empty() && errors.contains("lost laptop"),
        "{rows}{errors}"
    );
}

#[test]
fn a_session_is_usable_after_a_refusal() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let guard = guard(&cluster, &["engineering"]);
    let text = "SELECT 1;\nSELECT md5(ssn) FROM customers;\nSELECT 2;\nBEGIN;\nSELECT md5(ssn) FROM customers;\nSELECT 3;\nROLLBACK;\nSELECT 4;\n";
    let mut child = std::process::Command::new(support::cluster::bin().join("psql"))
        .args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-h",
            "127.0.0.1",
            "-U",
            "app",
            "-d",
            "postgres",
            "-p",
            &guard.port.to_string(),
        ])
        .env("PGSSLMODE", "disable")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("psql runs");
    std::io::Write::write_all(child.stdin.as_mut().expect("piped"), text.as_bytes())
        .expect("written");
    let output = child.wait_with_output().expect("ends");
    let (rows, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(rows, "1\n2\n4\n", "{errors}");
    assert!(
        errors.contains("current transaction is aborted"),
        "{errors}"
    );
}

#[test]
fn a_copy_frame_that_was_begun_goes_on_to_its_end() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let guard = guard(&cluster, &["engineering"]);
    let mut raw = Raw::open(guard.port, "app");
    raw.send(&Raw::frame(b'Q', b"COPY scratch FROM STDIN\0"));
    raw.until(b'G');
    // A bad row, and the beginning of a frame that a server in error still reads whole.
    let begun = [
        Raw::frame(b'd', b"no number\n"),
        vec![b'd', 0, 0, 0, 100],
        vec![b'1'; 6],
    ]
    .concat();
    raw.send(&begun);
    raw.until(b'Z');
    raw.send(&[vec![b'1'; 90], Raw::frame(b'Q', b"SELECT 41 + 1\0")].concat());
    let answer = raw.until(b'Z');
    let row = answer
        .iter()
        .find(|(tag, _)| *tag == b'D')
        .map(|(_, body)| body.clone());
    assert_eq!(
        row.as_deref(),
        Some(&b"\0\x01\0\0\0\x0242"[..]),
        "{answer:?}"
    );
}

/// As asyncpg and pgx do: they wait for nothing behind their COPY.
#[test]
fn copy_data_may_come_before_the_server_asks_for_it() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let guard = guard(&cluster, &["engineering"]);
    let mut raw = Raw::open(guard.port, "app");
    let copy = |text: &[u8], row: &[u8]| {
        let (query, data) = (Raw::frame(b'Q', text), Raw::frame(b'd', row));
        [query, data.repeat(3), Raw::frame(b'c', b"")].concat()
    };
    for (text, row, tags) in [
        (&b"COPY scratch FROM STDIN\0"[..], &b"7\n"[..], &b"GCZ"[..]),
        // The server refuses the statement, Weir does, and the server refuses a row: each
        // ignores what has come for it.
        (b"COPY scratch(nothing) FROM STDIN\0", b"7\n", b"EZ"),
        (b"COPY scratch FROM '/etc/passwd'\0", b"7\n", b"EZ"),
        (b"COPY scratch FROM STDIN\0", b"x\n", b"GEZ"),
    ] {
        raw.send(&copy(text, row));
        let answers = raw.until(b'Z');
        let seen: Vec<u8> = answers.iter().map(|(tag, _)| *tag).collect();
        assert_eq!(seen, tags, "{answers:?}");
    }
    raw.send(&Raw::frame(b'Q', b"SELECT 1\0"));
    assert!(raw.until(b'Z').iter().any(|(tag, _)| *tag == b'D'));
    assert_eq!(
        cluster.sql("postgres", "SELECT count(*) FROM scratch"),
        "3\n"
    );
}

#[test]
fn a_pipeline_behind_a_refusal_is_skipped_to_its_sync() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let guard = guard(&cluster, &["engineering"]);
    let mut raw = Raw::open(guard.port, "app");
    let parse = |text: &str| Raw::frame(b'P', format!("\0{text}\0\0\0").as_bytes());
    let run = |text: &str| {
        [
            parse(text),
            Raw::frame(b'B', &[0; 8]),
            Raw::frame(b'E', &[0; 5]),
        ]
        .concat()
    };
    let sync = Raw::frame(b'S', b"");
    raw.send(
        &[
            run("INSERT INTO scratch VALUES (7)"),
            run("SELECT md5(ssn) FROM customers"),
            run("SELECT 1"),
            sync,
        ]
        .concat(),
    );
    let answers = raw.until(b'Z');
    let tags: Vec<u8> = answers.iter().map(|(tag, _)| *tag).collect();
    assert_eq!(tags, b"12CEZ", "{answers:?}");
    // The refusal failed the whole pipeline, as any error does.
    assert_eq!(
        cluster.sql("postgres", "SELECT count(*) FROM scratch"),
        "0\n"
    );
}

/// The statement is allowed whatever the parameter is; the value decides.
#[test]
fn a_setting_that_a_parameter_names_is_one_of_the_servers_own() {
    let cluster = Cluster::start();
    cluster.sql("postgres", SCHEMA);
    let guard = guard(&cluster, &["engineering"]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let to = format!(
            "host=127.0.0.1 port={} user=app dbname=postgres",
            guard.port
        );
        let (client, session) = tokio_postgres::connect(&to, tokio_postgres::NoTls)
            .await
            .expect("a session");
        tokio::spawn(session);
        let ask = "SELECT current_setting($1, true)";
        let row = client.query_one(ask, &[&"work_mem"]).await.expect(ask);
        assert_eq!(row.get::<_, &str>(0), "4MB");
        let refused = client
            .query_one(ask, &[&"app.secret"])
            .await
            .expect_err(ask);
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"));
        let row = client.query_one(ask, &[&"work_mem"]).await.expect(ask);
        assert_eq!(row.get::<_, &str>(0), "4MB");
    });
}
