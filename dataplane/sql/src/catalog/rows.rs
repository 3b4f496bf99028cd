//! Text rows to a [`Catalog`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;

use weir_facts::{ColumnId, RelationName, RelationOid};

use crate::trust::is_known_function;

use super::rule::NodeTree;
use super::{
    Catalog, CatalogError, Code, Column, Epoch, ForeignKey, Generated, Relation, RelationKind, View,
};

type Rows = [Vec<Option<String>>];

/// One row of one query, read by position.
struct Row<'a> {
    query: &'static str,
    values: &'a [Option<String>],
}

impl<'a> Row<'a> {
    fn wrong(&self) -> CatalogError {
        CatalogError::Row { query: self.query }
    }

    fn text(&self, at: usize) -> Result<&'a str, CatalogError> {
        self.values
            .get(at)
            .and_then(Option::as_deref)
            .ok_or_else(|| self.wrong())
    }

    fn number<T: FromStr>(&self, at: usize) -> Result<T, CatalogError> {
        self.text(at)?.parse().map_err(|_| self.wrong())
    }

    fn oid(&self, at: usize) -> Result<RelationOid, CatalogError> {
        self.number(at).map(RelationOid)
    }

    fn flag(&self, at: usize) -> Result<bool, CatalogError> {
        match self.text(at)? {
            "t" | "true" => Ok(true),
            "f" | "false" => Ok(false),
            _ => Err(self.wrong()),
        }
    }

    fn numbers(&self, at: usize) -> Result<Vec<i16>, CatalogError> {
        self.text(at)?
            .split(',')
            .map(|n| n.parse().map_err(|_| self.wrong()))
            .collect()
    }

    fn name(&self, at: usize) -> Result<RelationName, CatalogError> {
        Ok(RelationName {
            schema: self.text(at)?.into(),
            name: self.text(at + 1)?.into(),
        })
    }
}

/// The results by query name.
struct Results<'a>(&'a [Vec<Vec<Option<String>>>]);

impl<'a> Results<'a> {
    fn of(&self, query: &'static str) -> impl Iterator<Item = Row<'a>> + use<'a> {
        let at = Catalog::QUERIES.iter().position(|(name, _)| *name == query);
        let rows: &'a Rows = at.and_then(|at| self.0.get(at)).map_or(&[], Vec::as_slice);
        rows.iter().map(move |values| Row { query, values })
    }
}

pub(super) fn build(
    epoch: Epoch,
    results: &[Vec<Vec<Option<String>>>],
) -> Result<Catalog, CatalogError> {
    if results.len() != Catalog::QUERIES.len() {
        return Err(CatalogError::Results {
            wanted: Catalog::QUERIES.len(),
            got: results.len(),
        });
    }
    let results = Results(results);
    let version = results
        .of("server")
        .next()
        .ok_or(CatalogError::Row { query: "server" })?;
    let (relations, toast, row_types) = relations(&results)?;
    let functions = functions(&results)?;
    let casts = user_code(results.of("casts"))?;
    let typed = typed(&results)?;
    let (mut code, on_ddl) = code(&results)?;
    for relation in relations.values() {
        type_code(&mut code, relation, row_types.get(&relation.oid), &typed);
    }
    let mut by_name: HashMap<Arc<str>, Vec<RelationOid>> = HashMap::new();
    for relation in relations.values() {
        by_name
            .entry(Arc::clone(&relation.name.name))
            .or_default()
            .push(relation.oid);
    }
    by_name.values_mut().for_each(|oids| oids.sort_unstable());
    Ok(Catalog {
        epoch,
        server_version: version.number(0)?,
        by_name,
        inheritance: results
            .of("inheritance")
            .map(|row| Ok((row.oid(0)?, row.oid(1)?)))
            .collect::<Result<_, _>>()?,
        foreign_keys: results
            .of("foreign_keys")
            .map(|row| foreign_key(&row))
            .collect::<Result<_, _>>()?,
        views: views(&results, &functions)?,
        generated: results
            .of("generated")
            .map(|row| generated(&row))
            .collect::<Result<_, _>>()?,
        relations,
        toast,
        functions: functions.by_name,
        overloads: functions.overloads,
        built_in: functions.built_in,
        shadowed: functions.shadowed,
        operators: user_code(results.of("operators"))?,
        casts,
        typed,
        on_ddl,
        code,
        equality_altered: results.of("equality").next().is_some(),
    })
}

