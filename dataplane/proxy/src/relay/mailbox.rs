//! Messages between threads that sleep in different ways: a bounded queue and an eventfd.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;

use super::sys;

/// A bounded queue whose reader sleeps on an eventfd. Any number of threads send; one reads.
pub struct Mailbox<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    queue: ArrayQueue<T>,
    raised: AtomicBool,
    eventfd: OwnedFd,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Mailbox<T> {
    /// A mailbox for at most `capacity` messages.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let eventfd = sys::eventfd()?;
        let queue = ArrayQueue::new(capacity);
        Ok(Self {
            shared: Arc::new(Shared {
                queue,
                raised: AtomicBool::new(false),
                eventfd,
            }),
        })
    }

    /// Puts a message in and wakes the reader.
    ///
    /// # Errors
    /// Gives the message back when the mailbox is full.
    pub fn send(&self, message: T) -> Result<(), T> {
        self.shared.queue.push(message)?;
        // The reader lowers the flag before it looks: whoever raises it again wakes it again.
        if !self.shared.raised.swap(true, Ordering::AcqRel) {
            sys::raise(self.shared.eventfd.as_fd());
        }
        Ok(())
    }

    /// Says that the reader is about to look. Call before [`Mailbox::take`], until it is empty.
    pub fn begin(&self) {
        self.shared.raised.store(false, Ordering::SeqCst);
    }

    /// The oldest message.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.shared.queue.pop()
    }

    /// What the reader polls for input. It may lower it by reading eight bytes.
    #[must_use]
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.shared.eventfd.as_fd()
    }

    /// Lowers the wake descriptor, then takes every message; for readers without a ring.
    pub fn drain(&self, mut each: impl FnMut(T)) {
        sys::lower(self.wake());
        self.begin();
        while let Some(message) = self.take() {
            each(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Mailbox;

    #[test]
    fn messages_of_many_threads_all_arrive_and_each_sleep_is_ended() {
        let mailbox = Mailbox::new(1024).expect("a mailbox");
        let senders: Vec<_> = (0..4u64)
            .map(|thread| {
                let mailbox = mailbox.clone();
                std::thread::spawn(move || {
                    for n in 0..10_000 {
                        let mut message = thread * 10_000 + n;
                        while let Err(back) = mailbox.send(message) {
                            message = back;
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let mut seen = vec![false; 40_000];
        let mut count = 0;
        while count < 40_000 {
            wait(&mailbox);
            mailbox.drain(|message| {
                assert!(!std::mem::replace(&mut seen[message as usize], true));
                count += 1;
            });
        }
        senders
            .into_iter()
            .for_each(|sender| sender.join().expect("a sender"));
    }

    #[expect(unsafe_code, reason = "poll(2) is what the reader sleeps in")]
    fn wait<T>(mailbox: &Mailbox<T>) {
        use std::os::fd::AsRawFd;
        let mut poll = libc::pollfd {
            fd: mailbox.wake().as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid pollfd.
        let ready = unsafe { libc::poll(&mut poll, 1, 5_000) };
        assert_eq!(ready, 1, "a message was put in and nobody was woken");
    }

    #[test]
    fn a_full_mailbox_gives_the_message_back() {
        let mailbox = Mailbox::new(1).expect("a mailbox");
        assert_eq!(mailbox.send("a"), Ok(()));
        assert_eq!(mailbox.send("b"), Err("b"));
        assert_eq!(mailbox.take(), Some("a"));
    }
}
