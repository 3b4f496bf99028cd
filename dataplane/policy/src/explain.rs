//! Verdicts in words, for people at a terminal.

use std::fmt;

use weir_facts::{Access, Action, ConnectionName, PolicyId, Principal, Resource, Reveal, Verdict};

use crate::bundle::Effect;
use crate::{JudgeContext, PolicyInfo, Reads, Snapshot};

/// Why one operation has the verdict that it has. `Display` is meant for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The verdict on the operation as a whole, in a sentence.
    pub verdict: String,
    /// One part per access, in order.
    pub parts: Vec<Part>,
}

/// Why one access has its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What is asked: `pg.select on demo-pg/public/customers`.
    pub question: String,
    /// The answer in a sentence.
    pub answer: String,
    /// The policies that decided, with what they are; an id without a policy is a setting.
    pub policies: Vec<(PolicyId, Option<PolicyInfo>)>,
    /// What else the answer hangs on, in words; empty if on nothing.
    pub hangs_on: Vec<&'static str>,
}

impl Snapshot {
    /// Judges as [`Snapshot::judge`] does and says why, access by access; for `pg.reveal` and
    /// `mcp.reveal` what may be shown.
    #[must_use]
    pub fn explain(
        &self,
        who: &Principal,
        on: &ConnectionName,
        accesses: &[Access],
        cx: &JudgeContext<'_>,
    ) -> Explanation {
        let parts = accesses
            .iter()
            .map(|access| self.part(who, on, access, cx))
            .collect();
        let judged: Vec<Access> = accesses
            .iter()
            .filter(|access| !is_reveal(access.action))
            .cloned()
            .collect();
        let verdict = if judged.is_empty() && !accesses.is_empty() {
            "decided value by value".to_owned()
        } else {
            verdict_told(&self.judge(who, on, &judged, cx).verdict)
        };
        Explanation { verdict, parts }
    }

    fn part(
        &self,
        who: &Principal,
        on: &ConnectionName,
        access: &Access,
        cx: &JudgeContext<'_>,
    ) -> Part {
        let (answer, ids) = match &access.resource {
            Resource::Column(column) if access.action == Action::PgReveal => {
                told(self.reveal(who, on, column, cx))
            }
            Resource::DataClass(class) if access.action == Action::McpReveal => {
                told(self.reveal_class(who, on, class, "", cx))
            }
            Resource::DataClass(class) if access.action == Action::PgReveal => {
                told(self.reveal_detected(who, on, class, cx))
            }
            _ => {
                let judgement = self.judge(who, on, std::slice::from_ref(access), cx);
                (verdict_told(&judgement.verdict), judgement.policies)
            }
        };
        let policies = ids
            .into_iter()
            .map(|id| (id.clone(), self.bundle().policy(&id).cloned()))
            .collect();
        let question = format!("{} on {}", access.action, access.resource_id(on));
        Part {
            question,
            answer,
            policies,
            hangs_on: hangs_on(self.reads(on, access.action)),
        }
    }
}

fn is_reveal(action: Action) -> bool {
    matches!(action, Action::PgReveal | Action::McpReveal)
}

fn told(reveal: Reveal) -> (String, Vec<PolicyId>) {
    match reveal {
        Reveal::Clear => ("shown as it is".to_owned(), Vec::new()),
        Reveal::Mask(rule, by) => (format!("masked by {rule}"), vec![by]),
        Reveal::Deny(denial) => (format!("not shown: {}", denial.inside), denial.policies),
    }
}

fn verdict_told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Allow => "allowed".to_owned(),
        Verdict::Hold(terms) => {
            let groups: Vec<&str> = terms.approvers.iter().map(|group| &*group.0).collect();
            format!(
                "held until {} of each of {} approve within {} s: {}",
                terms.quorum,
                groups.join(", "),
                terms.expires_s,
                terms.reason
            )
        }
        Verdict::Deny(denial) => format!("denied: {} ({})", denial.outside, denial.inside),
    }
}

fn hangs_on(reads: Reads) -> Vec<&'static str> {
    [
        (Reads::CLOCK, "the time"),
        (Reads::SOURCE_IP, "the source address"),
        (Reads::APPROVALS, "approvals"),
        (Reads::SCOPES, "the token's scopes"),
        (Reads::WORKLOAD, "the workload"),
        (Reads::AGENT, "the agent"),
        (Reads::IN_TRANSACTION, "whether a transaction is open"),
        (Reads::HAS_WHERE, "whether there is a WHERE clause"),
        (Reads::ARGUMENTS, "the arguments"),
        (Reads::DATABASE, "the database"),
        (Reads::ROLE, "the role"),
    ]
    .into_iter()
    .filter(|(read, _)| reads.any(*read))
    .map(|(_, words)| words)
    .collect()
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        self.parts.iter().try_for_each(|part| write!(f, "{part}"))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}: {}", self.question, self.answer)?;
        for (id, info) in &self.policies {
            match info {
                Some(info) => writeln!(
                    f,
                    "    {} {} ({}:{})",
                    word(&info.effect),
                    id.0,
                    info.file,
                    info.line
                )?,
                None => writeln!(f, "    by the setting {}", id.0)?,
            }
        }
        if !self.hangs_on.is_empty() {
            writeln!(f, "    hangs on {}", self.hangs_on.join(", "))?;
        }
        Ok(())
    }
}

fn word(effect: &Effect) -> &'static str {
    match effect {
        Effect::Permit => "permitted by",
        Effect::Forbid => "forbidden by",
        Effect::Approve(_) => "held by",
        Effect::StepUp(_) => "forbidden without a scope by",
        Effect::Mask(_) => "masked by",
    }
}
