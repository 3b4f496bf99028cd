//! Google's MCP Toolbox behind Weir, with its Postgres behind Weir too: one call crosses Weir
//! twice, and each hop hides what it knows.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::kit::Kit;
use super::servers::Server;
use super::setup::Setup;
use crate::checks::Checks;
use crate::stage::{Caller, Stage, leaves, put_in_force, until};

/// A value of `customers.ssn`, which Postgres' side masks.
const COLUMN: &str = "123-45-6789";

/// A value that the statement brings itself: Postgres' side has no column for it.
const CONSTANT: &str = "219-09-9999";

/// What is shown instead.
const MASKED: [&str; 2] = ["*******6789", "*******9999"];

/// Calls of one client, each with a statement.
const ASKED: usize = 2;

/// How soon a record is in the log's files.
const PUBLISHED_MAX: Duration = Duration::from_secs(10);

/// Plays it.
pub(super) fn play(stage: &Stage, kit: &Kit, setup: &Setup, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice;
    let direct = setup.start_toolbox(stage, kit, "toolbox-direct", &alice.unguarded)?;
    let clear = ask(kit, &alice.unguarded, &direct)?;
    checks.see(
        "control: direct, both numbers are shown",
        [COLUMN, CONSTANT, "execute_sql"]
            .iter()
            .all(|value| clear.contains(value)),
        &clear,
    );
    let one_hop = setup.start_toolbox(stage, kit, "toolbox", &alice.guarded)?;
    let half = ask(kit, &alice.unguarded, &one_hop)?;
    checks.see(
        "only its Postgres behind Weir: the column is masked",
        half.contains(MASKED[0]) && !half.contains(COLUMN) && half.contains(CONSTANT),
        &half,
    );
    let admin = stage.control.admin();
    put_in_force(stage.site, &admin, || one_hop.register(stage))?;
    let both = ask(kit, &alice.guarded, &one_hop)?;
    checks.see(
        "the Toolbox behind Weir too: both are masked",
        MASKED.iter().all(|mask| both.contains(mask))
            && !both.contains(COLUMN)
            && !both.contains(CONSTANT),
        &both,
    );
    records(stage, checks)?;
    put_in_force(stage.site, &admin, || {
        admin.run(&["connection", "remove", one_hop.name])
    })
    .map(|_| ())
}

/// Both hops are on record.
fn records(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let all = until("the records", PUBLISHED_MAX, || {
        let leaves = leaves::read(&stage.log())?;
        let count = |connection| leaves::count(&leaves, "intent", connection);
        let (calls, statements) = (count("toolbox"), count("demo-pg"));
        Ok((calls >= ASKED && statements >= ASKED).then_some((calls, statements)))
    });
    let seen = format!("{all:?}");
    checks.see("both hops are on record", all.is_ok(), &seen);
    Ok(())
}

fn ask(kit: &Kit, caller: &Caller, server: &Server) -> Result<String> {
    let caller = kit.python(caller);
    let entry = kit.at("python/toolbox.py");
    let said = kit.run(&caller, &["/usr/bin/python3", &entry, &server.url("/mcp")])?;
    ensure!(said.ok, "{}", said.all());
    Ok(said.out)
}

impl Setup {
    /// Starts the Toolbox as one of a caller's processes, before the stage's Postgres.
    fn start_toolbox(
        &self,
        stage: &Stage,
        kit: &Kit,
        name: &'static str,
        caller: &Caller,
    ) -> Result<Server> {
        let program = kit.native("@toolbox-sdk/server", "bin/toolbox");
        ensure!(
            Path::new(&program).exists(),
            "the Toolbox has no program for this architecture"
        );
        Server::of_caller(stage, name, |port| {
            let mut command: Command = caller.command(&program);
            command.args(["--prebuilt", "postgres", "--port", port]);
            command.args(["--address", "127.0.0.1", "--disable-version-check"]);
            command
                .env("POSTGRES_HOST", "127.0.0.1")
                .env("POSTGRES_PORT", stage.postgres.port.to_string())
                .env("POSTGRES_DATABASE", "shop")
                .env("POSTGRES_USER", "app")
                .env("POSTGRES_PASSWORD", &stage.postgres.password)
                .env(
                    "POSTGRES_QUERY_PARAMS",
                    format!("{{application_name: {}}}", crate::stage::DIRECT),
                );
            command
        })
    }
}
