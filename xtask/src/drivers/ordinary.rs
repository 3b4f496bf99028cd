//! Usability: how many of a list of ordinary statements over masked tables an engineer can run.

use anyhow::{Result, ensure};

use super::kit::Kit;
use super::program::{Language, environment};
use super::told::SECRETS;
use crate::checks::Checks;
use crate::stage::{Caller, Said, Stage};

/// Of 100 ordinary statements at least this many run.
const RUN_PERCENT_MIN: usize = 95;

/// Fewer statements than this show nothing.
const STATEMENTS_MIN: usize = 100;

/// Runs the list direct, where everything must run, and through Weir.
pub(super) fn play(stage: &Stage, kit: &Kit, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice;
    let direct = run(stage, kit, &stage.postgres.direct(&alice.unguarded))?;
    let (all, refused) = (count(&direct, "ran"), count(&direct, "refused"));
    ensure!(
        all >= STATEMENTS_MIN && refused == 0,
        "direct, {all} ran and {refused} did not:\n{}",
        direct.all()
    );
    let through = run(stage, kit, &alice.guarded)?;
    let ran = count(&through, "ran");
    for line in through
        .out
        .lines()
        .filter(|line| line.starts_with("refused\t"))
    {
        println!("    {}", line.replace('\t', " | "));
    }
    checks.see(
        "at least 95 % of ordinary statements run",
        ran * 100 >= all * RUN_PERCENT_MIN && ran + count(&through, "refused") == all,
        &format!("{ran} of {all} ran\n{}", through.err),
    );
    let said = through.all();
    let leaked: Vec<_> = SECRETS
        .iter()
        .filter(|secret| said.contains(**secret))
        .collect();
    // Two constants of the list itself are secrets' twins.
    let leaked: Vec<_> = leaked
        .into_iter()
        .filter(|secret| !secret.contains('@'))
        .collect();
    checks.see(
        "none of them says a hidden value",
        leaked.is_empty(),
        &format!("{leaked:?}"),
    );
    Ok(())
}

fn run(stage: &Stage, kit: &Kit, caller: &Caller) -> Result<Said> {
    let list = kit.at("rust-data/ordinary.tsv");
    let (caller, command) = kit.command(environment(stage, caller), Language::Rust, "ordinary")?;
    let words: Vec<_> = command
        .iter()
        .map(String::as_str)
        .chain([list.as_str()])
        .collect();
    caller.run("timeout", &[&["240"], words.as_slice()].concat(), "")
}

fn count(said: &Said, what: &str) -> usize {
    let is_it = |line: &&str| line.split('\t').next() == Some(what);
    said.out.lines().filter(is_it).count()
}
