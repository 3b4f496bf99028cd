//! What a worker counts for the metrics endpoint.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count with one writer: the worker.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the worker calls it, so that no locked instruction is needed.
    pub(crate) fn add(&self, count: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(count),
            Ordering::Relaxed,
        );
    }

    /// Replaces the value of a gauge.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value as last written.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident,)+) => {
        /// One worker's counters and gauges.
        #[derive(Debug, Default)]
        #[repr(align(64))]
        pub struct Counters {
            $($(#[doc = $help])+ pub $name: Counter,)+
        }

        impl Counters {
            /// Each of them: name, help, value.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($help),+).trim_ascii(), self.$name.value()),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Connections accepted.
    accepted,
    /// Flows that are open now (gauge).
    flows,
    /// Links that are open now, lingering ones too (gauge).
    links,
    /// Heap bytes in queues now (gauge).
    heap_bytes,
    /// Connections reset because the kernel had no facts of them.
    without_facts,
    /// Connections reset because they were bound for one of our own listeners.
    loops,
    /// Connections reset because the worker is full.
    over_limit,
    /// Connections reset because the caller was not attested, or not in time.
    unattested,
    /// Dials that failed.
    dial_failures,
    /// TLS handshakes that failed.
    tls_failures,
    /// Flows ended because they asked for what the shell could not do: a broken invariant.
    broken_flows,
    /// Flows ended because the worker is out of memory for queues.
    out_of_memory,
    /// CancelRequests sent to servers.
    cancels_sent,
    /// CancelRequests dropped.
    cancels_dropped,
    /// Links closed with RST by us.
    resets,
    /// Receives paused because the other side reads slowly.
    pauses,
    /// Receives that found no provided buffer.
    starvations,
    /// Bytes received.
    received_bytes,
    /// Bytes sent.
    sent_bytes,
    /// Turns of the loop that slept.
    sleeps,
    /// Turns of the loop that found work by spinning.
    spins,
}

#[cfg(test)]
mod tests {
    use super::Counters;

    #[test]
    fn every_counter_is_listed_with_its_help() {
        let counters = Counters::default();
        counters.loops.add(2);
        counters.loops.add(3);
        let (_, help, value) = counters
            .iter()
            .find(|(name, ..)| *name == "loops")
            .expect("listed");
        assert_eq!(value, 5);
        assert!(help.starts_with("Connections reset"));
    }
}
