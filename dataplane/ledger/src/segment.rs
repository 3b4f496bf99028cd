//! A preallocated file, mapped shared: what a worker copied into it survives the worker's
//! process, without a system call.
//!
//! ```text
//! 0       8        12      16        24      28       64             4096
//! | magic | worker | bytes | ordinal | CRC32C | zeros | durable mark | … frames … | zeros
//! ```
//!
//! The durable mark is one word: the offset before which everything was synced, and its
//! CRC-32C. It is stored after the sync it tells of, so that the mark on disk may be too
//! low, never too high.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use weir_audit::{RecordSeq, WorkerId, frame};

use crate::limits::SEGMENT_HEADER_BYTES;
use crate::map::Mapping;

const MAGIC: &[u8; 8] = b"WEIRSEG1";
const FIELDS_BYTES: usize = 24;
const CRC_END: usize = 28;
const MARK_AT: usize = 64;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) worker: WorkerId,
    pub(crate) ordinal: u64,
    pub(crate) bytes: u32,
}

impl Header {
    /// The header page of a new segment: nothing is durable yet.
    pub(crate) fn page(self) -> Vec<u8> {
        let mut page = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        page.extend_from_slice(MAGIC);
        page.extend_from_slice(&u32::from(self.worker.0).to_le_bytes());
        page.extend_from_slice(&self.bytes.to_le_bytes());
        page.extend_from_slice(&self.ordinal.to_le_bytes());
        let crc = crc32c::crc32c(&page);
        page.extend_from_slice(&crc.to_le_bytes());
        page.resize(MARK_AT, 0);
        page.extend_from_slice(&mark_word(SEGMENT_HEADER_BYTES).to_le_bytes());
        page.resize(SEGMENT_HEADER_BYTES, 0);
        page
    }

    /// Reads the header of a segment; `None` if it is not one.
    pub(crate) fn read(segment: &[u8]) -> Option<Self> {
        let fields = segment.get(..FIELDS_BYTES)?;
        let crc = segment.get(FIELDS_BYTES..CRC_END)?.first_chunk::<4>()?;
        if u32::from_le_bytes(*crc) != crc32c::crc32c(fields) {
            return None;
        }
        let rest = fields.strip_prefix(MAGIC)?;
        let (worker, rest) = rest.split_first_chunk::<4>()?;
        let (bytes, rest) = rest.split_first_chunk::<4>()?;
        let ordinal = rest.first_chunk::<8>()?;
        let unused = segment
            .get(CRC_END..MARK_AT)?
            .iter()
            .chain(segment.get(MARK_AT + 8..SEGMENT_HEADER_BYTES)?);
        if unused.into_iter().any(|byte| *byte != 0) {
            return None;
        }
        Some(Self {
            worker: WorkerId(u16::try_from(u32::from_le_bytes(*worker)).ok()?),
            ordinal: u64::from_le_bytes(*ordinal),
            bytes: u32::from_le_bytes(*bytes),
        })
    }
}

/// The durable mark of a segment that is read as bytes; `None` if it is not one.
pub(crate) fn durable_mark(segment: &[u8]) -> Option<usize> {
    let word = u64::from_le_bytes(*segment.get(MARK_AT..)?.first_chunk::<8>()?);
    let offset = usize::try_from(word & u64::from(u32::MAX)).ok()?;
    (mark_word(offset) == word && offset >= SEGMENT_HEADER_BYTES && offset <= segment.len())
        .then_some(offset)
}

/// Offsets are below 2³⁰ ([`crate::limits::SEGMENT_BYTES_MAX`]).
fn mark_word(offset: usize) -> u64 {
    let low = offset as u32;
    u64::from(crc32c::crc32c(&low.to_le_bytes())) << 32 | u64::from(low)
}

/// A segment in use, seen by its writer and by the ledger's thread.
#[derive(Debug)]
pub(crate) struct Segment {
    mapping: Mapping,
    ordinal: u64,
    /// Everything before this offset is whole frames; only the writer moves it.
    kept: AtomicUsize,
    /// The last record kept here; 0 if none. Stored after `kept`, so that whoever reads this
    /// first and `kept` then has the record below `kept`.
    last_seq: AtomicU64,
    /// The writer has gone on to another segment.
    sealed: AtomicBool,
}

impl Segment {
    /// Maps a prepared segment and makes its only writer.
    pub(crate) fn map(file: &File, header: Header) -> io::Result<(Arc<Self>, Writer)> {
        // A u32 fits in the usize of every Linux that io_uring runs on.
        let mapping = Mapping::new(file, header.bytes as usize)?;
        let segment = Arc::new(Self {
            mapping,
            ordinal: header.ordinal,
            kept: AtomicUsize::new(SEGMENT_HEADER_BYTES),
            last_seq: AtomicU64::new(0),
            sealed: AtomicBool::new(false),
        });
        Ok((
            Arc::clone(&segment),
            Writer {
                segment,
                at: SEGMENT_HEADER_BYTES,
            },
        ))
    }

    pub(crate) const fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// The last record kept here; read this before [`Segment::kept`].
    pub(crate) fn last_seq(&self) -> Option<RecordSeq> {
        match self.last_seq.load(Ordering::Acquire) {
            0 => None,
            seq => Some(RecordSeq(seq)),
        }
    }

    /// The offset after the last whole frame.
    pub(crate) fn kept(&self) -> usize {
        self.kept.load(Ordering::Acquire)
    }

    /// Whether no more frames come.
    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// The frames between two offsets, no further than what is kept.
    pub(crate) fn frames(&self, from: usize, to: usize) -> &[u8] {
        self.mapping
            .published(from.max(SEGMENT_HEADER_BYTES), to.min(self.kept()))
    }

    /// Notes that everything before `offset` was synced.
    pub(crate) fn mark_durable(&self, offset: usize) {
        self.mapping.store_word(MARK_AT, mark_word(offset));
    }
}

/// The one who may add frames to a segment.
#[derive(Debug)]
pub(crate) struct Writer {
    segment: Arc<Segment>,
    at: usize,
}

impl Writer {
    /// Bytes left.
    pub(crate) fn room(&self) -> usize {
        self.segment.mapping.len() - self.at
    }

    /// Bytes of the whole segment.
    pub(crate) fn capacity(&self) -> usize {
        self.segment.mapping.len()
    }

    /// Keeps a frame: whole, or (where it does not fit) not at all.
    #[must_use]
    pub(crate) fn keep(&mut self, bytes: &[u8]) -> bool {
        let Some(seq) = frame::seq_of(bytes) else {
            return false;
        };
        if frame::padded(bytes.len()) > self.room() || !self.segment.mapping.publish(self.at, bytes)
        {
            return false;
        }
        self.at += frame::padded(bytes.len());
        self.segment.kept.store(self.at, Ordering::Release);
        self.segment.last_seq.store(seq.0, Ordering::Release);
        true
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.segment.sealed.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_every_flipped_bit_of_it_is_seen() {
        let header = Header {
            worker: WorkerId(3),
            ordinal: 77,
            bytes: 1 << 20,
        };
        let page = header.page();
        assert_eq!(Header::read(&page), Some(header));
        assert_eq!(durable_mark(&page), Some(SEGMENT_HEADER_BYTES));
        for at in 0..page.len() {
            for bit in 0..8 {
                let mut flipped = page.clone();
                flipped[at] ^= 1 << bit;
                assert!(
                    Header::read(&flipped) != Some(header) || durable_mark(&flipped).is_none(),
                    "{at}.{bit}"
                );
            }
        }
    }
}
