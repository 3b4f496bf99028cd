//! 64 bytes at a time, one bit per byte.
//!
//! On x86-64 by SSE2, which is part of it; elsewhere by a plain loop. Both are tested against each
//! other.

/// Bytes that one look takes in: the bits of a `u64`.
pub(super) const BYTES: usize = 64;

/// A block of text, ready to be compared.
pub(super) struct Block(imp::Lanes);

impl Block {
    pub(super) fn new(bytes: &[u8; BYTES]) -> Self {
        Self(imp::load(bytes))
    }

    /// Where a byte stands.
    pub(super) fn equal(&self, byte: u8) -> u64 {
        imp::within(&self.0, byte, byte)
    }

    /// Where a byte of `least..=greatest` stands.
    pub(super) fn within(&self, least: u8, greatest: u8) -> u64 {
        imp::within(&self.0, least, greatest)
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "the compiler wants to be told that x86-64 has SSE2; the plain loop is ten times slower"
)]
mod imp {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8,
        _mm_sub_epi8,
    };

    pub(super) type Lanes = [__m128i; 4];

    pub(super) fn load(bytes: &[u8; super::BYTES]) -> Lanes {
        // SAFETY: the only condition is SSE2, which the architecture's definition includes.
        unsafe { load_sse2(bytes) }
    }

    pub(super) fn within(lanes: &Lanes, least: u8, greatest: u8) -> u64 {
        // SAFETY: as above.
        unsafe { within_sse2(lanes, least, greatest) }
    }

    #[target_feature(enable = "sse2")]
    fn load_sse2(bytes: &[u8; super::BYTES]) -> Lanes {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| i64::from_le_bytes(words.get(index).copied().unwrap_or_default());
        let pair = |index| _mm_set_epi64x(word(index + 1), word(index));
        [pair(0), pair(2), pair(4), pair(6)]
    }

    #[target_feature(enable = "sse2")]
    fn within_sse2(lanes: &Lanes, least: u8, greatest: u8) -> u64 {
        let (from, span) = (
            _mm_set1_epi8(least.cast_signed()),
            _mm_set1_epi8((greatest - least).cast_signed()),
        );
        let hits = |lane: __m128i| {
            // Unsigned: the difference is at most the span if the smaller of both is the difference.
            let above = _mm_sub_epi8(lane, from);
            u64::from(
                _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(above, span), above)).cast_unsigned(),
            )
        };
        let [a, b, c, d] = *lanes;
        hits(a) | hits(b) << 16 | hits(c) << 32 | hits(d) << 48
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    pub(super) type Lanes = [u8; super::BYTES];

    pub(super) fn load(bytes: &[u8; super::BYTES]) -> Lanes {
        *bytes
    }

    pub(super) fn within(lanes: &Lanes, least: u8, greatest: u8) -> u64 {
        super::within_naive(lanes, least, greatest)
    }
}

/// The obvious way.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn within_naive(bytes: &[u8; BYTES], least: u8, greatest: u8) -> u64 {
    bytes.iter().rev().fold(0, |bits, byte| {
        bits << 1 | u64::from((least..=greatest).contains(byte))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_vector_sees_what_the_loop_sees(bytes in proptest::collection::vec(any::<u8>(), BYTES), a: u8, b: u8) {
            let bytes: [u8; BYTES] = bytes.try_into().expect("64 bytes");
            let (least, greatest) = (a.min(b), a.max(b));
            prop_assert_eq!(Block::new(&bytes).within(least, greatest), within_naive(&bytes, least, greatest));
            prop_assert_eq!(Block::new(&bytes).equal(a), within_naive(&bytes, a, a));
        }
    }
}
