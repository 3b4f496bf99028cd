//! The programs of others: installed at the versions that the lock files name, once per checkout,
//! and copied to where every user of the stage can start them.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::packages::{self, copy, make, readable};
use crate::stage::{Caller, Said, Site};
use crate::step;

/// Longest that one program may take: CI has two slow cores.
const PROGRAM_MAX_S: &str = "240";

/// Everything below one folder.
pub(super) struct Kit {
    folder: PathBuf,
}

/// Installs what is missing.
pub(super) fn prepare(site: Site) -> Result<Kit> {
    let (sources, kept) = (
        step::root().join("xtask/mcp/suite"),
        step::root().join("target/mcp-suite"),
    );
    let begun = Instant::now();
    make(&kept)?;
    packages::python(
        &sources.join("python"),
        &kept.join("python"),
        "mcp, fastmcp",
    )?;
    packages::node(
        &sources.join("node"),
        &kept.join("node"),
        "conformance, SDKs, Inspector, mcp-remote, Claude Code, Toolbox",
    )?;
    let rmcp = packages::cargo(&sources.join("rust"), &kept.join("rust"), "weir-rmcp")?;
    let folder = site.folder().join("mcp-suite");
    make(&folder)?;
    for part in ["python", "node"] {
        copy(&kept.join(part), &folder)?;
    }
    copy(&rmcp, &folder)?;
    readable(&folder)?;
    println!("  installed in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(Kit { folder })
}

impl Kit {
    /// The path of a file below the kit's folder.
    pub(super) fn at(&self, path: &str) -> String {
        self.folder.join(path).display().to_string()
    }

    /// Node itself: some clients want a newer one than Debian has.
    pub(super) fn node(&self) -> String {
        self.native("node", "bin/node")
    }

    /// The official Rust SDK's client.
    pub(super) fn rmcp(&self) -> String {
        self.at("weir-rmcp")
    }

    /// The entry of mcp-remote, for Node.
    pub(super) fn remote(&self) -> String {
        self.at("node/node_modules/mcp-remote/dist/proxy.js")
    }

    /// The entry of the Inspector, for Node.
    pub(super) fn inspector(&self) -> String {
        let launcher = "@modelcontextprotocol/inspector/clients/launcher/build/index.js";
        self.at(&format!("node/node_modules/{launcher}"))
    }

    /// A program of a package that is there once for each architecture.
    pub(super) fn native(&self, package: &str, program: &str) -> String {
        let architecture = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "x64"
        };
        let package = format!("node/node_modules/{package}-linux-{architecture}");
        self.at(&format!("{package}/{program}"))
    }

    /// A caller whose Python finds the packages.
    pub(super) fn python(&self, caller: &Caller) -> Caller {
        caller
            .clone()
            .with("PYTHONPATH", &self.at("python/packages"))
            .with("PYTHONDONTWRITEBYTECODE", "1")
    }

    /// Has a caller run a program to its end.
    pub(super) fn run(&self, caller: &Caller, words: &[&str]) -> Result<Said> {
        let arguments = [&["--kill-after=5", PROGRAM_MAX_S], words].concat();
        caller
            .run("timeout", &arguments, "")
            .with_context(|| words.join(" "))
    }

    /// A fresh folder in which every user may write.
    pub(super) fn scratch(&self, name: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let folder = self.folder.join("scratch").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)
                .with_context(|| format!("remove {}", folder.display()))?;
        }
        make(&folder)?;
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).context("chmod")?;
        Ok(folder)
    }
}
