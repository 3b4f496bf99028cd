//! Changed copies of the demo's policies, pushed as an author would push them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Hand, Site, put_in_force};
use crate::step;

/// One replacement in one file of the bundle; an empty `from` appends.
#[derive(Clone, Copy)]
pub(crate) struct Edit {
    /// The file, relative to the bundle.
    pub file: &'static str,
    /// What stands there.
    pub from: &'static str,
    /// What shall stand there instead.
    pub to: &'static str,
}

/// Pushes the demo's policies with these edits, and waits until they are in force. Returns the
/// new version's number.
pub(crate) fn push(site: Site, hand: &Hand, name: &str, edits: &[Edit]) -> Result<u64> {
    let folder = draft(site, name, edits)?;
    let pushed = put_in_force(site, hand, || {
        hand.json(&["policy", "push", &folder, "-m", name])
    })?;
    pushed["number"].as_u64().context("the push has no number")
}

/// The demo's policies with these edits, in a folder that nobody has pushed.
pub(crate) fn draft(site: Site, name: &str, edits: &[Edit]) -> Result<String> {
    let folder = site.folder().join(format!("policies-{name}"));
    write(&folder, edits)?;
    Ok(folder.display().to_string())
}

/// The active version's number.
pub(crate) fn active(hand: &Hand) -> Result<u64> {
    let versions = hand.json(&["policy", "log"])?;
    let active = versions
        .as_array()
        .and_then(|versions| versions.iter().find(|version| version["active"] == true));
    active
        .and_then(|version| version["number"].as_u64())
        .context("no version is active")
}

/// Publishes an earlier version again, and waits until it is in force.
pub(crate) fn roll_back(site: Site, hand: &Hand, number: u64) -> Result<()> {
    let number = number.to_string();
    put_in_force(site, hand, || {
        hand.run(&["policy", "rollback", &number, "-m", "back to where we were"])
    })
    .map(|_| ())
}

fn write(folder: &Path, edits: &[Edit]) -> Result<()> {
    let from: PathBuf = step::root().join("policies/demo");
    step::output(
        "cp",
        std::process::Command::new("cp")
            .arg("-rT")
            .arg(&from)
            .arg(folder),
    )?;
    for edit in edits {
        let path = folder.join(edit.file);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        ensure!(
            text.contains(edit.from),
            "{} has no {:?}",
            edit.file,
            edit.from
        );
        let text = if edit.from.is_empty() {
            text + edit.to
        } else {
            text.replace(edit.from, edit.to)
        };
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
