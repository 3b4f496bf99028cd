//! A running session's answers from the server: matched to what was asked, checked against
//! what was predicted, edited, recorded.

use bytes::Bytes;
use weir_mask::detect::ClassSet;
use weir_postgres::frame::{Place, ServerTag};
use weir_postgres::message::{BackendKeyData, CopyResponse, RowDescription, TransactionStatus};
use weir_postgres::refuse;
use weir_postgres::rows;
use weir_postgres::session::{Described, Disposal, Origin, Ticket, What};
use weir_postgres::startup::encode_cancel;

use super::context::Ending;
use super::desk::{Desk, JudgedStatement, Running};
use super::end::End;
use super::layout::{Layout, Search};
use super::opening::cancel_key;
use crate::io::{Effect, Env, Piece};

/// The outcome of a portal that has more rows.
const SUSPENDED: &str = "PortalSuspended";

/// Where detectors look, as records call it.
const SEARCHED: &str = "columns without a label";

/// What becomes of a server's frame.
pub(crate) enum Answer {
    /// It goes to the client as it is now: cells may have been masked where they lie.
    Forward,
    /// These bytes go instead.
    Instead(Bytes),
    /// Nothing goes.
    Swallow,
}

/// A server's frame, understood, without borrowing the session.
pub(crate) struct Understood {
    disposal: Disposal,
    pub(crate) what: Meaning,
    pub(crate) ticket: Option<Ticket>,
    origin: Origin,
    statement: Option<JudgedStatement>,
}

/// The part of [`What`] that matters here.
pub(crate) enum Meaning {
    Columns {
        of: Described,
        has_columns: bool,
    },
    Row,
    CopyOut,
    CopyData,
    Ended {
        outcome: String,
        rows: u64,
        bytes: u64,
        kind: Ended,
    },
    Ready(TransactionStatus),
    /// The server has planned what was sent.
    Planned,
    Text,
    Parameter,
    Notification,
    CancelKey,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Completed,
    Failed,
    Refused,
}

impl Desk {
    /// Whether the rows that come next are edited, so that each must be seen whole.
    pub(crate) fn edits_rows(&self) -> bool {
        let Some(head) = self.session.head() else {
            return true;
        };
        match (head.layout, head.statement) {
            (Some(layout), _) => !layout.is_clear(),
            // Not described yet: the description, or a refusal, comes first.
            (None, Some(_)) if self.scope.net.is_some() => true,
            (None, Some(statement)) => {
                let plan = statement.plan.plan();
                statement
                    .plan
                    .statement(&plan)
                    .is_none_or(|statement| statement.sensitive)
            }
            (None, None) => true,
        }
    }

    /// Deals with a whole frame of the server's. Cells are masked in `body` where they lie.
    pub(crate) fn on_server(
        &mut self,
        env: &mut Env<'_>,
        tag: ServerTag,
        body: &mut [u8],
    ) -> Result<Answer, End> {
        let understood = self.understand(tag, body)?;
        let answer = self.meaning(env, &understood, tag, body)?;
        if self.is_ending() {
            return self.while_ending(tag, &understood, answer);
        }
        Ok(match (understood.disposal, answer) {
            (Disposal::Replace(bytes), _) => Answer::Instead(bytes.into()),
            (Disposal::Swallow, _) => Answer::Swallow,
            (Disposal::Forward, answer) => answer,
        })
    }

    fn understand(&mut self, tag: ServerTag, body: &[u8]) -> Result<Understood, End> {
        let event = self.session.on_server(tag, body)?;
        let what = match event.what {
            What::Columns { of, has_columns } => Meaning::Columns { of, has_columns },
            What::Row => Meaning::Row,
            What::CopyOut => Meaning::CopyOut,
            What::CopyData => Meaning::CopyData,
            What::Completed { tag, tally } => Meaning::Ended {
                outcome: tag.to_owned(),
                rows: tally.rows,
                bytes: tally.bytes,
                kind: Ended::Completed,
            },
            What::Empty => Meaning::Ended {
                outcome: String::new(),
                rows: 0,
                bytes: 0,
                kind: Ended::Completed,
            },
            What::Suspended { tally } => Meaning::Ended {
                outcome: SUSPENDED.to_owned(),
                rows: tally.rows,
                bytes: tally.bytes,
                kind: Ended::Completed,
            },
            What::Failed { code, tally, .. } => Meaning::Ended {
                outcome: code.to_owned(),
                rows: tally.rows,
                bytes: tally.bytes,
                kind: Ended::Failed,
            },
            What::Refused { .. } => Meaning::Ended {
                outcome: "refused".to_owned(),
                rows: 0,
                bytes: 0,
                kind: Ended::Refused,
            },
            What::Ready(status) => Meaning::Ready(status),
            What::Notice => Meaning::Text,
            What::Parameter { name, value } => {
                self.context.name.reported(name, value);
                Meaning::Parameter
            }
            What::Notification => Meaning::Notification,
            What::CancelKey => Meaning::CancelKey,
            What::Bound | What::CopyIn => Meaning::Planned,
            What::Parsed | What::Closed | What::Parameters | What::CopyDone => Meaning::Other,
        };
        Ok(Understood {
            disposal: event.disposal,
            what,
            ticket: event.ticket,
            origin: event.origin,
            statement: event.statement.cloned(),
        })
    }

