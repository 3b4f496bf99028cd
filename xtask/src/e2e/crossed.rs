//! Two calls of one tool that are open at once, of two people: what the server asks Postgres is
//! told apart by the calls' traces, and where there is none it is not guessed at.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::chain::{Server, records, with_packages};
use crate::checks::Checks;
use crate::stage::{Caller, Running, Stage, until};

/// A client of Python's, and a record's way to the log, on a slow machine.
const PAIR_MAX: Duration = Duration::from_secs(120);

/// Plays both: the server that passes traces on, and the one that does not.
pub(super) fn play(
    stage: &Stage,
    packages: &Path,
    (plain, traced): (&Server, &Server),
    checks: &mut Checks,
) -> Result<()> {
    let links = crossed(stage, packages, traced)?;
    checks.see(
        "two calls of one tool at once, with traces: each statement is its own caller's",
        links.iter().all(|link| link.kind == "trace" && link.is_own),
        &tell(&links),
    );
    let links = crossed(stage, packages, plain)?;
    let is_open = |link: &Linked| link.kind == "ambiguous" && !link.names_one;
    checks.see(
        "without traces: ambiguous between two, and none is named",
        links
            .iter()
            .all(|link| is_open(link) && link.candidates == 2),
        &tell(&links),
    );
    Ok(())
}

/// What a statement's record says of its cause.
struct Linked {
    who: &'static str,
    kind: String,
    candidates: u64,
    names_one: bool,
    /// Whether it names the call of the person for whom it was sent.
    is_own: bool,
}

fn tell(links: &[Linked]) -> String {
    let one = |link: &Linked| {
        let Linked {
            who,
            kind,
            candidates,
            is_own,
            ..
        } = link;
        format!("for {who}: {kind}, candidates {candidates}, own {is_own}")
    };
    links.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Has alice and bo call `pair`, which asks Postgres once both calls are open, and is over once
/// both have asked.
fn crossed(stage: &Stage, packages: &Path, server: &Server) -> Result<[Linked; 2]> {
    let before = records(stage)?.len();
    let begin = |caller: &Caller, who: &str| {
        let caller = with_packages(caller, packages);
        let mut command = caller.command("/usr/bin/python3");
        let arguments = format!(r#"{{"who":"{who}"}}"#);
        command
            .arg(packages.join("client.py"))
            .args([server.url.as_str(), "pair", &arguments]);
        Running::start(&mut command, "")
    };
    let people = &stage.people;
    let mut both = [
        begin(&people.alice.guarded, "alice")?,
        begin(&people.bo.guarded, "bo")?,
    ];
    until("both calls", PAIR_MAX, || {
        Ok((!both.iter_mut().any(Running::is_running)).then_some(()))
    })?;
    for (client, who) in both.into_iter().zip(["alice", "bo"]) {
        let said = client.finish()?;
        anyhow::ensure!(
            said.out.contains(&format!("asked for {who}")),
            "{}",
            said.all()
        );
    }
    until("the records of both", PAIR_MAX, || {
        let all = records(stage)?;
        let later = all.get(before..).unwrap_or_default();
        let found = |who| linked(later, who);
        Ok(found("alice")
            .zip(found("bo"))
            .map(|(alice, bo)| [alice, bo]))
    })
}

fn linked(leaves: &[Value], who: &'static str) -> Option<Linked> {
    let mut intents = leaves.iter().filter(|leaf| leaf["kind"] == "intent");
    let about = |leaf: &Value, words: &str| {
        let summary = leaf["summary"].as_str();
        summary.is_some_and(|summary| summary.contains(words))
    };
    let calls: Vec<_> = intents
        .clone()
        .filter(|leaf| about(leaf, "tools/call pair"))
        .collect();
    let statement = intents.find(|leaf| about(leaf, &format!(" AS pair_{who}")))?;
    let link = &statement["link"];
    let names =
        |call: &&&Value| call["flow"] == link["flow"] && call["operation"] == link["operation"];
    let named = calls.iter().find(names);
    Some(Linked {
        who,
        kind: link["kind"].as_str().unwrap_or("none").to_owned(),
        candidates: link["candidates"].as_u64().unwrap_or_default(),
        names_one: link["flow"].is_string(),
        is_own: named.is_some_and(|call| call["who"].to_string().contains(who)),
    })
}
