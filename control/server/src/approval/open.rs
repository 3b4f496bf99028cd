//! A node asks for people.

use sqlx::SqliteConnection;
use weir_api::http::{Access, ApprovalState, Requester};
use weir_api::limits::{APPROVAL_EXPIRES_S_MAX, OPERATION_BYTES_MAX};
use weir_api::v1::ApprovalRequest;

use super::rules::{LOCAL_ISSUER, accountable};
use crate::error::Result;
use crate::limits::{
    APPROVALS_OPEN_MAX, LIST_MAX, NAME_BYTES_MAX, QUORUM_SLOTS_MAX, TEXT_BYTES_MAX,
};
use crate::store::account;
use crate::store::approval::{self as store, Row};

/// What became of a request.
pub(crate) enum Opened {
    /// It waits, under its own id.
    Stored(Row),
    /// The same principal had asked for the same before, and this is how that stands.
    Met(Row),
    /// It cannot be asked. Why, for the operator.
    Refused(String),
}

/// Stores a request, or finds the one that it repeats.
pub(crate) async fn open(
    tx: &mut SqliteConnection,
    node: &str,
    request: &ApprovalRequest,
    now: i64,
) -> Result<Opened> {
    let requester = match checked(request) {
        Ok(requester) => requester,
        Err(wrong) => return Ok(Opened::Refused(wrong.to_owned())),
    };
    let key = principal_key(node, &requester)?;
    if let Some(row) = store::find_live(&mut *tx, &key, &request.digest).await? {
        return Ok(Opened::Met(row));
    }
    if let Some(row) = store::find_ended(&mut *tx, &key, &request.digest, now).await? {
        return Ok(Opened::Met(row));
    }
    if store::get(&mut *tx, &request.id).await?.is_some() {
        return Ok(Opened::Refused("this id was used before".to_owned()));
    }
    if store::open_count(&mut *tx, node).await? >= APPROVALS_OPEN_MAX {
        return Ok(Opened::Refused(format!(
            "{node} has {APPROVALS_OPEN_MAX} open requests"
        )));
    }
    if let Some(wrong) = unknown_person(tx, &requester).await? {
        return Ok(Opened::Refused(wrong));
    }
    let owner = Some(request.owner.clone()).filter(|owner| !owner.is_empty());
    let excluded = accountable(&mut *tx, &requester, owner.as_deref()).await?;
    if excluded.is_empty() {
        return Ok(Opened::Refused(
            "nobody answers for the requester: give its workload an owner (weir workload add --owner)".to_owned(),
        ));
    }
    let row = row(
        node,
        request,
        requester,
        owner,
        excluded.into_iter().collect(),
        key,
        now,
    );
    store::insert(tx, &row).await?;
    Ok(Opened::Stored(row))
}

/// Why it cannot be told who a request is from. A person of another issuer whom no account here
/// stands for could be the one who approves.
async fn unknown_person(
    db: &mut SqliteConnection,
    requester: &Requester,
) -> Result<Option<String>> {
    let Some(subject) = &requester.subject else {
        return Ok(None);
    };
    let is_local = requester.issuer.as_deref() == Some(LOCAL_ISSUER);
    let known = account::find(db, subject).await?;
    Ok(match known {
        Some(account) if is_local && account.disabled => {
            Some(format!("there is no account {subject:?}"))
        }
        None if is_local => Some(format!("there is no account {subject:?}")),
        None if !requester.is_service => Some(format!(
            "nobody here is known to be {subject:?} of another issuer, so it could not be kept from approving its own request: weir account add {subject}"
        )),
        Some(_) | None => None,
    })
}

