//! `weir mcp run` in front of a real server of standard input and output, asked by a real client.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::checks::Checks;
use crate::stage::policies::{self, Edit};
use crate::stage::{Caller, Running, Said, Stage, mcp, process, put_in_force, until};

pub(super) const TITLE: &str = "MCP over standard input and output: weir mcp run";

const CONNECTION: &str = "demo-stdio";

/// A debug build on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);

/// Engineers use everything but the tool that tells the environment; sums need a support lead.
const POLICIES: [Edit; 2] = [
    Edit {
        file: "mcp.cedar",
        from: "",
        to: r#"
@id("engineers-use-stdio")
permit(principal in Weir::Group::"engineering", action, resource in Weir::Connection::"demo-stdio");

@id("no-environment")
forbid(principal, action in [Weir::Action::"mcp.call_tool", Weir::Action::"mcp.list_tool"],
       resource == Weir::Tool::"demo-stdio/get-env");

@id("sums-need-support-lead") @effect("approve") @approvers("support-leads") @quorum("1") @expires("30m")
@reason("a sum needs the approval of a support lead")
forbid(principal, action == Weir::Action::"mcp.call_tool", resource == Weir::Tool::"demo-stdio/get-sum")
unless { context.approvals.contains(Weir::Group::"support-leads") };
"#,
    },
    Edit {
        file: "masks.toml",
        from: "",
        to: r#"
[connection.demo-stdio]
env = "demo"
unlabelled = "clear"
detectors = ["ssn"]
"#,
    },
];

/// The client and the server, and how the second is started.
struct Actors<'a> {
    stage: &'a Stage,
    client: String,
    server: Vec<String>,
    weir: Vec<String>,
}

impl<'a> Actors<'a> {
    fn install(stage: &'a Stage) -> Result<Self> {
        let folder = stage.site.folder().join("stdio");
        let sources = ["package.json", "package-lock.json", "client.mjs"];
        mcp::install("stdio", &sources, &folder)?;
        let server =
            folder.join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
        let weir = stage.site.programs().join("weir");
        let socket = stage.site.folder().join("run/stdio.sock");
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Ok(Self {
            stage,
            client: folder.join("client.mjs").display().to_string(),
            server: words(&[&node()?, &server.display().to_string(), "stdio"]),
            weir: words(&[
                &weir.display().to_string(),
                "mcp",
                "run",
                "--connection",
                CONNECTION,
                "--socket",
                &socket.display().to_string(),
                "--",
            ]),
        })
    }

    fn begin(&self, caller: &Caller, ask: &[&str], through: &[String]) -> Result<Running> {
        let mut command = caller.command("node");
        command.arg(&self.client).args(ask).arg("--");
        command.args(through).args(&self.server);
        Running::start(&mut command, "")
    }

    fn direct(&self, ask: &[&str]) -> Result<Value> {
        let caller = &self.stage.people.alice.unguarded;
        Ok(mcp::answer(self.begin(caller, ask, &[])?.finish()?)?.0)
    }

    fn guarded(&self, caller: &Caller, ask: &[&str]) -> Result<(Value, Said)> {
        mcp::answer(self.begin(caller, ask, &self.weir)?.finish()?)
    }
}

/// The path that the kernel tells of it.
fn node() -> Result<String> {
    let found = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|folder| folder.join("node"))
            .find(|node| node.is_file())
    });
    let node = fs::canonicalize(found.context("no node in PATH")?).context("find node")?;
    Ok(node.display().to_string())
}

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let admin = stage.control.admin();
    let actors = Actors::install(stage)?;
    let unregistered = actors.guarded(&stage.people.alice.guarded, &["story"])?.0;
    checks.see(
        "a name that nobody registered: refused, with what to do",
        unregistered["failed"]
            .as_str()
            .is_some_and(|why| why.contains("weir connection add demo-stdio")),
        &unregistered.to_string(),
    );
    let program = node()?;
    put_in_force(stage.site, &admin, || {
        admin.run(&[
            "connection",
            "add",
            CONNECTION,
            "--kind",
            "mcp",
            "--stdio",
            "--env",
            "demo",
            "--program",
            &program,
        ])
    })?;
    let old = policies::active(&admin)?;
    policies::push(stage.site, &admin, "stdio", &POLICIES)?;
    story(&actors, checks)?;
    held(&actors, checks)?;
    other_program(&actors, checks)?;
    killed(&actors, checks)?;
    records(&actors, checks)?;
    policies::roll_back(stage.site, &admin, old)?;
    put_in_force(stage.site, &admin, || {
        admin.run(&["connection", "remove", CONNECTION])
    })?;
    Ok(())
}

