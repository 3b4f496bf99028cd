//! The warden as root, with its real hooks at the root of the cgroup tree: whom it guards, what
//! survives which death, and what it refuses. Nothing is skipped.
//!
//! This executable is also the client in another cgroup (`client …`) and, under the name
//! `weir-proxy`, a proxy that answers each client with what it was told about it.

mod bed;
mod client;
mod stand_in;
mod survives;
mod tells;

use std::panic::catch_unwind;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

type Test = (&'static str, fn() -> Result<()>);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments
        .first()
        .is_some_and(|name| name.ends_with("weir-proxy"))
    {
        return finish("weir-proxy", stand_in::main());
    }
    let arguments = arguments.get(1..).unwrap_or_default();
    if arguments.first().is_some_and(|first| first == "client") {
        return finish(
            "client",
            client::main(arguments.get(1..).unwrap_or_default()),
        );
    }
    let tests: Vec<Test> = [tells::TESTS, survives::TESTS].concat();
    if arguments.iter().any(|argument| argument == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let chosen = tests
        .iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|part| name.contains(*part)));
    let failed = chosen.filter(|test| !passes(test)).count();
    println!(
        "\ntest result: {}. {failed} failed",
        if failed == 0 { "ok" } else { "FAILED" }
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn finish(who: &str, outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{who}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn passes((name, test): &Test) -> bool {
    let outcome = catch_unwind(test).unwrap_or_else(|_| anyhow::bail!("it panicked"));
    match outcome.with_context(|| format!("test {name}")) {
        Ok(()) => {
            println!("test {name} ... ok");
            true
        }
        Err(error) => {
            println!("test {name} ... FAILED\n{error:#}");
            false
        }
    }
}
