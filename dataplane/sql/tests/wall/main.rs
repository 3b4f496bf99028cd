//! The wall: what keeps a sensitive column bare passes and is hidden, everything else asks.

mod asking;
mod catalogue;
mod copy;
mod matching;
#[path = "../support/mod.rs"]
mod support;

use support::fixture::{catalog, sensitive};
use weir_facts::{Access, Action, Reveal};
use weir_sql::{Catalog, Limits, Refusal, Sensitive, SessionFacts, Statement, analyse};

const SESSION: SessionFacts = SessionFacts {
    uncommitted_ddl: false,
};

struct World {
    catalog: Catalog,
    sensitive: Sensitive,
}

impl World {
    fn new() -> Self {
        Self::of(catalog())
    }

    fn of(catalog: Catalog) -> Self {
        let sensitive = sensitive(&catalog);
        Self { catalog, sensitive }
    }

    fn analyse(&self, text: &str) -> Result<Vec<Statement>, Refusal> {
        analyse(
            text,
            &self.catalog,
            &self.sensitive,
            &SESSION,
            &Limits::STANDARD,
        )
    }

    fn one(&self, text: &str) -> Statement {
        let mut statements = self
            .analyse(text)
            .unwrap_or_else(|refusal| panic!("{refusal}\n{text}"));
        assert_eq!(statements.len(), 1, "{text}");
        statements.remove(0)
    }
}

/// What a principal that may read and write rows, and nothing else, is not asked about.
fn is_ordinary(access: &Access) -> bool {
    matches!(
        access.action,
        Action::PgSelect | Action::PgInsert | Action::PgUpdate | Action::PgDelete
    )
}

fn asks(statement: &Statement, action: Action) -> bool {
    statement
        .accesses
        .iter()
        .any(|access| access.action == action)
}

/// Text, and which of its result columns are hidden.
#[rustfmt::skip]
const HIDDEN: &[(&str, &[bool])] = &[
    ("SELECT ssn AS x FROM customers", &[true]),
    ("SELECT id, ssn, name, email FROM customers", &[false, true, false, true]),
    ("TABLE customers", &[false, false, true, true, false, false]),
    ("SELECT ssn(customers) FROM customers", &[true]),
    ("SELECT (c).ssn, (c.*).email, (c).id FROM customers c", &[true, true, false]),
    ("SELECT (c).* FROM customers c", &[false, false, true, true, false, false]),
    ("SELECT z FROM customers AS t(a, b, z, d)", &[true]),
    ("WITH w(z) AS MATERIALIZED (SELECT ssn FROM customers) SELECT z FROM w", &[true]),
    ("WITH customers AS (SELECT id, ssn AS name FROM customers) SELECT name FROM customers", &[true]),
    ("SELECT name FROM (SELECT ssn AS name, name AS ssn FROM customers) q", &[true]),
    ("SELECT ssn FROM (SELECT ssn AS name, name AS ssn FROM customers) q", &[false]),
    ("SELECT tax_ref, contact FROM v_contacts", &[true, true]),
    ("SELECT deep, id FROM v_nested", &[true, false]),
    ("SELECT * FROM v_upper", &[false, true]),
    ("SELECT * FROM v_row", &[false, true]),
    ("SELECT * FROM v_names", &[false, false]),
    ("SELECT * FROM accounts", &[false, true, false]),
    ("SELECT * FROM events", &[false, false, true]),
    ("SELECT * FROM derived", &[false, true, true]),
    ("SELECT w.ssn FROM wide w", &[true]),
    ("SELECT c.ssn, l.e FROM customers c, LATERAL (SELECT c.email AS e) l", &[true, true]),
    ("UPDATE customers SET tier = 1 RETURNING id, ssn", &[false, true]),
    ("UPDATE customers SET tier = 1 RETURNING old.ssn, new.ssn, new.id", &[true, true, false]),
    ("DELETE FROM accounts WHERE id = 10 RETURNING owner_ssn AS z", &[true]),
    ("INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'y' RETURNING ssn AS z", &[true]),
    ("WITH d AS (DELETE FROM customers RETURNING *) SELECT ssn FROM d", &[true]),
    ("SELECT E'\\'' AS a, U&'d\\0061t\\+000061' AS b, 'a'\n'b' AS c, ssn AS z FROM customers", &[false, false, false, true]),
    ("SELECT\u{c}ssn AS z FROM customers", &[true]),
    ("SELECT ssn /* , 1 */ -- FROM decoy\n FROM customers", &[true]),
    ("SELECT U&\"\\0073sn\" FROM \"customers\"", &[true]),
    ("SELECT SSN FROM CUSTOMERS", &[true]),
];

