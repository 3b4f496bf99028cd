//! From a signed world to what the hooks are told.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use prost::Message as _;
use weir_api::v1::{GuardMode, Stdio, Update, Version, World};
use weir_handover::limits::UPDATE_BYTES_MAX;
use weir_handover::{GuardReport, GuardState};
use weir_redirect::{Cgroup, GuardAll, Selector, Standing};

use crate::Config;
use crate::state::{Held, HeldGuard, HeldStdio};

/// Directories that are looked at for a unit's cgroup.
const WALK_MAX: usize = 10_000;

/// Checks a signed update that came with a descriptor. An older world than the one held, or
/// another of the same number, is refused; so is what another key signed, or for another node.
pub(crate) fn check(config: &Config, held: Option<&Held>, update: OwnedFd) -> Result<Held> {
    let key = config
        .control_key()
        .context("there is no control plane whose key could have signed it")?;
    let update = Update::decode(read(update)?.as_slice()).context("not an update")?;
    let opened = weir_api::reopen(&update, &config.node, key)?;
    let version = opened.version().clone();
    if let Some(held) = held {
        let same = version.number == held.number && version.hash == held.hash;
        ensure!(
            version.number > held.number || same,
            "version {} does not follow version {}, which is in force",
            version.number,
            held.number
        );
    }
    plan(&version, opened.world())
}

/// Reads the file once, so that what is checked is what is used.
fn read(file: OwnedFd) -> Result<Vec<u8>> {
    use std::io::{Seek as _, SeekFrom};
    let mut file = File::from(file);
    // Only memory and regular files: a pipe could keep us waiting.
    ensure!(
        file.metadata()?.is_file(),
        "the update's descriptor is not a file"
    );
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(UPDATE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    ensure!(
        bytes.len() as u64 <= UPDATE_BYTES_MAX,
        "an update of more than {UPDATE_BYTES_MAX} bytes"
    );
    Ok(bytes)
}

/// The warden's part of a world. What it does not understand refuses the whole.
fn plan(version: &Version, world: &World) -> Result<Held> {
    let mut guards = Vec::new();
    for guard in &world.guards {
        let state = match guard.mode() {
            GuardMode::Observe => GuardState::Observe,
            GuardMode::Enforce => GuardState::Enforce,
            GuardMode::Unspecified => bail!("guard {} has no mode", guard.name),
        };
        target(&guard.cgroup).with_context(|| format!("guard {}", guard.name))?;
        guards.push(HeldGuard {
            name: guard.name.clone(),
            cgroup: guard.cgroup.clone(),
            state,
        });
    }
    let parse = |text: &String| {
        text.parse::<SocketAddr>()
            .with_context(|| format!("address {text:?}"))
    };
    let governed = world
        .connections
        .iter()
        .flat_map(|connection| &connection.addresses)
        .map(parse);
    let governed = governed.collect::<Result<Vec<_>>>()?;
    ensure!(
        governed.iter().all(|address| address.port() != 0),
        "an address without a port"
    );
    let listen = world.connections.iter().flat_map(|connection| {
        connection
            .listen
            .iter()
            .map(|text| Ok((parse(text)?, connection.name.clone())))
    });
    let stdio = world.connections.iter().filter_map(|connection| {
        let stdio = connection.stdio.as_ref()?;
        Some(stdio_server(&connection.name, stdio))
    });
    let stdio = stdio.collect::<Result<_>>()?;
    Ok(Held {
        stdio,
        number: version.number,
        hash: version.hash.clone(),
        guards,
        governed,
        listen: listen.collect::<Result<_>>()?,
    })
}

fn stdio_server(connection: &str, stdio: &Stdio) -> Result<HeldStdio> {
    let arguments_sha256 = match stdio.arguments_sha256.as_slice() {
        [] => None,
        digest => Some(
            digest
                .try_into()
                .with_context(|| format!("connection {connection}: no SHA-256"))?,
        ),
    };
    Ok(HeldStdio {
        connection: connection.to_owned(),
        executable: (!stdio.executable.is_empty()).then(|| stdio.executable.clone()),
        arguments_sha256,
    })
}

/// The selectors of the governed addresses.
pub(crate) fn selectors(held: &Held) -> Vec<Selector> {
    held.governed
        .iter()
        .filter_map(|address| Selector::address(address.ip(), address.port()))
        .collect()
}

/// What a guard names.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    All,
    Path(&'a str),
    Unit(&'a str),
}

fn target(text: &str) -> Result<Target<'_>> {
    let plain = |path: &str| !path.split('/').any(|part| part == ".." || part == ".");
    match text {
        "all" => Ok(Target::All),
        path if path.starts_with('/') && plain(path) => Ok(Target::Path(path)),
        text => match text.strip_prefix("unit:") {
            Some(unit) if !unit.is_empty() && !unit.contains('/') && plain(unit) => {
                Ok(Target::Unit(unit))
            }
            Some(_) | None => bail!("{text:?} is not \"all\", a cgroup path or unit:NAME"),
        },
    }
}

/// Guards as the kernel takes them now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) all: GuardAll,
    pub(crate) cgroups: Vec<(Cgroup, Standing)>,
    pub(crate) reports: Vec<GuardReport>,
}

