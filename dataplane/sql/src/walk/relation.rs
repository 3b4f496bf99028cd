//! Relations: what a name in FROM or after INTO can mean, and what touching it reaches.

use std::collections::BTreeSet;
use std::sync::Arc;

use pg_raw_parse::nodes::{Alias, RangeVar};
use weir_facts::{Action, ColumnId, RelationName, RelationOid, Resource};

use super::scope::{Col, Rte};
use super::{Walk, Walked};
use crate::Refusal;
use crate::catalog::Relation;
use crate::trust::carries_values;

impl<'a> Walk<'a> {
    /// Every relation that the name can mean, independent of `search_path`. Empty only
    /// where the session has made relations that we cannot see; the action is asked for the
    /// name as it is written then.
    pub(super) fn candidates(
        &mut self,
        range: &RangeVar,
        action: Action,
    ) -> Walked<Vec<&'a Relation>> {
        let name = range.relname().unwrap_or_default();
        let found = self.candidates_named(range.schemaname(), name, action);
        found.map_err(|refusal| match refusal {
            Refusal::UnknownRelation { name, at: None } if is_pointed_to(action) => {
                let at = usize::try_from(range.location).ok();
                Refusal::UnknownRelation { name, at }
            }
            refusal => refusal,
        })
    }

    pub(super) fn candidates_named(
        &mut self,
        schema: Option<&str>,
        name: &str,
        action: Action,
    ) -> Walked<Vec<&'a Relation>> {
        let all: Vec<&'a Relation> = self.catalog.by_name(name).collect();
        let fits = |relation: &&&Relation| match schema {
            Some("pg_temp") => relation.temporary,
            Some(schema) => &*relation.name.schema == schema,
            None => true,
        };
        let mut found: Vec<&'a Relation> = all.iter().filter(fits).copied().collect();
        // Nobody means information_schema without saying so, and its names are common ones.
        if schema.is_none()
            && found
                .iter()
                .any(|relation| &*relation.name.schema != "information_schema")
        {
            found.retain(|relation| &*relation.name.schema != "information_schema");
        }
        if found.is_empty() {
            if !self.session.uncommitted_ddl {
                let schema = schema
                    .map(|schema| format!("{schema}."))
                    .unwrap_or_default();
                let name = format!("{schema}{name}");
                return Err(Refusal::UnknownRelation { name, at: None });
            }
            let name = RelationName {
                schema: schema.unwrap_or_default().into(),
                name: name.into(),
            };
            self.ask(action, Resource::Table(name.clone()));
            self.unknown(Resource::Table(name));
        }
        Ok(found)
    }

    /// Asks for reading rows of a relation, and for everything that this runs.
    pub(super) fn read(&mut self, relation: &'a Relation) {
        let RelationName { schema, name } = &relation.name;
        let action = if carries_values(schema, name) {
            Action::PgReadStatistics
        } else {
            Action::PgSelect
        };
        self.ask(action, Resource::Table(relation.name.clone()));
        self.suspect(relation);
        for reached in self.reach(relation.oid, Follow::Views) {
            self.is_sensitive |= self.sensitive.holds(reached);
            self.read_through(reached);
        }
    }

    /// What a relation runs when it is read, itself or through a view.
    pub(super) fn read_through(&mut self, reached: RelationOid) {
        let catalog = self.catalog;
        if let Some(relation) = catalog.relation(reached)
            && carries_values(&relation.name.schema, &relation.name.name)
        {
            self.ask(
                Action::PgReadStatistics,
                Resource::Table(relation.name.clone()),
            );
        }
        let of_view = catalog
            .views
            .get(&reached)
            .into_iter()
            .flat_map(|view| &view.functions);
        for function in of_view {
            self.call(&function.schema, &function.name);
        }
        for function in catalog
            .code
            .get(&reached)
            .into_iter()
            .flat_map(|code| &code.on_read)
        {
            self.call(&function.schema, &function.name);
        }
    }

    /// Asks for writing to a relation, and for everything that this runs.
    pub(super) fn write(&mut self, relation: &'a Relation, action: Action) {
        self.writes = true;
        self.ask(action, Resource::Table(relation.name.clone()));
        self.suspect(relation);
        if relation.is_system() {
            self.unknown(Resource::Table(relation.name.clone()));
        }
        let catalog = self.catalog;
        for reached in self.reach(relation.oid, Follow::ViewsAndChildren) {
            self.is_sensitive |= self.sensitive.touches(reached);
            let Some(code) = catalog.code.get(&reached) else {
                continue;
            };
            for function in &code.on_write {
                self.call(&function.schema, &function.name);
            }
            if code.rewrites {
                self.unknown(Resource::Table(relation.name.clone()));
            }
        }
    }

    /// Asks for changing a relation's definition: its errors may quote rows.
    pub(super) fn define(&mut self, relation: &'a Relation, action: Action) {
        self.ask(action, Resource::Table(relation.name.clone()));
        for reached in self.reach(relation.oid, Follow::ViewsAndChildren) {
            self.is_sensitive |= self.sensitive.touches(reached);
        }
    }

    /// Inside a transaction that has changed the catalogue, no name is what we think it is.
    fn suspect(&mut self, relation: &Relation) {
        if self.session.uncommitted_ddl && !relation.is_system() && !self.sensitive.is_empty() {
            self.unknown(Resource::Table(relation.name.clone()));
        }
    }

    /// The relation and everything under it.
    fn reach(&self, relation: RelationOid, follow: Follow) -> BTreeSet<RelationOid> {
        let mut reached = BTreeSet::from([relation]);
        let mut open = vec![relation];
        while let Some(next) = open.pop() {
            let reads = self
                .catalog
                .views
                .get(&next)
                .into_iter()
                .flat_map(|view| &view.reads);
            let mut found: Vec<_> = reads.map(|read| read.relation).collect();
            if matches!(follow, Follow::ViewsAndChildren) {
                let children = self
                    .catalog
                    .inheritance
                    .iter()
                    .filter(|(_, parent)| *parent == next);
                found.extend(children.map(|(child, _)| *child));
            }
            open.extend(found.into_iter().filter(|oid| reached.insert(*oid)));
        }
        reached
    }

    /// The relation's columns, for FROM, RETURNING or a row's own expressions.
    pub(super) fn rte(&mut self, range: &RangeVar, candidates: &[&'a Relation]) -> Walked<Rte> {
        let alias = range.alias();
        let name: Arc<str> = alias
            .and_then(Alias::aliasname)
            .or(range.relname())
            .unwrap_or_default()
            .into();
        let mut rte = Rte {
            name: Some(name),
            schemas: Vec::new(),
            relations: candidates.iter().map(|relation| relation.oid).collect(),
            columns: Vec::new(),
            open: candidates.is_empty(),
        };
        if alias.is_none() {
            rte.schemas = candidates
                .iter()
                .map(|relation| Arc::clone(&relation.name.schema))
                .collect();
        }
        for relation in candidates {
            self.overlay(&mut rte, relation);
        }
        self.count_columns(rte.columns.len())?;
        if let Some(alias) = alias {
            self.rename(&mut rte, alias);
        }
        Ok(rte)
    }

    /// Adds a relation that the same name may mean.
    fn overlay(&mut self, rte: &mut Rte, relation: &Relation) {
        let columns: Vec<Col> = relation
            .columns
            .iter()
            .map(|column| self.column(relation.oid, column))
            .collect();
        if rte.columns.is_empty() {
            rte.columns = columns;
            return;
        }
        let same = rte.columns.len() == columns.len()
            && rte
                .columns
                .iter()
                .zip(&columns)
                .all(|(a, b)| a.name == b.name);
        // Two shapes under one name: by name we can tell, by position we cannot.
        rte.open |= !same;
        for column in columns {
            match rte
                .columns
                .iter_mut()
                .find(|known| known.name == column.name)
            {
                Some(known) => *known = known.clone().or(&column),
                None => rte.columns.push(column),
            }
        }
    }

    fn column(&self, relation: RelationOid, column: &crate::catalog::Column) -> Col {
        let id = ColumnId {
            relation,
            attnum: column.attnum,
        };
        let carries = if self.sensitive.mark(id).is_some() {
            vec![id]
        } else {
            Vec::new()
        };
        Col {
            name: Arc::clone(&column.name),
            origins: vec![id],
            carries,
        }
    }

    /// Applies an alias and its column list.
    pub(super) fn rename(&mut self, rte: &mut Rte, alias: &Alias) {
        if let Some(name) = alias.aliasname() {
            rte.name = Some(name.into());
            rte.schemas.clear();
        }
        if alias.colnames().is_empty() {
            return;
        }
        if rte.open && rte.columns.iter().any(|column| !column.carries.is_empty()) {
            // Names given by position over columns whose positions we do not know.
            self.unknown(Resource::Connection);
        }
        for (at, name) in alias.colnames().iter().enumerate() {
            let Some(name) = name.as_str() else { continue };
            match rte.columns.get_mut(at) {
                Some(column) => column.name = name.into(),
                None => rte.columns.push(Col::computed(name)),
            }
        }
    }
}

/// Which ways lead from a relation to others.
#[derive(Clone, Copy)]
enum Follow {
    Views,
    ViewsAndChildren,
}

/// Whether PostgreSQL says where a missing relation is written: it does where it parses a query,
/// and not where it looks names up for a utility.
const fn is_pointed_to(action: Action) -> bool {
    matches!(
        action,
        Action::PgSelect | Action::PgInsert | Action::PgUpdate | Action::PgDelete
    )
}
