//! A running session's two streams: frames in, frames out.

use std::sync::Arc;

use bytes::Bytes;
use weir_facts::Side;
use weir_postgres::frame::{
    ClientReader, ClientTag, Place, ServerReader, ServerTag, Step, Streamed,
};
use weir_postgres::message::TransactionStatus;
use weir_postgres::refuse::SqlState;

use super::bulk::Room;
use super::client::Act;
use super::context::Context;
use super::desk::{Desk, Waiting};
use super::end::{End, unreadable};
use super::refusal::Refusal;
use super::server::deliver;
use crate::io::{CatalogCell, Effect, Env, Event, Piece};
use crate::release::Released;

/// A running session.
pub(crate) struct Ready {
    client: ClientReader,
    server: ServerReader,
    /// Whether the CopyData frame that has come in part goes on; `None` between frames.
    copy_goes_on: Option<bool>,
    /// The reader holds a whole frame that was put back. Nobody offers it again: it was taken.
    holds_frame: bool,
    /// The server sends no more than what is offered and not yet taken.
    server_left: bool,
    pub(crate) desk: Desk,
}

impl Ready {
    /// A session whose server has accepted Weir's login; `server` has read up to there.
    pub(crate) fn new(
        context: Context,
        cell: Arc<CatalogCell>,
        server: ServerReader,
        env: &mut Env<'_>,
    ) -> Self {
        Self {
            client: ClientReader::new(),
            server,
            copy_goes_on: None,
            holds_frame: false,
            server_left: false,
            desk: Desk::new(context, cell, env),
        }
    }

    /// Reads what a side sent. Returns how much was taken.
    pub(crate) fn handle_bytes(
        &mut self,
        env: &mut Env<'_>,
        side: Side,
        input: &mut [u8],
    ) -> Result<usize, End> {
        match side {
            Side::Client => self.client_bytes(env, input),
            Side::Server => self.server_bytes(env, input),
        }
    }

    fn client_bytes(&mut self, env: &mut Env<'_>, input: &mut [u8]) -> Result<usize, End> {
        let mut at = 0;
        while self.desk.waiting.is_none() && self.desk.paused.is_none() {
            self.holds_frame = false;
            if self.is_copied_early(input, at)? {
                break;
            }
            let streamed = Streamed::only(ClientTag::CopyData);
            let step = self
                .client
                .next(input, &mut at, streamed)
                .map_err(|error| unreadable(Side::Client, error))?;
            match step {
                None => break,
                Some(Step::Piece(piece)) => {
                    // What becomes of a frame is decided once: a server that has its head waits for
                    // the rest, and would take it from the frames behind.
                    let goes_on = match self.copy_goes_on {
                        Some(begun) => begun,
                        None => self.desk.admit_copy_data()?,
                    };
                    self.copy_goes_on = (!piece.ends).then_some(goes_on);
                    if goes_on {
                        let header = piece
                            .header
                            .map(|header| Piece::Bytes(Bytes::copy_from_slice(&header)));
                        env.out.to_server.extend(header);
                        env.out.to_server.push(Piece::Span(piece.range));
                    }
                }
                Some(Step::Frame(frame)) => {
                    let place = frame.place.clone();
                    let act = self.desk.on_client(env, frame.tag, frame.bytes())?;
                    let whole = |client: &mut ClientReader| match &place {
                        Place::Span(span) => Piece::Span(span.clone()),
                        Place::Assembled => Piece::Bytes(client.take_assembled().into()),
                    };
                    match act {
                        Act::Forward => env.out.to_server.push(whole(&mut self.client)),
                        Act::Release(released) => env
                            .out
                            .to_server
                            .push(released.spend(whole(&mut self.client))),
                        Act::Done => {}
                        Act::PutBack => {
                            self.holds_frame = place == Place::Assembled;
                            self.client.put_back(&place, &mut at);
                            break;
                        }
                    }
                }
            }
        }
        Ok(at)
    }

    /// Some drivers send their data right behind COPY, before the server has asked for it or
    /// refused: it waits for either.
    fn is_copied_early(&self, input: &[u8], at: usize) -> Result<bool, End> {
        let next = self.client.peek(input, at);
        let next = next.map_err(|error| unreadable(Side::Client, error))?;
        let is_new = self.copy_goes_on.is_none() && next == Some(ClientTag::CopyData);
        Ok(is_new && self.desk.awaits_copy()?)
    }

