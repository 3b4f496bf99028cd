//! Masks of integers and of `numeric`.

use weir_facts::MaskRule;

use super::Format;
use super::kind::Width;
use super::scalar::fixed;
use crate::MaskKey;

pub(super) fn integer(
    rule: &MaskRule,
    key: &MaskKey,
    width: Width,
    format: Format,
    value: &[u8],
) -> Option<Vec<u8>> {
    let shown: i64 = match rule {
        MaskRule::Digits => {
            let number = match format {
                Format::Text => in_range(width, str::from_utf8(value).ok()?.parse().ok()?)?,
                Format::Binary => decoded(width, value)?,
            };
            pseudonym(key, width, number)?
        }
        other => in_range(width, fixed(other)?.parse().ok()?)?,
    };
    match format {
        Format::Text => Some(shown.to_string().into_bytes()),
        Format::Binary => encoded(width, shown),
    }
}

/// Digits of the same count and sign. One that would not fit starts with 1 instead: of each type's
/// longest numbers those that start with 1 all fit.
fn pseudonym(key: &MaskKey, width: Width, number: i64) -> Option<i64> {
    let mut text = number.to_string().into_bytes();
    masked_decimal(key, &mut text);
    let parsed = |text: &[u8]| in_range(width, str::from_utf8(text).ok()?.parse().ok()?);
    parsed(&text).or_else(|| {
        let first = text.iter_mut().find(|byte| byte.is_ascii_digit())?;
        *first = b'1';
        parsed(&text)
    })
}

fn in_range(width: Width, number: i64) -> Option<i64> {
    let fits = match width {
        Width::Int2 => i16::try_from(number).is_ok(),
        Width::Int4 => i32::try_from(number).is_ok(),
        Width::Int8 => true,
        Width::Oid => u32::try_from(number).is_ok(),
    };
    fits.then_some(number)
}

fn decoded(width: Width, value: &[u8]) -> Option<i64> {
    Some(match width {
        Width::Int2 => i64::from(i16::from_be_bytes(value.try_into().ok()?)),
        Width::Int4 => i64::from(i32::from_be_bytes(value.try_into().ok()?)),
        Width::Int8 => i64::from_be_bytes(value.try_into().ok()?),
        Width::Oid => i64::from(u32::from_be_bytes(value.try_into().ok()?)),
    })
}

fn encoded(width: Width, number: i64) -> Option<Vec<u8>> {
    Some(match width {
        Width::Int2 => i16::try_from(number).ok()?.to_be_bytes().to_vec(),
        Width::Int4 => i32::try_from(number).ok()?.to_be_bytes().to_vec(),
        Width::Int8 => number.to_be_bytes().to_vec(),
        Width::Oid => u32::try_from(number).ok()?.to_be_bytes().to_vec(),
    })
}

/// Replaces the digits of a decimal number: leading zeros stay, and the first digit after them
/// becomes none, so that the number keeps its length.
fn masked_decimal(key: &MaskKey, text: &mut [u8]) {
    let original = text.to_vec();
    let mut fresh = key.digits(&original);
    let mut significant = text
        .iter_mut()
        .filter(|byte| byte.is_ascii_digit())
        .skip_while(|byte| **byte == b'0');
    if let (Some(first), Some(digit)) = (significant.next(), fresh.find(|digit| *digit != 0)) {
        *first = b'0' + digit;
    }
    for (place, digit) in significant.zip(fresh) {
        *place = b'0' + digit;
    }
}

pub(super) fn numeric(
    rule: &MaskRule,
    key: &MaskKey,
    format: Format,
    value: &[u8],
) -> Option<Vec<u8>> {
    let shown = match (rule, format) {
        (MaskRule::Digits, Format::Text) => masked_text(key, value.to_vec())?,
        (MaskRule::Digits, Format::Binary) => masked_text(key, Decimal::decoded(value)?.written())?,
        (other, _) => {
            let constant = fixed(other)?.as_bytes().to_vec();
            is_decimal(&constant).then_some(constant)?
        }
    };
    match format {
        Format::Text => Some(shown),
        Format::Binary => Decimal::parsed(&shown)?.encoded(),
    }
}

