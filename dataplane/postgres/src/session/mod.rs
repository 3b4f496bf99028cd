//! What both sides of a session believe, as far as the server has confirmed it.
//!
//! The caller reports each request that it passes on and gets back, with each answer, the plan that
//! it had attached to the statement behind it. Nothing that a client only *sent* is believed: a
//! prepared statement exists from its ParseComplete on, a cursor from the CommandComplete of its
//! DECLARE; requests that the server skips after an error leave no trace.
//!
//! Clients send ahead, though: Bind follows Parse without waiting. Within a segment (from one Sync to
//! the next) that is sound to follow, for Bind runs only if Parse succeeded. Across segments, or
//! behind a Query, it is not: there a failed request leaves the older entry in force. Such a look-up
//! says [`Lookup::Wait`], and the caller takes no more from the client until answers have come. They
//! come unasked, since a Sync or Query is under way.
//!
//! A safe direction exists and is used where the server's state cannot be known: an entry that we
//! have lost makes a refusal; only an entry that stands for another statement would leak. Therefore
//! every creation overwrites, and names that the server would cut are refused ([`Name`]).
//!
//! Not seen from outside: PREPARE, DECLARE or OPEN of a cursor inside functions and DO blocks. Whoever
//! allows those calls [`Session::forget_names`].

mod client;
mod name;
mod names;
mod request;
mod server;
mod unread;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

pub use name::{ABSENT_PORTAL, Name, NameError, RESERVED_PREFIX};

use crate::frame::ServerTag;
use crate::message::{MessageError, TransactionStatus};
use crate::rows::Formats;
use client::runs;
use names::Names;

use request::{Entry, Request};
pub use unread::Pins;

/// A statement as it was judged: the caller's plan, and what running it does to the session.
#[derive(Debug)]
pub struct Statement<P> {
    /// The caller's plan.
    pub plan: P,
    /// What the session has to know of it.
    pub effect: Effect<P>,
}

/// What a statement does to the session once it has completed.
#[derive(Debug)]
pub enum Effect<P> {
    /// Nothing that concerns names or COPY.
    None,
    /// `PREPARE name AS statement`.
    Prepare {
        /// The statement's name.
        name: Name,
        /// What it stands for.
        statement: Arc<Statement<P>>,
    },
    /// `EXECUTE name`: runs what the name stands for then.
    Execute {
        /// The statement's name.
        name: Name,
    },
    /// `DEALLOCATE name`.
    Deallocate {
        /// The statement's name.
        name: Name,
    },
    /// `DEALLOCATE ALL`.
    DeallocateAll,
    /// `DECLARE name CURSOR FOR statement`.
    Declare {
        /// The cursor's name: a portal's.
        name: Name,
        /// `WITH HOLD`.
        lifetime: Lifetime,
        /// What it stands for.
        statement: Arc<Statement<P>>,
    },
    /// `FETCH` or `MOVE`: rows of what the cursor stands for then.
    Fetch {
        /// The cursor's name.
        name: Name,
    },
    /// `CLOSE name`.
    CloseCursor {
        /// The cursor's name.
        name: Name,
    },
    /// `CLOSE ALL`.
    CloseAllCursors,
    /// `DISCARD ALL`.
    DiscardAll,
    /// `COPY … FROM STDIN`.
    CopyIn,
    /// `COPY … TO STDOUT`.
    CopyOut,
    /// A FunctionCall. What the function does to names is not seen: none is believed behind it.
    Call,
    /// A text that nobody has read: any number of statements, with any answers. No name is believed
    /// behind it. Only where nothing of an answer needs to be known.
    Unread,
}

/// How long a portal lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// To the end of its transaction.
    Transaction,
    /// To the end of the session (`WITH HOLD`).
    Session,
}

/// A prepared statement under a name.
#[derive(Debug)]
pub struct StatementFacts<P> {
    id: u64,
    /// What it stands for.
    pub statement: Arc<Statement<P>>,
}

/// A portal.
#[derive(Debug)]
pub struct PortalFacts<P> {
    id: u64,
    /// What it runs.
    pub statement: Arc<Statement<P>>,
    /// The result formats that Bind asked for.
    pub formats: Formats,
    /// How long it lives.
    pub lifetime: Lifetime,
}

/// What a name will stand for when a request sent now runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// This.
    Found(T),
    /// Nothing that we know: the server will fail, or knows something that we do not. Refuse.
    Unknown,
    /// It depends on answers that have not come. Take nothing more from the client until they have.
    Wait,
}

