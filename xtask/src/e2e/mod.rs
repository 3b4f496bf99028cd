//! End-to-end tests: the real programs between real clients and real servers, while they are
//! killed, given nonsense, and changed under way. Run by `cargo xtask test`.

mod authorization;
mod chain;
mod crash;
mod crossed;
mod doctor;
mod encryption;
pub(crate) mod evasion;
mod hostile;
mod https;
mod identity;
mod pins;
pub(crate) mod regression;
mod revoke;
mod stdio;
pub(crate) mod throw;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::checks::Checks;
use crate::stage::{E2E, Selection, Stage, until};
use crate::{drivers, mcp};

/// What to play.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these parts, in their usual order; all without a name. An unknown name lists them.
    names: Vec<String>,
    /// Use the programs in this folder instead of building them.
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

/// A part of the tests: its name, and how it is played on the stage that all share.
type Part = (&'static str, fn(&mut Stage, &Selection, &mut Checks));

/// In order: what kills and restarts comes late, and the doctor's account is the last.
const PARTS: &[Part] = &[
    ("revoke", |stage, _, checks| {
        checks.scene("A policy ends what an open session may do", |checks| {
            revoke::play(stage, checks)
        });
    }),
    ("encryption", |stage, _, checks| {
        checks.scene("TLS, and a token as the password", |checks| {
            encryption::play(stage, checks)
        });
    }),
    ("https", |stage, _, checks| {
        checks.scene("HTTPS to an MCP server", |checks| {
            https::play(stage, checks)
        });
    }),
    ("pins", |stage, _, checks| {
        checks.scene("A tool that changes what it says of itself", |checks| {
            pins::play(stage, checks)
        });
    }),
    ("regression", |stage, _, checks| {
        checks.scene(regression::TITLE, |checks| regression::play(stage, checks));
    }),
    ("chain", |stage, _, checks| {
        checks.scene(chain::TITLE, |checks| chain::play(stage, checks));
    }),
    ("stdio", |stage, _, checks| {
        checks.scene(stdio::TITLE, |checks| stdio::play(stage, checks));
    }),
    ("identity", |stage, _, checks| {
        checks.scene("Tokens of an OpenID provider", |checks| {
            identity::play(stage, checks)
        });
    }),
    ("authorization", |stage, _, checks| {
        checks.scene("Tokens of an OpenID provider, for MCP", |checks| {
            authorization::play(stage, checks)
        });
    }),
    ("mcp", |stage, _, checks| mcp::play(stage, checks, &[])),
    ("hostile", |stage, _, checks| {
        checks.scene("Bad input", |checks| hostile::play(stage, checks));
    }),
    ("crash", |stage, _, checks| {
        let title = "kill -9 of proxy, warden and control plane under load";
        checks.scene(title, |checks| crash::play(stage, checks));
    }),
    // Its direct rounds are strangers to the account that the part before takes of the server.
    ("evasion", |stage, _, checks| {
        checks.scene("Evasion: every known way to a masked value", |checks| {
            evasion::play(stage, checks)
        });
    }),
    ("drivers", |stage, selection, checks| {
        drivers::play(stage, selection, checks, &[]);
    }),
    ("doctor", |stage, _, checks| {
        checks.scene("weir doctor", |checks| doctor::play(stage, checks));
    }),
];

/// Plays some parts, or all, on a stage of their own.
///
/// # Errors
/// A name is of no part, or a check failed; the logs are kept below target/.
pub(crate) fn run_some(arguments: &Arguments) -> Result<()> {
    for name in &arguments.names {
        if !PARTS.iter().any(|(known, _)| known == name) {
            let known: Vec<_> = PARTS.iter().map(|(known, _)| *known).collect();
            bail!("there is no part {name:?}; there are {}", known.join(", "));
        }
    }
    let programs = arguments.programs.clone();
    let selection = programs.map_or(Selection::Programs, Selection::Ready);
    play(&selection, &arguments.names)
}

/// Plays every part.
///
/// # Errors
/// A check failed; the logs are kept below target/.
pub(crate) fn run(selection: &Selection) -> Result<()> {
    play(selection, &[])
}

/// Sets a stage up, plays, takes the stage down.
fn play(selection: &Selection, only: &[String]) -> Result<()> {
    let mut stage = Stage::up(E2E, selection)?;
    let mut checks = Checks::new();
    for (name, part) in PARTS {
        if only.is_empty() || only.iter().any(|asked| asked == name) {
            part(&mut stage, selection, &mut checks);
        }
    }
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

/// The list of sessions, once it names somebody: what the log has comes to the control plane with
/// the next checkpoint.
fn sessions_with(stage: &Stage, who: &str) -> Result<String> {
    let list = || stage.control.admin().run(&["sessions", "list"]);
    let found = until("a session in the list", Duration::from_secs(30), || {
        Ok(Some(list()?).filter(|list| list.contains(who)))
    });
    found.or_else(|_| list())
}
