//! Sizes and times of the ledger, each with its reason.

use std::time::Duration;

/// Segment size unless configured: 20,000 records, which a worker at full speed fills in a
/// quarter of a second.
pub const SEGMENT_BYTES: u32 = 16 << 20;

/// The smallest segment: many of the largest frames, and a reserve for closing.
pub const SEGMENT_BYTES_MIN: u32 = 1 << 20;

/// The largest segment: offsets are kept in 32 bits, and a mapping must fit in memory.
pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;

/// Segments that lie ready for each worker beside the one it writes: one to go on with, one
/// for a disk that is slow to give another.
pub const SEGMENTS_AHEAD: usize = 2;

/// How long a worker that has outrun the disk waits for its next segment before it refuses: several
/// times what zeroing and syncing one takes on a busy disk.
pub(crate) const SEGMENT_PATIENCE: Duration = Duration::from_secs(1);

/// How often it looks.
pub(crate) const SEGMENT_POLL: Duration = Duration::from_micros(200);

/// Of a worker's last segment, this share (one in …) is kept for finishing what was begun.
pub(crate) const CLOSING_SHARE: usize = 8;

/// Header page of a segment, so that frames begin on a page of their own.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 4096;

/// How much of a new segment is zeroed by one write. The page cache makes folios as large as the
/// write that fills them, and whoever first stores to a page of a folio then marks every buffer of
/// it dirty, and has all of it written by the next sync: with 1 MiB the workers' faults took 10 %
/// of the data plane's time, most of it for buffers that nobody had touched.
pub(crate) const ZERO_BYTES: usize = 64 << 10;

/// Kept records are synced at least this often.
pub const GROUP_COMMIT: Duration = Duration::from_millis(10);

/// A checkpoint is signed at least this often while the log grows.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// And after this many leaves, so that a burst of them does not make the tail that nobody has
/// signed long: about a second's worth of one busy worker. Each checkpoint costs ten files made,
/// synced and removed again; twelve a second slowed down the making of all others.
pub const CHECKPOINT_LEAVES: u64 = 100_000;

/// An idle log says so this often.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// Leaves sequenced in one go before the thread looks at its other work: about ten milliseconds.
pub(crate) const SEQUENCE_BATCH: usize = 4096;

/// How long what was synced may lie before it is sequenced, where nobody waits for a checkpoint:
/// a fiftieth of the time between two of them. Woken for each sync, the thread took as long for
/// waking as for its work.
pub(crate) const SEQUENCE_PAUSE: Duration = Duration::from_millis(20);

/// Syncs of one worker's records that are waited for at once: each flow has at most one under way.
pub(crate) const REQUESTS_MAX: usize = 16_384;

/// Checkpoints that wait for a slow reader; later ones supersede earlier ones.
pub(crate) const CHECKPOINTS_MAX: usize = 64;

/// Space set aside so that a full disk still takes the last tiles and the closing leaf.
pub(crate) const RESERVE_BYTES: u64 = 4 << 20;

/// How long after a failed try for space the next one is made.
pub(crate) const SPACE_RETRY: Duration = Duration::from_millis(100);

/// How long a clean end waits for workers to let go of their stores.
pub const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Workers: each has a listener and a core.
pub const WORKERS_MAX: u16 = 1024;

/// A marks file is a line for each worker.
pub(crate) const MARKS_BYTES_MAX: u64 = 1 << 20;
