//! What the control plane told: servers, accounts, credentials, workloads, and the policy
//! compiled for them. Immutable; a new one replaces the old at once.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use weir_facts::{
    Access, ConnectionName, Denial, Digest, Group, Identity, Principal, ProcessRef, Workload,
};
use weir_mask::MaskKey;
use weir_policy::{ClockTrust, JudgeContext, Judgement, Snapshot};
use weir_postgres::auth::ClientKeys;

use crate::resource::ResourceUri;
use crate::token::{
    Audience, Bearer, IdentityProvider, OpaqueTokens, ServerToken, TokenError, Unverified,
};
use crate::tools::ToolPins;

/// How tokens begin that a control plane makes, whether or not they are still good.
const OWN_TOKENS: [&str; 2] = ["weir_", "weirnode_"];

/// Everything that a flow judges by.
pub struct World {
    /// Increases with every change that the control plane pushes.
    pub version: u64,
    /// The compiled policy.
    pub snapshot: Arc<Snapshot>,
    /// The registered servers.
    pub connections: Connections,
    /// The local accounts, by subject.
    pub accounts: HashMap<Arc<str>, Arc<Account>>,
    /// Tokens by the SHA-256 of their text.
    pub tokens: HashMap<Digest, Token>,
    /// Who else vouches for clients.
    pub authentication: Authentication,
    /// Rules that name workloads, the first that matches wins.
    pub workloads: Vec<WorkloadRule>,
    /// Who is shut out until an operator says otherwise.
    pub locks: Vec<Lock>,
    /// Makes the challenges of unknown users, so that they look like those of known ones.
    pub mock_key: [u8; 32],
    /// The policy bundle's id in hexadecimal, for records.
    pub bundle: Arc<str>,
    /// Whether the wall clock may decide anything.
    pub clock: ClockTrust,
    /// What is the same for every connection.
    pub settings: Settings,
}

/// What is the same for every connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How durable a record must be before its operation is released.
    pub durability: Durability,
    /// Whether the principal is put into `application_name` towards Postgres servers.
    pub attribution: Attribution,
    /// How long a Postgres statement waits for people before it is refused with the approval's name.
    pub postgres_hold_ns: u64,
    /// How long an MCP call waits for people before the client is told to come back.
    pub mcp_hold_ns: u64,
    /// Where people reach the web pages, without a slash at the end; `None` if nobody can be sent
    /// there.
    pub inbox: Option<Arc<str>>,
    /// When this world is stale, in microseconds since the Unix epoch.
    pub not_after_us: u64,
    /// What happens then.
    pub stale: Stale,
}

/// What a stale world still allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Everything.
    Continue,
    /// No new flow.
    DenyNew,
    /// No operation.
    DenyAll,
}

/// How durable the intent of an operation is before the operation goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// In the page cache: survives the death of Weir, not of the host.
    Kept,
    /// On stable storage for everything but plain reads, which are kept and synced within 10 ms.
    SyncedExceptPlainReads,
}

/// Whether servers learn the principal's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribution {
    /// `application_name` carries it.
    ApplicationName,
    /// It does not.
    Off,
}

/// A registered server.
pub struct Connection {
    /// Its name in policies.
    pub name: ConnectionName,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// How the onward leg is encrypted.
    pub tls: Tls,
    /// Whether a client that offers no TLS is served.
    pub client_tls: ClientTls,
    /// How its clients prove themselves.
    pub login: ClientLogin,
    /// Whether this server learns the principal's name.
    pub attribution: Attribution,
    /// Keys the masks `hash` and `digits`.
    pub mask_key: MaskKey,
    /// What speaks there.
    pub target: Target,
}

/// What a server speaks, with the credentials that only Weir holds.
pub enum Target {
    /// PostgreSQL.
    Postgres(PostgresTarget),
    /// An MCP server over HTTP.
    Mcp(McpTarget),
}