/// Looks every guard's cgroup up.
pub(crate) fn resolve(root: &Path, guards: &[HeldGuard]) -> Resolved {
    let mut resolved = Resolved {
        all: GuardAll::No,
        cgroups: Vec::new(),
        reports: Vec::new(),
    };
    for guard in guards {
        let outcome = match target(&guard.cgroup) {
            Ok(Target::All) => {
                resolved.all = stricter(resolved.all, guard.state);
                Ok(())
            }
            Ok(Target::Path(path)) => cgroup(root, &root.join(path.trim_start_matches('/')))
                .map(|found| resolved.cgroups.push((found, standing(guard.state)))),
            Ok(Target::Unit(unit)) => find_unit(root, unit)
                .and_then(|path| cgroup(root, &path))
                .map(|found| resolved.cgroups.push((found, standing(guard.state)))),
            Err(error) => Err(error),
        };
        resolved.reports.push(GuardReport {
            name: guard.name.clone(),
            cgroup: guard.cgroup.clone(),
            state: guard.state,
            attached: outcome.is_ok(),
            detail: outcome
                .err()
                .map(|error| format!("{error:#}"))
                .unwrap_or_default(),
        });
    }
    resolved
}

fn cgroup(root: &Path, path: &Path) -> Result<Cgroup> {
    Ok(Cgroup::at(root, path)?)
}

const fn standing(state: GuardState) -> Standing {
    match state {
        GuardState::Observe => Standing::OBSERVE,
        GuardState::Enforce => Standing::ENFORCE,
    }
}

const fn stricter(all: GuardAll, state: GuardState) -> GuardAll {
    match (all, state) {
        (GuardAll::Enforce, _) | (_, GuardState::Enforce) => GuardAll::Enforce,
        (GuardAll::No | GuardAll::Observe, GuardState::Observe) => GuardAll::Observe,
    }
}

/// systemd puts most units below system.slice; the others are searched for.
fn find_unit(root: &Path, unit: &str) -> Result<PathBuf> {
    let usual = root.join("system.slice").join(unit);
    if usual.is_dir() {
        return Ok(usual);
    }
    let mut waiting = vec![root.to_owned()];
    let mut seen = 0;
    while let Some(directory) = waiting.pop() {
        let candidate = directory.join(unit);
        if candidate.is_dir() {
            return Ok(candidate);
        }
        seen += 1;
        ensure!(
            seen < WALK_MAX,
            "unit {unit} is not among the first {WALK_MAX} cgroups"
        );
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        waiting.extend(
            entries
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    bail!("there is no cgroup of unit {unit}: is it running?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_api::v1::{Connection, Guard};

    fn world() -> World {
        World {
            guards: vec![Guard {
                name: "app".into(),
                cgroup: "/app".into(),
                mode: GuardMode::Enforce.into(),
            }],
            connections: vec![Connection {
                name: "pg".into(),
                addresses: vec!["192.0.2.7:5432".into(), "[2001:db8::7]:5432".into()],
                listen: vec!["127.0.0.1:6432".into()],
                ..Connection::default()
            }],
            ..World::default()
        }
    }

    fn refused(change: impl FnOnce(&mut World)) -> bool {
        let mut world = world();
        change(&mut world);
        plan(&Version::default(), &world).is_err()
    }

    #[test]
    fn a_world_becomes_guards_addresses_and_listeners() {
        let held = plan(
            &Version {
                number: 3,
                hash: vec![9; 32],
            },
            &world(),
        )
        .unwrap();
        assert_eq!(
            (
                held.number,
                held.guards.len(),
                held.governed.len(),
                held.listen.len()
            ),
            (3, 1, 2, 1)
        );
        assert_eq!(selectors(&held)[0].to_string(), "192.0.2.7:5432");
    }

    #[test]
    fn a_world_that_is_not_understood_is_refused_whole() {
        assert!(refused(|world| world.guards[0].mode = 0));
        assert!(refused(|world| world.guards[0].mode = 77));
        assert!(refused(|world| world.guards[0].cgroup = "app".into()));
        assert!(refused(|world| world.guards[0].cgroup = "/a/../b".into()));
        assert!(refused(|world| world.guards[0].cgroup = "unit:a/b".into()));
        assert!(refused(
            |world| world.connections[0].addresses[0] = "db.example:5432".into()
        ));
        assert!(refused(
            |world| world.connections[0].addresses[0] = "192.0.2.7:0".into()
        ));
        assert!(refused(
            |world| world.connections[0].listen[0] = "6432".into()
        ));
        assert!(refused(|world| world.connections[0].stdio = Some(Stdio {
            executable: String::new(),
            arguments_sha256: vec![1; 31],
        })));
    }

    #[test]
    fn a_guard_without_a_cgroup_is_told_and_a_unit_is_found_anywhere() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a.slice/b.slice/pg.service")).unwrap();
        let guard = |cgroup: &str, state| HeldGuard {
            name: "g".into(),
            cgroup: cgroup.into(),
            state,
        };
        let guards = [
            guard("/a.slice", GuardState::Observe),
            guard("unit:pg.service", GuardState::Enforce),
            guard("unit:none.service", GuardState::Enforce),
            guard("/gone", GuardState::Enforce),
            guard("all", GuardState::Observe),
        ];
        let resolved = resolve(root.path(), &guards);
        let attached: Vec<bool> = resolved
            .reports
            .iter()
            .map(|report| report.attached)
            .collect();
        assert_eq!(attached, [true, true, false, false, true]);
        assert_eq!(resolved.cgroups.len(), 2);
        assert_eq!(resolved.all, GuardAll::Observe);
        assert!(
            resolved.reports[3].detail.contains("gone"),
            "{:?}",
            resolved.reports[3]
        );
    }
}
