//! What nodes saw of servers' tools.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;
use weir_api::http::{Connection, Kind};
use weir_api::limits::{TOOL_DEFINITION_BYTES_MAX, TOOL_NAME_BYTES_MAX, TOOLS_PER_REPORT_MAX};
use weir_api::v1::to_data_plane::Message as To;
use weir_api::v1::{ToolSeen, ToolsSeen, ToolsStored};
use weir_facts::{is_hidden, is_plain_name, name_skeleton};

use super::session::Session;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::limits::TOOLS_MAX;
use crate::secret::hex;
use crate::store::tool::{self, Report};
use crate::store::{fleet, management, server};

/// Stores what is new. Nonsense is logged, and answered as if it were stored: the node would only
/// send it again.
pub(crate) async fn seen(session: &mut Session, seen: ToolsSeen) -> Result<()> {
    let mut tx = session.app.store.begin().await?;
    let mut changed = false;
    match connection(&mut tx, &session.node, &seen).await? {
        Some(connection) => {
            for tool in &seen.tools {
                changed |= note(&mut tx, &session.node, &connection, tool).await?;
            }
        }
        None => tracing::warn!(
            node = session.node,
            "tools of a server that it does not serve"
        ),
    }
    tx.commit().await?;
    if changed {
        session.app.hub.world_changed();
    }
    let report = seen.report;
    session
        .answer(To::ToolsStored(ToolsStored { report }))
        .await;
    Ok(())
}

async fn connection(
    tx: &mut SqliteConnection,
    node: &str,
    seen: &ToolsSeen,
) -> Result<Option<Connection>> {
    let serves = fleet::serves(&mut *tx, node).await?;
    let is_served = serves.is_none_or(|names| names.contains(&seen.connection));
    let connection = match server::connection(tx, &seen.connection).await {
        Ok(connection) => connection,
        Err(Error::NotFound(_)) => return Ok(None),
        Err(other) => return Err(other),
    };
    let fits =
        is_served && connection.kind == Kind::Mcp && seen.tools.len() <= TOOLS_PER_REPORT_MAX;
    Ok(fits.then_some(connection))
}

/// Whether anything changed.
async fn note(
    tx: &mut SqliteConnection,
    node: &str,
    connection: &Connection,
    tool: &ToolSeen,
) -> Result<bool> {
    if !is_whole(tool) {
        tracing::warn!(node, "a definition of a tool that is none");
        return Ok(false);
    }
    let report = Report {
        connection: &connection.name,
        node,
        tool,
    };
    let known = tool::get(&mut *tx, &connection.name, &tool.name).await?;
    let digest = Some(&tool.sha256);
    let (action, doubt) = match &known {
        Some(row) if row.approved.as_ref() == digest || row.pending.as_ref() == digest => {
            return Ok(false);
        }
        Some(_) => {
            let doubt = "its definition has changed since it was approved";
            tool::change(&mut *tx, &report, doubt, now()).await?;
            ("tool.changed", Some(doubt))
        }
        None => {
            let names = tool::names(&mut *tx, &connection.name).await?;
            if i64::try_from(names.len()).unwrap_or(i64::MAX) >= TOOLS_MAX {
                tracing::warn!(connection = connection.name, "more tools than are kept");
                return Ok(false);
            }
            let doubt = doubt(connection, &names, tool);
            tool::insert(&mut *tx, &report, doubt, now()).await?;
            ("tool.seen", doubt)
        }
    };
    let detail = json!({
        "tool": tool.name, "definition": hex(&tool.sha256), "quarantined": doubt,
    });
    management::append(tx, now(), node, action, &connection.name, detail).await?;
    Ok(true)
}

/// Whether a report is what it says it is.
fn is_whole(tool: &ToolSeen) -> bool {
    tool.sha256.len() == 32
        && tool.name.len() <= TOOL_NAME_BYTES_MAX
        && tool.definition.len() <= TOOL_DEFINITION_BYTES_MAX
        && (tool.definition.is_empty()
            || Sha256::digest(tool.definition.as_bytes()).as_slice() == tool.sha256)
}

/// Why a tool that is seen for the first time is not trusted. The data plane asks the same.
fn doubt(connection: &Connection, names: &[String], tool: &ToolSeen) -> Option<&'static str> {
    let skeleton = name_skeleton(&tool.name);
    if !is_plain_name(&tool.name) || names.iter().any(|name| name_skeleton(name) == skeleton) {
        return Some("its name can be taken for another tool's, or is not plain ASCII");
    }
    if tool.definition.is_empty() {
        return Some("its definition is too large to be approved");
    }
    let hides = serde_json::from_str(&tool.definition)
        .map_or(true, |definition| has_hidden_text(&definition));
    if hides {
        return Some("its definition holds characters that are not shown");
    }
    connection
        .tools_need_approval
        .then_some("this connection trusts no tool at first sight")
}

/// Nesting is bounded by the JSON parser.
fn has_hidden_text(value: &Value) -> bool {
    let hides = |text: &str| text.chars().any(is_hidden);
    match value {
        Value::String(text) => hides(text),
        Value::Array(items) => items.iter().any(has_hidden_text),
        Value::Object(members) => members
            .iter()
            .any(|(key, value)| hides(key) || has_hidden_text(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
