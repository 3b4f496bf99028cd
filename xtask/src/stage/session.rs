//! A psql that stays open, and is asked one statement after the other.

use std::io::{BufRead, BufReader, PipeReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Caller, Stage, psql};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// An open session.
pub(crate) struct Session {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    asked: u32,
}

impl Session {
    /// Opens one.
    pub(crate) fn open(stage: &Stage, caller: &Caller) -> Result<Self> {
        let (reader, writer) = std::io::pipe().context("pipe")?;
        let mut command = caller.command(&psql()?);
        command
            .args(stage.postgres.arguments())
            .stdin(Stdio::piped())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let mut child = command.spawn().context("start psql")?;
        // The command holds the pipe's other end: without it, the end of psql is the end of the pipe.
        drop(command);
        let stdin = child.stdin.take().context("psql has no input")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || read(reader, &sender));
        Ok(Self {
            child,
            stdin,
            lines,
            asked: 0,
        })
    }

    /// Asks, and returns all that is said until the next prompt.
    ///
    /// # Errors
    /// psql ended, or says nothing for too long.
    pub(crate) fn ask(&mut self, text: &str) -> Result<String> {
        self.asked += 1;
        let mark = format!("-- {} --", self.asked);
        writeln!(self.stdin, "{text};\n\\echo {mark}").context("psql takes no more input")?;
        let mut said = String::new();
        loop {
            let line = self
                .lines
                .recv_timeout(ANSWER_MAX)
                .with_context(|| format!("psql says no more after {said:?}"))?;
            if line == mark {
                return Ok(said);
            }
            said = said + &line + "\n";
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(reader: PipeReader, sender: &std::sync::mpsc::Sender<String>) {
    for line in BufReader::new(reader).lines() {
        let Ok(line) = line else { return };
        if sender.send(line).is_err() {
            return;
        }
    }
}
