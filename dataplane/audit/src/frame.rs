//! A leaf as it lies in a segment, before it is sequenced into the tree.
//!
//! ```text
//! 0        4        8         16          48       50        52
//! | length | CRC32C | sequence | prev hash | worker | version | leaf … | zeros to 8 |
//! ```
//!
//! Integers are little-endian. The length is that of the leaf and never zero: a writer
//! publishes it last, so that a frame whose length is zero was never finished. The
//! CRC-32C covers every other byte of the frame.

use weir_facts::Digest;

use crate::chain::{Position, leaf_hash};
use crate::limits::LEAF_BYTES_MAX;
use crate::{RecordSeq, WorkerId};

/// Bytes before the leaf.
pub const HEADER_BYTES: usize = 52;

/// Frames start at multiples of this, so that a length can be stored atomically.
pub const ALIGN: usize = 8;

const VERSION: u16 = 1;
const CRC_AT: usize = 4;
const COVERED_AT: usize = 8;

/// One frame, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'b> {
    /// Whose sequence it belongs to.
    pub worker: WorkerId,
    /// Its place there.
    pub seq: RecordSeq,
    /// Hash of the leaf before it.
    pub prev: Digest,
    /// The leaf.
    pub leaf: &'b [u8],
}

/// Why bytes are not the frame that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length word is zero: nothing was finished here.
    #[error("unfinished")]
    Unfinished,
    /// The length goes beyond the leaf limit or the segment.
    #[error("length {0} goes too far")]
    Length(u32),
    /// The checksum differs.
    #[error("checksum differs")]
    Checksum,
    /// The format version is not ours.
    #[error("format version {0}")]
    Version(u16),
    /// It belongs to another worker.
    #[error("worker {0}")]
    Worker(WorkerId),
    /// Sequence or previous hash do not follow from the frame before.
    #[error("record {found} does not follow record {after}")]
    Chain {
        /// The record before.
        after: RecordSeq,
        /// The record found.
        found: RecordSeq,
    },
    /// The padding after the leaf is not zero.
    #[error("padding is not zero")]
    Padding,
}

/// Starts a frame: leaves room for the header. The leaf follows, then [`finish`].
pub(crate) fn start(out: &mut Vec<u8>) {
    out.clear();
    out.resize(HEADER_BYTES, 0);
}

/// Completes the header of a frame whose leaf lies in `out` from [`HEADER_BYTES`] on.
/// `None` if the leaf is empty or longer than an entry may be.
pub(crate) fn finish(
    out: &mut [u8],
    worker: WorkerId,
    seq: RecordSeq,
    prev: &Digest,
) -> Option<()> {
    let leaf_bytes = out.len().checked_sub(HEADER_BYTES)?;
    if leaf_bytes == 0 || leaf_bytes > LEAF_BYTES_MAX {
        return None;
    }
    let length = u32::try_from(leaf_bytes).ok()?.to_le_bytes();
    out.get_mut(..4)?.copy_from_slice(&length);
    out.get_mut(8..16)?.copy_from_slice(&seq.0.to_le_bytes());
    out.get_mut(16..48)?.copy_from_slice(&prev.0);
    out.get_mut(48..50)?
        .copy_from_slice(&worker.0.to_le_bytes());
    out.get_mut(50..52)?.copy_from_slice(&VERSION.to_le_bytes());
    let crc = checksum(length, out.get(COVERED_AT..)?).to_le_bytes();
    out.get_mut(CRC_AT..COVERED_AT)?.copy_from_slice(&crc);
    Some(())
}

fn checksum(length: [u8; 4], covered: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), covered)
}

/// Bytes that a frame takes with its padding.
#[must_use]
pub const fn padded(frame_bytes: usize) -> usize {
    frame_bytes.next_multiple_of(ALIGN)
}

/// The sequence number in a frame's header; `None` if that is cut short. Checks nothing else.
#[must_use]
pub fn seq_of(frame: &[u8]) -> Option<RecordSeq> {
    let seq = frame.get(8..16)?.first_chunk::<8>()?;
    Some(RecordSeq(u64::from_le_bytes(*seq)))
}

/// Reads the frame at the beginning of `bytes`, and how many bytes it takes with its padding.
///
/// # Errors
/// If the bytes are not one whole, unharmed frame.
pub fn read(bytes: &[u8]) -> Result<(Frame<'_>, usize), FrameError> {
    let too_far = |length| FrameError::Length(length);
    let (length, rest) = word(bytes).ok_or(FrameError::Unfinished)?;
    if length == [0; 4] {
        return Err(FrameError::Unfinished);
    }
    let length_value = u32::from_le_bytes(length);
    let leaf_bytes = usize::try_from(length_value).map_err(|_| too_far(length_value))?;
    if leaf_bytes > LEAF_BYTES_MAX {
        return Err(too_far(length_value));
    }
    let frame_bytes = HEADER_BYTES + leaf_bytes;
    let (crc, _) = word(rest).ok_or(too_far(length_value))?;
    let covered = bytes
        .get(COVERED_AT..frame_bytes)
        .ok_or(too_far(length_value))?;
    if checksum(length, covered) != u32::from_le_bytes(crc) {
        return Err(FrameError::Checksum);
    }
    let padding = bytes
        .get(frame_bytes..padded(frame_bytes))
        .ok_or(too_far(length_value))?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(FrameError::Padding);
    }
    Ok((
        fields(covered).ok_or(too_far(length_value))??,
        padded(frame_bytes),
    ))
}

fn word(bytes: &[u8]) -> Option<([u8; 4], &[u8])> {
    bytes
        .split_first_chunk::<4>()
        .map(|(word, rest)| (*word, rest))
}

