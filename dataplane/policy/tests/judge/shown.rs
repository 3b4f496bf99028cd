//! What is masked, matched and counted.

use weir_facts::{
    Access, Action, ConnectionName, Group, MaskRule, Principal, Resource, Reveal, Verdict,
};
use weir_policy::{Crossing, Directory, Judgement, Level, Rate, Unlabelled};

use super::{
    column, cx, groups, ids, judge, on_table, pg, snapshot, snapshot_with, user, workload,
};

#[test]
fn a_mask_that_errors_shows_nothing() {
    let snapshot = snapshot(
        "@id(\"yes\") permit(principal, action, resource);\n\
         @id(\"errs\") @effect(\"mask\") @mask(\"redact\")\n\
         forbid(principal, action == Weir::Action::\"pg.reveal\", resource)\n\
         when { context.clock.hour + 9223372036854775807 > 0 };",
    );
    assert!(matches!(
        snapshot.reveal(&user(&[]), &pg(), &column("ssn"), &cx()),
        Reveal::Deny(_)
    ));
}

#[test]
fn the_strictest_mask_wins_and_deny_wins_over_masks() {
    let snapshot = snapshot(
        "@id(\"see\") permit(principal in Weir::Group::\"eng\", action == Weir::Action::\"pg.reveal\", resource);\n\
         @id(\"four\") @effect(\"mask\") @mask(\"keep_last:4\") forbid(principal, action == Weir::Action::\"pg.reveal\", resource in Weir::DataClass::\"ssn\");\n\
         @id(\"two\") @effect(\"mask\") @mask(\"keep_last:2\") forbid(principal, action == Weir::Action::\"pg.reveal\", resource in Weir::DataClass::\"pii\") unless { principal in Weir::Group::\"four\" };\n\
         @id(\"no\") @reason(\"not you\") forbid(principal in Weir::Group::\"out\", action == Weir::Action::\"pg.reveal\", resource);",
    );
    let reveal =
        |names: &[&str], name: &str| snapshot.reveal(&user(names), &pg(), &column(name), &cx());
    let Reveal::Mask(rule, by) = reveal(&["eng"], "ssn") else {
        panic!()
    };
    assert_eq!((rule, &*by.0), (MaskRule::KeepLast(2), "two"));
    let Reveal::Mask(rule, by) = reveal(&["eng", "four"], "ssn") else {
        panic!()
    };
    assert_eq!((rule, &*by.0), (MaskRule::KeepLast(4), "four"));
    assert_eq!(reveal(&["eng"], "open"), Reveal::Clear);
    assert_eq!(reveal(&["eng"], "unheard_of"), Reveal::Clear);
    let Reveal::Deny(denial) = reveal(&["eng", "out"], "ssn") else {
        panic!()
    };
    assert_eq!(&*denial.outside, "not you");
    assert!(
        matches!(reveal(&[], "open"), Reveal::Deny(_)),
        "nothing permits"
    );
}

#[test]
fn an_unlabelled_column_has_its_connections_default() {
    let snapshot = snapshot(
        "@id(\"see\") permit(principal, action == Weir::Action::\"pg.reveal\", resource);\n\
         @id(\"one\") @effect(\"mask\") @mask(\"keep_last:1\") forbid(principal, action == Weir::Action::\"pg.reveal\", resource is Weir::Column) when { resource.name == \"strict\" };",
    );
    let other = ConnectionName::new("other");
    let reveal = |name: &str| snapshot.reveal(&user(&[]), &other, &column(name), &cx());
    let Reveal::Mask(rule, by) = reveal("new") else {
        panic!()
    };
    assert_eq!(
        (rule, &*by.0),
        (MaskRule::KeepLast(2), "masks.toml:unlabelled")
    );
    assert_eq!(reveal("open"), Reveal::Clear, "labelled as harmless");
    assert!(matches!(
        reveal("strict"),
        Reveal::Mask(MaskRule::KeepLast(1), _)
    ));
    assert_eq!(
        snapshot.unlabelled(&other),
        Unlabelled::Mask(MaskRule::KeepLast(2))
    );
    // Nobody wrote a word about this connection.
    let mcp = ConnectionName::new("mcp");
    assert!(matches!(
        snapshot.reveal(&user(&[]), &mcp, &column("x"), &cx()),
        Reveal::Mask(MaskRule::Redact, _)
    ));
}

