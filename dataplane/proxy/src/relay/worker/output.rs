//! What a call into the flow released, carried out in order.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use weir_audit::{RecordSeq, WorkerId};
use weir_facts::{FlowId, Side};
use weir_flow::{Effect, Event, Outbox, Piece, ServerCancel, ServerMessage};

use super::super::links::Owner;
use super::super::outgoing::Segment;
use super::super::pool::Span;
use super::errand::Farewell;
use super::flow::{End, Input, Reach, owner};
use super::{Engine, Panicked, ToControl, ToWorker};
use crate::stages::Stage;

/// The input of the call, which [`Piece::Span`] points into.
pub(super) enum Source {
    /// Where it was received.
    Span(Span),
    /// Where it was parked.
    Bytes(Bytes),
}

impl Source {
    fn part(&self, range: Range<usize>) -> Option<Segment> {
        match self {
            Self::Span(span) => span.slice(range).map(Segment::Span),
            Self::Bytes(bytes) => {
                let is_within = range.start <= range.end && range.end <= bytes.len();
                is_within.then(|| Segment::Owned(bytes.slice(range)))
            }
        }
    }
}

impl Engine {
    /// Carries out a call and everything that follows from it.
    pub(super) fn carry_out(
        &mut self,
        slot: usize,
        result: Result<Option<Source>, Panicked>,
    ) -> io::Result<()> {
        self.apply(slot, result)?;
        self.pump(slot)
    }

    /// Carries out what one call released.
    pub(super) fn apply(
        &mut self,
        slot: usize,
        result: Result<Option<Source>, Panicked>,
    ) -> io::Result<()> {
        let mut outbox = std::mem::take(&mut self.desk.outbox);
        let done = match result {
            Ok(source) => self.apply_all(slot, &mut outbox, source.as_ref()),
            Err(Panicked) => self.abandon_flow(slot),
        };
        outbox.clear();
        self.desk.outbox = outbox;
        done
    }

    fn apply_all(
        &mut self,
        slot: usize,
        outbox: &mut Outbox,
        source: Option<&Source>,
    ) -> io::Result<()> {
        for side in [Side::Client, Side::Server] {
            self.apply_pieces(slot, side, outbox.to(side), source)?;
        }
        for effect in outbox.effects.drain(..) {
            self.apply_effect(slot, effect)?;
        }
        Ok(())
    }

    fn apply_pieces(
        &mut self,
        slot: usize,
        side: Side,
        pieces: &mut Vec<Piece>,
        source: Option<&Source>,
    ) -> io::Result<()> {
        if pieces.is_empty() {
            return Ok(());
        }
        let mut run = Vec::new();
        for piece in pieces.drain(..) {
            let segment = match piece {
                Piece::Span(range) => match source.and_then(|source| source.part(range)) {
                    Some(segment) => segment,
                    None => {
                        return self.break_flow(slot, "it released bytes that it was not given");
                    }
                },
                Piece::Bytes(bytes) => Segment::Owned(bytes),
                Piece::StartTls { role } => {
                    self.seal(slot, side, &mut run)?;
                    self.start_tls(slot, side, role.as_ref())?;
                    continue;
                }
                Piece::Shutdown => {
                    self.seal(slot, side, &mut run)?;
                    self.shut(slot, side)?;
                    continue;
                }
                Piece::Reset => {
                    self.drop_link(slot, side)?;
                    continue;
                }
            };
            self.send(slot, side, segment, &mut run);
        }
        self.seal(slot, side, &mut run)
    }

    /// Queues plaintext on a plain link; on a TLS link collects it, so that records are full.
    fn send(&mut self, slot: usize, side: Side, segment: Segment, run: &mut Vec<Segment>) {
        let Some(end) = self.flows.get(slot).map(|flow| flow.end(side)) else {
            return;
        };
        match end.link {
            Some(_) if end.tls.is_some() => run.push(segment),
            Some(link) => self.links.send(link, segment),
            None => {}
        }
    }

    /// Sends FIN after what is queued. A reset that came from the other side is passed on as a
    /// reset: FIN would make a whole of what was cut.
    fn shut(&mut self, slot: usize, side: Side) -> io::Result<()> {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        if flow.end(side.other()).is_broken {
            return self.drop_link(slot, side);
        }
        let end = flow.end_mut(side);
        if std::mem::replace(&mut end.is_shut, true) {
            return Ok(());
        }
        self.close_tls(slot, side)?;
        if let Some(link) = self.flows.get(slot).and_then(|flow| flow.end(side).link) {
            self.links.finish(link);
        }
        Ok(())
    }

