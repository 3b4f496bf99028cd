//! A snapshot of what the server's catalogue says about names, columns and lineage.

mod queries;
mod rows;
mod rule;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use thiserror::Error;
use weir_facts::{ColumnId, ColumnName, RelationName, RelationOid};

/// Names one state of the catalogue. Equal epochs, equal answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch that an answer to [`Catalog::EPOCH_QUERY`] stands for (FNV-1a, 64 bits).
    #[must_use]
    pub fn of(answer: &str) -> Self {
        let hash = answer
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Self(hash)
    }
}

/// `pg_class.relkind` of what can stand in FROM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelationKind {
    /// `r`
    Table,
    /// `p`
    Partitioned,
    /// `v`
    View,
    /// `m`
    MaterializedView,
    /// `f`
    Foreign,
    /// `S`
    Sequence,
    /// `t`
    Toast,
}

/// `pg_attribute.attgenerated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Generated {
    /// An ordinary column.
    No,
    /// Computed from other columns of its row.
    Yes,
}

/// A column as the catalogue describes it. Dropped columns are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// `attnum`, from 1.
    pub attnum: i16,
    /// `attname`.
    pub name: Arc<str>,
    /// `atttypid`.
    pub type_oid: u32,
    /// `attnotnull`.
    pub not_null: bool,
    /// Whether other columns determine it.
    pub generated: Generated,
}

/// A relation as the catalogue describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// `pg_class.oid`.
    pub oid: RelationOid,
    /// Schema and name.
    pub name: RelationName,
    /// `relkind`.
    pub kind: RelationKind,
    /// It is temporary, of any session.
    pub temporary: bool,
    /// In order of `attnum`.
    pub columns: Vec<Column>,
}

impl Relation {
    /// It belongs to PostgreSQL itself.
    #[must_use]
    pub fn is_system(&self) -> bool {
        matches!(&*self.name.schema, "pg_catalog" | "information_schema")
    }

    /// A column by its number.
    #[must_use]
    pub fn column(&self, attnum: i16) -> Option<&Column> {
        self.columns.iter().find(|column| column.attnum == attnum)
    }

    /// A column by its name.
    #[must_use]
    pub fn column_named(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }
}

/// A foreign key, column by column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignKey {
    pub(crate) from: RelationOid,
    pub(crate) to: RelationOid,
    /// (referencing attnum, referenced attnum)
    pub(crate) columns: Vec<(i16, i16)>,
}

/// What a view's stored query says of its columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// Bare output columns: (attnum of the view, where it comes from).
    pub(crate) origins: HashMap<i16, ColumnId>,
    /// Columns that it reads anywhere; attnum 0 is a relation without a certain column.
    pub(crate) reads: Vec<ColumnId>,
    /// It uses some relation's whole row, which `reads` does not tell.
    pub(crate) whole_row: bool,
    /// Functions that it calls.
    pub(crate) functions: Vec<RelationName>,
}

/// User code that touching a relation runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) on_read: Vec<RelationName>,
    pub(crate) on_write: Vec<RelationName>,
    /// A user rule turns statements on it into others.
    pub(crate) rewrites: bool,
}

