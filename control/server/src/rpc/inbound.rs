//! What a node says, one handler each.

use std::sync::Arc;

use serde_json::json;
use weir_api::http::{ApprovalState, GuardHealth, Mode, NodeHealth};
use weir_api::v1::from_data_plane::Message as From;
use weir_api::v1::to_data_plane::Message as To;
use weir_api::v1::{
    Ack, ApprovalOpened, ApprovalRedeem, ApprovalRequest, ApprovalWithdraw, CanaryState,
    FromDataPlane, GuardMode, Health, Nack, RedeemResult,
};

use super::session::Session;
use super::{log, tools};
use crate::approval::{self, Opened};
use crate::clock::now;
use crate::error::{Error, Result};
use crate::limits::{CLOCK_SKEW_S_MAX, LIST_MAX, TEXT_BYTES_MAX};
use crate::metrics::Metrics;
use crate::store::{approval as requests, fleet, management};
use crate::world;

/// Takes one message. Only a failure of ours is an error; a node's nonsense is logged.
pub(crate) async fn handle(session: &mut Session, message: FromDataPlane) -> Result<()> {
    match message.message {
        Some(From::Hello(_)) | None => {
            tracing::warn!(node = session.node, "a message that makes no sense here");
            Ok(())
        }
        Some(From::Ack(message)) => ack(session, &message).await,
        Some(From::Nack(message)) => nack(session, message).await,
        Some(From::ApprovalRequest(request)) => open(session, &request).await,
        Some(From::ApprovalRedeem(redeem)) => spend(session, &redeem).await,
        Some(From::ApprovalWithdraw(withdraw)) => take_back(session, &withdraw).await,
        Some(From::Checkpoint(checkpoint)) => log::checkpoint(session, &checkpoint).await,
        Some(From::Leaves(leaves)) => log::leaves(session, leaves).await,
        Some(From::Health(health)) => hear(session, health).await,
        Some(From::ConnectionChecked(checked)) => {
            session.app.checks.answer(&session.node, checked);
            Ok(())
        }
        Some(From::ToolsSeen(seen)) => tools::seen(session, seen).await,
        Some(From::KeysWanted(wanted)) => {
            fetch_keys(session, wanted.issuer);
            Ok(())
        }
    }
}

/// Beside the stream: an issuer that is slow must not hold up the node. Fetches of one issuer wait
/// for each other, and one that ended a moment ago is not repeated.
fn fetch_keys(session: &Session, issuer: String) {
    let (app, node) = (Arc::clone(&session.app), session.node.clone());
    tokio::spawn(async move {
        if let Err(error) = crate::idp::refresh(&app, &issuer).await {
            tracing::warn!(node, issuer, %error, "keys wanted in vain");
        }
    });
}

async fn ack(session: &mut Session, ack: &Ack) -> Result<()> {
    let Some(version) = session.pushed.answered(&ack.nonce, ack.version.as_ref()) else {
        tracing::warn!(node = session.node, "acknowledges what was not sent");
        return Ok(());
    };
    let mut tx = session.app.store.begin().await?;
    fleet::ack(&mut tx, &session.node, &version, now()).await?;
    tx.commit().await?;
    Metrics::count(&session.app.metrics.acks, 1);
    Ok(())
}

async fn nack(session: &mut Session, nack: Nack) -> Result<()> {
    let Some(version) = session.pushed.answered(&nack.nonce, nack.version.as_ref()) else {
        tracing::warn!(node = session.node, "refuses what was not sent");
        return Ok(());
    };
    let error: String = nack.error.chars().take(TEXT_BYTES_MAX).collect();
    tracing::warn!(
        node = session.node,
        number = version.number,
        error,
        "refused its world"
    );
    session.pushed.rejected(&version);
    let mut tx = session.app.store.begin().await?;
    fleet::nack(&mut tx, &session.node, &version, &error, now()).await?;
    tx.commit().await?;
    Metrics::count(&session.app.metrics.nacks, 1);
    Ok(())
}

async fn open(session: &mut Session, request: &ApprovalRequest) -> Result<()> {
    let app = &session.app;
    app.sweep().await?;
    let mut tx = app.store.begin().await?;
    let opened = approval::open(&mut tx, &session.node, request, now()).await?;
    if let Opened::Stored(row) = &opened {
        let detail =
            json!({ "node": row.node, "connection": row.connection, "approvers": row.approvers });
        let actor = row
            .requester
            .subject
            .as_deref()
            .or(row.requester.workload.as_deref())
            .unwrap_or("");
        management::append(&mut tx, now(), actor, "approval.request", &row.id, detail).await?;
    }
    tx.commit().await?;
    let (id, state, error) = match &opened {
        Opened::Stored(row) | Opened::Met(row) => (row.id.clone(), row.state, String::new()),
        Opened::Refused(why) => {
            tracing::warn!(
                node = session.node,
                why,
                "a request for approval was refused"
            );
            (request.id.clone(), ApprovalState::Denied, why.clone())
        }
    };
    let counter = if error.is_empty() {
        &app.metrics.approvals_opened
    } else {
        &app.metrics.approvals_refused
    };
    Metrics::count(counter, 1);
    let state = approval::state_message(state).into();
    session
        .answer(To::ApprovalOpened(ApprovalOpened {
            requested: request.id.clone(),
            id: id.clone(),
            state,
            error,
        }))
        .await;
    // It may have been decided before the node knew which id counts: told again, now that it does.
    let row = requests::get(&mut *app.store.reader().await?, &id).await?;
    match row.filter(|row| row.node == session.node) {
        Some(row) => app.tell(&row).await,
        None => Ok(()),
    }
}

