//! Messages of a session of 2024-11-05: POSTed here, answered on the session's stream, which is
//! another flow.

use bytes::Bytes;
use weir_mcp::endpoint;
use weir_mcp::json::Document;
use weir_mcp::message::Id;

use super::head::Named;
use super::sessions::{Session, Unaskable};
use super::*;

impl McpFlow {
    /// The session whose message this is. A place that a session has for its messages is reached by
    /// the name that its own caller was given, and by no other.
    pub(super) fn find_session(
        &self,
        env: &Env<'_>,
        caller: &Caller,
        head: &RequestHead,
        named: &Named,
    ) -> Result<Option<Arc<Session>>, Stop> {
        if head.method != Method::Post {
            return Ok(None);
        }
        let context = &self.desk.context;
        let (sessions, connection) = (&env.calls.sessions, &context.connection.name);
        let no = |inside: &str| Stop::new(Refusal::Session, inside);
        let Some(sealed) = endpoint::sealed(&head.target) else {
            return match sessions.find(connection, &head.target) {
                None => Ok(None),
                Some(_) => Err(no("a session's place, by the server's own name for it")),
            };
        };
        let target = context
            .seal
            .open_endpoint(&context.holder(caller, ""), sealed);
        let session = target
            .and_then(|target| sessions.find(connection, &target))
            .filter(|session| session.caller == caller.key);
        let session = session.ok_or_else(|| no("no open session of this caller's"))?;
        match named {
            Named::Served(revision) if !revision.is_some_and(Revision::is_stateless) => {
                Ok(Some(session))
            }
            Named::Served(_) | Named::Unserved(_) => Err(Stop::new(
                Refusal::Revision,
                "a revision that has no such sessions",
            )),
        }
    }

    /// Tells a client that its message was taken, before it is known what becomes of it: some send
    /// one at a time, and wait for five seconds. The connection closes, since the next message must
    /// not wait behind this one.
    pub(super) fn accept(
        &mut self,
        env: &mut Env<'_>,
        mut exchange: Box<Exchange>,
    ) -> Box<Exchange> {
        if exchange.endpoint.is_some() && !exchange.is_accepted {
            exchange.head.closes = true;
            let taken = answer_head(&taken(Close::Yes), None);
            env.out.to_client.push(Piece::Bytes(taken.into()));
            env.out.to_client.push(Piece::Shutdown);
            exchange.is_accepted = true;
        }
        exchange
    }

    /// Answers messages of a POST on the stream of their session. Whether the connection stays.
    pub(super) fn write_on_stream(
        &self,
        env: &mut Env<'_>,
        exchange: &Exchange,
        session: &Session,
        answers: Vec<Vec<u8>>,
    ) -> bool {
        for message in answers {
            tell(env, session, message);
        }
        if exchange.is_accepted {
            return false;
        }
        let close = self.close_of(exchange);
        let taken = answer_head(&taken(close), None);
        env.out.to_client.push(Piece::Bytes(taken.into()));
        close == Close::No
    }

    /// What was admitted cannot be asked in its session any more.
    pub(super) fn unasked(
        &mut self,
        env: &mut Env<'_>,
        exchange: &Exchange,
        admitted: &Admitted,
        why: Unaskable,
    ) {
        gate::abandon(&self.desk, env, exchange, admitted, &why.to_string());
        if exchange.is_accepted {
            let told = failed(exchange, &why.to_string());
            return self.reply_messages(env, exchange, told.len(), told);
        }
        let refusal = match why {
            Unaskable::Closed => Refusal::Session,
            Unaskable::Pending(_) => Refusal::Message,
        };
        let answer = refusal.answer(self.close_of(exchange), "");
        self.reply(env, &answer, exchange, refusal.closes());
    }

    /// The flow ends with a message that its client believes to be taken.
    pub(super) fn tell_failed(&self, env: &mut Env<'_>) {
        let State::Waiting(exchange, _) = &self.state else {
            return;
        };
        if let Some(session) = exchange.endpoint.as_ref().filter(|_| exchange.is_accepted) {
            for message in failed(exchange, "The call was not executed") {
                tell(env, session, message);
            }
        }
    }
}

/// The answer to a message that was taken.
pub(super) const fn taken(close: Close) -> Answer<'static> {
    Answer {
        status: 202,
        content_type: None,
        session: None,
        framing: AnswerFraming::Length(0),
        closes: matches!(close, Close::Yes),
        extra: &[],
    }
}

/// Sends a message of Weir's own on a session's stream.
pub(super) fn tell(env: &mut Env<'_>, session: &Session, message: Vec<u8>) {
    env.out.effects.push(Effect::ToStream {
        stream: session.stream,
        message: Bytes::from(message),
    });
}

/// Whether everything that was admitted can be asked in its session now.
pub(super) fn may_ask(exchange: &Exchange, admitted: &Admitted) -> Result<(), Unaskable> {
    match &exchange.endpoint {
        Some(session) => admitted.asked().try_for_each(|id| session.may_ask(id)),
        None => Ok(()),
    }
}

/// Errors for every request of a body, which has none where it could not be read.
pub(super) fn failed(exchange: &Exchange, text: &str) -> Vec<Vec<u8>> {
    let Ok(document) = Document::parse(&exchange.body) else {
        return Vec::new();
    };
    let root = document.root();
    let id = root.get("id").filter(|_| root.get("method").is_some());
    let id = id.and_then(|id| Id::read(&id));
    id.iter()
        .map(|id| refuse::error(Some(id), refuse::INTERNAL_ERROR, text))
        .collect()
}
