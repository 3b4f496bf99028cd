-- The value inside an expression.

-- case: concatenation
SELECT ssn || '' AS x FROM people WHERE id = 1

-- case: cast to its own type
SELECT ssn::text FROM people WHERE id = 1

-- case: cast to another string type
SELECT ssn::varchar, ssn::name, ssn::bpchar(20), CAST(ssn AS citext) FROM people WHERE id = 1

-- case: cast in functional notation
SELECT text(ssn), "varchar"(ssn), name(ssn) FROM people WHERE id = 1

-- case: collation
SELECT ssn COLLATE "C" FROM people WHERE id = 1

-- case: array constructor and subscript
SELECT (ARRAY[ssn])[1] FROM people WHERE id = 1

-- case: array of a sub-select
SELECT ARRAY(SELECT ssn FROM people ORDER BY id)

-- case: coalesce, nullif, greatest
SELECT coalesce(ssn, ''), nullif(ssn, ''), greatest(ssn, ''), least(ssn, 'z') FROM people WHERE id = 1

-- case: case
SELECT CASE WHEN true THEN ssn END FROM people WHERE id = 1

-- case: scalar sub-select
SELECT (SELECT ssn FROM people WHERE id = 1) AS a

-- case: correlated scalar sub-select
SELECT n.id, (SELECT p.ssn FROM people p WHERE p.id = n.id) FROM plain n ORDER BY 1

-- case: sub-select in VALUES
VALUES ((SELECT ssn FROM people WHERE id = 1))

-- case: row constructor
SELECT ROW(ssn, 1) FROM people WHERE id = 1

-- case: row constructor without its word
SELECT (ssn, email) FROM people WHERE id = 1

-- case: whole row
SELECT people FROM people WHERE id = 1

-- case: whole row through an alias
SELECT p FROM people p WHERE id = 1

-- case: whole row as text
SELECT people::text, p.*::text FROM people, people p WHERE people.id = 1 AND p.id = 1

-- case: whole row of a view
SELECT contacts FROM contacts WHERE id = 1

-- case: whole row of a sub-select
SELECT t FROM (SELECT ssn FROM people WHERE id = 1) t

-- case: whole row of a common table expression
WITH t AS (SELECT ssn FROM people WHERE id = 1) SELECT t::text FROM t

-- case: row_to_json
SELECT row_to_json(people), to_jsonb(people), to_json(people) FROM people WHERE id = 1

-- case: row_to_json in a column's clothes
SELECT people.row_to_json FROM people WHERE id = 1

-- case: JSON objects
SELECT json_build_object('a', ssn), jsonb_build_array(ssn), json_object(ARRAY['a'], ARRAY[ssn]) FROM people WHERE id = 1

-- case: JSON aggregates
SELECT json_agg(ssn), jsonb_object_agg(id, ssn), json_agg(people) FROM people

-- case: JSON populate
SELECT (jsonb_populate_record(NULL::people, to_jsonb(p))).ssn FROM people p WHERE id = 1

-- case: JSON to record
SELECT r.ssn FROM people p, jsonb_to_record(to_jsonb(p)) AS r(ssn text) WHERE id = 1

-- case: JSON each
SELECT key, value FROM people p, jsonb_each_text(to_jsonb(p)) WHERE id = 1

-- case: JSON path
SELECT jsonb_path_query(to_jsonb(people), '$.ssn') FROM people WHERE id = 1

-- case: JSON column by path
SELECT jsonb_path_query_first(doc, '$.ssn'), doc #>> '{ssn}', doc -> 'ssn' FROM people WHERE id = 1

-- case: JSON column spread
SELECT e.value FROM people, jsonb_each(doc) e WHERE id = 1

-- case: JSON keys made of values
SELECT jsonb_object_keys(jsonb_build_object(ssn, 1)) FROM people WHERE id = 1

-- case: hstore
SELECT hstore(people), each(hstore(people)) FROM people WHERE id = 1

