//! `cargo xtask drivers`: every real client tells the same stories at the server and through
//! Weir, and the two must agree. Part of `cargo xtask test`.
//!
//! One folder per language below `xtask/drivers`. A program prints a line for each thing that it
//! saw; what it connects to is in its environment, as libpq's variables.

mod dump;
mod kit;
mod ordinary;
mod program;
mod scale;
mod setup;
mod told;

use std::path::PathBuf;

pub(crate) use kit::NEEDS;

use anyhow::{Result, bail};

use crate::checks::Checks;
use crate::stage::{E2E, Selection, Stage};

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these drivers, or `dump`, `ordinary`, `scale`; all without a name.
    names: Vec<String>,
    /// Use Weir's programs in this folder instead of building them.
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

/// Sets a stage up for the drivers alone.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let selection = arguments
        .programs
        .clone()
        .map_or(Selection::WithTests, Selection::Ready);
    let stage = Stage::up(E2E, &selection)?;
    let mut checks = Checks::new();
    play(&stage, &selection, &mut checks, &arguments.names);
    if !checks.all_passed() {
        stage.keep_logs();
    }
    stage.down()?;
    println!("\n{}", checks.summary("drivers"));
    if !checks.all_passed() {
        bail!("drivers: see above");
    }
    Ok(())
}

/// Plays every driver's stories on a stage, as scenes of its checks.
pub(crate) fn play(stage: &Stage, selection: &Selection, checks: &mut Checks, only: &[String]) {
    let is_asked = |name: &str| only.is_empty() || only.iter().any(|asked| asked == name);
    let mut ready = None;
    checks.scene("The drivers' programs and tables", |checks| {
        ready = Some((kit::prepare(stage.site, selection)?, setup::make(stage)?));
        checks.see("they are there", true, "");
        Ok(())
    });
    let Some((kit, setup)) = ready else { return };
    for program in program::ALL.iter().filter(|program| is_asked(program.name)) {
        let title = format!("{}, direct and through Weir", program.name);
        checks.scene(&title, |checks| {
            program::play(stage, &kit, &setup, program, checks)
        });
    }
    if is_asked("dump") {
        checks.scene("pg_dump and restore", |checks| dump::play(stage, checks));
    }
    if is_asked("ordinary") {
        checks.scene("Ordinary statements over masked tables", |checks| {
            ordinary::play(stage, &kit, checks)
        });
    }
    if is_asked("scale") {
        checks.scene("Scale, in bounded memory", |checks| {
            scale::play(stage, &kit, checks)
        });
    }
    checks.scene("The drivers' policy goes", |_| setup.remove(stage));
}
