//! Packages of other languages, at the versions and digests that lock files name: installed once
//! per checkout, below target/.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{install, step};

/// Does something unless it was done for these files already.
pub(crate) fn once(kept: &Path, files: &[PathBuf], act: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut wanted = Vec::new();
    for file in files {
        wanted.extend(fs::read(file).with_context(|| file.display().to_string())?);
    }
    let stamp = kept.join("installed");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if kept.exists() {
        fs::remove_dir_all(kept).with_context(|| format!("remove {}", kept.display()))?;
    }
    make(kept)?;
    act()?;
    fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))
}

/// Installs what `requirements.txt` of a folder locks into `kept`/packages, and copies the
/// folder's own files beside it.
pub(crate) fn python(sources: &Path, kept: &Path, what: &str) -> Result<()> {
    let locked = sources.join("requirements.txt");
    install::ensure(&[install::PYTHON])?;
    once(kept, std::slice::from_ref(&locked), || {
        let venv = kept.join("venv");
        step::output(
            "python3 -m venv",
            Command::new("/usr/bin/python3")
                .args(["-m", "venv"])
                .arg(&venv),
        )?;
        let mut pip = Command::new(venv.join("bin/pip"));
        pip.args([
            "install",
            "--quiet",
            "--require-hashes",
            "--only-binary=:all:",
        ])
        .args([
            "--disable-pip-version-check",
            "--no-deps",
            "--no-compile",
            "-r",
        ])
        .arg(&locked)
        .arg("--target")
        .arg(kept.join("packages"));
        step::run(&format!("pip install: {what}"), &mut pip)?;
        fs::remove_dir_all(&venv).context("remove the installer's environment")
    })?;
    beside(sources, kept)
}

/// Installs what `package-lock.json` of a folder locks into `kept`/node_modules, and copies the
/// folder's own files beside it.
pub(crate) fn node(sources: &Path, kept: &Path, what: &str) -> Result<()> {
    let locked = sources.join("package-lock.json");
    install::ensure(&[install::NPM])?;
    once(kept, std::slice::from_ref(&locked), || {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(sources.join(name), kept.join(name)).context(name)?;
        }
        let mut npm = Command::new("npm");
        npm.args([
            "ci",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
            // A transfer that stands still is begun again soon, not after five minutes.
            "--fetch-timeout=30000",
            "--fetch-retries=4",
        ])
        .current_dir(kept);
        step::run(&format!("npm ci: {what}"), &mut npm)
    })?;
    beside(sources, kept)
}

/// Builds the program of a project that is no member of the workspace, at the versions that its
/// own `Cargo.lock` names. Returns where it lies.
pub(crate) fn cargo(sources: &Path, kept: &Path, program: &str) -> Result<PathBuf> {
    let mut cargo = step::cargo();
    cargo
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(sources.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(kept);
    step::run(&format!("cargo build: {program}"), &mut cargo)?;
    Ok(kept.join("debug").join(program))
}

fn beside(sources: &Path, kept: &Path) -> Result<()> {
    step::output("cp", Command::new("cp").arg("-rT").arg(sources).arg(kept)).map(|_| ())
}

/// Makes a folder, and those that it lies in.
pub(crate) fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("mkdir {}", folder.display()))
}

/// Copies a file or a folder into a folder.
pub(crate) fn copy(from: &Path, into: &Path) -> Result<()> {
    if !from.exists() {
        bail!("{} was not made", from.display());
    }
    step::output("cp", Command::new("cp").arg("-r").arg(from).arg(into)).map(|_| ())
}

/// Lets every user of this host read a folder.
pub(crate) fn readable(folder: &Path) -> Result<()> {
    step::output(
        "chmod",
        Command::new("chmod").args(["-R", "a+rX"]).arg(folder),
    )
    .map(|_| ())
}
