//! How safe an operation's record must be before the operation goes on.

/// What `@durability` says of a permit. Ordered: the later is the safer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Its record may be in the page cache only, for some milliseconds: it survives the death of
    /// Weir, not that of the host.
    Kept,
    /// Its record is on stable storage first.
    #[default]
    Synced,
}

impl Level {
    /// The level that an annotation names.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "kept" => Ok(Self::Kept),
            "synced" => Ok(Self::Synced),
            other => Err(format!(
                "unknown @durability({other:?}); known are \"kept\" and \"synced\""
            )),
        }
    }

    /// The level of what several permits allow together: one that does not say `kept` is enough to
    /// have it synced. So is none at all.
    pub(crate) fn of_all(levels: impl IntoIterator<Item = Self>) -> Self {
        levels.into_iter().max().unwrap_or_default()
    }
}
