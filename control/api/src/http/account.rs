use serde::{Deserialize, Serialize};

/// What an account may do in the control plane. Approving is not among them: that comes
/// from the groups that a policy names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Manages accounts, nodes and everything else but its own requests.
    Admin,
    /// Publishes policies.
    PolicyAuthor,
    /// Reads sessions and the management log.
    Auditor,
    /// Manages connections, guards and locks.
    Operator,
    /// Reads state.
    Viewer,
}

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everything that the account may do over this API.
    Api,
    /// Reading over this API.
    Read,
    /// Authenticating to data planes: as a Postgres password, or as a bearer of MCP.
    Connect,
}

/// An account to add.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountNew {
    /// Its name: 1 to 64 of `a-z 0-9 . _ -`, starting with a letter or digit.
    pub name: String,
    /// A machine, not a person.
    #[serde(default)]
    pub is_service: bool,
    /// The human behind it, where one human has several accounts; its own name if absent.
    #[serde(default)]
    pub person: Option<String>,
    /// The account that answers for a service; required for one.
    #[serde(default)]
    pub owner: Option<String>,
    /// What it may do here.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Groups, as policies name them.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// An account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// A machine, not a person.
    pub is_service: bool,
    /// The human behind it.
    pub person: String,
    /// The account that answers for a service.
    pub owner: Option<String>,
    /// What it may do here.
    pub roles: Vec<Role>,
    /// Groups, as policies name them, sorted.
    pub groups: Vec<String>,
    /// What certificates of it name, sorted.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// It has a Postgres secret.
    pub has_secret: bool,
    /// It may do nothing any more.
    pub disabled: bool,
    /// When it was made.
    pub created: u64,
}

/// The groups that an account has from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// As policies name them.
    pub groups: Vec<String>,
}

/// What certificates of an account name from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificates {
    /// `cn:alice`, `dns:ci.corp.example`, `email:alice@corp.example`, `uri:spiffe://corp.example/ci`.
    pub names: Vec<String>,
}

/// Who the caller is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Whoami {
    /// The account.
    pub account: Account,
    /// What the token that was presented is good for.
    pub scopes: Vec<Scope>,
    /// When that token ends.
    pub token_expires: u64,
}

/// A token to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenNew {
    /// What the owner calls it.
    pub label: String,
    /// What it is good for; at least one.
    pub scopes: Vec<Scope>,
    /// Seconds until it ends; at most a year.
    pub expires_in_s: u64,
}

/// A token that was made. Its text is shown once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenMade {
    /// Names it for revocation.
    pub id: String,
    /// The token's text.
    pub token: String,
    /// When it ends.
    pub expires: u64,
}

/// A token as it is listed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Token {
    /// Names it for revocation.
    pub id: String,
    /// What the owner calls it.
    pub label: String,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created: u64,
    /// When it ends.
    pub expires: u64,
    /// It was ended early.
    pub revoked: bool,
}

/// A Postgres secret that was made. Only its SCRAM verifier is kept; the text is shown once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecretMade {
    /// The account.
    pub account: String,
    /// What a Postgres client gives as its password.
    pub secret: String,
}

/// A rule that gives processes a name. At least one condition; every one given must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// What policies call it.
    pub name: String,
    /// Real user id.
    #[serde(default)]
    pub uid: Option<u32>,
    /// cgroup2 path that is the process's own or an ancestor of it.
    #[serde(default)]
    pub cgroup: Option<String>,
    /// Path of the executable, whole.
    #[serde(default)]
    pub executable: Option<String>,
    /// Groups, as policies name them.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The account that answers for it and may never approve its requests.
    #[serde(default)]
    pub owner: Option<String>,
}
