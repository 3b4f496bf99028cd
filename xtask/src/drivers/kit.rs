//! The drivers themselves: installed at the versions that the lock files name, once per
//! checkout, and copied to where every user of the stage can read them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::program::Language;
use crate::packages::{self, copy, make, once, readable};
use crate::stage::{Caller, Selection, Site, built, psql};
use crate::{install, step};

/// pgjdbc, as Debian brings it.
const JDBC: &str = "/usr/share/java/postgresql.jar";

/// Debian's Go libraries.
const GO_PATH: &str = "/usr/share/gocode";

/// What the drivers need of the machine: some 200 MB of packages where all of it is missing.
pub(crate) const NEEDS: [install::Need; 6] = [
    install::PYTHON,
    install::NPM,
    install::JDK,
    install::JDBC,
    install::GO,
    install::PGX,
];

/// Everything that tells stories, below one folder.
pub(super) struct Kit {
    folder: PathBuf,
}

/// Installs what is missing and builds the programs.
pub(super) fn prepare(site: Site, selection: &Selection) -> Result<Kit> {
    install::ensure(&NEEDS)?;
    let sources = step::root().join("xtask/drivers");
    let kept = step::root().join("target/drivers");
    make(&kept)?;
    packages::python(
        &sources.join("python"),
        &kept.join("python"),
        "psycopg, asyncpg, SQLAlchemy, Django",
    )?;
    packages::node(&sources.join("node"), &kept.join("node"), "pg, postgres")?;
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
    readable(&folder)?;
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
