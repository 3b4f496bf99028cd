//! The client's requests, as they are sent to the server.

use std::sync::Arc;

use super::names::Reach;
use super::request::{Ended, Entry, Phase, Query, RefusalKind, Request, Run};
use super::{
    ABSENT_PORTAL, Admission, Effect, Lifetime, Lookup, Name, Origin, PortalFacts, RequestError,
    Session, Statement, StatementFacts, Ticket, Violation,
};
use crate::frame::ClientTag;
use crate::limits;
use crate::message::{self, TransactionStatus};
use crate::rows::Formats;

/// A Query that is no SQL: it fails in every state of a session, and has no other effect than any
/// Query has.
const ABSENT_QUERY: &str = "refused by weir";

/// A COPY FROM STDIN among what was sent last.
enum Copying {
    No,
    /// CopyInResponse has not come.
    Expected,
    /// The server reads CopyData.
    Open,
}

impl<P, L> Session<P, L> {
    /// Whether a client's message of this type is to be judged and sent, kept back, or dropped as the
    /// server would drop it. To be asked before anything else is done with it.
    ///
    /// # Errors
    /// [`Violation::Client`] for a message that may not stand here, [`Violation::Ended`].
    pub fn admit(&self, tag: ClientTag) -> Result<Admission, Violation> {
        use ClientTag as C;
        if self.ended || self.terminated {
            return Err(Violation::Ended);
        }
        match tag {
            C::Terminate => return Ok(Admission::Proceed),
            C::Authentication => return Err(Violation::Client),
            C::Bind
            | C::Close
            | C::CopyData
            | C::CopyDone
            | C::CopyFail
            | C::Describe
            | C::Execute
            | C::Flush
            | C::FunctionCall
            | C::Parse
            | C::Query
            | C::Sync => {}
        }
        if matches!(
            self.queue.front(),
            Some(Entry {
                request: Request::Startup,
                ..
            })
        ) {
            return Ok(Admission::Wait);
        }
        let is_copy = matches!(tag, C::CopyData | C::CopyDone | C::CopyFail);
        match self.copying() {
            Copying::Expected => return Ok(Admission::Wait),
            Copying::Open if is_copy => return Ok(Admission::Proceed),
            // The server ignores both while it reads CopyData (protocol chapter, "COPY Operations").
            Copying::Open if matches!(tag, C::Flush | C::Sync) => return Ok(Admission::Drop),
            Copying::Open => return Err(Violation::Client),
            Copying::No if is_copy => return Ok(Admission::Drop),
            Copying::No => {}
        }
        if self.skipping && tag != C::Sync {
            return Ok(Admission::Drop);
        }
        if self.queue.len() >= limits::REQUESTS_MAX && tag != C::Flush {
            return Ok(Admission::Wait);
        }
        Ok(Admission::Proceed)
    }

    /// Follows EXECUTE and FETCH to the statement that will run, behind the statements `before` it in
    /// the same Query.
    #[must_use]
    pub fn resolve(
        &self,
        before: &[Arc<Statement<P>>],
        statement: &Arc<Statement<P>>,
    ) -> Lookup<Arc<Statement<P>>> {
        let mut found = Arc::clone(statement);
        for _ in 0..limits::INDIRECTION_MAX {
            let next = match &found.effect {
                Effect::Execute { name } => self.statement_after(before, name),
                Effect::Fetch { name } => self.cursor_after(before, name),
                Effect::None
                | Effect::Prepare { .. }
                | Effect::Deallocate { .. }
                | Effect::DeallocateAll
                | Effect::Declare { .. }
                | Effect::CloseCursor { .. }
                | Effect::CloseAllCursors
                | Effect::DiscardAll
                | Effect::CopyIn
                | Effect::CopyOut
                | Effect::Call
                | Effect::Unread => return Lookup::Found(found),
            };
            match next {
                Lookup::Found(next) => found = next,
                Lookup::Unknown => return Lookup::Unknown,
                Lookup::Wait => return Lookup::Wait,
            }
        }
        Lookup::Unknown
    }

