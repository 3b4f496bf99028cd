//! What `weir` can be asked.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
pub(crate) enum Connection {
    /// Register a server, or change one
    #[command(
        after_long_help = "Examples:\n  weir connection add prod-pg --kind postgres --address 192.0.2.7:5432 --tls verify-full --server-name db.internal --ca ca.pem --env prod\n  weir connection add crm --kind mcp --address 192.0.2.9:8080\n  weir connection add crm --kind mcp --address 192.0.2.9:8080 --resource http://192.0.2.9:8080/mcp\n      Weir tells clients where to get a token, and takes those of 'weir idp add' for that resource.\n  weir connection add crm --kind mcp --address 192.0.2.9:443 --tls verify-full --server-name mcp.corp.example --resource https://mcp.corp.example/mcp --authorization server\n      The server has its own OAuth: tokens for it go on to it.\n  weir connection add files --kind mcp --stdio\n      Its clients start it: see weir mcp run --help."
    )]
    Add(Box<ConnectionAdd>),
    /// Give Weir the credential of a server; the secret is read from standard input
    #[command(
        after_long_help = "Examples:\n  weir connection credential prod-pg --role app < password.txt\n  weir connection credential crm < token.txt\n      Authorization: Bearer …\n  weir connection credential crm --header X-API-Key < key.txt\n      X-API-Key: …\n  weir connection credential crm --user weir < password.txt\n      Authorization: Basic …\nAn MCP server has one credential; another replaces it. Clients never see it."
    )]
    Credential {
        name: String,
        /// Postgres role
        #[arg(long, default_value = "")]
        role: String,
        /// MCP: the secret is the value of this header field, as it is; a bearer token otherwise
        #[arg(long, value_name = "NAME", conflicts_with_all = ["role", "user"])]
        header: Option<String>,
        /// MCP: the secret is the password of this user (HTTP's Basic authentication)
        #[arg(long, value_name = "NAME", conflicts_with_all = ["role", "header"])]
        user: Option<String>,
        /// The least-privilege role that reads the catalogue
        #[arg(long)]
        catalogue: bool,
        /// File with the certificate that this role shows to the server, PEM
        #[arg(long, requires = "key")]
        certificate: Option<PathBuf>,
        /// File with its private key, PEM
        #[arg(long, requires = "certificate")]
        key: Option<PathBuf>,
        /// The certificate is enough: read no secret
        #[arg(long, requires = "certificate")]
        no_password: bool,
    },
    /// All servers
    List,
    /// Remove a server and its credentials
    Remove { name: String },
    /// What could the stored roles do at the server beside what Weir lets pass?
    ///
    /// A data plane that serves the connection looks, as each role: superuser and other attributes,
    /// memberships, ownership, CREATE, TEMPORARY, ways out of the database. Prints the statements
    /// that close each; all else is comment. Exit code 1 if there is one.
    #[command(
        after_long_help = "Example:\n  weir connection check prod-pg > close.sql; psql -f close.sql … as a superuser, after reading it"
    )]
    Check {
        name: String,
        /// The same as --output json
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(crate) struct ConnectionAdd {
    /// What policies call it
    pub(crate) name: String,
    /// postgres or mcp
    #[arg(long, value_parser = kind)]
    pub(crate) kind: weir_api::http::Kind,
    /// Where it is, address and port; may be given more than once
    #[arg(long = "address", required_unless_present = "stdio")]
    pub(crate) addresses: Vec<String>,
    /// Its clients start it themselves, by weir mcp run
    #[arg(long, conflicts_with_all = ["addresses", "listen", "tls"])]
    pub(crate) stdio: bool,
    /// The only program that may be started as it, links resolved; with any arguments
    #[arg(long, requires = "stdio", conflicts_with = "command")]
    pub(crate) program: Option<String>,
    /// The only program and arguments that may be started as it. A program that changes its own
    /// arguments (npx does) is told by --program alone
    #[arg(last = true, requires = "stdio")]
    pub(crate) command: Vec<String>,
    /// disable, prefer, require or verify-full
    #[arg(long, default_value = "prefer", value_parser = tls)]
    pub(crate) tls: weir_api::http::Tls,
    /// File with the certificates that may vouch for it, PEM
    #[arg(long)]
    pub(crate) ca: Option<PathBuf>,
    /// The name its certificate must carry
    #[arg(long)]
    pub(crate) server_name: Option<String>,
    /// What policies know its surroundings by
    #[arg(long, default_value = "")]
    pub(crate) env: String,
    /// IANA zone in which its hours are counted
    #[arg(long, default_value = "UTC")]
    pub(crate) zone: String,
    /// Mask columns without a label, and how: redact, null, hash, keep_last:4 …
    #[arg(long)]
    pub(crate) mask_unlabelled: Option<String>,
    /// The database for catalogue reads where a session names none
    #[arg(long, default_value = "")]
    pub(crate) database: String,
    /// Also listen here for it
    #[arg(long = "listen")]
    pub(crate) listen: Vec<String>,
    /// Refuse clients that offer no TLS
    #[arg(long)]
    pub(crate) client_tls_required: bool,
    /// The role for sessions whose start-up user has no credential of its own
    #[arg(long)]
    pub(crate) default_role: Option<String>,
    /// How a start-up user is asked: USER=METHOD, * for every user; the first that fits decides.
    /// Methods: certificate, secret, token, oauthbearer, workload
    #[arg(long = "login", value_name = "USER=METHOD", value_parser = login_rule)]
    pub(crate) logins: Vec<weir_api::http::LoginRule>,
    /// File with the certificates that may vouch for clients', PEM
    #[arg(long)]
    pub(crate) client_ca: Option<PathBuf>,
    /// Do not tell this server the principal through application_name
    #[arg(long)]
    pub(crate) unattributed: bool,
    /// A tool of this MCP server that is seen for the first time waits for a person, like one whose
    /// definition has changed (weir tools)
    #[arg(long)]
    pub(crate) tools_need_approval: bool,
    /// MCP: what clients call the server, like `https://mcp.corp.example/mcp`; tokens must be for it
    #[arg(long, value_name = "URL")]
    pub(crate) resource: Option<String>,
    /// MCP: whom clients' tokens are for. weir: they end at Weir, which puts in the server's
    /// credential. server: those for the resource go on to it, and to nobody else
    #[arg(long, default_value = "weir", value_parser = authorization)]
    pub(crate) authorization: weir_api::http::Authorization,
    /// With --authorization server: let tokens go on, too, that do not say whom they are for
    #[arg(long)]
    pub(crate) opaque_tokens: bool,
}

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

#[derive(Subcommand)]
pub(crate) enum Idp {
    /// Register an issuer, or change one; its keys are fetched at once
    #[command(
        after_long_help = "Examples:\n  weir idp add https://idp.corp.example --audience 'urn:weir:{connection}'\n      Tokens must be for one connection each; keys are where the issuer's metadata says.\n  weir idp add https://token.actions.example --audience urn:weir:ci-pg --group-prefix ci: --jwks https://token.actions.example/keys\n\nThen say whose tokens are asked for:\n  weir connection add prod-pg … --login 'app=token' --login 'human=oauthbearer'"
    )]
    Add(Box<IdpAdd>),
    /// All issuers, and how their keys stand
    List,
    /// Take no more tokens of an issuer
    Remove { issuer: String },
    /// Fetch an issuer's keys now
    Refresh { issuer: String },
}

