//! What a client is told when it may not, in PostgreSQL's words, and what the record says.

use std::fmt::Write;
use std::sync::Arc;

use weir_facts::{ApprovalId, Denial, PolicyId};
use weir_policy::Judgement;
use weir_postgres::refuse::{self, Severity, SqlState};

/// A refusal: the outside message, and the inside reason, which does not leave.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: SqlState,
    pub(crate) message: Arc<str>,
    pub(crate) hint: Option<String>,
    /// The character of the client's text that it is about, from 1.
    pub(crate) position: Option<usize>,
    pub(crate) inside: String,
    pub(crate) policies: Vec<PolicyId>,
}

impl Refusal {
    pub(crate) fn new(code: SqlState, message: &str) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            position: None,
            inside: message.to_owned(),
            policies: Vec::new(),
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn inside(mut self, inside: impl Into<String>) -> Self {
        self.inside = inside.into();
        self
    }

    /// Policy said no.
    pub(crate) fn denied(denial: &Denial, judgement: &Judgement) -> Self {
        let mut policies: Vec<_> = denial
            .policies
            .iter()
            .chain(&judgement.policies)
            .cloned()
            .collect();
        policies.sort();
        policies.dedup();
        let hint = match (&denial.advice, policies.is_empty()) {
            (Some(advice), true) => advice.to_string(),
            (Some(advice), false) => {
                format!("{advice} (refused by policy {})", names(&policies))
            }
            (None, true) => {
                "no policy permits this; ask whoever keeps the policies of this connection"
                    .to_owned()
            }
            (None, false) => format!("refused by policy {}", names(&policies)),
        };
        Self {
            code: SqlState::INSUFFICIENT_PRIVILEGE,
            message: format!("weir: {}", denial.outside).into(),
            hint: Some(hint),
            position: None,
            inside: denial.inside.to_string(),
            policies,
        }
    }

    /// People were asked and have not agreed, or not yet.
    pub(crate) fn unapproved(why: &str, approval: ApprovalId) -> Self {
        Self::new(SqlState::INSUFFICIENT_PRIVILEGE, &format!("weir: {why}"))
            .hint(format!("approval {approval}: run the same statement again once it is granted, outside a transaction"))
            .inside(format!("{why}; approval {approval}"))
    }

    /// The record could not be kept.
    pub(crate) fn unrecorded() -> Self {
        Self::new(
            SqlState::DISK_FULL,
            "weir: the operation could not be recorded and was not run",
        )
        .hint("the audit ledger takes no more records; its host's operator must make room")
    }

    /// The ErrorResponse.
    pub(crate) fn to_frame(&self, severity: Severity) -> Vec<u8> {
        let (message, hint) = (&*self.message, self.hint.as_deref());
        refuse::Refusal {
            severity,
            code: self.code,
            message,
            detail: None,
            hint,
            position: self.position,
        }
        .to_frame()
    }
}

impl Refusal {
    /// A text that cannot be judged. Where PostgreSQL would say where, so is said here.
    pub(crate) fn of_text(text: &str, refusal: weir_sql::Refusal) -> Self {
        use weir_sql::Refusal as R;
        let inside = refusal.to_string();
        let position = |at: Option<usize>| Some(text.get(..at?)?.chars().count() + 1);
        match refusal {
            R::Syntax { message, at } => Self {
                position: position(at),
                ..Self::new(SqlState::SYNTAX_ERROR, &message).inside(inside)
            },
            R::TooLong { .. } | R::TooDeep { .. } | R::TooMany { .. } => {
                Self::new(SqlState::LIMIT_EXCEEDED, &format!("weir: {inside}"))
            }
            // In the server's words: programs look for this code to know that a table is missing.
            R::UnknownRelation { name, at } => Self {
                position: position(at),
                ..Self::new(
                    SqlState::UNDEFINED_TABLE,
                    &format!("relation \"{name}\" does not exist"),
                )
                .hint("weir: if another session made it a moment ago, try again")
                .inside(inside)
            },
            _ => Self::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "weir: the statement was not understood and was not run",
            )
            .inside(inside),
        }
    }
}

fn names(policies: &[PolicyId]) -> String {
    policies
        .iter()
        .enumerate()
        .fold(String::new(), |mut text, (index, policy)| {
            let _ = write!(text, "{}{}", if index == 0 { "" } else { ", " }, policy.0);
            text
        })
}
