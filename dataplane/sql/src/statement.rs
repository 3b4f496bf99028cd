use std::ops::Range;
use std::sync::Arc;

use weir_facts::{Access, Action, ColumnId, RelationOid, Resource, Reveal};

use crate::Limits;
use crate::normalise::normalise;

use crate::CopyForm;

/// What the caller knows of the session that the text arrives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// The open transaction has changed the catalogue in ways that no other session, so
    /// neither our snapshot, can see. Every user relation is then `pg.unknown` as well.
    pub uncommitted_ddl: bool,
}

/// One statement, as facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Bytes of the text that it covers, without the semicolon.
    pub span: Range<usize>,
    /// What it is.
    pub kind: StatementKind,
    /// Every (action, resource) pair that policy must allow; sorted, each once. Empty for
    /// what needs no more than the connection.
    pub accesses: Vec<Access>,
    /// The text with constants replaced by `$n`, bounded, for records.
    pub normalised: String,
    /// What is changed is chosen: UPDATE and DELETE have a WHERE clause, those in WITH too;
    /// INSERT with ON CONFLICT and MERGE change rows that they name. A SELECT that changes
    /// nothing: it has a WHERE clause at the top, or reaches nothing but sequences, whose one
    /// row their names choose.
    pub has_where: bool,
    /// It touches a relation that has sensitive columns, or one whose constraints or
    /// triggers reach such a relation: error and notice texts must be replaced.
    pub sensitive: bool,
    /// The row description, column by column, or what COPY sends in each row. `None` where the
    /// statement returns no rows or where a prediction is impossible; a sensitive statement
    /// that answers with rows although this is `None` must not pass.
    pub columns: Option<Vec<OutputColumn>>,
    /// It changes what [`Catalog`](crate::Catalog) holds: read it again.
    pub changes_catalog: bool,
    /// What it does to the transaction.
    pub transaction: TransactionEffect,
    /// Parameters, counted from 1, that name a setting. A name with a dot is one of those that
    /// hold whatever a session has put there: refuse it when it is bound.
    pub settings: Vec<u16>,
    /// A SELECT, VALUES, TABLE or SHOW that writes nothing, locks nothing and calls
    /// nothing unknown.
    pub is_plain_read: bool,
    /// How many values hidden columns are compared with where this runs: 0 for PREPARE and
    /// DECLARE, whose inner statements have them for EXECUTE and FETCH.
    pub matches: u32,
    /// The parameters among those values; whoever declares their types must declare these.
    pub match_parameters: Vec<MatchParameter>,
}

/// A parameter that a hidden column is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchParameter {
    /// `$n`.
    pub number: i32,
    /// What it may be.
    pub family: MatchFamily,
    /// The text gives it a type of the family.
    pub is_typed: bool,
}

/// Built-in types whose values may be compared for equality with a column: a comparison
/// within a family never converts the column to something that holds less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchFamily {
    /// `text`, `varchar`, `name`.
    Text,
    /// `bpchar`, compared without trailing blanks.
    Padded,
    /// `int2`, `int4`, `int8`, `numeric`.
    Exact,
    /// `float4`, `float8`.
    Float,
    /// `bool`.
    Bool,
    /// `bytea`.
    Bytes,
    /// `date`, `timestamp`, `timestamptz`.
    Moment,
    /// `time`.
    Time,
    /// `uuid`.
    Uuid,
    /// `inet`, `cidr`.
    Network,
}

/// `pg_type.oid` of `unknown`: the server finds the type itself, as for 0.
const UNKNOWN_OID: u32 = 705;

impl MatchFamily {
    /// The family of a column of this type.
    pub(crate) fn of(type_oid: u32) -> Option<Self> {
        Some(match type_oid {
            19 | 25 | 1043 => Self::Text,
            1042 => Self::Padded,
            20 | 21 | 23 | 1700 => Self::Exact,
            700 | 701 => Self::Float,
            16 => Self::Bool,
            17 => Self::Bytes,
            1082 | 1114 | 1184 => Self::Moment,
            1083 => Self::Time,
            2950 => Self::Uuid,
            650 | 869 => Self::Network,
            _ => return None,
        })
    }

