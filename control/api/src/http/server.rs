use serde::{Deserialize, Serialize};

/// What a registered server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The Postgres protocol, version 3.
    Postgres,
    /// The Model Context Protocol over HTTP.
    Mcp,
}

/// TLS towards the server, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// None.
    Disable,
    /// If the server has it.
    Prefer,
    /// Always, whoever the server is.
    Require,
    /// Always, and the certificate must name the server.
    VerifyFull,
}

/// What becomes of a column without a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unlabelled {
    /// It is shown.
    Clear,
    /// It is masked.
    Mask,
}

/// A registered server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// What policies call it.
    pub name: String,
    /// What it speaks.
    pub kind: Kind,
    /// Where it is: `192.0.2.7:5432`. Never a name; at least one, unless it is started by its
    /// clients.
    pub addresses: Vec<String>,
    /// How Weir speaks to it.
    pub tls: Tls,
    /// Certificates that may vouch for it, PEM; the host's if absent.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// The name that its certificate must carry.
    #[serde(default)]
    pub server_name: Option<String>,
    /// What policies know its surroundings by: `prod`.
    #[serde(default)]
    pub env: String,
    /// IANA name of the zone in which its hours are counted.
    #[serde(default = "utc")]
    pub zone: String,
    /// What becomes of a column without a label.
    pub unlabelled: Unlabelled,
    /// How, if it is masked: `redact`.
    #[serde(default)]
    pub unlabelled_mask: Option<String>,
    /// The database for catalogue reads where a session names none.
    #[serde(default)]
    pub database: String,
    /// Where data planes listen for it beside the redirect.
    #[serde(default)]
    pub listen: Vec<String>,
    /// A client that offers no TLS is refused.
    #[serde(default)]
    pub client_tls_required: bool,
    /// The role for sessions whose start-up user has no credential of its own.
    #[serde(default)]
    pub default_role: Option<String>,
    /// How start-up users are asked who they are: the first that fits decides, and where none
    /// does, the account of that name.
    #[serde(default)]
    pub logins: Vec<LoginRule>,
    /// Certificates that may vouch for clients', PEM; clients are asked for none if absent.
    #[serde(default)]
    pub client_ca_pem: Option<String>,
    /// Do not tell this server the principal through `application_name`.
    #[serde(default)]
    pub unattributed: bool,
    /// A tool of this MCP server that is seen for the first time waits for a person, like one whose
    /// definition has changed.
    #[serde(default)]
    pub tools_need_approval: bool,
    /// What clients of an MCP server call it, in canonical form; the audience of its tokens.
    #[serde(default)]
    pub resource: Option<String>,
    /// Who is the resource server of an MCP connection.
    #[serde(default)]
    pub authorization: Authorization,
    /// Where the server is, tokens go on to it that do not say whom they are for.
    #[serde(default)]
    pub opaque_tokens: bool,
    /// Its clients start it themselves and speak with it over standard input and output; MCP only,
    /// and without addresses.
    #[serde(default)]
    pub stdio: Option<Stdio>,
}

/// Who is the resource server of an MCP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authorization {
    /// Weir: clients' tokens are for Weir, and end there.
    #[default]
    Weir,
    /// The server: clients' tokens that are for it go on to it.
    Server,
}

/// What may be started as an MCP server of standard input and output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stdio {
    /// Path of the executable as the kernel tells it, links resolved; any if absent.
    #[serde(default)]
    pub executable: Option<String>,
    /// Its arguments, without its own name; any if absent.
    #[serde(default)]
    pub arguments: Option<Vec<String>>,
}

/// How a start-up user is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRule {
    /// The start-up user; `*` is every one.
    pub user: String,
    /// How.
    pub method: LoginMethod,
}

/// How a client proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginMethod {
    /// A certificate that names an account.
    Certificate,
    /// The Weir secret of the account of the start-up user's name, by SCRAM.
    Secret,
    /// A token as the password, inside TLS.
    Token,
    /// A token by OAUTHBEARER, inside TLS.
    Oauthbearer,
    /// Nothing but the attested workload.
    Workload,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// What opens a server. Never given back.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Postgres role; for MCP the user of HTTP's Basic authentication, else empty.
    #[serde(default)]
    pub role: String,
    /// Postgres password; for MCP the user's password, the value of the header, or a bearer token.
    /// Empty where a certificate is enough.
    pub secret: String,
    /// For MCP: the header field that the secret is put into as it is.
    #[serde(default)]
    pub header: Option<String>,
    /// Shown to a Postgres server that asks for a certificate, PEM.
    #[serde(default)]
    pub certificate_pem: Option<String>,
    /// Its private key, PEM.
    #[serde(default)]
    pub key_pem: Option<String>,
    /// The least-privilege role that reads the catalogue.
    #[serde(default)]
    pub catalogue: bool,
}

