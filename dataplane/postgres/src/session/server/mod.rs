//! The server's answers, matched to the requests.

mod check;
mod fail;
mod settle;

use std::sync::Arc;

use super::request::{Ended, Entry, Phase, Query, RefusalKind, Request, Run};
use super::{
    Described, Disposal, Effect, Event, Lifetime, Origin, Pins, Session, Tally, Violation, What,
};
use crate::frame::{HEADER_BYTES, ServerTag};
use crate::message::{self, TransactionStatus};
use crate::startup::PINNED;
use settle::Made;

/// What became of the request at the head.
enum Fate {
    /// More of its answer comes.
    Stays,
    /// It is wholly answered.
    Done,
}

/// How a frame was understood, before the event is put together.
struct Reading<'b> {
    what: What<'b>,
    fate: Fate,
    replace: Option<Vec<u8>>,
    step: usize,
}

impl<'b> Reading<'b> {
    fn stays(what: What<'b>) -> Self {
        Self {
            what,
            fate: Fate::Stays,
            replace: None,
            step: 0,
        }
    }

    fn done(what: What<'b>) -> Self {
        Self {
            what,
            fate: Fate::Done,
            replace: None,
            step: 0,
        }
    }
}

impl<P, L> Session<P, L> {
    /// Reads a whole frame from the server.
    ///
    /// # Errors
    /// [`Violation`]: the flow ends, and the frame goes nowhere.
    pub fn on_server<'s, 'b>(
        &'s mut self,
        tag: ServerTag,
        body: &'b [u8],
    ) -> Result<Event<'s, 'b, P, L>, Violation> {
        if let Some(what) = asynchronous(tag, body)? {
            self.watch(&what)?;
            return Ok(self.between(what));
        }
        if self.ended && tag != ServerTag::ErrorResponse {
            return Err(Violation::Ended);
        }
        if tag == ServerTag::ErrorResponse {
            return self.on_error(body);
        }
        let reading = self.read(tag, body)?;
        Ok(self.event(reading))
    }

    /// Counts rows (or CopyData) that are passed on without being seen whole: `frames` begun and
    /// `bytes` on the wire.
    ///
    /// # Errors
    /// [`Violation`] where none may come.
    pub fn on_bulk(&mut self, tag: ServerTag, frames: u64, bytes: usize) -> Result<(), Violation> {
        let entry = self.queue.front().ok_or(Violation::Unexpected(tag))?;
        check_bulk(entry, tag)?;
        if let Request::Execute {
            phase: Phase::Start,
            ..
        } = &entry.request
        {
            self.check_execute()?;
        }
        let entry = self.queue.front_mut().ok_or(Violation::Unexpected(tag))?;
        if let Request::Execute {
            phase: phase @ Phase::Start,
            ..
        } = &mut entry.request
        {
            *phase = Phase::Rows;
        }
        entry.count(tag, frames, bytes);
        Ok(())
    }

    /// Sees to it that pinned parameters stay, or notes that one did not.
    fn watch(&mut self, what: &What<'_>) -> Result<(), Violation> {
        let What::Parameter { name, value } = what else {
            return Ok(());
        };
        let slipped = PINNED
            .into_iter()
            .find(|(pinned, wanted)| name == pinned && value != wanted);
        match (slipped, self.pins) {
            (None, Pins::Held | Pins::Loose) => Ok(()),
            (Some(_), Pins::Loose) => {
                self.slipped = true;
                Ok(())
            }
            (Some((name, _)), Pins::Held) => Err(Violation::Pinned {
                name,
                value: (*value).to_owned(),
            }),
        }
    }

    fn between<'s, 'b>(&'s self, what: What<'b>) -> Event<'s, 'b, P, L> {
        let head = self.queue.front();
        let origin = head.map_or(Origin::Client, |entry| entry.origin);
        let own_query = head.is_some_and(|entry| matches!(entry.request, Request::Query(_)));
        let swallow = origin == Origin::Weir && own_query && matches!(what, What::Notice);
        let (statement, layout) = head.map_or((None, None), |entry| self.subject(entry, None));
        Event {
            disposal: if swallow {
                Disposal::Swallow
            } else {
                Disposal::Forward
            },
            what,
            ticket: head.map(|entry| entry.ticket),
            origin,
            step: head.map_or(0, Entry::step),
            statement,
            layout,
        }
    }

