//! The one door for automation: `cargo xtask <command>`. One file per command.

mod bench;
mod checks;
mod demo;
mod drivers;
mod e2e;
mod ebpf;
mod install;
mod mcp;
mod packages;
mod stage;
mod step;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Build, prove and show Weir.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing and run everything: lints, unit, property, kernel, server and demo tests.
    Test(test::Arguments),
    /// Guard two users of this host for real: masked rows, a held DROP, refusals, and the proof of it all.
    Demo(demo::Arguments),
    /// Let every real client tell its stories at the server and through Weir, and compare.
    Drivers(drivers::Arguments),
    /// Let real MCP servers and clients, the conformance suite and attacks meet direct and through Weir.
    Mcp(mcp::Arguments),
    /// Measure Weir beside direct, haproxy, pgbouncer and nginx, interleaved, and print the ratios.
    Bench(bench::Arguments),
    /// Run PostgreSQL's own regression tests direct and through Weir, and compare their outputs.
    Regress(Regress),
    /// Rebuild the committed eBPF object, or prove that it comes from the committed source.
    Ebpf(ebpf::Arguments),
    /// Throw malformed bytes at a server; the end-to-end tests start it inside the guarded cgroup.
    #[command(hide = true)]
    Throw(e2e::throw::Arguments),
    /// Play the end-to-end tests, or some of their parts: evasion, chain, stdio, pins …
    E2e(e2e::Arguments),
    /// Play cases of the evasion suite; the suite starts it inside the guarded cgroup and outside.
    #[command(hide = true)]
    Evade(e2e::evasion::play::Arguments),
    /// Check the import law, the cores' purity and the repository's manners.
    Tidy,
}

/// `cargo xtask regress`
#[derive(clap::Args)]
struct Regress {
    /// Use the programs in this folder instead of building them.
    #[arg(long, value_name = "FOLDER")]
    programs: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Test(arguments) => test::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Drivers(arguments) => drivers::run(&arguments),
        Command::Mcp(arguments) => mcp::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Regress(Regress { programs }) => e2e::regression::run(
            &programs.map_or(stage::Selection::Programs, stage::Selection::Ready),
        ),
        Command::Ebpf(arguments) => ebpf::run(&arguments),
        Command::Throw(arguments) => e2e::throw::run(&arguments),
        Command::E2e(arguments) => e2e::run_some(&arguments),
        Command::Evade(arguments) => e2e::evasion::play::run(&arguments),
        Command::Tidy => tidy::run(),
    }
}
