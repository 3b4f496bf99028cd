//! What the programs are told: each table is a pinned map.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use weir_ebpf_abi::limits::{CPUS_MAX, WORKERS_MAX};
use weir_ebpf_abi::{Config, GuardAll, SelectorKind, Standing, Switches};

use crate::pins::{self, MapShape, Pins};
use crate::selector::{self, KEY_BYTES, Selector};
use crate::sys::{self, Access};
use crate::{Cgroup, Error, Redirect};

/// Where the workers listen, and how long a silent one is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// Worker `w` listens on 127.0.0.1 and ::1 at this port plus `w`.
    pub base_port: u16,
    /// Number of workers, at most 64.
    pub workers: u16,
    /// A worker that has not beaten for this long gets no connections.
    pub heartbeat_ttl: Duration,
}

/// What a guard does to connects to governed servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GuardMode {
    /// They are counted and let through.
    Observe,
    /// They are redirected, or refused.
    Enforce,
}

impl GuardMode {
    /// The bits of a cgroup that is guarded so.
    #[must_use]
    pub const fn standing(self) -> Standing {
        match self {
            Self::Observe => Standing::OBSERVE,
            Self::Enforce => Standing::ENFORCE,
        }
    }
}

/// The one switch that lets every guarded connection through unredirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glass {
    /// Guards hold.
    Whole,
    /// Guards let through and count.
    Broken,
}

/// Descriptors of the maps.
#[derive(Debug)]
pub(crate) struct Tables {
    abi: OwnedFd,
    config: OwnedFd,
    selectors: OwnedFd,
    cgroups: OwnedFd,
    netns: OwnedFd,
    ports: OwnedFd,
    cpu_workers: OwnedFd,
    pub(crate) counters: OwnedFd,
}

impl Tables {
    pub(crate) fn open(pins: &Pins) -> Result<Self, Error> {
        let open = |shape: &MapShape| pins.open_map(shape, Access::ReadWrite);
        // These are not written here, but a pin of another shape must not go unnoticed.
        for shape in [
            &pins::LOAD,
            &pins::CLIENTS,
            &pins::ACCEPTED,
            &pins::HANDOVERS,
        ] {
            open(shape)?;
        }
        Ok(Self {
            abi: open(&pins::ABI)?,
            config: open(&pins::CONFIG)?,
            selectors: open(&pins::SELECTORS)?,
            cgroups: open(&pins::CGROUPS)?,
            netns: open(&pins::NETNS)?,
            ports: open(&pins::PORTS)?,
            cpu_workers: open(&pins::CPU_WORKERS)?,
            counters: open(&pins::COUNTERS)?,
        })
    }

    /// The version that the pins say they have.
    pub(crate) fn version(pins: &Pins) -> Result<u64, Error> {
        let map = pins.open_map(&pins::ABI, Access::ReadOnly)?;
        let mut version = [0; 8];
        sys::map_lookup(map.as_fd(), &FIRST, &mut version).map_err(lookup("ABI"))?;
        Ok(u64::from_ne_bytes(version))
    }

    pub(crate) fn set_version(&self, version: u64) -> Result<(), Error> {
        update(&self.abi, "ABI", &FIRST, &version.to_ne_bytes())
    }

    fn config(&self) -> Result<Config, Error> {
        let mut bytes = [0; 16];
        sys::map_lookup(self.config.as_fd(), &FIRST, &mut bytes).map_err(lookup("CONFIG"))?;
        Config::from_bytes(&bytes)
            .ok_or_else(|| lookup("CONFIG")(io::ErrorKind::InvalidData.into()))
    }

    fn set_config(&self, config: Config) -> Result<(), Error> {
        update(&self.config, "CONFIG", &FIRST, &config.to_bytes())
    }

    fn change_switches(&self, change: impl FnOnce(Switches) -> Switches) -> Result<(), Error> {
        let config = self.config()?;
        let switches = change(Switches::from_word(config.switches)).word();
        self.set_config(Config { switches, ..config })
    }
}

/// The only index of a one-element array.
const FIRST: [u8; 4] = [0; 4];

fn lookup(map: &'static str) -> impl FnOnce(io::Error) -> Error {
    Error::system("bpf(BPF_MAP_LOOKUP_ELEM)", map)
}

