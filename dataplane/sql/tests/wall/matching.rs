//! Equality with the client's own values, and whatever is more than that.

use weir_facts::{Access, Action};
use weir_sql::StatementKind;

use super::{World, asks, is_ordinary, support};

/// Text, and how many values it compares hidden columns with: nothing else of it is asked.
#[rustfmt::skip]
const MATCHING: &[(&str, u32)] = &[
    ("SELECT id, ssn FROM customers WHERE ssn = '1'", 1),
    ("SELECT id FROM customers c WHERE '1' = c.ssn", 1),
    ("SELECT id FROM customers c WHERE (c).ssn OPERATOR(pg_catalog.=) $1", 1),
    ("SELECT id FROM customers WHERE ssn = $1::text AND tier < 3 AND email = $2", 2),
    ("SELECT id FROM customers WHERE ssn = CAST($1 AS varchar(20))", 1),
    ("SELECT id FROM customers WHERE ssn IN ('1', $1, NULL)", 3),
    ("SELECT id FROM customers WHERE tier = 1 AND (ssn = 'a' AND id > 2)", 1),
    ("SELECT count(*) FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE ssn = 'a')", 1),
    ("SELECT z FROM (SELECT ssn AS z FROM customers) q WHERE z = 'a'", 1),
    ("WITH w AS (SELECT id FROM customers WHERE ssn = 'a') SELECT id FROM w", 1),
    ("SELECT 1 FROM v_contacts WHERE tax_ref = 'a' UNION SELECT 2 FROM customers WHERE email = 'b'", 2),
    ("SELECT id FROM v_nested WHERE deep = '1'", 1),
    ("UPDATE customers SET tier = 2 WHERE ssn = 'a'", 1),
    ("DELETE FROM customers WHERE ssn = 'a' RETURNING id", 1),
];

/// What looks alike and could tell more than equality, or of something else than the column.
#[rustfmt::skip]
const NO_MATCH: &[&str] = &[
    "SELECT id FROM customers WHERE NOT ssn = 'a'",
    "SELECT id FROM customers WHERE ssn <> 'a'",
    "SELECT id FROM customers WHERE ssn NOT IN ('a')",
    "SELECT id FROM customers WHERE ssn = 'a' OR tier = 1",
    "SELECT id FROM customers WHERE (ssn = 'a') = (tier = 1)",
    "SELECT id FROM customers WHERE (ssn = 'a') IS NOT TRUE",
    "SELECT id FROM customers WHERE CASE WHEN ssn = 'a' THEN true END",
    "SELECT id FROM customers WHERE ssn = name",
    "SELECT id FROM customers WHERE ssn = email",
    "SELECT id FROM customers WHERE ssn IN ('a', name)",
    "SELECT id FROM customers WHERE ssn = 'a' || 'b'",
    "SELECT id FROM customers WHERE ssn = lower('A')",
    "SELECT id FROM customers WHERE ssn = (SELECT 'a')",
    "SELECT id FROM customers WHERE ssn = ANY ($1)",
    "SELECT id FROM customers WHERE ssn = ALL ('{a}'::text[])",
    "SELECT id FROM customers WHERE (ssn, id) = ('a', 1)",
    "SELECT id FROM customers WHERE ssn LIKE 'a'",
    "SELECT id FROM customers WHERE ssn ~ 'a'",
    "SELECT id FROM customers WHERE ssn IS NOT DISTINCT FROM 'a'",
    "SELECT id FROM customers WHERE ssn BETWEEN 'a' AND 'a'",
    "SELECT id FROM customers WHERE ssn OPERATOR(public.=) 'a'",
    "SELECT id FROM customers WHERE ssn = 'a'::bpchar",
    "SELECT id FROM customers WHERE ssn = 'a'::public.text",
    "SELECT id FROM customers WHERE ssn = '{a}'::text[]",
    "SELECT id FROM customers WHERE ssn = $1 AND name = $1",
    "SELECT $1::float8, id FROM customers WHERE ssn = $1",
    "SELECT id FROM customers WHERE upper(ssn) = 'A'",
    "SELECT id FROM customers WHERE ssn::text = 'a'",
    "SELECT id FROM customers WHERE ssn COLLATE \"C\" = 'a'",
    "SELECT id FROM customers c WHERE c.ssn[1] = 'a'",
    "SELECT id FROM customers c WHERE c = 'a'",
    "SELECT ssn = 'a' FROM customers",
    "SELECT id FROM customers GROUP BY id, ssn HAVING ssn = 'a'",
    "SELECT id FROM customers ORDER BY ssn = 'a'",
    "SELECT 1 FROM customers c JOIN orders o ON c.ssn = 'a'",
    "SELECT count(*) FILTER (WHERE ssn = 'a') FROM customers",
    "SELECT id FROM v_upper WHERE loud = 'A'",
    "SELECT id FROM derived WHERE tail = 'a'",
    "PREPARE q(float8) AS SELECT id FROM customers WHERE ssn = $1",
    "EXPLAIN SELECT id FROM customers WHERE ssn = 'a'",
    "COPY (SELECT id FROM customers WHERE ssn = 'a') TO STDOUT",
    "CREATE VIEW v AS SELECT id FROM customers WHERE ssn = 'a'",
    "CREATE TABLE t AS SELECT id FROM customers WHERE ssn = 'a'",
];

#[test]
fn equality_with_the_clients_own_values_is_a_match_and_is_counted() {
    let world = World::new();
    for (text, count) in MATCHING {
        let statement = world.one(text);
        assert_eq!(statement.matches, *count, "{text}");
        assert!(asks(&statement, Action::PgMatch), "{text}");
        let is_known = |access: &Access| is_ordinary(access) || access.action == Action::PgMatch;
        assert!(
            statement.accesses.iter().all(is_known),
            "{text}: {:?}",
            statement.accesses
        );
    }
}

#[test]
fn whatever_is_more_than_equality_is_inference() {
    let world = World::new();
    for text in NO_MATCH {
        assert!(asks(&world.one(text), Action::PgInfer), "{text}");
    }
}

#[test]
fn what_is_prepared_or_declared_is_counted_where_it_runs() {
    let world = World::new();
    for text in [
        "PREPARE q AS SELECT id FROM customers WHERE ssn = $1",
        "PREPARE q(text) AS SELECT id FROM customers WHERE ssn = $1",
        "DECLARE q CURSOR FOR SELECT id FROM customers WHERE ssn = 'a'",
    ] {
        let statement = world.one(text);
        let (StatementKind::Prepare { inner, .. } | StatementKind::DeclareCursor { inner, .. }) =
            &statement.kind
        else {
            panic!("{text}: {:?}", statement.kind)
        };
        assert_eq!((statement.matches, inner.matches), (0, 1), "{text}");
        assert!(asks(&statement, Action::PgMatch), "{text}");
        assert!(!asks(&statement, Action::PgInfer), "{text}");
    }
}

#[test]
fn an_operator_or_a_type_of_somebodys_own_ends_matching() {
    let world = World::of(support::fixture::catalog_altered());
    let statement = world.one("SELECT id FROM customers WHERE ssn = 'a'");
    assert!(asks(&statement, Action::PgInfer));
    assert_eq!(statement.matches, 0);
}
