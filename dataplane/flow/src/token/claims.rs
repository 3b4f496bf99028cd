//! The claims (RFC 7519 §4.1, RFC 9068 §2.2).

use std::sync::Arc;

use weir_facts::{Agent, Group, Identity};
use weir_mcp::json::{Document, Kind, Value};

use super::object::read;
use super::{
    Bearer, GROUPS_MAX, IdentityProvider, NAME_BYTES_MAX, NOT_BEFORE_SLACK_S, SCOPE_BYTES_MAX,
    SCOPES_MAX, TokenError,
};

/// The claims that decide, and all of them for those that the provider names.
pub(super) struct Claims {
    json: Vec<u8>,
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    /// Unix seconds.
    pub(super) expires: u64,
    /// Unix seconds; 0 where there is none.
    pub(super) not_before: u64,
}

impl Claims {
    pub(super) fn parse(json: &[u8]) -> Result<Self, TokenError> {
        let document = read(json)?;
        let root = document.root();
        let issuer = root.get("iss").and_then(|value| value.text());
        let expires = root.get("exp").ok_or(TokenError::Malformed("no end"))?;
        if root.get("cnf").is_some() {
            return Err(TokenError::Malformed("bound to a key of its sender"));
        }
        Ok(Self {
            issuer: issuer
                .ok_or(TokenError::Malformed("no issuer"))?
                .into_owned(),
            audiences: texts(root.get("aud"), "aud")?,
            expires: seconds(&expires)?,
            not_before: root.get("nbf").map_or(Ok(0), |value| seconds(&value))?,
            json: json.to_vec(),
        })
    }

    /// Who it is, by the claims that the provider names.
    pub(super) fn bearer(&self, provider: &IdentityProvider) -> Result<Bearer, TokenError> {
        let document = read(&self.json)?;
        let subject =
            name(&document, &provider.subject_claim)?.ok_or(TokenError::Malformed("no subject"))?;
        let mut groups: Vec<_> = texts(document.root().get(&provider.groups_claim), "groups")?
            .into_iter()
            .map(|group| Group(format!("{}{group}", provider.group_prefix).into()))
            .collect();
        groups.sort();
        groups.dedup();
        if groups.len() > GROUPS_MAX {
            return Err(TokenError::Malformed("too many groups"));
        }
        // Where no person takes part, the subject is the client itself (RFC 9068 §2.2).
        let client = match name(&document, "client_id")? {
            None => name(&document, "azp")?,
            client => client,
        };
        let identity = Identity {
            issuer: provider.issuer.clone(),
            is_service: client.as_deref() == Some(&*subject),
            subject: subject.into(),
            groups,
        };
        Ok(Bearer {
            identity: Arc::new(identity),
            agent: actor(&document)?,
            scopes: scopes(&document)?,
            expires_us: self.expires.saturating_mul(1_000_000),
        })
    }

    /// Whether it is valid now.
    pub(super) fn check_time(&self, unix_s: u64) -> Result<(), TokenError> {
        if unix_s >= self.expires {
            return Err(TokenError::Expired(self.expires));
        }
        if self.not_before > unix_s.saturating_add(NOT_BEFORE_SLACK_S) {
            return Err(TokenError::NotYet(self.not_before));
        }
        Ok(())
    }
}

/// `scope`, words between spaces (RFC 8693 §4.2, RFC 9068 §2.2.3), or the `scp` of providers that
/// have it as a list.
fn scopes(document: &Document<'_>) -> Result<Arc<[Arc<str>]>, TokenError> {
    let root = document.root();
    let lists = match root.get("scope") {
        None => texts(root.get("scp"), "scp")?,
        Some(scope) => {
            let text = scope.text().ok_or(TokenError::Malformed("scope"))?;
            vec![text.into_owned()]
        }
    };
    let words = lists.iter().flat_map(|list| list.split(' '));
    let mut scopes: Vec<Arc<str>> = words
        .filter(|word| !word.is_empty())
        .map(Arc::from)
        .collect();
    scopes.sort();
    scopes.dedup();
    // RFC 6749 §3.3.
    let fits = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let is_scope = |scope: &Arc<str>| scope.len() <= SCOPE_BYTES_MAX && scope.bytes().all(fits);
    if scopes.len() > SCOPES_MAX || !scopes.iter().all(is_scope) {
        return Err(TokenError::Malformed("scopes"));
    }
    Ok(scopes.into())
}

/// Who acts for the subject now: the outermost `act` (RFC 8693 §4.1).
fn actor(document: &Document<'_>) -> Result<Option<Arc<Agent>>, TokenError> {
    let Some(act) = document.root().get("act") else {
        return Ok(None);
    };
    let subject = act.get("sub").and_then(|value| value.text());
    let name = checked(subject.ok_or(TokenError::Malformed("act"))?.into_owned())?;
    Ok(Some(Arc::new(Agent { name: name.into() })))
}

fn name(document: &Document<'_>, claim: &str) -> Result<Option<String>, TokenError> {
    let Some(value) = document.root().get(claim) else {
        return Ok(None);
    };
    let text = value.text().ok_or(TokenError::Malformed("a name"))?;
    checked(text.into_owned()).map(Some)
}

/// Something that can be a name in policies, records and logs.
fn checked(text: String) -> Result<String, TokenError> {
    let is_name = !text.is_empty() && text.len() <= NAME_BYTES_MAX;
    if is_name && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err(TokenError::Malformed("a name"))
    }
}

/// A string, or an array of strings; nothing where there is none.
fn texts(value: Option<Value<'_>>, what: &'static str) -> Result<Vec<String>, TokenError> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let text = |value: &Value<'_>| {
        let text = (value.kind() == Kind::String).then(|| value.text());
        text.flatten()
            .ok_or(TokenError::Malformed(what))
            .and_then(|text| checked(text.into_owned()))
    };
    match value.kind() {
        Kind::String => Ok(vec![text(&value)?]),
        Kind::Array => value.elements().map(|element| text(&element)).collect(),
        Kind::Object | Kind::Key | Kind::Number | Kind::True | Kind::False | Kind::Null => {
            Err(TokenError::Malformed(what))
        }
    }
}

/// NumericDate (RFC 7519 §2), of which fractions are cut off: a token ends no later for them.
fn seconds(value: &Value<'_>) -> Result<u64, TokenError> {
    let text = value.number().ok_or(TokenError::Malformed("a time"))?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TokenError::Malformed("a time"));
    }
    whole.parse().map_err(|_| TokenError::Malformed("a time"))
}