/// Names a request of the session, in the order of sending, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The client's: it gets the answers.
    Client,
    /// Weir's own: the answers are swallowed.
    Weir,
}

/// Whether the caller may take a client's message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Judge it, report it here, send it.
    Proceed,
    /// Not yet: offer it again after the next answer.
    Wait,
    /// The server would ignore it here. Send nothing, report nothing.
    Drop,
}

/// Why a request was not taken. Nothing has changed; the caller refuses or waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// [`Lookup::Wait`].
    #[error("depends on answers that have not come")]
    NotYet,
    /// No such prepared statement is believed.
    #[error("unknown prepared statement")]
    UnknownStatement,
    /// No such portal is believed.
    #[error("unknown portal")]
    UnknownPortal,
    /// [`limits::STATEMENTS_MAX`](crate::limits::STATEMENTS_MAX).
    #[error("too many prepared statements")]
    TooManyStatements,
    /// [`limits::PORTALS_MAX`](crate::limits::PORTALS_MAX).
    #[error("too many portals")]
    TooManyPortals,
    /// A Query of Weir's own in the middle of a client's pipeline would end its transaction.
    #[error("not between two requests")]
    NotBetweenRequests,
}

/// What cannot be: a peer broke the protocol, or the server is not what it seems. The flow ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A server's message that no request asked for.
    #[error("unexpected {0:?} from the server")]
    Unexpected(ServerTag),
    /// An answer for a statement or portal other than the believed one.
    #[error("the server's state is not the believed one")]
    Disbelief,
    /// A message that does not parse.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The server changed a parameter that must stay.
    #[error("parameter {name} became {value:?}")]
    Pinned {
        /// The parameter.
        name: &'static str,
        /// Its new value.
        value: String,
    },
    /// A client's message in a COPY that allows none such, or out of place.
    #[error("unexpected message from the client")]
    Client,
    /// Something after the end.
    #[error("the session has ended")]
    Ended,
}

/// What to do with the server's frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// It is the client's; edits as the plan says.
    Forward,
    /// It answers Weir's own request.
    Swallow,
    /// These bytes go in its place: a refusal.
    Replace(Vec<u8>),
}

/// What was described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Described {
    /// A prepared statement: formats are not known yet and read 0.
    Statement,
    /// A portal: the layout can be attached to it.
    Portal,
    /// A statement of a Query, whose rows follow.
    Query,
}

/// How a request went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// DataRows.
    pub rows: u64,
    /// Bytes of DataRow and CopyData, headers included.
    pub bytes: u64,
}

/// What the server's frame means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'b> {
    /// ParseComplete.
    Parsed,
    /// BindComplete.
    Bound,
    /// CloseComplete.
    Closed,
    /// ParameterDescription.
    Parameters,
    /// RowDescription, or NoData where `has_columns` is false. Attach with [`Session::lay_out`].
    Columns {
        /// Of what.
        of: Described,
        /// False for NoData.
        has_columns: bool,
    },
    /// A DataRow.
    Row,
    /// CopyOutResponse.
    CopyOut,
    /// CopyInResponse.
    CopyIn,
    /// CopyData from the server.
    CopyData,
    /// CopyDone from the server.
    CopyDone,
    /// A statement has run to its end; CommandComplete.
    Completed {
        /// The command tag.
        tag: &'b str,
        /// Rows and bytes since the request.
        tally: Tally,
    },
    /// EmptyQueryResponse.
    Empty,
    /// PortalSuspended: Execute's row limit was reached.
    Suspended {
        /// Rows and bytes since the request.
        tally: Tally,
    },
    /// ErrorResponse. The request failed, and the server skips those in `skipped`.
    Failed {
        /// SQLSTATE.
        code: &'b str,
        /// FATAL or PANIC: the server closes the connection.
        fatal: bool,
        /// Rows and bytes before it.
        tally: Tally,
        /// Requests that will never be answered.
        skipped: Range<Ticket>,
    },
    /// A refusal took its place among the answers ([`Disposal::Replace`]).
    Refused {
        /// Requests that will never be answered.
        skipped: Range<Ticket>,
    },
    /// ReadyForQuery.
    Ready(TransactionStatus),
    /// NoticeResponse.
    Notice,
    /// ParameterStatus.
    Parameter {
        /// The parameter.
        name: &'b str,
        /// Its value.
        value: &'b str,
    },
    /// NotificationResponse.
    Notification,
    /// BackendKeyData.
    CancelKey,
}

