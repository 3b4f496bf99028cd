use std::borrow::Borrow;
use std::fmt;

use crate::limits;

/// The beginning of names that are Weir's own; a client may not use them.
pub const RESERVED_PREFIX: &str = "weir:";

/// The name of a portal that never exists: to describe it fails in every state of a session and
/// changes nothing else.
pub const ABSENT_PORTAL: &str = "weir:refused";

/// The name of a prepared statement or portal; empty is the unnamed one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

/// A name that could stand for another one on the server, or is Weir's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The server would cut it, and take it for every name that begins alike.
    #[error("a name of {0} bytes, at most 63 are told apart by the server")]
    TooLong(usize),
    /// It begins as Weir's own names do.
    #[error("a reserved name")]
    Reserved,
    /// It contains a zero byte.
    #[error("a name with a zero byte")]
    Nul,
}

impl Name {
    /// The unnamed statement or portal.
    #[must_use]
    pub fn unnamed() -> Self {
        Self(Box::default())
    }

    /// Checks a client's name.
    ///
    /// # Errors
    /// [`NameError`]: the operation is refused.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.len() > limits::NAME_BYTES_MAX {
            return Err(NameError::TooLong(name.len()));
        }
        if name.starts_with(RESERVED_PREFIX) {
            return Err(NameError::Reserved);
        }
        if name.contains('\0') {
            return Err(NameError::Nul);
        }
        Ok(Self(name.into()))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the unnamed one.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.0.is_empty()
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
