//! Walks one statement's tree and gathers what it touches.
//!
//! Every column that a query level yields knows where the row description will say that it
//! comes from, and which sensitive columns it carries as they are. A column that meets an
//! expression is *inferred*; one that stays bare is passed on.

mod bare;
mod copy;
mod define;
mod dml;
mod equality;
mod expression;
mod from;
mod function;
mod json;
mod name;
mod order;
mod query;
mod relation;
mod scope;
mod session;
mod utility;

use std::collections::BTreeSet;
use std::sync::Arc;

use pg_raw_parse::Node;
use weir_facts::{Access, Action, ColumnId, RelationName, Resource, Reveal};

use crate::sensitive::stricter;
use crate::statement::{MatchParameter, OutputColumn, TransactionEffect};
use crate::{Catalog, Limits, Refusal, Sensitive, SessionFacts, StatementKind};

use self::scope::{Col, Cte};

type Walked<T> = Result<T, Refusal>;

/// What the walk is given and what it has gathered so far.
pub(crate) struct Walk<'a> {
    catalog: &'a Catalog,
    sensitive: &'a Sensitive,
    session: &'a SessionFacts,
    limits: &'a Limits,
    accesses: BTreeSet<Access>,
    /// A relation in reach has sensitive columns, or user code runs.
    is_sensitive: bool,
    /// Some result column cannot be predicted.
    is_opaque: bool,
    /// A cast to a reg* type of something that is not a constant, whose error quotes it.
    casts_to_reg: bool,
    /// SELECT … INTO was met.
    creates_table: bool,
    /// Rows are locked or written somewhere.
    writes: bool,
    columns: usize,
    /// Comparisons of hidden columns with the client's values.
    matches: equality::Matches,
    depth: u16,
    /// Common table expressions in sight; a nested query pushes and truncates.
    ctes: Vec<Cte>,
    /// What `name` is in the query at hand, if it reads one row of pg_settings by that name.
    setting: Option<String>,
    /// Parameters that name settings.
    settings: BTreeSet<u16>,
    /// Sequences that a function reads or moves. Each has one row, which its name chooses.
    sequences: BTreeSet<RelationName>,
    /// Inside PREPARE, whose parameters get their values from expressions.
    is_prepared: bool,
}

/// The facts of one statement, without its text.
pub(crate) struct Facts {
    pub(crate) kind: StatementKind,
    pub(crate) columns: Option<Vec<OutputColumn>>,
    pub(crate) has_where: bool,
    pub(crate) changes_catalog: bool,
    pub(crate) transaction: TransactionEffect,
}

impl Facts {
    fn of(kind: StatementKind) -> Self {
        Self {
            kind,
            columns: None,
            has_where: false,
            changes_catalog: false,
            transaction: TransactionEffect::None,
        }
    }
}

