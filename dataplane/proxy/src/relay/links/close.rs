//! How links go: gracefully, or with a reset, and never before their last operation.
#![expect(unsafe_code, reason = "pushes submission entries")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use io_uring::opcode;
use io_uring::types::{CancelBuilder, Fd};

use super::super::limits::CLOSE_TIMEOUT;
use super::super::ring::Wait;
use super::super::sys;
use super::super::token::Token;
use super::{Fin, LinkKey, Links, Phase, Receive};

/// Turns that the last operations get to end when the worker goes, each of at most
/// [`ABANDON_TICK`]: five seconds for what was cancelled already.
const ABANDON_TURNS: usize = 500;
const ABANDON_TICK: Duration = Duration::from_millis(10);

impl Links {
    /// Sends what is queued, then FIN, reads until the peer's FIN, and is gone; reset after
    /// [`CLOSE_TIMEOUT`]. Its owner hears nothing more of it.
    pub(crate) fn close(&mut self, key: LinkKey, now_ns: u64) -> io::Result<()> {
        self.begin_closing(key, now_ns, Fin::Queued)
    }

    /// The same without a FIN before the peer's.
    pub(crate) fn close_after(&mut self, key: LinkKey, now_ns: u64) -> io::Result<()> {
        self.begin_closing(key, now_ns, Fin::Open)
    }

    fn begin_closing(&mut self, key: LinkKey, now_ns: u64, fin: Fin) -> io::Result<()> {
        let Some(link) = self.link_mut(key) else {
            return Ok(());
        };
        match link.phase {
            Phase::Connecting => return self.reset(key),
            Phase::Closing | Phase::Lingering | Phase::Dead => return Ok(()),
            Phase::Open => {}
        }
        if link.is_broken {
            return self.reset(key);
        }
        link.phase = Phase::Closing;
        link.is_wanted = true;
        if link.fin == Fin::Open {
            link.fin = fin;
        }
        self.closing
            .push_back((now_ns + CLOSE_TIMEOUT.as_nanos() as u64, key));
        self.mark(key.slot);
        self.arm(key.slot)
    }

    /// Drops the link with RST, and with it whatever is queued. Its owner hears nothing more.
    pub(crate) fn reset(&mut self, key: LinkKey) -> io::Result<()> {
        let Some(link) = self.link_mut(key) else {
            return Ok(());
        };
        if link.phase == Phase::Dead {
            return Ok(());
        }
        sys::reset_on_close(link.fd.as_fd());
        self.counters.resets.add(1);
        self.kill(key.slot)
    }

    /// After the queue is sent: waits for the peer's FIN, or goes if it came already.
    pub(super) fn linger(&mut self, slot: u32) -> io::Result<()> {
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        if link.phase != Phase::Closing {
            return Ok(());
        }
        if link.receive == Receive::Over {
            return self.die(slot);
        }
        link.phase = Phase::Lingering;
        Ok(())
    }

    /// Ends both directions and waits for the operations.
    pub(super) fn die(&mut self, slot: u32) -> io::Result<()> {
        if let Some(link) = self.links.get(slot as usize) {
            sys::shutdown_both(link.fd.as_fd());
        }
        self.kill(slot)
    }

    fn kill(&mut self, slot: u32) -> io::Result<()> {
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        link.phase = Phase::Dead;
        self.drop_queue(slot);
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        if link.operations > 0 {
            let all = CancelBuilder::fd(Fd(link.fd.as_raw_fd())).all();
            let cancel = opcode::AsyncCancel2::new(all)
                .build()
                .user_data(Token::Aside.pack());
            // SAFETY: it points to nothing.
            return unsafe { self.ring.push(cancel) };
        }
        self.reap(slot);
        Ok(())
    }

    /// Closes the descriptor of a dead link without operations.
    pub(super) fn reap(&mut self, slot: u32) {
        let is_done = self
            .links
            .get(slot as usize)
            .is_some_and(|link| link.phase == Phase::Dead && link.operations == 0);
        if is_done {
            let link = self.links.remove(slot as usize);
            self.heap_bytes -= link.outgoing.heap_len();
        }
    }

    /// Resets links that did not close in time.
    pub(super) fn expire(&mut self, now_ns: u64) -> io::Result<()> {
        while let Some((deadline, key)) = self.closing.front().copied() {
            if deadline > now_ns {
                break;
            }
            self.closing.pop_front();
            self.reset(key)?;
        }
        Ok(())
    }

    /// Resets everything and waits for the kernel to let go. If it does not, the memory that it
    /// may still write to is never given back.
    pub(super) fn abandon(&mut self) {
        let keys: Vec<LinkKey> = self
            .links
            .iter()
            .map(|(slot, link)| LinkKey {
                slot: slot as u32,
                generation: link.generation,
            })
            .collect();
        let mut is_fine = keys.into_iter().try_for_each(|key| self.reset(key)).is_ok();
        for _ in 0..ABANDON_TURNS {
            if !is_fine || self.links.is_empty() {
                break;
            }
            is_fine = self
                .arm_tick(ABANDON_TICK)
                .and_then(|()| self.turn(Wait::One, 0))
                .is_ok();
            self.events.clear();
        }
        if !self.links.is_empty() {
            std::mem::forget(self.pool.clone());
            self.links.drain().for_each(std::mem::forget);
        }
    }
}
