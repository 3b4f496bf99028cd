//! What is done on a guarded host.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

const MCP_RUN: &str = "\
Put it in front of the command in the client's configuration. Before:
  {\"mcpServers\": {\"files\": {
    \"command\": \"npx\",
    \"args\": [\"-y\", \"@modelcontextprotocol/server-filesystem\", \"/srv/data\"]}}}
After:
  {\"mcpServers\": {\"files\": {
    \"command\": \"weir\",
    \"args\": [\"mcp\", \"run\", \"--connection\", \"files\", \"--\",
             \"npx\", \"-y\", \"@modelcontextprotocol/server-filesystem\", \"/srv/data\"]}}}

Whoever manages Weir registers the name, once:
  weir connection add files --kind mcp --stdio
      or, for one program only:   … --stdio --program /usr/bin/node
      and one set of arguments:   … --stdio -- /usr/bin/node /opt/files/server.js /srv/data

What policies allow, mask, hold and deny is as for servers with an address; the caller is this
process, by its user and cgroup (weir workload add). WEIR_MCP_TOKEN, if it is set, says on whose
behalf the client calls; the server does not see it.

Without a data plane on this host, or if it refuses, the server is not started, and every
request is answered with an error that says what to do. Standard error, signals and the exit
code are the server's. At most 128 requests may be unanswered at once.

Weir guards the client that is configured so. A user who may run the server's program can also
run it without Weir: give secrets of the server to a user of its own if that matters.";

/// Which certificate.
#[derive(Args)]
pub(crate) struct CaFile {
    /// The authority's certificate, which the data plane writes at its first start
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/var/lib/weir/proxy/ca.crt"
    )]
    pub(crate) certificate: PathBuf,
}

#[derive(Subcommand)]
pub(crate) enum Ca {
    /// Show it: the data plane makes it at its first start, and keeps its key
    Init {
        #[command(flatten)]
        of: CaFile,
    },
    /// Put it into this host's trust (Debian, Ubuntu), or take it out
    #[command(
        after_long_help = "Example:\n  sudo weir ca install\n      /usr/local/share/ca-certificates/weir-host-ca.crt, then update-ca-certificates.\n  sudo weir ca install --remove"
    )]
    Install {
        #[command(flatten)]
        of: CaFile,
        /// Take it out again
        #[arg(long)]
        remove: bool,
    },
    /// What this host trusts and Weir's authority as one file, for clients that want one
    #[command(
        after_long_help = "Examples:\n  weir ca export --out /etc/weir/ca-bundle.pem\n      For SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE.\n  weir ca export --alone --out weir.pem\n      For NODE_EXTRA_CA_CERTS and keytool, which add to what they have."
    )]
    Export {
        #[command(flatten)]
        of: CaFile,
        /// Weir's authority alone
        #[arg(long)]
        alone: bool,
        /// Where to; standard output if absent
        #[arg(long = "out", value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Would curl, Python, Node and Java of this host accept Weir here? Exit code 1 if one would not
    ///
    /// Each of them asks, in this process's environment, a guarded server through Weir; and if it
    /// refuses, is followed by what to set.
    #[command(after_long_help = "Example:\n  weir ca check https://mcp.corp.example/mcp")]
    Check {
        #[command(flatten)]
        of: CaFile,
        /// A server that is registered with --tls verify-full, as clients here reach it
        url: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Mcp {
    /// Start an MCP server of standard input and output, and let nothing pass but through Weir
    #[command(after_long_help = MCP_RUN)]
    Run(McpRun),
}

#[derive(Args)]
pub(crate) struct McpRun {
    /// The server's name in policies
    #[arg(long)]
    pub(crate) connection: String,
    /// Where the data plane of this host is asked
    #[arg(long, env = STDIO_SOCKET_VARIABLE, default_value = STDIO_SOCKET)]
    pub(crate) socket: PathBuf,
    /// The server's program and its arguments
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// The variable that says where the data plane is asked.
pub(crate) const STDIO_SOCKET_VARIABLE: &str = "WEIR_STDIO_SOCKET";

/// Where the data plane is asked, unless its configuration says otherwise.
pub(crate) const STDIO_SOCKET: &str = "/run/weir/stdio.sock";
