//! One chain: calls of an MCP server with a pool of Postgres connections, and the statements
//! that it sends for them, linked in the audit log. Never wrongly.

mod records;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

pub(super) use self::records::records;
use self::records::{Linked, confused, count, settled, tell, wrong};
use self::server::Piped;
pub(super) use self::server::Server;
use super::crossed;
use crate::checks::Checks;
use crate::demo::{stored_checkpoints, verification};
use crate::stage::policies::{self, Edit};
use crate::stage::{Caller, Stage, until};
use crate::{packages, step};

/// The scene's title.
pub(super) const TITLE: &str =
    "One chain: the SQL of a pooled MCP server and the calls that caused it";

/// Calls at one time: as many as the server has tools.
const CLIENTS: u64 = 64;

/// Calls of each client: ten thousand in all.
const CALLS: u64 = 157;

/// What the demo's policies do not say.
const POLICY: [Edit; 1] = [Edit {
    file: "policies.cedar",
    from: "",
    to: r#"
@id("chain")
permit(principal in Weir::Group::"engineering",
       action in [Weir::Action::"mcp.connect", Weir::Action::"mcp.call_tool"], resource)
when {
    resource in Weir::Connection::"chain-plain" || resource in Weir::Connection::"chain-trace" ||
    resource in Weir::Connection::"chain-name" || resource in Weir::Connection::"chain-otel" ||
    resource in Weir::Connection::"chain-stdio"
};
"#,
}];

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let packages = install(stage)?;
    let admin = stage.control.admin();
    let old = policies::active(&admin)?;
    let plain = Server::start(stage, &packages, "plain")?;
    let traced = Server::start(stage, &packages, "trace")?;
    let named = Server::start(stage, &packages, "name")?;
    let instrumented = Server::start(stage, &packages, "otel")?;
    let piped = Piped::register(stage, "chain-stdio")?;
    policies::push(stage.site, &admin, "chain", &POLICY)?;
    alone(stage, checks, &plain)?;
    let unsure = crowded(stage, checks, &plain)?;
    by_trace(stage, checks, &traced)?;
    crossed::play(stage, &packages, (&plain, &traced), checks)?;
    by_name(stage, checks, &named)?;
    one_tool(stage, checks, &instrumented)?;
    started(stage, checks, &packages, &piped)?;
    shown(stage, checks, &unsure)?;
    policies::roll_back(stage.site, &admin, old)
}

/// One call after another: every statement is linked, by the process.
fn alone(stage: &Stage, checks: &mut Checks, server: &Server) -> Result<()> {
    // Which process serves is asked for with the first connection, and known soon after it.
    until("a link", Duration::from_secs(30), || {
        let before = records(stage)?.len();
        server.load(stage, 1, 1)?;
        let links = settled(stage, before, 2)?;
        Ok(links
            .iter()
            .all(|link| link.kind == "process")
            .then_some(()))
    })?;
    let before = records(stage)?.len();
    server.load(stage, 1, 50)?;
    let links = settled(stage, before, 100)?;
    all_by(checks, &links, "process", 100, "one call at a time");
    Ok(())
}

/// Many at once, without trace contexts: no guess is made. The flow of one that is ambiguous.
fn crowded(stage: &Stage, checks: &mut Checks, server: &Server) -> Result<String> {
    let before = records(stage)?.len();
    server.load(stage, CLIENTS, 10)?;
    let links = settled(stage, before, 20 * CLIENTS)?;
    let seen = tell(&links);
    let ambiguous = links.iter().find(|link| link.kind == "ambiguous");
    let told = links.iter().all(|link| !link.kind.is_empty());
    checks.see(
        "64 at once without traces: ambiguous, and told so",
        told && ambiguous.is_some(),
        &seen,
    );
    checks.see("none of them wrongly", wrong(&links) == 0, &seen);
    Ok(ambiguous.map(|link| link.flow.clone()).unwrap_or_default())
}

/// Many at once with them: every statement is linked to its own call.
fn by_trace(stage: &Stage, checks: &mut Checks, server: &Server) -> Result<()> {
    let before = records(stage)?.len();
    server.load(stage, CLIENTS, CALLS)?;
    let links = settled(stage, before, 2 * CLIENTS * CALLS)?;
    all_by(
        checks,
        &links,
        "trace",
        2 * CLIENTS * CALLS,
        "10,000 calls, 64 at once, with traces",
    );
    Ok(())
}

/// The same where the server names its sessions instead of writing comments.
fn by_name(stage: &Stage, checks: &mut Checks, server: &Server) -> Result<()> {
    let before = records(stage)?.len();
    server.load(stage, CLIENTS, 20)?;
    let links = settled(stage, before, 40 * CLIENTS)?;
    all_by(
        checks,
        &links,
        "trace",
        40 * CLIENTS,
        "64 at once, traces in application_name",
    );
    Ok(())
}

