use serde::{Deserialize, Serialize};

/// An issuer of tokens (OpenID Connect Discovery 1.0, RFC 8414) whose tokens data planes take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityProvider {
    /// The `iss` of its tokens, an https URL. Also its name.
    pub issuer: String,
    /// `aud` must have one of these; `{connection}` stands for the connection's name. At least one.
    pub audiences: Vec<String>,
    /// Where its keys are; what its metadata says if absent.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// What its tokens may be signed with: RS256, RS384, RS512, PS256, ES256, ES384, EdDSA.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<String>,
    /// The claim that names the subject.
    #[serde(default = "subject_claim")]
    pub subject_claim: String,
    /// The claim that lists its groups.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// Stands before each of its groups, so that it cannot name those of others.
    #[serde(default)]
    pub group_prefix: String,
    /// The scope that clients without a token are told to ask for.
    #[serde(default = "scope")]
    pub scope: String,
    /// Certificates that may vouch for it, PEM; the host's if absent.
    #[serde(default)]
    pub ca_pem: Option<String>,
}

fn algorithms() -> Vec<String> {
    ["RS256", "ES256", "EdDSA"].map(str::to_owned).to_vec()
}

fn subject_claim() -> String {
    "sub".to_owned()
}

fn groups_claim() -> String {
    "groups".to_owned()
}

fn scope() -> String {
    "openid".to_owned()
}

/// An issuer, and how its keys stand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdentityProviderView {
    /// The issuer.
    pub provider: IdentityProvider,
    /// When its keys were last fetched, in Unix seconds.
    pub fetched: Option<u64>,
    /// Names of its keys.
    pub keys: Vec<String>,
    /// Why the last attempt failed; empty if it did not. The keys fetched before it stay.
    pub error: String,
}
