//! One node's stream, as the handlers of its messages see it.

use std::sync::Arc;

use weir_api::v1::ToDataPlane;
use weir_api::v1::to_data_plane::Message;

use super::pushed::Pushed;
use crate::app::App;
use crate::hub::Outbound;

/// What handlers of a stream share.
pub(crate) struct Session {
    pub(crate) app: Arc<App>,
    pub(crate) node: String,
    pub(crate) outbound: Outbound,
    pub(crate) pushed: Pushed,
}

impl Session {
    /// Queues an answer. Waits while the node is behind: it reads no more of us, so we
    /// read no more of it.
    pub(crate) async fn answer(&self, message: Message) {
        // The node may be gone; the loop sees that by itself.
        let _ = self
            .outbound
            .send(Ok(ToDataPlane {
                message: Some(message),
            }))
            .await;
    }
}
