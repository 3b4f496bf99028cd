-- Bare columns under every disguise of a name: served, and masked.

-- case: alias
SELECT ssn AS x FROM people WHERE id = 1

-- case: star
SELECT * FROM people ORDER BY id

-- case: table command
TABLE people

-- case: column aliases of FROM
SELECT z FROM people AS t(a, b, z) WHERE a = 1

-- case: qualified by schema
SELECT public.people.ssn FROM public.people WHERE id = 1

-- case: column in a function's clothes
SELECT ssn(people) FROM people WHERE id = 1

-- case: field of a row in parentheses
SELECT (people).ssn FROM people WHERE id = 1

-- case: all fields of a row in parentheses
SELECT (p.*).email, (p).* FROM people p WHERE id = 1

-- case: sub-select in FROM
SELECT z FROM (SELECT ssn AS z FROM people WHERE id = 1) t

-- case: lateral
SELECT l.z FROM people p, LATERAL (SELECT p.ssn AS z) l WHERE p.id = 1

-- case: common table expression
WITH a AS (SELECT ssn AS z FROM people WHERE id = 1) SELECT z FROM a

-- case: materialized common table expression
WITH a AS MATERIALIZED (SELECT id, ssn AS z FROM people) SELECT z FROM a WHERE id = 1

-- case: common table expressions in a chain
WITH a AS (SELECT ssn AS b FROM people WHERE id = 1), b AS (SELECT b AS c FROM a) SELECT c FROM b

-- case: common table expression that hides a table's name
WITH plain AS (SELECT ssn AS note FROM people WHERE id = 1) SELECT note FROM plain

-- case: view
SELECT tax_ref FROM contacts WHERE id = 1

-- case: view on a view
SELECT code FROM second_hand WHERE id = 1

-- case: view of expressions
SELECT shout, tagged FROM loud WHERE id = 1

-- case: view of whole rows
SELECT whole FROM rows_of WHERE id = 1

-- case: field of a view's whole row
SELECT (whole).ssn FROM rows_of WHERE id = 1

-- case: materialised view
SELECT tax_ref FROM old_contacts WHERE id = 1

-- case: far end of a foreign key
SELECT holder FROM badges WHERE id = 10

-- case: partition root
SELECT ssn FROM visits ORDER BY id

-- case: partition by its own name
SELECT ssn FROM visits_old

-- case: inheritance parent
SELECT ssn FROM base

-- case: inheritance parent, only
SELECT ssn FROM ONLY derived

-- case: inheritance child
SELECT ssn AS x, extra FROM derived

-- case: generated column
SELECT tag FROM tagged

-- case: composite column
SELECT who FROM crew

-- case: field of a composite column
SELECT (who).ssn FROM crew

-- case: all fields of a composite column
SELECT (who).* FROM crew

-- case: column of a domain
SELECT ssn FROM forms

-- case: other types than text
SELECT badge, born, pay, photo, marks, doc FROM people WHERE id = 1

-- case: array as it is
SELECT marks FROM people WHERE id = 1

-- case: array element
SELECT marks[1] FROM people WHERE id = 1

-- case: array slice
SELECT marks[1:1] FROM people WHERE id = 1

-- case: JSON as it is
SELECT doc FROM people WHERE id = 1

-- case: JSON member by subscript
SELECT doc['ssn'] FROM people WHERE id = 1

-- case: JSON member by operator
SELECT doc ->> 'ssn' FROM people WHERE id = 1

-- case: tablesample
SELECT ssn FROM people TABLESAMPLE BERNOULLI (100)

-- case: row locks
SELECT ssn FROM people WHERE id = 1 FOR UPDATE

-- case: limit and offset
SELECT ssn AS y FROM people ORDER BY id LIMIT 1 OFFSET 0

-- case: fetch first with ties
SELECT email AS y FROM people ORDER BY id FETCH FIRST 1 ROW WITH TIES

-- case: join
SELECT b.floor, p.ssn FROM badges b JOIN people p ON p.id = b.id - 9

-- case: left join
SELECT p.email AS x FROM plain n LEFT JOIN people p ON p.id = n.id ORDER BY n.id

-- case: full join using
SELECT id, ssn AS x FROM people FULL JOIN plain USING (id) ORDER BY id

-- case: join alias
SELECT j.ssn FROM (people JOIN plain USING (id)) AS j WHERE j.id = 1

-- case: cross join of two masked tables
SELECT a.ssn, b.code FROM people a CROSS JOIN shadow.ledger b WHERE a.id = 1

-- case: several statements in one query
-- as: simple
SELECT 1; SELECT ssn AS x FROM people WHERE id = 1; SELECT 2

-- case: the dangerous one behind a transaction's end
-- as: simple
BEGIN; SELECT 1; COMMIT; SELECT ssn AS x FROM people WHERE id = 1

-- case: schema by search_path
SET search_path = shadow

SELECT code FROM ledger WHERE id = 1

-- case: schema by set_config
SELECT set_config('search_path', 'shadow', false)

SELECT code FROM ledger WHERE id = 1

-- case: schema by local search_path
BEGIN

SET LOCAL search_path = shadow

SELECT code FROM ledger WHERE id = 1

-- case: toast and main table by oid
SELECT tableoid::regclass, ctid, ssn FROM people WHERE id = 1

-- case: quoted names
SELECT "ssn" AS "x y" FROM "public"."people" WHERE "id" = 1

-- case: unicode names
SELECT U&"\0073\0073\006E" FROM U&"peo\0070le" WHERE id = 1

-- case: unicode names with another escape
SELECT U&"!0073sn" UESCAPE '!' AS a FROM people WHERE id = 1

-- case: case folding
SELECT SsN FROM PEOPLE WHERE ID = 1

-- case: nested comments
SELECT /* a /* ' */ " */ ssn AS x FROM people WHERE id = 1 -- '

-- case: escape strings beside it
SELECT E'\'' AS a, U&'\0027' AS b, 'a'
  'b' AS c, $x$ ' $x$ AS d, ssn AS z FROM people WHERE id = 1

-- case: form feed and tab as white space
SELECT⟪0c⟫ssn⟪09⟫AS⟪0c⟫x⟪0d⟫FROM⟪0c⟫people⟪09⟫WHERE⟪0c⟫id=1

-- case: union of one arm
SELECT ssn AS z FROM people WHERE id = 1 UNION ALL SELECT ssn FROM people WHERE id = 2

-- case: update returning
UPDATE people SET tier = tier WHERE id = 1 RETURNING ssn AS z

-- case: update returning everything
UPDATE people SET tier = 1 WHERE id = 1 RETURNING *

-- case: update from, returning the other
UPDATE plain SET note = 'x' FROM people p WHERE p.id = plain.id RETURNING p.ssn AS z

-- case: delete returning
DELETE FROM badges WHERE id = 10 RETURNING holder AS z

-- case: delete using, returning the other
DELETE FROM plain USING people p WHERE p.id = plain.id RETURNING p.email

-- case: insert returning what is there
INSERT INTO people(id, name, tier) VALUES (1, 'x', 1) ON CONFLICT (id) DO UPDATE SET tier = 2 RETURNING ssn AS z

-- case: insert into a view, returning
INSERT INTO contacts(id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'y' RETURNING tax_ref

-- case: update through a view, returning
UPDATE contacts SET name = 'y' WHERE id = 1 RETURNING tax_ref, reach

-- case: data-modifying common table expression
WITH u AS (UPDATE people SET tier = 1 WHERE id = 1 RETURNING ssn AS z) SELECT z FROM u
