//! What becomes of a request that is whole: judged, denied, held, admitted, released.

use weir_mcp::json::Document;
use weir_mcp::message::client::ClientMethod;

use super::authorization::Challenged;
use super::stateless::Refused;
use super::*;

impl McpFlow {
    /// A request is whole.
    pub(super) fn on_request(&mut self, env: &mut Env<'_>, exchange: Box<Exchange>) {
        self.desk.context.refresh(env);
        if let Some(endpoint) = exchange.oauth {
            return self.on_oauth(env, exchange, endpoint);
        }
        let summary = match exchange.head.method {
            Method::Post => return self.on_post(env, exchange),
            Method::Get if self.desk.context.is_server_document(&exchange.head) => "GET metadata",
            Method::Get => "GET",
            Method::Delete => "DELETE",
            Method::Options | Method::Other => {
                return self.end(env, &End::Broken("a method that was refused"));
            }
        };
        let judgement = self.desk.verdicts.judge(
            &self.desk.context,
            env,
            &exchange.caller,
            &exchange::connect(),
        );
        let plan = Plan::connect(What::Http, summary, judgement);
        self.admit(env, exchange, vec![plan], Vec::new());
    }

    pub(super) fn on_post(&mut self, env: &mut Env<'_>, exchange: Box<Exchange>) {
        let Judged {
            plans,
            body,
            cancels,
            strays,
        } = match exchange::judge(&mut self.desk, env, &exchange) {
            Ok(judged) => judged,
            Err(unjudged) => return self.refuse_unjudged(env, &exchange, &unjudged),
        };
        if plans
            .iter()
            .any(|plan| matches!(plan.judgement.verdict, Verdict::Deny(_)))
        {
            return self.deny(env, &exchange, &plans, &body);
        }
        let cancels = cancels.into_iter().map(Effect::CancelApproval);
        env.out.effects.extend(cancels);
        if strays > 0 {
            return self.keep_strays(env, &exchange, strays == plans.len());
        }
        if let [plan] = plans.as_slice()
            && let Some(own) = plan.own_task
        {
            return self.on_task(env, exchange, plan, own);
        }
        if !plans
            .iter()
            .any(|plan| matches!(plan.judgement.verdict, Verdict::Hold(_)))
        {
            return match <[Plan; 1]>::try_from(plans) {
                Ok([plan]) if plan.wants_task => self.run_task(env, exchange, plan, body),
                Ok(plans) => self.admit(env, exchange, plans.into(), body),
                Err(plans) => self.admit(env, exchange, plans, body),
            };
        }
        match <[Plan; 1]>::try_from(plans) {
            Ok([plan]) => self.ask(env, exchange, plan, body),
            // Which of them was approved could not be told from the answer to all.
            Err(plans) => self.deny(env, &exchange, &plans, &body),
        }
    }

    /// A call of this caller's that waits for people was withdrawn; the server hears nothing of
    /// what it might take for another's. Clients do not wait for an answer.
    fn keep_strays(&mut self, env: &mut Env<'_>, exchange: &Exchange, is_all: bool) {
        if !is_all {
            return self.refuse_unjudged(env, exchange, &Unjudged::Stray);
        }
        let told = Told {
            summary: "POST",
            reason: &Unjudged::Stray.to_string(),
            session: &exchange.session,
            bytes: &exchange.body,
            ..Told::NOTHING
        };
        self.desk
            .context
            .keep_refusal(env, Some(&exchange.caller), told);
        self.reply_body(env, exchange, 202, b"");
    }

