//! What a bundle may say, and how it is told what it may not.

use weir_policy::{Bundle, Change, Effect};

fn files(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}

/// Parses one policy file beside labels.
fn parse(policies: &str) -> Result<Bundle, weir_policy::BundleError> {
    let masks =
        "[connection.pg]\nunlabelled = \"clear\"\n[connection.pg.columns]\n\"p.t.c\" = [\"pii\"]\n";
    Bundle::parse(&files(&[("a.cedar", policies), ("masks.toml", masks)]))
}

const GOOD: &str =
    "@id(\"good\")\npermit(principal, action == Weir::Action::\"pg.select\", resource);\n";

#[test]
fn a_fault_is_told_with_its_line_and_its_cure() {
    let reveal = "forbid(principal, action == Weir::Action::\"pg.reveal\", resource);";
    let drop = "forbid(principal, action == Weir::Action::\"pg.drop_table\", resource)";
    let cured = format!("{drop} unless {{ context.approvals.contains(Weir::Group::\"dba\") }};");
    for (policy, line, told) in [
        ("permit(principal, action, resource);".to_owned(), 3, "needs @id"),
        ("@id(\"a b\") permit(principal, action, resource);".to_owned(), 3, "1 to 100 letters"),
        ("@id(\"good\") permit(principal, action, resource);".to_owned(), 3, "taken by a.cedar:1"),
        ("@id(\"x\") @rason(\"y\") permit(principal, action, resource);".to_owned(), 3, "unknown annotation @rason"),
        ("@id(\"x\")\npermit(principal, action resource);".to_owned(), 4, "unexpected token"),
        ("@id(\"x\") permit(principal, action, resource)".to_owned(), 3, "unexpected end"),
        ("@id(\"x\")\npermit(principal, action == Weir::Action::\"pg.selec\", resource);".to_owned(), 4, "pg.select"),
        ("@id(\"x\")\npermit(principal in Weir::Groop::\"a\", action, resource);".to_owned(), 4, "Weir::Group"),
        (
            "@id(\"x\")\npermit(principal, action, resource)\nwhen { context.has_wher };".to_owned(),
            5,
            "has_wher",
        ),
        ("@id(\"x\") permit(principal == ?principal, action, resource);".to_owned(), 3, "slot"),
        ("@id(\"x\") permit(principal, action, resource) when { context.has_where };".to_owned(), 3, "has_where"),
        (format!("@id(\"x\") @effect(\"warn\") {reveal}"), 3, "unknown @effect"),
        (format!("@id(\"x\") @effect(\"mask\") {reveal}"), 3, "needs @mask"),
        (format!("@id(\"x\") @effect(\"mask\") @mask(\"blur\") {reveal}"), 3, "unknown mask"),
        (format!("@id(\"x\") @mask(\"redact\") {reveal}"), 3, "means nothing without @effect"),
        (format!("@id(\"x\") @effect(\"mask\") @mask(\"redact\") @quorum(\"1\") {reveal}"), 3, "@quorum means nothing"),
        (format!("@id(\"x\") @effect(\"mask\") @mask(\"redact\") {drop};"), 3, "pg.reveal and mcp.reveal only"),
        (
            "@id(\"x\") @effect(\"mask\") @mask(\"redact\") forbid(principal, action, resource);".to_owned(),
            3,
            "pg.reveal and mcp.reveal only",
        ),
        (
            "@id(\"x\") @effect(\"mask\") @mask(\"redact\") permit(principal, action == Weir::Action::\"pg.reveal\", resource);"
                .to_owned(),
            3,
            "belongs to forbid",
        ),
        (format!("@id(\"x\") @effect(\"approve\") {cured}"), 3, "needs @approvers"),
        (format!("@id(\"x\") @effect(\"approve\") @approvers(\"dba,\") {cured}"), 3, "empty name"),
        (format!("@id(\"x\") @effect(\"approve\") @approvers(\"ops\") {cured}"), 3, "no approval of ops would cure"),
        (format!("@id(\"x\") @effect(\"approve\") @approvers(\"dba\") {drop};"), 3, "no approval of dba would cure"),
        (format!("@id(\"x\") @effect(\"approve\") @approvers(\"dba\") @quorum(\"0\") {cured}"), 3, "@quorum"),
        (format!("@id(\"x\") @effect(\"approve\") @approvers(\"dba\") @expires(\"8d\") {cured}"), 3, "@expires"),
        (format!("@id(\"x\") @effect(\"approve\") @approvers(\"dba\") @expires(\"½h\") {cured}"), 3, "@expires"),
        (
            "@id(\"x\") @effect(\"approve\") @approvers(\"dba\") forbid(principal, action, resource) \
             unless { context.approvals.contains(Weir::Group::\"dba\") };"
                .to_owned(),
            3,
            "cannot hold pg.reveal",
        ),
        ("@id(\"x\") permit(principal, action == Weir::Action::\"pg.match\", resource);".to_owned(), 3, "needs @rate"),
        (
            "@id(\"x\") permit(principal, action in [Weir::Action::\"pg.infer\", Weir::Action::\"pg.match\"], resource);"
                .to_owned(),
            3,
            "names no other action",
        ),
        (
            "@id(\"x\") @rate(\"20/1h\") permit(principal, action, resource);".to_owned(),
            3,
            "a permit of pg.match alone",
        ),
        (
            "@id(\"x\") @rate(\"20/1h\") forbid(principal, action == Weir::Action::\"pg.match\", resource);".to_owned(),
            3,
            "a permit of pg.match alone",
        ),
        (
            "@id(\"x\") @rate(\"20\") permit(principal, action == Weir::Action::\"pg.match\", resource);".to_owned(),
            3,
            "like \"20/1h\"",
        ),
        (
            "@id(\"x\") @durability(\"fast\") permit(principal, action, resource);".to_owned(),
            3,
            "known are \"kept\" and \"synced\"",
        ),
        (format!("@id(\"x\") @durability(\"kept\") {drop};"), 3, "@durability belongs to permit"),
        (
            "@id(\"x\") @durability(\"kept\") permit(principal, action in [Weir::Action::\"pg.reveal\", Weir::Action::\"mcp.reveal\"], resource);"
                .to_owned(),
            3,
            "@durability means nothing for pg.reveal",
        ),
        (format!("@id(\"x\") @reason(\"two\\nlines\") {drop};"), 3, "one line"),
        (
            "@id(\"x\") forbid(principal, action, resource in Weir::DataClass::\"pi\");".to_owned(),
            3,
            "has the class \"pi\"",
        ),
        (
            "@id(\"x\") permit(principal, action == Weir::Action::\"mcp.call_tool\", resource)\nwhen { context.arguments.longs.getTag(\"limit\") < 9 };"
                .to_owned(),
            4,
            "limit",
        ),
        (
            "@id(\"x\") forbid(principal is Weir::Workload, action, resource) when { principal in Weir::Tool::\"pg/x\" };"
                .to_owned(),
            3,
            "impossible",
        ),
    ] {
        let text = format!("{GOOD}{policy}\n");
        let error = parse(&text).expect_err(&policy);
        let seen = error.faults.iter().any(|fault| {
            fault.file == "a.cedar" && fault.line == line && fault.message.contains(told)
        });
        assert!(seen, "{policy}\nexpected {line}: {told}\ngot {error}");
    }
}

