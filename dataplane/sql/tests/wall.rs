//! The wall: what keeps a sensitive column bare passes and is hidden, everything else asks.

mod support;

use support::fixture::{catalog, catalog_with, sensitive};
use weir_facts::{Access, Action, RelationName, Resource, Reveal};
use weir_sql::{
    Catalog, CopyForm, CopyFormat, Limits, Refusal, Sensitive, SessionFacts, Statement,
    StatementKind, Vouched, analyse,
};

const SESSION: SessionFacts = SessionFacts {
    uncommitted_ddl: false,
};

struct World {
    catalog: Catalog,
    sensitive: Sensitive,
}

impl World {
    fn new() -> Self {
        Self::of(catalog())
    }

    fn of(catalog: Catalog) -> Self {
        let sensitive = sensitive(&catalog);
        Self { catalog, sensitive }
    }

    fn analyse(&self, text: &str) -> Result<Vec<Statement>, Refusal> {
        analyse(
            text,
            &self.catalog,
            &self.sensitive,
            &SESSION,
            &Limits::STANDARD,
        )
    }

    fn one(&self, text: &str) -> Statement {
        let mut statements = self
            .analyse(text)
            .unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
        assert_eq!(statements.len(), 1, "{text}");
        statements.remove(0)
    }
}

/// What a principal that may read and write rows, and nothing else, is not asked about.
fn is_ordinary(access: &Access) -> bool {
    matches!(
        access.action,
        Action::PgSelect | Action::PgInsert | Action::PgUpdate | Action::PgDelete
    )
}

fn asks(statement: &Statement, action: Action) -> bool {
    statement
        .accesses
        .iter()
        .any(|access| access.action == action)
}

