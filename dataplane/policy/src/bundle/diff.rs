use std::collections::BTreeMap;
use std::fmt;

use weir_facts::PolicyId;

use super::{Bundle, Label};

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the newer bundle has it.
    Added,
    /// Only the older bundle has it.
    Removed,
    /// Both have it and it says something else.
    Changed,
}

/// What differs between two bundles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleDiff {
    /// Policies by id, with their canonical text before and after.
    pub policies: Vec<(Change, PolicyId, String, String)>,
    /// Labels as in the newer bundle, or as in the older if removed.
    pub labels: Vec<(Change, Label)>,
    /// Other files and settings, by path, whose text differs.
    pub files: Vec<(Change, String)>,
}

impl BundleDiff {
    /// Whether both bundles say the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty() && self.labels.is_empty() && self.files.is_empty()
    }
}

impl fmt::Display for BundleDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (change, id, before, after) in &self.policies {
            writeln!(f, "{} policy {}", change.sign(), id.0)?;
            before
                .lines()
                .try_for_each(|line| writeln!(f, "  - {line}"))?;
            after
                .lines()
                .try_for_each(|line| writeln!(f, "  + {line}"))?;
        }
        for (change, label) in &self.labels {
            let classes = label.classes.join(", ");
            writeln!(
                f,
                "{} label {} {}: {classes}",
                change.sign(),
                label.connection,
                label.column
            )?;
        }
        self.files
            .iter()
            .try_for_each(|(change, path)| writeln!(f, "{} file {path}", change.sign()))
    }
}

impl Change {
    const fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed => '~',
        }
    }
}

pub(super) fn between(from: &Bundle, to: &Bundle) -> BundleDiff {
    let texts = |bundle: &Bundle| -> BTreeMap<PolicyId, String> {
        bundle
            .policies()
            .map(|info| (info.id.clone(), info.text.to_string()))
            .collect()
    };
    let labels = |bundle: &Bundle| -> BTreeMap<_, Label> {
        bundle
            .labels()
            .map(|label| ((label.connection.clone(), label.column.clone()), label))
            .collect()
    };
    let files = |bundle: &Bundle| -> BTreeMap<String, String> {
        bundle
            .canonical()
            .into_iter()
            .filter(|(path, _)| path != "policies.cedar")
            .collect()
    };
    let policies = compare(texts(from), texts(to))
        .map(|(change, id, before, after)| {
            (
                change,
                id,
                before.unwrap_or_default(),
                after.unwrap_or_default(),
            )
        })
        .collect();
    let labels = compare(labels(from), labels(to))
        .filter_map(|(change, _, before, after)| Some((change, after.or(before)?)))
        .collect();
    let files = compare(files(from), files(to))
        .map(|(change, path, _, _)| (change, path))
        .collect();
    BundleDiff {
        policies,
        labels,
        files,
    }
}

/// What differs between two maps, by key.
fn compare<K: Ord + Clone, V: PartialEq>(
    mut from: BTreeMap<K, V>,
    to: BTreeMap<K, V>,
) -> impl Iterator<Item = (Change, K, Option<V>, Option<V>)> {
    let mut found: Vec<(Change, K, Option<V>, Option<V>)> = Vec::new();
    for (key, after) in to {
        match from.remove(&key) {
            Some(before) if before == after => {}
            Some(before) => found.push((Change::Changed, key, Some(before), Some(after))),
            None => found.push((Change::Added, key, None, Some(after))),
        }
    }
    found.extend(
        from.into_iter()
            .map(|(key, before)| (Change::Removed, key, Some(before), None)),
    );
    found.sort_by(|a, b| a.1.cmp(&b.1));
    found.into_iter()
}