/// A Postgres server's credentials.
pub struct PostgresTarget {
    /// Roles that Weir can log in as.
    pub credentials: Vec<Credential>,
    /// The role of a session whose start-up user has no credential of its own; `None` refuses it.
    pub default_role: Option<Arc<str>>,
    /// The role that reads the catalogue, if one is set apart for it.
    pub catalog_role: Option<Arc<str>>,
    /// The database to read the catalogue of where a session names none.
    pub database: Arc<str>,
}

impl PostgresTarget {
    /// The credential for a start-up user: its own, else the default role's.
    #[must_use]
    pub fn credential(&self, user: &str) -> Option<&Credential> {
        self.of_role(user)
            .or_else(|| self.of_role(self.default_role.as_deref()?))
    }

    /// The credential that reads the catalogue.
    #[must_use]
    pub fn catalog_credential(&self) -> Option<&Credential> {
        let chosen = self
            .catalog_role
            .as_deref()
            .or(self.default_role.as_deref());
        chosen
            .and_then(|role| self.of_role(role))
            .or_else(|| self.credentials.first())
    }

    /// The credential of a role.
    #[must_use]
    pub fn of_role(&self, role: &str) -> Option<&Credential> {
        self.credentials
            .iter()
            .find(|credential| &*credential.role == role)
    }
}

/// A role and what proves it.
pub struct Credential {
    /// The role.
    pub role: Arc<str>,
    /// Its password; empty if it has none.
    pub password: zeroize::Zeroizing<String>,
    /// Its certificate, shown to a server that asks for one inside TLS.
    pub certificate: Option<Certificate>,
    /// What logins with it have derived.
    pub derived: Arc<Derived>,
}

/// Weir's own certificate towards a server.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate and those that vouch for it, PEM.
    pub chain_pem: Arc<str>,
    /// Its private key, PEM (PKCS #8, PKCS #1 or SEC 1).
    pub key_pem: zeroize::Zeroizing<String>,
}

/// The keys that a password became with a server's salt, from the last login that the server
/// has proved to be right: to derive them takes a worker some milliseconds, in which all its
/// other flows wait.
#[derive(Default)]
pub struct Derived(Mutex<Option<ClientKeys>>);

impl Derived {
    /// The keys, if there are any.
    pub(crate) fn keys(&self) -> Option<ClientKeys> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Keeps keys for the next login.
    pub(crate) fn keep(&self, keys: ClientKeys) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys);
    }
}

/// What opens an MCP server, and whose the tokens of its clients are.
pub struct McpTarget {
    /// How it is reached.
    pub carrier: Carrier,
    /// What Weir puts into each request, where the server needs it.
    pub credential: Option<McpCredential>,
    /// Whose the clients' tokens are.
    pub authorization: McpAuthorization,
    /// Which definitions of its tools may be used.
    pub tools: ToolPins,
}

/// A header field that only Weir knows the value of.
pub struct McpCredential {
    /// Its name.
    pub field: Arc<str>,
    /// Its value.
    pub value: zeroize::Zeroizing<String>,
}

/// Who is the resource server (RFC 6749 §1.1) of an MCP connection.
pub enum McpAuthorization {
    /// Weir: tokens are for Weir, and end here.
    Weir {
        /// What clients call the server; with it, they are told where to get tokens.
        resource: Option<ResourceUri>,
    },
    /// The server: tokens for it go on to it, and to nobody else.
    Server {
        /// Whom tokens must be for.
        resource: ResourceUri,
        /// What becomes of tokens that do not say whom they are for.
        opaque: OpaqueTokens,
    },
}

impl McpAuthorization {
    /// What clients call the server.
    #[must_use]
    pub const fn resource(&self) -> Option<&ResourceUri> {
        match self {
            Self::Weir { resource } => resource.as_ref(),
            Self::Server { resource, .. } => Some(resource),
        }
    }
}

/// How an MCP server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// It has an address, and speaks HTTP.
    Address,
    /// Its clients start it, and `weir mcp run` speaks HTTP for it.
    Stdio,
}

/// Encryption of the leg from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTls {
    /// The client decides.
    Optional,
    /// A client without TLS is refused.
    Required,
}

