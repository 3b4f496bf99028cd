//! A person decides.

use std::collections::BTreeSet;

use sqlx::SqliteConnection;
use weir_api::http::{Account, ApprovalState, Vote};
use weir_api::limits::EXECUTION_EXPIRES_S;

use super::quorum::{Voter, is_reached};
use super::rules::{accountable, hindrance};
use crate::clock::signed;
use crate::error::{Error, Result};
use crate::store::account;
use crate::store::approval::{self as store, Row};

/// Why an account may not decide a request now; `None` if it may.
pub(crate) async fn hindrance_for(
    db: &mut SqliteConnection,
    row: &Row,
    caller: &Account,
) -> Result<Option<String>> {
    let excluded = excluded(db, row).await?;
    let groups = account::groups_since(db, &caller.name, row.created).await?;
    let voted = store::votes(db, &row.id)
        .await?
        .iter()
        .any(|vote| vote.account == caller.name);
    Ok(hindrance(row, caller, &groups, &excluded)
        .or_else(|| voted.then(|| "you have decided already; others are needed".to_owned())))
}

/// Records what a person says. Returns the request as it stands then.
pub(crate) async fn decide(
    tx: &mut SqliteConnection,
    id: &str,
    caller: &Account,
    approved: bool,
    reason: &str,
    now: i64,
) -> Result<Row> {
    let row = store::get(&mut *tx, id)
        .await?
        .ok_or_else(|| Error::NotFound(format!("no approval {id:?}")))?;
    if row.expires <= now {
        return Err(Error::Conflict("the request is expired".to_owned()));
    }
    if let Some(hindrance) = hindrance_for(&mut *tx, &row, caller).await? {
        return Err(match row.state {
            ApprovalState::Pending => Error::Denied(hindrance),
            ApprovalState::Approved
            | ApprovalState::Denied
            | ApprovalState::Expired
            | ApprovalState::Spent
            | ApprovalState::Withdrawn => Error::Conflict(hindrance),
        });
    }
    let vote = Vote {
        account: caller.name.clone(),
        approved,
        reason: reason.to_owned(),
        at: crate::clock::unsigned(now),
    };
    store::vote(&mut *tx, id, &caller.person, &vote).await?;
    if !approved {
        store::close(&mut *tx, id, ApprovalState::Denied, now, None).await?;
    } else if enough(&mut *tx, &row).await? {
        let until = now.saturating_add(signed(EXECUTION_EXPIRES_S));
        store::close(&mut *tx, id, ApprovalState::Approved, now, Some(until)).await?;
    }
    store::get(tx, id)
        .await?
        .ok_or_else(|| Error::NotFound(format!("no approval {id:?}")))
}

/// Who is out when it counts: as it was when the request was made, and as it is now.
async fn excluded(db: &mut SqliteConnection, row: &Row) -> Result<BTreeSet<String>> {
    let mut excluded = accountable(db, &row.requester, row.owner.as_deref()).await?;
    excluded.extend(row.excluded.iter().cloned());
    Ok(excluded)
}

/// Whether the votes suffice, each as its voter stands now: who was disabled, or left the
/// group, or became answerable since, does not count.
async fn enough(db: &mut SqliteConnection, row: &Row) -> Result<bool> {
    let excluded = excluded(db, row).await?;
    let mut voters = Vec::new();
    for vote in store::votes(db, &row.id).await? {
        let Some(account) = account::find(db, &vote.account)
            .await?
            .filter(|account| !account.disabled)
        else {
            continue;
        };
        let groups = account::groups_since(db, &account.name, row.created).await?;
        if vote.approved && hindrance(row, &account, &groups, &excluded).is_none() {
            voters.push(Voter { groups });
        }
    }
    Ok(is_reached(
        &row.approvers,
        usize::try_from(row.quorum).unwrap_or(usize::MAX),
        &voters,
    ))
}
