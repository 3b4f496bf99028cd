//! Answers that are streams of events.

use super::*;

impl Answering {
    pub(super) fn begin_events(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        head: &ResponseHead,
    ) -> Phase {
        if let Some(framing) = self.exchange.begun {
            return Phase::Events {
                parser: Box::new(Parser::new(ANSWER_BODY_BYTES_MAX)),
                framing,
            };
        }
        let framing = match self.exchange.head.version {
            Version::Http11 => AnswerFraming::Chunked,
            Version::Http10 => AnswerFraming::UntilClose,
        };
        let session = self.session(desk, env, head);
        self.write_head(
            env,
            Some(head),
            "text/event-stream",
            session.as_deref(),
            framing,
        );
        Phase::Events {
            parser: Box::new(Parser::new(ANSWER_BODY_BYTES_MAX)),
            framing,
        }
    }

    pub(super) fn on_events(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        content: &[u8],
    ) -> Result<(), End> {
        let mut rest = content;
        let mut out = Vec::new();
        while !rest.is_empty() {
            let Phase::Events { parser, .. } = &mut self.phase else {
                return Err(End::Broken("events without their stream"));
            };
            let (taken, item) = parser
                .take(rest)
                .map_err(|error| End::Server(error.to_string()))?;
            rest = rest.get(taken..).unwrap_or_default();
            match item {
                None => {}
                Some(Item::Comment) => out.extend_from_slice(sse::KEEP_ALIVE),
                Some(Item::Event(event)) => {
                    if let Some(event) = self.event(desk, env, event)? {
                        sse::encode(&event, &mut out);
                    }
                }
            }
        }
        self.write_events(env, out);
        match &self.phase {
            Phase::Events { parser, .. } if !self.room.resize(parser.held()) => Err(no_room()),
            Phase::Events { .. }
            | Phase::Head
            | Phase::Json { .. }
            | Phase::Document { .. }
            | Phase::OAuth { .. }
            | Phase::Bare => Ok(()),
        }
    }

    pub(super) fn write_events(&mut self, env: &mut Env<'_>, events: Vec<u8>) {
        self.shown_bytes += events.len() as u64;
        let Phase::Events { framing, .. } = &self.phase else {
            return;
        };
        match framing {
            AnswerFraming::Chunked if events.len() > COPIED_BYTES_MAX => {
                self.write(env, chunk_head(events.len()));
                self.write(env, events);
                self.write(env, CHUNK_END.to_vec());
            }
            AnswerFraming::Chunked => {
                let mut chunk = Vec::with_capacity(events.len() + 16);
                encode_chunk(&events, &mut chunk);
                self.write(env, chunk);
            }
            AnswerFraming::UntilClose | AnswerFraming::Length(_) | AnswerFraming::None => {
                self.write(env, events);
            }
        }
    }

    fn event(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        event: Event,
    ) -> Result<Option<Event>, End> {
        if event.event.as_deref() == Some(EVENT) && self.may_name_endpoint() {
            return self.name_endpoint(desk, env, &event).map(Some);
        }
        if event.event.as_deref().is_some_and(|name| name != "message") {
            return self.drop_event(desk, env, "an event of a type that MCP does not have");
        }
        let data = match event.data.as_deref() {
            None => None,
            // It primes the stream: an id to resume after, and nothing to show.
            Some("") => Some(String::new()),
            Some(data) => match self.message(desk, env, data.as_bytes())? {
                Passed::Send(bytes) | Passed::Instead(bytes) => Some(
                    String::from_utf8(bytes)
                        .map_err(|_| End::Broken("an edited message that is no text"))?,
                ),
                Passed::Drop(why) => return self.drop_event(desk, env, why),
            },
        };
        if self.exchange.revision().is_stateless() || self.listening.is_some() {
            // Nothing is resumed there, so there are neither ids nor pauses.
            let event = Event {
                id: None,
                retry: None,
                data,
                ..event
            };
            return Ok((event.data.is_some()).then_some(event));
        }
        // The id is sealed after the message, which may have answered a request: what
        // comes after this event can no longer answer it.
        let id = event.id.and_then(|id| self.sealed(desk, &id));
        Ok(Some(Event { id, data, ..event }))
    }

    /// A message of the server's, on whichever stream.
    fn message(&mut self, desk: &mut Desk, env: &mut Env<'_>, body: &[u8]) -> Result<Passed, End> {
        let exchange = &self.exchange;
        let Some(listening) = &self.listening else {
            let pending = &mut self.pending;
            return Stream { exchange, pending }.body(desk, env, body);
        };
        let passed = listening.session.on_message(body, |body, pending| {
            Stream { exchange, pending }.body(desk, env, body)
        });
        passed.unwrap_or(Ok(Passed::Drop("an answer to nothing that was asked")))
    }

    fn sealed(&self, desk: &Desk, id: &str) -> Option<String> {
        let asked: Vec<_> = self
            .pending
            .iter()
            .map(|(id, running)| Resumable {
                method: running.method.as_str().to_owned(),
                subject: running.subject.clone(),
                id: id.clone(),
            })
            .collect();
        let holder = desk
            .context
            .holder(&self.exchange.caller, &self.exchange.session);
        desk.context.seal.event(&holder, id, &asked)
    }

    /// Drops an event, and records that. Each is recorded with ten times the bytes that it takes a
    /// server to send it.
    fn drop_event(
        &mut self,
        desk: &Desk,
        env: &mut Env<'_>,
        why: &str,
    ) -> Result<Option<Event>, End> {
        self.dropped += 1;
        if self.dropped > EVENTS_DROPPED_MAX {
            let why = "too many events of which nothing may be shown";
            return Err(End::Server(why.to_owned()));
        }
        self.note_dropped(desk, env, why);
        Ok(None)
    }

    pub(super) fn note_dropped(&self, desk: &Desk, env: &mut Env<'_>, why: &str) {
        let told = Told {
            summary: "message of the server",
            reason: why,
            session: &self.exchange.session,
            ..Told::NOTHING
        };
        desk.context
            .keep_refusal(env, Some(&self.exchange.caller), told);
    }
}
