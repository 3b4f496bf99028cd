//! What verdicts follow from policies.

mod circumstances;
mod holds;
mod shown;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use holds::HOLD;
use weir_facts::{
    Access, Action, ColumnName, ConnectionName, Group, Identity, Now, Principal, RelationName,
    Resource, Verdict, Workload,
};
use weir_policy::{
    Bundle, ClockTrust, ConnectionFacts, ConnectionKind, Directory, JudgeContext, Judgement,
    Snapshot,
};

/// Friday 2026-11-20, 16:30 in UTC and 17:30 in Berlin.
const FRIDAY_US: u64 = 1_795_192_200_000_000;

fn snapshot_with(policies: &str, masks: &str, directory: Directory) -> Snapshot {
    let files = [
        ("p.cedar".to_owned(), policies.to_owned()),
        ("masks.toml".to_owned(), masks.to_owned()),
    ];
    let bundle = Bundle::parse(&files).unwrap_or_else(|error| panic!("{error}"));
    let facts = [
        ("pg", ConnectionKind::Postgres),
        ("other", ConnectionKind::Postgres),
        ("mcp", ConnectionKind::Mcp),
    ]
    .map(|(name, kind)| {
        ConnectionFacts::new(
            ConnectionName::new(name),
            kind,
            "prod",
            Some("Europe/Berlin"),
        )
        .expect("facts")
    });
    Snapshot::compile(Arc::new(bundle), &facts, directory)
}

fn snapshot(policies: &str) -> Snapshot {
    let masks = "[classes]\nssn = [\"pii\"]\n[connection.pg]\nunlabelled = \"clear\"\n\
                 [connection.pg.columns]\n\"public.t.ssn\" = [\"ssn\"]\n\"public.t.open\" = []\n\
                 [connection.other]\nunlabelled = \"mask:keep_last:2\"\n[connection.other.columns]\n\"public.t.open\" = []\n";
    snapshot_with(policies, masks, Directory::default())
}

fn groups(names: &[&str]) -> Vec<Group> {
    names.iter().map(|name| Group((*name).into())).collect()
}

fn user(names: &[&str]) -> Principal {
    let identity = Identity {
        issuer: "weir".into(),
        subject: "ada".into(),
        is_service: false,
        groups: groups(names),
    };
    Principal {
        workload: None,
        identity: Some(Arc::new(identity)),
        agent: None,
    }
}

fn workload(name: &str, names: &[&str]) -> Option<Arc<Workload>> {
    Some(Arc::new(Workload {
        name: name.into(),
        groups: groups(names),
        owner: Some("ada".into()),
        uid: 1000,
        gid: 1000,
        pid: 7,
        cgroup: "/demo".into(),
        executable: "/usr/bin/psql".into(),
        executable_digest: None,
        lineage: Arc::default(),
    }))
}

fn cx() -> JudgeContext<'static> {
    JudgeContext {
        now: Now {
            mono_ns: 0,
            unix_us: FRIDAY_US,
        },
        clock: ClockTrust::Trusted,
        source: IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)),
        approvals: &[],
        scopes: &[],
        in_transaction: false,
        has_where: true,
        database: "db",
        role: "app",
        arguments: None,
    }
}

fn pg() -> ConnectionName {
    ConnectionName::new("pg")
}

fn relation() -> RelationName {
    RelationName {
        schema: "public".into(),
        name: "t".into(),
    }
}

fn on_table(action: Action) -> Access {
    Access {
        action,
        resource: Resource::Table(relation()),
    }
}

fn column(name: &str) -> ColumnName {
    ColumnName {
        relation: relation(),
        column: name.into(),
    }
}

fn judge(snapshot: &Snapshot, who: &Principal, action: Action) -> Judgement {
    snapshot.judge(who, &pg(), &[on_table(action)], &cx())
}

fn ids(judgement: &Judgement) -> Vec<&str> {
    judgement.policies.iter().map(|id| &*id.0).collect()
}

#[test]
fn nothing_is_allowed_that_nothing_permits() {
    let snapshot = snapshot("");
    for action in Action::ALL {
        for resource in [
            Resource::Connection,
            Resource::Table(relation()),
            Resource::Tool("x".into()),
        ] {
            let judgement = snapshot.judge(
                &user(&["a"]),
                &pg(),
                &[Access {
                    action: *action,
                    resource,
                }],
                &cx(),
            );
            assert!(matches!(judgement.verdict, Verdict::Deny(_)), "{action}");
        }
    }
}

