//! End-to-end tests: the real programs between real clients and real servers, while they are
//! killed, given nonsense, and changed under way. Run by `cargo xtask test`.

mod crash;
mod doctor;
mod encryption;
mod hostile;
pub(crate) mod regression;
mod revoke;
pub(crate) mod throw;

use anyhow::{Result, bail};

use crate::checks::Checks;
use crate::stage::{E2E, Selection, Stage};

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
    checks.scene(regression::TITLE, |checks| regression::play(&stage, checks));
    checks.scene("Bad input", |checks| hostile::play(&stage, checks));
    checks.scene(
        "kill -9 of proxy, warden and control plane under load",
        |checks| crash::play(&mut stage, checks),
    );
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
