//! Laws over any text: no panic, bounded depth, nothing unread.

mod support;

use std::thread;

use proptest::prelude::*;
use support::fixture::{catalog, sensitive};
use weir_facts::Action;
use weir_sql::{Catalog, Limits, Refusal, Sensitive, SessionFacts, Statement, analyse};

const SESSION: SessionFacts = SessionFacts {
    uncommitted_ddl: false,
};

fn run(text: &str, catalog: &Catalog, sensitive: &Sensitive) -> Result<Vec<Statement>, Refusal> {
    analyse(text, catalog, sensitive, &SESSION, &Limits::STANDARD)
}

/// What a worker's thread has.
const STACK_BYTES: usize = 2 * 1024 * 1024;

fn on_a_small_stack(f: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, f)
            .expect("a thread");
        thread.join().expect("it returns");
    });
}

fn bombs(levels: usize) -> Vec<String> {
    let wrap = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
    };
    let chain = |first: &str, next: &str| format!("{first}{}", next.repeat(levels));
    vec![
        format!("SELECT {}", wrap("(", "1", ")")),
        format!("SELECT {}", wrap("(SELECT ", "1", ")")),
        format!("SELECT {}", wrap("CASE WHEN true THEN ", "1", " END")),
        format!("SELECT {}", wrap("abs(", "1", ")")),
        format!("SELECT {}", wrap("ARRAY[", "1", "]")),
        format!("SELECT {}", wrap("NOT (", "true", ")")),
        format!("SELECT {}", chain("1", " + 1")),
        format!("SELECT {}", chain("1", "::int")),
        format!("SELECT {}", chain("x", "[1]")),
        format!("SELECT {}", chain("x", " COLLATE \"C\"")),
        format!("SELECT {}", chain("1", " IS NULL")),
        format!("SELECT {} 1", "- ".repeat(levels)),
        format!("SELECT {}", chain("true", " AND true")),
        format!("SELECT {}", chain("true", " OR true AND NOT false")),
        format!("SELECT 1 IN ({})", chain("1", ", 1")),
        format!("SELECT {}", chain("1", " UNION ALL SELECT 1")),
        format!("SELECT * FROM {}", wrap("(SELECT * FROM ", "decoy", ") q")),
        format!("SELECT * FROM {}", chain("decoy", " CROSS JOIN decoy")),
        format!("SELECT * FROM {}", wrap("(", "decoy", " CROSS JOIN decoy)")),
        format!(
            "{} SELECT 1",
            wrap("WITH a AS (", "SELECT 1", ") SELECT 1").trim_end_matches(" SELECT 1")
        ),
        format!("SELECT 1 ORDER BY {}", wrap("(", "1", ")")),
        format!("SELECT 1 GROUP BY {}", wrap("ROLLUP (", "1", ")")),
        format!("{} SELECT 1", "EXPLAIN ".repeat(levels)),
        format!("SELECT {}", wrap("json_object('a': ", "1", ")")),
        "SELECT 1; ".repeat(levels),
        format!("SELECT '{}'", "'".repeat(levels * 2)),
        "/*".repeat(levels),
        "$a$".repeat(levels),
    ]
}

#[test]
fn depth_bombs_are_refused_or_read_on_a_small_stack() {
    let catalog = catalog();
    let sensitive = sensitive(&catalog);
    for levels in [10, 100, 240, 260, 1_000, 4_000, 10_000, 30_000] {
        for text in bombs(levels) {
            on_a_small_stack(|| {
                let _ = run(&text, &catalog, &sensitive);
            });
        }
    }
}

#[test]
fn what_people_write_is_not_too_deep() {
    let catalog = catalog();
    let sensitive = sensitive(&catalog);
    for text in [
        format!("SELECT {}", vec!["name"; 2_000].join(" || ")),
        format!(
            "SELECT id FROM orders WHERE {}",
            vec!["id = 1"; 2_000].join(" OR ")
        ),
        format!(
            "SELECT id FROM orders WHERE id IN ({})",
            vec!["1"; 10_000].join(",")
        ),
        vec!["SELECT 1"; 1_000].join(" UNION ALL "),
        format!(
            "INSERT INTO decoy VALUES {}",
            vec!["(1, 'x')"; 5_000].join(",")
        ),
        format!("SELECT {}1{}", "(".repeat(1_000), ")".repeat(1_000)),
        format!("SELECT {}1{}", "abs(".repeat(200), ")".repeat(200)),
    ] {
        let head: String = text.chars().take(60).collect();
        on_a_small_stack(|| {
            run(&text, &catalog, &sensitive).unwrap_or_else(|refusal| panic!("{head}: {refusal}"));
        });
    }
}

