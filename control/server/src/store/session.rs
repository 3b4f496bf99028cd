//! Sessions as a projection of the stored leaves: rebuildable, never a source.

use serde::Deserialize;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use weir_api::http::{Caused, Event, Link, Masked, Session};

use crate::clock::{signed, unsigned};
use crate::error::Result;

/// A leaf as far as sessions tell of it. The boundary twin of `weir-audit`'s record:
/// members that are not known here are left alone.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Leaf {
    kind: String,
    time_us: u64,
    flow: String,
    operation: u64,
    summary: String,
    verdict: String,
    policies: Vec<String>,
    reason: String,
    approval: String,
    approvers: Vec<String>,
    link: Option<Cause>,
    masked: Vec<(String, String)>,
    rows: u64,
    outcome: String,
    duration_us: u64,
    connection: String,
    protocol: String,
    source: String,
    who: Who,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cause {
    kind: String,
    flow: String,
    operation: u64,
    candidates: u64,
}

impl Cause {
    fn link(self, node: &str) -> Link {
        let session = if self.flow.is_empty() {
            String::new()
        } else {
            format!("{node}.{}", self.flow)
        };
        Link {
            kind: self.kind,
            session,
            operation: self.operation,
            candidates: self.candidates,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Who {
    identity: Option<Identity>,
    workload: Option<Workload>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Identity {
    subject: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Workload {
    name: String,
}

impl Leaf {
    fn identity(&self) -> &str {
        self.who
            .identity
            .as_ref()
            .map_or("", |identity| &identity.subject)
    }

    fn workload(&self) -> &str {
        self.who
            .workload
            .as_ref()
            .map_or("", |workload| &workload.name)
    }

    fn is_refused(&self) -> bool {
        self.kind == "refusal" || self.verdict == "deny"
    }

    fn is_held(&self) -> bool {
        self.verdict == "hold" || !self.approval.is_empty()
    }

    fn is_masked(&self) -> bool {
        self.verdict == "mask" || !self.masked.is_empty()
    }

    fn event(self, node: &str, index: i64) -> Event {
        Event {
            index: unsigned(index),
            kind: self.kind,
            at_us: self.time_us,
            operation: self.operation,
            summary: self.summary,
            verdict: self.verdict,
            policies: self.policies,
            reason: self.reason,
            approval: self.approval,
            approvers: self.approvers,
            link: self.link.map(|cause| cause.link(node)),
            masked: self
                .masked
                .into_iter()
                .map(|(what, rule)| Masked { what, rule })
                .collect(),
            rows: self.rows,
            outcome: self.outcome,
            duration_us: self.duration_us,
        }
    }
}

/// Adds a leaf to the session that it belongs to. A leaf that is no record of a flow, or
/// that does not read, changes nothing; whether it read.
pub(crate) async fn project(
    tx: &mut SqliteConnection,
    node: &str,
    index: i64,
    leaf: &[u8],
) -> Result<bool> {
    let Ok(leaf) = serde_json::from_slice::<Leaf>(leaf) else {
        return Ok(false);
    };
    if leaf.flow.is_empty() {
        return Ok(true);
    }
    session(&mut *tx, node, &leaf).await?;
    if leaf.operation != 0 {
        operation(&mut *tx, node, &leaf).await?;
    }
    link(&mut *tx, node, index, &leaf).await?;
    sqlx::query("INSERT INTO events (node, flow, idx) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(node)
        .bind(&leaf.flow)
        .bind(index)
        .execute(tx)
        .await?;
    Ok(true)
}

async fn session(tx: &mut SqliteConnection, node: &str, leaf: &Leaf) -> Result<()> {
    // A session record with an outcome tells of its end.
    let closed = leaf.kind == "session" && !leaf.outcome.is_empty();
    sqlx::query(
        "INSERT INTO sessions (node, flow, started_us, last_us, closed, identity, workload, connection, protocol, source) \
         VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (node, flow) DO UPDATE SET \
         started_us = min(started_us, excluded.started_us), last_us = max(last_us, excluded.last_us), \
         closed = max(closed, excluded.closed), \
         identity = CASE WHEN excluded.identity = '' THEN identity ELSE excluded.identity END, \
         workload = CASE WHEN excluded.workload = '' THEN workload ELSE excluded.workload END, \
         connection = CASE WHEN excluded.connection = '' THEN connection ELSE excluded.connection END, \
         protocol = CASE WHEN excluded.protocol = '' THEN protocol ELSE excluded.protocol END, \
         source = CASE WHEN excluded.source = '' THEN source ELSE excluded.source END",
    )
    .bind(node)
    .bind(&leaf.flow)
    .bind(signed(leaf.time_us))
    .bind(closed)
    .bind(leaf.identity())
    .bind(leaf.workload())
    .bind(&leaf.connection)
    .bind(&leaf.protocol)
    .bind(&leaf.source)
    .execute(tx)
    .await?;
    Ok(())
}

async fn operation(tx: &mut SqliteConnection, node: &str, leaf: &Leaf) -> Result<()> {
    sqlx::query(
        "INSERT INTO operations (node, flow, operation, refused, held, masked, row_count) VALUES (?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (node, flow, operation) DO UPDATE SET refused = max(refused, excluded.refused), \
         held = max(held, excluded.held), masked = max(masked, excluded.masked), \
         row_count = row_count + excluded.row_count",
    )
    .bind(node)
    .bind(&leaf.flow)
    .bind(signed(leaf.operation))
    .bind(leaf.is_refused())
    .bind(leaf.is_held())
    .bind(leaf.is_masked())
    .bind(signed(leaf.rows))
    .execute(tx)
    .await?;
    Ok(())
}

/// Files a record under the call that caused it: by its own word, or as a further record of an
/// operation that was filed before.
async fn link(tx: &mut SqliteConnection, node: &str, index: i64, leaf: &Leaf) -> Result<()> {
    let sql = match &leaf.link {
        Some(cause) if !cause.flow.is_empty() => {
            "INSERT INTO links (node, idx, flow, operation, call_flow, call_operation) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING"
        }
        None if leaf.operation != 0 => {
            "INSERT INTO links (node, idx, flow, operation, call_flow, call_operation) \
             SELECT node, ?2, flow, operation, call_flow, call_operation FROM links \
             WHERE node = ?1 AND flow = ?3 AND operation = ?4 LIMIT 1 ON CONFLICT DO NOTHING"
        }
        Some(_) | None => return Ok(()),
    };
    let query = sqlx::query(sql)
        .bind(node)
        .bind(index)
        .bind(&leaf.flow)
        .bind(signed(leaf.operation));
    let query = match &leaf.link {
        Some(cause) => query.bind(&cause.flow).bind(signed(cause.operation)),
        None => query,
    };
    query.execute(tx).await?;
    Ok(())
}

const SELECT: &str = "SELECT s.*, count(o.operation) AS operations, coalesce(sum(o.refused), 0) AS refused, \
    coalesce(sum(o.held), 0) AS held, coalesce(sum(o.masked), 0) AS masked, coalesce(sum(o.row_count), 0) AS row_count \
    FROM sessions s LEFT JOIN operations o ON o.node = s.node AND o.flow = s.flow";

fn read(row: &SqliteRow) -> Result<Session> {
    let (node, flow): (String, String) = (row.try_get("node")?, row.try_get("flow")?);
    let count = |name: &str| -> Result<u64> { Ok(unsigned(row.try_get(name)?)) };
    Ok(Session {
        id: format!("{node}.{flow}"),
        node,
        flow,
        started_us: count("started_us")?,
        last_us: count("last_us")?,
        closed: row.try_get("closed")?,
        identity: row.try_get("identity")?,
        workload: row.try_get("workload")?,
        connection: row.try_get("connection")?,
        protocol: row.try_get("protocol")?,
        source: row.try_get("source")?,
        operations: count("operations")?,
        refused: count("refused")?,
        held: count("held")?,
        masked: count("masked")?,
        rows: count("row_count")?,
    })
}

/// What to list. Empty text matches everything.
pub(crate) struct Filter<'a> {
    pub(crate) who: &'a str,
    pub(crate) connection: &'a str,
    /// Only sessions whose last record is older, in microseconds.
    pub(crate) before_us: u64,
    pub(crate) limit: u32,
}

/// Sessions, the latest first.
pub(crate) async fn list(db: &mut SqliteConnection, filter: &Filter<'_>) -> Result<Vec<Session>> {
    let sql = sqlx::AssertSqlSafe(format!(
        "{SELECT} WHERE s.last_us < ?1 AND (?2 = '' OR s.identity = ?2 OR s.workload = ?2) \
         AND (?3 = '' OR s.connection = ?3) GROUP BY s.node, s.flow ORDER BY s.last_us DESC LIMIT ?4"
    ));
    let rows = sqlx::query(sql)
        .bind(signed(filter.before_us))
        .bind(filter.who)
        .bind(filter.connection)
        .bind(filter.limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

/// One session.
pub(crate) async fn get(
    db: &mut SqliteConnection,
    node: &str,
    flow: &str,
) -> Result<Option<Session>> {
    let sql = sqlx::AssertSqlSafe(format!(
        "{SELECT} WHERE s.node = ? AND s.flow = ? GROUP BY s.node, s.flow"
    ));
    sqlx::query(sql)
        .bind(node)
        .bind(flow)
        .fetch_optional(db)
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

/// Records of a session from an index on, in the log's order.
pub(crate) async fn events(
    db: &mut SqliteConnection,
    node: &str,
    flow: &str,
    from: u64,
    limit: u32,
) -> Result<Vec<Event>> {
    let sql = "SELECT l.idx, l.leaf FROM events e JOIN leaves l ON l.node = e.node AND l.idx = e.idx \
        WHERE e.node = ? AND e.flow = ? AND e.idx >= ? ORDER BY e.idx LIMIT ?";
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(sql)
        .bind(node)
        .bind(flow)
        .bind(signed(from))
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.into_iter()
        .map(|(index, leaf)| Ok(serde_json::from_slice::<Leaf>(&leaf)?.event(node, index)))
        .collect()
}

/// What calls of a session caused in others: records by the position of the call, from one
/// position to another.
pub(crate) async fn caused(
    db: &mut SqliteConnection,
    node: &str,
    flow: &str,
    calls: std::ops::RangeInclusive<u64>,
    limit: u32,
) -> Result<Vec<Caused>> {
    let sql = "SELECT k.call_operation, k.flow, k.idx, l.leaf, s.identity, s.workload, s.connection \
        FROM links k JOIN leaves l ON l.node = k.node AND l.idx = k.idx \
        JOIN sessions s ON s.node = k.node AND s.flow = k.flow \
        WHERE k.node = ? AND k.call_flow = ? AND k.call_operation BETWEEN ? AND ? \
        ORDER BY k.call_operation, k.idx LIMIT ?";
    let rows = sqlx::query(sql)
        .bind(node)
        .bind(flow)
        .bind(signed(*calls.start()))
        .bind(signed(*calls.end()))
        .bind(limit)
        .fetch_all(db)
        .await?;
    let read = |row: &SqliteRow| -> Result<Caused> {
        let flow: String = row.try_get("flow")?;
        let leaf: Vec<u8> = row.try_get("leaf")?;
        Ok(Caused {
            by: unsigned(row.try_get("call_operation")?),
            session: format!("{node}.{flow}"),
            identity: row.try_get("identity")?,
            workload: row.try_get("workload")?,
            connection: row.try_get("connection")?,
            event: serde_json::from_slice::<Leaf>(&leaf)?.event(node, row.try_get("idx")?),
        })
    };
    rows.iter().map(read).collect()
}
