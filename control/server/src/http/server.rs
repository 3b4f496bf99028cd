//! Connections, credentials, guards, workloads, locks.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use weir_api::http::{
    Authorization, Connection, ConnectionView, Credential, CredentialView, Guard, Kind, Lock,
    LoginMethod, Tls, Unlabelled, Workload,
};
use weir_api::v1::to_data_plane::Message;
use weir_facts::{ConnectionName, MaskRule};
use weir_policy::{ConnectionFacts, ConnectionKind};
use zeroize::Zeroizing;

use super::auth::{Caller, Permission};
use crate::app::App;
use crate::check;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::limits::TEXT_BYTES_MAX;
use crate::store::{account, management, server};
use crate::{mcp, secret, world};

/// `GET /api/v1/connections`
pub(crate) async fn connections(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Vec<ConnectionView>>> {
    caller.need(Permission::ReadState)?;
    Ok(Json(server::views(&mut *app.store.reader().await?).await?))
}

/// `PUT /api/v1/connections`
pub(crate) async fn put_connection(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(spec): Json<Connection>,
) -> Result<StatusCode> {
    caller.need(Permission::ManageServers)?;
    check_connection(&spec)?;
    let mut tx = app.store.begin().await?;
    for (other, _) in server::connections(&mut tx).await? {
        let shared = other
            .addresses
            .iter()
            .find(|address| spec.addresses.contains(address));
        if let Some(address) = shared.filter(|_| other.name != spec.name) {
            return Err(Error::Conflict(format!(
                "{address} belongs to {}",
                other.name
            )));
        }
    }
    if spec.stdio.is_some() {
        let stored = server::credentials(&mut tx).await?;
        if stored.iter().any(|stored| stored.connection == spec.name) {
            return Err(Error::Conflict(format!(
                "Weir holds a credential of {}, which would go to whatever its clients start: \
                 remove the connection first",
                spec.name
            )));
        }
    }
    let sealed = app.keys.sealer.seal(
        &server::mask_key_place(&spec.name),
        &*secret::random::<32>()?,
    )?;
    let is_new = server::connection_put(&mut tx, &spec, &sealed).await?;
    let detail = serde_json::to_value(&spec)?;
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "connection.put",
        &spec.name,
        detail,
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    })
}

fn check_connection(spec: &Connection) -> Result<()> {
    check::name("connection", &spec.name)?;
    check::bounded("addresses", spec.addresses.len() + spec.listen.len())?;
    check_stdio(spec)?;
    spec.addresses
        .iter()
        .chain(&spec.listen)
        .try_for_each(|text| check::address(text).map(drop))?;
    for (what, text) in [
        ("env", &spec.env),
        ("database", &spec.database),
        ("zone", &spec.zone),
    ] {
        check::text(what, text)?;
    }
    let optional = [
        ("server name", &spec.server_name),
        ("default role", &spec.default_role),
    ];
    for (what, text) in optional
        .into_iter()
        .filter_map(|(what, text)| Some((what, text.as_ref()?)))
    {
        check::text(what, text)?;
    }
    if spec.tls == Tls::VerifyFull && spec.server_name.as_ref().is_none_or(String::is_empty) {
        return Err(Error::Invalid(
            "verify-full needs the server name that the certificate must carry".to_owned(),
        ));
    }
    if [&spec.ca_pem, &spec.client_ca_pem]
        .into_iter()
        .flatten()
        .any(|pem| !pem.contains("-----BEGIN CERTIFICATE-----"))
    {
        return Err(Error::Invalid("the CA is not a PEM certificate".to_owned()));
    }
    check_logins(spec)?;
    mcp::check_connection(spec)?;
    let kind = match spec.kind {
        Kind::Postgres => ConnectionKind::Postgres,
        Kind::Mcp => ConnectionKind::Mcp,
    };
    // Whatever policy could not compile must not be published.
    ConnectionFacts::new(
        ConnectionName::new(&spec.name),
        kind,
        &spec.env,
        Some(&spec.zone),
    )
    .map_err(|error| Error::Invalid(error.to_string()))?;
    match (spec.unlabelled, spec.unlabelled_mask.as_deref()) {
        (Unlabelled::Clear, None) => Ok(()),
        (Unlabelled::Clear, Some(_)) => Err(Error::Invalid(
            "unlabelled columns are shown clear, so no mask applies".to_owned(),
        )),
        (Unlabelled::Mask, None) => Err(Error::Invalid(
            "unlabelled columns are masked, but how? Give a mask, like redact".to_owned(),
        )),
        (Unlabelled::Mask, Some(rule)) => rule
            .parse::<MaskRule>()
            .map(drop)
            .map_err(|error| Error::Invalid(error.to_string())),
    }
}

