//! Definitions, privileges and maintenance.

mod alter;
mod table;

use pg_raw_parse::nodes::{DropStmt, GrantStmt, IndexStmt, RangeVar, ViewStmt};
use pg_raw_parse::raw::ObjectType;
use pg_raw_parse::{Node, list};
use weir_facts::{Action, RelationName, Resource};

use super::scope::{From, Scope};
use super::{Facts, Walk, Walked, qualified, strings};
use crate::StatementKind;
use crate::trust::is_harmless_function;

impl<'a> Walk<'a> {
    pub(super) fn define_statement(&mut self, node: Node<'_>) -> Walked<Facts> {
        if let Some((word, actions)) = by_connection(node) {
            for action in actions {
                self.ask(*action, Resource::Connection);
            }
            self.is_sensitive |= !self.sensitive.is_empty();
            return Ok(defines(
                word,
                !matches!(actions, [Action::PgGrant] | [Action::PgMaintain]),
            ));
        }
        match node {
            Node::CreateStmt(create) => self
                .create_table(create)
                .map(|()| defines("CREATE TABLE", true)),
            Node::CreateTableAsStmt(create) => self.create_table_as(create),
            Node::ViewStmt(view) => self.create_view(view),
            Node::AlterTableStmt(alter) => self
                .alter_table(alter)
                .map(|()| defines("ALTER TABLE", true)),
            Node::RenameStmt(rename) => {
                self.rename_object(rename).map(|()| defines("RENAME", true))
            }
            Node::AlterObjectSchemaStmt(alter) => self
                .move_object(alter)
                .map(|()| defines("SET SCHEMA", true)),
            Node::DropStmt(drop) => Ok(self.drop_objects(drop)),
            Node::IndexStmt(index) => self.create_index(index),
            Node::GrantStmt(grant) => Ok(self.grant(grant)),
            Node::CreateTrigStmt(trigger) => self.code_on(
                trigger.relation(),
                Some(trigger.funcname()),
                "CREATE TRIGGER",
            ),
            Node::RuleStmt(rule) => self.code_on(rule.relation(), None, "CREATE RULE"),
            Node::CreatePolicyStmt(policy) => {
                self.ask(Action::PgGrant, Resource::Connection);
                self.code_on(policy.table(), None, "CREATE POLICY")
            }
            Node::AlterPolicyStmt(policy) => {
                self.ask(Action::PgGrant, Resource::Connection);
                self.code_on(policy.table(), None, "ALTER POLICY")
            }
            Node::CreateFunctionStmt(function) => Ok(self.define_function(function.funcname())),
            Node::CreateSchemaStmt(schema) => self.create_schema(schema.schema_elts()),
            Node::RefreshMatViewStmt(refresh) => self.maintain(refresh.relation().into_iter()),
            Node::ClusterStmt(cluster) => self.maintain(cluster.relation().into_iter()),
            Node::VacuumStmt(vacuum) => {
                self.maintain(vacuum.rels().iter().filter_map(|rel| rel.relation()))
            }
            Node::ReindexStmt(_) | Node::CheckPointStmt(_) => self.maintain(std::iter::empty()),
            _ => {
                self.unknown(Resource::Connection);
                Ok(Facts {
                    changes_catalog: true,
                    ..Facts::of(StatementKind::Unknown("statement"))
                })
            }
        }
    }

    /// A name as written, for what is not there yet.
    pub(super) fn written_name(range: &RangeVar) -> RelationName {
        let temporary = u8::try_from(range.relpersistence) == Ok(b't');
        let schema = range
            .schemaname()
            .unwrap_or(if temporary { "pg_temp" } else { "" });
        RelationName {
            schema: schema.into(),
            name: range.relname().unwrap_or_default().into(),
        }
    }

    fn create_view(&mut self, view: &ViewStmt) -> Walked<Facts> {
        if let Some(range) = view.view() {
            self.ask(
                Action::PgDefineCode,
                Resource::Table(Self::written_name(range)),
            );
        }
        // Its bare columns join the closure when the catalogue is read again; anything else
        // was inferred on the way.
        self.query(view.query(), None)?;
        Ok(defines("CREATE VIEW", true))
    }

    fn create_index(&mut self, index: &IndexStmt) -> Walked<Facts> {
        let Some(range) = index.relation() else {
            self.unknown(Resource::Connection);
            return Ok(defines("CREATE INDEX", true));
        };
        let candidates = self.candidates(range, Action::PgCreateIndex)?;
        for relation in &candidates {
            self.define(relation, Action::PgCreateIndex);
        }
        let rte = self.rte(range, &candidates)?;
        let scope = Scope {
            from: From::one(rte),
            parent: None,
        };
        for element in index.index_params() {
            self.expression(element.expr(), &scope)?;
        }
        self.expression(index.where_clause(), &scope)?;
        Ok(defines("CREATE INDEX", true))
    }

