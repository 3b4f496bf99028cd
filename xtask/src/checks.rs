//! Named checks: what was looked at, whether it held, and what was seen.

use std::fmt::Write as _;
use std::io::IsTerminal;

use anyhow::Result;

/// Where the second column begins.
const NAME_WIDTH: usize = 58;

/// Characters of what was seen.
const SEEN_WIDTH: usize = 100;

/// Checks so far.
pub(crate) struct Checks {
    passed: u32,
    failed: Vec<String>,
    is_colored: bool,
}

impl Checks {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            passed: 0,
            failed: Vec::new(),
            is_colored: std::io::stdout().is_terminal(),
        }
    }

    /// Begins a group. An error in it is a failed check of its own, and the next group goes on.
    pub(crate) fn scene(&mut self, title: &str, play: impl FnOnce(&mut Self) -> Result<()>) {
        println!("\n{title}");
        if let Err(error) = play(self) {
            self.see("this part runs to its end", false, &format!("{error:#}"));
        }
    }

    /// Notes whether something holds, with what was seen.
    pub(crate) fn see(&mut self, name: &str, holds: bool, seen: &str) {
        let mark = match (holds, self.is_colored) {
            (true, false) => "✓",
            (true, true) => "\u{1b}[32m✓\u{1b}[0m",
            (false, false) => "✗",
            (false, true) => "\u{1b}[31m✗\u{1b}[0m",
        };
        let width = NAME_WIDTH.saturating_sub(name.chars().count());
        if holds {
            self.passed += 1;
            println!("  {mark} {name}{}  {}", " ".repeat(width), one_line(seen));
        } else {
            self.failed.push(name.to_owned());
            println!(
                "  {mark} {name}{}  NOT SEEN, but:\n{}",
                " ".repeat(width),
                indented(seen)
            );
        }
    }

    /// Whether all held so far.
    pub(crate) const fn all_passed(&self) -> bool {
        self.failed.is_empty()
    }

    /// The last line.
    pub(crate) fn summary(&self, what: &str) -> String {
        if self.failed.is_empty() {
            return format!("{what}: {} checks passed", self.passed);
        }
        let mut text = format!(
            "{what}: {} of {} checks FAILED",
            self.failed.len(),
            self.failed.len() + self.passed as usize
        );
        for name in &self.failed {
            // Writing to a String does not fail.
            let _ = write!(text, "\n  {name}");
        }
        text
    }
}

/// One line of at most [`SEEN_WIDTH`] characters.
fn one_line(text: &str) -> String {
    let mut line = text
        .trim()
        .lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ");
    if let Some((end, _)) = line.char_indices().nth(SEEN_WIDTH) {
        line.truncate(end);
        line.push('…');
    }
    line
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("      {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_fails_the_whole_and_is_named() {
        let mut checks = Checks::new();
        checks.see("a", true, "");
        assert_eq!(checks.summary("x"), "x: 1 checks passed");
        checks.scene("s", |_| anyhow::bail!("no"));
        assert!(!checks.all_passed());
        assert_eq!(
            checks.summary("x"),
            "x: 1 of 2 checks FAILED\n  this part runs to its end"
        );
    }

    #[test]
    fn what_was_seen_is_cut_between_characters() {
        assert_eq!(one_line("a\n b"), "a b");
        assert_eq!(
            one_line(&"é".repeat(SEEN_WIDTH + 1)).chars().count(),
            SEEN_WIDTH + 1
        );
    }
}
