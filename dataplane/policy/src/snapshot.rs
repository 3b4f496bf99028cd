use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use cedar_policy::{Authorizer, Entity, EntityUid, PolicySet, ResourceConstraint};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use weir_facts::{Access, Action, ColumnName, ConnectionName, Group, MaskRule, Principal};

use crate::bundle::{ConnectionMasks, EVERY_TOOL, Effect, Written, schema};
use crate::entity::{self, Groups, Place, Types};
use crate::uses::ArgumentUse;
use crate::{Bulk, Bundle, Harmless, LabelledPlace, Reads, Unlabelled};

/// What a registered server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionKind {
    /// PostgreSQL.
    Postgres,
    /// The Model Context Protocol.
    Mcp,
}

impl ConnectionKind {
    /// The word that policies see as the connection's `kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mcp => "mcp",
        }
    }
}

/// A registered server, as far as policies can tell.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    pub(crate) name: ConnectionName,
    pub(crate) kind: ConnectionKind,
    pub(crate) env: Arc<str>,
    pub(crate) zone: Option<TimeZone>,
}

/// A registered server that policies could not tell apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionFactsError {
    /// A name that is empty or has a `/`, which separates the parts of a resource's identifier.
    #[error("connection name {0:?} is empty or has a '/'")]
    Name(ConnectionName),
    /// A zone that the IANA database does not have.
    #[error("unknown time zone {0:?}; names are those of the IANA database, such as Europe/Berlin")]
    Zone(Box<str>),
}

impl ConnectionFacts {
    /// Checks the facts. `env` is free text (`prod`); `zone` is an IANA name, and where it is
    /// absent the bundle's zone for the connection counts, else UTC.
    pub fn new(
        name: ConnectionName,
        kind: ConnectionKind,
        env: &str,
        zone: Option<&str>,
    ) -> Result<Self, ConnectionFactsError> {
        if name.as_str().is_empty() || name.as_str().contains('/') {
            return Err(ConnectionFactsError::Name(name));
        }
        let zone = zone.map(zone_named).transpose()?;
        Ok(Self {
            name,
            kind,
            env: env.into(),
            zone,
        })
    }

    /// The server's name.
    #[must_use]
    pub const fn name(&self) -> &ConnectionName {
        &self.name
    }
}

/// A zone of the database that is compiled in; the host's files are not read.
pub(crate) fn zone_named(name: &str) -> Result<TimeZone, ConnectionFactsError> {
    TimeZoneDatabase::bundled()
        .get(name)
        .map_err(|_| ConnectionFactsError::Zone(name.into()))
}

/// The names that are known, for hierarchy and for warnings. Nothing is permitted or denied
/// because a name is here or is missing.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// Every group with the groups that it is a member of.
    pub groups: Vec<(Group, Vec<Group>)>,
    /// Local accounts of people.
    pub users: Vec<Arc<str>>,
    /// Local service accounts.
    pub services: Vec<Arc<str>>,
    /// Names that operators gave to workloads.
    pub workloads: Vec<Arc<str>>,
}

/// Names a snapshot: BLAKE3 over the bundle's id, the connections and the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotId(pub(crate) [u8; 32]);

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The policies that can have a say on one action at one connection.
pub(crate) struct Slice {
    /// Permits and forbids, masks excepted.
    pub(crate) enforce: Arc<PolicySet>,
    /// Masks.
    pub(crate) mask: Arc<PolicySet>,
    /// What either reads.
    pub(crate) reads: Reads,
    /// What those read that do not name one resource.
    general: Reads,
    /// What those read that do, by that resource: they have no say on any other.
    bound: Vec<(EntityUid, Reads)>,
    /// Arguments that policies read, with the one resource whose calls they are of, if it is one.
    pub(crate) uses: Vec<(Option<EntityUid>, ArgumentUse)>,
    /// The resources of policies that ask people: one, or any that they can meet.
    holds: Vec<Option<EntityUid>>,
}