async fn spend(session: &mut Session, redeem: &ApprovalRedeem) -> Result<()> {
    let app = &session.app;
    let mut tx = app.store.begin().await?;
    let ok = requests::redeem(&mut tx, &session.node, &redeem.id, &redeem.digest, now()).await?;
    let reason = if ok {
        management::append(
            &mut tx,
            now(),
            &session.node,
            "approval.spend",
            &redeem.id,
            json!({}),
        )
        .await?;
        String::new()
    } else {
        why_not(
            requests::get(&mut tx, &redeem.id)
                .await?
                .filter(|row| row.node == session.node),
            redeem,
        )
    };
    tx.commit().await?;
    Metrics::count(
        if ok {
            &app.metrics.redeems_won
        } else {
            &app.metrics.redeems_lost
        },
        1,
    );
    session
        .answer(To::RedeemResult(RedeemResult {
            id: redeem.id.clone(),
            ok,
            reason,
        }))
        .await;
    Ok(())
}

fn why_not(row: Option<requests::Row>, redeem: &ApprovalRedeem) -> String {
    match row {
        None => "there is no such approval".to_owned(),
        Some(row) if row.digest != redeem.digest => "it was given for another operation".to_owned(),
        Some(row) => match row.state {
            ApprovalState::Approved | ApprovalState::Expired => "it was not run in time".to_owned(),
            ApprovalState::Spent => "it was spent".to_owned(),
            ApprovalState::Pending => "nobody has decided yet".to_owned(),
            ApprovalState::Denied => "it was denied".to_owned(),
            ApprovalState::Withdrawn => "it was withdrawn".to_owned(),
        },
    }
}

async fn take_back(session: &mut Session, withdraw: &ApprovalWithdraw) -> Result<()> {
    let mut tx = session.app.store.begin().await?;
    if requests::withdraw(&mut tx, &session.node, &withdraw.id, now()).await? {
        management::append(
            &mut tx,
            now(),
            &session.node,
            "approval.withdraw",
            &withdraw.id,
            json!({}),
        )
        .await?;
    }
    tx.commit().await.map_err(Error::from)
}

async fn hear(session: &mut Session, health: Health) -> Result<()> {
    let app = &session.app;
    let said = said(health, now());
    let mut tx = app.store.begin().await?;
    let before = fleet::last_health(&mut tx, &session.node).await?;
    fleet::health(&mut tx, &session.node, &said, now()).await?;
    tx.commit().await?;
    let skewed = |health: &NodeHealth| health.clock_ahead_s.abs() > CLOCK_SKEW_S_MAX;
    if skewed(&said) != before.as_ref().is_some_and(skewed) {
        tracing::warn!(
            node = session.node,
            ahead_s = said.clock_ahead_s,
            "its clock"
        );
        session.push().await?;
    }
    Ok(())
}

fn said(health: Health, now: i64) -> NodeHealth {
    let canary = health.canary.unwrap_or_default();
    let canary_state = match canary.state() {
        CanaryState::Passed => "passed",
        CanaryState::Failed => "failed",
        CanaryState::NotApplicable => "not-applicable",
        CanaryState::Unspecified => "unknown",
    };
    let guards = health
        .guards
        .into_iter()
        .take(LIST_MAX)
        .map(|guard| GuardHealth {
            mode: match guard.mode() {
                GuardMode::Enforce => Mode::Enforce,
                // What does not say that it enforces is not taken to.
                GuardMode::Observe | GuardMode::Unspecified => Mode::Observe,
            },
            cgroup: guard.cgroup,
            attached: guard.attached,
            detail: guard.detail,
        });
    let counters = health.counters.into_iter().take(LIST_MAX);
    NodeHealth {
        canary: canary_state.to_owned(),
        canary_at: canary.at,
        canary_detail: canary.detail,
        guards: guards.collect(),
        counters: counters
            .map(|counter| (counter.name, counter.value))
            .collect(),
        active_flows: health.active_flows,
        epoch: health.epoch,
        log_size: health.log_size,
        kernel: health.kernel,
        clock_ahead_s: world::clock_ahead(health.at, now),
    }
}
