//! Real clients tell the same story direct and through Weir: what is masked is masked, what is
//! hidden looks absent, and everything else is as direct.

use anyhow::{Result, bail, ensure};

use super::kit::Kit;
use super::servers::Server;
use super::setup::Setup;
use super::told::compare;
use crate::checks::Checks;
use crate::stage::{Caller, Said, Stage};

/// One client.
struct Client {
    name: &'static str,
    /// Its words, made from the kit's folder and the server's address.
    words: fn(&Kit, &str) -> Vec<String>,
}

const CLIENTS: &[Client] = &[
    Client {
        name: "TypeScript SDK 1",
        words: |kit, url| node(kit, &["v1.mjs"], &[url]),
    },
    Client {
        name: "TypeScript SDK 2",
        words: |kit, url| node(kit, &["v2.mjs"], &[url]),
    },
    Client {
        name: "Python SDK",
        words: |kit, url| python(kit, "mcp_.py", &[url, "legacy"]),
    },
    Client {
        name: "fastmcp",
        words: |kit, url| python(kit, "fastmcp_.py", &[url, "legacy"]),
    },
    Client {
        name: "TypeScript SDK 2, 2026-07-28",
        words: |kit, url| node(kit, &["v2.mjs"], &[url, "2026-07-28"]),
    },
    Client {
        name: "Python SDK, 2026-07-28",
        words: |kit, url| python(kit, "mcp_.py", &[url, "auto"]),
    },
    Client {
        name: "fastmcp, 2026-07-28",
        words: |kit, url| python(kit, "fastmcp_.py", &[url, "auto"]),
    },
    Client {
        name: "mcp-remote",
        words: |kit, url| {
            let (own, remote) = (
                kit.node(),
                kit.at("node/node_modules/mcp-remote/dist/proxy.js"),
            );
            let more = [url, "--allow-http", "--transport", "http-only"];
            let command = [&["-", &own, &remote], more.as_slice()].concat();
            node(kit, &["v1.mjs"], &command)
        },
    },
    Client {
        name: "Inspector",
        words: |kit, url| {
            let launcher = "node_modules/@modelcontextprotocol/inspector/clients/launcher";
            let launcher = kit.at(&format!("node/{launcher}/build/index.js"));
            node(kit, &["inspector.mjs"], &[&launcher, url])
        },
    },
];

fn node(kit: &Kit, entry: &[&str; 1], arguments: &[&str]) -> Vec<String> {
    let [entry] = entry;
    words(&[kit.node(), kit.at(&format!("node/{entry}"))], arguments)
}

fn python(kit: &Kit, entry: &str, arguments: &[&str]) -> Vec<String> {
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
        let direct = tell(kit, client, server, &alice.unguarded)?;
        if !direct.ok {
            bail!(
                "direct, without Weir, {} failed:\n{}",
                client.name,
                direct.all()
            );
        }
        let before = purged(server)?;
        let through = tell(kit, client, server, &alice.guarded)?;
        let mut seen = compare(&direct.out, &through.out);
        if purged(server)? != before {
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
        checks.see(client.name, holds, &text);
    }
    claude(stage, kit, setup, checks)
}

/// Claude Code tells whether it could connect, and needs nobody's account for it.
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

/// How often the server was asked what nobody may ask through Weir.
fn purged(server: &Server) -> Result<usize> {
    let asked = server.asked()?;
    let is_forbidden = |tool: &str| ["hidden_report", "denied_purge"].contains(&tool);
    let tools = asked.iter().filter_map(|call| call["tool"].as_str());
    Ok(tools.filter(|tool| is_forbidden(tool)).count())
}

fn tell(kit: &Kit, client: &Client, server: &Server, caller: &Caller) -> Result<Said> {
    let home = kit.scratch("home")?.display().to_string();
    let caller = kit.python(caller).with("HOME", &home);
    let words = (client.words)(kit, &server.url("/mcp"));
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    kit.run(&caller, &words)
}

/// The last lines of what a program complained about.
fn end_of(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(12);
    lines.get(from..).unwrap_or_default().join("\n")
}