fn fields(covered: &[u8]) -> Option<Result<Frame<'_>, FrameError>> {
    let (seq, rest) = covered.split_first_chunk::<8>()?;
    let (prev, rest) = rest.split_first_chunk::<32>()?;
    let (worker, rest) = rest.split_first_chunk::<2>()?;
    let (version, leaf) = rest.split_first_chunk::<2>()?;
    let version = u16::from_le_bytes(*version);
    if version != VERSION {
        return Some(Err(FrameError::Version(version)));
    }
    Some(Ok(Frame {
        worker: WorkerId(u16::from_le_bytes(*worker)),
        seq: RecordSeq(u64::from_le_bytes(*seq)),
        prev: Digest(*prev),
        leaf,
    }))
}

/// Walks the frames of one worker, strictly: each must follow from the one before.
#[derive(Clone, Debug)]
pub struct Scanner<'b> {
    bytes: &'b [u8],
    at: usize,
    worker: WorkerId,
    position: Option<Position>,
}

impl<'b> Scanner<'b> {
    /// Starts at the beginning of `bytes`. With `position`, the first frame must follow it;
    /// without, any first frame is taken.
    #[must_use]
    pub const fn new(bytes: &'b [u8], worker: WorkerId, position: Option<Position>) -> Self {
        Self {
            bytes,
            at: 0,
            worker,
            position,
        }
    }

    /// The offset of the next frame.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// The position after the last frame that was read.
    #[must_use]
    pub const fn position(&self) -> Option<Position> {
        self.position
    }

    /// The next frame and the hash of its leaf; `None` at the end of the bytes.
    ///
    /// # Errors
    /// If what lies at [`Scanner::offset`] is not the frame that follows. The scanner stays there.
    pub fn read(&mut self) -> Result<Option<(Frame<'b>, Digest)>, FrameError> {
        let Some((frame, taken)) = at(self.bytes, self.at)? else {
            return Ok(None);
        };
        follows(&frame, self.worker, self.position)?;
        let hash = leaf_hash(frame.leaf);
        self.position = Some(Position {
            seq: frame.seq,
            hash,
        });
        self.at += taken;
        Ok(Some((frame, hash)))
    }
}

/// Walks frames that this very process has kept. A leaf's hash is not computed again, but taken
/// from the frame behind it, whose link it is; only that of the last leaf is, and the next walk
/// must go on from it. What another process kept is for a [`Scanner`].
#[derive(Clone, Debug)]
pub struct Follower<'b> {
    bytes: &'b [u8],
    at: usize,
    worker: WorkerId,
    position: Position,
    /// The frame at `at`, where it was read already, and the bytes that it takes.
    ahead: Option<(Frame<'b>, usize)>,
}

impl<'b> Follower<'b> {
    /// Starts at the beginning of `bytes`, where the frame after `position` is.
    #[must_use]
    pub const fn new(bytes: &'b [u8], worker: WorkerId, position: Position) -> Self {
        Self {
            bytes,
            at: 0,
            worker,
            position,
            ahead: None,
        }
    }

    /// The offset of the next frame.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// The position after the last frame that was read.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The next frame and the hash of its leaf; `None` at the end of the bytes.
    ///
    /// # Errors
    /// If the frame at [`Follower::offset`] does not follow, or the one behind it is harmed. The
    /// follower stays there.
    pub fn read(&mut self) -> Result<Option<(Frame<'b>, Digest)>, FrameError> {
        let next = match self.ahead.take() {
            Some(ahead) => Some(ahead),
            None => at(self.bytes, self.at)?,
        };
        let Some((frame, taken)) = next else {
            return Ok(None);
        };
        follows(&frame, self.worker, Some(self.position))?;
        let behind = at(self.bytes, self.at + taken)?;
        let hash = match &behind {
            Some((behind, _)) => behind.prev,
            None => leaf_hash(frame.leaf),
        };
        self.position = Position {
            seq: frame.seq,
            hash,
        };
        self.at += taken;
        self.ahead = behind;
        Ok(Some((frame, hash)))
    }
}

/// The frame at an offset; `None` at the end of the bytes.
fn at(bytes: &[u8], offset: usize) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let rest = bytes.get(offset..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    read(rest).map(Some)
}

/// Whether a frame is the worker's, and the one after `position`.
fn follows(
    frame: &Frame<'_>,
    worker: WorkerId,
    position: Option<Position>,
) -> Result<(), FrameError> {
    if frame.worker != worker {
        return Err(FrameError::Worker(frame.worker));
    }
    let is_next = |position: &Position| {
        position.seq.0.checked_add(1) == Some(frame.seq.0) && frame.prev == position.hash
    };
    match position {
        Some(position) if !is_next(&position) => Err(FrameError::Chain {
            after: position.seq,
            found: frame.seq,
        }),
        Some(_) | None => Ok(()),
    }
}

/// How the frames of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// After the last frame there are only zeros.
    Clean,
    /// A crash left something after the last frame, beyond what was durable: so many bytes
    /// up to the last one that is not zero. They were never acknowledged as synced.
    Torn(usize),
    /// What was durable is not there any more: tampering, or the medium lost it.
    Tampered(FrameError),
}

/// Judges what lies at and after `at`, where a scan stopped with `error` (`None`: the end of
/// the bytes), given that everything before `durable` had been synced.
#[must_use]
pub fn judge_tail(bytes: &[u8], at: usize, durable: usize, error: Option<FrameError>) -> Tail {
    let Some(error) = error else {
        return Tail::Clean;
    };
    if at < durable {
        return Tail::Tampered(error);
    }
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.iter().rposition(|byte| *byte != 0) {
        None => Tail::Clean,
        Some(last) => Tail::Torn(last + 1),
    }
}
