//! The drivers themselves: installed at the versions that the lock files name, once per
//! checkout, and copied to where every user of the stage can read them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::program::Language;
use crate::stage::{Caller, Selection, Site, built, psql};
use crate::{install, step};

/// pgjdbc, as Debian brings it.
const JDBC: &str = "/usr/share/java/postgresql.jar";

/// Debian's Go libraries.
const GO_PATH: &str = "/usr/share/gocode";

/// Everything that tells stories, below one folder.
pub(super) struct Kit {
    folder: PathBuf,
}

/// Installs what is missing and builds the programs.
pub(super) fn prepare(site: Site, selection: &Selection) -> Result<Kit> {
    install::ensure(&[
        install::PYTHON,
        install::NPM,
        install::JDK,
        install::JDBC,
        install::GO,
        install::PGX,
    ])?;
    let sources = step::root().join("xtask/drivers");
    let kept = step::root().join("target/drivers");
    make(&kept)?;
    python(&sources.join("python"), &kept)?;
    node(&sources.join("node"), &kept)?;
    java(&sources.join("java"), &kept)?;
    go(&sources.join("go"), &kept)?;
    let folder = site.folder().join("drivers");
    make(&folder)?;
    for part in ["python", "node", "java", "go"] {
        copy(&kept.join(part), &folder)?;
    }
    copy(&sources.join("psql"), &folder)?;
    let data = folder.join("rust-data");
    make(&data)?;
    fs::copy(sources.join("ordinary.tsv"), data.join("ordinary.tsv")).context("ordinary.tsv")?;
    let rust = folder.join("rust");
    fs::copy(built(selection, "weir-drivers")?, &rust).context("copy weir-drivers")?;
    let mut readable = Command::new("chmod");
    step::output("chmod", readable.args(["-R", "a+rX"]).arg(&folder))?;
    Ok(Kit { folder })
}

impl Kit {
    /// The path of a file below the kit's folder.
    pub(super) fn at(&self, path: &str) -> String {
        self.folder.join(path).display().to_string()
    }

    /// The words that start a program, and its caller with what the language wants around it.
    pub(super) fn command(
        &self,
        caller: Caller,
        language: Language,
        entry: &str,
    ) -> Result<(Caller, Vec<String>)> {
        let at = |path: &str| self.at(path);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Ok(match language {
            Language::Python => (
                caller
                    .with("PYTHONPATH", &at("python/packages"))
                    .with("PYTHONDONTWRITEBYTECODE", "1"),
                words(&["/usr/bin/python3", &at(&format!("python/{entry}"))]),
            ),
            Language::Node => (caller, words(&["node", &at(&format!("node/{entry}"))])),
            Language::Java => (
                caller,
                // A client that lives for seconds: the first compiler is enough.
                words(&[
                    "java",
                    "-XX:TieredStopAtLevel=1",
                    "-cp",
                    &format!("{JDBC}:{}", at("java")),
                    entry,
                ]),
            ),
            Language::Go => (caller, words(&[&at(&format!("go/{entry}"))])),
            Language::Rust => (caller, words(&[&at("rust"), entry])),
            Language::Psql => (
                caller,
                // What it complains about belongs to what it tells.
                words(&[
                    "sh",
                    "-c",
                    r#"exec "$0" -X -f "$1" 2>&1"#,
                    &psql()?,
                    &at(&format!("psql/{entry}")),
                ]),
            ),
        })
    }
}

/// Does something unless it was done for these files already.
fn once(kept: &Path, files: &[PathBuf], act: impl FnOnce() -> Result<()>) -> Result<()> {
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

fn python(sources: &Path, kept: &Path) -> Result<()> {
    let (kept, locked) = (kept.join("python"), sources.join("requirements.txt"));
    once(&kept, std::slice::from_ref(&locked), || {
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
        step::run(
            "pip install: psycopg, asyncpg, SQLAlchemy, Django",
            &mut pip,
        )?;
        fs::remove_dir_all(&venv).context("remove the installer's environment")
    })?;
    step::output(
        "cp",
        Command::new("cp").args(["-rT"]).arg(sources).arg(&kept),
    )
    .map(|_| ())
}

fn node(sources: &Path, kept: &Path) -> Result<()> {
    let (kept, locked) = (kept.join("node"), sources.join("package-lock.json"));
    once(&kept, std::slice::from_ref(&locked), || {
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
        ])
        .current_dir(&kept);
        step::run("npm ci: pg, postgres", &mut npm)
    })?;
    step::output(
        "cp",
        Command::new("cp").args(["-rT"]).arg(sources).arg(&kept),
    )
    .map(|_| ())
}

fn java(sources: &Path, kept: &Path) -> Result<()> {
    let (kept, source) = (kept.join("java"), sources.join("Stories.java"));
    once(&kept, std::slice::from_ref(&source), || {
        let mut javac = Command::new("javac");
        javac.args(["-cp", JDBC, "-d"]).arg(&kept).arg(&source);
        step::output("javac", &mut javac).map(|_| ())
    })
}

fn go(sources: &Path, kept: &Path) -> Result<()> {
    let (folder, source) = (kept.join("go"), sources.join("main.go"));
    once(&folder, std::slice::from_ref(&source), || {
        let mut go = Command::new("go");
        go.args(["build", "-o"])
            .arg(folder.join("stories"))
            .arg(&source)
            .env("GO111MODULE", "off")
            .env("GOPATH", GO_PATH)
            .env("GOCACHE", kept.join("go-cache"))
            .env("GOTOOLCHAIN", "local");
        step::run("go build: pgx", &mut go)
    })
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("mkdir {}", folder.display()))
}

fn copy(from: &Path, into: &Path) -> Result<()> {
    if !from.exists() {
        bail!("{} was not made", from.display());
    }
    step::output("cp", Command::new("cp").arg("-r").arg(from).arg(into)).map(|_| ())
}
