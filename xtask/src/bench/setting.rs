//! What stands around a measurement: the stage, its data, the scripted server, the rivals.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::host;
use super::peers::{self, Behind, Peer};
use super::plan::Script;
use super::tools::Tools;
use crate::stage::process::{Daemon, Stop};
use crate::stage::{Caller, Mcp, Stage, listens, mcp, place, policies, psql};
use crate::step;

/// pgbench's scale: a million accounts.
const SCALE: &str = "10";

/// A result of 100 MB in text: ten columns, of which `ssn` is labelled.
const BULK: &str = "\
CREATE TABLE bulk AS SELECT i AS id, 'customer number ' || i AS name,
  lpad((i % 900 + 100)::text, 3, '0') || '-' || lpad((i % 90 + 10)::text, 2, '0') || '-' || lpad((i % 9000 + 1000)::text, 4, '0') AS ssn,
  'city ' || i % 977 AS city, i % 7 AS tier, repeat('a', 40) AS street, repeat('b', 40) AS note, repeat('c', 40) AS comment,
  md5(i::text) AS digest, i * 17::bigint AS balance
FROM generate_series(1, 400000) i;
CREATE TABLE bulk_clear AS SELECT * FROM bulk;
CREATE TABLE people AS SELECT id, name, ssn, city FROM bulk;
ALTER TABLE people ADD PRIMARY KEY (id);
ALTER TABLE bulk OWNER TO app; ALTER TABLE bulk_clear OWNER TO app; ALTER TABLE people OWNER TO app;";

/// A statement per transaction in the server's log would be what is measured.
const QUIET: &str = "ALTER ROLE app SET log_statement = 'none'; ALTER ROLE weir_catalog SET log_statement = 'none';";

/// The two small statements: one that reads no masked table, one whose answer is masked.
pub(crate) const PLAIN: &str = "SELECT id, cents FROM invoices WHERE id = 2";
/// One row of a masked table, by its key.
pub(crate) const MASKED: &str = "SELECT name, ssn, city FROM customers WHERE id = 1";

const INVOICES: &str = "\
CREATE TABLE invoices(id int PRIMARY KEY, cents int); INSERT INTO invoices VALUES (1, 1250), (2, 990);
ALTER TABLE invoices OWNER TO app;";

/// Everything that a row needs.
pub(crate) struct Setting<'a> {
    /// The three programs and the servers behind them.
    pub stage: &'a Stage,
    /// An engineer's process in the guarded cgroup.
    pub guarded: Caller,
    /// The same outside of it.
    pub free: Caller,
    /// The load generator, where everybody may start it.
    pub load: PathBuf,
    /// pgbench.
    pub pgbench: String,
    /// psql.
    pub psql: String,
    scripts: Vec<(Script, String)>,
    /// Where everything listens, on 127.0.0.1.
    pub ports: Ports,
    /// haproxy.
    pub haproxy: Peer,
    /// pgbouncer.
    pub pgbouncer: Peer,
    /// nginx.
    pub nginx: Peer,
    /// The proxy of Weir's data plane.
    pub weir: i32,
    /// The scripted server.
    pub scripted: i32,
    /// A twin of the stage's MCP server, whose calls are recorded as kept.
    pub kept: Mcp,
    _scripted: Daemon,
}

/// Where everything listens.
pub(crate) struct Ports {
    /// What the rivals and Weir stand before.
    pub behind: Behind,
    /// haproxy before the scripted server, and before the real one.
    pub haproxy: [u16; 2],
    /// pgbouncer before both.
    pub pgbouncer: u16,
    /// nginx before the MCP server.
    pub nginx: u16,
}

