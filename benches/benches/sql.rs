//! Statement to facts. Twin: PostgreSQL's own parser alone, which every analysis runs.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use weir_sql::{Limits, SessionFacts, analyse};

// The catalogue of weir-sql's own tests.
#[path = "../../dataplane/sql/tests/support/mod.rs"]
mod support;

const SESSION: SessionFacts = SessionFacts {
    uncommitted_ddl: false,
};

const STATEMENTS: [(&str, &str); 4] = [
    ("by key", "SELECT total FROM orders WHERE id = 4711"),
    (
        "masked",
        "SELECT id, name, ssn FROM customers WHERE id = 4711",
    ),
    (
        "join",
        "SELECT o.id, o.total, i.sku, i.qty FROM orders o JOIN order_items i ON i.order_id = o.id WHERE o.status = 'open' AND o.total > 100 ORDER BY o.created_at DESC LIMIT 20",
    ),
    (
        "update",
        "UPDATE orders SET status = 'paid', total = 12 WHERE id = 4711",
    ),
];

fn statements(c: &mut Criterion) {
    let catalog = support::fixture::catalog();
    let sensitive = support::fixture::sensitive(&catalog);
    let mut group = c.benchmark_group("sql");
    for (name, text) in STATEMENTS {
        group.bench_function(format!("analyse {name}"), |b| {
            b.iter(|| {
                analyse(
                    black_box(text),
                    &catalog,
                    &sensitive,
                    &SESSION,
                    &Limits::STANDARD,
                )
                .expect("fixed input")
            });
        });
        group.bench_function(format!("twin: parse alone {name}"), |b| {
            b.iter(|| pg_raw_parse::parse(black_box(text)).expect("fixed input"))
        });
    }
    group.finish();
}

criterion_group!(benches, statements);
criterion_main!(benches);
