//! What requests and streams share.

use std::sync::Arc;

use weir_api::v1::to_data_plane::Message;

use crate::approval;
use crate::clock::now;
use crate::error::Result;
use crate::hub::Hub;
use crate::idp::fetches::Fetches;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::server_checks::ServerChecks;
use crate::store::Store;
use crate::store::approval::Row;

/// One running control plane.
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) keys: Keys,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: Metrics,
    /// Whose keys are fetched, and were.
    pub(crate) fetches: Fetches,
    /// Looks at servers that nodes were asked for.
    pub(crate) checks: ServerChecks,
    /// Where data planes reach us, for join strings.
    pub(crate) grpc_url: String,
    /// Where people reach the web pages, as links say it.
    pub(crate) inbox: String,
}

impl App {
    /// Tells the node of a request how it was decided, if it is there.
    pub(crate) async fn tell(&self, row: &Row) -> Result<()> {
        let mut db = self.store.reader().await?;
        if let Some(decision) = approval::decision(&mut db, row).await? {
            self.hub
                .send(&row.node, Message::ApprovalDecision(decision));
        }
        Ok(())
    }

    /// Ends the requests that time has ended, and tells their nodes.
    pub(crate) async fn sweep(&self) -> Result<()> {
        let mut tx = self.store.begin().await?;
        let expired = crate::store::approval::expire_due(&mut tx, now()).await?;
        tx.commit().await?;
        for row in &expired {
            self.tell(row).await?;
        }
        Ok(())
    }
}