fn update(map: &OwnedFd, name: &'static str, key: &[u8], value: &[u8]) -> Result<(), Error> {
    sys::map_update(map.as_fd(), key, value)
        .map_err(Error::system("bpf(BPF_MAP_UPDATE_ELEM)", name))
}

/// Deletes; a key that is not there is fine.
fn delete(map: &OwnedFd, name: &'static str, key: &[u8]) -> Result<(), Error> {
    match sys::map_delete(map.as_fd(), key) {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => {
            Err(Error::system("bpf(BPF_MAP_DELETE_ELEM)", name)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn keys<const N: usize>(map: &OwnedFd, name: &'static str) -> Result<Vec<[u8; N]>, Error> {
    let mut keys = Vec::new();
    let mut last = None;
    while let Some(key) = sys::map_next_key(map.as_fd(), last.as_ref())
        .map_err(Error::system("bpf(BPF_MAP_GET_NEXT_KEY)", name))?
    {
        keys.push(key);
        last = Some(key);
    }
    Ok(keys)
}

/// Makes a map hold exactly `wanted`: additions and changes first, removals after.
fn replace<const K: usize>(
    map: &OwnedFd,
    name: &'static str,
    wanted: &BTreeMap<[u8; K], [u8; 4]>,
) -> Result<(), Error> {
    for (key, value) in wanted {
        update(map, name, key, value)?;
    }
    for key in keys::<K>(map, name)?
        .iter()
        .filter(|key| !wanted.contains_key(*key))
    {
        delete(map, name, key)?;
    }
    Ok(())
}

impl Redirect {
    /// Says where the workers listen. Guards and glass stay as they are.
    pub fn set_listeners(&self, listeners: Listeners) -> Result<(), Error> {
        let Listeners {
            base_port,
            workers,
            heartbeat_ttl,
        } = listeners;
        check_range("workers", u64::from(workers), u64::from(WORKERS_MAX))?;
        let last = u64::from(base_port) + u64::from(workers);
        check_range("the last listener port", last, u64::from(u16::MAX))?;
        let switches = Switches::from_word(self.tables.config()?.switches);
        let glass = if switches.glass_is_broken() {
            Glass::Broken
        } else {
            Glass::Whole
        };
        let switches = with_glass(
            Switches::new(base_port, workers).with_guard_all(switches.guard_all()),
            glass,
        );
        let heartbeat_ttl_ns = u64::try_from(heartbeat_ttl.as_nanos()).unwrap_or(u64::MAX / 4);
        self.tables.set_config(Config {
            switches: switches.word(),
            heartbeat_ttl_ns,
        })
    }

    /// What was set by [`Self::set_listeners`].
    pub fn listeners(&self) -> Result<Listeners, Error> {
        let config = self.tables.config()?;
        let switches = Switches::from_word(config.switches);
        Ok(Listeners {
            base_port: u16::try_from(switches.base_port()).unwrap_or(0),
            workers: u16::try_from(switches.workers()).unwrap_or(0),
            heartbeat_ttl: Duration::from_nanos(config.heartbeat_ttl_ns),
        })
    }

    /// Guards every cgroup that is not exempt, or no longer.
    pub fn set_guard_all(&self, all: GuardAll) -> Result<(), Error> {
        self.tables
            .change_switches(|switches| switches.with_guard_all(all))
    }

    /// Whether every cgroup is guarded.
    pub fn guard_all(&self) -> Result<GuardAll, Error> {
        Ok(Switches::from_word(self.tables.config()?.switches).guard_all())
    }

    /// Breaks or mends the glass.
    pub fn set_glass(&self, glass: Glass) -> Result<(), Error> {
        self.tables
            .change_switches(|switches| with_glass(switches, glass))
    }

    /// Whether the glass is broken.
    pub fn glass(&self) -> Result<Glass, Error> {
        let broken = Switches::from_word(self.tables.config()?.switches).glass_is_broken();
        Ok(if broken { Glass::Broken } else { Glass::Whole })
    }

    /// Makes exactly these the governed (and spared) addresses.
    pub fn replace_selectors(&self, selectors: &[(Selector, SelectorKind)]) -> Result<(), Error> {
        let wanted = selectors
            .iter()
            .map(|(selector, kind)| (selector.key(), selector::value(*kind)))
            .collect();
        replace::<KEY_BYTES>(&self.tables.selectors, "SELECTORS", &wanted)
    }

    /// Governs these as well, besides what is governed already.
    pub fn add_selectors(&self, selectors: &[(Selector, SelectorKind)]) -> Result<(), Error> {
        selectors.iter().try_for_each(|(selector, kind)| {
            update(
                &self.tables.selectors,
                "SELECTORS",
                &selector.key(),
                &selector::value(*kind),
            )
        })
    }

    /// Number of selectors in the kernel.
    pub fn selector_count(&self) -> Result<usize, Error> {
        Ok(keys::<KEY_BYTES>(&self.tables.selectors, "SELECTORS")?.len())
    }

    /// Says what one cgroup is; [`Standing::NONE`] forgets it.
    pub fn set_cgroup(&self, cgroup: Cgroup, standing: Standing) -> Result<(), Error> {
        let key = cgroup.id().to_ne_bytes();
        if standing == Standing::NONE {
            return delete(&self.tables.cgroups, "CGROUPS", &key);
        }
        update(
            &self.tables.cgroups,
            "CGROUPS",
            &key,
            &standing.bits().to_ne_bytes(),
        )
    }

    /// Makes exactly these the cgroups that are something.
    pub fn replace_cgroups(&self, cgroups: &[(Cgroup, Standing)]) -> Result<(), Error> {
        let mut wanted: BTreeMap<[u8; 8], [u8; 4]> = BTreeMap::new();
        for (cgroup, standing) in cgroups {
            let bits = wanted.entry(cgroup.id().to_ne_bytes()).or_default();
            *bits = (u32::from_ne_bytes(*bits) | standing.bits()).to_ne_bytes();
        }
        replace::<8>(&self.tables.cgroups, "CGROUPS", &wanted)
    }

    /// Every cgroup that is something.
    pub fn cgroups(&self) -> Result<Vec<(Cgroup, Standing)>, Error> {
        let mut found = Vec::new();
        for key in keys::<8>(&self.tables.cgroups, "CGROUPS")? {
            let mut value = [0; 4];
            match sys::map_lookup(self.tables.cgroups.as_fd(), &key, &mut value) {
                Ok(()) => found.push((
                    Cgroup::from_id(u64::from_ne_bytes(key)),
                    Standing::from_bits(u32::from_ne_bytes(value)),
                )),
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(lookup("CGROUPS")(error)),
            }
        }
        Ok(found)
    }

    /// Says that Weir listens in the network namespace of this cookie.
    pub fn register_netns(&self, cookie: u64) -> Result<(), Error> {
        update(
            &self.tables.netns,
            "NETNS",
            &cookie.to_ne_bytes(),
            &1_u32.to_ne_bytes(),
        )
    }

    /// Makes exactly these the namespaces where Weir listens.
    pub fn replace_netns(&self, cookies: &[u64]) -> Result<(), Error> {
        let wanted = cookies
            .iter()
            .map(|cookie| (cookie.to_ne_bytes(), 1_u32.to_ne_bytes()))
            .collect();
        replace::<8>(&self.tables.netns, "NETNS", &wanted)
    }

    /// Makes exactly these, besides the redirect's listeners, the ports that only Weir may bind.
    pub fn replace_ports(&self, ports: &[u16]) -> Result<(), Error> {
        let wanted = ports
            .iter()
            .map(|port| (u32::from(*port).to_ne_bytes(), 1_u32.to_ne_bytes()))
            .collect();
        replace::<4>(&self.tables.ports, "PORTS", &wanted)
    }

    /// Which worker runs on a CPU.
    pub fn set_cpu_worker(&self, cpu: u32, worker: u16) -> Result<(), Error> {
        check_range("the CPU", u64::from(cpu), u64::from(CPUS_MAX) - 1)?;
        let worker = u32::from(worker).to_ne_bytes();
        update(
            &self.tables.cpu_workers,
            "CPU_WORKERS",
            &cpu.to_ne_bytes(),
            &worker,
        )
    }
}

const fn with_glass(switches: Switches, glass: Glass) -> Switches {
    match glass {
        Glass::Whole => switches.with_whole_glass(),
        Glass::Broken => switches.with_broken_glass(),
    }
}

const fn check_range(what: &'static str, value: u64, max: u64) -> Result<(), Error> {
    if value > max {
        Err(Error::OutOfRange { what, value, max })
    } else {
        Ok(())
    }
}