/// Text, and one action that it must ask for beyond reading and writing.
#[rustfmt::skip]
const ASKING: &[(&str, Action)] = &[
    // Expressions.
    // Settings: by a row of pg_settings only in the one shape whose name is known.
    ("SELECT set_config('client_encoding', $1, false)", Action::PgSet),
    ("SELECT set_config('work_mem', (SELECT name FROM customers LIMIT 1), false)", Action::PgSet),
    ("PREPARE p(text) AS SELECT set_config('work_mem', $1, false)", Action::PgSet),
    ("PREPARE p(text) AS SELECT current_setting($1)", Action::PgCall),
    ("SELECT current_setting($1 || 'x')", Action::PgCall),
    ("SELECT current_setting($1::bytea::text)", Action::PgCall),
    ("SELECT set_config(name, 'x', false) FROM pg_settings", Action::PgCall),
    ("SELECT set_config(name, 'x', false) FROM pg_settings WHERE name <> 'work_mem'", Action::PgCall),
    ("SELECT set_config(name, 'x', false) FROM pg_settings WHERE 'a' = 'a'", Action::PgCall),
    ("SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'work_mem' OR true", Action::PgCall),
    ("SELECT set_config(name, 'x', false) FROM pg_settings, pg_class WHERE name = 'work_mem'", Action::PgCall),
    ("SELECT set_config(name, 'x', false) FROM pg_settings s(a, name) WHERE name = 'work_mem'", Action::PgCall),
    ("SELECT set_config(setting, 'x', false) FROM pg_settings WHERE name = 'work_mem'", Action::PgCall),
    ("SELECT (SELECT set_config(name, 'x', false) FROM (SELECT 'role' AS name) r) FROM pg_settings WHERE name = 'work_mem'", Action::PgCall),
    ("SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'role'", Action::PgSet),
    ("SELECT ssn || '' AS x FROM customers", Action::PgInfer),
    ("SELECT ssn::text FROM customers", Action::PgInfer),
    ("SELECT ssn::int FROM customers", Action::PgInfer),
    ("SELECT CAST(ssn AS varchar) FROM customers", Action::PgInfer),
    ("SELECT ssn COLLATE \"C\" FROM customers", Action::PgInfer),
    ("SELECT (ARRAY[ssn])[1] FROM customers", Action::PgInfer),
    ("SELECT ssn[1] FROM customers", Action::PgInfer),
    ("SELECT row_to_json(c) FROM customers c", Action::PgInfer),
    ("SELECT to_jsonb(c), json_build_object('k', c.ssn) FROM customers c", Action::PgInfer),
    ("SELECT c.row_to_json FROM customers c", Action::PgInfer),
    ("SELECT c.to_jsonb ->> 'ssn' FROM customers c", Action::PgInfer),
    ("SELECT (c).row_to_json FROM customers c", Action::PgInfer),
    ("SELECT c::text, (c.*)::text FROM customers c", Action::PgInfer),
    ("SELECT customers FROM customers", Action::PgInfer),
    ("SELECT c FROM customers c", Action::PgInfer),
    ("SELECT q FROM (SELECT ssn FROM customers) q", Action::PgInfer),
    ("SELECT ROW(c.*) FROM customers c", Action::PgInfer),
    ("SELECT ROW(ssn, 1), ARRAY[ROW(ssn)] FROM customers", Action::PgInfer),
    ("SELECT count(c) FROM customers c", Action::PgInfer),
    ("SELECT count(ssn) FROM customers", Action::PgInfer),
    ("SELECT count(DISTINCT ssn) FROM customers", Action::PgInfer),
    ("SELECT max(ssn), array_agg(ssn), string_agg(ssn, ',') FROM customers", Action::PgInfer),
    ("SELECT string_agg(name, ',' ORDER BY ssn) FROM customers", Action::PgInfer),
    ("SELECT count(*) FILTER (WHERE ssn LIKE '1%') FROM customers", Action::PgInfer),
    ("SELECT first_value(ssn) OVER (ORDER BY id) FROM customers", Action::PgInfer),
    ("SELECT row_number() OVER (ORDER BY ssn) FROM customers", Action::PgInfer),
    ("SELECT rank() OVER w FROM customers WINDOW w AS (PARTITION BY ssn)", Action::PgInfer),
    ("SELECT md5(ssn), encode(ssn::bytea, 'hex'), hashtext(ssn) FROM customers", Action::PgInfer),
    ("SELECT substr(ssn, 1, 3), left(ssn, 1), reverse(ssn), regexp_match(ssn, '.*') FROM customers", Action::PgInfer),
    ("SELECT to_tsvector('simple', ssn) FROM customers", Action::PgInfer),
    ("SELECT xmlelement(name a, ssn), xmlforest(ssn AS b) FROM customers", Action::PgInfer),
    ("SELECT coalesce(ssn, ''), greatest(ssn, ''), nullif(ssn, '') FROM customers", Action::PgInfer),
    ("SELECT CASE WHEN ssn LIKE '1%' THEN 1 END FROM customers", Action::PgInfer),
    ("SELECT CASE ssn WHEN 'x' THEN 1 END FROM customers", Action::PgInfer),
    ("SELECT CASE WHEN id = 1 THEN ssn END FROM customers", Action::PgInfer),
    ("SELECT ssn IS NULL FROM customers", Action::PgInfer),
    ("SELECT ssn = 'x' FROM customers", Action::PgInfer),
    ("SELECT ssn IN ('a', 'b') FROM customers", Action::PgInfer),
    ("SELECT 'a' IN (ssn, name) FROM customers", Action::PgInfer),
    ("SELECT (SELECT ssn FROM customers LIMIT 1)", Action::PgInfer),
    ("SELECT ARRAY(SELECT ssn FROM customers)", Action::PgInfer),
    ("SELECT (SELECT c.ssn) FROM customers c", Action::PgInfer),
    ("VALUES ((SELECT ssn FROM customers LIMIT 1))", Action::PgInfer),
    ("SELECT * FROM (VALUES ((SELECT ssn FROM customers LIMIT 1))) v", Action::PgInfer),
    ("SELECT upper((c).ssn) FROM customers c", Action::PgInfer),
    ("SELECT length(ssn(c)) FROM customers c", Action::PgInfer),
    ("SELECT name(c) FROM customers c", Action::PgInfer),
    ("SELECT notes(c) || upper(email(c)) FROM customers c", Action::PgInfer),
    ("SELECT jsonb_object_agg(id, ssn) FROM customers", Action::PgInfer),
    ("SELECT JSON_OBJECT('a': ssn) FROM customers", Action::PgInfer),
    ("SELECT JSON_ARRAY(SELECT ssn FROM customers)", Action::PgInfer),
    // Predicates, order, grouping.
    ("SELECT id FROM customers WHERE ssn = '1'", Action::PgMatch),
    ("EXPLAIN SELECT id FROM customers WHERE ssn = '1'", Action::PgInfer),
    ("EXPLAIN ANALYZE SELECT id FROM customers WHERE ssn = '1'", Action::PgInfer),
    ("SELECT id FROM customers WHERE ssn::int = 1", Action::PgInfer),
    ("SELECT id FROM customers c WHERE c.* IS NOT NULL", Action::PgInfer),
    ("SELECT id FROM customers c WHERE c = ROW(1)", Action::PgInfer),
    ("SELECT id FROM customers ORDER BY ssn", Action::PgInfer),
    ("SELECT id, ssn FROM customers ORDER BY 2", Action::PgInfer),
    ("SELECT id, ssn AS s FROM customers ORDER BY s", Action::PgInfer),
    ("SELECT * FROM customers ORDER BY 3", Action::PgInfer),
    ("SELECT id FROM customers ORDER BY ssn USING <", Action::PgInfer),
    ("SELECT ssn FROM customers GROUP BY 1", Action::PgInfer),
    ("SELECT ssn FROM customers GROUP BY ssn", Action::PgInfer),
    ("SELECT ssn AS s FROM customers GROUP BY s", Action::PgInfer),
    ("SELECT tier FROM customers GROUP BY GROUPING SETS ((tier), (ssn))", Action::PgInfer),
    ("SELECT tier FROM customers GROUP BY tier HAVING max(ssn) > '5'", Action::PgInfer),
    ("SELECT DISTINCT ssn FROM customers", Action::PgInfer),
    ("SELECT DISTINCT ON (ssn) id FROM customers", Action::PgInfer),
    ("SELECT id FROM customers LIMIT (SELECT substr(ssn, 1, 1)::int FROM customers LIMIT 1)", Action::PgInfer),
    ("SELECT 1 WHERE EXISTS (SELECT 1 FROM customers WHERE ssn LIKE '1%')", Action::PgInfer),
    ("SELECT CASE WHEN EXISTS (SELECT 1 FROM customers WHERE id = 1 AND ssn LIKE '1%') THEN 'hit' END", Action::PgInfer),
    ("SELECT id FROM decoy WHERE ssn_ok IN (SELECT ssn FROM customers)", Action::PgInfer),
    ("SELECT id FROM decoy WHERE ssn_ok = ANY (SELECT ssn FROM customers)", Action::PgInfer),
    ("SELECT d.id FROM decoy d WHERE (d.id, d.ssn_ok) = (SELECT id, ssn FROM customers LIMIT 1)", Action::PgInfer),
    ("SELECT g FROM generate_series(1, 9) g WHERE EXISTS (SELECT 1 FROM customers WHERE substr(ssn, g, 1) = '1')", Action::PgInfer),
    // Joins.
    ("SELECT 1 FROM customers c JOIN decoy d ON c.ssn = d.ssn_ok", Action::PgInfer),
    ("SELECT z FROM (SELECT owner_ssn AS z FROM accounts) a JOIN (SELECT ssn AS z FROM customers) b USING (z)", Action::PgInfer),
    ("SELECT z FROM (SELECT owner_ssn AS z FROM accounts) a FULL JOIN (SELECT ssn AS z FROM customers) b USING (z)", Action::PgInfer),
    ("SELECT 1 FROM customers NATURAL JOIN derived", Action::PgInfer),
    ("SELECT 1 FROM customers c JOIN LATERAL (SELECT 1 WHERE c.ssn > 'a') l ON true", Action::PgInfer),
    ("SELECT x.n FROM customers c, jsonb_to_record(jsonb_build_object('n', c.ssn)) AS x(n text)", Action::PgInfer),
    ("SELECT g FROM customers c, generate_series(1, length(c.ssn)) g", Action::PgInfer),
    ("SELECT u FROM customers c, unnest(ARRAY[c.ssn]) u", Action::PgInfer),
    ("SELECT x.a FROM customers c, XMLTABLE('/r' PASSING xmlelement(name r, c.ssn) COLUMNS a text PATH '.') x", Action::PgInfer),
    ("SELECT * FROM customers TABLESAMPLE SYSTEM ((SELECT ascii(ssn) FROM customers LIMIT 1))", Action::PgInfer),
    // Set operations, recursion.
    ("SELECT ssn AS z FROM customers UNION ALL SELECT 'x'", Action::PgInfer),
    ("SELECT 'x' AS z UNION SELECT ssn FROM customers", Action::PgInfer),
    ("SELECT ssn FROM customers INTERSECT SELECT '1'", Action::PgInfer),
    ("SELECT id FROM customers UNION (SELECT 1 EXCEPT SELECT ascii(ssn) FROM customers)", Action::PgInfer),
    ("TABLE customers EXCEPT TABLE vip", Action::PgInfer),
    ("WITH RECURSIVE w(i, z) AS (SELECT 1, ssn FROM customers UNION ALL SELECT i + 1, z FROM w WHERE i < 2) SELECT z FROM w", Action::PgInfer),
    ("WITH RECURSIVE a AS (SELECT * FROM decoy), decoy AS (SELECT ssn FROM customers) SELECT * FROM a", Action::PgUnknown),
    // Renamed and wrapped.
    ("SELECT z || '' FROM customers AS t(a, b, z, d)", Action::PgInfer),
    ("SELECT q.z || '' FROM (SELECT x.z FROM (SELECT ssn AS z FROM customers) x) q", Action::PgInfer),
    ("WITH w(z) AS (SELECT ssn FROM customers) SELECT upper(z) FROM w", Action::PgInfer),
    ("WITH id AS (SELECT ssn AS id FROM customers) SELECT id + 1 FROM id", Action::PgInfer),
    ("SELECT id || '' FROM (SELECT ssn AS id FROM customers) customers", Action::PgInfer),
    ("WITH d AS (DELETE FROM customers RETURNING ssn) SELECT upper(ssn) FROM d", Action::PgInfer),
    ("SELECT j.c3 || '' FROM (customers c JOIN decoy d ON c.id = d.id) AS j(a, b, c3)", Action::PgInfer),
    // Views, copies, kin.
    ("SELECT upper(tax_ref) FROM v_contacts", Action::PgInfer),
    ("SELECT deep || '' FROM v_nested", Action::PgInfer),
    ("SELECT loud || '' FROM v_upper", Action::PgInfer),
    ("SELECT doc ->> 'ssn' FROM v_row", Action::PgInfer),
    ("SELECT id FROM mv_contacts WHERE tax_ref = '1'", Action::PgMatch),
    ("SELECT upper(owner_ssn) FROM accounts", Action::PgInfer),
    ("SELECT upper(subject_ssn) FROM events_2026", Action::PgInfer),
    ("SELECT upper(ssn) FROM vip", Action::PgInfer),
    ("SELECT tail || '' FROM derived", Action::PgInfer),
    ("SELECT encode(chunk_data, 'hex') FROM pg_toast.pg_toast_1001", Action::PgInfer),
    ("SELECT upper(w.ssn) FROM wide w", Action::PgInfer),
    ("SELECT * FROM wide", Action::PgUnknown),
    ("SELECT t.* FROM wide t", Action::PgUnknown),
    ("SELECT b FROM wide AS t(a, b, c)", Action::PgUnknown),
    ("SELECT nonsense FROM customers", Action::PgUnknown),
    ("SELECT zz.ssn FROM customers", Action::PgUnknown),
    ("SELECT x FROM v_calls", Action::PgCall),
    ("SELECT v FROM v_stats", Action::PgReadStatistics),
    // Writing.
    ("UPDATE customers SET notes = ssn", Action::PgInfer),
    ("UPDATE customers SET (notes, name) = (SELECT ssn, 'x' FROM customers LIMIT 1)", Action::PgInfer),
    ("UPDATE customers SET (notes, name) = (ssn, 'x')", Action::PgInfer),
    ("UPDATE customers SET name = 'x' WHERE ssn = '1'", Action::PgMatch),
    ("UPDATE customers SET ssn = ssn || ''", Action::PgInfer),
    ("UPDATE decoy SET ssn_ok = c.ssn FROM customers c WHERE c.id = decoy.id", Action::PgInfer),
    ("UPDATE customers SET tier = 1 RETURNING upper(ssn)", Action::PgInfer),
    ("UPDATE customers SET tier = 1 RETURNING customers", Action::PgInfer),
    ("UPDATE customers SET tier = 1 RETURNING old.ssn || ''", Action::PgInfer),
    ("UPDATE v_contacts SET name = tax_ref", Action::PgInfer),
    ("DELETE FROM customers WHERE ssn LIKE '1%'", Action::PgInfer),
    ("DELETE FROM decoy USING customers c WHERE c.ssn = ssn_ok", Action::PgInfer),
    ("INSERT INTO decoy SELECT id, ssn FROM customers", Action::PgInfer),
    ("INSERT INTO decoy VALUES (1, (SELECT ssn FROM customers LIMIT 1))", Action::PgInfer),
    ("INSERT INTO decoy TABLE mv_contacts", Action::PgInfer),
    ("INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (ssn) DO NOTHING", Action::PgInfer),
    ("INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = customers.ssn", Action::PgInfer),
    ("INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = ssn", Action::PgInfer),
    ("INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'y' WHERE customers.ssn > '5'", Action::PgInfer),
    ("INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'y' RETURNING customers::text", Action::PgInfer),
    ("MERGE INTO decoy d USING customers c ON d.id = c.id WHEN MATCHED THEN UPDATE SET ssn_ok = c.ssn", Action::PgInfer),
    ("MERGE INTO decoy d USING customers c ON d.ssn_ok = c.ssn WHEN MATCHED THEN DELETE", Action::PgInfer),
    ("MERGE INTO decoy d USING customers c ON d.id = c.id WHEN NOT MATCHED THEN INSERT VALUES (c.id, c.ssn)", Action::PgInfer),
    ("MERGE INTO decoy d USING customers c ON d.id = c.id WHEN MATCHED AND c.ssn > '5' THEN DELETE", Action::PgInfer),
    ("INSERT INTO audited VALUES (1)", Action::PgCall),
    ("INSERT INTO ruled VALUES (1)", Action::PgUnknown),
    ("UPDATE pg_class SET relname = 'x'", Action::PgUnknown),
    ("CREATE TABLE t1 AS SELECT ssn FROM customers", Action::PgInfer),
    ("SELECT ssn INTO TEMP t2 FROM customers", Action::PgInfer),
    ("SELECT * INTO t2 FROM customers", Action::PgCreateTable),
    ("CREATE MATERIALIZED VIEW m AS SELECT ssn FROM customers", Action::PgDefineCode),
    ("COPY customers TO STDOUT", Action::PgCopyTo),
    ("COPY customers TO '/tmp/x'", Action::PgInfer),
    ("COPY (SELECT ssn FROM customers) TO PROGRAM 'cat'", Action::PgInfer),
    ("COPY (SELECT ssn || '' FROM customers) TO STDOUT", Action::PgInfer),
    ("COPY (SELECT id FROM customers ORDER BY ssn) TO STDOUT", Action::PgInfer),
    ("COPY (TABLE customers UNION TABLE customers) TO STDOUT", Action::PgInfer),
    ("COPY (UPDATE customers SET tier = 1 RETURNING ssn AS z) TO STDOUT", Action::PgInfer),
    ("COPY orders TO '/tmp/x'", Action::PgUnknown),
    ("COPY orders TO PROGRAM 'cat'", Action::PgExecuteCode),
    ("COPY customers FROM STDIN WHERE ssn > '5'", Action::PgInfer),
    ("COPY orders TO STDOUT", Action::PgCopyTo),
    ("COPY orders FROM STDIN", Action::PgCopyFrom),
    ("EXPLAIN ANALYZE SELECT ssn FROM customers", Action::PgInfer),
    ("EXPLAIN (ANALYZE, COSTS off) SELECT 1 FROM customers WHERE ssn LIKE '1%'", Action::PgInfer),
    ("EXPLAIN SELECT 1 FROM customers WHERE ssn LIKE '1%'", Action::PgInfer),
    ("PREPARE p AS SELECT upper(ssn) FROM customers", Action::PgInfer),
    ("DECLARE c CURSOR FOR SELECT upper(ssn) FROM customers", Action::PgInfer),
    // Definitions.
    ("CREATE VIEW v AS SELECT ssn AS z FROM customers", Action::PgDefineCode),
    ("CREATE VIEW v AS SELECT upper(ssn) AS z FROM customers", Action::PgInfer),
    ("ALTER TABLE customers ADD COLUMN g text GENERATED ALWAYS AS (ssn) STORED", Action::PgInfer),
    ("ALTER TABLE customers ALTER COLUMN notes TYPE text USING ssn", Action::PgInfer),
    ("ALTER TABLE customers ADD CHECK (ssn <> '1')", Action::PgInfer),
    ("ALTER TABLE customers RENAME ssn TO t0", Action::PgInfer),
    ("ALTER TABLE customers RENAME TO c9", Action::PgInfer),
    ("ALTER TABLE customers SET SCHEMA shadow", Action::PgInfer),
    ("ALTER SCHEMA public RENAME TO other", Action::PgInfer),
    ("ALTER TABLE events DETACH PARTITION events_2026", Action::PgInfer),
    ("ALTER TABLE vip NO INHERIT customers", Action::PgInfer),
    ("ALTER TABLE accounts DROP CONSTRAINT accounts_owner_ssn_fkey", Action::PgInfer),
    ("CREATE INDEX ix ON customers ((ssn || ''))", Action::PgInfer),
    ("CREATE INDEX ix ON customers (id) WHERE ssn > '5'", Action::PgInfer),
    ("CREATE TABLE g (s text REFERENCES customers (ssn))", Action::PgInfer),
    ("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT 1'", Action::PgDefineCode),
    ("CREATE RULE r AS ON SELECT TO decoy DO INSTEAD SELECT 1", Action::PgDefineCode),
    ("CREATE TRIGGER t BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION f1()", Action::PgDefineCode),
    ("CREATE OPERATOR @@ (LEFTARG = int, RIGHTARG = int, FUNCTION = f1)", Action::PgDefineCode),
    ("CREATE AGGREGATE agg (text) (SFUNC = f1, STYPE = text)", Action::PgDefineCode),
    ("CREATE CAST (int AS text) WITH FUNCTION f1(int)", Action::PgDefineCode),
    ("CREATE DOMAIN d AS text CHECK (f1() IS NULL)", Action::PgDefineCode),
    ("CREATE EXTENSION dblink", Action::PgDefineCode),
    ("CREATE POLICY p ON customers USING (true)", Action::PgDefineCode),
    ("CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f1()", Action::PgDefineCode),
    ("CREATE TYPE en AS ENUM ('a')", Action::PgDefineOther),
    ("CREATE SEQUENCE s", Action::PgDefineOther),
    ("COMMENT ON TABLE customers IS 'x'", Action::PgDefineOther),
    ("IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y", Action::PgDefineOther),
    ("CREATE USER MAPPING FOR u SERVER s OPTIONS (password 'x')", Action::PgGrant),
    ("CREATE PUBLICATION p FOR TABLE customers", Action::PgGrant),
    ("CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p", Action::PgGrant),
    ("DROP TABLE customers", Action::PgDropTable),
    ("DROP VIEW v_contacts", Action::PgDropObject),
    ("DROP FUNCTION f1", Action::PgDropObject),
    ("TRUNCATE customers", Action::PgTruncate),
    ("GRANT SELECT ON customers TO PUBLIC", Action::PgGrant),
    ("GRANT ALL ON ALL TABLES IN SCHEMA public TO u", Action::PgGrant),
    ("GRANT a TO b", Action::PgGrant),
    ("ALTER ROLE CURRENT_USER PASSWORD 'x'", Action::PgGrant),
    ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO u", Action::PgGrant),
    ("ALTER TABLE customers OWNER TO u", Action::PgGrant),
    ("ALTER SYSTEM SET log_statement = 'none'", Action::PgUnknown),
    ("LOAD 'x'", Action::PgExecuteCode),
    ("DO $$ BEGIN END $$", Action::PgExecuteCode),
    ("CALL p()", Action::PgExecuteCode),
    ("PREPARE TRANSACTION 'x'", Action::PgUnknown),
    ("LISTEN x", Action::PgNotify),
    ("NOTIFY x, 'y'", Action::PgNotify),
    ("VACUUM customers", Action::PgMaintain),
    ("REFRESH MATERIALIZED VIEW mv_contacts", Action::PgMaintain),
    ("CHECKPOINT", Action::PgMaintain),
    ("LOCK customers", Action::PgLock),
    ("SELECT id FROM customers FOR UPDATE", Action::PgLock),
    // Functions that act.
    ("SELECT query_to_xml('select 1', true, false, '')", Action::PgCall),
    ("SELECT pg_catalog.table_to_xml('customers', true, false, '')", Action::PgCall),
    ("SELECT cursor_to_xml('c', 1, true, false, '')", Action::PgCall),
    ("SELECT word FROM ts_stat('select 1')", Action::PgCall),
    ("SELECT ts_rewrite('a'::tsquery, 'select 1')", Action::PgCall),
    ("SELECT * FROM crosstab('select 1') AS t(r int)", Action::PgCall),
    ("SELECT x FROM dblink('host=x', 'select 1') AS t(x text)", Action::PgCall),
    ("SELECT f1()", Action::PgCall),
    ("SELECT public.f1()", Action::PgCall),
    ("SELECT similarity(name, 'x') FROM customers", Action::PgCall),
    ("SELECT lo_import('/etc/passwd'), lo_get(1)", Action::PgCall),
    ("SELECT pg_read_file('/etc/passwd')", Action::PgCall),
    ("SELECT pg_terminate_backend(1)", Action::PgCall),
    ("SELECT pg_notify('x', 'y')", Action::PgNotify),
    ("SELECT 1 FROM (SELECT pg_notify('x', (SELECT ssn FROM customers LIMIT 1))) q", Action::PgInfer),
    ("SELECT set_config('my.x', 'y', false)", Action::PgSet),
    ("SELECT set_config('application_name', (SELECT name FROM customers LIMIT 1), false)", Action::PgSet),
    ("SELECT set_config(name, 'x', false) FROM customers", Action::PgCall),
    ("SELECT set_config('role', 'postgres', false)", Action::PgSet),
    ("SELECT current_setting('my.x')", Action::PgReadStatistics),
    ("SELECT current_setting(name) FROM customers", Action::PgCall),
    ("SELECT setval('orders_id_seq', (SELECT replace(ssn, '-', '')::bigint FROM customers LIMIT 1))", Action::PgInfer),
    ("SELECT setval('orders_id_seq', id) FROM orders", Action::PgCall),
    ("SELECT nextval(name::regclass) FROM customers", Action::PgCall),
    ("SELECT 1 @@@ 1", Action::PgCall),
    ("SELECT 1 OPERATOR(public.@@@) 1", Action::PgCall),
    ("SELECT initcap('x')", Action::PgCall),
    ("SELECT 'x'::checked_text", Action::PgCall),
    ("SELECT ('\"' || name || '\"')::regclass FROM customers", Action::PgCall),
    ("SELECT pg_sleep(substr(ssn, 2, 1)::int) FROM customers", Action::PgInfer),
    ("SELECT has_table_privilege(ssn, 'select') FROM customers", Action::PgInfer),
    // System relations that carry values.
    ("SELECT most_common_vals FROM pg_stats", Action::PgReadStatistics),
    ("SELECT * FROM pg_catalog.pg_statistic", Action::PgReadStatistics),
    ("SELECT query FROM pg_stat_activity", Action::PgReadStatistics),
    ("SELECT query FROM pg_stat_statements", Action::PgReadStatistics),
    ("SELECT rolpassword FROM pg_authid", Action::PgReadStatistics),
    ("SELECT data FROM pg_largeobject", Action::PgReadStatistics),
    ("SHOW ALL", Action::PgReadStatistics),
    ("SHOW my.x", Action::PgReadStatistics),
    // Parameters.
    ("SET standard_conforming_strings = off", Action::PgSet),
    ("SET client_encoding = 'SJIS'", Action::PgSet),
    ("SET NAMES 'LATIN1'", Action::PgSet),
    ("SET ROLE postgres", Action::PgSet),
    ("RESET ROLE", Action::PgSet),
    ("SET SESSION AUTHORIZATION app", Action::PgSet),
    ("RESET SESSION AUTHORIZATION", Action::PgSet),
    ("SET session_replication_role = replica", Action::PgSet),
    ("SET my.x = 'y'", Action::PgSet),
    ("SET client_min_messages = debug5", Action::PgSet),
    ("SET TRANSACTION SNAPSHOT 'x'", Action::PgSet),
];

