//! Requests for approval and what people said.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use weir_api::http::{Access, ApprovalState, Requester, Vote};

use crate::clock::unsigned;
use crate::error::Result;
use crate::limits::DECISIONS_RETOLD_S;

/// A request as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) node: String,
    /// Tells principals apart.
    pub(crate) principal_key: String,
    pub(crate) digest: Vec<u8>,
    pub(crate) requester: Requester,
    pub(crate) owner: Option<String>,
    /// People who answered for the requester when it asked.
    pub(crate) excluded: Vec<String>,
    pub(crate) connection: String,
    pub(crate) operation: String,
    /// SHA-256 of the definition of the tool that is called.
    pub(crate) definition: Option<Vec<u8>>,
    pub(crate) accesses: Vec<Access>,
    pub(crate) approvers: Vec<String>,
    pub(crate) quorum: u32,
    pub(crate) reason: String,
    pub(crate) policies: Vec<String>,
    pub(crate) source: String,
    pub(crate) flow: u64,
    pub(crate) state: ApprovalState,
    pub(crate) created: i64,
    pub(crate) expires: i64,
    pub(crate) decided: Option<i64>,
    pub(crate) execution_expires: Option<i64>,
}

fn state_text(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Pending => "pending",
        ApprovalState::Approved => "approved",
        ApprovalState::Denied => "denied",
        ApprovalState::Expired => "expired",
        ApprovalState::Spent => "spent",
        ApprovalState::Withdrawn => "withdrawn",
    }
}

fn state_parse(text: &str) -> Result<ApprovalState> {
    Ok(serde_json::from_value(serde_json::Value::from(text))?)
}

fn read(row: &SqliteRow) -> Result<Row> {
    let flow: i64 = row.try_get("flow")?;
    Ok(Row {
        id: row.try_get("id")?,
        node: row.try_get("node")?,
        principal_key: row.try_get("principal_key")?,
        digest: row.try_get("digest")?,
        requester: serde_json::from_str(row.try_get("requester")?)?,
        owner: row.try_get("owner")?,
        excluded: serde_json::from_str(row.try_get("excluded")?)?,
        connection: row.try_get("connection")?,
        operation: row.try_get("operation")?,
        definition: row.try_get("definition")?,
        accesses: serde_json::from_str(row.try_get("accesses")?)?,
        approvers: serde_json::from_str(row.try_get("approvers")?)?,
        quorum: row.try_get("quorum")?,
        reason: row.try_get("reason")?,
        policies: serde_json::from_str(row.try_get("policies")?)?,
        source: row.try_get("source")?,
        flow: flow.cast_unsigned(),
        state: state_parse(row.try_get("state")?)?,
        created: row.try_get("created")?,
        expires: row.try_get("expires")?,
        decided: row.try_get("decided")?,
        execution_expires: row.try_get("execution_expires")?,
    })
}

