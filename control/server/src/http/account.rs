//! Accounts, their tokens and secrets.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::json;
use weir_api::http::{
    Account, AccountNew, Certificates, Groups, Role, SecretMade, Token, TokenMade, TokenNew, Whoami,
};

use super::auth::{Caller, Permission};
use crate::app::App;
use crate::check;
use crate::clock::{now, unsigned};
use crate::error::{Error, Result};
use crate::limits::TOKEN_LIFE_S_MAX;
use crate::secret;
use crate::store::{account, management};

/// What tokens of accounts start with.
pub(crate) const TOKEN_PREFIX: &str = "weir_";

/// `GET /api/v1/whoami`
pub(crate) async fn whoami(caller: Caller) -> Json<Whoami> {
    let Caller(account::Caller {
        account,
        scopes,
        token_expires,
    }) = caller;
    Json(Whoami {
        account,
        scopes,
        token_expires,
    })
}

/// `GET /api/v1/accounts`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Vec<Account>>> {
    caller.need(Permission::ReadState)?;
    Ok(Json(account::list(&mut *app.store.reader().await?).await?))
}

/// `POST /api/v1/accounts`
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(mut new): Json<AccountNew>,
) -> Result<(StatusCode, Json<Account>)> {
    caller.need(Permission::ManageIdentity)?;
    check_new(&mut new)?;
    let mut tx = app.store.begin().await?;
    if let Some(owner) = &new.owner {
        let owner = account::get(&mut tx, owner).await?;
        if owner.is_service || owner.disabled {
            return Err(Error::Invalid(format!(
                "{} cannot answer for a service: it is no active person",
                owner.name
            )));
        }
    }
    account::insert(&mut tx, &new, now()).await?;
    let detail = json!({ "service": new.is_service, "roles": new.roles, "groups": new.groups, "owner": new.owner, "person": new.person });
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "account.add",
        &new.name,
        detail,
    )
    .await?;
    let made = account::get(&mut tx, &new.name).await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok((StatusCode::CREATED, Json(made)))
}

/// Checks and tidies what is to be added.
pub(crate) fn check_new(new: &mut AccountNew) -> Result<()> {
    check::name("account", &new.name)?;
    if let Some(person) = &new.person {
        check::name("person", person)?;
    }
    new.groups = check::names("group", &new.groups)?;
    new.roles.sort_unstable();
    new.roles.dedup();
    match (new.is_service, &new.owner) {
        (true, None) => Err(Error::Invalid(
            "a service needs an owner, who answers for it".to_owned(),
        )),
        (false, Some(_)) => Err(Error::Invalid(
            "a person answers for themselves; only services have owners".to_owned(),
        )),
        (true, Some(_)) if new.person.is_some() => {
            Err(Error::Invalid("a service is no person".to_owned()))
        }
        (true, Some(_)) | (false, None) => Ok(()),
    }
}

/// `PUT /api/v1/accounts/{name}/groups`
pub(crate) async fn set_groups(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Json(groups): Json<Groups>,
) -> Result<Json<Account>> {
    caller.need(Permission::ManageIdentity)?;
    let groups = check::names("group", &groups.groups)?;
    let mut tx = app.store.begin().await?;
    let before = account::get(&mut tx, &name).await?;
    account::set_groups(&mut tx, &name, &groups, now()).await?;
    let detail = json!({ "before": before.groups, "after": groups });
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "account.groups",
        &name,
        detail,
    )
    .await?;
    let after = account::get(&mut tx, &name).await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(Json(after))
}

/// `PUT /api/v1/accounts/{name}/certificates`
pub(crate) async fn set_certificates(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Json(certificates): Json<Certificates>,
) -> Result<Json<Account>> {
    caller.need(Permission::ManageIdentity)?;
    check::bounded("certificates", certificates.names.len())?;
    certificates
        .names
        .iter()
        .try_for_each(|name| check::certificate_name(name))?;
    let mut names = certificates.names;
    names.sort_unstable();
    names.dedup();
    let mut tx = app.store.begin().await?;
    let before = account::get(&mut tx, &name).await?;
    if before.disabled && !names.is_empty() {
        return Err(Error::Conflict(format!("{name} is disabled")));
    }
    account::set_certificates(&mut tx, &name, &names).await?;
    let detail = json!({ "before": before.certificates, "after": names });
    let action = "account.certificates";
    management::append(&mut tx, now(), caller.name(), action, &name, detail).await?;
    let after = account::get(&mut tx, &name).await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(Json(after))
}

