//! How requests and flows end.

use super::*;

impl McpFlow {
    pub(super) fn after(&mut self, env: &mut Env<'_>, after: After) {
        self.limit_ns = None;
        match after {
            After::Again if !self.draining => self.state = State::Idle,
            After::Again | After::Close => self.leave(env),
        }
    }

    /// Ends a flow that owes nobody anything.
    pub(super) fn leave(&mut self, env: &mut Env<'_>) {
        self.drop_waiting(env, "a peer has left");
        env.out.to_client.push(Piece::Shutdown);
        env.out.to_server.push(Piece::Shutdown);
        env.out.effects.push(Effect::Finished);
        self.limit_ns = None;
        self.state = State::Over;
    }

    /// The server cannot be spoken to, or is not who it should be. Nothing was read of the client:
    /// it is told as soon as it shows what it speaks.
    pub(super) fn on_unsecured(&mut self, env: &mut Env<'_>, reason: &str) {
        let reason = format!("the server's TLS: {reason}");
        let told = Told {
            summary: "flow",
            reason: &reason,
            ..Told::NOTHING
        };
        self.desk.context.keep_refusal(env, None, told);
        env.out.to_server.push(Piece::Reset);
        self.limit_ns = Some(env.now.mono_ns.saturating_add(RECEIVE_NS));
        self.state = State::Unsecured;
    }

    /// Tells a client that its server cannot be spoken to, by its first bytes.
    pub(super) fn tell_unsecured(&mut self, env: &mut Env<'_>, input: &[u8]) {
        let told = if input.first() == Some(&TLS_HANDSHAKE) {
            TLS_ALERT.to_vec()
        } else {
            Refusal::BadGateway.answer(Close::Yes, "")
        };
        env.out.to_client.push(Piece::Bytes(told.into()));
        env.out.to_client.push(Piece::Shutdown);
        env.out.effects.push(Effect::Finished);
        self.limit_ns = None;
        self.state = State::Over;
    }

    /// Refuses a request by its head.
    pub(super) fn refuse(&mut self, env: &mut Env<'_>, stop: Stop, framing: Framing) {
        let told = Told {
            summary: "HTTP request",
            reason: &stop.inside,
            policies: &stop.policies,
            ..Told::NOTHING
        };
        self.desk
            .context
            .keep_refusal(env, stop.caller.as_deref(), told);
        // An answer to HEAD with content would be read as the next one.
        let is_unknown = stop.refusal == Refusal::Method;
        let closes =
            stop.refusal.closes() || is_unknown || framing != Framing::Empty || self.draining;
        let close = if closes { Close::Yes } else { Close::No };
        env.out.to_client.push(Piece::Bytes(
            stop.refusal.answer(close, &stop.challenge).into(),
        ));
        self.after(env, if closes { After::Close } else { After::Again });
    }

    /// What the client sends cannot be framed: where its next request begins is unknown.
    pub(super) fn on_malformed(&mut self, env: &mut Env<'_>, error: HttpError, bytes: &[u8]) {
        let refusal = match error {
            HttpError::HeadTooLarge => Refusal::HeadTooLarge,
            HttpError::LengthRequired => Refusal::Length,
            HttpError::BodyTooLarge => Refusal::BodyTooLarge,
            HttpError::Field(FieldError::ContentEncoding) => Refusal::MediaType,
            HttpError::Field(FieldError::Expect) => Refusal::Expectation,
            HttpError::FirstLine
            | HttpError::LineEnd
            | HttpError::Field(_)
            | HttpError::Target
            | HttpError::UnexpectedBody
            | HttpError::Chunk
            | HttpError::Truncated
            | HttpError::Upgrade => Refusal::Head,
        };
        let told = Told {
            summary: "HTTP request",
            reason: &error.to_string(),
            bytes,
            ..Told::NOTHING
        };
        self.desk.context.keep_refusal(env, None, told);
        env.out
            .to_client
            .push(Piece::Bytes(refusal.answer(Close::Yes, "").into()));
        self.leave(env);
    }

    /// Ends the flow closed: a client that has seen nothing of the answer is told that
    /// there is none; one that has, sees the connection break.
    pub(super) fn end(&mut self, env: &mut Env<'_>, end: &End) {
        let told = end.to_string();
        self.tell_failed(env);
        let mut begun = matches!(&self.state, State::Waiting(exchange, _) if exchange.begun.is_some() || exchange.is_accepted);
        self.drop_waiting(env, &told);
        let mut caller = None;
        if let State::Answering(answering) = &mut self.state {
            begun = answering.has_begun() || answering.client_gone;
            caller = Some(answering.exchange.caller.clone());
            answering.abandon(&self.desk, env, &told);
        }
        let record = Told {
            summary: "flow",
            reason: &told,
            ..Told::NOTHING
        };
        self.desk.context.keep_refusal(env, caller.as_ref(), record);
        if begun {
            env.out.to_client.push(Piece::Reset);
        } else {
            let refusal = match end {
                End::Server(_) => Refusal::BadGateway,
                End::Journal(_) | End::Broken(_) => Refusal::Unavailable,
            };
            env.out
                .to_client
                .push(Piece::Bytes(refusal.answer(Close::Yes, "").into()));
            env.out.to_client.push(Piece::Shutdown);
        }
        env.out.to_server.push(Piece::Reset);
        env.out.effects.push(Effect::Finished);
        self.limit_ns = None;
        self.state = State::Over;
    }

    /// Ends the flow where nobody can be told, or nobody should be.
    pub(super) fn reset(&mut self, env: &mut Env<'_>, reason: &str) {
        self.tell_failed(env);
        self.drop_waiting(env, reason);
        if let State::Answering(answering) = &mut self.state {
            answering.abandon(&self.desk, env, reason);
        }
        self.desk.context.keep_refusal(
            env,
            None,
            Told {
                summary: "flow",
                reason,
                ..Told::NOTHING
            },
        );
        env.out.to_client.push(Piece::Reset);
        env.out.to_server.push(Piece::Reset);
        env.out.effects.push(Effect::Finished);
        self.limit_ns = None;
        self.state = State::Over;
    }
}