    fn event<'s, 'b>(&'s mut self, reading: Reading<'b>) -> Event<'s, 'b, P, L> {
        match reading.fate {
            Fate::Done => {
                self.last = self.queue.pop_front();
                self.settle_last();
            }
            // What was described before is no longer what a layout can be attached to.
            Fate::Stays => self.last = None,
        }
        let entry = match reading.fate {
            Fate::Done => self.last.as_ref(),
            Fate::Stays => self.queue.front(),
        };
        let origin = entry.map_or(Origin::Client, |entry| entry.origin);
        let (statement, layout) = match (&reading.what, entry) {
            (What::Ready(_), _) | (_, None) => (None, None),
            (_, Some(entry)) => self.subject(entry, Some(reading.step)),
        };
        let disposal = match (reading.replace, origin) {
            (Some(answer), _) => Disposal::Replace(answer),
            (None, Origin::Client) => Disposal::Forward,
            // An error to Weir's Describe is the error that the client's Execute behind it would get.
            (None, Origin::Weir)
                if matches!(reading.what, What::Failed { .. }) && !is_query(entry) =>
            {
                Disposal::Forward
            }
            (None, Origin::Weir) => Disposal::Swallow,
        };
        Event {
            disposal,
            what: reading.what,
            ticket: entry.map(|entry| entry.ticket),
            origin,
            step: reading.step,
            statement,
            layout,
        }
    }

