-- Definitions that carry the value away, or come back with it.

-- case: create view, then read
CREATE VIEW v AS SELECT ssn AS z FROM people

SELECT z FROM v

-- case: create view of an expression, then read
CREATE VIEW v AS SELECT ssn || '' AS z FROM people

SELECT z FROM v

-- case: create view over a sub-select, then read
CREATE VIEW v AS SELECT t.a FROM (SELECT ssn AS a FROM people) t

SELECT a FROM v

-- case: create view over a common table expression, then read
CREATE VIEW v AS WITH t AS (SELECT ssn AS a FROM people) SELECT a FROM t

SELECT a FROM v

-- case: create view of a union, then read
CREATE VIEW v AS SELECT ssn AS a FROM people UNION ALL SELECT note FROM plain

SELECT a FROM v

-- case: create recursive view, then read
CREATE RECURSIVE VIEW v(a, n) AS SELECT ssn, 1 FROM people UNION ALL SELECT a, n + 1 FROM v WHERE n < 2

SELECT a FROM v

-- case: create view with a whole row, then read
CREATE VIEW v AS SELECT p AS whole FROM people p

SELECT (whole).ssn FROM v

-- case: create view with a predicate
-- oracle
CREATE VIEW v AS SELECT id FROM people WHERE ssn LIKE '{731|732}%'

SELECT count(*) FROM v

-- case: create view in the system's schema, then read
-- role: root
CREATE VIEW information_schema.v AS SELECT ssn AS z FROM people

SELECT z FROM information_schema.v

-- case: replace a view of the system, then read
-- role: root
CREATE OR REPLACE VIEW information_schema.information_schema_catalog_name AS SELECT ssn::information_schema.sql_identifier AS catalog_name FROM people

SELECT catalog_name FROM information_schema.information_schema_catalog_name

-- case: replace a view of the system by a bare column, then read
-- role: root
CREATE OR REPLACE VIEW information_schema.information_schema_catalog_name AS SELECT name::information_schema.sql_identifier AS catalog_name, ssn FROM people

SELECT * FROM information_schema.information_schema_catalog_name

-- case: replace a view, then read
CREATE OR REPLACE VIEW innocent AS SELECT id, ssn AS word FROM people

SELECT word FROM innocent

-- case: replace a view in the same text
-- as: simple
CREATE OR REPLACE VIEW innocent AS SELECT id, ssn AS word FROM people; SELECT word FROM innocent

-- case: replace a view in a transaction
BEGIN

CREATE OR REPLACE VIEW innocent AS SELECT id, ssn AS word FROM people

SELECT word FROM innocent

-- case: replace a view under a savepoint
BEGIN

SAVEPOINT a

CREATE OR REPLACE VIEW innocent AS SELECT id, ssn AS word FROM people

RELEASE a

SELECT word FROM innocent

-- case: create materialised view, then read
CREATE MATERIALIZED VIEW m AS SELECT ssn AS z FROM people

SELECT z FROM m

-- case: create materialised view of an expression, then read
CREATE MATERIALIZED VIEW m AS SELECT 'x' || ssn AS z FROM people

SELECT z FROM m

-- case: temporary view, then read
CREATE TEMP VIEW v AS SELECT email AS z FROM people

SELECT z FROM v

-- case: create table as
CREATE TABLE t AS SELECT ssn AS x FROM people

SELECT x FROM t

-- case: create temporary table as
CREATE TEMP TABLE t AS SELECT ssn AS x FROM people

SELECT x FROM t

-- case: create table as, with no data, then insert
CREATE TABLE t AS SELECT ssn AS x FROM people WITH NO DATA

INSERT INTO t SELECT ssn FROM people

SELECT x FROM t

-- case: create table as TABLE
CREATE TABLE t AS TABLE people

SELECT * FROM t

-- case: create table as EXECUTE
PREPARE q AS SELECT ssn AS x FROM people

CREATE TABLE t AS EXECUTE q

SELECT x FROM t

-- case: select into
SELECT ssn AS x INTO t FROM people

SELECT x FROM t

-- case: select into temp
SELECT people.* INTO TEMP t FROM people

SELECT * FROM t

