//! How links come to be: accepted or connected. And the two standing operations of the worker:
//! its inbox and its tick.
#![expect(unsafe_code, reason = "pushes submission entries")]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use io_uring::types::{Fd, TimeoutFlags, Timespec};
use io_uring::{opcode, squeue};

use super::super::limits::DIAL_TIMEOUT;
use super::super::ring::Completion;
use super::super::sys;
use super::super::token::Token;
use super::{LinkEvent, LinkKey, Links, Owner, Phase};

/// A connect's arguments, at an address that does not move.
pub(super) struct Address {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
    limit: Timespec,
}

impl Links {
    /// Makes a link of an accepted socket. It is not read until [`Links::resume`].
    pub(crate) fn adopt(&mut self, socket: OwnedFd, owner: Owner) -> LinkKey {
        self.insert(socket, owner, Phase::Open)
    }

    /// Begins to connect; answered by [`LinkEvent::Connected`] or [`LinkEvent::Refused`].
    ///
    /// # Errors
    /// No socket could be made, or the ring is gone.
    pub(crate) fn connect(&mut self, target: SocketAddr, owner: Owner) -> io::Result<LinkKey> {
        let socket = sys::tcp_socket(target)?;
        sys::prepare_stream(socket.as_fd())?;
        let fd = Fd(socket.as_raw_fd());
        let (storage, length) = sys::to_kernel(target);
        let address = Box::new(Address {
            storage,
            length,
            limit: Timespec::from(DIAL_TIMEOUT),
        });
        let key = self.insert(socket, owner, Phase::Connecting);
        let connect = opcode::Connect::new(fd, (&raw const address.storage).cast(), address.length)
            .build()
            .flags(squeue::Flags::IO_LINK)
            .user_data(Token::Connect(key.slot).pack());
        let limit = opcode::LinkTimeout::new(&raw const address.limit)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(Token::Aside.pack());
        if let Some(link) = self.link_mut(key) {
            link.address = Some(address);
            link.operations += 1;
        }
        // SAFETY: both point into a box that the link keeps until the connect completes.
        unsafe { self.ring.push_all(&[connect, limit])? };
        Ok(key)
    }

    pub(super) fn on_connect(&mut self, slot: u32, result: i32) -> io::Result<()> {
        let Some(link) = self.links.get_mut(slot as usize) else {
            return Ok(());
        };
        link.operations -= 1;
        link.address = None;
        if link.phase == Phase::Dead {
            self.reap(slot);
            return Ok(());
        }
        let owner = link.owner;
        if result < 0 {
            // The linked time limit cancels the connect.
            let errno = if result == -libc::ECANCELED {
                libc::ETIMEDOUT
            } else {
                -result
            };
            link.phase = Phase::Dead;
            self.events.push(LinkEvent::Refused {
                owner,
                error: sys::errno("connect", errno),
            });
            self.reap(slot);
            return Ok(());
        }
        link.phase = Phase::Open;
        let is_wanted = link.is_wanted;
        self.events.push(LinkEvent::Connected { owner });
        self.mark(slot);
        if is_wanted { self.arm(slot) } else { Ok(()) }
    }

    /// Arms the accept of every listener that is not armed.
    pub(crate) fn arm_listeners(&mut self) -> io::Result<()> {
        if !self.is_accepting {
            return Ok(());
        }
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            if listener.is_armed {
                continue;
            }
            listener.is_armed = true;
            let accept = opcode::AcceptMulti::new(Fd(listener.fd.as_raw_fd()))
                .flags(libc::SOCK_CLOEXEC)
                .build()
                .user_data(Token::Accept(index as u32).pack());
            // SAFETY: it points to nothing.
            unsafe { self.ring.push(accept)? };
        }
        Ok(())
    }

    pub(super) fn on_accept(&mut self, index: u32, completion: Completion) -> io::Result<()> {
        if completion.result >= 0 {
            // SAFETY: the completion hands over a descriptor that nobody else has.
            let socket = unsafe { OwnedFd::from_raw_fd(completion.result) };
            self.events.push(LinkEvent::Accepted {
                listener: index,
                socket,
            });
        }
        if completion.more() {
            return Ok(());
        }
        if let Some(listener) = self.listeners.get_mut(index as usize) {
            listener.is_armed = false;
        }
        // Without descriptors or memory it would fail again at once: then the tick arms it.
        let is_short = matches!(
            -completion.result,
            libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS
        );
        if is_short {
            Ok(())
        } else {
            self.arm_listeners()
        }
    }

    /// Accepts no more. The listening sockets stay open for whoever shares them.
    pub(crate) fn stop_accepting(&mut self) -> io::Result<()> {
        self.is_accepting = false;
        for index in 0..self.listeners.len() as u32 {
            self.cancel(Token::Accept(index))?;
        }
        Ok(())
    }

    pub(super) fn arm_inbox(&mut self) -> io::Result<()> {
        self.is_inbox_armed = true;
        let poll = opcode::PollAdd::new(Fd(self.inbox.as_raw_fd()), libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(Token::Wake.pack());
        // SAFETY: it points to nothing.
        unsafe { self.ring.push(poll) }
    }

    pub(super) fn on_wake(&mut self, completion: Completion) -> io::Result<()> {
        sys::lower(self.inbox.as_fd());
        self.events.push(LinkEvent::Woken);
        if completion.more() {
            Ok(())
        } else {
            self.arm_inbox()
        }
    }

    /// [`LinkEvent::Ticked`] once, after this time.
    pub(crate) fn arm_tick(&mut self, after: Duration) -> io::Result<()> {
        *self.tick = Timespec::from(after);
        let timeout = opcode::Timeout::new(&raw const *self.tick)
            .build()
            .user_data(Token::Tick.pack());
        // SAFETY: the timespec is boxed, and written again only after this was submitted: by the
        // tick itself, or by `hasten_tick`, whose value is as good for both.
        unsafe { self.ring.push(timeout) }
    }

    /// Moves the armed tick nearer.
    pub(crate) fn hasten_tick(&mut self, after: Duration) -> io::Result<()> {
        *self.tick = Timespec::from(after);
        let update = opcode::TimeoutUpdate::new(Token::Tick.pack(), &raw const *self.tick)
            .flags(TimeoutFlags::empty())
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(Token::Aside.pack());
        // SAFETY: as above.
        unsafe { self.ring.push(update) }
    }

    /// Asks the kernel to end an operation; it answers through the operation's own completion.
    pub(super) fn cancel(&mut self, token: Token) -> io::Result<()> {
        let cancel = opcode::AsyncCancel::new(token.pack())
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(Token::Aside.pack());
        // SAFETY: it points to nothing.
        unsafe { self.ring.push(cancel) }
    }
}