/// A connection with its slices, one per action in declaration order.
pub(crate) struct Compiled {
    pub(crate) place: Place,
    pub(crate) zone: TimeZone,
    pub(crate) masks: Option<ConnectionMasks>,
    /// Scopes that policies here ask for, sorted.
    scopes: Vec<Arc<str>>,
    slices: Vec<Slice>,
}

impl Compiled {
    /// The slice of an action; there is one for each.
    pub(crate) fn slice(&self, action: Action) -> Option<&Slice> {
        self.slices.get(action as usize)
    }

    /// The classes of a column's label, each with those above it.
    pub(crate) fn classes<'a>(
        &'a self,
        bundle: &'a Bundle,
        column: &ColumnName,
    ) -> impl Iterator<Item = &'a str> {
        let labelled = self
            .masks
            .as_ref()
            .and_then(|masks| masks.columns.get(column));
        labelled
            .into_iter()
            .flatten()
            .flat_map(|class| std::iter::once(class).chain(bundle.masks().above(class)))
            .map(|class| &**class)
    }

    /// What becomes of a column that has no label. A connection that `masks.toml` does not have
    /// is one that nobody has thought about.
    pub(crate) fn unlabelled(&self) -> Unlabelled {
        self.masks
            .as_ref()
            .map_or(Unlabelled::Mask(MaskRule::Redact), |masks| {
                masks.unlabelled.clone()
            })
    }
}

/// A bundle compiled for the connections of one data plane. Immutable.
pub struct Snapshot {
    id: SnapshotId,
    warnings: Vec<String>,
    connections: HashMap<ConnectionName, Compiled>,
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) authorizer: Authorizer,
    pub(crate) types: Types,
    pub(crate) groups: Groups,
    pub(crate) actions: Vec<(EntityUid, Entity)>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({})", self.id)
    }
}

impl Snapshot {
    /// Compiles a bundle for these connections: each gets, per action, the policies whose scope
    /// can meet it, so that policies of other connections cost nothing.
    #[must_use]
    pub fn compile(
        bundle: Arc<Bundle>,
        connections: &[ConnectionFacts],
        directory: Directory,
    ) -> Self {
        let types = Types::new();
        let mut sets = Sets::default();
        let compiled = connections
            .iter()
            .map(|facts| {
                (
                    facts.name.clone(),
                    compile(&bundle, &types, facts, &mut sets),
                )
            })
            .collect();
        Self {
            id: identify(&bundle, connections, &directory),
            warnings: warnings(&bundle, connections, &directory),
            connections: compiled,
            authorizer: Authorizer::new(),
            groups: Groups::close(&types, &directory.groups, named_groups(&bundle)),
            types,
            actions: Action::ALL
                .iter()
                .map(|action| (schema::action_uid(*action), entity::action(*action)))
                .collect(),
            bundle,
        }
    }

    /// Names it: equal for equal bundles, connections and directories.
    #[must_use]
    pub const fn id(&self) -> SnapshotId {
        self.id
    }

    /// The bundle that it was compiled from.
    #[must_use]
    pub const fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// Names in the bundle that the directory or the connections do not have, in words.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Every labelled column of a connection with the classes of its label.
    pub fn labels(&self, on: &ConnectionName) -> impl Iterator<Item = (&ColumnName, &[Arc<str>])> {
        let masks = self
            .connections
            .get(on)
            .and_then(|compiled| compiled.masks.as_ref());
        masks.into_iter().flat_map(|masks| {
            masks
                .columns
                .iter()
                .map(|(column, classes)| (column, classes.as_slice()))
        })
    }

    /// What becomes of columns that nobody labelled. Of a connection that `masks.toml` does not
    /// have: redacted.
    #[must_use]
    pub fn unlabelled(&self, on: &ConnectionName) -> Unlabelled {
        self.connections
            .get(on)
            .map_or(Unlabelled::Mask(MaskRule::Redact), Compiled::unlabelled)
    }

    /// Scopes of tokens that policies of a connection ask for, sorted.
    #[must_use]
    pub fn scopes(&self, on: &ConnectionName) -> &[Arc<str>] {
        self.connections
            .get(on)
            .map_or(&[], |compiled| compiled.scopes.as_slice())
    }

