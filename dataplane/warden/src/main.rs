//! `weir-dataplane`: starts the warden, tells its status, removes its hooks.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use weir_warden::{Config, Glass, ask_status, detach, fly_canary, is_healthy, run, set_glass};

/// Guards this host's connections to Postgres and MCP servers.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, default_value = "/etc/weir/dataplane.toml", global = true)]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Guard (what happens without a command).
    Run,
    /// Show hooks, guards, counters and a fresh canary; fails unless all is well.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove the hooks: from then on nothing is guarded.
    Detach,
    /// In an emergency, let guarded connections pass without Weir, or end that.
    Glass {
        /// What to do.
        act: Act,
    },
    /// Connect to the warden's trap and say who answered.
    #[command(hide = true)]
    Canary {
        /// The trap's port.
        port: u16,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Act {
    /// Guarded connections pass unredirected and are counted.
    Break,
    /// Guards hold again.
    Mend,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.command.unwrap_or(Command::Run) {
        Command::Run => {
            tracing_subscriber::fmt()
                .with_env_filter(
                    tracing_subscriber::EnvFilter::try_from_default_env()
                        .unwrap_or_else(|_| "info".into()),
                )
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal())
                .init();
            run(Config::read(&arguments.config)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Status { json } => show(&Config::read(&arguments.config)?, json),
        Command::Detach => {
            detach(&Config::read(&arguments.config)?)?;
            println!("detached: nothing on this host is guarded any more");
            Ok(ExitCode::SUCCESS)
        }
        Command::Glass { act } => {
            let (glass, told) = match act {
                Act::Break => (
                    Glass::Broken,
                    "broken: guarded connections pass without Weir",
                ),
                Act::Mend => (Glass::Whole, "whole: guards hold"),
            };
            set_glass(&Config::read(&arguments.config)?, glass)?;
            println!("the glass is {told}");
            Ok(ExitCode::SUCCESS)
        }
        Command::Canary { port } => {
            let [v4, v6, mapped] = fly_canary(port);
            println!("{v4} {v6} {mapped}");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(config: &Config, json: bool) -> Result<ExitCode> {
    let status = ask_status(config)?;
    let wrong = is_healthy(&status);
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        println!("node      {}\nwarden    pid {}", status.node, status.pid);
        match &status.proxy {
            Some(proxy) => println!(
                "proxy     pid {}, boot {}, {} flows, world {}",
                proxy.pid, proxy.boot, proxy.report.active_flows, proxy.report.world
            ),
            None => println!("proxy     none"),
        }
        println!("canary    {}", status.health.canary.detail);
        for guard in &status.health.guards {
            println!(
                "guard     {} {} {:?} {}",
                guard.name, guard.cgroup, guard.state, guard.detail
            );
        }
        for listener in &status.listeners {
            println!("listens   {listener}");
        }
        for counter in status
            .health
            .counters
            .iter()
            .filter(|counter| counter.value > 0)
        {
            println!("counted   {} {}", counter.name, counter.value);
        }
    }
    for sentence in &wrong {
        eprintln!("wrong: {sentence}");
    }
    Ok(if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
