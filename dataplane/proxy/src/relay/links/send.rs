//! Output: one send at a time per link, submitted inline without a completion when there is
//! room, and waiting in the kernel when there is none.
#![expect(
    unsafe_code,
    reason = "pushes submission entries that point into the queue"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use bytes::Bytes;
use io_uring::types::Fd;
use io_uring::{opcode, squeue};

use super::super::limits::{
    HEAP_SHORT_BYTES, QUEUE_HIGH_BYTES, QUEUE_HIGH_SHORT_BYTES, QUEUE_LOW_BYTES,
};
use super::super::outgoing::{Batch, Segment};
use super::super::sys;
use super::super::token::Token;
use super::{End, Fin, LinkEvent, LinkKey, Links, Phase, Receive, Sending};

/// Spare gather arrays that are kept: one per send of a busy turn.
const SPARE_GATHERS_MAX: usize = 64;

impl Links {
    /// Queues bytes. They are dropped if the link is broken or closing.
    pub(crate) fn send(&mut self, key: LinkKey, segment: Segment) {
        let is_short = self.pool.is_short();
        let Some(link) = self.link_mut(key) else {
            return;
        };
        let takes = matches!(link.phase, Phase::Connecting | Phase::Open)
            && !link.is_broken
            && link.fin == Fin::Open;
        if !takes {
            return;
        }
        // A link that waits for its reader must not keep buffers from everybody else's.
        let segment = match segment {
            Segment::Span(span) if link.sending == Sending::Waiting && is_short => {
                Segment::Owned(Bytes::copy_from_slice(span.as_slice()))
            }
            segment => segment,
        };
        let before = link.outgoing.heap_len();
        link.outgoing.push(segment);
        let added = link.outgoing.heap_len() - before;
        self.heap_bytes += added;
        self.mark(key.slot);
    }

    /// Sends FIN after what is queued.
    pub(crate) fn finish(&mut self, key: LinkKey) {
        let Some(link) = self.link_mut(key) else {
            return;
        };
        if link.fin == Fin::Open {
            link.fin = Fin::Queued;
            self.mark(key.slot);
        }
    }

    /// Bytes queued or in flight.
    pub(crate) fn queued(&self, key: LinkKey) -> usize {
        self.link(key).map_or(0, |link| link.outgoing.len())
    }

    /// Whether the other side should not be read until this link's queue is shorter.
    pub(crate) fn is_full(&self, key: LinkKey) -> bool {
        let high = if self.heap_bytes > HEAP_SHORT_BYTES {
            QUEUE_HIGH_SHORT_BYTES
        } else {
            QUEUE_HIGH_BYTES
        };
        self.queued(key) > high
    }

    /// Asks for [`LinkEvent::Relieved`] once the queue is at the low mark.
    pub(crate) fn want_relief(&mut self, key: LinkKey) {
        if let Some(link) = self.link_mut(key) {
            link.wants_relief = true;
            self.mark(key.slot);
        }
    }

    /// Looks at this link before the next enter.
    pub(super) fn mark(&mut self, slot: u32) {
        if let Some(link) = self.links.get_mut(slot as usize)
            && !link.is_dirty
        {
            link.is_dirty = true;
            self.dirty.push(slot);
        }
    }

