//! What the control plane says, and the worlds that it puts in force.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use ed25519_dalek::VerifyingKey;
use weir_api::v1;
use weir_api::v1::from_data_plane::Message as From;
use weir_api::v1::to_data_plane::Message as To;
use weir_facts::{ConnectionName, FlowId};
use weir_flow::Event;

use super::{Control, Envelope, Internal, approvals, check, compile, server_tls, unix_seconds};
use crate::relay::ToWorker;

impl Control {
    pub(super) fn on_internal(&mut self, message: Internal) {
        match message {
            Internal::Connecting(uplink) => {
                self.uplink = Some(uplink);
                self.send(self.hello());
                for message in self.approvals.again() {
                    self.send(message);
                }
                for message in self.tools.again() {
                    self.send(message);
                }
                self.shipping.restart();
            }
            Internal::Disconnected => {
                self.uplink = None;
                let lost = self.approvals.disconnected();
                lost.into_iter().for_each(|notice| self.notify(notice));
            }
            Internal::Inbound(message) => {
                if let Some(message) = message.message {
                    self.on_control_plane(message);
                }
            }
            Internal::Checked(checked) => {
                self.send(approvals::from(From::ConnectionChecked(checked)));
            }
            Internal::Catalog(place, cell) => {
                let cell = cell.map_err(|error| format!("{error:#}"));
                self.notify((place, Event::Catalog(cell)));
            }
        }
    }

    fn hello(&self) -> v1::FromDataPlane {
        let token = self
            .welcome
            .control
            .as_ref()
            .map(|control| control.token.clone())
            .unwrap_or_default();
        approvals::from(From::Hello(v1::Hello {
            node: self.welcome.node.clone(),
            token,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            applied: self.held.clone(),
            checkpoint: self.shipping.checkpoint(),
            log_vkey: self.log_vkey.clone(),
        }))
    }

    fn on_control_plane(&mut self, message: To) {
        match message {
            To::Update(update) => {
                let (version, nonce) = (update.version.clone(), update.nonce.clone());
                let answer = match self.put_in_force(&update) {
                    Ok(()) => From::Ack(v1::Ack { nonce, version }),
                    Err(error) => {
                        let error = format!("{error:#}");
                        tracing::warn!(%error, "update refused");
                        From::Nack(v1::Nack {
                            nonce,
                            version,
                            error,
                        })
                    }
                };
                self.send(approvals::from(answer));
            }
            To::ApprovalOpened(opened) => {
                let notice = self.approvals.opened(&opened);
                notice.into_iter().for_each(|notice| self.notify(notice));
            }
            To::ApprovalDecision(decided) => {
                let notices = self.approvals.decided(&decided);
                notices.into_iter().for_each(|notice| self.notify(notice));
            }
            To::RedeemResult(result) => {
                let notice = self.approvals.redeemed(&result);
                notice.into_iter().for_each(|notice| self.notify(notice));
            }
            To::LeavesAck(ack) => self.shipping.acknowledged(ack.next_index),
            To::ConnectionCheck(asked) => self.check(asked),
            To::ToolsStored(stored) => self.tools.stored(stored.report, Instant::now()),
            To::Lock(lock) => {
                // One flow is ended here. A lock of a person or workload is also in the next
                // world, which flows judge by.
                if let Some(v1::lock::Target::Flow(flow)) = lock.target {
                    let flow = FlowId(flow);
                    for index in 0..self.workers.len() {
                        let event = Event::Locked {
                            reason: lock.reason.clone(),
                        };
                        self.tell(index as u16, ToWorker::Event { flow, event });
                    }
                }
            }
        }
    }

    /// Beside the loop: servers may be slow.
    fn check(&self, asked: v1::ConnectionCheck) {
        let name = ConnectionName::new(&asked.connection);
        let connection = self.world.load().connections.named(&name).cloned();
        let internal = self.internal.clone();
        tokio::task::spawn_local(async move {
            let checked = match connection {
                Some(connection) => {
                    check::check(server_tls::ServerTls, asked.id, &connection).await
                }
                None => v1::ConnectionChecked {
                    id: asked.id,
                    unknown: true,
                    ..v1::ConnectionChecked::default()
                },
            };
            let _ = internal.send(Internal::Checked(checked));
        });
    }

    /// Checks, compiles, keeps and swaps. Until the last step the old world stays.
    fn put_in_force(&mut self, update: &v1::Update) -> Result<()> {
        let address = self
            .welcome
            .control
            .as_ref()
            .context("no control plane is configured")?;
        let key =
            VerifyingKey::from_bytes(&address.control_key).context("the control plane's key")?;
        let opened = weir_api::accept(
            update,
            &self.welcome.node,
            &key,
            self.held.as_ref(),
            unix_seconds(),
        )?;
        let version = opened.version().clone();
        let envelope = Envelope {
            version: version.number,
            not_after: opened.not_after(),
        };
        let world = compile(envelope, self.mock_key, opened.into_world())?;
        self.keeper.store(update)?;
        self.world.store(Arc::new(world));
        self.held = Some(version);
        self.tools.world_changed();
        for index in 0..self.workers.len() {
            self.tell(index as u16, ToWorker::WorldChanged);
        }
        self.warden.apply_guards(update)
    }

    /// The warden guards by the world that is in force from the start.
    pub(super) fn restore_guards(&mut self) {
        match self.keeper.load() {
            Ok(Some(update)) => {
                if let Err(error) = self.warden.apply_guards(&update) {
                    tracing::error!(error = %format!("{error:#}"), "guards not restored");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!(error = %format!("{error:#}"), "kept world not read"),
        }
    }
}
