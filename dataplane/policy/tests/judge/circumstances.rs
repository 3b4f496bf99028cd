//! What a verdict hangs on beside who asks for what: the parts, the context, the clock, arguments.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use weir_facts::{Access, Action, Agent, ConnectionName, Principal, Resource, Verdict};
use weir_policy::{ClockTrust, JudgeContext, Reads, Value};

use super::{cx, judge, on_table, pg, snapshot, user, workload};

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
