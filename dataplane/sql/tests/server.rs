//! Against a real PostgreSQL: the catalogue queries run, and what is predicted is what the
//! server describes.

mod support;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use weir_facts::{Action, ColumnId, RelationOid, Reveal};
use weir_sql::{
    Catalog, Epoch, Limits, Sensitive, SessionFacts, StatementKind, Unlabelled, analyse,
};

const BINARIES: &str = "/usr/lib/postgresql/15/bin";
const SESSION: SessionFacts = SessionFacts {
    uncommitted_ddl: false,
};

/// A server of its own in a directory that goes with it.
struct Server {
    directory: TempDir,
    port: u16,
}

impl Server {
    /// `None` where PostgreSQL is not installed or there is no account to run it as.
    fn start() -> Option<Self> {
        if !Path::new(BINARIES).exists() || !Path::new("/usr/sbin/runuser").exists() {
            return None;
        }
        let directory = TempDir::new().expect("a directory");
        let port = TcpListener::bind(("127.0.0.1", 0))
            .expect("a port")
            .local_addr()
            .expect("its number")
            .port();
        let path = directory.path().display().to_string();
        run(Command::new("chown").args(["-R", "postgres", &path]));
        as_postgres(&[
            "initdb",
            "-D",
            &format!("{path}/d"),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]);
        let options = format!("-p {port} -k {path} -c listen_addresses=127.0.0.1 -c fsync=off");
        let log = format!("{path}/log");
        as_postgres(&[
            "pg_ctl",
            "-D",
            &format!("{path}/d"),
            "-w",
            "-o",
            &options,
            "-l",
            &log,
            "start",
        ]);
        Some(Self { directory, port })
    }

    async fn connect(&self, options: &str) -> Client {
        let target = format!(
            "host=127.0.0.1 port={} user=postgres dbname=postgres options='{options}'",
            self.port
        );
        let (client, connection) = tokio_postgres::connect(&target, NoTls)
            .await
            .expect("a connection");
        tokio::spawn(connection);
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = format!("{}/d", self.directory.path().display());
        as_postgres(&["pg_ctl", "-D", &data, "-m", "immediate", "stop"]);
    }
}

fn as_postgres(arguments: &[&str]) {
    let (program, rest) = arguments.split_first().expect("a program");
    run(Command::new("runuser")
        .args(["-u", "postgres", "--", &format!("{BINARIES}/{program}")])
        .args(rest));
}

fn run(command: &mut Command) {
    let status = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("it starts");
    assert!(status.success(), "{command:?}");
}

async fn rows(client: &Client, query: &str) -> Vec<Vec<Option<String>>> {
    let messages = client
        .simple_query(query)
        .await
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|at| row.get(at).map(str::to_owned))
                .collect(),
        ),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

async fn epoch(client: &Client) -> Epoch {
    let answer = rows(client, Catalog::EPOCH_QUERY).await;
    Epoch::of(answer[0][0].as_deref().expect("an answer"))
}

