//! The maps. Their names are those of their pins.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, PerCpuArray, SkStorage};
use aya_ebpf::macros::btf_map;
use weir_ebpf_abi::limits::{
    CGROUPS_MAX, CPUS_MAX, HANDOVERS_MAX, NETNS_MAX, PORTS_MAX, SELECTORS_MAX, WORKERS_MAX,
};
use weir_ebpf_abi::{Config, Counter, Handover, HandoverKey, Load, Origin, SelectorKey};

/// Index 0: version of everything else. Its own name, type and place never change.
#[btf_map]
pub(crate) static ABI: Array<u64, 1> = Array::new();

/// Index 0: switches and the heartbeat's time to live.
#[btf_map]
pub(crate) static CONFIG: Array<Config, 1> = Array::new();

/// (port, address range) → [`weir_ebpf_abi::SelectorKind`].
#[btf_map]
pub(crate) static SELECTORS: LpmTrie<[u8; SelectorKey::SIZE], u32, { SELECTORS_MAX as usize }> =
    LpmTrie::new();

/// cgroup id → [`weir_ebpf_abi::Standing`].
#[btf_map]
pub(crate) static CGROUPS: HashMap<u64, u32, { CGROUPS_MAX as usize }> = HashMap::new();

/// Cookies of network namespaces that have Weir's listeners.
#[btf_map]
pub(crate) static NETNS: HashMap<u64, u32, { NETNS_MAX as usize }> = HashMap::new();

/// Ports besides the redirect's that only Weir may bind.
#[btf_map]
pub(crate) static PORTS: HashMap<u32, u32, { PORTS_MAX as usize }> = HashMap::new();

/// CPU → worker.
#[btf_map]
pub(crate) static CPU_WORKERS: Array<u32, { CPUS_MAX as usize }> = Array::new();

/// Worker → load and heartbeat, mapped into the workers.
#[btf_map]
pub(crate) static LOAD: Array<Load, { WORKERS_MAX as usize }, { BPF_F_MMAPABLE as usize }> =
    Array::new();

/// Origin by the client's socket.
#[btf_map]
pub(crate) static CLIENTS: SkStorage<Origin> = SkStorage::new();

/// Origin by the accepted socket: what a worker reads.
#[btf_map]
pub(crate) static ACCEPTED: SkStorage<Origin> = SkStorage::new();

/// From the client's end of a handshake to the accepted end.
#[btf_map]
pub(crate) static HANDOVERS: HashMap<HandoverKey, Handover, { HANDOVERS_MAX as usize }> =
    HashMap::new();

/// Slots are [`Counter`]s.
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<u64, { Counter::COUNT }> = PerCpuArray::new();
