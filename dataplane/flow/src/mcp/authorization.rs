//! Whose the tokens of a connection are, and what clients without a good one are told.
//!
//! Where Weir is the resource server, tokens end here: clients are told by challenges and by
//! metadata (RFC 9728) where to get one and with which scopes. Where the server is, tokens that are
//! for it go on to it, and its own challenges and metadata come back, reduced to what clients use.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_facts::Verdict;
use weir_mcp::authorization::{Lacks, METADATA_BYTES_MAX, Metadata, challenge, shown_challenge};
use weir_mcp::http::rewrite::{Answer, AnswerFraming, WELL_KNOWN, answer};
use weir_mcp::http::{Method, RequestHead, ResponseHead};
use weir_mcp::refuse::Refusal;
use zeroize::Zeroizing;

use super::caller::{Caller, Unnamed};
use super::context::Context;
use super::exchange::Plan;
use crate::io::Env;
use crate::resource::ResourceUri;
use crate::token::TokenError;
use crate::world::McpAuthorization;

/// A document of Weir's own, or of the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    /// Weir's metadata.
    Metadata,
    /// There is none at this path.
    Absent,
}

/// What a refusal says of tokens, beside no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenged {
    pub(crate) refusal: Refusal,
    pub(crate) challenge: String,
}

impl Context {
    /// The resource that Weir is the resource server of, where a token could be had for it.
    fn own_resource(&self, env: &Env<'_>) -> Option<&ResourceUri> {
        match self.authorization()? {
            McpAuthorization::Weir { resource } => resource
                .as_ref()
                .filter(|_| !env.world.authentication.providers.is_empty()),
            McpAuthorization::Server { .. } => None,
        }
    }

    /// The resource that the server itself is the resource server of.
    pub(crate) fn server_resource(&self) -> Option<&ResourceUri> {
        match self.authorization()? {
            McpAuthorization::Weir { .. } => None,
            McpAuthorization::Server { resource, .. } => Some(resource),
        }
    }

    /// Whether a path is of the resource that tokens are for. Without a resource, every one is.
    pub(crate) fn covers(&self, head: &RequestHead) -> bool {
        self.covers_path(head.path()) || self.is_server_document(head)
    }

    /// Whether a path that the server itself names is of that resource.
    pub(crate) fn covers_path(&self, path: &str) -> bool {
        let resource = self.authorization().and_then(McpAuthorization::resource);
        resource.is_none_or(|resource| resource.covers(path))
    }

    /// What of Weir's own is at a path. Documents of the server are the server's where it is the
    /// resource server, and nobody's else.
    pub(crate) fn document(&self, head: &RequestHead, env: &Env<'_>) -> Option<Document> {
        let is_asked = head.method == Method::Get && head.path().starts_with(WELL_KNOWN);
        if !is_asked || self.server_resource().is_some() {
            return None;
        }
        let is_here = |resource: &ResourceUri| resource.is_metadata(head.path());
        Some(match self.own_resource(env).is_some_and(is_here) {
            true => Document::Metadata,
            false => Document::Absent,
        })
    }