    /// Starts a send, or ends the output, of every link that changed.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut dirty = std::mem::take(&mut self.dirty);
        for slot in dirty.drain(..) {
            self.advance(slot)?;
        }
        if self.dirty.is_empty() {
            self.dirty = dirty;
        }
        Ok(())
    }

    fn advance(&mut self, slot: u32) -> io::Result<()> {
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        link.is_dirty = false;
        if link.wants_relief && link.outgoing.len() <= QUEUE_LOW_BYTES {
            link.wants_relief = false;
            self.events.push(LinkEvent::Relieved { owner: link.owner });
        }
        let is_idle = link.sending == Sending::Idle;
        match link.phase {
            Phase::Connecting | Phase::Dead => return Ok(()),
            Phase::Open | Phase::Closing | Phase::Lingering if !is_idle => return Ok(()),
            Phase::Open | Phase::Closing | Phase::Lingering => {}
        }
        if !link.outgoing.is_empty() {
            return self.submit_send(slot);
        }
        if link.fin == Fin::Queued {
            link.fin = Fin::Sent;
            sys::shutdown_write(link.fd.as_fd());
        }
        self.linger(slot)
    }

    fn submit_send(&mut self, slot: u32) -> io::Result<()> {
        let is_short = self.pool.is_short();
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        let before = link.outgoing.heap_len();
        if link.is_blocked && is_short {
            link.outgoing.copy_out();
        }
        self.heap_bytes += link.outgoing.heap_len() - before;
        // WAITALL makes a short inline send complete with its count instead of silently.
        let flags = if link.is_blocked {
            libc::MSG_NOSIGNAL
        } else {
            libc::MSG_NOSIGNAL | libc::MSG_WAITALL | libc::MSG_DONTWAIT
        };
        let fd = Fd(link.fd.as_raw_fd());
        let Some(batch) = link.outgoing.next_batch(self.spare_gathers.pop()) else {
            return Ok(());
        };
        let entry = match &batch {
            Batch::One(start, bytes) => opcode::Send::new(fd, *start, *bytes).flags(flags).build(),
            Batch::Many(gather) => opcode::SendMsg::new(fd, gather.header())
                .flags(flags as u32)
                .build(),
        };
        let entry = entry.user_data(Token::Send(slot).pack());
        link.operations += 1;
        let entry = if link.is_blocked {
            link.sending = Sending::Waiting;
            entry
        } else {
            link.sending = Sending::Inline;
            self.unsettled.push(slot);
            entry.flags(squeue::Flags::SKIP_SUCCESS)
        };
        // SAFETY: the bytes stay in the queue, unmoved, until the send is known to have ended. The
        // vector must last until submission only (IORING_FEAT_SUBMIT_STABLE, checked at set-up):
        // it goes to `submitted_gathers` below, which outlives the next enter.
        unsafe { self.ring.push(entry)? };
        if let Batch::Many(gather) = batch {
            self.submitted_gathers.push(gather);
        }
        Ok(())
    }

    pub(super) fn on_send(&mut self, slot: u32, result: i32) -> io::Result<()> {
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        if link.sending == Sending::Idle {
            return Ok(());
        }
        let is_short = link.sending == Sending::Inline
            && result >= 0
            && (result as usize) < link.outgoing.in_flight();
        match result {
            0.. => link.is_blocked = is_short,
            _ if matches!(-result, libc::EAGAIN | libc::EINTR) => link.is_blocked = true,
            _ => link.is_broken = true,
        }
        self.sent(slot, usize::try_from(result).unwrap_or(0))
    }

    /// Takes silence for success, where nothing could have been withheld.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if !self.ring.is_settled() {
            return Ok(());
        }
        self.recycle_gathers();
        let mut unsettled = std::mem::take(&mut self.unsettled);
        for slot in unsettled.drain(..) {
            if let Some(link) = self.links.get(slot as usize)
                && link.sending == Sending::Inline
            {
                let bytes = link.outgoing.in_flight();
                self.sent(slot, bytes)?;
            }
        }
        self.unsettled = unsettled;
        Ok(())
    }

    fn recycle_gathers(&mut self) {
        self.spare_gathers.append(&mut self.submitted_gathers);
        self.spare_gathers.truncate(SPARE_GATHERS_MAX);
    }

    fn sent(&mut self, slot: u32, bytes: usize) -> io::Result<()> {
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        link.operations -= 1;
        link.sending = Sending::Idle;
        let before = link.outgoing.heap_len();
        link.outgoing.sent(bytes);
        self.heap_bytes -= before - link.outgoing.heap_len();
        self.counters.sent_bytes.add(bytes as u64);
        if link.phase == Phase::Dead {
            self.reap(slot);
            return Ok(());
        }
        if link.is_broken {
            return self.break_off(slot);
        }
        let has_work = !link.outgoing.is_empty() || link.fin == Fin::Queued || link.wants_relief;
        if has_work || link.phase == Phase::Closing {
            self.mark(slot);
        }
        Ok(())
    }

    /// A send failed. The owner learns it from the input's end, which follows what the peer
    /// still sent; so the input is read even if it was paused.
    fn break_off(&mut self, slot: u32) -> io::Result<()> {
        self.drop_queue(slot);
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        match link.phase {
            Phase::Closing | Phase::Lingering => self.die(slot),
            Phase::Connecting | Phase::Open | Phase::Dead => {
                link.is_wanted = true;
                if link.receive != Receive::Over {
                    return self.arm(slot);
                }
                self.events.push(LinkEvent::Ended {
                    owner: link.owner,
                    end: End::Broken,
                });
                Ok(())
            }
        }
    }

    /// Forgets what is queued and not in flight.
    pub(super) fn drop_queue(&mut self, slot: u32) {
        if let Some(link) = self.links.get_mut(slot as usize) {
            let before = link.outgoing.heap_len();
            link.outgoing.discard();
            self.heap_bytes -= before - link.outgoing.heap_len();
        }
        self.mark(slot);
    }
}
