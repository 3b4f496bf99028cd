//! `cargo xtask test`: everything that must hold, and nothing skipped.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::stage::Selection;
use crate::{demo, drivers, e2e, install, step, tidy};

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave out lints and documentation: only what executes.
    #[arg(long)]
    no_lints: bool,
    /// Leave out the end-to-end tests and the demo.
    #[arg(long)]
    no_stage: bool,
    /// Only the end-to-end tests and the demo.
    #[arg(long, conflicts_with_all = ["no_stage", "no_lints"])]
    only_stage: bool,
    /// With --only-stage: use the programs in this folder instead of building them.
    #[arg(long, value_name = "FOLDER", requires = "only_stage")]
    programs: Option<PathBuf>,
}

/// Installs what is missing, then runs every check in the order of its cost.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !step::is_root() {
        bail!("the kernel tests attach eBPF programs and make cgroups: run this as root");
    }
    install::ensure(&[
        install::CC,
        install::LIBCLANG,
        install::POSTGRES,
        install::NPM,
        install::IPROUTE2,
        install::SETPRIV,
    ])?;
    if !arguments.no_stage {
        // Now rather than behind the first half hour.
        install::ensure(&drivers::NEEDS)?;
    }
    if !arguments.only_stage {
        sources(arguments)?;
    }
    if !arguments.no_stage {
        let selection = arguments
            .programs
            .clone()
            .map_or(Selection::WithTests, Selection::Ready);
        println!("── end to end");
        e2e::run(&selection)?;
        println!("── demo");
        demo::once(&selection)?;
    }
    println!("cargo xtask test: everything passed");
    Ok(())
}

/// What the sources say, and what their own tests do.
fn sources(arguments: &Arguments) -> Result<()> {
    tidy::run()?;
    if !arguments.no_lints {
        step::run("format", step::cargo().args(["fmt", "--all", "--check"]))?;
        step::run(
            "lints",
            step::cargo().args([
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]),
        )?;
        step::run(
            "documentation",
            step::cargo().env("RUSTDOCFLAGS", "-D warnings").args([
                "doc",
                "--workspace",
                "--no-deps",
                "--document-private-items",
            ]),
        )?;
    }
    step::run("tests", &mut all_tests())
}

fn all_tests() -> Command {
    let mut command = step::cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    command
}
