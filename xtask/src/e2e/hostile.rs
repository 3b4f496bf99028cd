//! Malformed bytes from both sides: an error or a reset, a record, and a process that lives
//! and does not grow.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::throw::{Case, MCP, POSTGRES};
use crate::checks::Checks;
use crate::stage::policies::{self, Edit};
use crate::stage::{Stage, leaves, place, process, put_in_force, until};

/// What the thrower is called on the stage.
const THROWER: &str = "weir-throw";

/// How often everything is thrown again to see whether memory grows.
const ROUNDS: usize = 10;

/// How much the proxy may grow over these rounds: buffers and caches that are filled once.
const GROWTH_KIB_MAX: u64 = 16 << 10;

/// How soon a record is in the log's files.
const PUBLISHED_MAX: Duration = Duration::from_secs(2);

/// Engineers may try the server that answers nonsense.
const NONSENSE: [Edit; 1] = [Edit {
    file: "policies.cedar",
    from: "",
    to: r#"
@id("engineers-meet-nonsense")
permit(principal in Weir::Group::"engineering", action, resource in Weir::Connection::"nonsense-pg");
@id("engineers-connect-to-nonsense")
permit(principal in Weir::Group::"engineering", action == Weir::Action::"pg.connect", resource == Weir::Connection::"nonsense-pg");
"#,
}];

/// What a server must not say, each to a client of its own.
const ANSWERS: &[&[u8]] = &[
    b"\xff\xfe\xfd\xfc nonsense \x00\x00",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"NR\x00\x00\x00\x00",
    b"NR\x00\x00\x00\x03",
    b"NR\x7f\xff\xff\xff\x00\x00\x00\x00",
    b"NR\xff\xff\xff\xff\x00\x00\x00\x00",
    b"NR\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I",
    b"NR\x00\x00\x00\x08\x00\x00\x00\x00D\x00\x00\x00\x06\xff\xff",
    b"S\x16\x03\x01\xff\xff not a handshake",
    b"",
];

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    // Cargo may have replaced this program's file since it started; the link still opens it.
    place(
        Path::new("/proc/self/exe"),
        &stage.site.programs().join(THROWER),
    )?;
    let before = stage.dataplane.proxy()?;
    clients(stage, checks)?;
    server(stage, checks)?;
    let after = stage.dataplane.proxy()?;
    checks.see(
        "the proxy is the one that it was",
        before == after,
        &format!("process {after}"),
    );
    growth(stage, checks)
}

fn clients(stage: &Stage, checks: &mut Checks) -> Result<()> {
    // What went before must not be taken for what follows.
    std::thread::sleep(PUBLISHED_MAX);
    for (cases, port) in [(POSTGRES, stage.postgres.port), (MCP, stage.mcp.port)] {
        for case in cases {
            let known = quiet(stage, port)?;
            let taken = throw(stage, case, port)?;
            let more = || {
                let more = records(stage, port)?.split_off(known);
                Ok(Some(more).filter(|more| more.iter().any(|kind| kind == case.record())))
            };
            let kinds = until("a record", PUBLISHED_MAX, more).unwrap_or_default();
            let is_closed = ["error", "reset", "closed"].contains(&taken.as_str());
            let is_recorded = !kinds.is_empty() || case.asks_nothing();
            checks.see(
                case.name,
                is_closed && is_recorded,
                &format!("{taken:<7} {}", kinds.join(", ")),
            );
        }
    }
    let said = stage.psql(
        &stage.people.alice.guarded,
        "SELECT city FROM customers WHERE id = 1",
    )?;
    checks.see(
        "others are served as before",
        said.out.trim() == "Umea",
        &said.all(),
    );
    Ok(())
}

