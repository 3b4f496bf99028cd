//! The wall clock, read at the edge.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix seconds, as the store keeps them.
pub(crate) fn now() -> i64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    i64::try_from(elapsed).unwrap_or(i64::MAX)
}

/// A time or a count of the store as the interfaces carry it; what is negative is nothing.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A time or a count of an interface as the store keeps it.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
