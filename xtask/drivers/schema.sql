-- What the drivers' stories work on, in a database with masked columns. The role `app` owns it.
CREATE TABLE drv_types(
    id int PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric(30, 10), t text,
    vc varchar(20), by bytea, d date, ti time, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb,
    ia int4[], ta text[], ip inet);
INSERT INTO drv_types VALUES
    (1, true, -32768, 2147483647, -9223372036854775808, 1.5, 1e300, 12345678901234567890.0123456789, E'a\tb\nc "é" \\ 漢',
     'short', '\x00ff10', '1999-12-31', '23:59:59.123456', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012+00',
     '1 year 2 mons 3 days 04:05:06', '6b29fc40-ca47-1067-b31d-00dd010662da', '{"a": [1, null, "x"]}', '{"k": {"n": 1.50}}',
     '{1,NULL,3}', '{"a,b","c\"d",NULL,""}', '192.0.2.1/24'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL),
    (3, false, 0, 0, 0, 0, 0, 0, '', '', '', '2000-01-01', '00:00', '2000-01-01 00:00', '2000-01-01 00:00+00',
     '0', '00000000-0000-0000-0000-000000000000', 'null', '[]', '{}', '{}', '::1');
CREATE TABLE drv_items(
    id serial PRIMARY KEY, name text NOT NULL UNIQUE, qty int NOT NULL DEFAULT 0 CHECK (qty >= 0), note text);
-- Every column but id and ward is masked for engineers, each in a type of its own.
CREATE TABLE patients(
    id int PRIMARY KEY, ward text, ssn text, born date, seen timestamptz, visits int4, account int8,
    balance numeric(12, 2), score float8, insured bool, token uuid, chart jsonb, scan bytea);
INSERT INTO patients VALUES
    (1, 'north', '123-45-6789', '1984-02-29', '2024-05-06 07:08:09+00', 17, 9007199254740993, 1234.50, 2.5, true,
     '6b29fc40-ca47-1067-b31d-00dd010662da', '{"allergy": "nuts"}', '\x6869'),
    (2, 'south', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE drv_bulk(id int, body text);
ALTER TABLE drv_types OWNER TO app;
ALTER TABLE drv_items OWNER TO app;
ALTER TABLE patients OWNER TO app;
ALTER TABLE drv_bulk OWNER TO app;
