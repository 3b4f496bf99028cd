//! What the tests share: statements, labels, and a catalogue made by hand.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod fixture;

use std::sync::Arc;

use weir_facts::{ColumnName, PolicyId, RelationName, Resource, Reveal};

/// Statements that people and programs send, one a line.
pub(crate) fn ordinary() -> impl Iterator<Item = &'static str> {
    include_str!("../data/ordinary.sql")
        .lines()
        .filter(|line| !line.is_empty())
}

/// What psql 15 asks behind its backslash commands.
pub(crate) fn psql() -> impl Iterator<Item = &'static str> {
    include_str!("../data/psql.sql")
        .split("-- @step\n")
        .filter(|text| !text.trim().is_empty())
}

/// What drivers ask by themselves when they connect, meet a type, reflect a table, reset a
/// session or dump: psycopg 3, asyncpg, SQLAlchemy, Django, node's pg and postgres, pgjdbc, pgx
/// and pg_dump, as a server of version 15 was asked by them.
pub(crate) fn drivers() -> impl Iterator<Item = &'static str> {
    include_str!("../data/drivers.sql")
        .split("-- @step\n")
        .filter(|text| !text.trim().is_empty())
}

pub(crate) fn table(schema: &str, name: &str) -> Resource {
    Resource::Table(RelationName {
        schema: schema.into(),
        name: name.into(),
    })
}

pub(crate) fn column(path: &str) -> ColumnName {
    let [schema, relation, column]: [&str; 3] = path
        .split('.')
        .collect::<Vec<_>>()
        .try_into()
        .expect("schema.relation.column");
    ColumnName {
        relation: RelationName {
            schema: schema.into(),
            name: relation.into(),
        },
        column: column.into(),
    }
}

pub(crate) fn mask(rule: &str) -> Reveal {
    Reveal::Mask(rule.parse().expect(rule), PolicyId(Arc::from("hide")))
}

/// The labels of every test.
pub(crate) fn labels() -> Vec<(ColumnName, Reveal)> {
    vec![
        (column("public.customers.ssn"), mask("keep_last:4")),
        (column("public.customers.email"), mask("partial_email")),
        (column("public.derived.ssn"), mask("keep_last:4")),
        (column("public.events.subject_ssn"), mask("redact")),
    ]
}
