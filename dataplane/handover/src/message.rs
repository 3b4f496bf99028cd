use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a warden says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ToProxy {
    /// The first message. Its descriptors are, in this order: one for each of `listeners`,
    /// then, if `redirected` is there, the flow store's and the load board's. See
    /// [`crate::Equipment`].
    Welcome(Box<Welcome>),
    /// Answers [`ToWarden::Attest`].
    Attested {
        /// The request's number.
        request: u64,
        /// Who it is, or why that cannot be told; then the flow is refused.
        outcome: Result<WorkloadFacts, String>,
    },
    /// Answers [`ToWarden::FindServer`].
    Served {
        /// The address that was asked for.
        target: SocketAddr,
        /// Who serves it.
        serving: Serving,
    },
    /// Answers [`ToWarden::ApplyGuards`].
    GuardsApplied {
        /// The request's number.
        request: u64,
        /// The version that is in force now, or why it is not the offered one.
        outcome: Result<u64, String>,
    },
    /// Listen there too, from now on. One descriptor comes with it: a socket that is bound and
    /// listening. The connections of the world in force ask for it.
    Listen {
        /// What the socket is for.
        role: ListenerRole,
    },
    /// Listen there no longer; flows that are open go on.
    Unlisten {
        /// Which one.
        role: ListenerRole,
    },
    /// A flow of `weir mcp run`. Two descriptors come with it: the client's link and the
    /// server's, both connected.
    Hand(Box<Handed>),
    /// What the warden knows of the redirect; sent when it changes and every few seconds.
    Health(HealthReport),
    /// Accept nothing more, finish what runs, say [`ToWarden::Drained`], and exit.
    Drain {
        /// Milliseconds after which the process is ended.
        deadline_ms: u64,
    },
}

/// What a proxy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ToWarden {
    /// It serves: every worker is beating.
    Ready,
    /// Who is this caller?
    Attest(Attest),
    /// Which processes have the listening socket of this address?
    FindServer {
        /// As flows dial it.
        target: SocketAddr,
    },
    /// Put the guards and selectors of a world in force. One descriptor comes with it: a file
    /// (a memfd) that holds an encoded `weir.v1.Update` from its start, signed for this node.
    ApplyGuards {
        /// Names the answer.
        request: u64,
    },
    /// It is alive. Sent every second; a silent proxy is ended and started again.
    Alive(ProxyReport),
    /// Nothing runs any more.
    Drained,
}

/// What a proxy starts with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    /// Number of this start of a proxy on this node, from 1, never repeated: the high bits
    /// of its flow ids.
    pub boot: u64,
    /// The node's name.
    pub node: String,
    /// Number of workers; worker `w` runs on `cpus[w]`.
    pub workers: u16,
    /// CPU of each worker.
    pub cpus: Vec<u32>,
    /// What each of the first descriptors is.
    pub listeners: Vec<ListenerRole>,
    /// The redirect, if there is one.
    pub redirected: Option<Redirected>,
    /// Directory that the proxy may write to: ledger, last known world, CA.
    pub state_dir: PathBuf,
    /// Directory of sockets and of what need not survive the host.
    pub runtime_dir: PathBuf,
    /// The control plane, if there is one.
    pub control: Option<Control>,
    /// Address of the metrics endpoint, if it is wanted.
    pub metrics: Option<SocketAddr>,
}

/// Says that connections come from the kernel's redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirected {
    /// Worker `w` listens at this port plus `w`.
    pub base_port: u16,
    /// Milliseconds without a heartbeat after which the kernel refuses connects to a worker.
    pub heartbeat_ttl_ms: u64,
    /// Port, on 127.0.0.1 and ::1, that the warden's canary asks for. Flows to it prove the
    /// redirect: close them at once, they are nobody's.
    pub canary_port: u16,
}

/// What a listening socket is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ListenerRole {
    /// The redirect sends a worker's connections here. The origin is in the flow store.
    Redirect {
        /// Whose.
        worker: u16,
    },
    /// Clients connect here on purpose. There is no origin; the target is the connection's.
    Explicit {
        /// Which registered server.
        connection: String,
        /// Where it listens.
        address: SocketAddr,
    },
}

/// How to reach the control plane.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// `http://127.0.0.1:7401` or `https://…`.
    pub url: String,
    /// The node's secret.
    pub token: String,
    /// The key that signs updates: 32 bytes.
    pub control_key: [u8; 32],
    /// Who vouches for the control plane's certificate, PEM.
    pub ca_pem: Option<String>,
}