    fn server_bytes(&mut self, env: &mut Env<'_>, input: &mut [u8]) -> Result<usize, End> {
        let mut at = 0;
        // Rows up to here were counted and may go.
        let mut admitted = 0;
        let length = input.len();
        loop {
            let limit = if self.desk.scope.bulk.is_none() {
                input.len()
            } else if at < admitted {
                admitted
            } else {
                match self.room(env, input, at)? {
                    Room::All => input.len(),
                    Room::Until(length) => {
                        admitted = at + length;
                        admitted
                    }
                    Room::More | Room::Stopped => break,
                }
            };
            let streamed = if self.desk.edits_rows() && !self.desk.is_ending() {
                Streamed::NONE
            } else {
                Streamed::both(ServerTag::DataRow, ServerTag::CopyData)
            };
            let step = self
                .server
                .next(
                    input.get_mut(..limit).unwrap_or_default(),
                    &mut at,
                    streamed,
                )
                .map_err(|error| unreadable(Side::Server, error))?;
            match step {
                None if at < length => {}
                None => break,
                Some(Step::Piece(piece)) => {
                    self.desk
                        .session
                        .on_bulk(piece.tag, piece.frames, piece.bytes())?;
                    if self.desk.is_ending() {
                        self.desk.swallow(env, piece.bytes());
                        continue;
                    }
                    let header = piece
                        .header
                        .map(|header| Piece::Bytes(Bytes::copy_from_slice(&header)));
                    env.out.to_client.extend(header);
                    env.out.to_client.push(Piece::Span(piece.range));
                }
                Some(Step::Frame(mut frame)) => {
                    let place = frame.place.clone();
                    let answer = self.desk.on_server(env, frame.tag, frame.body_mut())?;
                    deliver(env, answer, place, || self.server.take_assembled());
                }
            }
        }
        if self.server_left && at < input.len() && self.desk.paused.is_none() {
            return Err(End::server("it closed the connection amid a message"));
        }
        self.resume(env)?;
        self.leave_if_drained()?;
        Ok(at)
    }

    fn room(&mut self, env: &mut Env<'_>, input: &[u8], at: usize) -> Result<Room, End> {
        let within = !self.server.is_between_frames();
        let next = within.then(|| self.server.peek(input, at)).transpose();
        let next = next.map_err(|error| unreadable(Side::Server, error))?;
        let rest = input.get(at..).unwrap_or_default();
        self.desk.room(env, rest, next.flatten())
    }

    /// Takes up a frame of the client's that the reader holds.
    fn resume(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        if self.holds_frame {
            let _ = self.client_bytes(env, &mut [])?;
        }
        Ok(())
    }

    /// Something that was asked for happened.
    pub(crate) fn handle_event(&mut self, env: &mut Env<'_>, event: Event) -> Result<(), End> {
        self.on_event(env, event)?;
        self.resume(env)?;
        self.leave_if_drained()
    }

    fn on_event(&mut self, env: &mut Env<'_>, event: Event) -> Result<(), End> {
        match event {
            Event::Catalog(Ok(cell)) => {
                self.desk.on_catalog(cell);
                Ok(())
            }
            Event::Catalog(Err(_)) if self.desk.do_without_catalog(env) => Ok(()),
            Event::Catalog(Err(reason)) => Err(Refusal::new(
                SqlState::CONNECTION_FAILURE,
                "weir: the catalogue cannot be read, so nothing can be judged",
            )
            .inside(reason)
            .into()),
            Event::Synced(synced) => self.on_synced(env, synced),
            Event::SyncFailed => Err(Refusal::unrecorded().into()),
            Event::Approval {
                request,
                approval,
                decision,
            } => self.desk.on_decision(env, request, approval, decision),
            // Its client is told when nobody has decided in time.
            Event::ApprovalOpened { .. } => Ok(()),
            Event::Redeemed { id, granted } => self.desk.on_redeemed(env, id, granted),
            Event::HungUp { side: Side::Client } => self.desk.on_client_left(env),
            // The beginning of a header may be left, which nothing will complete.
            Event::HungUp { side: Side::Server } => {
                self.server_left = true;
                Ok(())
            }
            Event::CancelRequested { asker } => {
                let cancel = self.desk.on_cancel(env)?;
                let effect = match asker {
                    Some(asker) => Some(Effect::AnswerCancel { asker, cancel }),
                    None => cancel.map(Effect::SendCancel),
                };
                env.out.effects.extend(effect);
                Ok(())
            }
            Event::WorldChanged => {
                self.desk.check_connect(env)?;
                // Others take it up with their next message.
                if self.desk.is_blind() {
                    self.desk.renew_scope(env)?;
                }
                Ok(())
            }
            Event::Locked { reason } => {
                let message = format!("weir: this session was ended by an operator: {reason}");
                Err(Refusal::new(SqlState::ADMIN_SHUTDOWN, &message).into())
            }
            Event::Drain => {
                self.desk.is_draining = true;
                Ok(())
            }
            Event::Dialed
            | Event::DialFailed { .. }
            | Event::CancelRouted(_)
            | Event::Message(_)
            | Event::TlsUp { .. }
            | Event::TlsFailed { .. } => {
                Err(End::Broken("a connection event in a running session"))
            }
        }
    }

    fn on_synced(&mut self, env: &mut Env<'_>, synced: weir_audit::RecordSeq) -> Result<(), End> {
        match self.desk.waiting.take() {
            Some(Waiting::Durable {
                seq,
                operation,
                permit,
                receipt,
                act,
            }) if seq <= synced => {
                let released = Released::new(operation, permit, receipt)?;
                self.desk.send_deferred(env, act, released)
            }
            other => {
                self.desk.waiting = other;
                Ok(())
            }
        }
    }

    /// A draining flow ends where no transaction is open and nothing runs.
    fn leave_if_drained(&self) -> Result<(), End> {
        let idle =
            self.desk.session.is_quiet() && self.desk.session.status() == TransactionStatus::Idle;
        if self.desk.is_draining && idle && self.desk.waiting.is_none() {
            let message = "weir: this host's guard is restarting; connect again";
            return Err(Refusal::new(SqlState::ADMIN_SHUTDOWN, message).into());
        }
        Ok(())
    }
}