    /// Whether a request asks for the server's own metadata, or that of its authorization server.
    pub(crate) fn is_server_document(&self, head: &RequestHead) -> bool {
        const DOCUMENTS: [&str; 3] = [
            "oauth-protected-resource",
            "oauth-authorization-server",
            "openid-configuration",
        ];
        let name = head.path().strip_prefix(WELL_KNOWN);
        let is_one = |name: &str| {
            DOCUMENTS.iter().any(|known| {
                name.strip_prefix(known)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let is_get = head.method == Method::Get;
        is_get && self.server_resource().is_some() && name.is_some_and(is_one)
    }
}

/// The answer that has Weir's metadata.
pub(crate) fn metadata(context: &Context, env: &Env<'_>, closes: bool) -> Option<Vec<u8>> {
    let resource = context.own_resource(env)?;
    let providers = &env.world.authentication.providers;
    let issuers: Vec<_> = providers.iter().map(|provider| &*provider.issuer).collect();
    let asked = env.world.snapshot.scopes(&context.connection.name);
    let scopes: BTreeSet<&str> = providers
        .iter()
        .flat_map(|provider| provider.scope.split(' '))
        .chain(asked.iter().map(|scope| &**scope))
        .filter(|scope| !scope.is_empty())
        .collect();
    let scopes: Vec<_> = scopes.into_iter().collect();
    let body = Metadata {
        resource: resource.as_str(),
        authorization_servers: &issuers,
        scopes: &scopes,
        name: context.connection.name.as_str(),
    }
    .document();
    let head = Answer {
        status: 200,
        content_type: Some("application/json"),
        session: None,
        framing: AnswerFraming::Length(body.len()),
        closes,
        extra: &[],
    };
    let mut out = answer(&head, None);
    out.extend_from_slice(&body);
    Some(out)
}

/// What a client is told of which nobody knows who it is.
pub(crate) fn unnamed(context: &Context, env: &Env<'_>, why: &Unnamed) -> String {
    let lacks = match why {
        Unnamed::Nobody => Lacks::Token,
        Unnamed::Scheme | Unnamed::Token(_) => Lacks::GoodToken,
    };
    asking(context, env, lacks, &[])
}

/// How a caller is challenged to whom policy says no: one without a token is asked for one, where
/// that could do; one whose token lacks scopes is asked for these and those that it has. `None`
/// where neither would help.
pub(crate) fn denied(
    context: &Context,
    env: &Env<'_>,
    caller: &Caller,
    scopes: &[Arc<str>],
) -> Option<Challenged> {
    let refused = |refusal: Refusal, lacks: Lacks, scopes: &[Arc<str>]| Challenged {
        refusal,
        challenge: asking(context, env, lacks, scopes),
    };
    match &caller.principal.identity {
        None => context
            .own_resource(env)
            .map(|_| refused(Refusal::Unauthorized, Lacks::Token, scopes)),
        Some(identity) if !scopes.is_empty() && env.world.provider(&identity.issuer).is_some() => {
            let mut all = caller.scopes.to_vec();
            all.extend(scopes.iter().cloned());
            all.sort();
            all.dedup();
            Some(refused(Refusal::InsufficientScope, Lacks::Scopes, &all))
        }
        Some(_) => None,
    }
}

/// How a body is refused of which every denied message would be allowed with other scopes.
pub(crate) fn stepped_up(
    context: &Context,
    env: &Env<'_>,
    caller: &Caller,
    plans: &[Plan],
) -> Option<Challenged> {
    let mut scopes = Vec::new();
    for plan in plans {
        match &plan.judgement.verdict {
            Verdict::Deny(denial) if denial.scopes.is_empty() => return None,
            Verdict::Deny(denial) => scopes.extend(denial.scopes.iter().cloned()),
            Verdict::Allow | Verdict::Hold(_) => {}
        }
    }
    scopes.sort();
    scopes.dedup();
    if scopes.is_empty() {
        return None;
    }
    denied(context, env, caller, &scopes)
}

fn asking(context: &Context, env: &Env<'_>, lacks: Lacks, scopes: &[Arc<str>]) -> String {
    let resource = context.own_resource(env);
    // The first is the one that clients without a token are sent to.
    let provider = env.world.authentication.providers.first();
    let usual = match (lacks, resource, provider) {
        (Lacks::Token | Lacks::GoodToken, Some(_), Some(provider)) => &*provider.scope,
        (Lacks::Token | Lacks::GoodToken | Lacks::Scopes, _, _) => "",
    };
    let usual = usual.split(' ').filter(|scope| !scope.is_empty());
    let scopes: Vec<_> = usual.chain(scopes.iter().map(|scope| &**scope)).collect();
    let url = resource.map(ResourceUri::metadata_url);
    challenge(lacks, &scopes, url.as_deref())
}

/// The client's own token, as it goes on to the server that it is for.
pub(crate) fn onward(context: &Context, head: &RequestHead) -> Option<Zeroizing<String>> {
    let _ = context.server_resource()?;
    head.bearer()
        .map(|token| Zeroizing::new(format!("Bearer {token}")))
}

/// What a client is shown of a server's refusal of its token.
pub(crate) fn challenges(context: &Context, head: &ResponseHead) -> Vec<String> {
    let Some(resource) = context.server_resource() else {
        return Vec::new();
    };
    let fields = head.fields.iter();
    fields
        .filter(|(name, _)| *name == "www-authenticate")
        .filter_map(|(_, value)| shown_challenge(value, resource.origin()))
        .take(1)
        .collect()
}

/// Whether a server's document has grown beyond what is read.
pub(crate) const fn is_too_large(bytes: usize) -> bool {
    bytes > METADATA_BYTES_MAX
}

/// The issuer whose keys are not known yet, where that is all that is wrong.
pub(crate) fn unknown_key(error: &Unnamed) -> Option<&Arc<str>> {
    match error {
        Unnamed::Token(TokenError::Key { issuer, .. }) => Some(issuer),
        Unnamed::Token(_) | Unnamed::Nobody | Unnamed::Scheme => None,
    }
}
