//! Calls that wait for people, in clients that declare how they can be told so: a page to open
//! (2025-11-25, error -32042), a request for input (2026-07-28), a task.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::holds::{await_clients, order, refunds, steps};
use super::kit::Kit;
use super::setup::Setup;
use crate::checks::Checks;
use crate::stage::{Running, Said, Stage};

/// Nobody waits here for longer than people are slow, and dana is not.
const ALL_MAX: Duration = Duration::from_secs(180);

/// What dana tells whom she denies something.
const NO: &str = "not this one";

/// Orders of one client: each has ten numbers, far from those of other clients.
const FIRST: u64 = 900;
const STRIDE: u64 = 10;

/// The clients, by the form that they are answered in.
const CLIENTS: [(&str, &str); 3] = [
    ("url", "TypeScript SDK 1 that opens URLs"),
    ("input", "TypeScript SDK 2, 2026-07-28"),
    ("task", "TypeScript SDK 1, strict, with tasks"),
];

/// What a client tells of a step, and how often the refund was really made.
struct Expected {
    step: &'static str,
    order: u64,
    cents: u64,
    times: usize,
    words: &'static [&'static str],
}

const fn expected(
    step: &'static str,
    (order, cents): (u64, u64),
    times: usize,
    words: &'static [&'static str],
) -> Expected {
    Expected {
        step,
        order,
        cents,
        times,
        words,
    }
}

const PAGE: &[&str] = &["-32042", "/#/approvals/", "\"mode\":\"url\""];

const URL: &[Expected] = &[
    expected("told", (1, 100), 1, PAGE),
    expected("approved", (1, 100), 1, &["refunded 100"]),
    expected("denied", (2, 100), 0, &[NO]),
    expected("told of the changed", (3, 999), 0, PAGE),
    expected("changed", (3, 999), 0, &[NO]),
];

const INPUT: &[Expected] = &[
    expected("approved", (1, 100), 1, &["refunded 100"]),
    expected("told", (1, 100), 1, &["/#/approvals/", "\"mode\":\"url\""]),
    expected("denied", (2, 100), 0, &[NO]),
    expected("declined", (5, 100), 0, &["Declined at the client"]),
    expected("closed", (4, 100), 0, &["no longer wanted"]),
];

/// No refund is made: the steps are about other tools.
const NONE: (u64, u64) = (9, 100);

const TASK: &[Expected] = &[
    expected(
        "announced",
        NONE,
        0,
        &[
            r#""requests":{"tools":{"call":{}}}"#,
            r#""refund":"optional","add":"none""#,
        ],
    ),
    expected("plain", NONE, 0, &[r#"{"types":["result"]"#, "42"]),
    expected("at once", NONE, 0, &["taskCreated", "42"]),
    expected("approved", (1, 100), 1, &["taskCreated", "refunded 100"]),
    expected("denied", (2, 100), 0, &["failed", NO]),
    expected("cancelled", (4, 100), 0, &["cancelled"]),
    expected(
        "listed",
        (4, 100),
        0,
        &[r#"["cancelled","completed","completed","failed"]"#],
    ),
];

/// Plays all clients at once.
pub(super) fn play(stage: &Stage, kit: &Kit, setup: &Setup, checks: &mut Checks) -> Result<()> {
    let folder = kit.scratch("ladder")?;
    let home = kit.scratch("home")?.display().to_string();
    let caller = kit.python(&stage.people.alice.guarded).with("HOME", &home);
    let (program, url) = (kit.at("node/ladder.mjs"), setup.shop.url("/mcp"));
    let mut running = Vec::new();
    for (number, (rung, _)) in CLIENTS.into_iter().enumerate() {
        let mut command = caller.command(&kit.node());
        let first = first(number).to_string();
        let shared = folder.display().to_string();
        command.args([&program, rung, &shared, &first, &url]);
        running.push((number, Running::start(&mut command, "")?));
    }
    let mut dana = Dana {
        stage,
        folder: &folder,
        seen: HashSet::new(),
    };
    await_clients(&mut running, ALL_MAX, || dana.decide())?;
    let ran = refunds(setup)?;
    for (number, client) in running {
        judge(checks, number, &client.finish()?, &ran);
    }
    for (number, why) in [(1, "closed"), (1, "declined"), (2, "cancelled")] {
        let order = first(number) + if why == "declined" { 5 } else { 4 };
        let state = withdrawn(stage, order)?;
        let (_, client) = CLIENTS.get(number).copied().unwrap_or_default();
        let name = format!("{client}: what was {why} is withdrawn");
        checks.see(&name, state == "withdrawn", &state);
    }
    Ok(())
}

fn first(number: usize) -> u64 {
    FIRST + number as u64 * STRIDE
}

/// Who decides.
struct Dana<'a> {
    stage: &'a Stage,
    folder: &'a Path,
    seen: HashSet<String>,
}

impl Dana<'_> {
    /// Decides what waits: by the last digit of the order, and by the cents.
    fn decide(&mut self) -> Result<()> {
        let dana = &self.stage.people.dana;
        let waiting = dana.json(&["approvals", "list"])?;
        for request in waiting.as_array().into_iter().flatten() {
            let id = request["id"].as_str().context("a request without id")?;
            let operation = request["operation"].as_str().unwrap_or_default();
            let known = order(operation).filter(|(order, _)| *order >= FIRST);
            let Some((order, cents)) = known.filter(|_| self.seen.insert(id.to_owned())) else {
                continue;
            };
            match (order % STRIDE, cents) {
                (1 | 3, 100) => {
                    dana.run(&["approvals", "approve", id])?;
                }
                (2, _) | (3, _) => {
                    dana.run(&["approvals", "deny", id, "--reason", NO])?;
                }
                // Their clients give these up.
                _ => {
                    let first = order - order % STRIDE;
                    fs::write(self.folder.join(format!("{first}-asked")), "").context("asked")?;
                }
            }
        }
        Ok(())
    }
}

/// What became of the request for an order.
fn withdrawn(stage: &Stage, wanted: u64) -> Result<String> {
    let all = stage.people.dana.json(&["approvals", "list", "--all"])?;
    let about = |request: &&serde_json::Value| {
        let operation = request["operation"].as_str().unwrap_or_default();
        order(operation).is_some_and(|(order, _)| order == wanted)
    };
    let found = all.as_array().into_iter().flatten().find(about);
    let state = found.and_then(|request| request["state"].as_str());
    Ok(state.unwrap_or("nothing").to_owned())
}

fn judge(checks: &mut Checks, number: usize, said: &Said, ran: &BTreeMap<(u64, u64), usize>) {
    let (rung, client) = CLIENTS.get(number).copied().unwrap_or_default();
    let lines = steps(said);
    let steps = match rung {
        "url" => URL,
        "input" => INPUT,
        _ => TASK,
    };
    for expected in steps {
        let told = lines.get(expected.step).copied().unwrap_or("nothing");
        let at = (first(number) + expected.order, expected.cents);
        let count = ran.get(&at).copied().unwrap_or(0);
        let is_told = expected.words.iter().all(|word| told.contains(word));
        checks.see(
            &format!("{client}: {}", expected.step),
            is_told && count == expected.times,
            &format!("ran {count} times; {told}"),
        );
    }
    if !lines.contains_key("done") {
        checks.see(&format!("{client} comes to its end"), false, &said.all());
    }
}