/// A server's frame, understood. Borrows the session (`'s`) and the frame's body (`'b`).
#[derive(Debug)]
pub struct Event<'s, 'b, P, L> {
    /// What to do with the frame.
    pub disposal: Disposal,
    /// What it means.
    pub what: What<'b>,
    /// The request that it belongs to. For asynchronous messages the one that runs, if any.
    pub ticket: Option<Ticket>,
    /// Whose request that is.
    pub origin: Origin,
    /// Which statement of a Query, from 0.
    pub step: usize,
    /// The statement that runs (behind EXECUTE and FETCH), or that was described.
    pub statement: Option<&'s Arc<Statement<P>>>,
    /// The layout attached for its rows.
    pub layout: Option<&'s L>,
}

/// The request whose answer comes next.
#[derive(Debug)]
pub struct Head<'s, P, L> {
    /// Its ticket.
    pub ticket: Ticket,
    /// Whose it is.
    pub origin: Origin,
    /// The statement that runs, if it runs one.
    pub statement: Option<&'s Arc<Statement<P>>>,
    /// The layout attached for its rows.
    pub layout: Option<&'s L>,
}

/// One session after authentication. `P` is the caller's plan of a statement, `L` its layout of a
/// result. See the module's text.
#[derive(Debug)]
pub struct Session<P, L> {
    statements: Names<Arc<StatementFacts<P>>, ()>,
    portals: Names<Arc<PortalFacts<P>>, L>,
    queue: VecDeque<Entry<P, L>>,
    /// The request answered last, kept for the event that borrows it.
    last: Option<Entry<P, L>>,
    status: TransactionStatus,
    next_ticket: u64,
    next_id: u64,
    /// Counts the client's Syncs.
    segment: u64,
    /// Whether requests were sent since the last Sync or Query.
    segment_open: bool,
    /// Whether one of them did more than prepare and describe statements.
    segment_acts: bool,
    /// Whether one of them ran something.
    segment_runs: bool,
    /// The server skips to the next Sync, which the client has not sent yet.
    skipping: bool,
    /// FATAL came.
    ended: bool,
    /// Terminate went.
    terminated: bool,
    pins: Pins,
    /// A pinned parameter has, or has had, another value.
    slipped: bool,
}

impl<P, L> Default for Session<P, L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P, L> Session<P, L> {
    /// A session whose server has sent AuthenticationOk: ParameterStatus, BackendKeyData and
    /// ReadyForQuery follow.
    #[must_use]
    pub fn new() -> Self {
        let startup = Entry {
            ticket: Ticket(0),
            origin: Origin::Client,
            request: Request::Startup,
            rows: 0,
            bytes: 0,
        };
        Self {
            statements: Names::new(),
            portals: Names::new(),
            queue: VecDeque::from([startup]),
            last: None,
            status: TransactionStatus::Idle,
            next_ticket: 1,
            next_id: 0,
            segment: 0,
            segment_open: false,
            segment_acts: false,
            segment_runs: false,
            skipping: false,
            ended: false,
            terminated: false,
            pins: Pins::Held,
            slipped: false,
        }
    }

