//! Who sent a request: a token's identity, the attested process, or both.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use weir_facts::{Digest, Identity, Principal, Workload};
use weir_mcp::http::RequestHead;

use crate::io::Env;

/// The caller of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// Equal for the same caller over flows and processes: sessions and approvals are
    /// bound to it.
    pub(crate) key: Arc<[u8]>,
}

/// Why nobody can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unnamed {
    #[error("neither a token nor an attested workload")]
    Nobody,
    #[error("an Authorization that is no Bearer token")]
    Scheme,
    #[error("a token that is not known or has expired")]
    Token,
}

/// Names the caller. A token that is there must be good: a workload does not make up for
/// a bad one.
pub(crate) fn authenticate(
    workload: Option<&Arc<Workload>>,
    head: &RequestHead,
    env: &Env<'_>,
) -> Result<Caller, Unnamed> {
    let identity = match head.fields.get("authorization") {
        None => None,
        Some(_) => {
            let token = head.bearer().ok_or(Unnamed::Scheme)?;
            let digest = Digest(Sha256::digest(token.as_bytes()).into());
            let identity = env
                .world
                .token(&digest, env.now.unix_us)
                .ok_or(Unnamed::Token)?;
            Some(identity.clone())
        }
    };
    if identity.is_none() && workload.is_none() {
        return Err(Unnamed::Nobody);
    }
    let key = key(workload.map(AsRef::as_ref), identity.as_deref());
    Ok(Caller {
        principal: Principal {
            workload: workload.cloned(),
            identity,
            agent: None,
        },
        key,
    })
}

/// Each part with its length, so that no two callers share a key. Not the process: the
/// same caller may come back as another one.
fn key(workload: Option<&Workload>, identity: Option<&Identity>) -> Arc<[u8]> {
    let mut key = Vec::with_capacity(64);
    let mut part = |text: &str| {
        key.extend_from_slice(&(text.len() as u64).to_be_bytes());
        key.extend_from_slice(text.as_bytes());
    };
    match workload {
        Some(workload) => {
            part("workload");
            part(&workload.name);
            part(&workload.uid.to_string());
        }
        None => part(""),
    }
    if let Some(identity) = identity {
        part(&identity.issuer);
        part(&identity.subject);
    }
    key.into()
}