/// Relations, columns, lineage and user code of one database, at one epoch.
#[derive(Clone, Debug)]
pub struct Catalog {
    pub(crate) epoch: Epoch,
    pub(crate) server_version: u32,
    pub(crate) relations: HashMap<RelationOid, Relation>,
    pub(crate) by_name: HashMap<Arc<str>, Vec<RelationOid>>,
    /// (child, parent)
    pub(crate) inheritance: Vec<(RelationOid, RelationOid)>,
    pub(crate) foreign_keys: Vec<ForeignKey>,
    pub(crate) views: HashMap<RelationOid, View>,
    /// Generated columns and the columns of their relation that they are computed from.
    pub(crate) generated: Vec<(ColumnId, Vec<i16>)>,
    /// (toast table, its owner)
    pub(crate) toast: Vec<(RelationOid, RelationOid)>,
    /// Functions outside pg_catalog, by bare name.
    pub(crate) functions: HashMap<Arc<str>, Vec<RelationName>>,
    /// OID and argument types of each of their overloads.
    pub(crate) overloads: HashMap<RelationName, Vec<(u32, Arc<str>)>>,
    /// Names of functions of pg_catalog.
    pub(crate) built_in: HashSet<Arc<str>>,
    /// Names of pg_catalog functions that some user function could stand in for.
    pub(crate) shadowed: HashSet<Arc<str>>,
    /// Operators by name whose function is user code, and that function.
    pub(crate) operators: HashMap<Arc<str>, Vec<RelationName>>,
    /// Types by name whose values can run user code, and that code.
    pub(crate) casts: HashMap<Arc<str>, Vec<RelationName>>,
    /// The same by the type's number; 0 is any.
    pub(crate) typed: HashMap<u32, Vec<RelationName>>,
    /// User code that every definition runs: event triggers.
    pub(crate) on_ddl: Vec<RelationName>,
    pub(crate) code: HashMap<RelationOid, Code>,
    /// `=` between values of built-in types may be somebody's own operator.
    pub(crate) equality_altered: bool,
}

/// Rows that do not have the shape of [`Catalog::QUERIES`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CatalogError {
    /// Not one result per query.
    #[error("{got} results for {wanted} queries")]
    Results {
        /// Queries.
        wanted: usize,
        /// Results.
        got: usize,
    },
    /// A row of that query cannot be read.
    #[error("a row of query {query:?} cannot be read")]
    Row {
        /// Its name in [`Catalog::QUERIES`].
        query: &'static str,
    },
}

impl Catalog {
    /// (name, SQL), to be run in one repeatable-read transaction with
    /// `search_path = pg_catalog`, results in text format.
    pub const QUERIES: &'static [(&'static str, &'static str)] = queries::QUERIES;

    /// One row, one column; give its answer to [`Epoch::of`]. For polling: it scans the
    /// catalogue tables, some milliseconds for a thousand relations.
    pub const EPOCH_QUERY: &'static str = queries::EPOCH_QUERY;

    /// Builds the snapshot from one result per query, in the order of [`Self::QUERIES`].
    ///
    /// # Errors
    /// If a result is missing or a row has another shape.
    pub fn from_rows(
        epoch: Epoch,
        results: &[Vec<Vec<Option<String>>>],
    ) -> Result<Self, CatalogError> {
        rows::build(epoch, results)
    }

    /// Which state of the catalogue this is.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// `server_version_num`: 150018.
    #[must_use]
    pub fn server_version(&self) -> u32 {
        self.server_version
    }

    /// A relation by its OID.
    #[must_use]
    pub fn relation(&self, oid: RelationOid) -> Option<&Relation> {
        self.relations.get(&oid)
    }

    /// Every relation of that name, whatever its schema.
    pub fn by_name(&self, name: &str) -> impl Iterator<Item = &Relation> {
        self.by_name
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(|oid| self.relations.get(oid))
    }

    /// Whether a value of the type of this number can run user code.
    #[must_use]
    pub fn runs_code(&self, type_oid: u32) -> bool {
        self.typed.contains_key(&type_oid)
    }

    /// How policies name a column.
    #[must_use]
    pub fn column_name(&self, id: ColumnId) -> Option<ColumnName> {
        let relation = self.relations.get(&id.relation)?;
        let column = relation.column(id.attnum)?;
        Some(ColumnName {
            relation: relation.name.clone(),
            column: Arc::clone(&column.name),
        })
    }

    /// The column that a policy names; `None` if there is none, or none any more.
    #[must_use]
    pub fn column_id(&self, name: &ColumnName) -> Option<ColumnId> {
        let relation = self
            .by_name(&name.relation.name)
            .find(|r| r.name.schema == name.relation.schema)?;
        let column = relation.column_named(&name.column)?;
        Some(ColumnId {
            relation: relation.oid,
            attnum: column.attnum,
        })
    }
}
