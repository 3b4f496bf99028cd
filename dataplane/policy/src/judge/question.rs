//! An operation as Cedar is asked about it: who, what, on which resource, part by part.

use std::collections::HashMap;

use cedar_policy::{Context, Entities, Entity, EntityUid, Request};
use weir_facts::{Access, Action, Principal, Resource};

use super::refusal::{Answer, Refusal};
use crate::bundle::schema;
use crate::context::Setting;
use crate::entity::{self, Described};
use crate::snapshot::{Compiled, Slice};
use crate::{Reads, Snapshot};

impl Snapshot {
    /// What every question of one principal at one connection shares.
    pub(crate) fn setting<'a>(
        &'a self,
        compiled: &'a Compiled,
        who: &'a Principal,
        tool: Option<&'a str>,
        reads: Reads,
    ) -> Setting<'a> {
        let (types, groups, place, zone) =
            (&self.types, &self.groups, &compiled.place, &compiled.zone);
        Setting {
            types,
            groups,
            place,
            zone,
            who,
            tool,
            reads,
        }
    }

    pub(super) fn questions<'a>(
        &'a self,
        compiled: &'a Compiled,
        setting: &Setting<'_>,
        accesses: &'a [Access],
        store: &mut HashMap<EntityUid, Entity>,
    ) -> Result<Vec<Question<'a>>, Refusal> {
        let connects = accesses.iter().any(|access| is_connect(access.action));
        let asked = if connects {
            Asked::EveryPart
        } else {
            Asked::Main
        };
        let parts = self.parts(setting, asked)?;
        // Without this a connect of nobody would be no question at all, and so be allowed.
        let main = parts.main()?;
        let mut questions = Vec::with_capacity(accesses.len());
        for access in accesses {
            let slice = compiled
                .slice(access.action)
                .ok_or_else(|| Refusal::internal("an action without a slice"))?;
            let resource = self.resource(compiled, access, setting.reads, store)?;
            let (action, entity) = self.action(access.action)?;
            store.insert(action.clone(), entity.clone());
            let wider = match wider(access.action) {
                None => None,
                Some(action) => {
                    let slice = compiled.slice(action);
                    let (uid, entity) = self.action(action)?;
                    store.insert(uid.clone(), entity.clone());
                    slice.map(|slice| (slice, uid.clone()))
                }
            };
            let asked = if is_connect(access.action) {
                parts.as_slice()
            } else {
                main
            };
            questions.extend(asked.iter().map(|(principal, _)| Question {
                access,
                slice,
                principal: principal.clone(),
                action: action.clone(),
                resource: resource.clone(),
                wider: wider.clone(),
            }));
        }
        store.extend(parts.0);
        Ok(questions)
    }

    pub(crate) fn action(&self, action: Action) -> Result<&(EntityUid, Entity), Refusal> {
        self.actions
            .get(action as usize)
            .ok_or_else(|| Refusal::internal("an action without an entity"))
    }

    /// The principal's parts as entities, in the order identity, workload, agent: every one that is
    /// present, or only the first.
    pub(crate) fn parts(&self, setting: &Setting<'_>, asked: Asked) -> Result<Parts, Refusal> {
        let who = setting.who;
        let every = asked == Asked::EveryPart;
        let identity = who.identity.as_deref();
        let workload = who
            .workload
            .as_deref()
            .filter(|_| every || identity.is_none());
        let agent = who.agent.as_deref().filter(|_| every);
        let described = identity
            .map(|identity| entity::identity(&self.types, &self.groups, setting.reads, identity))
            .into_iter()
            .chain(workload.map(|workload| {
                entity::workload(&self.types, &self.groups, setting.reads, workload)
            }))
            .chain(agent.map(|agent| entity::agent(&self.types, agent)));
        let parts: Result<Vec<_>, Refusal> =
            described.map(|part| pair(part, setting.reads)).collect();
        Ok(Parts(parts?))
    }

    pub(crate) fn resource(
        &self,
        compiled: &Compiled,
        access: &Access,
        reads: Reads,
        store: &mut HashMap<EntityUid, Entity>,
    ) -> Result<EntityUid, Refusal> {
        let (kind, described) = match &access.resource {
            Resource::Column(column) => (
                "Column",
                compiled
                    .place
                    .column(&self.types, column, compiled.classes(&self.bundle, column)),
            ),
            Resource::DataClass(class) => {
                let above = self.bundle.masks().above(class).map(|class| &**class);
                (
                    "DataClass",
                    compiled.place.data_class(&self.types, class, above),
                )
            }
            other => compiled.place.resource(&self.types, other),
        };
        if !schema::applies_to(access.action, kind) {
            return Err(Refusal::internal(format!(
                "{} does not apply to a {kind}",
                access.action
            )));
        }
        let (uid, entity) = pair(described, reads)?;
        store.insert(uid.clone(), entity);
        Ok(uid)
    }

    pub(super) fn ask(
        &self,
        question: &Question<'_>,
        context: &Context,
        entities: &Entities,
    ) -> Result<Answer, Refusal> {
        let answer = |slice: &Slice, action: &EntityUid| {
            let (principal, resource) = (question.principal.clone(), question.resource.clone());
            let request = Request::new(principal, action.clone(), resource, context.clone(), None)
                .map_err(|error| Refusal::internal(error.to_string()))?;
            Ok(self.answer(&request, &slice.enforce, entities))
        };
        match (answer(question.slice, &question.action)?, &question.wider) {
            (Answer::Unpermitted, Some((slice, action))) => answer(slice, action),
            (answer, _) => Ok(answer),
        }
    }
}

