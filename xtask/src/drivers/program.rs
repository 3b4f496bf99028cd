//! The programs that tell stories, and one playing of each.

use anyhow::{Result, bail};

use super::kit::Kit;
use super::setup::{PLAIN, Setup};
use super::told::compare;
use crate::checks::Checks;
use crate::stage::{Caller, Said, Stage};

/// Longest that one program may take: CI has two slow cores.
const PROGRAM_MAX_S: &str = "240";

/// By what a program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Python,
    Node,
    Java,
    Go,
    Rust,
    Psql,
}

/// One driver's stories.
pub(super) struct Program {
    /// The driver's name.
    pub name: &'static str,
    language: Language,
    /// The file below the language's folder, or the word that chooses the stories.
    pub entry: &'static str,
}

const fn program(name: &'static str, language: Language, entry: &'static str) -> Program {
    Program {
        name,
        language,
        entry,
    }
}

/// All of them.
pub(super) const ALL: &[Program] = &[
    program("psql", Language::Psql, "stories.sql"),
    program("psycopg3", Language::Python, "psycopg3.py"),
    program("asyncpg", Language::Python, "asyncpg_.py"),
    program("sqlalchemy", Language::Python, "sqlalchemy_.py"),
    program("django", Language::Python, "django_.py"),
    program("node-pg", Language::Node, "pg.mjs"),
    program("node-postgres", Language::Node, "postgresjs.mjs"),
    program("pgjdbc", Language::Java, "Stories"),
    program("pgx", Language::Go, "stories"),
    program("tokio-postgres", Language::Rust, "tokio-postgres"),
    program("sqlx", Language::Rust, "sqlx"),
];

/// How a client is told to encrypt.
const MODES: [(&str, Option<&str>); 3] = [
    ("the driver's default", None),
    ("require", Some("require")),
    ("verify-full", Some("verify-full")),
];

/// Tells the stories at the server once, and through Weir in every mode of TLS.
pub(super) fn play(
    stage: &Stage,
    kit: &Kit,
    setup: &Setup,
    program: &Program,
    checks: &mut Checks,
) -> Result<()> {
    let alice = &stage.people.alice;
    let direct = tell(
        stage,
        kit,
        program,
        &stage.postgres.direct(&alice.unguarded),
    )?;
    if !direct.ok {
        bail!("direct, without Weir, it failed:\n{}", direct.all());
    }
    for (mode, variable) in MODES {
        let mut caller = alice.guarded.clone();
        if let Some(mode) = variable {
            caller = caller.with("PGSSLMODE", mode);
        }
        if variable == Some("verify-full") {
            caller = caller.with("PGSSLROOTCERT", &setup.ca.display().to_string());
        }
        let through = tell(stage, kit, program, &caller)?;
        let seen = compare(&direct.out, &through.out);
        let name = format!("{}, {mode}", program.name);
        let holds = seen.wrong.is_empty();
        let text = if holds {
            format!("{} lines as direct, {} masked", seen.equal, seen.masked)
        } else {
            format!("{}\n{}", seen.wrong.join("\n"), end_of(&through.err))
        };
        checks.see(&name, holds, &text);
    }
    Ok(())
}

fn tell(stage: &Stage, kit: &Kit, program: &Program, caller: &Caller) -> Result<Said> {
    Setup::renew(stage)?;
    let caller = environment(stage, caller);
    let (caller, command) = kit.command(caller, program.language, program.entry)?;
    let command: Vec<_> = command.iter().map(String::as_str).collect();
    let arguments = [&["--kill-after=5", PROGRAM_MAX_S], command.as_slice()].concat();
    caller.run("timeout", &arguments, "")
}

/// Where the server is, in libpq's variables.
pub(super) fn environment(stage: &Stage, caller: &Caller) -> Caller {
    let port = stage.postgres.port.to_string();
    caller
        .clone()
        .with("PGHOST", "127.0.0.1")
        .with("PGPORT", &port)
        .with("PGUSER", "app")
        .with("PGDATABASE", "shop")
        .with("DRIVER_PLAIN_DATABASE", PLAIN)
}

/// The last lines of what a program complained about.
fn end_of(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(12);
    lines.get(from..).unwrap_or_default().join("\n")
}
