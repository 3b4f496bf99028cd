//! `weir connection check`, against a server whose role could do everything that it looks for.

use weir_api::v1::{ConnectionChecked, Finding, RoleChecked};
use weir_flow::Target;

use super::bed::connection;
use super::cluster::Cluster;
use crate::control::bed::{ServerTls, check};

/// Each line opens one hole for `app`.
const OPEN: &str = "
CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw; CREATE EXTENSION file_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
GRANT USAGE ON FOREIGN DATA WRAPPER file_fdw TO app;
GRANT USAGE ON FOREIGN SERVER elsewhere TO PUBLIC;
ALTER ROLE app BYPASSRLS REPLICATION CREATEROLE CREATEDB;
CREATE ROLE readers; GRANT pg_read_all_data TO readers; GRANT readers TO app;
GRANT pg_read_server_files, pg_write_server_files TO app;
GRANT pg_execute_server_program TO app;
CREATE ROLE keeper; CREATE SCHEMA \"Odd\"; GRANT keeper TO app;
CREATE TABLE \"Odd\".\"a b\"(x int); ALTER TABLE \"Odd\".\"a b\" OWNER TO app;
CREATE VIEW shown AS SELECT 1 AS one; ALTER VIEW shown OWNER TO app;
CREATE TABLE kept(x int); ALTER TABLE kept OWNER TO keeper;
CREATE SCHEMA own AUTHORIZATION app;
GRANT CREATE ON SCHEMA public TO PUBLIC;
GRANT CREATE ON DATABASE postgres TO app;
";

/// What must be said of it, and how it is closed.
const EXPECTED: [(&str, &str); 20] = [
    ("BYPASSRLS", "ALTER ROLE app NOBYPASSRLS"),
    ("REPLICATION", "ALTER ROLE app NOREPLICATION"),
    ("CREATEROLE", "ALTER ROLE app NOCREATEROLE"),
    ("CREATEDB", "ALTER ROLE app NOCREATEDB"),
    ("member of pg_read_all_data", "REVOKE readers FROM app"),
    (
        "member of pg_read_server_files",
        "REVOKE pg_read_server_files FROM app",
    ),
    (
        "member of pg_write_server_files",
        "REVOKE pg_write_server_files FROM app",
    ),
    (
        "member of pg_execute_server_program",
        "REVOKE pg_execute_server_program FROM app",
    ),
    (
        "owns table \"Odd\".\"a b\"",
        "ALTER TABLE \"Odd\".\"a b\" OWNER TO postgres",
    ),
    (
        "owns view public.shown",
        "ALTER VIEW public.shown OWNER TO postgres",
    ),
    ("owns table public.kept", "REVOKE keeper FROM app"),
    (
        "objects in schema own",
        "ALTER SCHEMA own OWNER TO postgres",
    ),
    (
        "objects in schema public",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    ),
    (
        "may create schemas",
        "REVOKE CREATE ON DATABASE postgres FROM app",
    ),
    (
        "temporary objects",
        "REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC",
    ),
    (
        "extension dblink",
        "REVOKE EXECUTE ON FUNCTION public.dblink(text, text) FROM PUBLIC",
    ),
    (
        "extension postgres_fdw",
        "REVOKE EXECUTE ON FUNCTION public.postgres_fdw_get_connections(",
    ),
    (
        "wrapper file_fdw",
        "REVOKE USAGE ON FOREIGN DATA WRAPPER file_fdw FROM app",
    ),
    (
        "server elsewhere",
        "REVOKE USAGE ON FOREIGN SERVER elsewhere FROM PUBLIC",
    ),
    (
        "query_to_xml",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.query_to_xml(",
    ),
];

fn look(cluster: &Cluster, roles: &[&str]) -> ConnectionChecked {
    let mut connection = connection(cluster.address);
    if let Target::Postgres(target) = &mut connection.target {
        target
            .credentials
            .retain(|credential| roles.contains(&&*credential.role));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let looked = check(ServerTls, "id".to_owned(), &connection);
    tokio::task::LocalSet::new().block_on(&runtime, looked)
}

fn only(checked: &ConnectionChecked) -> &RoleChecked {
    let [role] = &checked.roles[..] else {
        panic!("one role was looked at: {checked:?}");
    };
    assert_eq!(role.error, "");
    role
}

#[test]
fn what_a_role_could_do_is_found_and_the_statements_close_it() {
    let cluster = Cluster::start();
    cluster.sql(OPEN);
    let checked = look(&cluster, &["app"]);
    let found = &only(&checked).findings;
    for (what, fix) in EXPECTED {
        let is_it =
            |finding: &&Finding| finding.what.contains(what) && finding.fix.starts_with(fix);
        assert!(
            found.iter().any(|finding| is_it(&finding)),
            "{what}: {found:#?}"
        );
    }
    let statements: Vec<_> = found.iter().map(|finding| finding.fix.as_str()).collect();
    cluster.sql(&statements.join(";\n"));
    let after = look(&cluster, &["app"]);
    assert_eq!(only(&after).findings, [], "closed, hints too");
    cluster.sql("ALTER ROLE app SUPERUSER");
    let checked = look(&cluster, &["app"]);
    let [finding] = &only(&checked).findings[..] else {
        panic!("a superuser needs nothing else: {checked:?}");
    };
    assert!(finding.what.contains("superuser"));
    assert_eq!(finding.fix, "ALTER ROLE app NOSUPERUSER");
    cluster.sql("ALTER ROLE app NOSUPERUSER; CREATE ROLE boss SUPERUSER; GRANT boss TO app");
    let checked = look(&cluster, &["app"]);
    let found = &only(&checked).findings;
    assert!(
        found
            .iter()
            .any(|finding| finding.fix == "REVOKE boss FROM app"),
        "{found:#?}"
    );
    // One that cannot be looked at is said to be one; so is a server that does not answer.
    let checked = look(&cluster, &["clear", "app"]);
    let clear = checked.roles.iter().find(|role| role.role == "clear");
    assert!(
        clear.expect("looked at").error.contains("cleartext"),
        "{checked:?}"
    );
    assert!(checked.unreachable.is_empty());
    let address = cluster.address;
    drop(cluster);
    let gone = look_at_nobody(address);
    assert!(
        gone.unreachable[0].starts_with(&address.to_string()),
        "{gone:?}"
    );
}

fn look_at_nobody(address: std::net::SocketAddr) -> ConnectionChecked {
    let mut connection = connection(address);
    if let Target::Postgres(target) = &mut connection.target {
        target.credentials.clear();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(check(ServerTls, "id".to_owned(), &connection))
}
