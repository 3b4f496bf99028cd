//! Connections, credentials, guards, workloads and locks.

use serde::{Serialize, de::DeserializeOwned};
use sqlx::SqliteConnection;
use weir_api::http::{Connection, ConnectionView, CredentialView, Guard, Lock, Workload};

use crate::error::{Error, Result};

fn write(spec: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(spec)?)
}

fn read<T: DeserializeOwned>(spec: &str) -> Result<T> {
    Ok(serde_json::from_str(spec)?)
}

/// Where a credential's seal belongs.
pub(crate) fn credential_place(connection: &str, role: &str) -> String {
    format!("credential/{connection}/{role}")
}

/// Where the seal of a credential's certificate and key belongs.
pub(crate) fn certificate_place(connection: &str, role: &str) -> String {
    format!("certificate/{connection}/{role}")
}

/// Where a connection's mask key's seal belongs.
pub(crate) fn mask_key_place(connection: &str) -> String {
    format!("mask-key/{connection}")
}

/// Adds a connection, or changes one and leaves its mask key. Whether it is new.
pub(crate) async fn connection_put(
    tx: &mut SqliteConnection,
    spec: &Connection,
    mask_key: &[u8],
) -> Result<bool> {
    let changed = sqlx::query("UPDATE connections SET spec = ? WHERE name = ?")
        .bind(write(spec)?)
        .bind(&spec.name)
        .execute(&mut *tx)
        .await?
        .rows_affected();
    if changed == 1 {
        return Ok(false);
    }
    sqlx::query("INSERT INTO connections (name, spec, mask_key) VALUES (?, ?, ?)")
        .bind(&spec.name)
        .bind(write(spec)?)
        .bind(mask_key)
        .execute(tx)
        .await?;
    Ok(true)
}

/// Connections with their sealed mask keys, by name.
pub(crate) async fn connections(db: &mut SqliteConnection) -> Result<Vec<(Connection, Vec<u8>)>> {
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT spec, mask_key FROM connections ORDER BY name")
            .fetch_all(db)
            .await?;
    rows.into_iter()
        .map(|(spec, key)| Ok((read(&spec)?, key)))
        .collect()
}

/// The connection of that name.
pub(crate) async fn connection(db: &mut SqliteConnection, name: &str) -> Result<Connection> {
    let spec: Option<String> = sqlx::query_scalar("SELECT spec FROM connections WHERE name = ?")
        .bind(name)
        .fetch_optional(db)
        .await?;
    read(&spec.ok_or_else(|| Error::NotFound(format!("no connection {name:?}")))?)
}

/// Connections with the roles of their credentials.
pub(crate) async fn views(db: &mut SqliteConnection) -> Result<Vec<ConnectionView>> {
    let mut views = Vec::new();
    for (connection, _) in connections(&mut *db).await? {
        let sql = "SELECT role, catalogue, certificate IS NOT NULL, header FROM credentials \
            WHERE connection = ? ORDER BY role";
        let rows: Vec<(String, bool, bool, Option<String>)> = sqlx::query_as(sql)
            .bind(&connection.name)
            .fetch_all(&mut *db)
            .await?;
        let credentials = rows
            .into_iter()
            .map(
                |(role, catalogue, has_certificate, header)| CredentialView {
                    role,
                    header,
                    catalogue,
                    has_certificate,
                },
            )
            .collect();
        views.push(ConnectionView {
            connection,
            credentials,
        });
    }
    Ok(views)
}

/// Removes a connection and its credentials. Whether there was one.
pub(crate) async fn connection_remove(tx: &mut SqliteConnection, name: &str) -> Result<bool> {
    Ok(sqlx::query("DELETE FROM connections WHERE name = ?")
        .bind(name)
        .execute(tx)
        .await?
        .rows_affected()
        == 1)
}

