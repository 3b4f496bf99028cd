//! The cases that only a client of its own can play: what one message makes of another.

use std::time::Duration;

use anyhow::{Context, Result};

use super::case::Shows;
use super::play::Room;
use super::wire::{bind, close, describe, execute, flush, frame, parse, query, sync};

/// One conversation.
pub(super) struct Move {
    /// Its name, unique.
    pub name: &'static str,
    /// How it shows.
    pub shows: Shows,
    /// Only this role plays it.
    pub role: Option<&'static str>,
    /// The session need not begin: to refuse it is right.
    pub may_be_shut_out: bool,
    /// Plays it.
    pub play: fn(&mut Room<'_>) -> Result<()>,
}

const fn value(name: &'static str, play: fn(&mut Room<'_>) -> Result<()>) -> Move {
    Move {
        name,
        shows: Shows::Value,
        role: None,
        may_be_shut_out: false,
        play,
    }
}

const fn root(name: &'static str, play: fn(&mut Room<'_>) -> Result<()>) -> Move {
    Move {
        role: Some("root"),
        ..value(name, play)
    }
}

const fn shut(
    name: &'static str,
    role: Option<&'static str>,
    play: fn(&mut Room<'_>) -> Result<()>,
) -> Move {
    Move {
        role,
        may_be_shut_out: true,
        ..value(name, play)
    }
}

const SECRET: &str = "SELECT ssn FROM people WHERE id = 1";
const NUMBER: &str = "SELECT badge FROM people WHERE id = 1";
const PLAIN: &str = "SELECT notes FROM people WHERE id = 1";
const REPLACE: &str = "CREATE OR REPLACE VIEW innocent AS SELECT id, ssn AS word FROM people";
const INNOCENT: &str = "SELECT word FROM innocent WHERE id = 1";

/// How long a message of another session may take to arrive.
const PATIENCE: Duration = Duration::from_millis(500);

/// All of them.
pub(super) const MOVES: &[Move] = &[
    value("execute without a description", |room| {
        room.open()?
            .pipeline(&[parse("", SECRET), bind("", "", &[], &[]), execute("", 0)])
    }),
    value("text in binary", |room| {
        room.open()?
            .pipeline(&[parse("", SECRET), bind("", "", &[], &[1]), execute("", 0)])
    }),
    value("a number in binary", |room| {
        room.open()?
            .pipeline(&[parse("", NUMBER), bind("", "", &[], &[1]), execute("", 0)])
    }),
    value("every type in binary", |room| {
        let text =
            "SELECT ssn, email, badge, born, pay, photo, marks, doc FROM people WHERE id = 1";
        room.open()?.pipeline(&[
            parse("", text),
            bind("", "", &[], &[1]),
            describe(b'P', ""),
            execute("", 0),
        ])
    }),
    value("an expression in binary", |room| {
        let text = "SELECT replace(ssn, '-', '')::int8 FROM people WHERE id = 1";
        room.open()?
            .pipeline(&[parse("", text), bind("", "", &[], &[1]), execute("", 0)])
    }),
    value("a composite in binary", |room| {
        room.open()?.pipeline(&[
            parse("", "SELECT who FROM crew"),
            bind("", "", &[], &[1]),
            execute("", 0),
        ])
    }),
    value("described as text, bound as binary", |room| {
        let wire = room.open()?;
        wire.pipeline(&[parse("s", NUMBER), describe(b'S', "s")])?;
        wire.pipeline(&[bind("", "s", &[], &[1]), execute("", 0)])
    }),
    value("formats column by column", |room| {
        let text = "SELECT id, badge, ssn FROM people WHERE id = 1";
        room.open()?.pipeline(&[
            parse("", text),
            bind("", "", &[], &[0, 1, 0]),
            execute("", 0),
        ])
    }),
    value("a portal suspended and resumed", |room| {
        let text = "SELECT ssn FROM people ORDER BY id DESC";
        let more = [
            parse("", text),
            bind("p", "", &[], &[]),
            execute("p", 1),
            execute("p", 1),
            execute("p", 0),
        ];
        room.open()?.pipeline(&more)
    }),
    value("a portal resumed by FETCH", |room| {
        let wire = room.open()?;
        wire.query("BEGIN")?;
        wire.pipeline(&[parse("", SECRET), bind("p", "", &[], &[])])?;
        wire.query("FETCH ALL FROM p")
    }),
    value("a cursor run as a portal", |room| {
        let wire = room.open()?;
        wire.query("BEGIN")?;
        wire.query(format!("DECLARE c CURSOR FOR {SECRET}"))?;
        wire.pipeline(&[execute("c", 0)])
    }),
    value("a cursor described and run as a portal, in parts", |room| {
        let wire = room.open()?;
        wire.query("BEGIN")?;
        wire.query("DECLARE c CURSOR FOR SELECT email FROM people ORDER BY id")?;
        wire.pipeline(&[describe(b'P', "c"), execute("c", 1), execute("c", 1)])
    }),
    value("PREPARE, then Bind", |room| {
        let wire = room.open()?;
        wire.query(format!("PREPARE s AS {SECRET}"))?;
        wire.pipeline(&[bind("", "s", &[], &[]), execute("", 0)])
    }),
    value("Parse, then EXECUTE", |room| {
        let wire = room.open()?;
        wire.pipeline(&[parse("s", SECRET)])?;
        wire.query("EXECUTE s")
    }),
    value("Parse, then EXECUTE as a portal", |room| {
        let wire = room.open()?;
        wire.pipeline(&[parse("s", SECRET)])?;
        wire.pipeline(&[
            parse("", "EXECUTE s"),
            bind("", "", &[], &[1]),
            execute("", 0),
        ])
    }),
    value("a second Parse that fails", |room| {
        let wire = room.open()?;
        wire.pipeline(&[parse("s", SECRET)])?;
        wire.pipeline(&[parse("s", PLAIN)])?;
        wire.pipeline(&[bind("", "s", &[], &[]), execute("", 0)])
    }),
    value("a second PREPARE that fails", |room| {
        let wire = room.open()?;
        wire.pipeline(&[parse("s", SECRET)])?;
        wire.query(format!("PREPARE s AS {PLAIN}"))?;
        wire.query("EXECUTE s")
    }),
    value("Close and Parse behind an error", |room| {
        let wire = room.open()?;
        wire.pipeline(&[parse("s", SECRET)])?;
        wire.pipeline(&[
            parse("x", "SELECT nosuch"),
            close(b'S', "s"),
            parse("s", PLAIN),
        ])?;
        wire.pipeline(&[bind("", "s", &[], &[]), execute("", 0)])
    }),
    value("Close and Parse behind an error at run time", |room| {
        let wire = room.open()?;
        wire.pipeline(&[
            parse("s", SECRET),
            parse("e", "SELECT 1 / (id - 1) FROM plain"),
        ])?;
        let dead = [
            bind("", "e", &[], &[]),
            execute("", 0),
            close(b'S', "s"),
            parse("s", PLAIN),
        ];
        wire.pipeline(&dead)?;
        wire.pipeline(&[bind("", "s", &[], &[]), execute("", 0)])
    }),
    value("DEALLOCATE behind an error", |room| {
        let wire = room.open()?;
        wire.pipeline(&[parse("s", SECRET)])?;
        wire.query("SELECT 1 / 0; DEALLOCATE s")?;
        wire.pipeline(&[parse("s", PLAIN)])?;
        wire.pipeline(&[bind("", "s", &[], &[]), execute("", 0)])
    }),
    value("DEALLOCATE rolled back", |room| {
        let wire = room.open()?;
        wire.pipeline(&[parse("s", PLAIN)])?;
        wire.query("BEGIN; DEALLOCATE s; ROLLBACK")?;
        wire.pipeline(&[parse("s", SECRET)])?;
        wire.pipeline(&[bind("", "s", &[], &[]), execute("", 0)])
    }),
    value("the unnamed statement replaced beneath a portal", |room| {
        let more = [
            parse("", SECRET),
            bind("p", "", &[], &[]),
            parse("", PLAIN),
            execute("p", 0),
        ];
        room.open()?.pipeline(&more)
    }),
    value("the unnamed portal replaced", |room| {
        let wire = room.open()?;
        wire.pipeline(&[parse("a", PLAIN), parse("b", SECRET)])?;
        wire.pipeline(&[
            bind("", "a", &[], &[]),
            describe(b'P', ""),
            bind("", "b", &[], &[]),
            execute("", 0),
        ])
    }),
    value("a named portal that is not replaced", |room| {
        let wire = room.open()?;
        wire.query("BEGIN")?;
        wire.pipeline(&[parse("a", SECRET), parse("b", PLAIN)])?;
        wire.send(&[bind("p", "a", &[], &[]), flush()].concat());
        wire.until(b'2')?;
        wire.query("SAVEPOINT s")?;
        wire.pipeline(&[bind("p", "b", &[], &[])])?;
        wire.query("ROLLBACK TO s")?;
        wire.pipeline(&[execute("p", 0)])
    }),
    value("search_path changed between Describe and Execute", |room| {
        let wire = room.open()?;
        wire.pipeline(&[
            parse("s", "SELECT code FROM ledger WHERE id = 1"),
            describe(b'S', "s"),
        ])?;
        wire.query("SET search_path = shadow")?;
        wire.pipeline(&[bind("", "s", &[], &[]), execute("", 0)])
    }),
    value("search_path changed inside one pipeline", |room| {
        let more = [
            parse("", "SELECT set_config('search_path', 'shadow', false)"),
            bind("", "", &[], &[]),
            execute("", 0),
            parse("", "SELECT code FROM ledger WHERE id = 1"),
            bind("", "", &[], &[]),
            execute("", 0),
        ];
        room.open()?.pipeline(&more)
    }),
    value("search_path changed between Bind and Execute", |room| {
        let more = [
            parse("a", "SET search_path = shadow"),
            parse("b", "SELECT code FROM ledger WHERE id = 1"),
            bind("a", "a", &[], &[]),
            execute("a", 0),
            bind("b", "b", &[], &[]),
            execute("b", 0),
        ];
        room.open()?.pipeline(&more)
    }),
    value("a view replaced after Describe", |room| {
        let wire = room.open()?;
        wire.pipeline(&[parse("s", INNOCENT), describe(b'S', "s")])?;
        wire.query(REPLACE)?;
        wire.pipeline(&[bind("", "s", &[], &[]), execute("", 0)])
    }),
    value("a view replaced inside one pipeline", |room| {
        let more = [
            parse("s", INNOCENT),
            parse("", REPLACE),
            bind("", "", &[], &[]),
            execute("", 0),
            bind("", "s", &[], &[]),
            execute("", 0),
        ];
        room.open()?.pipeline(&more)
    }),
    value("names swapped after Describe", |room| {
        let wire = room.open()?;
        wire.pipeline(&[
            parse("s", "SELECT notes AS n FROM people WHERE id = 1"),
            describe(b'S', "s"),
        ])?;
        for text in [
            "RENAME ssn TO tmp",
            "RENAME notes TO ssn",
            "RENAME tmp TO notes",
        ] {
            wire.query(format!("ALTER TABLE people {text}"))?;
        }
        wire.pipeline(&[bind("", "s", &[], &[]), execute("", 0)])
    }),
    value("a view replaced by another session", |room| {
        room.open()?.pipeline(&[
            parse("s", INNOCENT),
            describe(b'S', "s"),
            bind("", "s", &[], &[]),
            execute("", 0),
        ])?;
        room.open()?.query(REPLACE)?;
        room.wire(0)?
            .pipeline(&[bind("", "s", &[], &[]), execute("", 0)])
    }),
    value(
        "a view replaced by another session while a query waits for it",
        |room| {
            room.open()?.query(INNOCENT)?;
            let other = room.open()?;
            other.query("BEGIN")?;
            other.query(REPLACE)?;
            room.wire(0)?.send(&query(INNOCENT));
            room.wire(0)?.listen(PATIENCE)?;
            room.wire(1)?.query("COMMIT")?;
            room.wire(0)?.query("SELECT 1")?;
            room.wire(0)?.listen(PATIENCE)
        },
    ),
    value(
        "a view replaced by another session while an Execute waits for it",
        |room| {
            let wire = room.open()?;
            wire.pipeline(&[
                parse("s", INNOCENT),
                bind("", "s", &[], &[]),
                execute("", 0),
            ])?;
            let other = room.open()?;
            other.query("BEGIN")?;
            other.query(REPLACE)?;
            room.wire(0)?
                .send(&[bind("", "s", &[], &[]), execute("", 0), sync()].concat());
            room.wire(0)?.listen(PATIENCE)?;
            room.wire(1)?.query("COMMIT")?;
            room.wire(0)?.query("SELECT 1")?;
            room.wire(0)?.listen(PATIENCE)
        },
    ),
    value(
        "a trigger made by another session while an INSERT waits",
        |room| {
            room.open()?.query("INSERT INTO plain VALUES (5, 'x')")?;
            let other = room.open()?;
            other.query("BEGIN")?;
            other.query(
                "CREATE TRIGGER t BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION tell()",
            )?;
            room.wire(0)?
                .send(&query("INSERT INTO plain VALUES (6, 'x')"));
            room.wire(0)?.listen(PATIENCE)?;
            room.wire(1)?.query("COMMIT")?;
            room.wire(0)?.query("SELECT 1")?;
            room.wire(0)?.listen(PATIENCE)
        },
    ),
    value(
        "a child made by another session while a query waits",
        |room| {
            let wire = room.open()?;
            wire.query("CREATE TABLE parent(id int, ssn text)")?;
            wire.query("SELECT ssn FROM parent")?;
            let other = room.open()?;
            other.query("BEGIN")?;
            other.query("LOCK TABLE parent")?;
            other.query("ALTER TABLE derived INHERIT parent")?;
            room.wire(0)?.send(&query("SELECT ssn FROM parent"));
            room.wire(0)?.listen(PATIENCE)?;
            room.wire(1)?.query("COMMIT")?;
            room.wire(0)?.query("SELECT 1")?;
            room.wire(0)?.listen(PATIENCE)
        },
    ),
    value("several statements in one Query", |room| {
        room.open()?.query(format!("SELECT 1; {SECRET}; SELECT 2"))
    }),
    value("a Query inside a pipeline", |room| {
        let wire = room.open()?;
        wire.send(
            &[
                parse("", "SELECT 1"),
                bind("", "", &[], &[]),
                describe(b'P', ""),
                query(SECRET),
            ]
            .concat(),
        );
        wire.settle()
    }),
    value("a Query behind an unfinished Execute", |room| {
        let wire = room.open()?;
        wire.send(
            &[
                parse("", PLAIN),
                bind("", "", &[], &[]),
                execute("", 0),
                query(SECRET),
                sync(),
            ]
            .concat(),
        );
        wire.settle()?;
        wire.settle()
    }),
    value("rows before any Sync", |room| {
        let wire = room.open()?;
        wire.send(
            &[
                parse("", SECRET),
                bind("", "", &[], &[]),
                execute("", 0),
                flush(),
            ]
            .concat(),
        );
        wire.until(b'C')
    }),
    value("Flush behind each message", |room| {
        let wire = room.open()?;
        for message in [
            parse("", NUMBER),
            bind("", "", &[], &[1]),
            describe(b'P', ""),
            execute("", 0),
        ] {
            wire.send(&[message, flush()].concat());
        }
        wire.until(b'C')
    }),
    value("many Executes of one portal in one pipeline", |room| {
        let mut more = vec![
            parse("", "SELECT ssn FROM people ORDER BY id"),
            bind("p", "", &[], &[]),
        ];
        more.extend(std::iter::repeat_n(execute("p", 1), 5));
        room.open()?.pipeline(&more)
    }),
    value("one byte at a time", |room| {
        let wire = room.open()?;
        let all = [
            parse("", SECRET),
            bind("", "", &[], &[]),
            execute("", 0),
            sync(),
        ]
        .concat();
        for byte in all {
            wire.send(&[byte]);
        }
        wire.settle()
    }),
    value("a parameter in a condition", |room| {
        let text = "SELECT ssn FROM people WHERE id = $1";
        room.open()?
            .pipeline(&[parse("", text), bind("", "", &[b"1"], &[]), execute("", 0)])
    }),
    value("a parameter of a composite type that is cast", |room| {
        let wire = room.open()?;
        wire.query("CREATE TYPE ct AS (a text)")?;
        wire.query("CREATE FUNCTION f(ct) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM people WHERE id = 1'")?;
        wire.query("CREATE CAST (ct AS text) WITH FUNCTION f(ct) AS IMPLICIT")?;
        let oid = room.oid("SELECT 'ct'::regtype::oid")?;
        let mut message = parse("", "SELECT upper($1)");
        let at = message.len() - 2;
        message.splice(at.., [0, 1].into_iter().chain(oid.to_be_bytes()));
        let length = u32::try_from(message.len() - 1).context("length")?;
        message.splice(1..5, length.to_be_bytes());
        room.wire(0)?
            .pipeline(&[message, bind("", "", &[b"(a)"], &[]), execute("", 0)])
    }),
    value("COPY through the extended protocol", |room| {
        room.open()?.pipeline(&[
            parse("", format!("COPY ({SECRET}) TO STDOUT")),
            bind("", "", &[], &[]),
            execute("", 0),
        ])
    }),
    value("COPY in binary through the extended protocol", |room| {
        let text = "COPY people TO STDOUT (FORMAT binary)";
        room.open()?
            .pipeline(&[parse("", text), bind("", "", &[], &[1]), execute("", 0)])
    }),
    value("a Query during COPY IN", |room| {
        let wire = room.open()?;
        wire.send(&query("COPY plain FROM STDIN"));
        wire.until(b'G')?;
        wire.send(&[frame(b'c', b""), query(SECRET)].concat());
        wire.settle()?;
        wire.settle()
    }),
    value("a Query behind a COPY IN that failed", |room| {
        let wire = room.open()?;
        wire.send(
            &[
                query("COPY nosuch FROM STDIN"),
                frame(b'd', b"1\n"),
                frame(b'c', b""),
                query(SECRET),
            ]
            .concat(),
        );
        wire.settle()?;
        wire.settle()
    }),
    value("a Query inside CopyData, and one behind it", |room| {
        let wire = room.open()?;
        wire.send(&query("COPY plain FROM STDIN"));
        wire.until(b'G')?;
        wire.send(
            &[
                frame(b'd', &query(SECRET)),
                frame(b'f', b"no\0"),
                query(SECRET),
            ]
            .concat(),
        );
        wire.settle()?;
        wire.settle()
    }),
    value("a function called by its number: query_to_xml", |room| {
        room.open()?;
        let oid = room.oid("SELECT 'query_to_xml'::regproc::oid")?;
        let wire = room.wire(0)?;
        let mut body = [&oid.to_be_bytes()[..], &[0, 0, 0, 4]].concat();
        for argument in [SECRET.as_bytes(), b"t", b"f", b""] {
            body.extend(u32::try_from(argument.len())?.to_be_bytes());
            body.extend_from_slice(argument);
        }
        body.extend([0, 0]);
        wire.send(&frame(b'F', &body));
        wire.settle()
    }),
    value(
        "a function called by its number: one that is there",
        |room| {
            room.open()?;
            let oid = room.oid("SELECT 'peek(int)'::regprocedure::oid")?;
            let wire = room.wire(0)?;
            let mut body = [&oid.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
            body.extend(b"1");
            body.extend([0, 0]);
            wire.send(&frame(b'F', &body));
            wire.settle()
        },
    ),
    value("a notification of another session", |room| {
        room.open()?.query("LISTEN n")?;
        room.open()?
            .query("SELECT pg_notify('n', ssn) FROM people WHERE id = 1")?;
        room.wire(0)?.query("SELECT 1")
    }),
    value("a setting that reports itself", |room| {
        room.open()?.query(
            "SELECT set_config('application_name', ssn, false) IS NULL FROM people WHERE id = 1",
        )
    }),
    value("the schema by a start-up parameter", |room| {
        room.open_with(&[("search_path", "shadow")])?
            .query("SELECT code FROM ledger WHERE id = 1")
    }),
    value("the schema by start-up options", |room| {
        room.open_with(&[("options", "-c search_path=shadow")])?
            .query("SELECT code FROM ledger WHERE id = 1")
    }),
    shut("strings by start-up options", None, |room| {
        let wire = room.open_with(&[("options", "-c standard_conforming_strings=off")])?;
        wire.query("SELECT '\\'' , ssn AS \"z\" FROM people --'")
    }),
    shut("strings by a start-up parameter", None, |room| {
        let wire = room.open_with(&[("standard_conforming_strings", "off")])?;
        wire.query("SELECT '\\'' , ssn AS \"z\" FROM people --'")
    }),
    shut("an encoding by a start-up parameter", None, |room| {
        let wire = room.open_with(&[
            ("client_encoding", "SJIS"),
            ("options", "-c standard_conforming_strings=off"),
        ])?;
        wire.query(b"SELECT '\x83\\' , ssn AS \"z\" FROM people WHERE id = 1 --'")
    }),
    shut("debugging by start-up options", None, |room| {
        let options = "-c client_min_messages=debug1 -c debug_print_plan=on";
        room.open_with(&[("options", options)])?.query(SECRET)
    }),
    shut("logical replication by SQL", Some("root"), |room| {
        let wire = room.open_with(&[("replication", "database")])?;
        wire.query(SECRET)
    }),
    shut("a logical replication stream", Some("root"), |room| {
        let slot = room.database.to_owned();
        let wire = room.open_with(&[("replication", "database")])?;
        wire.query(format!(
            "CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL test_decoding"
        ))?;
        room.open()?
            .query("UPDATE people SET tier = 5 WHERE id = 1")?;
        let wire = room.wire(0)?;
        wire.query(format!("START_REPLICATION SLOT {slot} LOGICAL 0/0"))?;
        wire.listen(PATIENCE)
    }),
    root("rows of a superuser's files by COPY", |room| {
        let database = room.database.to_owned();
        let wire = room.open()?;
        wire.query(format!("COPY people TO '/tmp/{database}.csv'"))?;
        wire.query(format!(
            "COPY plain(note) FROM '/tmp/{database}.csv' (DELIMITER '~')"
        ))?;
        wire.query("SELECT note FROM plain")
    }),
    value("Describe of a statement that fails at once", |room| {
        let more = [
            parse("", "SELECT ssn::int FROM people WHERE id = 1"),
            describe(b'S', ""),
            bind("", "", &[], &[]),
            execute("", 0),
        ];
        room.open()?.pipeline(&more)
    }),
    value("an error of a Bind that folds", |room| {
        let more = [
            parse("", "SELECT 1 FROM people WHERE ssn::int = $1::int"),
            bind("", "", &[b"1"], &[]),
            execute("", 0),
        ];
        room.open()?.pipeline(&more)
    }),
    value("an error at Sync", |room| {
        let wire = room.open()?;
        wire.query(
            "ALTER TABLE badges ALTER CONSTRAINT badges_holder_fkey DEFERRABLE INITIALLY DEFERRED",
        )?;
        wire.pipeline(&[
            parse("", "DELETE FROM people WHERE id = 1"),
            bind("", "", &[], &[]),
            execute("", 0),
        ])
    }),
    value(
        "an error of an UPDATE through the extended protocol",
        |room| {
            let more = [
                parse("", "UPDATE people SET tier = $1 WHERE id = 1"),
                bind("", "", &[b"100"], &[]),
                execute("", 0),
            ];
            room.open()?.pipeline(&more)
        },
    ),
    value(
        "a transaction's end between two halves of a portal",
        |room| {
            let wire = room.open()?;
            wire.query("DECLARE c CURSOR WITH HOLD FOR SELECT ssn FROM people ORDER BY id")?;
            wire.pipeline(&[execute("c", 1)])?;
            wire.pipeline(&[execute("c", 0)])
        },
    ),
    value(
        "a view of one's own in a transaction, described by Weir itself",
        |room| {
            let wire = room.open()?;
            wire.query("BEGIN")?;
            wire.pipeline(&[parse("s", INNOCENT), describe(b'S', "s")])?;
            wire.pipeline(&[parse("", REPLACE), bind("", "", &[], &[]), execute("", 0)])?;
            wire.pipeline(&[bind("", "s", &[], &[]), execute("", 0)])
        },
    ),
];

impl Room<'_> {
    /// A number that the catalogue knows, asked in the first session.
    fn oid(&mut self, text: &str) -> Result<u32> {
        self.wire(0)?.query(text)?;
        let row = self.last_row().context("no row")?;
        String::from_utf8_lossy(&row).parse().context("a number")
    }
}
