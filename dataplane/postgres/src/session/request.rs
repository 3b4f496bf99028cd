use std::sync::Arc;

use super::{Effect, Name, Origin, PortalFacts, Statement, StatementFacts, Ticket};

/// One statement that runs: as written, and what it stands for.
#[derive(Debug)]
pub(super) struct Run<P> {
    /// Its own effect on the session.
    pub(super) written: Arc<Statement<P>>,
    /// The statement behind EXECUTE or FETCH; else itself.
    pub(super) runs: Arc<Statement<P>>,
    /// Identity of what its effect makes.
    pub(super) id: u64,
}

/// Where the answer to one statement stands.
///
/// ```text
///                        ┌─ DataRow ─┐
///   Start ─ RowDescription (Query) ─▶ Rows ─── CommandComplete | PortalSuspended ──▶ next
///     ├──── CopyOutResponse ─▶ CopyOut ─ CopyDone ─▶ CopyOver ─ CommandComplete ───▶ next
///     └──── CopyInResponse ──▶ CopyIn ── client's CopyDone, CopyFail ─▶ CopyOver ──▶ next
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Start,
    Rows,
    CopyOut,
    CopyIn,
    CopyOver,
}

/// What was sent and not yet wholly answered.
#[derive(Debug)]
pub(super) enum Request<P, L> {
    Startup,
    Parse {
        name: Name,
        facts: Arc<StatementFacts<P>>,
    },
    Bind {
        portal: Name,
        facts: Arc<PortalFacts<P>>,
        statement: Name,
        statement_id: u64,
    },
    DescribeStatement {
        name: Name,
        id: u64,
        runs: Arc<Statement<P>>,
        has_parameters: bool,
    },
    DescribePortal {
        name: Name,
        id: u64,
        runs: Arc<Statement<P>>,
    },
    CloseStatement {
        name: Name,
    },
    ClosePortal {
        name: Name,
    },
    Execute {
        portal: Name,
        portal_id: u64,
        run: Run<P>,
        phase: Phase,
    },
    Sync {
        failed: bool,
    },
    Query(Query<P, L>),
    /// A message that makes the server fail where the client is refused.
    Refusal {
        answer: Vec<u8>,
        kind: RefusalKind,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalKind {
    /// Describe of a portal that is not there.
    Extended,
    /// Query that is no SQL.
    Query,
    /// Such a Query that has failed: ReadyForQuery is left.
    QueryFailed,
}

#[derive(Debug)]
pub(super) struct Query<P, L> {
    pub(super) runs: Vec<Run<P>>,
    pub(super) step: usize,
    pub(super) phase: Phase,
    pub(super) layout: Option<L>,
    pub(super) copies_in: bool,
    pub(super) ended: Ended,
}

/// Whether a Query awaits only ReadyForQuery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    No,
    Empty,
    Failed,
}

impl<P, L> Query<P, L> {
    /// Whether the statement at hand stands for any number of them.
    pub(super) fn is_unread(&self) -> bool {
        self.run()
            .is_some_and(|run| matches!(run.effect(), Effect::Unread))
    }

    pub(super) fn run(&self) -> Option<&Run<P>> {
        if self.ended == Ended::No {
            self.runs.get(self.step)
        } else {
            None
        }
    }
}

#[derive(Debug)]
pub(super) struct Entry<P, L> {
    pub(super) ticket: Ticket,
    pub(super) origin: Origin,
    pub(super) request: Request<P, L>,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}
