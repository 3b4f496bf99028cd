// What both drivers' stories share: how a story is told, and how values are written.
import { readFileSync } from 'node:fs';

export function show(value) {
  if (value === null || value === undefined) return 'null';
  if (value instanceof Date) return value.toISOString().replace('.000Z', 'Z');
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return `[${value.map(show).join(',')}]`;
  if (typeof value === 'object') return JSON.stringify(value);
  return String(value).replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t');
}

export const tell = (...values) => console.log([values[0], ...values.slice(1).map(show)].join('\t'));

export async function run(stories) {
  for (const [name, story] of Object.entries(stories)) {
    try {
      await story();
    } catch (error) {
      tell(name, 'RAISED', error.code, error.message);
      console.error(error);
      process.exitCode = 1;
    }
  }
  tell('done');
}

export const MASKED = ['ssn', 'born', 'seen', 'visits', 'account', 'balance', 'score', 'insured', 'token', 'chart', 'scan'];
export const HIDDEN = `SELECT id, ward, ${MASKED.join(', ')} FROM patients WHERE id = `;
export const PLAIN = process.env.DRIVER_PLAIN_DATABASE;

// A date has no zone: it is told as the server wrote it.
export const masked = (row) => MASKED.forEach((name) => tell(`masked ${name}`, row[name]));

// `require` of libpq: TLS with whoever it is. `verify-full`: with whom the certificate names.
export function tls() {
  switch (process.env.PGSSLMODE) {
    case undefined: return undefined;
    case 'require': return { rejectUnauthorized: false };
    case 'verify-full': return { rejectUnauthorized: true, ca: readFileSync(process.env.PGSSLROOTCERT, 'utf8') };
    default: throw new Error(`PGSSLMODE ${process.env.PGSSLMODE}`);
  }
}

export const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
