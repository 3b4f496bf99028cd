//! The compact serialisation (RFC 7515 §7.1) and the header.

use super::claims::Claims;
use super::object::read;
use super::{Bearer, IdentityProvider, TOKEN_BYTES_MAX, TokenError, base64url};

/// Kinds of tokens that are taken (RFC 7519 §5.1, RFC 9068 §2.1). Tokens for other purposes, such
/// as proofs of possession and logout tokens, name another.
const TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// A token taken apart. Nothing of it is believed yet.
pub(super) struct Jwt<'t> {
    pub(super) header: Header,
    pub(super) claims: Claims,
    /// What the signature is over.
    pub(super) signed: &'t str,
    pub(super) signature: Vec<u8>,
}

pub(super) struct Header {
    pub(super) algorithm: String,
    pub(super) kid: Option<String>,
}

impl<'t> Jwt<'t> {
    pub(super) fn parse(token: &'t str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed("too long"));
        }
        let (signed, signature) = token
            .rsplit_once('.')
            .ok_or(TokenError::Malformed("no signature"))?;
        let (header, claims) = signed
            .split_once('.')
            .ok_or(TokenError::Malformed("no claims"))?;
        let signature = base64url::decode(signature)?;
        if signature.is_empty() {
            return Err(TokenError::Malformed("no signature"));
        }
        Ok(Self {
            header: Header::parse(&base64url::decode(header)?)?,
            claims: Claims::parse(&base64url::decode(claims)?)?,
            signed,
            signature,
        })
    }

    pub(super) fn bearer(&self, provider: &IdentityProvider) -> Result<Bearer, TokenError> {
        self.claims.bearer(provider)
    }
}

impl Header {
    fn parse(json: &[u8]) -> Result<Self, TokenError> {
        let document = read(json)?;
        let root = document.root();
        // Extensions that must be understood, and none is (RFC 7515 §4.1.11).
        if root.get("crit").is_some() {
            return Err(TokenError::Malformed("critical extensions"));
        }
        if let Some(kind) = root.get("typ") {
            let kind = kind.text().unwrap_or_default().to_ascii_lowercase();
            if !TYPES.contains(&kind.as_str()) {
                return Err(TokenError::Malformed("a token for another purpose"));
            }
        }
        let kid = match root.get("kid") {
            None => None,
            Some(kid) => Some(kid.text().ok_or(TokenError::Malformed("kid"))?.into_owned()),
        };
        let algorithm = root.get("alg").and_then(|value| value.text());
        Ok(Self {
            algorithm: algorithm
                .ok_or(TokenError::Malformed("no algorithm"))?
                .into_owned(),
            kid,
        })
    }
}
