//! Which names processes have.

use std::sync::Arc;

use weir_facts::{Digest, Group, ProcessRef};

/// Names processes that look like this.
pub struct WorkloadRule {
    /// Real user id, if it matters.
    pub uid: Option<u32>,
    /// Prefix of the cgroup2 path, at a `/`, if it matters.
    pub cgroup: Option<Arc<str>>,
    /// Path of the executable, if it matters.
    pub executable: Option<Arc<str>>,
    /// The workload's name in policies.
    pub name: Arc<str>,
    /// Its groups.
    pub groups: Vec<Group>,
    /// The account that answers for it.
    pub owner: Option<Arc<str>>,
}

/// What attestation found of a process, before it has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// Thread group id.
    pub pid: u32,
    /// cgroup2 path below the mount point.
    pub cgroup: Arc<str>,
    /// Path of the executable.
    pub executable: Arc<str>,
    /// SHA-256 of its content.
    pub executable_digest: Option<Digest>,
    /// It and those that it descends from, nearest first.
    pub lineage: Arc<[ProcessRef]>,
}

impl WorkloadRule {
    pub(super) fn matches(&self, process: &Process) -> bool {
        let in_cgroup = |prefix: &Arc<str>| {
            process.cgroup.strip_prefix(&**prefix).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')
            })
        };
        self.uid.is_none_or(|uid| uid == process.uid)
            && self.cgroup.as_ref().is_none_or(in_cgroup)
            && self
                .executable
                .as_ref()
                .is_none_or(|path| *path == process.executable)
    }
}
