//! `cargo xtask demo`: guards two users of this host for real, attacks itself, proves itself.

mod attack;
mod drop_table;
mod proof;
mod push;
mod refund;
mod rows;
mod shell;

use std::path::PathBuf;

use anyhow::{Result, bail};

pub(crate) use proof::{guarded_statements, stored_checkpoints, verification};

use crate::checks::Checks;
use crate::stage::{self, DEMO, Selection, Stage};

/// How long the demo stays.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// End after the last check, and take everything away again.
    #[arg(long)]
    once: bool,
    /// Take away what a demo left on this host, and do nothing else.
    #[arg(long, conflicts_with = "once")]
    down: bool,
    /// Use the programs in this folder instead of building them.
    #[arg(long, value_name = "FOLDER", conflicts_with = "down")]
    programs: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Open a guarded shell on the running demo.
    Shell(shell::Arguments),
}

const CHANGES: &str = "\
This changes the host, until `cargo xtask demo --down` or Ctrl-C:
  users     weir-demo-alice, weir-demo-bo, weir-demo-control, weir-demo-proxy  (system users, no login)
  files     /var/lib/weir-demo  (PostgreSQL and MCP servers, state, logs)
  cgroups   weir-demo  (guarded), weir-demo-plane  (Weir's own)
  kernel    hooks attached at the cgroup2 root, pinned at /sys/fs/bpf/weir-demo; a BPF file system if none is mounted
  packages  what is missing of: a C compiler, libclang, PostgreSQL, Node.js, setpriv
Only processes in cgroup weir-demo are guarded; everything else connects as before.
";

/// Runs the demo, or takes it away.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Some(Command::Shell(arguments)) => return shell::run(arguments),
        None if arguments.down => {
            let was_there = stage::down(DEMO)?;
            println!(
                "{}",
                if was_there {
                    "taken down"
                } else {
                    "there was nothing to take down"
                }
            );
            return Ok(());
        }
        None => {}
    }
    println!("{CHANGES}");
    let selection = arguments
        .programs
        .clone()
        .map_or(Selection::Programs, Selection::Ready);
    let stage = Stage::up(DEMO, &selection)?;
    let checks = play(&stage);
    if arguments.once {
        end(stage, &checks)
    } else {
        stay(&stage, &checks)
    }
}

/// The demo as the tests run it, with the programs that they have built.
pub(crate) fn once(selection: &Selection) -> Result<()> {
    println!("{CHANGES}");
    let stage = Stage::up(DEMO, selection)?;
    let checks = play(&stage);
    end(stage, &checks)
}

fn play(stage: &Stage) -> Checks {
    let mut checks = Checks::new();
    checks.scene("Who sees what, with an unconfigured psql", |checks| {
        rows::play(stage, checks)
    });
    checks.scene("DROP TABLE is held until another person agrees", |checks| {
        drop_table::play(stage, checks)
    });
    checks.scene("An unconfigured MCP client", |checks| {
        refund::play(stage, checks)
    });
    checks.scene(
        "Attacks, each beside the same command straight at the server",
        |checks| attack::play(stage, checks),
    );
    checks.scene("A policy reaches a session that is open", |checks| {
        push::play(stage, checks)
    });
    checks.scene("Proof", |checks| proof::play(stage, checks));
    checks
}

fn end(stage: Stage, checks: &Checks) -> Result<()> {
    if !checks.all_passed() {
        stage.keep_logs();
    }
    stage.down()?;
    println!("\neverything taken down\n");
    if !checks.all_passed() {
        bail!("{}", checks.summary("demo"));
    }
    println!("{}", checks.summary("demo"));
    Ok(())
}

fn stay(stage: &Stage, checks: &Checks) -> ! {
    let url = stage.control.url();
    println!("\nIt stays up. Ctrl-C takes everything down.");
    println!(
        "  web pages       {url}   sign in as dana, who approves: {}",
        stage.people.dana.token
    );
    println!("  guarded shell   cargo xtask demo shell             (as alice; --as bo sees more)");
    println!(
        "  then, in it     psql -h 127.0.0.1 -p {} -U app shop",
        stage.postgres.port
    );
    println!("\n{}", checks.summary("demo"));
    stage::stay(i32::from(!checks.all_passed()))
}