/// Many calls of one tool at once, at a server that knows nothing of Weir: the trace that Weir
/// begins for each call comes back by OpenTelemetry's own instrumentations.
fn one_tool(stage: &Stage, checks: &mut Checks, server: &Server) -> Result<()> {
    const EACH: u64 = 20;
    let before = records(stage)?.len();
    server.load_of(stage, 16, EACH, Some("shared"))?;
    let links = settled(stage, before, 2 * 16 * EACH)?;
    all_by(
        checks,
        &links,
        "trace",
        2 * 16 * EACH,
        "16 at once of one tool, OpenTelemetry",
    );
    let confused = confused(&links, EACH);
    checks.see(
        "calls of one tool are told apart",
        confused == 0,
        &format!("{}; {confused} calls confused", tell(&links)),
    );
    Ok(())
}

/// A server of standard input and output: known by the process that its client has started.
fn started(stage: &Stage, checks: &mut Checks, packages: &Path, server: &Piped) -> Result<()> {
    let before = records(stage)?.len();
    server.load(stage, packages, 1, 20)?;
    let links = settled(stage, before, 40)?;
    all_by(
        checks,
        &links,
        "process",
        40,
        "a server behind weir mcp run and a shell, one call at a time",
    );
    let before = records(stage)?.len();
    server.load(stage, packages, 8, 5)?;
    let links = settled(stage, before, 80)?;
    let told = links.iter().all(|link| !link.kind.is_empty());
    checks.see(
        "8 at once there: ambiguous, and told so",
        told && count(&links, "ambiguous") > 0,
        &tell(&links),
    );
    checks.see("none of them wrongly", wrong(&links) == 0, &tell(&links));
    Ok(())
}

/// Every statement has a link of this kind, and to its own call.
fn all_by(checks: &mut Checks, links: &[Linked], kind: &str, expected: u64, what: &str) {
    let seen = tell(links);
    let all = count(links, kind) as u64 == expected && links.len() as u64 == expected;
    checks.see(&format!("{what}: all linked by {kind}"), all, &seen);
    checks.see("none of them wrongly", wrong(links) == 0, &seen);
}

/// What an operator sees of it.
fn shown(stage: &Stage, checks: &mut Checks, unsure: &str) -> Result<()> {
    let admin = stage.control.admin();
    let (traced, tree) = until("the tree of a session", Duration::from_secs(60), || {
        let list = admin.json(&["sessions", "list", "--connection", "chain-trace"])?;
        let Some(id) = list[0]["id"].as_str() else {
            return Ok(None);
        };
        let text = admin.run(&["sessions", "show", id])?;
        Ok(text.contains("└─").then(|| (id.to_owned(), text)))
    })?;
    let statement = tree.lines().find(|line| line.contains("├─ SELECT"));
    let line = statement.unwrap_or(&tree);
    let told = line.contains("on demo-pg in") && line.contains("by trace");
    checks.see(
        "weir sessions show: the statements below their call",
        told,
        line,
    );
    let node = traced.split('.').next().unwrap_or_default();
    let text = admin.run(&["sessions", "show", &format!("{node}.{unsure}")])?;
    let line = text.lines().find(|line| line.contains("(ambiguous)"));
    checks.see(
        "and a statement that could be of several says so",
        line.is_some(),
        line.unwrap_or(&text),
    );
    let stored = stored_checkpoints(stage)?;
    let said = verification(stage, &stage.site.ledger(), &stored)?;
    let counted = said.out.lines().find(|line| line.starts_with("calls"));
    let seen = counted.unwrap_or(&said.out);
    checks.see(
        "weir audit verify: sound, and counts the links",
        said.ok && counted.is_some(),
        seen,
    );
    Ok(())
}

/// A caller whose Python finds these packages.
pub(super) fn with_packages(caller: &Caller, packages: &Path) -> Caller {
    let folder = packages.join("packages").display().to_string();
    caller
        .clone()
        .with("PYTHONPATH", &folder)
        .with("PYTHONDONTWRITEBYTECODE", "1")
}

/// Installs the official Python SDK and psycopg, once per checkout, and copies them with the
/// chain's programs to where all may read.
pub(super) fn install(stage: &Stage) -> Result<PathBuf> {
    let (sources, kept) = (
        step::root().join("xtask/chain"),
        step::root().join("target/chain"),
    );
    packages::python(&sources, &kept, "mcp, psycopg")?;
    let folder = stage.site.folder();
    packages::copy(&kept, &folder)?;
    let folder = folder.join("chain");
    packages::readable(&folder)?;
    Ok(folder)
}