type Relations = HashMap<RelationOid, Relation>;

/// (toast table, its owner)
type Toast = Vec<(RelationOid, RelationOid)>;

/// Types of relations' rows.
type RowTypes = HashMap<RelationOid, u32>;

fn relations(results: &Results<'_>) -> Result<(Relations, Toast, RowTypes), CatalogError> {
    let mut relations = Relations::new();
    let mut toast = Vec::new();
    let mut row_types = RowTypes::new();
    for row in results.of("relations") {
        let kind = match row.text(3)? {
            "r" => RelationKind::Table,
            "p" => RelationKind::Partitioned,
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::Foreign,
            "S" => RelationKind::Sequence,
            "t" => RelationKind::Toast,
            _ => return Err(row.wrong()),
        };
        let oid = row.oid(0)?;
        let relation = Relation {
            oid,
            name: row.name(1)?,
            kind,
            temporary: row.flag(4)?,
            columns: Vec::new(),
        };
        relations.insert(oid, relation);
        row_types.insert(oid, row.number(6)?);
        let toasted = row.oid(5)?;
        if toasted.0 != 0 {
            toast.push((toasted, oid));
        }
    }
    for row in results.of("columns") {
        let Some(relation) = relations.get_mut(&row.oid(0)?) else {
            continue;
        };
        relation.columns.push(Column {
            attnum: row.number(1)?,
            name: row.text(2)?.into(),
            type_oid: row.number(3)?,
            not_null: row.flag(4)?,
            generated: if row.text(5)?.is_empty() {
                Generated::No
            } else {
                Generated::Yes
            },
        });
    }
    relations
        .values_mut()
        .for_each(|relation| relation.columns.sort_by_key(|column| column.attnum));
    Ok((relations, toast, row_types))
}

fn foreign_key(row: &Row<'_>) -> Result<ForeignKey, CatalogError> {
    let (from, to) = (row.numbers(1)?, row.numbers(3)?);
    if from.len() != to.len() {
        return Err(row.wrong());
    }
    Ok(ForeignKey {
        from: row.oid(0)?,
        to: row.oid(2)?,
        columns: from.into_iter().zip(to).collect(),
    })
}

fn generated(row: &Row<'_>) -> Result<(ColumnId, Vec<i16>), CatalogError> {
    let id = ColumnId {
        relation: row.oid(0)?,
        attnum: row.number(1)?,
    };
    Ok((
        id,
        NodeTree::read(row.text(2)?).attnums.into_iter().collect(),
    ))
}

fn views(
    results: &Results<'_>,
    functions: &Functions,
) -> Result<HashMap<RelationOid, View>, CatalogError> {
    let mut views: HashMap<RelationOid, View> = HashMap::new();
    for row in results.of("views") {
        let tree = NodeTree::read(row.text(1)?);
        let view = views.entry(row.oid(0)?).or_default();
        view.whole_row |= tree.attnums.contains(&0);
        view.functions.extend(named(&tree.functions, functions));
        // Positions count live target entries; attnums of a view are the same, since a view
        // cannot lose a column.
        view.origins.extend(tree.origins);
    }
    for row in results.of("view_reads") {
        let read = ColumnId {
            relation: row.oid(1)?,
            attnum: row.number(2)?,
        };
        views.entry(row.oid(0)?).or_default().reads.push(read);
    }
    Ok(views)
}

/// Names of the functions; one that has gone since is named by its OID and trusted by nobody.
fn named(oids: &BTreeSet<u32>, functions: &Functions) -> Vec<RelationName> {
    let unknown = |oid: &u32| RelationName {
        schema: "".into(),
        name: oid.to_string().into(),
    };
    oids.iter()
        .map(|oid| {
            functions
                .by_oid
                .get(oid)
                .cloned()
                .unwrap_or_else(|| unknown(oid))
        })
        .filter(|name| !is_known_function(name) || functions.is_user(name))
        .collect()
}

/// `FirstNormalObjectId` of transam.h: what has a smaller number was brought by the server.
const FIRST_NORMAL_OID: u32 = 16384;

