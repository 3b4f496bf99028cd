-- What the evasion suite attacks. `owner` owns everything in public and shadow; `root` is a superuser.
-- The values below are what must not be seen; needle.rs knows them.
CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw; CREATE EXTENSION file_fdw; CREATE EXTENSION pageinspect;
CREATE EXTENSION pg_trgm; CREATE EXTENSION fuzzystrmatch; CREATE EXTENSION hstore; CREATE EXTENSION tablefunc;
CREATE EXTENSION xml2; CREATE EXTENSION pgcrypto; CREATE EXTENSION btree_gist; CREATE EXTENSION pgrowlocks; CREATE EXTENSION citext;
GRANT ALL ON SCHEMA public TO @owner@;
SET SESSION AUTHORIZATION @owner@;
CREATE SCHEMA shadow;
CREATE TABLE people(
    id int PRIMARY KEY, name text NOT NULL, ssn text UNIQUE, email text, badge bigint, born date, pay numeric(12,2),
    photo bytea, marks text[], doc jsonb, notes text, tier int DEFAULT 1 CHECK (tier < 100));
INSERT INTO people VALUES
    (1, 'Quill', '731-42-9685', 'quill.hartwell@corp.example', 7314296850, '1961-08-23', 7314296.85,
     convert_to('731-42-9685', 'UTF8'), ARRAY['731-42-9685'], '{"ssn": "731-42-9685"}', 'n1', 1),
    (2, 'Rook', '264-58-1903', 'rook.tamsin@corp.example', 2645819030, '1974-01-30', 2645819.03,
     convert_to('264-58-1903', 'UTF8'), ARRAY['264-58-1903'], '{"ssn": "264-58-1903"}', 'n2', 2),
    (3, 'Sable', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'n3', 3);
CREATE TABLE badges(id int PRIMARY KEY, holder text REFERENCES people(ssn), floor int);
INSERT INTO badges VALUES (10, '731-42-9685', 4), (11, '264-58-1903', 5);
CREATE VIEW contacts AS SELECT id, name, ssn AS tax_ref, email AS reach FROM people;
CREATE VIEW second_hand AS SELECT tax_ref AS code, id FROM contacts;
CREATE VIEW loud AS SELECT id, upper(email) AS shout, 'x' || ssn AS tagged, count(*) OVER () AS n FROM people;
CREATE VIEW rows_of AS SELECT id, people AS whole FROM people;
CREATE MATERIALIZED VIEW old_contacts AS SELECT id, name, ssn AS tax_ref FROM people;
CREATE VIEW innocent AS SELECT id, notes AS word FROM people;
CREATE TABLE plain(id int, note text);
INSERT INTO plain VALUES (1, 'nothing'), (2, 'to see');
CREATE TABLE inbox(id int, ssn text, note text);
CREATE TABLE ledger(id int, code text);
INSERT INTO ledger VALUES (1, 'harmless');
CREATE TABLE shadow.ledger(id int, code text);
INSERT INTO shadow.ledger SELECT id, ssn FROM people;
CREATE TABLE visits(id int, ssn text, day date) PARTITION BY RANGE (day);
CREATE TABLE visits_old PARTITION OF visits FOR VALUES FROM ('2000-01-01') TO ('2020-01-01');
CREATE TABLE visits_new PARTITION OF visits FOR VALUES FROM ('2020-01-01') TO ('2040-01-01');
INSERT INTO visits VALUES (1, '731-42-9685', '2010-05-05'), (2, '264-58-1903', '2024-05-05');
CREATE TABLE base(id int, ssn text);
CREATE TABLE derived(extra int) INHERITS (base);
INSERT INTO derived VALUES (1, '731-42-9685', 7);
CREATE TABLE tagged(id int, ssn text, tag text GENERATED ALWAYS AS ('t-' || ssn) STORED);
INSERT INTO tagged VALUES (1, '731-42-9685');
CREATE TYPE member AS (ssn text, floor int);
CREATE TABLE crew(id int, who member);
INSERT INTO crew VALUES (1, ROW('731-42-9685', 4));
CREATE DOMAIN tax_id AS text;
CREATE TABLE forms(id int, ssn tax_id);
INSERT INTO forms VALUES (1, '731-42-9685');
CREATE TABLE fenced(id int, ssn text, whose text);
INSERT INTO fenced VALUES (1, '731-42-9685', 'a'), (2, '264-58-1903', 'b');
CREATE INDEX people_shout ON people(upper(email));
CREATE SEQUENCE tally;
CREATE FUNCTION peek(int) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = $1';
CREATE FUNCTION peek_definer(int) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT ssn FROM people WHERE id = $1';
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM people WHERE id = 1); RETURN NEW; END $$;
CREATE PROCEDURE announce() LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM people WHERE id = 1); END $$;
CREATE FUNCTION is_fine(text) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM people WHERE id = 1); RETURN true; END $$;
CREATE TABLE bugged(id int, note text);
CREATE TRIGGER bug BEFORE INSERT ON bugged FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TABLE defaulted(id int, note text DEFAULT peek(1));
CREATE TABLE checked(id int, note text CHECK (is_fine(note)));
RESET SESSION AUTHORIZATION;
SELECT setval('tally', 1);
ANALYZE people;
ANALYZE badges;
