-- One bit at a time: what is answered must not depend on the value. Of each case two twins run, which
-- differ between braces; guarded, their answers must be the same.

-- case: equality
-- oracle
SELECT count(*) FROM people WHERE ssn = '{731-42-9685|731-42-9686}'

-- case: inequality
-- oracle
SELECT count(*) FROM people WHERE ssn > '{731|732}'

-- case: like
-- oracle
SELECT id FROM people WHERE ssn LIKE '{731|732}%'

-- case: ilike and similar to
-- oracle
SELECT id FROM people WHERE email ILIKE '{Q|P}%' AND email SIMILAR TO '%'

-- case: regular expression
-- oracle
SELECT id FROM people WHERE ssn ~ '^{731|732}'

-- case: starts_with
-- oracle
SELECT id FROM people WHERE starts_with(ssn, '{731|732}')

-- case: prefix operator
-- oracle
SELECT id FROM people WHERE ssn ^@ '{731|732}'

-- case: between
-- oracle
SELECT id FROM people WHERE badge BETWEEN {7314296850|7314296851} AND 7314296852

-- case: in
-- oracle
SELECT id FROM people WHERE ssn IN ('{731-42-9685|731-42-9686}', 'x')

-- case: any of an array
-- oracle
SELECT id FROM people WHERE ssn = ANY (ARRAY['{731-42-9685|731-42-9686}'])

-- case: distinct from
-- oracle
SELECT id FROM people WHERE ssn IS NOT DISTINCT FROM '{731-42-9685|731-42-9686}'

-- case: not exists
-- oracle
SELECT 1 WHERE NOT EXISTS (SELECT FROM people WHERE ssn = '{731-42-9685|731-42-9686}')

-- case: in a sub-select
-- oracle
SELECT 1 WHERE '{731-42-9685|731-42-9686}' IN (SELECT ssn FROM people)

-- case: similarity
-- oracle
SELECT similarity(ssn, '{731-42-9685|999-99-9999}') > 0.9 FROM people WHERE id = 1

-- case: levenshtein
-- oracle
SELECT levenshtein(ssn, '{731-42-9685|731-42-9686}') FROM people WHERE id = 1

-- case: soundex
-- oracle
SELECT soundex(email) = soundex('{quill.hartwell@corp.example|xxx}') FROM people WHERE id = 1

-- case: distance operator
-- oracle
SELECT id FROM people ORDER BY ssn <-> '{731-42-9685|264-58-1903}' LIMIT 1

-- case: order by
-- oracle
SELECT id FROM (SELECT id, ssn FROM people WHERE id < 3 UNION ALL SELECT 99, '{731|732}') t ORDER BY ssn

-- case: order by position
-- oracle
SELECT id, ssn FROM (SELECT 1 AS id, '{731|732}' AS ssn UNION ALL SELECT id, ssn FROM people) t ORDER BY 2 LIMIT 2

-- case: order by in a window
-- oracle
SELECT id, rank() OVER (ORDER BY ssn < '{700|732}') FROM people WHERE id < 3

-- case: order by in an aggregate
-- oracle
SELECT array_agg(id ORDER BY ssn > '{731|732}', id) FROM people

-- case: order by using
-- oracle
SELECT id FROM people WHERE id < 3 ORDER BY (ssn > '{731|732}') USING <, id

-- case: group by
-- oracle
SELECT count(*) FROM people GROUP BY ssn LIKE '{731|732}%'

-- case: having on a value
-- oracle
SELECT count(*) FROM people HAVING max(ssn) > '{731|732}'

-- case: filter
-- oracle
SELECT count(*) FILTER (WHERE ssn > '{731|732}') FROM people

-- case: case in the select list
-- oracle
SELECT CASE WHEN ssn LIKE '{731|732}%' THEN 'y' ELSE 'n' END FROM people WHERE id = 1

-- case: boolean expression
-- oracle
SELECT ssn LIKE '{731|732}%' FROM people WHERE id = 1

-- case: null test
-- oracle
SELECT id FROM people WHERE nullif(ssn, '{731-42-9685|731-42-9686}') IS NULL

-- case: limit
-- oracle
SELECT id FROM plain ORDER BY id LIMIT (SELECT CASE WHEN ssn LIKE '{731|732}%' THEN 2 ELSE 1 END FROM people WHERE id = 1)

-- case: offset
-- oracle
SELECT id FROM plain ORDER BY id OFFSET (SELECT count(*) FROM people WHERE ssn LIKE '{731|732}%')

