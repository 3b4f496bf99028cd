//! A text of SQL as it was analysed and judged for one scope: who asks, in which database,
//! under which catalogue and policy.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use weir_facts::{
    Access, Action, ColumnName, ConnectionName, Denial, Digest, Group, HoldTerms, Now, Principal,
    Resource, Reveal, Verdict,
};
use weir_mask::Net;
use weir_mask::detect::Class;
use weir_policy::{JudgeContext, Judgement, Reads};
use weir_postgres::startup::PINNED;
use weir_sql::{
    Catalog, CopyDirection, Limits, OutputColumn, Refusal, Sensitive, SessionFacts, Statement,
    StatementKind, Unlabelled, Vouched,
};

use super::cache::{ScopeId, Verdicts};
use super::client::sha256;
use crate::world::World;

/// What judging hangs on, beside the text.
pub(crate) struct Question<'a> {
    pub(crate) world: &'a World,
    pub(crate) connection: &'a ConnectionName,
    pub(crate) principal: &'a Principal,
    pub(crate) source: IpAddr,
    pub(crate) database: &'a str,
    pub(crate) role: &'a str,
    pub(crate) catalog: &'a Catalog,
    pub(crate) sensitive: &'a Sensitive,
    pub(crate) scope: ScopeId,
    pub(crate) verdicts: &'a Verdicts,
    pub(crate) now: Now,
    pub(crate) in_transaction: bool,
    pub(crate) uncommitted_ddl: bool,
    /// Unlabelled columns are searched for values.
    pub(crate) searches: bool,
}

/// An analysed and judged text. What a session does with it hangs on [`Plan::judgement`].
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Where it was judged.
    pub(crate) scope: ScopeId,
    /// The text itself, to be judged again when the world has changed.
    pub(crate) text: Arc<str>,
    /// Its statements, in order.
    pub(crate) steps: Vec<Statement>,
    /// What policy says of all of them together.
    pub(crate) judgement: Judgement,
    /// Everything asked, as policy saw it.
    pub(crate) accesses: Vec<Access>,
    /// The same for records: action and resource id.
    pub(crate) access_ids: Vec<(Action, String)>,
    /// It may compare masked columns with values, or run what does.
    pub(crate) may_match: bool,
    /// Column and mask rule, for records.
    pub(crate) masked: Vec<(String, String)>,
    /// The text with constants replaced, for records.
    pub(crate) summary: String,
    /// What it leaves behind in the session is not known, or changes how texts are read.
    pub(crate) blinds: bool,
    /// What stands for the text where operations are named.
    pub(crate) text_digest: Digest,
    /// Digest of the Query that sends the text, once one has.
    query_digest: OnceLock<Digest>,
}

impl Plan {
    /// Analyses and judges a text.
    ///
    /// # Errors
    /// [`Refusal`] where the text was not understood; nothing of it may be sent.
    pub(crate) fn make(text: &str, question: &Question<'_>) -> Result<Self, Refusal> {
        let session = SessionFacts {
            uncommitted_ddl: question.uncommitted_ddl,
        };
        let steps = weir_sql::analyse(
            text,
            question.catalog,
            question.sensitive,
            &session,
            &Limits::STANDARD,
        )?;
        Ok(Self::of(text, steps, question))
    }

    /// Judges a text that was not read, as `pg.unknown` and whatever is known of it beside.
    pub(crate) fn unread(text: &str, also: &[Access], question: &Question<'_>) -> Self {
        let step = Statement::unread(text, also.iter().cloned(), &Limits::STANDARD);
        Self::of(text, vec![step], question)
    }

    fn of(text: &str, steps: Vec<Statement>, question: &Question<'_>) -> Self {
        let summary = summary(steps.iter().map(|statement| statement.normalised.as_str()));
        let mut accesses: Vec<_> = steps
            .iter()
            .flat_map(|step| step.accesses.iter().cloned())
            .collect();
        accesses.sort();
        accesses.dedup();
        let access_ids = accesses
            .iter()
            .map(|access| (access.action, access.resource_id(question.connection)))
            .collect();
        let judgement = judge(&steps, question, &[]);
        let blinds = steps.iter().any(|step| step.kind == StatementKind::Unread)
            || accesses.iter().any(unpins);
        Self {
            scope: question.scope,
            text: text.into(),
            masked: masked(&steps, question.catalog),
            may_match: steps.iter().any(may_match),
            steps,
            judgement,
            accesses,
            access_ids,
            summary,
            blinds,
            text_digest: sha256(&[text.as_bytes()]),
            query_digest: OnceLock::new(),
        }
    }

