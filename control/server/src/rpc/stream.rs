//! One open stream: wait, one mutation, answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tonic::{Status, Streaming};
use weir_api::limits::FRESH_S;
use weir_api::v1::to_data_plane::Message;
use weir_api::v1::{FromDataPlane, Hello, LeavesAck};

use super::pushed::Pushed;
use super::session::Session;
use super::{inbound, internal, log};
use crate::app::App;
use crate::clock::{now, unsigned};
use crate::error::Result;
use crate::hub::Outbound;
use crate::store::{approval, fleet, leaf};

/// Serves a node until either side ends the stream.
pub(crate) async fn run(
    app: Arc<App>,
    hello: Hello,
    mut inbound: Streaming<FromDataPlane>,
    outbound: Outbound,
) -> std::result::Result<(), Status> {
    let node = hello.node.clone();
    let mut seat = app.hub.attach(&node, outbound.clone());
    let mut session = Session {
        app,
        node,
        outbound,
        pushed: Pushed::default(),
    };
    tracing::info!(node = session.node, build = hello.build, "connected");
    welcome(&mut session, hello)
        .await
        .map_err(|error| internal(&error))?;

    let mut renew = interval(Duration::from_secs(FRESH_S / 2));
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    renew.reset();
    loop {
        let step = tokio::select! {
            message = inbound.message() => match message {
                Ok(Some(message)) => inbound::handle(&mut session, message).await,
                Ok(None) | Err(_) => break,
            },
            rung = seat.world.changed() => match rung {
                Ok(()) => session.push().await,
                Err(_) => break,
            },
            _ = renew.tick() => session.renew().await,
            _ = seat.alive.changed() => {
                return Err(Status::aborted("another stream of this node began, or this one fell behind"));
            }
            () = stop(&mut seat.stopping) => {
                return Err(Status::unavailable("the control plane stops"));
            }
        };
        step.map_err(|error| internal(&error))?;
    }
    tracing::info!(node = session.node, "disconnected");
    Ok(())
}

/// Resolves when the control plane stops.
async fn stop(stopping: &mut watch::Receiver<bool>) {
    // An error means that the hub is gone, which is an end too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Everything that a node must know before it goes on: its world, where its log is to
/// continue, and what was decided while it was away.
async fn welcome(session: &mut Session, hello: Hello) -> Result<()> {
    let app = Arc::clone(&session.app);
    let mut tx = app.store.begin().await?;
    fleet::hello(
        &mut tx,
        &session.node,
        &hello.build,
        hello.applied.as_ref(),
        now(),
    )
    .await?;
    tx.commit().await?;
    session.push().await?;
    log::key(session, &hello.log_vkey).await?;
    if let Some(checkpoint) = hello.checkpoint {
        log::checkpoint(session, &checkpoint).await?;
    }
    let next_index = unsigned(leaf::next(&mut *app.store.reader().await?, &session.node).await?);
    session
        .answer(Message::LeavesAck(LeavesAck { next_index }))
        .await;
    app.sweep().await?;
    let mut db = app.store.reader().await?;
    for row in approval::decided_for(&mut db, &session.node, now()).await? {
        if let Some(decision) = crate::approval::decision(&mut db, &row).await? {
            session.answer(Message::ApprovalDecision(decision)).await;
        }
    }
    Ok(())
}