async fn catalog(client: &Client) -> Catalog {
    let mut results = Vec::new();
    for (_, query) in Catalog::QUERIES {
        results.push(rows(client, query).await);
    }
    Catalog::from_rows(epoch(client).await, &results).expect("a catalogue")
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

#[test]
fn a_real_server_agrees_with_every_prediction() {
    let Some(server) = Server::start() else {
        eprintln!("PostgreSQL 15 is not installed: not run");
        return;
    };
    block_on(async {
        let client = server.connect("").await;
        client
            .batch_execute(include_str!("data/setup.sql"))
            .await
            .expect("set up");
        let reader = server.connect("-csearch_path=pg_catalog").await;
        let catalog = catalog(&reader).await;
        assert!(catalog.server_version() >= 150_000);
        let sensitive = Sensitive::close(&catalog, support::labels(), &Unlabelled::Clear);
        closure_is_complete(&catalog, &sensitive);
        predictions_hold(&client, &catalog, &sensitive).await;
        psql_may_describe(&catalog, &sensitive);
        drivers_may_ask(&catalog, &sensitive);
        epochs_move(&client, &reader).await;
    });
}

/// What a superuser, or the owner of a type, can hide where nobody looks for it.
const HIDDEN: &str = "
    CREATE VIEW information_schema.sly AS SELECT ssn AS z FROM public.customers;
    CREATE FUNCTION pg_catalog.lower(int) RETURNS text LANGUAGE sql AS 'SELECT ''x''';
    CREATE TYPE public.ct AS (a text);
    CREATE FUNCTION public.ct_text(public.ct) RETURNS text LANGUAGE sql AS 'SELECT ''x''';
    CREATE CAST (public.ct AS text) WITH FUNCTION public.ct_text(public.ct) AS IMPLICIT;
    CREATE TABLE public.holds_ct(c public.ct);
    CREATE FUNCTION public.fine(text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
    CREATE DOMAIN public.d AS text CHECK (public.fine(VALUE));
    CREATE DOMAIN public.e AS public.d;
    CREATE TYPE public.holds_e AS (x public.e);
    CREATE TABLE public.holds_d(c public.d);
    CREATE TABLE public.rows_cast(c int);
    CREATE FUNCTION public.row_text(public.rows_cast) RETURNS text LANGUAGE sql AS 'SELECT ''x''';
    CREATE CAST (public.rows_cast AS text) WITH FUNCTION public.row_text(public.rows_cast) AS IMPLICIT;
    CREATE OPERATOR public.!!! (rightarg = text, function = pg_read_file);
    CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER hidden ON ddl_command_end EXECUTE FUNCTION public.on_ddl();
";

#[test]
fn code_is_asked_about_wherever_it_hides() {
    let Some(server) = Server::start() else {
        eprintln!("PostgreSQL 15 is not installed: not run");
        return;
    };
    block_on(async {
        let client = server.connect("").await;
        for text in [include_str!("data/setup.sql"), HIDDEN] {
            client.batch_execute(text).await.expect("set up");
        }
        let reader = server.connect("-csearch_path=pg_catalog").await;
        let catalog = catalog(&reader).await;
        let sensitive = Sensitive::close(&catalog, support::labels(), &Unlabelled::Clear);
        let one = |text: &str| {
            let statements = analyse(text, &catalog, &sensitive, &SESSION, &Limits::STANDARD);
            statements.expect(text).remove(0)
        };
        let asks = |text: &str, action| {
            let accesses = one(text).accesses;
            accesses.iter().any(|access| access.action == action)
        };
        for text in [
            "SELECT lower(1)",
            "SELECT pg_catalog.lower(1)",
            "SELECT upper(ROW('a')::ct)",
            "SELECT upper(c) FROM holds_ct",
            "SELECT upper(rows_cast) FROM rows_cast",
            "SELECT 'x'::e",
            "SELECT '{x}'::e[]",
            "SELECT '(x)'::holds_e",
            "INSERT INTO holds_d VALUES ('x')",
            "SELECT !!! 'x'",
            "CREATE TABLE t(a int)",
            "COMMENT ON TABLE customers IS 'x'",
        ] {
            assert!(asks(text, Action::PgCall), "{text}");
        }
        for text in [
            "CREATE OR REPLACE FUNCTION pg_catalog.upper(text) RETURNS text LANGUAGE sql AS ''",
            "CREATE FUNCTION initcap(int) RETURNS text LANGUAGE sql AS ''",
            "ALTER EXTENSION plpgsql ADD OPERATOR !!! (NONE, text)",
        ] {
            assert!(asks(text, Action::PgUnknown), "{text}");
        }
        for text in ["SELECT upper('x'), 1 + 1", "SELECT ssn FROM customers"] {
            assert!(!asks(text, Action::PgCall), "{text}");
        }
        let sly = one("SELECT z FROM information_schema.sly");
        let columns = sly.columns.expect("predicted");
        assert!(columns.iter().all(|column| column.reveal != Reveal::Clear));
        let ct = rows(&reader, "SELECT 'public.ct'::regtype::oid::text").await;
        let ct = ct[0][0]
            .as_deref()
            .expect("a number")
            .parse()
            .expect("a number");
        assert!(catalog.runs_code(ct) && !catalog.runs_code(25));
    });
}

fn closure_is_complete(catalog: &Catalog, sensitive: &Sensitive) {
    let names: BTreeSet<String> = sensitive
        .columns()
        .filter_map(|(id, mark)| {
            let name = catalog.column_name(id)?;
            let shown = match &mark.reveal {
                Reveal::Mask(rule, _) => rule.to_string(),
                Reveal::Clear | Reveal::Deny(_) => "?".into(),
            };
            (!name.relation.schema.starts_with("pg_toast")).then(|| format!("{} {shown}", name))
        })
        .collect();
    let wanted = [
        "public.accounts.owner_ssn keep_last:4",
        "public.customers.email partial_email",
        "public.customers.ssn keep_last:4",
        "public.derived.ssn keep_last:4",
        "public.derived.tail null",
        "public.events.subject_ssn redact",
        "public.events_2026.subject_ssn redact",
        "public.mv_contacts.tax_ref keep_last:4",
        "public.v_contacts.contact partial_email",
        "public.v_contacts.tax_ref keep_last:4",
        "public.v_nested.deep keep_last:4",
        "public.v_row.doc null",
        "public.v_upper.loud null",
        "public.v_upper.name_length null",
        "public.vip.email partial_email",
        "public.vip.ssn keep_last:4",
    ];
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    assert!(sensitive.columns().any(|(id, _)| {
        catalog
            .relation(id.relation)
            .is_some_and(|r| r.name.name.starts_with("pg_toast_"))
    }));
}

async fn predictions_hold(client: &Client, catalog: &Catalog, sensitive: &Sensitive) {
    let mut wrong = Vec::new();
    let (mut compared, mut refused) = (0, 0);
    for text in support::ordinary() {
        let statement = match analyse(text, catalog, sensitive, &SESSION, &Limits::STANDARD) {
            Ok(mut statements) => statements.remove(0),
            Err(refusal) => {
                wrong.push(format!("{text}\n  refused: {refusal}"));
                continue;
            }
        };
        let described = client.prepare(text).await;
        let Ok(described) = described else {
            refused += 1;
            // These speak of statements and cursors that only a running session has.
            let of_session = matches!(
                statement.kind,
                StatementKind::Execute { .. } | StatementKind::Fetch { .. }
            );
            if !of_session {
                wrong.push(format!("{text}\n  the server: {:?}", described.err()));
            }
            continue;
        };
        let fields: Vec<_> = described
            .columns()
            .iter()
            .map(|c| {
                (
                    c.name().to_owned(),
                    c.table_oid().unwrap_or(0),
                    c.column_id().unwrap_or(0),
                )
            })
            .collect();
        let Some(predicted) = &statement.columns else {
            if !fields.is_empty() {
                wrong.push(format!("{text}\n  no prediction for {fields:?}"));
            }
            continue;
        };
        // COPY is described by nobody.
        if matches!(statement.kind, StatementKind::Copy { .. }) {
            continue;
        }
        compared += 1;
        let agrees = fields.len() == predicted.len()
            && fields
                .iter()
                .zip(predicted)
                .all(|((name, table, column), output)| {
                    let origin = ColumnId {
                        relation: RelationOid(*table),
                        attnum: *column,
                    };
                    *name == *output.name && output.origins.contains(&origin)
                });
        if !agrees {
            let predicted: Vec<_> = predicted.iter().map(|c| (&c.name, &c.origins)).collect();
            wrong.push(format!(
                "{text}\n  server    {fields:?}\n  predicted {predicted:?}"
            ));
        }
        // Whatever comes from a sensitive column is predicted to be hidden.
        for ((_, table, column), output) in fields.iter().zip(predicted) {
            let origin = ColumnId {
                relation: RelationOid(*table),
                attnum: *column,
            };
            assert!(
                sensitive.mark(origin).is_none() || output.reveal != Reveal::Clear,
                "{text}"
            );
        }
    }
    eprintln!("{compared} descriptions compared, {refused} not described by the server");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 120);
}

fn psql_may_describe(catalog: &Catalog, sensitive: &Sensitive) {
    for text in support::psql() {
        let statements = analyse(text, catalog, sensitive, &SESSION, &Limits::STANDARD)
            .unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
        for statement in statements {
            for access in &statement.accesses {
                let values = access.resource == support::table("pg_catalog", "pg_db_role_setting")
                    || access.resource == support::table("pg_catalog", "pg_subscription");
                assert!(
                    access.action == Action::PgSelect
                        || (access.action == Action::PgReadStatistics && values),
                    "{access:?}\n{text}"
                );
            }
            assert!(!statement.sensitive, "{text}");
        }
    }
}

/// Drivers need no right but to read, and nothing of what they ask for themselves is masked.
fn drivers_may_ask(catalog: &Catalog, sensitive: &Sensitive) {
    for text in support::drivers() {
        let statements = analyse(text, catalog, sensitive, &SESSION, &Limits::STANDARD)
            .unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
        for statement in statements {
            for access in &statement.accesses {
                // pg_dump counts subscriptions, whose relation holds passwords.
                let counts = access.resource == support::table("pg_catalog", "pg_subscription")
                    && access.action == Action::PgReadStatistics;
                assert!(
                    access.action == Action::PgSelect || counts,
                    "{access:?}\n{text}"
                );
            }
        }
    }
}

/// Each of these changes the epoch; reading does not.
async fn epochs_move(client: &Client, reader: &Client) {
    let mut last = epoch(reader).await;
    assert_eq!(epoch(reader).await, last);
    for change in [
        "CREATE TABLE public.later (a int)",
        "ALTER TABLE public.later RENAME a TO b",
        "ALTER TABLE public.later RENAME TO latest",
        "CREATE VIEW public.seen AS SELECT b FROM public.latest",
        "CREATE OR REPLACE VIEW public.seen AS SELECT b + 1 AS b FROM public.latest",
        "CREATE FUNCTION public.g() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION public.g() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "ALTER TABLE public.latest ADD UNIQUE (b)",
        "ALTER SCHEMA shadow RENAME TO shade",
        "DROP VIEW public.seen",
    ] {
        client.batch_execute(change).await.expect(change);
        let now = epoch(reader).await;
        assert_ne!(now, last, "{change}");
        last = now;
    }
}
