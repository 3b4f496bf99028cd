//! Worlds to a node: sent when they change, signed again before they are stale, and not
//! sent again after they were refused.

use prost::Message as _;
use weir_api::limits::FRESH_S;
use weir_api::update;
use weir_api::v1::to_data_plane::Message;

use super::session::Session;
use crate::clock::{now, unsigned};
use crate::error::Result;
use crate::metrics::Metrics;
use crate::store::fleet;
use crate::{secret, world};

impl Session {
    /// Sends the node's world if it is not what was sent last.
    pub(crate) async fn push(&mut self) -> Result<()> {
        let payload = self.payload().await?;
        let hash = update::hash(&payload);
        if self.pushed.is_last(&hash) {
            return Ok(());
        }
        self.pushed.retry();
        self.send(payload, hash).await
    }

    /// Sends the node's world again, fresh, unless the node refused it.
    pub(crate) async fn renew(&mut self) -> Result<()> {
        let payload = self.payload().await?;
        let hash = update::hash(&payload);
        if self.pushed.is_last(&hash) && self.pushed.is_rejected() {
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
        self.pushed.sent(nonce, number, hash);
        tracing::info!(node = self.node, number, "sends a world");
        Metrics::count(&self.app.metrics.updates, 1);
        self.answer(Message::Update(update)).await;
        Ok(())
    }
}
