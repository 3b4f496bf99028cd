use jiff::{Timestamp, tz::TimeZone};
use weir_facts::Now;

/// Whether the host's clock may decide anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClockTrust {
    /// The control plane finds it right.
    Trusted,
    /// The control plane finds it skewed, or nobody could tell: a policy that reads the clock
    /// errors, and what errors is denied.
    Skewed,
}

/// The time as policies see it, in a connection's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WallClock {
    /// 1 is Monday, 7 is Sunday (ISO 8601).
    pub(crate) weekday: i64,
    /// 0 to 23.
    pub(crate) hour: i64,
}

impl WallClock {
    /// `None` where the instant is out of the calendar's range.
    pub(crate) fn at(now: Now, zone: &TimeZone) -> Option<Self> {
        let micros = i64::try_from(now.unix_us).ok()?;
        let local = Timestamp::from_microsecond(micros)
            .ok()?
            .to_zoned(zone.clone());
        Some(Self {
            weekday: i64::from(local.weekday().to_monday_one_offset()),
            hour: i64::from(local.hour()),
        })
    }
}