    fn code_on(
        &mut self,
        range: Option<&RangeVar>,
        function: Option<&list::NodeList>,
        word: &'static str,
    ) -> Walked<Facts> {
        let Some(range) = range else {
            self.unknown(Resource::Connection);
            return Ok(defines(word, true));
        };
        for relation in self.candidates(range, Action::PgDefineCode)? {
            self.define(relation, Action::PgDefineCode);
        }
        if let Some((schema, name)) = function.and_then(strings).as_deref().and_then(qualified) {
            self.function_name(schema, name);
        }
        Ok(defines(word, true))
    }

    fn define_function(&mut self, names: &list::NodeList) -> Facts {
        match strings(names).as_deref().and_then(qualified) {
            Some((schema, name)) => {
                // One that stands for the server's own, or replaces it, would be taken for it.
                let is_system = match schema {
                    Some(schema) => matches!(schema, "pg_catalog" | "information_schema"),
                    None => is_harmless_function(name),
                };
                let name = RelationName {
                    schema: schema.unwrap_or_default().into(),
                    name: name.into(),
                };
                if is_system {
                    self.unknown(Resource::Function(name.clone()));
                }
                self.ask(Action::PgDefineCode, Resource::Function(name));
            }
            None => self.ask(Action::PgDefineCode, Resource::Connection),
        }
        self.is_sensitive |= !self.sensitive.is_empty();
        defines("CREATE FUNCTION", true)
    }

    fn create_schema(&mut self, elements: &list::NodeList) -> Walked<Facts> {
        self.ask(Action::PgDefineOther, Resource::Connection);
        for element in elements {
            self.deeper(|walk| walk.any_statement(element))?;
        }
        Ok(defines("CREATE SCHEMA", true))
    }

    /// DROP names things that need not exist.
    fn drop_objects(&mut self, drop: &DropStmt) -> Facts {
        let action = match drop.remove_type {
            ObjectType::OBJECT_TABLE | ObjectType::OBJECT_FOREIGN_TABLE => Action::PgDropTable,
            _ => Action::PgDropObject,
        };
        let of_relation = matches!(
            drop.remove_type,
            ObjectType::OBJECT_TABLE
                | ObjectType::OBJECT_FOREIGN_TABLE
                | ObjectType::OBJECT_VIEW
                | ObjectType::OBJECT_MATVIEW
                | ObjectType::OBJECT_SEQUENCE
        );
        for object in drop.objects() {
            let names = object
                .as_node_list()
                .filter(|_| of_relation)
                .and_then(strings);
            match names.as_deref().and_then(qualified) {
                Some((schema, name)) => self.drop_relation(schema, name, action),
                None => self.ask(action, Resource::Connection),
            }
        }
        self.is_sensitive |= !self.sensitive.is_empty();
        defines("DROP", true)
    }

    fn drop_relation(&mut self, schema: Option<&str>, name: &str, action: Action) {
        match self.candidates_named(schema, name, action) {
            Ok(candidates) if !candidates.is_empty() => {
                candidates
                    .into_iter()
                    .for_each(|relation| self.define(relation, action));
            }
            _ => {
                let name = RelationName {
                    schema: schema.unwrap_or_default().into(),
                    name: name.into(),
                };
                self.ask(action, Resource::Table(name));
            }
        }
    }

    /// Privileges on tables are asked per table. The list is not read where its elements
    /// are of another kind.
    fn grant(&mut self, grant: &GrantStmt) -> Facts {
        self.ask(Action::PgGrant, Resource::Connection);
        if grant.objtype == ObjectType::OBJECT_TABLE && grant.targtype == 0 {
            for range in grant.objects() {
                let candidates = self.candidates(range, Action::PgGrant).unwrap_or_default();
                for relation in candidates {
                    self.ask(Action::PgGrant, Resource::Table(relation.name.clone()));
                }
            }
        }
        defines("GRANT", false)
    }

    fn maintain<'n>(&mut self, ranges: impl Iterator<Item = &'n RangeVar>) -> Walked<Facts> {
        let mut named = false;
        for range in ranges {
            named = true;
            for relation in self.candidates(range, Action::PgMaintain)? {
                self.define(relation, Action::PgMaintain);
                self.read_through(relation.oid);
            }
        }
        if !named {
            self.ask(Action::PgMaintain, Resource::Connection);
        }
        self.is_sensitive |= !self.sensitive.is_empty();
        Ok(Facts::of(StatementKind::Maintain))
    }
}

pub(super) fn defines(word: &'static str, changes_catalog: bool) -> Facts {
    Facts {
        changes_catalog,
        ..Facts::of(StatementKind::Ddl(word))
    }
}