    pub(super) fn refuse_unjudged(
        &mut self,
        env: &mut Env<'_>,
        exchange: &Exchange,
        unjudged: &Unjudged,
    ) {
        let refusal = match unjudged {
            Unjudged::Refused(refused) => return self.reply_refused(env, exchange, refused),
            Unjudged::Message(MessageError::Json(_)) => Refusal::Json,
            Unjudged::Message(
                MessageError::Shape
                | MessageError::Envelope
                | MessageError::Name(_)
                | MessageError::Id
                | MessageError::Params(_)
                | MessageError::Batch,
            )
            | Unjudged::Answer
            | Unjudged::OAuth(_)
            | Unjudged::Batch
            | Unjudged::Stray
            | Unjudged::Repeated => Refusal::Message,
        };
        let told = Told {
            summary: "POST",
            reason: &unjudged.to_string(),
            session: &exchange.session,
            bytes: if exchange.oauth.is_some() {
                &[]
            } else {
                &exchange.body
            },
            ..Told::NOTHING
        };
        self.desk
            .context
            .keep_refusal(env, Some(&exchange.caller), told);
        self.reply(
            env,
            &refusal.answer(self.close_of(exchange), ""),
            exchange,
            refusal.closes(),
        );
    }

    /// A request that its revision has an answer of its own for.
    fn reply_refused(&mut self, env: &mut Env<'_>, exchange: &Exchange, refused: &Refused) {
        let told = Told {
            summary: "POST",
            reason: &refused.inside,
            session: &exchange.session,
            bytes: &exchange.body,
            ..Told::NOTHING
        };
        self.desk
            .context
            .keep_refusal(env, Some(&exchange.caller), told);
        self.reply_body(env, exchange, refused.status, &refused.body);
    }

    /// Some message of the body may not go on, so none does.
    pub(super) fn deny(
        &mut self,
        env: &mut Env<'_>,
        exchange: &Exchange,
        plans: &[Plan],
        body: &[u8],
    ) {
        // That a token of another scope would do is told of what the caller may know of only.
        let may_know = plans.iter().all(|plan| self.may_know(env, exchange, plan));
        let context = &self.desk.context;
        let challenged = may_know
            .then(|| authorization::stepped_up(context, env, &exchange.caller, plans))
            .flatten();
        let mut answers = Vec::new();
        for plan in plans {
            let inside = match &plan.judgement.verdict {
                Verdict::Deny(denial) => denial.inside.to_string(),
                Verdict::Hold(_) => "needs approval, and is not alone".to_owned(),
                Verdict::Allow => "another message of the batch is not allowed".to_owned(),
            };
            let told = Told {
                summary: &plan.summary,
                accesses: std::slice::from_ref(&plan.access),
                verdict: "deny",
                policies: &plan.judgement.policies,
                reason: &inside,
                session: &exchange.session,
                bytes: body,
                ..Told::NOTHING
            };
            self.desk
                .context
                .keep_refusal(env, Some(&exchange.caller), told);
            answers.extend(self.denial(env, exchange, plan));
        }
        if let Some(Challenged { refusal, challenge }) = challenged {
            let answer = refusal.answer(self.close_of(exchange), &challenge);
            return self.reply(env, &answer, exchange, refusal.closes());
        }
        self.reply_messages(env, exchange, plans.len(), answers);
    }

    /// Whether the caller may know that the tool is there which a message names; of anything else,
    /// its own answer tells nothing. A tool that no list has shown may not be there at all: whoever
    /// may see every tool would else tell a hidden one from an absent one.
    fn may_know(&mut self, env: &Env<'_>, exchange: &Exchange, plan: &Plan) -> bool {
        use weir_facts::{Access, Action, Resource};
        let Resource::Tool(name) = &plan.access.resource else {
            return true;
        };
        let listed = Access {
            action: Action::McpListTool,
            resource: plan.access.resource.clone(),
        };
        let desk = &mut self.desk;
        pins::is_known(&desk.context, env, name)
            && desk
                .verdicts
                .may_see(&desk.context, env, &exchange.caller, &listed)
    }