/// One access as Cedar is asked.
pub(super) struct Question<'a> {
    pub(super) access: &'a Access,
    pub(super) slice: &'a Slice,
    pub(super) principal: EntityUid,
    pub(super) action: EntityUid,
    pub(super) resource: EntityUid,
    /// What is asked where nothing permits this: an action that allows more.
    pub(super) wider: Option<(&'a Slice, EntityUid)>,
}

/// Whom a question asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The identity, else the workload.
    Main,
    /// Everyone: a connect.
    EveryPart,
}

/// The parts of a principal that are present, the one that Cedar calls principal first.
pub(crate) struct Parts(Vec<(EntityUid, Entity)>);

impl Parts {
    fn as_slice(&self) -> &[(EntityUid, Entity)] {
        &self.0
    }

    /// The identity, else the workload. An agent alone is nobody.
    fn main(&self) -> Result<&[(EntityUid, Entity)], Refusal> {
        match self.0.first() {
            Some((uid, _)) if uid.type_name().basename() != "Agent" => {
                Ok(self.0.get(..1).unwrap_or_default())
            }
            Some(_) | None => Err(Refusal::internal("neither an identity nor a workload asks")),
        }
    }

    /// The same, taken.
    pub(crate) fn into_main(self) -> Result<(EntityUid, Entity), Refusal> {
        self.main()?;
        self.0
            .into_iter()
            .next()
            .ok_or_else(|| Refusal::internal("nobody asks"))
    }
}

/// An entity with its attributes only if a policy reads any.
pub(crate) fn pair(described: Described<'_>, reads: Reads) -> Result<(EntityUid, Entity), Refusal> {
    let uid = described.uid.clone();
    let entity = if reads.any(Reads::ENTITIES) {
        described.entity()
    } else {
        Some(described.bare())
    };
    Ok((
        uid,
        entity.ok_or_else(|| Refusal::internal("an entity that Cedar cannot hold"))?,
    ))
}

/// The store of one question. Of equal identifiers the last one stays, and those are equal.
pub(crate) fn entities(store: HashMap<EntityUid, Entity>) -> Result<Entities, Refusal> {
    Entities::from_entities(store.into_values(), None)
        .map_err(|error| Refusal::internal(error.to_string()))
}

/// The action that, where it is permitted, includes this one.
pub(super) fn wider(action: Action) -> Option<Action> {
    (action == Action::PgMatch).then_some(Action::PgInfer)
}

pub(super) fn is_connect(action: Action) -> bool {
    matches!(action, Action::PgConnect | Action::McpConnect)
}