-- case: create table like, then insert
CREATE TABLE t (LIKE people)

INSERT INTO t SELECT * FROM people

SELECT * FROM t

-- case: insert of a selection, then read
INSERT INTO plain SELECT id, ssn FROM people

SELECT note FROM plain

-- case: insert of a table command
CREATE TABLE t(id int, who member)

INSERT INTO t TABLE crew

SELECT who FROM t

-- case: insert of a scalar sub-select
INSERT INTO plain VALUES (5, (SELECT ssn FROM people WHERE id = 1))

SELECT note FROM plain

-- case: insert that returns what it selected
INSERT INTO plain SELECT id, ssn FROM people RETURNING note

-- case: insert into one's own other column
INSERT INTO people(id, name, notes) SELECT id + 100, name, ssn FROM people

SELECT notes FROM people

-- case: update copies
UPDATE people SET notes = ssn

SELECT notes FROM people

-- case: update copies, returning
UPDATE people SET notes = ssn WHERE id = 1 RETURNING notes

-- case: update copies by a sub-select
UPDATE plain SET note = (SELECT ssn FROM people WHERE id = 1) RETURNING note

-- case: update copies by a row
UPDATE plain SET (id, note) = (SELECT id, ssn FROM people WHERE id = 1) RETURNING *

-- case: update copies from another table
UPDATE plain SET note = p.ssn FROM people p WHERE p.id = plain.id RETURNING plain.note

