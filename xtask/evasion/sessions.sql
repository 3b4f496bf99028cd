-- What a session can keep, say, or be told: settings, cursors, prepared statements, notifications, errors.

-- case: prepared statement
PREPARE q AS SELECT ssn AS z FROM people WHERE id = $1::int

EXECUTE q(1)

-- case: prepared statement of a whole row
PREPARE q AS SELECT p FROM people p

EXECUTE q

-- case: prepared statement replaced
PREPARE q AS SELECT notes FROM people

DEALLOCATE q

PREPARE q AS SELECT ssn FROM people

EXECUTE q

-- case: prepared statement over a changed search_path
PREPARE q AS SELECT code FROM ledger

SET search_path = shadow

EXECUTE q

-- case: prepared statement over a replaced view
PREPARE q AS SELECT word FROM innocent

CREATE OR REPLACE VIEW innocent AS SELECT id, ssn AS word FROM people

EXECUTE q

-- case: prepared statement over a temporary table
PREPARE q AS SELECT note FROM plain

CREATE TEMP VIEW plain AS SELECT id, ssn AS note FROM people

EXECUTE q

-- case: prepared insert with a selection
PREPARE q AS INSERT INTO plain SELECT id, ssn FROM people RETURNING note

EXECUTE q

-- case: prepared within prepared
-- as: simple
PREPARE q AS SELECT ssn FROM people; EXECUTE q

-- case: explain of a prepared statement
PREPARE q AS SELECT ssn FROM people WHERE id = 1

EXPLAIN (ANALYZE, VERBOSE) EXECUTE q

SELECT ssn FROM people WHERE id = 1

-- case: argument of EXECUTE
PREPARE q(text) AS SELECT $1

EXECUTE q((SELECT peek(1)))

EXECUTE q(peek(1))

-- case: prepared statements by their view
-- expect: 731
PREPARE q AS SELECT 731

SELECT statement FROM pg_prepared_statements

-- case: cursor
BEGIN

DECLARE c CURSOR FOR SELECT ssn AS z FROM people

FETCH 1 FROM c

-- case: cursor, backward
BEGIN

DECLARE c SCROLL CURSOR FOR SELECT ssn AS z FROM people

MOVE LAST FROM c

FETCH BACKWARD ALL FROM c

-- case: cursor that is held
DECLARE c CURSOR WITH HOLD FOR SELECT ssn AS z FROM people

FETCH ALL FROM c

-- case: cursor that is held past its transaction
BEGIN

DECLARE c CURSOR WITH HOLD FOR SELECT ssn AS z FROM people

COMMIT

FETCH ALL FROM c

-- case: binary cursor
BEGIN

DECLARE c BINARY CURSOR FOR SELECT ssn, badge FROM people

FETCH ALL FROM c

-- case: cursor of an expression
BEGIN

DECLARE c CURSOR FOR SELECT ssn || '' FROM people

FETCH ALL FROM c

-- case: cursor replaced
BEGIN

DECLARE c CURSOR FOR SELECT notes FROM people

CLOSE c

DECLARE c CURSOR FOR SELECT ssn FROM people

FETCH ALL FROM c

-- case: cursor over another search_path
SET search_path = shadow

BEGIN

DECLARE c CURSOR FOR SELECT code FROM ledger

SET search_path = public

FETCH ALL FROM c

-- case: cursor under a savepoint
BEGIN

SAVEPOINT s

DECLARE c CURSOR FOR SELECT ssn FROM people

RELEASE s

FETCH ALL FROM c

-- case: update where current of
BEGIN

DECLARE c CURSOR FOR SELECT id FROM people FOR UPDATE

FETCH 1 FROM c

UPDATE people SET tier = 1 WHERE CURRENT OF c RETURNING ssn

-- case: refcursor of a function
CREATE FUNCTION f() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'rc'; BEGIN OPEN c FOR SELECT ssn FROM people; RETURN c; END $$

BEGIN

SELECT f()

FETCH ALL FROM rc

-- case: column's name made of the value
CREATE FUNCTION f() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'rc'; BEGIN OPEN c FOR EXECUTE format('SELECT 1 AS %I', (SELECT ssn FROM people WHERE id = 1)); RETURN c; END $$