#[derive(Args)]
pub(crate) struct IdpAdd {
    /// The "iss" of its tokens: an https URL
    pub(crate) issuer: String,
    /// What a token's "aud" must name; {connection} stands for the connection's name
    #[arg(long = "audience", required = true)]
    pub(crate) audiences: Vec<String>,
    /// Where its keys are; what its metadata says if absent
    #[arg(long, value_name = "URL")]
    pub(crate) jwks: Option<String>,
    /// What its tokens may be signed with
    #[arg(long = "algorithm", default_values = ["RS256", "ES256", "EdDSA"])]
    pub(crate) algorithms: Vec<String>,
    /// The claim that names the subject
    #[arg(long, default_value = "sub")]
    pub(crate) subject_claim: String,
    /// The claim that lists its groups
    #[arg(long, default_value = "groups")]
    pub(crate) groups_claim: String,
    /// Stands before each of its groups, so that it cannot name those of others
    #[arg(long, default_value = "")]
    pub(crate) group_prefix: String,
    /// The scope that clients without a token are told to ask for
    #[arg(long, default_value = "openid")]
    pub(crate) scope: String,
    /// File with the certificates that may vouch for it, PEM; the host's if absent
    #[arg(long)]
    pub(crate) ca: Option<PathBuf>,
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
pub(crate) enum Tools {
    /// Tools of an MCP server, those that wait for a person first
    List { connection: String },
    /// A tool's definition, and what has changed in it
    Show { connection: String, tool: String },
    /// Let definitions be used that were looked at
    #[command(
        after_long_help = "Example:\n  weir tools show crm lookup_customer\n  weir tools approve crm lookup_customer@3f9a1c… --reason 'new field, reviewed'\n\nA definition is named by 16 or more digits of its SHA-256, so that what was looked at is what is\napproved. To keep the old one, name the old one. Takes the role policy-author or admin."
    )]
    Approve {
        connection: String,
        /// The tools with their definitions
        #[arg(required = true, value_name = "TOOL@DEFINITION", value_parser = tool_choice)]
        tools: Vec<(String, String)>,
        #[arg(long)]
        reason: String,
    },
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

fn word<T: serde::de::DeserializeOwned>(text: &str, known: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| format!("known are {known}"))
}

fn role(text: &str) -> Result<weir_api::http::Role, String> {
    word(text, "admin, policy-author, auditor, operator, viewer")
}

fn scope(text: &str) -> Result<weir_api::http::Scope, String> {
    word(text, "api, read, connect")
}

fn kind(text: &str) -> Result<weir_api::http::Kind, String> {
    word(text, "postgres, mcp")
}

fn authorization(text: &str) -> Result<weir_api::http::Authorization, String> {
    word(text, "weir, server")
}

fn login_rule(text: &str) -> Result<weir_api::http::LoginRule, String> {
    let known = "certificate, secret, token, oauthbearer, workload";
    let (user, method) = text
        .rsplit_once('=')
        .ok_or_else(|| format!("give USER=METHOD; methods are {known}"))?;
    Ok(weir_api::http::LoginRule {
        user: user.to_owned(),
        method: word(method, known)?,
    })
}

fn tool_choice(text: &str) -> Result<(String, String), String> {
    let (name, definition) = text
        .rsplit_once('@')
        .ok_or("give TOOL@DEFINITION, as weir tools show prints it")?;
    Ok((name.to_owned(), definition.to_owned()))
}

fn tls(text: &str) -> Result<weir_api::http::Tls, String> {
    word(text, "disable, prefer, require, verify-full")
}

/// Seconds of `90s`, `15m`, `8h`, `30d`.
fn duration(text: &str) -> Result<u64, String> {
    let wrong = || "give a number and a unit: 90s, 15m, 8h, 30d".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let scale: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(wrong()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(scale))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(
            [duration("90s"), duration("8h"), duration("30d")],
            [Ok(90), Ok(28_800), Ok(2_592_000)]
        );
        for wrong in ["", "d", "5", "-1d", "1w", "99999999999999999999d", "é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
