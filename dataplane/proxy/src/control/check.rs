//! What a stored role could do at its server beside what Weir lets pass: asked of the server itself,
//! over a session of that role, by the process that opens its sessions anyway. The control plane
//! could not ask: a server that is closed to everybody but Weir's hosts does not let it in.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use weir_api::v1::{ConnectionChecked, Finding, RoleChecked};
use weir_flow::{Connection, Credential, Target};

use super::server_tls::ServerTls;

/// How long the questions to one role may take.
const ROLE_MAX: Duration = Duration::from_secs(20);

/// Findings of one role: a role that owns a thousand tables needs another look, not a longer list.
const FINDINGS_MAX: usize = 500;

/// The name under which these sessions appear in the server's log.
const APPLICATION_NAME: &str = "weir-check";

/// Whoever this is true for needs nothing else.
const SUPERUSER: &str = "SELECT 'is a superuser: it may read and do everything, in every database', \
 format('ALTER ROLE %I NOSUPERUSER', rolname) FROM pg_roles WHERE rolname = current_user AND rolsuper";

/// Each answers with rows of what the role could do, and the statement that closes it. They run with
/// `search_path = pg_catalog` on PostgreSQL 12 to 18. New owners are the bootstrap superuser.
const HOLES: [&str; 6] = [ATTRIBUTES, MEMBERSHIPS, OWNED, SCHEMAS, DATABASES, FOREIGN];

const ATTRIBUTES: &str = "SELECT a.what, format('ALTER ROLE %I %s', r.rolname, a.fix) FROM pg_roles r, LATERAL (VALUES \
 (r.rolbypassrls, 'BYPASSRLS: row-level security does not hold for it', 'NOBYPASSRLS'), \
 (r.rolreplication, 'REPLICATION: it may read every change of every table', 'NOREPLICATION'), \
 (r.rolcreaterole, 'CREATEROLE: it may give itself other roles', 'NOCREATEROLE'), \
 (r.rolcreatedb, 'CREATEDB: it may make databases that it owns', 'NOCREATEDB') \
 ) AS a(has, what, fix) WHERE r.rolname = current_user AND a.has";

/// Memberships, direct or through others, in roles that pass by grants; the statement takes away
/// the grant through which it has them.
const MEMBERSHIPS: &str = "SELECT format('is a member of %I, which %s', p.rolname, k.may), \
 format('REVOKE %I FROM %I', g.rolname, current_user) \
 FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid \
 JOIN pg_roles p ON pg_has_role(g.oid, p.oid, 'MEMBER') \
 JOIN LATERAL (SELECT CASE p.rolname \
  WHEN 'pg_read_server_files' THEN 'reads files of the server' \
  WHEN 'pg_write_server_files' THEN 'writes files of the server' \
  WHEN 'pg_execute_server_program' THEN 'runs programs on the server' \
  WHEN 'pg_read_all_data' THEN 'reads every table' \
  WHEN 'pg_write_all_data' THEN 'writes every table' \
  WHEN 'pg_read_all_stats' THEN 'reads the statements of others' \
  WHEN 'pg_signal_backend' THEN 'ends sessions of others' \
  ELSE CASE WHEN p.rolsuper THEN 'is a superuser' END END AS may) k ON k.may IS NOT NULL \
 WHERE m.member = (SELECT oid FROM pg_roles WHERE rolname = current_user) \
 AND (p.rolsuper OR NOT g.rolsuper)";

