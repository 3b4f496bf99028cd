use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use weir_api::http::{ConnectionView, Guard, IdentityProviderView, Node, Push, Status, Whoami};

use super::login::word;
use crate::arguments::{STDIO_SOCKET, STDIO_SOCKET_VARIABLE};
use crate::client::Client;
use crate::output::{Output, when};

/// Seconds that this clock may differ from the control plane's.
const CLOCK_SKEW_S_MAX: u64 = 30;

/// Seconds before its end from which a token is warned of.
const TOKEN_ENDS_S: u64 = 7 * 24 * 3600;

/// Seconds after which a canary no longer proves anything.
const CANARY_AGE_S_MAX: u64 = 120;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    Warning,
    Failed,
}

/// One check.
#[derive(Serialize)]
struct Check {
    name: String,
    state: State,
    seen: String,
    /// What to do about it.
    remedy: String,
}

/// The checks so far.
#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn ok(&mut self, name: &str, seen: impl Into<String>) {
        self.add(name, State::Ok, seen, "");
    }

    fn add(&mut self, name: &str, state: State, seen: impl Into<String>, remedy: &str) {
        self.0.push(Check {
            name: name.to_owned(),
            state,
            seen: seen.into(),
            remedy: remedy.to_owned(),
        });
    }
}

/// Asks the control plane about itself and its nodes. Exit code 1 if any check failed.
pub(crate) async fn run(client: &Client, out: Output) -> anyhow::Result<ExitCode> {
    let mut checks = Checks::default();
    let me: Whoami = client.get(&["whoami"]).await?;
    let status: Status = client.get(&["status"]).await?;
    control(&mut checks, &me, &status);
    let connections: Vec<ConnectionView> = client.get(&["connections"]).await?;
    servers(&mut checks, &connections);
    let socket = std::env::var_os(STDIO_SOCKET_VARIABLE).unwrap_or_else(|| STDIO_SOCKET.into());
    stdio(&mut checks, &connections, Path::new(&socket)).await;
    let providers: Vec<IdentityProviderView> = client.get(&["idps"]).await?;
    self::providers(&mut checks, &providers);
    let guards: Vec<Guard> = client.get(&["guards"]).await?;
    let nodes: Vec<Node> = client.get(&["nodes"]).await?;
    if nodes.is_empty() {
        checks.add(
            "nodes",
            State::Failed,
            "none registered",
            "weir node add NAME, then start weir-dataplane with its join string",
        );
    }
    for node in &nodes {
        self::node(&mut checks, node, &guards, &status);
    }
    let rows = checks.0.iter().map(|check| {
        let state = match check.state {
            State::Ok => "ok",
            State::Warning => "WARNING",
            State::Failed => "FAILED",
        };
        [
            state.to_owned(),
            check.name.clone(),
            check.seen.clone(),
            check.remedy.clone(),
        ]
    });
    out.table(&checks.0, ["STATE", "CHECK", "SEEN", "REMEDY"], rows)?;
    let failed = checks.0.iter().any(|check| check.state == State::Failed);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn control(checks: &mut Checks, me: &Whoami, status: &Status) {
    checks.ok(
        "control plane",
        format!("reachable, build {}", status.build),
    );
    if status.build != env!("CARGO_PKG_VERSION") {
        let seen = format!(
            "control plane {}, weir {}",
            status.build,
            env!("CARGO_PKG_VERSION")
        );
        checks.add(
            "versions",
            State::Warning,
            seen,
            "install the same version of both",
        );
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    let skew = now.abs_diff(status.now);
    if skew > CLOCK_SKEW_S_MAX {
        checks.add(
            "clock",
            State::Warning,
            format!("{skew} s apart from the control plane's"),
            "synchronise the clocks",
        );
    }
    let left = me.token_expires.saturating_sub(status.now);
    if left < TOKEN_ENDS_S {
        let seen = format!("ends {}", when(me.token_expires));
        checks.add(
            "your token",
            State::Warning,
            seen,
            "weir account token NAME --scope api, then weir login",
        );
    }
    match status.policy {
        Some(number) => checks.ok("policy", format!("version {number} is active")),
        None => checks.add(
            "policy",
            State::Warning,
            "none: everything is denied",
            "weir policy push DIR -m …",
        ),
    }
}

/// Issuers whose keys cannot be fetched: a key that they rotate to would be refused.
fn providers(checks: &mut Checks, providers: &[IdentityProviderView]) {
    for view in providers {
        let name = format!("idp {}", view.provider.issuer);
        if view.error.is_empty() {
            checks.ok(&name, format!("{} keys", view.keys.len()));
        } else {
            checks.add(
                &name,
                State::Warning,
                view.error.as_str(),
                "the keys fetched before are used; weir idp refresh tries again",
            );
        }
    }
}

fn servers(checks: &mut Checks, connections: &[ConnectionView]) {
    if connections.is_empty() {
        checks.add(
            "connections",
            State::Warning,
            "none registered",
            "weir connection add NAME …",
        );
    }
    for view in connections
        .iter()
        .filter(|view| view.connection.stdio.is_none() && view.credentials.is_empty())
    {
        let name = format!("connection {}", view.connection.name);
        checks.add(
            &name,
            State::Warning,
            "has no credential",
            "weir connection credential NAME --role …",
        );
    }
}

/// Servers that clients start are reached through the data plane of the host on which this runs.
async fn stdio(checks: &mut Checks, connections: &[ConnectionView], socket: &Path) {
    let started = connections
        .iter()
        .filter(|view| view.connection.stdio.is_some());
    for view in started {
        let connection = &view.connection.name;
        let name = format!("weir mcp run --connection {connection}");
        match crate::stdio::probe(socket.to_owned(), connection.clone()).await {
            Ok(()) => checks.ok(&name, format!("{} answers", socket.display())),
            Err(why) => checks.add(
                &name,
                State::Warning,
                format!("on this host: {why}"),
                "its clients work on hosts whose data plane serves it",
            ),
        }
    }
}

fn node(checks: &mut Checks, node: &Node, guards: &[Guard], status: &Status) {
    let name = |what: &str| format!("{}: {what}", node.name);
    if !node.connected {
        let seen = node.last_seen.map_or_else(
            || "never seen".to_owned(),
            |at| format!("last seen {}", when(at)),
        );
        checks.add(
            &name("stream"),
            State::Failed,
            seen,
            "is weir-dataplane running there, and can it reach the control plane?",
        );
        return;
    }
    checks.ok(&name("stream"), "connected");
    if node.build != status.build {
        let seen = format!("node {}, control plane {}", node.build, status.build);
        checks.add(
            &name("version"),
            State::Warning,
            seen,
            "upgrade the older one",
        );
    }
    match node.push {
        Push::Applied => checks.ok(&name("world"), format!("{} in force", node.applied)),
        Push::Pending => checks.add(
            &name("world"),
            State::Warning,
            format!("{} in force, {} sent", node.applied, node.wanted),
            "wait; if it stays, see the node's log",
        ),
        Push::Rejected => checks.add(
            &name("world"),
            State::Failed,
            format!("{} refused: {}", node.wanted, node.error),
            "correct what it names, or weir policy rollback",
        ),
    }
    if node.log_alert {
        checks.add(
            &name("log"),
            State::Failed,
            "its audit log contradicts what it shipped before",
            "weir audit alerts",
        );
    }
    health(checks, node, guards, status.now);
}

fn health(checks: &mut Checks, node: &Node, guards: &[Guard], now: u64) {
    let name = |what: &str| format!("{}: {what}", node.name);
    let Some(health) = &node.health else {
        checks.add(
            &name("health"),
            State::Failed,
            "has said nothing of itself",
            "see the node's log",
        );
        return;
    };
    let age = now.saturating_sub(health.canary_at);
    match health.canary.as_str() {
        "passed" if age <= CANARY_AGE_S_MAX => {
            checks.ok(&name("redirect"), format!("canary passed {age} s ago"))
        }
        "passed" => checks.add(
            &name("redirect"),
            State::Failed,
            format!("the newest canary is {age} s old"),
            "see the node's log",
        ),
        "not-applicable" => checks.ok(&name("redirect"), "explicit listeners only"),
        other => checks.add(
            &name("redirect"),
            State::Failed,
            format!("canary {other}: {}", health.canary_detail),
            "the redirect does not hold: see the node's log",
        ),
    }
    for guard in guards {
        match health
            .guards
            .iter()
            .find(|known| known.cgroup == guard.cgroup)
        {
            Some(known) if known.attached && known.mode == guard.mode => {
                checks.ok(&name(&guard.cgroup), word(&guard.mode));
            }
            Some(known) if known.attached => {
                let seen = format!("{} there, {} here", word(&known.mode), word(&guard.mode));
                checks.add(
                    &name(&guard.cgroup),
                    State::Failed,
                    seen,
                    "see the node's log",
                );
            }
            // A unit that is not there cannot connect either.
            Some(known) => checks.add(
                &name(&guard.cgroup),
                State::Warning,
                format!("not attached: {}", known.detail),
                "is the unit running?",
            ),
            None if health.canary == "not-applicable" => {}
            None => checks.add(
                &name(&guard.cgroup),
                State::Failed,
                "the node does not know of it",
                "see its world above",
            ),
        }
    }
}
