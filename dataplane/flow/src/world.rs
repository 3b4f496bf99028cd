//! What the control plane told: servers, accounts, credentials, workloads, and the policy
//! compiled for them. Immutable; a new one replaces the old at once.

mod connection;
mod login;
mod workload;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use weir_facts::{Access, ConnectionName, Denial, Digest, Identity, Principal, Workload};
use weir_policy::{ClockTrust, JudgeContext, Judgement, Snapshot};

use crate::resource::ResourceUri;
use crate::token::{
    Audience, Bearer, IdentityProvider, OpaqueTokens, ServerToken, TokenError, Unverified,
};
pub use connection::{
    Carrier, Certificate, Connection, Connections, Credential, Derived, McpAuthorization,
    McpCredential, McpTarget, PostgresTarget, Target, Tls, TlsMode, canonical,
};
pub use login::{Account, Authentication, ClientLogin, ClientTls, LoginMethod, LoginRule, Token};
pub use workload::{Process, WorkloadRule};

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
