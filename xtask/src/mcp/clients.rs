//! Real clients tell the same story direct and through Weir: what is masked is masked, what is
//! hidden looks absent, and everything else is as direct.

use anyhow::{Result, bail, ensure};

use super::abilities::{Ability, Lack, Row};
use super::kit::Kit;
use super::servers::Server;
use super::setup::Setup;
use super::told::compare;
use crate::checks::Checks;
use crate::stage::{Caller, Person, Said, Stage};

/// One client.
struct Client {
    name: &'static str,
    /// What it cannot do.
    lacks: &'static [Lack],
    /// Its words, made from the kit's folder and the server's address.
    words: fn(&Kit, &str) -> Vec<String>,
}

/// 2026-07-28 has neither sessions nor events to resume after.
const STATELESS: &[Lack] = &[(Ability::Resume, "not in this revision")];

/// Its command line is one process for each thing that is asked, and prints results only: there
/// is nobody to give a call up, and nobody to answer.
const ONE_SHOT: &[Lack] = &[
    (Ability::Stream, PRINTS_RESULTS),
    (Ability::Cancel, "nobody is there to"),
    (Ability::Progress, PRINTS_RESULTS),
    (Ability::Elicit, "nobody is there to"),
];

const PRINTS_RESULTS: &str = "prints results only";

const CLIENTS: &[Client] = &[
    Client {
        name: "TypeScript SDK 1",
        lacks: &[],
        words: |kit, url| node(kit, &["v1.mjs"], &[url]),
    },
    Client {
        name: "TypeScript SDK 2",
        lacks: &[],
        words: |kit, url| node(kit, &["v2.mjs"], &[url]),
    },
    Client {
        name: "Python SDK",
        lacks: &[],
        words: |kit, url| python(kit, "mcp_.py", &[url, "legacy"]),
    },
    Client {
        name: "fastmcp",
        lacks: &[],
        words: |kit, url| python(kit, "fastmcp_.py", &[url, "legacy"]),
    },
    Client {
        name: "rmcp",
        lacks: &[],
        words: |kit, url| words(&[kit.rmcp()], &["story", url, "initialize"]),
    },
    Client {
        name: "TypeScript SDK 2, 2026-07-28",
        lacks: STATELESS,
        words: |kit, url| node(kit, &["v2.mjs"], &[url, "2026-07-28"]),
    },
    Client {
        name: "Python SDK, 2026-07-28",
        lacks: STATELESS,
        words: |kit, url| python(kit, "mcp_.py", &[url, "auto"]),
    },
    Client {
        name: "fastmcp, 2026-07-28",
        lacks: STATELESS,
        words: |kit, url| python(kit, "fastmcp_.py", &[url, "auto"]),
    },
    Client {
        name: "rmcp, 2026-07-28",
        lacks: STATELESS,
        words: |kit, url| words(&[kit.rmcp()], &["story", url, "discover"]),
    },
    Client {
        name: "mcp-remote",
        lacks: &[],
        words: |kit, url| {
            let (own, remote) = (kit.node(), kit.remote());
            let more = [url, "--allow-http", "--transport", "http-only"];
            let command = [&["-", &own, &remote], more.as_slice()].concat();
            node(kit, &["v1.mjs"], &command)
        },
    },
    Client {
        name: "Inspector",
        lacks: ONE_SHOT,
        words: |kit, url| node(kit, &["inspector.mjs"], &[&kit.inspector(), url]),
    },
];

pub(super) fn node(kit: &Kit, entry: &[&str; 1], arguments: &[&str]) -> Vec<String> {
    let [entry] = entry;
    words(&[kit.node(), kit.at(&format!("node/{entry}"))], arguments)
}

pub(super) fn python(kit: &Kit, entry: &str, arguments: &[&str]) -> Vec<String> {
    let entry = kit.at(&format!("python/{entry}"));
    words(&["/usr/bin/python3".to_owned(), entry], arguments)
}

