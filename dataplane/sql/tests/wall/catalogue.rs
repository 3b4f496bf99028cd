//! What names mean: by the catalogue, by trust, and where neither tells.

use weir_facts::{Access, Action, RelationName, Resource};
use weir_sql::{Limits, Refusal, SessionFacts, Statement, Vouched, analyse};

use super::support::{self, fixture::catalog_with};
use super::{World, asks};

#[test]
fn a_function_that_is_vouched_for_is_known_by_name_and_argument_types() {
    let mut world = World::new();
    let vouched = |name: &str, arguments: &str| Vouched {
        name: RelationName {
            schema: "public".into(),
            name: name.into(),
        },
        arguments: arguments.into(),
    };
    let calls = |world: &World, text: &str| asks(&world.one(text), Action::PgCall);
    let similar = "SELECT id, ssn, similarity(name, 'x') FROM customers";
    assert!(calls(&world, similar));
    let all = [
        vouched("similarity", "text, text"),
        vouched("f1", "text"),
        vouched("twice", "integer"),
    ];
    world.sensitive = world.sensitive.vouching(&world.catalog, &all);
    assert!(!calls(&world, similar));
    assert!(!calls(
        &world,
        "SELECT public.similarity('a', 'b') FROM customers"
    ));
    // What it is given is still inferred.
    let inferring = world.one("SELECT similarity(ssn, 'x') FROM customers");
    assert!(asks(&inferring, Action::PgInfer));
    // Other argument types, an overload that nobody vouches for, another schema.
    assert!(calls(&world, "SELECT f1(1)"));
    assert!(calls(&world, "SELECT twice(1)"));
    assert!(calls(&world, "SELECT shadow.similarity('a', 'b')"));
    let all = [vouched("twice", "integer"), vouched("twice", "text")];
    world.sensitive = world.sensitive.vouching(&world.catalog, &all);
    assert!(!calls(&world, "SELECT twice(1)"));
    assert!(calls(&world, similar), "the last word counts");
}

#[test]
fn a_user_object_with_a_built_in_name_is_not_trusted() {
    let (plain, shadowed) = (World::new(), World::of(catalog_with(true)));
    for text in ["SELECT lower('x'::text)", "SELECT 1 + 1"] {
        assert!(!asks(&plain.one(text), Action::PgCall), "{text}");
        assert!(asks(&shadowed.one(text), Action::PgCall), "{text}");
    }
    assert!(!asks(
        &shadowed.one("SELECT pg_catalog.lower('x')"),
        Action::PgCall
    ));
    // What a row of somebody's own says is no setting's name.
    let text = "SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'work_mem'";
    assert!(!asks(&plain.one(text), Action::PgCall));
    assert!(asks(&shadowed.one(text), Action::PgCall));
    // An extension's overload for its own type shadows nothing.
    assert!(!asks(
        &shadowed.one("SELECT replace(name, 'a', 'b') FROM customers"),
        Action::PgCall
    ));
}

#[test]
fn unqualified_names_mean_every_relation_of_that_name() {
    let statement = World::new().one("SELECT id FROM decoy");
    for schema in ["public", "shadow"] {
        let wanted = Access {
            action: Action::PgSelect,
            resource: support::table(schema, "decoy"),
        };
        assert!(statement.accesses.contains(&wanted));
    }
    assert_eq!(
        World::new()
            .one("SELECT id FROM shadow.decoy")
            .accesses
            .len(),
        1
    );
}

#[test]
fn relations_that_are_not_in_the_catalogue_ask_for_a_newer_one() {
    let refusal = World::new().analyse("SELECT * FROM s.nowhere");
    let (name, at) = ("s.nowhere".into(), Some(14));
    assert_eq!(refusal, Err(Refusal::UnknownRelation { name, at }));
}

#[test]
fn nothing_is_what_it_seems_after_uncommitted_ddl() {
    let world = World::new();
    let session = SessionFacts {
        uncommitted_ddl: true,
    };
    for text in [
        "SELECT id FROM orders",
        "SELECT x FROM not_yet",
        "UPDATE orders SET total = 1",
        "SELECT * FROM not_yet",
    ] {
        let statements = analyse(
            text,
            &world.catalog,
            &world.sensitive,
            &session,
            &Limits::STANDARD,
        )
        .expect(text);
        assert!(
            asks(&statements[0], Action::PgUnknown) && statements[0].sensitive,
            "{text}"
        );
    }
}

#[test]
fn what_is_not_there_yet_is_asked_as_it_is_written() {
    let world = World::new();
    let session = SessionFacts {
        uncommitted_ddl: true,
    };
    for (text, action) in [
        ("SELECT x FROM not_yet", Action::PgSelect),
        ("INSERT INTO not_yet VALUES (1)", Action::PgInsert),
        ("UPDATE not_yet SET x = 1", Action::PgUpdate),
        ("DELETE FROM not_yet", Action::PgDelete),
        ("TRUNCATE not_yet", Action::PgTruncate),
        ("DROP TABLE not_yet", Action::PgDropTable),
        ("ALTER TABLE not_yet ADD y int", Action::PgAlterTable),
        ("CREATE INDEX ON not_yet (x)", Action::PgCreateIndex),
        ("COPY not_yet FROM STDIN", Action::PgCopyFrom),
        ("COPY not_yet TO STDOUT", Action::PgCopyTo),
        ("LOCK not_yet", Action::PgLock),
        ("VACUUM not_yet", Action::PgMaintain),
        ("GRANT SELECT ON not_yet TO app", Action::PgGrant),
        (
            "MERGE INTO not_yet USING orders o ON true WHEN MATCHED THEN DELETE",
            Action::PgDelete,
        ),
    ] {
        let limits = Limits::STANDARD;
        let statements = analyse(text, &world.catalog, &world.sensitive, &session, &limits);
        let statements = statements.expect(text);
        let [statement] = statements.as_slice() else {
            panic!("{text}: {statements:?}")
        };
        for action in [action, Action::PgUnknown] {
            let asked = Access {
                action,
                resource: support::table("", "not_yet"),
            };
            assert!(
                statement.accesses.contains(&asked),
                "{text}: {action} is not in {:?}",
                statement.accesses
            );
        }
    }
}

#[test]
fn a_text_that_is_not_read_is_unknown_whatever_else_is_known_of_it() {
    let known = Access {
        action: Action::PgCall,
        resource: Resource::Connection,
    };
    let statement = Statement::unread("SELEC 'x' 1", [known.clone()], &Limits::STANDARD);
    assert!(asks(&statement, Action::PgUnknown));
    assert!(statement.accesses.contains(&known));
    assert!(statement.changes_catalog && !statement.is_plain_read);
    assert!(
        !statement.normalised.contains('x'),
        "{}",
        statement.normalised
    );
    let explained = World::new().one("EXPLAIN ANALYZE EXECUTE s");
    assert!(asks(&explained, Action::PgUnknown));
    // Nothing runs where only the plan is asked for; that may be seen by the statement's name.
    let planned = World::new().one("EXPLAIN EXECUTE s");
    assert!(!asks(&planned, Action::PgUnknown) && planned.sensitive);
}
