//! The rows: what is asked, by which variants, in interleaved rounds.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::host::OneCore;
use super::setting::{MASKED, PLAIN, Setting};
use super::{load, pgbench};
use crate::stage::{Caller, until};

/// The tool call of the MCP row.
const TOOL: [&str; 2] = ["lookup_customer", r#"{"id":1}"#];

/// How long rounds are.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    rounds: usize,
    window_ms: u64,
    pgbench_s: u64,
    bulk_times: u32,
}

impl Extent {
    /// About three minutes in all.
    pub(crate) const QUICK: Self = Self { rounds: 3, window_ms: 500, pgbench_s: 1, bulk_times: 1 };
    /// Enough for ratios that hold within a few per cent.
    pub(crate) const FULL: Self = Self { rounds: 9, window_ms: 1500, pgbench_s: 4, bulk_times: 3 };

    /// The same with another number of rounds.
    pub(crate) const fn with_rounds(self, rounds: usize) -> Self {
        Self { rounds, ..self }
    }
}

/// One variant in one round.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Median latency.
    pub p50_us: Option<f64>,
    /// 99th percentile.
    pub p99_us: Option<f64>,
    /// Operations, or bytes, per second.
    pub rate: Option<f64>,
    /// CPU time of the proxy per operation.
    pub cpu_us: Option<f64>,
    /// All that was asked, warm-up included.
    pub total: u64,
    /// The interval's histogram log.
    pub hlog: String,
}

impl Sample {
    /// Of a run that failed: it has no figures.
    const FAILED: Self = Self { p50_us: None, p99_us: None, rate: None, cpu_us: None, total: 0, hlog: String::new() };
}

/// What stands between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Nothing.
    Direct,
    /// haproxy in TCP mode, one thread.
    Haproxy,
    /// pgbouncer in session mode.
    Pgbouncer,
    /// nginx as a plain reverse proxy, one worker.
    Nginx,
    /// Weir: policy, masking, audit.
    Weir,
    /// The same, TLS from the client to it.
    WeirTls,
}

impl Variant {
    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Haproxy => "haproxy",
            Self::Pgbouncer => "pgbouncer",
            Self::Nginx => "nginx",
            Self::Weir => "weir",
            Self::WeirTls => "weir-tls",
        }
    }

    const fn is_weir(self) -> bool {
        match self {
            Self::Weir | Self::WeirTls => true,
            Self::Direct | Self::Haproxy | Self::Pgbouncer | Self::Nginx => false,
        }
    }

    fn pid(self, setting: &Setting<'_>) -> Option<i32> {
        match self {
            Self::Direct => None,
            Self::Haproxy => Some(setting.haproxy.pid),
            Self::Pgbouncer => Some(setting.pgbouncer.pid),
            Self::Nginx => Some(setting.nginx.pid),
            Self::Weir | Self::WeirTls => Some(setting.weir),
        }
    }

    fn caller<'s>(self, setting: &'s Setting<'_>) -> &'s Caller {
        if self.is_weir() { &setting.guarded } else { &setting.free }
    }
}

/// What a row compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Median latency: less is better.
    P50,
    /// Rate: more is better.
    Rate,
    /// CPU time of the proxy per operation: less is better.
    Cpu,
}

