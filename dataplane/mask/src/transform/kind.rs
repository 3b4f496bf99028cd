/// The types that a mask can have a meaning for (`pg_type.dat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bytea,
    Json,
    Jsonb,
    Integer(Width),
    Numeric,
    Float4,
    Float8,
    Bool,
    Date,
    Timestamp,
    TimestampTz,
    Uuid,
    /// No rule has a meaning: the value is never shown.
    Opaque,
}

/// The integer types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Int2,
    Int4,
    Int8,
    Oid,
}

impl Kind {
    /// By `pg_type.oid`. Types of users and extensions have no fixed oid and are opaque; a domain
    /// is reported as its base type by the server.
    pub(super) const fn of(type_oid: u32) -> Self {
        match type_oid {
            // "char", name, text, unknown, bpchar, varchar
            18 | 19 | 25 | 705 | 1042 | 1043 => Self::Text,
            16 => Self::Bool,
            17 => Self::Bytea,
            20 => Self::Integer(Width::Int8),
            21 => Self::Integer(Width::Int2),
            23 => Self::Integer(Width::Int4),
            26 => Self::Integer(Width::Oid),
            114 => Self::Json,
            700 => Self::Float4,
            701 => Self::Float8,
            1082 => Self::Date,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            1700 => Self::Numeric,
            2950 => Self::Uuid,
            3802 => Self::Jsonb,
            _ => Self::Opaque,
        }
    }
}
