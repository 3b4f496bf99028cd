//! pg_dump and restore through Weir: for whom nothing is masked, byte for byte; for whom
//! columns are masked, an error that says so, and no value.

use anyhow::Result;

use super::program::environment;
use super::setup::{PLAIN, Setup};
use super::told::SECRETS;
use crate::checks::Checks;
use crate::stage::{Caller, Person, Said, Stage, bin, psql};

/// In plain format pg_dump writes a random key against injection unless it is given one.
const KEY: &str = "--restrict-key=weir";

/// The schema as every new database has it, which is then no part of a dump.
const FRESH: &str = "DROP SCHEMA public CASCADE; CREATE SCHEMA public; \
    ALTER SCHEMA public OWNER TO pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC; \
    COMMENT ON SCHEMA public IS 'standard public schema'";

/// Plays them.
pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let (alice, bo) = (&stage.people.alice, &stage.people.bo);
    let direct = dump(stage, &stage.postgres.direct(&bo.unguarded), "shop", &[KEY])?;
    checks.see(
        "control: direct, pg_dump dumps everything",
        direct.ok && direct.out.contains("219-09-9999"),
        &direct.err,
    );
    let through = dump(stage, &bo.guarded, "shop", &[KEY])?;
    checks.see(
        "with nothing masked: the same bytes",
        through.ok && through.out == direct.out,
        &format!("{} bytes\n{}", through.out.len(), through.err),
    );
    for format in ["custom", "tar"] {
        let made = dump(stage, &bo.guarded, "shop", &[&format!("--format={format}")])?;
        let name = format!("--format={format}");
        checks.see(
            &name,
            made.ok && made.out.len() > 1_000,
            &format!("{} characters\n{}", made.out.len(), made.err),
        );
    }
    let masked = dump(stage, &alice.guarded, "shop", &[])?;
    let leaked = SECRETS
        .iter()
        .find(|secret| masked.all().contains(**secret));
    checks.see(
        "with masked columns: no value",
        leaked.is_none(),
        &format!("{leaked:?}"),
    );
    let first = masked.err.lines().take(3).collect::<Vec<_>>().join("\n");
    checks.see(
        "and either masked rows or an error that says why",
        masked.ok || masked.err.contains("weir"),
        &first,
    );
    restore(stage, &direct, bo, checks)
}

/// A dump that is restored through Weir and dumped again is the same dump.
fn restore(stage: &Stage, direct: &Said, bo: &Person, checks: &mut Checks) -> Result<()> {
    Setup::renew(stage)?;
    stage.postgres.sql(PLAIN, FRESH)?;
    let caller = environment(stage, &bo.guarded).with("PGDATABASE", PLAIN);
    let arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1"];
    let restored = caller.run(&psql()?, &arguments, &direct.out)?;
    checks.see("restore through Weir", restored.ok, &restored.err);
    let again = dump(stage, &stage.postgres.direct(&bo.unguarded), PLAIN, &[KEY])?;
    let differs = again
        .out
        .lines()
        .zip(direct.out.lines())
        .find(|(one, other)| one != other);
    checks.see(
        "what was restored dumps the same bytes",
        again.out == direct.out,
        &format!("{} bytes\n{differs:?}\n{}", again.out.len(), again.err),
    );
    Ok(())
}

fn dump(stage: &Stage, caller: &Caller, database: &str, more: &[&str]) -> Result<Said> {
    let caller = environment(stage, caller).with("PGDATABASE", database);
    let tool = bin()?.join("pg_dump").display().to_string();
    // Owners are restored by whoever restores: all that is here belongs to one role.
    let arguments = [&["120", &tool, "--no-owner"], more].concat();
    caller.run("timeout", &arguments, "")
}