/// A line of DESIGN's budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Must {
    /// What.
    pub measure: Measure,
    /// Weir's ratio to whom; to nobody: the figure itself, in microseconds.
    pub to: Option<Variant>,
    /// The bound: at most for latency and CPU, at least for rates.
    pub bound: f64,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Small { statement: &'static str, connections: usize },
    Pgbench { mode: &'static str, clients: usize },
    Bulk,
    Mcp { connections: usize },
}

/// A row with all its samples: one list per variant, one sample per round.
pub(crate) struct Row {
    /// Its name.
    pub name: String,
    /// What it is, for readers.
    pub title: String,
    /// What is compared.
    pub measure: Measure,
    /// What the budget demands.
    pub musts: Vec<Must>,
    /// The samples.
    pub samples: Vec<(Variant, Vec<Sample>)>,
    /// What was proved on the way.
    pub proofs: Vec<String>,
    /// Runs that failed, and why.
    pub failures: Vec<String>,
    ask: Ask,
}

const POSTGRES: [Variant; 5] = [Variant::Direct, Variant::Haproxy, Variant::Pgbouncer, Variant::Weir, Variant::WeirTls];

fn plan() -> Vec<Row> {
    let mut rows = Vec::new();
    for connections in [1, 16, 128] {
        let must = |measure, to, bound| Must { measure, to: Some(to), bound };
        let musts = match connections {
            1 => Vec::new(),
            _ => vec![must(Measure::P50, Variant::Direct, 2.0), must(Measure::Cpu, Variant::Haproxy, 1.0)],
        };
        let title = format!("small statement, scripted server, {connections} connections, all on one core");
        rows.push(Row::new(&format!("small-{connections}"), title, Measure::P50, musts, &POSTGRES, Ask::Small { statement: PLAIN, connections }));
    }
    let title = "the same with a masked column, 16 connections".to_owned();
    rows.push(Row::new("small-masked-16", title, Measure::P50, Vec::new(), &POSTGRES, Ask::Small { statement: MASKED, connections: 16 }));
    for (mode, clients, bound) in [("simple", 1, None), ("prepared", 1, Some(1.0)), ("simple", 16, Some(0.95)), ("prepared", 16, Some(0.95))] {
        let must = |bound| Must { measure: Measure::Rate, to: Some(Variant::Pgbouncer), bound };
        let title = format!("pgbench -S {mode}, {clients} clients, PostgreSQL, scale 10, unpinned");
        let ask = Ask::Pgbench { mode, clients };
        rows.push(Row::new(&format!("pgbench-{mode}-{clients}"), title, Measure::Rate, bound.map(must).into_iter().collect(), &POSTGRES, ask));
    }
    let must = Must { measure: Measure::Rate, to: Some(Variant::Haproxy), bound: 0.8 };
    let title = "100 MB result, one column of ten masked, PostgreSQL, unpinned".to_owned();
    rows.push(Row::new("bulk", title, Measure::Rate, vec![must], &[Variant::Direct, Variant::Haproxy, Variant::Weir, Variant::WeirTls], Ask::Bulk));
    let musts = vec![
        Must { measure: Measure::Rate, to: Some(Variant::Nginx), bound: 1.0 },
        Must { measure: Measure::Cpu, to: None, bound: 50.0 },
    ];
    let title = "MCP tools/call, 16 clients, the official SDK's server, unpinned".to_owned();
    rows.push(Row::new("mcp-16", title, Measure::Rate, musts, &[Variant::Direct, Variant::Nginx, Variant::Weir], Ask::Mcp { connections: 16 }));
    rows
}

impl Row {
    fn new(name: &str, title: String, measure: Measure, musts: Vec<Must>, variants: &[Variant], ask: Ask) -> Self {
        let samples = variants.iter().map(|variant| (*variant, Vec::new())).collect();
        Self { name: name.to_owned(), title, measure, musts, samples, proofs: Vec::new(), failures: Vec::new(), ask }
    }
}

/// Runs every row whose name begins so.
pub(crate) fn run(setting: &Setting<'_>, extent: &Extent, only: &str) -> Result<Vec<Row>> {
    let mut rows: Vec<_> = plan().into_iter().filter(|row| row.name.starts_with(only)).collect();
    for row in &mut rows {
        println!("  {}", row.title);
        measure(setting, extent, row).with_context(|| row.name.clone())?;
    }
    Ok(rows)
}

fn measure(setting: &Setting<'_>, extent: &Extent, row: &mut Row) -> Result<()> {
    let _held = match row.ask {
        Ask::Small { .. } => {
            Some(OneCore::hold(&[setting.weir, setting.haproxy.pid, setting.pgbouncer.pid, setting.scripted])?)
        }
        Ask::Pgbench { .. } | Ask::Bulk | Ask::Mcp { .. } => None,
    };
    let count = row.samples.len();
    let (mut operations, mut leaves) = (0, 0);
    for round in 0..extent.rounds {
        for step in 0..count {
            // Another one begins each round.
            let Some((variant, samples)) = row.samples.get_mut((round + step) % count) else { continue };
            let before = if variant.is_weir() { settled(setting)? } else { 0 };
            let sample = match row.ask.run(setting, extent, *variant, &row.name) {
                Ok(sample) => sample,
                Err(error) => {
                    // The other cells still tell something; the table says that this one failed.
                    let text = format!("{error:#}");
                    let reason = text.trim().lines().last().unwrap_or_default();
                    row.failures.push(format!("{} in round {}: {reason}", variant.as_str(), round + 1));
                    Sample::FAILED
                }
            };
            if variant.is_weir() {
                operations += sample.total;
                leaves += grown(setting, before, sample.total)?;
            }
            samples.push(sample);
        }
    }
    row.proofs.push(format!("{operations} operations through Weir, {leaves} new leaves in its log"));
    Ok(())
}

/// The log's size, once it does not grow by itself.
fn settled(setting: &Setting<'_>) -> Result<u64> {
    let mut last = setting.leaves()?;
    until("a log at rest", Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_millis(30));
        let now = setting.leaves()?;
        let is_at_rest = now == last;
        last = now;
        Ok(is_at_rest.then_some(now))
    })
}

