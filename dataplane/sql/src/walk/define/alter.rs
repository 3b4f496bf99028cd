//! ALTER TABLE, RENAME and SET SCHEMA. Labels name columns by schema, relation and name,
//! so that moving a sensitive column away from its label is inferring it.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{
    AlterObjectSchemaStmt, AlterTableCmd, AlterTableStmt, RangeVar, RenameStmt,
};
use pg_raw_parse::raw::{AlterTableType, ObjectType};
use weir_facts::{Action, ColumnId, Resource};

use crate::Refusal;
use crate::catalog::Relation;
use crate::walk::scope::{From, Scope};
use crate::walk::{Walk, Walked};

impl<'a> Walk<'a> {
    pub(super) fn alter_table(&mut self, alter: &AlterTableStmt) -> Walked<()> {
        let Some(range) = alter.relation() else {
            self.unknown(Resource::Connection);
            return Ok(());
        };
        let has_rows = !matches!(
            alter.objtype,
            ObjectType::OBJECT_INDEX | ObjectType::OBJECT_TYPE
        );
        let candidates = self.altered(range, !has_rows || alter.missing_ok)?;
        let rte = self.rte(range, &candidates)?;
        let scope = Scope {
            from: From::one(rte),
            parent: None,
        };
        for command in alter.cmds() {
            match command {
                Node::AlterTableCmd(command) => self.alter_command(command, &candidates, &scope)?,
                _ => self.unknown(Resource::Connection),
            }
        }
        Ok(())
    }

    /// The relations that are changed; as written where there are none.
    fn altered(&mut self, range: &RangeVar, may_miss: bool) -> Walked<Vec<&'a Relation>> {
        let candidates = match self.candidates(range, Action::PgAlterTable) {
            Err(Refusal::UnknownRelation { .. }) if may_miss => Vec::new(),
            found => found?,
        };
        for relation in &candidates {
            self.define(relation, Action::PgAlterTable);
        }
        if candidates.is_empty() {
            self.ask(
                Action::PgAlterTable,
                Resource::Table(Self::written_name(range)),
            );
        }
        Ok(candidates)
    }

    fn alter_command(
        &mut self,
        command: &AlterTableCmd,
        relations: &[&'a Relation],
        scope: &Scope<'_>,
    ) -> Walked<()> {
        match command.subtype {
            // These cut a tie that the closure runs along.
            AlterTableType::AT_DetachPartition
            | AlterTableType::AT_DetachPartitionFinalize
            | AlterTableType::AT_DropInherit
            | AlterTableType::AT_DropConstraint
            | AlterTableType::AT_DropExpression
            | AlterTableType::AT_SetExpression => relations
                .iter()
                .for_each(|relation| self.infer_relation(relation)),
            AlterTableType::AT_ChangeOwner
            | AlterTableType::AT_EnableRowSecurity
            | AlterTableType::AT_DisableRowSecurity
            | AlterTableType::AT_ForceRowSecurity
            | AlterTableType::AT_NoForceRowSecurity => {
                for relation in relations {
                    self.ask(Action::PgGrant, Resource::Table(relation.name.clone()));
                }
            }
            _ => {}
        }
        match command.def() {
            Node::ColumnDef(column) => self.column_def(column, scope),
            Node::Constraint(constraint) => self.constraint(constraint, scope),
            Node::RangeVar(range) => {
                let candidates = self.candidates(range, Action::PgAlterTable)?;
                candidates
                    .into_iter()
                    .for_each(|relation| self.define(relation, Action::PgAlterTable));
                Ok(())
            }
            Node::PartitionCmd(partition) => {
                for relation in partition.name().map_or(Ok(Vec::new()), |range| {
                    self.candidates(range, Action::PgAlterTable)
                })? {
                    self.define(relation, Action::PgAlterTable);
                    if command.subtype != AlterTableType::AT_AttachPartition {
                        self.infer_relation(relation);
                    }
                }
                Ok(())
            }
            Node::None
            | Node::NodeList(_)
            | Node::String(_)
            | Node::Integer(_)
            | Node::TypeName(_)
            | Node::RoleSpec(_)
            | Node::ATAlterConstraint(_)
            | Node::ReplicaIdentityStmt(_)
            | Node::DefElem(_) => Ok(()),
            expression => self.expression(expression, scope),
        }
    }

    fn infer_relation(&mut self, relation: &Relation) {
        for column in &relation.columns {
            let id = ColumnId {
                relation: relation.oid,
                attnum: column.attnum,
            };
            if self.sensitive.mark(id).is_some() {
                self.infer(&[id]);
            }
        }
    }

    pub(super) fn rename_object(&mut self, rename: &RenameStmt) -> Walked<()> {
        if rename.rename_type == ObjectType::OBJECT_SCHEMA {
            self.ask(Action::PgDefineOther, Resource::Connection);
            self.infer_schema(rename.subname());
            return Ok(());
        }
        let Some(range) = rename.relation() else {
            self.ask(Action::PgDefineCode, Resource::Connection);
            return Ok(());
        };
        let may_miss = rename.missing_ok
            || matches!(
                rename.rename_type,
                ObjectType::OBJECT_INDEX | ObjectType::OBJECT_ATTRIBUTE | ObjectType::OBJECT_TYPE
            );
        for relation in self.altered(range, may_miss)? {
            match (rename.rename_type, rename.subname()) {
                (ObjectType::OBJECT_COLUMN, Some(name)) => {
                    if let Some(column) = relation.column_named(name) {
                        let id = ColumnId {
                            relation: relation.oid,
                            attnum: column.attnum,
                        };
                        if self.sensitive.mark(id).is_some() {
                            self.infer(&[id]);
                        }
                    }
                }
                (
                    ObjectType::OBJECT_TABCONSTRAINT
                    | ObjectType::OBJECT_TRIGGER
                    | ObjectType::OBJECT_POLICY,
                    _,
                ) => {}
                _ => self.infer_relation(relation),
            }
        }
        Ok(())
    }

    pub(super) fn move_object(&mut self, alter: &AlterObjectSchemaStmt) -> Walked<()> {
        let Some(range) = alter.relation() else {
            self.ask(Action::PgDefineCode, Resource::Connection);
            return Ok(());
        };
        for relation in self.altered(range, alter.missing_ok)? {
            self.infer_relation(relation);
        }
        Ok(())
    }

    fn infer_schema(&mut self, schema: Option<&str>) {
        let catalog = self.catalog;
        for relation in catalog
            .relations
            .values()
            .filter(|relation| Some(&*relation.name.schema) == schema)
        {
            self.infer_relation(relation);
        }
    }
}
