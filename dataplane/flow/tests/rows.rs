//! Every channel that carries rows, in front of a real server, each beside the same question
//! asked directly.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use support::cluster::{Cluster, psql};
use support::world::{guard, kept, snapshot, world};
use support::{Guard, Raw};
use tokio_postgres::{Client, NoTls};
use weir_audit::Kind;

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

#[test]
fn cutting_the_servers_bytes_anywhere_changes_no_row() {
    let cluster = Cluster::start();
    cluster.sql("postgres", &schema());
    let guard = guard(&cluster, &["engineering"]);
    let mut raw = Raw::open(guard.port, "app");
    let texts = [
        "COPY customers TO STDOUT (FORMAT csv, HEADER)",
        "COPY customers TO STDOUT (FORMAT binary)",
        "COPY customers TO STDOUT",
        "COPY (SELECT id, name FROM customers) TO STDOUT",
        "SELECT id, name, ssn, email FROM customers",
    ];
    for text in texts {
        guard.cut.store(0, Ordering::Relaxed);
        let mut answer = |text: &str| {
            raw.send(&Raw::frame(b'Q', format!("{text}\0").as_bytes()));
            raw.until(b'Z')
        };
        let whole = answer(text);
        assert!(whole.len() > HOSTILE.len(), "{text}: {whole:?}");
        for cut in [1, 2, 3, 5, 7, 11, 64] {
            guard.cut.store(cut, Ordering::Relaxed);
            assert_eq!(answer(text), whole, "{text} in pieces of {cut}");
        }
    }
}