#[test]
fn copy_to_the_client_is_predicted_column_by_column() {
    let world = World::new();
    for (text, wanted) in [
        (
            "COPY customers TO STDOUT",
            &["id", "name", "*ssn", "*email", "notes", "tier"][..],
        ),
        ("COPY customers (email, id) TO STDOUT", &["*email", "id"]),
        (
            "COPY (SELECT ssn AS x, id FROM customers) TO STDOUT (FORMAT csv)",
            &["*x", "id"],
        ),
        (
            "COPY (TABLE customers) TO STDOUT (FORMAT binary)",
            &["id", "name", "*ssn", "*email", "notes", "tier"],
        ),
        (
            "COPY (WITH c AS (SELECT * FROM v_contacts) SELECT tax_ref FROM c) TO STDOUT",
            &["*tax_ref"],
        ),
        // `tail` is computed, and COPY does not send it.
        ("COPY derived TO STDOUT", &["id", "*ssn"]),
        ("COPY orders (id) TO STDOUT", &["id"]),
    ] {
        let statement = world.one(text);
        assert!(!asks(&statement, Action::PgInfer), "{text}");
        assert!(asks(&statement, Action::PgCopyTo), "{text}");
        let columns = statement.columns.unwrap_or_else(|| panic!("{text}"));
        let shown: Vec<_> = columns
            .iter()
            .map(|column| {
                let hidden = if column.reveal == Reveal::Clear {
                    ""
                } else {
                    "*"
                };
                assert_eq!(column.type_oid, 25, "{text}");
                format!("{hidden}{}", column.name)
            })
            .collect();
        assert_eq!(shown, wanted, "{text}");
    }
}

