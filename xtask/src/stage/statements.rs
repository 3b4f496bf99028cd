//! The server's own account of what it ran: its log with `log_statement=all`.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Each line begins with time, process, application_name, role and database.
pub(crate) const PREFIX: &str = "log_line_prefix=%m|%p|%a|%u|%d| ";

/// A log.
#[derive(Clone, Debug)]
pub(crate) struct StatementLog {
    path: PathBuf,
}

/// One line of interest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The backend.
    pub process: u32,
    /// What the session called itself.
    pub application: String,
    /// What it is about.
    pub event: Event,
}

/// What the server did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It let somebody in: as this application.
    Authorized(String),
    /// It began to run this statement.
    Statement(String),
}

impl StatementLog {
    /// The log in this file.
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Everything so far, in order.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>> {
        let bytes =
            std::fs::read(&self.path).with_context(|| format!("read {}", self.path.display()))?;
        Ok(String::from_utf8_lossy(&bytes)
            .lines()
            .filter_map(parse)
            .collect())
    }

    /// Statements, each with the application that sent it.
    pub(crate) fn statements(&self) -> Result<Vec<(String, String)>> {
        let statement = |entry: Entry| match entry.event {
            Event::Statement(text) => Some((entry.application, text)),
            Event::Authorized(_) => None,
        };
        Ok(self.entries()?.into_iter().filter_map(statement).collect())
    }

    /// Who was let in, by application.
    pub(crate) fn applications(&self) -> Result<Vec<String>> {
        let application = |entry: Entry| match entry.event {
            Event::Authorized(application) => Some(application),
            Event::Statement(_) => None,
        };
        Ok(self
            .entries()?
            .into_iter()
            .filter_map(application)
            .collect())
    }
}

/// A line, unless it goes on with another one or tells of something else.
fn parse(line: &str) -> Option<Entry> {
    let mut fields = line.splitn(6, '|');
    let begins_with_a_year = fields.next()?.starts_with("20");
    let process = fields.next()?.parse().ok()?;
    let application = fields.next()?.to_owned();
    let message = fields.nth(2)?.trim_start().strip_prefix("LOG:  ")?;
    let event = if let Some(text) = message.strip_prefix("statement: ") {
        Event::Statement(text.to_owned())
    } else if let Some(text) = message.strip_prefix("execute ") {
        Event::Statement(text.split_once(": ")?.1.to_owned())
    } else {
        let rest = message.strip_prefix("connection authorized: ")?;
        let name = rest
            .split_once("application_name=")
            .map_or("", |(_, name)| name);
        Event::Authorized(
            name.split(" SSL enabled")
                .next()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    begins_with_a_year.then_some(Entry {
        process,
        application,
        event,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_and_logins_are_read() {
        let told = |line: String| parse(&line).map(|entry| (entry.application, entry.event));
        let at = "2026-01-02 03:04:05.678 UTC|17|";
        assert_eq!(
            told(format!(
                "{at}weir:alice/psql|app|shop| LOG:  statement: SELECT 'a|b'"
            )),
            Some((
                "weir:alice/psql".to_owned(),
                Event::Statement("SELECT 'a|b'".to_owned())
            ))
        );
        assert_eq!(
            told(format!(
                "{at}x|app|shop| LOG:  execute <unnamed>: SELECT $1"
            )),
            Some(("x".to_owned(), Event::Statement("SELECT $1".to_owned())))
        );
        let login = "[unknown]|app|shop| LOG:  connection authorized: user=app database=shop application_name=weir:a/b c";
        assert_eq!(
            told(format!("{at}{login}")),
            Some((
                "[unknown]".to_owned(),
                Event::Authorized("weir:a/b c".to_owned())
            ))
        );
    }

    #[test]
    fn other_lines_are_not() {
        for line in [
            "",
            "\tFROM a|1|x|y|z| LOG:  statement: no",
            "2026-01-02|17|a|b|c| ERROR:  statement: no",
            "2026|x|||| LOG:  statement: no",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
