//! One chain: calls of an MCP server with a pool of Postgres connections, and the statements
//! that it sends for them, linked in the audit log. Never wrongly.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::crossed;
use crate::checks::Checks;
use crate::demo::{stored_checkpoints, verification};
use crate::stage::policies::{self, Edit};
use crate::stage::process::{Daemon, Stop};
use crate::stage::{Caller, Running, Stage, free_port, leaves, listens, put_in_force, until};
use crate::{packages, step};

/// The scene's title.
pub(super) const TITLE: &str =
    "One chain: the SQL of a pooled MCP server and the calls that caused it";

/// Calls at one time: as many as the server has tools.
const CLIENTS: u64 = 64;

/// Calls of each client: ten thousand in all.
const CALLS: u64 = 157;

/// Connections of the server's pool: far fewer than calls, so that each serves many.
const POOL: &str = "8";

/// How long ten thousand calls and their records may take on a slow host.
const LOAD_MAX: Duration = Duration::from_secs(600);

/// What the demo's policies do not say.
const POLICY: [Edit; 1] = [Edit {
    file: "policies.cedar",
    from: "",
    to: r#"
@id("chain-connect")
permit(principal in Weir::Group::"engineering", action == Weir::Action::"mcp.connect", resource)
when { resource == Weir::Connection::"chain-plain" || resource == Weir::Connection::"chain-trace" };
@id("chain-call-plain")
permit(principal in Weir::Group::"engineering", action == Weir::Action::"mcp.call_tool",
       resource in Weir::Connection::"chain-plain");
@id("chain-call-trace")
permit(principal in Weir::Group::"engineering", action == Weir::Action::"mcp.call_tool",
       resource in Weir::Connection::"chain-trace");
"#,
}];

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let packages = install(stage)?;
    let admin = stage.control.admin();
    let old = policies::active(&admin)?;
    let plain = Server::start(stage, &packages, "plain")?;
    let traced = Server::start(stage, &packages, "trace")?;
    policies::push(stage.site, &admin, "chain", &POLICY)?;
    alone(stage, checks, &plain)?;
    crowded(stage, checks, &plain)?;
    by_trace(stage, checks, &traced)?;
    crossed::play(stage, &packages, (&plain, &traced), checks)?;
    shown(stage, checks)?;
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
    let seen = tell(&links);
    let all = links.len() == 100 && links.iter().all(|link| link.kind == "process");
    checks.see("one call at a time: all linked by process", all, &seen);
    checks.see("none of them wrongly", wrong(&links) == 0, &seen);
    Ok(())
}

/// Many at once, without trace contexts: no guess is made.
fn crowded(stage: &Stage, checks: &mut Checks, server: &Server) -> Result<()> {
    let before = records(stage)?.len();
    server.load(stage, CLIENTS, 10)?;
    let links = settled(stage, before, 20 * CLIENTS)?;
    let seen = tell(&links);
    let ambiguous = links.iter().filter(|link| link.kind == "ambiguous").count();
    let told = links.iter().all(|link| !link.kind.is_empty());
    checks.see(
        "64 at once without traces: ambiguous, and told so",
        told && ambiguous > 0,
        &seen,
    );
    checks.see("none of them wrongly", wrong(&links) == 0, &seen);
    Ok(())
}

/// Many at once with them: every statement is linked to its own call.
fn by_trace(stage: &Stage, checks: &mut Checks, server: &Server) -> Result<()> {
    let before = records(stage)?.len();
    server.load(stage, CLIENTS, CALLS)?;
    let links = settled(stage, before, 2 * CLIENTS * CALLS)?;
    let seen = tell(&links);
    let traced = links.iter().filter(|link| link.kind == "trace").count();
    let all = traced as u64 == 2 * CLIENTS * CALLS && links.len() == traced;
    checks.see(
        "10,000 calls, 64 at once, with traces: all linked",
        all,
        &seen,
    );
    checks.see("none of them wrongly", wrong(&links) == 0, &seen);
    Ok(())
}