    /// Digest of the Query that sends this text: its frame has nothing else in it.
    pub(crate) fn query_digest(&self, frame: &[u8]) -> Digest {
        *self.query_digest.get_or_init(|| sha256(&[frame]))
    }

    /// Judges it again, with approvals that people have given.
    pub(crate) fn judge_approved(&self, question: &Question<'_>, approvals: &[Group]) -> Judgement {
        judge(&self.steps, question, approvals)
    }

    /// Whether it only reads, so that its record needs no disk before it runs.
    pub(crate) fn is_plain_read(&self) -> bool {
        self.steps.iter().all(|step| {
            step.is_plain_read
                || matches!(
                    step.kind,
                    StatementKind::Begin
                        | StatementKind::Commit
                        | StatementKind::Rollback
                        | StatementKind::Show { .. }
                )
        })
    }

    /// Whether any of its statements touches relations with sensitive columns.
    pub(crate) fn is_sensitive(&self) -> bool {
        self.steps.iter().any(|step| step.sensitive)
    }

    /// The word for records.
    pub(crate) fn verdict_word(&self) -> &'static str {
        match self.judgement.verdict {
            Verdict::Allow if self.masked.is_empty() => "allow",
            Verdict::Allow => "mask",
            Verdict::Hold(_) => "hold",
            Verdict::Deny(_) => "deny",
        }
    }
}

/// The labelled columns, with what of each a principal may see.
pub(crate) fn labelled(
    world: &World,
    connection: &ConnectionName,
    principal: &Principal,
    context: &JudgeContext<'_>,
) -> Vec<(ColumnName, Reveal)> {
    let snapshot = &world.snapshot;
    let reveal = |column| snapshot.reveal(principal, connection, column, context);
    snapshot
        .labels(connection)
        .map(|(column, _)| (column.clone(), reveal(column)))
        .collect()
}

/// The columns that are not clear to a principal, closed over the catalogue.
pub(crate) fn sensitive(
    world: &World,
    connection: &ConnectionName,
    labelled: Vec<(ColumnName, Reveal)>,
    catalog: &Catalog,
) -> Sensitive {
    let unlabelled = match world.snapshot.unlabelled(connection) {
        weir_policy::Unlabelled::Clear => Unlabelled::Clear,
        weir_policy::Unlabelled::Mask(rule) => Unlabelled::Hidden(Reveal::Mask(
            rule,
            weir_facts::PolicyId("masks.toml:unlabelled".into()),
        )),
    };
    let vouched: Vec<Vouched> = world
        .snapshot
        .harmless(connection)
        .iter()
        .map(|function| Vouched {
            name: function.name.clone(),
            arguments: function.arguments.clone(),
        })
        .collect();
    Sensitive::close(catalog, labelled, &unlabelled).vouching(catalog, &vouched)
}

/// What columns without a label are searched for, and what becomes of it.
pub(crate) fn net(
    world: &World,
    connection: &ConnectionName,
    principal: &Principal,
    context: &JudgeContext<'_>,
) -> Option<Net> {
    let snapshot = &world.snapshot;
    let classes = snapshot
        .detectors(connection)
        .iter()
        .filter_map(|class| Class::parse(class));
    let rules = classes.filter_map(|class| {
        match snapshot.reveal_detected(principal, connection, class.as_str(), context) {
            Reveal::Clear => None,
            Reveal::Mask(rule, _) => Some((class, Some(rule))),
            Reveal::Deny(_) => Some((class, None)),
        }
    });
    let net = Net::new(rules);
    (!net.is_empty()).then_some(net)
}

fn judge(steps: &[Statement], question: &Question<'_>, approvals: &[Group]) -> Judgement {
    let one = |step: &Statement| {
        let refused = shape(step, question.sensitive);
        if let Some(denial) = refused.or_else(|| copied(step, question.searches)) {
            return Judgement::refused(denial);
        }
        let context = JudgeContext {
            now: question.now,
            clock: question.world.clock,
            source: question.source,
            approvals,
            scopes: &[],
            in_transaction: question.in_transaction,
            has_where: step.has_where,
            database: question.database,
            role: question.role,
            arguments: None,
        };
        // What touches nothing needs no more than being here.
        let here = [Access {
            action: Action::PgConnect,
            resource: Resource::Connection,
        }];
        let accesses = if step.accesses.is_empty() {
            &here[..]
        } else {
            &step.accesses
        };
        let ask = || {
            let Question {
                world,
                principal,
                connection,
                ..
            } = question;
            world.judge(principal, connection, accesses, &context)
        };
        if approvals.is_empty() {
            question
                .verdicts
                .of(question.scope, step.has_where, accesses, ask)
        } else {
            ask()
        }
    };
    Judgement::all(steps.iter().map(one))
}

