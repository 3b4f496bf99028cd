//! The provided buffers of a worker: the kernel fills one per receive, the core reads and edits
//! it in place, links send from it, and when the last of them lets go it returns to the kernel.
#![expect(
    unsafe_code,
    reason = "memory shared with the kernel; copying each chunk instead cost 9 % of a bulk transfer"
)]

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::limits::BUFFERS_OFFERED;
use super::memory::Mapping;
use super::ring::Ring;

/// How many provided buffers there are, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferConfig {
    /// Bytes of one.
    pub bytes: usize,
    /// How many; a power of two, at most 32768.
    pub count: u16,
}

/// The buffers. Cheap to clone; lives until the last chunk is gone.
#[derive(Clone)]
pub(crate) struct Pool(Rc<Shared>);

struct Shared {
    entries: Mapping,
    memory: Mapping,
    config: BufferConfig,
    tail: Cell<u16>,
    with_kernel: Cell<u16>,
    /// How many the kernel is to have at most. It takes them in turn: few that are used again and
    /// again stay in the cache, all of them would not.
    offered: Cell<u16>,
    /// Those that neither the kernel nor a lease has; the last one is the warmest.
    spare: RefCell<Vec<u16>>,
    references: Box<[Cell<u32>]>,
}

impl Pool {
    /// Maps the buffers and gives some of them to the kernel.
    pub(crate) fn new(ring: &Ring, config: BufferConfig) -> io::Result<Self> {
        let valid = config.count.is_power_of_two()
            && config.count <= 1 << 15
            && (512..=1 << 20).contains(&config.bytes);
        if !valid {
            let reason =
                "buffers: count must be a power of two up to 32768, bytes from 512 to 1 MiB";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let count = usize::from(config.count);
        let shared = Shared {
            entries: Mapping::anonymous(count * size_of::<BufRingEntry>())?,
            memory: Mapping::anonymous(count * config.bytes)?,
            config,
            tail: Cell::new(0),
            with_kernel: Cell::new(0),
            offered: Cell::new(config.count.min(BUFFERS_OFFERED)),
            // The lowest is taken first.
            spare: RefCell::new((0..config.count).rev().collect()),
            references: vec![Cell::new(0); count].into_boxed_slice(),
        };
        // SAFETY: the mapping lives as long as the pool, which `Links` keeps until the ring is idle.
        unsafe { ring.register_buffers(shared.entries.start() as u64, config.count)? };
        shared.offer_spare();
        Ok(Self(Rc::new(shared)))
    }

    /// The chunk of a completed receive: the first `bytes` of a buffer that the kernel filled.
    /// `None` if the kernel named a buffer that it did not have, which would be its own fault.
    pub(crate) fn take(&self, buffer: u16, bytes: u32) -> Option<Chunk> {
        let references = self.0.references.get(usize::from(buffer))?;
        if references.get() != 0 || bytes as usize > self.0.config.bytes {
            return None;
        }
        references.set(1);
        let left = self.0.with_kernel.get().saturating_sub(1);
        self.0.with_kernel.set(left);
        if left < self.0.offered.get() / 2 {
            self.0.offer_spare();
        }
        Some(Chunk {
            lease: Lease {
                pool: Rc::clone(&self.0),
                buffer,
            },
            range: 0..bytes,
        })
    }

    /// Buffers that the kernel can still fill.
    pub(crate) fn available(&self) -> u16 {
        self.0.with_kernel.get()
    }

    /// A receive found no buffer: the kernel gets twice as many from now on, if there are.
    pub(crate) fn widen(&self) {
        let twice = self.0.offered.get().saturating_mul(2);
        self.0.offered.set(twice.min(self.0.config.count));
        self.0.offer_spare();
    }

    /// Whether less than half of the buffers are left: then links that cannot send copy out.
    pub(crate) fn is_short(&self) -> bool {
        let free = usize::from(self.0.with_kernel.get()) + self.0.spare.borrow().len();
        free < usize::from(self.0.config.count / 2)
    }
}

impl Shared {
    /// Nobody uses the buffer any more.
    fn give_back(&self, buffer: u16) {
        if self.with_kernel.get() < self.offered.get() {
            self.offer(buffer);
        } else {
            self.spare.borrow_mut().push(buffer);
        }
    }

