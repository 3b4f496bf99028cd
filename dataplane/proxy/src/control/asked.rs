//! What workers ask for.

use std::time::Instant;

use weir_api::v1;
use weir_api::v1::from_data_plane::Message as From;
use weir_flow::{Effect, Event};

use super::approvals::{self, Approvals};
use super::place::Place;
use super::{Control, Internal};
use crate::relay::{ToControl, ToWorker};

impl Control {
    pub(super) fn on_worker(&mut self, message: ToControl) {
        match message {
            ToControl::Attest {
                worker,
                flow,
                origin,
            } => {
                let place = Place { worker, flow };
                if let Some(reason) = self.warden.attest(place, &origin) {
                    self.tell(
                        worker,
                        ToWorker::Attested {
                            flow,
                            caller: Err(reason),
                        },
                    );
                }
            }
            ToControl::Effect {
                worker,
                flow,
                effect,
            } => self.on_effect(Place { worker, flow }, effect),
            ToControl::Ended { worker, flow } => {
                self.streams.remove(&flow);
                for notice in self.cancels.forget(flow) {
                    self.notify(notice);
                }
                for message in self.approvals.forget(Place { worker, flow }) {
                    self.send(message);
                }
            }
        }
    }

    fn on_effect(&mut self, place: Place, effect: Effect) {
        match effect {
            Effect::Catalog {
                connection,
                database,
                stale,
            } => {
                let (catalogs, internal) = (self.catalogs.clone(), self.internal.clone());
                let connection = self.world.load().connections.named(&connection).cloned();
                tokio::task::spawn_local(async move {
                    let cell = match connection {
                        Some(connection) => catalogs.cell(&connection, &database, stale).await,
                        None => Err(anyhow::anyhow!("the connection is no longer registered")),
                    };
                    let _ = internal.send(Internal::Catalog(place, cell));
                });
            }
            Effect::RequestApproval(request) => {
                let id = request.id;
                let message = self.approvals.request(place, *request);
                if !self.send(message) {
                    self.approvals.withdraw(id);
                    self.notify(Approvals::unavailable(place, id));
                }
            }
            Effect::WithdrawApproval(id) => {
                if let Some(message) = self.approvals.withdraw(id) {
                    self.send(message);
                }
            }
            Effect::LeaveApproval(id) => self.approvals.leave(id),
            Effect::CancelApproval(key) => {
                let notice = self.approvals.cancel(key);
                notice.into_iter().for_each(|notice| self.notify(notice));
            }
            Effect::RedeemApproval { id, digest } => {
                let message = self.approvals.redeem(place, id, digest);
                if !self.send(message) {
                    let lost = self.approvals.disconnected();
                    lost.into_iter().for_each(|notice| self.notify(notice));
                }
            }
            Effect::ReportTools(seen) => {
                for message in self.tools.report(&seen, Instant::now()) {
                    self.send(message);
                }
            }
            Effect::RefreshKeys(issuer) => {
                if self.rotation.may_ask(&issuer, Instant::now()) {
                    self.send(approvals::from(From::KeysWanted(v1::KeysWanted {
                        issuer: issuer.to_string(),
                    })));
                }
            }
            Effect::FindServer(target) => self.warden.find_server(target),
            Effect::OfferStream => {
                self.streams.insert(place.flow, place);
            }
            Effect::ToStream { stream, message } => {
                if let Some(place) = self.streams.get(&stream) {
                    self.notify((*place, Event::Message(message)));
                }
            }
            Effect::OfferCancelKey(key) => self.cancels.offer(key, place),
            Effect::RouteCancel(key) => {
                let notice = self.cancels.route(&key, place);
                self.notify(notice);
            }
            Effect::AnswerCancel { asker, cancel } => {
                let notice = self.cancels.answer(asker, place.flow, cancel);
                notice.into_iter().for_each(|notice| self.notify(notice));
            }
            // The relay's own.
            Effect::Dial { .. }
            | Effect::SendCancel(_)
            | Effect::SendAside(_)
            | Effect::Sync(_)
            | Effect::Finished => {}
        }
    }
}