/// A server has addresses, or is started by its clients; never both.
fn check_stdio(spec: &Connection) -> Result<()> {
    let invalid = |told: &str| Err(Error::Invalid(told.to_owned()));
    let Some(stdio) = &spec.stdio else {
        return if spec.addresses.is_empty() {
            invalid("a connection needs at least one address")
        } else {
            Ok(())
        };
    };
    if spec.kind != Kind::Mcp {
        return invalid("only MCP servers are spoken to over standard input and output");
    }
    if spec.authorization == Authorization::Server {
        return invalid("tokens of clients do not go on to what clients start");
    }
    if !(spec.addresses.is_empty() && spec.listen.is_empty()) {
        return invalid(
            "a server that its clients start has no address, and nobody listens for it",
        );
    }
    if spec.tls != Tls::Disable || spec.client_tls_required {
        return invalid("standard input and output have no TLS: give --tls disable");
    }
    if let Some(path) = &stdio.executable {
        check::text("the program", path)?;
        if !path.starts_with('/') {
            return invalid("the program is not an absolute path");
        }
    }
    let arguments = stdio.arguments.as_deref().unwrap_or_default();
    check::bounded("arguments", arguments.len())?;
    if stdio.executable.is_none() && stdio.arguments.is_some() {
        return invalid("arguments without a program");
    }
    for argument in arguments {
        if argument.len() > TEXT_BYTES_MAX || argument.contains('\0') {
            return invalid("an argument is too long or has a NUL in it");
        }
    }
    Ok(())
}

/// Rules that can be met, each of which can decide something.
fn check_logins(spec: &Connection) -> Result<()> {
    check::bounded("logins", spec.logins.len())?;
    if spec.kind == Kind::Mcp && !(spec.logins.is_empty() && spec.client_ca_pem.is_none()) {
        return Err(Error::Invalid(
            "logins and a client CA are for Postgres; MCP clients show bearer tokens".to_owned(),
        ));
    }
    for (index, rule) in spec.logins.iter().enumerate() {
        check::text("the user of a login", &rule.user)?;
        let before = spec.logins.iter().take(index);
        if rule.user.is_empty()
            || before
                .clone()
                .any(|other| other.user == rule.user || other.user == "*")
        {
            return Err(Error::Invalid(format!(
                "the login of {:?} can never decide: an earlier one does",
                rule.user
            )));
        }
        if rule.method == LoginMethod::Certificate && spec.client_ca_pem.is_none() {
            return Err(Error::Invalid(
                "a login by certificate needs the CA that vouches for clients".to_owned(),
            ));
        }
    }
    Ok(())
}

