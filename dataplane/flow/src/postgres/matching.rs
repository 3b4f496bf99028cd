//! Comparisons of masked columns with the client's own values, where policy allows them at a
//! rate: counted when they run, over all flows of the principal.

use std::sync::Arc;

use weir_facts::Verdict;
use weir_policy::{Judgement, Rate};
use weir_postgres::refuse::SqlState;
use weir_postgres::session::{self, Lookup, Name};
use weir_sql::{Statement, StatementKind};

use super::desk::{Desk, Judged, JudgedStatement};
use super::plan::Plan;
use super::refusal::Refusal;
use super::stop::{Stop, unknown};
use crate::io::Env;
use crate::meter::{Exceeded, Who};

/// Values that an operation compares masked columns with, and how many are allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matching {
    count: u32,
    rate: Rate,
}

impl Matching {
    fn and(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            rate: self.rate.and(other.rate),
        }
    }
}

impl Desk {
    /// What statements of one operation will compare; `judged` is how the text at hand was judged,
    /// which for what was approved is not how its plan says.
    pub(crate) fn matching(
        &mut self,
        env: &mut Env<'_>,
        statements: &[JudgedStatement],
        judged: (&Plan, &Judgement),
    ) -> Result<Option<Matching>, Stop> {
        if !judged.0.may_match {
            return Ok(None);
        }
        let mut all: Option<Matching> = None;
        for (index, statement) in statements.iter().enumerate() {
            let before = statements.get(..index).unwrap_or_default();
            let explained = explained_by_name(statement, judged.0);
            let runs = match self
                .session
                .resolve(before, explained.as_ref().unwrap_or(statement))
            {
                Lookup::Found(runs) => runs,
                Lookup::Wait => return Err(Stop::Wait),
                // The server says so, too.
                Lookup::Unknown if explained.is_some() => continue,
                Lookup::Unknown => return Err(unknown(&statement.effect)),
            };
            let found = self.matching_of(env, &runs, judged)?;
            if explained.is_some() && found.is_some() {
                return Err(estimates().into());
            }
            if let Some(found) = found {
                all = Some(all.map_or(found, |all| all.and(found)));
            }
        }
        Ok(all)
    }

    fn matching_of(
        &mut self,
        env: &mut Env<'_>,
        runs: &JudgedStatement,
        (plan, judgement): (&Plan, &Judgement),
    ) -> Result<Option<Matching>, Stop> {
        let own = runs.plan.plan();
        if Arc::ptr_eq(&own.text, &plan.text) {
            return of_statement(runs, plan, judgement);
        }
        let own = self.current(env, &runs.plan)?;
        of_statement(runs, &own, &own.judgement)
    }

    /// What a portal will compare. It does so once for each Bind, however often it is resumed.
    pub(crate) fn portal_matching(
        &mut self,
        env: &mut Env<'_>,
        portal: &Name,
        written: &JudgedStatement,
        plan: &Plan,
    ) -> Result<Option<Matching>, Stop> {
        if !plan.may_match {
            return Ok(None);
        }
        let is_spent = self.binds.get(portal.as_str()).is_some_and(|bound| {
            let spent = bound.spent.as_ref();
            spent.is_some_and(|spent| Arc::ptr_eq(spent, written))
        });
        if is_spent {
            return Ok(None);
        }
        let matching =
            self.matching(env, std::slice::from_ref(written), (plan, &plan.judgement))?;
        if matching.is_some()
            && let Some(bound) = self.binds.get_mut(portal.as_str())
        {
            bound.spent = Some(written.clone());
        }
        Ok(matching)
    }

    /// Counts what an operation compares; returns what the record says of it.
    ///
    /// # Errors
    /// A refusal that says when it may run, if that would be too many.
    pub(crate) fn spend(
        &self,
        env: &Env<'_>,
        matching: Option<&Matching>,
    ) -> Result<String, Refusal> {
        let Some(Matching { count, rate }) = matching.copied() else {
            return Ok(String::new());
        };
        let who = Who::new(&self.context.principal, &self.context.connection.name);
        match env.meters.spend(who, rate, count, env.now.mono_ns) {
            Ok(spent) => Ok(format!(
                "compares masked columns with {count} values; {spent} of {rate}"
            )),
            Err(exceeded) => Err(too_many(count, rate, exceeded)),
        }
    }
}

/// `EXPLAIN EXECUTE name`, as the EXECUTE that it does not run.
fn explained_by_name(statement: &JudgedStatement, plan: &Plan) -> Option<JudgedStatement> {
    let StatementKind::Explain { inner, .. } = &statement.plan.statement(plan)?.kind else {
        return None;
    };
    let StatementKind::Execute { name } = &inner.kind else {
        return None;
    };
    let name = Name::new(name).ok()?;
    Some(Arc::new(session::Statement {
        plan: Judged::new(&statement.plan.plan(), 0, 0),
        effect: session::Effect::Execute { name },
    }))
}

/// Estimates tell how common a value is, and are not counted.
fn estimates() -> Refusal {
    Refusal::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        "weir: what compares masked columns with values is not explained",
    )
    .hint("run the statement itself")
}

fn too_many(count: u32, rate: Rate, exceeded: Exceeded) -> Refusal {
    let hint = match exceeded {
        Exceeded::Until(ns) => format!("try again in {}", wait(ns)),
        Exceeded::Always => "compare with fewer values at once".to_owned(),
        Exceeded::Full => "too much is counted on this host; try again later".to_owned(),
    };
    let message = format!(
        "weir: masked columns may be compared with {rate}, and {count} more would be too many"
    );
    Refusal::new(SqlState::TOO_MANY, &message).hint(hint)
}

/// A time to wait, rounded up.
fn wait(ns: u64) -> String {
    let seconds = ns.div_ceil(1_000_000_000).max(1);
    if seconds < 120 {
        format!("{seconds} s")
    } else {
        format!("{} min", seconds.div_ceil(60))
    }
}

fn of_statement(
    runs: &JudgedStatement,
    plan: &Plan,
    judgement: &Judgement,
) -> Result<Option<Matching>, Stop> {
    let Some(facts) = runs.plan.statement(plan).filter(|facts| facts.matches > 0) else {
        return Ok(None);
    };
    // Without a rate, inferring is permitted, and with it every comparison.
    let Some(rate) = judgement.rate else {
        return Ok(None);
    };
    check_types(facts, runs.plan.types())?;
    Ok(Some(Matching {
        count: facts.matches,
        rate,
    }))
}

/// A Parse that gives parameters types that would convert the column is refused at once.
pub(crate) fn check_match_types(plan: &Plan, types: &[u32]) -> Result<(), Refusal> {
    let counts =
        plan.judgement.rate.is_some() || matches!(plan.judgement.verdict, Verdict::Hold(_));
    if !counts || types.is_empty() {
        return Ok(());
    }
    plan.steps
        .iter()
        .try_for_each(|facts| check_types(facts, types))
}

fn check_types(facts: &Statement, types: &[u32]) -> Result<(), Refusal> {
    for parameter in &facts.match_parameters {
        let at = usize::try_from(parameter.number).ok();
        let declared = at.and_then(|at| types.get(at.checked_sub(1)?));
        let fits = declared.is_none_or(|oid| parameter.family.admits(*oid));
        if !parameter.is_typed && !fits {
            let message = format!(
                "weir: parameter ${} is compared with a masked column, and is of a type that converts it",
                parameter.number
            );
            return Err(Refusal::new(SqlState::INSUFFICIENT_PRIVILEGE, &message)
                .hint("give the parameter the column's own type, or none"));
        }
    }
    Ok(())
}