-- case: join condition
-- oracle
SELECT n.id FROM plain n JOIN people p ON p.ssn LIKE '{731|732}%' ORDER BY 1

-- case: outer join condition
-- oracle
SELECT p.name FROM plain n LEFT JOIN people p ON p.ssn = '{731-42-9685|731-42-9686}' ORDER BY n.id

-- case: join with a dictionary
SELECT g FROM (SELECT '731-42-' || to_char(i, 'FM0000') AS g FROM generate_series(9680, 9690) i) d JOIN people p ON p.ssn = d.g

-- case: semi-join with a dictionary
SELECT g FROM (SELECT '731-42-' || to_char(i, 'FM0000') AS g FROM generate_series(9680, 9690) i) d WHERE g IN (SELECT ssn FROM people)

-- case: rebuilt from comparisons in one statement
SELECT string_agg(d::text, '' ORDER BY i) FROM generate_series(1, 11) i, LATERAL (SELECT chr(c) AS d FROM generate_series(45, 57) c WHERE EXISTS (SELECT FROM people WHERE id = 1 AND substr(ssn, i, 1) = chr(c))) x

-- case: lateral with a predicate
-- oracle
SELECT l.id FROM plain n, LATERAL (SELECT p.id FROM people p WHERE p.ssn > '{731|732}' LIMIT 1) l

-- case: common table expression with a predicate
-- oracle
WITH a AS (SELECT id FROM people WHERE ssn > '{731|732}') SELECT count(*) FROM a

-- case: view with a predicate
-- oracle
SELECT count(*) FROM contacts WHERE tax_ref LIKE '{731|732}%'

-- case: view's expression with a predicate
-- oracle
SELECT count(*) FROM loud WHERE tagged LIKE 'x{731|732}%'

-- case: materialised view with a predicate
-- oracle
SELECT count(*) FROM old_contacts WHERE tax_ref > '{731|732}'

-- case: foreign key with a predicate
-- oracle
SELECT floor FROM badges WHERE holder = '{731-42-9685|731-42-9686}'

-- case: partition with a predicate
-- oracle
SELECT id FROM visits WHERE ssn LIKE '{731|732}%'

-- case: child with a predicate
-- oracle
SELECT extra FROM derived WHERE ssn LIKE '{731|732}%'

-- case: generated column with a predicate
-- oracle
SELECT id FROM tagged WHERE tag LIKE 't-{731|732}%'

-- case: JSON column with a predicate
-- oracle
SELECT id FROM people WHERE doc @> '{"ssn": "731-42-968{5|6}"}'

-- case: array column with a predicate
-- oracle
SELECT id FROM people WHERE marks @> ARRAY['{731-42-9685|731-42-9686}']

-- case: bytes with a predicate
-- oracle
SELECT id FROM people WHERE photo = '{731-42-9685|731-42-9686}'::bytea

-- case: date with a predicate
-- oracle
SELECT id FROM people WHERE born < '{1961-08-24|1961-08-23}'

-- case: composite with a predicate
-- oracle
SELECT id FROM crew WHERE (who).ssn = '{731-42-9685|731-42-9686}'

-- case: whole-row comparison
-- oracle
SELECT id FROM crew WHERE who = ROW('{731-42-9685|731-42-9686}', 4)::member

-- case: update's row count
-- oracle
UPDATE plain SET note = note WHERE EXISTS (SELECT FROM people WHERE ssn LIKE '{731|732}%')

-- case: update of the table itself
-- oracle
UPDATE people SET tier = tier WHERE ssn LIKE '{731|732}%'

-- case: update from
-- oracle
UPDATE plain SET note = 'x' FROM people p WHERE p.ssn = '{731-42-9685|731-42-9686}' AND plain.id = p.id

-- case: update to a computed value
-- oracle
UPDATE people SET tier = CASE WHEN ssn LIKE '{731|732}%' THEN 50 ELSE 51 END WHERE id = 1 RETURNING tier

-- case: delete's row count
-- oracle
DELETE FROM plain WHERE EXISTS (SELECT FROM people WHERE ssn LIKE '{731|732}%')

-- case: delete using
-- oracle
DELETE FROM plain USING people p WHERE p.ssn LIKE '{731|732}%' AND plain.id = p.id

-- case: insert of a selection
-- oracle
INSERT INTO plain SELECT 7, 'x' FROM people WHERE ssn LIKE '{731|732}%'

