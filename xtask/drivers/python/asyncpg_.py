"""asyncpg: binary throughout, prepares everything, introspects types, resets pooled sessions."""

import asyncio
import datetime
import io
import json

import asyncpg

from story import HIDDEN, PLAIN, masked, run, tell

LOOP = asyncio.new_event_loop()


def told(story):
    return lambda: LOOP.run_until_complete(story())


async def opened():
    made = await asyncpg.connect()
    await made.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    return made


connection = LOOP.run_until_complete(opened())


async def connect():
    settings = connection.get_settings()
    tell("connect", settings.server_encoding, connection.get_server_version().major, settings.client_encoding)
    other = await asyncpg.connect(server_settings={"application_name": "story", "timezone": "UTC"})
    tell("connect set", await other.fetchval("SHOW timezone"))
    await other.close()


async def types():
    for row in await connection.fetch("SELECT * FROM drv_types ORDER BY id"):
        tell("types binary", list(row.values()))
    statement = await connection.prepare("SELECT * FROM drv_types WHERE id = $1")
    tell("types", [(a.name, a.type.name, a.type.oid) for a in statement.get_attributes()],
         [(p.name, p.oid) for p in statement.get_parameters()])
    row = await statement.fetchrow(1)
    marks = "bool int2 int4 int8 float4 float8 numeric text varchar bytea date time timestamp timestamptz interval uuid".split()
    asked = ", ".join(f"${n}::{kind}" for n, kind in enumerate(marks, 1))
    back = await connection.fetchrow(f"SELECT {asked}", *list(row.values())[1:17])
    tell("types round trip", list(back.values()) == list(row.values())[1:17])
    # Its type is not known to the driver, which asks the catalogue for it.
    tell("types introspected", await connection.fetchval("SELECT '(1,2)'::tid"), await connection.fetchval("SELECT 'r'::\"char\""))
    tell("types range", str(await connection.fetchval("SELECT int4range(1, 5)")))
    tell("types composite", await connection.fetchval("SELECT ROW(id, b) FROM drv_types WHERE id = 1"))
    tell("types record", await connection.fetchval("SELECT i FROM drv_items i WHERE name = 'nobody'"))
    tell("types array of composite", await connection.fetchval("SELECT array_agg(i) FROM drv_items i WHERE name = 'nobody'"))


async def prepared():
    statement = await connection.prepare("SELECT $1::int + 1")
    tell("prepared", [await statement.fetchval(n) for n in range(10)])
    for n in range(150):
        await connection.fetchval(f"SELECT $1::int + {n}", n)
    tell("prepared cache", await connection.fetchval("SELECT $1::int + 149", 149))


async def pool():
    async with asyncpg.create_pool(min_size=2, max_size=4, max_inactive_connection_lifetime=0) as made:
        async def once(n):
            async with made.acquire() as one:
                await one.execute("SET statement_timeout = 5000")
                return await one.fetchval("SELECT $1::int * 3", n)
        tell("pool", sum(await asyncio.gather(*(once(n) for n in range(40)))))
        tell("pool reset", await made.fetchval("SHOW statement_timeout"))


async def batch():
    await connection.executemany("INSERT INTO drv_items(name, qty) VALUES ($1, $2)", [(f"many {n}", n) for n in range(200)])
    tell("batch", await connection.fetchval("SELECT sum(qty) FROM drv_items WHERE name LIKE 'many %'"))
    rows = await connection.fetchmany("INSERT INTO drv_items(name, qty) VALUES ($1, $2) RETURNING qty", [("f 1", 1), ("f 2", 2)])
    tell("batch rows", [row[0] for row in rows])
    try:
        await connection.executemany("INSERT INTO drv_items(name, qty) VALUES ($1, $2)", [("e 1", 1), ("e 2", -2), ("e 3", 3)])
    except asyncpg.CheckViolationError as error:
        tell("batch error", error.sqlstate, error.constraint_name)
    tell("batch atomic", await connection.fetchval("SELECT count(*) FROM drv_items WHERE name LIKE 'e %'"))


