//! Weir's own CancelRequests and messages to servers: connect, send, close. Nobody waits for them;
//! clients' ones go by the connections that their flows have.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;

use super::super::limits::ERRANDS_MAX;
use super::super::links::{LinkKey, Owner, Role};
use super::super::outgoing::Segment;
use super::Engine;

/// One on its way.
pub(super) struct Errand {
    request: Bytes,
    link: LinkKey,
    farewell: Farewell,
}

/// When Weir's end of the connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// With the last byte of the request.
    AtOnce,
    /// With the server's: some take an early end for one who has left, and do nothing.
    AfterAnswer,
}

impl Engine {
    pub(super) fn send_errand(
        &mut self,
        target: SocketAddr,
        request: Bytes,
        farewell: Farewell,
    ) -> io::Result<()> {
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
                entry.insert(Errand {
                    request,
                    link,
                    farewell,
                });
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
        let now_ns = self.desk.now.mono_ns;
        match errand.farewell {
            Farewell::AtOnce => self.links.close(errand.link, now_ns),
            Farewell::AfterAnswer => self.links.close_after(errand.link, now_ns),
        }
    }

    pub(super) fn end_errand(&mut self, owner: Owner) {
        if self.errands.try_remove(owner.slot as usize).is_some() {
            self.counters.cancels_dropped.add(1);
        }
    }
}
