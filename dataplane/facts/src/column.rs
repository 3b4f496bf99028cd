use std::fmt;
use std::sync::Arc;

/// A relation's `pg_class.oid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationOid(pub u32);

/// A column by what the server reports in RowDescription: table OID and attribute number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnId {
    /// `pg_attribute.attrelid`.
    pub relation: RelationOid,
    /// `pg_attribute.attnum`; system columns are negative, 0 is the whole row.
    pub attnum: i16,
}

/// A relation by schema and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationName {
    /// `pg_namespace.nspname`.
    pub schema: Arc<str>,
    /// `pg_class.relname`.
    pub name: Arc<str>,
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// A column by schema, relation and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnName {
    /// The relation that has it.
    pub relation: RelationName,
    /// `pg_attribute.attname`.
    pub column: Arc<str>,
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.relation, self.column)
    }
}
