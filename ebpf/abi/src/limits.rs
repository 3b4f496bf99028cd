//! Sizes of the maps, each with its reason.

/// Most workers of one data plane: one per core, and no host that runs clients beside its
/// guard has given it more than 64 cores.
pub const WORKERS_MAX: u32 = 64;

/// Most CPUs in the CPU → worker table; a CPU beyond it shares by remainder.
pub const CPUS_MAX: u32 = 1024;

/// Most rules of (port, address range). 4096 registered servers with one address each, and
/// the trie stays below 512 KiB.
pub const SELECTORS_MAX: u32 = 4096;

/// Most cgroups that are guarded or exempt by name.
pub const CGROUPS_MAX: u32 = 4096;

/// Most network namespaces that have listeners.
pub const NETNS_MAX: u32 = 256;

/// Most ports besides the redirect's that only Weir may bind.
pub const PORTS_MAX: u32 = 256;

/// Levels of the cgroup tree that a guard can stand on, the root being level 0. The
/// programs look at these ancestors and no deeper, so user space refuses to guard or exempt
/// a cgroup below; container runtimes nest 4 to 8 levels.
pub const CGROUP_LEVELS_MAX: u32 = 16;

/// Handshakes between the two ends of loopback at one instant. An entry lives from the
/// client's SYN-ACK to the server's ACK, microseconds apart, or until the client closes when
/// a listener's queue is full; four workers' full queues of 4096 fit.
pub const HANDOVERS_MAX: u32 = 16_384;