BEGIN

SELECT f()

FETCH ALL FROM rc

-- case: cursors by their view
-- expect: 7310
BEGIN

DECLARE c CURSOR FOR SELECT 7310

SELECT statement FROM pg_cursors

-- case: block that fails with the value
DO $$ BEGIN RAISE EXCEPTION '%', (SELECT ssn FROM people WHERE id = 1); END $$

-- case: block with the value in every field
DO $$ DECLARE s text := (SELECT ssn FROM people WHERE id = 1); BEGIN RAISE EXCEPTION USING MESSAGE = 'x', DETAIL = s, HINT = s, COLUMN = s, CONSTRAINT = s, DATATYPE = s, TABLE = s, SCHEMA = s; END $$

-- case: block with the value as the error's code
-- expect: 73142
DO $$ DECLARE s text := (SELECT substr(replace(ssn, '-', ''), 1, 5) FROM people WHERE id = 1); BEGIN RAISE EXCEPTION USING MESSAGE = 'x', ERRCODE = s; END $$

-- case: block that notices
DO $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM people WHERE id = 1); END $$

-- case: block that informs
DO $$ BEGIN RAISE INFO '%', (SELECT ssn FROM people WHERE id = 1); END $$

-- case: block, then a custom setting
DO $$ BEGIN PERFORM set_config('my.x', (SELECT ssn FROM people WHERE id = 1), false); END $$

SHOW my.x

-- case: block, then the application's name
DO $$ BEGIN PERFORM set_config('application_name', (SELECT ssn FROM people WHERE id = 1), false); END $$

-- case: block with a truncated identifier
DO $$ BEGIN EXECUTE format('SELECT 1 AS %I', (SELECT ssn FROM people WHERE id = 1) || repeat('x', 70)); END $$

-- case: block that copies
DO $$ BEGIN UPDATE plain SET note = (SELECT ssn FROM people WHERE id = 1); END $$

SELECT note FROM plain

-- case: custom setting by set_config
SELECT set_config('my.x', ssn, false) IS NULL FROM people WHERE id = 1

SELECT current_setting('my.x')

-- case: custom setting, shown
SELECT set_config('my.x', ssn, false) IS NULL FROM people WHERE id = 1

SHOW my.x

-- case: application's name
SELECT set_config('application_name', ssn, false) IS NULL FROM people WHERE id = 1

-- case: application's name, shown
SELECT set_config('application_name', ssn, false) IS NULL FROM people WHERE id = 1

SHOW application_name

-- case: built-in setting
SELECT set_config('search_path', ssn, false) IS NULL FROM people WHERE id = 1

SHOW search_path

-- case: setting refused with its value
SELECT set_config('work_mem', ssn, false) FROM people WHERE id = 1

-- case: setting that a plan can see
-- oracle
SELECT set_config('statement_timeout', CASE WHEN ssn LIKE '{731|732}%' THEN '77777' ELSE '88888' END, false) IS NULL FROM people WHERE id = 1

SHOW statement_timeout

-- case: time zone
SELECT set_config('timezone', ssn, false) FROM people WHERE id = 1

-- case: date style
-- oracle
SELECT set_config('datestyle', CASE WHEN ssn LIKE '{731|732}%' THEN 'German' ELSE 'ISO' END, false) IS NULL FROM people WHERE id = 1

SELECT date '2020-02-01'

-- case: notify
LISTEN n

SELECT pg_notify('n', ssn) IS NULL FROM people WHERE id = 1

-- case: notify on a channel named by the value
LISTEN "731-42-9685"

SELECT pg_notify(ssn, 'x') IS NULL FROM people WHERE id = 1

-- case: notify whether
-- oracle
LISTEN n

SELECT pg_notify('n', 'x') IS NULL FROM people WHERE ssn LIKE '{731|732}%'

-- case: notify of another session
LISTEN n

-- beside
SELECT pg_notify('n', ssn) IS NULL FROM people WHERE id = 1

SELECT 1

-- case: notify by a block
LISTEN n

DO $$ BEGIN EXECUTE format('NOTIFY n, %L', (SELECT ssn FROM people WHERE id = 1)); END $$