    /// How a message is answered that did not go on. What the caller may not know of is
    /// answered as if it were not there.
    pub(super) fn denial(
        &mut self,
        env: &Env<'_>,
        exchange: &Exchange,
        plan: &Plan,
    ) -> Option<Vec<u8>> {
        use weir_facts::{Action, Resource};
        let What::Request { id, method, .. } = &plan.what else {
            return None;
        };
        let outside = match &plan.judgement.verdict {
            Verdict::Deny(denial) => denial.outside.clone(),
            Verdict::Hold(_) => "this needs approval; send it alone".into(),
            Verdict::Allow => "another message of the batch is not allowed".into(),
        };
        let revision = exchange.revision();
        Some(match (&plan.access.action, &plan.access.resource) {
            (Action::McpCallTool, Resource::Tool(name)) => {
                let told = format!("Denied by policy: {outside}");
                match self.may_know(env, exchange, plan) {
                    // A client that wants a task reads no other result.
                    true if plan.wants_task => refuse::withheld(revision, Some(id), &told),
                    true => refuse::tool_error(revision, id, &told),
                    false => refuse::unknown_tool(revision, id, name),
                }
            }
            (_, Resource::Prompt(name)) => refuse::unknown_prompt(id, name),
            (_, Resource::McpResource(uri)) => refuse::unknown_resource(revision, id, uri),
            (Action::McpUnknown, _) if *method == ClientMethod::Unknown => {
                refuse::unknown_method(id)
            }
            (_, _) => hold::refused(
                revision,
                id,
                *method,
                &format!("Denied by policy: {outside}"),
            ),
        })
    }

    pub(super) fn ask(
        &mut self,
        env: &mut Env<'_>,
        exchange: Box<Exchange>,
        plan: Plan,
        body: Vec<u8>,
    ) {
        if !matches!(plan.what, What::Request { .. }) {
            return self.deny(env, &exchange, &[plan], &body);
        }
        match hold::ask(&self.desk, env, &exchange, plan, body) {
            Some(asking) => {
                let exchange = self.accept(env, exchange);
                self.state = State::Waiting(exchange, Box::new(Waiting::Approval(asking)))
            }
            None => self.unavailable(
                env,
                &exchange,
                "the request for approval could not be recorded",
            ),
        }
    }

    pub(super) fn admit(
        &mut self,
        env: &mut Env<'_>,
        exchange: Box<Exchange>,
        plans: Vec<Plan>,
        body: Vec<u8>,
    ) {
        match gate::admit(&mut self.desk, env, &exchange, plans, body, None) {
            Ok(admitted) => self.go_on(env, exchange, admitted),
            Err(error) => self.unavailable(env, &exchange, &error.to_string()),
        }
    }

    pub(super) fn go_on(&mut self, env: &mut Env<'_>, exchange: Box<Exchange>, admitted: Admitted) {
        match admitted.durable {
            Some(seq) => {
                self.state = State::Waiting(exchange, Box::new(Waiting::Durable { seq, admitted }));
            }
            None => self.release(env, exchange, admitted),
        }
    }

    pub(super) fn release(
        &mut self,
        env: &mut Env<'_>,
        exchange: Box<Exchange>,
        admitted: Admitted,
    ) {
        if self.server_gone {
            return self.dial_again(env, exchange, admitted);
        }
        if let Err(why) = posted::may_ask(&exchange, &admitted) {
            return self.unasked(env, &exchange, &admitted, why);
        }
        if exchange.is_accepted {
            // The client of this connection has left, and only the server ends it.
            self.limit_ns = Some(env.now.mono_ns.saturating_add(AFTER_CLIENT_NS));
        }
        let running = gate::release(&self.desk, env, &exchange, admitted);
        let room = env.plans.bodies.room();
        match running.and_then(|running| Answering::new(*exchange, room, running)) {
            Ok(answering) => {
                self.state = State::Answering(Box::new(answering));
                self.on_task_released(env);
            }
            Err(end) => self.end(env, &end),
        }
    }