/// Who vouches for clients beside the local accounts' secrets and tokens.
pub struct Authentication {
    /// Issuers of tokens, of which the first is the one that clients without a token are sent to.
    pub providers: Vec<IdentityProvider>,
    /// Accounts by what their certificates name: `cn:…`, `dns:…`, `email:…`, `uri:…`.
    pub certificates: HashMap<Arc<str>, Arc<Account>>,
}

impl Authentication {
    /// Nobody else.
    #[must_use]
    pub fn local() -> Self {
        Self {
            providers: Vec::new(),
            certificates: HashMap::new(),
        }
    }
}

/// How the clients of a connection prove themselves.
pub struct ClientLogin {
    /// The first rule that fits the start-up user decides; where none does, the account of that
    /// name does.
    pub rules: Vec<LoginRule>,
    /// Who vouches for clients' certificates, PEM; empty: none is asked for.
    pub client_ca_pem: Arc<str>,
}

impl ClientLogin {
    /// As the account of the start-up user's name has it.
    #[must_use]
    pub fn by_account() -> Self {
        Self {
            rules: Vec::new(),
            client_ca_pem: "".into(),
        }
    }

    /// How a start-up user is asked, if a rule says so.
    #[must_use]
    pub fn method(&self, user: &str) -> Option<LoginMethod> {
        let fits = |rule: &&LoginRule| rule.user.as_deref().is_none_or(|named| named == user);
        self.rules.iter().find(fits).map(|rule| rule.method)
    }
}

/// How a start-up user is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRule {
    /// The start-up user; `None` is every one.
    pub user: Option<Arc<str>>,
    /// How.
    pub method: LoginMethod,
}

/// How a client proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginMethod {
    /// A client certificate.
    Certificate,
    /// The Weir secret of the account of the start-up user's name, by SCRAM.
    Secret,
    /// A token as the password.
    Token,
    /// A token by OAUTHBEARER.
    OauthBearer,
    /// Nothing but the attested workload.
    Workload,
}

/// Encryption of the leg to a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Whether, and how much is verified.
    pub mode: TlsMode,
    /// Certificates to trust for `verify-full`, PEM.
    pub ca_pem: Arc<str>,
    /// The name that the server's certificate must have; its address where this is `None`.
    pub server_name: Option<Arc<str>>,
}

/// The words of libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// If the server offers it.
    Prefer,
    /// Always; the certificate is not verified.
    Require,
    /// Always; the certificate is verified, and the name too.
    VerifyFull,
}

/// The registered servers, by name and by address.
#[derive(Default)]
pub struct Connections {
    by_name: HashMap<ConnectionName, Arc<Connection>>,
    by_address: HashMap<SocketAddr, ConnectionName>,
}

impl Connections {
    /// Indexes servers. Of two that claim an address, the first has it.
    #[must_use]
    pub fn new(connections: impl IntoIterator<Item = Connection>) -> Self {
        let mut index = Self::default();
        for connection in connections {
            for address in &connection.addresses {
                index
                    .by_address
                    .entry(canonical(*address))
                    .or_insert_with(|| connection.name.clone());
            }
            index
                .by_name
                .insert(connection.name.clone(), Arc::new(connection));
        }
        index
    }

    /// The server of that name.
    #[must_use]
    pub fn named(&self, name: &ConnectionName) -> Option<&Arc<Connection>> {
        self.by_name.get(name)
    }

    /// The name of the server at an address; v4-mapped addresses count as IPv4.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Option<&ConnectionName> {
        self.by_address.get(&canonical(address))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.by_name.values()
    }
}

/// The same address with a v4-mapped IPv6 address written as IPv4.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A local account.
pub struct Account {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// The SCRAM verifier of its Weir secret, in PostgreSQL's own format.
    pub scram_verifier: Option<Arc<str>>,
    /// Whether it has at least one token, which decides how Postgres clients are asked.
    pub has_token: bool,
}

