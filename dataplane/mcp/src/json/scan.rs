//! Finds the end of a run of plain string bytes, 16 or 32 bytes at a step.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "vector loads: text runs are most of a body, and a step of 32 bytes is 9 times a byte loop"
    )
)]

/// A run of string bytes that need no look: no quote, no backslash, no control character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Index of the first byte that ends it, or the length of the input.
    pub(super) end: usize,
    /// Whether every byte of it is below 0x80.
    pub(super) ascii: bool,
}

const fn ends(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// The run that starts at `from`, by the best engine of this processor.
#[cfg(target_arch = "x86_64")]
pub(super) fn plain_run(bytes: &[u8], from: usize) -> Run {
    // Keys and short values end within two steps; only longer text is worth a call that
    // cannot be inlined.
    let near = bytes.len().min(from.saturating_add(32));
    let start = sse2::run(bytes.get(..near).unwrap_or(bytes), from, true);
    if start.end < near || near == bytes.len() {
        return start;
    }
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as just detected.
        unsafe { avx2::run(bytes, near, start.ascii) }
    } else {
        sse2::run(bytes, near, start.ascii)
    }
}

/// The run that starts at `from`.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn plain_run(bytes: &[u8], from: usize) -> Run {
    swar::run(bytes, from, true)
}

/// The obvious loop: the tail of every engine, and the twin that tests compare with.
mod naive {
    use super::{Run, ends};

    pub(super) fn run(bytes: &[u8], from: usize, mut ascii: bool) -> Run {
        let mut end = from;
        for &byte in bytes.get(from..).unwrap_or_default() {
            if ends(byte) {
                break;
            }
            ascii &= byte < 0x80;
            end += 1;
        }
        Run { end, ascii }
    }
}

/// Eight bytes at a step in one register, for processors without an engine of their own.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod swar {
    use super::{Run, naive};

    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

    /// The lowest set bit marks the first byte of `word` below `limit`; higher marks may be false.
    const fn below(word: u64, limit: u8) -> u64 {
        word.wrapping_sub(ONES.wrapping_mul(limit as u64)) & !word & HIGHS
    }

    pub(super) fn run(bytes: &[u8], from: usize, mut ascii: bool) -> Run {
        let mut at = from;
        while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*chunk);
            let quote = below(word ^ ONES.wrapping_mul(b'"' as u64), 1);
            let backslash = below(word ^ ONES.wrapping_mul(b'\\' as u64), 1);
            if (quote | backslash | below(word, 0x20)) != 0 {
                break;
            }
            ascii &= word & HIGHS == 0;
            at += 8;
        }
        naive::run(bytes, at, ascii)
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };

    use super::{Run, naive};

    pub(super) fn run(bytes: &[u8], from: usize, mut ascii: bool) -> Run {
        let mut at = from;
        while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
            // SAFETY: SSE2 is part of every x86_64; `chunk` is 16 readable bytes, and an
            // unaligned load asks no more.
            let (stop, high) = unsafe {
                let v = _mm_loadu_si128(chunk.as_ptr().cast::<__m128i>());
                let control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
                let quote = _mm_cmpeq_epi8(v, _mm_set1_epi8(b'"'.cast_signed()));
                let backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8(b'\\'.cast_signed()));
                let stop = _mm_or_si128(control, _mm_or_si128(quote, backslash));
                (
                    _mm_movemask_epi8(stop).cast_unsigned(),
                    _mm_movemask_epi8(v).cast_unsigned(),
                )
            };
            if stop != 0 {
                let count = stop.trailing_zeros();
                let before = (1u32 << count) - 1;
                return Run {
                    end: at + count as usize,
                    ascii: ascii && high & before == 0,
                };
            }
            ascii &= high == 0;
            at += 16;
        }
        naive::run(bytes, at, ascii)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set1_epi8,
    };

    use super::{Run, sse2};

    /// # Safety
    /// The processor must have AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn run(bytes: &[u8], from: usize, mut ascii: bool) -> Run {
        let mut at = from;
        while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<32>()) {
            // SAFETY: `chunk` is 32 readable bytes, and an unaligned load asks no more.
            let v = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast::<__m256i>()) };
            let control = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
            let quote = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(b'"'.cast_signed()));
            let backslash = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(b'\\'.cast_signed()));
            let stop = _mm256_or_si256(control, _mm256_or_si256(quote, backslash));
            let stop = _mm256_movemask_epi8(stop).cast_unsigned();
            let high = _mm256_movemask_epi8(v).cast_unsigned();
            if stop != 0 {
                let count = stop.trailing_zeros();
                let before = (1u32 << count) - 1;
                return Run {
                    end: at + count as usize,
                    ascii: ascii && high & before == 0,
                };
            }
            ascii &= high == 0;
            at += 32;
        }
        sse2::run(bytes, at, ascii)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Engine = fn(&[u8], usize, bool) -> Run;

    fn engines() -> Vec<(&'static str, Engine)> {
        let mut engines: Vec<(&'static str, Engine)> = vec![
            ("swar", swar::run),
            ("dispatched", |bytes, from, _| plain_run(bytes, from)),
        ];
        #[cfg(target_arch = "x86_64")]
        {
            engines.push(("sse2", sse2::run));
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2, as just detected.
                engines.push(("avx2", |bytes, from, ascii| unsafe {
                    avx2::run(bytes, from, ascii)
                }));
            }
        }
        engines
    }

    #[test]
    fn every_engine_stops_at_every_byte_and_place_as_the_loop_does() {
        for byte in 0..=u8::MAX {
            for place in 0..80 {
                let mut bytes = vec![b'a'; 97];
                bytes[place] = byte;
                bytes[90] = b'"';
                for (name, run) in engines() {
                    assert_eq!(
                        run(&bytes, 0, true),
                        naive::run(&bytes, 0, true),
                        "{name} {byte:#x} at {place}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_engine_agrees_with_the_loop(
            bytes in proptest::collection::vec(prop_oneof![8 => 0x20u8..0x80, 1 => any::<u8>(), 1 => 0x80u8..], 0..300),
            from in 0usize..320,
        ) {
            let from = from.min(bytes.len());
            for (name, run) in engines() {
                prop_assert_eq!(run(&bytes, from, true), naive::run(&bytes, from, true), "{}", name);
            }
        }
    }
}