/// A credential as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialView {
    /// Postgres role; for MCP the user of HTTP's Basic authentication, else empty.
    pub role: String,
    /// For MCP: the header field that it is put into.
    #[serde(default)]
    pub header: Option<String>,
    /// It reads the catalogue.
    pub catalogue: bool,
    /// It has a certificate.
    #[serde(default)]
    pub has_certificate: bool,
}

/// A registered server with the roles that Weir has credentials for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectionView {
    /// The server.
    pub connection: Connection,
    /// Its credentials, without their secrets.
    pub credentials: Vec<CredentialView>,
}

/// Something that a stored role could do beside what Weir lets pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleFinding {
    /// What: `owns table public.customers`.
    pub what: String,
    /// The SQL statement that takes it away.
    pub fix: String,
    /// Weir refuses it anyway.
    pub is_hint: bool,
}

/// One stored role, as its server has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleReport {
    /// The role.
    pub role: String,
    /// In which database it was looked at.
    pub database: String,
    /// What it could do.
    pub findings: Vec<RoleFinding>,
    /// Why it could not be looked at; empty if it was.
    pub error: String,
}

/// What a data plane found of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionReport {
    /// The connection.
    pub connection: String,
    /// The data plane that looked.
    pub node: String,
    /// Addresses that do not answer, and why.
    pub unreachable: Vec<String>,
    /// Its roles.
    pub roles: Vec<RoleReport>,
}

/// What a guard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Lets everything pass and records what would have been.
    Observe,
    /// Refuses what policy refuses.
    Enforce,
}

/// Whose connections are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// `all`, a cgroup2 path starting with `/`, or `unit:<systemd unit>`. Also its name.
    pub cgroup: String,
    /// What it does.
    pub mode: Mode,
}

/// Flows to end, now and until the lock is lifted. Exactly one of the first three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Names it; given by the server.
    #[serde(default)]
    pub id: String,
    /// One flow, as sessions name it.
    #[serde(default)]
    pub flow: Option<String>,
    /// All flows of an account.
    #[serde(default)]
    pub account: Option<String>,
    /// All flows of a workload.
    #[serde(default)]
    pub workload: Option<String>,
    /// Why.
    pub reason: String,
}

/// A node to register.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeNew {
    /// Its name.
    pub name: String,
    /// Connections that it serves; all if absent.
    #[serde(default)]
    pub serves: Option<Vec<String>>,
}

/// A node that was registered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeMade {
    /// Its name.
    pub name: String,
    /// The string by which it joins. Holds its secret; shown once.
    pub join: String,
}

/// How far a push has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Push {
    /// What it should have is in force there.
    Applied,
    /// It was sent, or will be once the node is there.
    Pending,
    /// The node refused it and keeps what it had.
    Rejected,
}

/// How a guard stands on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardHealth {
    /// The guard.
    pub cgroup: String,
    /// What it does.
    pub mode: Mode,
    /// The hooks are in place.
    pub attached: bool,
    /// Why not.
    pub detail: String,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeHealth {
    /// `passed`, `failed`, `not-applicable` or `unknown`.
    pub canary: String,
    /// When it ran.
    pub canary_at: u64,
    /// What it saw.
    pub canary_detail: String,
    /// Its guards.
    pub guards: Vec<GuardHealth>,
    /// Numbers, by name.
    pub counters: Vec<(String, u64)>,
    /// Flows open now.
    pub active_flows: u64,
    /// Epoch of its world.
    pub epoch: u64,
    /// Leaves in its log.
    pub log_size: u64,
    /// Its kernel.
    pub kernel: String,
    /// Seconds that its clock is ahead of ours.
    pub clock_ahead_s: i64,
}

/// A node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its stream is open.
    pub connected: bool,
    /// When it was last heard of.
    pub last_seen: Option<u64>,
    /// Version of its binary.
    pub build: String,
    /// The number of the content that it should have.
    pub wanted: u64,
    /// The number of the content that is in force there.
    pub applied: u64,
    /// How far the newest push has come.
    pub push: Push,
    /// Why it refused.
    pub error: String,
    /// What it says of itself; absent before it first did.
    pub health: Option<NodeHealth>,
    /// Leaves of its log that are stored here.
    pub leaves: u64,
    /// Size of the newest checkpoint stored.
    pub checkpoint_size: u64,
    /// Its checkpoints contradict each other.
    pub log_alert: bool,
}

/// The control plane itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the binary.
    pub build: String,
    /// The key that signs updates, as join strings carry it.
    pub control_key: String,
    /// The active policy version.
    pub policy: Option<u64>,
    /// Requests that wait for people.
    pub approvals_pending: u64,
    /// Nodes registered.
    pub nodes: u64,
    /// Nodes whose stream is open.
    pub nodes_connected: u64,
    /// Its clock.
    pub now: u64,
}
