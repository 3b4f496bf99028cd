//! Names, sizes and places of the pins, and the proof that a pin is what its name says.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use weir_ebpf_abi::limits::{
    CGROUPS_MAX, CPUS_MAX, HANDOVERS_MAX, NETNS_MAX, PORTS_MAX, SELECTORS_MAX, WORKERS_MAX,
};
use weir_ebpf_abi::{Config, Counter, Handover, HandoverKey, Load, Origin, SelectorKey};

use crate::sys::{self, Access};
use crate::{Error, Hook};

/// A map of the object: name and sizes, as `ebpf/programs/src/maps.rs` declares them.
pub(crate) struct MapShape {
    pub(crate) name: &'static str,
    key_bytes: usize,
    value_bytes: usize,
    entries: u32,
}

/// Declares a shape.
const fn shape(name: &'static str, key_bytes: usize, value_bytes: usize, entries: u32) -> MapShape {
    MapShape {
        name,
        key_bytes,
        value_bytes,
        entries,
    }
}

pub(crate) const ABI: MapShape = shape("ABI", 4, 8, 1);
pub(crate) const CONFIG: MapShape = shape("CONFIG", 4, size_of::<Config>(), 1);
pub(crate) const SELECTORS: MapShape = shape("SELECTORS", 4 + SelectorKey::SIZE, 4, SELECTORS_MAX);
pub(crate) const CGROUPS: MapShape = shape("CGROUPS", 8, 4, CGROUPS_MAX);
pub(crate) const NETNS: MapShape = shape("NETNS", 8, 4, NETNS_MAX);
pub(crate) const PORTS: MapShape = shape("PORTS", 4, 4, PORTS_MAX);
pub(crate) const CPU_WORKERS: MapShape = shape("CPU_WORKERS", 4, 4, CPUS_MAX);
pub(crate) const LOAD: MapShape = shape("LOAD", 4, Load::SIZE, WORKERS_MAX);
pub(crate) const CLIENTS: MapShape = shape("CLIENTS", 4, Origin::SIZE, 0);
pub(crate) const ACCEPTED: MapShape = shape("ACCEPTED", 4, Origin::SIZE, 0);
pub(crate) const HANDOVERS: MapShape = shape(
    "HANDOVERS",
    size_of::<HandoverKey>(),
    size_of::<Handover>(),
    HANDOVERS_MAX,
);
#[expect(clippy::cast_possible_truncation, reason = "a few dozen counters")]
pub(crate) const COUNTERS: MapShape = shape("COUNTERS", 4, 8, Counter::COUNT as u32);

/// Every map of the object.
pub(crate) const MAPS: [&MapShape; 12] = [
    &ABI,
    &CONFIG,
    &SELECTORS,
    &CGROUPS,
    &NETNS,
    &PORTS,
    &CPU_WORKERS,
    &LOAD,
    &CLIENTS,
    &ACCEPTED,
    &HANDOVERS,
    &COUNTERS,
];

/// The directory of the pins.
#[derive(Clone, Debug)]
pub(crate) struct Pins(PathBuf);

impl Pins {
    pub(crate) fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    pub(crate) fn map(&self, shape: &MapShape) -> PathBuf {
        self.0.join(shape.name)
    }

    pub(crate) fn link(&self, hook: Hook) -> PathBuf {
        self.0.join(format!("link_{}", hook.program()))
    }

    /// Opens a map and compares its sizes with what this build means by the name.
    pub(crate) fn open_map(&self, shape: &MapShape, access: Access) -> Result<OwnedFd, Error> {
        let path = self.map(shape);
        let fd = sys::obj_get(&path, access)
            .map_err(Error::system("bpf(BPF_OBJ_GET)", path.display()))?;
        let info = sys::info(fd.as_fd())
            .map_err(Error::system("bpf(BPF_OBJ_GET_INFO_BY_FD)", path.display()))?;
        let found = [8, 12, 16].map(|offset| word(&info, offset));
        let expected = [
            u32::try_from(shape.key_bytes),
            u32::try_from(shape.value_bytes),
            Ok(shape.entries),
        ]
        .map(|size| size.unwrap_or(u32::MAX));
        if found == expected {
            return Ok(fd);
        }
        let say =
            |[key, value, entries]: [u32; 3]| format!("a map of {entries} × {key} → {value} bytes");
        Err(Error::ForeignPin {
            path,
            expected: say(expected),
            found: say(found),
        })
    }
}

/// The `u32` at an offset of the kernel's description.
pub(crate) fn word(info: &[u8; 64], offset: usize) -> u32 {
    info.get(offset..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

/// The `u64` at an offset of the kernel's description.
pub(crate) fn long(info: &[u8; 64], offset: usize) -> u64 {
    info.get(offset..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}
