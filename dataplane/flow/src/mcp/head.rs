//! Whether a request may be received: who sends it, for whom, in which session.

use weir_mcp::endpoint;
use weir_mcp::session::Client;

use super::authorization::{Challenged, Document};
use super::*;

/// Whether keys may be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Some,
    None,
}

/// What becomes of a head.
pub(super) enum Received {
    /// Its content may follow.
    Exchange(Box<Exchange>),
    /// It waits for the keys of this issuer.
    Fetching(Box<RequestHead>, Arc<str>),
    /// It is refused. Its framing says whether content may follow all the same.
    Refused(Box<Stop>, Framing),
}

impl McpFlow {
    /// A head is whole, or the keys that it waited for were fetched, or were not.
    pub(super) fn receive(&mut self, env: &mut Env<'_>, head: RequestHead, patience: Patience) {
        // The flow may not have been told of a new world yet.
        self.desk.context.refresh(env);
        if self.tell(env, &head) {
            return;
        }
        match self.on_head(env, head, patience) {
            Received::Exchange(exchange) => {
                if exchange.head.expects_continue {
                    env.out.to_client.push(Piece::Bytes(CONTINUE.into()));
                }
                self.state = State::Receiving(exchange);
            }
            Received::Fetching(head, issuer) => {
                env.out.effects.push(Effect::RefreshKeys(issuer));
                let until_ns = env.now.mono_ns.saturating_add(KEYS_WAIT_NS);
                self.state = State::Fetching(head, until_ns);
            }
            Received::Refused(stop, framing) => self.refuse(env, *stop, framing),
        }
    }

