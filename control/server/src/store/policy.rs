//! Published policy versions. They are only added; which one is active is a row of its own.

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use weir_api::http::{File, PolicyVersion};

use crate::clock::{signed, unsigned};
use crate::error::{Error, Result};

const ACTIVE: &str = "policy.active";

/// The number of the active version.
pub(crate) async fn active(db: &mut SqliteConnection) -> Result<Option<u64>> {
    let value: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE key = ?")
        .bind(ACTIVE)
        .fetch_optional(db)
        .await?;
    Ok(value.and_then(|value| value.parse().ok()))
}

/// Adds a version and makes it the active one. Returns its number.
pub(crate) async fn publish(
    tx: &mut SqliteConnection,
    id: &str,
    files: &[File],
    author: &str,
    message: &str,
    now: i64,
) -> Result<u64> {
    let parent = active(&mut *tx).await?;
    let sql = "INSERT INTO policy_versions (id, parent, author, message, files, created) VALUES (?, ?, ?, ?, ?, ?) RETURNING number";
    let number: i64 = sqlx::query_scalar(sql)
        .bind(id)
        .bind(parent.map(signed))
        .bind(author)
        .bind(message)
        .bind(serde_json::to_string(files)?)
        .bind(now)
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
        .bind(ACTIVE)
        .bind(number.to_string())
        .execute(tx)
        .await?;
    Ok(unsigned(number))
}

fn version(row: &SqliteRow, active: Option<u64>) -> Result<PolicyVersion> {
    let number = unsigned(row.try_get("number")?);
    Ok(PolicyVersion {
        number,
        id: row.try_get("id")?,
        parent: row.try_get::<Option<i64>, _>("parent")?.map(unsigned),
        author: row.try_get("author")?,
        message: row.try_get("message")?,
        created: unsigned(row.try_get("created")?),
        active: active == Some(number),
    })
}

/// Versions before a number, newest first.
pub(crate) async fn list(
    db: &mut SqliteConnection,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<PolicyVersion>> {
    let active = active(&mut *db).await?;
    let sql = "SELECT number, id, parent, author, message, created FROM policy_versions WHERE number < ? ORDER BY number DESC LIMIT ?";
    let rows = sqlx::query(sql)
        .bind(before.map_or(i64::MAX, signed))
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| version(row, active)).collect()
}

/// A version with its files.
pub(crate) async fn get(
    db: &mut SqliteConnection,
    number: u64,
) -> Result<(PolicyVersion, Vec<File>)> {
    let active = active(&mut *db).await?;
    let row = sqlx::query("SELECT * FROM policy_versions WHERE number = ?")
        .bind(signed(number))
        .fetch_optional(db)
        .await?
        .ok_or_else(|| Error::NotFound(format!("no policy version {number}")))?;
    let files: Vec<File> = serde_json::from_str(row.try_get("files")?)?;
    Ok((version(&row, active)?, files))
}

/// The active version with its files.
pub(crate) async fn current(
    db: &mut SqliteConnection,
) -> Result<Option<(PolicyVersion, Vec<File>)>> {
    match active(&mut *db).await? {
        Some(number) => get(db, number).await.map(Some),
        None => Ok(None),
    }
}