-- case: XML elements
SELECT xmlelement(name a, ssn), xmlforest(ssn), xmlconcat(ssn::xml) FROM people WHERE id = 1

-- case: XML aggregate
SELECT xmlagg(xmlelement(name a, ssn)) FROM people

-- case: XML attributes and comments
SELECT xmlelement(name a, xmlattributes(ssn AS b)), xmlpi(name php, ssn), xmlcomment(replace(ssn, '-', '.')) FROM people WHERE id = 1

-- case: XML table
SELECT x.v FROM people, XMLTABLE('/a' PASSING xmlelement(name a, ssn) COLUMNS v text PATH '.') x WHERE id = 1

-- case: XML path
SELECT xpath('/a/text()', xmlelement(name a, ssn)) FROM people WHERE id = 1

-- case: XML of a query in a string
SELECT query_to_xml('SELECT ssn FROM people WHERE id = 1', true, false, '')

-- case: XML of a table
SELECT table_to_xml('people', true, false, '')

-- case: XML of a schema
SELECT schema_to_xml('public', true, false, '')

-- case: XML of the database
SELECT database_to_xml(true, false, '')

-- case: XML of a cursor
BEGIN

DECLARE c CURSOR FOR SELECT ssn FROM people WHERE id = 1

SELECT cursor_to_xml('c', 10, true, false, '')

-- case: XML of a query in an argument
SELECT xpath('//ssn/text()', query_to_xml('SELECT * FROM people', true, false, ''))

-- case: statement in a string: ts_stat
SELECT word FROM ts_stat('SELECT to_tsvector(''simple'', email) FROM people')

-- case: statement in a string: ts_rewrite
SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, quote_literal(ssn)::tsquery FROM people WHERE id = 1')

-- case: statement in a string: crosstab
SELECT * FROM crosstab('SELECT 1, 1, ssn FROM people WHERE id = 1') AS t(a int, b text)

-- case: statement in a string: connectby
SELECT * FROM xpath_table('id', 'xmlelement(name a, ssn)', 'people', '/a', 'true') AS t(i int, v text)

-- case: window first_value
SELECT first_value(ssn) OVER (ORDER BY id) FROM people

-- case: window lag and lead
SELECT lag(ssn) OVER (ORDER BY id), lead(email) OVER (ORDER BY id), nth_value(ssn, 1) OVER (ORDER BY id) FROM people

-- case: window aggregate
SELECT max(ssn) OVER w FROM people WINDOW w AS (PARTITION BY id)

-- case: aggregates min and max
SELECT min(ssn), max(email) FROM people

-- case: string_agg and array_agg
SELECT string_agg(ssn, ','), array_agg(email) FROM people

-- case: aggregate with filter
SELECT max(ssn) FILTER (WHERE id = 1) FROM people

-- case: ordered-set aggregates
SELECT percentile_disc(0) WITHIN GROUP (ORDER BY ssn), mode() WITHIN GROUP (ORDER BY email) FROM people

-- case: hypothetical-set aggregate
-- oracle
SELECT rank('{732|730}') WITHIN GROUP (ORDER BY ssn DESC) FROM people WHERE id = 1

-- case: sum of numbers
SELECT sum(badge), avg(badge), sum(pay) FROM people WHERE id = 1

-- case: arithmetic
SELECT badge + 0, -badge, badge * 1, abs(badge), badge % 10000000000 FROM people WHERE id = 1

-- case: number as text
SELECT badge::text, to_char(badge, 'FM9999999999'), badge::numeric, badge::float8 FROM people WHERE id = 1

-- case: digits as a number
SELECT replace(ssn, '-', '')::bigint, to_number(ssn, '999-99-9999') FROM people WHERE id = 1

-- case: number in another base
-- expect: 2b98bb35
SELECT to_hex(replace(ssn, '-', '')::bigint) FROM people WHERE id = 1

-- case: money
-- expect: 7,314,296.85
SELECT pay::money FROM people WHERE id = 1

