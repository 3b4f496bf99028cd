use std::io;
use std::path::PathBuf;

/// Why the redirect could not be installed, changed or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed; its name, what it was for, and why.
    #[error("{call} ({subject}): {source}")]
    System {
        /// The call, with its command where it has one: `bpf(BPF_LINK_CREATE)`.
        call: &'static str,
        /// What it was about: a hook, a map, a path.
        subject: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel or the loader refused the compiled programs.
    #[error("the eBPF object: {0}")]
    Object(String),
    /// No cgroup2 hierarchy is mounted.
    #[error(
        "no cgroup2 file system in /proc/self/mountinfo: mount one, the redirect is attached at its root"
    )]
    NoCgroup2,
    /// The mounted cgroup2 hierarchy is a namespace's part of the real one.
    #[error(
        "{path} is not the root of the cgroup2 tree (its id is {id}, not 1): run outside of cgroup namespaces"
    )]
    NotTheCgroupRoot {
        /// What was found.
        path: PathBuf,
        /// Its cgroup id.
        id: u64,
    },
    /// A cgroup too deep in the tree for the programs to see.
    #[error("{path} is {level} levels deep; the programs look at {max} levels")]
    CgroupTooDeep {
        /// The cgroup.
        path: PathBuf,
        /// Its level, the root being 0.
        level: u32,
        /// Levels that are looked at.
        max: u32,
    },
    /// The pins belong to another version.
    #[error(
        "the pins in {path} have ABI version {found}, this build has {expected}: detach first, with the build that made them"
    )]
    AbiMismatch {
        /// Directory of the pins.
        path: PathBuf,
        /// Version of the pins; 0 where it cannot be told.
        found: u64,
        /// Version of this build.
        expected: u64,
    },
    /// A pin is not what its name says.
    #[error("the pin {path} is not {expected}: {found}")]
    ForeignPin {
        /// The pin.
        path: PathBuf,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Nothing is installed there.
    #[error("no pins of the redirect in {0}")]
    NotInstalled(PathBuf),
    /// A value is out of a map's range.
    #[error("{what} is {value}; the most is {max}")]
    OutOfRange {
        /// What it counts.
        what: &'static str,
        /// The value.
        value: u64,
        /// The bound.
        max: u64,
    },
}

impl Error {
    pub(crate) fn system(
        call: &'static str,
        subject: impl ToString,
    ) -> impl FnOnce(io::Error) -> Self {
        let subject = subject.to_string();
        move |source| Self::System {
            call,
            subject,
            source,
        }
    }
}
