//! Who may decide a request.

use std::collections::BTreeSet;

use sqlx::SqliteConnection;
use weir_api::http::{Account, ApprovalState, Requester};

use crate::error::Result;
use crate::store::approval::Row;
use crate::store::{account, server};

/// Who vouches for accounts of this control plane.
pub(crate) const LOCAL_ISSUER: &str = "weir";

/// The people behind a request: whoever asked, and whoever answers for what asked. Names
/// of accounts and of the humans behind them.
pub(crate) async fn accountable(
    db: &mut SqliteConnection,
    requester: &Requester,
    owner: Option<&str>,
) -> Result<BTreeSet<String>> {
    let mut names: BTreeSet<String> = owner.map(str::to_owned).into_iter().collect();
    if let Some(subject) = &requester.subject {
        // A subject of a foreign issuer may be the same human as a local account of that name.
        let owner = account::find(&mut *db, subject)
            .await?
            .and_then(|account| account.owner);
        names.extend(owner);
        if !requester.is_service {
            names.insert(subject.clone());
        }
    }
    if let Some(workload) = &requester.workload {
        names.extend(server::workload_owner(&mut *db, workload).await?);
    }
    let mut people = BTreeSet::new();
    for name in names {
        people.extend(
            account::find(&mut *db, &name)
                .await?
                .map(|account| account.person),
        );
        people.insert(name);
    }
    Ok(people)
}

/// Why an account may not decide a request; `None` if it may.
///
/// `groups` are those that it has had since before the request was made.
pub(crate) fn hindrance(
    row: &Row,
    account: &Account,
    groups: &[String],
    excluded: &BTreeSet<String>,
) -> Option<String> {
    if row.state != ApprovalState::Pending {
        return Some(format!("the request is {}", word(row.state)));
    }
    if account.is_service {
        return Some("service accounts cannot approve".to_owned());
    }
    if excluded.contains(&account.name) || excluded.contains(&account.person) {
        return Some("who asks, or answers for who asks, does not decide".to_owned());
    }
    if row.approvers.iter().any(|group| groups.contains(group)) {
        return None;
    }
    let wanted = row.approvers.join(", ");
    if row
        .approvers
        .iter()
        .any(|group| account.groups.contains(group))
    {
        return Some(format!(
            "your membership of {wanted} is younger than the request"
        ));
    }
    Some(format!("only members of {wanted} decide"))
}

/// A state in a sentence.
pub(crate) const fn word(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Pending => "pending",
        ApprovalState::Approved => "approved",
        ApprovalState::Denied => "denied",
        ApprovalState::Expired => "expired",
        ApprovalState::Spent => "spent",
        ApprovalState::Withdrawn => "withdrawn",
    }
}
