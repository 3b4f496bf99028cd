//! Calls that wait for people, in every client: approved while it waits, approved after it was
//! told to come back, denied, expired, and sent again with another argument.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::kit::Kit;
use super::setup::Setup;
use crate::checks::Checks;
use crate::stage::{Running, Said, Stage, until};

/// A call is held for fifty seconds, and each client has one that is held for so long. One of them
/// is a process for each call.
const ALL_MAX: Duration = Duration::from_secs(300);

/// What dana tells whom she denies something.
const NO: &str = "not this one";

/// Orders of one client: each has ten numbers.
const STRIDE: u64 = 10;

/// What a client is told about its story: where it is, whose orders it has, and how the others'
/// programs are found.
struct About<'a> {
    kit: &'a Kit,
    url: &'a str,
    folder: &'a str,
    /// The number before its first order.
    first: String,
}

impl About<'_> {
    fn node(&self, which: &str, rest: &[&str]) -> Vec<String> {
        let program = [&self.kit.node(), &self.kit.at("node/hold.mjs")];
        self.words(
            &program,
            &[&[which, self.folder, &self.first], rest].concat(),
        )
    }

    fn python(&self, which: &str) -> Vec<String> {
        let program = [
            &"/usr/bin/python3".to_owned(),
            &self.kit.at("python/hold.py"),
        ];
        self.words(&program, &[which, self.folder, &self.first, self.url])
    }

    fn words(&self, program: &[&String], arguments: &[&str]) -> Vec<String> {
        let program = program.iter().map(|word| (*word).clone());
        let arguments = arguments.iter().map(|word| (*word).to_owned());
        program.chain(arguments).collect()
    }
}

/// A client, and the words that start its story.
type Client = (&'static str, fn(&About<'_>) -> Vec<String>);

/// The clients, in the order of their numbers. Claude Code is not among them: it calls tools for
/// its model only, which wants an account.
const CLIENTS: &[Client] = &[
    ("TypeScript SDK 1", |about| about.node("v1", &[about.url])),
    ("TypeScript SDK 2", |about| about.node("v2", &[about.url])),
    ("mcp-remote", |about| {
        let (own, remote) = (about.kit.node(), about.kit.remote());
        let server = ["-", &own, &remote, about.url];
        let more = ["--allow-http", "--transport", "http-only"];
        about.node("v1", &[server.as_slice(), &more].concat())
    }),
    ("Python SDK", |about| about.python("mcp")),
    ("fastmcp", |about| about.python("fastmcp")),
    ("rmcp", |about| {
        let arguments = ["hold", about.folder, &about.first, about.url];
        about.words(&[&about.kit.rmcp()], &arguments)
    }),
    ("TypeScript SDK 2, 2026-07-28", |about| {
        about.node("v2", &[about.url, "2026-07-28"])
    }),
    ("Inspector", |about| {
        about.node("inspector", &[about.url, &about.kit.inspector()])
    }),
];

/// Plays all clients at once: most of the time is waiting.
pub(super) fn play(stage: &Stage, kit: &Kit, setup: &Setup, checks: &mut Checks) -> Result<()> {
    let folder = kit.scratch("holds")?;
    let home = kit.scratch("home")?.display().to_string();
    let caller = kit.python(&stage.people.alice.guarded).with("HOME", &home);
    let (url, told) = (setup.shop.url("/mcp"), folder.display().to_string());
    let mut running = Vec::new();
    for (number, (_, words)) in CLIENTS.iter().enumerate() {
        let words = words(&About {
            kit,
            url: &url,
            folder: &told,
            first: first(number).to_string(),
        });
        let (program, arguments) = words.split_first().context("a program")?;
        let mut command = caller.command(program);
        running.push((number, Running::start(command.args(arguments), "")?));
    }
    let mut dana = Dana {
        stage,
        folder: &folder,
        decided: HashSet::new(),
    };
    await_clients(&mut running, ALL_MAX, || dana.decide())?;
    let ran = refunds(setup)?;
    for (number, client) in running {
        let said = client.finish()?;
        judge(checks, number, &said, &ran);
    }
    Ok(())
}

/// Waits for the ends of clients, and acts beside them.
pub(super) fn await_clients(
    running: &mut [(usize, Running)],
    within: Duration,
    mut beside: impl FnMut() -> Result<()>,
) -> Result<()> {
    until("the clients' ends", within, || {
        beside()?;
        // Each look at what waits is a process.
        std::thread::sleep(Duration::from_millis(150));
        let runs = running.iter_mut().any(|(_, client)| client.is_running());
        Ok((!runs).then_some(()))
    })
}