#[test]
fn a_class_in_an_answer_belongs_to_its_connection() {
    let snapshot = snapshot(
        "@id(\"see\") permit(principal, action == Weir::Action::\"mcp.reveal\", resource in Weir::Connection::\"mcp\");\n\
         @id(\"m\") @effect(\"mask\") @mask(\"redact\") forbid(principal, action == Weir::Action::\"mcp.reveal\", resource in Weir::DataClass::\"pii\")\n\
         unless { context has tool && context.tool == Weir::Tool::\"mcp/hr\" };",
    );
    let on = |name: &str, class: &str, tool: &str| {
        snapshot.reveal_class(&user(&[]), &ConnectionName::new(name), class, tool, &cx())
    };
    assert!(matches!(
        on("mcp", "ssn", "lookup"),
        Reveal::Mask(MaskRule::Redact, _)
    ));
    assert!(matches!(
        on("mcp", "ssn", ""),
        Reveal::Mask(MaskRule::Redact, _)
    ));
    assert_eq!(on("mcp", "ssn", "hr"), Reveal::Clear);
    assert_eq!(on("mcp", "email", "lookup"), Reveal::Clear);
    assert!(
        matches!(on("pg", "ssn", "hr"), Reveal::Deny(_)),
        "permitted at another connection only"
    );
}

pub(super) fn on_column(action: Action, name: &str) -> Access {
    Access {
        action,
        resource: Resource::Column(column(name)),
    }
}

#[test]
fn a_record_is_only_kept_where_every_permit_says_so() {
    let snapshot = snapshot(
        "@id(\"read\") permit(principal, action == Weir::Action::\"pg.select\", resource);\n\
         @id(\"write\") @durability(\"kept\") permit(principal, action == Weir::Action::\"pg.insert\", resource);\n\
         @id(\"safe\") @durability(\"synced\") permit(principal in Weir::Group::\"safe\", action == Weir::Action::\"pg.insert\", resource);\n\
         @id(\"drop\") @durability(\"kept\") permit(principal, action == Weir::Action::\"pg.drop_table\", resource);\n\
         @id(\"ask\") @effect(\"approve\") @approvers(\"dba\") forbid(principal, action == Weir::Action::\"pg.drop_table\", resource) \
         unless { context.approvals.contains(Weir::Group::\"dba\") };",
    );
    let level = |groups: &[&str], actions: &[Action]| {
        let accesses: Vec<_> = actions.iter().map(|action| on_table(*action)).collect();
        let judgement = snapshot.judge(&user(groups), &pg(), &accesses, &cx());
        (matches!(judgement.verdict, Verdict::Allow), judgement.level)
    };
    assert_eq!(level(&[], &[Action::PgInsert]), (true, Level::Kept));
    assert_eq!(level(&[], &[Action::PgSelect]), (true, Level::Synced));
    let both = [Action::PgInsert, Action::PgSelect];
    assert_eq!(level(&[], &both), (true, Level::Synced));
    // Two permits allow it, and one of them wants it safe.
    assert_eq!(level(&["safe"], &[Action::PgInsert]), (true, Level::Synced));
    // What is held or denied is never less than synced.
    for action in [Action::PgDropTable, Action::PgUpdate] {
        assert_eq!(level(&[], &[action]), (false, Level::Synced));
    }
    let judged = |action| judge(&snapshot, &user(&[]), action);
    let kept = || judged(Action::PgInsert);
    assert_eq!(Judgement::all([kept(), kept()]).level, Level::Kept);
    let mixed = Judgement::all([kept(), judged(Action::PgSelect)]);
    assert_eq!(mixed.level, Level::Synced);
    assert_eq!(Judgement::all([]).level, Level::Synced);
}

