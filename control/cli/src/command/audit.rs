use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::json;
use weir_api::http::{Alert, ManagementEntry};
use weir_audit::Kind;
use weir_audit::log::VerifierKey;
use weir_audit::verify::{Links, Report, verify};

use crate::arguments::Audit;
use crate::client::{Client, NOTHING};
use crate::output::{Output, when, when_us};
use reqwest::Method;

/// Where a ledger keeps its log, and its key, below its own directory.
const LOG: &str = "log";
const KEY: &str = "keys/log.vkey";

/// The audit log. `client` is asked for only by what is not offline.
pub(crate) async fn run(
    client: impl FnOnce() -> anyhow::Result<Client>,
    out: Output,
    command: Audit,
) -> anyhow::Result<ExitCode> {
    match command {
        Audit::Verify {
            directory,
            vkey,
            checkpoints,
        } => {
            return verify_directory(out, &directory, vkey.as_deref(), checkpoints.as_deref());
        }
        Audit::Checkpoints { node } => {
            let notes: Vec<String> = client()?.get(&["nodes", &node, "checkpoints"]).await?;
            let text = serde_json::to_string_pretty(&notes).context("write JSON")? + "\n";
            out.text(&notes, &text)?;
        }
        Audit::Log { after } => {
            let after = after.to_string();
            let query = [("after", after.as_str())];
            let entries: Vec<ManagementEntry> = client()?
                .ask(Method::GET, &["management-log"], &query, NOTHING)
                .await?;
            let rows = entries.iter().map(|entry| {
                [
                    entry.seq.to_string(),
                    when(entry.at),
                    entry.actor.clone(),
                    entry.action.clone(),
                    entry.subject.clone(),
                    entry.detail.to_string(),
                ]
            });
            out.table(&entries, ["SEQ", "WHEN", "WHO", "WHAT", "ON", "HOW"], rows)?;
        }
        Audit::Alerts => {
            let alerts: Vec<Alert> = client()?.get(&["alerts"]).await?;
            let rows = alerts.iter().map(|alert| {
                [
                    when(alert.at),
                    alert.node.clone(),
                    alert.kind.clone(),
                    alert.detail.clone(),
                ]
            });
            out.table(&alerts, ["WHEN", "NODE", "WHAT", "DETAIL"], rows)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn verify_directory(
    out: Output,
    directory: &Path,
    vkey: Option<&str>,
    stored: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let nested = directory.join(LOG);
    let log = if nested.join(weir_audit::log::CHECKPOINT_PATH).exists() {
        nested.as_path()
    } else {
        directory
    };
    let key = key(directory, vkey)?;
    let stored = stored.map(checkpoints).transpose()?.unwrap_or_default();
    if stored.is_empty() {
        eprintln!("note: without --checkpoints, a log that its owner signed again would pass");
    }
    let mut files = |path: &str| match std::fs::read(log.join(path)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let report = verify(&mut files, &key, &stored);
    out.text(&value(&report), &text(&report, stored.len()))?;
    Ok(if report.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The key given, the file given, or the one beside the log.
fn key(directory: &Path, vkey: Option<&str>) -> anyhow::Result<VerifierKey> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
    };
    let text = match vkey {
        Some(text) if text.contains('+') && !Path::new(text).exists() => text.to_owned(),
        Some(path) => read(Path::new(path))?,
        None => {
            let beside = [directory.join(KEY), directory.join("..").join(KEY)];
            let Some(path) = beside.iter().find(|path| path.exists()) else {
                bail!("there is no {KEY} here: give --vkey");
            };
            eprintln!(
                "note: takes the key from {}, from the host that wrote the log; --vkey gives another",
                path.display()
            );
            read(path)?
        }
    };
    VerifierKey::parse(text.trim()).context("the verification key")
}

/// Stored checkpoints, each with a name for messages.
fn checkpoints(path: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let about = std::fs::metadata(path).with_context(|| format!("read {}", path.display()))?;
    if !about.is_dir() {
        let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let notes: Vec<String> = match serde_json::from_slice(&text) {
            Ok(notes) => notes,
            Err(_) => return Ok(vec![(path.display().to_string(), text)]),
        };
        return Ok((1..)
            .zip(notes)
            .map(|(at, note)| (format!("{} #{at}", path.display()), note.into_bytes()))
            .collect());
    }
    let mut stored = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| format!("read {}", path.display()))? {
        let path = entry
            .with_context(|| format!("read {}", path.display()))?
            .path();
        stored.push((
            path.display().to_string(),
            std::fs::read(&path).with_context(|| format!("read {}", path.display()))?,
        ));
    }
    stored.sort_unstable();
    Ok(stored)
}

fn value(report: &Report) -> serde_json::Value {
    let kinds: serde_json::Map<String, serde_json::Value> = Kind::ALL
        .iter()
        .map(|kind| (kind.as_str().to_owned(), report.count(*kind).into()))
        .collect();
    json!({
        "sound": report.is_sound(),
        "fault": report.fault.as_ref().map(ToString::to_string),
        "origin": report.checkpoint.as_ref().map(|checkpoint| &checkpoint.origin),
        "size": report.checkpoint.as_ref().map(|checkpoint| checkpoint.size),
        "root": report.checkpoint.as_ref().map(|checkpoint| checkpoint.root.to_string()),
        "leaves": report.leaves,
        "kinds": kinds,
        "workers": report.workers.iter().map(|worker| json!({ "worker": worker.worker.0, "records": worker.last.0 })).collect::<Vec<_>>(),
        "open_intents": report.open_total,
        "explained_intents": report.explained,
        "links": { "trace": report.links.trace, "process": report.links.process, "ambiguous": report.links.ambiguous },
        "gaps": report.gaps,
        "stored_consistent": report.stored_consistent,
    })
}

fn text(report: &Report, stored: usize) -> String {
    let mut text = String::new();
    if let Some(checkpoint) = &report.checkpoint {
        text += &format!(
            "log       {}\nsize      {}\nroot      {}\n",
            checkpoint.origin, checkpoint.size, checkpoint.root
        );
    }
    text += &format!("checked   {} leaves\n", report.leaves);
    let counts: Vec<String> = Kind::ALL
        .iter()
        .map(|kind| (kind, report.count(*kind)))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {}", kind.as_str()))
        .collect();
    text += &format!(
        "records   {}\n",
        if counts.is_empty() {
            "none".to_owned()
        } else {
            counts.join(", ")
        }
    );
    if let Some((first, last)) = report.times_us {
        text += &format!(
            "from      {}\nuntil     {}\n",
            when_us(first),
            when_us(last)
        );
    }
    if stored > 0 {
        text += &format!(
            "stored    {} of {stored} checkpoints agree\n",
            report.stored_consistent
        );
    }
    let links = &report.links;
    if *links != Links::default() {
        text += &format!(
            "calls     {} records name the MCP call that caused them ({} by trace, {} by process); {} are ambiguous\n",
            links.trace + links.process,
            links.trace,
            links.process,
            links.ambiguous
        );
    }
    if report.open_total > 0 {
        text += &format!(
            "open      {} operations have no outcome yet\n",
            report.open_total
        );
    }
    if !report.gaps.is_empty() {
        text += &format!(
            "gaps      at leaves {:?}; {} operations ended in them\n",
            report.gaps, report.explained
        );
    }
    match &report.fault {
        None => text + "SOUND\n",
        Some(fault) => text + &format!("NOT SOUND {fault}\n"),
    }
}
