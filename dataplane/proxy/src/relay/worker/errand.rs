//! Weir's own CancelRequests to servers: connect, send, close. Nobody waits for them; clients'
//! ones go by the connections that their flows have.

use std::io;

use bytes::Bytes;
use weir_flow::ServerCancel;

use super::super::limits::ERRANDS_MAX;
use super::super::links::{LinkKey, Owner, Role};
use super::super::outgoing::Segment;
use super::Engine;

/// One on its way.
pub(super) struct Errand {
    request: Bytes,
    link: LinkKey,
}

impl Engine {
    pub(super) fn send_errand(&mut self, cancel: ServerCancel) -> io::Result<()> {
        let ServerCancel { target, request } = cancel;
        if self.errands.len() >= ERRANDS_MAX || self.is_own(target) {
            self.counters.cancels_dropped.add(1);
            return Ok(());
        }
        self.next_flow += 1;
        let entry = self.errands.vacant_entry();
        let owner = Owner {
            role: Role::Errand,
            slot: entry.key() as u32,
            serial: self.next_flow,
        };
        match self.links.connect(target, owner) {
            Ok(link) => {
                entry.insert(Errand { request, link });
            }
            Err(_) => self.counters.cancels_dropped.add(1),
        }
        Ok(())
    }

    /// Connected: the rest is the link's own closing, which ends with the server's FIN or a reset.
    pub(super) fn run_errand(&mut self, owner: Owner) -> io::Result<()> {
        let Some(errand) = self.errands.try_remove(owner.slot as usize) else {
            return Ok(());
        };
        self.counters.cancels_sent.add(1);
        self.links.send(errand.link, Segment::Owned(errand.request));
        self.links.close(errand.link, self.desk.now.mono_ns)
    }

    pub(super) fn end_errand(&mut self, owner: Owner) {
        if self.errands.try_remove(owner.slot as usize).is_some() {
            self.counters.cancels_dropped.add(1);
        }
    }
}
