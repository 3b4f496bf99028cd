//! Who sent a request: a token's identity, the attested process, or both.

use std::sync::Arc;

use weir_facts::{Agent, ConnectionName, Identity, Principal, Workload};
use weir_mcp::http::RequestHead;

use crate::io::{Effect, Env};
use crate::token::TokenError;

/// The caller of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// Equal for the same caller over flows and processes: sessions and approvals are
    /// bound to it.
    pub(crate) key: Arc<[u8]>,
}

/// Why nobody can be named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unnamed {
    #[error("neither a token nor an attested workload")]
    Nobody,
    #[error("an Authorization that is no Bearer token")]
    Scheme,
    #[error("a token that is not accepted: {0}")]
    Token(#[from] TokenError),
}

/// Names the caller. A token that is there must be good: a workload does not make up for
/// a bad one. One of a key that is not known yet is refused, too, and its keys are asked for: the
/// client comes back.
pub(crate) fn authenticate(
    workload: Option<&Arc<Workload>>,
    connection: &ConnectionName,
    head: &RequestHead,
    env: &mut Env<'_>,
) -> Result<Caller, Unnamed> {
    let bearer = match head.fields.get("authorization") {
        None => None,
        Some(_) => {
            let token = head.bearer().ok_or(Unnamed::Scheme)?;
            let bearer = env.world.bearer(token, connection, env.now.unix_us);
            if let Err(TokenError::Key { issuer, .. }) = &bearer {
                env.out.effects.push(Effect::RefreshKeys(issuer.clone()));
            }
            Some(bearer?)
        }
    };
    let (identity, agent) =
        bearer.map_or((None, None), |bearer| (Some(bearer.identity), bearer.agent));
    if identity.is_none() && workload.is_none() {
        return Err(Unnamed::Nobody);
    }
    let key = key(
        workload.map(AsRef::as_ref),
        identity.as_deref(),
        agent.as_deref(),
    );
    Ok(Caller {
        principal: Principal {
            workload: workload.cloned(),
            identity,
            agent,
        },
        key,
    })
}

/// Each part with its length, so that no two callers share a key. Not the process: the
/// same caller may come back as another one.
fn key(
    workload: Option<&Workload>,
    identity: Option<&Identity>,
    agent: Option<&Agent>,
) -> Arc<[u8]> {
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
    if let Some(agent) = agent {
        part(&agent.name);
    }
    key.into()
}
