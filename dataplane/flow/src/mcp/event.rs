//! What happens to a flow beside its bytes: events of the host, and time.

use super::*;

impl McpFlow {
    /// Something that was asked for happened, or the world changed.
    pub(crate) fn handle_event(&mut self, env: &mut Env<'_>, event: Event) {
        match event {
            Event::Dialed => self.on_dialed(env),
            Event::DialFailed { reason } if matches!(self.state, State::Waiting(..)) => {
                self.end(env, &End::Server(reason));
            }
            Event::DialFailed { reason } => self.reset(env, &reason),
            Event::TlsUp {
                side: Side::Server, ..
            } => {
                if matches!(self.state, State::Securing) {
                    self.state = State::Idle;
                }
                self.on_server_back(env);
            }
            Event::TlsUp {
                side: Side::Client, ..
            } => self.link = ClientLink::Secured,
            Event::TlsFailed {
                side: Side::Server,
                reason,
            } if matches!(self.state, State::Securing) => self.on_unsecured(env, &reason),
            Event::TlsFailed { reason, .. } => self.reset(env, &reason),
            Event::ApprovalOpened { request, approval } => self.on_opened(env, request, approval),
            Event::Approval {
                request,
                approval,
                decision,
            } => {
                if let Some((exchange, asking)) = self.waiting_for(|waiting| match waiting {
                    Waiting::Approval(asking) if asking.request == request => Ok(asking),
                    other => Err(Box::new(other)),
                }) {
                    self.on_approval(env, exchange, asking, approval, decision);
                }
            }
            Event::Redeemed { id, granted } => self.on_redeemed(env, id, granted),
            Event::Synced(synced) => {
                if let Some((exchange, admitted)) = self.waiting_for(|waiting| match waiting {
                    Waiting::Durable { seq, admitted } if seq <= synced => Ok(admitted),
                    other => Err(Box::new(other)),
                }) {
                    self.release(env, exchange, admitted);
                }
            }
            Event::SyncFailed => {
                if let Some((exchange, admitted)) = self.waiting_for(|waiting| match waiting {
                    Waiting::Durable { admitted, .. } => Ok(admitted),
                    other => Err(Box::new(other)),
                }) {
                    gate::abandon(
                        &self.desk,
                        env,
                        &exchange,
                        &admitted,
                        "its intent is not on stable storage",
                    );
                    self.unavailable(env, &exchange, "the intent is not on stable storage");
                }
            }
            Event::WorldChanged => self.on_world_changed(env),
            Event::Locked { reason } => self.on_locked(env, &reason),
            Event::Drain => self.on_drain(env),
            Event::CancelRequested { .. } => self.on_cancelled(env),
            Event::Message(message) => {
                if let State::Answering(answering) = &mut self.state {
                    answering.tell(env, &message);
                }
            }
            // Postgres' own.
            Event::Catalog(_) | Event::CancelRouted(_) | Event::HungUp { .. } => {}
        }
    }

    fn on_dialed(&mut self, env: &mut Env<'_>) {
        let is_first = matches!(self.state, State::Dialing);
        if !is_first && !self.server_gone {
            return;
        }
        match self.desk.context.connection.tls.mode {
            // HTTP has no way to offer TLS beside plain text.
            TlsMode::Disable | TlsMode::Prefer if is_first => self.state = State::Idle,
            TlsMode::Disable | TlsMode::Prefer => self.on_server_back(env),
            TlsMode::Require | TlsMode::VerifyFull => {
                env.out.to_server.push(Piece::StartTls { role: None });
                if is_first {
                    self.state = State::Securing;
                }
            }
        }
    }

    /// Open streams are judged again; what is asked next is judged anew anyway.
    fn on_world_changed(&mut self, env: &mut Env<'_>) {
        self.desk.context.refresh(env);
        self.on_fetched(env);
        match &mut self.state {
            State::Receiving(exchange) => {
                if head::name_again(&mut self.desk, env, exchange) {
                    return;
                }
                let inside = "the token of this request is not accepted any more";
                let stop = Stop::new(Refusal::Unauthorized, inside);
                return self.refuse(env, stop, Framing::Chunked);
            }
            State::Answering(answering) => {
                let begun = answering.has_begun();
                let same = head::name_again(&mut self.desk, env, &mut answering.exchange);
                if begun && !same {
                    let why = "the token of this stream is not accepted any more";
                    return self.end(env, &End::Server(why.to_owned()));
                }
            }
            // What waits is looked at when it has waited.
            State::Dialing
            | State::Securing
            | State::Unsecured
            | State::Idle
            | State::Fetching(..)
            | State::Waiting(..)
            | State::Over => return,
        }
        let State::Answering(answering) = &self.state else {
            return;
        };
        let caller = answering.exchange.caller.clone();
        let judgement =
            self.desk
                .verdicts
                .judge(&self.desk.context, env, &caller, &exchange::connect());
        if judgement.verdict != Verdict::Allow {
            self.end(
                env,
                &End::Server("policy no longer allows this session".to_owned()),
            );
        }
    }

