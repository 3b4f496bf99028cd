//! What verdicts follow from policies.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use weir_facts::{
    Access, Action, Agent, ColumnName, ConnectionName, Digest, FlowId, Group, Identity, MaskRule,
    Now, OperationRef, OperationSeq, Principal, RelationName, Resource, Reveal, Verdict, Workload,
};
use weir_policy::{
    Bundle, ClockTrust, ConnectionFacts, ConnectionKind, Crossing, Directory, JudgeContext,
    Judgement, Rate, Reads, Snapshot, Unlabelled, Value,
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

const HOLD: &str = "@id(\"yes\") permit(principal in Weir::Group::\"eng\", action, resource);\n\
    @id(\"drop\") @effect(\"approve\") @approvers(\"dba\") @quorum(\"2\") @expires(\"1h\") @reason(\"drops need a DBA\")\n\
    forbid(principal, action == Weir::Action::\"pg.drop_table\", resource)\n\
    unless { context.approvals.contains(Weir::Group::\"dba\") };\n\
    @id(\"truncate\") @effect(\"approve\") @approvers(\"owners\") @expires(\"10m\")\n\
    forbid(principal, action == Weir::Action::\"pg.truncate\", resource)\n\
    unless { context.approvals.contains(Weir::Group::\"owners\") };\n\
    @id(\"never\") @reason(\"never\") forbid(principal, action == Weir::Action::\"pg.truncate\", resource) when { context.in_transaction };";

#[test]
fn a_hold_asks_only_where_approval_would_help() {
    let snapshot = snapshot(HOLD);
    let Verdict::Hold(terms) = judge(&snapshot, &user(&["eng"]), Action::PgDropTable).verdict
    else {
        panic!()
    };
    assert_eq!(
        (terms.approvers, terms.quorum, terms.expires_s),
        (groups(&["dba"]), 2, 3600)
    );
    assert_eq!(&*terms.reason, "drops need a DBA");
    // Nothing permits: approval alone must not grant.
    assert!(matches!(
        judge(&snapshot, &user(&[]), Action::PgDropTable).verdict,
        Verdict::Deny(_)
    ));
    // A denial that no approval cures wins, and its reason is told.
    let inside = JudgeContext {
        in_transaction: true,
        ..cx()
    };
    let judgement = snapshot.judge(
        &user(&["eng"]),
        &pg(),
        &[on_table(Action::PgTruncate)],
        &inside,
    );
    let Verdict::Deny(denial) = &judgement.verdict else {
        panic!()
    };
    assert_eq!(&*denial.outside, "never");
    // One access that is denied denies the others' hold.
    let who = user(&["eng"]);
    let mixed = [on_table(Action::PgDropTable), on_table(Action::PgTruncate)];
    assert!(matches!(
        snapshot.judge(&who, &pg(), &mixed, &inside).verdict,
        Verdict::Deny(_)
    ));
}

#[test]
fn holds_of_one_operation_are_asked_for_together() {
    let snapshot = snapshot(HOLD);
    let accesses = [on_table(Action::PgDropTable), on_table(Action::PgTruncate)];
    let judgement = snapshot.judge(&user(&["eng"]), &pg(), &accesses, &cx());
    let Verdict::Hold(terms) = &judgement.verdict else {
        panic!()
    };
    assert_eq!(
        (&terms.approvers, terms.quorum, terms.expires_s),
        (&groups(&["dba", "owners"]), 2, 600)
    );
    assert_eq!(ids(&judgement), ["drop", "truncate"]);
    let approvals = groups(&["dba", "owners"]);
    let approved = JudgeContext {
        approvals: &approvals,
        ..cx()
    };
    let judgement = snapshot.judge(&user(&["eng"]), &pg(), &accesses, &approved);
    assert!(matches!(judgement.verdict, Verdict::Allow));
    assert!(
        !judgement.cacheable,
        "what approval allowed must not be remembered"
    );
}

#[test]
fn a_permit_comes_from_allow_alone_and_names_its_operation() {
    let snapshot = snapshot(HOLD);
    let operation = OperationRef {
        flow: FlowId(1),
        seq: OperationSeq(2),
        digest: Digest([3; 32]),
    };
    let permit = judge(&snapshot, &user(&["eng"]), Action::PgSelect)
        .permit(operation)
        .expect("allowed");
    assert_eq!(permit.operation(), operation);
    for action in [Action::PgDropTable, Action::PgTruncate] {
        assert_eq!(
            judge(&snapshot, &user(&["eng"]), action).permit(operation),
            None
        );
        assert_eq!(judge(&snapshot, &user(&[]), action).permit(operation), None);
    }
}

#[test]
fn a_connect_is_allowed_for_every_part_or_not_at_all() {
    let snapshot = snapshot(
        "@id(\"u\") permit(principal in Weir::Group::\"eng\", action == Weir::Action::\"pg.connect\", resource);\n\
         @id(\"a\") permit(principal == Weir::Agent::\"good\", action == Weir::Action::\"pg.connect\", resource);\n\
         @id(\"s\") permit(principal in Weir::Group::\"eng\", action == Weir::Action::\"pg.select\", resource);",
    );
    let connect = [Access {
        action: Action::PgConnect,
        resource: Resource::Connection,
    }];
    let allowed = |who: &Principal| {
        matches!(
            snapshot.judge(who, &pg(), &connect, &cx()).verdict,
            Verdict::Allow
        )
    };
    let agent = |name: &str| Some(Arc::new(Agent { name: name.into() }));
    assert!(allowed(&user(&["eng"])));
    assert!(!allowed(&Principal {
        workload: workload("w", &[]),
        ..user(&["eng"])
    }));
    assert!(allowed(&Principal {
        workload: workload("w", &["eng"]),
        ..user(&["eng"])
    }));
    assert!(!allowed(&Principal {
        workload: workload("w", &["eng"]),
        ..user(&[])
    }));
    assert!(allowed(&Principal {
        agent: agent("good"),
        ..user(&["eng"])
    }));
    assert!(!allowed(&Principal {
        agent: agent("bad"),
        ..user(&["eng"])
    }));
    assert!(!allowed(&Principal {
        workload: None,
        identity: None,
        agent: None
    }));
    // For anything else the identity asks, else the workload; an agent alone is nobody.
    let select = |who: &Principal| {
        matches!(
            judge(&snapshot, who, Action::PgSelect).verdict,
            Verdict::Allow
        )
    };
    assert!(select(&Principal {
        workload: workload("w", &[]),
        ..user(&["eng"])
    }));
    assert!(!select(&Principal {
        workload: workload("w", &["eng"]),
        ..user(&[])
    }));
    assert!(select(&Principal {
        workload: workload("w", &["eng"]),
        identity: None,
        agent: None
    }));
    assert!(!select(&Principal {
        workload: None,
        identity: None,
        agent: agent("good")
    }));
}

#[test]
fn the_context_tells_the_parts_and_the_circumstances() {
    let allowed = |condition: &str, who: &Principal, cx: &JudgeContext<'_>| {
        let snapshot = snapshot(&format!(
            "@id(\"x\") permit(principal, action == Weir::Action::\"pg.select\", resource) when {{ {condition} }};"
        ));
        matches!(
            snapshot
                .judge(who, &pg(), &[on_table(Action::PgSelect)], cx)
                .verdict,
            Verdict::Allow
        )
    };
    let who = Principal {
        workload: workload("job", &["batch"]),
        agent: Some(Arc::new(Agent { name: "bot".into() })),
        ..user(&["eng"])
    };
    for (condition, expected) in [
        (
            "context has workload && context.workload in Weir::Group::\"batch\"",
            true,
        ),
        ("context has workload && context.workload.uid == 1000", true),
        (
            "context has workload && context.workload.executable like \"/usr/*\"",
            true,
        ),
        (
            "context has workload && context.workload has owner && context.workload.owner == \"ada\"",
            true,
        ),
        (
            "context has workload && context.workload has executable_digest",
            false,
        ),
        (
            "context has agent && context.agent == Weir::Agent::\"bot\"",
            true,
        ),
        (
            "context has user && context.user == Weir::User::\"ada\"",
            true,
        ),
        (
            "context has user && context.user in Weir::Group::\"eng\"",
            true,
        ),
        ("context has service_account", false),
        (
            "principal is Weir::User && principal.issuer == \"weir\"",
            true,
        ),
        (
            "context.connection.env == \"prod\" && context.connection.kind == \"postgres\"",
            true,
        ),
        ("context.source_ip.isInRange(ip(\"10.0.0.0/8\"))", true),
        ("context.source_ip.isInRange(ip(\"192.168.0.0/16\"))", false),
        (
            "context.database == \"db\" && context.role == \"app\"",
            true,
        ),
        (
            "context.clock.weekday == 5 && context.clock.hour == 17",
            true,
        ),
        (
            "resource is Weir::Table && resource.schema == \"public\" && resource.name == \"t\"",
            true,
        ),
        ("resource in Weir::Schema::\"pg/public\"", true),
        ("resource in Weir::Schema::\"other/public\"", false),
    ] {
        assert_eq!(allowed(condition, &who, &cx()), expected, "{condition}");
    }
    // A v4-mapped address is the IPv4 address that it stands for.
    let mapped = JudgeContext {
        source: IpAddr::V6(Ipv4Addr::new(10, 1, 2, 3).to_ipv6_mapped()),
        ..cx()
    };
    assert!(allowed("context.source_ip.isIpv4()", &who, &mapped));
}

