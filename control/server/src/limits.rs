//! Sizes and times of the control plane, each with its reason.

/// Bytes of an HTTP request's body: a bundle of a few thousand policies, and a certificate chain.
pub(crate) const BODY_BYTES_MAX: usize = 8 << 20;

/// Bytes of a name of an account, group, connection, node or workload: what fits in one
/// line of a table, and in PostgreSQL's 63-byte identifiers.
pub(crate) const NAME_BYTES_MAX: usize = 63;

/// Bytes of free text: a reason, a message, a label.
pub(crate) const TEXT_BYTES_MAX: usize = 4 << 10;

/// Items of a list in one request: groups of an account, addresses of a connection.
pub(crate) const LIST_MAX: usize = 256;

/// Rows of one answer; the rest is asked for with a cursor.
pub(crate) const PAGE_MAX: u32 = 500;

/// Records that the calls of one page caused in other sessions: a few per call.
pub(crate) const CAUSED_MAX: u32 = 5000;

/// Groups × quorum of one approval: people that one operation can wait for. Keeps the
/// matching of people to groups small.
pub(crate) const QUORUM_SLOTS_MAX: usize = 64;

/// Requests for approval that one node may have open: a client in a loop must not fill the store.
pub(crate) const APPROVALS_OPEN_MAX: i64 = 1000;

/// Tools of one connection: as many as a data plane keeps apart.
pub(crate) const TOOLS_MAX: i64 = 4096;

/// Hexadecimal digits by which a definition is named at least: 64 bits, so that a server cannot make
/// another one with the same.
pub(crate) const DEFINITION_DIGITS_MIN: usize = 16;

/// Messages queued for one node; a node that does not read this many is disconnected and
/// gets what it missed when it is back.
pub(crate) const OUTBOUND_MAX: usize = 256;

/// Seconds of a token's life at most: a year.
pub(crate) const TOKEN_LIFE_S_MAX: u64 = 366 * 24 * 3600;

/// Seconds of life of the token that `init` prints: long enough to make one's own.
pub(crate) const TOKEN_LIFE_S_FIRST: u64 = 7 * 24 * 3600;

/// Seconds for which decided requests are told again to a node that reconnects.
pub(crate) const DECISIONS_RETOLD_S: i64 = 3600;

/// Seconds that a node's clock may differ from ours before what depends on time is denied
/// there: well above a slow network, well below a policy's shortest window.
pub(crate) const CLOCK_SKEW_S_MAX: i64 = 30;

/// Seconds within which a stream must say Hello.
pub(crate) const HELLO_S_MAX: u64 = 10;

/// Seconds that a shutdown waits for requests under way.
pub(crate) const DRAIN_S_MAX: u64 = 5;

/// Iterations of SCRAM's PBKDF2: PostgreSQL's default. The secrets are ours, with 160 bits
/// of randomness, so stretching adds nothing that a guess could notice.
pub(crate) const SCRAM_ITERATIONS: u32 = 4096;

/// Bytes of tools' definitions in one world, over all connections: a quarter of the largest message,
/// which hundreds of servers with dozens of tools do not fill.
pub(crate) const DEFINITIONS_BYTES_MAX: usize = 4 << 20;
