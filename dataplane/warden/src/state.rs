//! What the warden itself must not forget: how often a proxy was started, and which world's
//! guards are in force.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use weir_handover::GuardState;

use crate::config::read_bounded;

/// Thousands of guards and addresses at a hundred bytes each.
const BYTES_MAX: u64 = 4 << 20;

/// A world that was accepted: its number, its SHA-256, and the part of it that the warden puts
/// in force. Kept without the rest, which has credentials in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Held {
    pub(crate) number: u64,
    pub(crate) hash: Vec<u8>,
    pub(crate) guards: Vec<HeldGuard>,
    /// Addresses of the registered servers.
    pub(crate) governed: Vec<SocketAddr>,
    /// Where clients may connect on purpose, and to which registered server.
    pub(crate) listen: Vec<(SocketAddr, String)>,
    /// Servers that clients start themselves.
    #[serde(default)]
    pub(crate) stdio: Vec<HeldStdio>,
}

/// A server of a world that its clients start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeldStdio {
    pub(crate) connection: String,
    /// The only executable that it may be; `None` is any.
    pub(crate) executable: Option<String>,
    /// SHA-256 over its only arguments, each with a NUL behind it; `None` is any.
    pub(crate) arguments_sha256: Option<[u8; 32]>,
}

/// A guard of a world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeldGuard {
    pub(crate) name: String,
    /// A path from the root of the cgroup tree, `unit:NAME` or `all`.
    pub(crate) cgroup: String,
    pub(crate) state: GuardState,
}

/// The directory that is root's alone.
#[derive(Clone, Debug)]
pub(crate) struct State(PathBuf);

impl State {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// A number that no start of a proxy on this node has had.
    pub(crate) fn next_boot(&self) -> Result<u64> {
        let last: u64 = self.load("boot")?.unwrap_or(0);
        let next = last.checked_add(1).context("boot numbers are used up")?;
        self.store("boot", &next)?;
        Ok(next)
    }

    /// The world in force, if there was one.
    pub(crate) fn held(&self) -> Result<Option<Held>> {
        self.load("held")
    }

    /// Remembers a world before it is put in force.
    pub(crate) fn hold(&self, held: &Held) -> Result<()> {
        self.store("held", held)
    }

    fn load<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<Option<T>> {
        let path = self.0.join(name);
        match read_bounded(&path, BYTES_MAX) {
            // A file that cannot be read is not the same as none: starting over would allow a rollback.
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .with_context(|| format!("{} is damaged", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    fn store(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let path = self.0.join(name);
        replace(&path, &serde_json::to_vec(value)?)
            .with_context(|| format!("write {}", path.display()))
    }
}

/// Replaces a file so that after a crash it is either the old or the new one.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_are_numbered_across_restarts_and_damage_is_not_a_fresh_start() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::new(directory.path().to_owned());
        assert_eq!(
            (state.next_boot().unwrap(), state.next_boot().unwrap()),
            (1, 2)
        );
        assert_eq!(
            State::new(directory.path().to_owned()).next_boot().unwrap(),
            3
        );
        fs::write(directory.path().join("boot"), "x").unwrap();
        assert!(state.next_boot().is_err());
    }

    #[test]
    fn the_held_world_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::new(directory.path().to_owned());
        assert_eq!(state.held().unwrap(), None);
        let guard = HeldGuard {
            name: "g".into(),
            cgroup: "all".into(),
            state: GuardState::Enforce,
        };
        let listen = vec![("127.0.0.1:1".parse().unwrap(), "c".to_owned())];
        let governed = vec!["[::1]:5432".parse().unwrap()];
        let held = Held {
            number: 7,
            hash: vec![1; 32],
            guards: vec![guard],
            governed,
            listen,
            stdio: Vec::new(),
        };
        state.hold(&held).unwrap();
        assert_eq!(state.held().unwrap(), Some(held));
    }
}
