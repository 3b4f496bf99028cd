//! Every bound of `weir mcp run`, each with the reason for its size.

use std::time::Duration;

use weir_mcp::limits::{ANSWER_BODY_BYTES_MAX, REQUEST_BODY_BYTES_MAX};

/// Bytes of a client's line that are kept: one more than Weir judges, so that the data plane sees
/// that it is too long and says so.
pub(crate) const CLIENT_LINE_BYTES_MAX: usize = REQUEST_BODY_BYTES_MAX + 1;

/// Bytes of a server's line: what Weir would judge of an answer.
pub(crate) const SERVER_LINE_BYTES_MAX: usize = ANSWER_BODY_BYTES_MAX;

/// Bytes of an answer or event as Weir passes it on: masking can make it longer than it came.
pub(crate) const ANSWER_BYTES_MAX: usize = 2 * ANSWER_BODY_BYTES_MAX;

/// Requests that may be unanswered at once, each with a flow of its own. Agents call a handful of
/// tools at a time.
pub(crate) const REQUESTS_MAX: usize = 128;

/// Flows that are kept for the next request.
pub(crate) const IDLE_FLOWS_MAX: usize = 8;

/// Messages of the server that wait for the stream of its own messages, or for the answer that
/// they belong to. A stream that is opened takes microseconds to take them.
pub(crate) const WAITING_MESSAGES_MAX: usize = 1024;

/// Lines that wait to be written. Whoever has another waits.
pub(crate) const WAITING_LINES_MAX: usize = 64;

/// How long the warden may take to answer: it may be reading a large executable.
pub(crate) const ASK_PATIENCE: Duration = Duration::from_secs(30);

/// Pauses before the stream of the server's own messages is opened again.
pub(crate) const REOPEN_MIN: Duration = Duration::from_millis(100);
/// See [`REOPEN_MIN`].
pub(crate) const REOPEN_MAX: Duration = Duration::from_secs(5);

/// After the end of the client's input: how long requests may take to reach the server.
pub(crate) const DELIVERY_MAX: Duration = Duration::from_secs(10);

/// After the end of its input, and after SIGTERM: how long the server may take to end (MCP
/// lifecycle, "Shutdown", stdio).
pub(crate) const SERVER_END_MAX: Duration = Duration::from_secs(5);

/// After the server's end: how long its last answers may take to reach the client.
pub(crate) const LAST_ANSWERS_MAX: Duration = Duration::from_secs(5);

/// After the end of the client's input: how long calls that have reached the server may go on.
pub(crate) const LAST_CALLS_MAX: Duration = Duration::from_secs(60);
