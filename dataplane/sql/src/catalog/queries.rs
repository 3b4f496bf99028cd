//! The questions that fill a [`Catalog`](super::Catalog), as text for any client. They run
//! with `search_path = pg_catalog` on PostgreSQL 12 to 18 and read pg_catalog only.

/// (name, SQL). Results go to [`Catalog::from_rows`](super::Catalog::from_rows) in this
/// order, every value in text format.
pub(super) const QUERIES: &[(&str, &str)] = &[
    ("server", "SELECT current_setting('server_version_num')"),
    ("relations", RELATIONS),
    ("columns", COLUMNS),
    ("inheritance", "SELECT inhrelid, inhparent FROM pg_inherits"),
    ("foreign_keys", FOREIGN_KEYS),
    ("views", VIEWS),
    ("view_reads", VIEW_READS),
    ("generated", GENERATED),
    ("functions", FUNCTIONS),
    ("operators", OPERATORS),
    ("casts", CASTS),
    ("code", CODE),
    ("equality", EQUALITY),
];

/// One row whose text changes when any row that [`QUERIES`] read has changed.
pub(super) const EPOCH_QUERY: &str = "SELECT concat_ws('/', \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint), sum(oid::bigint * (xmin::text::bigint % 65521))) FROM pg_class), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint), sum(attrelid::bigint * (xmin::text::bigint % 65521))) FROM pg_attribute), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_namespace), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_rewrite), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_inherits), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_constraint), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_attrdef), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_proc), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_operator), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_type), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_cast), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_type), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_amproc), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_amop), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_event_trigger), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_trigger), \
 (SELECT concat_ws('.', count(*), sum(xmin::text::bigint)) FROM pg_policy))";

/// Everything that can stand in FROM, with its toast table and its row's type. Composite types
/// and indexes cannot.
const RELATIONS: &str = "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence = 't', \
 c.reltoastrelid, c.reltype FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
 WHERE c.relkind IN ('r','v','m','p','f','S','t')";

/// A domain is told by its base type, as RowDescription does.
const COLUMNS: &str = "SELECT a.attrelid, a.attnum, a.attname, \
 CASE WHEN t.typtype = 'd' THEN (WITH RECURSIVE d(base) AS (SELECT t.typbasetype UNION ALL \
 SELECT b.typbasetype FROM d JOIN pg_type b ON b.oid = d.base AND b.typtype = 'd') \
 SELECT b.oid FROM d JOIN pg_type b ON b.oid = d.base AND b.typtype <> 'd') ELSE a.atttypid END, \
 a.attnotnull, a.attgenerated \
 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid \
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r','v','m','p','f','S','t') \
 ORDER BY a.attrelid, a.attnum";

const FOREIGN_KEYS: &str = "SELECT conrelid, array_to_string(conkey, ','), confrelid, array_to_string(confkey, ',') \
 FROM pg_constraint WHERE contype = 'f'";

/// The stored query of each view that the server did not bring itself, whatever its schema: a
/// superuser can make one in `information_schema`, and replace those that are there.
const VIEWS: &str = "SELECT r.ev_class, r.ev_action::text FROM pg_rewrite r \
 WHERE r.ev_type = '1' AND (r.ev_class >= 16384 OR EXISTS (SELECT 1 FROM pg_depend d \
 WHERE d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refobjid >= 16384))";

/// What each of them reads; column 0 is the relation as such.
const VIEW_READS: &str = "SELECT DISTINCT r.ev_class, d.refobjid, d.refobjsubid FROM pg_rewrite r \
 JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid \
 AND d.refclassid = 'pg_class'::regclass \
 WHERE r.ev_type = '1' AND d.refobjid <> r.ev_class \
 AND (r.ev_class >= 16384 OR d.refobjid >= 16384)";

const GENERATED: &str = "SELECT d.adrelid, d.adnum, d.adbin::text FROM pg_attrdef d \
 JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum \
 WHERE a.attgenerated <> '' AND NOT a.attisdropped";

/// Every function. The fourth column tells an extension's overload for a type of its own,
/// which cannot be meant where only built-in types are; the fifth names the arguments' types
/// as psql does.
const FUNCTIONS: &str = "SELECT p.oid, n.nspname, p.proname, \
 EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e') \
 AND EXISTS (SELECT 1 FROM unnest(p.proargtypes::oid[]) t(o) WHERE t.o >= 16384), \
 CASE WHEN n.nspname = 'pg_catalog' THEN '' ELSE (SELECT coalesce(string_agg(format_type(t.o, NULL), ', ' ORDER BY t.at), '') \
 FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY t(o, at)) END \
 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace";

/// Operators that run other functions than those that are known: users' own, unless an extension
/// brought them and they are written in C. The last column tells functions of users; of the
/// server's own the harmless ones are sorted out where they are known.
const OPERATORS: &str = "SELECT o.oprname, n.nspname, p.proname, p.oid >= 16384 FROM pg_operator o \
 JOIN pg_proc p ON p.oid = o.oprcode JOIN pg_namespace n ON n.oid = p.pronamespace \
 JOIN pg_language l ON l.oid = p.prolang \
 WHERE o.oid >= 16384 AND (l.lanname NOT IN ('c', 'internal') \
 OR NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_operator'::regclass AND d.objid = o.oid AND d.deptype = 'e'))";