    fn statement_after(
        &self,
        before: &[Arc<Statement<P>>],
        wanted: &Name,
    ) -> Lookup<Arc<Statement<P>>> {
        for earlier in before.iter().rev() {
            match &earlier.effect {
                Effect::Prepare { name, statement } if name == wanted => {
                    return Lookup::Found(Arc::clone(statement));
                }
                Effect::Deallocate { name } if name == wanted => return Lookup::Unknown,
                Effect::DeallocateAll | Effect::DiscardAll | Effect::Call | Effect::Unread => {
                    return Lookup::Unknown;
                }
                Effect::None
                | Effect::Prepare { .. }
                | Effect::Execute { .. }
                | Effect::Deallocate { .. }
                | Effect::Declare { .. }
                | Effect::Fetch { .. }
                | Effect::CloseCursor { .. }
                | Effect::CloseAllCursors
                | Effect::CopyIn
                | Effect::CopyOut => {}
            }
        }
        match self.statement(wanted.as_str()) {
            Lookup::Found(statement) => Lookup::Found(Arc::clone(statement)),
            Lookup::Unknown => Lookup::Unknown,
            Lookup::Wait => Lookup::Wait,
        }
    }

    fn cursor_after(
        &self,
        before: &[Arc<Statement<P>>],
        wanted: &Name,
    ) -> Lookup<Arc<Statement<P>>> {
        for earlier in before.iter().rev() {
            match &earlier.effect {
                Effect::Declare {
                    name, statement, ..
                } if name == wanted => {
                    return Lookup::Found(Arc::clone(statement));
                }
                Effect::CloseCursor { name } if name == wanted => return Lookup::Unknown,
                Effect::CloseAllCursors | Effect::DiscardAll | Effect::Call | Effect::Unread => {
                    return Lookup::Unknown;
                }
                Effect::None
                | Effect::Prepare { .. }
                | Effect::Execute { .. }
                | Effect::Deallocate { .. }
                | Effect::DeallocateAll
                | Effect::Declare { .. }
                | Effect::Fetch { .. }
                | Effect::CloseCursor { .. }
                | Effect::CopyIn
                | Effect::CopyOut => {}
            }
        }
        match self.portal(wanted.as_str()) {
            Lookup::Found(portal) => Lookup::Found(Arc::clone(&portal.statement)),
            Lookup::Unknown => Lookup::Unknown,
            Lookup::Wait => Lookup::Wait,
        }
    }

    /// Parse goes to the server.
    ///
    /// # Errors
    /// [`RequestError::TooManyStatements`].
    pub fn parse(
        &mut self,
        name: Name,
        statement: Arc<Statement<P>>,
    ) -> Result<Ticket, RequestError> {
        if !name.is_unnamed() && self.statements.len_possible() >= limits::STATEMENTS_MAX {
            return Err(RequestError::TooManyStatements);
        }
        let facts = Arc::new(StatementFacts {
            id: self.id(),
            statement,
        });
        let reach = Reach::Segment(self.segment);
        self.statements.touch(
            &name,
            Ticket(self.next_ticket),
            reach,
            Some(Arc::clone(&facts)),
        );
        Ok(self.push(Origin::Client, Request::Parse { name, facts }))
    }

    /// Bind goes to the server.
    ///
    /// # Errors
    /// [`RequestError`] for a statement that is unknown or not yet certain, and for too many portals.
    pub fn bind(
        &mut self,
        portal: Name,
        statement: &Name,
        formats: Formats,
    ) -> Result<Ticket, RequestError> {
        if !portal.is_unnamed() && self.portals.len_possible() >= limits::PORTALS_MAX {
            return Err(RequestError::TooManyPortals);
        }
        let found = match self.statements.find(statement.as_str(), self.segment) {
            Lookup::Found(facts) => Arc::clone(facts),
            Lookup::Unknown => return Err(RequestError::UnknownStatement),
            Lookup::Wait => return Err(RequestError::NotYet),
        };
        let facts = Arc::new(PortalFacts {
            id: self.id(),
            statement: Arc::clone(&found.statement),
            formats,
            lifetime: Lifetime::Transaction,
        });
        let reach = Reach::Segment(self.segment);
        self.portals.touch(
            &portal,
            Ticket(self.next_ticket),
            reach,
            Some(Arc::clone(&facts)),
        );
        let request = Request::Bind {
            portal,
            facts,
            statement: statement.clone(),
            statement_id: found.id,
        };
        Ok(self.push(Origin::Client, request))
    }

    /// Describe of a prepared statement goes to the server.
    ///
    /// # Errors
    /// [`RequestError`] for a statement that is unknown or not yet certain.
    pub fn describe_statement(
        &mut self,
        origin: Origin,
        name: &Name,
    ) -> Result<Ticket, RequestError> {
        let (id, written) = match self.statements.find(name.as_str(), self.segment) {
            Lookup::Found(facts) => (facts.id, Arc::clone(&facts.statement)),
            Lookup::Unknown => return Err(RequestError::UnknownStatement),
            Lookup::Wait => return Err(RequestError::NotYet),
        };
        let runs = self.described(&written)?;
        let request = Request::DescribeStatement {
            name: name.clone(),
            id,
            runs,
            has_parameters: false,
        };
        Ok(self.push(origin, request))
    }

