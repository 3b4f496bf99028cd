//! Text to statements.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pg_raw_parse::Node;
use pg_raw_parse::nodes::RawStmt;

use crate::normalise::normalise;
use crate::position;
use crate::walk::Walk;
use crate::{Catalog, Limits, Refusal, Sensitive, SessionFacts, Statement};

/// Splits `text` and turns each statement into facts. An empty text has no statements.
///
/// # Errors
/// A [`Refusal`] if any part of the text cannot be analysed; nothing of it may be sent on.
pub fn analyse(
    text: &str,
    catalog: &Catalog,
    sensitive: &Sensitive,
    session: &SessionFacts,
    limits: &Limits,
) -> Result<Vec<Statement>, Refusal> {
    if text.len() > limits.text_bytes_max {
        return Err(Refusal::TooLong {
            bytes: text.len(),
            bytes_max: limits.text_bytes_max,
        });
    }
    if text.contains('\0') {
        return Err(Refusal::Nul);
    }
    // The binding panics where a list holds another kind of node than its types say. That is
    // a refusal, not the end of a worker.
    catch_unwind(AssertUnwindSafe(|| {
        statements(text, catalog, sensitive, session, limits)
    }))
    .unwrap_or(Err(Refusal::Tree))
}

fn statements(
    text: &str,
    catalog: &Catalog,
    sensitive: &Sensitive,
    session: &SessionFacts,
    limits: &Limits,
) -> Result<Vec<Statement>, Refusal> {
    let tree = pg_raw_parse::parse(text).map_err(|error| syntax_error(text, &error))?;
    let list = tree.into_inner();
    if list.len() > limits.statements_max {
        return Err(Refusal::TooMany { what: "statements" });
    }
    let mut statements = Vec::with_capacity(list.len());
    for raw in list.iter() {
        statements.push(statement(
            text,
            raw,
            Walk::new(catalog, sensitive, session, limits),
            limits,
        )?);
    }
    Ok(statements)
}

fn statement(
    text: &str,
    raw: &RawStmt,
    walk: Walk<'_>,
    limits: &Limits,
) -> Result<Statement, Refusal> {
    if matches!(raw.stmt(), Node::None) {
        return Err(Refusal::Tree);
    }
    let span = span(text, raw).ok_or(Refusal::Tree)?;
    let gathered = walk.statement(raw.stmt())?;
    if gathered.accesses.len() > limits.accesses_max {
        return Err(Refusal::TooMany { what: "accesses" });
    }
    let normalised = text
        .get(span.clone())
        .map(|text| normalise(text, limits.normalised_bytes_max));
    Ok(Statement {
        span,
        kind: gathered.facts.kind,
        accesses: gathered.accesses,
        normalised: normalised.ok_or(Refusal::Tree)?,
        has_where: gathered.facts.has_where,
        sensitive: gathered.is_sensitive,
        columns: gathered.facts.columns,
        changes_catalog: gathered.facts.changes_catalog,
        transaction: gathered.facts.transaction,
        settings: gathered.settings,
        is_plain_read: gathered.is_plain_read,
        matches: gathered.matches,
        match_parameters: gathered.match_parameters,
    })
}

/// The bytes of a statement, without white space around it. A length of 0 is the rest.
fn span(text: &str, raw: &RawStmt) -> Option<Range<usize>> {
    let start = usize::try_from(raw.stmt_location).ok()?;
    let length = usize::try_from(raw.stmt_len).ok()?;
    let whole = if length == 0 {
        text.get(start..)?
    } else {
        text.get(start..start.checked_add(length)?)?
    };
    let trimmed = whole.trim_start();
    let start = start + (whole.len() - trimmed.len());
    let end = start
        + trimmed
            .trim_end_matches(|c: char| c.is_ascii_whitespace() || c == ';')
            .len();
    Some(start..end)
}

fn syntax_error(text: &str, error: &pg_raw_parse::Error) -> Refusal {
    let message = syntax_message(error);
    let fails = |beginning: &str| {
        let failed = pg_raw_parse::parse(beginning).err();
        failed.is_some_and(|error| syntax_message(&error) == message)
    };
    let at = position::of_error(text, &message, fails);
    Refusal::Syntax { message, at }
}

fn syntax_message(error: &pg_raw_parse::Error) -> String {
    match error {
        pg_raw_parse::Error::Parse(error) => error.to_string(),
        pg_raw_parse::Error::PgError(_) | pg_raw_parse::Error::StatementContainedNul(_) => {
            "syntax error".to_owned()
        }
    }
}
