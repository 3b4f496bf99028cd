//! The redirect in the kernel, as root: each hook has a test of its name. Nothing is skipped;
//! a missing privilege is a failure that says what is missing.
//!
//! This executable has a main of its own, because it is also the client that enters another
//! cgroup, the unprivileged worker, and the loader that is killed (`client.rs`).

mod bed;
mod client;
mod closed;
mod hooks;
mod identity;
mod replacement;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

type Test = (&'static str, fn() -> Result<()>);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "client") {
        return client::main(arguments.get(1..).unwrap_or_default());
    }
    let tests: Vec<Test> = [
        hooks::TESTS,
        closed::TESTS,
        identity::TESTS,
        replacement::TESTS,
    ]
    .concat();
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

fn passes((name, test): &Test) -> bool {
    let outcome =
        catch_unwind(AssertUnwindSafe(test)).unwrap_or_else(|_| anyhow::bail!("it panicked"));
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
