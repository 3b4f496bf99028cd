"""psycopg 3, on libpq."""

import threading

import psycopg
from psycopg.rows import dict_row

from story import HIDDEN, PLAIN, masked, run, show, tell

connection = psycopg.connect(autocommit=True)


def connect():
    info = connection.info
    tell("connect", info.dbname, info.encoding, info.server_version, info.parameter_status("TimeZone"))
    with psycopg.connect(application_name="story", options="-c statement_timeout=60000") as other:
        tell("connect options", other.execute("SHOW statement_timeout").fetchone())
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
        tell("connect set", cursor.statusmessage, connection.info.parameter_status("TimeZone"))


def types():
    for binary in (False, True):
        name = "types binary" if binary else "types text"
        cursor = connection.execute("SELECT * FROM drv_types ORDER BY id", binary=binary)
        tell(name, [(column.name, column.type_code) for column in cursor.description])
        for row in cursor:
            tell(name, row)
    row = connection.execute("SELECT * FROM drv_types WHERE id = 1", binary=True).fetchone()
    names = "b i2 i4 i8 f4 f8 n t vc by d ti ts tz iv u".split()
    marks = ", ".join(f"%b::{kind}" for kind in
                      "bool int2 int4 int8 float4 float8 numeric text varchar bytea date time timestamp timestamptz interval uuid".split())
    back = connection.execute(f"SELECT {marks}", row[1:17], binary=True).fetchone()
    tell("types round trip", [name for name, a, b in zip(names, row[1:17], back) if a != b])


def prepared():
    for round_ in range(12):
        row = connection.execute("SELECT %s::int + 1, %s::text", [round_, "x" * round_], prepare=True).fetchone()
        tell("prepared", row)
    connection.execute("DEALLOCATE ALL")
    tell("prepared again", connection.execute("SELECT %s::int + 1", [1], prepare=True).fetchone())
    connection.execute("PREPARE own(int) AS SELECT name FROM customers WHERE id = $1")
    tell("prepared SQL", connection.execute("EXECUTE own(2)").fetchone())
    connection.execute("DEALLOCATE own")


def pipeline():
    with connection.pipeline() as pipe:
        cursors = [connection.execute("SELECT %s::int * 2", [n]) for n in range(50)]
        pipe.sync()
        tell("pipeline", sum(cursor.fetchone()[0] for cursor in cursors))
    try:
        with connection.pipeline():
            first = connection.execute("SELECT 1")
            connection.execute("SELECT 1 / 0")
            connection.execute("SELECT 2")
    except psycopg.Error as error:
        tell("pipeline error", error.sqlstate, first.fetchone())
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO drv_items(name, qty) VALUES (%s, %s) RETURNING qty",
                           [(f"many {n}", n) for n in range(20)], returning=True)
        total = cursor.fetchone()[0]
        while cursor.nextset():
            total += cursor.fetchone()[0]
        tell("pipeline executemany", total)


def cursors():
    with connection.transaction(), connection.cursor("named") as cursor:
        cursor.itersize = 500
        cursor.execute("SELECT g FROM generate_series(1, 5000) g")
        tell("cursor", sum(row[0] for row in cursor))
    with connection.transaction(), connection.cursor("back", scrollable=True) as cursor:
        cursor.execute("SELECT id, name FROM customers ORDER BY id")
        cursor.scroll(2)
        tell("cursor scroll", cursor.fetchone())
        cursor.scroll(0, mode="absolute")
        tell("cursor scroll", cursor.fetchmany(2))