#[test]
fn bare_columns_pass_and_are_hidden() {
    let world = World::new();
    for (text, wanted) in HIDDEN {
        let statement = world.one(text);
        assert!(statement.sensitive, "{text}");
        assert!(
            statement.accesses.iter().all(is_ordinary),
            "{text}: {:?}",
            statement.accesses
        );
        let columns = statement
            .columns
            .unwrap_or_else(|| panic!("no prediction: {text}"));
        let hidden: Vec<bool> = columns
            .iter()
            .map(|column| column.reveal != Reveal::Clear)
            .collect();
        assert_eq!(hidden, *wanted, "{text}");
    }
}

#[test]
fn ordinary_statements_mostly_need_nothing_special() {
    let world = World::new();
    let (mut all, mut passed, mut stopped) = (0, 0, Vec::new());
    for text in support::ordinary() {
        all += 1;
        let statement = world.one(text);
        let forbids = |access: &&Access| {
            matches!(
                access.action,
                Action::PgInfer | Action::PgUnknown | Action::PgCall | Action::PgSet
            )
        };
        match statement.accesses.iter().find(forbids) {
            None => passed += 1,
            Some(access) => stopped.push(format!("{text}: {access:?}")),
        }
    }
    assert!(all >= 120);
    assert!(
        passed * 100 >= all * 95,
        "{passed} of {all}\n{}",
        stopped.join("\n")
    );
}

#[test]
fn whether_what_changes_is_chosen_is_told_of_every_part() {
    let world = World::new();
    for (text, chosen) in [
        ("INSERT INTO customers (id) VALUES (1)", false),
        (
            "INSERT INTO customers (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = 'x'",
            true,
        ),
        (
            "WITH d AS (DELETE FROM orders) INSERT INTO decoy VALUES (1) ON CONFLICT DO NOTHING",
            false,
        ),
        (
            "WITH d AS (DELETE FROM orders RETURNING id) SELECT id FROM d WHERE id = 1",
            false,
        ),
        (
            "WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING id) SELECT id FROM d",
            true,
        ),
        (
            "WITH d AS (DELETE FROM orders) UPDATE customers SET name = 'x' WHERE id = 1",
            false,
        ),
        (
            "WITH d AS (SELECT 1) UPDATE customers SET name = 'x' WHERE id = 1",
            true,
        ),
        ("WITH d AS (SELECT 1) SELECT * FROM d", false),
        ("SELECT nextval('orders_id_seq')", true),
        ("SELECT setval('orders_id_seq', 7)", true),
        ("SELECT nextval('orders_id_seq') FROM orders", false),
        (
            "SELECT nextval('orders_id_seq'), (SELECT count(*) FROM orders)",
            false,
        ),
        ("SELECT nextval('orders_id_seq'), f1(1)", false),
        (
            "WITH d AS (DELETE FROM orders) SELECT nextval('orders_id_seq')",
            false,
        ),
    ] {
        assert_eq!(world.one(text).has_where, chosen, "{text}");
    }
}

#[test]
fn what_a_change_reads_is_asked_as_reading() {
    let world = World::new();
    let reads = |text: &str| {
        let wanted = Access {
            action: Action::PgSelect,
            resource: support::table("public", "customers"),
        };
        world.one(text).accesses.contains(&wanted)
    };
    for text in [
        "UPDATE customers SET tier = tier + 1",
        "UPDATE customers SET tier = 1 WHERE id = 1",
        "DELETE FROM customers WHERE id = 1",
        "UPDATE customers SET tier = 1 RETURNING id",
        "DELETE FROM customers RETURNING id",
        "INSERT INTO customers (id, name) VALUES (1, 'x') RETURNING id",
    ] {
        assert!(reads(text), "{text}");
    }
    for text in [
        "UPDATE customers SET tier = 1",
        "DELETE FROM customers",
        "INSERT INTO customers (id, name) VALUES (1, 'x')",
    ] {
        assert!(!reads(text), "{text}");
    }
}

