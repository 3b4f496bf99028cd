use std::fmt;

use crate::limits::{RATE_COUNT_MAX, RATE_WINDOW_S_MAX};

/// How often something may be done: `20/1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// So many times, at least once.
    pub count: u32,
    /// Within so many seconds, any that follow each other.
    pub window_s: u32,
}

impl Rate {
    /// Reads `20/1h`: a count, and a duration as in `@expires`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "@rate({text:?}) must be like \"20/1h\": 1 to {RATE_COUNT_MAX} times within at most 1d"
            )
        };
        let (count, window) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.parse::<u32>().ok();
        let window_s = seconds(window).filter(|window| (1..=RATE_WINDOW_S_MAX).contains(window));
        match (
            count.filter(|count| (1..=RATE_COUNT_MAX).contains(count)),
            window_s,
        ) {
            (Some(count), Some(window_s)) => Ok(Self { count, window_s }),
            _ => Err(wrong()),
        }
    }

    /// Whether this allows more in the long run.
    fn exceeds(self, other: Self) -> bool {
        let (ours, theirs) = (
            u64::from(self.count) * u64::from(other.window_s),
            u64::from(other.count) * u64::from(self.window_s),
        );
        ours > theirs
    }

    /// Of two permits that both apply, the one that allows more.
    pub(crate) fn or(self, other: Self) -> Self {
        if other.exceeds(self) { other } else { self }
    }

    /// Of two things that are both asked, the one that is allowed less.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self.exceeds(other) { other } else { self }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} within {}", self.count, duration(self.window_s))
    }
}

/// `90s`, `30m`, `2h`, `1d`.
pub(crate) fn seconds(text: &str) -> Option<u32> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    digits.parse::<u32>().ok()?.checked_mul(unit)
}

/// The largest unit that divides a duration.
fn duration(seconds: u32) -> String {
    for (unit, name) in [(24 * 3600, "d"), (3600, "h"), (60, "m")] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_and_a_time() {
        for (text, count, window_s) in [("20/1h", 20, 3600), ("1/1s", 1, 1), ("5/90m", 5, 5400)] {
            let rate = Rate::parse(text).expect(text);
            assert_eq!(rate, Rate { count, window_s }, "{text}");
        }
        for text in [
            "", "20", "20/", "/1h", "0/1h", "-1/1h", "1/0s", "1/2d", "10001/1h", "1/1w", "1/h",
        ] {
            assert!(Rate::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            Rate::parse("5/90m").expect("valid").to_string(),
            "5 within 90m"
        );
    }

    #[test]
    fn the_stricter_of_two_rates_allows_less_in_the_long_run() {
        let (fast, slow) = (
            Rate::parse("2/1m").expect("valid"),
            Rate::parse("50/1h").expect("valid"),
        );
        assert_eq!((fast.and(slow), slow.and(fast)), (slow, slow));
        assert_eq!((fast.or(slow), slow.or(fast)), (fast, fast));
    }
}
