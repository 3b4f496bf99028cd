//! Answers that are no messages: bare statuses, and documents about authorization.

use super::*;

impl Answering {
    pub(super) fn finish_bare(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        head: Option<&ResponseHead>,
    ) -> Result<(), End> {
        if self.is_posted() {
            return self.finish_posted(desk, env, head);
        }
        let asked: Vec<_> = self.pending.iter().map(|(id, _)| id.clone()).collect();
        self.keep_rest(desk, env)?;
        match self.exchange.begun {
            None => self.write_bare(desk, env, head),
            Some(framing) => {
                let (revision, text) = (
                    self.exchange.revision(),
                    bare_text(self.status, &self.exchange.session),
                );
                let told = asked
                    .iter()
                    .map(|id| refuse::withheld(revision, Some(id), text));
                self.finish_begun(env, framing, told.collect());
            }
        }
        Ok(())
    }

    /// Metadata of the server: what clients use of it, and no value that is hidden from the caller.
    pub(super) fn finish_document(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        head: Option<&ResponseHead>,
        body: &[u8],
    ) -> Result<(), End> {
        let text = shown_metadata(body).and_then(|shown| String::from_utf8(shown).ok());
        let shown = text.filter(|text| self.may_show(desk, env, text));
        let Some(shown) = shown.map(String::into_bytes) else {
            self.note_dropped(desk, env, "metadata that is none, or holds masked values");
            self.status = 502;
            self.keep_rest(desk, env)?;
            self.write_bare(desk, env, head);
            return Ok(());
        };
        if let Some(resource) = desk.context.server_resource() {
            let named = endpoints(&shown, resource.origin());
            let name = &desk.context.connection.name;
            env.calls.authorities.learn(name, resource, named);
        }
        self.shown_bytes = shown.len() as u64;
        self.keep_rest(desk, env)?;
        let framing = AnswerFraming::Length(shown.len());
        self.write_head(env, head, "application/json", None, framing);
        self.write(env, shown);
        Ok(())
    }

    /// A status with a body of our own: nothing of the server's was read, so nothing of
    /// it is shown.
    pub(super) fn write_bare(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        head: Option<&ResponseHead>,
    ) {
        if self.status < 300 {
            let framing = if self.status == 204 {
                AnswerFraming::None
            } else {
                AnswerFraming::Length(0)
            };
            self.write_head(env, head, "", None, framing);
            return;
        }
        let text = bare_text(self.status, &self.exchange.session);
        let body = refuse::withheld(self.exchange.revision(), None, text);
        let said = head.filter(|_| matches!(self.status, 401 | 403));
        let challenges = said.map(|head| authorization::challenges(&desk.context, head));
        let mut challenges = challenges.unwrap_or_default();
        challenges.retain(|challenge| self.may_show(desk, env, challenge));
        let extra: Vec<_> = challenges
            .iter()
            .map(|challenge| ("WWW-Authenticate", challenge.as_str()))
            .collect();
        let shown = Answer {
            status: self.status,
            content_type: Some("application/json"),
            session: None,
            framing: AnswerFraming::Length(body.len()),
            closes: self.closes(),
            extra: &extra,
        };
        self.write(env, answer(&shown, head));
        self.write(env, body);
    }
}

const fn bare_text(status: u16, session: &str) -> &'static str {
    match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 if !session.is_empty() => "Session not found",
        405 => "Method not allowed",
        _ => "The server did not accept the request",
    }
}
