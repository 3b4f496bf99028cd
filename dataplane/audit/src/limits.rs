//! Sizes that the log format and the leaf keep to, each with its reason.

/// What a leaf aims at: small enough that a bundle of 256 stays within one megabyte and
/// that a page of them can be shown. A leaf that would be larger is cut to the tight caps.
pub const LEAF_BYTES_AIM: usize = 4096;

/// The largest entry of a tlog-tiles bundle: its length is a `uint16`.
pub const LEAF_BYTES_MAX: usize = 65_535;

/// Hashes of a full tile, entries of a full bundle (C2SP tlog-tiles: 2⁸).
pub const TILE_WIDTH: usize = 256;

/// Bytes of one hash in a tile.
pub const HASH_BYTES: usize = 32;

/// The largest entry bundle: 256 entries of the largest size with their lengths.
pub const BUNDLE_BYTES_MAX: usize = TILE_WIDTH * (LEAF_BYTES_MAX + 2);

/// The largest signed note that is looked at. C2SP signed-note asks for a bound; a
/// checkpoint with a hundred cosignatures stays far below this.
pub const NOTE_BYTES_MAX: usize = 65_536;

/// Signature lines that a note may carry: a log, its witnesses, and room to grow.
pub const NOTE_SIGNATURES_MAX: usize = 100;

/// The deepest tree: 2⁴⁸ leaves take nine years at a million records a second, and seven
/// levels of tiles hold 2⁵⁶.
pub const TILE_LEVELS_MAX: u8 = 7;

/// Intents without an outcome that a verifier remembers at once: far above what one host
/// can have in flight, low enough for a laptop's memory.
pub const OPEN_INTENTS_MAX: usize = 4_000_000;

/// Integers that every JSON reader keeps exact (RFC 8785 §3.2.2.3, RFC 7493 §2.2).
pub(crate) const INTEGER_MAX: u64 = (1 << 53) - 1;

/// How many bytes, escaped, each field may take in a leaf. What does not fit is withheld,
/// named, and committed to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caps {
    pub(crate) summary: usize,
    pub(crate) accesses: usize,
    pub(crate) masked: usize,
    pub(crate) policies: usize,
    pub(crate) groups: usize,
    pub(crate) approvers: usize,
    pub(crate) reason: usize,
    pub(crate) path: usize,
    pub(crate) name: usize,
}

/// Caps of the first attempt: nothing ordinary is cut.
pub(crate) const CAPS_WIDE: Caps = Caps {
    summary: 2048,
    accesses: 1536,
    masked: 1024,
    policies: 512,
    groups: 512,
    approvers: 256,
    reason: 512,
    path: 256,
    name: 128,
};

/// Caps of the second attempt: with every field full, the leaf still meets
/// [`LEAF_BYTES_AIM`] (a test fills them).
pub(crate) const CAPS_TIGHT: Caps = Caps {
    summary: 512,
    accesses: 512,
    masked: 256,
    policies: 160,
    groups: 96,
    approvers: 64,
    reason: 128,
    path: 72,
    name: 40,
};

/// Values within values in a leaf: `who.identity.groups` is the deepest that is written.
pub(crate) const LEAF_DEPTH_MAX: usize = 4;

/// How many open intents and gaps a report names one by one; more are counted.
pub const REPORTED_MAX: usize = 1000;
