-- psql: what its own commands ask, its variables, cursors behind FETCH_COUNT, and \copy.
\pset pager off
\timing off
SELECT current_database(), current_user, current_setting('server_version_num')::int / 10000;
\d
\dt
\dt+ public.drv_items
\d customers
\d+ payments
\d drv_items
\d+ contacts
\di
\ds
\dv
\dn
\dn+
\df pg_catalog.lower
\dT pg_catalog.int4range
\du
\l shop
\dx
\dp drv_items
\ddp
\dD
\dE
\dm
\do pg_catalog.||
\dC int4
\dO pg_catalog.C
\dc pg_catalog.utf8*
\db
\dg
\dA
\dF
\dFd simple
\dL
\des
\det
\dew
\dPt
\dRp
\dX
\dy
\sv contacts
\encoding
\echo :SERVER_VERSION_NUM :ENCODING :USER :DBNAME
\set FETCH_COUNT 100
SELECT count(*), sum(g) FROM (SELECT g FROM generate_series(1, 1000) g) s;
SELECT g FROM generate_series(1, 250) g;
\unset FETCH_COUNT
SELECT id, name, tier FROM customers WHERE id = 1 \gx
SELECT id, name FROM customers WHERE id = 2 \gset one_
\echo :one_id :one_name
SELECT tier, city, id FROM customers ORDER BY 1, 2 \crosstabview
SELECT id, name, city FROM customers \gdesc
SELECT format('SELECT %s AS generated', g) FROM generate_series(1, 3) g \gexec
SELECT 1 \; SELECT 2 \; SELECT 3;
BEGIN;
INSERT INTO drv_items(name, qty) VALUES ('a', 1), ('b', 2) RETURNING id, name;
SAVEPOINT one;
INSERT INTO drv_items(name, qty) VALUES ('a', 1);
\errverbose
ROLLBACK TO one;
UPDATE drv_items SET qty = qty + 1 WHERE name = 'a' RETURNING qty;
COMMIT;
SELECT nothing FROM drv_items;
SELECT 1 / 0;
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT 1 / 0;
SELECT 'after the error';
COMMIT;
\set ON_ERROR_ROLLBACK off
\set AUTOCOMMIT off
INSERT INTO drv_items(name) VALUES ('gone');
ROLLBACK;
\set AUTOCOMMIT on
COPY drv_items(name, qty) FROM STDIN;
copied 1	1
copied 2	2
\.
\copy drv_items(name, qty, note) FROM PROGRAM 'printf "x 1,1,a\\nx 2,2,b\\n"' WITH (FORMAT csv)
COPY (SELECT name, qty FROM drv_items ORDER BY name) TO STDOUT WITH (FORMAT csv, HEADER);
\copy drv_items(name) TO STDOUT
PREPARE by_id(int) AS SELECT name FROM customers WHERE id = $1;
EXECUTE by_id(1);
EXPLAIN (COSTS OFF) SELECT name FROM customers WHERE id = 1;
DEALLOCATE by_id;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id, name FROM customers ORDER BY id;
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
MOVE ABSOLUTE 0 FROM c;
FETCH NEXT FROM c;
CLOSE c;
COMMIT;
SHOW search_path;
SET search_path = public, pg_catalog;
SHOW search_path;
RESET search_path;
SET standard_conforming_strings = on;
SET client_encoding = 'UTF8';
\encoding UTF8
SET statement_timeout = '1s';
RESET ALL;
DISCARD ALL;
\password_is_no_command
\pset format unaligned
\pset fieldsep '\t'
\pset tuples_only on
SELECT 'masked ssn', ssn FROM patients WHERE id = 1;
SELECT 'masked born', born FROM patients WHERE id = 1;
SELECT 'masked visits', visits FROM patients WHERE id = 1;
SELECT 'masked balance', balance FROM patients WHERE id = 1;
SELECT 'masked token', token FROM patients WHERE id = 1;
SELECT 'masked rows', ssn, email FROM customers WHERE id = 3;
SELECT 'masked rows', tax_ref FROM contacts WHERE id = 2;
\set FETCH_COUNT 1
SELECT 'masked ssn', ssn FROM patients WHERE id = 1;
\unset FETCH_COUNT
PREPARE hidden AS SELECT 'masked ssn', ssn FROM patients WHERE id = $1;
EXECUTE hidden(1);
BEGIN;
DECLARE h CURSOR FOR SELECT 'masked ssn', ssn FROM patients WHERE id = 1;
FETCH ALL FROM h;
COMMIT;
\echo done
