//! Input: a multishot receive per link, into whichever provided buffer is next.
#![expect(unsafe_code, reason = "pushes submission entries")]

use std::io;
use std::os::fd::AsRawFd;

use io_uring::opcode;
use io_uring::types::Fd;

use super::super::ring::Completion;
use super::super::token::Token;
use super::{End, LinkEvent, LinkKey, Links, Phase, Receive};

impl Links {
    /// Reads the link, until [`Links::pause`].
    pub(crate) fn resume(&mut self, key: LinkKey) -> io::Result<()> {
        let Some(link) = self.link_mut(key) else {
            return Ok(());
        };
        link.is_wanted = true;
        self.arm(key.slot)
    }

    /// Stops reading. What is in the kernel's hands already still arrives.
    pub(crate) fn pause(&mut self, key: LinkKey) -> io::Result<()> {
        let Some(link) = self.link_mut(key) else {
            return Ok(());
        };
        // However it stands with the receive: one that is out of buffers is paused as well.
        let was_wanted = std::mem::take(&mut link.is_wanted);
        let is_armed = link.receive == Receive::Armed;
        if is_armed {
            link.receive = Receive::Cancelling;
        }
        if was_wanted {
            self.counters.pauses.add(1);
        }
        if is_armed {
            self.cancel(Token::Receive(key.slot))
        } else {
            Ok(())
        }
    }

    /// Arms the receive if it is wanted and can be.
    pub(super) fn arm(&mut self, slot: u32) -> io::Result<()> {
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        let can_read = match link.phase {
            Phase::Open | Phase::Closing | Phase::Lingering => true,
            Phase::Connecting | Phase::Dead => false,
        };
        if !can_read || !link.is_wanted || link.receive != Receive::Idle {
            return Ok(());
        }
        link.receive = Receive::Armed;
        link.operations += 1;
        let receive = opcode::RecvMulti::new(Fd(link.fd.as_raw_fd()), 0)
            .build()
            .user_data(Token::Receive(slot).pack());
        // SAFETY: it points to nothing; the pool's memory outlives the operation.
        unsafe { self.ring.push(receive) }
    }

    pub(super) fn on_receive(&mut self, slot: u32, completion: Completion) -> io::Result<()> {
        let chunk = match (completion.result, completion.buffer()) {
            (bytes, Some(buffer)) if bytes > 0 => self.pool.take(buffer, bytes as u32),
            _ => None,
        };
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        if !completion.more() {
            link.operations -= 1;
            link.receive = Receive::Idle;
        }
        let owner = link.owner;
        match link.phase {
            Phase::Dead => {
                self.reap(slot);
                return Ok(());
            }
            Phase::Closing | Phase::Lingering => return self.discard_input(slot, completion),
            Phase::Connecting | Phase::Open => {}
        }
        if let Some(chunk) = chunk {
            self.counters.received_bytes.add(chunk.len() as u64);
            self.events.push(LinkEvent::Received { owner, chunk });
            return if completion.more() {
                Ok(())
            } else {
                self.arm(slot)
            };
        }
        match completion.result {
            0 => self.end_input(slot, End::Finished),
            result if result == -libc::ENOBUFS => self.starve(slot),
            result if matches!(-result, libc::ECANCELED | libc::EAGAIN | libc::EINTR) => {
                self.arm(slot)
            }
            _ => self.end_input(slot, End::Broken),
        }
    }

    fn discard_input(&mut self, slot: u32, completion: Completion) -> io::Result<()> {
        let result = completion.result;
        let retry = result > 0 || matches!(-result, libc::ECANCELED | libc::EAGAIN | libc::EINTR);
        if retry {
            return if completion.more() {
                Ok(())
            } else {
                self.arm(slot)
            };
        }
        if result == -libc::ENOBUFS {
            return self.starve(slot);
        }
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        link.receive = Receive::Over;
        // An EOF while the queue still drains is a peer that half-closed; it may yet read.
        if result == 0 && link.phase == Phase::Closing {
            Ok(())
        } else {
            self.die(slot)
        }
    }

    fn end_input(&mut self, slot: u32, end: End) -> io::Result<()> {
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        link.receive = Receive::Over;
        let end = if link.is_broken { End::Broken } else { end };
        if end == End::Broken {
            link.is_broken = true;
        }
        let owner = link.owner;
        self.events.push(LinkEvent::Ended { owner, end });
        if end == End::Broken {
            self.drop_queue(slot);
        }
        Ok(())
    }

    fn starve(&mut self, slot: u32) -> io::Result<()> {
        if let Some(link) = self.links.get_mut(slot as usize) {
            link.receive = Receive::Starved;
            self.starved.push_back(slot);
            self.counters.starvations.add(1);
            self.pool.widen();
        }
        Ok(())
    }

    /// Arms as many starved receives as there are buffers, those that starved first. Each takes at
    /// least one if it has input, so that this cannot go round in circles.
    pub(super) fn feed_starved(&mut self) -> io::Result<()> {
        let count = self.starved.len().min(usize::from(self.pool.available()));
        for _ in 0..count {
            let Some(slot) = self.starved.pop_front() else {
                break;
            };
            let Some(link) = self.links.get_mut(slot as usize) else {
                continue;
            };
            if link.receive == Receive::Starved {
                link.receive = Receive::Idle;
                self.arm(slot)?;
            }
        }
        Ok(())
    }
}
