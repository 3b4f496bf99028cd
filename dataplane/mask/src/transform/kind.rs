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
    Time,
    TimeTz,
    Uuid,
    Inet,
    Cidr,
    MacAddr,
    MacAddr8,
    Money,
    Bit,
    Xml,
    /// An array of the type with this oid.
    Array(u32),
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
            142 => Self::Xml,
            650 => Self::Cidr,
            700 => Self::Float4,
            701 => Self::Float8,
            774 => Self::MacAddr8,
            790 => Self::Money,
            829 => Self::MacAddr,
            869 => Self::Inet,
            1082 => Self::Date,
            1083 => Self::Time,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            1266 => Self::TimeTz,
            // bit, varbit
            1560 | 1562 => Self::Bit,
            1700 => Self::Numeric,
            2950 => Self::Uuid,
            3802 => Self::Jsonb,
            _ => match element_of(type_oid) {
                Some(element) => Self::Array(element),
                None => Self::Opaque,
            },
        }
    }
}

/// The element's type of an array type, for those whose elements a rule has a meaning for.
pub(crate) const fn element_of(type_oid: u32) -> Option<u32> {
    Some(match type_oid {
        143 => 142,
        199 => 114,
        651 => 650,
        775 => 774,
        791 => 790,
        1000 => 16,
        1001 => 17,
        1002 => 18,
        1003 => 19,
        1005 => 21,
        1007 => 23,
        1009 => 25,
        1014 => 1042,
        1015 => 1043,
        1016 => 20,
        1021 => 700,
        1022 => 701,
        1028 => 26,
        1040 => 829,
        1041 => 869,
        1115 => 1114,
        1182 => 1082,
        1183 => 1083,
        1185 => 1184,
        1231 => 1700,
        1270 => 1266,
        1561 => 1560,
        1563 => 1562,
        2951 => 2950,
        3807 => 3802,
        _ => return None,
    })
}
