//! The rivals: Debian's own packages, unpacked below `target/bench/tools`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::step;

/// The programs, and what Debian's base system lacks of their libraries.
const PACKAGES: [&str; 6] = [
    "haproxy",
    "pgbouncer",
    "nginx",
    "liblua5.3-0",
    "libopentracing-c-wrapper0",
    "libopentracing1",
];

/// Libraries that many machines have, fetched only where a program does not find them.
const LIBRARIES: [&str; 4] = ["libc-ares2", "libevent-2.1-7", "libpcre2-8-0", "libpam0g"];

const PROGRAMS: [&str; 3] = ["haproxy", "pgbouncer", "nginx"];

/// Where they are.
pub(crate) struct Tools {
    root: PathBuf,
}

impl Tools {
    /// A command that starts one of them with the unpacked libraries.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.path(program));
        command
            .env("LD_LIBRARY_PATH", self.libraries())
            .current_dir("/");
        command
    }

    /// Its file.
    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.root.join("usr/sbin").join(program)
    }

    /// What it says of its version.
    pub(crate) fn version(&self, program: &str) -> String {
        let flag = if program == "pgbouncer" {
            "--version"
        } else {
            "-v"
        };
        let output = self.command(program).arg(flag).output();
        let said = output
            .map(|output| [output.stdout, output.stderr].concat())
            .unwrap_or_default();
        String::from_utf8_lossy(&said)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    fn libraries(&self) -> PathBuf {
        self.root
            .join("usr/lib")
            .join(format!("{}-linux-gnu", std::env::consts::ARCH))
    }

    fn missing(&self) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        for program in PROGRAMS {
            let mut ldd = Command::new("ldd");
            let told = step::output(
                "ldd",
                ldd.arg(self.path(program))
                    .env("LD_LIBRARY_PATH", self.libraries()),
            )?;
            missing.extend(
                told.lines()
                    .filter(|line| line.contains("not found"))
                    .map(|line| format!("{program}: {}", line.trim())),
            );
        }
        Ok(missing)
    }
}

/// Downloads and unpacks what is not there yet. Installs nothing.
pub(crate) fn fetch() -> Result<Tools> {
    let folder = super::results().join("tools");
    let tools = Tools {
        root: folder.join("root"),
    };
    if PROGRAMS
        .iter()
        .any(|program| !tools.path(program).is_file())
    {
        download(&folder, &PACKAGES)?;
    }
    if !tools.missing()?.is_empty() {
        download(&folder, &PACKAGES)?;
        download(&folder, &LIBRARIES)?;
    }
    let missing = tools.missing()?;
    ensure!(
        missing.is_empty(),
        "libraries are missing: {}",
        missing.join(", ")
    );
    Ok(tools)
}

fn download(folder: &Path, packages: &[&str]) -> Result<()> {
    let fresh = folder.join("packages");
    std::fs::create_dir_all(&fresh).with_context(|| format!("mkdir {}", fresh.display()))?;
    let download = || {
        step::output(
            "apt-get download",
            Command::new("apt-get")
                .arg("download")
                .args(packages)
                .current_dir(&fresh),
        )
    };
    // Package lists that are older than the mirror name files that it no longer has.
    if download().is_err() {
        step::output(
            "apt-get update",
            Command::new("apt-get").args(["update", "-qq"]),
        )?;
        download()?;
    }
    for entry in fresh.read_dir().context("read the packages' folder")? {
        let path = entry?.path();
        step::output(
            "dpkg-deb",
            Command::new("dpkg-deb")
                .arg("-x")
                .arg(&path)
                .arg(folder.join("root")),
        )?;
    }
    Ok(())
}
