//! Every channel that carries rows, in front of a real server, each beside the same question
//! asked directly.

mod support;

use std::sync::Arc;

use support::Raw;
use support::world::{guard, snapshot, world};
use support::cluster::{Cluster, psql};
use tokio_postgres::{Client, NoTls};

/// Values that mean something to a format of COPY.
const HOSTILE: &[&str] = &[
    "123-45-6789",
    "a\tb,c|d;e",
    "\"quoted\", 'single'",
    "two\nlines\r\nand a bell\u{7}",
    "back\\slash \\n \\",
    "\\N",
    "\\.",
    "",
    "*",
    "zoë 🦀",
];

const OPTIONS: &[&str] = &[
    "",
    "(NULL '')",
    "(DELIMITER '|')",
    "(DELIMITER '*', HEADER)",
    "(FORMAT csv)",
    "(FORMAT csv, HEADER, NULL '\\N')",
    "(FORMAT csv, QUOTE '''', ESCAPE '\\', FORCE_QUOTE (ssn))",
    "(FORMAT csv, DELIMITER ';', FORCE_QUOTE *)",
    "(FORMAT csv, NULL '***', DELIMITER ';')",
    "(FORMAT csv, ENCODING 'utf8')",
    "(FORMAT binary)",
];

fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// Every hostile value as an ssn, between others.
fn schema() -> String {
    let mut text = "
        CREATE ROLE app LOGIN PASSWORD 'secret';
        CREATE TABLE customers(id int, name text, dropped int, ssn text, email varchar(99),
            loud text GENERATED ALWAYS AS (upper(name)) STORED);
        ALTER TABLE customers DROP COLUMN dropped;
        CREATE TABLE shown(id int, name text, ssn text, email varchar(99));
        CREATE VIEW contacts AS SELECT id, ssn AS tax_ref FROM customers;
        ALTER TABLE customers OWNER TO app;
        ALTER VIEW contacts OWNER TO app;
        GRANT ALL ON shown TO app;
        INSERT INTO customers VALUES (0, NULL, NULL, NULL);
    "
    .to_owned();
    for (id, value) in HOSTILE.iter().enumerate() {
        let (value, id) = (literal(value), id + 1);
        text += &format!("INSERT INTO customers VALUES ({id}, {value}, {value}, {value});");
    }
    text
}

async fn connect(port: u16, user: &str) -> Client {
    let target = format!("host=127.0.0.1 port={port} user={user} password=secret dbname=postgres");
    let (client, session) = tokio_postgres::connect(&target, NoTls).await.expect("in");
    tokio::spawn(session);
    client
}

/// What COPY sends, in a Query.
fn queried(raw: &mut Raw, text: &str) -> Vec<u8> {
    raw.send(&Raw::frame(b'Q', format!("{text}\0").as_bytes()));
    data(raw.until(b'Z'))
}

/// The same of what was parsed as `name`, bound and executed.
fn executed(raw: &mut Raw, name: &str) -> Vec<u8> {
    let bind = format!("\0{name}\0\0\0\0\0\0\0");
    let frames = [
        Raw::frame(b'B', bind.as_bytes()),
        Raw::frame(b'E', &[0; 5]),
        Raw::frame(b'S', b""),
    ];
    raw.send(&frames.concat());
    data(raw.until(b'Z'))
}

fn parsed(raw: &mut Raw, name: &str, text: &str) {
    raw.send(&Raw::frame(
        b'P',
        format!("{name}\0{text}\0\0\0").as_bytes(),
    ));
}

