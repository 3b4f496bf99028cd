//! How large a bundle and a question may be.

/// Bytes of one file of a bundle: forty times the largest policy file we know of.
pub const FILE_BYTES_MAX: usize = 4 << 20;

/// Files in a bundle.
pub const FILES_MAX: usize = 4096;

/// Policies in a bundle: parsing and strict validation of these takes about ten seconds.
pub const POLICIES_MAX: usize = 20_000;

/// Faults that one report lists: enough to mend in one go, little enough to read.
pub const FAULTS_MAX: usize = 50;

/// Arguments of a tool that policies see, inner nodes included; a call with more is denied.
pub const ARGUMENTS_MAX: usize = 1024;

/// Depth of a tool's arguments; a call with deeper ones is denied.
pub const ARGUMENT_DEPTH_MAX: usize = 32;

/// Accesses of one operation. A statement that touches more relations than this is denied.
pub const ACCESSES_MAX: usize = 4096;

/// Longest time that a request for approval may stay open, in seconds: a working week.
pub const EXPIRES_S_MAX: u32 = 7 * 24 * 3600;

/// Time that a request stays open where the policy does not say, in seconds.
pub const EXPIRES_S_DEFAULT: u32 = 30 * 60;

/// Most people that a quorum may ask of one group.
pub const QUORUM_MAX: u8 = 10;

/// Most times that a rate may allow within its window: each is remembered for that long.
pub const RATE_COUNT_MAX: u32 = 10_000;

/// Longest window of a rate, in seconds: a day.
pub const RATE_WINDOW_S_MAX: u32 = 24 * 3600;

/// A scope of a token, in bytes: providers' own are below 100, some as long as a URL.
pub(crate) const SCOPE_BYTES_MAX: usize = 200;
