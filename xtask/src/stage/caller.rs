//! Commands as some user runs them, inside the guarded cgroup or outside of it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::interrupt;
use super::user::User;

/// What a command said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
    /// It ended with status 0.
    pub ok: bool,
}

impl Said {
    /// Everything that reached the client, by either way.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    fn of(output: &Output) -> Self {
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            ok: output.status.success(),
        }
    }
}

/// Somebody who runs commands.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    user: User,
    cgroup: Option<PathBuf>,
    variables: Vec<(String, String)>,
}

impl Caller {
    /// A user in the cgroup of whoever started us: not guarded.
    pub(crate) const fn outside(user: User) -> Self {
        Self {
            user,
            cgroup: None,
            variables: Vec::new(),
        }
    }

    /// A user in this cgroup.
    pub(crate) const fn inside(user: User, cgroup: PathBuf) -> Self {
        Self {
            user,
            cgroup: Some(cgroup),
            variables: Vec::new(),
        }
    }

    /// With one more variable in the environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A command of this caller's. It enters the cgroup before anything else, since a socket
    /// belongs to the cgroup in which it was made.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = match &self.cgroup {
            Some(cgroup) => {
                let mut command = Command::new("sh");
                command
                    .args(["-c", r#"echo 0 > "$0" && exec "$@""#])
                    .arg(cgroup.join("cgroup.procs"))
                    .arg("setpriv");
                command
            }
            None => Command::new("setpriv"),
        };
        let (uid, gid) = (self.user.uid, self.user.gid);
        command.args([
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            "--clear-groups".to_owned(),
            "--".to_owned(),
        ]);
        command.arg(program).current_dir("/").env_clear();
        command
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("LANG", "C.UTF-8");
        command
            .env("HOME", "/nonexistent")
            .env("USER", &self.user.name)
            .envs(self.variables.iter().map(|(n, v)| (n, v)));
        command
    }

    /// Runs a command to its end, with `input` as its standard input.
    pub(crate) fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<Said> {
        Running::start(self.command(program).args(arguments), input)?.finish()
    }
}

/// A command that runs beside us.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts it, gives it its input, and does not wait.
    pub(crate) fn start(command: &mut Command, input: &str) -> Result<Self> {
        interrupt::pass();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input closes it: its output tells why.
            let _ = stdin.write_all(input.as_bytes());
        }
        Ok(Self { child })
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Result<Said> {
        Ok(Said::of(&self.child.wait_with_output().context("wait")?))
    }
}

/// Asks again and again until there is an answer.
///
/// # Errors
/// There is none within the time.
pub(crate) fn until<T>(
    what: &str,
    within: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask()? {
            return Ok(found);
        }
        if begun.elapsed() > within {
            bail!("{what}: not within {} s", within.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
