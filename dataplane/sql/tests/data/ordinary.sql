SELECT 1
SELECT 1 AS one, 'two' AS two, 3.5, true, null
SELECT version()
SELECT current_user, session_user, current_database(), current_schema()
SELECT now(), current_timestamp, current_date, localtime
SELECT * FROM customers
SELECT * FROM customers WHERE id = 1
SELECT * FROM public.customers c WHERE c.id = 1
SELECT id, name, ssn FROM customers WHERE id = 1
SELECT ssn AS x FROM customers
SELECT c.ssn, c.email FROM customers AS c WHERE c.tier > 1 ORDER BY c.id LIMIT 10 OFFSET 20
SELECT "customers"."id", "customers"."name", "customers"."ssn" FROM "customers" WHERE "customers"."id" = $1 LIMIT $2
SELECT customers.* FROM customers LIMIT 1
TABLE customers
SELECT count(*) FROM customers
SELECT count(*), max(tier), min(id) FROM customers
SELECT tier, count(*) FROM customers GROUP BY tier ORDER BY 2 DESC
SELECT tier, count(*) AS n FROM customers GROUP BY tier HAVING count(*) > 1 ORDER BY n
SELECT upper(name), length(notes) FROM customers
SELECT name || ' <' || notes || '>' AS label, ssn FROM customers
SELECT id, coalesce(notes, 'none') AS notes, ssn FROM customers
SELECT id, CASE WHEN tier > 1 THEN 'gold' ELSE 'plain' END, email FROM customers
SELECT id, CASE tier WHEN 1 THEN 'a' WHEN 2 THEN 'b' END AS grade FROM customers
SELECT DISTINCT tier FROM customers
SELECT DISTINCT ON (tier) tier, id, ssn FROM customers ORDER BY tier, id
SELECT id::text, tier::bigint, name::varchar(10), name::text FROM customers
SELECT id FROM customers WHERE id IN (1, 2, 3)
SELECT id, ssn FROM customers WHERE id = ANY ($1::int[])
SELECT id FROM customers WHERE name LIKE 'A%' AND tier BETWEEN 1 AND 5
SELECT id, email FROM customers WHERE (name ILIKE '%a%' OR notes IS NOT NULL) AND NOT tier = 3
SELECT id FROM customers WHERE tier IS DISTINCT FROM 2
SELECT (c).ssn FROM customers c
SELECT (c.*).ssn AS s, (c).id FROM customers c
SELECT ssn(customers) FROM customers
SELECT z FROM customers AS t(a, b, z, d) WHERE a = 1
SELECT x.ssn FROM (SELECT id, ssn FROM customers WHERE tier = 1) x
SELECT x.z FROM (SELECT id, ssn AS z FROM customers) x WHERE x.id > 0 ORDER BY x.id
SELECT q.* FROM (SELECT * FROM customers) q
WITH w AS (SELECT id, ssn FROM customers) SELECT * FROM w
WITH w(a, b) AS MATERIALIZED (SELECT id, ssn FROM customers WHERE id = 1) SELECT b FROM w WHERE a = 1
WITH a AS (SELECT id FROM orders), b AS (SELECT count(*) AS n FROM a) SELECT n FROM b
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n FROM t
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT t.n, c.ssn FROM t JOIN customers c ON c.id = t.n
SELECT c.name, o.total, c.ssn FROM customers c JOIN orders o ON o.customer_id = c.id
SELECT c.*, o.* FROM customers c LEFT JOIN orders o ON o.customer_id = c.id
SELECT * FROM customers c, orders o WHERE o.customer_id = c.id
SELECT * FROM customers CROSS JOIN decoy
SELECT * FROM orders o JOIN order_items i ON i.order_id = o.id
SELECT id, c.ssn FROM customers c JOIN decoy d USING (id)
SELECT * FROM customers JOIN decoy USING (id)
SELECT * FROM customers RIGHT JOIN decoy USING (id)
SELECT * FROM customers FULL JOIN decoy USING (id)
SELECT * FROM customers NATURAL JOIN decoy
SELECT * FROM (customers c JOIN decoy d ON c.id = d.id) AS j(a, b, c3, d, e, f, g, h)
SELECT j.name, j.ssn FROM (SELECT c.*, o.total FROM customers c JOIN orders o ON o.customer_id = c.id) j
SELECT c.ssn, l.total FROM customers c, LATERAL (SELECT total FROM orders o WHERE o.customer_id = c.id LIMIT 1) l
SELECT c.ssn, l.* FROM customers c LEFT JOIN LATERAL (SELECT o.id AS oid, o.total FROM orders o WHERE o.customer_id = c.id) l ON true
SELECT c.email, (SELECT count(*) FROM orders o WHERE o.customer_id = c.id) AS orders FROM customers c
SELECT c.email, (SELECT max(o.total) FROM orders o WHERE o.customer_id = c.id) FROM customers c
SELECT id, ssn FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id)
SELECT id FROM orders o WHERE EXISTS (SELECT * FROM customers c WHERE c.id = o.customer_id AND c.tier = 1)
SELECT id, ssn FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE total > 10)
SELECT id FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE tier = 1)
SELECT id, total FROM orders WHERE customer_id NOT IN (SELECT id FROM customers)
SELECT id, row_number() OVER (ORDER BY id) AS rn, ssn FROM customers
SELECT id, rank() OVER (PARTITION BY tier ORDER BY id DESC), email FROM customers
SELECT id, sum(tier) OVER w AS running FROM customers WINDOW w AS (ORDER BY id)
SELECT tax_ref FROM v_contacts WHERE id = 1
SELECT * FROM v_contacts
SELECT * FROM v_nested
SELECT * FROM v_upper
SELECT * FROM v_row
SELECT * FROM v_names
SELECT * FROM mv_contacts
SELECT * FROM events
SELECT * FROM events_2026 WHERE at > '2026-02-01'
SELECT * FROM vip
SELECT * FROM ONLY customers
SELECT * FROM derived
SELECT * FROM accounts
SELECT a.balance, c.name FROM accounts a JOIN customers c ON c.id = a.id
SELECT sum(balance) FROM accounts
SELECT tableoid, ctid, xmin, id, ssn FROM customers
SELECT id, name FROM customers UNION ALL SELECT id, ssn_ok FROM decoy
SELECT id FROM customers EXCEPT SELECT id FROM decoy ORDER BY 1
VALUES (1, 'a'), (2, 'b')
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(n, t)
SELECT * FROM generate_series(1, 3)
SELECT * FROM generate_series(1, 3) AS g(n) JOIN customers c ON c.id = g.n
SELECT g, c.ssn FROM customers c, generate_series(1, 2) g
SELECT key, value FROM jsonb_each('{"a": 1}')
SELECT o.id, e.key FROM orders o, jsonb_each(o.meta) e
SELECT o.id, t.tag FROM orders o, unnest(o.tags) AS t(tag)
SELECT o.id, t.tag, t.ordinality FROM orders o, unnest(o.tags) WITH ORDINALITY AS t(tag)
SELECT meta ->> 'a', meta -> 'b', tags[1], meta #>> '{a,b}' FROM orders
SELECT id, total * 1.2 AS gross, round(total, 1), total::int FROM orders
SELECT date_trunc('month', created_at) AS month, sum(total) FROM orders GROUP BY 1 ORDER BY 1
SELECT extract(year FROM created_at), created_at AT TIME ZONE 'UTC' FROM orders
SELECT customer_id, array_agg(id ORDER BY id), string_agg(status, ',') FROM orders GROUP BY customer_id
SELECT customer_id, count(*) FILTER (WHERE status = 'new') FROM orders GROUP BY ROLLUP (customer_id)
SELECT json_build_object('id', id, 'total', total) FROM orders
SELECT json_agg(o) FROM orders o
SELECT row_to_json(o) FROM orders o
SELECT o FROM orders o
SELECT o.*::text FROM orders o
SELECT ARRAY(SELECT id FROM orders), ARRAY[1, 2], ROW(1, 2)
SELECT greatest(1, 2), least(1, 2), nullif(1, 2)
SELECT EXISTS (SELECT 1 FROM customers WHERE id = 1)
SELECT EXISTS (SELECT 1 FROM customers WHERE tier = 1) AS found, 1 = ANY (ARRAY[1])
SELECT name COLLATE "C" FROM customers ORDER BY name COLLATE "C"
SELECT substring(name FROM 1 FOR 2), trim(name), position('a' IN name), overlay(name PLACING 'x' FROM 1) FROM customers
SELECT id FROM customers FOR UPDATE
SELECT id, ssn FROM customers WHERE id = 1 FOR UPDATE SKIP LOCKED
SELECT id, status FROM orders WHERE status = 'new' ORDER BY created_at FETCH FIRST 5 ROWS ONLY
SELECT * FROM orders TABLESAMPLE SYSTEM (10)
SELECT pg_sleep(0)
SELECT nextval('orders_id_seq')
SELECT currval('public.orders_id_seq'), lastval()
SELECT gen_random_uuid(), random(), md5('x'), encode('x'::bytea, 'hex')
SELECT pg_advisory_xact_lock(1)
SELECT set_config('search_path', '', false)
SELECT current_setting('server_version')
INSERT INTO customers (id, name, ssn) VALUES (10, 'n', '1') RETURNING id
INSERT INTO customers (id, name, ssn) VALUES ($1, $2, $3) RETURNING *
INSERT INTO customers (id, name) VALUES (10, 'n') ON CONFLICT (id) DO UPDATE SET name = excluded.name, ssn = excluded.ssn RETURNING id, ssn
INSERT INTO customers (id, name) VALUES (10, 'n') ON CONFLICT DO NOTHING
INSERT INTO orders (customer_id, total) VALUES (1, 2.5), (1, 3) RETURNING id, created_at
INSERT INTO orders (customer_id, total) SELECT id, 0 FROM customers WHERE tier = 1
INSERT INTO decoy DEFAULT VALUES
UPDATE customers SET name = 'x' WHERE id = 2
UPDATE customers SET ssn = '1', email = $1 WHERE id = 2 RETURNING id, ssn
UPDATE customers SET tier = tier + 1 WHERE id = 2 RETURNING *
UPDATE orders o SET status = 'done' FROM customers c WHERE c.id = o.customer_id AND c.tier = 1 RETURNING o.id, c.ssn
UPDATE orders SET (status, total) = ('x', 1) WHERE id = 1
UPDATE orders SET meta = jsonb_set(meta, '{a}', '1'), tags[1] = 'x' WHERE id = 1
DELETE FROM orders WHERE id = 1 RETURNING *
DELETE FROM customers c USING orders o WHERE o.customer_id = c.id AND o.id = 1 RETURNING c.id, c.email
WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING customer_id) SELECT c.ssn FROM customers c JOIN d ON d.customer_id = c.id
WITH n AS (INSERT INTO decoy VALUES (1, 'x') RETURNING id) SELECT id FROM n
MERGE INTO decoy d USING orders o ON d.id = o.id WHEN MATCHED THEN UPDATE SET ssn_ok = o.status WHEN NOT MATCHED THEN INSERT VALUES (o.id, o.status)
BEGIN
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY
COMMIT
ROLLBACK
SAVEPOINT a
RELEASE SAVEPOINT a
ROLLBACK TO SAVEPOINT a
SET statement_timeout = '5s'
SET TIME ZONE 'UTC'
SET client_encoding TO 'UTF8'
SET search_path TO public, shadow
SET LOCAL work_mem = '64MB'
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED
SET application_name = 'app'
SET extra_float_digits = 3
RESET ALL
SHOW server_version
SHOW transaction isolation level
SHOW search_path
DISCARD ALL
DEALLOCATE ALL
CLOSE ALL
UNLISTEN *
EXPLAIN SELECT * FROM customers WHERE id = 1
EXPLAIN (ANALYZE, BUFFERS) SELECT id FROM customers WHERE id = 1
PREPARE p AS SELECT id, ssn FROM customers WHERE id = $1
EXECUTE p(1)
DECLARE c CURSOR FOR SELECT id, ssn FROM customers
FETCH ALL FROM c
SELECT oid, typname, typelem FROM pg_type WHERE typname IN ('hstore', 'citext')
SELECT t.oid, t.typname, n.nspname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = $1
SELECT typinput = 'array_in'::regproc AS is_array, typtype, typname, pg_type.oid FROM pg_catalog.pg_type LEFT JOIN (SELECT ns.oid AS nspoid, ns.nspname, r.r FROM pg_namespace AS ns JOIN (SELECT s.r, (current_schemas(false))[s.r] AS nspname FROM generate_series(1, array_upper(current_schemas(false), 1)) AS s(r)) AS r USING (nspname)) AS sp ON sp.nspoid = typnamespace WHERE pg_type.oid = $1 ORDER BY sp.r, pg_type.oid DESC
SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public'
SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = 'customers' ORDER BY ordinal_position
SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME, CASE c.relkind WHEN 'r' THEN 'TABLE' END AS TABLE_TYPE, d.description AS REMARKS FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description d ON (c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass) WHERE c.relnamespace = n.oid AND c.relname LIKE 'customers' ORDER BY TABLE_TYPE, TABLE_SCHEM, TABLE_NAME
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attrelid = 'customers'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
SELECT current_setting('max_index_keys')::int, has_table_privilege('customers', 'select'), obj_description('customers'::regclass)
select count(*) from pg_class where relname = 'pgbench_branches'
select o.n, p.partstrat, pg_catalog.count(i.inhparent) from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on (n.oid = c.relnamespace) cross join lateral (select pg_catalog.array_position(pg_catalog.current_schemas(true), n.nspname)) as o(n) left join pg_catalog.pg_partitioned_table as p on (p.partrelid = c.oid) left join pg_catalog.pg_inherits as i on (c.oid = i.inhparent) where c.relname = 'pgbench_accounts' and o.n is not null group by 1, 2 order by 1 asc limit 1
SELECT relname, n_live_tup FROM pg_stat_user_tables
SELECT name, setting FROM pg_settings WHERE name = 'max_connections'
CREATE TABLE fresh (id serial PRIMARY KEY, name text NOT NULL DEFAULT 'x', parent int REFERENCES fresh(id), CHECK (id > 0))
CREATE INDEX fresh_idx ON orders (status, created_at DESC)
ALTER TABLE orders ADD COLUMN note text
DROP TABLE IF EXISTS fresh
TRUNCATE order_items
COPY orders TO STDOUT
COPY orders FROM STDIN
COPY (SELECT id, name FROM customers) TO STDOUT WITH (FORMAT csv)
VACUUM ANALYZE orders
LOCK TABLE orders IN SHARE MODE
