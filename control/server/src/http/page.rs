//! The pages: plain files, embedded. They use the API as any other client.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::app::App;

/// Nothing from elsewhere, nothing inline, nothing framed, nothing sent elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content)
}

/// The routes of the pages.
pub(crate) fn routes() -> Router<Arc<App>> {
    let html = || async {
        file(
            "text/html; charset=utf-8",
            include_str!("../../../ui/index.html"),
        )
    };
    let script = || async {
        file(
            "text/javascript; charset=utf-8",
            include_str!("../../../ui/app.js"),
        )
    };
    let style = || async {
        file(
            "text/css; charset=utf-8",
            include_str!("../../../ui/app.css"),
        )
    };
    let icon = || async { file("image/svg+xml", include_str!("../../../ui/icon.svg")) };
    Router::new()
        .route("/", get(html))
        .route("/app.js", get(script))
        .route("/app.css", get(style))
        .route("/icon.svg", get(icon))
}
