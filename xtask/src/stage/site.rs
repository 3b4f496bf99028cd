//! Names and places of a stage. Everything that is made on the host bears the stage's name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where a stage is, and what it calls things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    /// Begins the name of everything that is made.
    pub name: &'static str,
    /// Workers of its data plane.
    pub workers: u16,
}

/// Two workers, so that flows meet another worker than the one that they began at.
pub(crate) const WORKERS: u16 = 2;

/// The demo's stage.
pub(crate) const DEMO: Site = Site {
    name: "weir-demo",
    workers: WORKERS,
};

/// The end-to-end tests' stage.
pub(crate) const E2E: Site = Site {
    name: "weir-e2e",
    workers: WORKERS,
};

impl Site {
    /// Its files. Not below the checkout: other users must reach them, and a checkout may lie
    /// in a home directory that they cannot enter.
    pub(crate) fn folder(self) -> PathBuf {
        Path::new("/var/lib").join(self.name)
    }

    /// The programs, where every user may start them.
    pub(crate) fn programs(self) -> PathBuf {
        self.folder().join("bin")
    }

    /// What the daemons print.
    pub(crate) fn logs(self) -> PathBuf {
        self.folder().join("logs")
    }

    /// A user of the stage: `weir-demo-alice`.
    pub(crate) fn user(self, who: &str) -> String {
        format!("{}-{who}", self.name)
    }

    /// The guarded cgroup, as guards name it.
    pub(crate) fn guarded(self) -> String {
        format!("/{}", self.name)
    }

    /// The data plane's own cgroup, below the root.
    pub(crate) fn plane(self) -> String {
        format!("{}-plane", self.name)
    }

    /// Where the hooks are pinned.
    pub(crate) fn pins(self) -> PathBuf {
        Path::new("/sys/fs/bpf").join(self.name)
    }

    /// What the data plane keeps.
    pub(crate) fn plane_state(self) -> PathBuf {
        self.folder().join("plane")
    }

    /// The data plane's audit ledger.
    pub(crate) fn ledger(self) -> PathBuf {
        self.plane_state().join("proxy/ledger")
    }
}

/// The root of the cgroup2 hierarchy, wherever this host mounts it.
pub(crate) fn cgroup_root() -> Result<PathBuf> {
    let mounts =
        std::fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
    for line in mounts.lines() {
        // mountinfo: id parent major:minor root mount-point options … - type source options
        let Some((place, kind)) = line.split_once(" - ") else {
            continue;
        };
        if kind.split(' ').next() == Some("cgroup2")
            && let Some(path) = place.split(' ').nth(4)
        {
            return Ok(path.into());
        }
    }
    bail!("no cgroup2 file system is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup")
}

/// A port of the loopback address that nobody uses now: the wanted one if that is free.
pub(crate) fn free_port(wanted: u16) -> Result<u16> {
    let bound = std::net::TcpListener::bind(("127.0.0.1", wanted))
        .or_else(|_| std::net::TcpListener::bind(("127.0.0.1", 0)));
    Ok(bound
        .and_then(|listener| listener.local_addr())
        .context("bind a port of 127.0.0.1")?
        .port())
}

/// The first of `count` ports in a row that nobody uses, below those that the kernel gives to
/// outgoing connections.
pub(crate) fn free_range(count: u16) -> Result<u16> {
    const FIRST: u16 = 15_432;
    const LAST: u16 = 16_432;
    let is_free = |port| {
        ["127.0.0.1", "::1"]
            .iter()
            .all(|ip| std::net::TcpListener::bind((*ip, port)).is_ok())
    };
    (FIRST..LAST)
        .find(|first| (*first..first + count).all(is_free))
        .with_context(|| format!("no {count} free ports between {FIRST} and {LAST}"))
}