fn words(program: &[String], arguments: &[&str]) -> Vec<String> {
    let arguments = arguments.iter().map(|word| (*word).to_owned());
    program.iter().cloned().chain(arguments).collect()
}

/// Plays them all.
pub(super) fn play(stage: &Stage, kit: &Kit, setup: &Setup, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice;
    for client in CLIENTS {
        let server = &setup.shop;
        let words = (client.words)(kit, &server.url("/mcp"));
        let about = (client.name, client.lacks);
        story(alice, kit, server, about, &words, checks)?;
    }
    claude(stage, kit, setup, checks)
}

/// Has a client tell its story direct and through Weir, and compares.
pub(super) fn story(
    person: &Person,
    kit: &Kit,
    server: &Server,
    (name, lacks): (&str, &[Lack]),
    words: &[String],
    checks: &mut Checks,
) -> Result<()> {
    let direct = tell(kit, words, &person.unguarded)?;
    if !direct.ok {
        bail!("direct, without Weir, {name} failed:\n{}", direct.all());
    }
    let before = server.asked()?.len();
    let through = tell(kit, words, &person.guarded)?;
    let mut row = Row::of(&direct.out, lacks);
    row.await_notes(server, before)?;
    let mut seen = compare(&direct.out, &through.out);
    seen.wrong.append(&mut row.wrong);
    if is_purged(server, before)? {
        seen.wrong
            .push("a denied or hidden tool was called".to_owned());
    }
    let holds = seen.wrong.is_empty();
    let text = if holds {
        format!(
            "{} lines as direct, {} masked, {} refused",
            seen.equal, seen.masked, seen.refused
        )
    } else {
        format!("{}\n{}", seen.wrong.join("\n"), end_of(&through.err))
    };
    checks.see(name, holds, &text);
    if holds {
        checks.see("  direct and through Weir", true, &row.told(lacks));
    }
    Ok(())
}

/// Claude Code tells whether it could connect, and needs nobody's account for it. Everything else
/// it does for its model, which wants an account.
fn claude(stage: &Stage, kit: &Kit, setup: &Setup, checks: &mut Checks) -> Result<()> {
    let program = kit.native("@anthropic-ai/claude-code", "claude");
    let url = setup.shop.url("/mcp");
    let list = |caller: &Caller| -> Result<String> {
        let home = kit.scratch("home")?.display().to_string();
        let caller = caller
            .clone()
            .with("HOME", &home)
            .with("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
        let add = ["mcp", "add", "--scope", "user", "--transport", "http"];
        let add = [&[program.as_str()], add.as_slice(), &["shop", &url]].concat();
        let added = kit.run(&caller, &add)?;
        ensure!(added.ok, "{}", added.all());
        Ok(kit.run(&caller, &[&program, "mcp", "list"])?.out)
    };
    let alice = &stage.people.alice;
    let (direct, through) = (list(&alice.unguarded)?, list(&alice.guarded)?);
    checks.see(
        "Claude Code, mcp list",
        direct.contains("Connected") && through == direct,
        through.lines().last().unwrap_or_default(),
    );
    Ok(())
}

/// Whether the server was asked since then what nobody may ask through Weir.
fn is_purged(server: &Server, before: usize) -> Result<bool> {
    let asked = server.asked()?;
    let later = asked.get(before..).unwrap_or_default();
    let is_forbidden = |tool: &str| ["hidden_report", "denied_purge"].contains(&tool);
    let mut tools = later.iter().filter_map(|call| call["tool"].as_str());
    Ok(tools.any(is_forbidden))
}

fn tell(kit: &Kit, words: &[String], caller: &Caller) -> Result<Said> {
    let home = kit.scratch("home")?.display().to_string();
    let caller = kit.python(caller).with("HOME", &home);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    kit.run(&caller, &words)
}

/// The last lines of what a program complained about.
fn end_of(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(12);
    lines.get(from..).unwrap_or_default().join("\n")
}