#[test]
fn a_clock_that_is_not_trusted_makes_what_reads_it_fail() {
    let snapshot = snapshot(
        "@id(\"day\") permit(principal, action == Weir::Action::\"pg.select\", resource) when { context.clock.hour < 24 };\n\
         @id(\"any\") permit(principal, action == Weir::Action::\"pg.insert\", resource);\n\
         @id(\"yes\") permit(principal, action == Weir::Action::\"pg.delete\", resource);\n\
         @id(\"night\") forbid(principal, action == Weir::Action::\"pg.delete\", resource) when { context.clock.hour >= 24 };",
    );
    let skewed = JudgeContext {
        clock: ClockTrust::Skewed,
        ..cx()
    };
    let verdict = |action, cx: &JudgeContext<'_>| {
        snapshot
            .judge(&user(&[]), &pg(), &[on_table(action)], cx)
            .verdict
    };
    assert!(matches!(verdict(Action::PgSelect, &cx()), Verdict::Allow));
    assert!(matches!(
        verdict(Action::PgSelect, &skewed),
        Verdict::Deny(_)
    ));
    assert!(matches!(verdict(Action::PgInsert, &skewed), Verdict::Allow));
    assert!(matches!(verdict(Action::PgDelete, &cx()), Verdict::Allow));
    assert!(
        matches!(verdict(Action::PgDelete, &skewed), Verdict::Deny(_)),
        "a forbid that reads the clock"
    );
    assert!(snapshot.time_dependent(&pg(), Action::PgSelect));
    assert!(!snapshot.time_dependent(&pg(), Action::PgInsert));
    assert!(!judge(&snapshot, &user(&[]), Action::PgSelect).cacheable);
    assert!(judge(&snapshot, &user(&[]), Action::PgInsert).cacheable);
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