SELECT 1

-- case: sequence
SELECT setval('tally', badge) IS NULL FROM people WHERE id = 1

SELECT last_value FROM tally

-- case: sequence by currval
SELECT setval('tally', badge) IS NULL FROM people WHERE id = 1

SELECT currval('tally')

-- case: sequence that moves
-- oracle
SELECT count(nextval('tally')) FROM people WHERE ssn LIKE '{731|732}%'

SELECT last_value FROM tally

-- case: large object
SELECT lo_from_bytea(777, ssn::bytea) FROM people WHERE id = 1

SELECT lo_get(777)

-- case: large object by its table
-- role: root
SELECT lo_from_bytea(777, ssn::bytea) IS NULL FROM people WHERE id = 1

SELECT data FROM pg_largeobject

-- case: large object by its number
SELECT lo_create((badge % 1000000000)::int::oid) IS NULL FROM people WHERE id = 1

SELECT oid FROM pg_largeobject_metadata
-- expect: 314296850

-- case: role
SET ROLE @owner@

SELECT ssn AS z FROM people WHERE id = 1
-- role: root

-- case: session authorization
-- role: root
SET SESSION AUTHORIZATION @owner@

SELECT ssn AS z FROM people WHERE id = 1

-- case: literals of other sessions
-- role: root
-- beside
SELECT '731-42-9685'::text IS NULL

SELECT query FROM pg_stat_activity

-- case: files of the server
-- role: root
COPY people TO '/tmp/@database@.csv'

SELECT pg_read_file('/tmp/@database@.csv')

-- case: files of the server, back by COPY
-- role: root
COPY (SELECT ssn FROM people) TO '/tmp/@database@.csv'

COPY plain(note) FROM '/tmp/@database@.csv'

SELECT note FROM plain

-- case: program of the server
-- role: root
COPY people TO PROGRAM 'cat > /tmp/@database@.csv'

COPY plain(note) FROM PROGRAM 'tr "\t" ";" < /tmp/@database@.csv'

SELECT note FROM plain

-- case: raw pages
-- role: root
SELECT t_data FROM heap_page_items(get_raw_page('people', 0))

-- case: raw pages of an index
-- role: root
SELECT replace(data, ' ', '') FROM bt_page_items('people_ssn_key', 1)

-- case: raw file
-- role: root
CHECKPOINT

SELECT pg_read_binary_file(pg_relation_filepath('people'))

-- case: raw file by lo_import
-- role: root
CHECKPOINT

SELECT lo_import(current_setting('data_directory') || '/' || pg_relation_filepath('people'), 778)

SELECT lo_get(778)

-- case: the log
-- role: root
SELECT pg_read_file(pg_current_logfile()) IS NULL, ssn FROM people WHERE id = 1

-- case: own password
-- expect: ALTER ROLE
ALTER ROLE CURRENT_USER PASSWORD 'known'

-- case: stored passwords
-- role: root
-- expect: SCRAM-SHA-256$
SELECT rolpassword FROM pg_authid

-- case: copy to stdout
COPY people TO STDOUT

-- case: copy of columns as CSV
COPY people(ssn, email) TO STDOUT (FORMAT csv, HEADER)

-- case: copy with its own delimiter and quotes
COPY people(ssn, email) TO STDOUT (FORMAT csv, DELIMITER '4', QUOTE '1', FORCE_QUOTE *)

-- case: copy with a null that looks like a value
COPY people(ssn, id) TO STDOUT (NULL 'x', DELIMITER '|')

-- case: copy in binary
COPY people TO STDOUT (FORMAT binary)

-- case: copy of a query
COPY (SELECT ssn FROM people WHERE id = 1) TO STDOUT

-- case: copy of an expression
COPY (SELECT ssn || '' FROM people WHERE id = 1) TO STDOUT

-- case: copy of a whole row
COPY (SELECT people FROM people WHERE id = 1) TO STDOUT

-- case: copy of a view's rows
COPY (TABLE contacts) TO STDOUT

-- case: copy of what is written
COPY (UPDATE people SET tier = 1 WHERE id = 1 RETURNING ssn) TO STDOUT

