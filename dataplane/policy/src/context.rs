//! The circumstances of a question as Cedar's context, and only what the policies in question read.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cedar_policy::{Context, Entity, EntityUid, RestrictedExpression};
use weir_facts::{Group, Principal};

use crate::arguments::{ArgumentsError, Leaves};
use crate::bundle::schema;
use crate::clock::{ClockTrust, WallClock};
use crate::entity::{self, Groups, Place, Types};
use crate::{JudgeContext, Reads};

/// Why a context could not be built. The question is then denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContextError {
    #[error(transparent)]
    Arguments(#[from] ArgumentsError),
    #[error("an attribute or entity is not what Cedar can hold")]
    Cedar,
}

/// What a context is made of beside the caller's own words.
pub(crate) struct Setting<'a> {
    pub(crate) types: &'a Types,
    pub(crate) groups: &'a Groups,
    pub(crate) place: &'a Place,
    pub(crate) zone: &'a jiff::tz::TimeZone,
    pub(crate) who: &'a Principal,
    pub(crate) tool: Option<&'a str>,
    pub(crate) reads: Reads,
}

type Pairs = Vec<(String, RestrictedExpression)>;

impl Setting<'_> {
    /// The context with these approvals, and with these scopes.
    pub(crate) fn context(
        &self,
        cx: &JudgeContext<'_>,
        more: &[Group],
        scopes: &[Arc<str>],
    ) -> Result<Context, ContextError> {
        let mut pairs = Pairs::with_capacity(8);
        self.circumstances(cx, &mut pairs);
        self.parties(&mut pairs);
        if self.reads.any(Reads::APPROVALS) {
            let approvals = cx.approvals.iter().chain(more);
            let uids = approvals.map(|group| entity::uid(&self.types.group, &group.0));
            pairs.push((
                "approvals".into(),
                RestrictedExpression::new_set(uids.map(RestrictedExpression::new_entity_uid)),
            ));
        }
        if self.reads.any(Reads::SCOPES) {
            let scopes = cx.scopes.iter().chain(scopes);
            let texts = scopes.map(|scope| RestrictedExpression::new_string(scope.to_string()));
            pairs.push(("scopes".into(), RestrictedExpression::new_set(texts)));
        }
        if self.reads.any(Reads::ARGUMENTS) {
            pairs.push((
                "arguments".into(),
                arguments_record(&Leaves::of(cx.arguments)?)?,
            ));
        }
        Context::from_pairs(pairs).map_err(|_| ContextError::Cedar)
    }

    fn circumstances(&self, cx: &JudgeContext<'_>, pairs: &mut Pairs) {
        let mut put = |reads, name: &str, value: &dyn Fn() -> RestrictedExpression| {
            if self.reads.any(reads) {
                pairs.push((name.to_owned(), value()));
            }
        };
        put(Reads::SOURCE_IP, "source_ip", &|| {
            RestrictedExpression::new_ip(cx.source.to_canonical().to_string())
        });
        put(Reads::IN_TRANSACTION, "in_transaction", &|| {
            RestrictedExpression::new_bool(cx.in_transaction)
        });
        put(Reads::HAS_WHERE, "has_where", &|| {
            RestrictedExpression::new_bool(cx.has_where)
        });
        put(Reads::DATABASE, "database", &|| {
            RestrictedExpression::new_string(cx.database.to_owned())
        });
        put(Reads::ROLE, "role", &|| {
            RestrictedExpression::new_string(cx.role.to_owned())
        });
        if self.reads.any(Reads::CLOCK) {
            pairs.extend(self.clock(cx).map(|clock| ("clock".to_owned(), clock)));
        }
    }

    /// Absent where the clock may not decide: then whatever reads it errors, which is a denial.
    fn clock(&self, cx: &JudgeContext<'_>) -> Option<RestrictedExpression> {
        let clock = match cx.clock {
            ClockTrust::Trusted => WallClock::at(cx.now, self.zone)?,
            ClockTrust::Skewed => return None,
        };
        let fields = [("weekday", clock.weekday), ("hour", clock.hour)];
        let fields =
            fields.map(|(name, value)| (name.to_owned(), RestrictedExpression::new_long(value)));
        RestrictedExpression::new_record(fields).ok()
    }

    fn parties(&self, pairs: &mut Pairs) {
        let mut put = |reads, name: &str, uid: Option<EntityUid>| {
            if self.reads.any(reads) {
                pairs.extend(
                    uid.map(|uid| (name.to_owned(), RestrictedExpression::new_entity_uid(uid))),
                );
            }
        };
        put(
            Reads::CONNECTION,
            "connection",
            Some(self.place.connection.clone()),
        );
        put(
            Reads::TOOL,
            "tool",
            self.tool.map(|tool| self.place.tool(self.types, tool).uid),
        );
        let identity = |service: bool| {
            let identity = self
                .who
                .identity
                .as_deref()
                .filter(|identity| identity.is_service == service)?;
            Some(entity::identity(self.types, self.groups, self.reads, identity).uid)
        };
        let workload = || {
            Some(
                entity::workload(
                    self.types,
                    self.groups,
                    self.reads,
                    self.who.workload.as_deref()?,
                )
                .uid,
            )
        };
        let agent = || Some(entity::agent(self.types, self.who.agent.as_deref()?).uid);
        put(
            Reads::USER,
            "user",
            self.reads
                .any(Reads::USER)
                .then(|| identity(false))
                .flatten(),
        );
        put(
            Reads::SERVICE_ACCOUNT,
            "service_account",
            self.reads
                .any(Reads::SERVICE_ACCOUNT)
                .then(|| identity(true))
                .flatten(),
        );
        put(
            Reads::WORKLOAD,
            "workload",
            self.reads.any(Reads::WORKLOAD).then(workload).flatten(),
        );
        put(
            Reads::AGENT,
            "agent",
            self.reads.any(Reads::AGENT).then(agent).flatten(),
        );
    }

    /// The entities that the context refers to.
    pub(crate) fn entities(
        &self,
        cx: &JudgeContext<'_>,
        into: &mut HashMap<EntityUid, Entity>,
    ) -> Result<(), ContextError> {
        let mut put = |described: entity::Described<'_>| {
            let uid = described.uid.clone();
            into.insert(uid, described.entity().ok_or(ContextError::Cedar)?);
            Ok::<_, ContextError>(())
        };
        if self.reads.any(Reads::CONNECTION) {
            put(self.place.described())?;
        }
        if let (true, Some(tool)) = (self.reads.any(Reads::TOOL), self.tool) {
            put(self.place.tool(self.types, tool))?;
        }
        if let (true, Some(identity)) = (
            self.reads.any(Reads::USER.union(Reads::SERVICE_ACCOUNT)),
            &self.who.identity,
        ) {
            put(entity::identity(
                self.types,
                self.groups,
                self.reads,
                identity,
            ))?;
        }
        if let (true, Some(workload)) = (self.reads.any(Reads::WORKLOAD), &self.who.workload) {
            put(entity::workload(
                self.types,
                self.groups,
                self.reads,
                workload,
            ))?;
        }
        if let (true, Some(agent)) = (self.reads.any(Reads::AGENT), &self.who.agent) {
            put(entity::agent(self.types, agent))?;
        }
        if self.reads.any(Reads::ARGUMENTS) {
            for entity in argument_entities(Leaves::of(cx.arguments)?)? {
                into.insert(entity.uid(), entity);
            }
        }
        Ok(())
    }
}

