//! Nodes: what each should have, what it has, what it says of itself.

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use weir_api::http::{Node, NodeHealth, Push};
use weir_api::v1::Version;

use crate::clock::{signed, unsigned};
use crate::error::{Error, Result};

/// Registers a node.
pub(crate) async fn insert(
    tx: &mut SqliteConnection,
    name: &str,
    token_sha256: &[u8; 32],
    serves: Option<&[String]>,
    now: i64,
) -> Result<()> {
    sqlx::query("INSERT INTO nodes (name, token_sha256, serves, created) VALUES (?, ?, ?, ?)")
        .bind(name)
        .bind(token_sha256.as_slice())
        .bind(serves.map(serde_json::to_string).transpose()?)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(())
}

/// Forgets a node. What it shipped stays. Whether there was one.
pub(crate) async fn remove(tx: &mut SqliteConnection, name: &str) -> Result<bool> {
    Ok(sqlx::query("DELETE FROM nodes WHERE name = ?")
        .bind(name)
        .execute(tx)
        .await?
        .rows_affected()
        == 1)
}

/// Whether a node of that name has a token of that hash.
pub(crate) async fn is_token(
    db: &mut SqliteConnection,
    name: &str,
    sha256: &[u8; 32],
) -> Result<bool> {
    let sql = "SELECT count(*) FROM nodes WHERE name = ? AND token_sha256 = ?";
    let found: i64 = sqlx::query_scalar(sql)
        .bind(name)
        .bind(sha256.as_slice())
        .fetch_one(db)
        .await?;
    Ok(found == 1)
}

/// The connections that a node serves; `None` means all.
pub(crate) async fn serves(db: &mut SqliteConnection, name: &str) -> Result<Option<Vec<String>>> {
    let serves: Option<Option<String>> =
        sqlx::query_scalar("SELECT serves FROM nodes WHERE name = ?")
            .bind(name)
            .fetch_optional(db)
            .await?;
    let serves = serves.ok_or_else(|| Error::NotFound(format!("no node {name:?}")))?;
    Ok(serves.map(|list| serde_json::from_str(&list)).transpose()?)
}

/// Notes a Hello. The number that the node has in force is a floor for what follows, and
/// where it is not what this store gave (the store came back from a backup), the next
/// content gets a new number: what the node must refuse as a rollback is never offered.
pub(crate) async fn hello(
    tx: &mut SqliteConnection,
    name: &str,
    build: &str,
    applied: Option<&Version>,
    now: i64,
) -> Result<()> {
    let (number, hash) = applied.map_or((0, None), |version| {
        (signed(version.number), Some(version.hash.as_slice()))
    });
    sqlx::query(
        "UPDATE nodes SET build = ?1, last_seen = ?2, applied = ?3, wanted = max(wanted, ?3), \
         wanted_hash = CASE WHEN ?3 > wanted OR (?3 = wanted AND wanted_hash IS NOT ?4) THEN NULL ELSE wanted_hash END \
         WHERE name = ?5",
    )
    .bind(build)
    .bind(now)
    .bind(number)
    .bind(hash)
    .bind(name)
    .execute(tx)
    .await?;
    Ok(())
}

/// Names a content for a node: the number it had if it is what the node should have
/// already, else the next one.
pub(crate) async fn wanted(tx: &mut SqliteConnection, name: &str, hash: &[u8; 32]) -> Result<u64> {
    let row: Option<(i64, Option<Vec<u8>>)> =
        sqlx::query_as("SELECT wanted, wanted_hash FROM nodes WHERE name = ?")
            .bind(name)
            .fetch_optional(&mut *tx)
            .await?;
    let (number, held) = row.ok_or_else(|| Error::NotFound(format!("no node {name:?}")))?;
    if held.as_deref() == Some(hash.as_slice()) {
        return Ok(unsigned(number));
    }
    let next = number.checked_add(1).ok_or_else(|| {
        Error::Internal(anyhow::anyhow!("node {name}: version numbers are used up"))
    })?;
    sqlx::query("UPDATE nodes SET wanted = ?, wanted_hash = ? WHERE name = ?")
        .bind(next)
        .bind(hash.as_slice())
        .bind(name)
        .execute(tx)
        .await?;
    Ok(unsigned(next))
}

