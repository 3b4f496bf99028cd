//! `cargo xtask demo shell`: a shell in the guarded cgroup, as one of the demo's users.

use std::os::unix::process::CommandExt;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::stage::{Caller, DEMO, Record, cgroup_root, find_user};
use crate::step;

/// Whose shell.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Whose shell it is: alice sees personal data masked, bo sees it clear.
    #[arg(long = "as", value_enum, default_value = "alice")]
    who: Who,
}

#[derive(Clone, Copy, ValueEnum)]
enum Who {
    Alice,
    Bo,
}

/// Becomes the shell.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !step::is_root() {
        bail!("entering the guarded cgroup as another user needs root");
    }
    let cgroup = cgroup_root()?.join(DEMO.name);
    if Record::find(DEMO)?.is_none() || !cgroup.exists() {
        bail!("no demo runs here: start one with `cargo xtask demo`, and leave it up");
    }
    let name = match arguments.who {
        Who::Alice => "alice",
        Who::Bo => "bo",
    };
    let caller = Caller::inside(find_user(&DEMO.user(name))?, cgroup)
        .with("PS1", &format!("{name}, guarded $ "));
    let terminal = std::env::var("TERM").unwrap_or_default();
    println!(
        "a shell as {}; every connect to the demo's servers is guarded",
        DEMO.user(name)
    );
    let error = caller.with("TERM", &terminal).command("/bin/sh").exec();
    bail!("start a shell: {error}");
}