/// Adds or replaces a credential, sealed.
pub(crate) async fn credential_put(
    tx: &mut SqliteConnection,
    connection: &str,
    view: &CredentialView,
    sealed: &[u8],
    certificate: Option<&[u8]>,
) -> Result<()> {
    if view.catalogue {
        sqlx::query("UPDATE credentials SET catalogue = 0 WHERE connection = ?")
            .bind(connection)
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query(
        "INSERT INTO credentials (connection, role, secret, catalogue, certificate, header) \
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (connection, role) DO UPDATE SET \
         secret = excluded.secret, catalogue = excluded.catalogue, \
         certificate = excluded.certificate, header = excluded.header",
    )
    .bind(connection)
    .bind(&view.role)
    .bind(sealed)
    .bind(view.catalogue)
    .bind(certificate)
    .bind(&view.header)
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes all credentials of a connection.
pub(crate) async fn credentials_clear(tx: &mut SqliteConnection, connection: &str) -> Result<()> {
    sqlx::query("DELETE FROM credentials WHERE connection = ?")
        .bind(connection)
        .execute(tx)
        .await?;
    Ok(())
}

/// Removes a credential. Whether there was one.
pub(crate) async fn credential_remove(
    tx: &mut SqliteConnection,
    connection: &str,
    role: &str,
) -> Result<bool> {
    let sql = "DELETE FROM credentials WHERE connection = ? AND role = ?";
    Ok(sqlx::query(sql)
        .bind(connection)
        .bind(role)
        .execute(tx)
        .await?
        .rows_affected()
        == 1)
}

/// A credential, sealed.
#[derive(sqlx::FromRow)]
pub(crate) struct SealedCredential {
    pub(crate) connection: String,
    pub(crate) role: String,
    pub(crate) secret: Vec<u8>,
    /// It reads the catalogue.
    pub(crate) catalogue: bool,
    /// Certificate and key, as [`http`](crate::http) seals them.
    pub(crate) certificate: Option<Vec<u8>>,
    /// The header field that it is put into.
    pub(crate) header: Option<String>,
}

/// All credentials, by connection and role.
pub(crate) async fn credentials(db: &mut SqliteConnection) -> Result<Vec<SealedCredential>> {
    let sql = "SELECT connection, role, secret, catalogue, certificate, header FROM credentials \
        ORDER BY connection, role";
    Ok(sqlx::query_as(sql).fetch_all(db).await?)
}

/// Adds a guard or changes its mode.
pub(crate) async fn guard_put(tx: &mut SqliteConnection, guard: &Guard) -> Result<()> {
    sqlx::query("INSERT INTO guards (cgroup, mode) VALUES (?, ?) ON CONFLICT (cgroup) DO UPDATE SET mode = excluded.mode")
        .bind(&guard.cgroup)
        .bind(write(&guard.mode)?)
        .execute(tx)
        .await?;
    Ok(())
}

/// Removes a guard. Whether there was one.
pub(crate) async fn guard_remove(tx: &mut SqliteConnection, cgroup: &str) -> Result<bool> {
    Ok(sqlx::query("DELETE FROM guards WHERE cgroup = ?")
        .bind(cgroup)
        .execute(tx)
        .await?
        .rows_affected()
        == 1)
}

/// Guards, by cgroup.
pub(crate) async fn guards(db: &mut SqliteConnection) -> Result<Vec<Guard>> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT cgroup, mode FROM guards ORDER BY cgroup")
            .fetch_all(db)
            .await?;
    rows.into_iter()
        .map(|(cgroup, mode)| {
            Ok(Guard {
                cgroup,
                mode: read(&mode)?,
            })
        })
        .collect()
}

/// Adds or changes a workload rule.
pub(crate) async fn workload_put(tx: &mut SqliteConnection, rule: &Workload) -> Result<()> {
    sqlx::query(
        "INSERT INTO workloads (name, spec, owner) VALUES (?, ?, ?) \
         ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, owner = excluded.owner",
    )
    .bind(&rule.name)
    .bind(write(rule)?)
    .bind(&rule.owner)
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a workload rule. Whether there was one.
pub(crate) async fn workload_remove(tx: &mut SqliteConnection, name: &str) -> Result<bool> {
    Ok(sqlx::query("DELETE FROM workloads WHERE name = ?")
        .bind(name)
        .execute(tx)
        .await?
        .rows_affected()
        == 1)
}

/// Workload rules, by name.
pub(crate) async fn workloads(db: &mut SqliteConnection) -> Result<Vec<Workload>> {
    let rows: Vec<String> = sqlx::query_scalar("SELECT spec FROM workloads ORDER BY name")
        .fetch_all(db)
        .await?;
    rows.iter().map(|spec| read(spec)).collect()
}

/// The owner of the workload of that name, if an operator gave it one.
pub(crate) async fn workload_owner(
    db: &mut SqliteConnection,
    name: &str,
) -> Result<Option<String>> {
    let owner: Option<Option<String>> =
        sqlx::query_scalar("SELECT owner FROM workloads WHERE name = ?")
            .bind(name)
            .fetch_optional(db)
            .await?;
    Ok(owner.flatten())
}

/// Adds a lock.
pub(crate) async fn lock_insert(tx: &mut SqliteConnection, lock: &Lock) -> Result<()> {
    sqlx::query("INSERT INTO locks (id, spec) VALUES (?, ?)")
        .bind(&lock.id)
        .bind(write(lock)?)
        .execute(tx)
        .await?;
    Ok(())
}

/// Lifts a lock. Whether there was one.
pub(crate) async fn lock_remove(tx: &mut SqliteConnection, id: &str) -> Result<bool> {
    Ok(sqlx::query("DELETE FROM locks WHERE id = ?")
        .bind(id)
        .execute(tx)
        .await?
        .rows_affected()
        == 1)
}

/// Locks, by id.
pub(crate) async fn locks(db: &mut SqliteConnection) -> Result<Vec<Lock>> {
    let rows: Vec<String> = sqlx::query_scalar("SELECT spec FROM locks ORDER BY id")
        .fetch_all(db)
        .await?;
    rows.iter().map(|spec| read(spec)).collect()
}
