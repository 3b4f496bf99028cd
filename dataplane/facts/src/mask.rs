use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// How a masked value is shown. Spelled in policies as `@mask("keep_last:4")`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MaskRule {
    /// `keep_first:N`: every character but the first N becomes `*`.
    KeepFirst(u8),
    /// `keep_last:N`: every character but the last N becomes `*`.
    KeepLast(u8),
    /// `redact`: every character becomes `*`, so that only the length is told.
    Redact,
    /// `null`: the value is absent.
    Null,
    /// `hash`: a keyed hash, equal for equal values of one connection.
    Hash,
    /// `fixed:TEXT`: always TEXT.
    Fixed(Arc<str>),
    /// `partial_email`: the first character of the local part and the domain stay.
    PartialEmail,
    /// `date_year`: the year of a date stays, as its first of January.
    DateYear,
    /// `digits`: each digit is replaced by a keyed digit; everything else stays.
    Digits,
}

/// A mask rule that is spelled wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskRuleError(String);

impl fmt::Display for MaskRuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown mask {:?}; known are keep_first:N, keep_last:N, redact, null, hash, fixed:TEXT, partial_email, date_year, digits",
            self.0
        )
    }
}

impl std::error::Error for MaskRuleError {}

impl FromStr for MaskRule {
    type Err = MaskRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || MaskRuleError(text.to_owned());
        let count = |digits: &str| digits.parse::<u8>().map_err(|_| wrong());
        match text.split_once(':') {
            Some(("keep_first", n)) => Ok(Self::KeepFirst(count(n)?)),
            Some(("keep_last", n)) => Ok(Self::KeepLast(count(n)?)),
            Some(("fixed", shown)) => Ok(Self::Fixed(shown.into())),
            Some(_) => Err(wrong()),
            None => match text {
                "redact" => Ok(Self::Redact),
                "null" => Ok(Self::Null),
                "hash" => Ok(Self::Hash),
                "partial_email" => Ok(Self::PartialEmail),
                "date_year" => Ok(Self::DateYear),
                "digits" => Ok(Self::Digits),
                _ => Err(wrong()),
            },
        }
    }
}

impl fmt::Display for MaskRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepFirst(n) => write!(f, "keep_first:{n}"),
            Self::KeepLast(n) => write!(f, "keep_last:{n}"),
            Self::Redact => f.write_str("redact"),
            Self::Null => f.write_str("null"),
            Self::Hash => f.write_str("hash"),
            Self::Fixed(shown) => write!(f, "fixed:{shown}"),
            Self::PartialEmail => f.write_str("partial_email"),
            Self::DateYear => f.write_str("date_year"),
            Self::Digits => f.write_str("digits"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_reads_back_what_it_writes() {
        for text in [
            "keep_first:1",
            "keep_last:4",
            "redact",
            "null",
            "hash",
            "fixed:n/a: no",
            "partial_email",
            "date_year",
            "digits",
        ] {
            assert_eq!(text.parse::<MaskRule>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn a_misspelled_rule_is_refused() {
        for text in [
            "",
            "keep_last",
            "keep_last:",
            "keep_last:256",
            "keep_last:-1",
            "Redact",
            "fix:x",
        ] {
            assert!(text.parse::<MaskRule>().is_err(), "{text:?}");
        }
    }
}
