//! The two sides of a session of 2024-11-05: its stream, which begins with the place of its
//! messages, and the server's answers to those, which say no more than that they were taken.

use std::sync::Arc;

use weir_mcp::endpoint;

use super::*;
use crate::io::Effect;
use crate::mcp::posted;
use crate::world::TlsMode;

/// Remembers a request in its session, to be answered on its stream. One that its session does not
/// take any more was sent all the same, and nobody is there to see its answer.
pub(super) fn ask(
    exchange: &Exchange,
    asked: &mut Vec<Id>,
    id: Id,
    others: &mut Vec<Running>,
    mut running: Running,
) -> Result<(), End> {
    let (session, name) = exchange
        .endpoint
        .as_ref()
        .zip(running.onward.take())
        .ok_or(End::Broken("a session's request without a name"))?;
    match session.ask(id.clone(), name, running) {
        Ok(()) => asked.push(id),
        Err(running) => others.push(*running),
    }
    Ok(())
}

impl Answering {
    /// Whether it answers a message of a session.
    pub(super) fn is_posted(&self) -> bool {
        self.exchange.endpoint.is_some() && self.exchange.head.method == Method::Post
    }

    /// Whether an `endpoint` event may come: on a stream of the server's own that belongs to nothing.
    pub(super) fn may_name_endpoint(&self) -> bool {
        self.exchange.head.method == Method::Get
            && self.exchange.session.is_empty()
            && self.exchange.resumed.is_none()
            && self.listening.is_none()
    }

    /// The server names where messages go. The client is told a name that only it can use.
    pub(super) fn name_endpoint(
        &mut self,
        desk: &Desk,
        env: &mut Env<'_>,
        event: &Event,
    ) -> Result<Event, End> {
        let context = &desk.context;
        let scheme = match context.connection.tls.mode {
            TlsMode::Disable | TlsMode::Prefer => "http",
            TlsMode::Require | TlsMode::VerifyFull => "https",
        };
        let named = event.data.as_deref().unwrap_or_default();
        let head = &self.exchange.head;
        let refused = |why: &str| End::Server(why.to_owned());
        let target = endpoint::read(named, head, scheme)
            .ok_or_else(|| refused("an endpoint that is not at the server's own origin"))?;
        if !context.covers_path(target.split('?').next().unwrap_or_default()) {
            return Err(refused("an endpoint outside of the connection's resource"));
        }
        let holder = context.holder(&self.exchange.caller, "");
        let shown = endpoint::shown(head, &context.seal.endpoint(&holder, &target));
        let caller = Arc::clone(&self.exchange.caller.key);
        let (calls, name) = (env.calls, &context.connection.name);
        let listening = Listening::open(calls, name, target.clone(), context.id, caller)
            .ok_or_else(|| refused("an endpoint that is another session's, or one too many"))?;
        self.exchange.session = target;
        self.exchange.endpoint = Some(Arc::clone(&listening.session));
        self.listening = Some(listening);
        env.out.effects.push(Effect::OfferStream);
        Ok(Event {
            event: Some(EVENT.to_owned()),
            data: Some(shown),
            ..Event::default()
        })
    }

    /// A message of Weir's own for the stream of a session.
    pub(crate) fn tell(&mut self, env: &mut Env<'_>, message: &[u8]) {
        let data = String::from_utf8(message.to_vec()).ok();
        if self.listening.is_none() || data.is_none() {
            return;
        }
        let event = Event {
            data,
            ..Event::default()
        };
        let mut out = Vec::with_capacity(message.len() + 16);
        sse::encode(&event, &mut out);
        self.write_events(env, out);
    }

    /// The stream of a session is over, and so is the session: what is unanswered stays so.
    pub(super) fn close_session(&mut self, desk: &Desk, env: &mut Env<'_>) {
        let Some(listening) = self.listening.take() else {
            return;
        };
        for (_, running) in listening.close() {
            // The stream is over whether or not this was kept.
            let _ = self.keep_outcome(desk, env, &running, "not answered: the stream ended");
        }
    }

    /// What the server says to a message matters only as yes or no.
    pub(super) fn on_posted_head(&mut self, head: ResponseHead) {
        if (200..300).contains(&head.status) {
            self.status = 202;
        }
        self.phase = Phase::Bare;
        self.from = Some(head);
    }

    pub(super) fn finish_posted(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        head: Option<&ResponseHead>,
    ) -> Result<(), End> {
        if self.status != 202 {
            let outcome = format!("HTTP {}", self.status);
            self.take_back(desk, env, &outcome);
        }
        self.keep_rest(desk, env)?;
        self.write_bare(desk, env, head);
        Ok(())
    }

    /// The server did not take a message: nothing of it is waited for. A client that was told
    /// otherwise is told so on its stream.
    pub(super) fn take_back(&mut self, desk: &Desk, env: &mut Env<'_>, outcome: &str) {
        let Some(session) = self.exchange.endpoint.clone() else {
            return;
        };
        for id in std::mem::take(&mut self.asked) {
            let Some(mut running) = session.take(&id) else {
                continue;
            };
            // What is told of it comes after what it did.
            let _ = self.keep_outcome(desk, env, &running, outcome);
            if let Some(call) = running.call.take().filter(|_| self.status >= 400) {
                call.answered(env.now.mono_ns);
            }
            if self.exchange.is_accepted {
                let text = "The server did not accept the request";
                let told = refuse::withheld(self.exchange.revision(), Some(&id), text);
                posted::tell(env, &session, told);
            }
        }
    }
}