    /// Classes that answers of a connection are searched for, by the names that detectors have.
    #[must_use]
    pub fn detectors(&self, on: &ConnectionName) -> &[Arc<str>] {
        self.connections
            .get(on)
            .and_then(|compiled| compiled.masks.as_ref())
            .map_or(&[], |masks| masks.detectors.as_slice())
    }

    /// Labelled places of a tool's results: its own, and those of every tool.
    pub fn places(&self, on: &ConnectionName, tool: &str) -> impl Iterator<Item = &LabelledPlace> {
        let masks = self
            .connections
            .get(on)
            .and_then(|compiled| compiled.masks.as_ref());
        masks.into_iter().flat_map(move |masks| {
            let own = masks.places.get(tool).filter(|_| tool != EVERY_TOOL);
            own.into_iter()
                .chain(masks.places.get(EVERY_TOOL))
                .flatten()
        })
    }

    /// Labelled places of all tools' results, each with its tool; none for those of every tool.
    pub fn every_place(&self, on: &ConnectionName) -> impl Iterator<Item = (&str, &LabelledPlace)> {
        let masks = self
            .connections
            .get(on)
            .and_then(|compiled| compiled.masks.as_ref());
        let tools = masks.into_iter().flat_map(|masks| &masks.places);
        tools.flat_map(|(tool, places)| {
            let tool = if **tool == *EVERY_TOOL { "" } else { &**tool };
            places.iter().map(move |place| (tool, place))
        })
    }

    /// Functions of a connection that somebody vouches for.
    #[must_use]
    pub fn harmless(&self, on: &ConnectionName) -> &[Harmless] {
        self.connections
            .get(on)
            .and_then(|compiled| compiled.masks.as_ref())
            .map_or(&[], |masks| masks.harmless.as_slice())
    }

    /// How much may leave a connection towards a principal, if that is bounded: thresholds except
    /// the groups of the identity, else of the workload.
    #[must_use]
    pub fn bulk(&self, on: &ConnectionName, who: &Principal) -> Option<&Arc<Bulk>> {
        let bulk = self.connections.get(on)?.masks.as_ref()?.bulk.as_ref()?;
        let groups = match (&who.identity, &who.workload) {
            (Some(identity), _) => identity.groups.as_slice(),
            (None, Some(workload)) => workload.groups.as_slice(),
            (None, None) => &[],
        };
        let is_excepted = groups.iter().any(|group| {
            bulk.except
                .iter()
                .any(|but| self.groups.is_in(&self.types, group, but))
        });
        (!is_excepted).then_some(bulk)
    }

    /// Whether a question of this action at this connection can have another answer at another
    /// time.
    #[must_use]
    pub fn time_dependent(&self, on: &ConnectionName, action: Action) -> bool {
        self.reads(on, action).any(Reads::CLOCK)
    }

    /// What of the context the policies for this action at this connection read.
    #[must_use]
    pub fn reads(&self, on: &ConnectionName, action: Action) -> Reads {
        self.connections
            .get(on)
            .and_then(|compiled| compiled.slice(action))
            .map_or(Reads::NONE, |slice| slice.reads)
    }

    /// The same for one resource: what policies read whose scope is another one does not count.
    #[must_use]
    pub fn reads_of(&self, on: &ConnectionName, access: &Access) -> Reads {
        let compiled = self.connections.get(on);
        let Some((compiled, slice)) =
            compiled.and_then(|compiled| Some((compiled, compiled.slice(access.action)?)))
        else {
            return Reads::NONE;
        };
        if slice.bound.is_empty() {
            return slice.reads;
        }
        let (_, resource) = compiled.place.resource(&self.types, &access.resource);
        let here = slice.bound.iter().filter(|(uid, _)| *uid == resource.uid);
        here.fold(slice.general, |all, (_, reads)| all.union(*reads))
    }