    /// Describe of a portal goes to the server.
    ///
    /// # Errors
    /// [`RequestError`] for a portal that is unknown or not yet certain.
    pub fn describe_portal(&mut self, origin: Origin, name: &Name) -> Result<Ticket, RequestError> {
        let (id, written) = self.portal_facts(name)?;
        let runs = self.described(&written)?;
        Ok(self.push(
            origin,
            Request::DescribePortal {
                name: name.clone(),
                id,
                runs,
            },
        ))
    }

    fn portal_facts(&self, name: &Name) -> Result<(u64, Arc<Statement<P>>), RequestError> {
        match self.portals.find(name.as_str(), self.segment) {
            Lookup::Found(facts) => Ok((facts.id, Arc::clone(&facts.statement))),
            Lookup::Unknown => Err(RequestError::UnknownPortal),
            Lookup::Wait => Err(RequestError::NotYet),
        }
    }

    fn described(&self, written: &Arc<Statement<P>>) -> Result<Arc<Statement<P>>, RequestError> {
        match self.resolve(&[], written) {
            Lookup::Found(runs) => Ok(runs),
            Lookup::Unknown => Ok(Arc::clone(written)),
            Lookup::Wait => Err(RequestError::NotYet),
        }
    }

    /// Close of a prepared statement goes to the server. It succeeds there for any name.
    pub fn close_statement(&mut self, name: Name) -> Ticket {
        self.statements.touch(
            &name,
            Ticket(self.next_ticket),
            Reach::Segment(self.segment),
            None,
        );
        self.push(Origin::Client, Request::CloseStatement { name })
    }

    /// Close of a portal goes to the server. It succeeds there for any name.
    pub fn close_portal(&mut self, name: Name) -> Ticket {
        self.portals.touch(
            &name,
            Ticket(self.next_ticket),
            Reach::Segment(self.segment),
            None,
        );
        self.push(Origin::Client, Request::ClosePortal { name })
    }

    /// Execute goes to the server. What will run is [`Session::resolve`] of the portal's statement.
    ///
    /// # Errors
    /// [`RequestError`] for a portal, or a statement behind it, that is unknown or not yet certain.
    pub fn execute(&mut self, portal: &Name) -> Result<Ticket, RequestError> {
        let (portal_id, written) = self.portal_facts(portal)?;
        let run = self.run(&[], written)?;
        self.check_room(std::slice::from_ref(&run))?;
        self.announce(&run, Reach::Segment(self.segment));
        let request = Request::Execute {
            portal: portal.clone(),
            portal_id,
            run,
            phase: Phase::Start,
        };
        Ok(self.push(Origin::Client, request))
    }

    /// Query goes to the server, with its statements in order; none for an empty one. Each has been
    /// judged, EXECUTE and FETCH by what they run ([`Session::resolve`]).
    ///
    /// # Errors
    /// [`RequestError`] where EXECUTE or FETCH names what is unknown or not yet certain; where Weir's
    /// own Query would come amid the client's requests.
    pub fn query(
        &mut self,
        origin: Origin,
        statements: &[Arc<Statement<P>>],
    ) -> Result<Ticket, RequestError> {
        if origin == Origin::Weir && (self.segment_open || self.skipping) {
            return Err(RequestError::NotBetweenRequests);
        }
        let mut runs = Vec::with_capacity(statements.len());
        for (index, statement) in statements.iter().enumerate() {
            let before = statements.get(..index).unwrap_or_default();
            runs.push(self.run(before, Arc::clone(statement))?);
        }
        self.check_room(&runs)?;
        let ticket = Ticket(self.next_ticket);
        self.statements
            .touch(&Name::unnamed(), ticket, Reach::Query, None);
        self.portals
            .touch(&Name::unnamed(), ticket, Reach::Query, None);
        for run in &runs {
            self.announce(run, Reach::Query);
        }
        let copies_in = runs.iter().any(Run::may_copy_in);
        let query = Query {
            runs,
            step: 0,
            phase: Phase::Start,
            layout: None,
            copies_in,
            ended: Ended::No,
        };
        self.push(origin, Request::Query(query));
        self.segment_open = false;
        self.segment_acts = false;
        self.segment_runs = false;
        Ok(ticket)
    }

    /// Sync goes to the server.
    pub fn sync(&mut self) -> Ticket {
        let ticket = self.push(Origin::Client, Request::Sync { failed: false });
        self.end_segment();
        self.skipping = false;
        ticket
    }