    pub(super) fn unavailable(&mut self, env: &mut Env<'_>, exchange: &Exchange, inside: &str) {
        let told = Told {
            summary: "POST",
            reason: inside,
            session: &exchange.session,
            ..Told::NOTHING
        };
        self.desk
            .context
            .keep_refusal(env, Some(&exchange.caller), told);
        if exchange.endpoint.is_some() {
            let told = posted::failed(exchange, "Service unavailable");
            return self.reply_messages(env, exchange, told.len(), told);
        }
        if exchange.begun.is_some() {
            let told = refuse::error(None, refuse::INTERNAL_ERROR, "Service unavailable");
            return self.reply_messages(env, exchange, 1, vec![told]);
        }
        let refusal = Refusal::Unavailable;
        self.reply(env, &refusal.answer(Close::Yes, ""), exchange, true);
    }

    pub(super) fn close_of(&self, exchange: &Exchange) -> Close {
        if exchange.head.closes || self.draining {
            Close::Yes
        } else {
            Close::No
        }
    }

    /// Sends an answer of our own to a request that is whole.
    pub(super) fn reply(
        &mut self,
        env: &mut Env<'_>,
        bytes: &[u8],
        exchange: &Exchange,
        closes: bool,
    ) {
        env.out.to_client.push(Piece::Bytes(bytes.to_vec().into()));
        self.after(
            env,
            if closes || self.close_of(exchange) == Close::Yes {
                After::Close
            } else {
                After::Again
            },
        );
    }

    /// Sends messages of our own: one as it is, those of a batch as one; for none, 202.
    pub(super) fn reply_messages(
        &mut self,
        env: &mut Env<'_>,
        exchange: &Exchange,
        asked: usize,
        answers: Vec<Vec<u8>>,
    ) {
        let stays = self.write_messages(env, exchange, asked, answers);
        self.after(env, if stays { After::Again } else { After::Close });
    }

    /// Writes messages of our own. Whether the connection stays.
    pub(super) fn write_messages(
        &self,
        env: &mut Env<'_>,
        exchange: &Exchange,
        asked: usize,
        answers: Vec<Vec<u8>>,
    ) -> bool {
        if let Some(session) = &exchange.endpoint {
            return self.write_on_stream(env, exchange, session, answers);
        }
        let stays = self.close_of(exchange) == Close::No;
        if let Some(framing) = exchange.begun {
            pulse::finish(env, framing, answers);
            return stays && framing == AnswerFraming::Chunked;
        }
        let body = match answers.as_slice() {
            [] => Vec::new(),
            [one] if asked == 1 => one.clone(),
            many => [b"[".as_slice(), &many.join(&b','), b"]"].concat(),
        };
        let status = match body.is_empty() {
            true => 202,
            false => status_of(exchange.revision(), &body),
        };
        self.write_body(env, exchange, status, &body);
        stays
    }

    /// Sends a body of our own.
    fn reply_body(&mut self, env: &mut Env<'_>, exchange: &Exchange, status: u16, body: &[u8]) {
        if let Some(session) = exchange.endpoint.as_ref().filter(|_| !body.is_empty()) {
            let stays = self.write_on_stream(env, exchange, session, vec![body.to_vec()]);
            return self.after(env, if stays { After::Again } else { After::Close });
        }
        self.write_body(env, exchange, status, body);
        let stays = self.close_of(exchange) == Close::No;
        self.after(env, if stays { After::Again } else { After::Close });
    }

    fn write_body(&self, env: &mut Env<'_>, exchange: &Exchange, status: u16, body: &[u8]) {
        let head = Answer {
            status,
            content_type: (!body.is_empty()).then_some("application/json"),
            session: None,
            framing: AnswerFraming::Length(body.len()),
            closes: self.close_of(exchange) == Close::Yes,
            extra: &[],
        };
        let mut out = answer_head(&head, None);
        out.extend_from_slice(body);
        env.out.to_client.push(Piece::Bytes(out.into()));
    }
}

/// The status of an answer of our own.
pub(super) fn status_of(revision: Revision, body: &[u8]) -> u16 {
    let document = Document::parse(body).ok();
    let code = document.as_ref().and_then(|document| {
        document
            .root()
            .get("error")?
            .get("code")?
            .number()?
            .parse()
            .ok()
    });
    code.map_or(200, |code| refuse::status_of(revision, code))
}
