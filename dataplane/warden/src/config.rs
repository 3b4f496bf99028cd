use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ed25519_dalek::VerifyingKey;
use serde::Deserialize;
use weir_api::Join;

use crate::limits::{CONFIG_BYTES_MAX, EXPLICIT_MAX, HEARTBEAT_TTL};

/// Most workers, as the kernel's maps have room for.
const WORKERS_MAX: u16 = 64;

/// A configuration that cannot be used; says which line of it and why.
#[derive(Debug)]
pub struct ConfigError(String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// What becomes of a flow whose process is gone before it could be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gone {
    /// It is refused.
    Refuse,
    /// The kernel's facts (uid, gid, cgroup) suffice; there is no executable to match.
    KernelFacts,
}

/// The checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The node's name.
    pub node: String,
    /// The control plane, if there is one.
    pub join: Option<Join>,
    /// What must survive the host: `warden/` is root's, `proxy/` the proxy's.
    pub state_dir: PathBuf,
    /// Sockets.
    pub runtime_dir: PathBuf,
    /// CPU of each worker.
    pub cpus: Vec<u32>,
    /// Worker `w` listens at this port plus `w`.
    pub base_port: u16,
    /// Silence after which the kernel refuses connects to a worker.
    pub heartbeat_ttl: Duration,
    /// Where to pin, on a BPF file system that is mounted if it is missing; `None` without the redirect.
    pub pins: Option<PathBuf>,
    /// cgroup below the root in which Weir runs, without a slash.
    pub cgroup: String,
    /// User of the proxy, by name or number.
    pub user: String,
    /// The proxy's executable; by default beside this one.
    pub proxy: Option<PathBuf>,
    /// Listeners beside the redirect.
    pub listen: Vec<(SocketAddr, String)>,
    /// What becomes of a flow whose process is gone.
    pub gone: Gone,
    /// Address of the proxy's metrics endpoint.
    pub metrics: Option<SocketAddr>,
}

/// The file, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    node: Option<String>,
    join_file: Option<PathBuf>,
    #[serde(default = "state_dir")]
    state_dir: PathBuf,
    #[serde(default = "runtime_dir")]
    runtime_dir: PathBuf,
    workers: Option<u16>,
    #[serde(default = "base_port")]
    base_port: u16,
    heartbeat_ttl_ms: Option<u64>,
    #[serde(default = "yes")]
    redirect: bool,
    #[serde(default = "pin_dir")]
    pin_dir: PathBuf,
    #[serde(default = "cgroup")]
    cgroup: String,
    #[serde(default = "user")]
    user: String,
    proxy: Option<PathBuf>,
    #[serde(default)]
    listen: Vec<RawListen>,
    #[serde(default = "refuse")]
    gone: Gone,
    metrics: Option<SocketAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawListen {
    address: SocketAddr,
    connection: String,
}

fn state_dir() -> PathBuf {
    "/var/lib/weir".into()
}

fn runtime_dir() -> PathBuf {
    "/run/weir".into()
}

/// Below the range that Linux gives to outgoing connections (32768 and up).
const fn base_port() -> u16 {
    15_432
}

const fn yes() -> bool {
    true
}

fn pin_dir() -> PathBuf {
    "/sys/fs/bpf/weir".into()
}

fn cgroup() -> String {
    "weir".into()
}

fn user() -> String {
    "weir".into()
}

const fn refuse() -> Gone {
    Gone::Refuse
}