    /// Whether some policy may have people asked for an action at this connection, of anybody.
    #[must_use]
    pub fn may_hold(&self, on: &ConnectionName, action: Action) -> bool {
        let compiled = self.connections.get(on);
        compiled
            .and_then(|compiled| compiled.slice(action))
            .is_some_and(|slice| !slice.holds.is_empty())
    }

    /// The same for one resource: what a policy says whose scope is another one does not count.
    #[must_use]
    pub fn may_hold_access(&self, on: &ConnectionName, access: &Access) -> bool {
        let compiled = self.connections.get(on);
        let Some((compiled, slice)) =
            compiled.and_then(|compiled| Some((compiled, compiled.slice(access.action)?)))
        else {
            return false;
        };
        if slice.holds.is_empty() {
            return false;
        }
        let (_, resource) = compiled.place.resource(&self.types, &access.resource);
        let meets = |only: &Option<EntityUid>| only.as_ref().is_none_or(|uid| *uid == resource.uid);
        slice.holds.iter().any(meets)
    }

    pub(crate) fn compiled(&self, on: &ConnectionName) -> Option<&Compiled> {
        self.connections.get(on)
    }
}

/// Policy sets by the policies in them: most slices are equal to another one.
#[derive(Default)]
struct Sets(HashMap<Vec<usize>, Arc<PolicySet>>);

impl Sets {
    fn of(&mut self, policies: &[(usize, &Written)]) -> Arc<PolicySet> {
        let key = policies.iter().map(|(index, _)| *index).collect();
        let set = self.0.entry(key).or_insert_with(|| {
            let set = PolicySet::from_policies(
                policies.iter().map(|(_, written)| written.policy.clone()),
            );
            Arc::new(set.expect("ids are unique in a bundle, and none is a template's"))
        });
        Arc::clone(set)
    }
}

fn compile(bundle: &Bundle, types: &Types, facts: &ConnectionFacts, sets: &mut Sets) -> Compiled {
    let masks = bundle.masks().connections.get(&facts.name).cloned();
    let written_zone = masks
        .as_ref()
        .and_then(|masks| masks.zone.as_ref())
        .map(|(_, zone)| zone.clone());
    let here: Vec<(usize, &Written)> = bundle
        .written()
        .enumerate()
        .filter(|(_, written)| can_meet(written, &facts.name))
        .collect();
    let slices = Action::ALL
        .iter()
        .map(|action| slice(&here, *action, sets))
        .collect();
    let scopes: BTreeSet<_> = here
        .iter()
        .filter_map(|(_, written)| match &written.info.effect {
            Effect::StepUp(scope) => Some(scope.clone()),
            Effect::Permit | Effect::Forbid | Effect::Approve(_) | Effect::Mask(_) => None,
        })
        .collect();
    Compiled {
        scopes: scopes.into_iter().collect(),
        place: Place::new(types, &facts.name, facts.kind.as_str(), facts.env.clone()),
        zone: facts.zone.clone().or(written_zone).unwrap_or(TimeZone::UTC),
        masks,
        slices,
    }
}

fn slice(here: &[(usize, &Written)], action: Action, sets: &mut Sets) -> Slice {
    let of = |masks: bool| -> Vec<(usize, &Written)> {
        here.iter()
            .filter(|(_, written)| written.actions.contains(&action) && is_mask(written) == masks)
            .copied()
            .collect()
    };
    let (enforce, mask) = (of(false), of(true));
    let (mut general, mut bound) = (Reads::NONE, Vec::new());
    let (mut uses, mut holds) = (Vec::new(), Vec::new());
    for (_, written) in enforce.iter().chain(&mask) {
        let only = match written.policy.resource_constraint() {
            ResourceConstraint::Eq(uid) => Some(uid),
            ResourceConstraint::Any
            | ResourceConstraint::Is(_)
            | ResourceConstraint::In(_)
            | ResourceConstraint::IsIn(..) => None,
        };
        let read = written.uses.iter().cloned();
        uses.extend(read.map(|used| (only.clone(), used)));
        if asks_people(written) {
            holds.push(only);
        }
        match written.policy.resource_constraint() {
            ResourceConstraint::Eq(uid) => bound.push((uid, written.reads)),
            ResourceConstraint::Any
            | ResourceConstraint::Is(_)
            | ResourceConstraint::In(_)
            | ResourceConstraint::IsIn(..) => general = general.union(written.reads),
        }
    }
    Slice {
        enforce: sets.of(&enforce),
        mask: sets.of(&mask),
        reads: bound
            .iter()
            .fold(general, |all, (_, reads)| all.union(*reads)),
        general,
        bound,
        uses,
        holds,
    }
}

