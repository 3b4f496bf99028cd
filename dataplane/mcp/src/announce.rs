//! What clients are told of tasks that Weir makes of calls.
//!
//! A strict client asks for a task only where the server has said that it may. Servers of which
//! Weir holds calls may have said nothing: so Weir says it, in the words of each revision, beside
//! what the server has said. A call may be a task, and none must.
//!
//! | revision | where | what |
//! |---|---|---|
//! | 2025-11-25 | `capabilities` of `initialize` | `tasks`, instead of the server's own, which are not served |
//! | 2025-11-25 | each tool of `tools/list` | `execution.taskSupport` (basic/utilities/tasks, "Tool-Level Negotiation") |
//! | 2026-07-28 | `capabilities` of `server/discover` | the extension |

use std::ops::Range;

use crate::json::{Edits, KeyEquality, Kind, Value, removed_members};
use crate::message::stateless::TASKS_EXTENSION;

/// Replacements in a body, in any order.
type Replacements = Vec<(Range<usize>, Vec<u8>)>;

const SESSION: &str = r#""tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}"#;

const EXECUTION: &str = r#""execution":{"taskSupport":"optional"}"#;

/// The result of `initialize` without the server's own tasks, and with Weir's where `has_tasks`.
#[must_use]
pub fn session(result: &Value<'_>, has_tasks: bool) -> Replacements {
    let Some(capabilities) = result.get("capabilities") else {
        return Vec::new();
    };
    let spans = removed_members(&capabilities, |key| is_named(key, "tasks"));
    let mut edits: Replacements = spans.into_iter().map(|span| (span, Vec::new())).collect();
    if has_tasks && has_tools(&capabilities) {
        let stays = |(key, _): (Value<'_>, Value<'_>)| !is_named(&key, "tasks");
        edits.push(first(
            &capabilities,
            SESSION,
            capabilities.members().any(stays),
        ));
    }
    edits
}

/// What is added to the result of `server/discover`, unless the server has the extension itself.
#[must_use]
pub fn discovery(result: &Value<'_>) -> Replacements {
    let Some(capabilities) = result.get("capabilities").filter(has_tools) else {
        return Vec::new();
    };
    let own = format!(r#""{TASKS_EXTENSION}":{{}}"#);
    match member(&capabilities, "extensions") {
        None => {
            let extensions = format!(r#""extensions":{{{own}}}"#);
            vec![first(&capabilities, &extensions, true)]
        }
        Some((key, extensions)) => {
            let is_plain = key.is_text("extensions")
                && extensions.kind() == Kind::Object
                && member(&extensions, TASKS_EXTENSION).is_none();
            let has_others = extensions.members().next().is_some();
            is_plain
                .then(|| first(&extensions, &own, has_others))
                .into_iter()
                .collect()
        }
    }
}

/// A tool of a list with `taskSupport`, where it says nothing of it or that there is none. `None`
/// where it stays as it is.
#[must_use]
pub fn tool(tool: &Value<'_>) -> Option<Vec<u8>> {
    let has_members = |object: &Value<'_>| object.members().next().is_some();
    let (span, written) = match member(tool, "execution") {
        None => first(tool, EXECUTION, has_members(tool)),
        Some((key, execution)) => {
            let is_plain = key.is_text("execution")
                && execution.kind() == Kind::Object
                && execution.unique_keys(KeyEquality::Folded).is_ok();
            if !is_plain {
                return None;
            }
            match member(&execution, "taskSupport") {
                None => {
                    let support = r#""taskSupport":"optional""#;
                    first(&execution, support, has_members(&execution))
                }
                Some((key, support)) => {
                    let is_none = key.is_text("taskSupport") && support.is_text("forbidden");
                    is_none.then(|| (support.span(), br#""optional""#.to_vec()))?
                }
            }
        }
    };
    let from = tool.span().start;
    let mut edits = Edits::new();
    edits
        .push(span.start - from..span.end - from, written)
        .ok()?;
    Some(edits.apply(tool.raw()))
}

/// A member, however its name is spelled.
fn member<'d>(object: &Value<'d>, name: &str) -> Option<(Value<'d>, Value<'d>)> {
    object.members().find(|(key, _)| is_named(key, name))
}

fn is_named(key: &Value<'_>, name: &str) -> bool {
    key.is_text(name) || key.is_text_but_for_case(name)
}

/// Whether there are tools at all, in an object that everybody reads alike.
fn has_tools(capabilities: &Value<'_>) -> bool {
    capabilities.unique_keys(KeyEquality::Folded).is_ok() && capabilities.get("tools").is_some()
}

/// Puts a member before all others of an object.
fn first(object: &Value<'_>, member: &str, has_others: bool) -> (Range<usize>, Vec<u8>) {
    let at = object.span().start + 1;
    let comma = if has_others { "," } else { "" };
    (at..at, format!("{member}{comma}").into_bytes())
}

#[cfg(test)]
mod tests;
