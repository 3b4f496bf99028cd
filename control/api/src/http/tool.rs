use serde::{Deserialize, Serialize};

/// A tool of an MCP server, and how its definition stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolView {
    /// Its name.
    pub name: String,
    /// It is treated as if it were not there until a person approves a definition.
    pub quarantined: bool,
    /// Why, where it is.
    pub doubt: String,
    /// The definition that may be used: hexadecimal SHA-256 of its canonical form.
    pub approved: Option<String>,
    /// Another one, which waits for a person.
    pub pending: Option<String>,
    /// The node that saw it.
    pub node: String,
    /// When the tool was seen first.
    pub first_seen: u64,
    /// When the definition that waits was seen.
    pub changed: Option<u64>,
    /// When a person decided last; absent where the first sight was trusted.
    pub decided: Option<u64>,
    /// Who.
    pub decided_by: Option<String>,
    /// Why, in their words.
    pub reason: String,
}

/// A tool with its definitions. Characters that are not shown stand as `\u{…}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolDetail {
    /// The tool.
    pub tool: ToolView,
    /// The definition that may be used, as indented JSON; empty where there is none.
    pub approved: String,
    /// The one that waits; empty where there is none, or where it is too large to be shown.
    pub pending: String,
    /// What differs between them: lines with `+`, `-` or a space before each.
    pub diff: Vec<String>,
}

/// Definitions that may be used from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolApproval {
    /// Which; all or none of them.
    pub tools: Vec<ToolChoice>,
    /// Why, in the approver's words.
    pub reason: String,
}

/// One definition of one tool.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolChoice {
    /// The tool's name.
    pub name: String,
    /// The definition that was looked at: the first 16 or more digits of its SHA-256. The one that
    /// waits, or the one that was approved before, to keep it.
    pub definition: String,
}