-- case: date in parts
-- expect: 1961/8/23
SELECT extract(year FROM born) || '/' || extract(month FROM born) || '/' || extract(day FROM born) FROM people WHERE id = 1

-- case: date as an interval
-- oracle
SELECT born - DATE '{1961-08-23|1961-08-24}' FROM people WHERE id = 1

-- case: age
-- oracle
SELECT age(born, DATE '{1961-08-23|1961-08-24}') FROM people WHERE id = 1

-- case: hex
SELECT encode(ssn::bytea, 'hex') FROM people WHERE id = 1

-- case: base64
SELECT encode(ssn::bytea, 'base64'), encode(convert_to('.' || ssn, 'UTF8'), 'base64') FROM people WHERE id = 1

-- case: escape encoding of bytes
SELECT encode(photo, 'escape'), convert_from(photo, 'UTF8') FROM people WHERE id = 1

-- case: bytea
SELECT ssn::bytea, decode(replace(ssn, '-', ''), 'escape') FROM people WHERE id = 1

-- case: reversed
SELECT reverse(ssn) FROM people WHERE id = 1

-- case: digits moved by translate
-- expect: hdb-ec-jgif
SELECT translate(ssn, '0123456789', 'abcdefghij') FROM people WHERE id = 1

-- case: character codes
-- expect: 55,51,49,45,52,50
SELECT string_agg(ascii(c)::text, ',') FROM people, regexp_split_to_table(ssn, '') c WHERE id = 1

-- case: one character a row
SELECT substr(ssn, i, 1) FROM people, generate_series(1, 11) i WHERE id = 1

-- case: md5
SELECT md5(ssn), sha256(ssn::bytea), digest(ssn, 'md5') FROM people WHERE id = 1

-- case: hash functions of types
-- oracle
SELECT hashtext(ssn) = hashtext('{731-42-9685|731-42-9686}') FROM people WHERE id = 1

-- case: encryption with one's own key
-- oracle
SELECT encrypt(ssn::bytea, 'k', 'aes') = encrypt('{731-42-9685|731-42-9686}', 'k', 'aes') FROM people WHERE id = 1

-- case: crypt
-- oracle
SELECT crypt(ssn, '$1$saltsalt$') = crypt('{731-42-9685|731-42-9686}', '$1$saltsalt$') FROM people WHERE id = 1

-- case: text search
SELECT to_tsvector('simple', email), ts_headline('simple', email, 'x'::tsquery), plainto_tsquery('simple', email) FROM people WHERE id = 1

-- case: text search tokens
SELECT token FROM people, ts_parse('default', email) WHERE id = 1

-- case: text search debug
SELECT token FROM people, ts_debug('simple', email) WHERE id = 1

-- case: trigrams
-- expect: 731
SELECT show_trgm(ssn) FROM people WHERE id = 1

-- case: regular expressions
SELECT regexp_match(ssn, '(.*)'), regexp_replace(ssn, 'x', ''), substring(ssn FROM '.*') FROM people WHERE id = 1

-- case: regular expression rows
SELECT m[1] FROM people, regexp_matches(ssn, '(.+)', 'g') m WHERE id = 1

-- case: overlay, translate, split_part
SELECT overlay(ssn PLACING '' FROM 12), split_part(ssn || ',', ',', 1), btrim(ssn), rpad(ssn, 20), left(ssn, 11) FROM people WHERE id = 1

-- case: format and quote
SELECT format('%s', ssn), quote_literal(ssn), quote_ident(email), concat(ssn, ''), concat_ws('', ssn) FROM people WHERE id = 1

-- case: case mapping
SELECT lower(email), upper(ssn), initcap(ssn), normalize(ssn) FROM people WHERE id = 1

-- case: set-returning functions in the target list
SELECT unnest(ARRAY[ssn]), string_to_table(ssn, ','), regexp_split_to_table(ssn, ',') FROM people WHERE id = 1

