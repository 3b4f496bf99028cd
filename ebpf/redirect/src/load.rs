use std::io;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_ebpf_abi::Load;
use weir_ebpf_abi::limits::WORKERS_MAX;

use crate::sys::Mapping;

/// What the workers tell the kernel about themselves: memory that connect reads. Needs no
/// privilege. One for the process; each worker takes its own [`LoadCell`].
pub struct LoadBoard(Mapping);

/// Bytes of the whole array; two pages, which the assertion below keeps true.
const BYTES: usize = Load::SIZE * WORKERS_MAX as usize;
const _: () = assert!(BYTES.is_multiple_of(4096));

/// Words per worker.
const WORDS: usize = Load::SIZE / size_of::<AtomicU64>();

/// The word of a field.
macro_rules! word_of {
    ($field:ident) => {
        offset_of!(Load, $field) / size_of::<AtomicU64>()
    };
}

impl LoadBoard {
    /// Maps the descriptor of [`crate::Redirect::load_board_fd`].
    pub fn map(fd: impl AsFd) -> io::Result<Self> {
        Mapping::new(fd.as_fd(), BYTES).map(Self)
    }

    /// One worker's place; `None` for a number of 64 or more.
    #[must_use]
    pub fn cell(&self, worker: u16) -> Option<LoadCell<'_>> {
        let start = usize::from(worker) * WORDS;
        self.0
            .words()
            .get(start..start + WORDS)?
            .first_chunk()
            .map(LoadCell)
    }
}

impl std::fmt::Debug for LoadBoard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoadBoard")
    }
}

/// One worker's place. Only that worker writes to it.
#[derive(Clone, Copy, Debug)]
pub struct LoadCell<'a>(&'a [AtomicU64; WORDS]);

impl LoadCell<'_> {
    /// Says that the worker is alive; `now_ns` is CLOCK_MONOTONIC. Without it for as long as
    /// the time to live, connects that would come here are refused.
    pub fn beat(&self, now_ns: u64) {
        self.0[word_of!(heartbeat_ns)].store(now_ns, Ordering::Relaxed);
    }

    /// Says that the worker is going: no more connections from now on.
    pub fn stop(&self) {
        self.beat(0);
    }

    /// Counts accepted connections.
    pub fn accepted(&self, connections: u64) {
        self.0[word_of!(accepted)].fetch_add(connections, Ordering::Relaxed);
    }

    /// Forgets connections that were assigned and never came (a client that gave up). Right
    /// at the start, and whenever nothing was there to accept for a whole epoch.
    pub fn settle(&self) {
        let assigned = self.0[word_of!(assigned)].load(Ordering::Relaxed);
        self.0[word_of!(accepted)].store(assigned, Ordering::Relaxed);
    }

    /// Publishes the last epoch (20 ms): flows that moved bytes, and the thousandths of it
    /// that the worker's thread waited for a CPU (`/proc/self/task/TID/schedstat`, field 2).
    pub fn epoch(&self, now_ns: u64, active: u64, wait_permille: u64) {
        self.0[word_of!(active)].store(active, Ordering::Relaxed);
        self.0[word_of!(wait_permille)].store(wait_permille, Ordering::Relaxed);
        self.0[word_of!(epoch_ns)].store(now_ns, Ordering::Relaxed);
    }

    /// Connections that the kernel assigned to the worker, ever.
    #[must_use]
    pub fn assigned(&self) -> u64 {
        self.0[word_of!(assigned)].load(Ordering::Relaxed)
    }
}