    /// Keys have come, or were waited for long enough.
    pub(super) fn on_fetched(&mut self, env: &mut Env<'_>) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Fetching(head, _) => self.receive(env, *head, Patience::None),
            other => self.state = other,
        }
    }

    /// Tells what Weir itself has at a path, if the request is one that may be asked.
    fn tell(&mut self, env: &mut Env<'_>, head: &RequestHead) -> bool {
        let context = &self.desk.context;
        let Some(document) = context.document(head, env) else {
            return false;
        };
        if self.check_way(head).is_err() {
            return false;
        }
        let closes = head.closes || self.draining;
        let close = if closes { Close::Yes } else { Close::No };
        let told = match document {
            Document::Metadata => authorization::metadata(context, env, closes),
            Document::Absent => None,
        };
        let out = told.unwrap_or_else(|| Refusal::Path.answer(close, ""));
        env.out.to_client.push(Piece::Bytes(out.into()));
        let after = if closes { After::Close } else { After::Again };
        self.after(env, after);
        true
    }

    fn on_head(&mut self, env: &mut Env<'_>, head: RequestHead, patience: Patience) -> Received {
        let framing = head.framing;
        if let Some(endpoint) = self.desk.context.oauth(env, &head) {
            return self.on_oauth_head(env, head, endpoint);
        }
        let (caller, revision) = match self.check_head(env, &head) {
            Ok(checked) => checked,
            Err(Stop {
                issuer: Some(issuer),
                ..
            }) if patience == Patience::Some => {
                return Received::Fetching(Box::new(head), issuer);
            }
            Err(stop) => return Received::Refused(Box::new(stop), framing),
        };
        let endpoint = match self.find_session(env, &caller, &head, &revision) {
            Ok(endpoint) => endpoint,
            Err(stop) => {
                let caller = Some(Box::new(caller));
                return Received::Refused(Box::new(Stop { caller, ..stop }), framing);
            }
        };
        let head = match &endpoint {
            Some(session) => RequestHead {
                target: session.target.clone(),
                ..head
            },
            None => head,
        };
        let (revision, unserved) = match revision {
            Named::Served(revision) => (revision, None),
            Named::Unserved(text) => (None, Some(text)),
        };
        // 2026-07-28 has no sessions: what names one is ignored (transports, "Earlier
        // Streamable HTTP Revisions").
        let has_sessions = unserved.is_none() && !revision.is_some_and(Revision::is_stateless);
        let named = if let Some(session) = &endpoint {
            Ok((session.target.clone(), Client::default(), None))
        } else if has_sessions {
            self.name_session(&caller, &head)
        } else {
            Ok((String::new(), Client::default(), None))
        };
        let (session, client, resumed) = match named {
            Ok(named) => named,
            Err(stop) => {
                let caller = Some(Box::new(caller));
                return Received::Refused(Box::new(Stop { caller, ..stop }), framing);
            }
        };
        Received::Exchange(Box::new(Exchange {
            ends_ns: ends_ns(env, &caller),
            head,
            caller,
            revision,
            unserved,
            session,
            client,
            resumed,
            begun_ns: env.now.mono_ns,
            body: Vec::new(),
            room: env.plans.bodies.room(),
            begun: None,
            endpoint,
            oauth: None,
            is_accepted: false,
        }))
    }

    /// Whether the request came the way that it must, and is meant for this server.
    pub(super) fn check_way(&self, head: &RequestHead) -> Result<(), Stop> {
        if self.link == ClientLink::Plain
            && self.desk.context.connection.client_tls == ClientTls::Required
        {
            return Err(Stop::new(
                Refusal::Forbidden("TLS is required".into()),
                "a client without TLS",
            ));
        }
        self.desk
            .context
            .check_host(head)
            .map_err(|error| Stop::new(Refusal::Forbidden(error.to_string()), error))
    }

    pub(super) fn check_head(
        &mut self,
        env: &mut Env<'_>,
        head: &RequestHead,
    ) -> Result<(Caller, Named), Stop> {
        if is_stale(env, Stale::DenyAll) || (self.known.is_none() && is_stale(env, Stale::DenyNew))
        {
            return Err(Stop::new(Refusal::Unavailable, "the policy is out of date"));
        }
        self.check_way(head)?;
        let Desk {
            context,
            remembered,
            ..
        } = &mut self.desk;
        let caller =
            caller::authenticate(context, head, remembered, env).map_err(|error| Stop {
                challenge: authorization::unnamed(context, env, &error),
                issuer: authorization::unknown_key(&error).cloned(),
                ..Stop::new(Refusal::Unauthorized, error)
            })?;
        self.connect(env, &caller)?;
        let with = |stop: Stop| Stop {
            caller: Some(Box::new(caller.clone())),
            ..stop
        };
        let context = &self.desk.context;
        if !context.covers(head) {
            let inside = "a path that is not the resource's";
            return Err(with(Stop::new(Refusal::Path, inside)));
        }
        if !context.is_server_document(head) {
            check_form(head).map_err(with)?;
        }
        let named = Named::read(head).map_err(with)?;
        Ok((caller, named))
    }

    /// Judges the use of this server by this caller. The first time, and whenever that
    /// changes, it is recorded.
    pub(super) fn connect(&mut self, env: &mut Env<'_>, caller: &Caller) -> Result<(), Stop> {
        let access = exchange::connect();
        let judgement = self
            .desk
            .verdicts
            .judge(&self.desk.context, env, caller, &access);
        let denial = match &judgement.verdict {
            Verdict::Allow => None,
            Verdict::Hold(_) => Some((
                "this needs approval, which a connection cannot wait for".into(),
                "held".into(),
                None,
            )),
            Verdict::Deny(denial) => {
                let context = &self.desk.context;
                let challenged = authorization::denied(context, env, caller, &denial.scopes);
                Some((denial.outside.clone(), denial.inside.clone(), challenged))
            }
        };
        let now = (caller.principal.clone(), env.world.version);
        if self.known.as_ref() != Some(&now) {
            let program = self.desk.context.program.clone();
            let told = Told {
                summary: &program,
                accesses: std::slice::from_ref(&access),
                verdict: if denial.is_some() { "deny" } else { "allow" },
                policies: &judgement.policies,
                reason: denial
                    .as_ref()
                    .map_or("", |(_, inside, _): &(Arc<str>, Arc<str>, _)| inside),
                ..Told::NOTHING
            };
            self.desk
                .context
                .keep(env, Kind::Session, None, Some(caller), told)
                .map_err(|error| Stop::new(Refusal::Unavailable, error))
                .map(drop)?;
            self.known = Some(now);
        }
        match denial {
            None => Ok(()),
            Some((outside, inside, challenged)) => {
                let (refusal, challenge) = match challenged {
                    Some(Challenged { refusal, challenge }) => (refusal, challenge),
                    None => (Refusal::Forbidden(outside.to_string()), String::new()),
                };
                Err(Stop {
                    policies: judgement.policies,
                    caller: Some(Box::new(caller.clone())),
                    challenge,
                    ..Stop::new(refusal, inside)
                })
            }
        }
    }

    /// The server's session and event id behind the names that the client was given.
    #[expect(
        clippy::type_complexity,
        reason = "the parts of one look-up, taken apart at once"
    )]
    pub(super) fn name_session(
        &self,
        caller: &Caller,
        head: &RequestHead,
    ) -> Result<
        (
            String,
            Client,
            Option<(String, Vec<weir_mcp::session::Resumable>)>,
        ),
        Stop,
    > {
        let context = &self.desk.context;
        let (session, client) = match head.fields.get("mcp-session-id") {
            None => (String::new(), Client::default()),
            Some(shown) => context
                .seal
                .open_session(&context.connection.name, &caller.key, shown)
                .ok_or_else(|| {
                    Stop::new(Refusal::Session, "a session that is not this caller's")
                })?,
        };
        let resumed = match head.fields.get("last-event-id") {
            Some(shown) if head.method == Method::Get => {
                let holder = context.holder(caller, &session);
                let opened = context.seal.open_event(&holder, shown);
                Some(opened.ok_or_else(|| {
                    Stop::new(Refusal::Session, "an event that is not this caller's")
                })?)
            }
            Some(_) | None => None,
        };
        Ok((session, client, resumed))
    }
}