#[test]
fn a_parameter_that_names_a_setting_is_told() {
    let world = World::new();
    let jit = world.one("SELECT set_config('jit', $1, false)");
    assert_eq!(jit.accesses, []);

    let world = World::new();
    let text = "SELECT current_setting($2), current_setting($1::varchar, true), $3";
    let statement = world.one(text);
    assert_eq!(statement.accesses, []);
    assert_eq!(statement.settings, [1, 2]);
    let cursor = world.one("DECLARE c CURSOR FOR SELECT current_setting($1)");
    assert_eq!(cursor.settings, [1]);
}

#[test]
fn writing_near_sensitive_rows_hides_error_texts() {
    let world = World::new();
    for text in [
        "INSERT INTO customers (id, name) VALUES (1, 'x')",
        "DELETE FROM orders WHERE id = 1",
        "DELETE FROM order_items WHERE line = 1",
        "UPDATE v_names SET name = 'x'",
        "INSERT INTO accounts (id) VALUES (1)",
        "ALTER TABLE customers ADD UNIQUE (name)",
        "SELECT id FROM v_names",
        "COMMIT",
        "SELECT f1()",
        "DO $$ BEGIN END $$",
    ] {
        assert!(world.one(text).sensitive, "{text}");
    }
    for text in [
        "SELECT 1",
        "SELECT * FROM orders",
        "INSERT INTO decoy VALUES (1)",
        "BEGIN",
        "SELECT relname FROM pg_class",
    ] {
        assert!(!world.one(text).sensitive, "{text}");
    }
}

#[test]
fn truncate_cascade_names_whatever_it_empties() {
    let world = World::new();
    let statement = world.one("TRUNCATE customers CASCADE");
    for name in ["customers", "accounts", "orders", "order_items"] {
        let wanted = Access {
            action: Action::PgTruncate,
            resource: support::table("public", name),
        };
        assert!(statement.accesses.contains(&wanted), "{name}");
    }
    assert_eq!(
        world
            .one("TRUNCATE customers")
            .accesses
            .iter()
            .filter(|a| a.action == Action::PgTruncate)
            .count(),
        1
    );
}

#[test]
fn statements_of_one_text_are_told_apart() {
    let world = World::new();
    let text = " SELECT 1 ;\n /* é */ SELECT ssn AS x FROM customers WHERE id = 7; SELECT 2";
    let statements = world.analyse(text).expect("three statements");
    let spans: Vec<&str> = statements.iter().map(|s| &text[s.span.clone()]).collect();
    assert_eq!(spans.len(), 3);
    assert_eq!(spans[0], "SELECT 1");
    assert!(
        spans[1].ends_with("SELECT ssn AS x FROM customers WHERE id = 7"),
        "{:?}",
        spans[1]
    );
    assert_eq!(spans[2], "SELECT 2");
    assert_eq!(
        statements[1].normalised,
        "SELECT ssn AS x FROM customers WHERE id = $1"
    );
    assert!(statements[1].has_where && statements[1].is_plain_read);
    assert_eq!(world.analyse(" -- nothing\n ;; "), Ok(Vec::new()));
}

#[test]
fn with_nothing_labelled_everything_ordinary_is_free() {
    let catalog = catalog();
    let nothing = Sensitive::close(&catalog, [], &weir_sql::Unlabelled::Clear);
    let statements = analyse(
        "SELECT upper(ssn) FROM customers WHERE ssn > '5'",
        &catalog,
        &nothing,
        &SESSION,
        &Limits::STANDARD,
    );
    let statement = statements.expect("it is analysed").remove(0);
    assert!(!statement.sensitive && statement.accesses.iter().all(is_ordinary));
}

#[test]
fn unlabelled_columns_are_hidden_where_that_is_the_default() {
    let catalog = catalog();
    let clear = [(support::column("public.orders.id"), Reveal::Clear)];
    let hidden = Sensitive::close(
        &catalog,
        clear,
        &weir_sql::Unlabelled::Hidden(support::mask("redact")),
    );
    let statement = analyse(
        "SELECT id, status FROM orders",
        &catalog,
        &hidden,
        &SESSION,
        &Limits::STANDARD,
    );
    let columns = statement
        .expect("it is analysed")
        .remove(0)
        .columns
        .expect("a prediction");
    assert_eq!(columns[0].reveal, Reveal::Clear);
    assert_ne!(columns[1].reveal, Reveal::Clear);
}