struct Functions {
    by_oid: HashMap<u32, RelationName>,
    by_name: HashMap<Arc<str>, Vec<RelationName>>,
    overloads: HashMap<RelationName, Vec<(u32, Arc<str>)>>,
    built_in: HashSet<Arc<str>>,
    shadowed: HashSet<Arc<str>>,
}

impl Functions {
    /// Whether a user has made a function of that name, in whatever schema.
    fn is_user(&self, name: &RelationName) -> bool {
        let overloads = self.by_name.get(&name.name);
        overloads.is_some_and(|overloads| overloads.contains(name))
    }
}

fn functions(results: &Results<'_>) -> Result<Functions, CatalogError> {
    let mut all = Functions {
        by_oid: HashMap::new(),
        by_name: HashMap::new(),
        overloads: HashMap::new(),
        built_in: HashSet::new(),
        shadowed: HashSet::new(),
    };
    for row in results.of("functions") {
        let (name, oid) = (row.name(1)?, row.number(0)?);
        all.by_oid.insert(oid, name.clone());
        // A superuser can make functions in the system's own schemas.
        let is_system = matches!(&*name.schema, "pg_catalog" | "information_schema");
        if &*name.schema == "pg_catalog" {
            all.built_in.insert(Arc::clone(&name.name));
        }
        if is_system && oid < FIRST_NORMAL_OID {
            continue;
        }
        let overload = (row.number(0)?, row.text(4)?.into());
        all.overloads
            .entry(name.clone())
            .or_default()
            .push(overload);
        if !row.flag(3)? {
            all.shadowed.insert(Arc::clone(&name.name));
        }
        let overloads = all.by_name.entry(Arc::clone(&name.name)).or_default();
        if !overloads.contains(&name) {
            overloads.push(name);
        }
    }
    Ok(all)
}

/// Rows of (name, function's schema, function's name, whether it is a user's).
fn user_code<'a>(
    rows: impl Iterator<Item = Row<'a>>,
) -> Result<HashMap<Arc<str>, Vec<RelationName>>, CatalogError> {
    let mut code: HashMap<Arc<str>, Vec<RelationName>> = HashMap::new();
    for row in rows {
        let function = row.name(1)?;
        if row.flag(3)? || !is_known_function(&function) {
            code.entry(row.text(0)?.into()).or_default().push(function);
        }
    }
    Ok(code)
}

/// The rows of the casts, by the number of the type.
fn typed(results: &Results<'_>) -> Result<HashMap<u32, Vec<RelationName>>, CatalogError> {
    let mut typed: HashMap<u32, Vec<RelationName>> = HashMap::new();
    for row in results.of("casts") {
        let function = row.name(1)?;
        if row.flag(3)? || !is_known_function(&function) {
            typed.entry(row.number(4)?).or_default().push(function);
        }
    }
    Ok(typed)
}

/// Whoever reads or writes a relation has values of its columns' types, and of its row's.
fn type_code(
    code: &mut HashMap<RelationOid, Code>,
    relation: &Relation,
    row_type: Option<&u32>,
    typed: &HashMap<u32, Vec<RelationName>>,
) {
    let types = relation.columns.iter().map(|column| &column.type_oid);
    let functions: BTreeSet<_> = types
        .chain(row_type)
        .filter_map(|oid| typed.get(oid))
        .flatten()
        .cloned()
        .collect();
    if !functions.is_empty() {
        let code = code.entry(relation.oid).or_default();
        code.on_read.extend(functions.iter().cloned());
        code.on_write.extend(functions);
    }
}

type CodeByRelation = HashMap<RelationOid, Code>;

fn code(results: &Results<'_>) -> Result<(CodeByRelation, Vec<RelationName>), CatalogError> {
    let mut all = CodeByRelation::new();
    let mut on_ddl = Vec::new();
    for row in results.of("code") {
        if row.text(1)? == "e" {
            on_ddl.push(row.name(2)?);
            continue;
        }
        let code = all.entry(row.oid(0)?).or_default();
        match row.text(1)? {
            "r" => code.on_read.push(row.name(2)?),
            "w" => code.on_write.push(row.name(2)?),
            "u" => code.rewrites = true,
            _ => return Err(row.wrong()),
        }
    }
    Ok((all, on_ddl))
}
