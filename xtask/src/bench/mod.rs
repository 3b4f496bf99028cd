//! `cargo xtask bench`: Weir beside its rivals, interleaved in one run, on this machine.
//!
//! Weir's rows come from the programs of the demo with the demo's policies, release build,
//! policy, masking and audit on. Each measurement proves what it claims: answers are compared
//! byte by byte, the ledger must have grown by intent and outcome of each operation, the masked
//! column must be masked, the clear one must not.

mod ask;
mod host;
mod load;
mod peers;
mod pgbench;
mod plan;
mod rows;
mod setting;
mod table;
mod tools;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::stage::{Selection, Site, Stage, WORKERS};
use crate::step;
use rows::Extent;
use setting::Setting;

/// The benches' stage on as many workers as a host of this size has.
const BENCH: Site = Site {
    name: "weir-bench",
    workers: WORKERS,
};

/// The stage of rows that have one core: with one worker, as the rivals have one thread.
const ONE_CORE: Site = Site {
    name: "weir-bench",
    workers: 1,
};

/// What is compiled for a measurement.
const PROGRAMS: &[&str] = &[
    "--bins",
    "-p",
    "weir-control",
    "-p",
    "weir-cli",
    "-p",
    "weir-warden",
    "-p",
    "weir-proxy",
    "-p",
    "weir-benches",
];

/// How long and what.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Few and short rounds: about three minutes.
    #[arg(long)]
    quick: bool,
    /// Rounds, in each of which every variant of a row runs once.
    #[arg(long)]
    rounds: Option<usize>,
    /// Only rows whose name begins with this.
    #[arg(long, default_value = "")]
    only: String,
    /// Use the release programs in this folder, weir-load among them, instead of building them.
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// Run all that is measured under SCHED_FIFO, so that other work on the machine does not
    /// stand between a wake-up and its thread. A full core then starves the kernel's own
    /// threads, and with them whoever writes to a disk.
    #[arg(long)]
    fifo: bool,
}

const CHANGES: &str = "\
This changes the host as `cargo xtask demo` does, under the name weir-bench, until it ends.
Rivals are unpacked below target/bench/tools; nothing is installed.
";

/// Measures everything and prints the table.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    println!("{CHANGES}");
    let tools = tools::fetch()?;
    let programs = match &arguments.programs {
        Some(folder) => folder.clone(),
        None => build()?,
    };
    let before = host::Load::now()?;
    let (mut rows, mut about) = (Vec::new(), String::new());
    for site in [ONE_CORE, BENCH] {
        let here: Vec<_> = plan::plan()
            .into_iter()
            .filter(|row| row.name.starts_with(&arguments.only))
            .filter(|row| row.ask.has_one_core() == (site.workers == 1))
            .collect();
        if !here.is_empty() {
            about = measure(arguments, site, &tools, &programs, here, &mut rows)?;
        }
    }
    let after = host::Load::now()?;
    let machine = host::Machine::look(&before, &after, about)?;
    table::print(&machine, &rows);
    table::keep(&machine, &rows)
}

/// Measures rows on a stage of their own. Says how everything was scheduled.
fn measure(
    arguments: &Arguments,
    site: Site,
    tools: &tools::Tools,
    programs: &std::path::Path,
    rows: Vec<plan::Row>,
    done: &mut Vec<plan::Row>,
) -> Result<String> {
    let stage = Stage::up(site, &Selection::Ready(programs.to_owned()))?;
    let measured = on_stage(arguments, &stage, tools, programs, rows);
    if measured.is_err() {
        stage.keep_logs();
    }
    stage.down()?;
    let (rows, about) = measured?;
    done.extend(rows);
    Ok(about)
}

fn on_stage(
    arguments: &Arguments,
    stage: &Stage,
    tools: &tools::Tools,
    programs: &std::path::Path,
    rows: Vec<plan::Row>,
) -> Result<(Vec<plan::Row>, String)> {
    let setting = Setting::up(stage, tools, &programs.join("weir-load"))?;
    let about = if arguments.fifo {
        setting.hurry()?
    } else {
        "SCHED_OTHER, as started".to_owned()
    };
    let extent = if arguments.quick {
        Extent::QUICK
    } else {
        Extent::FULL
    };
    let extent = arguments
        .rounds
        .map_or(extent, |rounds| extent.with_rounds(rounds));
    Ok((rows::run(&setting, &extent, rows)?, about))
}

/// Builds the release programs and says where they are.
fn build() -> Result<PathBuf> {
    step::run(
        "cargo build --release",
        step::cargo()
            .args(["build", "--release", "--quiet"])
            .args(PROGRAMS),
    )?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| step::root().join("target"), PathBuf::from);
    step::root()
        .join(target)
        .join("release")
        .canonicalize()
        .context("the release folder")
}

/// Where results are kept.
fn results() -> PathBuf {
    step::root().join("target/bench")
}
