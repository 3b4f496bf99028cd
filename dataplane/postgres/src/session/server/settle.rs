//! What a request leaves behind once it is answered or skipped.

use std::sync::Arc;

use super::super::request::{Entry, Request, Run};
use super::super::{Effect, PortalFacts, Session, Statement, StatementFacts, Ticket};

impl<P, L> Session<P, L> {
    pub(super) fn settle_last(&mut self) {
        if let Some(entry) = self.last.take() {
            self.settle(&entry);
            self.last = Some(entry);
        }
    }

    /// Takes back what a request had announced: it is confirmed, or will never be.
    pub(super) fn settle(&mut self, entry: &Entry<P, L>) {
        let ticket = entry.ticket;
        match &entry.request {
            Request::Parse { name, .. } | Request::CloseStatement { name } => {
                self.statements.settle(name.as_str(), ticket);
            }
            Request::Bind { portal: name, .. } | Request::ClosePortal { name } => {
                self.portals.settle(name.as_str(), ticket);
            }
            Request::Execute { run, .. } => self.settle_run(run, ticket),
            Request::Query(query) => {
                self.statements.settle("", ticket);
                self.portals.settle("", ticket);
                query
                    .runs
                    .iter()
                    .for_each(|run| self.settle_run(run, ticket));
            }
            Request::Refusal { .. } => {
                self.statements.settle("", ticket);
                self.portals.settle("", ticket);
            }
            Request::Startup
            | Request::DescribeStatement { .. }
            | Request::DescribePortal { .. }
            | Request::Sync { .. } => {}
        }
    }

    pub(super) fn settle_run(&mut self, run: &Run<P>, ticket: Ticket) {
        match run.effect() {
            Effect::Prepare { name, .. } | Effect::Deallocate { name } => {
                self.statements.settle(name.as_str(), ticket)
            }
            Effect::Declare { name, .. } | Effect::CloseCursor { name } => {
                self.portals.settle(name.as_str(), ticket)
            }
            Effect::DeallocateAll => self.statements.settle_all(ticket),
            Effect::CloseAllCursors => self.portals.settle_all(ticket),
            Effect::DiscardAll | Effect::Call | Effect::Unread => {
                self.statements.settle_all(ticket);
                self.portals.settle_all(ticket);
            }
            Effect::None
            | Effect::Execute { .. }
            | Effect::Fetch { .. }
            | Effect::CopyIn
            | Effect::CopyOut => {}
        }
    }

    pub(super) fn apply(&mut self, made: Option<Made<P>>) {
        let Some(Made {
            runs,
            prepared,
            declared,
        }) = made
        else {
            return;
        };
        match &runs.effect {
            Effect::Prepare { name, .. } => {
                if let Some(facts) = prepared {
                    self.statements.confirm(name, facts);
                }
            }
            Effect::Declare { name, .. } => {
                if let Some(facts) = declared {
                    self.portals.confirm(name, facts);
                }
            }
            Effect::Deallocate { name } => self.statements.remove(name.as_str()),
            Effect::DeallocateAll => self.statements.remove_named(),
            Effect::CloseCursor { name } => self.portals.remove(name.as_str()),
            Effect::CloseAllCursors => self.portals.remove_named(),
            Effect::DiscardAll | Effect::Call | Effect::Unread => {
                self.statements.remove_named();
                self.portals.remove_named();
            }
            Effect::None
            | Effect::Execute { .. }
            | Effect::Fetch { .. }
            | Effect::CopyIn
            | Effect::CopyOut => {}
        }
    }
}

/// What a completed statement makes, taken out of the queue before it is applied.
pub(super) struct Made<P> {
    runs: Arc<Statement<P>>,
    prepared: Option<Arc<StatementFacts<P>>>,
    declared: Option<Arc<PortalFacts<P>>>,
}

impl<P> Made<P> {
    pub(super) fn of(run: &Run<P>) -> Option<Self> {
        if matches!(
            run.effect(),
            Effect::None | Effect::CopyIn | Effect::CopyOut
        ) {
            return None;
        }
        Some(Self {
            runs: Arc::clone(&run.runs),
            prepared: run.prepared(),
            declared: run.declared(),
        })
    }
}