impl<'a> Setting<'a> {
    /// Fills the database, starts the rest, and registers the scripted server under the demo's rules.
    pub(crate) fn up(stage: &'a Stage, tools: &Tools, load: &Path) -> Result<Self> {
        let kept = stage.site.programs().join("weir-load");
        place(load, &kept)?;
        let psql = psql()?;
        let pgbench = Path::new(&psql)
            .with_file_name("pgbench")
            .display()
            .to_string();
        fill(stage, &pgbench)?;
        let [scripted, front, real, pooled, web] = free_ports()?;
        let behind = Behind {
            scripted,
            postgres: stage.postgres.port,
            mcp: stage.mcp.port,
        };
        let server = serve(stage, &kept, &behind)?;
        let ports = Ports {
            haproxy: [front, real],
            pgbouncer: pooled,
            nginx: web,
            behind,
        };
        let haproxy = peers::haproxy(stage, tools, &ports.behind, ports.haproxy)?;
        let pgbouncer = peers::pgbouncer(stage, tools, &ports.behind, ports.pgbouncer)?;
        let nginx = peers::nginx(stage, tools, &ports.behind, ports.nginx)?;
        for program in ["haproxy", "pgbouncer", "nginx"] {
            println!("  {program}: {}", tools.version(program));
        }
        let kept_server = Mcp::start_twin(&stage.record, stage.site)?;
        register(stage, scripted, &kept_server)?;
        let alice = &stage.people.alice;
        Ok(Self {
            guarded: alice.guarded.clone(),
            free: alice.unguarded.clone(),
            weir: stage.dataplane.proxy()?,
            scripted: server.pid(),
            load: kept,
            scripts: scripts(stage)?,
            stage,
            pgbench,
            psql,
            ports,
            kept: kept_server,
            haproxy,
            pgbouncer,
            nginx,
            _scripted: server,
        })
    }

    /// Everything that is measured, and we with what we start, run in real-time order.
    pub(crate) fn hurry(&self) -> Result<String> {
        let own = i32::try_from(std::process::id()).context("a process id")?;
        let servers = [
            host::child("postgres")?,
            host::child("node")?,
            self.scripted,
        ];
        let proxies = [
            self.weir,
            self.haproxy.pid,
            self.pgbouncer.pid,
            self.nginx.pid,
        ];
        for pid in servers.into_iter().chain(proxies) {
            host::hurry(pid)?;
        }
        step::output(
            "chrt",
            Command::new("chrt").args(["-f", "-p", "1", &own.to_string()]),
        )?;
        Ok("SCHED_FIFO 1 for clients, proxies and servers".to_owned())
    }

    /// The file of a script of ours.
    pub(crate) fn script(&self, script: Script) -> Option<&str> {
        let mut files = self.scripts.iter();
        files
            .find(|(known, _)| *known == script)
            .map(|(_, file)| file.as_str())
    }

    /// Number of leaves in the audit log.
    pub(crate) fn leaves(&self) -> Result<u64> {
        let checkpoint = std::fs::read_to_string(self.stage.log().join("checkpoint"))
            .context("read the checkpoint")?;
        checkpoint
            .lines()
            .nth(1)
            .context("a checkpoint's second line is its size")?
            .parse()
            .context("size")
    }
}