    fn meaning(
        &mut self,
        env: &mut Env<'_>,
        seen: &Understood,
        tag: ServerTag,
        body: &mut [u8],
    ) -> Result<Answer, End> {
        match &seen.what {
            Meaning::Planned => {
                self.check_sent()?;
                Ok(Answer::Forward)
            }
            Meaning::Columns { of, has_columns } => {
                self.check_sent()?;
                self.on_columns(*of, *has_columns, seen.statement.as_ref(), body)?;
                Ok(Answer::Forward)
            }
            Meaning::Row => self.on_row(body),
            Meaning::CopyOut => {
                self.check_sent()?;
                self.on_copy_out(seen.statement.as_ref(), body)?;
                Ok(Answer::Forward)
            }
            Meaning::CopyData => self.on_copy_data(body),
            Meaning::Ended {
                outcome,
                rows,
                bytes,
                kind,
            } => {
                self.on_ended(env, seen, outcome, *rows, *bytes, *kind)?;
                if *kind == Ended::Failed {
                    self.scrubbed(seen, tag, body)
                } else {
                    Ok(Answer::Forward)
                }
            }
            Meaning::Ready(status) => {
                self.on_ready(env, *status)?;
                Ok(Answer::Forward)
            }
            Meaning::Text => self.scrubbed(seen, tag, body),
            // A payload can carry any value of the database: it goes on only where none is hidden.
            Meaning::Notification if !self.scope.sensitive.is_empty() => Ok(Answer::Swallow),
            Meaning::Notification | Meaning::Parameter | Meaning::Other => Ok(Answer::Forward),
            Meaning::CancelKey => self.on_cancel_key(env, body),
        }
    }

    /// The server's key stays here; the client gets one of Weir's, with the server's process id,
    /// which drivers show, and compare with what `pg_backend_pid()` and `pg_locks` say.
    fn on_cancel_key(&mut self, env: &mut Env<'_>, body: &[u8]) -> Result<Answer, End> {
        let BackendKeyData { process, key } = BackendKeyData::parse(body).map_err(End::server)?;
        let mut request = Vec::new();
        encode_cancel(process, key, &mut request).map_err(End::server)?;
        self.cancel = Some(request.into());
        // Of a length that the client's protocol version has, whatever the server's is.
        let mut own = vec![0; self.context.cancel_key_bytes];
        (env.random)(&mut own);
        env.out
            .effects
            .push(Effect::OfferCancelKey(cancel_key(process, &own)));
        let mut out = Vec::new();
        BackendKeyData { process, key: &own }.encode(&mut out);
        Ok(Answer::Instead(out.into()))
    }

    fn on_columns(
        &mut self,
        of: Described,
        has_columns: bool,
        statement: Option<&JudgedStatement>,
        body: &[u8],
    ) -> Result<(), End> {
        // An empty statement has a plan without statements, and no columns.
        if !has_columns {
            return Ok(());
        }
        let statement = statement.ok_or(End::Broken("a description of no statement"))?;
        let plan = statement.plan.plan();
        let facts = statement
            .plan
            .statement(&plan)
            .ok_or(End::Broken("a plan without its statement"))?;
        let description = RowDescription::parse(body).map_err(End::server)?;
        let described = (description.len(), description.fields());
        let layout = match (&facts.columns, facts.sensitive) {
            (Some(predicted), true) => Layout::predicted(predicted, described, &self.search())?,
            (None, true) => {
                return Err(End::Broken(
                    "a sensitive statement answers with rows that were not predicted",
                ));
            }
            (Some(_) | None, false) => Layout::clear(described, &self.search())?,
        };
        match of {
            Described::Statement => {}
            Described::Portal | Described::Query => {
                // A portal that is gone by now has no rows to lay out.
                let _ = self.session.lay_out(layout);
            }
        }
        Ok(())
    }