-- case: upsert copies
INSERT INTO people(id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET notes = people.ssn RETURNING notes

-- case: upsert copies what was excluded
INSERT INTO plain(id, note) SELECT id, ssn FROM people

SELECT note FROM plain

-- case: merge copies
MERGE INTO plain USING people p ON plain.id = p.id WHEN MATCHED THEN UPDATE SET note = p.ssn

SELECT note FROM plain

-- case: merge inserts
MERGE INTO plain USING people p ON plain.id = p.id + 50 WHEN NOT MATCHED THEN INSERT VALUES (p.id, p.ssn)

SELECT note FROM plain

-- case: writable view copies
UPDATE contacts SET name = tax_ref WHERE id = 1

SELECT name FROM people

-- case: default of a new column
ALTER TABLE plain ADD COLUMN c text DEFAULT peek(1)

SELECT c FROM plain

-- case: new generated column
ALTER TABLE people ADD COLUMN g text GENERATED ALWAYS AS (ssn || '') STORED

SELECT g FROM people

-- case: type change with USING
ALTER TABLE fenced ALTER whose TYPE text USING ssn

SELECT whose FROM fenced

-- case: type change of the masked column
ALTER TABLE people ALTER badge TYPE text USING badge::text

SELECT badge FROM people

-- case: rename column
ALTER TABLE people RENAME ssn TO zzz

SELECT zzz FROM people

-- case: swap of two column names
ALTER TABLE people RENAME ssn TO tmp

ALTER TABLE people RENAME notes TO ssn

ALTER TABLE people RENAME tmp TO notes

SELECT notes FROM people

-- case: rename table
ALTER TABLE people RENAME TO folks

SELECT ssn FROM folks

-- case: rename, and another in its place
ALTER TABLE people RENAME TO folks

CREATE TABLE people(id int, ssn text)

SELECT f.ssn AS a FROM folks f

-- case: rename view
ALTER VIEW contacts RENAME TO innocent2

SELECT tax_ref FROM innocent2

-- case: rename column of a view
ALTER VIEW contacts RENAME COLUMN tax_ref TO harmless

SELECT harmless FROM contacts

-- case: rename schema
ALTER SCHEMA shadow RENAME TO bright

SELECT code FROM bright.ledger

-- case: move to another schema
CREATE SCHEMA elsewhere

ALTER TABLE people SET SCHEMA elsewhere

SELECT ssn FROM elsewhere.people

-- case: drop and create again from a copy
CREATE TABLE kept AS SELECT * FROM people

DROP TABLE people CASCADE

ALTER TABLE kept RENAME TO people

SELECT ssn FROM people

-- case: attach as a partition
CREATE TABLE whole(id int, ssn text, day date) PARTITION BY RANGE (day)

ALTER TABLE visits DETACH PARTITION visits_old

ALTER TABLE whole ATTACH PARTITION visits_old FOR VALUES FROM ('2000-01-01') TO ('2020-01-01')

SELECT ssn FROM whole

-- case: detach a partition
ALTER TABLE visits DETACH PARTITION visits_old

SELECT ssn FROM visits_old

-- case: become a child
CREATE TABLE parent(id int, ssn text)

ALTER TABLE forms ALTER ssn TYPE text

ALTER TABLE forms INHERIT parent

SELECT ssn FROM parent

-- case: leave a parent
ALTER TABLE derived NO INHERIT base

SELECT ssn FROM derived

-- case: drop a foreign key
ALTER TABLE badges DROP CONSTRAINT badges_holder_fkey

SELECT holder FROM badges

-- case: new foreign key to a masked column
CREATE TABLE t(ref text REFERENCES people(ssn))

INSERT INTO t SELECT ssn FROM people

SELECT ref FROM t

-- case: drop of a generated expression
ALTER TABLE tagged ALTER tag DROP EXPRESSION

SELECT tag FROM tagged

-- case: index on an expression, then its statistics
CREATE INDEX i ON people((ssn || ''))

ANALYZE people

SELECT histogram_bounds FROM pg_stats WHERE tablename = 'i'

-- case: partial index as a probe
-- oracle
CREATE INDEX i ON people(id) WHERE ssn LIKE '{731|732}%'

SELECT reltuples FROM pg_class WHERE relname = 'i'

-- case: extended statistics
CREATE STATISTICS s (mcv) ON ssn, name FROM people

ANALYZE people

SELECT most_common_vals FROM pg_stats_ext WHERE statistics_name = 's'

-- case: extended statistics on an expression
CREATE STATISTICS s ON (ssn || '') FROM people

ANALYZE people

SELECT histogram_bounds FROM pg_stats_ext_exprs WHERE statistics_name = 's'

-- case: statistics
SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'people'

-- case: statistics beneath the view
-- role: root
SELECT stavalues1, stavalues2 FROM pg_statistic

-- case: statistics of an index that is there
SELECT histogram_bounds FROM pg_stats WHERE tablename = 'people_shout'

-- case: SQL function
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

SELECT f()

-- case: SQL function with a parsed body
CREATE FUNCTION f() RETURNS text LANGUAGE sql RETURN (SELECT ssn FROM people WHERE id = 1)

SELECT f()

-- case: function that returns the table's rows
CREATE FUNCTION f() RETURNS SETOF people LANGUAGE sql AS 'SELECT * FROM people'

SELECT ssn FROM f()

-- case: plpgsql function with dynamic SQL
CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE 'SELECT s' || 'sn FROM people WHERE id = 1' INTO r; RETURN r; END $$

SELECT f()

-- case: function named as a built-in one
CREATE FUNCTION public.lower(int) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

SELECT lower(1)

-- case: function named as a built-in one, by search_path
CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

SET search_path = public, pg_catalog

SELECT lower('x')

-- case: function in the system's schema
-- role: root
CREATE FUNCTION pg_catalog.lower(int) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM public.people WHERE id = 1'

SELECT lower(1)

-- case: function in the system's schema by search_path
-- role: root
SET search_path = pg_catalog

CREATE FUNCTION initcap(int) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM public.people WHERE id = 1'

SELECT initcap(1)

-- case: function moved into the system's schema
-- role: root
CREATE FUNCTION public.ltrim(int) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM public.people WHERE id = 1'

ALTER FUNCTION public.ltrim(int) SET SCHEMA pg_catalog

SELECT ltrim(1)

-- case: function renamed to a built-in one's name
CREATE FUNCTION public.own(int) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

ALTER FUNCTION public.own(int) RENAME TO btrim

SELECT btrim(1)

-- case: built-in function replaced
-- role: root
CREATE OR REPLACE FUNCTION pg_catalog.lpad(text, int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ssn FROM public.people WHERE id = 1'

SELECT lpad('x', 1)

-- case: temporary function
CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

SELECT pg_temp.f()

-- case: function with a harmless default
CREATE FUNCTION f(a text DEFAULT peek(1)) RETURNS text LANGUAGE sql AS 'SELECT a'

SELECT f()

-- case: polymorphic function
CREATE FUNCTION abs(anyelement) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

SELECT abs('x'::text)

-- case: aggregate
CREATE FUNCTION step(text, text) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

CREATE AGGREGATE secret(text) (sfunc = step, stype = text)

SELECT secret('a')

-- case: aggregate named as a built-in one
CREATE FUNCTION step(text, text) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

CREATE AGGREGATE sum(text) (sfunc = step, stype = text)

SELECT sum(note) FROM plain

-- case: operator
CREATE FUNCTION f(text, int) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

CREATE OPERATOR + (leftarg = text, rightarg = int, function = f)

SELECT 'a'::text + 1

-- case: operator of a new name
CREATE FUNCTION f(text, text) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

CREATE OPERATOR ### (leftarg = text, rightarg = text, function = f)

SELECT 'a' OPERATOR(public.###) 'b'

-- case: operator in the system's schema
-- role: root
CREATE FUNCTION pg_catalog.f(text, int) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM public.people WHERE id = 1'

CREATE OPERATOR pg_catalog.+ (leftarg = text, rightarg = int, function = pg_catalog.f)

SELECT 'a'::text + 1

-- case: explicit cast
CREATE TYPE ct AS (a text)

CREATE FUNCTION f(ct) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

CREATE CAST (ct AS text) WITH FUNCTION f(ct)

SELECT CAST(ROW('a')::ct AS text)

-- case: implicit cast
CREATE TYPE ct AS (a text)

CREATE FUNCTION f(ct) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

CREATE CAST (ct AS text) WITH FUNCTION f(ct) AS IMPLICIT

SELECT upper(ROW('a')::ct)

-- case: implicit cast of a column
CREATE TYPE ct AS (a text)

CREATE TABLE t(c ct)

INSERT INTO t VALUES (ROW('a'))

CREATE FUNCTION f(ct) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

CREATE CAST (ct AS text) WITH FUNCTION f(ct) AS IMPLICIT

SELECT upper(c) FROM t

-- case: implicit cast of a table's row
CREATE FUNCTION f(plain) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

CREATE CAST (plain AS text) WITH FUNCTION f(plain) AS IMPLICIT

SELECT upper(plain) FROM plain

-- case: assignment cast
CREATE FUNCTION f(plain) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'

CREATE CAST (plain AS text) WITH FUNCTION f(plain) AS ASSIGNMENT

INSERT INTO plain SELECT 9, plain FROM plain RETURNING note

-- case: cast between built-in types
-- role: root
CREATE FUNCTION f(int) RETURNS point LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM people WHERE id = 1); RETURN '(1,1)'; END $$

CREATE CAST (int AS point) WITH FUNCTION f(int) AS IMPLICIT

SELECT 1 <-> point '(0,0)'

-- case: domain with a check, by cast
CREATE DOMAIN d AS text CHECK (is_fine(VALUE))

SELECT 'x'::d

-- case: domain with a check, by a column
CREATE DOMAIN d AS text CHECK (is_fine(VALUE))

CREATE TABLE t(c d)

INSERT INTO t VALUES ('x')

-- case: domain with a check, over a domain
CREATE DOMAIN d AS text CHECK (is_fine(VALUE))

CREATE DOMAIN e AS d

SELECT 'x'::e

-- case: domain with a check, in an array
CREATE DOMAIN d AS text CHECK (is_fine(VALUE))

SELECT '{x}'::d[]

-- case: domain with a check, inside a composite
CREATE DOMAIN d AS text CHECK (is_fine(VALUE))

CREATE TYPE c AS (a d)

SELECT '(x)'::c

-- case: domain with a check, inside a table's row
CREATE DOMAIN d AS text CHECK (is_fine(VALUE))

CREATE TABLE t(c d)

SELECT '(x)'::t

-- case: domain with a check, by JSON
CREATE DOMAIN d AS text CHECK (is_fine(VALUE))

CREATE TYPE c AS (a d)

SELECT jsonb_populate_record(NULL::c, '{"a": "x"}')

-- case: domain with a check, added to a column's domain
ALTER DOMAIN tax_id ADD CONSTRAINT k CHECK (is_fine(VALUE))

INSERT INTO forms VALUES (7, 'x')

-- case: domain with a default
CREATE DOMAIN d AS text DEFAULT peek(1)

CREATE TABLE t(a int, c d)

INSERT INTO t(a) VALUES (1) RETURNING c

-- case: range type with a function of one's own
CREATE FUNCTION f(a float8, b float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM people WHERE id = 1); RETURN a - b; END $$

CREATE TYPE fr AS RANGE (subtype = float8, subtype_diff = f)

CREATE TABLE t(r fr)

INSERT INTO t SELECT fr(i, i + 1) FROM generate_series(1, 2000) i

CREATE INDEX ON t USING gist (r)

-- case: operator class
-- role: root
CREATE TYPE ct AS (a int)

CREATE FUNCTION lt(ct, ct) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1.a < $2.a'

CREATE FUNCTION cmp(ct, ct) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM people WHERE id = 1); RETURN 0; END $$

CREATE OPERATOR <<< (leftarg = ct, rightarg = ct, function = lt)

CREATE OPERATOR === (leftarg = ct, rightarg = ct, function = lt)

CREATE OPERATOR CLASS ct_ops DEFAULT FOR TYPE ct USING btree AS OPERATOR 1 <<<, OPERATOR 3 ===, FUNCTION 1 cmp(ct, ct)

SELECT x FROM (VALUES (ROW(1)::ct), (ROW(2)::ct)) t(x) ORDER BY x

-- case: operator class for a column
-- role: root
CREATE TYPE ct AS (a int)

CREATE TABLE t(x ct)

INSERT INTO t VALUES (ROW(1)), (ROW(2))

CREATE FUNCTION lt(ct, ct) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1.a < $2.a'

CREATE FUNCTION cmp(ct, ct) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM people WHERE id = 1); RETURN 0; END $$