    /// (type, OID) that a value may have.
    const fn types(self) -> &'static [(&'static str, u32)] {
        match self {
            Self::Text => &[("text", 25), ("varchar", 1043), ("name", 19)],
            Self::Padded => &[("bpchar", 1042), ("text", 25), ("varchar", 1043)],
            Self::Exact => &[("int2", 21), ("int4", 23), ("int8", 20), ("numeric", 1700)],
            Self::Float => &[
                ("float4", 700),
                ("float8", 701),
                ("int2", 21),
                ("int4", 23),
                ("int8", 20),
                ("numeric", 1700),
            ],
            Self::Bool => &[("bool", 16)],
            Self::Bytes => &[("bytea", 17)],
            Self::Moment => &[("date", 1082), ("timestamp", 1114), ("timestamptz", 1184)],
            Self::Time => &[("time", 1083)],
            Self::Uuid => &[("uuid", 2950)],
            Self::Network => &[("inet", 869), ("cidr", 650)],
        }
    }

    pub(crate) fn has_type(self, name: &str) -> bool {
        self.types().iter().any(|(known, _)| *known == name)
    }

    /// Whether a parameter of this `pg_type.oid` may be compared; 0 leaves it to the server.
    #[must_use]
    pub fn admits(self, type_oid: u32) -> bool {
        let known = |(_, oid): &(&str, u32)| *oid == type_oid;
        type_oid == 0 || type_oid == UNKNOWN_OID || self.types().iter().any(known)
    }
}

impl Statement {
    /// A text that was not read, as one statement. It may do anything, so that it is only for
    /// where nothing is hidden; `also` is what is known of it nevertheless.
    #[must_use]
    pub fn unread(text: &str, also: impl IntoIterator<Item = Access>, limits: &Limits) -> Self {
        let unknown = Access {
            action: Action::PgUnknown,
            resource: Resource::Connection,
        };
        let mut accesses: Vec<Access> = also.into_iter().chain([unknown]).collect();
        accesses.sort();
        accesses.dedup();
        Self {
            span: 0..text.len(),
            kind: StatementKind::Unread,
            accesses,
            normalised: normalise(text, limits.normalised_bytes_max),
            has_where: false,
            sensitive: false,
            columns: None,
            changes_catalog: true,
            transaction: TransactionEffect::None,
            settings: Vec::new(),
            is_plain_read: false,
            matches: 0,
            match_parameters: Vec::new(),
        }
    }
}

/// A predicted field of the row description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputColumn {
    /// The field's name.
    pub name: Arc<str>,
    /// The (table OID, attribute number) pairs that the server may report, any of them.
    pub origins: Vec<ColumnId>,
    /// `pg_type.oid` of the column that it is, a domain's base type; 0 for an expression, and
    /// where its origins differ. For COPY, which describes nothing.
    pub type_oid: u32,
    /// What of it the client may see.
    pub reveal: Reveal,
}

/// What the server reports for an expression.
pub(crate) const NO_ORIGIN: ColumnId = ColumnId {
    relation: RelationOid(0),
    attnum: 0,
};

