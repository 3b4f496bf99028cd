//! The people's side: a JSON API under `/api/v1`, and the pages that use it.

mod account;
mod approval;
mod auth;
mod examine;
mod fleet;
mod idp;
mod page;
mod policy;
mod server;
mod session;
mod state;
mod tool;

pub(crate) use account::{check_new, insert_token};

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};

use crate::app::App;
use crate::limits::BODY_BYTES_MAX;

/// Every route. Those under `/api/v1` take a [`auth::Caller`], which checks the token.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .nest("/api/v1", api())
        .merge(page::routes())
        .route("/healthz", get(state::alive))
        .route("/readyz", get(state::ready))
        .route("/metrics", get(state::metrics))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app)
}

fn api() -> Router<Arc<App>> {
    Router::new()
        .route("/whoami", get(account::whoami))
        .route("/status", get(state::status))
        .route("/accounts", get(account::list).post(account::add))
        .route("/accounts/{name}/groups", put(account::set_groups))
        .route(
            "/accounts/{name}/certificates",
            put(account::set_certificates),
        )
        .route("/accounts/{name}/disable", post(account::disable))
        .route("/accounts/{name}/secret", post(account::make_secret))
        .route(
            "/accounts/{name}/tokens",
            get(account::tokens).post(account::make_token),
        )
        .route(
            "/accounts/{name}/tokens/{id}",
            delete(account::revoke_token),
        )
        .route(
            "/workloads",
            get(server::workloads).put(server::put_workload),
        )
        .route("/workloads/{name}", delete(server::remove_workload))
        .route(
            "/connections",
            get(server::connections).put(server::put_connection),
        )
        .route("/connections/{name}", delete(server::remove_connection))
        .route("/connections/{name}/check", post(examine::check))
        .route("/connections/{name}/tools", get(tool::list))
        .route("/connections/{name}/tool", get(tool::show))
        .route("/connections/{name}/tools/approve", post(tool::approve))
        .route(
            "/connections/{name}/credentials",
            put(server::put_credential).delete(server::remove_credential),
        )
        .route(
            "/guards",
            get(server::guards)
                .put(server::put_guard)
                .delete(server::remove_guard),
        )
        .route("/idps", get(idp::list).put(idp::put).delete(idp::remove))
        .route("/idps/refresh", post(idp::refresh))
        .route("/locks", get(server::locks).post(server::add_lock))
        .route("/locks/{id}", delete(server::remove_lock))
        .route("/nodes", get(fleet::list).post(fleet::add))
        .route("/nodes/{name}", delete(fleet::remove))
        .route("/nodes/{name}/checkpoints", get(fleet::checkpoints))
        .route("/policy", get(policy::current))
        .route("/policy/push", post(policy::push))
        .route("/policy/rollback", post(policy::roll_back))
        .route("/policy/versions", get(policy::versions))
        .route("/policy/versions/{number}", get(policy::version))
        .route(
            "/policy/diff",
            get(policy::diff).post(policy::diff_with_active),
        )
        .route("/approvals", get(approval::list))
        .route("/approvals/{id}", get(approval::show))
        .route("/approvals/{id}/approve", post(approval::approve))
        .route("/approvals/{id}/deny", post(approval::deny))
        .route("/sessions", get(session::list))
        .route("/sessions/{id}", get(session::show))
        .route("/alerts", get(session::alerts))
        .route("/management-log", get(session::management_log))
        .fallback(auth::nothing_here)
}