    /// Gives the kernel as many as it is to have, as far as there are spare ones.
    fn offer_spare(&self) {
        while self.with_kernel.get() < self.offered.get() {
            let Some(buffer) = self.spare.borrow_mut().pop() else {
                return;
            };
            self.offer(buffer);
        }
    }

    fn offer(&self, buffer: u16) {
        let tail = self.tail.get();
        let slot = usize::from(tail & (self.config.count - 1));
        let address = self.memory.start() as u64 + u64::from(buffer) * self.config.bytes as u64;
        let first = self.entries.start().cast::<BufRingEntry>();
        // SAFETY: `slot` is below the count that was mapped, the mapping is page-aligned and zeroed,
        // and the kernel reads an entry only after the tail below says so. The tail shares memory
        // with the first entry's reserved field, which the setters leave alone.
        unsafe {
            let entry = &mut *first.add(slot);
            entry.set_addr(address);
            entry.set_len(self.config.bytes as u32);
            entry.set_bid(buffer);
            let published = &*BufRingEntry::tail(first).cast::<AtomicU16>();
            published.store(tail.wrapping_add(1), Ordering::Release);
        }
        self.tail.set(tail.wrapping_add(1));
        self.with_kernel.set(self.with_kernel.get() + 1);
    }
}

/// One reference to a buffer; the last one returns it.
struct Lease {
    pool: Rc<Shared>,
    buffer: u16,
}

impl Lease {
    fn references(&self) -> &Cell<u32> {
        &self.pool.references[usize::from(self.buffer)]
    }

    fn at(&self, offset: u32) -> *mut u8 {
        let start = usize::from(self.buffer) * self.pool.config.bytes + offset as usize;
        // SAFETY: chunks and spans keep `offset` within the buffer, and the buffer is within the mapping.
        unsafe { self.pool.memory.start().add(start) }
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.references().set(self.references().get() + 1);
        Self {
            pool: Rc::clone(&self.pool),
            buffer: self.buffer,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let left = self.references().get() - 1;
        self.references().set(left);
        if left == 0 {
            self.pool.give_back(self.buffer);
        }
    }
}

/// Received bytes that nobody else can see: they may be edited. Chunks of one buffer never overlap.
pub(crate) struct Chunk {
    lease: Lease,
    range: Range<u32>,
}

impl Chunk {
    /// The bytes, for reading and editing in place.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the range lies within the buffer; chunks of one buffer are disjoint by
        // construction, spans come only from consumed chunks, and the kernel writes to a buffer
        // only while nobody holds a lease.
        unsafe { std::slice::from_raw_parts_mut(self.lease.at(self.range.start), self.range.len()) }
    }

    /// The first `count` bytes (at most all), as a chunk of their own; `self` keeps the rest.
    pub(crate) fn split_to(&mut self, count: usize) -> Self {
        let middle = self.range.start + count.min(self.range.len()) as u32;
        let head = Self {
            lease: self.lease.clone(),
            range: self.range.start..middle,
        };
        self.range.start = middle;
        head
    }

    /// Bytes left.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// From here on the bytes are only read.
    pub(crate) fn freeze(self) -> Span {
        Span {
            lease: self.lease,
            range: self.range,
        }
    }
}

/// Received bytes on their way out, no longer edited by anyone.
pub(crate) struct Span {
    lease: Lease,
    range: Range<u32>,
}

impl Span {
    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        // SAFETY: the range lies within the buffer, and frozen bytes are written by nobody.
        unsafe { std::slice::from_raw_parts(self.lease.at(self.range.start), self.range.len()) }
    }

    /// A part, by offsets into this span; `None` if it is not within it.
    pub(crate) fn slice(&self, part: Range<usize>) -> Option<Self> {
        if part.start > part.end || part.end > self.range.len() {
            return None;
        }
        let start = self.range.start + part.start as u32;
        let end = self.range.start + part.end as u32;
        Some(Self {
            lease: self.lease.clone(),
            range: start..end,
        })
    }

    /// Bytes left.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// Forgets the first `count` bytes (at most all).
    pub(crate) fn advance(&mut self, count: usize) {
        self.range.start += count.min(self.range.len()) as u32;
    }