fn throw(stage: &Stage, case: &Case, port: u16) -> Result<String> {
    let program = stage.site.programs().join(THROWER).display().to_string();
    let said = stage.people.alice.guarded.run(
        &program,
        &["throw", &format!("127.0.0.1:{port}"), case.name],
        "",
    )?;
    Ok(if said.ok {
        said.out.trim().to_owned()
    } else {
        said.all()
    })
}

/// The kinds of all records of flows to a port.
fn records(stage: &Stage, port: u16) -> Result<Vec<String>> {
    let target = format!("127.0.0.1:{port}");
    let own = leaves::read(&stage.log())?
        .into_iter()
        .filter(|leaf| leaf["target"] == target.as_str());
    Ok(own
        .filter_map(|leaf| leaf["kind"].as_str().map(str::to_owned))
        .collect())
}

/// How many there are, once no more of what went before arrive.
fn quiet(stage: &Stage, port: u16) -> Result<usize> {
    let mut last = None;
    until("quiet", Duration::from_secs(5), || {
        let now = records(stage, port)?.len();
        Ok((last.replace(now) == Some(now)).then_some(now))
    })
}

/// A server that answers nonsense, registered like any other.
fn server(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("bind")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || answer_nonsense(&listener));
    let admin = stage.control.admin();
    let address = format!("127.0.0.1:{port}");
    admin.run(&[
        "connection",
        "add",
        "nonsense-pg",
        "--kind",
        "postgres",
        "--address",
        &address,
        "--default-role",
        "app",
        "--database",
        "shop",
    ])?;
    admin.run_with(
        &["connection", "credential", "nonsense-pg", "--role", "app"],
        "nobody's",
    )?;
    let old = policies::active(&admin)?;
    policies::push(stage.site, &admin, "nonsense", &NONSENSE)?;
    let port = port.to_string();
    let (mut refused, mut odd) = (0, String::new());
    // Weir's own catalogue session takes some of the answers.
    for _ in 0..ANSWERS.len() * 2 {
        let caller = stage
            .people
            .alice
            .guarded
            .clone()
            .with("PGCONNECT_TIMEOUT", "20");
        let said = stage.psql_at(&caller, &port, "SELECT 1")?;
        if said.ok || said.err.contains("timeout expired") {
            odd = said.all()
        } else {
            refused += 1
        }
    }
    let seen = format!("{refused} psql refused");
    checks.see(
        "a server that answers nonsense: an error for the client",
        odd.is_empty(),
        if odd.is_empty() { &seen } else { &odd },
    );
    policies::roll_back(stage.site, &admin, old)?;
    put_in_force(stage.site, &admin, || {
        admin.run(&["connection", "remove", "nonsense-pg"])
    })
    .map(|_| ())
}

fn answer_nonsense(listener: &TcpListener) {
    for (stream, answer) in listener.incoming().zip(ANSWERS.iter().cycle()) {
        let Ok(stream) = stream else { return };
        std::thread::spawn(move || say(stream, answer));
    }
}

/// Says it, and keeps the connection open: whoever hears nonsense must end by itself.
fn say(mut stream: TcpStream, answer: &[u8]) {
    use std::io::Read;
    let mut heard = [0; 1024];
    // A peer that is gone ends this too.
    while matches!(stream.read(&mut heard), Ok(1..)) {
        if answer.is_empty() || stream.write_all(answer).is_err() {
            return;
        }
    }
}

fn growth(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let proxy = stage.dataplane.proxy()?;
    let begin = process::resident_kib(proxy)?;
    for _ in 0..ROUNDS {
        for case in POSTGRES.iter().filter(|case| !case.is_slow()) {
            throw(stage, case, stage.postgres.port)?;
        }
    }
    let end = process::resident_kib(stage.dataplane.proxy()?)?;
    let seen = format!("{begin} KiB before {ROUNDS} rounds, {end} KiB after");
    checks.see(
        "it does not grow",
        end <= begin + GROWTH_KIB_MAX && stage.dataplane.proxy()? == proxy,
        &seen,
    );
    Ok(())
}
