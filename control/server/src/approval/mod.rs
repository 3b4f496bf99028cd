//! Approvals: who may decide, when enough people have, and that an approval is spent once.
//!
//! ```text
//!             ┌──────────► denied      (any one approver)
//! pending ────┼──────────► approved ───► spent     (exactly one redeem)
//!             ├──────────► withdrawn  └► expired   (nobody ran it in time)
//!             └──────────► expired
//! ```
//!
//! What is decided is bound to a digest; who asked, and who answers for who asked, never
//! decides, whatever their role.

mod decide;
mod open;
mod quorum;
mod rules;
mod shown;

pub(crate) use decide::{decide, hindrance_for};
pub(crate) use open::{Opened, open};
pub(crate) use rules::LOCAL_ISSUER;
pub(crate) use shown::Sight;

use weir_api::v1;

use crate::clock::unsigned;
use crate::error::Result;
use crate::store::approval::{self as store, Row};
use sqlx::SqliteConnection;
use weir_api::http::ApprovalState;

/// A state as the stream carries it.
pub(crate) const fn state_message(state: ApprovalState) -> v1::ApprovalState {
    match state {
        ApprovalState::Pending => v1::ApprovalState::Pending,
        ApprovalState::Approved => v1::ApprovalState::Approved,
        ApprovalState::Denied => v1::ApprovalState::Denied,
        ApprovalState::Expired => v1::ApprovalState::Expired,
        ApprovalState::Spent => v1::ApprovalState::Spent,
        ApprovalState::Withdrawn => v1::ApprovalState::Withdrawn,
    }
}

/// What is told to the node of a request that was decided; `None` if there is nothing to tell.
pub(crate) async fn decision(
    db: &mut SqliteConnection,
    row: &Row,
) -> Result<Option<v1::ApprovalDecision>> {
    let approved = match row.state {
        ApprovalState::Approved => true,
        ApprovalState::Denied | ApprovalState::Expired => false,
        ApprovalState::Pending | ApprovalState::Spent | ApprovalState::Withdrawn => {
            return Ok(None);
        }
    };
    let votes = store::votes(db, &row.id).await?;
    let said: Vec<_> = votes
        .iter()
        .filter(|vote| vote.approved == approved)
        .collect();
    Ok(Some(v1::ApprovalDecision {
        id: row.id.clone(),
        digest: row.digest.clone(),
        state: state_message(row.state).into(),
        approvers: said.iter().map(|vote| vote.account.clone()).collect(),
        groups: if approved {
            row.approvers.clone()
        } else {
            Vec::new()
        },
        execution_expires: unsigned(row.execution_expires.unwrap_or(0)),
        reason: said
            .first()
            .filter(|_| !approved)
            .map(|vote| vote.reason.clone())
            .unwrap_or_default(),
    }))
}
