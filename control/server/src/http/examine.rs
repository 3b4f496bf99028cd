//! What the stored roles of a connection could do at its server. A node is asked that serves it: it
//! opens sessions there anyway, and a server that is closed to everybody else lets nobody else look.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use weir_api::http::{ConnectionReport, RoleFinding, RoleReport};
use weir_api::v1::to_data_plane::Message;
use weir_api::v1::{ConnectionCheck, ConnectionChecked};

use super::auth::{Caller, Permission};
use crate::app::App;
use crate::error::{Error, Result};
use crate::secret;
use crate::store::{fleet, server};

/// How long a node may take: it asks each role in turn.
const ANSWER_MAX: Duration = Duration::from_secs(50);

/// `POST /api/v1/connections/{name}/check`
pub(crate) async fn check(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<ConnectionReport>> {
    caller.need(Permission::ManageServers)?;
    server::connection(&mut *app.store.reader().await?, &name).await?;
    let node = node(&app, &name).await?;
    let id = secret::id().map_err(|error| Error::Internal(error.into()))?;
    let (_asked, answer) = app.checks.ask(&node, &id);
    let connection = name.clone();
    app.hub.send(
        &node,
        Message::ConnectionCheck(ConnectionCheck { id, connection }),
    );
    let checked = tokio::time::timeout(ANSWER_MAX, answer).await;
    let Ok(Ok(checked)) = checked else {
        return Err(Error::Conflict(format!(
            "{node} did not answer within {} s; its log says why",
            ANSWER_MAX.as_secs()
        )));
    };
    if checked.unknown {
        return Err(Error::Conflict(format!(
            "{node} does not know {name} yet; see weir nodes"
        )));
    }
    Ok(Json(report(name, node, checked)))
}

/// A node that serves a connection and is here.
async fn node(app: &App, connection: &str) -> Result<String> {
    let mut db = app.store.reader().await?;
    let nodes = fleet::list(&mut db, |name| app.hub.is_attached(name)).await?;
    for node in nodes.into_iter().filter(|node| node.connected) {
        let serves = fleet::serves(&mut db, &node.name).await?;
        if serves.is_none_or(|list| list.iter().any(|served| served == connection)) {
            return Ok(node.name);
        }
    }
    Err(Error::Conflict(format!(
        "no data plane that serves {connection} is connected, and only these look at servers"
    )))
}

fn report(connection: String, node: String, checked: ConnectionChecked) -> ConnectionReport {
    let finding = |finding: weir_api::v1::Finding| RoleFinding {
        what: finding.what,
        fix: finding.fix,
        is_hint: finding.is_hint,
    };
    let role = |role: weir_api::v1::RoleChecked| RoleReport {
        role: role.role,
        database: role.database,
        findings: role.findings.into_iter().map(finding).collect(),
        error: role.error,
    };
    ConnectionReport {
        connection,
        node,
        unreachable: checked.unreachable,
        roles: checked.roles.into_iter().map(role).collect(),
    }
}
