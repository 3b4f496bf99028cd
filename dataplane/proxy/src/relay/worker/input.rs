//! What arrives, and how the flow gets it: in place from the provided buffer, or from where it
//! was parked.

use std::io;

use weir_facts::Side;
use weir_flow::Event;

use super::super::limits::{HEAP_BYTES_MAX, PARKED_HIGH_BYTES, PARKED_LOW_BYTES};
use super::super::links::{End as LinkEnd, Owner, Role};
use super::super::pool::Chunk;
use super::Engine;
use super::flow::Input;
use super::output::Source;
use crate::stages::Stage;

/// Rounds of offering parked input per event. Each needs something to have moved; the bound is
/// for a flow that moves nothing and says otherwise.
const ROUNDS_MAX: usize = 1 << 16;

impl Engine {
    /// The slot that an event is for, if its flow is still there.
    pub(super) fn slot_of(&self, owner: Owner) -> Option<(usize, Side)> {
        let Role::Side(side) = owner.role else {
            return None;
        };
        let slot = owner.slot as usize;
        self.flows
            .get(slot)
            .filter(|flow| flow.id.0 == owner.serial)
            .map(|_| (slot, side))
    }

    pub(super) fn on_received(&mut self, owner: Owner, mut chunk: Chunk) -> io::Result<()> {
        let Some((slot, side)) = self.slot_of(owner) else {
            return Ok(());
        };
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        self.meter.moved(&mut flow.epoch);
        let has_begun = flow.core.is_some();
        let end = flow.end_mut(side);
        if end.tls.is_some() {
            self.decrypt(slot, side, chunk.bytes_mut())?;
            drop(chunk);
        } else if end.parked.is_empty() && has_begun {
            self.offer_chunk(slot, side, chunk)?;
        } else {
            end.parked.extend_from_slice(chunk.bytes_mut());
        }
        self.pump(slot)
    }

    /// Offers a chunk where it lies. What is left of it is parked, so that a flow that waits
    /// (for people, perhaps) keeps no buffer from the others.
    fn offer_chunk(&mut self, slot: usize, side: Side, mut chunk: Chunk) -> io::Result<()> {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        let Some(core) = flow.core.as_mut() else {
            return Ok(());
        };
        let mark = self.stopwatch.mark();
        let result = self
            .desk
            .call(|env| core.handle_bytes(env, side, chunk.bytes_mut()));
        self.stages
            .record(Stage::Judge, self.stopwatch.nanos_since(mark));
        let source = result.map(|taken| {
            let head = chunk.split_to(taken);
            let end = flow.end_mut(side);
            end.has_spoken |= head.len() > 0;
            // Parked before its pieces are carried out: StartTls makes ciphertext of it.
            if chunk.len() > 0 {
                end.parked.extend_from_slice(chunk.bytes_mut());
            }
            Some(Source::Span(head.freeze()))
        });
        self.apply(slot, source)
    }

