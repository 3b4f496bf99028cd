//! Requests to a server that is its own authorization server, at the MCP server's address: where
//! they may go, and whose they are.
//!
//! Who asks has no token yet: policy judges the attested workload, by `mcp.connect`. What is sent and
//! answered are the client's secrets; no record has anything of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use weir_facts::ConnectionName;
use weir_mcp::oauth::{self, Endpoint};
use weir_mcp::session::Client;

use super::context::Context;
use super::exchange::Unjudged;
use super::head::{self, Received};
use super::*;
use crate::resource::ResourceUri;

/// Endpoints by their paths.
type Paths = Arc<[(Endpoint, String)]>;

/// Where authorization servers are that are their own MCP servers', as their metadata said last.
#[derive(Default)]
pub(crate) struct Authorities(Mutex<HashMap<ConnectionName, Paths>>);

impl Authorities {
    /// A server's metadata names these. Whatever is at the resource itself is MCP.
    pub(crate) fn learn(
        &self,
        connection: &ConnectionName,
        resource: &ResourceUri,
        named: Vec<(Endpoint, String)>,
    ) {
        if named.is_empty() {
            return;
        }
        let is_apart = |path: &str| format!("{}{path}", resource.origin()) != resource.as_str();
        let paths = named.into_iter().filter(|(_, path)| is_apart(path));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // There are as many names as connections, which the control plane bounds.
        all.insert(connection.clone(), paths.collect());
    }

    fn find(&self, connection: &ConnectionName, path: &str) -> Option<Endpoint> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut paths = all.get(connection)?.iter();
        paths
            .find(|(_, known)| known == path)
            .map(|(endpoint, _)| *endpoint)
    }
}

impl Context {
    /// The endpoint of the server's own authorization server that a request is for: one of those
    /// that its metadata has named, and only in the form that OAuth gives such requests.
    pub(super) fn oauth(&self, env: &Env<'_>, head: &RequestHead) -> Option<Endpoint> {
        let _ = self.server_resource()?;
        let authorities = &env.calls.authorities;
        authorities
            .find(&self.connection.name, head.path())
            .filter(|endpoint| endpoint.takes(head))
    }
}

impl McpFlow {
    /// The head of such a request: its workload must be allowed to use the server at all.
    pub(super) fn on_oauth_head(
        &mut self,
        env: &mut Env<'_>,
        head: RequestHead,
        endpoint: Endpoint,
    ) -> Received {
        let framing = head.framing;
        let caller = match self.check_oauth(env, &head) {
            Ok(caller) => caller,
            Err(stop) => return Received::Refused(Box::new(stop), framing),
        };
        Received::Exchange(Box::new(Exchange {
            ends_ns: None,
            head,
            caller,
            revision: None,
            unserved: None,
            session: String::new(),
            client: Client::default(),
            resumed: None,
            begun_ns: env.now.mono_ns,
            body: Vec::new(),
            room: env.plans.bodies.room(),
            begun: None,
            endpoint: None,
            oauth: Some(endpoint),
            is_accepted: false,
        }))
    }

    fn check_oauth(&mut self, env: &mut Env<'_>, head: &RequestHead) -> Result<Caller, Stop> {
        if head::is_stale(env, Stale::DenyAll)
            || (self.known.is_none() && head::is_stale(env, Stale::DenyNew))
        {
            return Err(Stop::new(Refusal::Unavailable, "the policy is out of date"));
        }
        self.check_way(head)?;
        let caller = caller::workload(&self.desk.context)
            .map_err(|error| Stop::new(Refusal::Unauthorized, error))?;
        self.connect(env, &caller)?;
        Ok(caller)
    }

    /// Such a request is whole.
    pub(super) fn on_oauth(
        &mut self,
        env: &mut Env<'_>,
        exchange: Box<Exchange>,
        endpoint: Endpoint,
    ) {
        let is_post = exchange.head.method == Method::Post;
        if is_post && !endpoint.reads(&exchange.body) {
            let unjudged = Unjudged::OAuth(endpoint.as_str());
            return self.refuse_unjudged(env, &exchange, &unjudged);
        }
        let access = exchange::connect();
        let (desk, caller) = (&mut self.desk, &exchange.caller);
        let judgement = desk.verdicts.judge(&desk.context, env, caller, &access);
        let plan = Plan::connect(What::Http, endpoint.as_str(), judgement);
        let mut exchange = exchange;
        let body = std::mem::take(&mut exchange.body);
        self.admit(env, exchange, vec![plan], body);
    }

    /// Refuses such a request while it is received.
    pub(super) fn refuse_oauth(&mut self, env: &mut Env<'_>, refusal: Refusal, inside: &str) {
        self.refuse(env, Stop::new(refusal, inside), Framing::Chunked);
    }
}

/// The head of such a request as it goes on.
pub(super) fn head(
    desk: &Desk,
    exchange: &Exchange,
    endpoint: Endpoint,
    body_bytes: usize,
) -> Vec<u8> {
    let target = desk.context.mcp();
    let own = target.and_then(|target| target.credential.as_ref());
    let own = own.map(|own| (&*own.field, own.value.as_str()));
    // It is the client that proves itself there.
    let own = own.filter(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
    oauth::request(&exchange.head, endpoint, own, body_bytes)
}