#[test]
fn copy_in_doubt_is_not_predicted() {
    let world = World::new();
    let ahead = SessionFacts {
        uncommitted_ddl: true,
    };
    let text = "COPY customers TO STDOUT";
    let statements = analyse(
        text,
        &world.catalog,
        &world.sensitive,
        &ahead,
        &Limits::STANDARD,
    );
    assert_eq!(statements.expect(text)[0].columns, None);
    for text in [
        "COPY (UPDATE customers SET tier = 1 RETURNING ssn) TO STDOUT",
        "COPY customers TO PROGRAM 'cat'",
    ] {
        let statement = world.one(text);
        assert!(statement.sensitive && statement.columns.is_none(), "{text}");
    }
}

#[test]
fn options_of_copy_are_read_or_refused() {
    let world = World::new();
    let form = |options: &str| match world
        .one(&format!("COPY customers TO STDOUT {options}"))
        .kind
    {
        StatementKind::Copy { form, .. } => form,
        other => panic!("{other:?}"),
    };
    let csv = |header, quoted: &[usize]| {
        Some(CopyForm {
            format: CopyFormat::Csv {
                delimiter: b',',
                null: "".into(),
                quote: b'"',
                escape: b'"',
                quoted: quoted.to_vec(),
            },
            header,
        })
    };
    for (options, wanted) in [
        ("CSV", csv(false, &[])),
        ("CSV HEADER FORCE QUOTE ssn, id", csv(true, &[0, 2])),
        (
            "(FORMAT csv, HEADER on, FORCE_QUOTE *)",
            csv(true, &[0, 1, 2, 3, 4, 5]),
        ),
        ("(FORMAT csv, ENCODING 'utf-8')", csv(false, &[])),
        (
            "BINARY",
            Some(CopyForm {
                format: CopyFormat::Binary,
                header: false,
            }),
        ),
        (
            "DELIMITERS '|' NULL ''",
            Some(CopyForm {
                format: CopyFormat::Text {
                    delimiter: b'|',
                    null: "".into(),
                },
                header: false,
            }),
        ),
        ("(ENCODING 'latin1')", None),
        ("(NULL '123-45-6789')", None),
        ("(FORMAT csv, DELIMITER E'\\n')", None),
        ("(FORMAT csv, QUOTE ',')", None),
        ("(FORMAT csv, NULL 'a,b')", None),
        ("(FORMAT csv, FORCE_QUOTE (nobody))", None),
        ("(FORMAT avro)", None),
        ("(FORMAT csv, FORMAT text)", None),
        ("(FORMAT binary, DELIMITER '|')", None),
        ("(DELIMITER 'x')", None),
        ("(FREEZE)", None),
    ] {
        assert_eq!(form(options), wanted, "{options}");
    }
}