/// The statement's facts and what the walk gathered.
pub(crate) struct Gathered {
    pub(crate) facts: Facts,
    pub(crate) accesses: Vec<Access>,
    pub(crate) is_sensitive: bool,
    pub(crate) settings: Vec<u16>,
    pub(crate) is_plain_read: bool,
    pub(crate) matches: u32,
    pub(crate) match_parameters: Vec<MatchParameter>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        catalog: &'a Catalog,
        sensitive: &'a Sensitive,
        session: &'a SessionFacts,
        limits: &'a Limits,
    ) -> Self {
        Self {
            catalog,
            sensitive,
            session,
            limits,
            accesses: BTreeSet::new(),
            is_sensitive: false,
            is_opaque: false,
            casts_to_reg: false,
            creates_table: false,
            writes: false,
            columns: 0,
            matches: equality::Matches::default(),
            depth: 0,
            ctes: Vec::new(),
            setting: None,
            settings: BTreeSet::new(),
            sequences: BTreeSet::new(),
            is_prepared: false,
        }
    }

    /// Walks a whole statement.
    pub(crate) fn statement(mut self, node: Node<'_>) -> Walked<Gathered> {
        let facts = self.any_statement(node)?;
        self.settle_matches();
        self.code_behind(&facts.kind);
        if self.casts_to_reg && self.is_sensitive {
            self.call("pg_catalog", "regclass");
        }
        let reads =
            |access: &Access| matches!(access.action, Action::PgSelect | Action::PgReadStatistics);
        let is_query = matches!(
            facts.kind,
            StatementKind::Select | StatementKind::Show { .. }
        );
        let is_plain_read =
            is_query && !self.writes && !self.creates_table && self.accesses.iter().all(reads);
        Ok(Gathered {
            accesses: self.accesses.into_iter().collect(),
            is_sensitive: self.is_sensitive,
            settings: self.settings.into_iter().collect(),
            is_plain_read,
            // What PREPARE and DECLARE hold is tested by EXECUTE and FETCH.
            matches: match facts.kind {
                StatementKind::Prepare { .. } | StatementKind::DeclareCursor { .. } => 0,
                _ => self.matches.count,
            },
            match_parameters: self.matches.parameters(),
            facts,
        })
    }

    /// Code that runs behind whole kinds of statements: event triggers behind definitions, and
    /// behind whatever has values a superuser's casts between the server's own types.
    fn code_behind(&mut self, kind: &StatementKind) {
        let catalog = self.catalog;
        let defines = matches!(
            kind,
            StatementKind::Ddl(_)
                | StatementKind::CreateTableAs
                | StatementKind::Maintain
                | StatementKind::Unknown(_)
        );
        if defines || self.creates_table {
            for function in &catalog.on_ddl {
                self.call(&function.schema, &function.name);
            }
        }
        let has_values = defines
            || matches!(
                kind,
                StatementKind::Select
                    | StatementKind::Insert
                    | StatementKind::Update
                    | StatementKind::Delete
                    | StatementKind::Merge
                    | StatementKind::Prepare { .. }
                    | StatementKind::Execute { .. }
                    | StatementKind::DeclareCursor { .. }
                    | StatementKind::Explain { .. }
                    | StatementKind::Copy { .. }
                    | StatementKind::Call
            );
        if has_values {
            for function in catalog.typed.get(&0).into_iter().flatten() {
                self.call(&function.schema, &function.name);
            }
        }
    }

    /// Runs `f` one level deeper.
    fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Walked<T>) -> Walked<T> {
        if self.depth >= self.limits.depth_max {
            return Err(Refusal::TooDeep {
                depth_max: self.limits.depth_max,
            });
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    fn count_columns(&mut self, columns: usize) -> Walked<()> {
        self.columns = self.columns.saturating_add(columns);
        if self.columns > self.limits.columns_max {
            return Err(Refusal::TooMany { what: "columns" });
        }
        Ok(())
    }

    fn ask(&mut self, action: Action, resource: Resource) {
        self.accesses.insert(Access { action, resource });
    }

    /// Asks for code that we do not know: it may touch anything and say anything.
    fn call(&mut self, schema: &str, name: &str) {
        let name = RelationName {
            schema: schema.into(),
            name: name.into(),
        };
        if self.sensitive.vouches(&name) {
            return;
        }
        self.ask(Action::PgCall, Resource::Function(name));
        self.is_sensitive |= !self.sensitive.is_empty();
    }

    fn unknown(&mut self, resource: Resource) {
        self.ask(Action::PgUnknown, resource);
        self.is_sensitive |= !self.sensitive.is_empty();
    }

    /// Sensitive columns met something that can tell them.
    fn infer(&mut self, columns: &[ColumnId]) {
        self.ask_about(Action::PgInfer, columns);
    }

    fn infer_all(&mut self, columns: &[Col]) {
        for column in columns {
            self.infer(&column.carries);
        }
    }

    /// What the row description will be; `None` where it cannot be told.
    fn describe(&self, columns: Vec<Col>) -> Option<Vec<OutputColumn>> {
        if self.is_opaque {
            return None;
        }
        let output = |column: Col| OutputColumn {
            reveal: self.reveal(&column),
            type_oid: self.type_of(&column.origins),
            name: column.name,
            origins: column.origins,
        };
        Some(columns.into_iter().map(output).collect())
    }

    /// The type on which all of a column's origins agree, else 0.
    fn type_of(&self, origins: &[ColumnId]) -> u32 {
        let mut types = origins.iter().map(|id| {
            let relation = self.catalog.relation(id.relation)?;
            Some(relation.column(id.attnum)?.type_oid)
        });
        match types.next().flatten() {
            Some(first) if types.all(|next| next == Some(first)) => first,
            Some(_) | None => 0,
        }
    }

    fn reveal(&self, column: &Col) -> Reveal {
        let reveals = column
            .carries
            .iter()
            .filter_map(|id| self.sensitive.reveal(*id));
        reveals.fold(&Reveal::Clear, stricter).clone()
    }
}

/// The strings of a list of names, or `None` if something else is among them.
fn strings(list: &pg_raw_parse::list::NodeList) -> Option<Vec<&str>> {
    list.iter().map(Node::as_str).collect()
}

/// The last and the one before it of a possibly qualified name.
fn qualified<'n>(parts: &[&'n str]) -> Option<(Option<&'n str>, &'n str)> {
    match parts {
        [name] => Some((None, name)),
        [.., schema, name] => Some((Some(schema), name)),
        [] => None,
    }
}

fn shared(text: Option<&str>) -> Arc<str> {
    text.unwrap_or_default().into()
}
