//! Installs what a command needs and the machine lacks, from Debian's packages.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::step;

/// A thing that must be there, and the package that brings it.
pub(crate) struct Need {
    /// What it is for, as the operator reads it.
    pub what: &'static str,
    /// It is there if one of these paths exists; a `*` stands for one path component.
    pub paths: &'static [&'static str],
    /// The Debian package that brings it.
    pub package: &'static str,
}

/// bindgen reads the C grammar's headers through libclang.
pub(crate) const LIBCLANG: Need = Need {
    what: "libclang, to bind PostgreSQL's grammar",
    paths: &[
        "/usr/lib/llvm-*/lib/libclang.so",
        "/usr/lib/llvm-*/lib/libclang.so.1",
        "/usr/lib/llvm-*/lib/libclang-*.so.1",
    ],
    package: "libclang-dev",
};

/// A C compiler for the grammar, SQLite and ring.
pub(crate) const CC: Need = Need {
    what: "a C compiler",
    paths: &["/usr/bin/cc"],
    package: "build-essential",
};

/// A real PostgreSQL server and its clients.
pub(crate) const POSTGRES: Need = Need {
    what: "PostgreSQL server and psql",
    paths: &["/usr/lib/postgresql/*/bin/postgres"],
    package: "postgresql",
};

/// Node's package manager, for real MCP servers and clients.
pub(crate) const NPM: Need = Need {
    what: "Node.js and npm",
    paths: &["/usr/bin/npm", "/usr/local/bin/npm", "/opt/*/bin/npm"],
    package: "npm",
};

/// Network namespaces for the kernel tests.
pub(crate) const IPROUTE2: Need = Need {
    what: "ip(8)",
    paths: &["/sbin/ip", "/usr/sbin/ip", "/bin/ip", "/usr/bin/ip"],
    package: "iproute2",
};

/// Runs a command as another user, without anything in between.
pub(crate) const SETPRIV: Need = Need {
    what: "setpriv(1)",
    paths: &["/usr/bin/setpriv", "/bin/setpriv"],
    package: "util-linux",
};

/// Asks over HTTP and HTTPS, as people do.
pub(crate) const CURL: Need = Need {
    what: "curl",
    paths: &["/usr/bin/curl", "/bin/curl"],
    package: "curl",
};

/// Makes the certificates of servers.
pub(crate) const OPENSSL: Need = Need {
    what: "openssl(1)",
    paths: &["/usr/bin/openssl", "/bin/openssl"],
    package: "openssl",
};

/// Python with its installer, for the drivers' stories.
pub(crate) const PYTHON: Need = Need {
    what: "Python 3 with venv and pip",
    paths: &["/usr/share/python-wheels/pip-*"],
    package: "python3-venv",
};

/// Java, compiler and machine.
pub(crate) const JDK: Need = Need {
    what: "a Java development kit",
    paths: &["/usr/lib/jvm/*/bin/javac"],
    package: "default-jdk-headless",
};

/// Java's Postgres driver.
pub(crate) const JDBC: Need = Need {
    what: "pgjdbc",
    paths: &["/usr/share/java/postgresql.jar"],
    package: "libpostgresql-jdbc-java",
};

/// Go's compiler.
pub(crate) const GO: Need = Need {
    what: "Go",
    paths: &["/usr/bin/go"],
    package: "golang-go",
};

/// Go's Postgres driver.
pub(crate) const PGX: Need = Need {
    what: "pgx",
    paths: &["/usr/share/gocode/src/github.com/jackc/pgx/v4"],
    package: "golang-github-jackc-pgx-v4-dev",
};

/// Makes sure that everything in `needs` is there.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<_> = needs
        .iter()
        .filter(|need| !need.paths.iter().any(|path| exists(path)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing
        .iter()
        .map(|need| format!("  {} (Debian package {})", need.what, need.package))
        .collect::<Vec<_>>();
    println!("missing on this machine:\n{}", list.join("\n"));
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    if !step::is_root() || !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "install them and run this again: apt-get install {}",
            packages.join(" ")
        );
    }
    // A package's service must not start by itself: tests start their own servers.
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("RUNLEVEL", "1");
        command
    };
    step::run("apt-get update", apt().args(["update", "-qq"]))?;
    step::run(
        &format!("apt-get install {}", packages.join(" ")),
        apt()
            .args([
                "install",
                "-y",
                "-qq",
                "--no-install-recommends",
                "-o",
                "Dpkg::Use-Pty=0",
            ])
            .args(&packages),
    )?;
    match missing
        .iter()
        .find(|need| !need.paths.iter().any(|path| exists(path)))
    {
        None => Ok(()),
        Some(need) => bail!(
            "{} is still missing after installing {}; looked at {:?}",
            need.what,
            need.package,
            need.paths
        ),
    }
}

/// Whether a path exists; a component with `*` matches by prefix and suffix.
fn exists(pattern: &str) -> bool {
    find(Path::new("/"), pattern.trim_start_matches('/'))
}

fn find(base: &Path, rest: &str) -> bool {
    let (component, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let Some((prefix, suffix)) = component.split_once('*') else {
        let path = base.join(component);
        return path.exists() && (rest.is_empty() || find(&path, rest));
    };
    let Ok(entries) = base.read_dir() else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let matches = name
            .to_str()
            .is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix));
        matches && (rest.is_empty() || find(&entry.path(), rest))
    })
}
