//! What `weir` can be asked.

mod connection;
mod host;
mod people;
mod word;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub(crate) use connection::{Connection, ConnectionAdd, Idp, IdpAdd, Tools};
pub(crate) use host::{Ca, CaFile, Mcp, McpRun, STDIO_SOCKET, STDIO_SOCKET_VARIABLE};
pub(crate) use people::{Account, Approvals, Lock, Workload};

const EXAMPLES: &str = "\
First steps:
  weir login --url http://127.0.0.1:7400        asks for a token on standard input
  weir account add dana --group dba             a person, who may approve what asks for dba
  weir connection add prod-pg --kind postgres --address 192.0.2.7:5432 --default-role app
  weir connection credential prod-pg --role app < password.txt
  weir node add gw1                             prints the string by which the data plane joins
  weir policy push ./policies -m 'first rules'
  weir guard add app.service --observe

Every day:
  weir approvals list
  weir approvals approve 4f1c… --reason 'ticket 812'
  weir sessions list --who alice
  weir doctor

For the auditor, offline:
  weir audit verify ./log --vkey \"$(cat log.vkey)\" --checkpoints stored.json

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 denied, 4 not ready.
Configuration: WEIR_URL and WEIR_TOKEN, or ~/.config/weir/cli.toml, which login writes.";

/// Guards who reaches which data: manage the control plane, decide approvals, verify the log.
#[derive(Parser)]
#[command(name = "weir", version, about, after_long_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Arguments {
    /// The control plane's address
    #[arg(long, global = true)]
    pub(crate) url: Option<String>,
    /// How answers are printed
    #[arg(long, short, global = true, value_enum, default_value = "table")]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Store a control plane's address and a token, read from standard input
    Login,
    /// Who the control plane takes me for
    Whoami,
    /// People and services
    #[command(subcommand)]
    Account(Account),
    /// Names for local processes, and who answers for them
    #[command(subcommand)]
    Workload(Workload),
    /// Guarded servers and their credentials
    #[command(subcommand)]
    Connection(Connection),
    /// Issuers of tokens (OpenID Connect) that clients may show
    #[command(subcommand)]
    Idp(Idp),
    /// Whose connections are taken
    #[command(subcommand)]
    Guard(Guard),
    /// Policies: test, publish, compare, go back
    #[command(subcommand)]
    Policy(Policy),
    /// What waits for people
    #[command(subcommand)]
    Approvals(Approvals),
    /// Tools of MCP servers: what was seen of them, and which definitions may be used
    #[command(subcommand)]
    Tools(Tools),
    /// Who did what
    #[command(subcommand)]
    Sessions(Sessions),
    /// End flows of an account, a workload, or one flow, until the lock is lifted
    #[command(subcommand)]
    Lock(Lock),
    /// Register data planes
    #[command(subcommand)]
    Node(Node),
    /// Data planes and how they stand
    Nodes,
    /// This host's certificate authority, by which clients of guarded HTTPS servers know Weir
    #[command(subcommand)]
    Ca(Ca),
    /// The audit log
    #[command(subcommand)]
    Audit(Audit),
    /// MCP servers that their clients start
    #[command(subcommand)]
    Mcp(Mcp),
    /// Is everything as it should be? Exit code 1 if not
    Doctor,
}

#[derive(Subcommand)]
pub(crate) enum Guard {
    /// Guard a systemd unit, a cgroup (/path), or all
    #[command(
        after_long_help = "Examples:\n  weir guard add app.service --observe    record what would be refused, refuse nothing\n  weir guard add /user.slice\n  weir guard add all"
    )]
    Add {
        target: String,
        /// Only record
        #[arg(long)]
        observe: bool,
    },
    /// All guards
    List,
    /// Remove a guard
    Remove { target: String },
}

#[derive(Subcommand)]
pub(crate) enum Policy {
    /// Check a directory, run its tests, publish it
    Push {
        directory: PathBuf,
        /// What changed
        #[arg(long, short)]
        message: String,
        /// The version that you started from; refused if another is active by now
        #[arg(long)]
        parent: Option<u64>,
    },
    /// Compare a directory with the active version, or two versions
    #[command(after_long_help = "Examples:\n  weir policy diff ./policies\n  weir policy diff 3 5")]
    Diff {
        /// A directory, or the older version's number
        from: String,
        /// The newer version's number
        to: Option<u64>,
    },
    /// Published versions
    Log,
    /// Publish an earlier version again
    Rollback {
        number: u64,
        /// Why
        #[arg(long, short, default_value = "")]
        message: String,
    },
    /// Check a directory and run its tests, offline
    Test { directory: PathBuf },
    /// Hold the arguments that policies read against what tools declare
    #[command(
        after_long_help = "The definitions are those that may be used (weir tools list), or those of a file:\na result of tools/list, or its list of tools.\n\nExamples:\n  weir policy check ./policies --connection prod-mcp\n  weir policy check ./policies --tools prod-mcp=tools.json      offline"
    )]
    Check {
        directory: PathBuf,
        /// A server whose definitions the control plane has
        #[arg(long = "connection", value_name = "NAME")]
        connections: Vec<String>,
        /// A server and a file with its tools
        #[arg(long = "tools", value_name = "NAME=FILE")]
        tools: Vec<String>,
    },
    /// Print the active version, or another
    Show { number: Option<u64> },
}

#[derive(Subcommand)]
pub(crate) enum Sessions {
    /// Sessions, the latest first
    List {
        /// Only of this account or workload
        #[arg(long, default_value = "")]
        who: String,
        /// Only on this connection
        #[arg(long, default_value = "")]
        connection: String,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// One session's records
    Show { id: String },
}

#[derive(Subcommand)]
pub(crate) enum Node {
    /// Register a data plane and print the string by which it joins, once
    Add {
        name: String,
        /// Connections that it serves; all if none is given
        #[arg(long = "serves")]
        serves: Vec<String>,
    },
    /// Forget a data plane; what it shipped stays
    Remove { name: String },
}

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Verify a log from its files alone, offline
    #[command(
        after_long_help = "Whoever owns a node can sign its log again. So give --checkpoints: what the control plane\nstored (weir audit checkpoints NODE), and --vkey from the same source.\n\nExample:\n  weir audit checkpoints gw1 > stored.json\n  weir audit verify /var/lib/weir/ledger --checkpoints stored.json"
    )]
    Verify {
        /// The ledger's directory, or that of the log itself
        directory: PathBuf,
        /// The log's verification key, or a file that holds it; the ledger's own if absent
        #[arg(long)]
        vkey: Option<String>,
        /// Stored checkpoints: a JSON array of signed notes, or a directory of them
        #[arg(long)]
        checkpoints: Option<PathBuf>,
    },
    /// Print the checkpoints of a node that the control plane stored, as JSON
    Checkpoints { node: String },
    /// The control plane's own log: who changed what
    Log {
        /// Only entries after this number
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
    /// What a person should look at
    Alerts,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
