//! The one place that maps files into memory.
//!
//! Safe code will not do: a record must survive `kill -9` of the process without a system
//! call for each (a `pwrite` costs more than the whole record), and that is what a shared
//! mapping gives.
#![expect(unsafe_code, reason = "mmap, and stores into what it mapped")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A file mapped shared, readable and writable, of a fixed size.
///
/// What lies below an offset that was published is never written again, but for words
/// stored with [`Mapping::store_word`], which lie outside of what is read. The segment's
/// single writer publishes at ascending offsets.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping belongs to no thread; access from several is ordered by `Segment::kept`
// (published frames are not written again) and by atomic words.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `bytes` of `file`, and faults the pages in, so that the writer does not wait for them.
    pub(crate) fn new(file: &File, bytes: usize) -> io::Result<Self> {
        if file.metadata()?.len() < bytes as u64 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file is smaller than its mapping",
            ));
        }
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start =
            NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap returned null"))?;
        Ok(Self { start, bytes })
    }

    pub(crate) const fn len(&self) -> usize {
        self.bytes
    }

    /// What lies from `from` to `to`: frames that the writer has published.
    pub(crate) fn published(&self, from: usize, to: usize) -> &[u8] {
        if from > to || to > self.bytes {
            return &[];
        }
        // SAFETY: the range is within the mapping (checked above), which lives as long as `self`, and
        // holds published frames, which are not written again (the caller keeps to `Segment::kept`).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(from), to - from) }
    }

    /// Copies a frame to `offset`, its first four bytes last and at once: a reader of the
    /// file finds there zeros or a whole frame. `false` if it does not lie within the mapping,
    /// aligned; then nothing was written.
    ///
    /// Only the segment's writer calls this, at offsets that it has not published.
    #[must_use]
    pub(crate) fn publish(&self, offset: usize, frame: &[u8]) -> bool {
        let Some((length, rest)) = frame.split_first_chunk::<4>() else {
            return false;
        };
        let within = offset
            .checked_add(frame.len())
            .is_some_and(|end| end <= self.bytes);
        if !within || !offset.is_multiple_of(8) {
            return false;
        }
        // SAFETY: offset + frame.len() is within the mapping (checked above); the source is not in
        // it; no reader looks at or above the published offset.
        unsafe {
            let at = self.start.as_ptr().add(offset);
            std::ptr::copy_nonoverlapping(rest.as_ptr(), at.add(4), rest.len());
            // The mapping begins on a page and the offset is a multiple of 8: the word is aligned.
            AtomicU32::from_ptr(at.cast()).store(u32::from_ne_bytes(*length), Ordering::Release);
        }
        true
    }

    /// Stores one word of the header at once.
    pub(crate) fn store_word(&self, offset: usize, word: u64) {
        if offset.is_multiple_of(8) && offset + 8 <= self.bytes {
            // SAFETY: within the mapping and aligned (checked above); header words are only ever
            // accessed through this function while the file is mapped.
            unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(offset).cast()) }
                .store(word.to_le(), Ordering::Release);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: start and bytes are those of the mapping that `new` made; no reference into it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