fn masked_text(key: &MaskKey, mut text: Vec<u8>) -> Option<Vec<u8>> {
    if !is_decimal(&text) {
        return None;
    }
    masked_decimal(key, &mut text);
    Some(text)
}

/// `-?digits(.digits)?`, which is what the server writes for anything but NaN and infinities.
fn is_decimal(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = unsigned.splitn(2, |byte| *byte == b'.');
    parts.next().is_some_and(digits) && parts.next().is_none_or(digits)
}

/// Digits before and after the point that `numeric` can have; more is nobody's number.
const WHOLE_DIGITS_MAX: usize = 131_072;
const FRACTION_DIGITS_MAX: usize = 16_383;

/// A finite `numeric` as `numeric_send` writes it: groups of four decimal digits.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    /// Digits before the point, without leading zeros; after it, as many as the scale says.
    whole: Vec<u8>,
    fraction: Vec<u8>,
}

const NEGATIVE: u16 = 0x4000;

impl Decimal {
    /// `ndigits, weight, sign, dscale`, then the groups, each 0 to 9999; all big-endian 16 bits.
    fn decoded(value: &[u8]) -> Option<Self> {
        let (words, rest) = value.as_chunks::<2>();
        let (head, groups) = words.split_first_chunk::<4>()?;
        let [count, weight, sign, scale] = head.map(u16::from_be_bytes);
        let groups: Vec<u16> = groups
            .iter()
            .map(|group| u16::from_be_bytes(*group))
            .collect();
        let weight = i32::from(i16::from_be_bytes(weight.to_be_bytes()));
        let scale = usize::from(scale);
        let sane = rest.is_empty()
            && groups.len() == usize::from(count)
            && groups.iter().all(|group| *group < 10_000)
            && matches!(sign, 0 | NEGATIVE)
            && scale <= FRACTION_DIGITS_MAX
            && i64::from(weight) * 4 < WHOLE_DIGITS_MAX as i64;
        if !sane {
            return None;
        }
        let group = |index: i32| {
            usize::try_from(index)
                .ok()
                .and_then(|index| groups.get(index))
                .copied()
                .unwrap_or(0)
        };
        let digits = |range: std::ops::Range<i32>| -> Vec<u8> {
            range
                .flat_map(|index| format!("{:04}", group(index)).into_bytes())
                .collect()
        };
        let whole = digits(0..weight + 1);
        let first = whole
            .iter()
            .position(|digit| *digit != b'0')
            .unwrap_or(whole.len());
        let places = i32::try_from(scale.div_ceil(4)).ok()?;
        let mut fraction = digits(weight + 1..weight + 1 + places);
        fraction.truncate(scale);
        Some(Self {
            negative: sign == NEGATIVE,
            whole: whole.get(first..)?.to_vec(),
            fraction,
        })
    }