/// By how many leaves the log has grown: intent and outcome of each operation at the least.
fn grown(setting: &Setting<'_>, before: u64, operations: u64) -> Result<u64> {
    let wanted = before + 2 * operations;
    let has_all = || Ok(Some(setting.leaves()?).filter(|size| *size >= wanted));
    let size = until(&format!("2 leaves for each of {operations} operations"), Duration::from_secs(60), has_all)?;
    ensure!(size >= wanted, "the log has {size} leaves, and should have {wanted}");
    Ok(size - before)
}

impl Ask {
    fn run(self, setting: &Setting<'_>, extent: &Extent, variant: Variant, row: &str) -> Result<Sample> {
        match self {
            Self::Small { statement, connections } => small(setting, extent, variant, row, statement, connections),
            Self::Pgbench { mode, clients } => tps(setting, extent, variant, mode, clients),
            Self::Bulk => bulk(setting, extent, variant, row),
            Self::Mcp { connections } => mcp(setting, extent, variant, row, connections),
        }
    }
}

fn measured(setting: &Setting<'_>, extent: &Extent, variant: Variant, row: &str) -> Vec<String> {
    let tag = format!("{row}.{}", variant.as_str());
    let mut words = vec!["--window-ms".to_owned(), extent.window_ms.to_string(), "--tag".to_owned(), tag];
    if let Some(pid) = variant.pid(setting) {
        words.extend(["--pid".to_owned(), pid.to_string()]);
    }
    if variant == Variant::WeirTls {
        words.push("--tls".to_owned());
    }
    words
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

fn small(setting: &Setting<'_>, extent: &Extent, variant: Variant, row: &str, statement: &str, connections: usize) -> Result<Sample> {
    let ports = &setting.ports;
    let port = match variant {
        Variant::Direct | Variant::Weir | Variant::WeirTls | Variant::Nginx => ports.behind.scripted,
        Variant::Haproxy => ports.haproxy[0],
        Variant::Pgbouncer => ports.pgbouncer,
    };
    let address = format!("127.0.0.1:{port}");
    let mut arguments = words(&["small", "--address", &address, "--statement", statement, "--connections", &connections.to_string()]);
    arguments.extend(measured(setting, extent, variant, row));
    if statement == MASKED {
        let (held, lacking) = if variant.is_weir() { ("*******6789", "123-45-6789") } else { ("123-45-6789", "*******6789") };
        arguments.extend(words(&["--contains", held, "--lacks", lacking]));
    }
    let before = answers(setting)?;
    let sample = load::sample(load::run(variant.caller(setting), &setting.load, &arguments)?)?;
    let given = answers(setting)? - before;
    ensure!(given == sample.total, "{}: the client had {} answers, the server gave {given}", variant.as_str(), sample.total);
    Ok(sample)
}

/// How many answers the scripted server has given.
fn answers(setting: &Setting<'_>) -> Result<u64> {
    let address = format!("127.0.0.1:{}", setting.ports.behind.scripted);
    let said = setting.free.run(&setting.load.display().to_string(), &["count", "--address", &address], "")?;
    said.out.trim().parse().with_context(|| format!("weir-load count said {said:?}"))
}

fn tps(setting: &Setting<'_>, extent: &Extent, variant: Variant, mode: &str, clients: usize) -> Result<Sample> {
    let ports = &setting.ports;
    let (port, database) = match variant {
        Variant::Direct | Variant::Weir | Variant::WeirTls | Variant::Nginx => (ports.behind.postgres, "shop"),
        Variant::Haproxy => (ports.haproxy[1], "shop"),
        Variant::Pgbouncer => (ports.pgbouncer, "real"),
    };
    let tls = if variant == Variant::WeirTls { "require" } else { "disable" };
    let caller = variant.caller(setting).clone().with("PGSSLMODE", tls).with("PGGSSENCMODE", "disable");
    let caller = &if variant.is_weir() { caller } else { caller.with("PGPASSWORD", &setting.stage.postgres.password) };
    let pid = variant.pid(setting);
    pgbench::Run { program: &setting.pgbench, caller, port, database, mode, clients, seconds: extent.pgbench_s, pid }.measure()
}

fn bulk(setting: &Setting<'_>, extent: &Extent, variant: Variant, row: &str) -> Result<Sample> {
    let port = if variant == Variant::Haproxy { setting.ports.haproxy[1] } else { setting.ports.behind.postgres };
    let (address, times) = (format!("127.0.0.1:{port}"), extent.bulk_times.to_string());
    let mut arguments = words(&["bulk", "--address", &address, "--statement", "SELECT * FROM bulk", "--times", &times, "--field", "2"]);
    arguments.extend(measured(setting, extent, variant, row));
    let caller = variant.caller(setting).clone();
    let caller = if variant.is_weir() {
        arguments.extend(words(&["--prefix", "*******"]));
        caller
    } else {
        caller.with("PGPASSWORD", &setting.stage.postgres.password)
    };
    let told = load::run(&caller, &setting.load, &arguments)?;
    let first = told["first"].as_str().unwrap_or_default().to_owned();
    ensure!(first.contains('*') == variant.is_weir(), "{}: a row's ssn is {first:?}", variant.as_str());
    let number = |name: &str| told[name].as_f64().with_context(|| format!("weir-load told no {name}"));
    let (bytes, rows, seconds) = (number("result_bytes")?, number("rows")?, number("seconds")?);
    ensure!(bytes / f64::from(extent.bulk_times) > 95e6, "a result has {bytes} bytes");
    ensure!(rows == 400_000.0 * f64::from(extent.bulk_times), "{rows} rows");
    let mut sample = load::sample(told)?;
    // Of a result, not of an operation: bytes per second, and CPU time per megabyte.
    sample.cpu_us = sample.cpu_us.map(|cpu| cpu * sample.total as f64 / (bytes / 1e6));
    sample.rate = Some(bytes / seconds);
    Ok(sample)
}

fn mcp(setting: &Setting<'_>, extent: &Extent, variant: Variant, row: &str, connections: usize) -> Result<Sample> {
    let port = if variant == Variant::Nginx { setting.ports.nginx } else { setting.ports.behind.mcp };
    let (address, [tool, inputs]) = (format!("127.0.0.1:{port}"), TOOL);
    let mut arguments = words(&["mcp", "--address", &address, "--tool", tool, "--arguments", inputs, "--connections", &connections.to_string()]);
    arguments.extend(measured(setting, extent, variant, row));
    arguments.extend(words(&["--contains", "Alva Lindqvist", if variant.is_weir() { "--lacks" } else { "--contains" }, "123-45-6789"]));
    let caller = variant.caller(setting);
    let caller = if variant.is_weir() { caller.clone() } else { setting.stage.mcp.direct(caller) };
    let before = setting.stage.mcp.calls()?.len() as u64;
    let sample = load::sample(load::run(&caller, &setting.load, &arguments)?)?;
    let called = setting.stage.mcp.calls()?.len() as u64 - before;
    ensure!(called == sample.total, "{}: {} answers, but the server counts {called} calls", variant.as_str(), sample.total);
    Ok(sample)
}