fn free_ports() -> Result<[u16; 5]> {
    // All are held until all are known.
    let mut held = Vec::new();
    let mut ports = [0; 5];
    for port in &mut ports {
        let listener =
            std::net::TcpListener::bind(("127.0.0.1", 0)).context("bind a port of 127.0.0.1")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn fill(stage: &Stage, pgbench: &str) -> Result<()> {
    stage.postgres.sql("shop", QUIET)?;
    stage.postgres.sql("shop", BULK)?;
    stage.postgres.sql("shop", INVOICES)?;
    // From PostgreSQL 15 on, only its owner may create in public.
    stage
        .postgres
        .sql("shop", "GRANT CREATE ON SCHEMA public TO app")?;
    let mut init = Command::new(pgbench);
    init.args([
        "-i",
        "-q",
        "-s",
        SCALE,
        "-h",
        "127.0.0.1",
        "-p",
        &stage.postgres.port.to_string(),
        "-U",
        "app",
        "shop",
    ]);
    step::output(
        "pgbench -i",
        init.env("PGPASSWORD", &stage.postgres.password),
    )?;
    stage.postgres.sql("shop", "VACUUM ANALYZE").map(|_| ())
}

/// Our scripts for pgbench, where everybody may read them.
fn scripts(stage: &Stage) -> Result<Vec<(Script, String)>> {
    let all = [Script::Accounts, Script::OneText, Script::People];
    let ours = all
        .into_iter()
        .filter_map(|script| script.text().map(|text| (script, text)));
    ours.map(|(script, text)| {
        let file = stage.site.programs().join(format!("{script:?}.pgbench"));
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        Ok((script, file.display().to_string()))
    })
    .collect()
}

fn serve(stage: &Stage, load: &Path, behind: &Behind) -> Result<Daemon> {
    let mut command = Command::new(load);
    command.args([
        "serve",
        "--address",
        &format!("127.0.0.1:{}", behind.postgres),
        "--port",
        &behind.scripted.to_string(),
    ]);
    command
        .args(["--statement", PLAIN, "--statement", MASKED])
        .env("PGPASSWORD", &stage.postgres.password)
        .current_dir("/");
    let log = stage.site.logs().join("scripted.log");
    let mut daemon = Daemon::start(
        &stage.record,
        "the scripted server",
        &log,
        &mut command,
        Stop::Terminate,
    )?;
    daemon.await_ready(Duration::from_secs(10), || listens(behind.scripted))?;
    Ok(daemon)
}

/// The scripted server becomes a connection of its own, under the rules that the demo has for
/// its Postgres server: policies are sliced per connection, so each is judged by as many. So does
/// the second MCP server, but that calls of its tools are recorded as kept.
fn register(stage: &Stage, port: u16, kept: &Mcp) -> Result<()> {
    let admin = stage.control.admin();
    let address = format!("127.0.0.1:{port}");
    let options = [
        "--env",
        "demo",
        "--database",
        "shop",
        "--default-role",
        "app",
        "--tls",
        "disable",
    ];
    admin.run(
        &[
            &[
                "connection",
                "add",
                "bench-pg",
                "--kind",
                "postgres",
                "--address",
                &address,
            ],
            options.as_slice(),
        ]
        .concat(),
    )?;
    admin.run_with(
        &["connection", "credential", "bench-pg", "--role", "app"],
        &stage.postgres.password,
    )?;
    let catalog = [
        "connection",
        "credential",
        "bench-pg",
        "--role",
        "weir_catalog",
        "--catalogue",
    ];
    admin.run_with(&catalog, &stage.postgres.catalog_password)?;
    kept.register_as(KEPT.to, &admin, &mcp::PLAIN)?;
    kept.entrust_as(KEPT.to, &admin)?;
    let folder = step::root().join("policies/demo");
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name)).with_context(|| format!("read {name}"))
    };
    // The program ends soon after its one use of them.
    let leak = |text: String| &*Box::leak(text.into_boxed_str());
    let of = |name: &str, twin: &Twin| read(name).map(|text| twin_rules(&text, twin));
    let rules = leak(of("policies.cedar", &SCRIPTED)? + &of("policies.cedar", &KEPT)?);
    let tools = leak(of("mcp.cedar", &KEPT)?);
    let masks = read("masks.toml")?;
    let labels = leak(twin_labels(&masks, &SCRIPTED)? + &twin_labels(&masks, &KEPT)?);
    let edits = [
        policies::Edit {
            file: "policies.cedar",
            from: "",
            to: rules,
        },
        policies::Edit {
            file: "mcp.cedar",
            from: "",
            to: tools,
        },
        policies::Edit {
            file: "masks.toml",
            from: "",
            to: labels,
        },
        policies::Edit {
            file: "masks.toml",
            from: "[connection.demo-pg.columns]\n",
            to: "[connection.demo-pg.columns]\n\"public.bulk.ssn\" = [\"ssn\"]\n\"public.people.ssn\" = [\"ssn\"]\n",
        },
    ];
    policies::push(stage.site, &admin, "bench", &edits).map(|_| ())
}

/// A server that gets the rules of one of the demo's.
struct Twin {
    /// Begins its rules' names.
    prefix: &'static str,
    /// The demo's connection.
    from: &'static str,
    /// Its own.
    to: &'static str,
    /// Permits of it that get an annotation more.
    annotated: Option<(&'static str, &'static str)>,
}