/// One entity per type holds the arguments of that type as tags: strict validation lets a
/// policy take a tag only behind a check that it is there. Their names are read by Cedar's parser
/// once: six times per question took as long as the rest of it.
static MAPS: LazyLock<Maps> = LazyLock::new(|| {
    let map = |kind| schema::entity_uid(kind, "arguments");
    Maps {
        strings: map("ArgumentStrings"),
        longs: map("ArgumentLongs"),
        bools: map("ArgumentBools"),
    }
});

struct Maps {
    strings: EntityUid,
    longs: EntityUid,
    bools: EntityUid,
}

fn arguments_record(leaves: &Leaves) -> Result<RestrictedExpression, ContextError> {
    let names = leaves
        .names
        .iter()
        .map(|name| RestrictedExpression::new_string(name.clone()));
    let map = |map: &EntityUid| RestrictedExpression::new_entity_uid(map.clone());
    RestrictedExpression::new_record([
        ("names".to_owned(), RestrictedExpression::new_set(names)),
        ("strings".to_owned(), map(&MAPS.strings)),
        ("longs".to_owned(), map(&MAPS.longs)),
        ("bools".to_owned(), map(&MAPS.bools)),
    ])
    .map_err(|_| ContextError::Cedar)
}

fn argument_entities(leaves: Leaves) -> Result<[Entity; 3], ContextError> {
    let strings = leaves
        .strings
        .into_iter()
        .map(|(name, value)| (name, RestrictedExpression::new_string(value)));
    let longs = leaves
        .longs
        .into_iter()
        .map(|(name, value)| (name, RestrictedExpression::new_long(value)));
    let bools = leaves
        .bools
        .into_iter()
        .map(|(name, value)| (name, RestrictedExpression::new_bool(value)));
    Ok([
        tagged(&MAPS.strings, strings)?,
        tagged(&MAPS.longs, longs)?,
        tagged(&MAPS.bools, bools)?,
    ])
}

fn tagged(
    map: &EntityUid,
    tags: impl Iterator<Item = (String, RestrictedExpression)>,
) -> Result<Entity, ContextError> {
    Entity::new_with_tags(map.clone(), [], [], tags).map_err(|_| ContextError::Cedar)
}
