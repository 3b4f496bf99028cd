//! Tools of MCP servers: what was seen of them, and which definitions may be used.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::json;
use sqlx::SqliteConnection;
use weir_api::http::{ToolApproval, ToolChoice, ToolDetail, ToolView};
use weir_facts::is_hidden;

use super::auth::{Caller, Permission};
use crate::app::App;
use crate::clock::{now, unsigned};
use crate::error::{Error, Result};
use crate::limits::DEFINITION_DIGITS_MIN;
use crate::secret::hex;
use crate::store::tool::{self as store, Decided, Row};
use crate::store::{management, server};
use crate::{check, diff};

fn view(row: &Row) -> ToolView {
    ToolView {
        name: row.name.clone(),
        quarantined: row.pending.is_some() || row.approved.is_none(),
        doubt: row.doubt.clone(),
        approved: row.approved.as_deref().map(hex),
        pending: row.pending.as_deref().map(hex),
        node: row.node.clone(),
        first_seen: unsigned(row.first_seen),
        changed: row.changed.filter(|_| row.pending.is_some()).map(unsigned),
        decided: row.decided.map(unsigned),
        decided_by: row.decided_by.clone(),
        reason: row.reason.clone(),
    }
}

/// `GET /api/v1/connections/{name}/tools`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Vec<ToolView>>> {
    caller.need(Permission::ReadState)?;
    let mut db = app.store.reader().await?;
    server::connection(&mut db, &name).await?;
    let rows = store::list(&mut db, &name).await?;
    Ok(Json(rows.iter().map(view).collect()))
}

/// Which tool. Not a part of the path: a name may hold anything.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    name: String,
}

/// `GET /api/v1/connections/{name}/tool?name=`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(connection): Path<String>,
    Query(Named { name }): Query<Named>,
) -> Result<Json<ToolDetail>> {
    caller.need(Permission::ReadState)?;
    let row = row(&mut *app.store.reader().await?, &connection, &name).await?;
    let (approved, pending) = (
        shown(row.approved_definition.as_deref()),
        shown(row.pending_definition.as_deref()),
    );
    let diff = if row.pending.is_some() {
        diff::lines(&approved, &pending)
    } else {
        Vec::new()
    };
    Ok(Json(ToolDetail {
        tool: view(&row),
        approved,
        pending,
        diff,
    }))
}

async fn row(db: &mut SqliteConnection, connection: &str, name: &str) -> Result<Row> {
    store::get(db, connection, name)
        .await?
        .ok_or_else(|| Error::NotFound(format!("no tool {name:?} of {connection} was seen")))
}

/// A definition as people read it: indented, and with everything visible that is there.
fn shown(definition: Option<&str>) -> String {
    let definition = definition.unwrap_or_default();
    let value = serde_json::from_str::<serde_json::Value>(definition);
    let pretty = value
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| definition.to_owned());
    let mut out = String::with_capacity(pretty.len());
    for c in pretty.chars() {
        if is_hidden(c) {
            // Writing to a String does not fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// `POST /api/v1/connections/{name}/tools/approve`
pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(connection): Path<String>,
    Json(approval): Json<ToolApproval>,
) -> Result<Json<Vec<ToolView>>> {
    caller.need(Permission::ApproveTools)?;
    if caller.0.account.is_service {
        return Err(Error::Denied(
            "service accounts cannot approve definitions of tools".to_owned(),
        ));
    }
    check::bounded("tools", approval.tools.len())?;
    check::text("reason", &approval.reason)?;
    if approval.reason.trim().is_empty() || approval.tools.is_empty() {
        return Err(Error::Invalid(
            "an approval names tools and a reason".to_owned(),
        ));
    }
    let mut tx = app.store.begin().await?;
    let mut views = Vec::with_capacity(approval.tools.len());
    for choice in &approval.tools {
        let row = row(&mut tx, &connection, &choice.name).await?;
        let (digest, definition) = chosen(&row, choice)?;
        let decided = Decided {
            connection: &connection,
            name: &choice.name,
            digest,
            definition,
            by: caller.name(),
            reason: &approval.reason,
        };
        store::decide(&mut tx, &decided, now()).await?;
        let detail = json!({
            "tool": choice.name, "definition": hex(digest), "reason": approval.reason,
            "before": row.approved.as_deref().map(hex),
        });
        management::append(
            &mut tx,
            now(),
            caller.name(),
            "tool.approve",
            &connection,
            detail,
        )
        .await?;
        views.push(view(&self::row(&mut tx, &connection, &choice.name).await?));
    }
    tx.commit().await?;
    app.hub.world_changed();
    Ok(Json(views))
}

/// The definition that was looked at, if it still is one of those that there are.
fn chosen<'r>(row: &'r Row, choice: &ToolChoice) -> Result<(&'r [u8], &'r str)> {
    let wanted = choice.definition.to_ascii_lowercase();
    if wanted.len() < DEFINITION_DIGITS_MIN {
        return Err(Error::Invalid(format!(
            "name the definition that you have looked at by {DEFINITION_DIGITS_MIN} or more digits of its SHA-256"
        )));
    }
    let Some(pending) = &row.pending else {
        return Err(Error::Conflict(format!("{} waits for nobody", row.name)));
    };
    let candidates = [
        Some((pending, &row.pending_definition)),
        row.approved
            .as_ref()
            .map(|approved| (approved, &row.approved_definition)),
    ];
    let found = candidates
        .into_iter()
        .flatten()
        .find(|(digest, _)| hex(digest).starts_with(&wanted));
    let Some((digest, definition)) = found else {
        return Err(Error::Conflict(format!(
            "{} has another definition by now: look at it again",
            row.name
        )));
    };
    match definition.as_deref().filter(|text| !text.is_empty()) {
        Some(definition) => Ok((digest, definition)),
        None => Err(Error::Invalid(format!(
            "the definition of {} is too large to be shown, so nobody can have looked at it",
            row.name
        ))),
    }
}