#[test]
fn arguments_are_typed_and_bounded() {
    let snapshot = snapshot(
        "@id(\"x\") permit(principal, action == Weir::Action::\"mcp.call_tool\", resource)\n\
         when { context.arguments.strings.hasTag(\"to/0\") && context.arguments.strings.getTag(\"to/0\") like \"*@example.org\"\n\
         && !context.arguments.names.contains(\"bcc\") };\n\
         @id(\"all\") permit(principal, action == Weir::Action::\"mcp.get_prompt\", resource);",
    );
    let call = |arguments: &Value| {
        let access = Access {
            action: Action::McpCallTool,
            resource: Resource::Tool("mail".into()),
        };
        let cx = JudgeContext {
            arguments: Some(arguments),
            ..cx()
        };
        snapshot.judge(&user(&[]), &ConnectionName::new("mcp"), &[access], &cx)
    };
    let to = |value: Value| ("to".into(), Value::Array(vec![value]));
    let good = to(Value::String("a@example.org".into()));
    let judgement = call(&Value::Object(vec![good.clone()]));
    assert!(matches!(judgement.verdict, Verdict::Allow));
    assert!(!judgement.cacheable);
    for bad in [
        Value::Object(vec![]),
        Value::Object(vec![to(Value::Long(1))]),
        Value::Object(vec![to(Value::String("a@example.com".into()))]),
        Value::Object(vec![good.clone(), ("bcc".into(), Value::Null)]),
        Value::Object(vec![good.clone(), good.clone()]),
        Value::Array(vec![]),
        Value::Object(vec![
            good.clone(),
            ("n".into(), Value::Array(vec![Value::Null; 5000])),
        ]),
    ] {
        assert!(matches!(call(&bad).verdict, Verdict::Deny(_)), "{bad:?}");
    }
}

