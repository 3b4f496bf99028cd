use thiserror::Error;

/// Why a text was not analysed. The caller refuses it; nothing of it may be sent on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Longer than [`Limits::text_bytes_max`](crate::Limits::text_bytes_max).
    #[error("the text has {bytes} bytes, more than {bytes_max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A NUL inside the text: the server would see only what is before it.
    #[error("the text contains a NUL")]
    Nul,
    /// PostgreSQL's grammar does not accept it. `message` is the parser's own.
    #[error("{message}")]
    Syntax {
        /// The parser's message; it may quote the text.
        message: String,
        /// Where it stumbled: a byte of the text, or the text's end. Not known of every error.
        at: Option<usize>,
    },
    /// Nested deeper than [`Limits::depth_max`](crate::Limits::depth_max).
    #[error("nested deeper than {depth_max} levels")]
    TooDeep {
        /// The limit.
        depth_max: u16,
    },
    /// More statements, columns or accesses than the limits allow.
    #[error("too many {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
    },
    /// No relation of that name is in the catalogue: ask for a newer one, once.
    #[error("relation {name} is not in the catalogue")]
    UnknownRelation {
        /// As it is written.
        name: String,
        /// Where PostgreSQL points to when it misses it: a byte of the text. It does so in queries
        /// and changes of rows.
        at: Option<usize>,
    },
    /// The parser's tree was not what its own types say. Never seen; kept closed.
    #[error("the parser's tree could not be read")]
    Tree,
}