-- case: set-returning functions in FROM
SELECT x FROM people, unnest(ARRAY[ssn, email]) x WHERE id = 1

-- case: unnest of a masked array
SELECT x FROM people, unnest(marks) x WHERE id = 1

-- case: array functions
SELECT array_to_string(marks, ','), array_append(marks, 'x'), marks || marks, cardinality(marks), marks[1] || '' FROM people WHERE id = 1

-- case: rows from
SELECT * FROM people p, ROWS FROM (unnest(ARRAY[p.ssn]), generate_series(1, 1)) r(a, b) WHERE p.id = 1

-- case: ranges
SELECT textrange FROM (SELECT numrange(badge, badge + 1) AS textrange FROM people WHERE id = 1) t

-- case: anonymous records
SELECT ARRAY[ROW(1, ssn)] FROM people WHERE id = 1

-- case: union, intersect, except
SELECT ssn AS z FROM people UNION SELECT note FROM plain

-- case: intersect with oneself
SELECT ssn AS z FROM people INTERSECT SELECT ssn FROM people

-- case: except nothing
SELECT ssn AS z FROM people EXCEPT SELECT 'x'

-- case: recursive common table expression
WITH RECURSIVE r(z, n) AS (SELECT ssn, 1 FROM people WHERE id = 1 UNION ALL SELECT z, n + 1 FROM r WHERE n < 3) SELECT z FROM r

-- case: recursive search clause
WITH RECURSIVE r(i, z) AS (SELECT id, ssn FROM people WHERE id = 1 UNION ALL SELECT i + 1, z FROM r WHERE i < 3) SEARCH DEPTH FIRST BY z SET o SELECT o FROM r

-- case: join using a masked column
SELECT z FROM people p(a, b, z) JOIN badges b2(a2, z, f) USING (z)

-- case: natural join
SELECT ssn FROM people NATURAL JOIN (SELECT id, ssn FROM people) q WHERE id = 1

-- case: full join using a masked column
SELECT ssn FROM people FULL JOIN inbox USING (ssn)

-- case: lateral sub-select over values
SELECT x FROM people, LATERAL (VALUES (ssn)) v(x) WHERE id = 1

-- case: grouping sets
SELECT ssn, count(*) FROM people GROUP BY GROUPING SETS ((ssn), ())

-- case: rollup and cube
SELECT ssn || '', email || '' FROM people GROUP BY ROLLUP (ssn), CUBE (email)

-- case: group by an alias
SELECT ssn AS g, count(*) FROM people GROUP BY g

-- case: distinct
SELECT DISTINCT ssn FROM people

-- case: distinct on
SELECT DISTINCT ON (ssn) ssn FROM people

-- case: having
SELECT max(id) AS i, min(ssn) FROM people GROUP BY ssn HAVING ssn IS NOT NULL

-- case: row comparison
-- oracle
SELECT (ssn, id) > ('{730|732}', 0) FROM people WHERE id = 1

-- case: view, then an expression of it
SELECT tax_ref || '' FROM contacts WHERE id = 1

-- case: partition, then an expression of it
SELECT ssn || '' FROM visits_old

-- case: foreign key, then an expression of it
SELECT upper(holder) FROM badges WHERE id = 10

-- case: system information about a value
-- oracle
SELECT pg_column_size(ssn || repeat('x', {11|12})) FROM people WHERE id = 1

-- case: length
-- oracle
SELECT length(ssn) = {11|12}, octet_length(email) = {27|28} FROM people WHERE id = 1

-- case: existing function
SELECT peek(1)

-- case: existing security definer function
SELECT peek_definer(1)

-- case: function in FROM
SELECT * FROM peek(1)

-- case: function in LIMIT
-- oracle
SELECT id FROM people ORDER BY id LIMIT CASE WHEN peek(1) LIKE '{731|732}%' THEN 2 ELSE 1 END

-- case: procedure
CALL announce()
