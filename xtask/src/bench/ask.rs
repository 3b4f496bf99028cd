//! One run of one variant, and the proof that it did what it claims.

use anyhow::{Context, Result, ensure};

use super::plan::{Ask, Bulk, Call, Script, Variant};
use super::rows::{Extent, Sample};
use super::setting::{MASKED, Setting};
use super::{load, pgbench};
use crate::stage::Caller;

/// A tool call with a masked answer.
const LOOKUP: [&str; 2] = ["lookup_customer", r#"{"id":1}"#];

/// A tool call whose answer is as large as itself, twice.
const ECHO: [&str; 2] = ["echo", r#"{"text":"PAD"}"#];

impl Ask {
    /// Runs it.
    pub(crate) fn run(
        self,
        setting: &Setting<'_>,
        extent: &Extent,
        variant: Variant,
        row: &str,
    ) -> Result<Sample> {
        match self {
            Self::Small {
                statement,
                connections,
            } => small(setting, extent, variant, row, statement, connections),
            Self::Pgbench {
                script,
                mode,
                clients,
            } => tps(setting, extent, variant, script, (mode, clients)),
            Self::Bulk(table) => bulk(setting, extent, variant, row, table),
            Self::Mcp { call, connections } => {
                mcp(setting, extent, variant, row, (call, connections))
            }
        }
    }
}

fn measured(setting: &Setting<'_>, extent: &Extent, variant: Variant, row: &str) -> Vec<String> {
    let tag = format!("{row}.{}", variant.as_str());
    let mut words = vec![
        "--window-ms".to_owned(),
        extent.window_ms.to_string(),
        "--tag".to_owned(),
        tag,
    ];
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

fn small(
    setting: &Setting<'_>,
    extent: &Extent,
    variant: Variant,
    row: &str,
    statement: &str,
    connections: usize,
) -> Result<Sample> {
    let ports = &setting.ports;
    let port = match variant {
        Variant::Direct | Variant::Weir | Variant::WeirKept | Variant::WeirTls | Variant::Nginx => {
            ports.behind.scripted
        }
        Variant::Haproxy => ports.haproxy[0],
        Variant::Pgbouncer => ports.pgbouncer,
    };
    let address = format!("127.0.0.1:{port}");
    let mut arguments = words(&[
        "small",
        "--address",
        &address,
        "--statement",
        statement,
        "--connections",
        &connections.to_string(),
    ]);
    arguments.extend(measured(setting, extent, variant, row));
    if statement == MASKED {
        let (held, lacking) = if variant.is_weir() {
            ("*******6789", "123-45-6789")
        } else {
            ("123-45-6789", "*******6789")
        };
        arguments.extend(words(&["--contains", held, "--lacks", lacking]));
    }
    let before = answers(setting)?;
    let sample = load::sample(load::run(
        variant.caller(setting),
        &setting.load,
        &arguments,
    )?)?;
    let given = answers(setting)? - before;
    ensure!(
        given == sample.total,
        "{}: the client had {} answers, the server gave {given}",
        variant.as_str(),
        sample.total
    );
    Ok(sample)
}

/// How many answers the scripted server has given.
fn answers(setting: &Setting<'_>) -> Result<u64> {
    let address = format!("127.0.0.1:{}", setting.ports.behind.scripted);
    let said = setting.free.run(
        &setting.load.display().to_string(),
        &["count", "--address", &address],
        "",
    )?;
    said.out
        .trim()
        .parse()
        .with_context(|| format!("weir-load count said {said:?}"))
}

fn tps(
    setting: &Setting<'_>,
    extent: &Extent,
    variant: Variant,
    script: Script,
    (mode, clients): (&str, usize),
) -> Result<Sample> {
    let ports = &setting.ports;
    let (port, database) = match variant {
        Variant::Direct | Variant::Weir | Variant::WeirKept | Variant::WeirTls | Variant::Nginx => {
            (ports.behind.postgres, "shop")
        }
        Variant::Haproxy => (ports.haproxy[1], "shop"),
        Variant::Pgbouncer => (ports.pgbouncer, "real"),
    };
    let tls = if variant == Variant::WeirTls {
        "require"
    } else {
        "disable"
    };
    let caller = variant
        .caller(setting)
        .clone()
        .with("PGSSLMODE", tls)
        .with("PGGSSENCMODE", "disable");
    let caller = &if variant.is_weir() {
        caller
    } else {
        caller.with("PGPASSWORD", &setting.stage.postgres.password)
    };
    if script == Script::People {
        is_masked_as_it_must(setting, caller, variant, port, database)?;
    }
    let pid = variant.pid(setting);
    pgbench::Run {
        script: setting.script(script),
        program: &setting.pgbench,
        caller,
        port,
        database,
        mode,
        clients,
        seconds: extent.pgbench_s,
        pid,
    }
    .measure()
}

/// What the row claims: behind Weir the column is masked, and nowhere else.
fn is_masked_as_it_must(
    setting: &Setting<'_>,
    caller: &Caller,
    variant: Variant,
    port: u16,
    database: &str,
) -> Result<()> {
    let at = format!("host=127.0.0.1 port={port} user=app dbname={database}");
    let said = caller.run(
        &setting.psql,
        &[
            "-XAt",
            "-d",
            &at,
            "-c",
            "SELECT ssn FROM people WHERE id = 1",
        ],
        "",
    )?;
    ensure!(
        said.ok && !said.out.is_empty() && said.out.contains('*') == variant.is_weir(),
        "{}: a person's ssn is {}",
        variant.as_str(),
        said.all()
    );
    Ok(())
}

fn bulk(
    setting: &Setting<'_>,
    extent: &Extent,
    variant: Variant,
    row: &str,
    table: Bulk,
) -> Result<Sample> {
    let is_masked = variant.is_weir() && table == Bulk::Masked;
    let port = if variant == Variant::Haproxy {
        setting.ports.haproxy[1]
    } else {
        setting.ports.behind.postgres
    };
    let (address, times) = (format!("127.0.0.1:{port}"), extent.bulk_times.to_string());
    let mut arguments = words(&[
        "bulk",
        "--address",
        &address,
        "--statement",
        &format!("SELECT * FROM {}", table.table()),
        "--times",
        &times,
        "--field",
        "2",
    ]);
    arguments.extend(measured(setting, extent, variant, row));
    let caller = variant.caller(setting).clone();
    if is_masked {
        arguments.extend(words(&["--prefix", "*******"]));
    }
    let caller = if variant.is_weir() {
        caller
    } else {
        caller.with("PGPASSWORD", &setting.stage.postgres.password)
    };
    let told = load::run(&caller, &setting.load, &arguments)?;
    let first = told["first"].as_str().unwrap_or_default().to_owned();
    ensure!(
        !first.is_empty() && first.contains('*') == is_masked,
        "{}: a row's ssn is {first:?}",
        variant.as_str()
    );
    let number = |name: &str| {
        told[name]
            .as_f64()
            .with_context(|| format!("weir-load told no {name}"))
    };
    let (bytes, rows, seconds) = (number("result_bytes")?, number("rows")?, number("seconds")?);
    ensure!(
        bytes / f64::from(extent.bulk_times) > 95e6,
        "a result has {bytes} bytes"
    );
    ensure!(
        rows == 400_000.0 * f64::from(extent.bulk_times),
        "{rows} rows"
    );
    let mut sample = load::sample(told)?;
    // Of a result, not of an operation: bytes per second, and CPU time per megabyte.
    sample.cpu_us = sample
        .cpu_us
        .map(|cpu| cpu * sample.total as f64 / (bytes / 1e6));
    sample.rate = Some(bytes / seconds);
    Ok(sample)
}

fn mcp(
    setting: &Setting<'_>,
    extent: &Extent,
    variant: Variant,
    row: &str,
    (call, connections): (Call, usize),
) -> Result<Sample> {
    let server = match variant {
        Variant::WeirKept => &setting.kept,
        Variant::Direct
        | Variant::Haproxy
        | Variant::Pgbouncer
        | Variant::Nginx
        | Variant::Weir
        | Variant::WeirTls => &setting.stage.mcp,
    };
    let port = if variant == Variant::Nginx {
        setting.ports.nginx
    } else {
        server.port
    };
    let (address, [tool, inputs]) = (
        format!("127.0.0.1:{port}"),
        match call {
            Call::Lookup | Call::FirstByte => LOOKUP,
            Call::Echo(_) => ECHO,
        },
    );
    let mut arguments = words(&[
        "mcp",
        "--address",
        &address,
        "--tool",
        tool,
        "--arguments",
        inputs,
        "--connections",
        &connections.to_string(),
    ]);
    arguments.extend(measured(setting, extent, variant, row));
    arguments.extend(expected(call, variant));
    let caller = variant.caller(setting);
    let caller = if variant.is_weir() {
        caller.clone()
    } else {
        server.direct(caller)
    };
    let before = server.calls_bytes()?;
    let sample = load::sample(load::run(&caller, &setting.load, &arguments)?)?;
    let called = server.calls_since(before)?;
    ensure!(
        called == sample.total,
        "{}: {} answers, but the server counts {called} calls",
        variant.as_str(),
        sample.total
    );
    Ok(sample)
}

/// What of the call is measured, and what every answer holds.
fn expected(call: Call, variant: Variant) -> Vec<String> {
    let ssn = if variant.is_weir() {
        "--lacks"
    } else {
        "--contains"
    };
    let customer = ["--contains", "Alva Lindqvist", ssn, "123-45-6789"];
    match call {
        Call::Lookup => words(&customer),
        Call::FirstByte => words(&[&customer, ["--until", "first-byte"].as_slice()].concat()),
        Call::Echo(bytes) => words(&["--pad", &bytes.to_string(), "--contains", r#""text":"PAD""#]),
    }
}
