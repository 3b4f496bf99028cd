//! How much the detectors look at.

/// Longest run, in bytes, that any one detected value is followed to: a JWT with a large
/// payload. What is longer is reported up to here, and the rest on the next look.
pub const VALUE_BYTES_MAX: usize = 8192;
