//! One value, one rule.

use weir_facts::MaskRule;

use crate::MaskKey;

/// What became of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Masked {
    /// The buffer now holds the masked value, at its old length.
    InPlace,
    /// These bytes take its place.
    Replaced(Vec<u8>),
    /// SQL NULL takes its place.
    Null,
}

/// Masks a field in Postgres' text format, whose type has this `pg_type.oid`.
#[must_use]
pub fn text(_rule: &MaskRule, _key: &MaskKey, _type_oid: u32, _value: &mut [u8]) -> Masked {
    Masked::Null
}

/// Masks a field in Postgres' binary format, whose type has this `pg_type.oid`, so that
/// drivers can decode the result.
#[must_use]
pub fn binary(_rule: &MaskRule, _key: &MaskKey, _type_oid: u32, _value: &mut [u8]) -> Masked {
    Masked::Null
}

/// Masks a string of a JSON document or the like. `None` is null.
#[must_use]
pub fn utf8(_rule: &MaskRule, _key: &MaskKey, _value: &str) -> Option<String> {
    None
}