#[test]
fn arguments_of_calls_alone_are_held_against_tools() {
    struct Tool;
    impl weir_policy::ToolArguments for Tool {
        fn connection(&self) -> &'static str {
            "demo-mcp"
        }
        fn tool(&self) -> &'static str {
            "echo"
        }
        fn declared(&self, _: &str) -> Option<Vec<weir_policy::ArgumentMap>> {
            None
        }
    }
    for (action, faults) in [
        ("mcp.call_tool", 1),
        ("mcp.get_prompt", 0),
        ("mcp.complete", 0),
        ("mcp.elicitation", 0),
    ] {
        let policy = format!(
            "@id(\"x\") forbid(principal, action == Weir::Action::\"{action}\", resource)\n\
             when {{ context.arguments.names.contains(\"content/card\") }};"
        );
        let bundle = parse(&policy).unwrap_or_else(|error| panic!("{action}: {error}"));
        assert_eq!(bundle.check_arguments(&[&Tool]).len(), faults, "{action}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let error = parse("permit(principal, action, resource);\n@id(\"x\") @y(\"z\") permit(principal, action, resource);")
        .expect_err("two faults");
    assert_eq!(
        error
            .faults
            .iter()
            .map(|fault| fault.line)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(error.to_string().lines().count(), 2);
}

#[test]
fn a_file_that_means_nothing_is_a_fault() {
    for (path, text) in [
        ("policy.txt", ""),
        ("tests/a.yaml", ""),
        ("weir.cedarschema", "namespace Weir {}"),
        ("masks.yaml", ""),
    ] {
        let error = Bundle::parse(&files(&[(path, text)])).expect_err(path);
        assert_eq!(error.faults[0].file, path);
    }
    assert!(Bundle::parse(&files(&[("a.cedar", GOOD), ("a.cedar", GOOD)])).is_err());
    assert!(
        Bundle::parse(&files(&[
            ("README.md", "hello"),
            ("weir.cedarschema", Bundle::schema())
        ]))
        .is_ok()
    );
}

#[test]
fn a_test_that_expects_nonsense_is_a_fault() {
    let test = |change: (&str, &str)| {
        let text = "[[test]]\nname = \"n\"\nprincipal = { user = \"u\" }\nconnection = \"pg\"\naction = \"pg.select\"\n\
                    resource = \"table:p.t\"\nexpect = \"deny\"\npolicies = []\n"
            .replace(change.0, change.1);
        Bundle::parse(&files(&[("a.cedar", GOOD), ("tests/a.toml", &text)]))
    };
    assert!(test(("", "")).is_ok());
    for change in [
        ("pg.select", "pg.selec"),
        ("table:p.t", "table:p"),
        ("table:p.t", "shoe:p.t"),
        ("\"deny\"", "\"perhaps\""),
        ("policies = []", "policies = [\"nobody\"]"),
        ("user =", "usr ="),
        ("user = \"u\"", "groups = [\"g\"]"),
        ("expect", "expects"),
    ] {
        let error = test(change).expect_err(change.1);
        assert!(
            error
                .faults
                .iter()
                .all(|fault| fault.file == "tests/a.toml" && fault.line > 0),
            "{error}"
        );
    }
}

#[test]
fn layout_does_not_change_the_id_and_meaning_does() {
    let one = parse(GOOD).expect("valid");
    let spread = "// a comment\n@id(\"good\")   permit(\n principal, action == Weir::Action::\"pg.select\",\n resource ) ;";
    assert_eq!(parse(spread).expect("valid").id(), one.id());
    for other in [
        GOOD.replace("good", "better"),
        GOOD.replace("pg.select", "pg.insert"),
        GOOD.replace("permit", "forbid"),
        GOOD.replace("@id", "@reason(\"r\") @id"),
    ] {
        assert_ne!(parse(&other).expect(&other).id(), one.id(), "{other}");
    }
}

#[test]
fn a_diff_names_what_changed() {
    let before = Bundle::parse(&files(&[
        ("a.cedar", "@id(\"a\") permit(principal, action, resource);\n@id(\"b\") permit(principal, action, resource);"),
        ("masks.toml", "[connection.pg]\nunlabelled = \"clear\"\n[connection.pg.columns]\n\"p.t.c\" = [\"x\"]\n\"p.t.d\" = []"),
    ]))
    .expect("valid");
    let after = Bundle::parse(&files(&[
        ("z.cedar", "@id(\"b\") forbid(principal, action, resource);\n@id(\"c\") permit(principal, action, resource);"),
        ("masks.toml", "[connection.pg]\nunlabelled = \"clear\"\n[connection.pg.columns]\n\"p.t.c\" = [\"y\"]\n\"p.t.e\" = []"),
    ]))
    .expect("valid");
    let diff = before.diff(&after);
    let policies: Vec<_> = diff
        .policies
        .iter()
        .map(|(change, id, ..)| (*change, &*id.0))
        .collect();
    assert_eq!(
        policies,
        [
            (Change::Removed, "a"),
            (Change::Changed, "b"),
            (Change::Added, "c")
        ]
    );
    let labels: Vec<_> = diff
        .labels
        .iter()
        .map(|(change, label)| (*change, label.column.to_string()))
        .collect();
    assert_eq!(
        labels,
        [
            (Change::Changed, "p.t.c".into()),
            (Change::Removed, "p.t.d".into()),
            (Change::Added, "p.t.e".into())
        ]
    );
    assert!(diff.to_string().contains("~ policy b"));
}

#[test]
fn effects_are_read() {
    let bundle = parse(
        "@id(\"h\") @effect(\"approve\") @approvers(\"dba, ops\") @quorum(\"2\") @expires(\"2h\")\n\
         forbid(principal, action == Weir::Action::\"pg.drop_table\", resource)\n\
         unless { context.approvals.containsAll([Weir::Group::\"dba\", Weir::Group::\"ops\"]) };",
    )
    .expect("valid");
    let info = bundle.policies().next().expect("one");
    let Effect::Approve(terms) = &info.effect else {
        panic!("{:?}", info.effect)
    };
    assert_eq!(
        (terms.approvers.len(), terms.quorum, terms.expires_s),
        (2, 2, 7200)
    );
    assert_eq!((&*info.file, info.line), ("a.cedar", 1));
}

#[test]
fn a_step_up_that_no_token_could_satisfy_is_refused() {
    let written = |annotations: &str, action: &str, condition: &str| {
        parse(&format!(
            "@id(\"s\") {annotations}\nforbid(principal, action == Weir::Action::\"{action}\", resource)\n{condition};"
        ))
    };
    let cured = "unless { context.scopes.contains(\"refunds:write\") }";
    let asks = "@effect(\"step_up\") @scope(\"refunds:write\")";
    let good = written(asks, "mcp.call_tool", cured).expect("valid");
    let info = good.policies().next().expect("one");
    assert_eq!(info.effect, Effect::StepUp("refunds:write".into()));
    for (annotations, action, condition) in [
        ("@effect(\"step_up\")", "mcp.call_tool", cured),
        ("@effect(\"step_up\") @scope(\"\")", "mcp.call_tool", cured),
        (
            "@effect(\"step_up\") @scope(\"two words\")",
            "mcp.call_tool",
            cured,
        ),
        ("@scope(\"refunds:write\")", "mcp.call_tool", cured),
        (asks, "mcp.call_tool", "unless { false }"),
        (
            asks,
            "mcp.call_tool",
            "unless { context.scopes.contains(\"another\") }",
        ),
        (asks, "mcp.reveal", cured),
        (asks, "pg.select", "unless { false }"),
    ] {
        assert!(
            written(annotations, action, condition).is_err(),
            "{annotations} {action} {condition}"
        );
    }
}