fn asks_people(written: &Written) -> bool {
    match written.info.effect {
        Effect::Approve(_) => true,
        Effect::Permit | Effect::Forbid | Effect::StepUp(_) | Effect::Mask(_) => false,
    }
}

fn is_mask(written: &Written) -> bool {
    match written.info.effect {
        Effect::Mask(_) => true,
        Effect::Permit | Effect::Forbid | Effect::Approve(_) | Effect::StepUp(_) => false,
    }
}

/// Whether a policy's resource scope can meet a resource of this connection. Only what names
/// another connection cannot.
fn can_meet(written: &Written, name: &ConnectionName) -> bool {
    match written.policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
        ResourceConstraint::Eq(uid)
        | ResourceConstraint::In(uid)
        | ResourceConstraint::IsIn(_, uid) => {
            // A class is of no connection; everything else starts with its connection's name.
            let first = uid.id().unescaped().split('/').next();
            uid.type_name().basename() == "DataClass" || first == Some(name.as_str())
        }
    }
}

/// The groups that policies name.
fn named_groups(bundle: &Bundle) -> HashSet<Group> {
    let literals = bundle
        .written()
        .flat_map(|written| written.policy.entity_literals());
    let groups = literals.filter(|uid| uid.type_name().basename() == "Group");
    groups
        .map(|uid| Group(uid.id().unescaped().into()))
        .collect()
}

fn identify(bundle: &Bundle, connections: &[ConnectionFacts], directory: &Directory) -> SnapshotId {
    let mut lines: Vec<String> = connections
        .iter()
        .map(|facts| {
            let zone = facts
                .zone
                .as_ref()
                .and_then(TimeZone::iana_name)
                .unwrap_or_default();
            format!(
                "connection {:?} {} {:?} {zone:?}",
                facts.name.as_str(),
                facts.kind.as_str(),
                facts.env
            )
        })
        .collect();
    lines.extend(directory.groups.iter().map(|(group, above)| {
        let mut above: Vec<&str> = above.iter().map(|group| &*group.0).collect();
        above.sort_unstable();
        format!("group {:?} {above:?}", group.0)
    }));
    lines.sort_unstable();
    let mut hasher = blake3::Hasher::new_derive_key("weir policy snapshot v1");
    hasher.update(&bundle.id().0);
    for line in lines {
        hasher.update(line.as_bytes());
        hasher.update(b"\n");
    }
    SnapshotId(*hasher.finalize().as_bytes())
}

fn warnings(
    bundle: &Bundle,
    connections: &[ConnectionFacts],
    directory: &Directory,
) -> Vec<String> {
    let known = |kind: &str, id: &str| match kind {
        "Group" => directory.groups.iter().any(|(group, _)| &*group.0 == id),
        "User" => id.contains('|') || directory.users.iter().any(|user| &**user == id),
        "ServiceAccount" => {
            id.contains('|') || directory.services.iter().any(|service| &**service == id)
        }
        "Workload" => {
            id.starts_with("uid:") || directory.workloads.iter().any(|workload| &**workload == id)
        }
        "Connection" | "McpServer" => connections.iter().any(|facts| facts.name.as_str() == id),
        // Of these nobody keeps a list.
        _ => true,
    };
    let mut found = Vec::new();
    for Written { info, policy, .. } in bundle.written() {
        for uid in policy.entity_literals() {
            let (kind, id) = (uid.type_name().basename(), uid.id().unescaped());
            if !known(kind, id) {
                found.push(format!(
                    "{}:{}: policy {} names {kind} {id:?}, which does not exist here",
                    info.file, info.line, info.id.0
                ));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