impl Config {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let wrong =
            |error: &dyn std::fmt::Display| ConfigError(format!("{}: {error}", path.display()));
        let text = read_bounded(path, CONFIG_BYTES_MAX).map_err(|error| wrong(&error))?;
        let raw: Raw = toml::from_str(&text).map_err(|error| wrong(&error))?;
        Self::check(raw).map_err(|error| wrong(&error))
    }

    fn check(raw: Raw) -> Result<Self, String> {
        let join = raw.join_file.as_deref().map(read_join).transpose()?;
        let node = match (raw.node, &join) {
            (Some(node), Some(join)) if node != join.node => {
                return Err(format!(
                    "node is {node:?}, but the join string is for {:?}",
                    join.node
                ));
            }
            (Some(node), _) => node,
            (None, Some(join)) => join.node.clone(),
            (None, None) => return Err("neither node nor join_file is set".to_owned()),
        };
        let cpus = workers(raw.workers)?;
        if raw.base_port == 0 || usize::from(raw.base_port) + cpus.len() > usize::from(u16::MAX) {
            return Err(format!(
                "base_port {} leaves no room for {} workers",
                raw.base_port,
                cpus.len()
            ));
        }
        if raw.listen.len() > EXPLICIT_MAX {
            return Err(format!("more than {EXPLICIT_MAX} listeners"));
        }
        if !raw.redirect && raw.listen.is_empty() && join.is_none() {
            return Err(
                "without redirect, listeners and a control plane there is nothing to do".to_owned(),
            );
        }
        let cgroup = raw.cgroup.trim_matches('/').to_owned();
        if cgroup.is_empty()
            || cgroup
                .split('/')
                .any(|part| part.is_empty() || part == "..")
        {
            return Err(format!(
                "cgroup {:?} is not a path below the root",
                raw.cgroup
            ));
        }
        Ok(Self {
            node,
            join,
            state_dir: absolute(raw.state_dir)?,
            runtime_dir: absolute(raw.runtime_dir)?,
            cpus,
            base_port: raw.base_port,
            heartbeat_ttl: raw
                .heartbeat_ttl_ms
                .map_or(HEARTBEAT_TTL, Duration::from_millis),
            pins: if raw.redirect {
                Some(absolute(raw.pin_dir)?)
            } else {
                None
            },
            cgroup,
            user: raw.user,
            proxy: raw.proxy,
            listen: raw
                .listen
                .into_iter()
                .map(|listen| (listen.address, listen.connection))
                .collect(),
            gone: raw.gone,
            metrics: raw.metrics,
        })
    }

    /// The key that signs worlds.
    #[must_use]
    pub fn control_key(&self) -> Option<&VerifyingKey> {
        self.join.as_ref().map(|join| &join.control_key)
    }

    /// Socket at which `weir mcp run` asks for flows.
    #[must_use]
    pub fn stdio_socket(&self) -> PathBuf {
        self.runtime_dir.join(weir_handover::stdio::SOCKET)
    }

    /// Socket at which a running warden tells its status.
    #[must_use]
    pub fn status_socket(&self) -> PathBuf {
        self.runtime_dir.join("warden.sock")
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf, String> {
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(format!("{} is not an absolute path", path.display()))
    }
}

/// A CPU for each worker: the first ones that this process may use.
fn workers(wanted: Option<u16>) -> Result<Vec<u32>, String> {
    let usable = crate::sys::usable_cpus();
    let count = wanted
        .map_or(usable.len(), usize::from)
        .min(usize::from(WORKERS_MAX));
    if count == 0 || usable.is_empty() {
        return Err("workers is 0".to_owned());
    }
    Ok(usable.into_iter().cycle().take(count).collect())
}

fn read_join(path: &Path) -> Result<Join, String> {
    let text = read_bounded(path, CONFIG_BYTES_MAX)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Join::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads a text file, or fails if it is longer than a file of its kind may be.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(bytes_max + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > bytes_max {
        return Err(std::io::Error::other(format!(
            "more than {bytes_max} bytes"
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Config, String> {
        toml::from_str(text)
            .map_err(|error| error.to_string())
            .and_then(Config::check)
    }

    #[test]
    fn what_is_not_said_has_its_usual_value() {
        let config = check("node = 'a'").unwrap();
        assert_eq!(config.base_port, 15_432);
        assert_eq!(config.gone, Gone::Refuse);
        assert_eq!(config.cpus.len(), crate::sys::usable_cpus().len());
        assert_eq!(config.pins, Some("/sys/fs/bpf/weir".into()));
        assert!(config.join.is_none());
    }

    #[test]
    fn more_workers_than_cores_share_them() {
        assert_eq!(check("node = 'a'\nworkers = 9").unwrap().cpus.len(), 9);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "",
            "node = 'a'\nnode_name = 'b'",
            "node = 'a'\nworkers = 0",
            "node = 'a'\nbase_port = 0",
            "node = 'a'\nbase_port = 65535",
            "node = 'a'\nstate_dir = 'relative'",
            "node = 'a'\ncgroup = '/'",
            "node = 'a'\ncgroup = 'a/../b'",
            "node = 'a'\nredirect = false",
            "node = 'a'\njoin_file = '/nowhere/join'",
            "node = 'a'\n[[listen]]\naddress = 'localhost:1'\nconnection = 'c'",
        ] {
            assert!(check(text).is_err(), "{text:?}");
        }
    }
}
