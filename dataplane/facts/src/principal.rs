use std::fmt;
use std::sync::Arc;

use crate::Digest;

/// Who asks. Up to three parts; a connect must be allowed for each part that is present.
///
/// Cedar's principal is the identity, or the workload where there is none; the other
/// parts are context.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The process, attested by the kernel.
    pub workload: Option<Arc<Workload>>,
    /// The human or service account that authenticated.
    pub identity: Option<Arc<Identity>>,
    /// The software acting on behalf of the identity (RFC 8693 `act`).
    pub agent: Option<Arc<Agent>>,
}

/// A local process, as the kernel described it at connect and as a pidfd confirmed it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Workload {
    /// The name that the operator gave to processes like this one, or `uid:<uid>`.
    pub name: Arc<str>,
    /// Groups that the operator gave to the workload.
    pub groups: Vec<Group>,
    /// The account that answers for it and may never approve its requests.
    pub owner: Option<Arc<str>>,
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// Thread group id.
    pub pid: u32,
    /// cgroup2 path below the mount point, starting with `/`.
    pub cgroup: Arc<str>,
    /// Path of the executable as the process sees it.
    pub executable: Arc<str>,
    /// SHA-256 of the executable's content.
    pub executable_digest: Option<Digest>,
    /// The process and those that it descends from, nearest first. Empty where no server is
    /// registered that clients start, and where it could not be read.
    pub lineage: Arc<[ProcessRef]>,
}

/// One process among all that this host has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessRef {
    /// Thread group id, which is used again.
    pub pid: u32,
    /// When it started, in clock ticks since the host's start.
    pub started_ticks: u64,
}

/// An authenticated user or service account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Who vouches for it: an issuer URL, or `weir` for local accounts.
    pub issuer: Arc<str>,
    /// The subject at that issuer. Identity is the pair (issuer, subject).
    pub subject: Arc<str>,
    /// Whether it is a person or a machine.
    pub is_service: bool,
    /// Groups at the time of authentication, sorted.
    pub groups: Vec<Group>,
}

/// Software that acts for an identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agent {
    /// The OAuth client, or the name that the operator gave.
    pub name: Arc<str>,
}

/// A group's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(pub Arc<str>);

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
