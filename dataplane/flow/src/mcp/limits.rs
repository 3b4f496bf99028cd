//! Every bound of the MCP half, each with the reason for its size.

/// How long a client may take from the first byte of a request to its last. A client on
/// the same host needs milliseconds; one that sends a byte a second holds a flow.
pub(super) const RECEIVE_NS: u64 = 30_000_000_000;

/// How long a server may go on answering after its client has left, so that what came of
/// the call can still be recorded.
pub(super) const AFTER_CLIENT_NS: u64 = 60_000_000_000;

/// Verdicts kept per flow, and per caller for all flows of a worker. A client uses a handful of
/// tools.
pub(super) const VERDICTS_MAX: usize = 256;

/// Callers whose verdicts a worker keeps: more than call at a time.
pub(super) const ASKERS_MAX: usize = 1024;

/// Bytes of events that are copied to stand between the head and the end of their chunk. More are
/// sent from where they are, in the same call, as three pieces.
pub(super) const COPIED_BYTES_MAX: usize = 16 << 10;

/// Places of masked values that one record names; all are masked.
pub(super) const MASKED_NAMED_MAX: usize = 32;

/// Events of one stream of which nothing may be shown, before it ends: each is a record, and each
/// question among them a connection on which the server is told no. Clients come back to streams.
pub(super) const EVENTS_DROPPED_MAX: usize = 1024;

/// JSON documents of one text that are read, one after another: lines of a table that was exported.
pub(super) const DOCUMENTS_MAX: usize = 1 << 16;

/// Bytes of requests and answers that the flows of one worker hold whole at one time: sixteen of
/// the largest answers, or some ten thousand ordinary ones.
pub(super) const BODIES_BYTES_MAX: usize = 256 << 20;

/// Texts of a tool's error that can be the server's way to say that it has no such tool.
pub(super) const ABSENT_TEXT_BYTES_MAX: usize = 4096;

/// How long a call waits for people at most before its client is told to come back: the TypeScript
/// SDKs and what is built on them give up at 60 s, and an answer on its way needs some of that.
pub(super) const HOLD_NS_MAX: u64 = 48_000_000_000;

/// How often a client hears that its call still waits. Well below the 30 s after which some HTTP
/// libraries take silence for the end.
pub(super) const BEAT_NS: u64 = 10_000_000_000;

/// How long a request waits for the keys of its token's issuer: as long as a Postgres login does.
pub(super) const KEYS_WAIT_NS: u64 = 5_000_000_000;

/// How long the answer to a call may go on after its caller's token has ended: the call was allowed
/// while the token was good, and clients give up after this long.
pub(super) const AFTER_TOKEN_NS: u64 = 60_000_000_000;

/// How long the call of a task may run once nobody waits for its answer: what takes longer is
/// rarely still wanted.
pub(super) const AFTER_TASK_NS: u64 = 600_000_000_000;

/// How often a client is told to ask how far a task is, in milliseconds: people take minutes.
pub(super) const TASK_POLL_MS: u64 = 3_000;

/// How long a question about a task waits for the control plane's word: at once, or not now.
pub(super) const TASK_ASK_NS: u64 = 3_000_000_000;

/// How often a flow looks whether another is done with the task that it waits for.
pub(super) const TASK_WATCH_NS: u64 = 250_000_000;

/// Characters of what is told of why a task has failed: a line or two for a person.
pub(super) const TASK_WORDS_MAX: usize = 512;

/// Seconds for which a task is kept after nobody can decide on it any more: as long as an approval
/// can be used.
pub(super) const TASK_AFTER_S: u64 = 900;

/// Seconds for which a task is kept at most: a client that has not asked for so long has gone.
pub(super) const TASK_LIFE_S_MAX: u64 = 86_400;

/// Seconds for which a task is kept whose call waited for nobody: for as long as it may run, and
/// until its client has asked for what came of it.
pub(super) const TASK_RUN_S: u64 = 1_500;

/// How long the control plane may take to spend an approval, once it was given.
pub(super) const REDEEM_NS: u64 = 5_000_000_000;

/// Sessions of 2024-11-05 that are open on a host at one time: each has a connection of its own.
pub(super) const SESSIONS_MAX: usize = 16 << 10;