/// `POST /api/v1/accounts/{name}/disable`
pub(crate) async fn disable(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    caller.need(Permission::ManageIdentity)?;
    let mut tx = app.store.begin().await?;
    let before = account::get(&mut tx, &name).await?;
    account::disable(&mut tx, &name).await?;
    if before.roles.contains(&Role::Admin) && account::admins(&mut tx).await? == 0 {
        return Err(Error::Conflict(
            "this is the last admin; make another one first".to_owned(),
        ));
    }
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "account.disable",
        &name,
        json!({}),
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/accounts/{name}/secret`
pub(crate) async fn make_secret(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<SecretMade>)> {
    caller.need_self_or(&name, Permission::ManageIdentity)?;
    let secret = secret::postgres_secret()?;
    let verifier = secret::scram_verifier(&secret, &*secret::random::<16>()?);
    let mut tx = app.store.begin().await?;
    active(account::get(&mut tx, &name).await?)?;
    account::set_verifier(&mut tx, &name, &verifier).await?;
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "account.secret",
        &name,
        json!({}),
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok((
        StatusCode::CREATED,
        Json(SecretMade {
            account: name,
            secret: secret.to_string(),
        }),
    ))
}

fn active(account: Account) -> Result<Account> {
    if account.disabled {
        return Err(Error::Conflict(format!("{} is disabled", account.name)));
    }
    Ok(account)
}

/// `GET /api/v1/accounts/{name}/tokens`
pub(crate) async fn tokens(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Vec<Token>>> {
    caller.need_self_or(&name, Permission::ManageIdentity)?;
    Ok(Json(
        account::tokens(&mut *app.store.reader().await?, &name).await?,
    ))
}

/// `POST /api/v1/accounts/{name}/tokens`
pub(crate) async fn make_token(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Json(new): Json<TokenNew>,
) -> Result<(StatusCode, Json<TokenMade>)> {
    caller.need_self_or(&name, Permission::ManageIdentity)?;
    check::text("label", &new.label)?;
    if new.scopes.is_empty() {
        return Err(Error::Invalid(
            "a token needs a scope: api, read or connect".to_owned(),
        ));
    }
    if new.expires_in_s == 0 || new.expires_in_s > TOKEN_LIFE_S_MAX {
        return Err(Error::Invalid(format!(
            "a token lives 1 to {TOKEN_LIFE_S_MAX} seconds"
        )));
    }
    let mut tx = app.store.begin().await?;
    active(account::get(&mut tx, &name).await?)?;
    let made = insert_token(&mut tx, &name, &new).await?;
    let detail =
        json!({ "id": made.id, "scopes": new.scopes, "expires": made.expires, "label": new.label });
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "account.token",
        &name,
        detail,
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok((StatusCode::CREATED, Json(made)))
}

/// Makes a token and stores its hash.
pub(crate) async fn insert_token(
    tx: &mut sqlx::SqliteConnection,
    name: &str,
    new: &TokenNew,
) -> Result<TokenMade> {
    let text = secret::token(TOKEN_PREFIX)?;
    let created = unsigned(now());
    let mut scopes = new.scopes.clone();
    scopes.sort_unstable();
    scopes.dedup();
    let token = Token {
        id: secret::id()?,
        label: new.label.clone(),
        scopes,
        created,
        expires: created.saturating_add(new.expires_in_s),
        revoked: false,
    };
    account::token_insert(tx, name, &token, &secret::token_hash(&text)).await?;
    Ok(TokenMade {
        id: token.id,
        token: text.to_string(),
        expires: token.expires,
    })
}

/// `DELETE /api/v1/accounts/{name}/tokens/{id}`
pub(crate) async fn revoke_token(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode> {
    caller.need_self_or(&name, Permission::ManageIdentity)?;
    let mut tx = app.store.begin().await?;
    if !account::token_revoke(&mut tx, &name, &id).await? {
        return Err(Error::NotFound(format!("{name} has no live token {id:?}")));
    }
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "account.token_revoke",
        &name,
        json!({ "id": id }),
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(StatusCode::NO_CONTENT)
}
