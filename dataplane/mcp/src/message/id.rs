//! Request ids, typed, with the bytes that they came in.

use crate::json::{Kind, Value};
use crate::limits::ID_BYTES_MAX;

/// What an id is compared by: `1` and `"1"` differ, `"a"` and `"\u0061"` do not.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IdKey {
    /// A plain integer within ±(2⁵³−1), which every parser reads exactly.
    Integer(i64),
    /// A string, escapes resolved.
    String(Box<str>),
}

/// The id of a request (MCP base protocol: string or integer, never null), or a progress
/// token, which has the same form.
#[derive(Clone, Debug)]
pub struct Id {
    key: IdKey,
    raw: Box<[u8]>,
}

const SAFE_INTEGER_MAX: i64 = (1 << 53) - 1;

impl Id {
    /// Reads an id. `None` for anything that two parsers might read as different ids:
    /// fractions, exponents, `-0`, integers that a double cannot hold.
    #[must_use]
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let raw = value.raw();
        if raw.len() > ID_BYTES_MAX {
            return None;
        }
        let key = match value.kind() {
            Kind::Number => IdKey::Integer(integer(value.number()?)?),
            Kind::String => IdKey::String(value.text()?.into()),
            Kind::Object | Kind::Array | Kind::Key | Kind::True | Kind::False | Kind::Null => {
                return None;
            }
        };
        Some(Self {
            key,
            raw: raw.into(),
        })
    }

    /// What it is compared by.
    #[must_use]
    pub const fn key(&self) -> &IdKey {
        &self.key
    }

    /// Its JSON as it came.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

fn integer(text: &str) -> Option<i64> {
    let value: i64 = text.parse().ok()?;
    let is_plain = value != 0 || text == "0";
    (is_plain && value.abs() <= SAFE_INTEGER_MAX).then_some(value)
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Id {}
