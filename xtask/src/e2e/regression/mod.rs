//! PostgreSQL's own regression tests, direct and through Weir: where nothing is masked and policy
//! allows everything, each test that passes direct must have the same output byte for byte.

mod output;
mod sources;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::checks::Checks;
use crate::stage::policies::{self, Edit};
use crate::stage::{Bare, Caller, E2E, Selection, Stage, cgroup_root, find_user};
use output::Output;
use sources::Part;

/// The connection's name, and the group of whoever runs the tests.
const NAME: &str = "regress";

/// What `pg_regress` itself asks of a server, and room for its groups of twenty.
const SETTINGS: [&str; 2] = ["max_prepared_transactions=2", "max_connections=60"];

/// Nothing is labelled at the tests' connection, and they may do whatever they like, known or not.
const EVERYTHING: [Edit; 2] = [
    Edit {
        file: "masks.toml",
        from: "",
        to: "\n[connection.regress]\nenv = \"demo\"\nunlabelled = \"clear\"\n",
    },
    Edit {
        file: "policies.cedar",
        from: "",
        to: r#"
@id("regress-may-everything")
permit(principal in Weir::Group::"regress", action, resource in Weir::Connection::"regress");
"#,
    },
];

/// Runs them on a stage of their own.
///
/// # Errors
/// A test differs, or could not be run.
pub(crate) fn run(selection: &Selection) -> Result<()> {
    let stage = Stage::up(E2E, selection)?;
    let mut checks = Checks::new();
    checks.scene(TITLE, |checks| play(&stage, checks));
    if !checks.all_passed() {
        stage.keep_logs();
    }
    stage.down()?;
    println!();
    if !checks.all_passed() {
        bail!("{}", checks.summary("regression tests"));
    }
    println!("{}", checks.summary("regression tests"));
    Ok(())
}

/// What the scene is called.
pub(super) const TITLE: &str = "PostgreSQL's own regression tests, direct and through Weir";

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let suite = Suite::prepare(stage)?;
    let server = Bare::start(&stage.record, stage.site, NAME, &SETTINGS)?;
    let admin = stage.control.admin();
    let before = policies::active(&admin)?;
    register(stage, &server, &suite)?;
    let callers = [suite.direct(&server), suite.guarded()];
    for part in &sources::PARTS {
        compare(&suite, part, &callers, server.port, checks)?;
    }
    policies::roll_back(stage.site, &admin, before).map(|_| ())
}

/// Every test of a part that passes direct has the same output through Weir.
fn compare(
    suite: &Suite,
    part: &Part,
    [direct, guarded]: &[Caller; 2],
    port: u16,
    checks: &mut Checks,
) -> Result<()> {
    let direct = suite.run(part, "direct", direct, port)?;
    ensure!(
        !direct.passed().is_empty(),
        "no test passes direct:\n{}",
        direct.told
    );
    let mut differing = differences(&direct, &suite.run(part, "weir", guarded, port)?)?;
    if !differing.is_empty() {
        // Some tests hang on the moment: planner statistics, autovacuum, the server's own random
        // numbers. What differs for Weir's sake differs again.
        println!("  differing once, and run again:{}", listed(&differing));
        let again = suite.run(part, "weir-again", guarded, port)?;
        let twice = differences(&direct, &again)?;
        differing.retain(|(name, _)| twice.iter().any(|(other, _)| name == other));
    }
    if !differing.is_empty() {
        println!("  outputs are kept in {}", suite.keep(part)?.display());
    }
    let tests = direct.passed().len();
    let same = tests - differing.len();
    checks.see(
        &format!("{}: what passes direct has the same output", part.name),
        differing.is_empty(),
        &format!(
            "{same} of {tests} that pass direct are identical{}",
            listed(&differing)
        ),
    );
    Ok(())
}

/// The tests that pass direct and have another output through Weir, each with the difference.
fn differences(direct: &Output, guarded: &Output) -> Result<Vec<(String, String)>> {
    let mut differing = Vec::new();
    for name in direct.passed() {
        if let Some(difference) = output::difference(direct, guarded, name)? {
            differing.push((name.clone(), difference));
        }
    }
    Ok(differing)
}

fn listed(differing: &[(String, String)]) -> String {
    let lines = differing
        .iter()
        .map(|(name, difference)| format!("\n  {name}: {difference}"));
    lines.collect()
}

