//! What answers is what was judged: believed state is compared before anything of it goes on.

use std::sync::Arc;

use super::super::request::{Entry, Phase, Request, Run};
use super::super::{Effect, Session, Violation};
use crate::limits;

impl<P, L> Session<P, L> {
    /// The portal that is about to answer is the one that was judged, and so is what it leads to.
    pub(super) fn check_execute(&self) -> Result<(), Violation> {
        let Some(Entry {
            request:
                Request::Execute {
                    portal,
                    portal_id,
                    run,
                    ..
                },
            ..
        }) = self.queue.front()
        else {
            return Ok(());
        };
        let believed = self.portals.confirmed(portal.as_str());
        if believed.is_none_or(|slot| slot.value.id != *portal_id) {
            return Err(Violation::Disbelief);
        }
        self.check_run(run)
    }

    pub(super) fn check_query(&self) -> Result<(), Violation> {
        match self.queue.front() {
            Some(Entry {
                request: Request::Query(query),
                ..
            }) if query.phase == Phase::Start => {
                query.run().map_or(Ok(()), |run| self.check_run(run))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn check_described(&self) -> Result<(), Violation> {
        let believed = match self.queue.front().map(|entry| &entry.request) {
            Some(Request::DescribeStatement { name, id, .. }) => self
                .statements
                .confirmed(name.as_str())
                .is_some_and(|slot| slot.value.id == *id),
            Some(Request::DescribePortal { name, id, .. }) => self
                .portals
                .confirmed(name.as_str())
                .is_some_and(|slot| slot.value.id == *id),
            Some(_) | None => false,
        };
        if believed {
            Ok(())
        } else {
            Err(Violation::Disbelief)
        }
    }

    /// Follows EXECUTE and FETCH again, through what is confirmed by now.
    pub(super) fn check_run(&self, run: &Run<P>) -> Result<(), Violation> {
        let mut found = &run.written;
        for _ in 0..limits::INDIRECTION_MAX {
            if Arc::ptr_eq(found, &run.runs) {
                return Ok(());
            }
            let next = match &found.effect {
                Effect::Execute { name } => self
                    .statements
                    .confirmed(name.as_str())
                    .map(|slot| &slot.value.statement),
                Effect::Fetch { name } => self
                    .portals
                    .confirmed(name.as_str())
                    .map(|slot| &slot.value.statement),
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
                | Effect::Unread => None,
            };
            found = next.ok_or(Violation::Disbelief)?;
        }
        Err(Violation::Disbelief)
    }
}
