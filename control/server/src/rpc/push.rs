//! Worlds to a node: sent when they change, signed again before they are stale, and not
//! sent again after they were refused.

use std::collections::VecDeque;

use prost::Message as _;
use weir_api::limits::FRESH_S;
use weir_api::update;
use weir_api::v1::Version;
use weir_api::v1::to_data_plane::Message;

use super::stream::Session;
use crate::clock::{now, unsigned};
use crate::error::Result;
use crate::metrics::Metrics;
use crate::store::fleet;
use crate::{secret, world};

/// Deliveries of which an answer is still taken: a node answers in order, and is never
/// this far behind.
const SENT_MAX: usize = 64;

/// What was sent on this stream.
#[derive(Default)]
pub(crate) struct Pusher {
    sent: VecDeque<(String, Version)>,
    last_hash: Option<[u8; 32]>,
    is_rejected: bool,
}

impl Pusher {
    /// The delivery of that nonce, if the node names the version that it carried.
    pub(crate) fn answered(&mut self, nonce: &str, version: Option<&Version>) -> Option<Version> {
        let (_, sent) = self.sent.iter().find(|(sent, _)| sent == nonce)?;
        (Some(sent) == version).then(|| sent.clone())
    }

    /// The node refused a version: it is not sent again on this stream.
    pub(crate) fn rejected(&mut self, version: &Version) {
        if self
            .last_hash
            .as_ref()
            .is_some_and(|hash| hash.as_slice() == version.hash)
        {
            self.is_rejected = true;
        }
    }
}

impl Session {
    /// Sends the node's world if it is not what was sent last.
    pub(crate) async fn push(&mut self) -> Result<()> {
        let payload = self.payload().await?;
        let hash = update::hash(&payload);
        if self.pusher.last_hash == Some(hash) {
            return Ok(());
        }
        self.pusher.is_rejected = false;
        self.send(payload, hash).await
    }

    /// Sends the node's world again, fresh, unless the node refused it.
    pub(crate) async fn renew(&mut self) -> Result<()> {
        let payload = self.payload().await?;
        let hash = update::hash(&payload);
        if self.pusher.last_hash == Some(hash) && self.pusher.is_rejected {
            return Ok(());
        }
        self.send(payload, hash).await
    }

    async fn payload(&self) -> Result<Vec<u8>> {
        // One snapshot of the store: a world is never half old and half new.
        let mut tx = self.app.store.begin_read().await?;
        let world =
            world::build(&mut tx, &self.app.keys.sealer, &self.node, &self.app.inbox).await?;
        Ok(world.encode_to_vec())
    }

    async fn send(&mut self, payload: Vec<u8>, hash: [u8; 32]) -> Result<()> {
        let mut tx = self.app.store.begin().await?;
        let number = fleet::wanted(&mut tx, &self.node, &hash).await?;
        tx.commit().await?;
        let nonce = secret::id()?;
        let not_after = unsigned(now()).saturating_add(FRESH_S);
        let update = update::sign(
            &self.app.keys.signing,
            &self.node,
            number,
            not_after,
            nonce.clone(),
            payload,
        );
        if self.pusher.sent.len() >= SENT_MAX {
            self.pusher.sent.pop_front();
        }
        self.pusher.sent.push_back((
            nonce,
            Version {
                number,
                hash: hash.to_vec(),
            },
        ));
        self.pusher.last_hash = Some(hash);
        tracing::info!(node = self.node, number, "sends a world");
        Metrics::count(&self.app.metrics.updates, 1);
        self.answer(Message::Update(update)).await;
        Ok(())
    }
}
