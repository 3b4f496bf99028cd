//! Bounds and times of the warden, each with its reason.

use std::time::Duration;

/// A worker beats every 20 ms; fifty missed beats are no scheduling delay any more.
pub const HEARTBEAT_TTL: Duration = Duration::from_secs(1);

/// A proxy says that it is alive every second. One that is silent for this long hangs.
pub const ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A proxy that has not begun to serve by then never will.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// First and longest pause before a dead proxy is started again.
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// See [`BACKOFF_MIN`].
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long a proxy may take to end after its warden was killed: its ledger syncs a last time.
pub const PREDECESSOR_END: Duration = Duration::from_secs(10);
/// How often its ports are tried meanwhile.
pub const PREDECESSOR_POLL: Duration = Duration::from_millis(20);

/// A proxy that lived this long starts with the shortest pause again.
pub const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// Sending to a proxy that does not read; then it is ended.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// How often guards by path are looked up again: a restarted unit has a new cgroup.
pub const RESCAN: Duration = Duration::from_millis(100);

/// How often the canary flies, and health is told to the proxy.
pub const CANARY_EVERY: Duration = Duration::from_secs(5);

/// A canary's connect and its answer; loopback answers within microseconds.
pub const CANARY_TIMEOUT: Duration = Duration::from_secs(2);

/// Executables whose digest is remembered.
pub const DIGESTS_MAX: usize = 1024;

/// Bytes of an executable that is digested; a larger one has no digest.
pub const EXECUTABLE_BYTES_MAX: u64 = 1 << 30;

/// Bytes of a file below /proc.
pub const PROC_BYTES_MAX: u64 = 64 << 10;

/// Bytes of a process's name and arguments: `MAX_ARG_STRLEN` sixteen times, and what Linux takes
/// of them by default.
pub const ARGUMENT_BYTES_MAX: u64 = 2 << 20;

/// Threads that answer `weir mcp run`: one may be digesting a large executable, and some may wait
/// for an asker that says nothing, while others answer.
pub const STDIO_THREADS: usize = 8;

/// How long such an asker may take to say what it wants. It says it at once.
pub const STDIO_ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// Askers that wait for a thread; whoever comes then is told nothing and asks again.
pub const STDIO_WAITING_MAX: usize = 256;

/// How long the loop may take to answer a thread: it may be putting a world in force.
pub const STDIO_ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Threads that attest: one may be digesting a large executable while others answer.
pub const ATTESTORS: usize = 3;

/// Events that wait for the loop; then whoever has another one waits, a chatty proxy first.
pub const EVENTS_MAX: usize = 256;

/// Bytes of the configuration file.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Explicit listeners, of configuration and world together; with the redirect's they fit
/// into one message.
pub const EXPLICIT_MAX: usize = 96;

/// Connections that wait in a listener's queue (the kernel's own cap is net.core.somaxconn).
pub const BACKLOG: i32 = 4096;

/// Open files of the proxy, as far as the host allows: two per flow.
pub const PROXY_FILES: u64 = 1 << 20;