#[test]
fn limits_are_refusals() {
    let catalog = catalog();
    let sensitive = sensitive(&catalog);
    let long = format!("SELECT '{}'", "x".repeat(Limits::STANDARD.text_bytes_max));
    assert!(matches!(
        run(&long, &catalog, &sensitive),
        Err(Refusal::TooLong { .. })
    ));
    assert_eq!(
        run(
            "SELECT 1\0; SELECT ssn FROM customers",
            &catalog,
            &sensitive
        ),
        Err(Refusal::Nul)
    );
    let deep = format!("SELECT {}1{}", "abs(".repeat(300), ")".repeat(300));
    assert!(matches!(
        run(&deep, &catalog, &sensitive),
        Err(Refusal::TooDeep { .. })
    ));
    let many = "SELECT 1;".repeat(Limits::STANDARD.statements_max + 1);
    assert_eq!(
        run(&many, &catalog, &sensitive),
        Err(Refusal::TooMany { what: "statements" })
    );
    let stars = format!("SELECT {} FROM customers", vec!["*"; 20_000].join(","));
    assert_eq!(
        run(&stars, &catalog, &sensitive),
        Err(Refusal::TooMany { what: "columns" })
    );
    assert!(matches!(
        run("SELEC 1", &catalog, &sensitive),
        Err(Refusal::Syntax { .. })
    ));
}

#[test]
fn strings_that_escape_out_of_utf8_are_refused() {
    let catalog = catalog();
    let sensitive = sensitive(&catalog);
    for text in [
        "SET application_name = E'\\xff'",
        "SELECT set_config(E'\\xff', 'x', false)",
        "SELECT nextval(E'\\377')",
    ] {
        assert!(
            matches!(run(text, &catalog, &sensitive), Err(Refusal::Syntax { .. })),
            "{text}"
        );
    }
}

/// Pieces that statements are made of, for texts that the grammar often accepts.
fn piece() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "SELECT",
        "FROM",
        "WHERE",
        "customers",
        "c",
        "ssn",
        "email",
        "id",
        "*",
        ",",
        "(",
        ")",
        ".",
        "JOIN",
        "ON",
        "USING",
        "UNION",
        "ALL",
        "WITH",
        "AS",
        "RECURSIVE",
        "INSERT INTO",
        "VALUES",
        "UPDATE",
        "SET",
        "DELETE FROM",
        "RETURNING",
        "ORDER BY",
        "GROUP BY",
        "DISTINCT",
        "LIMIT",
        "1",
        "'x'",
        "$1",
        "=",
        "||",
        "::text",
        "upper",
        "count",
        "v_contacts",
        "decoy",
        "LATERAL",
        "NATURAL",
        "CASE WHEN",
        "THEN",
        "END",
        "EXISTS",
        "IN",
        "ARRAY",
        "[1]",
        "ROW",
        "COPY",
        "TO STDOUT",
        "EXPLAIN ANALYZE",
        "CREATE VIEW v AS",
        "ALTER TABLE customers",
        "RENAME",
        "ADD COLUMN x int",
        "MERGE INTO",
        ";",
        "WHEN MATCHED THEN",
        "DO NOTHING",
        "ON CONFLICT",
        "FOR UPDATE",
        "TABLE",
        "GRANT",
        "E'\\xff'",
        "U&'\\0041'",
        "$$",
        "--",
    ]);
    words.prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let catalog = catalog();
        let sensitive = sensitive(&catalog);
        let _ = run(&text, &catalog, &sensitive);
    }

    #[test]
    fn no_heap_of_words_panics_and_spans_stay_in_order(words in prop::collection::vec(piece(), 1..40)) {
        let catalog = catalog();
        let sensitive = sensitive(&catalog);
        let text = words.join(" ");
        if let Ok(statements) = run(&text, &catalog, &sensitive) {
            let mut end = 0;
            for statement in statements {
                prop_assert!(statement.span.start >= end && text.get(statement.span.clone()).is_some());
                prop_assert!(statement.normalised.len() <= Limits::STANDARD.normalised_bytes_max);
                prop_assert!(statement.accesses.is_sorted());
                end = statement.span.end;
            }
        }
    }

    /// Cutting or changing an ordinary statement never reveals more without asking: a result
    /// column whose only origins are sensitive is hidden, or something was asked.
    #[test]
    fn mutated_statements_hide_what_they_carry(
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        insert in piece(),
    ) {
        let catalog = catalog();
        let sensitive = sensitive(&catalog);
        let all: Vec<&str> = support::ordinary().collect();
        let words: Vec<&str> = at.get(&all).split(' ').collect();
        let position = cut.index(words.len());
        let mut changed: Vec<&str> = words.clone();
        changed[position] = &insert;
        for text in [changed.join(" "), words[..position].join(" ")] {
            for statement in run(&text, &catalog, &sensitive).unwrap_or_default() {
                let asked = statement.accesses.iter().any(|a| matches!(a.action, Action::PgInfer | Action::PgUnknown));
                for column in statement.columns.into_iter().flatten() {
                    let carries = column.origins.iter().all(|origin| sensitive.mark(*origin).is_some());
                    prop_assert!(!carries || column.reveal != weir_facts::Reveal::Clear || asked, "{text}");
                }
            }
        }
    }
}