    fn written(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.whole.len() + self.fraction.len() + 3);
        if self.negative {
            text.push(b'-');
        }
        text.extend_from_slice(if self.whole.is_empty() {
            b"0"
        } else {
            &self.whole
        });
        if !self.fraction.is_empty() {
            text.push(b'.');
            text.extend_from_slice(&self.fraction);
        }
        text
    }

    fn parsed(text: &[u8]) -> Option<Self> {
        if !is_decimal(text) {
            return None;
        }
        let (negative, unsigned) = text
            .strip_prefix(b"-")
            .map_or((false, text), |rest| (true, rest));
        let mut parts = unsigned.splitn(2, |byte| *byte == b'.');
        let whole = parts.next()?;
        let fraction = parts.next().unwrap_or_default().to_vec();
        let first = whole
            .iter()
            .position(|digit| *digit != b'0')
            .unwrap_or(whole.len());
        let whole = whole.get(first..)?.to_vec();
        let fits = whole.len() <= WHOLE_DIGITS_MAX && fraction.len() <= FRACTION_DIGITS_MAX;
        fits.then_some(Self {
            negative,
            whole,
            fraction,
        })
    }

    fn encoded(&self) -> Option<Vec<u8>> {
        let padded = self.whole.len().next_multiple_of(4);
        let mut digits = vec![b'0'; padded - self.whole.len()];
        digits.extend_from_slice(&self.whole);
        digits.extend_from_slice(&self.fraction);
        digits.resize(digits.len().next_multiple_of(4), b'0');
        let (fours, _) = digits.as_chunks::<4>();
        let mut groups: Vec<u16> = fours
            .iter()
            .map(|four| {
                four.iter()
                    .fold(0, |all, digit| all * 10 + u16::from(digit - b'0'))
            })
            .collect();
        let mut weight = i32::try_from(padded / 4).ok()? - 1;
        // The server strips groups of zeros at both ends.
        while groups.last() == Some(&0) {
            groups.pop();
        }
        let zeros = groups.iter().take_while(|group| **group == 0).count();
        groups.drain(..zeros);
        weight -= i32::try_from(zeros).ok()?;
        let is_zero = groups.is_empty();
        let head = [
            u16::try_from(groups.len()).ok()?,
            u16::from_be_bytes(
                i16::try_from(if is_zero { 0 } else { weight })
                    .ok()?
                    .to_be_bytes(),
            ),
            if self.negative && !is_zero {
                NEGATIVE
            } else {
                0
            },
            u16::try_from(self.fraction.len()).ok()?,
        ];
        Some(
            head.into_iter()
                .chain(groups)
                .flat_map(u16::to_be_bytes)
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn numerics_are_read_and_written_as_the_server_does() {
        for (text, wire) in [
            ("0", vec![0, 0, 0, 0]),
            ("0.00", vec![0, 0, 0, 2]),
            ("1", vec![1, 0, 0, 0, 1]),
            ("-1", vec![1, 0, NEGATIVE, 0, 1]),
            ("10000", vec![1, 1, 0, 0, 1]),
            ("1000000", vec![1, 1, 0, 0, 100]),
            ("0.05", vec![1, 0xffff, 0, 2, 500]),
            ("0.00005", vec![1, 0xfffe, 0, 5, 5000]),
            ("12345.678", vec![3, 1, 0, 3, 1, 2345, 6780]),
        ] {
            let wire = words(&wire);
            assert_eq!(
                Decimal::decoded(&wire).expect(text).written(),
                text.as_bytes(),
                "{text}"
            );
            assert_eq!(
                Decimal::parsed(text.as_bytes())
                    .expect(text)
                    .encoded()
                    .expect(text),
                wire,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_finite_numeric_is_not_read() {
        // NaN, infinity, a group too large, a count too large, half a word, nothing
        for wire in [
            words(&[0, 0, 0xc000, 0]),
            words(&[0, 0, 0xd000, 0]),
            words(&[1, 0, 0, 0, 10_000]),
            words(&[2, 0, 0, 0, 1]),
            vec![0, 0, 0, 0, 0, 0, 0, 0, 1],
            Vec::new(),
        ] {
            assert_eq!(Decimal::decoded(&wire), None);
        }
        for text in ["", "-", ".5", "5.", "1e5", "NaN", "Infinity", "+1", "1.2.3"] {
            assert!(!is_decimal(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_numeric_survives_both_ways(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?") {
            let decimal = Decimal::parsed(text.as_bytes()).expect("decimal");
            let again = Decimal::decoded(&decimal.encoded().expect("encodes")).expect("decodes");
            prop_assert_eq!(&again.whole, &decimal.whole);
            prop_assert_eq!(&again.fraction, &decimal.fraction);
        }

        #[test]
        fn no_bytes_make_it_panic(wire: Vec<u8>) {
            let _ = Decimal::decoded(&wire).map(|decimal| decimal.written());
        }

        #[test]
        fn text_and_binary_agree_on_digits(number: i64) {
            let key = MaskKey::new([7; 32]);
            let text = integer(&MaskRule::Digits, &key, Width::Int8, Format::Text, number.to_string().as_bytes());
            let binary = integer(&MaskRule::Digits, &key, Width::Int8, Format::Binary, &number.to_be_bytes());
            let text: i64 = String::from_utf8(text.expect("text")).expect("UTF-8").parse().expect("number");
            prop_assert_eq!(text.to_be_bytes().to_vec(), binary.expect("binary"));
            prop_assert_eq!(text.to_string().len(), number.to_string().len());
        }
    }
}
