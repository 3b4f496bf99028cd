//! One file per noun.

mod account;
mod approval;
mod audit;
mod ca;
mod connection;
mod doctor;
mod idp;
mod login;
mod policy;
mod runtime;
mod session;
mod state;
mod tool;

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, ensure};

use crate::arguments::{Arguments, Command, Mcp};
use crate::client::Client;
use crate::config::Config;
use crate::output::Output;
use crate::stdio;

/// Bytes of a secret at most.
const SECRET_BYTES_MAX: u64 = 4096;

/// Does what was asked.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments {
        url,
        output,
        command,
    } = arguments;
    let out = Output(output);
    let client = |url: Option<String>| Client::new(&Config::load(url)?);
    let done = match command {
        Command::Login => login::login(url, out).await,
        Command::Whoami => login::whoami(&client(url)?, out).await,
        Command::Account(command) => account::run(&client(url)?, out, command).await,
        Command::Workload(command) => state::workload(&client(url)?, out, command).await,
        Command::Connection(command) => connection::run(&client(url)?, out, command).await,
        Command::Idp(command) => idp::run(&client(url)?, out, command).await,
        Command::Guard(command) => state::guard(&client(url)?, out, command).await,
        Command::Policy(command) => policy::run(|| client(url), out, command).await,
        Command::Approvals(command) => approval::run(&client(url)?, out, command).await,
        Command::Tools(command) => tool::run(&client(url)?, out, command).await,
        Command::Sessions(command) => session::run(&client(url)?, out, command).await,
        Command::Lock(command) => state::lock(&client(url)?, out, command).await,
        Command::Node(command) => state::node(&client(url)?, out, command).await,
        Command::Nodes => state::nodes(&client(url)?, out).await,
        Command::Ca(command) => return ca::run(out, command),
        Command::Audit(command) => return audit::run(|| client(url), out, command).await,
        Command::Mcp(Mcp::Run(run)) => return stdio::run(run).await,
        Command::Doctor => return doctor::run(&client(url)?, out).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// A secret from standard input, without the line's end. Never an argument: those are
/// seen by every user of the host.
fn secret_from_input(what: &str) -> anyhow::Result<String> {
    use std::io::IsTerminal;
    if std::io::stdin().is_terminal() {
        eprintln!("{what} (it is shown as you type; end with Enter, then Ctrl-D):");
    }
    let mut text = String::new();
    std::io::stdin()
        .take(SECRET_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("read {what}"))?;
    ensure!(
        text.len() as u64 <= SECRET_BYTES_MAX,
        "{what} is longer than {SECRET_BYTES_MAX} bytes"
    );
    let text = text.trim_end_matches(['\n', '\r']).to_owned();
    ensure!(!text.is_empty(), "{what} is empty");
    Ok(text)
}
