//! Real clients of the transport of 2024-11-05 tell the same story direct and through Weir; calls
//! of theirs wait for people while others are served.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::abilities::{Ability, Lack};
use super::clients::{node, python, story};
use super::kit::Kit;
use super::setup::Setup;
use crate::checks::Checks;
use crate::stage::{Caller, Running, Stage, until};

/// A call is held for fifty seconds at most; everything else is fast, on a slow machine too.
const CLIENT_MAX: Duration = Duration::from_secs(120);

/// Its one stream cannot be resumed.
const LACKS: &[Lack] = &[(Ability::Resume, "not in this revision")];

/// What dana tells whom she denies something.
const NO: &str = "not by this way";

/// Plays both clients.
pub(super) fn play(stage: &Stage, kit: &Kit, setup: &Setup, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice;
    let server = &setup.sse;
    let url = server.url("/sse");
    for (name, words) in [
        ("TypeScript SDK 1", node(kit, &["sse.mjs"], &[&url])),
        ("Python SDK", python(kit, "mcp_.py", &[&url, "sse"])),
    ] {
        story(alice, kit, server, (name, LACKS), &words, checks)?;
    }
    for (name, first, words) in [
        (
            "TypeScript SDK 1",
            700,
            node(kit, &["sse.mjs"], &[&url, "700"]),
        ),
        (
            "Python SDK",
            800,
            python(kit, "sse_hold.py", &[&url, "800"]),
        ),
    ] {
        held(stage, kit, setup, (name, first), &words, checks)?;
    }
    Ok(())
}

/// Two calls that wait, one of them approved and one denied, and a third that does not. Direct, all
/// of them run at once.
fn held(
    stage: &Stage,
    kit: &Kit,
    setup: &Setup,
    (name, first): (&str, u64),
    words: &[String],
    checks: &mut Checks,
) -> Result<()> {
    let alice = &stage.people.alice;
    let before = refunds(setup, first)?;
    let direct = tell(kit, words, &alice.unguarded, || Ok(()))?;
    let free = refunds(setup, first)?;
    ensure!(
        direct.contains("done\t") && free.len() == before.len() + 2,
        "direct, without Weir: {free:?}\n{direct}"
    );
    let mut decided = HashSet::new();
    let told = tell(kit, words, &alice.guarded, || {
        decide(stage, first, &mut decided)
    })?;
    let ran = refunds(setup, first)?.split_off(free.len());
    let line = |step: &str| {
        let found = told.lines().find_map(|line| line.strip_prefix(step));
        found.unwrap_or_default().to_owned()
    };
    let holds = line("approved\t").contains("refunded 100")
        && line("denied\t").contains(NO)
        && line("meanwhile\t").contains('2')
        && told.contains("done\t")
        && ran == [first + 1];
    let text = format!("ran for {ran:?}; {}", told.replace('\n', "; "));
    checks.see(&format!("{name}: calls that wait"), holds, &text);
    Ok(())
}

/// Runs a client to its end, acting beside it.
fn tell(
    kit: &Kit,
    words: &[String],
    caller: &Caller,
    mut beside: impl FnMut() -> Result<()>,
) -> Result<String> {
    let home = kit.scratch("home")?.display().to_string();
    let caller = kit.python(caller).with("HOME", &home);
    let (program, arguments) = words.split_first().context("a program")?;
    let mut client = Running::start(caller.command(program).args(arguments), "")?;
    until("the client's end", CLIENT_MAX, || {
        beside()?;
        Ok((!client.is_running()).then_some(()))
    })?;
    let said = client.finish()?;
    Ok(format!("{}{}", said.out, said.err))
}

/// Decides what waits, by the last digit of the order.
fn decide(stage: &Stage, first: u64, decided: &mut HashSet<String>) -> Result<()> {
    let dana = &stage.people.dana;
    let waiting = dana.json(&["approvals", "list"])?;
    for request in waiting.as_array().into_iter().flatten() {
        let id = request["id"].as_str().context("a request without id")?;
        let operation = request["operation"].as_str().unwrap_or_default();
        let is_for = |order: u64| operation.contains(&format!("\"order\":{order}}}"));
        if decided.contains(id) || !operation.starts_with("tools/call refund ") {
            continue;
        }
        if is_for(first + 1) {
            dana.run(&["approvals", "approve", id])?;
        } else if is_for(first + 2) {
            dana.run(&["approvals", "deny", id, "--reason", NO])?;
        } else {
            continue;
        }
        decided.insert(id.to_owned());
    }
    Ok(())
}

/// Orders from this number on that the server was really asked to refund.
fn refunds(setup: &Setup, first: u64) -> Result<Vec<u64>> {
    let asked = setup.sse.asked()?;
    let orders = asked
        .iter()
        .filter(|call| call["tool"] == "refund")
        .filter_map(|call| call["arguments"]["order"].as_u64());
    Ok(orders
        .filter(|order| (first..first + 10).contains(order))
        .collect())
}