    pub(super) fn drop_link(&mut self, slot: usize, side: Side) -> io::Result<()> {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        let end = flow.end_mut(side);
        end.is_shut = true;
        match end.link.take() {
            Some(link) => self.links.reset(link),
            None => Ok(()),
        }
    }

    fn apply_effect(&mut self, slot: usize, effect: Effect) -> io::Result<()> {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        match effect {
            Effect::Dial { target } => self.dial(slot, target),
            Effect::SendCancel(ServerCancel { target, request }) => {
                self.send_errand(target, request, Farewell::AtOnce)
            }
            Effect::SendAside(ServerMessage { target, request }) => {
                self.send_errand(target, request, Farewell::AfterAnswer)
            }
            Effect::Finished => {
                flow.is_finished = true;
                Ok(())
            }
            Effect::Sync(seq) => {
                let id = flow.id;
                self.sync(id, seq);
                Ok(())
            }
            effect @ (Effect::Catalog { .. }
            | Effect::RequestApproval(_)
            | Effect::WithdrawApproval(_)
            | Effect::LeaveApproval(_)
            | Effect::CancelApproval(_)
            | Effect::RedeemApproval { .. }
            | Effect::ReportTools(_)
            | Effect::RefreshKeys(_)
            | Effect::FindServer(_)
            | Effect::OfferStream
            | Effect::ToStream { .. }
            | Effect::OfferCancelKey(_)
            | Effect::RouteCancel(_)
            | Effect::AnswerCancel { .. }) => {
                let request = ToControl::Effect {
                    worker: self.index,
                    flow: flow.id,
                    effect,
                };
                match self.shared.control.send(request) {
                    Ok(()) => Ok(()),
                    Err(_) => self.break_flow(slot, "the control tasks take no more requests"),
                }
            }
        }
    }

    /// Asks the ledger itself: the control tasks between would be two more threads to wake.
    fn sync(&self, flow: FlowId, seq: RecordSeq) {
        let inbox = self.inbox.clone();
        let tell = move |event| {
            // A full inbox means a worker that hangs: its flow stays closed.
            let _ = inbox.send(ToWorker::Event { flow, event });
        };
        let Some(ledger) = &self.shared.ledger else {
            return tell(Event::SyncFailed);
        };
        ledger.sync(WorkerId(self.index), seq, move |synced| {
            tell(synced.map_or(Event::SyncFailed, |synced| Event::Synced(synced.seq)));
        });
    }

    fn dial(&mut self, slot: usize, target: std::net::SocketAddr) -> io::Result<()> {
        let is_own = self.is_own(target);
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        if let Some(before) = flow.server.link {
            // The server has ended its side, and the flow knows: nothing more comes of that link.
            if flow.server.input != Input::Told {
                return self.break_flow(slot, "it dialled twice");
            }
            flow.server = End::default();
            self.links.close(before, self.desk.now.mono_ns)?;
        }
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        match &mut flow.reach {
            Reach::Dial => {}
            Reach::Handed(socket, _) => {
                let Some(socket) = socket.take() else {
                    flow.events.push_back(Event::DialFailed {
                        reason: "the link that was handed over is used up".into(),
                    });
                    return Ok(());
                };
                let link = self.links.adopt(socket, owner(slot, flow.id, Side::Server));
                flow.server.link = Some(link);
                flow.events.push_back(Event::Dialed);
                return Ok(());
            }
        }
        if is_own {
            self.counters.loops.add(1);
            flow.events.push_back(Event::DialFailed {
                reason: "the address is one of Weir's own listeners".into(),
            });
            return Ok(());
        }
        flow.mark = self.stopwatch.mark();
        flow.target = target;
        match self
            .links
            .connect(target, owner(slot, flow.id, Side::Server))
        {
            Ok(link) => flow.server.link = Some(link),
            Err(error) => {
                self.counters.dial_failures.add(1);
                flow.events.push_back(Event::DialFailed {
                    reason: error.to_string(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn on_dialed(&mut self, owner: Owner) -> io::Result<()> {
        let Some((slot, _)) = self.slot_of(owner) else {
            return Ok(());
        };
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        self.stages
            .record(Stage::Dial, self.stopwatch.nanos_since(flow.mark));
        flow.events.push_back(Event::Dialed);
        self.pump(slot)
    }

    pub(super) fn on_dial_failed(&mut self, owner: Owner, error: &io::Error) -> io::Result<()> {
        let Some((slot, side)) = self.slot_of(owner) else {
            return Ok(());
        };
        self.counters.dial_failures.add(1);
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        flow.end_mut(side).link = None;
        flow.events.push_back(Event::DialFailed {
            reason: error.to_string(),
        });
        self.pump(slot)
    }
}
