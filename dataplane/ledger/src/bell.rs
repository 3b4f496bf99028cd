//! What the thread sleeps on that syncs one worker's records.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Longest sleep where nothing happens: whoever keeps or asks ends it before.
pub(crate) const IDLE: Duration = Duration::from_secs(1);

/// Rung by whoever wants something synced at once; heard by one thread.
#[derive(Default)]
pub(crate) struct Bell {
    listener: OnceLock<Thread>,
    /// The listener sleeps until something is kept.
    is_idle: AtomicBool,
    is_rung: AtomicBool,
}

impl Bell {
    /// From now on this thread is woken.
    pub(crate) fn is_heard_here(&self) {
        // There is one listener, which says so once.
        let _ = self.listener.set(thread::current());
    }

    /// Somebody waits.
    pub(crate) fn ring(&self) {
        self.is_rung.store(true, Ordering::Release);
        self.wake();
    }

    /// Something was kept, for which nobody waits: an idle listener begins to count its interval.
    pub(crate) fn note(&self) {
        // Either this sees that the listener is about to sleep, or the listener, which looks
        // after it has said so, sees what was kept.
        fence(Ordering::SeqCst);
        if self.is_idle.load(Ordering::Relaxed) && self.is_idle.swap(false, Ordering::Relaxed) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(listener) = self.listener.get() {
            listener.unpark();
        }
    }

    /// For the listener: sleeps while there is nothing to do, no longer than `idle`.
    pub(crate) fn sleep_unless(&self, idle: Duration, is_something_new: impl FnOnce() -> bool) {
        self.is_idle.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !is_something_new() && !self.is_rung.load(Ordering::Acquire) {
            thread::park_timeout(idle);
        }
        self.is_idle.store(false, Ordering::Relaxed);
    }

    /// For the listener: waits until it is rung for, but no longer than `interval`.
    pub(crate) fn wait(&self, interval: Duration) {
        let since = Instant::now();
        while !self.is_rung.swap(false, Ordering::Acquire) {
            let left = interval.saturating_sub(since.elapsed());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;

    /// Longer than any machine is slow.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn who_rings_is_heard_before_the_interval_ends() {
        let bell = Arc::new(Bell::default());
        let listener = {
            let bell = Arc::clone(&bell);
            thread::spawn(move || {
                bell.is_heard_here();
                bell.wait(LONG);
            })
        };
        bell.ring();
        listener.join().expect("it was heard");
    }

    #[test]
    fn nothing_that_is_kept_is_slept_over() {
        const ROUNDS: u64 = 2_000;
        let (bell, kept, seen) = (
            Arc::new(Bell::default()),
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicU64::new(0)),
        );
        let since = Instant::now();
        let listener = {
            let (bell, kept, seen) = (Arc::clone(&bell), Arc::clone(&kept), Arc::clone(&seen));
            thread::spawn(move || {
                bell.is_heard_here();
                while seen.load(Ordering::Relaxed) < ROUNDS {
                    let before = seen.load(Ordering::Relaxed);
                    bell.sleep_unless(LONG, || kept.load(Ordering::Acquire) > before);
                    seen.store(kept.load(Ordering::Acquire), Ordering::Release);
                }
            })
        };
        for round in 1..=ROUNDS {
            kept.store(round, Ordering::Release);
            bell.note();
            while seen.load(Ordering::Acquire) < round && since.elapsed() < LONG {
                thread::yield_now();
            }
        }
        // One wake-up that is lost takes as long as this.
        assert!(since.elapsed() < LONG);
        listener.join().expect("it ends");
    }
}
