//! The MCP server: a filtered list, a refused tool, masked answers, a held refund.

use anyhow::{Context, Result};

use super::drop_table::pending;
use super::rows::line;
use crate::checks::Checks;
use crate::stage::{Caller, Stage, mcp};

const LOOKUP: [&str; 3] = ["call", "lookup_customer", r#"{"id":1}"#];
const SHELL: [&str; 3] = ["call", "run_shell", r#"{"command":"id"}"#];
const REFUND: [&str; 3] = ["call", "refund_order", r#"{"order":"o-1001","cents":1425}"#];

/// Values that only pii-readers may see.
const PERSONAL: [&str; 3] = ["123-45-6789", "alva@corp.example", "4111 1111 1111 1111"];

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let (alice, bo) = (&stage.people.alice, &stage.people.bo);
    let direct = stage.mcp.direct(&alice.unguarded);
    let ask = |caller: &Caller, what: &[&str]| {
        Ok::<_, anyhow::Error>(stage.mcp.ask(caller, what)?.0.to_string())
    };

    let all = ask(&direct, &["list"])?;
    checks.see(
        "control: outside, tools/list offers a shell",
        all.contains("run_shell"),
        &all,
    );
    let some = ask(&alice.guarded, &["list"])?;
    checks.see(
        "alice's list has no shell",
        some.contains("lookup_customer") && !some.contains("run_shell"),
        &some,
    );

    let runs = |name: &str| {
        Ok::<_, anyhow::Error>(
            stage
                .mcp
                .calls()?
                .iter()
                .filter(|tool| *tool == name)
                .count(),
        )
    };
    let ran = ask(&direct, &SHELL)?;
    checks.see(
        "control: outside, the shell runs",
        runs("run_shell")? == 1,
        &ran,
    );
    let refused = ask(&alice.guarded, &SHELL)?;
    checks.see(
        "alice calls it all the same: refused, never run",
        runs("run_shell")? == 1 && !refused.contains("\"ran\""),
        &refused,
    );

    let leaks = |text: &str| PERSONAL.iter().any(|value| text.contains(value));
    let clear = ask(&direct, &LOOKUP)?;
    checks.see(
        "control: outside, lookup_customer leaks",
        leaks(&clear),
        &structured(&clear),
    );
    let masked = ask(&alice.guarded, &LOOKUP)?;
    let is_masked = !leaks(&masked) && masked.contains("Alva Lindqvist") && masked.contains("6789");
    checks.see(
        "alice's answer is masked, in text and structured content",
        is_masked,
        &structured(&masked),
    );
    let read = ask(&bo.guarded, &LOOKUP)?;
    checks.see(
        "bo's is clear",
        PERSONAL.iter().all(|value| read.contains(value)),
        &structured(&read),
    );

    let few = ask(&alice.guarded, &["call", "list_orders", r#"{"limit":2}"#])?;
    checks.see(
        "list_orders of 2: allowed",
        few.contains("o-1001"),
        &structured(&few),
    );
    let many = ask(
        &alice.guarded,
        &["call", "list_orders", r#"{"limit":5000}"#],
    )?;
    checks.see(
        "list_orders of 5000: refused by its argument",
        !many.contains("o-1001"),
        &many,
    );
    refund(stage, checks)
}

fn refund(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let people = &stage.people;
    let runs = || {
        Ok::<_, anyhow::Error>(
            stage
                .mcp
                .calls()?
                .iter()
                .filter(|tool| *tool == "refund_order")
                .count(),
        )
    };
    let mut client = stage.mcp.begin(&people.alice.guarded, &REFUND)?;
    let request = pending(&people.dana, "refund_order")?;
    let id = request["id"]
        .as_str()
        .context("a request without id")?
        .to_owned();
    checks.see(
        "alice's refund is held",
        client.is_running() && runs()? == 0,
        request["operation"].as_str().unwrap_or_default(),
    );
    let own = people
        .alice
        .hand
        .try_run(&["approvals", "approve", &id], "")?;
    checks.see(
        "she may not approve it herself",
        !own.ok && runs()? == 0,
        &line(&own),
    );
    let agreed = people.dana.try_run(
        &["approvals", "approve", &id, "--reason", "parcel was lost"],
        "",
    )?;
    let (answer, _) = mcp::answer(client.finish()?)?;
    let answer = answer.to_string();
    let is_done = agreed.ok && answer.contains("refunded") && runs()? == 1;
    checks.see(
        "dana, support lead, approves: it runs, once",
        is_done,
        &structured(&answer),
    );
    Ok(())
}

/// The structured content of a result, where there is one.
fn structured(text: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    value
        .get("structuredContent")
        .map_or_else(|| text.to_owned(), ToString::to_string)
}
