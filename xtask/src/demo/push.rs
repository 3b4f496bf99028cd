//! A policy that is pushed while a psql session is open.

use anyhow::Result;

use crate::checks::Checks;
use crate::stage::policies::{self, Edit};
use crate::stage::{Session, Stage};

const QUESTION: &str = "SELECT ssn FROM customers WHERE id = 1";

/// The last four digits go, too; the bundle's own tests say so as well.
const STRICTER: [Edit; 2] = [
    Edit {
        file: "policies.cedar",
        from: r#"@id("mask-ssn") @effect("mask") @mask("keep_last:4")"#,
        to: r#"@id("mask-ssn") @effect("mask") @mask("redact")"#,
    },
    Edit {
        file: "tests/postgres.toml",
        from: r#"expect = "mask:keep_last:4""#,
        to: r#"expect = "mask:redact""#,
    },
];

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let admin = stage.control.admin();
    let mut session = Session::open(stage, &stage.people.alice.guarded)?;
    let process = session.ask("SELECT pg_backend_pid()")?;
    let before = session.ask(QUESTION)?;
    checks.see(
        "before: the last four digits",
        before.trim() == "*******6789",
        &before,
    );

    let old = policies::active(&admin)?;
    let new = policies::push(stage.site, &admin, "stricter", &STRICTER)?;
    let after = session.ask(QUESTION)?;
    let is_stricter =
        !after.contains("6789") && !after.contains("ERROR") && !after.trim().is_empty();
    checks.see(
        "pushed: its next statement sees none of them",
        is_stricter,
        &format!("{} (version {new})", after.trim()),
    );

    policies::roll_back(stage.site, &admin, old)?;
    let again = session.ask(QUESTION)?;
    checks.see(
        "rolled back: the last four digits again",
        again == before,
        &again,
    );
    let same = session.ask("SELECT pg_backend_pid()")?;
    checks.see(
        "it was one session all along",
        same == process,
        &format!("server process {}", same.trim()),
    );
    Ok(())
}