/// Tells Weir of the server, of who runs the tests, and that they may.
fn register(stage: &Stage, server: &Bare, suite: &Suite) -> Result<()> {
    let admin = stage.control.admin();
    let address = format!("127.0.0.1:{}", server.port);
    admin.run(&[
        "connection",
        "add",
        NAME,
        "--kind",
        "postgres",
        "--address",
        &address,
        "--env",
        "demo",
        "--database",
        "postgres",
        "--default-role",
        "postgres",
    ])?;
    admin.run_with(
        &["connection", "credential", NAME, "--role", "postgres"],
        &server.password,
    )?;
    let uid = suite.user.uid.to_string();
    admin.run(&["workload", "add", NAME, "--uid", &uid, "--group", NAME])?;
    policies::push(stage.site, &admin, NAME, &EVERYTHING).map(|_| ())
}

/// The tests, where the server and their runner can read them.
struct Suite {
    folder: PathBuf,
    user: crate::stage::User,
    cgroup: PathBuf,
}

impl Suite {
    fn prepare(stage: &Stage) -> Result<Self> {
        let sources = sources::fetch()?;
        let folder = stage.site.folder().join(NAME);
        let mut copy = std::process::Command::new("cp");
        crate::step::output("cp", copy.arg("-rT").arg(&sources).arg(&folder))?;
        // Some tests have the server write files and read them themselves: both are one user.
        let user = find_user("postgres")?;
        let suite = Self {
            folder,
            user,
            cgroup: cgroup_root()?.join(stage.site.name),
        };
        suite.own(&suite.folder)?;
        Ok(suite)
    }

    fn own(&self, folder: &Path) -> Result<()> {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).context("chmod")?;
        chown(folder, Some(self.user.uid), Some(self.user.gid))
            .with_context(|| format!("chown {}", folder.display()))
    }

    /// Who runs them past Weir.
    fn direct(&self, server: &Bare) -> Caller {
        Caller::outside(self.user.clone()).with("PGPASSWORD", &server.password)
    }

    /// Who runs them in the guarded cgroup, without any password.
    fn guarded(&self) -> Caller {
        Caller::inside(self.user.clone(), self.cgroup.clone())
    }

    /// Runs a part's whole schedule. Paths show in outputs, so that every run has the same ones.
    fn run(&self, part: &Part, how: &str, caller: &Caller, port: u16) -> Result<Output> {
        let tests = self.folder.join(part.name);
        let out = tests.join("out");
        fs::create_dir(&out).with_context(|| format!("mkdir {}", out.display()))?;
        self.own(&out)?;
        let begun = std::time::Instant::now();
        let folder = tests.display();
        let arguments = [
            format!("--inputdir={folder}"),
            format!("--outputdir={}", out.display()),
            format!("--bindir={}", crate::stage::bin()?.display()),
            format!("--dlpath={folder}"),
            "--host=127.0.0.1".to_owned(),
            format!("--port={port}"),
            "--user=postgres".to_owned(),
            format!("--dbname={}", part.database),
            "--max-concurrent-tests=20".to_owned(),
            format!("--schedule={folder}/{}", part.schedule),
        ];
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let runner = part.runner()?.display().to_string();
        let said = caller.run(&runner, &arguments, "")?;
        let kept = tests.join(format!("out-{how}"));
        fs::rename(&out, &kept).with_context(|| format!("rename {}", out.display()))?;
        let output = Output::new(kept, said.all());
        println!(
            "  {}, {how}: {} tests pass in {} s",
            part.name,
            output.passed().len(),
            begun.elapsed().as_secs()
        );
        Ok(output)
    }

    /// Copies a part's outputs to target/, since the stage's folder will be gone.
    fn keep(&self, part: &Part) -> Result<PathBuf> {
        let kept = crate::step::root().join(format!("target/{}-outputs", part.name));
        let _ = fs::remove_dir_all(&kept);
        fs::create_dir(&kept).with_context(|| format!("mkdir {}", kept.display()))?;
        for how in ["direct", "weir", "weir-again"] {
            let mut copy = std::process::Command::new("cp");
            let run = self.folder.join(part.name).join(format!("out-{how}"));
            crate::step::output("cp", copy.arg("-r").arg(run).arg(&kept))?;
        }
        Ok(kept)
    }
}
