//! Registered servers: where they are, how they are reached, and as whom.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use weir_facts::ConnectionName;
use weir_mask::MaskKey;
use weir_postgres::auth::ClientKeys;

use super::{Attribution, ClientLogin, ClientTls};
use crate::resource::ResourceUri;
use crate::token::OpaqueTokens;
use crate::tools::ToolPins;

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