/// What a token proves.
pub struct Token {
    /// The account.
    pub identity: Arc<Identity>,
    /// When it ends, in microseconds since the Unix epoch.
    pub expires_us: u64,
}

/// Shuts a person, a machine or a workload out.
pub struct Lock {
    /// Whom.
    pub who: Locked,
    /// Why, in the operator's words.
    pub reason: Arc<str>,
}

/// Whom a lock shuts out.
pub enum Locked {
    /// An account: issuer and subject.
    Identity(Arc<str>, Arc<str>),
    /// A workload, by name.
    Workload(Arc<str>),
}

/// Names processes that look like this.
pub struct WorkloadRule {
    /// Real user id, if it matters.
    pub uid: Option<u32>,
    /// Prefix of the cgroup2 path, at a `/`, if it matters.
    pub cgroup: Option<Arc<str>>,
    /// Path of the executable, if it matters.
    pub executable: Option<Arc<str>>,
    /// The workload's name in policies.
    pub name: Arc<str>,
    /// Its groups.
    pub groups: Vec<Group>,
    /// The account that answers for it.
    pub owner: Option<Arc<str>>,
}

/// What attestation found of a process, before it has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// Thread group id.
    pub pid: u32,
    /// cgroup2 path below the mount point.
    pub cgroup: Arc<str>,
    /// Path of the executable.
    pub executable: Arc<str>,
    /// SHA-256 of its content.
    pub executable_digest: Option<Digest>,
    /// It and those that it descends from, nearest first.
    pub lineage: Arc<[ProcessRef]>,
}

impl WorkloadRule {
    fn matches(&self, process: &Process) -> bool {
        let in_cgroup = |prefix: &Arc<str>| {
            process.cgroup.strip_prefix(&**prefix).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')
            })
        };
        self.uid.is_none_or(|uid| uid == process.uid)
            && self.cgroup.as_ref().is_none_or(in_cgroup)
            && self
                .executable
                .as_ref()
                .is_none_or(|path| *path == process.executable)
    }
}

impl World {
    /// Gives an attested process its name. One that no rule knows is `uid:<uid>`, without groups.
    #[must_use]
    pub fn workload(&self, process: &Process) -> Workload {
        let rule = self.workloads.iter().find(|rule| rule.matches(process));
        Workload {
            name: rule.map_or_else(
                || format!("uid:{}", process.uid).into(),
                |rule| rule.name.clone(),
            ),
            groups: rule.map(|rule| rule.groups.clone()).unwrap_or_default(),
            owner: rule.and_then(|rule| rule.owner.clone()),
            uid: process.uid,
            gid: process.gid,
            pid: process.pid,
            cgroup: process.cgroup.clone(),
            executable: process.executable.clone(),
            executable_digest: process.executable_digest,
            lineage: process.lineage.clone(),
        }
    }

    /// What policy says, unless an operator has shut the principal out.
    #[must_use]
    pub fn judge(
        &self,
        who: &Principal,
        on: &ConnectionName,
        accesses: &[Access],
        context: &JudgeContext<'_>,
    ) -> Judgement {
        match self.lock(who) {
            None => self.snapshot.judge(who, on, accesses, context),
            Some(reason) => Judgement::refused(Denial {
                outside: format!("shut out by an operator: {reason}").into(),
                advice: None,
                inside: format!("locked: {reason}").into(),
                policies: Vec::new(),
                scopes: Vec::new(),
            }),
        }
    }

    /// Why a principal is shut out, if any part of it is.
    #[must_use]
    pub fn lock(&self, principal: &Principal) -> Option<&str> {
        let shuts = |lock: &&Lock| match &lock.who {
            Locked::Identity(issuer, subject) => principal
                .identity
                .as_ref()
                .is_some_and(|who| who.issuer == *issuer && who.subject == *subject),
            Locked::Workload(name) => principal
                .workload
                .as_ref()
                .is_some_and(|workload| workload.name == *name),
        };
        self.locks.iter().find(shuts).map(|lock| &*lock.reason)
    }