CREATE OPERATOR <<< (leftarg = ct, rightarg = ct, function = lt)

CREATE OPERATOR === (leftarg = ct, rightarg = ct, function = lt)

CREATE OPERATOR CLASS ct_ops DEFAULT FOR TYPE ct USING btree AS OPERATOR 1 <<<, OPERATOR 3 ===, FUNCTION 1 cmp(ct, ct)

SELECT x FROM t ORDER BY x

-- case: event trigger
-- role: root
CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM public.people WHERE id = 1); END $$

CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION e()

CREATE TABLE t(id int)

-- case: event trigger on comments
-- role: root
CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM public.people WHERE id = 1); END $$

CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()

CREATE INDEX ON plain(id)

-- case: event trigger that copies
-- role: root
CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE public.plain SET note = (SELECT ssn FROM public.people WHERE id = 1); END $$

CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()

CREATE TABLE t(id int)

SELECT note FROM plain

-- case: trigger that tells
CREATE TRIGGER t BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION tell()

INSERT INTO plain VALUES (9, 'x')

-- case: trigger on a statement
CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '%', (SELECT ssn FROM people WHERE id = 1); RETURN NULL; END $$

CREATE TRIGGER t AFTER UPDATE ON plain FOR EACH STATEMENT EXECUTE FUNCTION t()

