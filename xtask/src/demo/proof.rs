//! The server's own log against the ledger, and the ledger against whoever changes it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::rows::line;
use crate::checks::Checks;
use crate::stage::{NO_CLIENTS, Stage, leaves, until};
use crate::step;

/// How soon a kept record is in the log's files.
const PUBLISHED_MAX: Duration = Duration::from_secs(10);

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    statements(stage, checks)?;
    calls(stage, checks)?;
    verify(stage, checks)?;
    flip(stage, checks)?;
    let doctor = stage.control.admin().try_run(&["doctor"], "")?;
    let redirect = doctor
        .out
        .lines()
        .find(|line| line.contains("redirect"))
        .unwrap_or_default();
    checks.see(
        "weir doctor is green: a canary flew through the hooks",
        doctor.ok,
        if doctor.ok { redirect } else { &doctor.out },
    );
    Ok(())
}

/// Statements that Weir's sessions sent, as the server logged them.
pub(crate) fn guarded_statements(stage: &Stage) -> Result<usize> {
    Ok(stage
        .postgres
        .log
        .statements()?
        .iter()
        .filter(|(application, _)| !NO_CLIENTS.contains(&application.as_str()))
        .count())
}

fn statements(stage: &Stage, checks: &mut Checks) -> Result<()> {
    // A kept record is in the log's files some milliseconds later: wait for those, not for a number.
    let counts = || {
        Ok::<_, anyhow::Error>((
            guarded_statements(stage)?,
            leaves::count(&leaves::read(&stage.log())?, "intent", "demo-pg"),
        ))
    };
    let agreed = until("agreement", PUBLISHED_MAX, || {
        Ok(Some(counts()?).filter(|(logged, kept)| logged == kept))
    });
    let (logged, kept) = agreed.or_else(|_| counts())?;
    let seen = format!("{logged} statements in the server's log, {kept} intents in the ledger");
    checks.see(
        "PostgreSQL's log and the ledger agree, one to one",
        logged == kept && logged > 0,
        &seen,
    );

    let names: BTreeSet<_> = stage.postgres.log.applications()?.into_iter().collect();
    let known = |name: &String| name.starts_with("weir:") || NO_CLIENTS.contains(&name.as_str());
    let seen = names
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    checks.see(
        "nobody else came: Weir, the controls, the set-up",
        names.iter().all(known),
        &seen,
    );
    Ok(())
}

fn calls(stage: &Stage, checks: &mut Checks) -> Result<()> {
    // The two direct controls called run_shell and lookup_customer.
    const DIRECT_CALLS: usize = 2;
    let is_call = |leaf: &&Value| {
        leaf["kind"] == "intent" && leaf["accesses"].to_string().contains("mcp.call_tool")
    };
    let counts = || {
        let kept = leaves::read(&stage.log())?.iter().filter(is_call).count();
        Ok::<_, anyhow::Error>((stage.mcp.calls()?.len(), kept))
    };
    let agreed = until("agreement", PUBLISHED_MAX, || {
        Ok(Some(counts()?).filter(|(ran, kept)| *ran == kept + DIRECT_CALLS))
    });
    let (ran, kept) = agreed.or_else(|_| counts())?;
    let seen = format!(
        "{ran} calls at the server, {DIRECT_CALLS} of them controls; {kept} intents in the ledger"
    );
    checks.see(
        "the MCP server's account and the ledger agree",
        ran == kept + DIRECT_CALLS,
        &seen,
    );
    Ok(())
}

fn verify(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let stored = stored_checkpoints(stage)?;
    let ledger = stage.site.ledger();
    let said = verification(stage, &ledger, &stored)?;
    let size = said
        .out
        .lines()
        .find(|line| line.starts_with("checked"))
        .unwrap_or_default();
    let seen = format!(
        "{}, against checkpoints that the control plane stored",
        size.trim_start_matches("checked").trim()
    );
    checks.see(
        "weir audit verify: sound",
        said.ok,
        if said.ok { &seen } else { &said.out },
    );
    Ok(())
}

/// The checkpoints that the control plane stored, which whoever owns the host cannot sign again.
pub(crate) fn stored_checkpoints(stage: &Stage) -> Result<PathBuf> {
    let admin = stage.control.admin();
    let stored = until("a stored checkpoint", Duration::from_secs(15), || {
        let stored = admin.json(&["audit", "checkpoints", stage.site.name])?;
        Ok(Some(stored).filter(|stored| stored.as_array().is_some_and(|list| !list.is_empty())))
    })?;
    let path = stage.site.folder().join("checkpoints.json");
    fs::write(&path, stored.to_string()).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// `weir audit verify`, offline.
pub(crate) fn verification(
    stage: &Stage,
    ledger: &Path,
    stored: &Path,
) -> Result<crate::stage::Said> {
    let (ledger, stored) = (ledger.display().to_string(), stored.display().to_string());
    stage
        .people
        .dana
        .try_run(&["audit", "verify", &ledger, "--checkpoints", &stored], "")
}

/// One bit of one record, in a copy.
fn flip(stage: &Stage, checks: &mut Checks) -> Result<()> {
    // Before the copy: a log that is smaller than its checkpoints is no sound one either.
    let stored = stored_checkpoints(stage)?;
    let copy = stage.site.folder().join("changed-ledger");
    step::output(
        "cp",
        Command::new("cp")
            .arg("-rT")
            .arg(stage.site.ledger())
            .arg(&copy),
    )?;
    let before = verification(stage, &copy, &stored)?;
    let (place, was, is) = change_a_record(&copy.join("log/tile/entries"))?;
    let after = verification(stage, &copy, &stored)?;
    let told = after
        .out
        .lines()
        .find(|line| line.contains("NOT SOUND"))
        .map_or_else(|| line(&after), str::to_owned);
    let seen = format!("{was:?} to {is:?} at {place}: {told}");
    checks.see(
        "one byte of a record changed: caught",
        before.ok && !after.ok,
        &seen,
    );
    Ok(())
}

/// Changes a letter of what the first operation was, in every file that holds it: partial
/// bundles repeat what a later one holds.
fn change_a_record(entries: &Path) -> Result<(usize, char, char)> {
    let mut changed = None;
    for path in files(entries)? {
        let mut bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let Some(at) = first_operation(&bytes) else {
            continue;
        };
        let Some(byte) = bytes.get_mut(at) else {
            continue;
        };
        let was = char::from(*byte);
        *byte ^= 1;
        changed = Some((at, was, char::from(*byte)));
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
    }
    match changed {
        Some(changed) => Ok(changed),
        None => bail!("no operation was found below {}", entries.display()),
    }
}

/// Where the first summary's text begins. With one of its letters changed, the record is still
/// a good one; only the hashes tell.
fn first_operation(bytes: &[u8]) -> Option<usize> {
    let word = br#""summary":""#;
    bytes
        .windows(word.len())
        .position(|window| window == word)
        .map(|at| at + word.len())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?)
        } else {
            found.push(path)
        }
    }
    found.sort();
    Ok(found)
}