    /// A Sync of Weir's own goes to the server, behind Parses and Describes that the client has
    /// flushed without a Sync. It ends the transaction that these have begun, and with it the locks
    /// that they hold, while the client has to wait; prepared statements outlive it, and nothing
    /// else was made.
    ///
    /// # Errors
    /// [`RequestError::NotBetweenRequests`] where there is more to be lost: a portal, the effect of
    /// an Execute, a transaction of the client's. [`RequestError::NotYet`] where an earlier Sync or
    /// Query has yet to tell whether there is one.
    pub fn sync_preparation(&mut self) -> Result<Ticket, RequestError> {
        if !self.segment_open || self.segment_acts || self.skipping {
            return Err(RequestError::NotBetweenRequests);
        }
        if !self.queue.iter().all(|entry| prepares(&entry.request)) {
            return Err(RequestError::NotYet);
        }
        if self.status != TransactionStatus::Idle {
            return Err(RequestError::NotBetweenRequests);
        }
        let ticket = self.push(Origin::Weir, Request::Sync { failed: false });
        self.end_segment();
        Ok(ticket)
    }

    fn end_segment(&mut self) {
        self.segment += 1;
        self.segment_open = false;
        self.segment_acts = false;
        self.segment_runs = false;
    }

    /// Refuses a message of the extended protocol: appends to `out` a message that makes the server
    /// fail in its place. The server's ErrorResponse is replaced by `answer` (a whole ErrorResponse
    /// frame), and what the client sends up to its next Sync is skipped, as after any error.
    pub fn refuse_extended(&mut self, answer: Vec<u8>, out: &mut Vec<u8>) -> Ticket {
        message::Describe {
            target: message::Target::Portal,
            name: ABSENT_PORTAL,
        }
        .encode(out);
        self.push(
            Origin::Client,
            Request::Refusal {
                answer,
                kind: RefusalKind::Extended,
            },
        )
    }

    /// Refuses a Query or FunctionCall in the same way; the server's ReadyForQuery follows.
    pub fn refuse_query(&mut self, answer: Vec<u8>, out: &mut Vec<u8>) -> Ticket {
        message::Query { text: ABSENT_QUERY }.encode(out);
        let ticket = Ticket(self.next_ticket);
        self.statements
            .touch(&Name::unnamed(), ticket, Reach::Query, None);
        self.portals
            .touch(&Name::unnamed(), ticket, Reach::Query, None);
        self.push(
            Origin::Client,
            Request::Refusal {
                answer,
                kind: RefusalKind::Query,
            },
        );
        self.segment_open = false;
        self.segment_acts = false;
        self.segment_runs = false;
        ticket
    }

    /// CopyDone or CopyFail goes to the server.
    ///
    /// # Errors
    /// [`Violation::Client`] outside COPY FROM STDIN ([`Session::admit`] says so before).
    pub fn end_copy_in(&mut self) -> Result<(), Violation> {
        match self.queue.back_mut().map(|entry| &mut entry.request) {
            Some(Request::Execute {
                phase: phase @ Phase::CopyIn,
                ..
            }) => *phase = Phase::CopyOver,
            Some(Request::Query(query)) if query.phase == Phase::CopyIn => {
                query.phase = Phase::CopyOver
            }
            Some(_) | None => return Err(Violation::Client),
        }
        Ok(())
    }

    /// Terminate goes to the server.
    pub fn terminate(&mut self) {
        self.terminated = true;
    }

    fn copying(&self) -> Copying {
        match self.queue.back().map(|entry| &entry.request) {
            Some(Request::Execute { run, phase, .. }) if matches!(run.effect(), Effect::CopyIn) => {
                match phase {
                    Phase::CopyIn => Copying::Open,
                    Phase::Start => Copying::Expected,
                    Phase::Rows | Phase::CopyOut | Phase::CopyOver => Copying::No,
                }
            }
            Some(Request::Query(query)) if query.copies_in && query.ended == Ended::No => {
                if query.phase == Phase::CopyIn {
                    return Copying::Open;
                }
                let is_last_copy = query.phase == Phase::CopyOver && !query.is_unread();
                let from = query.step + usize::from(is_last_copy);
                let left = query.runs.get(from..).unwrap_or_default();
                if left.iter().any(Run::may_copy_in) {
                    Copying::Expected
                } else {
                    Copying::No
                }
            }
            Some(_) | None => Copying::No,
        }
    }

