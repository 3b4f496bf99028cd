//! Health, numbers, and the control plane's own state.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use weir_api::http::{Push, Status};

use super::auth::{Caller, Permission};
use crate::app::App;
use crate::clock::{now, unsigned};
use crate::error::Result;
use crate::metrics::Gauges;
use crate::store::{approval, fleet, policy};

/// The process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// The store answers too.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> impl IntoResponse {
    let asked = async { approval::pending_count(&mut *app.store.reader().await?).await };
    match asked.await {
        Ok(_) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::error!(%error, "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the store does not answer\n",
            )
        }
    }
}

/// Numbers for Prometheus. They name nobody, so nobody is asked who they are.
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse> {
    let mut db = app.store.reader().await?;
    let nodes = fleet::list(&mut db, |name| app.hub.is_attached(name)).await?;
    let gauges = Gauges {
        nodes: nodes.len() as u64,
        nodes_connected: app.hub.count() as u64,
        nodes_rejecting: nodes
            .iter()
            .filter(|node| node.push == Push::Rejected)
            .count() as u64,
        approvals_pending: unsigned(approval::pending_count(&mut db).await?),
    };
    Ok((
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        app.metrics.render(&gauges),
    ))
}

/// `GET /api/v1/status`
pub(crate) async fn status(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Status>> {
    caller.need(Permission::ReadState)?;
    let mut db = app.store.reader().await?;
    let nodes = fleet::list(&mut db, |_| false).await?.len();
    Ok(Json(Status {
        build: env!("CARGO_PKG_VERSION").to_owned(),
        control_key: weir_api::join::key_encode(&app.keys.signing.verifying_key()),
        policy: policy::active(&mut db).await?,
        approvals_pending: unsigned(approval::pending_count(&mut db).await?),
        nodes: nodes as u64,
        nodes_connected: app.hub.count() as u64,
        now: unsigned(now()),
    }))
}