#[test]
fn whatever_can_tell_a_value_asks_policy() {
    let world = World::new();
    let silent: Vec<_> = ASKING
        .iter()
        .filter(|(text, action)| {
            !world
                .analyse(text)
                .is_ok_and(|all| all.iter().any(|s| asks(s, *action)))
        })
        .map(|(text, action)| {
            format!(
                "{action}: {text}: {:?}",
                world.analyse(text).map(|s| s[0].accesses.clone())
            )
        })
        .collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn inferring_asks_about_the_column_and_about_the_one_that_is_labelled() {
    let statement = World::new().one("SELECT id FROM v_nested WHERE deep > '1'");
    for path in ["public.v_nested.deep", "public.customers.ssn"] {
        let wanted = Access {
            action: Action::PgInfer,
            resource: Resource::Column(support::column(path)),
        };
        assert!(
            statement.accesses.contains(&wanted),
            "{path}: {:?}",
            statement.accesses
        );
    }
}

/// Text, and how many values it compares hidden columns with: nothing else of it is asked.
#[rustfmt::skip]
const MATCHING: &[(&str, u32)] = &[
    ("SELECT id, ssn FROM customers WHERE ssn = '1'", 1),
    ("SELECT id FROM customers c WHERE '1' = c.ssn", 1),
    ("SELECT id FROM customers c WHERE (c).ssn OPERATOR(pg_catalog.=) $1", 1),
    ("SELECT id FROM customers WHERE ssn = $1::text AND tier < 3 AND email = $2", 2),
    ("SELECT id FROM customers WHERE ssn = CAST($1 AS varchar(20))", 1),
    ("SELECT id FROM customers WHERE ssn IN ('1', $1, NULL)", 3),
    ("SELECT id FROM customers WHERE tier = 1 AND (ssn = 'a' AND id > 2)", 1),
    ("SELECT count(*) FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE ssn = 'a')", 1),
    ("SELECT z FROM (SELECT ssn AS z FROM customers) q WHERE z = 'a'", 1),
    ("WITH w AS (SELECT id FROM customers WHERE ssn = 'a') SELECT id FROM w", 1),
    ("SELECT 1 FROM v_contacts WHERE tax_ref = 'a' UNION SELECT 2 FROM customers WHERE email = 'b'", 2),
    ("SELECT id FROM v_nested WHERE deep = '1'", 1),
    ("UPDATE customers SET tier = 2 WHERE ssn = 'a'", 1),
    ("DELETE FROM customers WHERE ssn = 'a' RETURNING id", 1),
];

/// What looks alike and could tell more than equality, or of something else than the column.
#[rustfmt::skip]
const NO_MATCH: &[&str] = &[
    "SELECT id FROM customers WHERE NOT ssn = 'a'",
    "SELECT id FROM customers WHERE ssn <> 'a'",
    "SELECT id FROM customers WHERE ssn NOT IN ('a')",
    "SELECT id FROM customers WHERE ssn = 'a' OR tier = 1",
    "SELECT id FROM customers WHERE (ssn = 'a') = (tier = 1)",
    "SELECT id FROM customers WHERE (ssn = 'a') IS NOT TRUE",
    "SELECT id FROM customers WHERE CASE WHEN ssn = 'a' THEN true END",
    "SELECT id FROM customers WHERE ssn = name",
    "SELECT id FROM customers WHERE ssn = email",
    "SELECT id FROM customers WHERE ssn IN ('a', name)",
    "SELECT id FROM customers WHERE ssn = 'a' || 'b'",
    "SELECT id FROM customers WHERE ssn = lower('A')",
    "SELECT id FROM customers WHERE ssn = (SELECT 'a')",
    "SELECT id FROM customers WHERE ssn = ANY ($1)",
    "SELECT id FROM customers WHERE ssn = ALL ('{a}'::text[])",
    "SELECT id FROM customers WHERE (ssn, id) = ('a', 1)",
    "SELECT id FROM customers WHERE ssn LIKE 'a'",
    "SELECT id FROM customers WHERE ssn ~ 'a'",
    "SELECT id FROM customers WHERE ssn IS NOT DISTINCT FROM 'a'",
    "SELECT id FROM customers WHERE ssn BETWEEN 'a' AND 'a'",
    "SELECT id FROM customers WHERE ssn OPERATOR(public.=) 'a'",
    "SELECT id FROM customers WHERE ssn = 'a'::bpchar",
    "SELECT id FROM customers WHERE ssn = 'a'::public.text",
    "SELECT id FROM customers WHERE ssn = '{a}'::text[]",
    "SELECT id FROM customers WHERE ssn = $1 AND name = $1",
    "SELECT $1::float8, id FROM customers WHERE ssn = $1",
    "SELECT id FROM customers WHERE upper(ssn) = 'A'",
    "SELECT id FROM customers WHERE ssn::text = 'a'",
    "SELECT id FROM customers WHERE ssn COLLATE \"C\" = 'a'",
    "SELECT id FROM customers c WHERE c.ssn[1] = 'a'",
    "SELECT id FROM customers c WHERE c = 'a'",
    "SELECT ssn = 'a' FROM customers",
    "SELECT id FROM customers GROUP BY id, ssn HAVING ssn = 'a'",
    "SELECT id FROM customers ORDER BY ssn = 'a'",
    "SELECT 1 FROM customers c JOIN orders o ON c.ssn = 'a'",
    "SELECT count(*) FILTER (WHERE ssn = 'a') FROM customers",
    "SELECT id FROM v_upper WHERE loud = 'A'",
    "SELECT id FROM derived WHERE tail = 'a'",
    "PREPARE q(float8) AS SELECT id FROM customers WHERE ssn = $1",
    "EXPLAIN SELECT id FROM customers WHERE ssn = 'a'",
    "COPY (SELECT id FROM customers WHERE ssn = 'a') TO STDOUT",
    "CREATE VIEW v AS SELECT id FROM customers WHERE ssn = 'a'",
    "CREATE TABLE t AS SELECT id FROM customers WHERE ssn = 'a'",
];

#[test]
fn equality_with_the_clients_own_values_is_a_match_and_is_counted() {
    let world = World::new();
    for (text, count) in MATCHING {
        let statement = world.one(text);
        assert_eq!(statement.matches, *count, "{text}");
        assert!(asks(&statement, Action::PgMatch), "{text}");
        let is_known = |access: &Access| is_ordinary(access) || access.action == Action::PgMatch;
        assert!(
            statement.accesses.iter().all(is_known),
            "{text}: {:?}",
            statement.accesses
        );
    }
}

#[test]
fn whatever_is_more_than_equality_is_inference() {
    let world = World::new();
    for text in NO_MATCH {
        assert!(asks(&world.one(text), Action::PgInfer), "{text}");
    }
}

#[test]
fn what_is_prepared_or_declared_is_counted_where_it_runs() {
    let world = World::new();
    for text in [
        "PREPARE q AS SELECT id FROM customers WHERE ssn = $1",
        "PREPARE q(text) AS SELECT id FROM customers WHERE ssn = $1",
        "DECLARE q CURSOR FOR SELECT id FROM customers WHERE ssn = 'a'",
    ] {
        let statement = world.one(text);
        let (StatementKind::Prepare { inner, .. } | StatementKind::DeclareCursor { inner, .. }) =
            &statement.kind
        else {
            panic!("{text}: {:?}", statement.kind)
        };
        assert_eq!((statement.matches, inner.matches), (0, 1), "{text}");
        assert!(asks(&statement, Action::PgMatch), "{text}");
        assert!(!asks(&statement, Action::PgInfer), "{text}");
    }
}

#[test]
fn an_operator_or_a_type_of_somebodys_own_ends_matching() {
    let world = World::of(support::fixture::catalog_altered());
    let statement = world.one("SELECT id FROM customers WHERE ssn = 'a'");
    assert!(asks(&statement, Action::PgInfer));
    assert_eq!(statement.matches, 0);
}

/// Text, and which of its result columns are hidden.
#[rustfmt::skip]
const HIDDEN: &[(&str, &[bool])] = &[
    ("SELECT ssn AS x FROM customers", &[true]),
    ("SELECT id, ssn, name, email FROM customers", &[false, true, false, true]),
    ("TABLE customers", &[false, false, true, true, false, false]),
    ("SELECT ssn(customers) FROM customers", &[true]),
    ("SELECT (c).ssn, (c.*).email, (c).id FROM customers c", &[true, true, false]),
    ("SELECT (c).* FROM customers c", &[false, false, true, true, false, false]),
    ("SELECT z FROM customers AS t(a, b, z, d)", &[true]),
    ("WITH w(z) AS MATERIALIZED (SELECT ssn FROM customers) SELECT z FROM w", &[true]),
    ("WITH customers AS (SELECT id, ssn AS name FROM customers) SELECT name FROM customers", &[true]),
    ("SELECT name FROM (SELECT ssn AS name, name AS ssn FROM customers) q", &[true]),
    ("SELECT ssn FROM (SELECT ssn AS name, name AS ssn FROM customers) q", &[false]),
    ("SELECT tax_ref, contact FROM v_contacts", &[true, true]),
    ("SELECT deep, id FROM v_nested", &[true, false]),
    ("SELECT * FROM v_upper", &[false, true]),
    ("SELECT * FROM v_row", &[false, true]),
    ("SELECT * FROM v_names", &[false, false]),
    ("SELECT * FROM accounts", &[false, true, false]),
    ("SELECT * FROM events", &[false, false, true]),
    ("SELECT * FROM derived", &[false, true, true]),
    ("SELECT w.ssn FROM wide w", &[true]),
    ("SELECT c.ssn, l.e FROM customers c, LATERAL (SELECT c.email AS e) l", &[true, true]),
    ("UPDATE customers SET tier = 1 RETURNING id, ssn", &[false, true]),
    ("UPDATE customers SET tier = 1 RETURNING old.ssn, new.ssn, new.id", &[true, true, false]),
    ("DELETE FROM accounts WHERE id = 10 RETURNING owner_ssn AS z", &[true]),
    ("INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'y' RETURNING ssn AS z", &[true]),
    ("WITH d AS (DELETE FROM customers RETURNING *) SELECT ssn FROM d", &[true]),
    ("SELECT E'\\'' AS a, U&'d\\0061t\\+000061' AS b, 'a'\n'b' AS c, ssn AS z FROM customers", &[false, false, false, true]),
    ("SELECT\u{c}ssn AS z FROM customers", &[true]),
    ("SELECT ssn /* , 1 */ -- FROM decoy\n FROM customers", &[true]),
    ("SELECT U&\"\\0073sn\" FROM \"customers\"", &[true]),
    ("SELECT SSN FROM CUSTOMERS", &[true]),
];

#[test]
fn bare_columns_pass_and_are_hidden() {
    let world = World::new();
    for (text, wanted) in HIDDEN {
        let statement = world.one(text);
        assert!(statement.sensitive, "{text}");
        assert!(
            statement.accesses.iter().all(is_ordinary),
            "{text}: {:?}",
            statement.accesses
        );
        let columns = statement
            .columns
            .unwrap_or_else(|| panic!("no prediction: {text}"));
        let hidden: Vec<bool> = columns
            .iter()
            .map(|column| column.reveal != Reveal::Clear)
            .collect();
        assert_eq!(hidden, *wanted, "{text}");
    }
}

#[test]
fn ordinary_statements_mostly_need_nothing_special() {
    let world = World::new();
    let (mut all, mut passed, mut stopped) = (0, 0, Vec::new());
    for text in support::ordinary() {
        all += 1;
        let statement = world.one(text);
        let forbids = |access: &&Access| {
            matches!(
                access.action,
                Action::PgInfer | Action::PgUnknown | Action::PgCall | Action::PgSet
            )
        };
        match statement.accesses.iter().find(forbids) {
            None => passed += 1,
            Some(access) => stopped.push(format!("{text}: {access:?}")),
        }
    }
    assert!(all >= 120);
    assert!(
        passed * 100 >= all * 95,
        "{passed} of {all}\n{}",
        stopped.join("\n")
    );
}

#[test]
fn whether_what_changes_is_chosen_is_told_of_every_part() {
    let world = World::new();
    for (text, chosen) in [
        ("INSERT INTO customers (id) VALUES (1)", false),
        (
            "INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = 'x'",
            true,
        ),
        (
            "WITH d AS (DELETE FROM orders) INSERT INTO decoy VALUES (1) ON CONFLICT DO NOTHING",
            false,
        ),
        (
            "WITH d AS (DELETE FROM orders RETURNING id) SELECT id FROM d WHERE id = 1",
            false,
        ),
        (
            "WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING id) SELECT id FROM d",
            true,
        ),
        (
            "WITH d AS (DELETE FROM orders) UPDATE customers SET name = 'x' WHERE id = 1",
            false,
        ),
        (
            "WITH d AS (SELECT 1) UPDATE customers SET name = 'x' WHERE id = 1",
            true,
        ),
        ("WITH d AS (SELECT 1) SELECT * FROM d", false),
        ("SELECT nextval('orders_id_seq')", true),
        ("SELECT setval('orders_id_seq', 7)", true),
        ("SELECT nextval('orders_id_seq') FROM orders", false),
        (
            "SELECT nextval('orders_id_seq'), (SELECT count(*) FROM orders)",
            false,
        ),
        ("SELECT nextval('orders_id_seq'), f1(1)", false),
        (
            "WITH d AS (DELETE FROM orders) SELECT nextval('orders_id_seq')",
            false,
        ),
    ] {
        assert_eq!(world.one(text).has_where, chosen, "{text}");
    }
}

#[test]
fn a_parameter_that_names_a_setting_is_told() {
    let world = World::new();
    let jit = world.one("SELECT set_config('jit', $1, false)");
    assert_eq!(jit.accesses, []);

    let world = World::new();
    let text = "SELECT current_setting($2), current_setting($1::varchar, true), $3";
    let statement = world.one(text);
    assert_eq!(statement.accesses, []);
    assert_eq!(statement.settings, [1, 2]);
    let cursor = world.one("DECLARE c CURSOR FOR SELECT current_setting($1)");
    assert_eq!(cursor.settings, [1]);
}

#[test]
fn a_function_that_is_vouched_for_is_known_by_name_and_argument_types() {
    let mut world = World::new();
    let vouched = |name: &str, arguments: &str| Vouched {
        name: RelationName {
            schema: "public".into(),
            name: name.into(),
        },
        arguments: arguments.into(),
    };
    let calls = |world: &World, text: &str| asks(&world.one(text), Action::PgCall);
    let similar = "SELECT id, ssn, similarity(name, 'x') FROM customers";
    assert!(calls(&world, similar));
    let all = [
        vouched("similarity", "text, text"),
        vouched("f1", "text"),
        vouched("twice", "integer"),
    ];
    world.sensitive = world.sensitive.vouching(&world.catalog, &all);
    assert!(!calls(&world, similar));
    assert!(!calls(
        &world,
        "SELECT public.similarity('a', 'b') FROM customers"
    ));
    // What it is given is still inferred.
    let inferring = world.one("SELECT similarity(ssn, 'x') FROM customers");
    assert!(asks(&inferring, Action::PgInfer));
    // Other argument types, an overload that nobody vouches for, another schema.
    assert!(calls(&world, "SELECT f1(1)"));
    assert!(calls(&world, "SELECT twice(1)"));
    assert!(calls(&world, "SELECT shadow.similarity('a', 'b')"));
    let all = [vouched("twice", "integer"), vouched("twice", "text")];
    world.sensitive = world.sensitive.vouching(&world.catalog, &all);
    assert!(!calls(&world, "SELECT twice(1)"));
    assert!(calls(&world, similar), "the last word counts");
}

#[test]
fn a_user_object_with_a_built_in_name_is_not_trusted() {
    let (plain, shadowed) = (World::new(), World::of(catalog_with(true)));
    for text in ["SELECT lower('x'::text)", "SELECT 1 + 1"] {
        assert!(!asks(&plain.one(text), Action::PgCall), "{text}");
        assert!(asks(&shadowed.one(text), Action::PgCall), "{text}");
    }
    assert!(!asks(
        &shadowed.one("SELECT pg_catalog.lower('x')"),
        Action::PgCall
    ));
    // What a row of somebody's own says is no setting's name.
    let text = "SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'work_mem'";
    assert!(!asks(&plain.one(text), Action::PgCall));
    assert!(asks(&shadowed.one(text), Action::PgCall));
    // An extension's overload for its own type shadows nothing.
    assert!(!asks(
        &shadowed.one("SELECT replace(name, 'a', 'b') FROM customers"),
        Action::PgCall
    ));
}

#[test]
fn what_a_change_reads_is_asked_as_reading() {
    let world = World::new();
    let reads = |text: &str| {
        let wanted = Access {
            action: Action::PgSelect,
            resource: support::table("public", "customers"),
        };
        world.one(text).accesses.contains(&wanted)
    };
    for text in [
        "UPDATE customers SET tier = tier + 1",
        "UPDATE customers SET tier = 1 WHERE id = 1",
        "DELETE FROM customers WHERE id = 1",
        "UPDATE customers SET tier = 1 RETURNING id",
        "DELETE FROM customers RETURNING id",
        "INSERT INTO customers (id, name) VALUES (1, 'x') RETURNING id",
    ] {
        assert!(reads(text), "{text}");
    }
    for text in [
        "UPDATE customers SET tier = 1",
        "DELETE FROM customers",
        "INSERT INTO customers (id, name) VALUES (1, 'x')",
    ] {
        assert!(!reads(text), "{text}");
    }
}

#[test]
fn unqualified_names_mean_every_relation_of_that_name() {
    let statement = World::new().one("SELECT id FROM decoy");
    for schema in ["public", "shadow"] {
        let wanted = Access {
            action: Action::PgSelect,
            resource: support::table(schema, "decoy"),
        };
        assert!(statement.accesses.contains(&wanted));
    }
    assert_eq!(
        World::new()
            .one("SELECT id FROM shadow.decoy")
            .accesses
            .len(),
        1
    );
}

#[test]
fn relations_that_are_not_in_the_catalogue_ask_for_a_newer_one() {
    let refusal = World::new().analyse("SELECT * FROM s.nowhere");
    let (name, at) = ("s.nowhere".into(), Some(14));
    assert_eq!(refusal, Err(Refusal::UnknownRelation { name, at }));
}

#[test]
fn nothing_is_what_it_seems_after_uncommitted_ddl() {
    let world = World::new();
    let session = SessionFacts {
        uncommitted_ddl: true,
    };
    for text in [
        "SELECT id FROM orders",
        "SELECT x FROM not_yet",
        "UPDATE orders SET total = 1",
        "SELECT * FROM not_yet",
    ] {
        let statements = analyse(
            text,
            &world.catalog,
            &world.sensitive,
            &session,
            &Limits::STANDARD,
        )
        .expect(text);
        assert!(
            asks(&statements[0], Action::PgUnknown) && statements[0].sensitive,
            "{text}"
        );
    }
}

#[test]
fn writing_near_sensitive_rows_hides_error_texts() {
    let world = World::new();
    for text in [
        "INSERT INTO customers (id, name) VALUES (1, 'x')",
        "DELETE FROM orders WHERE id = 1",
        "DELETE FROM order_items WHERE line = 1",
        "UPDATE v_names SET name = 'x'",
        "INSERT INTO accounts (id) VALUES (1)",
        "ALTER TABLE customers ADD UNIQUE (name)",
        "SELECT id FROM v_names",
        "COMMIT",
        "SELECT f1()",
        "DO $$ BEGIN END $$",
    ] {
        assert!(world.one(text).sensitive, "{text}");
    }
    for text in [
        "SELECT 1",
        "SELECT * FROM orders",
        "INSERT INTO decoy VALUES (1)",
        "BEGIN",
        "SELECT relname FROM pg_class",
    ] {
        assert!(!world.one(text).sensitive, "{text}");
    }
}

#[test]
fn truncate_cascade_names_whatever_it_empties() {
    let world = World::new();
    let statement = world.one("TRUNCATE customers CASCADE");
    for name in ["customers", "accounts", "orders", "order_items"] {
        let wanted = Access {
            action: Action::PgTruncate,
            resource: support::table("public", name),
        };
        assert!(statement.accesses.contains(&wanted), "{name}");
    }
    assert_eq!(
        world
            .one("TRUNCATE customers")
            .accesses
            .iter()
            .filter(|a| a.action == Action::PgTruncate)
            .count(),
        1
    );
}

#[test]
fn statements_of_one_text_are_told_apart() {
    let world = World::new();
    let text = " SELECT 1 ;\n /* é */ SELECT ssn AS x FROM customers WHERE id = 7; SELECT 2";
    let statements = world.analyse(text).expect("three statements");
    let spans: Vec<&str> = statements.iter().map(|s| &text[s.span.clone()]).collect();
    assert_eq!(spans.len(), 3);
    assert_eq!(spans[0], "SELECT 1");
    assert!(
        spans[1].ends_with("SELECT ssn AS x FROM customers WHERE id = 7"),
        "{:?}",
        spans[1]
    );
    assert_eq!(spans[2], "SELECT 2");
    assert_eq!(
        statements[1].normalised,
        "SELECT ssn AS x FROM customers WHERE id = $1"
    );
    assert!(statements[1].has_where && statements[1].is_plain_read);
    assert_eq!(world.analyse(" -- nothing\n ;; "), Ok(Vec::new()));
}

#[test]
fn with_nothing_labelled_everything_ordinary_is_free() {
    let catalog = catalog();
    let nothing = Sensitive::close(&catalog, [], &weir_sql::Unlabelled::Clear);
    let statements = analyse(
        "SELECT upper(ssn) FROM customers WHERE ssn > '5'",
        &catalog,
        &nothing,
        &SESSION,
        &Limits::STANDARD,
    );
    let statement = statements.expect("it is analysed").remove(0);
    assert!(!statement.sensitive && statement.accesses.iter().all(is_ordinary));
}

#[test]
fn unlabelled_columns_are_hidden_where_that_is_the_default() {
    let catalog = catalog();
    let clear = [(support::column("public.orders.id"), Reveal::Clear)];
    let hidden = Sensitive::close(
        &catalog,
        clear,
        &weir_sql::Unlabelled::Hidden(support::mask("redact")),
    );
    let statement = analyse(
        "SELECT id, status FROM orders",
        &catalog,
        &hidden,
        &SESSION,
        &Limits::STANDARD,
    );
    let columns = statement
        .expect("it is analysed")
        .remove(0)
        .columns
        .expect("a prediction");
    assert_eq!(columns[0].reveal, Reveal::Clear);
    assert_ne!(columns[1].reveal, Reveal::Clear);
}

#[test]
fn what_is_not_there_yet_is_asked_as_it_is_written() {
    let world = World::new();
    let session = SessionFacts {
        uncommitted_ddl: true,
    };
    for (text, action) in [
        ("SELECT x FROM not_yet", Action::PgSelect),
        ("INSERT INTO not_yet VALUES (1)", Action::PgInsert),
        ("UPDATE not_yet SET x = 1", Action::PgUpdate),
        ("DELETE FROM not_yet", Action::PgDelete),
        ("TRUNCATE not_yet", Action::PgTruncate),
        ("DROP TABLE not_yet", Action::PgDropTable),
        ("ALTER TABLE not_yet ADD y int", Action::PgAlterTable),
        ("CREATE INDEX ON not_yet (x)", Action::PgCreateIndex),
        ("COPY not_yet FROM STDIN", Action::PgCopyFrom),
        ("COPY not_yet TO STDOUT", Action::PgCopyTo),
        ("LOCK not_yet", Action::PgLock),
        ("VACUUM not_yet", Action::PgMaintain),
        ("GRANT SELECT ON not_yet TO app", Action::PgGrant),
        (
            "MERGE INTO not_yet USING orders o ON true WHEN MATCHED THEN DELETE",
            Action::PgDelete,
        ),
    ] {
        let limits = Limits::STANDARD;
        let statements = analyse(text, &world.catalog, &world.sensitive, &session, &limits);
        let statements = statements.expect(text);
        let [statement] = statements.as_slice() else {
            panic!("{text}: {statements:?}")
        };
        for action in [action, Action::PgUnknown] {
            let asked = Access {
                action,
                resource: support::table("", "not_yet"),
            };
            assert!(
                statement.accesses.contains(&asked),
                "{text}: {action} is not in {:?}",
                statement.accesses
            );
        }
    }
}

#[test]
fn a_text_that_is_not_read_is_unknown_whatever_else_is_known_of_it() {
    let known = Access {
        action: Action::PgCall,
        resource: Resource::Connection,
    };
    let statement = Statement::unread("SELEC 'x' 1", [known.clone()], &Limits::STANDARD);
    assert!(asks(&statement, Action::PgUnknown));
    assert!(statement.accesses.contains(&known));
    assert!(statement.changes_catalog && !statement.is_plain_read);
    assert!(
        !statement.normalised.contains('x'),
        "{}",
        statement.normalised
    );
    let explained = World::new().one("EXPLAIN ANALYZE EXECUTE s");
    assert!(asks(&explained, Action::PgUnknown));
    // Nothing runs where only the plan is asked for; that may be seen by the statement's name.
    let planned = World::new().one("EXPLAIN EXECUTE s");
    assert!(!asks(&planned, Action::PgUnknown) && planned.sensitive);
}
