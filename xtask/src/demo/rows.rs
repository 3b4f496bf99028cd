//! Masked rows, clear rows, and who is let in at all.

use anyhow::Result;

use crate::checks::Checks;
use crate::stage::{Said, Stage};

const QUESTION: &str = "SELECT name, ssn, email FROM customers WHERE id = 1";
const CLEAR: &str = "Alva Lindqvist|123-45-6789|alva@corp.example";

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let (alice, bo) = (&stage.people.alice, &stage.people.bo);
    let direct = stage.psql(&stage.postgres.direct(&alice.unguarded), QUESTION)?;
    checks.see(
        "control: alice outside the cgroup, with the password",
        direct.out.trim() == CLEAR,
        &line(&direct),
    );
    let masked = stage.psql(&alice.guarded, QUESTION)?;
    let hidden =
        masked.out.starts_with("Alva Lindqvist|*******6789|") && !masked.all().contains("alva@");
    checks.see(
        "alice, of engineering: masked",
        masked.ok && hidden,
        &line(&masked),
    );
    let clear = stage.psql(&bo.guarded, QUESTION)?;
    checks.see(
        "bo, of pii-readers: clear",
        clear.out.trim() == CLEAR,
        &line(&clear),
    );
    let keyless = stage.psql(&alice.unguarded, QUESTION)?;
    checks.see(
        "without Weir, neither has the server's password",
        !keyless.ok,
        &line(&keyless),
    );
    service(stage, checks)
}

/// A service proves itself to Weir by its own secret, which the server has never seen.
fn service(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice;
    let ask = |secret: &str| {
        stage.psql_as(
            &alice.guarded.clone().with("PGPASSWORD", secret),
            "reports",
            QUESTION,
        )
    };
    let named = ask(&stage.people.reports_secret)?;
    let hidden = named.out.starts_with("Alva Lindqvist|*******6789|");
    checks.see(
        "service reports, by its own secret: masked",
        named.ok && hidden,
        &line(&named),
    );
    let stranger = ask("a guess")?;
    checks.see(
        "a wrong secret: refused",
        !stranger.ok && stranger.out.is_empty(),
        &line(&stranger),
    );
    let role = stage
        .postgres
        .log
        .applications()?
        .into_iter()
        .find(|name| name.starts_with("weir:reports@"));
    checks.see(
        "the server's own log names the service",
        role.is_some(),
        &role.unwrap_or_default(),
    );
    Ok(())
}

/// The first thing that was said.
pub(super) fn line(said: &Said) -> String {
    let text = if said.out.trim().is_empty() {
        &said.err
    } else {
        &said.out
    };
    let line = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("nothing");
    line.rsplit_once("failed: ")
        .map_or(line, |(_, reason)| reason)
        .to_owned()
}
