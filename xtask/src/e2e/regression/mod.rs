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
    let direct = suite.run("direct", &suite.direct(&server), server.port)?;
    let guarded = suite.run("through Weir", &suite.guarded()?, server.port)?;
    policies::roll_back(stage.site, &admin, before)?;
    compare(&suite, &direct, &guarded, checks)
}

/// Every test that passes direct has the same output through Weir.
fn compare(suite: &Suite, direct: &Output, guarded: &Output, checks: &mut Checks) -> Result<()> {
    let passed = direct.passed();
    ensure!(
        !passed.is_empty(),
        "no test passes direct:\n{}",
        direct.told
    );
    let mut differing = Vec::new();
    for name in passed {
        if let Some(difference) = output::difference(direct, guarded, name)? {
            differing.push(format!("{name}: {difference}"));
        }
    }
    let same = passed.len() - differing.len();
    let seen = format!("{same} of {} that pass direct are identical", passed.len());
    println!("  {seen}");
    if !differing.is_empty() {
        let kept = suite.keep()?;
        println!("  outputs are kept in {}", kept.display());
    }
    checks.see(
        "every test that passes direct has the same output",
        differing.is_empty(),
        &format!("{seen}\n{}", differing.join("\n")),
    );
    Ok(())
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
    fn guarded(&self) -> Result<Caller> {
        Ok(Caller::inside(self.user.clone(), self.cgroup.clone()))
    }

    /// Runs the whole schedule. Paths show in outputs, so that every run has the same ones.
    fn run(&self, how: &str, caller: &Caller, port: u16) -> Result<Output> {
        let out = self.folder.join("out");
        fs::create_dir(&out).with_context(|| format!("mkdir {}", out.display()))?;
        self.own(&out)?;
        let begun = std::time::Instant::now();
        let folder = self.folder.display();
        let arguments = [
            format!("--inputdir={folder}"),
            format!("--outputdir={}", out.display()),
            format!("--bindir={}", crate::stage::bin()?.display()),
            format!("--dlpath={folder}"),
            "--host=127.0.0.1".to_owned(),
            format!("--port={port}"),
            "--user=postgres".to_owned(),
            "--dbname=regression".to_owned(),
            "--max-concurrent-tests=20".to_owned(),
            format!("--schedule={folder}/parallel_schedule"),
        ];
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let said = caller.run(&sources::runner()?.display().to_string(), &arguments, "")?;
        let kept = self.folder.join(format!("out-{}", how.replace(' ', "-")));
        fs::rename(&out, &kept).with_context(|| format!("rename {}", out.display()))?;
        let output = Output::new(kept, said.all());
        println!(
            "  {how}: {} tests pass in {} s",
            output.passed().len(),
            begun.elapsed().as_secs()
        );
        Ok(output)
    }

    /// Copies both runs' outputs to target/, since the stage's folder will be gone.
    fn keep(&self) -> Result<PathBuf> {
        let kept = crate::step::root().join("target/regress-outputs");
        let _ = fs::remove_dir_all(&kept);
        fs::create_dir(&kept).with_context(|| format!("mkdir {}", kept.display()))?;
        for run in ["out-direct", "out-through-Weir"] {
            let mut copy = std::process::Command::new("cp");
            copy.arg("-r").arg(self.folder.join(run)).arg(&kept);
            crate::step::output("cp", &mut copy)?;
        }
        Ok(kept)
    }
}