    fn read<'b>(&mut self, tag: ServerTag, body: &'b [u8]) -> Result<Reading<'b>, Violation> {
        use ServerTag as S;
        let unexpected = Err(Violation::Unexpected(tag));
        let Some(entry) = self.queue.front_mut() else {
            return unexpected;
        };
        match (&mut entry.request, tag) {
            (Request::Startup, S::BackendKeyData) => {
                message::BackendKeyData::parse(body)?;
                Ok(Reading::stays(What::CancelKey))
            }
            (Request::Startup | Request::Sync { .. }, S::ReadyForQuery) => self.ready(body),
            (Request::Parse { name, facts }, S::ParseComplete) => {
                message::parse_empty(body)?;
                self.statements.confirm(name, Arc::clone(facts));
                Ok(Reading::done(What::Parsed))
            }
            (
                Request::Bind {
                    portal,
                    facts,
                    statement,
                    statement_id,
                },
                S::BindComplete,
            ) => {
                message::parse_empty(body)?;
                let believed = self.statements.confirmed(statement.as_str());
                if believed.is_none_or(|slot| slot.value.id != *statement_id) {
                    return Err(Violation::Disbelief);
                }
                self.portals.confirm(portal, Arc::clone(facts));
                Ok(Reading::done(What::Bound))
            }
            (Request::DescribeStatement { has_parameters, .. }, S::ParameterDescription)
                if !*has_parameters =>
            {
                message::ParameterDescription::parse(body)?;
                *has_parameters = true;
                Ok(Reading::stays(What::Parameters))
            }
            (
                Request::DescribeStatement {
                    has_parameters: true,
                    ..
                },
                S::RowDescription | S::NoData,
            ) => {
                self.check_described()?;
                columns(tag, body, Described::Statement).map(Reading::done)
            }
            (Request::DescribePortal { .. }, S::RowDescription | S::NoData) => {
                self.check_described()?;
                columns(tag, body, Described::Portal).map(Reading::done)
            }
            (Request::CloseStatement { name }, S::CloseComplete) => {
                message::parse_empty(body)?;
                self.statements.remove(name.as_str());
                Ok(Reading::done(What::Closed))
            }
            (Request::ClosePortal { name }, S::CloseComplete) => {
                message::parse_empty(body)?;
                self.portals.remove(name.as_str());
                Ok(Reading::done(What::Closed))
            }
            (Request::Execute { .. }, _) => self.read_execute(tag, body),
            (Request::Query(_), _) => self.read_query(tag, body),
            (
                Request::Refusal {
                    kind: RefusalKind::QueryFailed,
                    ..
                },
                S::ReadyForQuery,
            ) => self.ready(body),
            _ => unexpected,
        }
    }

    fn ready<'b>(&mut self, body: &'b [u8]) -> Result<Reading<'b>, Violation> {
        let status = message::ReadyForQuery::parse(body)?.status;
        self.status = status;
        if status == TransactionStatus::Idle {
            self.portals
                .retain(|portal| portal.lifetime == Lifetime::Session);
        }
        Ok(Reading::done(What::Ready(status)))
    }

    fn read_execute<'b>(
        &mut self,
        tag: ServerTag,
        body: &'b [u8],
    ) -> Result<Reading<'b>, Violation> {
        use ServerTag as S;
        let unexpected = Violation::Unexpected(tag);
        if let Some(Entry {
            request:
                Request::Execute {
                    phase: Phase::Start,
                    ..
                },
            ..
        }) = self.queue.front()
        {
            self.check_execute()?;
        }
        let Some(entry) = self.queue.front_mut() else {
            return Err(unexpected);
        };
        entry.count(tag, 1, body.len() + HEADER_BYTES);
        let tally = entry.tally();
        let Request::Execute { run, phase, .. } = &mut entry.request else {
            return Err(unexpected);
        };
        match (tag, *phase) {
            (S::DataRow, Phase::Start | Phase::Rows) => {
                *phase = Phase::Rows;
                Ok(Reading::stays(What::Row))
            }
            (S::PortalSuspended, Phase::Start | Phase::Rows) => {
                message::parse_empty(body)?;
                Ok(Reading::done(What::Suspended { tally }))
            }
            (S::EmptyQueryResponse, Phase::Start) => {
                message::parse_empty(body)?;
                Ok(Reading::done(What::Empty))
            }
            (S::CommandComplete, Phase::Start | Phase::Rows | Phase::CopyOver) => {
                let tag = message::CommandComplete::parse(body)?.tag;
                let made = Made::of(run);
                self.apply(made);
                Ok(Reading::done(What::Completed { tag, tally }))
            }
            // CopyInResponse to an unread Execute would come too late: its Sync is sent by then.
            _ => copy_step(tag, body, run, phase, false).map(Reading::stays),
        }
    }

    fn read_query<'b>(&mut self, tag: ServerTag, body: &'b [u8]) -> Result<Reading<'b>, Violation> {
        use ServerTag as S;
        let unexpected = Violation::Unexpected(tag);
        self.check_query()?;
        let Some(entry) = self.queue.front_mut() else {
            return Err(unexpected);
        };
        entry.count(tag, 1, body.len() + HEADER_BYTES);
        let tally = entry.tally();
        let Request::Query(query) = &mut entry.request else {
            return Err(unexpected);
        };
        let step = query.step;
        if tag == S::ReadyForQuery {
            let is_over = query.ended != Ended::No
                || (step == query.runs.len() && step > 0)
                || (query.is_unread() && query.phase == Phase::Start);
            let reading = if is_over {
                self.ready(body)?
            } else {
                return Err(unexpected);
            };
            self.drop_unnamed();
            return Ok(reading);
        }
        if tag == S::EmptyQueryResponse && query.runs.is_empty() && query.ended == Ended::No {
            message::parse_empty(body)?;
            query.ended = Ended::Empty;
            return Ok(Reading::stays(What::Empty));
        }
        let unread = query.is_unread();
        let Query {
            runs,
            phase,
            layout,
            ended: Ended::No,
            ..
        } = query
        else {
            return Err(unexpected);
        };
        let Some(run) = runs.get(step) else {
            return Err(unexpected);
        };
        let what = match (tag, *phase) {
            (S::RowDescription, Phase::Start | Phase::Rows) => {
                *phase = Phase::Rows;
                *layout = None;
                columns(tag, body, Described::Query)?
            }
            (S::DataRow, Phase::Rows) => What::Row,
            (S::EmptyQueryResponse, Phase::Start) if unread => {
                message::parse_empty(body)?;
                What::Empty
            }
            (S::FunctionCallResponse, Phase::Start) if matches!(run.effect(), Effect::Call) => {
                message::FunctionCall::parse_response(body)?;
                let made = Made::of(run);
                query.step += 1;
                self.apply(made);
                What::Completed { tag: CALLED, tally }
            }
            (S::CommandComplete, Phase::Start | Phase::Rows | Phase::CopyOver) => {
                let tag = message::CommandComplete::parse(body)?.tag;
                let made = Made::of(run);
                query.step += usize::from(!unread);
                query.phase = Phase::Start;
                query.layout = None;
                entry.rows = 0;
                entry.bytes = 0;
                self.apply(made);
                What::Completed { tag, tally }
            }
            _ => copy_step(tag, body, run, phase, unread)?,
        };
        Ok(Reading {
            what,
            fate: Fate::Stays,
            replace: None,
            step,
        })
    }
}