-- case: insert that meets a unique value
-- oracle
INSERT INTO people(id, name, ssn) VALUES (9, 'x', '{731-42-9685|731-42-0000}') ON CONFLICT (ssn) DO NOTHING

-- case: insert on conflict with a condition
-- oracle
INSERT INTO people(id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET tier = 3 WHERE people.ssn LIKE '{731|732}%'

-- case: merge's condition
-- oracle
MERGE INTO plain USING people p ON p.ssn LIKE '{731|732}%' WHEN MATCHED AND plain.id = 1 THEN UPDATE SET note = 'm'

-- case: merge's branch
-- oracle
MERGE INTO plain USING people p ON plain.id = p.id WHEN MATCHED AND p.ssn LIKE '{731|732}%' THEN DELETE

-- case: select for update with a predicate
-- oracle
SELECT id FROM people WHERE ssn LIKE '{731|732}%' FOR UPDATE

-- case: sampled by a value
-- oracle
SELECT count(*) FROM plain TABLESAMPLE BERNOULLI ((SELECT CASE WHEN ssn LIKE '{731|732}%' THEN 100 ELSE 0 END FROM people WHERE id = 1))

-- case: generate_series up to a value
-- oracle
SELECT count(*) FROM people p, generate_series(1, CASE WHEN p.ssn LIKE '{731|732}%' THEN 5 ELSE 1 END) WHERE p.id = 1

-- case: error or none
-- oracle
SELECT 1 / (CASE WHEN ssn LIKE '{731|732}%' THEN 0 ELSE 1 END) FROM people WHERE id = 1

-- case: error or none, without a column
-- oracle
SELECT 1 FROM people WHERE id = 1 AND 1 / (CASE WHEN ssn LIKE '{731|732}%' THEN 0 ELSE 1 END) = 1

-- case: overflow or none
-- oracle
SELECT 2147483647 + (ssn LIKE '{731|732}%')::int FROM people WHERE id = 1

-- case: time
-- sleeps
SELECT CASE WHEN ssn LIKE '{731|732}%' THEN pg_sleep(1.5) END IS NULL FROM people WHERE id = 1

-- case: time of a condition
-- sleeps
SELECT id FROM people WHERE id = 1 AND ssn LIKE '{731|732}%' AND pg_sleep(1.5) IS NOT NULL

-- case: advisory lock as a channel
-- oracle
SELECT pg_try_advisory_lock(4711) FROM people WHERE id = 1 AND ssn LIKE '{731|732}%'

SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()

-- case: advisory lock that is the value
SELECT pg_advisory_lock(badge) FROM people WHERE id = 1

SELECT objid::bigint + (classid::bigint << 32) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()

-- case: plan with actual rows
-- oracle
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT 1 FROM people WHERE ssn LIKE '{731|732}%'

-- case: plan's estimates
-- oracle
EXPLAIN SELECT 1 FROM people WHERE ssn > '{264-58-1903|731-42-9685}'

-- case: plan with folded sub-select
-- oracle
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT 1 FROM plain WHERE (SELECT ssn LIKE '{731|732}%' FROM people WHERE id = 1)

-- case: estimate of a join
-- oracle
EXPLAIN (FORMAT json) SELECT 1 FROM people WHERE badge < {2645819031|2645819029}

-- case: row-level policy as a probe
-- oracle
CREATE POLICY probe ON plain USING (EXISTS (SELECT FROM people WHERE ssn LIKE '{731|732}%'))

ALTER TABLE plain ENABLE ROW LEVEL SECURITY

ALTER TABLE plain FORCE ROW LEVEL SECURITY

SELECT count(*) FROM plain
-- role: owner

-- case: prepared predicate
-- oracle
PREPARE q(text) AS SELECT count(*) FROM people WHERE ssn LIKE $1

EXECUTE q('{731|732}%')

-- case: cursor over a predicate
-- oracle
BEGIN

DECLARE c CURSOR FOR SELECT id FROM people WHERE ssn LIKE '{731|732}%'

FETCH ALL FROM c

-- case: cursor position
-- oracle
BEGIN

DECLARE c SCROLL CURSOR FOR SELECT 1 FROM people WHERE ssn LIKE '{731|732}%'

MOVE ALL FROM c

-- case: order by a column that is not shown
-- expect: 213
SELECT string_agg(c::text, '') FROM (SELECT id AS c FROM people ORDER BY ssn NULLS LAST) t