/// What a statement is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// SELECT, TABLE, VALUES.
    Select,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// MERGE.
    Merge,
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// SAVEPOINT.
    Savepoint {
        /// Its name.
        name: Arc<str>,
    },
    /// RELEASE SAVEPOINT.
    Release {
        /// Its name.
        name: Arc<str>,
    },
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo {
        /// Its name.
        name: Arc<str>,
    },
    /// PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED.
    TwoPhase,
    /// SET name = value, SET LOCAL, SET TRANSACTION.
    Set {
        /// The parameter, lower case.
        name: Arc<str>,
        /// The value as text; `None` for DEFAULT and FROM CURRENT.
        value: Option<Arc<str>>,
        /// SET LOCAL.
        local: bool,
    },
    /// RESET name, or RESET ALL with `None`.
    Reset {
        /// The parameter, lower case.
        name: Option<Arc<str>>,
    },
    /// SHOW name; `all` for SHOW ALL.
    Show {
        /// The parameter, lower case.
        name: Arc<str>,
    },
    /// PREPARE name AS …; a protocol statement of that name afterwards.
    Prepare {
        /// The statement's name.
        name: Arc<str>,
        /// What EXECUTE will run.
        inner: Box<Statement>,
    },
    /// EXECUTE name. Its accesses and columns are those of what was prepared.
    Execute {
        /// The statement's name.
        name: Arc<str>,
    },
    /// DEALLOCATE name, or ALL with `None`.
    Deallocate {
        /// The statement's name.
        name: Option<Arc<str>>,
    },
    /// DECLARE name CURSOR FOR …; a protocol portal of that name afterwards.
    DeclareCursor {
        /// The portal's name.
        name: Arc<str>,
        /// What FETCH will answer with.
        inner: Box<Statement>,
        /// WITH HOLD: it outlives the transaction.
        hold: bool,
    },
    /// FETCH or MOVE. A FETCH answers with the columns of the declared query.
    Fetch {
        /// The portal's name.
        name: Arc<str>,
        /// MOVE: no rows.
        is_move: bool,
    },
    /// CLOSE name, or ALL with `None`.
    CloseCursor {
        /// The portal's name.
        name: Option<Arc<str>>,
    },
    /// DISCARD; `all` also drops statements, portals and temporary relations.
    Discard {
        /// DISCARD ALL.
        all: bool,
    },
    /// EXPLAIN.
    Explain {
        /// It also runs the statement.
        analyze: bool,
        /// What is explained.
        inner: Box<Statement>,
    },
    /// COPY.
    Copy {
        /// Which way.
        direction: CopyDirection,
        /// How rows are written towards the client; `None` the other ways, and where that
        /// cannot be told.
        form: Option<CopyForm>,
    },
    /// DO.
    Do,
    /// CALL.
    Call,
    /// LOCK TABLE.
    Lock,
    /// TRUNCATE.
    Truncate,
    /// LISTEN.
    Listen,
    /// NOTIFY.
    Notify,
    /// UNLISTEN.
    Unlisten,
    /// VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT, REFRESH MATERIALIZED VIEW.
    Maintain,
    /// SET CONSTRAINTS.
    Constraints,
    /// CREATE, ALTER, DROP, COMMENT, GRANT and alike; the word is the parser's node.
    Ddl(&'static str),
    /// CREATE TABLE AS, SELECT INTO, CREATE MATERIALIZED VIEW.
    CreateTableAs,
    /// A statement that is not in the allow-list. Always with a `pg.unknown`.
    Unknown(&'static str),
    /// A text that could not be read, with all the statements that it may have. Always with a
    /// `pg.unknown`; made by [`Statement::unread`] only.
    Unread,
}

/// Which way COPY moves rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// COPY … TO STDOUT.
    ToClient,
    /// COPY … FROM STDIN.
    FromClient,
    /// To or from a file or program of the server's host.
    Server,
}

/// What a statement does to the transaction it runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionEffect {
    /// Nothing.
    None,
    /// Opens a block.
    Begin,
    /// Ends the block, keeping its work.
    Commit,
    /// Ends the block, dropping its work.
    Rollback,
    /// Ends the current block and opens the next (AND CHAIN).
    Chain,
    /// SAVEPOINT, RELEASE, ROLLBACK TO.
    Savepoint,
    /// PREPARE TRANSACTION ends the block; COMMIT PREPARED and ROLLBACK PREPARED end another's.
    TwoPhase,
}