/// `DELETE /api/v1/connections/{name}`
pub(crate) async fn remove_connection(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    caller.need(Permission::ManageServers)?;
    let mut tx = app.store.begin().await?;
    if !server::connection_remove(&mut tx, &name).await? {
        return Err(Error::NotFound(format!("no connection {name:?}")));
    }
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "connection.remove",
        &name,
        json!({}),
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /api/v1/connections/{name}/credentials`
pub(crate) async fn put_credential(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Json(credential): Json<Credential>,
) -> Result<StatusCode> {
    caller.need(Permission::ManageServers)?;
    check::text("role", &credential.role)?;
    let certificate = match (&credential.certificate_pem, &credential.key_pem) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            check::certificate(certificate, key)?;
            Some(serde_json::to_vec(&(certificate, key))?)
        }
        _ => {
            return Err(Error::Invalid(
                "a certificate needs its key, and a key its certificate".to_owned(),
            ));
        }
    };
    if (credential.secret.is_empty() && certificate.is_none())
        || credential.secret.len() > TEXT_BYTES_MAX
        || credential.secret.contains('\0')
    {
        return Err(Error::Invalid(format!(
            "the secret must be 1 to {TEXT_BYTES_MAX} bytes without NUL"
        )));
    }
    let mut tx = app.store.begin().await?;
    let connection = server::connection(&mut tx, &name).await?;
    if connection.stdio.is_some() {
        return Err(Error::Invalid(
            "a server that its clients start gets its secrets from them; Weir keeps none for it"
                .to_owned(),
        ));
    }
    match (connection.kind, credential.role.is_empty()) {
        (Kind::Postgres, true) => {
            return Err(Error::Invalid(
                "a Postgres credential needs a role".to_owned(),
            ));
        }
        (Kind::Postgres, false) if credential.header.is_some() => {
            return Err(Error::Invalid(
                "a Postgres credential is put into no header".to_owned(),
            ));
        }
        (Kind::Postgres, false) => {}
        (Kind::Mcp, _) => {
            mcp::check_credential(&connection, &credential)?;
            // It has one: which of two would be shown?
            server::credentials_clear(&mut tx, &name).await?;
        }
    }
    let place = server::credential_place(&name, &credential.role);
    let sealed = app.keys.sealer.seal(&place, credential.secret.as_bytes())?;
    let place = server::certificate_place(&name, &credential.role);
    let certificate = certificate
        .map(|plain| app.keys.sealer.seal(&place, &Zeroizing::new(plain)))
        .transpose()?;
    let view = CredentialView {
        role: credential.role,
        header: credential.header,
        catalogue: credential.catalogue,
        has_certificate: certificate.is_some(),
    };
    server::credential_put(&mut tx, &name, &view, &sealed, certificate.as_deref()).await?;
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "credential.put",
        &name,
        serde_json::to_value(&view)?,
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(StatusCode::NO_CONTENT)
}

/// Which credential; the role of an MCP server's is its user, if it has one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfRole {
    #[serde(default)]
    role: String,
}

/// `DELETE /api/v1/connections/{name}/credentials?role=`
pub(crate) async fn remove_credential(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
    Query(OfRole { role }): Query<OfRole>,
) -> Result<StatusCode> {
    caller.need(Permission::ManageServers)?;
    let mut tx = app.store.begin().await?;
    if !server::credential_remove(&mut tx, &name, &role).await? {
        return Err(Error::NotFound(format!(
            "{name} has no credential for role {role:?}"
        )));
    }
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "credential.remove",
        &name,
        json!({ "role": role }),
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/guards`
pub(crate) async fn guards(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Vec<Guard>>> {
    caller.need(Permission::ReadState)?;
    Ok(Json(server::guards(&mut *app.store.reader().await?).await?))
}

/// `PUT /api/v1/guards`
pub(crate) async fn put_guard(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(guard): Json<Guard>,
) -> Result<StatusCode> {
    caller.need(Permission::ManageServers)?;
    match guard.cgroup.strip_prefix("unit:") {
        Some(unit) if !unit.is_empty() && !unit.contains('/') => check::text("unit", unit)?,
        Some(unit) => return Err(Error::Invalid(format!("{unit:?} is not a systemd unit"))),
        None if guard.cgroup == "all" => {}
        None => check::cgroup(&guard.cgroup)?,
    }
    let mut tx = app.store.begin().await?;
    server::guard_put(&mut tx, &guard).await?;
    let detail = json!({ "mode": guard.mode });
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "guard.put",
        &guard.cgroup,
        detail,
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(StatusCode::NO_CONTENT)
}

/// Which guard.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfCgroup {
    cgroup: String,
}

/// `DELETE /api/v1/guards?cgroup=`
pub(crate) async fn remove_guard(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(OfCgroup { cgroup }): Query<OfCgroup>,
) -> Result<StatusCode> {
    caller.need(Permission::ManageServers)?;
    let mut tx = app.store.begin().await?;
    if !server::guard_remove(&mut tx, &cgroup).await? {
        return Err(Error::NotFound(format!("no guard on {cgroup:?}")));
    }
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "guard.remove",
        &cgroup,
        json!({}),
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/workloads`
pub(crate) async fn workloads(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Vec<Workload>>> {
    caller.need(Permission::ReadState)?;
    Ok(Json(
        server::workloads(&mut *app.store.reader().await?).await?,
    ))
}

/// `PUT /api/v1/workloads`
pub(crate) async fn put_workload(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(mut rule): Json<Workload>,
) -> Result<StatusCode> {
    caller.need(Permission::ManageIdentity)?;
    check::name("workload", &rule.name)?;
    rule.groups = check::names("group", &rule.groups)?;
    if let Some(cgroup) = &rule.cgroup {
        check::cgroup(cgroup)?;
    }
    if rule
        .executable
        .as_ref()
        .is_some_and(|path| !path.starts_with('/') || path.len() > TEXT_BYTES_MAX)
    {
        return Err(Error::Invalid(
            "the executable is not an absolute path".to_owned(),
        ));
    }
    if rule.uid.is_none() && rule.cgroup.is_none() && rule.executable.is_none() {
        return Err(Error::Invalid(
            "a rule without condition would name every process; give a uid, cgroup or executable"
                .to_owned(),
        ));
    }
    let mut tx = app.store.begin().await?;
    if let Some(owner) = &rule.owner {
        let owner = account::get(&mut tx, owner).await?;
        if owner.is_service || owner.disabled {
            return Err(Error::Invalid(format!(
                "{} cannot answer for a workload: it is no active person",
                owner.name
            )));
        }
    }
    server::workload_put(&mut tx, &rule).await?;
    let detail = serde_json::to_value(&rule)?;
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "workload.put",
        &rule.name,
        detail,
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/v1/workloads/{name}`
pub(crate) async fn remove_workload(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    caller.need(Permission::ManageIdentity)?;
    let mut tx = app.store.begin().await?;
    if !server::workload_remove(&mut tx, &name).await? {
        return Err(Error::NotFound(format!("no workload {name:?}")));
    }
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "workload.remove",
        &name,
        json!({}),
    )
    .await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/locks`
pub(crate) async fn locks(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Vec<Lock>>> {
    caller.need(Permission::ReadState)?;
    Ok(Json(server::locks(&mut *app.store.reader().await?).await?))
}

/// `POST /api/v1/locks`
pub(crate) async fn add_lock(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(mut lock): Json<Lock>,
) -> Result<(StatusCode, Json<Lock>)> {
    caller.need(Permission::ManageServers)?;
    check::text("reason", &lock.reason)?;
    lock.id = secret::id()?;
    let targets = [&lock.flow, &lock.account, &lock.workload];
    if targets.into_iter().flatten().count() != 1 {
        return Err(Error::Invalid(
            "a lock is on exactly one of flow, account and workload".to_owned(),
        ));
    }
    let mut tx = app.store.begin().await?;
    let message = world::lock_message(&mut tx, &lock).await?;
    if message.target.is_none() {
        return Err(Error::NotFound(
            "there is no such flow or account".to_owned(),
        ));
    }
    server::lock_insert(&mut tx, &lock).await?;
    management::append(
        &mut tx,
        now(),
        caller.name(),
        "lock.add",
        &lock.id,
        serde_json::to_value(&lock)?,
    )
    .await?;
    tx.commit().await?;
    // Ahead of the world, which carries it too for flows that come later.
    app.hub.broadcast(&Message::Lock(message));
    app.hub.world_changed();
    Ok((StatusCode::CREATED, Json(lock)))
}

/// `DELETE /api/v1/locks/{id}`
pub(crate) async fn remove_lock(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    caller.need(Permission::ManageServers)?;
    let mut tx = app.store.begin().await?;
    if !server::lock_remove(&mut tx, &id).await? {
        return Err(Error::NotFound(format!("no lock {id:?}")));
    }
    management::append(&mut tx, now(), caller.name(), "lock.remove", &id, json!({})).await?;
    tx.commit().await?;
    app.hub.world_changed();
    Ok(StatusCode::NO_CONTENT)
}