// Not derived: the token stays out of logs.
impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// The kernel's facts of a caller, from the flow store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attest {
    /// Names the answer.
    pub request: u64,
    /// Process (thread group) id.
    pub tgid: u32,
    /// Real user id at connect.
    pub uid: u32,
    /// Real group id at connect.
    pub gid: u32,
    /// cgroup2 id at connect.
    pub cgroup_id: u64,
    /// CLOCK_BOOTTIME (ns) of the connect.
    pub connect_boottime_ns: u64,
}

/// Who serves an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Serving {
    /// The processes, by thread group id, that have its listening socket; at most
    /// [`crate::limits::SERVING_MAX`].
    Processes(Vec<u32>),
    /// The address is this host's, and none was found, or more than can be told.
    Unknown,
    /// The address is not this host's.
    Elsewhere,
}

/// An attested process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadFacts {
    /// Process id.
    pub pid: u32,
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// cgroup2 path below the mount point, starting with `/`.
    pub cgroup: String,
    /// Path of the executable as the process sees it; empty where the process was gone and
    /// the operator lets the kernel's facts suffice.
    pub executable: String,
    /// SHA-256 of the executable's content.
    pub executable_sha256: Option<[u8; 32]>,
    /// It and those that it descends from, nearest first; at most
    /// [`crate::limits::LINEAGE_MAX`]. Empty where nobody needs it, or it could not be read.
    pub lineage: Vec<ProcessFacts>,
}

/// One process among all that the host has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessFacts {
    /// Process (thread group) id.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`.
    pub started_ticks: u64,
}

/// A flow to a server of standard input and output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handed {
    /// Which registered server.
    pub connection: String,
    /// Who asked for it.
    pub caller: WorkloadFacts,
    /// What the caller has started as that server.
    pub program: ProgramFacts,
}

/// A program that was started as an MCP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramFacts {
    /// The process that executes it.
    pub process: ProcessFacts,
    /// Path of the executable.
    pub executable: String,
    /// SHA-256 of the executable's content.
    pub executable_sha256: Option<[u8; 32]>,
    /// SHA-256 over its arguments, each with a NUL behind it.
    pub arguments_sha256: [u8; 32],
    /// Executable of the process that started the caller; empty where that cannot be seen.
    pub started_by: String,
}

/// How the redirect stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthReport {
    /// Version of the world whose guards are in force; 0 before the first.
    pub version: u64,
    /// The guards of that world.
    pub guards: Vec<GuardReport>,
    /// What is attached in the kernel.
    pub hooks: Vec<HookReport>,
    /// The newest canary.
    pub canary: CanaryReport,
    /// The programs' counters.
    pub counters: Vec<CounterReport>,
}

/// What a guard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuardState {
    /// Counts and lets through.
    Observe,
    /// Redirects or refuses.
    Enforce,
}

/// One guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardReport {
    /// Its name.
    pub name: String,
    /// What it was asked to guard: a cgroup path, `unit:NAME` or `all`.
    pub cgroup: String,
    /// What it does.
    pub state: GuardState,
    /// Whether it is in the kernel.
    pub attached: bool,
    /// Why not; empty if it is.
    pub detail: String,
}

/// One hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookReport {
    /// Its name.
    pub name: String,
    /// Tag of the attached program; empty if there is none.
    pub tag: String,
    /// cgroup id that it is attached to; 1 is the root.
    pub cgroup_id: u64,
}

/// What the canary saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CanaryState {
    /// It has not flown yet.
    Pending,
    /// Its connect was taken.
    Passed,
    /// Its connect was not taken.
    Failed,
    /// There is no redirect to prove.
    NotApplicable,
}

/// The newest canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryReport {
    /// What it saw.
    pub state: CanaryState,
    /// Unix seconds.
    pub at: u64,
    /// How it was seen.
    pub detail: String,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CounterReport {
    /// Its name.
    pub name: String,
    /// Its value since the hooks were first attached.
    pub value: u64,
}

/// What a proxy says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyReport {
    /// Flows that are open.
    pub active_flows: u64,
    /// Number of the world in force; 0 before the first.
    pub world: u64,
    /// Whether the control plane is connected.
    pub connected: bool,
}
