//! Whether a request may be received: who sends it, for whom, in which session.

use super::*;

impl McpFlow {
    /// Judges a head. The framing of what was refused says whether content may follow.
    pub(super) fn on_head(
        &mut self,
        env: &mut Env<'_>,
        head: RequestHead,
    ) -> Result<Exchange, Box<(Stop, Framing)>> {
        let framing = head.framing;
        let refused = |stop: Stop| Box::new((stop, framing));
        let (caller, revision) = self.check_head(env, &head).map_err(refused)?;
        let named = self.name_session(&caller, &head).map_err(|stop| {
            refused(Stop {
                caller: Some(caller.clone()),
                ..stop
            })
        })?;
        Ok(Exchange {
            head,
            caller,
            revision,
            session: named.0,
            resumed: named.1,
            begun_ns: env.now.mono_ns,
            body: Vec::new(),
            begun: None,
        })
    }

    pub(super) fn check_head(
        &mut self,
        env: &mut Env<'_>,
        head: &RequestHead,
    ) -> Result<(Caller, Option<Revision>), Stop> {
        if is_stale(env, Stale::DenyAll) || (self.known.is_none() && is_stale(env, Stale::DenyNew))
        {
            return Err(Stop::new(Refusal::Unavailable, "the policy is out of date"));
        }
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
            .map_err(|error| Stop::new(Refusal::Forbidden(error.to_string()), error))?;
        let context = &self.desk.context;
        let name = &context.connection.name;
        let caller = caller::authenticate(context.workload.as_ref(), name, head, env)
            .map_err(|error| Stop::new(Refusal::Unauthorized, error))?;
        self.connect(env, &caller)?;
        let with = |stop: Stop| Stop {
            caller: Some(caller.clone()),
            ..stop
        };
        check_form(head).map_err(with)?;
        let named = head.fields.get("mcp-protocol-version");
        if Revision::of_header(named).is_none() {
            return Err(with(Stop::new(
                Refusal::Revision,
                "a revision that is not served",
            )));
        }
        Ok((caller.clone(), named.and_then(Revision::parse)))
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
            )),
            Verdict::Deny(denial) => Some((denial.outside.clone(), denial.inside.clone())),
        };
        let now = (caller.key.clone(), env.world.version);
        if self.known.as_ref() != Some(&now) {
            let told = Told {
                accesses: std::slice::from_ref(&access),
                verdict: if denial.is_some() { "deny" } else { "allow" },
                policies: &judgement.policies,
                reason: denial
                    .as_ref()
                    .map_or("", |(_, inside): &(Arc<str>, Arc<str>)| inside),
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
            Some((outside, inside)) => Err(Stop {
                refusal: Refusal::Forbidden(outside.to_string()),
                inside: inside.to_string(),
                policies: judgement.policies,
                caller: Some(caller.clone()),
            }),
        }
    }

    /// The server's session and event id behind the names that the client was given.
    #[expect(
        clippy::type_complexity,
        reason = "two halves of one look-up, taken apart at once"
    )]
    pub(super) fn name_session(
        &self,
        caller: &Caller,
        head: &RequestHead,
    ) -> Result<(String, Option<(String, Vec<weir_mcp::session::Resumable>)>), Stop> {
        let context = &self.desk.context;
        let session = match head.fields.get("mcp-session-id") {
            None => String::new(),
            Some(shown) => context
                .seal
                .open_session(&context.connection.name, &caller.key, shown)
                .ok_or_else(|| Stop::new(Refusal::Session, "a session that is not this caller's"))?
                .to_owned(),
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
        Ok((session, resumed))
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

fn is_stale(env: &Env<'_>, at_least: Stale) -> bool {
    let denies = match (env.world.settings.stale, at_least) {
        (Stale::Continue, _) | (Stale::DenyNew, Stale::DenyAll) => false,
        (Stale::DenyNew | Stale::DenyAll, _) => true,
    };
    denies && env.now.unix_us > env.world.settings.not_after_us
}