/// What Weir refuses whatever policy says, because it could not keep its promise for it.
fn shape(step: &Statement, sensitive: &Sensitive) -> Option<Denial> {
    let columns = step.columns.iter().flatten();
    if let Some(denial) = columns.into_iter().find_map(|column| match &column.reveal {
        Reveal::Deny(denial) => Some(denial.clone()),
        Reveal::Clear | Reveal::Mask(..) => None,
    }) {
        return Some(denial);
    }
    // What EXECUTE names is looked up when it runs; inside EXPLAIN nobody would look. Without
    // ANALYZE nothing of it runs.
    if let StatementKind::Explain {
        analyze: true,
        inner,
    } = &step.kind
        && !sensitive.is_empty()
        && matches!(inner.kind, StatementKind::Execute { .. })
    {
        return Some(Denial {
            outside: "EXPLAIN ANALYZE EXECUTE is refused; EXPLAIN ANALYZE the statement itself"
                .into(),
            advice: None,
            inside: "EXPLAIN ANALYZE EXECUTE".into(),
            policies: Vec::new(),
            scopes: Vec::new(),
        });
    }
    // Its errors and notices are judged by what was prepared, which knows nothing of these.
    if step.sensitive && matches!(step.kind, StatementKind::Execute { .. }) {
        return Some(Denial {
            outside: "EXECUTE with arguments that call unknown functions is refused; pass values"
                .into(),
            advice: None,
            inside: "EXECUTE whose arguments may read sensitive columns".into(),
            policies: Vec::new(),
            scopes: Vec::new(),
        });
    }
    None
}

/// COPY answers without a description: what is masked in it must have been predicted whole.
fn copied(step: &Statement, searches: bool) -> Option<Denial> {
    let StatementKind::Copy {
        direction: CopyDirection::ToClient,
        form,
    } = &step.kind
    else {
        return None;
    };
    let outside = match (&step.columns, form) {
        (None, _) if step.sensitive => {
            "COPY of a relation with masked columns is refused in this form; COPY the table, or a SELECT of its columns"
        }
        (columns, None) if searches || columns.iter().flatten().any(is_masked) => {
            "COPY of masked columns, and where columns are searched for values, is refused with these options: ENCODING is UTF8, DELIMITER, QUOTE and ESCAPE are single characters, and NULL in text format is '\\N' or ''"
        }
        (Some(_) | None, _) => return None,
    };
    Some(Denial {
        outside: outside.into(),
        advice: None,
        inside: "COPY TO whose rows could not be read back".into(),
        policies: Vec::new(),
        scopes: Vec::new(),
    })
}

fn is_masked(column: &OutputColumn) -> bool {
    column.reveal != Reveal::Clear
}

/// Whether it can change a parameter that decides how texts and results are read.
fn unpins(access: &Access) -> bool {
    match (access.action, &access.resource) {
        (Action::PgSet, Resource::Parameter(name)) => PINNED
            .iter()
            .any(|(pinned, _)| name.eq_ignore_ascii_case(pinned)),
        _ => false,
    }
}

fn may_match(step: &Statement) -> bool {
    let runs_another = matches!(
        step.kind,
        StatementKind::Execute { .. } | StatementKind::Fetch { .. } | StatementKind::Explain { .. }
    );
    step.matches > 0 || runs_another
}

fn summary<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.collect::<Vec<_>>().join("; ")
}

fn masked(steps: &[Statement], catalog: &Catalog) -> Vec<(String, String)> {
    let columns = steps.iter().flat_map(|step| step.columns.iter().flatten());
    let mut masked: Vec<_> = columns
        .filter_map(|column| match &column.reveal {
            Reveal::Mask(rule, _) => {
                let origin = column
                    .origins
                    .first()
                    .and_then(|id| catalog.column_name(*id));
                Some((
                    origin.map_or_else(|| column.name.to_string(), |name| name.to_string()),
                    rule.to_string(),
                ))
            }
            Reveal::Clear | Reveal::Deny(_) => None,
        })
        .collect();
    masked.sort();
    masked.dedup();
    masked
}

/// Whether a judgement may be kept and used again for the same text.
pub(crate) fn is_cacheable(judgement: &Judgement) -> bool {
    judgement.cacheable && !judgement.reads.any(Reads::CLOCK)
}

/// What an approval needs, if the verdict is to hold.
pub(crate) const fn hold_terms(judgement: &Judgement) -> Option<&HoldTerms> {
    match &judgement.verdict {
        Verdict::Hold(terms) => Some(terms),
        Verdict::Allow | Verdict::Deny(_) => None,
    }
}
