//! Masks of dates and timestamps.

use weir_facts::MaskRule;

use super::Format;
use super::kind::Kind;
use super::scalar::fixed;

/// `YYYY-MM-DD`.
pub(super) const ISO_DATE_BYTES: usize = 10;

/// The first year in which Postgres counts days and microseconds from.
const EPOCH_YEAR: i64 = 2000;
const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// The year's digits of a text that starts with an ISO 8601 date and goes on with nothing or with
/// a time. Other styles of dates are not read.
pub(super) fn iso_year(text: &[u8]) -> Option<&[u8]> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (year, rest) = text.split_at_checked(digits)?;
    let ([d1, m1, m2, d2, a, b], rest) = rest.split_first_chunk()?;
    let is_date =
        [m1, m2, a, b].iter().all(|byte| byte.is_ascii_digit()) && *d1 == b'-' && *d2 == b'-';
    let goes_on = matches!(rest.first(), None | Some(b' ' | b'T'));
    (is_date && goes_on && (4..=6).contains(&digits)).then_some(year)
}

fn is_bc(text: &[u8]) -> bool {
    text.ends_with(b" BC")
}

fn keeps_year(rule: &MaskRule) -> bool {
    *rule == MaskRule::DateYear
}

pub(super) fn date(rule: &MaskRule, format: Format, value: &[u8]) -> Option<Vec<u8>> {
    match format {
        Format::Text if keeps_year(rule) => {
            let mut shown = iso_year(value)?.to_vec();
            shown.extend_from_slice(b"-01-01");
            shown.extend_from_slice(if is_bc(value) { b" BC" } else { b"" });
            Some(shown)
        }
        Format::Text => constant(fixed(rule)?).map(|_| fixed(rule).unwrap_or_default().into()),
        Format::Binary if keeps_year(rule) => {
            let days = i32::from_be_bytes(value.try_into().ok()?);
            let shown = new_year(year_of(i64::from(finite(days, i32::MIN, i32::MAX)?)));
            Some(i32::try_from(shown).ok()?.to_be_bytes().to_vec())
        }
        Format::Binary => Some(
            i32::try_from(constant(fixed(rule)?)?)
                .ok()?
                .to_be_bytes()
                .to_vec(),
        ),
    }
}

pub(super) fn timestamp(
    rule: &MaskRule,
    kind: Kind,
    format: Format,
    value: &[u8],
) -> Option<Vec<u8>> {
    if !keeps_year(rule) {
        return None;
    }
    match format {
        Format::Text => {
            let mut shown = iso_year(value)?.to_vec();
            shown.extend_from_slice(b"-01-01 00:00:00");
            // The original's offset would tell the season.
            shown.extend_from_slice(if kind == Kind::TimestampTz {
                b"+00"
            } else {
                b""
            });
            shown.extend_from_slice(if is_bc(value) { b" BC" } else { b"" });
            Some(shown)
        }
        Format::Binary => {
            let micros = finite(
                i64::from_be_bytes(value.try_into().ok()?),
                i64::MIN,
                i64::MAX,
            )?;
            let shown = new_year(year_of(micros.div_euclid(DAY_US))).checked_mul(DAY_US)?;
            Some(shown.to_be_bytes().to_vec())
        }
    }
}

/// Both infinities are the ends of the range.
fn finite<T: PartialEq>(value: T, least: T, greatest: T) -> Option<T> {
    (value != least && value != greatest).then_some(value)
}

/// Days from 2000-01-01 to the first of January of a year, in the Gregorian calendar without end.
fn new_year(year: i64) -> i64 {
    // Years before this one, and of those every fourth has a day more, but for centuries.
    let leaps = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    (year - EPOCH_YEAR) * 365 + leaps(year - 1) - leaps(EPOCH_YEAR - 1)
}

/// The year that a day since 2000-01-01 falls into.
fn year_of(days: i64) -> i64 {
    // 400 years have 146,097 days; the estimate is off by at most one.
    let estimate = EPOCH_YEAR + (days * 400).div_euclid(146_097);
    if days < new_year(estimate) {
        estimate - 1
    } else if days >= new_year(estimate + 1) {
        estimate + 1
    } else {
        estimate
    }
}

/// `YYYY-MM-DD` of the calendar as days since 2000-01-01.
fn constant(text: &str) -> Option<i64> {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    const DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if text.len() != ISO_DATE_BYTES {
        return None;
    }
    iso_year(text.as_bytes())?;
    let number = |range| {
        text.get(range)
            .and_then(|digits: &str| digits.parse::<i64>().ok())
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let index = usize::try_from(month.checked_sub(1)?).ok()?;
    let leap = i64::from(new_year(year + 1) - new_year(year) == 366);
    let days = DAYS.get(index)? + if month == 2 { leap } else { 0 };
    let before = BEFORE.get(index)? + if month > 2 { leap } else { 0 };
    (year >= 1 && (1..=days).contains(&day)).then(|| new_year(year) + before + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_since_2000_are_counted_as_the_server_counts_them() {
        for (text, days) in [
            ("2000-01-01", 0),
            ("1999-12-31", -1),
            ("2000-03-01", 60),
            ("1970-01-01", -10_957),
            ("2024-02-29", 8_825),
            ("1900-03-01", -36_465),
            ("0001-01-01", -730_119),
        ] {
            assert_eq!(constant(text), Some(days), "{text}");
        }
        for text in [
            "2023-02-29",
            "1900-02-29",
            "2000-13-01",
            "2000-00-01",
            "2000-01-00",
            "0000-01-01",
            "2000-1-1",
        ] {
            assert_eq!(constant(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_day_is_within_its_year(days in -2_500_000_i64..110_000_000) {
            let year = year_of(days);
            proptest::prop_assert!(new_year(year) <= days && days < new_year(year + 1));
        }
    }
}