fn data(answer: Vec<(u8, Vec<u8>)>) -> Vec<u8> {
    let data = answer.into_iter().filter(|(tag, _)| *tag == b'd');
    data.flat_map(|(_, body)| body).collect()
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Fills `shown` with what a guarded SELECT shows of `customers`.
async fn fill_shown(guarded: &Client, direct: &Client) {
    let rows = guarded
        .query("SELECT id, name, ssn, email FROM customers", &[])
        .await
        .expect("rows");
    assert_eq!(rows.len(), HOSTILE.len() + 1);
    for row in rows {
        let texts: [Option<&str>; 3] = [row.get(1), row.get(2), row.get(3)];
        let id: i32 = row.get(0);
        direct
            .execute(
                "INSERT INTO shown VALUES ($1, $2, $3, $4)",
                &[&id, &texts[0], &texts[1], &texts[2]],
            )
            .await
            .expect("inserted");
    }
}

fn holds(data: &[u8], needle: &str) -> bool {
    data.windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

#[test]
fn a_masked_copy_is_written_as_the_server_writes_masked_values() {
    let cluster = Cluster::start();
    cluster.sql("postgres", &schema());
    let guard = guard(&cluster, &["engineering"]);
    block_on(async {
        let guarded = connect(guard.port, "app").await;
        let direct = connect(cluster.address.port(), "postgres").await;
        fill_shown(&guarded, &direct).await;
    });
    let mut raw = Raw::open(guard.port, "app");
    let direct = |text: &str| cluster.bytes("postgres", text);
    for options in OPTIONS {
        let same = |of: &str| format!("COPY {of} TO STDOUT {options}");
        for (asked, wanted) in [
            ("customers", "shown"),
            ("customers (ssn, id, email)", "shown (ssn, id, email)"),
            (
                "(SELECT id, name, ssn FROM customers WHERE id > 3)",
                "(SELECT id, name, ssn FROM shown WHERE id > 3)",
            ),
            ("(SELECT ssn FROM customers)", "(SELECT ssn FROM shown)"),
            (
                "(SELECT tax_ref AS ssn FROM contacts WHERE false)",
                "(SELECT ssn FROM shown WHERE false)",
            ),
        ] {
            let (text, control) = (same(asked), direct(&same(asked)));
            assert!(
                asked.contains("WHERE") || holds(&control, "123-45-6789"),
                "{text}"
            );
            let wanted = direct(&same(wanted));
            assert_eq!(show(&queried(&mut raw, &text)), show(&wanted), "{text}");
            parsed(&mut raw, "", &text);
            assert_eq!(show(&executed(&mut raw, "")), show(&wanted), "{text}");
        }
    }
}

/// The bytes, so that a difference can be read.
fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[test]
fn a_copy_with_nothing_masked_is_the_servers_own() {
    let cluster = Cluster::start();
    cluster.sql("postgres", &schema());
    let guard = guard(&cluster, &["engineering"]);
    let mut raw = Raw::open(guard.port, "app");
    for text in [
        "COPY (SELECT id, name FROM customers) TO STDOUT",
        "COPY (SELECT repeat('x', g) FROM generate_series(0, 5000) g) TO STDOUT (FORMAT csv)",
        "COPY customers (id, name) TO STDOUT (FORMAT binary)",
        "COPY (SELECT id, name FROM customers WHERE id < 9) TO STDOUT (ENCODING 'latin9')",
    ] {
        let wanted = cluster.bytes("postgres", text);
        assert!(!wanted.is_empty(), "{text}");
        assert!(queried(&mut raw, text) == wanted, "{text}");
        parsed(&mut raw, "", text);
        assert!(executed(&mut raw, "") == wanted, "{text}");
    }
}

#[test]
fn a_copy_that_could_leak_is_refused_and_the_session_goes_on() {
    let cluster = Cluster::start();
    cluster.sql("postgres", &schema());
    let guard = guard(&cluster, &["engineering"]);
    let ask = |text: &str| psql(guard.port, "app", "postgres", text);
    for text in [
        "COPY customers TO STDOUT (NULL '123-45-6789')",
        "COPY customers TO STDOUT (ENCODING 'latin1')",
        "COPY (SELECT ssn || '' FROM customers) TO STDOUT",
        "COPY (SELECT id FROM customers ORDER BY ssn) TO STDOUT",
        "COPY (SELECT ssn FROM customers UNION SELECT '') TO STDOUT",
        "COPY (UPDATE customers SET name = 'x' WHERE id = 1 RETURNING ssn) TO STDOUT",
        "BEGIN; ALTER TABLE customers ADD COLUMN x int; COPY customers TO STDOUT",
        "COPY customers TO '/tmp/weir-flow-test'",
        "COPY customers TO PROGRAM 'cat'",
    ] {
        let (rows, errors) = ask(text);
        assert_eq!(rows, "", "{text}");
        assert!(errors.contains("42501"), "{text}: {errors}");
        assert!(!errors.contains("123-45"), "{text}: {errors}");
    }
    let direct = cluster.sql("postgres", "COPY customers TO STDOUT (NULL '123-45-6789')");
    assert!(direct.contains("123-45-6789"), "{direct}");
    let (rows, errors) = ask("COPY customers (id) FROM STDIN;\n77\n\\.\nSELECT 1");
    assert!(!errors.contains("42501"), "{rows}{errors}");
}

#[test]
fn errors_of_copy_from_tell_no_value() {
    let cluster = Cluster::start();
    cluster.sql("postgres", &schema());
    cluster.sql(
        "postgres",
        "CREATE UNIQUE INDEX ON customers (ssn); CREATE TABLE other(id int); ALTER TABLE other OWNER TO app",
    );
    let guard = guard(&cluster, &["engineering"]);
    let mut raw = Raw::open(guard.port, "app");
    let mut fill = |table: &str, row: &str| {
        raw.send(&Raw::frame(
            b'Q',
            format!("COPY {table} FROM STDIN\0").as_bytes(),
        ));
        raw.until(b'G');
        let data = [Raw::frame(b'd', row.as_bytes()), Raw::frame(b'c', b"")].concat();
        raw.send(&data);
        let answer = raw.until(b'Z');
        let error = answer.into_iter().find(|(tag, _)| *tag == b'E');
        error.map(|(_, body)| String::from_utf8_lossy(&body).into_owned())
    };
    let twice = fill("customers (id, ssn)", "9\t123-45-6789\n").expect("a duplicate");
    assert!(
        twice.contains("23505") && !twice.contains("123-45"),
        "{twice}"
    );
    let wrong = fill("customers (id, ssn)", "nine\t987-65-4321\n").expect("no number");
    assert!(
        wrong.contains("22P02") && !wrong.contains("987-65"),
        "{wrong}"
    );
    assert_eq!(fill("customers (id, ssn)", "9\t987-65-4321\n"), None);
    // Where nothing is masked the server's own words pass.
    let own = fill("other", "nine\n").expect("no number");
    assert!(own.contains("nine"), "{own}");
}

#[test]
fn a_new_label_masks_the_next_copy_of_a_prepared_statement() {
    let cluster = Cluster::start();
    cluster.sql("postgres", &schema());
    let guard = guard(&cluster, &["engineering"]);
    let mut raw = Raw::open(guard.port, "app");
    parsed(
        &mut raw,
        "s",
        "COPY (SELECT name FROM customers WHERE id = 1) TO STDOUT",
    );
    assert_eq!(executed(&mut raw, "s"), b"123-45-6789\n");
    let mut next = world(&cluster);
    next.version = 2;
    next.snapshot = Arc::new(snapshot("masks.toml", |text| {
        text.replace("customers.ssn", "customers.name")
    }));
    *guard.world.write().expect("unpoisoned") = Arc::new(next);
    assert_eq!(executed(&mut raw, "s"), b"*******6789\n");
}
