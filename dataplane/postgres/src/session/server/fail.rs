//! ErrorResponse: what failed, and what the server skips after it.

use std::ops::Range;

use super::super::request::{Ended, Entry, RefusalKind, Request};
use super::super::{Disposal, Event, Origin, Session, Tally, Ticket, Violation, What};
use super::{Fate, Reading};
use crate::frame::ServerTag;
use crate::message;

impl<P, L> Session<P, L> {
    pub(super) fn on_error<'s, 'b>(
        &'s mut self,
        body: &'b [u8],
    ) -> Result<Event<'s, 'b, P, L>, Violation> {
        let unexpected = Violation::Unexpected(ServerTag::ErrorResponse);
        let fields = message::Notice::parse(body)?;
        let code = fields.code().unwrap_or_default();
        let fatal = fields.is_fatal();
        if self.ended && !fatal {
            return Err(Violation::Ended);
        }
        let tally = self
            .queue
            .front()
            .map_or(Tally { rows: 0, bytes: 0 }, Entry::tally);
        let nothing = Ticket(self.next_ticket)..Ticket(self.next_ticket);
        if fatal {
            self.ended = true;
            let first = self
                .queue
                .front()
                .map_or(self.next_ticket, |entry| entry.ticket.0 + 1);
            let skipped = Ticket(first)..Ticket(self.next_ticket);
            let step = self.queue.front().map_or(0, Entry::step);
            let what = What::Failed {
                code,
                fatal,
                tally,
                skipped,
            };
            let mut event = self.event(Reading {
                what,
                fate: Fate::Stays,
                replace: None,
                step,
            });
            event.disposal = Disposal::Forward;
            return Ok(event);
        }
        let Some(entry) = self.queue.front_mut() else {
            return Err(unexpected);
        };
        let step = entry.step();
        let failed = |skipped| What::Failed {
            code,
            fatal,
            tally,
            skipped,
        };
        let is_unread = entry.is_unread();
        let (what, fate, replace) = match &mut entry.request {
            Request::Startup => return Err(unexpected),
            Request::Sync { failed: true }
            | Request::Refusal {
                kind: RefusalKind::QueryFailed,
                ..
            } => {
                return Err(unexpected);
            }
            Request::Sync { failed: once } => {
                *once = true;
                // To the client it is what came of its next message.
                self.skipping |= entry.origin == Origin::Weir;
                (failed(nothing), Fate::Stays, None)
            }
            Request::Query(query) if query.ended == Ended::Failed => return Err(unexpected),
            Request::Query(query) => {
                query.ended = Ended::Failed;
                self.drop_unnamed();
                (failed(nothing), Fate::Stays, None)
            }
            Request::Refusal {
                kind: kind @ RefusalKind::Query,
                answer,
            } => {
                *kind = RefusalKind::QueryFailed;
                let answer = std::mem::take(answer);
                self.drop_unnamed();
                (
                    What::Refused { skipped: nothing },
                    Fate::Stays,
                    Some(answer),
                )
            }
            Request::Refusal {
                kind: RefusalKind::Extended,
                answer,
            } => {
                let answer = std::mem::take(answer);
                (
                    What::Refused {
                        skipped: self.skip_to_sync(),
                    },
                    Fate::Done,
                    Some(answer),
                )
            }
            Request::Parse { name, .. } => {
                // The server has dropped the old unnamed statement before it read the new one.
                if name.is_unnamed() {
                    self.statements.remove("");
                }
                (failed(self.skip_to_sync()), Fate::Done, None)
            }
            Request::Bind { portal, .. } => {
                if portal.is_unnamed() {
                    self.portals.remove("");
                }
                (failed(self.skip_to_sync()), Fate::Done, None)
            }
            Request::DescribeStatement { .. }
            | Request::DescribePortal { .. }
            | Request::CloseStatement { .. }
            | Request::ClosePortal { .. }
            | Request::Execute { .. } => (failed(self.skip_to_sync()), Fate::Done, None),
        };
        if is_unread {
            // What ran before the error may have made names, and PREPARE is not undone.
            self.statements.remove_named();
            self.portals.remove_named();
        }
        Ok(self.event(Reading {
            what,
            fate,
            replace,
            step,
        }))
    }

    /// The head has failed: the server skips what follows it to the next Sync.
    pub(super) fn skip_to_sync(&mut self) -> Range<Ticket> {
        let first = self
            .queue
            .front()
            .map_or(self.next_ticket, |entry| entry.ticket.0 + 1);
        let mut until = self.next_ticket;
        let mut found = false;
        let mut skipped = 0;
        for entry in self.queue.iter().skip(1) {
            if matches!(entry.request, Request::Sync { .. }) {
                until = entry.ticket.0;
                // The client has yet to send its own, whatever Weir's has ended.
                found = entry.origin == Origin::Client;
                break;
            }
            skipped += 1;
        }
        for _ in 0..skipped {
            if let Some(entry) = self.queue.remove(1) {
                self.settle(&entry);
            }
        }
        if !found {
            self.skipping = true;
        }
        Ticket(first)..Ticket(until)
    }

    /// A Query has begun to run: the unnamed statement and portal are gone.
    pub(super) fn drop_unnamed(&mut self) {
        self.statements.remove("");
        self.portals.remove("");
    }
}