    /// Offers what is parked on a side. Says whether the flow took any of it.
    fn offer_parked(&mut self, slot: usize, side: Side) -> io::Result<bool> {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(false);
        };
        let is_blocked = flow
            .end(side.other())
            .link
            .is_some_and(|link| self.links.is_full(link));
        let parked = match side {
            Side::Client => &mut flow.client.parked,
            Side::Server => &mut flow.server.parked,
        };
        let Some(core) = flow
            .core
            .as_mut()
            .filter(|_| !parked.is_empty() && !is_blocked)
        else {
            return Ok(false);
        };
        let mark = self.stopwatch.mark();
        let result = self.desk.call(|env| core.handle_bytes(env, side, parked));
        self.stages
            .record(Stage::Judge, self.stopwatch.nanos_since(mark));
        let taken = result.as_ref().map_or(0, |&taken| taken.min(parked.len()));
        let source = result.map(|_| Some(Source::Bytes(parked.split_to(taken).freeze())));
        flow.end_mut(side).has_spoken |= taken > 0;
        self.apply(slot, source)?;
        Ok(taken > 0)
    }

    pub(super) fn on_ended(&mut self, owner: Owner, how: LinkEnd) -> io::Result<()> {
        let Some((slot, side)) = self.slot_of(owner) else {
            return Ok(());
        };
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        if flow.core.is_none() {
            return self.reset_flow(slot);
        }
        let end = flow.end_mut(side);
        let is_cut =
            end.tls.as_ref().is_some_and(|secure| secure.is_up) && end.input == Input::Open;
        end.is_broken |= is_cut || how == LinkEnd::Broken;
        end.end_input();
        if how == LinkEnd::Broken && side == Side::Client {
            // Nobody waits for answers to this any more.
            end.parked.clear();
        }
        if end.is_broken {
            end.is_shut = true;
        }
        self.pump(slot)
    }

    /// Tells the flow that a side sends no more, once it has taken everything.
    fn tell_end(&mut self, slot: usize, side: Side) -> io::Result<bool> {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(false);
        };
        let end = flow.end_mut(side);
        if end.input != Input::Ended {
            return Ok(false);
        }
        if end.waiting() > 0 {
            return self.tell_hung_up(slot, side);
        }
        end.input = Input::Told;
        let Some(core) = flow.core.as_mut() else {
            return Ok(false);
        };
        let result = self.desk.call(|env| core.handle_eof(env, side));
        self.apply(slot, result.map(|()| None))?;
        Ok(true)
    }

    /// Tells the flow, once, that a side sends no more than what waits here. Somebody may be asked
    /// for whom nobody waits any more.
    fn tell_hung_up(&mut self, slot: usize, side: Side) -> io::Result<bool> {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(false);
        };
        let is_told = flow.core.is_none() || flow.end(side).is_hung_up;
        if is_told {
            return Ok(false);
        }
        flow.end_mut(side).is_hung_up = true;
        let Some(core) = flow.core.as_mut() else {
            return Ok(false);
        };
        let event = Event::HungUp { side };
        let result = self.desk.call(|env| core.handle_event(env, event));
        self.apply(slot, result.map(|()| None))?;
        Ok(true)
    }

    fn tell_event(&mut self, slot: usize) -> io::Result<bool> {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(false);
        };
        let Some(core) = flow.core.as_mut() else {
            return Ok(false);
        };
        let Some(event) = flow.events.pop_front() else {
            return Ok(false);
        };
        let is_dial_failure = matches!(event, Event::DialFailed { .. });
        let result = self.desk.call(|env| core.handle_event(env, event));
        // The client was accepted before the server: where the flow has nothing to say, the client
        // sees a reset, which is what makes multi-host drivers try the next host.
        let is_silent = is_dial_failure && self.desk.outbox.to_client.is_empty();
        self.apply(slot, result.map(|()| None))?;
        if is_silent {
            self.drop_link(slot, Side::Client)?;
        }
        Ok(true)
    }

    pub(super) fn on_relieved(&mut self, owner: Owner) -> io::Result<()> {
        match self.slot_of(owner) {
            Some((slot, _)) => self.pump(slot),
            None => Ok(()),
        }
    }

    pub(super) fn on_deadline(&mut self, slot: u32, serial: u64) -> io::Result<()> {
        let slot = slot as usize;
        let Some(flow) = self.flows.get_mut(slot).filter(|flow| flow.id.0 == serial) else {
            return Ok(());
        };
        flow.armed_ns = u64::MAX;
        let Some(core) = flow.core.as_mut() else {
            return self.refuse_unattested(slot);
        };
        if core
            .deadline()
            .is_some_and(|deadline| deadline <= self.desk.now.mono_ns)
        {
            let result = self.desk.call(|env| core.handle_timeout(env));
            return self.carry_out(slot, result.map(|()| None));
        }
        self.arm_deadline(slot);
        Ok(())
    }

    /// Goes round until nothing moves: events, ciphertext, parked input, ends.
    pub(super) fn pump(&mut self, slot: usize) -> io::Result<()> {
        for _ in 0..ROUNDS_MAX {
            let mut has_moved = self.tell_event(slot)?;
            for side in [Side::Client, Side::Server] {
                has_moved |= self.decrypt_early(slot, side)?;
                has_moved |= self.offer_parked(slot, side)?;
                has_moved |= self.tell_end(slot, side)?;
            }
            let Some(flow) = self.flows.get(slot) else {
                return Ok(());
            };
            if flow.is_finished || flow.is_over() {
                return self.finish_flow(slot);
            }
            if !has_moved {
                break;
            }
        }
        self.regulate(slot, Side::Client)?;
        self.regulate(slot, Side::Server)?;
        self.arm_deadline(slot);
        self.account(slot)
    }

    /// Reads a side or stops reading it, by what waits here and what waits on the other link.
    fn regulate(&mut self, slot: usize, side: Side) -> io::Result<()> {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        let onward = flow.end(side.other()).link;
        let is_full = onward.is_some_and(|link| self.links.is_full(link));
        let end = flow.end_mut(side);
        let Some(link) = end.link else { return Ok(()) };
        let limit = if end.is_read {
            PARKED_HIGH_BYTES
        } else {
            PARKED_LOW_BYTES
        };
        let is_wanted = !is_full && end.waiting() <= limit;
        if let Some(onward) = onward.filter(|_| is_full) {
            self.links.want_relief(onward);
        }
        if std::mem::replace(&mut end.is_read, is_wanted) == is_wanted {
            return Ok(());
        }
        if is_wanted {
            self.links.resume(link)
        } else {
            self.links.pause(link)
        }
    }

    fn arm_deadline(&mut self, slot: usize) {
        let Some(flow) = self.flows.get_mut(slot) else {
            return;
        };
        let Some(deadline) = flow.core.as_ref().and_then(|core| core.deadline()) else {
            return;
        };
        if deadline < flow.armed_ns {
            flow.armed_ns = deadline;
            self.timers.add(deadline, slot as u32, flow.id.0);
        }
    }

    /// Counts parked bytes; a flow that would take the worker over its limit is ended.
    fn account(&mut self, slot: usize) -> io::Result<()> {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        let waiting = flow.waiting();
        let before = std::mem::replace(&mut flow.parked_bytes, waiting);
        self.parked_bytes = self.parked_bytes + waiting - before;
        let has_grown = waiting > before;
        if has_grown && self.parked_bytes + self.links.heap_bytes() > HEAP_BYTES_MAX {
            self.counters.out_of_memory.add(1);
            return self.break_flow(slot, "no memory is left for queues");
        }
        Ok(())
    }
}
