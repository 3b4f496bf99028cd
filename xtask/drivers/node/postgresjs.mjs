// postgres.js: pipelines everything, prepares by default, asks the catalogue for array types.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import postgres from 'postgres';

import { HIDDEN, MASKED, PLAIN, masked, run, sleep, tell, tls } from './story.mjs';

const options = {
  host: process.env.PGHOST, port: Number(process.env.PGPORT), user: process.env.PGUSER, pass: process.env.PGPASSWORD, max: 1, onnotice: () => {},
  ssl: process.env.PGSSLMODE === undefined ? false : tls(),
  types: { day: { to: 1082, from: [1082], serialize: String, parse: (text) => text } },
};
const sql = postgres({ ...options, database: process.env.PGDATABASE });

const code = async (asked) => {
  try {
    await asked;
    return 'no error';
  } catch (error) {
    return [error.code, error.severity, error.constraint_name];
  }
};

await run({
  async connect() {
    await sql`SET TIME ZONE 'UTC'`;
    tell('connect', [...await sql`SHOW timezone`], sql.parameters.client_encoding);
  },
  async types() {
    const rows = await sql`SELECT * FROM drv_types ORDER BY id`;
    tell('types fields', rows.columns.map((column) => [column.name, column.type]));
    for (const row of rows) tell('types', Object.values(row));
    const [back] = await sql`SELECT ${[1, 2]}::int[] AS a, ${sql.json({ x: [1] })}::jsonb AS b, ${Buffer.from([0, 255])}::bytea AS c, ${new Date(0)}::timestamptz AS d, ${null}::text AS e`;
    tell('types round trip', Object.values(back));
  },
  async prepared() {
    for (let n = 0; n < 20; n += 1) tell('prepared', [...await sql`SELECT ${n}::int + 1 AS n`]);
    const pool = postgres({ ...options, database: process.env.PGDATABASE, max: 3 });
    const sums = await Promise.all(Array.from({ length: 60 }, (_, n) => pool`SELECT ${n}::int * 2 AS n`));
    tell('prepared pool', sums.reduce((sum, [{ n }]) => sum + n, 0));
    await pool.end();
    const plain = postgres({ ...options, database: process.env.PGDATABASE, prepare: false });
    tell('unprepared', [...await plain`SELECT ${7}::int AS n`]);
    await plain.end();
    const statement = await sql`SELECT ${1}::int AS n, ssn FROM customers`.describe();
    tell('described', statement.types, statement.columns.map((column) => column.name));
  },
  async pipeline() {
    const all = await Promise.all(Array.from({ length: 200 }, (_, n) => sql`SELECT ${n}::int * 2 AS n`));
    tell('pipeline', all.reduce((sum, [{ n }]) => sum + n, 0));
    const mixed = await Promise.allSettled([sql`SELECT 1 AS n`, sql`SELECT 1/0`, sql`SELECT 2 AS n`]);
    tell('pipeline error', mixed.map((one) => one.reason?.code ?? one.value[0].n));
    tell('pipeline script', (await sql.unsafe('SELECT 1 AS a; SELECT 2 AS b').simple()).map((rows) => [...rows]));
  },
  async cursor() {
    let total = 0;
    await sql`SELECT g FROM generate_series(1, 5000) g`.cursor(500, (rows) => rows.forEach(({ g }) => { total += g; }));
    tell('cursor', total);
    for await (const rows of sql`SELECT id, name FROM customers ORDER BY id`.cursor(2)) {
      tell('cursor closed early', [...rows]);
      break;
    }
    let each = 0;
    await sql`SELECT g FROM generate_series(1, 1000) g`.forEach(({ g }) => { each += g; });
    tell('each', each);
  },
  async transaction() {
    await sql.begin(async (tx) => {
      await tx`INSERT INTO drv_items ${tx([{ name: 'kept', qty: 1 }, { name: 'too', qty: 2 }])}`;
      tell('savepoint', await code(tx.savepoint((sp) => sp`INSERT INTO drv_items(name, qty) VALUES ('lost', -1)`)));
    });
    tell('transaction', [...await sql`SELECT name, qty FROM drv_items ORDER BY id`]);
    tell('rolled back', await code(sql.begin(async (tx) => {
      await tx`UPDATE drv_items SET qty = 9 WHERE name = 'kept'`;
      await tx`SELECT 1/0`;
    })));
    tell('rolled back', [...await sql`SELECT qty FROM drv_items WHERE name = 'kept'`]);
    for (const text of ['SELECT nothing', 'SELECT 1 +', 'SELECT * FROM nowhere', "SELECT 'x'::int"]) tell('error', await code(sql.unsafe(text)));
  },
  async copy() {
    const rows = Array.from({ length: 1000 }, (_, n) => `copied ${n}\t${n}\n`);
    await pipeline(Readable.from(rows), await sql`COPY drv_items(name, qty) FROM STDIN`.writable());
    tell('copy in', [...await sql`SELECT count(*), sum(qty) FROM drv_items WHERE name LIKE 'copied%'`]);
    const parts = [];
    for await (const part of await sql`COPY drv_types TO STDOUT`.readable()) parts.push(part);
    tell('copy out', Buffer.concat(parts));
  },
  async notify() {
    const plain = postgres({ ...options, database: PLAIN });
    let heard;
    const told = new Promise((resolve) => { heard = resolve; });
    await plain.listen('story', heard);
    await plain.notify('story', 'first');
    tell('notify', await told);
    await plain.end();
  },
  async cancel() {
    const other = postgres({ ...options, database: process.env.PGDATABASE });
    const slow = other`SELECT pg_sleep(60)`;
    let over = false;
    const ended = code(slow).then((told) => { over = true; return told; });
    // One that comes too early hits nothing: ask until it is over.
    while (!over) {
      await sleep(100);
      slow.cancelled = null;
      slow.cancel();
    }
    tell('cancel', await ended);
    await other.end();
  },
  async large() {
    let [rows, size] = [0, 0];
    await sql`SELECT g, repeat('x', 200) AS x FROM generate_series(1, 20000) g`.cursor(1000, (part) => { rows += part.length; part.forEach(({ x }) => { size += x.length; }); });
    tell('large', rows, size);
    tell('large value', (await sql`SELECT repeat('é', 3000000) AS x`)[0].x.length);
    tell('large parameter', [...await sql`SELECT length(${'y'.repeat(3000000)}::text)`]);
  },
  async hidden() {
    masked((await sql`SELECT ${sql(MASKED)} FROM patients WHERE id = ${1}`)[0]);
    masked((await sql.unsafe(`${HIDDEN}1`))[0]);
    await sql.unsafe(`${HIDDEN}1`).cursor(1, ([row]) => masked(row));
    const pair = await Promise.all([sql.unsafe(`${HIDDEN}$1`, [1], { prepare: true }), sql.unsafe(`${HIDDEN}$1`, [1], { prepare: true })]);
    for (const [row] of pair) masked(row);
    tell('masked nulls', Object.values((await sql.unsafe(`${HIDDEN}2`))[0]));
    tell('masked raw', (await sql`SELECT ssn FROM patients WHERE id = 1`.values())[0]);
  },
});
await sql.end();
