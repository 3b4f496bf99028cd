//! Who sent a request: a token's identity, the attested process, or both.

use std::sync::Arc;

use weir_facts::{Agent, Identity, Principal, Workload};
use weir_mcp::http::RequestHead;
use zeroize::Zeroizing;

use super::context::Context;
use crate::io::Env;
use crate::token::{ServerToken, TokenError};
use crate::world::McpAuthorization;

/// The caller of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// What the token that it showed may be used for.
    pub(crate) scopes: Arc<[Arc<str>]>,
    /// When that token ends, in microseconds since the Unix epoch.
    pub(crate) expires_us: Option<u64>,
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

/// What a flow remembers of the token that it saw last: to verify a signature takes longer than all
/// else that is done for a call.
#[derive(Debug, Default)]
pub(crate) struct Remembered(Option<(Zeroizing<String>, u64, ServerToken)>);

impl Remembered {
    /// What was found of this token in this world, if it has not ended since.
    fn find(&self, token: &str, env: &Env<'_>) -> Option<ServerToken> {
        let (known, world, found) = self.0.as_ref()?;
        let is_same = **known == *token && *world == env.world.version;
        let is_good = |ends: u64| env.now.unix_us < ends;
        (is_same && ends(found).is_none_or(is_good)).then(|| found.clone())
    }

    fn keep(&mut self, token: &str, env: &Env<'_>, found: &ServerToken) {
        let token = Zeroizing::new(token.to_owned());
        self.0 = Some((token, env.world.version, found.clone()));
    }
}

/// Names the caller. A token that is there must be good: a workload does not make up for
/// a bad one. One of a key that is not known yet is refused, too.
pub(crate) fn authenticate(
    context: &Context,
    head: &RequestHead,
    remembered: &mut Remembered,
    env: &Env<'_>,
) -> Result<Caller, Unnamed> {
    let workload = context.workload.as_ref();
    let shown = match head.fields.get("authorization") {
        None => None,
        Some(_) => Some(shown(context, head, remembered, env)?),
    };
    let expires_us = shown.as_ref().and_then(ends);
    let bearer = match shown {
        Some(ServerToken::Verified(bearer)) => Some(bearer),
        Some(ServerToken::Unverified { .. }) | None => None,
    };
    let (identity, agent, scopes) = bearer.map_or_else(
        || (None, None, Arc::default()),
        |bearer| (Some(bearer.identity), bearer.agent, bearer.scopes),
    );
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
        scopes,
        expires_us,
        key,
    })
}

/// The caller of a request whose `Authorization` is not for Weir to read.
pub(crate) fn workload(context: &Context) -> Result<Caller, Unnamed> {
    let workload = context.workload.as_ref().ok_or(Unnamed::Nobody)?;
    Ok(Caller {
        principal: Principal {
            workload: Some(workload.clone()),
            identity: None,
            agent: None,
        },
        scopes: Arc::default(),
        expires_us: None,
        key: key(Some(workload), None, None),
    })
}

/// Whose the token is that a request shows.
fn shown(
    context: &Context,
    head: &RequestHead,
    remembered: &mut Remembered,
    env: &Env<'_>,
) -> Result<ServerToken, Unnamed> {
    let token = head.bearer().ok_or(Unnamed::Scheme)?;
    if let Some(found) = remembered.find(token, env) {
        return Ok(found);
    }
    let now = env.now.unix_us;
    let found = match context.mcp().map(|target| &target.authorization) {
        Some(McpAuthorization::Server { resource, opaque }) => {
            env.world.server_token(token, resource, *opaque, now)?
        }
        Some(McpAuthorization::Weir { .. }) | None => {
            let bearer = env.world.bearer(token, &context.connection.name, now)?;
            ServerToken::Verified(bearer)
        }
    };
    remembered.keep(token, env, &found);
    Ok(found)
}

fn ends(token: &ServerToken) -> Option<u64> {
    match token {
        ServerToken::Verified(bearer) => Some(bearer.expires_us),
        ServerToken::Unverified { expires_us } => *expires_us,
    }
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