/// How the end of a FunctionCall is told; it has no command tag.
const CALLED: &str = "FUNCTION CALL";

impl<P, L> Entry<P, L> {
    /// Whether it runs what nobody has read.
    fn is_unread(&self) -> bool {
        let is = |run: &Run<P>| matches!(run.effect(), Effect::Call | Effect::Unread);
        match &self.request {
            Request::Query(query) => query.runs.iter().any(is),
            Request::Execute { run, .. } => is(run),
            _ => false,
        }
    }

    fn step(&self) -> usize {
        match &self.request {
            Request::Query(query) => query.step,
            _ => 0,
        }
    }

    fn tally(&self) -> Tally {
        Tally {
            rows: self.rows,
            bytes: self.bytes,
        }
    }

    fn count(&mut self, tag: ServerTag, frames: u64, bytes: usize) {
        match tag {
            ServerTag::DataRow => {
                self.rows += frames;
                self.bytes += bytes as u64;
            }
            ServerTag::CopyData => self.bytes += bytes as u64,
            _ => {}
        }
    }
}

fn is_query<P, L>(entry: Option<&Entry<P, L>>) -> bool {
    entry.is_some_and(|entry| matches!(entry.request, Request::Query(_)))
}

fn check_bulk<P, L>(entry: &Entry<P, L>, tag: ServerTag) -> Result<(), Violation> {
    let may = match (&entry.request, tag) {
        (Request::Execute { phase, .. }, ServerTag::DataRow) => {
            matches!(phase, Phase::Start | Phase::Rows)
        }
        (Request::Query(query), ServerTag::DataRow) => {
            query.run().is_some() && query.phase == Phase::Rows
        }
        (Request::Execute { phase, .. }, ServerTag::CopyData) => *phase == Phase::CopyOut,
        (Request::Query(query), ServerTag::CopyData) => {
            query.run().is_some() && query.phase == Phase::CopyOut
        }
        _ => false,
    };
    if may {
        Ok(())
    } else {
        Err(Violation::Unexpected(tag))
    }
}

fn columns(tag: ServerTag, body: &[u8], of: Described) -> Result<What<'_>, Violation> {
    let has_columns = tag == ServerTag::RowDescription;
    if has_columns {
        message::RowDescription::parse(body)?;
    } else {
        message::parse_empty(body)?;
    }
    Ok(What::Columns { of, has_columns })
}

fn copy_step<'b, P>(
    tag: ServerTag,
    body: &'b [u8],
    run: &Run<P>,
    phase: &mut Phase,
    may_ask: bool,
) -> Result<What<'b>, Violation> {
    use ServerTag as S;
    let (next, what) = match (tag, *phase, run.effect()) {
        (S::CopyInResponse, Phase::Start, Effect::CopyIn) => (Phase::CopyIn, What::CopyIn),
        (S::CopyInResponse, Phase::Start, Effect::Unread) if may_ask => {
            (Phase::CopyIn, What::CopyIn)
        }
        (S::CopyOutResponse, Phase::Start, Effect::CopyOut | Effect::Unread) => {
            (Phase::CopyOut, What::CopyOut)
        }
        (S::CopyData, Phase::CopyOut, _) => (Phase::CopyOut, What::CopyData),
        (S::CopyDone, Phase::CopyOut, _) => (Phase::CopyOver, What::CopyDone),
        _ => return Err(Violation::Unexpected(tag)),
    };
    match tag {
        S::CopyInResponse | S::CopyOutResponse => {
            message::CopyResponse::parse(body)?;
        }
        S::CopyDone => message::parse_empty(body)?,
        _ => {}
    }
    *phase = next;
    Ok(what)
}

fn asynchronous(tag: ServerTag, body: &[u8]) -> Result<Option<What<'_>>, Violation> {
    match tag {
        ServerTag::NoticeResponse => {
            message::Notice::parse(body)?;
            Ok(Some(What::Notice))
        }
        ServerTag::NotificationResponse => {
            message::NotificationResponse::parse(body)?;
            Ok(Some(What::Notification))
        }
        ServerTag::ParameterStatus => {
            let message::ParameterStatus { name, value } = message::ParameterStatus::parse(body)?;
            Ok(Some(What::Parameter { name, value }))
        }
        _ => Ok(None),
    }
}
