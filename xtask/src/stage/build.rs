//! The programs: built once, and put where every user can start them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::step;

/// The programs of a stage.
pub(crate) const PROGRAMS: [&str; 4] = ["weir-control", "weir", "weir-dataplane", "weir-proxy"];

/// What is compiled together. Dependencies' features depend on it, so the tests must not be
/// followed by a build of less: half of the tree would be compiled again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The four programs alone.
    Programs,
    /// Whatever the tests have compiled already.
    WithTests,
    /// Nothing: the programs lie in this folder, as a package would bring them.
    Ready(PathBuf),
}

const PROGRAMS_ALONE: &[&str] = &[
    "--bins",
    "-p",
    "weir-control",
    "-p",
    "weir-cli",
    "-p",
    "weir-warden",
    "-p",
    "weir-proxy",
];

const WITH_TESTS: &[&str] = &["--workspace", "--bins", "--tests"];

/// Builds the programs and copies them to a folder.
pub(crate) fn programs(selection: &Selection, folder: &Path) -> Result<()> {
    let begun = Instant::now();
    let built = match selection {
        Selection::Programs => build(PROGRAMS_ALONE)?,
        Selection::WithTests => build(WITH_TESTS)?,
        Selection::Ready(ready) => PROGRAMS
            .map(|name| (name.to_owned(), ready.join(name)))
            .into(),
    };
    fs::create_dir_all(folder).with_context(|| format!("mkdir {}", folder.display()))?;
    for name in PROGRAMS {
        let Some((_, path)) = built.iter().find(|(known, _)| known == name) else {
            bail!("cargo built no {name}")
        };
        place(path, &folder.join(name))?;
    }
    println!(
        "  {}: ready after {:.0} s",
        PROGRAMS.join(", "),
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// The path of another program of the workspace, built with the same selection.
pub(crate) fn built(selection: &Selection, name: &str) -> Result<PathBuf> {
    let built = match selection {
        Selection::Programs => build(&["-p", name])?,
        Selection::WithTests => build(WITH_TESTS)?,
        Selection::Ready(ready) if ready.join(name).exists() => return Ok(ready.join(name)),
        Selection::Ready(_) => build(&["-p", name])?,
    };
    let path = built.into_iter().find(|(known, _)| known == name);
    path.map(|(_, path)| path)
        .with_context(|| format!("cargo built no {name}"))
}

/// Copies a program so that everybody may start it.
pub(crate) fn place(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("chmod {}", to.display()))
}

/// Runs cargo and returns the executables that it made or found to be fresh.
fn build(selection: &[&str]) -> Result<Vec<(String, PathBuf)>> {
    let progress = ProgressBar::new_spinner().with_message("compiling");
    progress.set_style(ProgressStyle::with_template(
        "  {spinner} {msg}: {pos} crates, {elapsed}",
    )?);
    progress.enable_steady_tick(Duration::from_millis(120));
    let mut command = step::cargo();
    command
        .args([
            "build",
            "--quiet",
            "--message-format=json-render-diagnostics",
        ])
        .args(selection);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut built = Vec::new();
    for line in BufReader::new(output).lines() {
        let message: serde_json::Value = serde_json::from_str(&line?).context("cargo's message")?;
        if message["reason"] == "compiler-artifact" {
            progress.inc(1);
            progress.set_message(format!(
                "compiling {}",
                message["target"]["name"].as_str().unwrap_or_default()
            ));
            let is_program = message["target"]["kind"] == serde_json::json!(["bin"])
                && message["profile"]["test"] == false;
            if let (true, Some(path), Some(name)) = (
                is_program,
                message["executable"].as_str(),
                message["target"]["name"].as_str(),
            ) {
                built.push((name.to_owned(), PathBuf::from(path)));
            }
        }
    }
    progress.finish_and_clear();
    let status = child.wait().context("wait for cargo")?;
    if !status.success() {
        bail!("cargo build ended with {status}");
    }
    Ok(built)
}
