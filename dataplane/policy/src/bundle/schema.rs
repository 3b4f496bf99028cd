//! The built-in schema and what can be looked up in it. Everything here is computed from the
//! schema's text, so that there is one place to change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema};
use weir_facts::Action;

/// The schema's text, as shipped.
pub(crate) const TEXT: &str = include_str!("weir.cedarschema");

/// The schema.
pub(crate) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let (schema, _warnings) =
        Schema::from_cedarschema_str(TEXT).expect("the embedded schema is parsed by a test");
    schema
});

/// Actions by the name of an action or of a group of actions.
static ACTIONS_IN: LazyLock<BTreeMap<String, Vec<Action>>> = LazyLock::new(|| {
    let entities = SCHEMA
        .action_entities()
        .expect("the embedded schema's actions are read by a test");
    let mut named: BTreeMap<String, Vec<Action>> = BTreeMap::new();
    for action in Action::ALL {
        named
            .entry(action.as_str().to_owned())
            .or_default()
            .push(*action);
        let uid = action_uid(*action);
        for ancestor in entities.ancestors(&uid).into_iter().flatten() {
            named
                .entry(ancestor.id().unescaped().to_owned())
                .or_default()
                .push(*action);
        }
    }
    named
});

/// Which types of resource an action has, by their names within the namespace.
static RESOURCES_OF: LazyLock<BTreeSet<(Action, String)>> = LazyLock::new(|| {
    SCHEMA
        .request_envs()
        .filter_map(|env| {
            let action = action_named(env.action().id().unescaped())?;
            Some((action, env.resource().basename().to_owned()))
        })
        .collect()
});

/// `Weir::Action::"…"`.
pub(crate) fn action_uid(action: Action) -> EntityUid {
    entity_uid("Action", action.as_str())
}

/// `Weir::<kind>::"<id>"`.
pub(crate) fn entity_uid(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(type_name(kind), EntityId::new(id))
}

/// `Weir::<kind>`, for the kinds of the schema.
pub(crate) fn type_name(kind: &str) -> EntityTypeName {
    format!("Weir::{kind}")
        .parse()
        .expect("kinds are identifiers that this crate spells")
}

/// The action of that name, groups excepted.
pub(crate) fn action_named(name: &str) -> Option<Action> {
    Action::ALL
        .iter()
        .copied()
        .find(|action| action.as_str() == name)
}

/// The actions that a policy's `action == …` or `action in …` names; empty for an unknown name.
pub(crate) fn actions_in(name: &str) -> &'static [Action] {
    ACTIONS_IN.get(name).map_or(&[], Vec::as_slice)
}

/// The groups that an action is in.
pub(crate) fn groups_of(action: Action) -> impl Iterator<Item = &'static str> {
    ACTIONS_IN
        .iter()
        .filter(move |(name, actions)| {
            name.as_str() != action.as_str() && actions.contains(&action)
        })
        .map(|(name, _)| name.as_str())
}

/// Whether an action has resources of this type.
pub(crate) fn applies_to(action: Action, kind: &str) -> bool {
    RESOURCES_OF
        .iter()
        .any(|(known, of)| *known == action && of == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_every_action_and_no_other() {
        let (_, warnings) = Schema::from_cedarschema_str(TEXT).expect("the schema parses");
        assert_eq!(
            warnings
                .map(|warning| warning.to_string())
                .collect::<Vec<_>>(),
            Vec::<String>::new()
        );
        let groups: BTreeSet<String> = SCHEMA
            .action_groups()
            .map(|uid| uid.id().unescaped().to_owned())
            .collect();
        let written: BTreeSet<String> = SCHEMA
            .actions()
            .map(|uid| uid.id().unescaped().to_owned())
            .collect();
        let known: BTreeSet<String> = Action::ALL
            .iter()
            .map(|action| action.as_str().to_owned())
            .collect();
        assert_eq!(
            written
                .difference(&groups)
                .cloned()
                .collect::<BTreeSet<_>>(),
            known
        );
        assert_eq!(
            groups.iter().map(String::as_str).collect::<Vec<_>>(),
            ["mcp.use", "pg.admin", "pg.ddl", "pg.read", "pg.write"]
        );
    }

    #[test]
    fn groups_hold_their_actions() {
        assert_eq!(actions_in("pg.read"), [Action::PgSelect, Action::PgCopyTo]);
        assert_eq!(actions_in("pg.select"), [Action::PgSelect]);
        assert_eq!(actions_in("pg.nothing"), []);
        assert_eq!(
            groups_of(Action::PgDelete).collect::<Vec<_>>(),
            ["pg.write"]
        );
        assert!(applies_to(Action::PgReveal, "Column"));
        assert!(applies_to(Action::PgReveal, "DataClass"));
        assert!(!applies_to(Action::PgReveal, "Table"));
    }
}
