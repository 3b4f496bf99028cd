//! Answers as tables for people or JSON for programs.

use std::io::{self, Write};

use anyhow::Context;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arguments::Format;

/// Where answers go.
#[derive(Clone, Copy)]
pub(crate) struct Output(pub(crate) Format);

impl Output {
    /// Prints a value: as JSON, or as a table with these heads and rows.
    pub(crate) fn table<T: Serialize, const N: usize>(
        self,
        value: &T,
        heads: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> anyhow::Result<()> {
        match self.0 {
            Format::Json => json(value),
            Format::Table => print(&aligned(heads, rows.into_iter().collect())),
        }
    }

    /// Prints a value: as JSON, or as this text.
    pub(crate) fn text<T: Serialize>(self, value: &T, text: &str) -> anyhow::Result<()> {
        match self.0 {
            Format::Json => json(value),
            Format::Table => print(text),
        }
    }

    /// Says that something was done; nothing in JSON, where the exit code says it.
    pub(crate) fn done(self, text: &str) -> anyhow::Result<()> {
        match self.0 {
            Format::Json => Ok(()),
            Format::Table => print(&format!("{text}\n")),
        }
    }
}

fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value).context("write JSON")? + "\n"))
}

/// Writes to standard output. A reader that has had enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("write to standard output"),
    }
}

/// Columns as wide as their widest cell, the last as it is.
fn aligned<const N: usize>(heads: [&str; N], rows: Vec<[String; N]>) -> String {
    if rows.is_empty() {
        return "none\n".to_owned();
    }
    let rows: Vec<[String; N]> = rows
        .into_iter()
        .map(|row| row.map(|cell| one_line(&cell)))
        .collect();
    let mut widths = heads.map(|head| head.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| {
                format!(
                    "{cell}{}",
                    " ".repeat(width.saturating_sub(cell.chars().count()))
                )
            })
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let body: String = rows
        .iter()
        .map(|row| line(row.each_ref().map(String::as_str)))
        .collect();
    line(heads) + &body
}

/// One line, without what a terminal would obey: statements and reasons come from others.
pub(crate) fn one_line(text: &str) -> String {
    let spaced = text.split_whitespace().collect::<Vec<_>>().join(" ");
    spaced
        .chars()
        .map(|c| {
            if c.is_control() || is_bidi(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Text with its lines, without what a terminal would obey.
pub(crate) fn lines(text: &str) -> String {
    text.chars()
        .map(|c| {
            if (c.is_control() && c != '\n' && c != '\t') || is_bidi(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Characters that change the order in which others are shown: an approver must read what runs.
const fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}')
}

/// Unix seconds as RFC 3339 in UTC.
pub(crate) fn when(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| seconds.to_string())
}

/// Microseconds since the epoch as RFC 3339 in UTC.
pub(crate) fn when_us(us: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(us) * 1000).ok();
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| us.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![
            ["a".to_owned(), "x".to_owned()],
            ["longer".to_owned(), String::new()],
        ];
        assert_eq!(
            aligned(["NAME", "WHAT"], rows),
            "NAME    WHAT\na       x\nlonger\n"
        );
    }

    #[test]
    fn a_cell_cannot_write_to_the_terminal() {
        assert_eq!(
            one_line("DROP\n TABLE \u{1b}[2Jx\u{202e}y"),
            "DROP TABLE \u{fffd}[2Jx\u{fffd}y"
        );
        assert_eq!(lines("a\n\u{1b}]0;x\u{7}b"), "a\n\u{fffd}]0;x\u{fffd}b");
    }

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(when(0), "1970-01-01T00:00:00Z");
        assert_eq!(when_us(1_500_000), "1970-01-01T00:00:01.5Z");
    }
}
