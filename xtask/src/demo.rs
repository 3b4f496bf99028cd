//! `cargo xtask demo`.
use anyhow::Result;

/// How long the demo stays.
#[derive(clap::Args)]
pub struct Arguments {
    /// End after the last check.
    #[arg(long)]
    once: bool,
}

impl Arguments {
    /// The demo as the tests run it.
    pub const fn once() -> Self {
        Self { once: true }
    }
}

/// Runs the demo.
pub fn run(_arguments: &Arguments) -> Result<()> {
    Ok(())
}