def transactions():
    with connection.transaction():
        connection.execute("INSERT INTO drv_items(name, qty) VALUES ('kept', 1)")
        try:
            with connection.transaction():
                connection.execute("INSERT INTO drv_items(name, qty) VALUES ('lost', -1)")
        except psycopg.errors.CheckViolation as error:
            tell("savepoint", error.sqlstate, error.diag.constraint_name, error.diag.table_name, error.diag.message_primary)
        tell("savepoint status", connection.info.transaction_status)
    tell("transaction", connection.execute("SELECT name FROM drv_items WHERE qty = 1 ORDER BY name").fetchall())
    try:
        with connection.transaction():
            connection.execute("SELECT nothing FROM nowhere")
    except psycopg.errors.UndefinedTable as error:
        tell("error", error.sqlstate, error.diag.severity)
    try:
        connection.execute("SELECT nothing FROM drv_items")
    except psycopg.errors.UndefinedColumn as error:
        tell("error position", error.sqlstate, error.diag.message_primary, error.diag.statement_position)
    with connection.transaction(force_rollback=True):
        connection.execute("UPDATE drv_items SET qty = qty + 1 WHERE name = 'kept'")
    tell("rolled back", connection.execute("SELECT qty FROM drv_items WHERE name = 'kept'").fetchone())


def copies():
    with connection.cursor() as cursor:
        with cursor.copy("COPY drv_items(name, qty, note) FROM STDIN") as copy:
            for n in range(1000):
                copy.write_row((f"copied {n}", n, None if n % 2 else "a\tb\\"))
        tell("copy in", cursor.statusmessage)
        with cursor.copy("COPY drv_items(name, qty, note) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["text", "int4", "text"])
            for n in range(100):
                copy.write_row((f"binary {n}", n, "é"))
        tell("copy in binary", cursor.statusmessage)
        try:
            with cursor.copy("COPY drv_items(name, qty) FROM STDIN") as copy:
                copy.write("no number\tx\n")
        except psycopg.Error as error:
            tell("copy error", error.sqlstate)
        for how in ("", "(FORMAT csv, HEADER)", "(FORMAT binary)"):
            size = 0
            with cursor.copy(f"COPY (SELECT name, qty, note FROM drv_items ORDER BY id) TO STDOUT {how}") as copy:
                for data in copy:
                    size += len(data)
            tell("copy out", how, size)
        with cursor.copy("COPY drv_types TO STDOUT") as copy:
            tell("copy out rows", b"".join(bytes(data) for data in copy))


def notices():
    with psycopg.connect(dbname=PLAIN, autocommit=True) as plain:
        plain.execute("LISTEN story")
        plain.execute("NOTIFY story, 'first'")
        plain.execute("SELECT pg_notify('story', 'second')")
        got = [(note.channel, note.payload) for note in plain.notifies(timeout=30, stop_after=2)]
        tell("notify", got)
        plain.execute("UNLISTEN *")


def cancel():
    # On a connection of its own: a cancel that is late must not hit another story.
    other = psycopg.connect(autocommit=True)
    over = threading.Event()

    def again():
        while not over.wait(0.05):
            other.cancel()

    asker = threading.Thread(target=again)
    asker.start()
    try:
        other.execute("SELECT pg_sleep(60)")
        tell("cancel", "slept")
    except psycopg.errors.QueryCanceled as error:
        tell("cancel", error.sqlstate)
    finally:
        over.set()
        asker.join()
        other.close()


def large():
    with connection.cursor() as cursor:
        rows = size = 0
        for row in cursor.stream("SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g"):
            rows += 1
            size += len(row[1])
        tell("large", rows, size)
    tell("large value", len(connection.execute("SELECT repeat('é', 3000000)").fetchone()[0]))
    tell("large parameter", connection.execute("SELECT length(%s::text)", ["y" * 3000000]).fetchone())


def hidden():
    for binary in (False, True):
        with connection.cursor(row_factory=dict_row, binary=binary) as cursor:
            masked(cursor.execute(HIDDEN + "%s", [1]).fetchone())
            tell("masked nulls", list(cursor.execute(HIDDEN + "%s", [2]).fetchone().values()))
    with connection.transaction(), connection.cursor("hidden", row_factory=dict_row) as cursor:
        masked(cursor.execute(HIDDEN + "1").fetchone())
    with connection.pipeline(), connection.cursor(row_factory=dict_row) as cursor:
        masked(cursor.execute(HIDDEN + "%s", [1]).fetchone())


run([("connect", connect), ("types", types), ("prepared", prepared), ("pipeline", pipeline), ("cursor", cursors),
     ("transaction", transactions), ("copy", copies), ("notify", notices), ("cancel", cancel), ("large", large),
     ("masked", hidden)])
