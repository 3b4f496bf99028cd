//! Sizes that both planes agree on.

/// Bytes of one gRPC message in either direction: a world with a few thousand accounts
/// and policies is under 4 MiB; four times that leaves room and still bounds memory.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Bytes of leaves in one [`crate::v1::Leaves`]: about 250 leaves of the 4 KiB that the
/// log allows, so that an approval never waits long behind shipping.
pub const LEAVES_BYTES_MAX: usize = 1 << 20;

/// Leaves in one [`crate::v1::Leaves`], however small they are: one transaction of the store.
pub const LEAVES_COUNT_MAX: usize = 4096;

/// Bytes of an operation's text in an approval request: what a person can read.
pub const OPERATION_BYTES_MAX: usize = 16 << 10;

/// Definitions in one [`crate::v1::ToolsSeen`], each of up to 128 KiB: what fits in a message with
/// room to spare.
pub const TOOLS_PER_REPORT_MAX: usize = 64;

/// Bytes of a tool's name: what the MCP core reads.
pub const TOOL_NAME_BYTES_MAX: usize = 2048;

/// Bytes of a tool's definition that people can be shown.
pub const TOOL_DEFINITION_BYTES_MAX: usize = 128 << 10;

/// Seconds for which an update is fresh; it is signed again at half of it, so a control
/// plane may be away for half a day before [`crate::v1::Settings::stale`] applies.
pub const FRESH_S: u64 = 24 * 3600;

/// Seconds that an approval may be open at most: a week, so that a forgotten request ends.
pub const APPROVAL_EXPIRES_S_MAX: u32 = 7 * 24 * 3600;

/// Seconds in which an approved operation must run: long enough for a client that was
/// told to come back, short enough that the approval still means this moment.
pub const EXECUTION_EXPIRES_S: u64 = 15 * 60;