UPDATE plain SET note = 'x'

-- case: trigger on truncate
CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '%', (SELECT ssn FROM people WHERE id = 1); RETURN NULL; END $$

CREATE TRIGGER t AFTER TRUNCATE ON plain FOR EACH STATEMENT EXECUTE FUNCTION t()

TRUNCATE plain

-- case: trigger that copies
CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := (SELECT ssn FROM people WHERE id = 1); RETURN NEW; END $$

CREATE TRIGGER t BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION t()

INSERT INTO plain VALUES (9, 'x') RETURNING note

-- case: trigger on a partition
CREATE TRIGGER t BEFORE INSERT ON visits_new FOR EACH ROW EXECUTE FUNCTION tell()

INSERT INTO visits VALUES (8, 'x', '2030-01-01')

-- case: trigger on a view
CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.word := (SELECT ssn FROM people WHERE id = 1); RETURN NEW; END $$

CREATE TRIGGER t INSTEAD OF UPDATE ON innocent FOR EACH ROW EXECUTE FUNCTION t()

UPDATE innocent SET word = 'x' WHERE id = 1 RETURNING word

-- case: deferred constraint trigger
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON plain DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell()

BEGIN

INSERT INTO plain VALUES (9, 'x')

COMMIT

-- case: trigger with a condition as a probe
-- oracle
CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'yes'; RETURN NEW; END $$

