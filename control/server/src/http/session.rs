//! What happened: sessions, alerts, and the control plane's own log.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use weir_api::http::{Alert, ManagementEntry, Session, SessionDetail};

use super::auth::{Caller, Permission};
use crate::app::App;
use crate::error::{Error, Result};
use crate::limits::{CAUSED_MAX, PAGE_MAX};
use crate::store::session::{self, Filter};
use crate::store::{leaf, management};

/// What to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    who: String,
    #[serde(default)]
    connection: String,
    #[serde(default)]
    before_us: Option<u64>,
    #[serde(default)]
    limit: Option<u32>,
}

/// `GET /api/v1/sessions?who=&connection=&before_us=&limit=`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Session>>> {
    caller.need(Permission::ReadSessions)?;
    let filter = Filter {
        who: &wanted.who,
        connection: &wanted.connection,
        before_us: wanted.before_us.unwrap_or(u64::MAX),
        limit: wanted.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX),
    };
    Ok(Json(
        session::list(&mut *app.store.reader().await?, &filter).await?,
    ))
}

/// Where to go on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    #[serde(default)]
    from: u64,
}

/// `GET /api/v1/sessions/{id}?from=`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(From { from }): Query<From>,
) -> Result<Json<SessionDetail>> {
    caller.need(Permission::ReadSessions)?;
    let missing = || Error::NotFound(format!("no session {id:?}"));
    let (node, flow) = id.rsplit_once('.').ok_or_else(missing)?;
    let mut db = app.store.reader().await?;
    let session = session::get(&mut db, node, flow)
        .await?
        .ok_or_else(missing)?;
    let mut events = session::events(&mut db, node, flow, from, PAGE_MAX + 1).await?;
    let full = events.len() > PAGE_MAX as usize;
    let next = if full {
        events.pop().map(|event| event.index)
    } else {
        None
    };
    // Operations are numbered in the order of their intents.
    let calls = events.iter().filter(|event| event.kind == "intent");
    let calls = calls.map(|event| event.operation);
    let caused = match (calls.clone().min(), calls.max()) {
        (Some(first), Some(last)) => {
            session::caused(&mut db, node, flow, first..=last, CAUSED_MAX).await?
        }
        (_, _) => Vec::new(),
    };
    Ok(Json(SessionDetail {
        session,
        events,
        caused,
        next,
    }))
}

/// `GET /api/v1/alerts`
pub(crate) async fn alerts(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Vec<Alert>>> {
    caller.need(Permission::ReadState)?;
    Ok(Json(
        leaf::alerts(&mut *app.store.reader().await?, PAGE_MAX).await?,
    ))
}

/// Where to begin.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct After {
    #[serde(default)]
    after: u64,
}

/// `GET /api/v1/management-log?after=`
pub(crate) async fn management_log(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(After { after }): Query<After>,
) -> Result<Json<Vec<ManagementEntry>>> {
    caller.need(Permission::ReadSessions)?;
    Ok(Json(
        management::list(&mut *app.store.reader().await?, after, PAGE_MAX).await?,
    ))
}