    fn on_row(&mut self, body: &mut [u8]) -> Result<Answer, End> {
        let Some(layout) = self.session.head().and_then(|head| head.layout) else {
            return Err(End::Broken("a row without a description"));
        };
        let key = &self.context.connection.mask_key;
        let mut out = Vec::new();
        let change = |column: usize, value: &mut [u8]| layout.edit(column, key, value);
        // What other sessions of this principal found is told in their records.
        let _ = layout.take_seen();
        let edited = rows::edit(body, layout.count, layout.columns(), change, &mut out);
        let seen = layout.take_seen();
        if let Some(running) = self.running.front_mut() {
            running.seen = running.seen.union(seen);
        }
        match edited.map_err(End::server)? {
            rows::Edited::InPlace => Ok(Answer::Forward),
            rows::Edited::Rewritten => Ok(Answer::Instead(out.into())),
        }
    }

    /// COPY describes no column: how many there are is all that can be held against the prediction.
    fn on_copy_out(&mut self, statement: Option<&JudgedStatement>, body: &[u8]) -> Result<(), End> {
        let statement = statement.ok_or(End::Broken("a COPY of no statement"))?;
        let plan = statement.plan.plan();
        let facts = statement
            .plan
            .statement(&plan)
            .ok_or(End::Broken("a plan without its statement"))?;
        let response = CopyResponse::parse(body).map_err(End::server)?;
        let layout = Layout::copied(facts, response, &self.search())?;
        match self.session.lay_out(layout) {
            Err(layout) if !layout.is_clear() => Err(End::Broken("a COPY that nothing asked for")),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn search(&self) -> Search<'_> {
        Search {
            sensitive: &self.scope.sensitive,
            net: self.scope.net.as_ref(),
        }
    }

    fn on_copy_data(&mut self, body: &mut [u8]) -> Result<Answer, End> {
        let key = &self.context.connection.mask_key;
        let layout = self
            .session
            .layout_mut()
            .ok_or(End::Broken("COPY data without a layout"))?;
        let mut out = Vec::new();
        let _ = layout.take_seen();
        let edited = layout.edit_copied(key, body, &mut out);
        let seen = layout.take_seen();
        if let Some(running) = self.running.front_mut() {
            running.seen = running.seen.union(seen);
        }
        match edited.map_err(End::server)? {
            rows::Edited::InPlace => Ok(Answer::Forward),
            rows::Edited::Rewritten => Ok(Answer::Instead(out.into())),
        }
    }

    /// Errors and notices quote values: where a sensitive column is near, or nobody knows what
    /// the text is about, only its kind passes.
    fn scrubbed(&self, seen: &Understood, tag: ServerTag, body: &[u8]) -> Result<Answer, End> {
        let near = match &seen.statement {
            Some(statement) => {
                let plan = statement.plan.plan();
                plan.is_sensitive()
            }
            None => !self.scope.sensitive.is_empty() && self.session.outstanding() > 0,
        };
        // Behind another flow's change it may be about anything.
        if !near && self.check_sent().is_ok() {
            return Ok(Answer::Forward);
        }
        let mut out = Vec::new();
        refuse::scrub(tag, body, &mut out).map_err(End::server)?;
        Ok(Answer::Instead(out.into()))
    }

    fn on_ended(
        &mut self,
        env: &mut Env<'_>,
        seen: &Understood,
        outcome: &str,
        rows: u64,
        bytes: u64,
        kind: Ended,
    ) -> Result<(), End> {
        if kind == Ended::Completed
            && let Some(statement) = &seen.statement
        {
            self.note_effects(statement);
        }
        let Some(ticket) = seen.ticket.filter(|_| seen.origin == Origin::Client) else {
            return Ok(());
        };
        self.forget_skipped(env, ticket)?;
        let Some(running) = self
            .running
            .front_mut()
            .filter(|running| running.ticket == ticket)
        else {
            return Ok(());
        };
        running.rows += rows;
        running.bytes += bytes;
        if outcome == SUSPENDED
            && let Some(counted) = running.counted.take()
        {
            self.keep_count(&counted);
            if let Some(running) = self.running.front_mut() {
                running.counted = Some(counted);
            }
        }
        let Some(running) = self.running.front_mut() else {
            return Ok(());
        };
        if !running.outcome.is_empty() {
            running.outcome.push_str("; ");
        }
        running.outcome.push_str(outcome);
        // A Query's outcome is whole at ReadyForQuery.
        if running.is_query {
            Ok(())
        } else {
            self.close_front(env)
        }
    }

    /// A statement that changes the catalogue has run.
    fn note_effects(&mut self, statement: &JudgedStatement) {
        let plan = statement.plan.plan();
        if statement
            .plan
            .statement(&plan)
            .is_some_and(|statement| statement.changes_catalog)
        {
            self.uncommitted_ddl = true;
        }
    }

    /// Operations before this one were skipped by the server after an error.
    fn forget_skipped(&mut self, env: &mut Env<'_>, ticket: Ticket) -> Result<(), End> {
        while self
            .running
            .front()
            .is_some_and(|running| running.ticket < ticket)
        {
            if let Some(running) = self.running.front_mut()
                && running.outcome.is_empty()
            {
                running.outcome.push_str("skipped");
            }
            self.close_front(env)?;
        }
        Ok(())
    }

    /// What became of the classes that were found in columns without a label, for records.
    fn found_rules(&self, seen: ClassSet) -> Vec<String> {
        let net = self.scope.net.as_ref();
        let rule = |class| net.and_then(|net| net.rule(class));
        seen.iter()
            .map(|class| match rule(class) {
                Some(rule) => format!("{rule} ({class})"),
                None => format!("withheld ({class})"),
            })
            .collect()
    }

    fn close_front(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        let Some(running) = self.running.pop_front() else {
            return Ok(());
        };
        let Running {
            ticket,
            operation,
            begun_ns,
            mut rows,
            mut bytes,
            outcome,
            counted,
            seen,
            ..
        } = running;
        // What was swallowed has not gone.
        let ending = self.ending.as_ref();
        if let Some(counted) = counted.filter(|_| ending.is_some_and(|it| it.is_of(ticket))) {
            (rows, bytes) = counted.since();
        }
        let duration_us = env.now.mono_ns.saturating_sub(begun_ns) / 1_000;
        let rules = self.found_rules(seen);
        let masked: Vec<_> = rules.iter().map(|rule| (SEARCHED, rule.as_str())).collect();
        let ending = Ending {
            rows,
            bytes,
            duration_us,
            outcome: &outcome,
            masked: &masked,
        };
        let _ = self.context.keep_outcome(env, operation, ending)?;
        Ok(())
    }

    fn on_ready(&mut self, env: &mut Env<'_>, status: TransactionStatus) -> Result<(), End> {
        // Everything sent before this ReadyForQuery's Sync or Query has ended.
        let open = self.session.outstanding();
        while !self.running.is_empty() && (open == 0 || self.is_front_over()) {
            if let Some(running) = self.running.front_mut()
                && running.outcome.is_empty()
                && !running.is_query
            {
                running.outcome.push_str("skipped");
            }
            self.close_front(env)?;
        }
        self.settle_transaction(status, env.now.mono_ns);
        Ok(())
    }

    fn is_front_over(&self) -> bool {
        let next = self.session.head().map(|head| head.ticket);
        self.running
            .front()
            .is_some_and(|running| next.is_none_or(|next| running.ticket < next))
    }

    /// What is known of the session is recorded when it ends with operations under way.
    pub(crate) fn abandon(&mut self, env: &mut Env<'_>, why: &str) {
        while let Some(running) = self.running.front_mut() {
            if running.outcome.is_empty() {
                running.outcome.push_str(why);
            }
            if self.close_front(env).is_err() {
                return;
            }
        }
    }
}

/// Queues a server's frame for the client.
pub(crate) fn deliver(
    env: &mut Env<'_>,
    answer: Answer,
    place: Place,
    assembled: impl FnOnce() -> Vec<u8>,
) {
    let piece = match (answer, place) {
        (Answer::Swallow, _) => return,
        (Answer::Instead(bytes), _) => Piece::Bytes(bytes),
        (Answer::Forward, Place::Span(span)) => Piece::Span(span),
        (Answer::Forward, Place::Assembled) => Piece::Bytes(assembled().into()),
    };
    env.out.to_client.push(piece);
}
