//! What nodes ship: leaves of their audit logs, and signed heads.

use sqlx::SqliteConnection;
use weir_api::http::Alert;

use crate::clock::{signed, unsigned};
use crate::error::Result;

/// The index of the first leaf of a node's that is not stored.
pub(crate) async fn next(db: &mut SqliteConnection, node: &str) -> Result<i64> {
    let sql = "SELECT next_leaf FROM nodes WHERE name = ?";
    Ok(sqlx::query_scalar(sql)
        .bind(node)
        .fetch_optional(db)
        .await?
        .unwrap_or(0))
}

/// A stored leaf.
pub(crate) async fn get(
    db: &mut SqliteConnection,
    node: &str,
    index: i64,
) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT leaf FROM leaves WHERE node = ? AND idx = ?";
    Ok(sqlx::query_scalar(sql)
        .bind(node)
        .bind(index)
        .fetch_optional(db)
        .await?)
}

/// Stores the leaf at [`next`].
pub(crate) async fn append(
    tx: &mut SqliteConnection,
    node: &str,
    index: i64,
    leaf: &[u8],
) -> Result<()> {
    sqlx::query("INSERT INTO leaves (node, idx, leaf) VALUES (?, ?, ?)")
        .bind(node)
        .bind(index)
        .bind(leaf)
        .execute(&mut *tx)
        .await?;
    sqlx::query("UPDATE nodes SET next_leaf = ? WHERE name = ?")
        .bind(index + 1)
        .bind(node)
        .execute(tx)
        .await?;
    Ok(())
}

/// A signed head as it is stored.
pub(crate) struct Head<'a> {
    pub(crate) origin: &'a str,
    pub(crate) size: u64,
    pub(crate) root: &'a [u8],
    pub(crate) note: &'a [u8],
}

/// The largest size that a node's stored heads have.
pub(crate) async fn largest_head(db: &mut SqliteConnection, node: &str) -> Result<u64> {
    let sql = "SELECT coalesce(max(size), 0) FROM checkpoints WHERE node = ?";
    Ok(unsigned(
        sqlx::query_scalar(sql).bind(node).fetch_one(db).await?,
    ))
}

/// Roots stored for a node and a size.
pub(crate) async fn roots(
    db: &mut SqliteConnection,
    node: &str,
    size: u64,
) -> Result<Vec<Vec<u8>>> {
    let sql = "SELECT root FROM checkpoints WHERE node = ? AND size = ?";
    Ok(sqlx::query_scalar(sql)
        .bind(node)
        .bind(signed(size))
        .fetch_all(db)
        .await?)
}

/// Stores a head, contradicting or not: both sides of a contradiction are evidence.
/// Whether it was not there yet.
pub(crate) async fn head_insert(
    tx: &mut SqliteConnection,
    node: &str,
    head: &Head<'_>,
    now: i64,
) -> Result<bool> {
    let stored = sqlx::query(
        "INSERT INTO checkpoints (node, size, root, origin, note, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(node)
    .bind(signed(head.size))
    .bind(head.root)
    .bind(head.origin)
    .bind(head.note)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(stored.rows_affected() == 1)
}

/// Stored heads of a node as signed notes, by size.
pub(crate) async fn heads(
    db: &mut SqliteConnection,
    node: &str,
    limit: u32,
) -> Result<Vec<Vec<u8>>> {
    let sql = "SELECT note FROM (SELECT size, note FROM checkpoints WHERE node = ? ORDER BY size DESC LIMIT ?) ORDER BY size";
    Ok(sqlx::query_scalar(sql)
        .bind(node)
        .bind(limit)
        .fetch_all(db)
        .await?)
}

/// Notes something that a person should look at.
pub(crate) async fn alert(
    tx: &mut SqliteConnection,
    node: &str,
    kind: &str,
    detail: &str,
    now: i64,
) -> Result<()> {
    sqlx::query("INSERT INTO alerts (at, node, kind, detail) VALUES (?, ?, ?, ?)")
        .bind(now)
        .bind(node)
        .bind(kind)
        .bind(detail)
        .execute(tx)
        .await?;
    Ok(())
}

/// Alerts, newest first.
pub(crate) async fn alerts(db: &mut SqliteConnection, limit: u32) -> Result<Vec<Alert>> {
    let sql = "SELECT at, node, kind, detail FROM alerts ORDER BY id DESC LIMIT ?";
    let rows: Vec<(i64, String, String, String)> =
        sqlx::query_as(sql).bind(limit).fetch_all(db).await?;
    Ok(rows
        .into_iter()
        .map(|(at, node, kind, detail)| Alert {
            at: unsigned(at),
            node,
            kind,
            detail,
        })
        .collect())
}
