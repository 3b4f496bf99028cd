//! `weir`: the operator's and the auditor's hand.
//!
//! Everything it does over the network goes through the control plane's HTTP API with the
//! caller's own token; it has no rights of its own. `policy test` and `audit verify` work
//! offline, on files alone. Start with [`arguments`], which is what it can be asked.

mod arguments;
mod client;
mod command;
mod config;
mod failure;
mod output;
mod stdio;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(command::run(arguments)),
        Err(error) => Err(anyhow::Error::new(error).context("start the runtime")),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("weir: {error:#}");
            failure::exit_code(&error)
        }
    }
}