#[test]
fn what_a_policy_reads_counts_only_for_the_resource_that_it_names() {
    let snapshot = snapshot(
        "@id(\"all\") permit(principal, action == Weir::Action::\"mcp.call_tool\", resource);\n\
         @id(\"few\") forbid(principal, action == Weir::Action::\"mcp.call_tool\", resource == Weir::Tool::\"mcp/list\")\n\
         unless { context.arguments.longs.hasTag(\"limit\") && context.arguments.longs.getTag(\"limit\") <= 100 };\n\
         @id(\"day\") forbid(principal, action == Weir::Action::\"mcp.call_tool\", resource == Weir::Tool::\"mcp/pay\")\n\
         when { context.clock.hour < 8 };\n\
         @id(\"near\") forbid(principal, action == Weir::Action::\"mcp.get_prompt\", resource in Weir::Connection::\"mcp\")\n\
         when { context.clock.hour < 8 };\n\
         @id(\"prompts\") permit(principal, action == Weir::Action::\"mcp.get_prompt\", resource);",
    );
    let mcp = ConnectionName::new("mcp");
    let judge = |action, resource, limit| {
        let arguments = Value::Object(vec![("limit".into(), Value::Long(limit))]);
        let cx = JudgeContext {
            arguments: Some(&arguments),
            ..cx()
        };
        let access = Access { action, resource };
        let reads = snapshot.reads_of(&mcp, &access);
        let judgement = snapshot.judge(&user(&[]), &mcp, &[access], &cx);
        assert_eq!(judgement.reads, reads);
        (
            judgement.verdict == Verdict::Allow,
            judgement.cacheable,
            reads.any(Reads::ARGUMENTS),
            reads.any(Reads::CLOCK),
        )
    };
    let call = |tool: &str, limit| judge(Action::McpCallTool, Resource::Tool(tool.into()), limit);
    assert_eq!(call("echo", 1000), (true, true, false, false));
    assert_eq!(call("list", 1), (true, false, true, false));
    assert_eq!(call("list", 1000), (false, false, true, false));
    assert_eq!(call("pay", 1), (true, false, false, true));
    // Only `==` names one resource: what `in` means hangs on the hierarchy.
    let prompt = judge(Action::McpGetPrompt, Resource::Prompt("p".into()), 1);
    assert_eq!(prompt, (true, false, false, true));
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

fn on_column(action: Action, name: &str) -> Access {
    Access {
        action,
        resource: Resource::Column(column(name)),
    }
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
fn inference_and_matching_can_be_held_for_approval() {
    let snapshot = snapshot(
        "@id(\"infer\") permit(principal, action == Weir::Action::\"pg.infer\", resource);\n\
         @id(\"hold\") @effect(\"approve\") @approvers(\"dba\") forbid(principal, action == Weir::Action::\"pg.infer\", resource)\n\
         unless { context.approvals.contains(Weir::Group::\"dba\") };",
    );
    for action in [Action::PgInfer, Action::PgMatch] {
        let access = [on_column(action, "ssn")];
        let judgement = snapshot.judge(&user(&[]), &pg(), &access, &cx());
        assert!(matches!(judgement.verdict, Verdict::Hold(_)), "{action}");
        let approvals = [Group("dba".into())];
        let approved = JudgeContext {
            approvals: &approvals,
            ..cx()
        };
        let judgement = snapshot.judge(&user(&[]), &pg(), &access, &approved);
        assert_eq!(judgement.verdict, Verdict::Allow, "{action}");
    }
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

/// A scope is asked for only where showing it would do: of the caller, or of the people who are
/// then asked.
#[test]
fn a_scope_is_asked_for_only_where_it_would_do() {
    let snapshot = snapshot(
        "@id(\"use\") permit(principal, action == Weir::Action::\"mcp.call_tool\", resource) when { principal in Weir::Group::\"eng\" };\n\
         @id(\"write\") @effect(\"step_up\") @scope(\"refunds:write\") @reason(\"writes\")\n\
         forbid(principal, action == Weir::Action::\"mcp.call_tool\", resource == Weir::Tool::\"mcp/refund\")\n\
         unless { context.scopes.contains(\"refunds:write\") };\n\
         @id(\"boss\") @effect(\"approve\") @approvers(\"boss\")\n\
         forbid(principal, action == Weir::Action::\"mcp.call_tool\", resource == Weir::Tool::\"mcp/refund\")\n\
         unless { context.approvals.contains(Weir::Group::\"boss\") };\n\
         @id(\"never\") forbid(principal, action == Weir::Action::\"mcp.call_tool\", resource == Weir::Tool::\"mcp/refund\")\n\
         when { principal in Weir::Group::\"interns\" };",
    );
    let scope = ["refunds:write".into()];
    let judge = |names: &[&str], tool: &str, scopes: &[Arc<str>]| {
        let access = Access {
            action: Action::McpCallTool,
            resource: Resource::Tool(tool.into()),
        };
        let on = ConnectionName::new("mcp");
        let cx = JudgeContext { scopes, ..cx() };
        snapshot.judge(&user(names), &on, &[access], &cx).verdict
    };
    assert_eq!(judge(&["eng"], "list", &[]), Verdict::Allow);
    let Verdict::Deny(denial) = judge(&["eng"], "refund", &[]) else {
        panic!("no token has the scope");
    };
    assert_eq!(
        (&denial.scopes[..], &*denial.outside),
        (&scope[..], "writes")
    );
    assert!(matches!(
        judge(&["eng"], "refund", &scope),
        Verdict::Hold(_)
    ));
    // Neither whom nothing permits nor whom something else forbids is sent for a scope.
    for names in [&["other"][..], &["eng", "interns"]] {
        let Verdict::Deny(denial) = judge(names, "refund", &[]) else {
            panic!("{names:?}");
        };
        assert!(denial.scopes.is_empty(), "{names:?}");
    }
}
