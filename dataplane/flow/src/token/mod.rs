//! Tokens of identity providers: JWTs (RFC 7519) that are checked here, without asking anybody.
//!
//! An [`IdentityProvider`] is what the control plane told of an issuer: its keys (RFC 7517), the
//! audiences that its tokens must be for, and which claims name the subject and its groups.
//! [`IdentityProvider::verify`] takes a token and the time, and says whose it is.
//!
//! What it never does: believe a key, an algorithm or an address that stands in a token; accept a
//! token without an end; accept one that is bound to a key of its sender (`cnf`) as a bearer's.

mod base64url;
mod claims;
mod jwks;
mod jwt;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use weir_facts::{Agent, ConnectionName, Identity};

pub use jwks::{JwkError, KeySet};
use jwt::Jwt;

/// Stands for the connection's name in an audience.
const CONNECTION: &str = "{connection}";

/// How far the clock of an issuer may be ahead of ours before its new tokens count as not yet
/// valid. The end of a token has no such slack.
const NOT_BEFORE_SLACK_S: u64 = 60;

/// Longest token that is looked at; 300 groups with 32 bytes each fit.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Groups that one token can give; more are a token that nobody looked at.
const GROUPS_MAX: usize = 1_000;

/// Longest name of a subject, group or agent.
const NAME_BYTES_MAX: usize = 256;

/// Signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1). Those with a shared secret are missing:
/// who could check such a token could make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

const ALGORITHMS: [(&str, Algorithm); 7] = [
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("EdDSA", Algorithm::EdDsa),
];

impl Algorithm {
    /// The algorithm of a registered name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let found = ALGORITHMS.iter().find(|(known, _)| *known == name);
        found.map(|(_, algorithm)| *algorithm)
    }
}

/// An issuer, as an operator registered it.
pub struct IdentityProvider {
    /// `iss` of its tokens.
    pub issuer: Arc<str>,
    /// `aud` must have one of these, in which `{connection}` is the connection's name.
    pub audiences: Vec<Arc<str>>,
    /// What its tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// Its keys.
    pub keys: KeySet,
    /// The claim that names the subject.
    pub subject_claim: Arc<str>,
    /// The claim that lists its groups.
    pub groups_claim: Arc<str>,
    /// Stands before each of its groups, so that it cannot name those of others.
    pub group_prefix: Arc<str>,
    /// Where its metadata is, for clients that have no token yet.
    pub configuration: Arc<str>,
    /// The scope that these clients ask it for.
    pub scope: Arc<str>,
}

/// Whose a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The subject, at its issuer.
    pub identity: Arc<Identity>,
    /// The software that acts for it (RFC 8693 §4.1), if the token says so.
    pub agent: Option<Arc<Agent>>,
}

/// Why a token is not accepted. None of it is told to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a signed JWT, or one with claims that cannot be read.
    #[error("not a token that can be read: {0}")]
    Malformed(&'static str),
    /// No provider of that issuer is registered.
    #[error("issuer {0:?} is not registered")]
    Issuer(String),
    /// An algorithm that is not on the provider's list.
    #[error("algorithm {0:?} is not allowed")]
    Algorithm(String),
    /// The provider has no such key, as far as we know. Its keys may have been rotated.
    #[error("key {kid:?} of {issuer} is not known")]
    Key {
        /// The issuer.
        issuer: Arc<str>,
        /// The name of the key.
        kid: String,
    },
    /// Signed by somebody else, or changed.
    #[error("the signature is wrong")]
    Signature,
    /// Meant for somebody else.
    #[error("the audience is another")]
    Audience,
    /// Over.
    #[error("it ended at {0}")]
    Expired(u64),
    /// Nobody can say when this host's clock cannot be trusted.
    #[error("the clock of this host is skewed, so no token's time can be judged")]
    Clock,
    /// Not valid yet.
    #[error("it begins at {0}")]
    NotYet(u64),
}

/// A token whose form was checked, with the issuer that it names. Nothing of it is believed yet.
pub struct Unverified<'t>(Jwt<'t>);

impl<'t> Unverified<'t> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`TokenError::Malformed`].
    pub fn parse(token: &'t str) -> Result<Self, TokenError> {
        Jwt::parse(token).map(Self)
    }

    /// The issuer that it names.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.claims.issuer
    }
}

impl IdentityProvider {
    /// Says whose a token is, if it is this provider's, for this connection, and valid now.
    ///
    /// # Errors
    /// The first thing that is wrong with it; its claims are looked at after its signature.
    pub fn verify(
        &self,
        token: &Unverified<'_>,
        connection: &ConnectionName,
        unix_s: u64,
    ) -> Result<Bearer, TokenError> {
        let Jwt { header, claims, .. } = &token.0;
        if *claims.issuer != *self.issuer {
            return Err(TokenError::Issuer(claims.issuer.clone()));
        }
        let algorithm = Algorithm::from_name(&header.algorithm)
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or_else(|| TokenError::Algorithm(header.algorithm.clone()))?;
        let unknown = || TokenError::Key {
            issuer: self.issuer.clone(),
            kid: header.kid.clone().unwrap_or_default(),
        };
        let keys = self.keys.find(header.kid.as_deref(), algorithm);
        let is_signed = keys
            .ok_or_else(unknown)?
            .any(|key| key.verifies(token.0.signed.as_bytes(), &token.0.signature));
        if !is_signed {
            return Err(TokenError::Signature);
        }
        self.check_audience(&claims.audiences, connection)?;
        if unix_s >= claims.expires {
            return Err(TokenError::Expired(claims.expires));
        }
        if claims.not_before > unix_s.saturating_add(NOT_BEFORE_SLACK_S) {
            return Err(TokenError::NotYet(claims.not_before));
        }
        token.0.bearer(self)
    }

    fn check_audience(
        &self,
        named: &[String],
        connection: &ConnectionName,
    ) -> Result<(), TokenError> {
        let is_ours = self.audiences.iter().any(|ours| {
            let ours = ours.replace(CONNECTION, connection.as_str());
            named.contains(&ours)
        });
        is_ours.then_some(()).ok_or(TokenError::Audience)
    }
}
