//! Who may come, who decides, and who is shut out.

use clap::{Args, Subcommand};

use super::word::{duration, role, scope};

#[derive(Subcommand)]
pub(crate) enum Account {
    /// Add a person or a service
    #[command(
        after_long_help = "Examples:\n  weir account add alice --group pii-readers\n  weir account add dana --group dba --role auditor\n  weir account add etl --service --owner dana"
    )]
    Add {
        /// Lower-case letters, digits, . _ -
        name: String,
        /// A machine, not a person; needs --owner
        #[arg(long, requires = "owner")]
        service: bool,
        /// The person who answers for a service
        #[arg(long, requires = "service")]
        owner: Option<String>,
        /// The human behind it, where one human has several accounts
        #[arg(long, conflicts_with = "service")]
        person: Option<String>,
        /// admin, policy-author, auditor, operator or viewer
        #[arg(long = "role", value_parser = role)]
        roles: Vec<weir_api::http::Role>,
        /// Groups, as policies name them; approvers are groups too
        #[arg(long = "group")]
        groups: Vec<String>,
    },
    /// All accounts
    List,
    /// Set the groups of an account; none given takes all away
    Groups { name: String, groups: Vec<String> },
    /// Set what client certificates of an account name; none given takes all away
    #[command(
        after_long_help = "Examples:\n  weir account certificate etl dns:etl.corp.example uri:spiffe://corp.example/etl\n  weir account certificate alice cn:alice email:alice@corp.example\n      A certificate counts on connections that have a --client-ca which vouches for it."
    )]
    Certificate {
        name: String,
        /// cn:…, dns:…, email:… or uri:…, each of one account only
        names: Vec<String>,
    },
    /// Take everything from an account but its name
    Disable { name: String },
    /// Make a token; it is printed once
    #[command(
        after_long_help = "Examples:\n  weir account token alice --scope connect --expires 30d\n      For the password field of a Postgres client, or as bearer of MCP.\n  weir account token dana --scope api --expires 8h\n      For this program and the web pages."
    )]
    Token {
        name: String,
        /// api, read or connect
        #[arg(long = "scope", required = true, value_parser = scope)]
        scopes: Vec<weir_api::http::Scope>,
        /// How long it lives: 8h, 30d
        #[arg(long, default_value = "30d", value_parser = duration)]
        expires: u64,
        /// What it is for
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Tokens of an account
    Tokens { name: String },
    /// End a token
    Revoke { name: String, id: String },
    /// Make a Postgres secret; it is printed once, and only its SCRAM verifier is kept
    Secret { name: String },
}

#[derive(Subcommand)]
pub(crate) enum Workload {
    /// Name processes; every condition given must hold
    #[command(
        after_long_help = "Example:\n  weir workload add reports --cgroup /system.slice/reports.service --executable /usr/bin/python3.11 --owner dana"
    )]
    Add {
        name: String,
        /// Real user id
        #[arg(long)]
        uid: Option<u32>,
        /// cgroup2 path, its own or an ancestor
        #[arg(long)]
        cgroup: Option<String>,
        /// Path of the executable
        #[arg(long)]
        executable: Option<String>,
        /// Groups, as policies name them
        #[arg(long = "group")]
        groups: Vec<String>,
        /// The person who answers for it and never approves its requests
        #[arg(long)]
        owner: Option<String>,
    },
    /// All rules
    List,
    /// Remove a rule
    Remove { name: String },
}

#[derive(Subcommand)]
pub(crate) enum Approvals {
    /// What waits; with --all what was decided too
    List {
        #[arg(long)]
        all: bool,
    },
    /// One request
    Show { id: String },
    /// Say yes
    Approve {
        id: String,
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Say no; whoever asked is told the reason
    Deny {
        id: String,
        #[arg(long)]
        reason: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Lock {
    /// End flows now and refuse new ones
    Add {
        #[command(flatten)]
        target: LockTarget,
        #[arg(long)]
        reason: String,
    },
    /// All locks
    List,
    /// Lift a lock
    Remove { id: String },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct LockTarget {
    /// All flows of an account
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// All flows of a workload
    #[arg(long)]
    pub(crate) workload: Option<String>,
    /// One flow, as sessions name it
    #[arg(long)]
    pub(crate) flow: Option<String>,
}
