//! The worker's io_uring: push, enter, harvest. Knows nothing of sockets or flows.
#![expect(
    unsafe_code,
    reason = "submission entries carry raw pointers; io-uring makes the pusher answer for them"
)]

use std::io;

use io_uring::{IoUring, cqueue, squeue};

use super::limits::{COMPLETION_ENTRIES, RING_ENTRIES};

/// A completion, copied out of the ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    /// Whose it is.
    pub(crate) user_data: u64,
    /// A count or a negative errno.
    pub(crate) result: i32,
    flags: u32,
}

impl Completion {
    /// Whether the multishot operation goes on.
    pub(crate) fn more(self) -> bool {
        cqueue::more(self.flags)
    }

    /// The provided buffer that it filled.
    pub(crate) fn buffer(self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }
}

/// Whether to sleep until something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Submit, take what is there.
    No,
    /// Submit, sleep until one completion is there.
    One,
}

/// One io_uring with the flags that measured best: task work only when we enter
/// (DEFER_TASKRUN), one submitter, a flag that says when entering is worth it.
pub(crate) struct Ring {
    uring: IoUring,
    harvest: Vec<Completion>,
}

impl Ring {
    /// Sets it up; must be called on the thread that will use it.
    pub(crate) fn new() -> io::Result<Self> {
        let uring = IoUring::builder()
            .setup_cqsize(COMPLETION_ENTRIES)
            .setup_submit_all()
            .setup_defer_taskrun()
            .setup_single_issuer()
            .setup_taskrun_flag()
            .build(RING_ENTRIES)
            .map_err(|error| io::Error::new(error.kind(), format!("io_uring_setup: {error}")))?;
        let needed = uring.params().is_feature_nodrop()
            && uring.params().is_feature_submit_stable()
            && uring.params().is_feature_skip_cqe_on_success();
        if !needed {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "io_uring_setup: the kernel is older than 6.1",
            ));
        }
        Ok(Self {
            uring,
            harvest: Vec::with_capacity(COMPLETION_ENTRIES as usize),
        })
    }

    /// Queues one entry.
    ///
    /// # Safety
    /// What the entry points to must stay valid until it is submitted, and buffers until it
    /// completes.
    pub(crate) unsafe fn push(&mut self, entry: squeue::Entry) -> io::Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.push_all(std::slice::from_ref(&entry)) }
    }

    /// Queues linked entries, so that they reach the kernel in one batch.
    ///
    /// # Safety
    /// As [`Ring::push`], for each of them.
    pub(crate) unsafe fn push_all(&mut self, entries: &[squeue::Entry]) -> io::Result<()> {
        loop {
            // SAFETY: the caller's promise.
            if unsafe { self.uring.submission().push_multiple(entries) }.is_ok() {
                return Ok(());
            }
            self.enter(Wait::No)?;
        }
    }

    /// Submits what is queued and runs deferred work. Interruptions and a full completion
    /// queue are no errors: what came is harvested, the rest comes with the next call.
    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        let wanted = match wait {
            Wait::No => 0,
            Wait::One if self.harvest.is_empty() => 1,
            Wait::One => 0,
        };
        let result = self.uring.submit_and_wait(wanted);
        self.collect();
        match result {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR | libc::EBUSY | libc::EAGAIN | libc::ETIME) => Ok(()),
                _ => Err(io::Error::new(
                    error.kind(),
                    format!("io_uring_enter: {error}"),
                )),
            },
        }
    }

    fn collect(&mut self) {
        let completions = self.uring.completion();
        self.harvest.extend(completions.map(|entry| Completion {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }

    /// Whether everything submitted has been seen by the kernel and every completion so far
    /// is in the harvest. Only then does silence mean that an inline send went through.
    pub(crate) fn is_settled(&mut self) -> bool {
        let submission = self.uring.submission();
        submission.is_empty() && !submission.cq_overflow()
    }

    /// Whether something is queued for submission.
    pub(crate) fn has_unsubmitted(&mut self) -> bool {
        !self.uring.submission().is_empty()
    }

    /// Whether entering would find something, read from shared memory without a system call.
    pub(crate) fn is_ready(&mut self) -> bool {
        !self.harvest.is_empty()
            || !self.uring.completion().is_empty()
            || self.uring.submission().taskrun()
    }

    /// Takes the harvest; give the vector back with [`Ring::recycle`].
    pub(crate) fn take_harvest(&mut self) -> Vec<Completion> {
        std::mem::take(&mut self.harvest)
    }

    /// Returns an emptied harvest for reuse.
    pub(crate) fn recycle(&mut self, mut harvest: Vec<Completion>) {
        harvest.clear();
        if self.harvest.is_empty() {
            self.harvest = harvest;
        }
    }

    /// Registers a ring of provided buffers as group 0.
    ///
    /// # Safety
    /// The memory must stay mapped until it is unregistered or the ring is gone.
    pub(crate) unsafe fn register_buffers(&self, entries: u64, count: u16) -> io::Result<()> {
        // SAFETY: the caller's promise.
        unsafe {
            self.uring
                .submitter()
                .register_buf_ring_with_flags(entries, count, 0, 0)
        }
        .map_err(|error| io::Error::new(error.kind(), format!("io_uring_register: {error}")))
    }
}
