//! What clients can do. Each ability is shown by a line of the client's own story at the server,
//! told again through Weir; what only the server can know, by its own record.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::servers::Server;
use crate::stage::until;

/// A cancellation and a resumption go their own ways to the server: so late at the most.
const NOTED_MAX: Duration = Duration::from_secs(30);

/// One thing that a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ability {
    /// Lists what there is.
    List,
    /// Calls a tool.
    Call,
    /// Hears what the server says on the stream before the answer.
    Stream,
    /// Gives a call up, and the server is told.
    Cancel,
    /// Is told how far a call is.
    Progress,
    /// Asks its user for the server.
    Elicit,
    /// Comes back for an answer after its stream was dropped, with Last-Event-ID.
    Resume,
}

/// What a client cannot do, and why.
pub(super) type Lack = (Ability, &'static str);

impl Ability {
    /// All of them: the columns of the table.
    pub(super) const ALL: [Self; 7] = [
        Self::List,
        Self::Call,
        Self::Stream,
        Self::Cancel,
        Self::Progress,
        Self::Elicit,
        Self::Resume,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Call => "call",
            Self::Stream => "stream",
            Self::Cancel => "cancel",
            Self::Progress => "progress",
            Self::Elicit => "elicit",
            Self::Resume => "resume",
        }
    }

    /// The line of the direct story that shows it, and what stands there.
    const fn shown_by(self) -> (&'static str, &'static str) {
        match self {
            Self::List => ("resources", "customers://1"),
            Self::Call => ("add", "42"),
            Self::Stream => ("masked log", "log 3 of"),
            Self::Cancel => ("cancelled", "gave up"),
            // Every story gives that call up as soon as it hears of progress. What is told of
            // others says less: an SDK may forget what it heard right before the answer.
            Self::Progress => ("cancelled", "gave up"),
            Self::Elicit => ("elicitation", "accept blue"),
            Self::Resume => ("resumed", "Reconnection test completed"),
        }
    }

    /// What the server notes of it, where the client's word is not enough.
    const fn noted_as(self) -> Option<&'static str> {
        match self {
            Self::Cancel => Some("wait_long was cancelled"),
            Self::Elicit => Some("ask_back"),
            Self::Resume => Some("resumed"),
            Self::List | Self::Call | Self::Stream | Self::Progress => None,
        }
    }
}

/// A client's row of the table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// What its story shows.
    shown: Vec<Ability>,
    /// Everything that is wrong.
    pub wrong: Vec<String>,
}

impl Row {
    /// What a story shows, which is all that is not excused.
    pub(super) fn of(story: &str, lacks: &[Lack]) -> Self {
        let lines: BTreeMap<_, _> = story
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .collect();
        let mut row = Self::default();
        for ability in Ability::ALL {
            let (line, words) = ability.shown_by();
            let is_shown = lines.get(line).is_some_and(|seen| seen.contains(words));
            let is_excused = lacks.iter().any(|(lack, _)| *lack == ability);
            match (is_shown, is_excused) {
                (true, false) => row.shown.push(ability),
                (false, true) => {}
                (false, false) => row.wrong.push(format!("no {}", ability.name())),
                (true, true) => {
                    let wrong = format!("{} is said to be lacking, and is there", ability.name());
                    row.wrong.push(wrong);
                }
            }
        }
        row
    }

    /// Waits until the server has noted everything of this row that it can, beyond `before`.
    pub(super) fn await_notes(&mut self, server: &Server, before: usize) -> Result<()> {
        for ability in &self.shown {
            let Some(note) = ability.noted_as() else {
                continue;
            };
            let noted = until(ability.name(), NOTED_MAX, || {
                let notes = server.asked()?;
                let later = notes.get(before..).unwrap_or_default();
                Ok(later.iter().any(|call| call["tool"] == note).then_some(()))
            });
            if noted.is_err() {
                let wrong = format!("the server knows of no {}", ability.name());
                self.wrong.push(wrong);
            }
        }
        Ok(())
    }

    /// The row, as it is read.
    pub(super) fn told(&self, lacks: &[Lack]) -> String {
        let shown: Vec<_> = self.shown.iter().map(|ability| ability.name()).collect();
        let why = |(lack, why): &Lack| format!("; no {}: {why}", lack.name());
        shown.join(" ") + &lacks.iter().map(why).collect::<String>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORY: &str = "resources\t[\"customers://1\"]\nadd\t42\nmasked log\tlog 3 of x\n\
        cancelled\tgave up: true\nelicitation\taccept blue\n";

    const NO_RESUME: Lack = (Ability::Resume, "not in this revision");

    #[test]
    fn a_row_is_whole_or_excused() {
        let row = Row::of(STORY, &[NO_RESUME]);
        assert_eq!(row.wrong, Vec::<String>::new());
        assert_eq!(
            row.told(&[NO_RESUME]),
            "list call stream cancel progress elicit; no resume: not in this revision"
        );
    }

    #[test]
    fn what_is_missing_or_excused_in_vain_is_wrong() {
        assert_eq!(Row::of(STORY, &[]).wrong, ["no resume"]);
        let raised = STORY.replace("accept blue", "RAISED timeout");
        assert_eq!(Row::of(&raised, &[NO_RESUME]).wrong, ["no elicit"]);
        let resumes = format!("{STORY}resumed\tReconnection test completed\n");
        assert_eq!(Row::of(&resumes, &[NO_RESUME]).wrong.len(), 1);
        assert_eq!(Row::of("", &[]).wrong.len(), Ability::ALL.len());
    }
}