/// What an operator sees of it.
fn shown(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let admin = stage.control.admin();
    let tree = until("the tree of a session", Duration::from_secs(60), || {
        let list = admin.json(&["sessions", "list", "--connection", "chain-trace"])?;
        let Some(id) = list[0]["id"].as_str() else {
            return Ok(None);
        };
        let text = admin.run(&["sessions", "show", id])?;
        Ok(text.contains("└─").then_some(text))
    })?;
    let statement = tree.lines().find(|line| line.contains("├─ SELECT"));
    let line = statement.unwrap_or(&tree);
    let told = line.contains("on demo-pg in") && line.contains("by trace");
    checks.see(
        "weir sessions show: the statements below their call",
        told,
        line,
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

/// A statement's INTENT, with what it says and what is true.
struct Linked {
    /// Empty where it has no link.
    kind: String,
    /// The tool that it was sent for.
    tool: String,
    /// The tool of the call that it names.
    named: String,
    /// Whether it was sent while the call that it names was open, or soon after.
    in_time: bool,
}

fn wrong(links: &[Linked]) -> usize {
    let is_wrong = |link: &&Linked| {
        let names = link.kind == "process" || link.kind == "trace";
        names && (link.named != link.tool || !link.in_time)
    };
    links.iter().filter(is_wrong).count()
}

fn tell(links: &[Linked]) -> String {
    let of = |kind: &str| links.iter().filter(|link| link.kind == kind).count();
    format!(
        "{} statements: {} by trace, {} by process, {} ambiguous, {} without; {} wrong",
        links.len(),
        of("trace"),
        of("process"),
        of("ambiguous"),
        of(""),
        wrong(links)
    )
}

pub(super) fn records(stage: &Stage) -> Result<Vec<Value>> {
    leaves::read(&stage.log())
}

/// The statements after the first `before` records, once there are as many as expected.
fn settled(stage: &Stage, before: usize, expected: u64) -> Result<Vec<Linked>> {
    until("the records", Duration::from_secs(60), || {
        let all = records(stage)?;
        let links = links(&all, before);
        Ok((links.len() as u64 >= expected).then_some(links))
    })
}

fn links(all: &[Value], before: usize) -> Vec<Linked> {
    let key = |leaf: &Value| {
        Some((
            leaf["flow"].as_str()?.to_owned(),
            leaf["operation"].as_u64()?,
        ))
    };
    let mut calls: HashMap<(String, u64), (String, u64)> = HashMap::new();
    for leaf in all {
        let summary = leaf["summary"].as_str().unwrap_or_default();
        let tool = summary.strip_prefix("tools/call t");
        if let (Some(tool), "intent", Some(key)) =
            (tool, leaf["kind"].as_str().unwrap_or_default(), key(leaf))
        {
            let at = leaf["time_us"].as_u64().unwrap_or_default();
            calls.insert(key, (tool.to_owned(), at));
        }
    }
    let statements = all.iter().skip(before).filter_map(|leaf| {
        let summary = leaf["summary"].as_str()?;
        let (_, rest) = summary.split_once(" AS tool_")?;
        let tool = rest.chars().take_while(char::is_ascii_digit).collect();
        (leaf["kind"] == "intent").then_some((leaf, tool))
    });
    statements
        .map(|(leaf, tool): (&Value, String)| {
            let link = &leaf["link"];
            let call = key(link).and_then(|key| calls.get(&key));
            let at = leaf["time_us"].as_u64().unwrap_or_default();
            Linked {
                kind: link["kind"].as_str().unwrap_or_default().to_owned(),
                named: call.map(|(tool, _)| tool.clone()).unwrap_or_default(),
                in_time: call.is_some_and(|(_, since)| *since <= at),
                tool,
            }
        })
        .collect()
}

/// A server of the SDK's, in the guarded cgroup, so that its statements go through Weir.
pub(super) struct Server {
    /// Where its clients are sent.
    pub url: String,
    _daemon: Daemon,
}

impl Server {
    fn start(stage: &Stage, packages: &Path, mode: &str) -> Result<Self> {
        let port = free_port(0)?;
        let dsn = format!(
            "host=127.0.0.1 port={} user=app dbname=shop sslmode=disable",
            stage.postgres.port
        );
        let alice = with_packages(&stage.people.alice.guarded, packages);
        let mut command = alice.command("/usr/bin/python3");
        command
            .arg(packages.join("server.py"))
            .args([&port.to_string(), &dsn, POOL, mode]);
        let log = stage.site.logs().join(format!("chain-{mode}.log"));
        let name = format!("the {mode} pooled MCP server");
        let mut daemon = Daemon::start(&stage.record, &name, &log, &mut command, Stop::Terminate)?;
        daemon.await_ready(Duration::from_secs(60), || listens(port))?;
        let (connection, address) = (format!("chain-{mode}"), format!("127.0.0.1:{port}"));
        let admin = stage.control.admin();
        put_in_force(stage.site, &admin, || {
            admin.run(&[
                "connection",
                "add",
                &connection,
                "--kind",
                "mcp",
                "--address",
                &address,
                "--env",
                "demo",
                "--tls",
                "disable",
            ])
        })?;
        Ok(Self {
            url: format!("http://{address}/mcp"),
            _daemon: daemon,
        })
    }

    /// Calls, and waits for the answers, which must all be right.
    fn load(&self, stage: &Stage, clients: u64, calls: u64) -> Result<()> {
        let script = stage.site.folder().join("chain/load.py");
        let mut command = stage.people.alice.guarded.command("/usr/bin/python3");
        command
            .arg(script)
            .args([&self.url, &clients.to_string(), &calls.to_string()]);
        let mut running = Running::start(&mut command, "")?;
        until("the calls", LOAD_MAX, || {
            Ok((!running.is_running()).then_some(()))
        })?;
        let said = running.finish()?;
        let told: Value = serde_json::from_str(&said.out).with_context(|| said.all())?;
        anyhow::ensure!(told["right"] == clients * calls, "{}", said.all());
        Ok(())
    }
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
