//! Where a value of a wanted class could be: a superset of where one is.

use super::block::{BYTES, Block};
use super::class::{Class, ClassSet};

/// Bits of the bytes of a block and of the next one, so that patterns run over the edge.
struct Bits(u128);

impl Bits {
    /// The pattern `n` bytes on.
    const fn at(&self, n: u32) -> u128 {
        self.0 >> n
    }
}

/// What is looked up in a block: one set of bits per kind of byte that a wanted class needs.
#[derive(Clone, Copy, Default)]
struct Kinds {
    digit: u64,
    separator: u64,
    plus: u64,
    at: u64,
    upper: u64,
    jwt: [u64; 3],
    key: [u64; 10],
}

/// What is wanted of blocks.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    numbers: bool,
    phone: bool,
    email: bool,
    iban: bool,
    jwt: bool,
    key: bool,
}

impl Wanted {
    pub(super) fn new(classes: ClassSet) -> Self {
        let phone = classes.contains(Class::Phone);
        Self {
            numbers: phone || classes.contains(Class::Ssn) || classes.contains(Class::PaymentCard),
            phone,
            email: classes.contains(Class::Email),
            iban: classes.contains(Class::Iban),
            jwt: classes.contains(Class::Jwt),
            key: classes.contains(Class::ApiKey),
        }
    }

    fn kinds(self, bytes: &[u8; BYTES]) -> Kinds {
        let block = Block::new(bytes);
        let mut kinds = Kinds::default();
        if self.numbers || self.iban {
            kinds.digit = block.within(b'0', b'9');
        }
        if self.numbers {
            kinds.separator = block.within(b'-', b'.') | block.equal(b' ') | block.equal(b')');
        }
        if self.phone {
            kinds.plus = block.equal(b'+');
        }
        if self.email {
            kinds.at = block.equal(b'@');
        }
        if self.iban {
            kinds.upper = block.within(b'A', b'Z');
        }
        if self.jwt {
            kinds.jwt = [b'e', b'y', b'J'].map(|byte| block.equal(byte));
        }
        if self.key {
            kinds.key = [b'A', b'K', b'S', b'g', b'h', b's', b'k', b'x', b'o', b'i']
                .map(|byte| block.equal(byte));
        }
        kinds
    }

    /// Calls with every position at which something could be, in ascending order: for an
    /// e-mail address that of its `@`, for anything else its first character (a number's first
    /// digit or its `+`).
    pub(super) fn each(self, text: &[u8], mut call: impl FnMut(usize)) {
        let (blocks, rest) = text.as_chunks::<BYTES>();
        // Zero is part of no value.
        let mut last = [0; BYTES];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let mut blocks = blocks
            .iter()
            .chain(std::iter::once(&last))
            .map(|block| self.kinds(block))
            .peekable();
        let (mut start, mut digit_before) = (0, false);
        while let Some(kinds) = blocks.next() {
            let next = blocks.peek().copied().unwrap_or_default();
            let mut found = self.found(&kinds, &next, digit_before);
            while found != 0 {
                call(start + found.trailing_zeros() as usize);
                found &= found - 1;
            }
            digit_before = kinds.digit >> (BYTES - 1) != 0;
            start += BYTES;
        }
    }

    fn found(self, kinds: &Kinds, next: &Kinds, digit_before: bool) -> u64 {
        let bits = |low: u64, high: u64| Bits(u128::from(high) << 64 | u128::from(low));
        let digit = bits(kinds.digit, next.digit);
        let mut found = u128::from(kinds.at | kinds.plus);
        if self.numbers {
            // The shortest value, `ddd-dd-dddd`, is eleven digits and separators of which three
            // digits come first, and starts a run of digits.
            let starts = digit.0 & !(digit.0 << 1 | u128::from(digit_before));
            let body = bits(kinds.digit | kinds.separator, next.digit | next.separator);
            let two = body.0 & body.at(1);
            let four = two & two >> 2;
            let eleven = four & four >> 4 & four >> 7;
            found |= starts & digit.at(1) & digit.at(2) & eleven;
        }
        if self.iban {
            let upper = bits(kinds.upper, next.upper);
            found |= upper.0 & upper.at(1) & digit.at(2) & digit.at(3);
        }
        if self.jwt {
            let [e, y, j] = [0, 1, 2].map(|index| pair(&kinds.jwt, &next.jwt, index));
            found |= e & y >> 1 & j >> 2;
        }
        if self.key {
            let [a, k, s, g, h, low_s, low_k, x, o, i] =
                [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|index| pair(&kinds.key, &next.key, index));
            // AKIA, ASIA, ghp_, github_pat_, sk-, xoxb-
            found |= a & (k | s) >> 1 | g & (h | i) >> 1 | low_s & low_k >> 1 | x & o >> 1;
        }
        // The low half is this block.
        u64::try_from(found & u128::from(u64::MAX)).unwrap_or(u64::MAX)
    }
}

fn pair<const N: usize>(low: &[u64; N], high: &[u64; N], index: usize) -> u128 {
    let of = |set: &[u64; N]| u128::from(set.get(index).copied().unwrap_or_default());
    of(high) << 64 | of(low)
}