async def cursor():
    async with connection.transaction():
        total = 0
        async for row in connection.cursor("SELECT g FROM generate_series(1, 5000) g", prefetch=500):
            total += row[0]
        tell("cursor", total)
        made = await connection.cursor("SELECT id, name FROM customers ORDER BY id")
        tell("cursor fetch", [list(row) for row in await made.fetch(2)], await made.forward(1), await made.fetchrow())


async def transactions():
    async with connection.transaction():
        await connection.execute("INSERT INTO drv_items(name, qty) VALUES ('kept', 1)")
        try:
            async with connection.transaction():
                await connection.execute("INSERT INTO drv_items(name) VALUES ('kept')")
        except asyncpg.UniqueViolationError as error:
            tell("savepoint", error.sqlstate, error.constraint_name, error.detail)
    tell("transaction", await connection.fetchval("SELECT qty FROM drv_items WHERE name = 'kept'"))
    async with connection.transaction(isolation="serializable", readonly=True, deferrable=True):
        tell("transaction kind", await connection.fetchval("SHOW transaction_isolation"))
    for text in ("SELECT nothing", "SELECT 1 +", "SELECT 1/0"):
        try:
            await connection.fetch(text)
        except asyncpg.PostgresError as error:
            tell("error", error.sqlstate, type(error).__name__)
    tell("script", await connection.execute("SELECT 1; SELECT 2; UPDATE drv_items SET qty = 1 WHERE name = 'kept'"))


async def copies():
    records = [(f"copied {n}", n, datetime.date(2000, 1, 1).isoformat()) for n in range(1000)]
    tell("copy in", await connection.copy_records_to_table("drv_items", records=records, columns=["name", "qty", "note"]))
    source = io.BytesIO(b"csv 1,1,\ncsv 2,2,x\n")
    tell("copy in csv", await connection.copy_to_table("drv_items", source=source, columns=["name", "qty", "note"], format="csv"))
    for how in ("text", "csv", "binary"):
        out = io.BytesIO()
        done = await connection.copy_from_query("SELECT * FROM drv_types WHERE id < $1 ORDER BY id", 9, output=out, format=how)
        tell("copy out", how, done, out.getvalue())


async def notices():
    plain = await asyncpg.connect(database=PLAIN)
    got = asyncio.Queue()
    await plain.add_listener("story", lambda _, __, channel, payload: got.put_nowait((channel, payload)))
    await plain.execute("NOTIFY story, 'first'")
    tell("notify", await asyncio.wait_for(got.get(), 30))
    await plain.close()


async def cancel():
    # The driver gives up, and sends a CancelRequest of its own. A late one hits nothing else here.
    other = await asyncpg.connect()
    try:
        await other.fetch("SELECT pg_sleep(60)", timeout=1)
    except asyncio.TimeoutError:
        tell("cancel", "timed out")
    await other.close()


async def large():
    rows = await connection.fetch("SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g")
    tell("large", len(rows), sum(len(row[1]) for row in rows))
    tell("large value", len(await connection.fetchval("SELECT repeat('é', 3000000)")))
    tell("large parameter", await connection.fetchval("SELECT length($1::text)", "y" * 3000000))


async def hidden():
    masked(await connection.fetchrow(HIDDEN + "$1", 1))
    statement = await connection.prepare(HIDDEN + "$1")
    masked(await statement.fetchrow(1))
    tell("masked nulls", list((await statement.fetchrow(2)).values()))
    async with connection.transaction():
        async for row in connection.cursor(HIDDEN + "1"):
            masked(row)


run([("connect", told(connect)), ("types", told(types)), ("prepared", told(prepared)), ("pool", told(pool)),
     ("batch", told(batch)), ("cursor", told(cursor)), ("transaction", told(transactions)), ("copy", told(copies)),
     ("notify", told(notices)), ("cancel", told(cancel)), ("large", told(large)), ("masked", told(hidden))])
