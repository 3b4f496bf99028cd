use std::fmt;
use std::sync::Arc;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use weir_facts::{Access, ColumnName, ConnectionName, Group, Principal, Reveal};

use crate::{Bundle, JudgeContext, Judgement, Unlabelled};

/// What a registered server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionKind {
    /// PostgreSQL.
    Postgres,
    /// The Model Context Protocol.
    Mcp,
}

impl ConnectionKind {
    /// The word that policies see as the connection's `kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mcp => "mcp",
        }
    }
}

/// A registered server, as far as policies can tell.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    pub(crate) name: ConnectionName,
    pub(crate) kind: ConnectionKind,
    pub(crate) env: Arc<str>,
    pub(crate) zone: Option<TimeZone>,
}

/// A registered server that policies could not tell apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionFactsError {
    /// A name that is empty or has a `/`, which separates the parts of a resource's identifier.
    #[error("connection name {0:?} is empty or has a '/'")]
    Name(ConnectionName),
    /// A zone that the IANA database does not have.
    #[error("unknown time zone {0:?}; names are those of the IANA database, such as Europe/Berlin")]
    Zone(Box<str>),
}

impl ConnectionFacts {
    /// Checks the facts. `env` is free text (`prod`); `zone` is an IANA name, and where it is
    /// absent the bundle's zone for the connection counts, else UTC.
    pub fn new(
        name: ConnectionName,
        kind: ConnectionKind,
        env: &str,
        zone: Option<&str>,
    ) -> Result<Self, ConnectionFactsError> {
        if name.as_str().is_empty() || name.as_str().contains('/') {
            return Err(ConnectionFactsError::Name(name));
        }
        let zone = zone.map(zone_named).transpose()?;
        Ok(Self { name, kind, env: env.into(), zone })
    }

    /// The server's name.
    #[must_use]
    pub const fn name(&self) -> &ConnectionName {
        &self.name
    }
}

/// A zone of the database that is compiled in; the host's files are not read.
pub(crate) fn zone_named(name: &str) -> Result<TimeZone, ConnectionFactsError> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| ConnectionFactsError::Zone(name.into()))
}

/// The names that are known, for hierarchy and for warnings. Nothing is permitted or denied
/// because a name is here or is missing.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// Every group with the groups that it is a member of.
    pub groups: Vec<(Group, Vec<Group>)>,
    /// Local accounts of people.
    pub users: Vec<Arc<str>>,
    /// Local service accounts.
    pub services: Vec<Arc<str>>,
    /// Names that operators gave to workloads.
    pub workloads: Vec<Arc<str>>,
}

/// Names a snapshot: BLAKE3 over the bundle's id, the connections and the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotId(pub(crate) [u8; 32]);

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A bundle compiled for the connections of one data plane. Immutable.
pub struct Snapshot {
    bundle: Arc<Bundle>,
    id: SnapshotId,
}

impl Snapshot {
    /// Compiles a bundle for these connections. Policies of other connections cost nothing.
    #[must_use]
    pub fn compile(bundle: Arc<Bundle>, _connections: &[ConnectionFacts], _directory: Directory) -> Self {
        Self { bundle, id: SnapshotId([0; 32]) }
    }

    /// Names it.
    #[must_use]
    pub const fn id(&self) -> SnapshotId {
        self.id
    }

    /// The bundle that it was compiled from.
    #[must_use]
    pub const fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// Names in the bundle that the directory or the connections do not have, in words.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &[]
    }

    /// Every labelled column of a connection with its classes.
    pub fn labels(&self, _on: &ConnectionName) -> impl Iterator<Item = (&ColumnName, &[Arc<str>])> {
        std::iter::empty()
    }

    /// What becomes of columns that nobody labelled. Of an unknown connection: redacted.
    #[must_use]
    pub fn unlabelled(&self, _on: &ConnectionName) -> Unlabelled {
        Unlabelled::Mask(weir_facts::MaskRule::Redact)
    }

    /// Classes that answers of a connection are searched for, by the names that detectors have.
    #[must_use]
    pub fn detectors(&self, _on: &ConnectionName) -> &[Arc<str>] {
        &[]
    }

    /// Judges one operation: every access must be allowed. No access at all is denied.
    #[must_use]
    pub fn judge(&self, _who: &Principal, _on: &ConnectionName, _accesses: &[Access], _cx: &JudgeContext<'_>) -> Judgement {
        Judgement { verdict: weir_facts::Verdict::Deny(weir_facts::Denial { outside: "denied".into(), inside: "policy is not compiled".into(), policies: Vec::new() }), policies: Vec::new(), reads: crate::Reads::NONE, cacheable: false }
    }

    /// What of a column reaches the client.
    #[must_use]
    pub fn reveal(&self, _who: &Principal, _on: &ConnectionName, _column: &ColumnName, _cx: &JudgeContext<'_>) -> Reveal {
        Reveal::Deny(weir_facts::Denial { outside: "denied".into(), inside: "policy is not compiled".into(), policies: Vec::new() })
    }

    /// What of a value of a detected class reaches the client. `tool` is the tool, or empty
    /// where the value is not in a tool's answer.
    #[must_use]
    pub fn reveal_class(&self, _who: &Principal, _on: &ConnectionName, _class: &str, _tool: &str, _cx: &JudgeContext<'_>) -> Reveal {
        Reveal::Deny(weir_facts::Denial { outside: "denied".into(), inside: "policy is not compiled".into(), policies: Vec::new() })
    }
}
