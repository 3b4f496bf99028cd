#![no_main]
//! Any text against an empty catalogue: statements or a refusal, never a panic.

use libfuzzer_sys::fuzz_target;
use weir_sql::{Catalog, Epoch, Limits, Sensitive, SessionFacts, analyse};

fuzz_target!(|text: &str| {
    let empty = vec![Vec::new(); Catalog::QUERIES.len()];
    let Ok(catalog) = Catalog::from_rows(Epoch(0), &empty) else {
        return;
    };
    let session = SessionFacts {
        uncommitted_ddl: false,
    };
    let _ = analyse(
        text,
        &catalog,
        &Sensitive::default(),
        &session,
        &Limits::STANDARD,
    );
});
