//! Servers, and who vouches for their callers.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::word::{authorization, kind, login_rule, tls, tool_choice};

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