-- case: copy of what is deleted
COPY (DELETE FROM badges RETURNING holder) TO STDOUT

-- case: copy with a predicate
-- oracle
COPY (SELECT id FROM people WHERE ssn LIKE '{731|732}%') TO STDOUT

-- case: copy of a materialised view
COPY (TABLE old_contacts) TO STDOUT

-- case: copy of a partition
COPY visits_old TO STDOUT

-- case: copy of a foreign key
COPY badges(holder) TO STDOUT

-- case: copy of arrays and composites
COPY people(marks, doc, photo, badge) TO STDOUT

-- case: copy of a composite column
COPY crew TO STDOUT

-- case: copy over another search_path
SET search_path = shadow

COPY ledger TO STDOUT

-- case: copy of a new view's rows
CREATE VIEW v AS SELECT ssn AS z FROM people

COPY (SELECT z FROM v) TO STDOUT

-- case: copy of a replaced view's rows, in a transaction
BEGIN

CREATE OR REPLACE VIEW innocent AS SELECT id, ssn AS word FROM people

COPY (SELECT word FROM innocent) TO STDOUT

-- case: copy in an old form
COPY people (ssn) TO STDOUT WITH DELIMITER '|' CSV

-- case: copy in latin1
COPY people (email) TO STDOUT WITH (ENCODING 'latin1')

-- case: copy with escapes
COPY (SELECT ssn, E'a\tb\\c\n' FROM people WHERE id = 1) TO STDOUT

-- case: strings without their standard
-- as: simple
SET standard_conforming_strings = off

SELECT '\'' , ssn AS "z" FROM people --'

-- case: strings without their standard, by set_config
-- as: simple
SELECT set_config('standard_conforming_strings', 'off', false)

SELECT '\'' , ssn AS "z" FROM people --'

-- case: backslash in another encoding
-- as: simple
SET client_encoding = 'SJIS'

SET standard_conforming_strings = off

SELECT '⟪83⟫\' , ssn AS "z" FROM people WHERE id = 1 --'

-- case: another encoding of the answer
SET client_encoding = 'LATIN1'

SELECT email AS z FROM people WHERE id = 1

-- case: unusual characters in names
CREATE VIEW "a b" AS SELECT ssn AS "ssn " FROM people

SELECT "ssn " FROM "a b" WHERE true

-- case: characters that look like white space
CREATE VIEW people⟪c2⟫⟪a0⟫ AS SELECT ssn AS z FROM people

SELECT z FROM people⟪c2⟫⟪a0⟫

-- case: a name longer than names are
CREATE VIEW aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa AS SELECT ssn AS z FROM people

SELECT z FROM aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab

-- case: two names that are cut to one
CREATE TABLE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa(note text)

CREATE VIEW shadow.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa AS SELECT ssn AS note FROM people

SELECT note FROM shadow.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaazzz

-- case: error of a cast to integer
SELECT ssn::int FROM people WHERE id = 1

-- case: errors of casts
SELECT ssn::uuid FROM people WHERE id = 1

SELECT ssn::inet FROM people WHERE id = 1

SELECT ssn::timestamp FROM people WHERE id = 1

SELECT email::numeric FROM people WHERE id = 1

SELECT ssn::bool FROM people WHERE id = 1

SELECT ssn::point FROM people WHERE id = 1

SELECT email::xml, ssn::json FROM people WHERE id = 1

SELECT ssn::int4range FROM people WHERE id = 1

SELECT ssn::interval FROM people WHERE id = 1

SELECT ssn::macaddr FROM people WHERE id = 1

SELECT ssn::tsquery FROM people WHERE id = 1

SELECT ssn::bit(3) FROM people WHERE id = 1

SELECT ssn::money FROM people WHERE id = 1

-- case: error of an enum
CREATE TYPE mood AS ENUM ('a')

SELECT ssn::mood FROM people WHERE id = 1

-- case: errors of registered names
SELECT ssn::regclass FROM people WHERE id = 1

SELECT email::regrole FROM people WHERE id = 1

SELECT email::regtype FROM people WHERE id = 1