#[test]
fn every_access_of_an_operation_must_be_allowed() {
    let snapshot =
        snapshot("@id(\"a\") permit(principal, action == Weir::Action::\"pg.select\", resource);");
    let both = [on_table(Action::PgSelect), on_table(Action::PgInsert)];
    assert!(matches!(
        snapshot.judge(&user(&[]), &pg(), &both[..1], &cx()).verdict,
        Verdict::Allow
    ));
    let Verdict::Deny(denial) = snapshot.judge(&user(&[]), &pg(), &both, &cx()).verdict else {
        panic!("allowed")
    };
    assert_eq!(
        &*denial.outside,
        "no policy allows pg.insert on pg/public/t"
    );
    assert!(matches!(
        snapshot.judge(&user(&[]), &pg(), &[], &cx()).verdict,
        Verdict::Deny(_)
    ));
    let nowhere = ConnectionName::new("nowhere");
    assert!(matches!(
        snapshot
            .judge(&user(&[]), &nowhere, &both[..1], &cx())
            .verdict,
        Verdict::Deny(_)
    ));
}

#[test]
fn a_policy_that_errors_denies_even_beside_one_that_permits() {
    // The validator cannot know that the sum overflows.
    let snapshot = snapshot(
        "@id(\"yes\") permit(principal, action, resource);\n\
         @id(\"errs\") forbid(principal, action == Weir::Action::\"pg.select\", resource)\n\
         when { context.clock.hour + 9223372036854775807 > 0 };",
    );
    assert!(matches!(
        judge(&snapshot, &user(&[]), Action::PgInsert).verdict,
        Verdict::Allow
    ));
    let judgement = judge(&snapshot, &user(&[]), Action::PgSelect);
    let Verdict::Deny(denial) = &judgement.verdict else {
        panic!("an erring forbid was skipped")
    };
    assert_eq!(ids(&judgement), ["errs"]);
    assert_eq!(&*denial.outside, "policy could not be evaluated");
    assert!(denial.inside.contains("errs"));
}

#[test]
fn groups_of_groups_count() {
    let policies = "@id(\"x\") permit(principal in Weir::Group::\"company\", action, resource);";
    let membership = |pairs: &[(&str, &[&str])]| Directory {
        groups: pairs
            .iter()
            .map(|(group, above)| (Group((*group).into()), groups(above)))
            .collect(),
        ..Directory::default()
    };
    let nested = snapshot_with(
        policies,
        "",
        membership(&[("eng", &["tech"]), ("tech", &["company"]), ("company", &[])]),
    );
    assert!(matches!(
        judge(&nested, &user(&["eng"]), Action::PgSelect).verdict,
        Verdict::Allow
    ));
    let flat = snapshot_with(policies, "", Directory::default());
    assert!(matches!(
        judge(&flat, &user(&["eng"]), Action::PgSelect).verdict,
        Verdict::Deny(_)
    ));
    assert!(
        flat.warnings()
            .iter()
            .any(|warning| warning.contains("Group \"company\"")),
        "{:?}",
        flat.warnings()
    );
    assert_eq!(nested.warnings(), Vec::<String>::new());
    assert_ne!(nested.id(), flat.id());
}

#[test]
fn an_action_on_a_resource_that_it_does_not_have_is_denied() {
    let snapshot = snapshot("@id(\"x\") permit(principal, action, resource);");
    for (action, resource) in [
        (Action::PgSelect, Resource::Column(column("a"))),
        (Action::PgReveal, Resource::Table(relation())),
        (Action::McpCallTool, Resource::Connection),
    ] {
        let judgement = snapshot.judge(&user(&[]), &pg(), &[Access { action, resource }], &cx());
        assert!(matches!(judgement.verdict, Verdict::Deny(_)), "{action}");
    }
}

#[test]
fn policies_of_another_connection_have_no_say() {
    let snapshot = snapshot(
        "@id(\"o\") permit(principal, action, resource in Weir::Connection::\"other\");\n\
         @id(\"errs\") forbid(principal, action, resource in Weir::Schema::\"other/public\") when { context.approvals.isEmpty() };\n\
         @id(\"p\") permit(principal, action == Weir::Action::\"pg.select\", resource == Weir::Table::\"pg/public/t\");",
    );
    let judgement = judge(&snapshot, &user(&[]), Action::PgSelect);
    assert_eq!(
        (matches!(judgement.verdict, Verdict::Allow), ids(&judgement)),
        (true, vec!["p"])
    );
    assert!(matches!(
        judge(&snapshot, &user(&[]), Action::PgInsert).verdict,
        Verdict::Deny(_)
    ));
}

#[test]
fn an_explanation_names_the_policies_and_where_they_stand() {
    let snapshot = snapshot(HOLD);
    let told = snapshot
        .explain(
            &user(&["eng"]),
            &pg(),
            &[on_table(Action::PgDropTable)],
            &cx(),
        )
        .to_string();
    for part in [
        "held until 2 of each of dba",
        "pg.drop_table on pg/public/t",
        "held by drop (p.cedar:2)",
        "hangs on approvals",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}
