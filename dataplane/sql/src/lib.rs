//! SQL statements to facts: what a statement touches, and where each of its result
//! columns comes from, by PostgreSQL's own grammar and a snapshot of the catalogue.
//!
//! It never opens a connection, never reads a clock and never decides: it turns text into
//! [`Access`](weir_facts::Access) pairs for policy and predicts the row description for
//! masking. Whatever it does not understand becomes `pg.unknown` or a [`Refusal`].
//!
//! - [`Catalog`]: relations, columns, lineage of views, inheritance, foreign keys, user code.
//!   The shell runs [`Catalog::QUERIES`] and hands the rows in.
//! - [`Sensitive`]: the columns that must not reach the client as they are, closed over the
//!   catalogue.
//! - [`analyse()`]: text to [`Statement`]s. Start there.
//!
//! The wall: a statement that reads sensitive columns is predicted only where they are bare
//! output columns. Everywhere else each of them is a `pg.infer`, or a `pg.match` where it is
//! compared for equality with the client's own values, which are counted.
//!
//! Names are resolved without `search_path`: an unqualified name means every relation of
//! that name, and a function or operator is trusted only while no user object shares its
//! name. So a session may set `search_path` as it likes.

pub mod limits;

mod analyse;
mod catalog;
mod copy;
mod normalise;
mod position;
mod refusal;
mod sensitive;
mod statement;
mod trust;
mod walk;

pub use analyse::analyse;
pub use catalog::{Catalog, CatalogError, Column, Epoch, Generated, Relation, RelationKind};
pub use copy::{CopyForm, CopyFormat};
pub use limits::Limits;
pub use refusal::Refusal;
pub use sensitive::{Mark, Sensitive, Unlabelled, Vouched};
pub use statement::{
    CopyDirection, MatchFamily, MatchParameter, OutputColumn, SessionFacts, Statement,
    StatementKind, TransactionEffect,
};
