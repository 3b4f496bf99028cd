//! The revisions of MCP.

/// A revision that has a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Revision {
    /// HTTP+SSE with two endpoints.
    V2024_11_05,
    /// Streamable HTTP, batches.
    V2025_03_26,
    /// No batches, structured content, the version header.
    V2025_06_18,
    /// URL elicitation, tasks as an experiment, polling of streams.
    V2025_11_25,
    /// Stateless: no initialize, no sessions, headers that repeat the body.
    V2026_07_28,
}

impl Revision {
    /// Every revision, oldest first.
    pub const ALL: &[Self] = &[
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];

    /// The date that names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Reads a date.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|revision| revision.as_str() == text)
    }

    /// Whether this crate classifies its messages. Those of 2024-11-05 come over its own
    /// transport of two endpoints and, since servers agree to that revision there, over
    /// Streamable HTTP.
    #[must_use]
    pub const fn is_served(self) -> bool {
        match self {
            Self::V2024_11_05
            | Self::V2025_03_26
            | Self::V2025_06_18
            | Self::V2025_11_25
            | Self::V2026_07_28 => true,
        }
    }

    /// Whether each request stands for itself: no initialize, no session, and what a
    /// request needs to be known is in its own `_meta`.
    #[must_use]
    pub const fn is_stateless(self) -> bool {
        match self {
            Self::V2026_07_28 => true,
            Self::V2024_11_05 | Self::V2025_03_26 | Self::V2025_06_18 | Self::V2025_11_25 => false,
        }
    }

    /// Whether calls may be answered with tasks: as an experiment, then as an extension.
    #[must_use]
    pub const fn has_tasks(self) -> bool {
        match self {
            Self::V2025_11_25 | Self::V2026_07_28 => true,
            Self::V2024_11_05 | Self::V2025_03_26 | Self::V2025_06_18 => false,
        }
    }

    /// Whether a body may be an array of messages.
    #[must_use]
    pub const fn has_batches(self) -> bool {
        match self {
            Self::V2025_03_26 => true,
            Self::V2024_11_05 | Self::V2025_06_18 | Self::V2025_11_25 | Self::V2026_07_28 => false,
        }
    }

    /// The revision of a request by its `MCP-Protocol-Version`; without one it is
    /// 2025-03-26 (2025-06-18, transports, "Protocol Version Header"). `None` where it is
    /// not served.
    #[must_use]
    pub fn of_header(value: Option<&str>) -> Option<Self> {
        match value {
            None => Some(Self::V2025_03_26),
            Some(text) => Self::parse(text).filter(|revision| revision.is_served()),
        }
    }
}
