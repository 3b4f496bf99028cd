//! Nodes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::json;
use weir_api::Join;
use weir_api::http::{Node, NodeMade, NodeNew};

use super::auth::{Caller, Permission};
use crate::app::App;
use crate::check;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::limits::PAGE_MAX;
use crate::secret;
use crate::store::{fleet, leaf, management};

/// What tokens of nodes start with.
const TOKEN_PREFIX: &str = "weirnode_";

/// `GET /api/v1/nodes`
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Vec<Node>>> {
    caller.need(Permission::ReadState)?;
    let mut db = app.store.reader().await?;
    Ok(Json(
        fleet::list(&mut db, |name| app.hub.is_attached(name)).await?,
    ))
}

/// `POST /api/v1/nodes`
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(new): Json<NodeNew>,
) -> Result<(StatusCode, Json<NodeMade>)> {
    caller.need(Permission::ManageIdentity)?;
    check::name("node", &new.name)?;
    let serves = new
        .serves
        .map(|names| check::names("connection", &names))
        .transpose()?;
    let token = secret::token(TOKEN_PREFIX)?;
    let mut tx = app.store.begin().await?;
    fleet::insert(
        &mut tx,
        &new.name,
        &secret::token_hash(&token),
        serves.as_deref(),
        now(),
    )
    .await?;
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "node.add",
        &new.name,
        json!({ "serves": serves }),
    )
    .await?;
    tx.commit().await?;
    let join = Join {
        url: app.grpc_url.clone(),
        node: new.name.clone(),
        token: token.to_string(),
        control_key: app.keys.signing.verifying_key(),
        ca_pem: None,
    };
    Ok((
        StatusCode::CREATED,
        Json(NodeMade {
            name: new.name,
            join: join.encode(),
        }),
    ))
}

/// `DELETE /api/v1/nodes/{name}`
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    caller.need(Permission::ManageIdentity)?;
    let mut tx = app.store.begin().await?;
    if !fleet::remove(&mut tx, &name).await? {
        return Err(Error::NotFound(format!("no node {name:?}")));
    }
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "node.remove",
        &name,
        json!({}),
    )
    .await?;
    tx.commit().await?;
    app.hub.detach(&name);
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/nodes/{name}/checkpoints`: the signed notes stored, by size; what
/// `weir audit verify --checkpoints` takes.
pub(crate) async fn checkpoints(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Vec<String>>> {
    caller.need(Permission::ReadSessions)?;
    let notes = leaf::heads(&mut *app.store.reader().await?, &name, PAGE_MAX).await?;
    Ok(Json(
        notes
            .into_iter()
            .map(|note| String::from_utf8_lossy(&note).into_owned())
            .collect(),
    ))
}
