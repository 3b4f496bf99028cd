//! Going down: no new flows, time for those that are, and then the rest is cut.

use std::io;
use std::time::Duration;

use weir_flow::Event;

use super::Engine;

impl Engine {
    pub(super) fn begin_drain(&mut self, within: Duration) -> io::Result<()> {
        if self.drain_ends_ns.is_some() {
            return Ok(());
        }
        let within_ns = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        self.drain_ends_ns = Some(self.desk.now.mono_ns.saturating_add(within_ns));
        self.meter.stop();
        self.links.stop_accepting()?;
        self.quicken()?;
        for slot in 0..self.flows.capacity() {
            self.tell(slot, Event::Drain)?;
        }
        Ok(())
    }

    /// Cuts what is left when the time is over.
    pub(super) fn enforce_drain(&mut self) -> io::Result<()> {
        let is_over = self
            .drain_ends_ns
            .is_some_and(|end| end <= self.desk.now.mono_ns);
        if is_over {
            for slot in 0..self.flows.capacity() {
                self.cut_flow(slot)?;
            }
        }
        Ok(())
    }

    /// Whether the thread may end. Links that linger are cut by dropping them once the time is over.
    pub(super) fn is_drained(&self) -> bool {
        let Some(end) = self.drain_ends_ns else {
            return false;
        };
        self.flows.is_empty() && (self.links.len() == 0 || end <= self.desk.now.mono_ns)
    }
}
