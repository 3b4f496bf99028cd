//! Facts as Cedar entities.
//!
//! A question brings its own small store: the principal, the resources asked for, the actions,
//! and what the context refers to. Each entity has all its ancestors as parents, so nothing of
//! the hierarchy above it has to be in the store, whose size is that of the question.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use weir_facts::{
    Action, Agent, ColumnName, ConnectionName, Digest, Group, Identity, RelationName, Resource,
    Workload,
};

use crate::Reads;
use crate::bundle::schema;

/// The entity types, resolved once.
#[derive(Debug)]
pub(crate) struct Types {
    pub(crate) group: EntityTypeName,
    user: EntityTypeName,
    service_account: EntityTypeName,
    workload: EntityTypeName,
    agent: EntityTypeName,
    pub(crate) connection: EntityTypeName,
    schema: EntityTypeName,
    table: EntityTypeName,
    column: EntityTypeName,
    function: EntityTypeName,
    parameter: EntityTypeName,
    mcp_server: EntityTypeName,
    pub(crate) tool: EntityTypeName,
    mcp_resource: EntityTypeName,
    prompt: EntityTypeName,
    data_class: EntityTypeName,
}

impl Types {
    pub(crate) fn new() -> Self {
        Self {
            group: schema::type_name("Group"),
            user: schema::type_name("User"),
            service_account: schema::type_name("ServiceAccount"),
            workload: schema::type_name("Workload"),
            agent: schema::type_name("Agent"),
            connection: schema::type_name("Connection"),
            schema: schema::type_name("Schema"),
            table: schema::type_name("Table"),
            column: schema::type_name("Column"),
            function: schema::type_name("Function"),
            parameter: schema::type_name("Parameter"),
            mcp_server: schema::type_name("McpServer"),
            tool: schema::type_name("Tool"),
            mcp_resource: schema::type_name("McpResource"),
            prompt: schema::type_name("Prompt"),
            data_class: schema::type_name("DataClass"),
        }
    }
}

/// `Weir::<kind>::"<id>"`.
pub(crate) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// An entity before it is put into a store. Its attributes are only borrowed: most policies read
/// none, and then none is built.
pub(crate) struct Described<'a> {
    pub(crate) uid: EntityUid,
    attributes: Vec<(&'static str, Attribute<'a>)>,
    parents: HashSet<EntityUid>,
}

enum Attribute<'a> {
    Text(&'a str),
    Long(u32),
    Digest(Digest),
}

impl Attribute<'_> {
    fn value(&self) -> RestrictedExpression {
        match self {
            Self::Text(text) => RestrictedExpression::new_string((*text).to_owned()),
            Self::Long(number) => RestrictedExpression::new_long(i64::from(*number)),
            Self::Digest(digest) => RestrictedExpression::new_string(digest.to_string()),
        }
    }
}

impl Described<'_> {
    /// The entity without its attributes, for policies that read none.
    pub(crate) fn bare(self) -> Entity {
        Entity::new_no_attrs(self.uid, self.parents)
    }

    /// The entity; `None` if Cedar cannot evaluate an attribute, which these constants rule out.
    pub(crate) fn entity(self) -> Option<Entity> {
        let attributes: HashMap<String, RestrictedExpression> = self
            .attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.value()))
            .collect();
        Entity::new(self.uid, attributes, self.parents).ok()
    }
}

fn string(text: &str) -> Attribute<'_> {
    Attribute::Text(text)
}

/// Each group with every group above it, itself included, and the groups that policies name.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    closed: HashMap<Group, Vec<EntityUid>>,
    named: HashMap<Group, EntityUid>,
}

impl Groups {
    /// Closes the memberships. A cycle means that its groups have the same members.
    pub(crate) fn close(
        types: &Types,
        groups: &[(Group, Vec<Group>)],
        named: HashSet<Group>,
    ) -> Self {
        let direct: HashMap<&Group, &Vec<Group>> =
            groups.iter().map(|(group, above)| (group, above)).collect();
        let closed = groups.iter().map(|(group, _)| {
            let (mut seen, mut open) = (HashSet::from([group]), vec![group]);
            while let Some(next) = open.pop() {
                let above = direct.get(next).into_iter().flat_map(|above| above.iter());
                open.extend(above.filter(|above| seen.insert(above)));
            }
            (
                group.clone(),
                seen.into_iter()
                    .map(|group| uid(&types.group, &group.0))
                    .collect(),
            )
        });
        let named = named
            .into_iter()
            .map(|group| (group.clone(), uid(&types.group, &group.0)));
        Self {
            closed: closed.collect(),
            named: named.collect(),
        }
    }

    /// Whether a group is another one, or within it.
    pub(crate) fn is_in(&self, types: &Types, group: &Group, other: &Group) -> bool {
        let above = self.closed.get(group);
        group == other || above.is_some_and(|above| above.contains(&uid(&types.group, &other.0)))
    }