    /// Whose a token is: a local account's, or an identity provider's for this connection.
    ///
    /// # Errors
    /// Why it is not accepted, for the record.
    pub fn bearer(
        &self,
        token: &str,
        connection: &ConnectionName,
        unix_us: u64,
    ) -> Result<Bearer, TokenError> {
        let digest = Digest(Sha256::digest(token.as_bytes()).into());
        if let Some(token) = self.good_token(&digest, unix_us) {
            return Ok(Bearer {
                identity: token.identity.clone(),
                agent: None,
                scopes: Arc::default(),
                expires_us: token.expires_us,
            });
        }
        let token = Unverified::parse(token)?;
        let provider = self
            .provider(token.issuer())
            .ok_or_else(|| TokenError::Issuer(token.issuer().to_owned()))?;
        let target = self.connections.named(connection);
        let audience = Audience {
            connection: Some(connection),
            resource: target.and_then(|target| match &target.target {
                Target::Mcp(target) => target.authorization.resource(),
                Target::Postgres(_) => None,
            }),
        };
        provider.verify(&token, audience, self.second(unix_us)?)
    }

    /// Whether a token may go on to the server that it is for.
    ///
    /// # Errors
    /// Why it may not, for the record: one of Weir's own never may.
    pub fn server_token(
        &self,
        text: &str,
        resource: &ResourceUri,
        opaque: OpaqueTokens,
        unix_us: u64,
    ) -> Result<ServerToken, TokenError> {
        let digest = Digest(Sha256::digest(text.as_bytes()).into());
        if self.tokens.contains_key(&digest) || OWN_TOKENS.iter().any(|own| text.starts_with(own)) {
            return Err(TokenError::Own);
        }
        if !Unverified::is_jwt(text) {
            return match opaque {
                OpaqueTokens::Pass => Ok(ServerToken::Unverified { expires_us: None }),
                OpaqueTokens::Refuse => Err(TokenError::Opaque),
            };
        }
        let token = Unverified::parse(text)?;
        let audience = Audience {
            connection: None,
            resource: Some(resource),
        };
        let unix_s = self.second(unix_us)?;
        match self.provider(token.issuer()) {
            Some(provider) => provider
                .verify(&token, audience, unix_s)
                .map(ServerToken::Verified),
            // The server will verify it. Whom it is for is what Weir answers for.
            None => {
                token
                    .check_unverified(audience, unix_s)
                    .map(|expires_us| ServerToken::Unverified {
                        expires_us: Some(expires_us),
                    })
            }
        }
    }

    /// The provider of an issuer.
    #[must_use]
    pub fn provider(&self, issuer: &str) -> Option<&IdentityProvider> {
        self.authentication
            .providers
            .iter()
            .find(|provider| *provider.issuer == *issuer)
    }

    fn second(&self, unix_us: u64) -> Result<u64, TokenError> {
        match self.clock {
            ClockTrust::Trusted => Ok(unix_us / 1_000_000),
            ClockTrust::Skewed => Err(TokenError::Clock),
        }
    }

    /// The account that a certificate's names name. `None` if there is none, or more than one.
    #[must_use]
    pub fn certificate(&self, names: &[Arc<str>]) -> Option<&Arc<Account>> {
        let mut accounts = names
            .iter()
            .filter_map(|name| self.authentication.certificates.get(name));
        let first = accounts.next()?;
        accounts
            .all(|other| other.identity == first.identity)
            .then_some(first)
    }

    /// The identity that a token proves, if it is still good.
    #[must_use]
    pub fn token(&self, digest: &Digest, unix_us: u64) -> Option<&Arc<Identity>> {
        self.good_token(digest, unix_us)
            .map(|token| &token.identity)
    }

    fn good_token(&self, digest: &Digest, unix_us: u64) -> Option<&Token> {
        self.tokens
            .get(digest)
            .filter(|token| unix_us < token.expires_us)
    }
}

/// An address for policies' `source_ip`: v4-mapped counts as IPv4.
#[must_use]
pub fn source_ip(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}
