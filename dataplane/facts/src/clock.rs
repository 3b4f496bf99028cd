/// The time of a call into a core, read once by the shell. Cores own no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds of a monotonic clock; only differences mean anything.
    pub mono_ns: u64,
    /// Microseconds since the Unix epoch, for records and for expiry of what people granted.
    pub unix_us: u64,
}