const SCRIPTED: Twin = Twin {
    prefix: "bench-",
    from: "demo-pg",
    to: "bench-pg",
    annotated: None,
};

const KEPT: Twin = Twin {
    prefix: "kept-",
    from: "demo-mcp",
    to: "kept-mcp",
    annotated: Some(("engineers-call-tools", "@durability(\"kept\")")),
};

/// The rules that name the demo's server, for its twin.
fn twin_rules(text: &str, twin: &Twin) -> String {
    let rules = text
        .split("\n@id(\"")
        .skip(1)
        .filter(|rule| names(rule, twin.from));
    let twins = rules.map(|rule| {
        let more = twin.annotated.filter(|(id, _)| rule.starts_with(id));
        let more = more.map_or(String::new(), |(_, annotation)| format!("{annotation} "));
        // A rule of both of the demo's servers is of the twin alone.
        let rule = [SCRIPTED.from, KEPT.from]
            .iter()
            .fold(rule.to_owned(), |rule, from| rule.replace(from, twin.to));
        format!("\n{more}@id(\"{}{rule}", twin.prefix)
    });
    twins.map(|rule| without_heading(&rule)).collect()
}

/// Whether a rule names a server, or a tool of it.
fn names(rule: &str, server: &str) -> bool {
    rule.contains(&format!("\"{server}\"")) || rule.contains(&format!("\"{server}/"))
}

/// A rule without the next section's comment behind it.
fn without_heading(rule: &str) -> String {
    rule.lines()
        .filter(|line| !line.starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The labels of the demo's server, for its twin.
fn twin_labels(text: &str, twin: &Twin) -> Result<String> {
    let head = format!("[connection.{}]", twin.from);
    let from = text
        .find(&head)
        .with_context(|| format!("masks.toml has no {}", twin.from))?;
    let (own, rest) = text.get(from..).unwrap_or_default().split_at(head.len());
    // Up to what is said of another server.
    let other = |at: &usize| {
        let told = rest.get(at + 1..).unwrap_or_default();
        !told.starts_with(&format!("[connection.{}.", twin.from))
    };
    let mut heads = rest.match_indices("\n[connection.").map(|(at, _)| at);
    let to = heads.find(other).unwrap_or(rest.len());
    let labels = [own, rest.get(..to).unwrap_or_default()].concat();
    Ok(format!("\n{}\n", labels.replace(twin.from, twin.to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rules_that_name_the_server_get_a_twin() {
        let text = "// a\n@id(\"one\")\npermit(principal, action, resource in Weir::Connection::\"demo-pg\");\n\n// b\n@id(\"two\")\npermit(principal, action, resource);\n";
        let twin = twin_rules(text, &SCRIPTED);
        assert!(
            twin.contains("@id(\"bench-one\")")
                && twin.contains("\"bench-pg\"")
                && !twin.contains("two")
                && !twin.contains("demo-pg")
        );
        assert!(!twin.contains("//"));
    }

    #[test]
    fn calls_of_the_second_mcp_server_are_kept_under_the_same_rules_and_labels() {
        let read = |name: &str| {
            let file = step::root().join("policies/demo").join(name);
            std::fs::read_to_string(file).expect("a file of the demo's")
        };
        let rules = twin_rules(&read("mcp.cedar"), &KEPT);
        let calls = "@durability(\"kept\") @id(\"kept-engineers-call-tools\")";
        assert!(rules.contains(calls), "{rules}");
        assert!(
            rules.contains("kept-engineers-read-answers") && !rules.contains("demo-mcp"),
            "{rules}"
        );
        let masks = read("masks.toml");
        let labels = twin_labels(&masks, &KEPT).expect("labels");
        assert!(labels.starts_with("\n[connection.kept-mcp]\n"), "{labels}");
        assert!(
            labels.contains("detectors") && !labels.contains("demo-"),
            "{labels}"
        );
        let labels = twin_labels(&masks, &SCRIPTED).expect("labels");
        assert!(labels.contains("[connection.bench-pg.columns]"), "{labels}");
        assert!(!labels.contains("demo-"), "{labels}");
    }
}
