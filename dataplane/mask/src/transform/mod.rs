//! One value, one rule.
//!
//! What a rule makes of a value, by the column's type (what is not named is NULL):
//!
//! | type | `keep_*` | `redact` | `hash` | `fixed:X` | `partial_email` | `date_year` | `digits` |
//! |---|---|---|---|---|---|---|---|
//! | text, varchar, char, name, "char", unknown | yes | yes | 32 hex digits | X | yes, else `redact` | of an ISO date, else `redact` | yes |
//! | bytea | of bytes | of bytes | 16 bytes | X's bytes | | | |
//! | json, jsonb | | | a string | X as a string | | | |
//! | int2, int4, int8, oid, numeric | | | | X if it is one | | | sign, length and scale stay |
//! | float4, float8, bool | | | | X if it is one | | | |
//! | date | | | | X if it is one | | first of January | |
//! | timestamp, timestamptz | | | | | | midnight of the first of January | |
//! | time, timetz | | | | `HH:MM:SS[.ffffff]`, with `±HH[:MM]` | | | |
//! | uuid | | | a UUID of version 8 | X if it is one | | | |
//! | inet, cidr | | | | an address, with `/N` | | | |
//! | macaddr, macaddr8 | | | | six or eight bytes, `08:00:2b:…` | | | |
//! | money | | | | `[-][$]N[.NN]`, of a currency with two decimals | | | |
//! | bit, varbit | | | | zeros and ones | | | |
//! | xml | | | | X without `<` and `&` | | | |
//! | arrays of all these | element by element | element by element | element by element | element by element | element by element | element by element | element by element |
//! | all others: interval, points and other shapes, ranges, tsvector, enums, records, users' types, and arrays of them | | | | | | | |
//!
//! An array tells how many elements it has, and its dimensions; `null` hides it whole. An element
//! that is NULL stays, and one that the rule cannot be applied to becomes NULL.
//!
//! `null` is always NULL. Dates in text are read in ISO style only; other styles are NULL.
//! `digits` replaces each digit by one that the whole value and the key decide; now and then
//! that is the same digit, as it must be, or it would tell which digit it is not.
//!
//! A value that is no longer than what `keep_first:N` or `keep_last:N` would keep is masked
//! whole: otherwise nothing would be hidden. Lengths are counted in characters.

pub(crate) mod array;
mod bytes;
mod calendar;
mod constant;
mod hex;
pub(crate) mod kind;
mod number;
mod scalar;
pub(crate) mod string;

use weir_facts::MaskRule;

use crate::MaskKey;
use kind::Kind;

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

impl Masked {
    pub(crate) fn or_null(bytes: Option<Vec<u8>>) -> Self {
        bytes.map_or(Self::Null, Self::Replaced)
    }
}

/// How Postgres writes a value (protocol chapter "Formats and Format Codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Binary,
}

/// Masks a field in Postgres' text format, whose type has this `pg_type.oid`. A field that is
/// NULL already is none of this function's business.
#[must_use]
pub fn text(rule: &MaskRule, key: &MaskKey, type_oid: u32, value: &mut [u8]) -> Masked {
    field(rule, key, Kind::of(type_oid), Format::Text, value)
}

/// Masks a field in Postgres' binary format, whose type has this `pg_type.oid`, so that
/// drivers can decode the result.
#[must_use]
pub fn binary(rule: &MaskRule, key: &MaskKey, type_oid: u32, value: &mut [u8]) -> Masked {
    field(rule, key, Kind::of(type_oid), Format::Binary, value)
}

/// Masks a string of a JSON document or the like. `None` is null.
#[must_use]
pub fn utf8(rule: &MaskRule, key: &MaskKey, value: &str) -> Option<String> {
    let mut bytes = value.as_bytes().to_vec();
    match string::mask(rule, key, &mut bytes) {
        Masked::InPlace => String::from_utf8(bytes).ok(),
        Masked::Replaced(shown) => String::from_utf8(shown).ok(),
        Masked::Null => None,
    }
}

fn field(rule: &MaskRule, key: &MaskKey, kind: Kind, format: Format, value: &mut [u8]) -> Masked {
    match kind {
        // The binary format of these types is their text.
        Kind::Text => string::mask(rule, key, value),
        Kind::Bytea => bytes::mask(rule, key, format, value),
        Kind::Json => Masked::or_null(scalar::json(rule, key, value)),
        Kind::Jsonb => Masked::or_null(scalar::jsonb(rule, key, format, value)),
        Kind::Integer(width) => Masked::or_null(number::integer(rule, key, width, format, value)),
        Kind::Numeric => Masked::or_null(number::numeric(rule, key, format, value)),
        Kind::Float4 | Kind::Float8 => Masked::or_null(scalar::float(rule, kind, format)),
        Kind::Bool => Masked::or_null(scalar::boolean(rule, format)),
        Kind::Uuid => Masked::or_null(scalar::uuid(rule, key, format, value)),
        Kind::Date => Masked::or_null(calendar::date(rule, format, value)),
        Kind::Timestamp | Kind::TimestampTz => {
            Masked::or_null(calendar::timestamp(rule, kind, format, value))
        }
        Kind::Time
        | Kind::TimeTz
        | Kind::Inet
        | Kind::Cidr
        | Kind::MacAddr
        | Kind::MacAddr8
        | Kind::Money
        | Kind::Bit
        | Kind::Xml => Masked::or_null(constant::of(rule, kind, format)),
        Kind::Array(_) if *rule == MaskRule::Null => Masked::Null,
        Kind::Array(element) => {
            let each = |value: &mut [u8]| field(rule, key, Kind::of(element), format, value);
            array::mask(element, format, value, each)
        }
        Kind::Opaque => Masked::Null,
    }
}