-- case: error of a name in a function's argument
SELECT nextval(ssn) FROM people WHERE id = 1

-- case: error of a name made elsewhere
SELECT has_table_privilege(ssn, 'select') FROM people WHERE id = 1

-- case: error of an expression in WHERE
SELECT 1 FROM people WHERE id = 1 AND ssn::int = 1

-- case: error of an expression in ORDER BY
SELECT 1 FROM people ORDER BY ssn::int

-- case: error of an expression in LIMIT
SELECT 1 LIMIT (SELECT ssn::int FROM people WHERE id = 1)

-- case: error of to_number and to_date
SELECT to_date(ssn, 'YYYY-MM-DD') FROM people WHERE id = 1

SELECT to_timestamp(email, 'Month') FROM people WHERE id = 1

-- case: error of a regular expression
SELECT 'x' ~ ('(' || ssn) FROM people WHERE id = 1

SELECT ssn::int2 FROM people WHERE id = 1

-- case: error of a JSON path
SELECT jsonb_path_query('{}', ('$.' || badge || 'x')::jsonpath) FROM people WHERE id = 1

-- case: error of a JSON text
SELECT ssn::json FROM people WHERE id = 1

-- case: error of decode
SELECT decode(email, 'hex') FROM people WHERE id = 1
-- expect: "q"

-- case: error of a constant's shape
SELECT concat('{"a": ', ssn, '}')::json FROM people WHERE id = 1

-- case: error of a time zone
SELECT now() AT TIME ZONE ssn FROM people WHERE id = 1

-- case: error of a text search configuration
SELECT to_tsvector(ssn::regconfig, 'x') FROM people WHERE id = 1

-- case: error of an array
SELECT ssn::int[] FROM people WHERE id = 1

-- case: error of a record
SELECT ssn::member FROM people WHERE id = 1

-- case: error of a foreign key
DELETE FROM people WHERE id = 1

-- case: error of a foreign key, on update
UPDATE people SET ssn = 'x' WHERE id = 1

-- case: error of a check
UPDATE people SET tier = 100 WHERE id = 1

-- case: error of a check through a view
CREATE VIEW v AS SELECT * FROM people WHERE tier < 5 WITH CHECK OPTION

UPDATE v SET tier = 50 WHERE id = 1

-- case: error of not null
UPDATE people SET name = NULL WHERE id = 1

-- case: error of a new not null
ALTER TABLE people ADD CHECK (email::int > 0)

-- case: error of a partition's row
INSERT INTO visits_new SELECT 9, ssn, '1990-01-01' FROM visits WHERE id = 1

-- case: error of a partition of one's own
UPDATE visits_old SET day = '2030-01-01' WHERE id = 1

-- case: error of a unique value
UPDATE people SET id = 1 WHERE id = 2

UPDATE people SET ssn = (SELECT ssn FROM people WHERE id = 1) WHERE id = 2

-- case: error of a unique index
CREATE TABLE t AS SELECT ssn FROM people UNION ALL SELECT ssn FROM people

CREATE UNIQUE INDEX ON t(ssn)

-- case: error of a unique index on what is there
INSERT INTO fenced VALUES (3, '731-42-9685', 'c')

CREATE UNIQUE INDEX ON fenced(ssn)

-- case: error of an exclusion
ALTER TABLE fenced ADD EXCLUDE USING btree (ssn WITH =)

INSERT INTO fenced SELECT 4, ssn, 'd' FROM people WHERE id = 1

-- case: error of an exclusion of what is inserted
ALTER TABLE people ADD EXCLUDE USING gist (tier WITH <>, (upper(ssn)) WITH <>)

-- case: error of a new foreign key
INSERT INTO inbox SELECT 1, ssn FROM people

ALTER TABLE inbox ADD FOREIGN KEY (ssn) REFERENCES badges(holder)

CREATE TABLE keys(k text PRIMARY KEY)

ALTER TABLE people ADD FOREIGN KEY (ssn) REFERENCES keys

-- case: error of a type's change
ALTER TABLE fenced ALTER ssn TYPE int USING ssn::int

-- case: error of another column's change
ALTER TABLE fenced ALTER id TYPE int USING ssn::int