/// Names whoever sent a request once more: a token may have ended, or been taken away, and groups
/// may be others. Whether it is still the same caller.
pub(super) fn name_again(desk: &mut Desk, env: &Env<'_>, exchange: &mut Exchange) -> bool {
    let Desk {
        context,
        remembered,
        ..
    } = desk;
    let named = match exchange.oauth {
        // What it shows is for the server's own authorization server.
        Some(_) => caller::workload(context),
        None => caller::authenticate(context, &exchange.head, remembered, env),
    };
    match named {
        Ok(now) if now.key == exchange.caller.key => {
            exchange.caller = now;
            true
        }
        Ok(_) | Err(_) => false,
    }
}

/// The revision that a head names.
pub(super) enum Named {
    /// One that is served, or none at all.
    Served(Option<Revision>),
    /// Another. Its request is received, since the answer names its id.
    Unserved(String),
}

impl Named {
    fn read(head: &RequestHead) -> Result<Self, Stop> {
        let Some(text) = head.fields.get("mcp-protocol-version") else {
            return Ok(Self::Served(None));
        };
        match (Revision::of_header(Some(text)), head.method) {
            (Some(revision), Method::Get | Method::Delete) if revision.is_stateless() => Err(
                Stop::new(Refusal::Method, "a method that this revision does not have"),
            ),
            (Some(revision), _) => Ok(Self::Served(Some(revision))),
            (None, Method::Post) => Ok(Self::Unserved(text.to_owned())),
            (None, Method::Get | Method::Delete | Method::Options | Method::Other) => Err(
                Stop::new(Refusal::Revision, "a revision that is not served"),
            ),
        }
    }
}

/// What a method needs beside its caller.
fn check_form(head: &RequestHead) -> Result<(), Stop> {
    let accepts = |media: &str| {
        let family = media.split('/').next().unwrap_or_default();
        let fields = &head.fields;
        fields.lists("accept", media)
            || fields.lists("accept", "*/*")
            || fields.lists("accept", &format!("{family}/*"))
    };
    match head.method {
        Method::Post if head.fields.media_type().as_deref() != Some("application/json") => {
            Err(Stop::new(Refusal::MediaType, "content that is not JSON"))
        }
        // Its answer comes on the session's stream.
        Method::Post if endpoint::sealed(&head.target).is_some() => Ok(()),
        Method::Post if accepts("application/json") && accepts("text/event-stream") => Ok(()),
        Method::Get if accepts("text/event-stream") => Ok(()),
        Method::Post | Method::Get => Err(Stop::new(
            Refusal::Accept,
            "a client that does not take events",
        )),
        Method::Delete => Ok(()),
        Method::Options | Method::Other => Err(Stop::new(
            Refusal::Method,
            "a method that MCP does not have",
        )),
    }
}

/// When the token of a caller ends, by the clock that deadlines have.
fn ends_ns(env: &Env<'_>, caller: &Caller) -> Option<u64> {
    let left_us = caller.expires_us?.saturating_sub(env.now.unix_us);
    Some(env.now.mono_ns.saturating_add(left_us.saturating_mul(1000)))
}

pub(super) fn is_stale(env: &Env<'_>, at_least: Stale) -> bool {
    let denies = match (env.world.settings.stale, at_least) {
        (Stale::Continue, _) | (Stale::DenyNew, Stale::DenyAll) => false,
        (Stale::DenyNew | Stale::DenyAll, _) => true,
    };
    denies && env.now.unix_us > env.world.settings.not_after_us
}