/// Adds a request.
pub(crate) async fn insert(tx: &mut SqliteConnection, row: &Row) -> Result<()> {
    sqlx::query(
        "INSERT INTO approvals (id, node, principal_key, digest, requester, owner, excluded, connection, operation, \
         accesses, approvers, quorum, reason, policies, source, flow, state, created, expires, definition) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&row.id)
    .bind(&row.node)
    .bind(&row.principal_key)
    .bind(&row.digest)
    .bind(serde_json::to_string(&row.requester)?)
    .bind(&row.owner)
    .bind(serde_json::to_string(&row.excluded)?)
    .bind(&row.connection)
    .bind(&row.operation)
    .bind(serde_json::to_string(&row.accesses)?)
    .bind(serde_json::to_string(&row.approvers)?)
    .bind(row.quorum)
    .bind(&row.reason)
    .bind(serde_json::to_string(&row.policies)?)
    .bind(&row.source)
    .bind(row.flow.cast_signed())
    .bind(state_text(row.state))
    .bind(row.created)
    .bind(row.expires)
    .bind(&row.definition)
    .execute(tx)
    .await?;
    Ok(())
}

/// The request of that id.
pub(crate) async fn get(db: &mut SqliteConnection, id: &str) -> Result<Option<Row>> {
    let row = sqlx::query("SELECT * FROM approvals WHERE id = ?")
        .bind(id)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// The open or unspent request of a principal for an operation.
pub(crate) async fn find_live(
    db: &mut SqliteConnection,
    principal_key: &str,
    digest: &[u8],
) -> Result<Option<Row>> {
    let sql = "SELECT * FROM approvals WHERE principal_key = ? AND digest = ? AND state IN ('pending', 'approved')";
    let row = sqlx::query(sql)
        .bind(principal_key)
        .bind(digest)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// The last request of a principal for an operation, if it was refused and would still be open, or
/// has ended unused since and nobody who asked again was told.
pub(crate) async fn find_ended(
    tx: &mut SqliteConnection,
    principal_key: &str,
    digest: &[u8],
    now: i64,
) -> Result<Option<Row>> {
    let sql = "SELECT * FROM approvals WHERE principal_key = ? AND digest = ? \
        ORDER BY created DESC, decided DESC LIMIT 1";
    let row = sqlx::query(sql)
        .bind(principal_key)
        .bind(digest)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let was_told: bool = row.try_get("told")?;
    let row = read(&row)?;
    match row.state {
        ApprovalState::Denied if row.expires > now => Ok(Some(row)),
        ApprovalState::Expired if !was_told => {
            sqlx::query("UPDATE approvals SET told = 1 WHERE id = ?")
                .bind(&row.id)
                .execute(tx)
                .await?;
            Ok(Some(row))
        }
        ApprovalState::Denied
        | ApprovalState::Expired
        | ApprovalState::Pending
        | ApprovalState::Approved
        | ApprovalState::Spent
        | ApprovalState::Withdrawn => Ok(None),
    }
}

/// Requests that a node has open.
pub(crate) async fn open_count(db: &mut SqliteConnection, node: &str) -> Result<i64> {
    let sql = "SELECT count(*) FROM approvals WHERE node = ? AND state = 'pending'";
    Ok(sqlx::query_scalar(sql).bind(node).fetch_one(db).await?)
}

/// Requests that wait for people, on all nodes.
pub(crate) async fn pending_count(db: &mut SqliteConnection) -> Result<i64> {
    Ok(
        sqlx::query_scalar("SELECT count(*) FROM approvals WHERE state = 'pending'")
            .fetch_one(db)
            .await?,
    )
}

/// Requests, newest first; only those of a state if one is given.
pub(crate) async fn list(
    db: &mut SqliteConnection,
    state: Option<ApprovalState>,
    limit: u32,
) -> Result<Vec<Row>> {
    let sql =
        "SELECT * FROM approvals WHERE ?1 IS NULL OR state = ?1 ORDER BY created DESC, id LIMIT ?2";
    let rows = sqlx::query(sql)
        .bind(state.map(state_text))
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

/// What a node that comes back must know: approvals that it can still spend, and what was
/// decided lately.
pub(crate) async fn decided_for(
    db: &mut SqliteConnection,
    node: &str,
    now: i64,
) -> Result<Vec<Row>> {
    let sql = "SELECT * FROM approvals WHERE node = ? AND (state = 'approved' \
        OR (state IN ('denied', 'expired') AND decided > ?)) ORDER BY decided";
    let rows = sqlx::query(sql)
        .bind(node)
        .bind(now - DECISIONS_RETOLD_S)
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}

/// What people said, in order.
pub(crate) async fn votes(db: &mut SqliteConnection, id: &str) -> Result<Vec<Vote>> {
    let sql =
        "SELECT account, approved, reason, at FROM votes WHERE approval = ? ORDER BY at, account";
    let rows: Vec<(String, bool, String, i64)> = sqlx::query_as(sql).bind(id).fetch_all(db).await?;
    Ok(rows
        .into_iter()
        .map(|(account, approved, reason, at)| Vote {
            account,
            approved,
            reason,
            at: unsigned(at),
        })
        .collect())
}

/// Records what a person said. One person says one thing, whatever number of accounts they have.
pub(crate) async fn vote(
    tx: &mut SqliteConnection,
    id: &str,
    person: &str,
    vote: &Vote,
) -> Result<()> {
    sqlx::query("INSERT INTO votes (approval, person, account, approved, reason, at) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(id)
        .bind(person)
        .bind(&vote.account)
        .bind(vote.approved)
        .bind(&vote.reason)
        .bind(crate::clock::signed(vote.at))
        .execute(tx)
        .await?;
    Ok(())
}

/// Ends a pending request.
pub(crate) async fn close(
    tx: &mut SqliteConnection,
    id: &str,
    state: ApprovalState,
    now: i64,
    execution_expires: Option<i64>,
) -> Result<()> {
    let sql = "UPDATE approvals SET state = ?, decided = ?, execution_expires = ? WHERE id = ? AND state = 'pending'";
    sqlx::query(sql)
        .bind(state_text(state))
        .bind(now)
        .bind(execution_expires)
        .bind(id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Withdraws a pending request of a node's. Whether there was one.
pub(crate) async fn withdraw(
    tx: &mut SqliteConnection,
    node: &str,
    id: &str,
    now: i64,
) -> Result<bool> {
    let sql = "UPDATE approvals SET state = 'withdrawn', decided = ? WHERE id = ? AND node = ? AND state = 'pending'";
    Ok(sqlx::query(sql)
        .bind(now)
        .bind(id)
        .bind(node)
        .execute(tx)
        .await?
        .rows_affected()
        == 1)
}

/// Spends an approval: one statement, so of any number of redeems exactly one wins.
pub(crate) async fn redeem(
    tx: &mut SqliteConnection,
    node: &str,
    id: &str,
    digest: &[u8],
    now: i64,
) -> Result<bool> {
    let sql = "UPDATE approvals SET state = 'spent' WHERE id = ? AND node = ? AND digest = ? \
        AND state = 'approved' AND execution_expires > ?";
    let spent = sqlx::query(sql)
        .bind(id)
        .bind(node)
        .bind(digest)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(spent.rows_affected() == 1)
}

/// Ends what time has ended. Returns what it was.
pub(crate) async fn expire_due(tx: &mut SqliteConnection, now: i64) -> Result<Vec<Row>> {
    let sql = "UPDATE approvals SET state = 'expired', decided = ?1 WHERE (state = 'pending' AND expires <= ?1) \
        OR (state = 'approved' AND execution_expires <= ?1) RETURNING *";
    let rows = sqlx::query(sql).bind(now).fetch_all(tx).await?;
    rows.iter().map(read).collect()
}