#[test]
fn a_permit_of_matching_allows_no_inference_and_says_how_often() {
    let snapshot = snapshot(
        "@id(\"any\") permit(principal in Weir::Group::\"any\", action, resource);\n\
         @id(\"slow\") @rate(\"5/1h\") permit(principal in Weir::Group::\"eng\", action == Weir::Action::\"pg.match\", resource in Weir::DataClass::\"ssn\");\n\
         @id(\"fast\") @rate(\"50/1h\") permit(principal in Weir::Group::\"fast\", action == Weir::Action::\"pg.match\", resource);\n\
         @id(\"infer\") permit(principal in Weir::Group::\"wide\", action == Weir::Action::\"pg.infer\", resource);\n\
         @id(\"never\") @reason(\"not you\") forbid(principal in Weir::Group::\"out\", action == Weir::Action::\"pg.match\", resource);\n\
         @id(\"no\") @reason(\"ask somebody\") forbid(principal, action == Weir::Action::\"pg.infer\", resource in Weir::DataClass::\"ssn\") unless { principal in Weir::Group::\"wide\" };",
    );
    let judge = |groups: &[&str], accesses: &[Access]| {
        snapshot.judge(&user(groups), &pg(), accesses, &cx())
    };
    let matching = on_column(Action::PgMatch, "ssn");
    let allowed = |groups: &[&str]| judge(groups, std::slice::from_ref(&matching));

    let rate = |count| {
        Some(Rate {
            count,
            window_s: 3600,
        })
    };
    let slow = allowed(&["eng"]);
    assert_eq!((slow.verdict.clone(), slow.rate), (Verdict::Allow, rate(5)));
    assert_eq!(ids(&slow), ["slow"]);
    // Of two permits the more generous counts; of two columns the stricter.
    assert_eq!(allowed(&["eng", "fast"]).rate, rate(50));
    let two = [matching.clone(), on_column(Action::PgMatch, "open")];
    let both = judge(&["eng", "fast"], &two);
    assert_eq!((both.verdict, both.rate), (Verdict::Allow, rate(50)));

    for groups in [&["eng"], &["fast"]] {
        let inferring = judge(groups, &[on_column(Action::PgInfer, "ssn")]);
        assert!(matches!(inferring.verdict, Verdict::Deny(_)), "{groups:?}");
    }
    // Who may infer may match, any number of times; a permit without a rate matches nothing.
    let wide = allowed(&["wide"]);
    assert_eq!((wide.verdict, wide.rate), (Verdict::Allow, None));
    let any = allowed(&["any"]);
    assert!(matches!(any.verdict, Verdict::Deny(_)));
    for groups in [&["eng", "out"], &["wide", "out"]] {
        let Verdict::Deny(denial) = allowed(groups).verdict else {
            panic!("{groups:?}")
        };
        assert!(denial.outside.ends_with("not you"), "{}", denial.outside);
    }
    // Where nothing permits matching, the reason against inferring is told, and the column.
    let Verdict::Deny(denial) = allowed(&[]).verdict else {
        panic!("nothing permits")
    };
    assert_eq!(
        &*denial.outside,
        "column public.t.ssn is masked and cannot be used here: ask somebody"
    );
    assert!(
        denial
            .advice
            .is_some_and(|advice| advice.contains("another column"))
    );
}

#[test]
fn thresholds_are_for_everybody_but_the_groups_that_they_except() {
    let masks = "[connection.pg]\nunlabelled = \"clear\"\nharmless_functions = [\"app.f(text)\"]\n\
                 [connection.pg.bulk]\nstatement_rows = 10\nwindow = \"1h\"\nwindow_bytes = 1000\n\
                 crossing = \"ask\"\napprovers = [\"owners\"]\nexpires = \"5m\"\nexcept = [\"etl\"]\n";
    let directory = Directory {
        groups: vec![(Group("nightly".into()), groups(&["etl"]))],
        ..Directory::default()
    };
    let snapshot = snapshot_with("", masks, directory);
    let bulk = snapshot.bulk(&pg(), &user(&["eng"])).expect("thresholds");
    assert!(bulk.statement.holds(10, u64::MAX) && !bulk.statement.holds(11, 0));
    let Some((3600, window)) = bulk.window else {
        panic!("{bulk:?}")
    };
    assert!(window.holds(u64::MAX, 1000) && !window.holds(0, 1001));
    let Crossing::Ask(terms) = &bulk.crossing else {
        panic!("{bulk:?}")
    };
    assert_eq!(
        (terms.approvers.clone(), terms.quorum, terms.expires_s),
        (groups(&["owners"]), 1, 300)
    );
    for names in [&["etl"], &["nightly"]] {
        assert!(snapshot.bulk(&pg(), &user(names)).is_none(), "{names:?}");
    }
    let service = Principal {
        workload: workload("batch", &["etl"]),
        identity: None,
        agent: None,
    };
    assert!(snapshot.bulk(&pg(), &service).is_none());
    // The identity counts where there is one.
    let both = Principal {
        workload: workload("batch", &["etl"]),
        ..user(&["eng"])
    };
    assert!(snapshot.bulk(&pg(), &both).is_some());
    assert!(
        snapshot
            .bulk(&ConnectionName::new("other"), &user(&[]))
            .is_none()
    );
    assert_eq!(&*snapshot.harmless(&pg())[0].arguments, "text");
}
