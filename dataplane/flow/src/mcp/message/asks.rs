//! What servers ask of clients, and tell them, unasked.

use super::*;

/// Which request a notification is about, as its token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// One that this stream answers: the token is the client's own word.
    This,
    /// Perhaps one of another stream: the token is the server's word, and masked like all others.
    Others,
    Nothing,
}

impl Stream<'_> {
    /// Whether policy lets the server ask the client this. Either way it is recorded.
    pub(in crate::mcp) fn may_ask(
        &self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        known: ServerMethod,
        method: &str,
        bytes: &[u8],
    ) -> Result<bool, End> {
        let Passage::Judged(access) = known.passage() else {
            return Ok(known.passage() == Passage::WithSession);
        };
        let judgement = desk
            .verdicts
            .judge(&desk.context, env, &self.exchange.caller, &access);
        let allowed = judgement.verdict == Verdict::Allow;
        let told = Told {
            summary: method,
            accesses: std::slice::from_ref(&access),
            verdict: if allowed { "allow" } else { "deny" },
            policies: &judgement.policies,
            reason: "the server asks the client",
            session: &self.exchange.session,
            bytes,
            ..Told::NOTHING
        };
        let caller = Some(&self.exchange.caller);
        if allowed {
            let _ = desk.context.keep(env, Kind::Intent, None, caller, told)?;
        } else {
            desk.context.keep_refusal(env, caller, told);
        }
        Ok(allowed)
    }

    /// The server asks the client. Its id is sealed, so that the answer can be told from
    /// one to a request that was never made.
    pub(super) fn asks(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        document: &Document<'_>,
        message: &Value<'_>,
        id: &Id,
        method: &str,
    ) -> Result<Passed, End> {
        let known = ServerMethod::read(method);
        if !known.is_request() {
            aside::decline(desk, env, self.exchange, id);
            return Ok(Passed::Drop(
                "a request of the server's that Weir does not know",
            ));
        }
        if self
            .pending
            .iter()
            .any(|(_, running)| running.poll.is_some())
        {
            let why = "a request of the server's for a task, whose client nobody waits at";
            return self.unasked(desk, env, id, why);
        }
        if !self.may_ask(desk, env, known, method, message.raw())? {
            let why = "a request of the server's that policy does not allow";
            return self.unasked(desk, env, id, why);
        }
        let Some(span) = message.get("id").map(|id| id.span()) else {
            return Ok(Passed::Drop("a request without an id"));
        };
        let holder = desk
            .context
            .holder(&self.exchange.caller, &self.exchange.session);
        let sealed = edited(document, span, desk.context.seal.request(&holder, id));
        let ready = self.mask_untold(desk, env, Shaped::Edited(sealed), &[]);
        if ready.verdict == "deny" {
            return self.unasked(desk, env, id, "a request that may not be shown");
        }
        Ok(Passed::Send(ready.bytes))
    }

    /// The client is not asked. The server waits for its answer, and would have the client
    /// wait for the call: so the server is told no, and the call is answered now, where the stream
    /// has one only.
    fn unasked(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        asked: &Id,
        why: &'static str,
    ) -> Result<Passed, End> {
        aside::decline(desk, env, self.exchange, asked);
        let only = match self.pending.len() {
            1 => self.pending.drain().next(),
            _ => None,
        };
        let Some((id, running)) = only else {
            return Ok(Passed::Drop(why));
        };
        let told = asks_in_vain(self.exchange.revision(), &id, running.method);
        self.keep(desk, env, running, Ready::refused(told, why.to_owned()))
    }

    pub(super) fn notifies(
        &mut self,
        desk: &mut Desk,
        env: &mut Env<'_>,
        document: &Document<'_>,
        method: ServerMethod,
        params: Option<Value<'_>>,
    ) -> Result<Passed, End> {
        if method.is_request() || method.passage() != Passage::WithSession {
            return Ok(Passed::Drop("a notification that Weir does not know"));
        }
        let progress = if method == ServerMethod::NotificationsProgress {
            self.progress(params)
        } else {
            Progress::Others
        };
        if progress == Progress::Nothing {
            return Ok(Passed::Drop("progress of nothing that was asked"));
        }
        let reshaped = if self.exchange.revision().is_stateless() {
            self.reshape_notification(desk, env, method, params)
        } else {
            self.reshape_of_session(desk, env, method, params)
        };
        let mut reshaped = match reshaped {
            Ok(reshaped) => reshaped,
            Err(Unfit::Ends(end)) => return Err(end),
            Err(Unfit::Shape(why)) => return Ok(Passed::Drop(why)),
            Err(Unfit::Asks) => {
                return Ok(Passed::Drop(
                    "a task that asks for what policy does not allow",
                ));
            }
        };
        if progress == Progress::This {
            reshaped.sealed.push(&["params", "progressToken"]);
        }
        let shaped = replaced(document, reshaped.edits)?;
        let ready = match reshaped.tool {
            Some(tool) => self.mask(desk, env, &shaped, &reshaped.sealed, &tool, None),
            None => self.mask_untold(desk, env, shaped, &reshaped.sealed),
        };
        Ok(if ready.verdict == "deny" {
            Passed::Drop("a notification that may not be shown")
        } else {
            Passed::Send(ready.bytes)
        })
    }

    /// Progress names a request of this stream. On a stream that answers nothing, it may
    /// name one of another.
    fn progress(&self, params: Option<Value<'_>>) -> Progress {
        let token = params
            .and_then(|params| params.get("progressToken"))
            .and_then(|token| Id::read(&token));
        let Some(token) = token else {
            return Progress::Nothing;
        };
        let is_this = |running: &Running| running.progress.as_ref() == Some(&token);
        if self.pending.iter().any(|(_, running)| is_this(running)) {
            Progress::This
        } else if self.pending.is_empty() && !self.exchange.revision().is_stateless() {
            Progress::Others
        } else {
            Progress::Nothing
        }
    }

    /// Masks a message that does not tell which request it is about: as for each that this stream
    /// answers, one after another; and where it answers none, as for any tool's.
    pub(super) fn mask_untold(
        &self,
        desk: &mut Desk,
        env: &Env<'_>,
        shaped: Shaped<'_>,
        sealed: &[&[&str]],
    ) -> Ready {
        let tools: BTreeSet<_> = self.pending.iter().map(|(_, asked)| tool(asked)).collect();
        let mut tools = tools.into_iter();
        let Some(first) = tools.next() else {
            let caller = &self.exchange.caller;
            let masks = desk.verdicts.masks_of_any(&desk.context, env, caller);
            return self.masked(desk, env, &shaped, sealed, "", &masks, None);
        };
        let mut ready = self.mask(desk, env, &shaped, sealed, first, None);
        for tool in tools {
            if ready.is_own {
                break;
            }
            let shaped = Shaped::Edited(std::mem::take(&mut ready.bytes));
            let mut again = self.mask(desk, env, &shaped, sealed, tool, None);
            if !again.is_own && again.places.is_empty() {
                again.verdict = ready.verdict;
            }
            again.places.splice(0..0, ready.places);
            ready = again;
        }
        ready
    }
}

/// The answer to a call for which the server asks the client what it may not ask.
pub(super) fn asks_in_vain(revision: Revision, id: &Id, method: ClientMethod) -> Vec<u8> {
    let text = "Denied by policy: the server asks for what it may not ask this client";
    if method == ClientMethod::ToolsCall {
        refuse::tool_error(revision, id, text)
    } else {
        refuse::withheld(revision, Some(id), text)
    }
}
