//! Definitions of tools.

use sqlx::{FromRow, SqliteConnection};
use weir_api::v1;

use crate::clock::unsigned;
use crate::error::Result;

/// A tool as it is stored.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) approved: Option<Vec<u8>>,
    pub(crate) approved_definition: Option<String>,
    pub(crate) pending: Option<Vec<u8>>,
    pub(crate) pending_definition: Option<String>,
    pub(crate) doubt: String,
    pub(crate) node: String,
    pub(crate) first_seen: i64,
    pub(crate) changed: Option<i64>,
    pub(crate) decided: Option<i64>,
    pub(crate) decided_by: Option<String>,
    pub(crate) reason: String,
}

/// Tools of a connection, those that wait first.
pub(crate) async fn list(db: &mut SqliteConnection, connection: &str) -> Result<Vec<Row>> {
    let sql = "SELECT * FROM tools WHERE connection = ? ORDER BY pending IS NULL, name";
    Ok(sqlx::query_as(sql).bind(connection).fetch_all(db).await?)
}

/// The tool of that name.
pub(crate) async fn get(
    db: &mut SqliteConnection,
    connection: &str,
    name: &str,
) -> Result<Option<Row>> {
    let sql = "SELECT * FROM tools WHERE connection = ? AND name = ?";
    Ok(sqlx::query_as(sql)
        .bind(connection)
        .bind(name)
        .fetch_optional(db)
        .await?)
}

/// Names of a connection's tools.
pub(crate) async fn names(db: &mut SqliteConnection, connection: &str) -> Result<Vec<String>> {
    let sql = "SELECT name FROM tools WHERE connection = ?";
    Ok(sqlx::query_scalar(sql)
        .bind(connection)
        .fetch_all(db)
        .await?)
}

#[derive(FromRow)]
struct PinRow {
    name: String,
    approved: Option<Vec<u8>>,
    pending: Option<Vec<u8>>,
    decision: i64,
    approved_definition: Option<String>,
}

/// What a node is told of a connection's tools, by name; with their definitions, for as long as
/// there is `room` for these bytes.
pub(crate) async fn pins(
    db: &mut SqliteConnection,
    connection: &str,
    room: &mut usize,
) -> Result<Vec<v1::ToolPin>> {
    let sql = "SELECT name, approved, pending, decision, approved_definition FROM tools \
        WHERE connection = ? ORDER BY name";
    let rows: Vec<PinRow> = sqlx::query_as(sql).bind(connection).fetch_all(db).await?;
    let pins = rows.into_iter().map(|row| {
        let definition = row.approved_definition.unwrap_or_default();
        let rest = room.checked_sub(definition.len());
        *room = rest.unwrap_or(*room);
        v1::ToolPin {
            name: row.name,
            approved: row.approved.unwrap_or_default(),
            pending: row.pending.unwrap_or_default(),
            decision: unsigned(row.decision),
            definition: rest.map_or_else(String::new, |_| definition),
        }
    });
    Ok(pins.collect())
}

/// Since when a definition that may be used has been; of several tools that have it, the latest.
pub(crate) async fn in_use_since(
    db: &mut SqliteConnection,
    connection: &str,
    digest: &[u8],
) -> Result<Option<i64>> {
    let sql = "SELECT max(coalesce(decided, first_seen)) FROM tools WHERE connection = ? AND approved = ?";
    let since = sqlx::query_scalar(sql).bind(connection).bind(digest);
    Ok(since.fetch_one(db).await?)
}

/// A definition as a node reported it.
pub(crate) struct Report<'a> {
    pub(crate) connection: &'a str,
    pub(crate) node: &'a str,
    pub(crate) tool: &'a v1::ToolSeen,
}

/// A tool that was not known. Without a doubt its definition may be used.
pub(crate) async fn insert(
    tx: &mut SqliteConnection,
    report: &Report<'_>,
    doubt: Option<&str>,
    now: i64,
) -> Result<()> {
    let sql = if doubt.is_none() {
        "INSERT INTO tools (connection, name, node, first_seen, doubt, approved, approved_definition) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    } else {
        "INSERT INTO tools (connection, name, node, first_seen, doubt, pending, pending_definition, changed) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?4)"
    };
    sqlx::query(sql)
        .bind(report.connection)
        .bind(&report.tool.name)
        .bind(report.node)
        .bind(now)
        .bind(doubt.unwrap_or(""))
        .bind(&report.tool.sha256)
        .bind(&report.tool.definition)
        .execute(tx)
        .await?;
    Ok(())
}

/// Another definition of a tool that is known: it is quarantined.
pub(crate) async fn change(
    tx: &mut SqliteConnection,
    report: &Report<'_>,
    doubt: &str,
    now: i64,
) -> Result<()> {
    let sql = "UPDATE tools SET pending = ?3, pending_definition = ?4, node = ?5, changed = ?6, doubt = ?7 \
        WHERE connection = ?1 AND name = ?2";
    sqlx::query(sql)
        .bind(report.connection)
        .bind(&report.tool.name)
        .bind(&report.tool.sha256)
        .bind(&report.tool.definition)
        .bind(report.node)
        .bind(now)
        .bind(doubt)
        .execute(tx)
        .await?;
    Ok(())
}

/// What a person decided.
pub(crate) struct Decided<'a> {
    pub(crate) connection: &'a str,
    pub(crate) name: &'a str,
    pub(crate) digest: &'a [u8],
    pub(crate) definition: &'a str,
    pub(crate) by: &'a str,
    pub(crate) reason: &'a str,
}

/// A definition may be used from now on, and whatever else was seen before is forgotten.
pub(crate) async fn decide(
    tx: &mut SqliteConnection,
    decided: &Decided<'_>,
    now: i64,
) -> Result<()> {
    // The number outlives tools and connections: a node compares it with what it has seen since.
    sqlx::query(
        "INSERT INTO meta (key, value) VALUES ('tool_decisions', '1') \
         ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)",
    )
    .execute(&mut *tx)
    .await?;
    let sql = "UPDATE tools SET approved = ?3, approved_definition = ?4, pending = NULL, \
        pending_definition = NULL, doubt = '', decided = ?5, decided_by = ?6, reason = ?7, \
        decision = (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'tool_decisions') \
        WHERE connection = ?1 AND name = ?2";
    sqlx::query(sql)
        .bind(decided.connection)
        .bind(decided.name)
        .bind(decided.digest)
        .bind(decided.definition)
        .bind(now)
        .bind(decided.by)
        .bind(decided.reason)
        .execute(tx)
        .await?;
    Ok(())
}