const OWNED: &str = "SELECT format('owns %s %I.%I: it may change what Weir believes of it', k.kind, n.nspname, c.relname), \
 CASE WHEN c.relowner = me.oid THEN format('ALTER %s %I.%I OWNER TO %I', upper(k.kind), n.nspname, c.relname, boot.rolname) \
 ELSE (SELECT string_agg(format('REVOKE %I FROM %I', g.rolname, current_user), '; ') \
 FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid \
 WHERE m.member = me.oid AND pg_has_role(g.oid, c.relowner, 'MEMBER')) END \
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
 JOIN pg_roles me ON me.rolname = current_user JOIN pg_roles boot ON boot.oid = 10 \
 JOIN (VALUES ('r', 'table'), ('p', 'table'), ('v', 'view'), ('m', 'materialized view'), ('f', 'foreign table')) \
 AS k(relkind, kind) ON k.relkind = c.relkind::text \
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND pg_has_role(c.relowner, 'MEMBER') \
 ORDER BY 1";

const SCHEMAS: &str = "SELECT format('may create objects in schema %I, which %s', n.nspname, \
 'can stand before those that Weir looked at'), \
 CASE WHEN a.grantee = n.nspowner THEN format('ALTER SCHEMA %I OWNER TO %I', n.nspname, boot.rolname) \
 ELSE format('REVOKE CREATE ON SCHEMA %I FROM %s', n.nspname, \
 CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END) END \
 FROM pg_namespace n JOIN pg_roles boot ON boot.oid = 10, \
 LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a \
 WHERE a.privilege_type = 'CREATE' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'MEMBER')) \
 AND n.nspname !~ '^pg_(toast|temp)' ORDER BY 1";

const DATABASES: &str = "SELECT CASE a.privilege_type WHEN 'CREATE' THEN 'may create schemas in this database' \
 ELSE 'may create temporary objects, which can stand before those that Weir looked at' END, \
 CASE WHEN a.grantee = d.datdba THEN format('ALTER DATABASE %I OWNER TO %I', d.datname, boot.rolname) \
 ELSE format('REVOKE %s ON DATABASE %I FROM %s', a.privilege_type, d.datname, \
 CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END) END \
 FROM pg_database d JOIN pg_roles boot ON boot.oid = 10, \
 LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a \
 WHERE d.datname = current_database() AND a.privilege_type IN ('CREATE', 'TEMPORARY') \
 AND (a.grantee = 0 OR pg_has_role(a.grantee, 'MEMBER')) ORDER BY 1";

/// Ways out of the database: functions of extensions that open connections or files, foreign-data
/// wrappers, and foreign servers.
const FOREIGN: &str = "SELECT format('may run %s of extension %s, which reaches other servers or files', f.name, f.extname), \
 format('REVOKE EXECUTE ON FUNCTION %s FROM %s', f.name, f.grantee) FROM \
 (SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name, e.extname, \
 CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee \
 FROM pg_extension e JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid \
 AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e' \
 JOIN pg_proc p ON p.oid = d.objid JOIN pg_namespace n ON n.oid = p.pronamespace, \
 LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a \
 WHERE e.extname IN ('dblink', 'postgres_fdw', 'file_fdw', 'adminpack') AND a.privilege_type = 'EXECUTE' \
 AND p.prorettype <> 'fdw_handler'::regtype AND (a.grantee = 0 OR pg_has_role(a.grantee, 'MEMBER'))) f \
 UNION ALL SELECT format('may use foreign-data wrapper %I', w.fdwname), \
 format('REVOKE USAGE ON FOREIGN DATA WRAPPER %I FROM %s', w.fdwname, \
 CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END) \
 FROM pg_foreign_data_wrapper w, LATERAL aclexplode(coalesce(w.fdwacl, acldefault('F', w.fdwowner))) a \
 WHERE a.privilege_type = 'USAGE' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'MEMBER')) \
 UNION ALL SELECT format('may use foreign server %I', s.srvname), \
 format('REVOKE USAGE ON FOREIGN SERVER %I FROM %s', s.srvname, \
 CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END) \
 FROM pg_foreign_server s, LATERAL aclexplode(coalesce(s.srvacl, acldefault('S', s.srvowner))) a \
 WHERE a.privilege_type = 'USAGE' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'MEMBER')) ORDER BY 1";

