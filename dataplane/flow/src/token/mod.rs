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
mod object;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use weir_facts::{Agent, ConnectionName, Identity};

use crate::resource::ResourceUri;

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

/// Scopes that one token can give, and the length of one.
const SCOPES_MAX: usize = 100;
const SCOPE_BYTES_MAX: usize = 200;

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
    /// What it may be used for (RFC 6749 §3.3), sorted; nothing where it does not say.
    pub scopes: Arc<[Arc<str>]>,
    /// When it ends, in microseconds since the Unix epoch.
    pub expires_us: u64,
}

/// For whom a token must be: it names one of these.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'a> {
    /// The registered server, by the audiences that providers have for it; `None` where these do
    /// not count.
    pub connection: Option<&'a ConnectionName>,
    /// The server's own URI (RFC 8707 §2).
    pub resource: Option<&'a ResourceUri>,
}

/// What becomes of tokens that do not say whom they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpaqueTokens {
    /// They go on to the server, because an operator said so.
    Pass,
    /// They do not.
    Refuse,
}

/// A token that may go on to the server that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerToken {
    /// Of a registered issuer, and good.
    Verified(Bearer),
    /// Of somebody else: it proves nothing here.
    Unverified {
        /// When it ends, in microseconds since the Unix epoch, if it says so.
        expires_us: Option<u64>,
    },
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
    /// One that Weir made, or that this host has for Weir: no server may see it.
    #[error("one of Weir's own, which no server may see")]
    Own,
    /// It does not say whom it is for.
    #[error("it does not say whom it is for; opaque tokens are not let through here")]
    Opaque,
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

    /// Whether a text is meant to be a token of this form, good or not: three parts, of which the
    /// first is a JSON object.
    #[must_use]
    pub fn is_jwt(text: &str) -> bool {
        let mut parts = text.split('.');
        let header = parts
            .next()
            .and_then(|header| base64url::decode(header).ok());
        parts.count() == 2 && header.is_some_and(|header| object::read(&header).is_ok())
    }

    /// Whether its own claims let it be used there and now, which proves nothing else of it.
    /// Returns when it ends, in microseconds since the Unix epoch.
    ///
    /// # Errors
    /// Another audience, or another time.
    pub fn check_unverified(&self, audience: Audience<'_>, unix_s: u64) -> Result<u64, TokenError> {
        let claims = &self.0.claims;
        let is_for = |resource: &ResourceUri| claims.audiences.iter().any(|aud| resource.is(aud));
        if !audience.resource.is_some_and(is_for) {
            return Err(TokenError::Audience);
        }
        claims.check_time(unix_s)?;
        Ok(claims.expires.saturating_mul(1_000_000))
    }
}

impl IdentityProvider {
    /// Says whose a token is, if it is this provider's, for this audience, and valid now.
    ///
    /// # Errors
    /// The first thing that is wrong with it; its claims are looked at after its signature.
    pub fn verify(
        &self,
        token: &Unverified<'_>,
        audience: Audience<'_>,
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
        if !self.is_for(&claims.audiences, audience) {
            return Err(TokenError::Audience);
        }
        claims.check_time(unix_s)?;
        token.0.bearer(self)
    }

    fn is_for(&self, named: &[String], audience: Audience<'_>) -> bool {
        let of_connection = audience.connection.is_some_and(|connection| {
            self.audiences
                .iter()
                .any(|ours| named.contains(&ours.replace(CONNECTION, connection.as_str())))
        });
        let of_resource = audience
            .resource
            .is_some_and(|resource| named.iter().any(|name| resource.is(name)));
        of_connection || of_resource
    }
}
