//! Every bound of this crate, each with the reason for its size.

/// Bytes of a request or status line with its fields. Node, the common MCP runtime,
/// stops at 16 KiB; tokens of large identity providers reach 8 KiB.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Header fields of one head. MCP clients send about ten.
pub const FIELDS_MAX: usize = 64;

/// Bytes of a request's body. It is held whole before its first byte goes on, because a
/// late duplicate key may change what it asks; the TypeScript SDK stops at 4 MiB.
pub const REQUEST_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of an answer's JSON body, or of one event of a stream: it is held whole to be
/// masked. A larger answer is refused, never passed in part.
pub const ANSWER_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Nesting of arrays and objects. JSON Schemas in tool lists reach about 30; parsers
/// that recurse fail from some hundreds on.
pub const JSON_DEPTH_MAX: usize = 128;

/// Values and keys of one document: 16 bytes each are held while it is read, so this is
/// 16 MiB at most.
pub const JSON_NODES_MAX: usize = 1 << 20;

/// Bytes of one JSON number. A double needs 25; anything longer is padding that
/// parsers round differently.
pub const JSON_NUMBER_BYTES_MAX: usize = 320;

/// Bytes of a JSON-RPC id as written. Clients count or send a UUID.
pub const ID_BYTES_MAX: usize = 256;

/// Bytes of a tool's or prompt's name, and of a resource's URI.
pub const NAME_BYTES_MAX: usize = 2048;

/// Bytes of a method's name: the longest of MCP's has 40.
pub const METHOD_BYTES_MAX: usize = 128;

/// Messages of one batch (revision 2025-03-26): each costs a verdict and a record.
pub const BATCH_MESSAGES_MAX: usize = 64;

/// Bytes of a session id: what a header of our own can carry with room to spare.
pub const SESSION_ID_BYTES_MAX: usize = 256;

/// Bytes of the place that a server of 2024-11-05 names for messages: a path and a session's id.
/// Sealed, it comes back in a request line and must leave room for the rest of [`HEAD_BYTES_MAX`].
pub const ENDPOINT_BYTES_MAX: usize = 1024;

/// Bytes of an event's id as the server writes it.
pub const EVENT_ID_BYTES_MAX: usize = 512;

/// Bytes of an event's id as the client sees it, which comes back as `Last-Event-ID` and
/// must leave room for the rest of [`HEAD_BYTES_MAX`].
pub const SEALED_EVENT_ID_BYTES_MAX: usize = 6 * 1024;

/// Bytes of the id that a client sees for a server's request: the server's, encrypted. It
/// must itself pass as an id.
pub const SEALED_REQUEST_ID_BYTES_MAX: usize = ID_BYTES_MAX - 2;

/// Bytes of the id that a client sees for a server's task: it comes back as `Mcp-Name` and
/// must leave room for the rest of [`HEAD_BYTES_MAX`].
pub const SEALED_TASK_ID_BYTES_MAX: usize = 6 * 1024;

/// Bytes of `requestState` as the server writes it. The reference servers put a few
/// hundred bytes in it; it comes back in a body, which has its own bound.
pub const REQUEST_STATE_BYTES_MAX: usize = 64 * 1024;

/// Seconds for which a client may bring back `requestState`: a person who is asked
/// something answers within the hour, and a shorter life bounds replays (2026-07-28,
/// "Multi Round-Trip Requests", server requirements).
pub const REQUEST_STATE_LIFE_S: u64 = 3600;

/// Milliseconds for which a client may keep a list or a resource, whatever the server
/// says: policy may change what it shows, and Weir does not announce that.
pub const CACHE_TTL_MS_MAX: u64 = 60_000;

/// Milliseconds that a server may have a client wait before it comes back to a stream: an
/// hour. No number that is a value of anybody's is as small.
pub const RETRY_MS_MAX: u64 = 3_600_000;

/// Digits of the seconds that a server may have a client wait before it asks again: a day
/// has five.
pub const RETRY_AFTER_DIGITS_MAX: usize = 5;

/// Resources and tasks that one subscription may name: each is judged.
pub const SUBSCRIBED_MAX: usize = 256;

/// Requests for input that one result may carry: each is judged.
pub const INPUT_REQUESTS_MAX: usize = 64;

/// Bytes of a member of `_meta` that may differ with each attempt of a call: a `tracestate` may have
/// as many (W3C Trace Context, "tracestate Limits"), all others are names.
pub const ATTEMPT_BYTES_MAX: usize = 514;

/// Requests of one stream that may be unanswered at once: those of one POST.
pub const PENDING_PER_STREAM_MAX: usize = BATCH_MESSAGES_MAX;

/// Requests of one session of 2024-11-05 that may be unanswered at once: its one stream answers
/// all of them, and a client that runs dozens of agents has one session for each.
pub const PENDING_PER_SESSION_MAX: usize = 1024;

/// Digits of a chunk's size: 8 hexadecimal digits exceed every body that is accepted.
pub const CHUNK_SIZE_DIGITS_MAX: usize = 8;

/// Bytes of a tool's definition: what a person can be asked to read, and what a report to the
/// control plane carries. The largest seen in public servers is about 20 KiB.
pub const DEFINITION_BYTES_MAX: usize = 128 * 1024;

/// Bytes of a compiled `pattern` of a schema: what people write stays below 10 KiB, and a counted
/// repetition must not become a mountain.
pub const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// Bytes of all compiled patterns of a schema, which is kept as long as its tool: hundreds of those
/// that people write.
pub const PATTERNS_BYTES_MAX: usize = 512 * 1024;

/// Parts of a schema: real ones have hundreds, and each that is kept takes half a kilobyte.
pub const SCHEMA_PARTS_MAX: usize = 4096;

/// Parts that speak of the places of one message, in all: real schemas have a few hundred, and a
/// hostile one as many as a message has values, times its own parts.
pub const REACHED_PARTS_MAX: usize = 1 << 16;

/// What may be done to hold a message against a schema, whatever its size, in units of one part
/// that is looked at, some tens of nanoseconds.
pub const EFFORT_BASE: u64 = 1 << 20;

/// What may be done in addition for each value and name of it: time is in proportion to length.
pub const EFFORT_PER_VALUE: u64 = 32;

/// What may be done for the largest message: less than a second.
pub const EFFORT_MAX: u64 = 1 << 23;

/// Parts of a schema that are looked at to decide about one value. Schemas of real tools need
/// fewer than a hundred; one that refers to itself in many ways could need any number.
pub const SCHEMA_STEPS_MAX: u32 = 4096;

/// Parts of a schema within parts, followed for one value: what refers to itself ends here.
pub const SCHEMA_DEPTH_MAX: u32 = 64;

/// Values of a schema's own that are tried in place of one: of a longer `enum`, the first.
pub const PROPOSALS_MAX: usize = 64;
