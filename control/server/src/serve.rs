//! Two listeners, one sweeper, one keeper of keys, one end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tonic::transport::server::TcpIncoming;

use crate::app::App;
use crate::hub::Hub;
use crate::idp::fetches::Fetches;
use crate::keys::Keys;
use crate::limits::DRAIN_S_MAX;
use crate::metrics::Metrics;
use crate::server_checks::ServerChecks;
use crate::store::Store;
use crate::{http, idp, notify, rpc};

/// How often the sweeper looks for requests that time has ended.
const SWEEP: Duration = Duration::from_secs(1);

/// A stream whose peer does not answer this soon is dead.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn serve(
    state: &Path,
    http: SocketAddr,
    grpc: SocketAddr,
    inbox: Option<String>,
) -> anyhow::Result<()> {
    for address in [http, grpc] {
        ensure!(
            address.ip().is_loopback(),
            "{address} is not a loopback address: tokens and credentials would travel without TLS"
        );
    }
    let keys = Keys::open(state)?;
    let store = Store::open(state, false).await?;
    let http = TcpListener::bind(http)
        .await
        .with_context(|| format!("bind {http}"))?;
    let grpc = TcpListener::bind(grpc)
        .await
        .with_context(|| format!("bind {grpc}"))?;
    let (http_url, grpc_url) = (
        format!("http://{}", http.local_addr()?),
        format!("http://{}", grpc.local_addr()?),
    );
    let hub = Hub::new();
    let app = Arc::new(App {
        store,
        keys,
        hub,
        metrics: Metrics::default(),
        fetches: Fetches::default(),
        checks: ServerChecks::default(),
        grpc_url: grpc_url.clone(),
        inbox: inbox.unwrap_or_else(|| http_url.clone()),
    });

    let people = tokio::spawn(serve_people(Arc::clone(&app), http));
    let planes = tokio::spawn(serve_planes(Arc::clone(&app), grpc));
    let sweeper = tokio::spawn(sweep(Arc::clone(&app)));
    let keys_keeper = tokio::spawn(idp::keep(Arc::clone(&app)));
    // One line that scripts can read, whatever ports were asked for.
    println!(
        "{}",
        serde_json::json!({ "http": http_url, "grpc": grpc_url })
    );
    tracing::info!(http_url, grpc_url, "serves");
    notify::notify("READY=1");

    let outcome = until_signal().await;
    notify::notify("STOPPING=1");
    tracing::info!("stops");
    app.hub.stop();
    sweeper.abort();
    keys_keeper.abort();
    let drained = tokio::time::timeout(Duration::from_secs(DRAIN_S_MAX), async {
        (people.await, planes.await)
    })
    .await;
    match drained {
        Ok((people, planes)) => {
            people.context("the HTTP server")??;
            planes.context("the gRPC server")??;
        }
        Err(_) => tracing::warn!("requests were still under way; ended"),
    }
    app.store.close().await;
    outcome
}

async fn until_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("sigaction SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("sigaction SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // The sender lives in the hub, which outlives this; if it were gone, that is an end too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

async fn serve_people(app: Arc<App>, listener: TcpListener) -> anyhow::Result<()> {
    let stopping = app.hub.stopping();
    axum::serve(listener, http::router(app))
        .with_graceful_shutdown(stopped(stopping))
        .await
        .context("serve HTTP")
}

async fn serve_planes(app: Arc<App>, listener: TcpListener) -> anyhow::Result<()> {
    let stopping = app.hub.stopping();
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(rpc::service(app))
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            stopped(stopping),
        )
        .await
        .context("serve gRPC")
}

async fn sweep(app: Arc<App>) {
    let mut tick = interval(SWEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = app.sweep().await {
            tracing::error!(%error, "sweep failed");
        }
    }
}