CREATE TRIGGER t BEFORE UPDATE ON people FOR EACH ROW WHEN (OLD.ssn LIKE '{731|732}%') EXECUTE FUNCTION t()

UPDATE people SET tier = 1 WHERE id = 1

-- case: trigger that is there
INSERT INTO bugged VALUES (1, 'x')

-- case: default that is there
INSERT INTO defaulted(id) VALUES (1) RETURNING note

-- case: default that is there, by its word
INSERT INTO defaulted VALUES (1, DEFAULT) RETURNING note

-- case: default that is there, by update
INSERT INTO defaulted VALUES (1, 'x')

UPDATE defaulted SET note = DEFAULT RETURNING note

-- case: check that is there
INSERT INTO checked VALUES (1, 'x')

-- case: copy that runs a default
-- as: simple
-- data: 1\n
COPY defaulted(id) FROM STDIN

SELECT note FROM defaulted

-- case: new default, then insert
ALTER TABLE plain ALTER note SET DEFAULT peek(1)

INSERT INTO plain(id) VALUES (9) RETURNING note

-- case: new check
ALTER TABLE plain ADD CHECK (is_fine(note))

-- case: new check, then insert
ALTER TABLE plain ADD CHECK (is_fine(note)) NOT VALID

INSERT INTO plain VALUES (9, 'x')

-- case: index on a function of one's own
CREATE FUNCTION f(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM public.people WHERE id = 1); RETURN 'x'; END $$

CREATE INDEX ON plain(f(note))

-- case: rule on select of another table
CREATE RULE r AS ON INSERT TO plain DO INSTEAD SELECT ssn AS z FROM people
-- as: simple

INSERT INTO plain VALUES (9, 'x')

-- case: rule that also does
CREATE RULE r AS ON UPDATE TO plain DO ALSO SELECT ssn FROM people
-- as: simple

UPDATE plain SET note = 'x'

-- case: rule that copies
CREATE RULE r AS ON DELETE TO inbox DO ALSO UPDATE plain SET note = (SELECT ssn FROM people WHERE id = 1)

DELETE FROM inbox

SELECT note FROM plain

-- case: rule that notifies
CREATE RULE r AS ON INSERT TO inbox DO ALSO SELECT pg_notify('n', ssn) FROM people WHERE id = 1

LISTEN n

INSERT INTO inbox VALUES (1)

-- case: policy with a function
CREATE POLICY p ON plain USING (is_fine(note))

ALTER TABLE plain ENABLE ROW LEVEL SECURITY

ALTER TABLE plain FORCE ROW LEVEL SECURITY

SELECT id FROM plain
-- role: owner

-- case: security barrier with a leaky function
CREATE FUNCTION leaky(text) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$

SELECT id FROM contacts WHERE leaky(tax_ref)

-- case: temporary table in the place of a trusted one
CREATE TEMP TABLE plain AS SELECT id, ssn AS note FROM people

SELECT note FROM plain

-- case: temporary view in the place of a trusted one
CREATE TEMP VIEW plain AS SELECT id, ssn AS note FROM people

SELECT note FROM plain

-- case: temporary view in the place of a system view
CREATE TEMP VIEW pg_tables AS SELECT ssn AS schemaname FROM people

SET search_path = pg_temp, pg_catalog, public

SELECT schemaname FROM pg_tables

-- case: schema in the place of another
CREATE SCHEMA front

CREATE VIEW front.plain AS SELECT id, ssn AS note FROM people

SET search_path = front, public

SELECT note FROM plain

-- case: table in the place of a system table
CREATE SCHEMA front

CREATE VIEW front.pg_class AS SELECT ssn AS relname FROM people

SET search_path = front, public, pg_catalog

SELECT relname FROM pg_class

-- case: foreign table that comes back
-- role: root
CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '@port@', dbname '@database@')

CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (user '@root@', password_required 'false')

CREATE FOREIGN TABLE ft(id int, ssn text) SERVER s OPTIONS (schema_name 'public', table_name 'people')

SELECT ssn FROM ft

-- case: import of a foreign schema
-- role: root
CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '@port@', dbname '@database@')

CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (user '@root@', password_required 'false')

CREATE SCHEMA far

IMPORT FOREIGN SCHEMA public LIMIT TO (people) FROM SERVER s INTO far

SELECT ssn FROM far.people

-- case: foreign table of a file
-- role: root
COPY people TO '/tmp/@database@.csv'

CREATE SERVER f FOREIGN DATA WRAPPER file_fdw

CREATE FOREIGN TABLE ft(line text) SERVER f OPTIONS (filename '/tmp/@database@.csv', delimiter E'\x01')

SELECT line FROM ft

-- case: dblink
-- role: root
SELECT * FROM dblink('host=127.0.0.1 port=@port@ dbname=@database@ user=@root@', 'SELECT ssn FROM people') AS t(x text)

-- case: dblink error
-- role: root
SELECT * FROM dblink('host=127.0.0.1 port=@port@ dbname=@database@ user=@root@', 'SELECT ssn::int FROM people') AS t(x int)

-- case: publication and a slot
-- role: root
CREATE PUBLICATION p FOR TABLE people

SELECT pg_create_logical_replication_slot('@database@', 'test_decoding')

UPDATE people SET tier = 5 WHERE id = 1

SELECT data FROM pg_logical_slot_get_changes('@database@', NULL, NULL)

SELECT pg_drop_replication_slot('@database@')

-- case: enum label
-- role: root
DO $$ BEGIN EXECUTE format('CREATE TYPE leak AS ENUM (%L)', (SELECT ssn FROM people WHERE id = 1)); END $$

SELECT enum_range(NULL::leak)

-- case: comment
DO $$ BEGIN EXECUTE format('COMMENT ON TABLE plain IS %L', (SELECT ssn FROM people WHERE id = 1)); END $$

SELECT obj_description('plain'::regclass)

-- case: column name
DO $$ BEGIN EXECUTE format('CREATE TABLE leak(%I int)', (SELECT ssn FROM people WHERE id = 1)); END $$

SELECT * FROM leak

-- case: constraint
DO $$ BEGIN EXECUTE format('ALTER TABLE plain ADD CONSTRAINT k CHECK (note <> %L)', (SELECT ssn FROM people WHERE id = 1)); END $$

SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'k'

-- case: role's setting
-- role: root
DO $$ BEGIN EXECUTE format('ALTER ROLE @root@ SET my.x = %L', (SELECT ssn FROM people WHERE id = 1)); END $$

SELECT setconfig FROM pg_db_role_setting

-- case: database's setting
DO $$ BEGIN EXECUTE format('ALTER DATABASE @database@ SET my.x = %L', (SELECT ssn FROM people WHERE id = 1)); END $$

SELECT setconfig FROM pg_db_role_setting
-- role: root

-- case: default expression by its text
DO $$ BEGIN EXECUTE format('ALTER TABLE plain ALTER note SET DEFAULT %L', (SELECT ssn FROM people WHERE id = 1)); END $$

SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef

-- case: partition bound
DO $$ BEGIN EXECUTE 'CREATE TABLE pt(a text) PARTITION BY LIST (a)'; EXECUTE format('CREATE TABLE p1 PARTITION OF pt FOR VALUES IN (%L)', (SELECT ssn FROM people WHERE id = 1)); END $$

SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'p1'

-- case: number as a type's modifier
-- expect-hex: 00011dba
DO $$ BEGIN EXECUTE format('CREATE TABLE leak(c varchar(%s))', (SELECT substr(replace(ssn, '-', ''), 1, 5) FROM people WHERE id = 1)); END $$

SELECT c FROM leak

-- case: event trigger's tag
-- oracle
DO $$ BEGIN IF (SELECT ssn LIKE '{731|732}%' FROM people WHERE id = 1) THEN CREATE TABLE yes(); END IF; END $$

SELECT to_regclass('yes')
