//! The worker's clock: read once per turn, handed to cores as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use weir_facts::Now;

use super::sys;

/// The time now.
pub(crate) fn now() -> Now {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Now {
        mono_ns: sys::monotonic_ns(),
        unix_us: u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX),
    }
}