    /// The entities above a member of these groups. A token can bring hundreds of groups; one that
    /// no policy names can only matter where approvals, the other source of groups, are read.
    fn of(&self, types: &Types, groups: &[Group], reads: Reads) -> HashSet<EntityUid> {
        let every = reads.any(Reads::APPROVALS);
        let mut all = HashSet::new();
        for group in groups {
            match (self.closed.get(group), self.named.get(group)) {
                (Some(closed), _) => all.extend(closed.iter().cloned()),
                (None, Some(named)) => drop(all.insert(named.clone())),
                (None, None) if every => drop(all.insert(uid(&types.group, &group.0))),
                (None, None) => {}
            }
        }
        all
    }
}

/// How policies spell an identity: the subject alone for local accounts, else `issuer|subject`.
/// A `|` or `%` within the first part is percent-encoded, so that no two identities are alike.
pub(crate) fn identity_id(issuer: &str, subject: &str) -> String {
    if issuer == "weir" && !subject.contains('|') {
        return subject.to_owned();
    }
    format!(
        "{}|{subject}",
        issuer.replace('%', "%25").replace('|', "%7C")
    )
}

pub(crate) fn identity<'a>(
    types: &Types,
    groups: &Groups,
    reads: Reads,
    identity: &'a Identity,
) -> Described<'a> {
    let kind = if identity.is_service {
        &types.service_account
    } else {
        &types.user
    };
    Described {
        uid: uid(kind, &identity_id(&identity.issuer, &identity.subject)),
        attributes: vec![
            ("issuer", string(&identity.issuer)),
            ("subject", string(&identity.subject)),
        ],
        parents: groups.of(types, &identity.groups, reads),
    }
}

pub(crate) fn workload<'a>(
    types: &Types,
    groups: &Groups,
    reads: Reads,
    workload: &'a Workload,
) -> Described<'a> {
    let mut attributes = vec![
        ("name", string(&workload.name)),
        ("uid", Attribute::Long(workload.uid)),
        ("gid", Attribute::Long(workload.gid)),
        ("cgroup", string(&workload.cgroup)),
        ("executable", string(&workload.executable)),
    ];
    attributes.extend(
        workload
            .executable_digest
            .map(|digest| ("executable_digest", Attribute::Digest(digest))),
    );
    attributes.extend(
        workload
            .owner
            .as_ref()
            .map(|owner| ("owner", string(owner))),
    );
    Described {
        uid: uid(&types.workload, &workload.name),
        attributes,
        parents: groups.of(types, &workload.groups, reads),
    }
}

pub(crate) fn agent<'a>(types: &Types, agent: &'a Agent) -> Described<'a> {
    Described {
        uid: uid(&types.agent, &agent.name),
        attributes: vec![("name", string(&agent.name))],
        parents: HashSet::new(),
    }
}

pub(crate) fn action(action: Action) -> Entity {
    let parents = schema::groups_of(action)
        .map(|group| schema::entity_uid("Action", group))
        .collect();
    Entity::new_no_attrs(schema::action_uid(action), parents)
}

/// A connection's own entities and its resources.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) connection: EntityUid,
    server: EntityUid,
    name: ConnectionName,
    kind: &'static str,
    env: std::sync::Arc<str>,
}

impl Place {
    pub(crate) fn new(
        types: &Types,
        name: &ConnectionName,
        kind: &'static str,
        env: std::sync::Arc<str>,
    ) -> Self {
        Self {
            connection: uid(&types.connection, name.as_str()),
            server: uid(&types.mcp_server, name.as_str()),
            name: name.clone(),
            kind,
            env,
        }
    }

