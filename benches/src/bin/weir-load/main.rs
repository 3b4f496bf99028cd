//! `weir-load`: asks one thing again and again, and tells what it took.
//!
//! It checks every answer that it counts, and prints one line of JSON. `cargo xtask bench`
//! starts it, as an ordinary client and as a scripted server; it knows nothing of Weir.

mod bulk;
mod http;
mod mcp;
mod scripted;
mod session;
mod small;
mod window;

use std::net::SocketAddr;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Asks one thing again and again, and tells what it took")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer one statement with the bytes that a real server gave for it.
    Serve(scripted::Arguments),
    /// Tell how many scripted answers a scripted server has given.
    Count(scripted::Asked),
    /// One statement over and over on N connections.
    Small(small::Arguments),
    /// One large result over and over on one connection.
    Bulk(bulk::Arguments),
    /// One tool call over and over on N connections.
    Mcp(mcp::Arguments),
}

/// Who asks which server.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// Where the server is.
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// The start-up message's user; a password is read from PGPASSWORD.
    #[arg(long, default_value = "app")]
    pub(crate) user: String,
    /// The start-up message's database.
    #[arg(long, default_value = "shop")]
    pub(crate) database: String,
    /// Encrypt, and believe whatever certificate comes, as sslmode=require does.
    #[arg(long)]
    pub(crate) tls: bool,
}

/// What is measured, and how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct Measured {
    /// Length of the measured window, milliseconds.
    #[arg(long, default_value_t = 1000)]
    pub(crate) window_ms: u64,
    /// What runs before it and is not counted, milliseconds.
    #[arg(long, default_value_t = 200)]
    pub(crate) warm_ms: u64,
    /// Processes whose CPU time is told.
    #[arg(long = "pid")]
    pub(crate) pids: Vec<u32>,
    /// Names the interval in the histogram log.
    #[arg(long, default_value = "load")]
    pub(crate) tag: String,
}

/// What answers must and must not hold.
#[derive(Args, Clone, Debug)]
pub(crate) struct Expected {
    /// Each answer holds this.
    #[arg(long = "contains")]
    pub(crate) contained: Vec<String>,
    /// No answer holds this.
    #[arg(long = "lacks")]
    pub(crate) lacking: Vec<String>,
}

impl Expected {
    /// Checks one answer.
    ///
    /// # Errors
    /// It lacks what it must hold, or holds what it must not.
    pub(crate) fn check(&self, answer: &[u8]) -> Result<()> {
        let holds = |text: &String| memchr::memmem::find(answer, text.as_bytes()).is_some();
        let shown = || {
            String::from_utf8_lossy(answer.get(..answer.len().min(600)).unwrap_or_default())
                .into_owned()
        };
        for text in &self.contained {
            anyhow::ensure!(holds(text), "an answer lacks {text:?}: {:?}", shown());
        }
        for text in &self.lacking {
            anyhow::ensure!(!holds(text), "an answer holds {text:?}: {:?}", shown());
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Serve(arguments) => scripted::run(&arguments),
        Command::Count(arguments) => scripted::count(&arguments),
        Command::Small(arguments) => small::run(&arguments),
        Command::Bulk(arguments) => bulk::run(&arguments),
        Command::Mcp(arguments) => mcp::run(&arguments),
    }
}