fn story(actors: &Actors<'_>, checks: &mut Checks) -> Result<()> {
    let direct = actors.direct(&["story"])?;
    let (guarded, _) = actors.guarded(&actors.stage.people.alice.guarded, &["story"])?;
    for what in [
        "server",
        "prompts",
        "resources",
        "side",
        "structured",
        "long",
        "sampling",
        "elicitation",
    ] {
        let same = guarded[what] == direct[what] && !direct[what].is_null();
        checks.see(
            &format!("the same as direct: {what}"),
            same,
            &format!("{} / {}", guarded[what], direct[what]),
        );
    }
    // Whether the last step's comes before the answer is the client's own race.
    let steps = |told: &Value| {
        told["progress"]
            .as_array()
            .map(|all| all.get(..3) == Some(&[json!(1), json!(2), json!(3)]))
    };
    checks.see(
        "progress arrives in order",
        steps(&guarded) == Some(true) && steps(&direct) == Some(true),
        &guarded["progress"].to_string(),
    );
    let leaks = |told: &Value| told["ssn"].to_string().contains("123-45-6789");
    checks.see(
        "a value is masked that leaks direct",
        leaks(&direct) && !leaks(&guarded) && guarded["ssn"].to_string().contains("6789"),
        &guarded["ssn"].to_string(),
    );
    let lists = |told: &Value| told["tools"].to_string().contains("get-env");
    let without: Vec<_> = direct["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|tool| **tool != "get-env")
        .cloned()
        .collect();
    checks.see(
        "the list is the server's without the denied tool",
        lists(&direct) && guarded["tools"] == json!(without),
        &guarded["tools"].to_string(),
    );
    let (denied, absent) = (guarded["env"].to_string(), guarded["absent"].to_string());
    let is_absent = denied.replace("get-env", "get-vne") == absent;
    checks.see(
        "the denied tool tells nothing, and looks like one that is not there",
        direct["env"].to_string().contains("PATH") && is_absent,
        &format!("{denied} / {absent}"),
    );
    Ok(())
}

fn held(actors: &Actors<'_>, checks: &mut Checks) -> Result<()> {
    let people = &actors.stage.people;
    let ask = ["call", "get-sum", r#"{"a":40,"b":2}"#];
    let mut client = actors.begin(&people.alice.guarded, &ask, &actors.weir)?;
    let request = until("a request for approval", PATIENCE, || {
        let waiting = people.dana.json(&["approvals", "list"])?;
        let is_it = |request: &&Value| request["operation"].to_string().contains("get-sum");
        let found = waiting.as_array().and_then(|all| all.iter().find(is_it));
        Ok(found.cloned())
    })?;
    let id = request["id"].as_str().context("a request without id")?;
    checks.see(
        "a call is held",
        client.is_running(),
        request["operation"].as_str().unwrap_or_default(),
    );
    people.dana.run(&["approvals", "approve", id])?;
    let (answer, _) = mcp::answer(client.finish()?)?;
    checks.see(
        "approved, it runs",
        answer.to_string().contains("42"),
        &answer.to_string(),
    );
    Ok(())
}

/// The registered program is node; a shell between is another.
fn other_program(actors: &Actors<'_>, checks: &mut Checks) -> Result<()> {
    let caller = &actors.stage.people.alice.guarded;
    let mut through = actors.weir.clone();
    let shell = ["sh", "-c", r#""$@"; exit"#, "sh"];
    through.extend(shell.map(str::to_owned));
    let said = actors.begin(caller, &["story"], &through)?.finish()?;
    checks.see(
        "another program than the registered one is not reached",
        said.out.contains("is registered as"),
        &said.out,
    );
    Ok(())
}

fn killed(actors: &Actors<'_>, checks: &mut Checks) -> Result<()> {
    let stage = actors.stage;
    let caller = &stage.people.alice.guarded;
    let progress = progress_file(stage.site.folder().join("stdio-progress").as_path())?;
    let told = || Ok::<_, anyhow::Error>(!fs::read(&progress)?.is_empty());
    let file = progress.display().to_string();
    let long = [
        "call",
        "trigger-long-running-operation",
        r#"{"duration":120,"steps":240}"#,
        &file,
    ];
    let client = actors.begin(caller, &long, &actors.weir)?;
    until("progress of the call", PATIENCE, || {
        Ok(told()?.then_some(()))
    })?;
    let proxy = stage.dataplane.proxy()?;
    process::kill(proxy);
    let (answer, _) = mcp::answer(client.finish()?)?;
    checks.see(
        "the proxy is killed in the middle of a call: the call fails, closed",
        answer["failed"].to_string().contains("Weir"),
        &answer.to_string(),
    );
    let again = until("the next proxy's answer", PATIENCE, || {
        let ask = ["call", "echo", r#"{"message":"again"}"#];
        let (answer, _) = actors.guarded(caller, &ask)?;
        Ok(Some(answer).filter(|answer| answer["failed"].is_null()))
    })?;
    checks.see(
        "the next proxy serves",
        again.to_string().contains("Echo: again"),
        &again.to_string(),
    );
    Ok(())
}

/// A file that the stage's users may write to.
fn progress_file(path: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, "").with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).context("chmod")?;
    Ok(path.to_owned())
}

fn records(actors: &Actors<'_>, checks: &mut Checks) -> Result<()> {
    let stage = actors.stage;
    let workload = stage.site.user("alice");
    let program = node()?;
    let names = |leaf: &Value| {
        let text = leaf.to_string();
        leaf["connection"] == CONNECTION
            && text.contains(&workload)
            && text.contains(&format!("stdio server {program}"))
    };
    let found = until("a session's record", PATIENCE, || {
        let all = crate::stage::leaves::read(&stage.log())?;
        Ok(all.into_iter().find(names))
    });
    let told = found
        .as_ref()
        .map_or_else(|error| error.to_string(), Value::to_string);
    checks.see(
        "the log names the caller, the connection and the program",
        found.is_ok(),
        &told,
    );
    let socket = stage.site.folder().join("run/stdio.sock");
    let doctor = std::process::Command::new(stage.site.programs().join("weir"))
        .arg("doctor")
        .env("WEIR_URL", stage.control.url())
        .env("WEIR_TOKEN", &stage.control.admin().token)
        .env("WEIR_STDIO_SOCKET", &socket)
        .output()
        .context("weir doctor")?;
    let report = String::from_utf8_lossy(&doctor.stdout);
    let line = report
        .lines()
        .find(|line| line.contains("weir mcp run --connection demo-stdio"));
    checks.see(
        "weir doctor asks the socket",
        line.is_some_and(|line| line.contains("ok") && line.contains("answers")),
        line.unwrap_or(&report),
    );
    Ok(())
}
