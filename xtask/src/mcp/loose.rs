//! What a server shows that says what its tools take and give, and checks nothing: values that no
//! detector knows are hidden by their place, in forms that the tool's schema admits, and arguments
//! that policy reads come in their types or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::clients::{node, python};
use super::kit::Kit;
use super::servers::Server;
use super::setup::{POLICY, Setup};
use crate::checks::Checks;
use crate::stage::policies::{self, Edit};
use crate::stage::{Caller, Stage, until};

/// What is hidden of the record, as it stands there.
const CLEAR: [&str; 6] = [
    "73250",
    "principal",
    "QX-4711",
    "seven-north",
    "north-101",
    "north-204",
];

/// How soon the control plane knows a definition that a host has seen.
const KNOWN_MAX: Duration = Duration::from_secs(30);

/// Plays all clients, and holds the policies against the definitions that they have listed.
pub(super) fn play(stage: &Stage, kit: &Kit, setup: &Setup, checks: &mut Checks) -> Result<()> {
    let server = &setup.loose;
    let url = server.url("/mcp");
    let entry = ["loose_client.mjs"];
    for (name, words) in [
        ("TypeScript SDK 1", node(kit, &entry, &["v1", &url])),
        ("TypeScript SDK 2", node(kit, &entry, &["v2", &url])),
        ("Python SDK", python(kit, "loose.py", &[&url])),
    ] {
        let ask = |caller: &Caller| Told::of(kit, server, caller, &words);
        let people = &stage.people;
        let direct = ask(&people.alice.unguarded)?;
        let masked = ask(&people.alice.guarded)?;
        let clear = ask(&people.bo.guarded)?;
        hidden(name, (&direct, &masked, &clear), checks);
        typed(name, &direct, &masked, checks);
    }
    checked(stage, checks)
}

/// What a client told, and what the server ran for it meanwhile.
struct Told {
    lines: BTreeMap<String, String>,
    ran: Vec<Value>,
}

impl Told {
    fn of(kit: &Kit, server: &Server, caller: &Caller, words: &[String]) -> Result<Self> {
        let before = server.asked()?.len();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let said = kit.run(&kit.python(caller), &words)?;
        anyhow::ensure!(said.ok && said.out.contains("done\t"), "{}", said.all());
        let split = |line: &str| {
            let (name, seen) = line.split_once('\t')?;
            Some((name.to_owned(), seen.to_owned()))
        };
        let ran = server.asked_since(before)?;
        Ok(Self {
            lines: said.out.lines().filter_map(split).collect(),
            ran: ran
                .into_iter()
                .filter(|it| it["tool"].is_string())
                .collect(),
        })
    }

    fn line(&self, step: &str) -> &str {
        self.lines.get(step).map_or("nothing", String::as_str)
    }

    /// What stands in the record, and in the copy of it that is a text.
    fn record(&self) -> Result<(Value, Value)> {
        let seen: Value = serde_json::from_str(self.line("record")).context("a record")?;
        let copy = seen["content"][0]["text"].as_str().context("a copy")?;
        let copy = serde_json::from_str(copy).context("a copy that is JSON")?;
        Ok((seen["structuredContent"].clone(), copy))
    }

    /// Whether the server ran `list_orders` with this limit, whatever beside it.
    fn listed(&self, limit: &Value) -> usize {
        let is_it =
            |call: &&Value| call["tool"] == "list_orders" && &call["arguments"]["limit"] == limit;
        self.ran.iter().filter(is_it).count()
    }
}

/// The record as an engineer sees it: of her wage, what the schema itself names.
fn shown() -> Value {
    json!({
        "name": "Alva Lindqvist", "salary": 90000, "grade": "junior", "badge": "XX-0011",
        "ward": "[hidden]", "rooms": ["[hidden]", "[hidden]"],
    })
}

/// Clients check what they are given against the tool's `outputSchema`, and raise what it does not
/// admit, as they do for `torn`.
fn hidden(name: &str, (direct, masked, clear): (&Told, &Told, &Told), checks: &mut Checks) {
    let has_all = |told: &Told| {
        let line = told.line("record");
        // In the structured content, and in the text.
        CLEAR.iter().all(|value| line.matches(value).count() == 2)
    };
    checks.see(
        &format!("control: {name}, direct and as one who may: in the clear, twice"),
        has_all(direct) && has_all(clear),
        direct.line("record"),
    );
    let torn = |told: &Told| {
        told.line("torn").starts_with("RAISED") && told.line("torn").contains("integer")
    };
    checks.see(
        &format!("control: {name} raises what the tool's schema does not admit"),
        torn(direct) && torn(masked),
        direct.line("torn"),
    );
    let line = masked.line("record");
    let is_hidden = !CLEAR.iter().any(|value| line.contains(value));
    let record = masked.record();
    let holds = record
        .as_ref()
        .is_ok_and(|(content, _)| content == &shown());
    checks.see(
        &format!("{name}: hidden by its place, in a form that the client takes"),
        is_hidden && holds,
        line,
    );
    let copied = record.is_ok_and(|(_, copy)| copy["name"] == "Alva Lindqvist");
    checks.see(
        &format!("{name}: the copy in the text stays JSON, and has none of it"),
        is_hidden && copied,
        line,
    );
}

/// Each of these runs at the server, direct.
fn typed(name: &str, direct: &Told, guarded: &Told, checks: &mut Checks) {
    for (step, limit, runs) in [
        ("of the type", json!(5), true),
        ("as a text", json!("150"), false),
        ("as a list", json!([150]), false),
        ("too many", json!(150), false),
        ("another of another type", json!(5), false),
    ] {
        let ran = direct.line(step).contains("orders\"");
        let told = guarded.line(step);
        let is_right = told.contains("orders\"") == runs;
        // Two steps have the limit 5: one of them runs.
        let times = if limit == json!(5) { 1 } else { 0 };
        checks.see(
            &format!("{name}: an argument {step}"),
            ran && is_right && guarded.listed(&limit) == times,
            &format!("ran {} times; {told}", guarded.listed(&limit)),
        );
    }
}

/// The policy in force reads the arguments as the tools declare them, and one that does not is told so.
fn checked(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let admin = stage.control.admin();
    let check = |folder: &str| {
        let words = ["policy", "check", folder, "--connection", "suite-loose"];
        admin.try_run(&words, "")
    };
    let right = policies::draft(stage.site, "mcp-reads", &POLICY)?;
    let said = until("the definitions", KNOWN_MAX, || {
        let said = check(&right)?;
        Ok(said.out.contains("4 tools").then_some(said))
    })?;
    checks.see(
        "weir policy check: as the tools declare it",
        said.ok,
        &said.all(),
    );
    let misread = Edit {
        file: "policies.cedar",
        from: r#"context.arguments.longs.hasTag("limit") && context.arguments.longs.getTag("limit") > 100"#,
        to: r#"context.arguments.strings.hasTag("limit") && context.arguments.strings.getTag("limit") like "1*""#,
    };
    let wrong = policies::draft(
        stage.site,
        "mcp-misreads",
        &[&POLICY[..], &[misread]].concat(),
    )?;
    let said = check(&wrong)?;
    let told = ["policies.cedar:", "suite-loose-few", "longs"];
    checks.see(
        "weir policy check: a policy that reads another type is told where, and what to read",
        !said.ok && told.iter().all(|word| said.all().contains(word)),
        &said.all(),
    );
    Ok(())
}
