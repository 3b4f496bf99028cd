// node-postgres, with its cursors, streams and COPY.
import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import pg from 'pg';
import Cursor from 'pg-cursor';
import QueryStream from 'pg-query-stream';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';

import { HIDDEN, PLAIN, masked, run, sleep, tell, tls } from './story.mjs';

pg.types.setTypeParser(pg.types.builtins.DATE, (text) => text);
const options = { ssl: tls() ?? false };
const client = new pg.Client(options);

const code = async (asked) => {
  try {
    await asked;
    return 'no error';
  } catch (error) {
    return [error.code, error.severity, error.constraint];
  }
};

await run({
  async connect() {
    await client.connect();
    await client.query("SET TIME ZONE 'UTC'");
    tell('connect', (await client.query('SHOW timezone')).rows);
    const other = new pg.Client({ ...options, application_name: 'story', statement_timeout: 60000, options: '-c work_mem=8MB' });
    await other.connect();
    tell('connect options', (await other.query('SHOW statement_timeout')).rows, (await other.query('SHOW work_mem')).rows);
    await other.end();
  },
  async types() {
    const text = await client.query('SELECT * FROM drv_types ORDER BY id');
    tell('types fields', text.fields.map((field) => [field.name, field.dataTypeID, field.columnID, field.format]));
    for (const row of text.rows) tell('types text', Object.values(row));
    // The driver decodes only some types in binary.
    const binary = await client.query({ text: 'SELECT id, b, i2, i4, i8, f8, n, t, by FROM drv_types ORDER BY id', binary: true });
    for (const row of binary.rows) tell('types binary', Object.values(row));
    const back = await client.query('SELECT $1::int[] a, $2::jsonb b, $3::bytea c, $4::timestamptz d, $5::text e',
      [[1, null], { x: [1] }, Buffer.from([0, 255]), new Date(0), null]);
    tell('types round trip', Object.values(back.rows[0]));
  },
  async prepared() {
    for (let n = 0; n < 20; n += 1) {
      const { rows } = await client.query({ name: 'plus', text: 'SELECT $1::int + 1 AS n', values: [n] });
      tell('prepared', rows);
    }
    const pool = new pg.Pool({ ...options, max: 3 });
    const sums = await Promise.all(Array.from({ length: 60 }, (_, n) => pool.query({ name: 'sum', text: 'SELECT $1::int * 2 AS n', values: [n] })));
    tell('prepared pool', sums.reduce((sum, { rows }) => sum + rows[0].n, 0));
    await pool.end();
  },
  async pipeline() {
    const all = await Promise.all(Array.from({ length: 50 }, (_, n) => client.query('SELECT $1::int * 2 AS n', [n])));
    tell('pipeline', all.reduce((sum, { rows }) => sum + rows[0].n, 0));
    const several = await client.query('SELECT 1 AS a; SELECT 2 AS b; UPDATE drv_items SET qty = 0 WHERE id = 0');
    tell('pipeline script', several.map((one) => [one.command, one.rowCount, one.rows]));
  },
  async cursor() {
    const cursor = client.query(new Cursor('SELECT g FROM generate_series(1, $1::int) g', [5000]));
    let total = 0;
    for (let rows = await cursor.read(500); rows.length > 0; rows = await cursor.read(500)) rows.forEach(({ g }) => { total += g; });
    tell('cursor', total);
    const early = client.query(new Cursor('SELECT id, name FROM customers ORDER BY id'));
    tell('cursor closed early', await early.read(2));
    await early.close();
    let streamed = 0;
    for await (const { g } of client.query(new QueryStream('SELECT g FROM generate_series(1, 3000) g', [], { batchSize: 100 }))) streamed += g;
    tell('stream', streamed);
  },
  async transaction() {
    await client.query('BEGIN');
    await client.query("INSERT INTO drv_items(name, qty) VALUES ('kept', 1)");
    await client.query('SAVEPOINT a');
    tell('savepoint', await code(client.query('INSERT INTO drv_items(name, qty) VALUES ($1, $2)', ['lost', -1])));
    tell('aborted', await code(client.query('SELECT 1')));
    await client.query('ROLLBACK TO SAVEPOINT a');
    await client.query('COMMIT');
    tell('transaction', (await client.query('SELECT name, qty FROM drv_items ORDER BY id')).rows);
    for (const text of ['SELECT nothing', 'SELECT 1 +', 'SELECT 1/0', 'SELECT * FROM nowhere', "SELECT 'x'::int"]) tell('error', await code(client.query(text)));
  },
  async copy() {
    const rows = Array.from({ length: 1000 }, (_, n) => `copied ${n}\t${n}\t${n % 2 ? '\\N' : 'é\\t'}\n`);
    const into = client.query(copyFrom('COPY drv_items(name, qty, note) FROM STDIN'));
    await pipeline(Readable.from(rows), into);
    tell('copy in', into.rowCount);
    const broken = client.query(copyFrom('COPY drv_items(name, qty) FROM STDIN'));
    tell('copy error', await code(pipeline(Readable.from(['a\tno number\n']), broken)));
    for (const how of ['', '(FORMAT csv, HEADER)', '(FORMAT binary)']) {
      const parts = [];
      await pipeline(client.query(copyTo(`COPY drv_types TO STDOUT ${how}`)), new Writable({ write(part, _, done) { parts.push(part); done(); } }));
      tell('copy out', how, Buffer.concat(parts));
    }
  },
  async notify() {
    const plain = new pg.Client({ ...options, database: PLAIN });
    await plain.connect();
    await plain.query('LISTEN story');
    const heard = once(plain, 'notification');
    await plain.query("NOTIFY story, 'first'");
    const [{ channel, payload }] = await heard;
    tell('notify', channel, payload);
    await plain.end();
  },
  async cancel() {
    const other = new pg.Client(options);
    await other.connect();
    const slow = code(other.query('SELECT pg_sleep(60)'));
    let over = false;
    slow.then(() => { over = true; });
    while (!over) {
      // What `client.cancel` of the driver does: a connection of its own that says one thing.
      const killer = new pg.Connection({ ssl: options.ssl });
      if (options.ssl) killer.once('connect', () => killer.requestSsl());
      killer.connect(Number(process.env.PGPORT), process.env.PGHOST);
      await once(killer, options.ssl ? 'sslconnect' : 'connect');
      killer.cancel(other.processID, other.secretKey);
      await once(killer, 'end');
      await sleep(50);
    }
    tell('cancel', await slow);
    await other.end();
  },
  async large() {
    const { rows } = await client.query("SELECT g, repeat('x', 200) AS x FROM generate_series(1, 20000) g");
    tell('large', rows.length, rows.reduce((sum, { x }) => sum + x.length, 0));
    tell('large value', (await client.query("SELECT repeat('é', 3000000) AS x")).rows[0].x.length);
    tell('large parameter', (await client.query('SELECT length($1::text)', ['y'.repeat(3000000)])).rows);
  },
  async hidden() {
    masked((await client.query(`${HIDDEN}1`)).rows[0]);
    masked((await client.query(`${HIDDEN}$1`, [1])).rows[0]);
    masked((await client.query({ name: 'hidden', text: `${HIDDEN}$1`, values: [1] })).rows[0]);
    const cursor = client.query(new Cursor(`${HIDDEN}$1`, [1]));
    masked((await cursor.read(1))[0]);
    await cursor.close();
    tell('masked nulls', Object.values((await client.query(`${HIDDEN}2`)).rows[0]));
    const binary = await client.query({ text: 'SELECT ssn, visits, account, score, insured FROM patients WHERE id = $1', values: [1], binary: true });
    for (const [name, value] of Object.entries(binary.rows[0])) tell(`masked ${name}`, value);
  },
});
await client.end();