/// Types of which a value alone can run user code, and that code: casts from and to them, checks
/// and defaults of domains, functions of ranges, support functions and operators of their
/// operator classes; closed over domains, arrays, composites, rows and ranges that hold them. Type
/// 0 is any: a superuser's code between types of the server's own.
const CASTS: &str = "WITH RECURSIVE edge(holder, part) AS ( \
 SELECT oid, typbasetype FROM pg_type WHERE typbasetype <> 0 \
 UNION ALL SELECT oid, typelem FROM pg_type WHERE typelem <> 0 \
 UNION ALL SELECT t.oid, a.atttypid FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid \
 WHERE t.typrelid <> 0 AND a.attnum > 0 AND NOT a.attisdropped \
 UNION ALL SELECT rngtypid, rngsubtype FROM pg_range), \
 pair(a, b, f, is_cast) AS ( \
 SELECT c.castsource, c.casttarget, c.castfunc, NOT EXISTS (SELECT 1 FROM pg_depend d \
 WHERE d.classid = 'pg_cast'::regclass AND d.objid = c.oid AND d.deptype = 'e') \
 FROM pg_cast c WHERE c.castfunc <> 0 AND c.oid >= 16384 \
 UNION ALL SELECT k.contypid, k.contypid, d.refobjid, false FROM pg_constraint k JOIN pg_depend d \
 ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass \
 WHERE k.contypid <> 0 \
 UNION ALL SELECT d.objid, d.objid, d.refobjid, false FROM pg_depend d \
 WHERE d.classid = 'pg_type'::regclass AND d.refclassid = 'pg_proc'::regclass AND d.objid >= 16384 \
 UNION ALL SELECT a.amproclefttype, a.amprocrighttype, a.amproc, false FROM pg_amproc a WHERE a.oid >= 16384 \
 UNION ALL SELECT a.amoplefttype, a.amoprighttype, o.oprcode, false FROM pg_amop a \
 JOIN pg_operator o ON o.oid = a.amopopr WHERE a.oid >= 16384), \
 code(t, f) AS (SELECT t.t, x.f FROM pair x JOIN pg_proc p ON p.oid = x.f \
 JOIN pg_language l ON l.oid = p.prolang, \
 LATERAL (SELECT x.a AS t WHERE x.a >= 16384 UNION SELECT x.b WHERE x.b >= 16384 \
 UNION SELECT 0 WHERE x.a < 16384 AND x.b < 16384) t \
 WHERE l.lanname NOT IN ('c', 'internal') OR (p.oid < 16384 AND x.is_cast)), \
 closed(t, f) AS (SELECT t, f FROM code UNION SELECT e.holder, c.f FROM closed c JOIN edge e ON e.part = c.t) \
 SELECT coalesce(t.typname, ''), n.nspname, p.proname, p.oid >= 16384, c.t FROM closed c \
 JOIN pg_proc p ON p.oid = c.f JOIN pg_namespace n ON n.oid = p.pronamespace \
 LEFT JOIN pg_type t ON t.oid = c.t";

/// User code that reading ('r') or writing ('w') a relation runs: policies, triggers,
/// defaults, generated columns, checks, index expressions. A user rule ('u') rewrites the
/// statement itself and has no function. An event trigger ('e') runs at every definition.
const CODE: &str = "SELECT x.relation, x.moment, n.nspname, p.proname FROM ( \
 SELECT t.tgrelid AS relation, 'w' AS moment, t.tgfoid AS function FROM pg_trigger t \
 WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' \
 UNION SELECT a.adrelid, 'w', d.refobjid FROM pg_attrdef a JOIN pg_depend d \
 ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid AND d.refclassid = 'pg_proc'::regclass \
 UNION SELECT k.conrelid, 'w', d.refobjid FROM pg_constraint k JOIN pg_depend d \
 ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass \
 WHERE k.conrelid <> 0 \
 UNION SELECT i.indrelid, 'w', d.refobjid FROM pg_index i JOIN pg_depend d \
 ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_proc'::regclass \
 UNION SELECT l.polrelid, 'r', d.refobjid FROM pg_policy l JOIN pg_depend d \
 ON d.classid = 'pg_policy'::regclass AND d.objid = l.oid AND d.refclassid = 'pg_proc'::regclass \
 UNION SELECT 0, 'e', t.evtfoid FROM pg_event_trigger t WHERE t.evtenabled <> 'D' \
 ) x JOIN pg_proc p ON p.oid = x.function JOIN pg_namespace n ON n.oid = p.pronamespace \
 JOIN pg_language l ON l.oid = p.prolang \
 WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal') \
 UNION SELECT r.ev_class, 'u', NULL, NULL FROM pg_rewrite r WHERE r.ev_type <> '1' \
 AND r.ev_class >= 16384";

/// Whatever could make `column = value` mean something else than equality of a built-in
/// type: an operator `=` outside pg_catalog that takes one, and a type that a search path
/// could put before a built-in one of its name.
const EQUALITY: &str = "SELECT n.nspname, o.oprname FROM pg_operator o \
 JOIN pg_namespace n ON n.oid = o.oprnamespace \
 WHERE n.nspname <> 'pg_catalog' AND o.oprname = '=' AND (o.oprleft < 16384 OR o.oprright < 16384) \
 UNION SELECT n.nspname, t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace \
 WHERE n.nspname <> 'pg_catalog' AND t.typname IN ('bool','bytea','name','int2','int4','int8','text', \
 'varchar','bpchar','float4','float8','numeric','date','time','timestamp','timestamptz','uuid','inet','cidr')";
