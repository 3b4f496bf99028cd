//! `weir-control`: the policy store, the push to data planes, approvals, identity and the
//! audit store, with an HTTP API for people and a gRPC stream for data planes.
//!
//! It never touches a byte of a guarded connection and needs no privilege. What it decides
//! reaches a data plane only in updates that its key has signed ([`world`], [`rpc`]). Start
//! with [`app::App`], which is what everything shares, and [`approval`], whose rules are
//! the reason for having people in the loop.

mod app;
mod approval;
mod check;
mod clock;
mod diff;
mod error;
mod http;
mod hub;
mod idp;
mod inbox;
mod init;
mod keys;
mod limits;
mod mcp;
mod metrics;
mod notify;
mod rpc;
mod seal;
mod secret;
mod serve;
mod server_checks;
mod store;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

/// The control plane of Weir.
#[derive(Parser)]
#[command(
    version,
    about,
    after_long_help = "Examples:\n  \
        weir-control init --state /var/lib/weir-control\n      \
        Makes the store, the keys and the first admin, and prints its token once.\n  \
        weir-control serve --state /var/lib/weir-control\n      \
        Serves people on 127.0.0.1:7400 and data planes on 127.0.0.1:7401.\n  \
        weir-control serve --state /var/lib/weir-control --inbox https://weir.corp.example\n      \
        The same, behind a TLS proxy: agents whose call is held are given links to there.\n\n\
        Exit codes: 0 done, 1 failed, 2 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a state directory: store, keys, and the first admin, whose token is printed once
    Init {
        /// The directory; made if it is not there, refused if it holds a control plane
        #[arg(long)]
        state: PathBuf,
        /// Name of the first admin
        #[arg(long, default_value = "admin")]
        admin: String,
    },
    /// Serve people and data planes until SIGTERM
    Serve {
        /// The directory that init made
        #[arg(long, env = "WEIR_CONTROL_STATE")]
        state: PathBuf,
        /// Where people are served (HTTP). Loopback only: put a TLS proxy in front for others
        #[arg(long, env = "WEIR_CONTROL_HTTP", default_value = "127.0.0.1:7400")]
        http: SocketAddr,
        /// Where people reach the web pages, as links in answers to agents say it: the address of
        /// the TLS proxy in front. [default: the address of --http]
        #[arg(long, env = "WEIR_CONTROL_INBOX", value_name = "URL", value_parser = inbox::parse)]
        inbox: Option<String>,
        /// Where data planes are served (gRPC). Loopback only
        #[arg(long, env = "WEIR_CONTROL_GRPC", default_value = "127.0.0.1:7401")]
        grpc: SocketAddr,
    },
    /// Check that the management log has no break
    CheckLog {
        /// The directory that init made
        #[arg(long, env = "WEIR_CONTROL_STATE")]
        state: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("WEIR_LOG")
                .unwrap_or_else(|_| "info,sqlx=warn".into()),
        )
        .init();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-control: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        match command {
            Command::Init { state, admin } => init::init(&state, &admin).await,
            Command::Serve {
                state,
                http,
                inbox,
                grpc,
            } => serve::serve(&state, http, grpc, inbox).await,
            Command::CheckLog { state } => init::check_log(&state).await,
        }
    })
}
