//! Much of one thing through Weir, in bounded memory: statements of one session, rows of one
//! cursor, a gigabyte each way, connections.

use std::time::Duration;

use anyhow::{Context, Result};

use super::kit::Kit;
use super::program::{Language, environment};
use crate::checks::Checks;
use crate::stage::{Caller, Running, Said, Stage, process};

/// What is done, and by how many KiB the proxy's resident memory may be larger at its peak
/// than before it. Generous: a leak of what passes is three orders of magnitude above them.
const SCALES: [(&str, &str, u64); 5] = [
    (
        "10,000 named statements of one session",
        "statements",
        192 << 10,
    ),
    (
        "a cursor of 100,000 rows in 100 fetches",
        "cursor",
        32 << 10,
    ),
    ("COPY of 1 GiB to the client", "copy-out", 32 << 10),
    ("COPY of 1 GiB to the server", "copy-in", 32 << 10),
    // Debug builds: about 130 KiB for each connection, of which two are sockets' buffers.
    ("1,000 connections at once", "connections", 256 << 10),
];

/// Between two looks at the proxy's memory.
const LOOK: Duration = Duration::from_millis(100);

/// Plays all of them.
pub(super) fn play(stage: &Stage, kit: &Kit, checks: &mut Checks) -> Result<()> {
    for (name, what, growth_max) in SCALES {
        let caller = environment(stage, &stage.people.alice.guarded);
        let (caller, command) = kit.command(caller, Language::Rust, "scale")?;
        // A thousand connections are more files than a shell allows by itself.
        let shell = ["sh", "-c", r#"ulimit -n 4096 && exec "$0" "$@""#];
        let command = command.iter().map(String::as_str).chain([what]);
        let words: Vec<_> = shell.into_iter().chain(command).collect();
        let (said, before, peak) = watched(stage, &caller, &words)?;
        let grown = peak.saturating_sub(before);
        let is_bounded = grown <= growth_max;
        let told = said.out.replace(['\t', '\n'], " ");
        let seen = format!(
            "{told}| proxy {before} KiB before, {peak} KiB at most, +{grown} of {growth_max} allowed\n{}",
            said.err
        );
        checks.see(name, said.ok && is_bounded, &seen);
    }
    Ok(())
}

/// Runs a command; the proxy's resident memory before it, and the most while it ran.
fn watched(stage: &Stage, caller: &Caller, words: &[&str]) -> Result<(Said, u64, u64)> {
    let proxy = stage.dataplane.proxy()?;
    let before = process::resident_kib(proxy)?;
    let mut command = caller.command("timeout");
    command.arg("300").args(words);
    let mut running = Running::start(&mut command, "")?;
    let mut peak = before;
    while running.is_running() {
        peak = peak.max(process::resident_kib(proxy).context("the proxy is gone")?);
        std::thread::sleep(LOOK);
    }
    Ok((running.finish()?, before, peak))
}
