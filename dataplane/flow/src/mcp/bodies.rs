//! How much of requests and answers is held whole at one time, over all flows of a worker. Each has
//! its own bound; thousands of them together would still be more than a host has.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::limits::BODIES_BYTES_MAX;

/// Bytes that the flows of one worker hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bodies(Arc<AtomicUsize>);

/// What one body takes of them, until this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    all: Bodies,
    own: usize,
}

impl Bodies {
    /// For a body of which nothing has come yet.
    pub(crate) fn room(&self) -> Room {
        Room {
            all: self.clone(),
            own: 0,
        }
    }
}

impl Room {
    /// Takes room for so many bytes in all, or leaves what is more than that. Whether there was.
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        // Only the worker's own thread changes it.
        let others = self.all.0.load(Ordering::Relaxed).saturating_sub(self.own);
        if bytes > self.own && others.saturating_add(bytes) > BODIES_BYTES_MAX {
            return false;
        }
        self.all.0.store(others + bytes, Ordering::Relaxed);
        self.own = bytes;
        true
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let others = self.all.0.load(Ordering::Relaxed).saturating_sub(self.own);
        self.all.0.store(others, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_together_have_a_bound_and_leave_their_room() {
        let all = Bodies::default();
        let (mut one, mut other) = (all.room(), all.room());
        assert!(one.resize(BODIES_BYTES_MAX - 1) && other.resize(1));
        assert!(!other.resize(2) && !one.resize(BODIES_BYTES_MAX));
        assert!(one.resize(0) && other.resize(BODIES_BYTES_MAX));
        drop(other);
        assert!(one.resize(BODIES_BYTES_MAX));
        assert!(!one.resize(usize::MAX), "no sum overflows");
    }
}