    /// The transaction status of the last ReadyForQuery.
    #[must_use]
    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    /// Whether every request is answered and none is being skipped: what is sent now runs next.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty() && !self.skipping && !self.segment_open
    }

    /// Whether settings are what the server has told of them, for whatever is sent now: nothing has
    /// run since its last ReadyForQuery, with which it tells (§55.2.7), nor is about to.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.segment_runs && self.queue.iter().all(|entry| !runs(&entry.request))
    }

    /// Whether the client has sent requests since its last Sync or Query.
    #[must_use]
    pub fn is_segment_open(&self) -> bool {
        self.segment_open
    }

    /// Whether the answer to [`Session::sync_preparation`] has not come yet.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        matches!(
            self.queue.back(),
            Some(Entry {
                origin: Origin::Weir,
                request: Request::Sync { .. },
                ..
            })
        )
    }

    /// Whether the server skips what the client sends, to its next Sync.
    #[must_use]
    pub fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Whether the server has ended the session with FATAL.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Requests without their whole answer.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.queue.len()
    }

    /// What a prepared statement's name will stand for, in a message sent now.
    #[must_use]
    pub fn statement(&self, name: &str) -> Lookup<&Arc<Statement<P>>> {
        match self.statements.find(name, self.segment) {
            Lookup::Found(facts) => Lookup::Found(&facts.statement),
            Lookup::Unknown => Lookup::Unknown,
            Lookup::Wait => Lookup::Wait,
        }
    }

    /// What a portal's name will stand for, in a message sent now.
    #[must_use]
    pub fn portal(&self, name: &str) -> Lookup<&Arc<PortalFacts<P>>> {
        self.portals.find(name, self.segment)
    }

    /// Whose rows come next, so that the caller can choose between streaming and whole frames.
    #[must_use]
    pub fn head(&self) -> Option<Head<'_, P, L>> {
        let entry = self.queue.front()?;
        let (statement, layout) = self.subject(entry, None);
        Some(Head {
            ticket: entry.ticket,
            origin: entry.origin,
            statement,
            layout,
        })
    }

    /// Attaches the caller's layout to what the last RowDescription described, or the last
    /// CopyOutResponse began: the statement of a Query, or a portal, for as long as it exists.
    /// Returns it where there is nothing to attach to.
    ///
    /// # Errors
    /// The layout itself.
    pub fn lay_out(&mut self, layout: L) -> Result<(), L> {
        let slot = match &self.last {
            Some(Entry {
                request: Request::DescribePortal { name, id, .. },
                ..
            }) => slot_of(&mut self.portals, name, *id),
            Some(_) | None => layout_of(&mut self.portals, self.queue.front_mut()),
        };
        match slot {
            Some(slot) => {
                *slot = Some(layout);
                Ok(())
            }
            None => Err(layout),
        }
    }

    /// The layout of the rows that come next, to keep where in them the caller stands.
    pub fn layout_mut(&mut self) -> Option<&mut L> {
        layout_of(&mut self.portals, self.queue.front_mut())?.as_mut()
    }

    /// Believes no name any more: something ran that can make names unseen. Names that are being
    /// made by requests under way are believed when they are confirmed.
    pub fn forget_names(&mut self) {
        self.statements.retain(|_| false);
        self.portals.retain(|_| false);
    }

    fn subject<'s>(
        &'s self,
        entry: &'s Entry<P, L>,
        step: Option<usize>,
    ) -> (Option<&'s Arc<Statement<P>>>, Option<&'s L>) {
        match &entry.request {
            Request::Parse { facts, .. } => (Some(&facts.statement), None),
            Request::Bind { facts, .. } => (Some(&facts.statement), None),
            Request::DescribeStatement { runs, .. } => (Some(runs), None),
            Request::DescribePortal { name, id, runs } => {
                let slot = self
                    .portals
                    .confirmed(name.as_str())
                    .filter(|slot| slot.value.id == *id);
                (Some(runs), slot.and_then(|slot| slot.layout.as_ref()))
            }
            Request::Execute {
                portal,
                portal_id,
                run,
                ..
            } => {
                let slot = self
                    .portals
                    .confirmed(portal.as_str())
                    .filter(|slot| slot.value.id == *portal_id);
                (Some(&run.runs), slot.and_then(|slot| slot.layout.as_ref()))
            }
            Request::Query(query) => {
                let run = query.runs.get(step.unwrap_or(query.step));
                (run.map(|run| &run.runs), query.layout.as_ref())
            }
            Request::Startup
            | Request::CloseStatement { .. }
            | Request::ClosePortal { .. }
            | Request::Sync { .. }
            | Request::Refusal { .. } => (None, None),
        }
    }
}

/// Where the layout of a request's rows is kept.
fn layout_of<'s, P, L>(
    portals: &'s mut Names<Arc<PortalFacts<P>>, L>,
    entry: Option<&'s mut Entry<P, L>>,
) -> Option<&'s mut Option<L>> {
    match &mut entry?.request {
        Request::Query(query) => Some(&mut query.layout),
        Request::Execute {
            portal, portal_id, ..
        } => slot_of(portals, portal, *portal_id),
        Request::Startup
        | Request::Parse { .. }
        | Request::Bind { .. }
        | Request::DescribeStatement { .. }
        | Request::DescribePortal { .. }
        | Request::CloseStatement { .. }
        | Request::ClosePortal { .. }
        | Request::Sync { .. }
        | Request::Refusal { .. } => None,
    }
}

fn slot_of<'s, P, L>(
    portals: &'s mut Names<Arc<PortalFacts<P>>, L>,
    name: &Name,
    id: u64,
) -> Option<&'s mut Option<L>> {
    let slot = portals.confirmed_mut(name.as_str())?;
    (slot.value.id == id).then_some(&mut slot.layout)
}

#[cfg(test)]
mod tests;