/// Statements that are asked on the connection as a whole, whatever they name.
#[rustfmt::skip]
fn by_connection(node: Node<'_>) -> Option<(&'static str, &'static [Action])> {
    use Action::{
        PgAlterTable, PgCreateTable, PgDefineCode, PgDefineOther, PgDropObject, PgExecuteCode, PgGrant, PgSet, PgUnknown,
    };
    Some(match node {
        Node::CreateRoleStmt(_) | Node::AlterRoleStmt(_) | Node::AlterRoleSetStmt(_) | Node::DropRoleStmt(_) => ("ROLE", &[PgGrant]),
        Node::GrantRoleStmt(_) | Node::AlterDefaultPrivilegesStmt(_) => ("GRANT", &[PgGrant]),
        Node::AlterOwnerStmt(_) | Node::ReassignOwnedStmt(_) => ("OWNER", &[PgGrant]),
        Node::DropOwnedStmt(_) => ("DROP OWNED", &[PgGrant, PgDropObject]),
        Node::CommentStmt(_) | Node::SecLabelStmt(_) => ("COMMENT", &[PgDefineOther]),
        Node::AlterFunctionStmt(_) => ("ALTER FUNCTION", &[PgDefineCode]),
        Node::CreateOpClassStmt(_) | Node::CreateOpFamilyStmt(_) | Node::AlterOpFamilyStmt(_) | Node::AlterOperatorStmt(_) => ("OPERATOR", &[PgDefineCode]),
        Node::CreateCastStmt(_) | Node::CreateTransformStmt(_) | Node::CreateConversionStmt(_) => ("CAST", &[PgDefineCode]),
        Node::CreatePLangStmt(_) | Node::CreateAmStmt(_) => ("LANGUAGE", &[PgDefineCode]),
        Node::CreateEventTrigStmt(_) | Node::AlterEventTrigStmt(_) => ("EVENT TRIGGER", &[PgDefineCode]),
        Node::CreateExtensionStmt(_) | Node::AlterExtensionStmt(_) => ("EXTENSION", &[PgDefineCode]),
        // What belongs to an extension is trusted for more than what a user makes.
        Node::AlterExtensionContentsStmt(_) => ("EXTENSION", &[PgDefineCode, PgUnknown]),
        // CREATE AGGREGATE, OPERATOR, TYPE, TEXT SEARCH …, COLLATION.
        Node::DefineStmt(_) => ("DEFINE", &[PgDefineCode]),
        Node::CreateDomainStmt(_) | Node::AlterDomainStmt(_) => ("DOMAIN", &[PgDefineCode]),
        Node::CompositeTypeStmt(_) | Node::CreateEnumStmt(_) | Node::CreateRangeStmt(_) | Node::AlterEnumStmt(_) | Node::AlterTypeStmt(_) => ("TYPE", &[PgDefineOther]),
        Node::CreateSeqStmt(_) | Node::AlterSeqStmt(_) => ("SEQUENCE", &[PgDefineOther]),
        Node::CreateStatsStmt(_) | Node::AlterStatsStmt(_) => ("STATISTICS", &[PgDefineOther]),
        Node::AlterTSDictionaryStmt(_) | Node::AlterTSConfigurationStmt(_) => ("TEXT SEARCH", &[PgDefineOther]),
        Node::AlterCollationStmt(_) | Node::AlterObjectDependsStmt(_) => ("ALTER", &[PgDefineOther]),
        Node::AlterTableMoveAllStmt(_) => ("ALTER TABLE", &[PgAlterTable]),
        // Ways for rows to leave the server by another door.
        Node::CreateFdwStmt(_) | Node::AlterFdwStmt(_) | Node::CreateForeignServerStmt(_) | Node::AlterForeignServerStmt(_) => ("FOREIGN SERVER", &[PgDefineOther, PgGrant]),
        Node::CreateUserMappingStmt(_) | Node::AlterUserMappingStmt(_) | Node::DropUserMappingStmt(_) => ("USER MAPPING", &[PgDefineOther, PgGrant]),
        Node::ImportForeignSchemaStmt(_) => ("IMPORT FOREIGN SCHEMA", &[PgDefineOther, PgCreateTable]),
        Node::CreatePublicationStmt(_) | Node::AlterPublicationStmt(_) => ("PUBLICATION", &[PgDefineOther, PgGrant]),
        Node::CreateSubscriptionStmt(_) | Node::AlterSubscriptionStmt(_) | Node::DropSubscriptionStmt(_) => ("SUBSCRIPTION", &[PgDefineOther, PgGrant]),
        // The server as a whole.
        Node::CreatedbStmt(_) | Node::AlterDatabaseStmt(_) | Node::AlterDatabaseRefreshCollStmt(_) | Node::AlterDatabaseSetStmt(_) => ("DATABASE", &[PgDefineOther, PgGrant]),
        Node::DropdbStmt(_) => ("DROP DATABASE", &[PgDropObject]),
        Node::CreateTableSpaceStmt(_) | Node::AlterTableSpaceOptionsStmt(_) => ("TABLESPACE", &[PgDefineOther, PgGrant]),
        Node::DropTableSpaceStmt(_) => ("DROP TABLESPACE", &[PgDropObject]),
        Node::AlterSystemStmt(_) => ("ALTER SYSTEM", &[PgSet, PgGrant, PgUnknown]),
        Node::LoadStmt(_) => ("LOAD", &[PgExecuteCode]),
        _ => return None,
    })
}