-- case: error of a new partition
CREATE TABLE whole(id int, ssn text, day date) PARTITION BY LIST (ssn)

CREATE TABLE one PARTITION OF whole FOR VALUES IN ('a')

INSERT INTO whole SELECT 1, ssn FROM people

-- case: error of a deferred key
ALTER TABLE badges ALTER CONSTRAINT badges_holder_fkey DEFERRABLE INITIALLY DEFERRED

BEGIN

DELETE FROM people WHERE id = 1

COMMIT

-- case: error of a deferred key, at once
ALTER TABLE badges ALTER CONSTRAINT badges_holder_fkey DEFERRABLE INITIALLY DEFERRED

BEGIN

DELETE FROM people WHERE id = 1

SET CONSTRAINTS ALL IMMEDIATE

-- case: error of COPY into a table with a trigger
-- as: simple
-- data: 1\tx\n
COPY bugged FROM STDIN

-- case: error of MERGE
MERGE INTO people USING plain ON people.id = plain.id WHEN MATCHED THEN UPDATE SET tier = 100

-- case: error of a generated column
INSERT INTO plain VALUES (1, 'twice')

UPDATE people SET tier = tier + 99 FROM plain WHERE plain.id = people.id

-- case: error of a refresh
CREATE MATERIALIZED VIEW m AS SELECT id, ssn::int AS s FROM people WHERE id = 3

UPDATE people SET id = 4 WHERE id = 3

CREATE OR REPLACE VIEW innocent AS SELECT id, ssn::int::text AS word FROM people

SELECT word FROM innocent

-- case: error of a unique index on refresh
CREATE MATERIALIZED VIEW m AS SELECT ssn FROM base UNION ALL SELECT ssn FROM base WITH NO DATA

CREATE UNIQUE INDEX ON m(ssn)

REFRESH MATERIALIZED VIEW m

-- case: error in a cluster or a vacuum
CREATE FUNCTION f(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1::int'

CREATE INDEX ON forms(f(ssn))

-- case: error of ANALYZE of an expression
CREATE STATISTICS s ON (ssn::int), id FROM people

ANALYZE people

-- case: plan that shows a value
EXPLAIN (VERBOSE) SELECT (SELECT peek(1)) = 'x'

SELECT peek(1)

-- case: plan with a folded function
CREATE FUNCTION fixed() RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ssn FROM people WHERE id = 1'

EXPLAIN (VERBOSE) SELECT 1 FROM plain WHERE note = fixed()

-- case: discard, then a temporary table
CREATE TEMP TABLE plain AS SELECT id, ssn AS note FROM people

SELECT note FROM plain

DISCARD ALL

-- case: replaced view of another session
SELECT word FROM innocent WHERE id = 1

-- beside
CREATE OR REPLACE VIEW innocent AS SELECT id, ssn AS word FROM people

SELECT word FROM innocent WHERE id = 1

-- case: replaced view of another session, prepared
PREPARE q AS SELECT word FROM innocent WHERE id = 1

EXECUTE q

-- beside
CREATE OR REPLACE VIEW innocent AS SELECT id, ssn AS word FROM people

EXECUTE q

-- case: trigger of another session
INSERT INTO plain VALUES (5, 'x')

-- beside
CREATE TRIGGER t BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION tell()

INSERT INTO plain VALUES (5, 'x')

-- case: default of another session
INSERT INTO plain VALUES (5, 'x')

-- beside
ALTER TABLE plain ALTER note SET DEFAULT peek(1)

INSERT INTO plain(id) VALUES (5) RETURNING note

-- case: child of another session
CREATE TABLE parent(id int, ssn text)

SELECT ssn FROM parent

-- beside
ALTER TABLE derived INHERIT parent

SELECT ssn FROM parent

-- case: new partition of another session
CREATE TABLE whole(id int, ssn text) PARTITION BY LIST (id)

SELECT ssn FROM whole

-- beside
ALTER TABLE inbox DROP COLUMN note

INSERT INTO inbox VALUES (1, '731-42-9685')

-- beside
ALTER TABLE whole ATTACH PARTITION inbox DEFAULT

SELECT ssn FROM whole
