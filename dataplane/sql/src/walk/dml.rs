//! INSERT, UPDATE, DELETE, MERGE. Writing a constant to a sensitive column tells nothing;
//! reading one anywhere but as a bare RETURNING column does.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{
    DeleteStmt, InsertStmt, MergeStmt, MergeWhenClause, OnConflictClause, RangeVar, ResTarget,
    ReturningClause, UpdateStmt,
};
use pg_raw_parse::raw::{CmdType, OnConflictAction, ReturningOptionKind};
use weir_facts::{Action, Resource};

use super::scope::{Col, From, Rte, Scope};
use super::{Walk, Walked};
use crate::catalog::Relation;

impl<'a> Walk<'a> {
    /// The relation that a statement writes to.
    fn written(
        &mut self,
        range: Option<&RangeVar>,
        action: Action,
    ) -> Walked<(Vec<&'a Relation>, Rte)> {
        let Some(range) = range else {
            self.unknown(Resource::Connection);
            return Ok((
                Vec::new(),
                Rte {
                    open: true,
                    ..Rte::default()
                },
            ));
        };
        let candidates = self.candidates(range, action)?;
        self.writes = true;
        for relation in &candidates {
            self.write(relation, action);
        }
        let rte = self.rte(range, &candidates)?;
        Ok((candidates, rte))
    }

