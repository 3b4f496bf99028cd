use serde::{Deserialize, Serialize};

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Relative, with `/`.
    pub path: String,
    /// Its text.
    pub content: String,
}

/// A bundle to publish.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyPush {
    /// The bundle's files.
    pub files: Vec<File>,
    /// What changed, for the log.
    pub message: String,
    /// The version that the author started from; if another is active by now, the push is refused.
    #[serde(default)]
    pub parent: Option<u64>,
    /// Check only.
    #[serde(default)]
    pub dry_run: bool,
}

/// What one test of a bundle showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestOutcome {
    /// Its name.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// What was seen instead, if not.
    pub detail: String,
}

/// What became of a push.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyPushed {
    /// The bundle's id.
    pub id: String,
    /// The version that is active now; `None` if it was a dry run.
    pub number: Option<u64>,
    /// The bundle's own tests.
    pub tests: Vec<TestOutcome>,
}

/// A published version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// Its number.
    pub number: u64,
    /// The bundle's id.
    pub id: String,
    /// The version that was active before it.
    pub parent: Option<u64>,
    /// Who published it.
    pub author: String,
    /// What changed.
    pub message: String,
    /// When.
    pub created: u64,
    /// It is in force.
    pub active: bool,
}

/// A version with its files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyContent {
    /// The version.
    pub version: PolicyVersion,
    /// The bundle's files.
    pub files: Vec<File>,
}

/// How a file changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its text differs.
    Changed,
}

/// One file that differs between two versions, as lines.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyDiff {
    /// Relative path.
    pub path: String,
    /// How it changed.
    pub change: Change,
    /// Lines, each with `+`, `-` or a space before it.
    pub lines: Vec<String>,
}

/// Go back to a version: it is published again under a new number.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The version whose content comes back.
    pub to: u64,
    /// Why.
    pub message: String,
}