/// Notes an Ack.
pub(crate) async fn ack(
    tx: &mut SqliteConnection,
    name: &str,
    version: &Version,
    now: i64,
) -> Result<()> {
    sqlx::query("UPDATE nodes SET applied = ?, rejected_hash = NULL, error = '', last_seen = ? WHERE name = ?")
        .bind(signed(version.number))
        .bind(now)
        .bind(name)
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes a Nack.
pub(crate) async fn nack(
    tx: &mut SqliteConnection,
    name: &str,
    version: &Version,
    error: &str,
    now: i64,
) -> Result<()> {
    sqlx::query("UPDATE nodes SET rejected_hash = ?, error = ?, last_seen = ? WHERE name = ?")
        .bind(&version.hash)
        .bind(error)
        .bind(now)
        .bind(name)
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes what a node says of itself.
pub(crate) async fn health(
    tx: &mut SqliteConnection,
    name: &str,
    health: &NodeHealth,
    now: i64,
) -> Result<()> {
    sqlx::query("UPDATE nodes SET health = ?, last_seen = ? WHERE name = ?")
        .bind(serde_json::to_string(health)?)
        .bind(now)
        .bind(name)
        .execute(tx)
        .await?;
    Ok(())
}

/// What a node last said of itself.
pub(crate) async fn last_health(
    db: &mut SqliteConnection,
    name: &str,
) -> Result<Option<NodeHealth>> {
    let text: Option<Option<String>> =
        sqlx::query_scalar("SELECT health FROM nodes WHERE name = ?")
            .bind(name)
            .fetch_optional(db)
            .await?;
    Ok(text
        .flatten()
        .map(|text| serde_json::from_str(&text))
        .transpose()?)
}

/// Pins the key of a node's log when it first tells one. Whether it is the pinned one.
pub(crate) async fn pin_log_key(tx: &mut SqliteConnection, name: &str, vkey: &str) -> Result<bool> {
    sqlx::query("UPDATE nodes SET log_vkey = ? WHERE name = ? AND log_vkey = ''")
        .bind(vkey)
        .bind(name)
        .execute(&mut *tx)
        .await?;
    Ok(log_key(tx, name).await? == vkey)
}

/// The pinned key of a node's log; empty if it told none yet.
pub(crate) async fn log_key(db: &mut SqliteConnection, name: &str) -> Result<String> {
    let sql = "SELECT log_vkey FROM nodes WHERE name = ?";
    Ok(sqlx::query_scalar(sql)
        .bind(name)
        .fetch_optional(db)
        .await?
        .unwrap_or_default())
}

/// Nodes, by name. `connected` is asked of the hub.
pub(crate) async fn list(
    db: &mut SqliteConnection,
    connected: impl Fn(&str) -> bool,
) -> Result<Vec<Node>> {
    let sql = "SELECT *, \
        (SELECT coalesce(max(size), 0) FROM checkpoints c WHERE c.node = name) AS checkpoint_size, \
        EXISTS (SELECT 1 FROM alerts a WHERE a.node = name) AS log_alert FROM nodes ORDER BY name";
    let rows = sqlx::query(sql).fetch_all(db).await?;
    rows.iter().map(|row| node(row, &connected)).collect()
}

fn node(row: &SqliteRow, connected: impl Fn(&str) -> bool) -> Result<Node> {
    let name: String = row.try_get("name")?;
    let (wanted, applied): (i64, i64) = (row.try_get("wanted")?, row.try_get("applied")?);
    let wanted_hash: Option<Vec<u8>> = row.try_get("wanted_hash")?;
    let rejected_hash: Option<Vec<u8>> = row.try_get("rejected_hash")?;
    let push = if wanted_hash.is_some() && wanted_hash == rejected_hash {
        Push::Rejected
    } else if wanted_hash.is_some() && wanted == applied {
        Push::Applied
    } else {
        Push::Pending
    };
    let health: Option<String> = row.try_get("health")?;
    Ok(Node {
        connected: connected(&name),
        name,
        last_seen: row.try_get::<Option<i64>, _>("last_seen")?.map(unsigned),
        build: row.try_get("build")?,
        wanted: unsigned(wanted),
        applied: unsigned(applied),
        push,
        error: row.try_get("error")?,
        health: health.map(|text| serde_json::from_str(&text)).transpose()?,
        leaves: unsigned(row.try_get("next_leaf")?),
        checkpoint_size: unsigned(row.try_get("checkpoint_size")?),
        log_alert: row.try_get("log_alert")?,
    })
}