    fn on_locked(&mut self, env: &mut Env<'_>, reason: &str) {
        self.reset(env, &format!("ended by an operator: {reason}"));
    }

    fn on_drain(&mut self, env: &mut Env<'_>) {
        self.draining = true;
        match &mut self.state {
            State::Dialing | State::Securing | State::Unsecured | State::Idle => self.leave(env),
            State::Answering(answering) if answering.is_listening() => {
                answering.abandon(&self.desk, env, "Weir is going down");
                self.leave(env);
            }
            State::Fetching(..)
            | State::Receiving(_)
            | State::Waiting(..)
            | State::Answering(_)
            | State::Over => {}
        }
    }

    /// The deadline passed.
    pub(crate) fn handle_timeout(&mut self, env: &mut Env<'_>) {
        let now = env.now.mono_ns;
        if let Some((exchange, asking)) = self.waiting_for(|waiting| match waiting {
            Waiting::Approval(asking) if asking.deadline_ns <= now => Ok(asking),
            other => Err(Box::new(other)),
        }) {
            return self.tell_pending(env, &exchange, asking);
        }
        if let Some((exchange, watch)) = self.waiting_for(|waiting| match waiting {
            Waiting::Task(watch) if watch.next_ns <= now => Ok(watch),
            other => Err(Box::new(other)),
        }) {
            return self.on_watch(env, exchange, watch);
        }
        if let State::Waiting(exchange, waiting) = &mut self.state
            && let Waiting::Approval(asking) = &mut **waiting
        {
            if asking.beat_ns <= now {
                let closes = exchange.head.closes || self.draining;
                hold::beat(env, exchange, asking, closes);
            }
            return;
        }
        if let Some((exchange, redeeming)) = self.waiting_for(|waiting| match waiting {
            Waiting::Redeem(redeeming) if redeeming.deadline_ns <= now => Ok(redeeming),
            other => Err(Box::new(other)),
        }) {
            return self.unspent(env, &exchange, redeeming);
        }
        if matches!(self.state, State::Fetching(_, until_ns) if until_ns <= now) {
            return self.on_fetched(env);
        }
        if let State::Answering(answering) = &mut self.state
            && answering.ends_ns().is_some_and(|ends_ns| ends_ns <= now)
        {
            answering.end_stream(&self.desk, env, "the caller's token has ended");
            return self.leave(env);
        }
        if self.limit_ns.is_none_or(|limit| limit > now) {
            return;
        }
        match &mut self.state {
            State::Answering(answering) if answering.is_task && !answering.client_gone => {
                self.detach(env);
            }
            State::Answering(answering) => {
                answering.abandon(
                    &self.desk,
                    env,
                    "the client had left, and the server did not answer",
                );
                self.leave(env);
            }
            State::Idle | State::Receiving(_) => {
                let stop = Stop::new(Refusal::Head, "a request that took too long");
                self.refuse(env, stop, Framing::Chunked);
            }
            State::Unsecured => self.leave(env),
            State::Dialing
            | State::Securing
            | State::Fetching(..)
            | State::Waiting(..)
            | State::Over => self.limit_ns = None,
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<u64> {
        let held = match &self.state {
            State::Waiting(_, waiting) => match &**waiting {
                Waiting::Approval(asking) => Some(asking.deadline_ns.min(asking.beat_ns)),
                Waiting::Redeem(redeeming) => Some(redeeming.deadline_ns),
                Waiting::Task(watch) => Some(watch.next_ns),
                Waiting::Durable { .. } | Waiting::Server(_) => None,
            },
            State::Fetching(_, until_ns) => Some(*until_ns),
            State::Answering(answering) => answering.ends_ns(),
            State::Dialing
            | State::Securing
            | State::Unsecured
            | State::Idle
            | State::Receiving(_)
            | State::Over => None,
        };
        [held, self.limit_ns].into_iter().flatten().min()
    }
}