    pub(crate) fn described(&self) -> Described<'_> {
        Described {
            uid: self.connection.clone(),
            attributes: vec![
                ("name", string(self.name.as_str())),
                ("kind", string(self.kind)),
                ("env", string(&self.env)),
            ],
            parents: HashSet::new(),
        }
    }

    fn under_server<'a>(
        &self,
        kind: &EntityTypeName,
        attribute: &'static str,
        name: &'a str,
    ) -> Described<'a> {
        Described {
            uid: uid(kind, &format!("{}/{name}", self.name)),
            attributes: vec![(attribute, string(name))],
            parents: HashSet::from([self.server.clone(), self.connection.clone()]),
        }
    }

    fn relation<'a>(
        &self,
        types: &Types,
        kind: &EntityTypeName,
        name: &'a RelationName,
    ) -> Described<'a> {
        let schema = uid(
            &types.schema,
            &format!("{}/{}", self.name, step(&name.schema)),
        );
        Described {
            uid: uid(
                kind,
                &format!("{}/{}/{}", self.name, step(&name.schema), name.name),
            ),
            attributes: vec![
                ("schema", string(&name.schema)),
                ("name", string(&name.name)),
            ],
            parents: HashSet::from([schema, self.connection.clone()]),
        }
    }

    /// A column, in its relation and in these classes.
    pub(crate) fn column<'a, 'c>(
        &self,
        types: &Types,
        name: &'a ColumnName,
        classes: impl Iterator<Item = &'c str>,
    ) -> Described<'a> {
        let mut relation = self.relation(types, &types.table, &name.relation);
        relation.parents.insert(relation.uid);
        relation
            .parents
            .extend(classes.map(|class| uid(&types.data_class, class)));
        let (schema, table) = (&name.relation.schema, &name.relation.name);
        Described {
            uid: uid(
                &types.column,
                &format!(
                    "{}/{}/{}/{}",
                    self.name,
                    step(schema),
                    step(table),
                    name.column
                ),
            ),
            attributes: vec![
                ("schema", string(schema)),
                ("table", string(table)),
                ("name", string(&name.column)),
            ],
            parents: relation.parents,
        }
    }

    /// A class as it occurs in answers of this connection.
    pub(crate) fn data_class<'c>(
        &self,
        types: &Types,
        class: &str,
        above: impl Iterator<Item = &'c str>,
    ) -> Described<'static> {
        let mut parents = HashSet::from([self.server.clone(), self.connection.clone()]);
        parents.extend(above.map(|class| uid(&types.data_class, class)));
        Described {
            uid: uid(&types.data_class, class),
            attributes: Vec::new(),
            parents,
        }
    }

    /// Any resource that has no class of its own, with the name of its type.
    pub(crate) fn resource<'a>(
        &'a self,
        types: &Types,
        resource: &'a Resource,
    ) -> (&'static str, Described<'a>) {
        let nothing = std::iter::empty;
        match resource {
            Resource::Connection => ("Connection", self.described()),
            Resource::Table(name) => ("Table", self.relation(types, &types.table, name)),
            Resource::Column(name) => ("Column", self.column(types, name, nothing())),
            Resource::Function(name) => ("Function", self.relation(types, &types.function, name)),
            Resource::Parameter(name) => ("Parameter", self.parameter(types, name)),
            Resource::Tool(name) => ("Tool", self.tool(types, name)),
            Resource::McpResource(uri) => (
                "McpResource",
                self.under_server(&types.mcp_resource, "uri", uri),
            ),
            Resource::Prompt(name) => ("Prompt", self.under_server(&types.prompt, "name", name)),
            Resource::DataClass(class) => ("DataClass", self.data_class(types, class, nothing())),
        }
    }

    fn parameter<'a>(&self, types: &Types, name: &'a str) -> Described<'a> {
        Described {
            uid: uid(&types.parameter, &format!("{}/{name}", self.name)),
            attributes: vec![("name", string(name))],
            parents: HashSet::from([self.connection.clone()]),
        }
    }

    /// A tool.
    pub(crate) fn tool<'a>(&self, types: &Types, name: &'a str) -> Described<'a> {
        self.under_server(&types.tool, "name", name)
    }
}

/// A part of an identifier that another part follows: a `/` in it must not look like the
/// separator, or a relation named `a/b` could pass for `b` in `a`.
fn step(name: &str) -> std::borrow::Cow<'_, str> {
    if name.contains(['/', '~']) {
        name.replace('~', "~0").replace('/', "~1").into()
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_of_different_issuers_are_never_alike() {
        assert_eq!(identity_id("weir", "ada"), "ada");
        assert_eq!(
            identity_id("https://idp.example", "ada"),
            "https://idp.example|ada"
        );
        assert_ne!(identity_id("weir", "a|b"), identity_id("a", "b"));
        assert_ne!(identity_id("a|b", "c"), identity_id("a", "b|c"));
        assert_ne!(identity_id("a%7Cb", "c"), identity_id("a|b", "c"));
    }

    #[test]
    fn a_slash_in_a_name_does_not_move_an_object_to_another_place() {
        let types = Types::new();
        let place = Place::new(&types, &ConnectionName::new("pg"), "postgres", "".into());
        let table = |schema: &str, name: &str| {
            place
                .relation(
                    &types,
                    &types.table,
                    &RelationName {
                        schema: schema.into(),
                        name: name.into(),
                    },
                )
                .uid
        };
        assert_eq!(table("public", "t").id().unescaped(), "pg/public/t");
        assert_ne!(table("a/b", "c"), table("a", "b/c"));
        assert_ne!(table("a~1b", "c"), table("a/b", "c"));
    }

    #[test]
    fn groups_are_closed_and_a_cycle_ends() {
        let group = |name: &str| Group(name.into());
        let types = Types::new();
        let groups = Groups::close(
            &types,
            &[
                (group("a"), vec![group("b")]),
                (group("b"), vec![group("c"), group("a")]),
            ],
            HashSet::from([group("d")]),
        );
        let of = |name: &str, reads: Reads| {
            let mut names: Vec<String> = groups
                .of(&types, &[group(name)], reads)
                .iter()
                .map(|uid| uid.id().unescaped().to_owned())
                .collect();
            names.sort();
            names
        };
        assert_eq!(of("a", Reads::NONE), ["a", "b", "c"]);
        assert_eq!(of("d", Reads::NONE), ["d"]);
        // Named by nobody: only approvals could ask for it.
        assert_eq!(of("e", Reads::NONE), Vec::<String>::new());
        assert_eq!(of("e", Reads::APPROVALS), ["e"]);
    }
}
