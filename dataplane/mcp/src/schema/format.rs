//! `format`, where validators check it: those of the TypeScript SDK do.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A format that is checked. Others are annotations (JSON Schema Validation, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Date,
    Time,
    DateTime,
    Duration,
    Email,
    Uri,
    UriReference,
    Uuid,
    Ipv4,
    Ipv6,
    Hostname,
}

impl Format {
    pub(super) fn read(name: &str) -> Option<Self> {
        Some(match name {
            "date" => Self::Date,
            "time" => Self::Time,
            "date-time" => Self::DateTime,
            "duration" => Self::Duration,
            "email" | "idn-email" => Self::Email,
            "uri" | "iri" | "url" => Self::Uri,
            "uri-reference" | "iri-reference" => Self::UriReference,
            "uuid" => Self::Uuid,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "hostname" | "idn-hostname" => Self::Hostname,
            _ => return None,
        })
    }

    /// A value that has it and says nothing.
    pub(super) const fn nothing(self) -> &'static str {
        match self {
            Self::Date => "1970-01-01",
            Self::Time => "00:00:00Z",
            Self::DateTime => "1970-01-01T00:00:00Z",
            Self::Duration => "PT0S",
            Self::Email => "masked@masked.invalid",
            Self::Uri => "https://masked.invalid/",
            Self::UriReference => "/",
            Self::Uuid => "00000000-0000-0000-0000-000000000000",
            Self::Ipv4 => "0.0.0.0",
            Self::Ipv6 => "::",
            Self::Hostname => "masked.invalid",
        }
    }

    /// Whether a text surely has it: of what validators dispute, nothing has.
    pub(super) fn has(self, text: &str) -> bool {
        match self {
            Self::Date => is_date(text),
            Self::Time => is_time(text),
            Self::DateTime => text
                .split_once(['T', 't'])
                .is_some_and(|(date, time)| is_date(date) && is_time(time)),
            Self::Duration => text == self.nothing(),
            Self::Email => is_email(text),
            Self::Uri => is_uri(text),
            Self::UriReference => text == self.nothing() || is_uri(text),
            Self::Uuid => is_uuid(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Hostname => is_hostname(text),
        }
    }
}

/// Numbers of these widths with these separators between them, and nothing else.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[u32; N]> {
    let mut parts = text.split(separator);
    let mut found = [0; N];
    for (slot, width) in found.iter_mut().zip(widths) {
        let part = parts.next()?;
        let is_number = part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit());
        *slot = part.parse().ok().filter(|_| is_number)?;
    }
    parts.next().is_none().then_some(found)
}

fn is_date(text: &str) -> bool {
    let Some([year, month, day]) = numbers(text, '-', [4, 2, 2]) else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap),
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// With a zone, as RFC 3339 has it; no leap seconds.
fn is_time(text: &str) -> bool {
    let (clock, zone) = match text.find(['Z', 'z', '+', '-']) {
        Some(at) => text.split_at_checked(at).unwrap_or_default(),
        None => return false,
    };
    let whole = match clock.split_once('.') {
        Some((_, part)) if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) => {
            return false;
        }
        Some((whole, _)) => whole,
        None => clock,
    };
    let is_clock = numbers(whole, ':', [2, 2, 2])
        .is_some_and(|[hour, minute, second]| hour < 24 && minute < 60 && second < 60);
    let is_zone = matches!(zone, "Z" | "z")
        || zone
            .strip_prefix(['+', '-'])
            .and_then(|zone| numbers(zone, ':', [2, 2]))
            .is_some_and(|[hour, minute]| hour < 24 && minute < 60);
    is_clock && is_zone
}

fn is_email(text: &str) -> bool {
    let is_atom = |atom: &str| {
        let of_atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&b);
        !atom.is_empty() && atom.bytes().all(of_atom)
    };
    text.split_once('@').is_some_and(|(local, domain)| {
        local.split('.').all(is_atom) && domain.contains('.') && is_hostname(domain)
    })
}

fn is_hostname(text: &str) -> bool {
    let is_label = |label: &str| {
        let of_label = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(of_label)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A scheme, a host and unreserved characters: any validator takes that.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let of_path = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    matches!(scheme, "http" | "https") && is_hostname(host) && path.bytes().all(of_path)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
