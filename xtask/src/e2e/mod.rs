//! End-to-end tests: the real programs between real clients and real servers, while they are
//! killed, given nonsense, and changed under way. Run by `cargo xtask test`.

mod chain;
mod authorization;
mod crash;
mod doctor;
mod encryption;
pub(crate) mod evasion;
mod hostile;
mod pins;
mod identity;
pub(crate) mod regression;
mod revoke;
mod stdio;
pub(crate) mod throw;

use anyhow::{Result, bail};

use crate::checks::Checks;
use crate::drivers;
use crate::stage::{E2E, Selection, Stage};

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Alone {
    /// Use the programs in this folder instead of building them.
    #[arg(long, value_name = "FOLDER")]
    programs: Option<std::path::PathBuf>,
}

/// The evasion suite alone, on a stage of its own.
///
/// # Errors
/// A case leaked, or did not leak direct.
pub(crate) fn run_evasion(arguments: &Alone) -> Result<()> {
    let programs = arguments.programs.clone();
    let stage = Stage::up(E2E, &programs.map_or(Selection::Programs, Selection::Ready))?;
    let mut checks = Checks::new();
    checks.scene("Evasion", |checks| evasion::play(&stage, checks));
    stage.keep_logs();
    stage.down()?;
    if !checks.all_passed() {
        bail!("{}", checks.summary("evasion"));
    }
    println!("{}", checks.summary("evasion"));
    Ok(())
}

/// The chain scene alone, on a stage of its own.
///
/// # Errors
/// A link is missing or wrong.
pub(crate) fn run_chain(arguments: &Alone) -> Result<()> {
    let programs = arguments.programs.clone();
    let stage = Stage::up(E2E, &programs.map_or(Selection::Programs, Selection::Ready))?;
    let mut checks = Checks::new();
    checks.scene(chain::TITLE, |checks| chain::play(&stage, checks));
    if !checks.all_passed() {
        stage.keep_logs();
    }
    stage.down()?;
    if !checks.all_passed() {
        bail!("{}", checks.summary("chain"));
    }
    println!("{}", checks.summary("chain"));
    Ok(())
}

/// The scene of MCP servers that their clients start alone, on a stage of its own.
///
/// # Errors
/// A check failed; the logs are kept below target/.
pub(crate) fn run_stdio(arguments: &Alone) -> Result<()> {
    let programs = arguments.programs.clone();
    let stage = Stage::up(E2E, &programs.map_or(Selection::Programs, Selection::Ready))?;
    let mut checks = Checks::new();
    checks.scene(stdio::TITLE, |checks| stdio::play(&stage, checks));
    stage.keep_logs();
    stage.down()?;
    if !checks.all_passed() {
        bail!("{}", checks.summary("stdio"));
    }
    println!("{}", checks.summary("stdio"));
    Ok(())
}

/// Sets a stage up, runs every check, takes the stage down.
///
/// # Errors
/// A check failed; the logs are kept below target/.
pub(crate) fn run(selection: &Selection) -> Result<()> {
    let mut stage = Stage::up(E2E, selection)?;
    let mut checks = Checks::new();
    checks.scene("A policy ends what an open session may do", |checks| {
        revoke::play(&stage, checks)
    });
    checks.scene("TLS, and a token as the password", |checks| {
        encryption::play(&stage, checks)
    });
    checks.scene("A tool that changes what it says of itself", |checks| {
        pins::play(&mut stage, checks)
    });
    checks.scene(regression::TITLE, |checks| regression::play(&stage, checks));
    checks.scene(chain::TITLE, |checks| chain::play(&stage, checks));
    checks.scene("Tokens of an OpenID provider", |checks| {
        identity::play(&stage, checks)
    });
    checks.scene("Tokens of an OpenID provider, for MCP", |checks| {
        authorization::play(&stage, checks)
    });
    checks.scene("Bad input", |checks| hostile::play(&stage, checks));
    checks.scene(
        "kill -9 of proxy, warden and control plane under load",
        |checks| crash::play(&mut stage, checks),
    );
    // Its direct rounds are strangers to the account that the scene before takes of the server.
    checks.scene("Evasion: every known way to a masked value", |checks| {
        evasion::play(&stage, checks)
    });
    drivers::play(&stage, selection, &mut checks, &[]);
    checks.scene("weir doctor", |checks| doctor::play(&stage, checks));
    if !checks.all_passed() {
        stage.keep_logs();
    }
    stage.down()?;
    println!();
    if !checks.all_passed() {
        bail!("{}", checks.summary("end to end"));
    }
    println!("{}", checks.summary("end to end"));
    Ok(())
}
