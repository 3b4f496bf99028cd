//! The inbox.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::json;
use sqlx::SqliteConnection;
use weir_api::http::{Account, Approval, ApprovalState, Decision};

use super::auth::{Caller, Permission};
use crate::app::App;
use crate::approval::{self, Sight};
use crate::check;
use crate::clock::{now, unsigned};
use crate::error::{Error, Result};
use crate::limits::PAGE_MAX;
use crate::secret::hex;
use crate::store::approval::{self as store, Row};
use crate::store::{management, tool};

/// What to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    state: Option<ApprovalState>,
}

/// Whether a request concerns an account: it is asked to decide, or it asked.
fn concerns(row: &Row, account: &Account) -> bool {
    row.approvers
        .iter()
        .any(|group| account.groups.contains(group))
        || row.excluded.contains(&account.name)
        || row.excluded.contains(&account.person)
}

async fn view(
    db: &mut SqliteConnection,
    row: Row,
    caller: &Caller,
    sight: &Sight,
) -> Result<Approval> {
    let operation = sight.operation(&row);
    let definition_since = match &row.definition {
        Some(digest) => tool::in_use_since(&mut *db, &row.connection, digest).await?,
        None => None,
    };
    let hindrance = approval::hindrance_for(&mut *db, &row, &caller.0.account).await?;
    let votes = store::votes(db, &row.id).await?;
    Ok(Approval {
        id: row.id,
        node: row.node,
        state: row.state,
        digest: hex(&row.digest),
        requester: row.requester,
        owner: row.owner,
        connection: row.connection,
        operation,
        definition: row.definition.as_deref().map(hex),
        definition_since: definition_since.map(unsigned),
        accesses: row.accesses,
        approvers: row.approvers,
        quorum: row.quorum,
        reason: row.reason,
        policies: row.policies,
        source: row.source,
        flow: weir_facts::FlowId(row.flow).to_string(),
        created: unsigned(row.created),
        expires: unsigned(row.expires),
        decided: row.decided.map(unsigned),
        execution_expires: row.execution_expires.map(unsigned),
        votes,
        hindrance,
    })
}

async fn sight(app: &App, db: &mut SqliteConnection, caller: &Caller) -> Result<Sight> {
    Sight::of(db, &app.keys.sealer, &caller.0.account, now()).await
}

/// `GET /api/v1/approvals?state=pending`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Approval>>> {
    let sees_all = caller.may(Permission::ReadApprovals);
    let mut db = app.store.reader().await?;
    let sight = sight(&app, &mut db, &caller).await?;
    let mut views = Vec::new();
    for row in store::list(&mut db, wanted.state, PAGE_MAX).await? {
        if sees_all || concerns(&row, &caller.0.account) {
            views.push(view(&mut db, row, &caller, &sight).await?);
        }
    }
    Ok(Json(views))
}

/// `GET /api/v1/approvals/{id}`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Approval>> {
    let mut db = app.store.reader().await?;
    let row = store::get(&mut db, &id).await?;
    let seen =
        row.filter(|row| caller.may(Permission::ReadApprovals) || concerns(row, &caller.0.account));
    let row = seen.ok_or_else(|| Error::NotFound(format!("no approval {id:?}")))?;
    let sight = sight(&app, &mut db, &caller).await?;
    Ok(Json(view(&mut db, row, &caller, &sight).await?))
}

/// `POST /api/v1/approvals/{id}/approve`
pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(decision): Json<Decision>,
) -> Result<Json<Approval>> {
    decide(&app, &caller, &id, true, &decision).await
}

/// `POST /api/v1/approvals/{id}/deny`
pub(crate) async fn deny(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Json(decision): Json<Decision>,
) -> Result<Json<Approval>> {
    if decision.reason.trim().is_empty() {
        return Err(Error::Invalid(
            "a denial needs a reason: whoever asked is told it".to_owned(),
        ));
    }
    decide(&app, &caller, &id, false, &decision).await
}

/// No role is asked for here, and none helps: the rules of [`approval`] alone decide who decides.
async fn decide(
    app: &App,
    caller: &Caller,
    id: &str,
    approved: bool,
    decision: &Decision,
) -> Result<Json<Approval>> {
    check::text("reason", &decision.reason)?;
    let mut tx = app.store.begin().await?;
    let action = if approved {
        "approval.approve"
    } else {
        "approval.deny"
    };
    let row = approval::decide(
        &mut tx,
        id,
        &caller.0.account,
        approved,
        &decision.reason,
        now(),
    )
    .await?;
    let detail =
        json!({ "reason": decision.reason, "state": row.state, "digest": hex(&row.digest) });
    management::append(&mut tx, now(), caller.name(), action, id, detail).await?;
    tx.commit().await?;
    app.tell(&row).await?;
    let mut db = app.store.reader().await?;
    let sight = sight(app, &mut db, caller).await?;
    Ok(Json(view(&mut db, row, caller, &sight).await?))
}