    /// Takes in a span that follows directly in the same buffer; gives back any other.
    pub(crate) fn join(&mut self, next: Self) -> Option<Self> {
        let follows = self.lease.buffer == next.lease.buffer && self.range.end == next.range.start;
        if follows {
            self.range.end = next.range.end;
            return None;
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> (Ring, Pool) {
        let ring = Ring::new().expect("a ring");
        let pool = Pool::new(
            &ring,
            BufferConfig {
                bytes: 4096,
                count: 4,
            },
        )
        .expect("a pool");
        (ring, pool)
    }

    #[test]
    fn a_buffer_returns_to_the_kernel_when_the_last_part_of_it_is_gone() {
        let (_ring, pool) = pool();
        let mut chunk = pool.take(2, 100).expect("buffer 2");
        assert_eq!(pool.available(), 3);
        let head = chunk.split_to(40).freeze();
        let part = head.slice(10..20).expect("within");
        drop(chunk);
        drop(head);
        assert_eq!(pool.available(), 3);
        drop(part);
        assert_eq!(pool.available(), 4);
    }

    #[test]
    fn the_kernel_has_few_buffers_until_it_wants_more() {
        let ring = Ring::new().expect("a ring");
        let count = 4 * BUFFERS_OFFERED;
        let config = BufferConfig { bytes: 512, count };
        let pool = Pool::new(&ring, config).expect("a pool");
        assert_eq!(pool.available(), BUFFERS_OFFERED);
        // More than half of what it has is filled, and held: others take their place.
        let taken = BUFFERS_OFFERED / 2 + 1;
        let held: Vec<_> = (0..taken).map(|n| pool.take(n, 1).expect("one")).collect();
        assert_eq!(pool.available(), BUFFERS_OFFERED);
        assert!(!pool.is_short());
        // A burst has used them up.
        pool.widen();
        assert_eq!(pool.available(), 2 * BUFFERS_OFFERED);
        (0..4).for_each(|_| pool.widen());
        assert_eq!(pool.available(), count - taken);
        drop(held);
        assert_eq!(pool.available(), count);
    }

    #[test]
    fn parts_of_a_chunk_show_its_bytes_after_edits() {
        let (_ring, pool) = pool();
        let mut chunk = pool.take(0, 6).expect("buffer 0");
        chunk.bytes_mut().copy_from_slice(b"abcdef");
        let mut head = chunk.split_to(4);
        head.bytes_mut()[0] = b'X';
        let head = head.freeze();
        assert_eq!(head.as_slice(), b"Xbcd");
        assert_eq!(chunk.bytes_mut(), b"ef");
        assert_eq!(head.slice(1..3).expect("within").as_slice(), b"bc");
        assert!(head.slice(2..5).is_none());
    }

    #[test]
    fn neighbours_join_and_strangers_do_not() {
        let (_ring, pool) = pool();
        let mut chunk = pool.take(1, 10).expect("buffer 1");
        chunk.bytes_mut().copy_from_slice(b"0123456789");
        let whole = chunk.freeze();
        let mut first = whole.slice(0..3).expect("within");
        assert!(first.join(whole.slice(3..5).expect("within")).is_none());
        assert_eq!(first.as_slice(), b"01234");
        assert!(first.join(whole.slice(6..7).expect("within")).is_some());
    }

    #[test]
    fn a_buffer_in_use_or_out_of_range_is_not_taken() {
        let (_ring, pool) = pool();
        let _held = pool.take(1, 1).expect("buffer 1");
        assert!(pool.take(1, 1).is_none());
        assert!(pool.take(4, 1).is_none());
        assert!(pool.take(0, 4097).is_none());
    }

    #[test]
    fn a_count_that_is_no_power_of_two_is_refused() {
        let ring = Ring::new().expect("a ring");
        assert!(
            Pool::new(
                &ring,
                BufferConfig {
                    bytes: 4096,
                    count: 3
                }
            )
            .is_err()
        );
        assert!(
            Pool::new(
                &ring,
                BufferConfig {
                    bytes: 16,
                    count: 4
                }
            )
            .is_err()
        );
    }
}
