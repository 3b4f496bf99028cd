//! Names in sight of an expression, as PostgreSQL's own namespaces have them.

use std::sync::Arc;

use weir_facts::{ColumnId, RelationOid};

use crate::statement::NO_ORIGIN;

/// A column of a query level.
#[derive(Clone, Debug)]
pub(super) struct Col {
    pub(super) name: Arc<str>,
    /// What the row description may say.
    pub(super) origins: Vec<ColumnId>,
    /// Sensitive columns that it is, unchanged.
    pub(super) carries: Vec<ColumnId>,
}

impl Col {
    /// A computed column.
    pub(super) fn computed(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            origins: vec![NO_ORIGIN],
            carries: Vec::new(),
        }
    }

    /// Either this column or the other: what holds for one of them.
    pub(super) fn or(mut self, other: &Self) -> Self {
        add(&mut self.origins, &other.origins);
        add(&mut self.carries, &other.carries);
        self
    }
}

fn add(to: &mut Vec<ColumnId>, from: &[ColumnId]) {
    for id in from {
        if !to.contains(id) {
            to.push(*id);
        }
    }
}

/// Something in FROM that a qualified name can mean.
#[derive(Clone, Debug, Default)]
pub(super) struct Rte {
    /// Its alias, or the relation's name.
    pub(super) name: Option<Arc<str>>,
    /// Schemas that may qualify it; none if it has an alias.
    pub(super) schemas: Vec<Arc<str>>,
    /// The relations that it may be.
    pub(super) relations: Vec<RelationOid>,
    pub(super) columns: Vec<Col>,
    /// It has, or may have, columns that we do not know.
    pub(super) open: bool,
}

/// What a FROM list or a part of it brings into sight.
#[derive(Clone, Debug, Default)]
pub(super) struct From {
    pub(super) rtes: Vec<Rte>,
    /// What `*` stands for, and what an unqualified name can mean.
    pub(super) star: Vec<Col>,
    /// `star` lacks columns that we do not know, or their order.
    pub(super) open: bool,
}

impl From {
    pub(super) fn one(rte: Rte) -> Self {
        Self {
            star: rte.columns.clone(),
            open: rte.open,
            rtes: vec![rte],
        }
    }

    pub(super) fn and(mut self, other: &Self) -> Self {
        self.rtes.extend_from_slice(&other.rtes);
        self.star.extend_from_slice(&other.star);
        self.open |= other.open;
        self
    }

    pub(super) fn width(&self) -> usize {
        self.star.len() + self.rtes.iter().map(|rte| rte.columns.len()).sum::<usize>()
    }
}

/// One level of names, and the levels around it.
pub(super) struct Scope<'p> {
    pub(super) from: From,
    pub(super) parent: Option<&'p Scope<'p>>,
}

/// What a name means.
pub(super) enum Meaning<'s> {
    /// A column, or one of several.
    Column(Col),
    /// A whole row.
    Row(Vec<&'s Rte>),
    /// Nothing that we know.
    Nothing,
}

impl<'p> Scope<'p> {
    pub(super) fn levels(&self) -> impl Iterator<Item = &Scope<'p>> {
        std::iter::successors(Some(self), |scope| scope.parent)
    }

    /// What an unqualified name means: a column of the nearest level that has one, else a row.
    pub(super) fn unqualified(&self, name: &str) -> Meaning<'_> {
        let mut found: Option<Col> = None;
        for level in self.levels() {
            for column in level
                .from
                .star
                .iter()
                .filter(|column| &*column.name == name)
            {
                found = Some(found.map_or_else(|| column.clone(), |found| found.or(column)));
            }
            if found.is_none()
                && let Some(column) = system_column(name, level.from.rtes.iter())
            {
                found = Some(column);
            }
            if level.from.open {
                // It may be one of the unknown columns, or still come from further out.
                found = Some(found.map_or_else(
                    || Col::computed(name),
                    |found| found.or(&Col::computed(name)),
                ));
            } else if let Some(found) = found {
                return Meaning::Column(found);
            }
        }
        // Columns of every level come before rows of any.
        let rows = self.rows(None, name);
        if !rows.is_empty() {
            return Meaning::Row(rows);
        }
        found.map_or(Meaning::Nothing, Meaning::Column)
    }

    /// Everything in FROM that `schema.name` or `name` means at the nearest level that has it.
    pub(super) fn rows(&self, schema: Option<&str>, name: &str) -> Vec<&Rte> {
        for level in self.levels() {
            let fits = |rte: &&Rte| {
                rte.name.as_deref() == Some(name)
                    && schema.is_none_or(|schema| rte.schemas.iter().any(|s| &**s == schema))
            };
            let rows: Vec<_> = level.from.rtes.iter().filter(fits).collect();
            if !rows.is_empty() {
                return rows;
            }
        }
        Vec::new()
    }

    /// Whether any column in sight is sensitive.
    pub(super) fn carries_any(&self) -> bool {
        self.levels().any(|level| {
            level
                .from
                .rtes
                .iter()
                .flat_map(|rte| &rte.columns)
                .chain(&level.from.star)
                .any(|c| !c.carries.is_empty())
        })
    }
}

/// A column by its name, among rows that may be meant.
pub(super) fn column_of(rows: &[&Rte], name: &str) -> Option<Col> {
    let columns = rows
        .iter()
        .flat_map(|rte| &rte.columns)
        .filter(|column| &*column.name == name);
    let found = columns.fold(None, |found: Option<Col>, column| {
        Some(found.map_or_else(|| column.clone(), |found| found.or(column)))
    });
    let found = found.or_else(|| system_column(name, rows.iter().copied()));
    match found {
        None if rows.iter().any(|rte| rte.open) => Some(Col::computed(name)),
        found => found,
    }
}

/// `tableoid`, `ctid` and alike: of every relation, in no `*`.
fn system_column<'s>(name: &str, rtes: impl Iterator<Item = &'s Rte>) -> Option<Col> {
    let attnum = match name {
        "ctid" => -1,
        "xmin" => -2,
        "cmin" => -3,
        "xmax" => -4,
        "cmax" => -5,
        "tableoid" => -6,
        _ => return None,
    };
    let origins: Vec<_> = rtes
        .flat_map(|rte| &rte.relations)
        .map(|relation| ColumnId {
            relation: *relation,
            attnum,
        })
        .collect();
    (!origins.is_empty()).then(|| Col {
        name: name.into(),
        origins,
        carries: Vec::new(),
    })
}

/// A common table expression in sight.
#[derive(Clone, Debug)]
pub(super) struct Cte {
    pub(super) name: Arc<str>,
    /// `None`: of a WITH RECURSIVE list and not read yet.
    pub(super) columns: Option<Vec<Col>>,
    pub(super) open: bool,
}
