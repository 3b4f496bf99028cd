//! How clients prove who they are.

use std::collections::HashMap;
use std::sync::Arc;

use weir_facts::Identity;

use crate::token::IdentityProvider;

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