/// Functions that run SQL given as text, or read files. Weir refuses them by policy; where nobody
/// needs them, the server can, too.
const HINTS: &str = "SELECT format('may run %s, which Weir refuses unless a policy allows it', f.name), \
 format('REVOKE EXECUTE ON FUNCTION %s FROM %s', f.name, f.grantee) FROM \
 (SELECT format('pg_catalog.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) AS name, \
 CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee \
 FROM pg_proc p, LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a \
 WHERE p.pronamespace = 'pg_catalog'::regnamespace AND a.privilege_type = 'EXECUTE' \
 AND (a.grantee = 0 OR pg_has_role(a.grantee, 'MEMBER')) AND p.proname IN ( \
 'query_to_xml', 'query_to_xmlschema', 'query_to_xml_and_xmlschema', 'table_to_xml', 'table_to_xml_and_xmlschema', \
 'schema_to_xml', 'schema_to_xml_and_xmlschema', 'database_to_xml', 'database_to_xml_and_xmlschema', \
 'cursor_to_xml', 'ts_stat', 'ts_rewrite', 'lo_import', 'lo_export', 'pg_read_file', 'pg_read_binary_file', \
 'pg_stat_file', 'pg_ls_dir')) f ORDER BY 1";

/// Looks at every role of a connection.
pub(crate) async fn check(
    tls: ServerTls,
    id: String,
    connection: &Connection,
) -> ConnectionChecked {
    let mut checked = ConnectionChecked {
        id,
        ..ConnectionChecked::default()
    };
    for address in &connection.addresses {
        let reached = tokio::time::timeout(ROLE_MAX, TcpStream::connect(address)).await;
        let error = match reached {
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", ROLE_MAX.as_secs()),
        };
        checked.unreachable.push(format!("{address}: {error}"));
    }
    if let Target::Postgres(target) = &connection.target {
        for credential in &target.credentials {
            checked
                .roles
                .push(role(tls, connection, &target.database, credential).await);
        }
    }
    checked
}

async fn role(
    tls: ServerTls,
    connection: &Connection,
    database: &str,
    credential: &Credential,
) -> RoleChecked {
    let asked = tokio::time::timeout(ROLE_MAX, ask(tls, connection, database, credential)).await;
    let (findings, error) = match asked {
        Ok(Ok(findings)) => (findings, String::new()),
        Ok(Err(error)) => (Vec::new(), format!("{error:#}")),
        Err(_) => (
            Vec::new(),
            format!("no answer within {} s", ROLE_MAX.as_secs()),
        ),
    };
    RoleChecked {
        role: credential.role.to_string(),
        database: database.to_owned(),
        findings,
        error,
    }
}

async fn ask(
    tls: ServerTls,
    connection: &Connection,
    database: &str,
    credential: &Credential,
) -> Result<Vec<Finding>> {
    let mut config = Config::new();
    config
        .user(&*credential.role)
        .password(credential.password.as_bytes())
        .dbname(database)
        .application_name(APPLICATION_NAME)
        .options("-c search_path=pg_catalog -c default_transaction_read_only=on");
    let client = tls.connect(connection, credential, &mut config).await?;
    let mut findings = Vec::new();
    put(&client, SUPERUSER, false, &mut findings).await?;
    if findings.is_empty() {
        for question in HOLES {
            put(&client, question, false, &mut findings).await?;
        }
        put(&client, HINTS, true, &mut findings).await?;
    }
    findings.truncate(FINDINGS_MAX);
    Ok(findings)
}

/// Asks one question.
async fn put(
    client: &Client,
    question: &str,
    is_hint: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let answer = client
        .simple_query(question)
        .await
        .context("a question to the catalogue")?;
    for message in &answer {
        if let SimpleQueryMessage::Row(row) = message {
            findings.push(Finding {
                what: row.get(0).unwrap_or_default().to_owned(),
                fix: row.get(1).unwrap_or_default().to_owned(),
                is_hint,
            });
        }
    }
    Ok(())
}
