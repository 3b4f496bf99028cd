//! What waits to be sent on one link, in order.
#![expect(unsafe_code, reason = "vectored sends take raw iovecs")]

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use super::limits::GATHER_SEGMENTS;
use super::pool::Span;

/// A run of bytes: in a provided buffer, or on the heap.
pub(crate) enum Segment {
    /// Received bytes, where they were received.
    Span(Span),
    /// Bytes that somebody made.
    Owned(Bytes),
}

impl Segment {
    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Span(span) => span.as_slice(),
            Self::Owned(bytes) => bytes,
        }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Span(span) => span.len(),
            Self::Owned(bytes) => bytes.len(),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Span(span) => span.advance(count),
            Self::Owned(bytes) => bytes.advance(count.min(bytes.len())),
        }
    }

    fn is_heap(&self) -> bool {
        match self {
            Self::Span(_) => false,
            Self::Owned(_) => true,
        }
    }
}

/// The queue of one link. Segments that the kernel is sending stay in front, unmoved in memory,
/// until they are known to be sent.
#[derive(Default)]
pub(crate) struct Outgoing {
    segments: VecDeque<Segment>,
    bytes: usize,
    heap_bytes: usize,
    in_flight_segments: usize,
    in_flight_bytes: usize,
}

/// The next send.
pub(crate) enum Batch {
    /// One run of bytes.
    One(*const u8, u32),
    /// Several.
    Many(Box<Gather>),
}

/// A vectored send's arguments, at an address that does not move.
pub(crate) struct Gather {
    header: libc::msghdr,
    parts: [libc::iovec; GATHER_SEGMENTS],
}

impl Gather {
    /// What sendmsg takes.
    pub(crate) fn header(&self) -> *const libc::msghdr {
        &raw const self.header
    }
}

impl Outgoing {
    /// Appends a segment; empty ones vanish.
    pub(crate) fn push(&mut self, segment: Segment) {
        let count = segment.len();
        if count == 0 {
            return;
        }
        self.bytes += count;
        if segment.is_heap() {
            self.heap_bytes += count;
        }
        let segment = if self.segments.len() > self.in_flight_segments {
            self.join(segment)
        } else {
            Some(segment)
        };
        self.segments.extend(segment);
    }

    fn join(&mut self, segment: Segment) -> Option<Segment> {
        match (self.segments.back_mut(), segment) {
            (Some(Segment::Span(last)), Segment::Span(next)) => last.join(next).map(Segment::Span),
            (_, segment) => Some(segment),
        }
    }

    /// Queued bytes, with those in flight.
    pub(crate) const fn len(&self) -> usize {
        self.bytes
    }

    /// How many of them are on the heap.
    pub(crate) const fn heap_len(&self) -> usize {
        self.heap_bytes
    }

    /// Whether nothing is queued or in flight.
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether there is more than what is in flight.
    pub(crate) const fn has_more(&self) -> bool {
        self.bytes > self.in_flight_bytes
    }

    /// Bytes in flight.
    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight_bytes
    }

    /// The next send of everything from the front, up to the limit of a vector. Its memory
    /// stays where it is until [`Outgoing::sent`].
    pub(crate) fn next_batch(&mut self, spare: Option<Box<Gather>>) -> Option<Batch> {
        let first = self.segments.front()?.as_slice();
        if self.segments.len() == 1 {
            let batch = Batch::One(first.as_ptr(), first.len() as u32);
            (self.in_flight_segments, self.in_flight_bytes) = (1, first.len());
            return Some(batch);
        }
        let mut gather = spare.unwrap_or_else(empty_gather);
        (self.in_flight_segments, self.in_flight_bytes) = (0, 0);
        for (part, segment) in gather.parts.iter_mut().zip(&self.segments) {
            let bytes = segment.as_slice();
            *part = libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            };
            self.in_flight_segments += 1;
            self.in_flight_bytes += bytes.len();
        }
        gather.header.msg_iov = gather.parts.as_mut_ptr();
        gather.header.msg_iovlen = self.in_flight_segments;
        Some(Batch::Many(gather))
    }

    /// The send in flight ended after `count` bytes; the rest is queued again.
    pub(crate) fn sent(&mut self, count: usize) {
        let mut left = count.min(self.in_flight_bytes);
        (self.in_flight_segments, self.in_flight_bytes) = (0, 0);
        self.bytes -= left;
        while let Some(front) = self.segments.front_mut() {
            let taken = left.min(front.len());
            if front.is_heap() {
                self.heap_bytes -= taken;
            }
            left -= taken;
            if taken < front.len() {
                front.advance(taken);
                return;
            }
            self.segments.pop_front();
            if left == 0 {
                return;
            }
        }
    }

    /// Moves queued spans to the heap, so that their buffers return. Nothing may be in flight.
    pub(crate) fn copy_out(&mut self) {
        debug_assert_eq!(
            self.in_flight_segments, 0,
            "the kernel reads from what would move"
        );
        for segment in &mut self.segments {
            if let Segment::Span(span) = segment {
                self.heap_bytes += span.len();
                *segment = Segment::Owned(Bytes::copy_from_slice(span.as_slice()));
            }
        }
    }

    /// Forgets what is not in flight.
    pub(crate) fn discard(&mut self) {
        self.segments.truncate(self.in_flight_segments);
        self.bytes = self.in_flight_bytes;
        self.heap_bytes = self
            .segments
            .iter()
            .filter(|segment| segment.is_heap())
            .map(Segment::len)
            .sum();
    }
}

fn empty_gather() -> Box<Gather> {
    // SAFETY: all-zero bytes are a valid msghdr and valid iovecs: null pointers and zero lengths.
    Box::new(unsafe { std::mem::zeroed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(text: &'static str) -> Segment {
        Segment::Owned(Bytes::from_static(text.as_bytes()))
    }

    fn rest(queue: &Outgoing) -> Vec<u8> {
        queue
            .segments
            .iter()
            .flat_map(|segment| segment.as_slice().to_vec())
            .collect()
    }

    #[test]
    fn a_partial_send_leaves_exactly_the_unsent_bytes() {
        for count in 0..=10 {
            let mut queue = Outgoing::default();
            ["abc", "", "defg", "hij"]
                .into_iter()
                .for_each(|text| queue.push(owned(text)));
            assert!(matches!(queue.next_batch(None), Some(Batch::Many(_))));
            assert_eq!(queue.in_flight(), 10);
            queue.sent(count);
            assert_eq!(rest(&queue), b"abcdefghij"[count..]);
            assert_eq!((queue.len(), queue.heap_len()), (10 - count, 10 - count));
        }
    }

    #[test]
    fn a_vector_holds_no_more_than_its_limit() {
        let mut queue = Outgoing::default();
        (0..GATHER_SEGMENTS + 5).for_each(|_| queue.push(owned("x")));
        let _ = queue.next_batch(None);
        assert_eq!(queue.in_flight(), GATHER_SEGMENTS);
        assert!(queue.has_more());
        queue.sent(GATHER_SEGMENTS);
        assert_eq!(queue.len(), 5);
    }

    #[test]
    fn discarding_keeps_what_the_kernel_reads() {
        let mut queue = Outgoing::default();
        queue.push(owned("abc"));
        let _ = queue.next_batch(None);
        queue.push(owned("def"));
        queue.discard();
        assert_eq!((queue.len(), queue.has_more()), (3, false));
        queue.sent(3);
        assert!(queue.is_empty());
    }
}
