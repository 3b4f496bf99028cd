//! COPY, column by column, or refused.

use weir_facts::{Action, Reveal};
use weir_sql::{CopyForm, CopyFormat, Limits, SessionFacts, StatementKind, analyse};

use super::{World, asks};

#[test]
fn copy_to_the_client_is_predicted_column_by_column() {
    let world = World::new();
    for (text, wanted) in [
        (
            "COPY customers TO STDOUT",
            &["id", "name", "*ssn", "*email", "notes", "tier"][..],
        ),
        ("COPY customers (email, id) TO STDOUT", &["*email", "id"]),
        (
            "COPY (SELECT ssn AS x, id FROM customers) TO STDOUT (FORMAT csv)",
            &["*x", "id"],
        ),
        (
            "COPY (TABLE customers) TO STDOUT (FORMAT binary)",
            &["id", "name", "*ssn", "*email", "notes", "tier"],
        ),
        (
            "COPY (WITH c AS (SELECT * FROM v_contacts) SELECT tax_ref FROM c) TO STDOUT",
            &["*tax_ref"],
        ),
        // `tail` is computed, and COPY does not send it.
        ("COPY derived TO STDOUT", &["id", "*ssn"]),
        ("COPY orders (id) TO STDOUT", &["id"]),
    ] {
        let statement = world.one(text);
        assert!(!asks(&statement, Action::PgInfer), "{text}");
        assert!(asks(&statement, Action::PgCopyTo), "{text}");
        let columns = statement.columns.unwrap_or_else(|| panic!("{text}"));
        let shown: Vec<_> = columns
            .iter()
            .map(|column| {
                let hidden = if column.reveal == Reveal::Clear {
                    ""
                } else {
                    "*"
                };
                assert_eq!(column.type_oid, 25, "{text}");
                format!("{hidden}{}", column.name)
            })
            .collect();
        assert_eq!(shown, wanted, "{text}");
    }
}

#[test]
fn copy_in_doubt_is_not_predicted() {
    let world = World::new();
    let ahead = SessionFacts {
        uncommitted_ddl: true,
    };
    let text = "COPY customers TO STDOUT";
    let statements = analyse(
        text,
        &world.catalog,
        &world.sensitive,
        &ahead,
        &Limits::STANDARD,
    );
    assert_eq!(statements.expect(text)[0].columns, None);
    for text in [
        "COPY (UPDATE customers SET tier = 1 RETURNING ssn) TO STDOUT",
        "COPY customers TO PROGRAM 'cat'",
    ] {
        let statement = world.one(text);
        assert!(statement.sensitive && statement.columns.is_none(), "{text}");
    }
}

#[test]
fn options_of_copy_are_read_or_refused() {
    let world = World::new();
    let form = |options: &str| match world
        .one(&format!("COPY customers TO STDOUT {options}"))
        .kind
    {
        StatementKind::Copy { form, .. } => form,
        other => panic!("{other:?}"),
    };
    let csv = |header, quoted: &[usize]| {
        Some(CopyForm {
            format: CopyFormat::Csv {
                delimiter: b',',
                null: "".into(),
                quote: b'"',
                escape: b'"',
                quoted: quoted.to_vec(),
            },
            header,
        })
    };
    for (options, wanted) in [
        ("CSV", csv(false, &[])),
        ("CSV HEADER FORCE QUOTE ssn, id", csv(true, &[0, 2])),
        (
            "(FORMAT csv, HEADER on, FORCE_QUOTE *)",
            csv(true, &[0, 1, 2, 3, 4, 5]),
        ),
        ("(FORMAT csv, ENCODING 'utf-8')", csv(false, &[])),
        (
            "BINARY",
            Some(CopyForm {
                format: CopyFormat::Binary,
                header: false,
            }),
        ),
        (
            "DELIMITERS '|' NULL ''",
            Some(CopyForm {
                format: CopyFormat::Text {
                    delimiter: b'|',
                    null: "".into(),
                },
                header: false,
            }),
        ),
        ("(ENCODING 'latin1')", None),
        ("(NULL '123-45-6789')", None),
        ("(FORMAT csv, DELIMITER E'\\n')", None),
        ("(FORMAT csv, QUOTE ',')", None),
        ("(FORMAT csv, NULL 'a,b')", None),
        ("(FORMAT csv, FORCE_QUOTE (nobody))", None),
        ("(FORMAT avro)", None),
        ("(FORMAT csv, FORMAT text)", None),
        ("(FORMAT binary, DELIMITER '|')", None),
        ("(DELIMITER 'x')", None),
        ("(FREEZE)", None),
    ] {
        assert_eq!(form(options), wanted, "{options}");
    }
}
