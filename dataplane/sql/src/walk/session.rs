//! Statements about the session: transactions, parameters, prepared statements, cursors.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{
    DeclareCursorStmt, ExplainStmt, PrepareStmt, TransactionStmt, VariableSetStmt, VariableShowStmt,
};
use pg_raw_parse::raw::{TransactionStmtKind, VariableSetKind};
use weir_facts::{Action, Resource, Reveal};

use super::function::text_of;
use super::{Facts, Walk, Walked, shared};
use crate::statement::{NO_ORIGIN, OutputColumn, TransactionEffect};
use crate::trust::{is_harmless_reset, is_harmless_setting};
use crate::{Statement, StatementKind};

/// `CURSOR_OPT_HOLD` of parsenodes.h.
const CURSOR_OPT_HOLD: i32 = 0x0020;

impl Walk<'_> {
    pub(super) fn transaction(&mut self, statement: &TransactionStmt) -> Facts {
        let name = || shared(statement.savepoint_name());
        let chained = |effect| {
            if statement.chain {
                TransactionEffect::Chain
            } else {
                effect
            }
        };
        let (kind, transaction) = match statement.kind {
            TransactionStmtKind::TRANS_STMT_BEGIN | TransactionStmtKind::TRANS_STMT_START => {
                (StatementKind::Begin, TransactionEffect::Begin)
            }
            TransactionStmtKind::TRANS_STMT_COMMIT => {
                (StatementKind::Commit, chained(TransactionEffect::Commit))
            }
            TransactionStmtKind::TRANS_STMT_ROLLBACK => (
                StatementKind::Rollback,
                chained(TransactionEffect::Rollback),
            ),
            TransactionStmtKind::TRANS_STMT_SAVEPOINT => (
                StatementKind::Savepoint { name: name() },
                TransactionEffect::Savepoint,
            ),
            TransactionStmtKind::TRANS_STMT_RELEASE => (
                StatementKind::Release { name: name() },
                TransactionEffect::Savepoint,
            ),
            TransactionStmtKind::TRANS_STMT_ROLLBACK_TO => (
                StatementKind::RollbackTo { name: name() },
                TransactionEffect::Savepoint,
            ),
            TransactionStmtKind::TRANS_STMT_PREPARE
            | TransactionStmtKind::TRANS_STMT_COMMIT_PREPARED
            | TransactionStmtKind::TRANS_STMT_ROLLBACK_PREPARED => {
                self.unknown(Resource::Connection);
                (StatementKind::TwoPhase, TransactionEffect::TwoPhase)
            }
            _ => {
                self.unknown(Resource::Connection);
                (
                    StatementKind::Unknown("TransactionStmt"),
                    TransactionEffect::None,
                )
            }
        };
        // COMMIT runs deferred constraints, whose errors quote rows of what came before.
        let writes_late = matches!(kind, StatementKind::Commit | StatementKind::TwoPhase);
        self.is_sensitive |= writes_late && !self.sensitive.is_empty();
        Facts {
            transaction,
            ..Facts::of(kind)
        }
    }

    pub(super) fn set(&mut self, statement: &VariableSetStmt) -> Facts {
        let name = statement.name().unwrap_or_default().to_ascii_lowercase();
        let reset = |name: &str| {
            Facts::of(StatementKind::Reset {
                name: Some(name.into()),
            })
        };
        match statement.kind {
            VariableSetKind::VAR_RESET_ALL => Facts::of(StatementKind::Reset { name: None }),
            VariableSetKind::VAR_RESET => {
                self.ask_setting(&name, is_harmless_reset(&name));
                reset(&name)
            }
            VariableSetKind::VAR_SET_VALUE | VariableSetKind::VAR_SET_MULTI => {
                let values: Option<Vec<String>> = statement.args().iter().map(value_of).collect();
                let value = values
                    .filter(|values| !values.is_empty())
                    .map(|values| values.join(", "));
                let known = is_harmless_setting(&name, value.as_deref());
                // Importing a snapshot is "transaction snapshot" and not in the list.
                self.ask_setting(&name, known);
                let value = value.as_deref().map(Into::into);
                Facts::of(StatementKind::Set {
                    name: name.into(),
                    value,
                    local: statement.is_local,
                })
            }
            VariableSetKind::VAR_SET_DEFAULT | VariableSetKind::VAR_SET_CURRENT => {
                self.ask_setting(&name, is_harmless_reset(&name));
                Facts::of(StatementKind::Set {
                    name: name.into(),
                    value: None,
                    local: statement.is_local,
                })
            }
            _ => {
                self.unknown(Resource::Connection);
                Facts::of(StatementKind::Unknown("VariableSetStmt"))
            }
        }
    }

    fn ask_setting(&mut self, name: &str, harmless: bool) {
        if !harmless {
            self.ask(Action::PgSet, Resource::Parameter(name.into()));
        }
    }

    pub(super) fn show(&mut self, statement: &VariableShowStmt) -> Facts {
        let name = statement.name().unwrap_or_default().to_ascii_lowercase();
        if name.contains('.') || name == "all" {
            self.read_settings();
        }
        let columns = if name == "all" {
            None
        } else {
            Some(vec![text_column(shown_name(&name))])
        };
        Facts {
            columns,
            ..Facts::of(StatementKind::Show { name: name.into() })
        }
    }

    /// PREPARE: what EXECUTE will do is asked for now; EXECUTE is judged again.
    pub(super) fn prepare(&mut self, statement: &PrepareStmt) -> Walked<Facts> {
        for argument in statement.argtypes() {
            self.type_name(Some(argument));
        }
        self.is_prepared = true;
        let inner = self.inner(statement.query())?;
        let declared: Vec<_> = statement.argtypes().iter().collect();
        self.settle_declared(&declared);
        Ok(Facts::of(StatementKind::Prepare {
            name: shared(statement.name()),
            inner,
        }))
    }

    pub(super) fn declare(&mut self, statement: &DeclareCursorStmt) -> Walked<Facts> {
        let inner = self.inner(statement.query())?;
        let hold = statement.options & CURSOR_OPT_HOLD != 0;
        Ok(Facts::of(StatementKind::DeclareCursor {
            name: shared(statement.portalname()),
            inner,
            hold,
        }))
    }

    pub(super) fn explain(&mut self, statement: &ExplainStmt) -> Walked<Facts> {
        let analyze = statement.options().iter().any(|option| {
            let off = || text_of(option.arg()).or_else(|| option.arg().as_str().map(str::to_owned));
            option.defname() == Some("analyze") && !off().is_some_and(|value| is_off(&value))
        });
        // Estimates and row counts of every node would answer more than the one question.
        self.matches.forbidden = true;
        let inner = self.inner(statement.query())?;
        if analyze && matches!(inner.kind, StatementKind::Execute { .. }) {
            // What it names is looked up when it runs, and nobody would look here.
            self.unknown(Resource::Connection);
        }
        if analyze {
            // Row counts of every node of the plan answer for the columns that were read.
            let columns = inner
                .columns
                .iter()
                .flatten()
                .filter(|column| column.reveal != Reveal::Clear);
            for origin in columns.flat_map(|column| &column.origins) {
                self.infer(&[*origin]);
            }
        }
        // Nobody knows here what is explained: the texts of its errors are withheld.
        let by_name = matches!(inner.kind, StatementKind::Execute { .. });
        self.is_sensitive |= by_name && !self.sensitive.is_empty();
        let columns = Some(vec![text_column("QUERY PLAN")]);
        let mut facts = Facts::of(StatementKind::Explain { analyze, inner });
        facts.columns = columns;
        if analyze && let StatementKind::Explain { inner, .. } = &facts.kind {
            facts.changes_catalog = inner.changes_catalog;
        }
        Ok(facts)
    }

    /// A statement inside another. It shares the outer one's accesses, since nobody can run
    /// one without the other.
    fn inner(&mut self, node: Node<'_>) -> Walked<Box<Statement>> {
        let facts = self.deeper(|walk| walk.any_statement(node))?;
        Ok(Box::new(Statement {
            span: 0..0,
            kind: facts.kind,
            accesses: self.accesses.iter().cloned().collect(),
            normalised: String::new(),
            has_where: facts.has_where,
            sensitive: self.is_sensitive,
            columns: facts.columns,
            changes_catalog: facts.changes_catalog,
            transaction: facts.transaction,
            settings: self.settings.iter().copied().collect(),
            is_plain_read: false,
            matches: self.matches.count,
            match_parameters: self.matches.parameters(),
        }))
    }
}

fn is_off(value: &str) -> bool {
    ["off", "false", "no", "0"]
        .iter()
        .any(|off| value.eq_ignore_ascii_case(off))
}

/// A setting's value: a constant, or `SET TRANSACTION`'s option.
fn value_of(node: Node<'_>) -> Option<String> {
    match node {
        Node::DefElem(option) => {
            let value = text_of(option.arg()).unwrap_or_default();
            Some(format!("{} {value}", option.defname().unwrap_or_default()))
        }
        other => text_of(other),
    }
}

/// SHOW answers in the parameter's own spelling.
fn shown_name(name: &str) -> &str {
    match name {
        "timezone" => "TimeZone",
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        other => other,
    }
}

fn text_column(name: &str) -> OutputColumn {
    OutputColumn {
        name: name.into(),
        origins: vec![NO_ORIGIN],
        type_oid: 0,
        reveal: Reveal::Clear,
    }
}