/// What a client told, step by step.
pub(super) fn steps(said: &Said) -> BTreeMap<&str, &str> {
    let lines = said.out.lines();
    lines.filter_map(|line| line.split_once('\t')).collect()
}

/// The number before the first order of a client.
fn first(number: usize) -> u64 {
    (number as u64 + 1) * STRIDE
}

/// Who decides.
struct Dana<'a> {
    stage: &'a Stage,
    folder: &'a Path,
    decided: HashSet<String>,
}

impl Dana<'_> {
    /// Decides what waits: by the last digit of the order, and by the cents.
    fn decide(&mut self) -> Result<()> {
        let dana = &self.stage.people.dana;
        let waiting = dana.json(&["approvals", "list"])?;
        for request in waiting.as_array().into_iter().flatten() {
            let id = request["id"].as_str().context("a request without id")?;
            let operation = request["operation"].as_str().unwrap_or_default();
            let Some((order, cents)) = order(operation) else {
                continue;
            };
            if self.decided.contains(id) {
                continue;
            }
            match (order % STRIDE, cents) {
                (1, 100) => {
                    dana.run(&["approvals", "approve", id])?;
                }
                (2, _) | (3, 999) => {
                    dana.run(&["approvals", "deny", id, "--reason", NO])?;
                }
                (3, _) => {
                    let first = order - order % STRIDE;
                    if !self.folder.join(format!("{first}-late")).exists() {
                        continue;
                    }
                    dana.run(&["approvals", "approve", id])?;
                    fs::write(self.folder.join(format!("{first}-go")), "").context("go")?;
                }
                // Nobody decides on the fourth.
                _ => {}
            }
            self.decided.insert(id.to_owned());
        }
        Ok(())
    }
}

/// Order and cents of a refund, as the request shows the call.
pub(super) fn order(operation: &str) -> Option<(u64, u64)> {
    // tools/call refund {"cents":100,"order":13} {"_meta":{…}}
    let (call, arguments) = operation.split_at(operation.find('{')?);
    let mut values = serde_json::Deserializer::from_str(arguments).into_iter::<Value>();
    let arguments = values.next()?.ok()?;
    call.starts_with("tools/call refund")
        .then_some((arguments["order"].as_u64()?, arguments["cents"].as_u64()?))
}

/// How often the server was really asked to refund so many cents of an order.
pub(super) fn refunds(setup: &Setup) -> Result<BTreeMap<(u64, u64), usize>> {
    let mut ran = BTreeMap::new();
    for call in setup.shop.asked()? {
        let is_refund = call["tool"]
            .as_str()
            .is_some_and(|tool| tool.starts_with("refund"));
        let about = &call["arguments"];
        if let (true, Some(order), Some(cents)) =
            (is_refund, about["order"].as_u64(), about["cents"].as_u64())
        {
            *ran.entry((order, cents)).or_default() += 1;
        }
    }
    Ok(ran)
}

fn judge(checks: &mut Checks, number: usize, said: &Said, ran: &BTreeMap<(u64, u64), usize>) {
    let client = CLIENTS.get(number).map_or("nobody", |(name, _)| *name);
    let first = first(number);
    let lines = steps(said);
    for (step, order, cents, times, words) in [
        ("within", 1, 100, 1, "refunded 100"),
        ("denied", 2, 100, 0, NO),
        ("late", 3, 100, 1, "pending"),
        ("retried", 3, 100, 1, "refunded 100"),
        ("changed", 3, 999, 0, NO),
        ("expired", 4, 100, 0, "expired"),
    ] {
        let told = lines.get(step).copied().unwrap_or("nothing");
        let count = ran.get(&(first + order, cents)).copied().unwrap_or(0);
        let is_told = told.to_lowercase().contains(words) && lines.contains_key(step);
        checks.see(
            &format!("{client}: {step}"),
            is_told && count == times,
            &format!("ran {count} times; {told}"),
        );
    }
    if !lines.contains_key("done") {
        checks.see(&format!("{client} comes to its end"), false, &said.all());
    }
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn a_refund_is_known_by_order_and_cents() {
        assert_eq!(
            order(r#"tools/call refund {"cents":100,"order":13}"#),
            Some((13, 100))
        );
        assert_eq!(order(r#"tools/call add {"order":1,"cents":2}"#), None);
        assert_eq!(order("refund"), None);
    }
}
