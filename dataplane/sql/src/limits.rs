//! Every size that hostile text could choose, and why it is what it is.

/// Bounds of one analysis. Built from [`Limits::STANDARD`], changed field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest text in bytes.
    pub text_bytes_max: usize,
    /// Deepest nesting of expressions, sub-selects and joins.
    pub depth_max: u16,
    /// Most statements in one text.
    pub statements_max: usize,
    /// Most result columns, counted at every level of a statement together.
    pub columns_max: usize,
    /// Most distinct accesses of one statement.
    pub accesses_max: usize,
    /// Longest normalised text in bytes.
    pub normalised_bytes_max: usize,
}

impl Limits {
    /// What the data plane ships.
    pub const STANDARD: Self = Self {
        text_bytes_max: TEXT_BYTES_MAX,
        depth_max: DEPTH_MAX,
        statements_max: STATEMENTS_MAX,
        columns_max: COLUMNS_MAX,
        accesses_max: ACCESSES_MAX,
        normalised_bytes_max: NORMALISED_BYTES_MAX,
    };
}

/// The parser keeps about 60 bytes of tree per byte of text; 256 KiB of text is then some
/// 15 MiB for the time of one parse, and longer statements are bulk loads, for which COPY is.
pub const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Each level costs less than 2 KiB of stack in a debug build, so that 250 levels stay far
/// below a worker's 2 MiB; AND, OR and IN lists are flat and do not count.
pub const DEPTH_MAX: u16 = 250;

/// A migration file pasted into psql arrives statement by statement; one Query message with
/// more than this is a program.
pub const STATEMENTS_MAX: usize = 200;

/// The place of a syntax error is looked for in texts of at most this many bytes: longer ones are
/// not typed by anybody who would look at it.
pub const POSITION_TEXT_BYTES_MAX: usize = 16 * 1024;

/// A place is looked for by parsing beginnings of the text, of at most this many: together no more
/// work than one text of the greatest length.
pub const POSITION_PROBES_MAX: usize = 16;

/// PostgreSQL allows 1,664 result columns; `*` through nested sub-selects multiplies them.
pub const COLUMNS_MAX: usize = 50_000;

/// A statement is judged access by access; one that touches more things is not judged but refused.
pub const ACCESSES_MAX: usize = 4_096;

/// A record's leaf holds 4 KiB in all.
pub const NORMALISED_BYTES_MAX: usize = 2_048;