    fn read_all(&mut self, relations: &[&'a Relation]) {
        for relation in relations {
            self.read(relation);
        }
    }

    pub(super) fn insert(
        &mut self,
        insert: &InsertStmt,
        outer: Option<&Scope<'_>>,
    ) -> Walked<Vec<Col>> {
        let sight = self.ctes.len();
        self.with(insert.with_clause(), outer)?;
        let (relations, rte) = self.written(insert.relation(), Action::PgInsert)?;
        let scope = Scope {
            from: From::one(rte.clone()),
            parent: outer,
        };
        for column in insert.cols() {
            if let Node::ResTarget(column) = column {
                self.subscripts_of(column, &scope)?;
            }
        }
        if !matches!(insert.select_stmt(), Node::None) {
            let columns = self.query(insert.select_stmt(), outer)?;
            self.infer_all(&columns);
        }
        if let Some(conflict) = insert.on_conflict_clause() {
            self.on_conflict(conflict, &relations, &rte, outer)?;
        }
        let columns = self.returning(
            insert.returning_clause(),
            &relations,
            &rte,
            From::one(rte.clone()),
            outer,
        )?;
        self.ctes.truncate(sight);
        Ok(columns)
    }

    fn on_conflict(
        &mut self,
        conflict: &OnConflictClause,
        relations: &[&'a Relation],
        target: &Rte,
        outer: Option<&Scope<'_>>,
    ) -> Walked<()> {
        let own = Scope {
            from: From::one(target.clone()),
            parent: outer,
        };
        if let Some(infer) = conflict.infer() {
            for element in infer.index_elems() {
                self.index_element(element, &own)?;
            }
            self.expression(infer.where_clause(), &own)?;
        }
        if conflict.action != OnConflictAction::ONCONFLICT_UPDATE {
            return Ok(());
        }
        for relation in relations {
            self.write(relation, Action::PgUpdate);
        }
        // What was to be inserted is the client's own, or was inferred from where it came.
        let mut excluded = Rte {
            name: Some("excluded".into()),
            schemas: Vec::new(),
            ..target.clone()
        };
        excluded
            .columns
            .iter_mut()
            .for_each(|column| column.carries.clear());
        // `excluded` is reached by its name only: an unqualified name is the target's.
        let mut from = From::one(target.clone());
        from.rtes.push(excluded);
        let scope = Scope {
            from,
            parent: outer,
        };
        self.assignments(conflict.target_list().iter(), &scope)?;
        self.expression(conflict.where_clause(), &scope)
    }

    /// Column names and expressions of an index, or of a conflict target.
    pub(super) fn index_element(&mut self, element: Node<'_>, scope: &Scope<'_>) -> Walked<()> {
        let Node::IndexElem(element) = element else {
            self.unknown(Resource::Connection);
            return Ok(());
        };
        if let Some(name) = element.name() {
            for column in scope
                .from
                .star
                .iter()
                .filter(|column| &*column.name == name)
            {
                self.infer(&column.carries);
            }
        }
        self.expression(element.expr(), scope)
    }

    fn assignments<'n>(
        &mut self,
        targets: impl Iterator<Item = &'n ResTarget>,
        scope: &Scope<'_>,
    ) -> Walked<()> {
        for target in targets {
            self.subscripts_of(target, scope)?;
            self.expression(target.val(), scope)?;
        }
        Ok(())
    }

    /// `SET c[i] = …` keeps the rest of the old value, but shows it to nobody.
    fn subscripts_of(&mut self, target: &ResTarget, scope: &Scope<'_>) -> Walked<()> {
        for step in target.indirection() {
            if matches!(step, Node::A_Indices(_)) {
                self.expression(step, scope)?;
            }
        }
        Ok(())
    }

    pub(super) fn update(
        &mut self,
        update: &UpdateStmt,
        outer: Option<&Scope<'_>>,
    ) -> Walked<Vec<Col>> {
        let sight = self.ctes.len();
        self.with(update.with_clause(), outer)?;
        let (relations, rte) = self.written(update.relation(), Action::PgUpdate)?;
        let others = self.list_of_from(update.from_clause(), outer)?;
        let scope = Scope {
            from: From::one(rte.clone()).and(&others),
            parent: outer,
        };
        self.assignments(update.target_list().iter(), &scope)?;
        self.condition(update.where_clause(), &scope)?;
        let reads = !matches!(update.where_clause(), Node::None)
            || update
                .target_list()
                .iter()
                .any(|target| !is_value(target.val()));
        if reads {
            self.read_all(&relations);
        }
        let columns = self.returning(
            update.returning_clause(),
            &relations,
            &rte,
            scope.from,
            outer,
        )?;
        self.ctes.truncate(sight);
        Ok(columns)
    }

    pub(super) fn delete(
        &mut self,
        delete: &DeleteStmt,
        outer: Option<&Scope<'_>>,
    ) -> Walked<Vec<Col>> {
        let sight = self.ctes.len();
        self.with(delete.with_clause(), outer)?;
        let (relations, rte) = self.written(delete.relation(), Action::PgDelete)?;
        let others = self.list_of_from(delete.using_clause(), outer)?;
        let scope = Scope {
            from: From::one(rte.clone()).and(&others),
            parent: outer,
        };
        self.condition(delete.where_clause(), &scope)?;
        if !matches!(delete.where_clause(), Node::None) {
            self.read_all(&relations);
        }
        let columns = self.returning(
            delete.returning_clause(),
            &relations,
            &rte,
            scope.from,
            outer,
        )?;
        self.ctes.truncate(sight);
        Ok(columns)
    }

    pub(super) fn merge(
        &mut self,
        merge: &MergeStmt,
        outer: Option<&Scope<'_>>,
    ) -> Walked<Vec<Col>> {
        let sight = self.ctes.len();
        self.with(merge.with_clause(), outer)?;
        let Some(range) = merge.relation() else {
            self.unknown(Resource::Connection);
            return Ok(Vec::new());
        };
        let relations = self.candidates(range, Action::PgSelect)?;
        self.writes = true;
        if relations.is_empty() {
            for action in [Action::PgInsert, Action::PgUpdate, Action::PgDelete] {
                self.ask(action, Resource::Table(Self::written_name(range)));
            }
        }
        self.read_all(&relations);
        let rte = self.rte(range, &relations)?;
        let source = self.item_of_from(merge.source_relation(), outer, &From::default())?;
        // RETURNING * shows the source before the target.
        let scope = Scope {
            from: source.and(&From::one(rte.clone())),
            parent: outer,
        };
        self.expression(merge.join_condition(), &scope)?;
        for when in merge.merge_when_clauses() {
            self.merge_when(when, &relations, &scope)?;
        }
        let columns = self.returning(
            merge.returning_clause(),
            &relations,
            &rte,
            scope.from,
            outer,
        )?;
        self.ctes.truncate(sight);
        Ok(columns)
    }

    fn merge_when(
        &mut self,
        when: &MergeWhenClause,
        relations: &[&'a Relation],
        scope: &Scope<'_>,
    ) -> Walked<()> {
        let action = match when.command_type {
            CmdType::CMD_INSERT => Some(Action::PgInsert),
            CmdType::CMD_UPDATE => Some(Action::PgUpdate),
            CmdType::CMD_DELETE => Some(Action::PgDelete),
            CmdType::CMD_NOTHING => None,
            _ => Some(Action::PgUnknown),
        };
        for relation in relations {
            if let Some(action) = action {
                self.write(relation, action);
            }
        }
        self.expression(when.condition(), scope)?;
        self.expressions(when.target_list(), scope)?;
        self.expressions(when.values(), scope)
    }

    /// RETURNING: bare columns pass, as in a SELECT.
    fn returning(
        &mut self,
        clause: Option<&ReturningClause>,
        relations: &[&'a Relation],
        target: &Rte,
        mut from: From,
        outer: Option<&Scope<'_>>,
    ) -> Walked<Vec<Col>> {
        let Some(clause) = clause else {
            return Ok(Vec::new());
        };
        self.read_all(relations);
        let mut names = ["old".to_owned(), "new".to_owned()];
        for option in clause.options() {
            let slot = match option.option {
                ReturningOptionKind::RETURNING_OPTION_OLD => 0,
                _ => 1,
            };
            if let (Some(name), Some(value)) = (names.get_mut(slot), option.value()) {
                value.clone_into(name);
            }
        }
        for name in names {
            if !from
                .rtes
                .iter()
                .any(|rte| rte.name.as_deref() == Some(name.as_str()))
            {
                from.rtes.push(Rte {
                    name: Some(name.into()),
                    schemas: Vec::new(),
                    ..target.clone()
                });
            }
        }
        let scope = Scope {
            from,
            parent: outer,
        };
        let mut outputs = Vec::new();
        for target in clause.exprs() {
            let Node::ResTarget(target) = target else {
                self.unknown(Resource::Connection);
                continue;
            };
            outputs.extend(self.target(target.val(), target.name(), &scope)?);
        }
        Ok(outputs)
    }
}

/// A value that reads no column.
fn is_value(node: Node<'_>) -> bool {
    match node {
        Node::A_Const(_)
        | Node::ParamRef(_)
        | Node::SetToDefault(_)
        | Node::SQLValueFunction(_) => true,
        Node::TypeCast(cast) => matches!(cast.arg(), Node::A_Const(_) | Node::ParamRef(_)),
        _ => false,
    }
}
