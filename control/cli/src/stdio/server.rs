//! The process that is the server.

use std::ffi::OsString;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use super::back::{Back, ToServer};
use super::limits::SERVER_LINE_BYTES_MAX;
use super::lines::{Line, Splitter};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    pid: u32,
}

impl Server {
    /// Starts a command. Its standard error is ours; `hidden` is taken out of its environment.
    pub(crate) fn start(
        command: &[OsString],
        hidden: &str,
    ) -> Result<(Self, ChildStdin, ChildStdout)> {
        let (program, arguments) = command.split_first().context("no command")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_remove(hidden)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        die_with_us(&mut command);
        let mut child = command
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let stdin = child.stdin.take().context("no pipe to the server")?;
        let stdout = child.stdout.take().context("no pipe from the server")?;
        let pid = child.id().context("the server has no process id")?;
        Ok((Self { child, pid }, stdin, stdout))
    }

    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().await.context("wait for the server")
    }

    /// Sends it a signal; one that has ended needs none.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// The server would outlive a `weir` that was killed, and its client would not know.
#[expect(
    unsafe_code,
    reason = "there is no safe way to run anything between fork and exec"
)]
fn die_with_us(command: &mut Command) {
    let die =
        || rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into);
    // SAFETY: the closure makes one system call and allocates nothing, as is required between
    // fork and exec.
    unsafe { command.pre_exec(die) };
}

/// The exit code that a shell would tell.
pub(crate) fn code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Writes to the server until there is no more to write, or it reads no more.
pub(crate) async fn write(mut to: ChildStdin, mut messages: mpsc::Receiver<ToServer>) {
    while let Some(ToServer::Line(mut line)) = messages.recv().await {
        line.push(b'\n');
        if to.write_all(&line).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

/// Reads from the server until it writes no more.
pub(crate) async fn read(mut from: ChildStdout, back: Arc<Back>) {
    let mut splitter = Splitter::new(SERVER_LINE_BYTES_MAX);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut chunk).await.unwrap_or(0);
        let input = chunk.get(..read).unwrap_or_default();
        let mut lines = splitter.feed(input);
        if input.is_empty() {
            lines.extend(splitter.finish());
        }
        for line in lines {
            let wrong = match line {
                Line::Whole(line) => back.take(&line).await.err(),
                // Whoever waits for this answer would wait forever.
                Line::TooLong(_) => {
                    eprintln!("weir: a line of the server is longer than Weir can judge");
                    back.gone();
                    return;
                }
            };
            if let Some(wrong) = wrong {
                eprintln!("weir: dropped of the server's output: {wrong}");
            }
        }
        if input.is_empty() {
            back.gone();
            return;
        }
    }
}
