//! Every bound of the relay, with its reason.

use std::time::Duration;

/// Bytes of one provided buffer. 4 KiB buffers lost 19 % of bulk throughput and cost 1.2–1.4
/// times the CPU; above 16 KiB the gain was within noise.
pub const BUFFER_BYTES: usize = 16 * 1024;

/// Provided buffers of a worker unless configured: 8 MiB, enough for 16 links at the high mark.
pub const BUFFERS: u16 = 512;

/// Provided buffers that the kernel has at a time until a burst wants more: as many as messages come
/// in a busy turn. It fills them in turn, so that with all of them each message of some hundred
/// bytes went to memory that had left the cache long ago.
pub(crate) const BUFFERS_OFFERED: u16 = 64;

/// Submission entries: one batch of sends and re-armed receives of a busy turn.
pub(crate) const RING_ENTRIES: u32 = 1024;

/// Completion entries. Overflow is handled but slow; 8192 holds what multishot receives post
/// in one run of task work at some hundred busy links.
pub(crate) const COMPLETION_ENTRIES: u32 = 8192;

/// Segments of one vectored send. Beyond 32 the gain is under a percent, and the kernel copies
/// the vector.
pub(crate) const GATHER_SEGMENTS: usize = 32;

/// Queued towards one link above which the other side is no longer read. Two socket buffers'
/// worth: less stalls bulk transfers, more only adds memory.
pub(crate) const QUEUE_HIGH_BYTES: usize = 512 * 1024;

/// Queued towards one link below which the other side is read again.
pub(crate) const QUEUE_LOW_BYTES: usize = 128 * 1024;

/// The high mark while the worker as a whole is short of memory ([`HEAP_SHORT_BYTES`]).
pub(crate) const QUEUE_HIGH_SHORT_BYTES: usize = 64 * 1024;

/// Input that a flow left untaken above which its side is no longer read: a pipelining client
/// fits below, so that it does not cancel and re-arm its receive at each operation.
pub(crate) const PARKED_HIGH_BYTES: usize = 64 * 1024;

/// Untaken input below which a side is read again.
pub(crate) const PARKED_LOW_BYTES: usize = 16 * 1024;

/// Heap bytes queued or parked on one worker above which high marks shrink.
pub(crate) const HEAP_SHORT_BYTES: usize = 128 * 1024 * 1024;

/// Heap bytes queued or parked on one worker above which the flow that wants more is reset.
/// Twice the short mark: what receives already in the kernel can still deliver fits between.
pub(crate) const HEAP_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Flows of one worker unless configured. Each costs two descriptors and some KiB; a client
/// above it is reset, so that those inside keep their memory.
pub const FLOWS_MAX: usize = 16 * 1024;

/// How long a server may take to accept. Below the 15 s after which common pools give up
/// themselves, so that their fail-over sees our reset.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long attestation may take: it reads and digests an executable that may be cold on disk.
pub(crate) const ATTEST_TIMEOUT: Duration = Duration::from_secs(5);

/// From the decision to close a link until it is reset if its peer does not read the rest.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time between ticks while there are flows: the epoch of placement, and the precision of
/// flows' deadlines.
pub(crate) const TICK_BUSY: Duration = Duration::from_millis(20);

/// Time between ticks of an idle worker: ten heartbeats fit into the two seconds after which
/// connects are refused.
pub(crate) const TICK_IDLE: Duration = Duration::from_millis(200);

/// Messages waiting for one worker. Control tasks send a few per flow; a full inbox means that
/// the worker hangs, and the sender must know.
pub(crate) const INBOX_MESSAGES: usize = 64 * 1024;

/// Messages waiting for the control tasks. When full, the flow that asks is ended, closed.
pub const CONTROL_MESSAGES: usize = 64 * 1024;

/// CancelRequests on their way to servers, per worker. More than this is a flood; further ones
/// are dropped, which clients must expect of a CancelRequest at any time.
pub(crate) const ERRANDS_MAX: usize = 256;

/// Longest spin on the task-run flag: 30 µs missed a Postgres query's answer, 100 µs caught it.
pub const SPIN_MAX: Duration = Duration::from_micros(100);

/// Flows active in the last epoch above which spinning lost (0.45 against 0.67 of direct at 16).
pub(crate) const SPIN_FLOWS_MAX: u32 = 4;

/// Per mille of the last epoch spent runnable but not running, above which the core is
/// contended and spinning takes time from those that we wait for.
pub(crate) const SPIN_WAIT_PERMILLE_MAX: u32 = 100;

/// Flows told of a new world per turn: 256 re-judgements take some hundred microseconds, which the
/// other flows wait.
pub(crate) const FLOW_SWEEP_PER_TURN: usize = 256;

/// Segments of plaintext that one TLS write gathers, so that records are full.
pub(crate) const TLS_GATHER_SEGMENTS: usize = 16;