const NOTES: &str = r#"
    CREATE ROLE app LOGIN PASSWORD 'secret';
    CREATE TABLE notes(id int, body text, doc jsonb, raw json, tags text[], page xml, card bigint, known text);
    INSERT INTO notes VALUES
      (1, 'call 123-45-6789, or jane.doe@example.org', '{"ssn": "123-45-6789", "n": 4111111111111111, "ok": [1, "x"]}',
       '{"123-45-6789": "123\u002d45-6789"}', ARRAY['a 123-45-6789', NULL, 'b,c'], '<p>123-45-6789</p>',
       4111111111111111, '123-45-6789'),
      (2, 'nothing', '{}', '[]', '{}', '<p/>', 7, 'nothing'),
      (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    CREATE TABLE loaded(LIKE notes);
    CREATE VIEW known_notes AS SELECT known FROM notes;
    ALTER TABLE notes OWNER TO app; ALTER TABLE loaded OWNER TO app; ALTER VIEW known_notes OWNER TO app;
"#;

/// A guard that searches unlabelled columns; `notes.known` is labelled as harmless.
fn searching(cluster: &Cluster, groups: &[&str]) -> Guard {
    let guard = guard(cluster, groups);
    let mut next = world(cluster);
    next.version = 2;
    next.snapshot = Arc::new(snapshot("masks.toml", |text| {
        text.replacen(
            "unlabelled = \"clear\"\n",
            "unlabelled = \"clear\"\ndetectors = [\"ssn\", \"email\", \"payment_card\"]\n",
            1,
        )
        .replacen(
            "[connection.demo-pg.columns]\n",
            "[connection.demo-pg.columns]\n\"public.notes.known\" = []\n",
            1,
        )
    }));
    *guard.world.write().expect("unpoisoned") = Arc::new(next);
    guard
}

#[test]
fn what_nobody_labelled_is_searched_in_every_answer() {
    let cluster = Cluster::start();
    cluster.sql("postgres", NOTES);
    let guard = searching(&cluster, &["engineering"]);
    let ask = |text: &str| psql(guard.port, "app", "postgres", text);
    let masked = concat!(
        r#"1|call *******6789, or j*******@example.org|"#,
        r#"{"n": "****************", "ok": [1, "x"], "ssn": "*******6789"}|"#,
        r#"{"*******6789": "*******6789"}|{"a *******6789",NULL,"b,c"}|<p>*******6789</p>|"#,
        "4111111111111111|123-45-6789\n",
        "2|nothing|{}|[]|{}|<p/>|7|nothing\n3|||||||\n",
    );
    let select = "SELECT * FROM notes ORDER BY id";
    assert_eq!(ask(select).0, masked);
    let told = kept(&guard, Kind::Outcome).remove(0).masked;
    let told: Vec<_> = told.iter().map(|(_, rule)| rule.as_str()).collect();
    let classes = [
        "keep_last:4 (ssn)",
        "redact (payment_card)",
        "partial_email (email)",
    ];
    assert_eq!(told, classes, "the record names what was found");
    let direct = cluster.sql("postgres", select);
    assert!(
        direct.contains("call 123-45-6789") && direct.contains("n\": 4111"),
        "{direct}"
    );
    // Expressions have no label, and neither have a literal, EXPLAIN and a cursor.
    for (text, wanted) in [
        (
            "SELECT upper(body) FROM notes WHERE id = 1",
            "CALL *******6789, OR J*******@EXAMPLE.ORG\n",
        ),
        (
            "SELECT body || known FROM notes WHERE id = 2",
            "nothingnothing\n",
        ),
        (
            "SELECT known || '' FROM notes WHERE id = 1",
            "*******6789\n",
        ),
        ("SELECT known FROM known_notes LIMIT 1", "123-45-6789\n"),
        ("SELECT ROW(1, '123-45-6789')", "(1,*******6789)\n"),
        (
            "BEGIN; DECLARE c CURSOR FOR SELECT body FROM notes; FETCH 1 FROM c",
            "call *******6789, or j*******@example.org\n",
        ),
        (
            "PREPARE p AS SELECT tags FROM notes WHERE id = 1; EXECUTE p",
            "{\"a *******6789\",NULL,\"b,c\"}\n",
        ),
    ] {
        let (rows, errors) = ask(text);
        assert_eq!(rows, wanted, "{text}: {errors}");
    }
    // Who may see the class sees it.
    let trusted = searching(&cluster, &["engineering", "pii-readers"]);
    assert_eq!(psql(trusted.port, "app", "postgres", select).0, direct);
}

#[test]
fn what_nobody_labelled_is_searched_in_copy_and_stays_loadable() {
    let cluster = Cluster::start();
    cluster.sql("postgres", NOTES);
    let guard = searching(&cluster, &["engineering"]);
    let shown = psql(
        guard.port,
        "app",
        "postgres",
        "SELECT * FROM notes ORDER BY id",
    )
    .0;
    let mut raw = Raw::open(guard.port, "app");
    for options in [
        "",
        "(FORMAT csv)",
        "(FORMAT binary)",
        "(FORMAT csv, FORCE_QUOTE *)",
    ] {
        let direct = cluster.bytes("postgres", &format!("COPY notes TO STDOUT {options}"));
        assert!(holds(&direct, "call 123-45-6789"), "{options}");
        let text = format!("COPY notes TO STDOUT {options}");
        let rows = queried(&mut raw, &text);
        assert!(
            holds(&rows, "call *******6789") && !holds(&rows, "call 1"),
            "{options}"
        );
        parsed(&mut raw, "", &text);
        assert_eq!(show(&executed(&mut raw, "")), show(&rows), "{options}");
        // What was masked is still of its type.
        cluster.sql("postgres", "TRUNCATE loaded");
        let load = format!(
            "COPY loaded FROM STDIN {}\0",
            options.replace("FORCE_QUOTE *", "NULL ''")
        );
        raw.send(&Raw::frame(b'Q', load.as_bytes()));
        raw.until(b'G');
        raw.send(&[Raw::frame(b'd', &rows), Raw::frame(b'c', b"")].concat());
        let answer = raw.until(b'Z');
        assert!(
            answer.iter().all(|(tag, _)| *tag != b'E'),
            "{options}: {answer:?}"
        );
        assert_eq!(
            cluster.sql("postgres", "SELECT * FROM loaded ORDER BY id"),
            shown,
            "{options}"
        );
    }
    // A count that is not predicted, and an expression, whose type nobody tells.
    for text in [
        "COPY (SELECT body || '' FROM notes) TO STDOUT",
        "COPY (INSERT INTO loaded (id, body) VALUES (9, 'call 123-45-6789') RETURNING id, body) TO STDOUT (FORMAT csv)",
        "COPY (SELECT ARRAY[body] FROM notes) TO STDOUT (FORMAT binary)",
    ] {
        let rows = queried(&mut raw, text);
        assert!(
            holds(&rows, "call *******6789") && !holds(&rows, "123-45"),
            "{text}: {}",
            show(&rows)
        );
    }
    let (rows, errors) = psql(
        guard.port,
        "app",
        "postgres",
        "COPY notes TO STDOUT (ENCODING 'latin1')",
    );
    assert!(
        rows.is_empty() && errors.contains("42501"),
        "{rows}{errors}"
    );
}

#[test]
fn arrays_are_masked_in_text_and_binary_as_drivers_read_them() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE ROLE app LOGIN PASSWORD 'secret';
         CREATE TABLE customers(id int, ssn text[], email varchar[], phone int[], birth_date date[]);
         INSERT INTO customers VALUES
           (1, ARRAY[['123-45-6789', NULL], ['a \"b\" \\', '']], '{jane@example.org}', '{1,2}', '{1980-05-06}'),
           (2, '[0:1]={123-45-6789,NULL}', '{}', NULL, NULL);
         ALTER TABLE customers OWNER TO app",
    );
    let guard = guard(&cluster, &["engineering"]);
    let select = "SELECT ssn, email, phone, birth_date FROM customers ORDER BY id";
    let direct = cluster.sql("postgres", select);
    assert!(
        direct.contains("123-45-6789") && direct.contains("1980-05-06"),
        "{direct}"
    );
    assert_eq!(
        psql(guard.port, "app", "postgres", select).0,
        concat!(
            r#"{{*******6789,NULL},{"***b\" \\",""}}|{j***@example.org}|{NULL,NULL}|{NULL}"#,
            "\n[0:1]={*******6789,NULL}|{}||\n"
        )
    );
    block_on(async {
        let guarded = connect(guard.port, "app").await;
        let text = "SELECT ssn, phone, birth_date FROM customers WHERE id = $1";
        let row = guarded.query_one(text, &[&2_i32]).await.expect("a row");
        let ssn: Elements = row.get(0);
        assert_eq!(ssn.0, [Some(b"*******6789".to_vec()), None]);
        let row = guarded.query_one(text, &[&1_i32]).await.expect("a row");
        let (phone, dates): (Elements, Elements) = (row.get(1), row.get(2));
        assert_eq!((phone.0, dates.0), (vec![None, None], vec![None]));
    });
}

/// The elements of any array, as the driver's own parser of the binary format reads them.
struct Elements(Vec<Option<Vec<u8>>>);

impl<'a> tokio_postgres::types::FromSql<'a> for Elements {
    fn from_sql(
        _: &tokio_postgres::types::Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let word = |at: usize| i32::from_be_bytes(raw[at..at + 4].try_into().expect("a word"));
        let dimensions = usize::try_from(word(0))?;
        let count: i32 = (0..dimensions).map(|at| word(12 + 8 * at)).product();
        let mut at = 12 + 8 * dimensions;
        let mut elements = Vec::new();
        for _ in 0..count {
            let length = word(at);
            at += 4;
            elements.push((length >= 0).then(|| {
                let element = raw[at..at + length as usize].to_vec();
                at += length as usize;
                element
            }));
        }
        assert_eq!(at, raw.len());
        Ok(Self(elements))
    }

    fn accepts(_: &tokio_postgres::types::Type) -> bool {
        true
    }
}