    fn run(
        &mut self,
        before: &[Arc<Statement<P>>],
        written: Arc<Statement<P>>,
    ) -> Result<Run<P>, RequestError> {
        let runs = match self.resolve(before, &written) {
            Lookup::Found(runs) => runs,
            Lookup::Unknown if matches!(written.effect, Effect::Fetch { .. }) => {
                return Err(RequestError::UnknownPortal);
            }
            Lookup::Unknown => return Err(RequestError::UnknownStatement),
            Lookup::Wait => return Err(RequestError::NotYet),
        };
        Ok(Run {
            written,
            runs,
            id: self.id(),
        })
    }

    fn check_room(&self, runs: &[Run<P>]) -> Result<(), RequestError> {
        let prepared = runs
            .iter()
            .filter(|run| matches!(run.effect(), Effect::Prepare { .. }))
            .count();
        let declared = runs
            .iter()
            .filter(|run| matches!(run.effect(), Effect::Declare { .. }))
            .count();
        if prepared > 0 && self.statements.len_possible() + prepared > limits::STATEMENTS_MAX {
            return Err(RequestError::TooManyStatements);
        }
        if declared > 0 && self.portals.len_possible() + declared > limits::PORTALS_MAX {
            return Err(RequestError::TooManyPortals);
        }
        Ok(())
    }

    /// Notes what the statement will do to names, for look-ups behind it.
    fn announce(&mut self, run: &Run<P>, reach: Reach) {
        let ticket = Ticket(self.next_ticket);
        match run.effect() {
            Effect::Prepare { name, .. } => {
                self.statements.touch(name, ticket, reach, run.prepared());
            }
            Effect::Deallocate { name } => self.statements.touch(name, ticket, reach, None),
            Effect::DeallocateAll => self.statements.touch_all(ticket, reach),
            Effect::Declare { name, .. } => self.portals.touch(name, ticket, reach, run.declared()),
            Effect::CloseCursor { name } => self.portals.touch(name, ticket, reach, None),
            Effect::CloseAllCursors => self.portals.touch_all(ticket, reach),
            Effect::DiscardAll | Effect::Call | Effect::Unread => {
                self.statements.touch_all(ticket, reach);
                self.portals.touch_all(ticket, reach);
            }
            Effect::None
            | Effect::Execute { .. }
            | Effect::Fetch { .. }
            | Effect::CopyIn
            | Effect::CopyOut => {}
        }
    }

    fn push(&mut self, origin: Origin, request: Request<P, L>) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.segment_open = true;
        self.segment_acts |= !prepares(&request);
        self.segment_runs |= runs(&request);
        self.queue.push_back(Entry {
            ticket,
            origin,
            request,
            rows: 0,
            bytes: 0,
        });
        ticket
    }

    pub(super) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Whether a request runs something, or ends what was run.
pub(super) fn runs<P, L>(request: &Request<P, L>) -> bool {
    match request {
        Request::Parse { .. }
        | Request::Bind { .. }
        | Request::DescribeStatement { .. }
        | Request::DescribePortal { .. }
        | Request::CloseStatement { .. }
        | Request::ClosePortal { .. } => false,
        Request::Startup
        | Request::Execute { .. }
        | Request::Query(_)
        | Request::Sync { .. }
        | Request::Refusal { .. } => true,
    }
}

/// Whether a request only prepares or describes statements.
fn prepares<P, L>(request: &Request<P, L>) -> bool {
    match request {
        Request::Parse { .. }
        | Request::DescribeStatement { .. }
        | Request::CloseStatement { .. } => true,
        Request::Startup
        | Request::Bind { .. }
        | Request::DescribePortal { .. }
        | Request::ClosePortal { .. }
        | Request::Execute { .. }
        | Request::Query(_)
        | Request::Sync { .. }
        | Request::Refusal { .. } => false,
    }
}

impl<P> Run<P> {
    /// What running it does: EXECUTE of a prepared PREPARE does what that does.
    pub(super) fn effect(&self) -> &Effect<P> {
        &self.runs.effect
    }

    /// Whether the client may be asked for CopyData, in a Query.
    fn may_copy_in(&self) -> bool {
        matches!(self.effect(), Effect::CopyIn | Effect::Unread)
    }

    pub(super) fn prepared(&self) -> Option<Arc<StatementFacts<P>>> {
        match self.effect() {
            Effect::Prepare { statement, .. } => Some(Arc::new(StatementFacts {
                id: self.id,
                statement: Arc::clone(statement),
            })),
            _ => None,
        }
    }

    pub(super) fn declared(&self) -> Option<Arc<PortalFacts<P>>> {
        match self.effect() {
            Effect::Declare {
                statement,
                lifetime,
                ..
            } => Some(Arc::new(PortalFacts {
                id: self.id,
                statement: Arc::clone(statement),
                formats: Formats::Text,
                lifetime: *lifetime,
            })),
            _ => None,
        }
    }
}
