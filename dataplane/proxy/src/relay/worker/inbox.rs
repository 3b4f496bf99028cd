//! What control tasks say, and the end of flows, which they are told.

use std::io;

use weir_facts::{FlowId, Side};
use weir_flow::Event;

use super::super::limits::FLOW_SWEEP_PER_TURN;
use super::flow::Input;
use super::{Engine, ToControl, ToWorker};

impl Engine {
    pub(super) fn read_inbox(&mut self) -> io::Result<()> {
        self.inbox.begin();
        while let Some(message) = self.inbox.take() {
            match message {
                ToWorker::Attested { flow, caller } => self.on_attested(flow, caller)?,
                ToWorker::Handed(both) => self.on_handed(*both)?,
                ToWorker::Event { flow, event } => self.on_flow_event(flow, event)?,
                // Being woken is enough: every turn looks.
                ToWorker::WorldChanged => {}
                ToWorker::Drain { within } => self.begin_drain(within)?,
            }
        }
        Ok(())
    }

    fn on_flow_event(&mut self, id: FlowId, event: Event) -> io::Result<()> {
        let Some(slot) = self.by_id.get(&id).map(|&slot| slot as usize) else {
            return Ok(());
        };
        self.tell(slot, event)
    }

    /// Tells one flow, if it has begun: one that waits for attestation begins in the new world.
    pub(super) fn tell(&mut self, slot: usize, event: Event) -> io::Result<()> {
        let Some(flow) = self.flows.get_mut(slot).filter(|flow| flow.core.is_some()) else {
            return Ok(());
        };
        flow.events.push_back(event);
        self.pump(slot)
    }

    /// Tells flows of a new world, some per turn, so that the others are served meanwhile.
    pub(super) fn continue_sweep(&mut self) -> io::Result<()> {
        let Some(next) = self.sweep else {
            return Ok(());
        };
        let end = next
            .saturating_add(FLOW_SWEEP_PER_TURN)
            .min(self.flows.capacity());
        for slot in next..end {
            self.tell(slot, Event::WorldChanged)?;
        }
        self.sweep = (end < self.flows.capacity()).then_some(end);
        Ok(())
    }

    /// The flow is done: both links send what is queued and close.
    pub(super) fn finish_flow(&mut self, slot: usize) -> io::Result<()> {
        for side in [Side::Client, Side::Server] {
            self.close_tls(slot, side)?;
            let link = self
                .flows
                .get_mut(slot)
                .and_then(|flow| flow.end_mut(side).link.take());
            if let Some(link) = link {
                self.links.close(link, self.desk.now.mono_ns)?;
            }
        }
        self.forget_flow(slot);
        Ok(())
    }

    /// A broken invariant, or a limit: the flow may still record its end, then both links are reset.
    pub(super) fn break_flow(&mut self, slot: usize, reason: &'static str) -> io::Result<()> {
        if let Some(flow) = self.flows.get(slot) {
            tracing::error!(flow = %flow.id, reason, "flow broken");
            self.counters.broken_flows.add(1);
        }
        self.cut_flow(slot)
    }

    /// Its code panicked: what it believes may be half a truth, so it is not called again.
    pub(super) fn abandon_flow(&mut self, slot: usize) -> io::Result<()> {
        if let Some(flow) = self.flows.get_mut(slot) {
            flow.core = None;
        }
        self.break_flow(slot, "its code panicked")
    }

    /// Lets the flow record its end, discards what it says to that, and resets both links.
    pub(super) fn cut_flow(&mut self, slot: usize) -> io::Result<()> {
        for side in [Side::Client, Side::Server] {
            let Some(flow) = self.flows.get_mut(slot) else {
                return Ok(());
            };
            let is_untold =
                std::mem::replace(&mut flow.end_mut(side).input, Input::Told) != Input::Told;
            let Some(core) = flow.core.as_mut().filter(|_| is_untold) else {
                continue;
            };
            // A second panic changes nothing: the flow goes.
            let _ = self.desk.call(|env| core.handle_eof(env, side));
            self.desk.outbox.clear();
        }
        self.reset_flow(slot)
    }

    /// Resets both links.
    pub(super) fn reset_flow(&mut self, slot: usize) -> io::Result<()> {
        for side in [Side::Client, Side::Server] {
            let link = self
                .flows
                .get_mut(slot)
                .and_then(|flow| flow.end_mut(side).link.take());
            if let Some(link) = link {
                self.links.reset(link)?;
            }
        }
        self.forget_flow(slot);
        Ok(())
    }

    fn forget_flow(&mut self, slot: usize) {
        let Some(flow) = self.flows.try_remove(slot) else {
            return;
        };
        self.parked_bytes -= flow.parked_bytes;
        self.by_id.remove(&flow.id);
        // A full queue means that the control tasks hang; they find stale flows by their silence.
        let _ = self.shared.control.send(ToControl::Ended {
            worker: self.index,
            flow: flow.id,
        });
    }
}
