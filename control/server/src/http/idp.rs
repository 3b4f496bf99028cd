//! Identity providers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use weir_api::http::{IdentityProvider, IdentityProviderView};

use super::auth::{Caller, Permission};
use crate::app::App;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::idp;
use crate::store::{idp as store, management};

/// `GET /api/v1/idps`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Vec<IdentityProviderView>>> {
    caller.need(Permission::ReadState)?;
    let all = store::list(&mut *app.store.reader().await?).await?;
    Ok(Json(all.into_iter().map(store::Stored::view).collect()))
}

/// `PUT /api/v1/idps`. Its keys are fetched first: what cannot be reached is not registered.
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(provider): Json<IdentityProvider>,
) -> Result<Json<IdentityProviderView>> {
    caller.need(Permission::ManageIdentity)?;
    idp::check(&provider)?;
    let jwks = idp::keys(&provider)
        .await
        .map_err(|error| Error::Invalid(format!("its keys cannot be had: {error:#}")))?;
    let mut tx = app.store.begin().await?;
    store::put(&mut tx, &provider, &jwks, now()).await?;
    let detail = serde_json::to_value(&provider)?;
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "idp.put",
        &provider.issuer,
        detail,
    )
    .await?;
    let stored = store::find(&mut tx, &provider.issuer).await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(Json(stored.view()))
}

/// Which provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfIssuer {
    issuer: String,
}

/// `DELETE /api/v1/idps?issuer=`
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(OfIssuer { issuer }): Query<OfIssuer>,
) -> Result<StatusCode> {
    caller.need(Permission::ManageIdentity)?;
    let mut tx = app.store.begin().await?;
    if !store::remove(&mut tx, &issuer).await? {
        return Err(Error::NotFound(format!("no identity provider {issuer:?}")));
    }
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "idp.remove",
        &issuer,
        json!({}),
    )
    .await?;
    tx.commit().await?;
    app.fetches.forget(&issuer);
    app.hub.world_changed();
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/idps/refresh?issuer=`
pub(crate) async fn refresh(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(OfIssuer { issuer }): Query<OfIssuer>,
) -> Result<Json<IdentityProviderView>> {
    caller.need(Permission::ManageIdentity)?;
    idp::refresh(&app, &issuer).await?;
    let stored = store::find(&mut *app.store.reader().await?, &issuer).await?;
    Ok(Json(stored.view()))
}
