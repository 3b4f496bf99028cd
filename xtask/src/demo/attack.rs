//! Ways to get at a masked value, each beside the same words straight at the server.

use anyhow::Result;

use super::rows::line;
use crate::checks::Checks;
use crate::stage::{Said, Stage};

/// Values that must never reach alice, however they are asked for.
const CANARIES: [&str; 5] = [
    "123-45-6789",
    "219-09-9999",
    "457-55-5462",
    "starts-with-123",
    "alva@corp.example",
];

/// Name and words. Every one of them leaks where nobody guards.
const ATTACKS: &[(&str, &str)] = &[
    ("alias", "SELECT ssn AS city FROM customers"),
    ("view", "SELECT tax_ref FROM contacts"),
    ("cast", "SELECT ssn::varchar(20) FROM customers"),
    ("expression", "SELECT 'no. ' || ssn FROM customers"),
    ("whole row", "SELECT customers FROM customers"),
    ("JSON", "SELECT row_to_json(c) FROM customers c"),
    (
        "subquery",
        "SELECT (SELECT ssn FROM customers WHERE id = 1)",
    ),
    (
        "union",
        "SELECT city FROM customers UNION ALL SELECT ssn FROM customers",
    ),
    ("aggregate", "SELECT string_agg(ssn, ' ') FROM customers"),
    (
        "condition, as an oracle",
        "SELECT 'starts' || '-with-123' FROM customers WHERE ssn LIKE '123%'",
    ),
    ("COPY a table", "COPY customers TO STDOUT"),
    ("COPY a query", "COPY (SELECT ssn FROM customers) TO STDOUT"),
    ("error text, by a cast", "SELECT ssn::int FROM customers"),
    (
        "error detail, by a constraint",
        "UPDATE customers SET tier = 1000 WHERE id = 1",
    ),
    (
        "notice, by a code block",
        "DO $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM customers WHERE id = 1); END $$",
    ),
    (
        "statistics",
        "SELECT histogram_bounds FROM pg_stats WHERE tablename = 'customers' AND attname = 'ssn'",
    ),
    (
        "cursor",
        "BEGIN; DECLARE c CURSOR FOR SELECT ssn FROM customers; FETCH ALL FROM c; ROLLBACK;",
    ),
    (
        "prepared statement",
        "PREPARE p AS SELECT ssn FROM customers; EXECUTE p;",
    ),
    (
        "temporary copy",
        "CREATE TEMP TABLE t AS SELECT ssn AS x FROM customers; SELECT x FROM t;",
    ),
];

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice;
    let direct = stage.postgres.direct(&alice.unguarded);
    for (name, words) in ATTACKS {
        // As a script, so that each statement is one of its own.
        let there = stage.script(&direct, words)?;
        let here = stage.script(&alice.guarded, words)?;
        let seen = format!("{:<52} direct: {}", short(&here), leak(&there));
        checks.see(name, leaks(&there) && !leaks(&here), &seen);
    }
    let after = stage.psql(&alice.guarded, "SELECT city FROM customers WHERE id = 1")?;
    checks.see(
        "and alice still works: what is not masked is hers",
        after.out.trim() == "Umea",
        &line(&after),
    );
    Ok(())
}

fn leaks(said: &Said) -> bool {
    CANARIES.iter().any(|value| said.all().contains(value))
}

/// What leaked.
fn leak(said: &Said) -> String {
    let all = said.all();
    CANARIES
        .iter()
        .find(|value| all.contains(*value))
        .map_or_else(|| "NOTHING LEAKED".to_owned(), |value| (*value).to_owned())
}

fn short(said: &Said) -> String {
    const WIDTH: usize = 50;
    let line = line(said).replace("ERROR:  ", "");
    if line.chars().count() <= WIDTH {
        line
    } else {
        line.chars().take(WIDTH - 1).chain(['…']).collect()
    }
}
