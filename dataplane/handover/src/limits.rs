//! Bounds of the conversation.

/// Bytes of one message. A welcome with 64 workers and 64 explicit listeners is below
/// 16 KiB; the kernel's default for a socket's buffer is 208 KiB.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Descriptors of one message: `SCM_MAX_FD` of the kernel.
pub const DESCRIPTORS_MAX: usize = 253;

/// Bytes of the signed update behind a descriptor: as much as one message of the control
/// plane may have.
pub const UPDATE_BYTES_MAX: u64 = 16 << 20;

/// Attestations that a proxy may have open. More accepted connections than this at one
/// moment wait in the listener's queue.
pub const ATTESTS_OPEN_MAX: usize = 4096;

/// Bytes of what `weir mcp run` says at once: a name and a number.
pub const ASK_BYTES_MAX: usize = 4096;

/// Bytes of a path or reason in a message: `PATH_MAX`.
pub const TEXT_BYTES_MAX: usize = 4096;

/// Processes that one is told to descend from, itself included: a server of standard input and
/// output is started by a launcher or two, and starts a shell and workers of its own.
pub const LINEAGE_MAX: usize = 16;

/// Processes that share one listening socket: the workers of a server that forks.
pub const SERVING_MAX: usize = 256;
