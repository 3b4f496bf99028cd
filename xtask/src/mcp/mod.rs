//! `cargo xtask mcp`: real MCP servers and real MCP clients, direct and through Weir, and the two
//! must agree; then everything that must not pass.
//!
//! Servers and clients are below `xtask/mcp/suite`, one folder per language. What a server was
//! really asked, it writes down itself: that is the witness of what Weir let through.

mod abilities;
mod asked;
mod attacks;
mod authority;
mod clients;
mod conformance;
mod holds;
mod kit;
mod ladder;
mod loose;
mod servers;
mod setup;
mod sse;
mod told;
mod toolbox;

use std::path::PathBuf;

use anyhow::{Result, bail};

use self::kit::Kit;
use self::setup::Setup;
use crate::checks::Checks;
use crate::stage::{E2E, Selection, Stage};

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these parts: `conformance`, `clients`, `sse`, `attacks`, `loose`, `asked`, `authority`, `toolbox`, `holds`, `ladder`; all without a name.
    names: Vec<String>,
    /// Use Weir's programs in this folder instead of building them.
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

/// A part of the suite: its name, its title, and its playing.
type Part = (
    &'static str,
    &'static str,
    fn(&Stage, &Kit, &Setup, &mut Checks) -> Result<()>,
);

const PARTS: &[Part] = &[
    (
        "conformance",
        "The official conformance suite, direct and through Weir",
        conformance::play,
    ),
    (
        "clients",
        "Real MCP clients, direct and through Weir",
        clients::play,
    ),
    (
        "sse",
        "Clients of the transport of 2024-11-05, direct and through Weir",
        sse::play,
    ),
    (
        "attacks",
        "What must not pass: each attack direct, where it succeeds, and through Weir",
        attacks::play,
    ),
    (
        "loose",
        "Values hidden by their place, and arguments by their type, at a server that checks nothing",
        loose::play,
    ),
    ("asked", "What a server asks its client", asked::play),
    (
        "authority",
        "A server that is its own authorization server",
        authority::play,
    ),
    (
        "toolbox",
        "MCP Toolbox behind Weir, its Postgres behind Weir too",
        toolbox::play,
    ),
    (
        "holds",
        "Calls that wait for people, in every client",
        holds::play,
    ),
    (
        "ladder",
        "Calls that wait for people, in clients that open pages or take tasks",
        ladder::play,
    ),
];

/// Sets a stage up for the suite alone.
///
/// # Errors
/// A name is of no part, or a check failed; the logs are kept below target/.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    for name in &arguments.names {
        if !PARTS.iter().any(|(known, ..)| known == name) {
            let known: Vec<_> = PARTS.iter().map(|(known, ..)| *known).collect();
            bail!("there is no part {name:?}; there are {}", known.join(", "));
        }
    }
    let selection = arguments
        .programs
        .clone()
        .map_or(Selection::Programs, Selection::Ready);
    let stage = Stage::up(E2E, &selection)?;
    let mut checks = Checks::new();
    play(&stage, &mut checks, &arguments.names);
    if !checks.all_passed() {
        stage.keep_logs();
    }
    stage.down()?;
    println!("\n{}", checks.summary("mcp"));
    if !checks.all_passed() {
        bail!("mcp: see above");
    }
    Ok(())
}

/// Plays the parts with these names, or all, on a stage, as scenes of its checks.
pub(crate) fn play(stage: &Stage, checks: &mut Checks, only: &[String]) {
    let mut ready = None;
    checks.scene("MCP servers and clients of others", |checks| {
        let kit = kit::prepare(stage.site)?;
        let setup = setup::make(stage, &kit)?;
        checks.see("they are there", true, &setup.told());
        ready = Some((kit, setup));
        Ok(())
    });
    let Some((kit, setup)) = ready else { return };
    for (name, title, part) in PARTS {
        if only.is_empty() || only.iter().any(|asked| asked == name) {
            checks.scene(title, |checks| part(stage, &kit, &setup, checks));
        }
    }
    checks.scene("The suite's connections and policy go", |_| {
        setup.remove(stage)
    });
}