fn row(
    node: &str,
    request: &ApprovalRequest,
    requester: Requester,
    owner: Option<String>,
    excluded: Vec<String>,
    principal_key: String,
    now: i64,
) -> Row {
    let accesses = request.accesses.iter();
    let mut approvers = request.approvers.clone();
    approvers.sort_unstable();
    approvers.dedup();
    Row {
        id: request.id.clone(),
        node: node.to_owned(),
        principal_key,
        digest: request.digest.clone(),
        requester,
        owner,
        excluded,
        connection: request.connection.clone(),
        operation: request.operation.clone(),
        definition: (!request.definition.is_empty()).then(|| request.definition.clone()),
        accesses: accesses
            .map(|access| Access {
                action: access.action.clone(),
                resource: access.resource.clone(),
            })
            .collect(),
        approvers,
        quorum: request.quorum,
        reason: request.reason.clone(),
        policies: request.policies.clone(),
        source: request.source.clone(),
        flow: request.flow,
        state: ApprovalState::Pending,
        created: now,
        expires: now + i64::from(request.expires_s.clamp(1, APPROVAL_EXPIRES_S_MAX)),
        decided: None,
        execution_expires: None,
    }
}

/// Two requests are by the same principal only if every part of it is the same, on the same node.
fn principal_key(node: &str, requester: &Requester) -> Result<String> {
    let Requester {
        issuer,
        subject,
        workload,
        executable,
        uid,
        agent,
        is_service: _,
        groups: _,
    } = requester;
    Ok(serde_json::to_string(&(
        node, issuer, subject, workload, executable, uid, agent,
    ))?)
}

fn checked(request: &ApprovalRequest) -> std::result::Result<Requester, &'static str> {
    if weir_facts::ApprovalId::parse(&request.id).is_none_or(|id| id.to_string() != request.id) {
        return Err("the id is not 32 lower-case hexadecimal digits");
    }
    if request.digest.len() != 32 {
        return Err("the digest is not 32 bytes");
    }
    if !matches!(request.definition.len(), 0 | 32) {
        return Err("the definition is not 32 bytes");
    }
    if request.operation.len() > OPERATION_BYTES_MAX {
        return Err("the operation is longer than people can be shown");
    }
    let slots = request
        .approvers
        .len()
        .saturating_mul(usize::try_from(request.quorum).unwrap_or(usize::MAX));
    if slots == 0 || slots > QUORUM_SLOTS_MAX {
        return Err("no approvers, or too many");
    }
    let lists = [request.accesses.len(), request.policies.len()];
    let texts = [
        &request.reason,
        &request.source,
        &request.connection,
        &request.owner,
    ];
    if lists.into_iter().any(|length| length > LIST_MAX)
        || texts
            .into_iter()
            .chain(&request.policies)
            .any(|text| text.len() > TEXT_BYTES_MAX)
        || request
            .accesses
            .iter()
            .any(|access| access.action.len() + access.resource.len() > TEXT_BYTES_MAX)
        || request
            .approvers
            .iter()
            .any(|group| group.is_empty() || group.len() > NAME_BYTES_MAX)
    {
        return Err("a field is too long");
    }
    requester(request)
}

fn requester(request: &ApprovalRequest) -> std::result::Result<Requester, &'static str> {
    let principal = request.principal.as_ref().ok_or("no principal")?;
    if principal.identity.is_none() && principal.workload.is_none() {
        return Err("a principal without parts");
    }
    let (identity, workload) = (principal.identity.as_ref(), principal.workload.as_ref());
    if identity.is_some_and(|identity| identity.subject.is_empty() || identity.issuer.is_empty()) {
        return Err("an identity without issuer or subject");
    }
    if workload.is_some_and(|workload| workload.name.is_empty()) {
        return Err("a workload without name");
    }
    Ok(Requester {
        issuer: identity.map(|identity| identity.issuer.clone()),
        subject: identity.map(|identity| identity.subject.clone()),
        is_service: identity.is_some_and(|identity| identity.is_service),
        groups: identity
            .map(|identity| identity.groups.clone())
            .unwrap_or_default(),
        workload: workload.map(|workload| workload.name.clone()),
        executable: workload.map(|workload| workload.executable.clone()),
        uid: workload.map(|workload| workload.uid),
        agent: Some(principal.agent.clone()).filter(|agent| !agent.is_empty()),
    })
}
