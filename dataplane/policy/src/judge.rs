use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request,
};
use weir_facts::{
    Access, Action, ConnectionName, Denial, Group, HoldTerms, Now, PolicyId, Principal, Resource,
    Verdict,
};

use crate::arguments::Leaves;
use crate::bundle::{ApproveTerms, Effect, schema};
use crate::context::Setting;
use crate::entity::{self, Described};
use crate::limits::ACCESSES_MAX;
use crate::snapshot::{Compiled, Slice};
use crate::{ClockTrust, Rate, Reads, Snapshot, Value};

/// What a question hangs on beside who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct JudgeContext<'a> {
    /// The time; policies see weekday and hour in the connection's zone.
    pub now: Now,
    /// Whether that time may decide anything.
    pub clock: ClockTrust,
    /// Where the caller is. A v4-mapped address is seen as IPv4.
    pub source: IpAddr,
    /// Groups whose approval this very operation has.
    pub approvals: &'a [Group],
    /// Scopes of the token that the caller showed (RFC 6749 §3.3). MCP only; empty else.
    pub scopes: &'a [Arc<str>],
    /// Whether the session has a transaction open. Postgres only.
    pub in_transaction: bool,
    /// Whether the statement has a WHERE clause. Postgres only.
    pub has_where: bool,
    /// The session's database. Postgres only; empty else.
    pub database: &'a str,
    /// The role that the session has at the server. Postgres only; empty else.
    pub role: &'a str,
    /// `params.arguments` of a call. MCP only; absent is an empty object.
    pub arguments: Option<&'a Value>,
}

/// The answer to a question. Only this crate makes one, so that an `Allow` is always policy's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Judgement {
    /// What policy says.
    pub verdict: Verdict,
    /// The policies that decided: those that permit, that hold, or that forbid. Sorted.
    pub policies: Vec<PolicyId>,
    /// What of the context the policies read that can have a say.
    pub reads: Reads,
    /// Whether the same question from the same principal has the same answer for as long as
    /// the snapshot lives. `false` if time, source address, arguments, approvals or the state of
    /// the transaction have a say. Database, role, the token's scopes and the statement's own facts
    /// belong into the cache's key.
    pub cacheable: bool,
    /// How often this may be done, where it is allowed at a rate: the strictest of what is
    /// asked. Whoever releases the operation counts.
    pub rate: Option<Rate>,
}

impl Judgement {
    /// A denial that is not policy's own: of what Weir could not keep its promise for.
    #[must_use]
    pub fn refused(denial: Denial) -> Self {
        Self {
            verdict: Verdict::Deny(denial),
            policies: Vec::new(),
            reads: Reads::NONE,
            cacheable: true,
            rate: None,
        }
    }

    /// Several answers as one, for what runs together or not at all: deny before hold before
    /// allow; several holds ask for everybody that any of them asks for. Of nothing at all the
    /// answer is to allow: there is nothing that runs.
    #[must_use]
    pub fn all(answers: impl IntoIterator<Item = Self>) -> Self {
        let none = Self {
            verdict: Verdict::Allow,
            policies: Vec::new(),
            reads: Reads::NONE,
            cacheable: true,
            rate: None,
        };
        let mut all = answers.into_iter().fold(none, Self::and);
        all.policies.sort();
        all.policies.dedup();
        all
    }

    fn and(self, other: Self) -> Self {
        let mut policies = self.policies;
        policies.extend(other.policies);
        Self {
            verdict: stricter(self.verdict, other.verdict),
            policies,
            reads: self.reads.union(other.reads),
            cacheable: self.cacheable && other.cacheable,
            rate: both_rates(self.rate, other.rate),
        }
    }
}

fn stricter(one: Verdict, two: Verdict) -> Verdict {
    match (one, two) {
        (Verdict::Deny(denial), _) | (_, Verdict::Deny(denial)) => Verdict::Deny(denial),
        (Verdict::Hold(one), Verdict::Hold(two)) => Verdict::Hold(both(one, two)),
        (Verdict::Hold(terms), Verdict::Allow) | (Verdict::Allow, Verdict::Hold(terms)) => {
            Verdict::Hold(terms)
        }
        (Verdict::Allow, Verdict::Allow) => Verdict::Allow,
    }
}

fn both_rates(one: Option<Rate>, two: Option<Rate>) -> Option<Rate> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.and(two)),
        (one, two) => one.or(two),
    }
}

fn both(one: HoldTerms, two: HoldTerms) -> HoldTerms {
    let mut approvers = one.approvers;
    approvers.extend(two.approvers);
    approvers.sort();
    approvers.dedup();
    let mut policies = one.policies;
    policies.extend(two.policies);
    policies.sort();
    policies.dedup();
    let reason = if one.reason == two.reason {
        one.reason
    } else {
        format!("{}; {}", one.reason, two.reason).into()
    };
    HoldTerms {
        approvers,
        quorum: one.quorum.max(two.quorum),
        expires_s: one.expires_s.min(two.expires_s),
        reason,
        policies,
    }
}

/// One access as Cedar is asked.
struct Question<'a> {
    access: &'a Access,
    slice: &'a Slice,
    principal: EntityUid,
    action: EntityUid,
    resource: EntityUid,
    /// What is asked where nothing permits this: an action that allows more.
    wider: Option<(&'a Slice, EntityUid)>,
}

/// What Cedar says of one question.
pub(crate) enum Answer {
    Permitted(Vec<PolicyId>),
    /// Nothing permits.
    Unpermitted,
    Forbidden(Vec<PolicyId>),
    /// Policies errored; whatever else was decided does not count.
    Errored(Vec<PolicyId>, String),
}

/// Why an operation is denied before Cedar is asked, or because of what it says.
pub(crate) struct Refusal {
    pub(crate) outside: Arc<str>,
    pub(crate) advice: Option<Arc<str>>,
    pub(crate) inside: String,
    pub(crate) policies: Vec<PolicyId>,
    /// Scopes that would do.
    pub(crate) scopes: Vec<Arc<str>>,
}

impl Refusal {
    /// A fault of Weir's caller or of Weir: the client learns no more than that.
    pub(crate) fn internal(inside: impl Into<String>) -> Self {
        Self {
            outside: "policy could not be evaluated".into(),
            advice: None,
            inside: inside.into(),
            policies: Vec::new(),
            scopes: Vec::new(),
        }
    }

    pub(crate) fn into_denial(self) -> Denial {
        Denial {
            outside: self.outside,
            advice: self.advice,
            inside: self.inside.into(),
            policies: self.policies,
            scopes: self.scopes,
        }
    }
}

impl Snapshot {
    /// Judges one operation: every access must be allowed, a connect for every part of the
    /// principal. No access at all is denied. With `approvals` given, a cache must be passed by.
    #[must_use]
    pub fn judge(
        &self,
        who: &Principal,
        on: &ConnectionName,
        accesses: &[Access],
        cx: &JudgeContext<'_>,
    ) -> Judgement {
        let reads = accesses.iter().fold(Reads::NONE, |all, access| {
            let wider = wider(access.action).map(|action| self.reads(on, action));
            all.union(self.reads(on, access.action))
                .union(wider.unwrap_or(Reads::NONE))
        });
        let hangs_on = accesses.iter().fold(Reads::NONE, |all, access| {
            let wider = wider(access.action).map(|action| {
                let resource = access.resource.clone();
                self.reads_of(on, &Access { action, resource })
            });
            all.union(self.reads_of(on, access))
                .union(wider.unwrap_or(Reads::NONE))
        });
        let verdict = self
            .decide(who, on, accesses, cx, reads)
            .and_then(|decided| self.typed(on, accesses, cx, reads).map(|()| decided));
        let mut rate = None;
        let (verdict, mut policies) = match verdict {
            Ok(Decided::Allow(policies, at)) => {
                rate = at;
                (Verdict::Allow, policies)
            }
            Ok(Decided::Hold(terms)) => {
                let policies = terms.policies.clone();
                (Verdict::Hold(terms), policies)
            }
            Err(refusal) => {
                let denial = refusal.into_denial();
                let policies = denial.policies.clone();
                (Verdict::Deny(denial), policies)
            }
        };
        policies.sort_unstable();
        policies.dedup();
        let fleeting = Reads::CLOCK
            .union(Reads::SOURCE_IP)
            .union(Reads::ARGUMENTS)
            .union(Reads::IN_TRANSACTION);
        Judgement {
            verdict,
            policies,
            reads: hangs_on,
            cacheable: cx.approvals.is_empty() && !hangs_on.any(fleeting),
            rate,
        }
    }

    /// Refuses arguments of which policies here say something for values of another type only: what
    /// they forbid would silently not apply.
    fn typed(
        &self,
        on: &ConnectionName,
        accesses: &[Access],
        cx: &JudgeContext<'_>,
        reads: Reads,
    ) -> Result<(), Refusal> {
        let Some(compiled) = self.compiled(on).filter(|_| reads.any(Reads::ARGUMENTS)) else {
            return Ok(());
        };
        let leaves =
            Leaves::of(cx.arguments).map_err(|error| Refusal::internal(error.to_string()))?;
        for access in accesses {
            let Some(slice) = compiled
                .slice(access.action)
                .filter(|it| !it.uses.is_empty())
            else {
                continue;
            };
            let (_, resource) = compiled.place.resource(&self.types, &access.resource);
            let here = slice
                .uses
                .iter()
                .filter(|(only, _)| only.as_ref().is_none_or(|only| *only == resource.uid));
            let here: Vec<_> = here.map(|(_, used)| used).collect();
            if let Some(used) = leaves.unread(&here) {
                let told = format!(
                    "the argument {:?} is of a type of which no policy says anything: it is read as one of {}",
                    used.path,
                    used.map.as_str()
                );
                return Err(Refusal {
                    outside: told.as_str().into(),
                    ..Refusal::internal(told)
                });
            }
        }
        Ok(())
    }

    fn decide(
        &self,
        who: &Principal,
        on: &ConnectionName,
        accesses: &[Access],
        cx: &JudgeContext<'_>,
        reads: Reads,
    ) -> Result<Decided, Refusal> {
        let compiled = self
            .compiled(on)
            .ok_or_else(|| Refusal::internal(format!("connection {on} is not registered")))?;
        if accesses.is_empty() || accesses.len() > ACCESSES_MAX {
            return Err(Refusal::internal(format!(
                "{} accesses; 1 to {ACCESSES_MAX} can be judged",
                accesses.len()
            )));
        }
        let setting = self.setting(compiled, who, None, reads);
        let mut store = HashMap::new();
        let questions = self.questions(compiled, &setting, accesses, &mut store)?;
        setting
            .entities(cx, &mut store)
            .map_err(|error| Refusal::internal(error.to_string()))?;
        let entities = entities(store)?;
        let context = setting
            .context(cx, &[], &[])
            .map_err(|error| Refusal::internal(error.to_string()))?;
        let (mut permits, mut rate) = (BTreeSet::new(), None);
        let (mut holds, mut steps) = (Holds::default(), Steps::default());
        for question in &questions {
            match self.ask(question, &context, &entities)? {
                Answer::Permitted(policies) => {
                    rate = both_rates(rate, self.rate(&policies));
                    permits.extend(policies);
                }
                Answer::Forbidden(policies) if self.curable(&policies) => {
                    self.gather(&policies, &mut holds);
                    self.gather_scopes(&policies, &mut steps);
                }
                other => return Err(self.refusal(on, question.access, other)),
            }
        }
        if holds.policies.is_empty() && steps.policies.is_empty() {
            return Ok(Decided::Allow(permits.into_iter().collect(), rate));
        }
        // What if they all agreed, and the token had all these scopes? Only then is it worth asking.
        let approvals: Vec<Group> = holds.approvers.iter().cloned().collect();
        let scopes: Vec<Arc<str>> = steps.scopes.iter().cloned().collect();
        let context = setting
            .context(cx, &approvals, &scopes)
            .map_err(|error| Refusal::internal(error.to_string()))?;
        for question in &questions {
            match self.ask(question, &context, &entities)? {
                Answer::Permitted(_) => {}
                other => return Err(self.refusal(on, question.access, other)),
            }
        }
        match steps.policies.is_empty() {
            true => Ok(Decided::Hold(holds.into_terms())),
            // The token first: whoever cannot show the scope need not ask anybody.
            false => Err(steps.into_refusal()),
        }
    }

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

    fn questions<'a>(
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

    fn ask(
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

    /// How often permits allow what they permit: the most generous counts. `None` is any number.
    fn rate(&self, policies: &[PolicyId]) -> Option<Rate> {
        let rates = policies
            .iter()
            .filter_map(|id| self.bundle.policy(id)?.rate);
        rates.reduce(Rate::or)
    }

    /// Cedar skips a policy that errors, so that a forbid that errs would forbid nothing: any
    /// error counts as a denial here.
    pub(crate) fn answer(&self, request: &Request, set: &PolicySet, entities: &Entities) -> Answer {
        let response = self.authorizer.is_authorized(request, set, entities);
        let mut errors = response.diagnostics().errors().peekable();
        if errors.peek().is_some() {
            let (policies, told): (Vec<_>, Vec<_>) = errors
                .map(|error| match error {
                    AuthorizationError::PolicyEvaluationError(wrong) => {
                        (named(wrong.policy_id()), wrong.to_string())
                    }
                })
                .unzip();
            return Answer::Errored(policies, told.join("; "));
        }
        let mut policies: Vec<PolicyId> = response.diagnostics().reason().map(named).collect();
        policies.sort_unstable();
        match response.decision() {
            Decision::Allow => Answer::Permitted(policies),
            Decision::Deny if policies.is_empty() => Answer::Unpermitted,
            Decision::Deny => Answer::Forbidden(policies),
        }
    }

    fn terms(&self, id: &PolicyId) -> Option<(&ApproveTerms, Option<&Arc<str>>)> {
        let info = self.bundle.policy(id)?;
        match &info.effect {
            Effect::Approve(terms) => Some((terms, info.reason.as_ref())),
            Effect::Permit | Effect::Forbid | Effect::StepUp(_) | Effect::Mask(_) => None,
        }
    }

    /// The scope that cures what a policy forbids, and the policy's reason.
    fn step(&self, id: &PolicyId) -> Option<(&Arc<str>, Option<&Arc<str>>)> {
        let info = self.bundle.policy(id)?;
        match &info.effect {
            Effect::StepUp(scope) => Some((scope, info.reason.as_ref())),
            Effect::Permit | Effect::Forbid | Effect::Approve(_) | Effect::Mask(_) => None,
        }
    }

    fn curable(&self, policies: &[PolicyId]) -> bool {
        policies
            .iter()
            .all(|id| self.terms(id).is_some() || self.step(id).is_some())
    }

    fn gather_scopes(&self, policies: &[PolicyId], steps: &mut Steps) {
        for id in policies {
            let Some((scope, reason)) = self.step(id) else {
                continue;
            };
            steps.scopes.insert(scope.clone());
            steps.reasons.extend(reason.cloned());
            steps.policies.insert(id.clone());
        }
    }

    fn gather(&self, policies: &[PolicyId], holds: &mut Holds) {
        for id in policies {
            let Some((terms, reason)) = self.terms(id) else {
                continue;
            };
            holds.approvers.extend(terms.approvers.iter().cloned());
            holds.quorum = holds.quorum.max(terms.quorum);
            holds.expires_s = holds.expires_s.min(terms.expires_s);
            holds.reasons.extend(reason.cloned());
            holds.policies.insert(id.clone());
        }
    }

    pub(crate) fn refusal(&self, on: &ConnectionName, access: &Access, answer: Answer) -> Refusal {
        let what = format!("{} on {}", access.action, access.resource_id(on));
        match answer {
            Answer::Errored(policies, told) => Refusal {
                policies,
                ..Refusal::internal(format!("{what}: {told}"))
            },
            Answer::Unpermitted | Answer::Permitted(_) => {
                let said = format!("no policy allows {what}");
                Refusal {
                    outside: hidden(access).map_or_else(|| said.as_str().into(), Arc::from),
                    advice: advice(access),
                    inside: said,
                    policies: Vec::new(),
                    scopes: Vec::new(),
                }
            }
            Answer::Forbidden(policies) => {
                // What nothing can cure is the reason to tell; then whoever gives one.
                let mut ordered: Vec<&PolicyId> = policies.iter().collect();
                ordered.sort_by_key(|id| self.terms(id).is_some() || self.step(id).is_some());
                let reason = ordered
                    .iter()
                    .find_map(|id| self.bundle.policy(id)?.reason.clone());
                let listed = policies
                    .iter()
                    .map(|id| &*id.0)
                    .collect::<Vec<_>>()
                    .join(", ");
                let outside = match (hidden(access), reason) {
                    (Some(hidden), Some(reason)) => format!("{hidden}: {reason}").into(),
                    (Some(hidden), None) => hidden.into(),
                    (None, Some(reason)) => reason,
                    (None, None) => format!("policy forbids {what}").into(),
                };
                Refusal {
                    outside,
                    advice: advice(access),
                    inside: format!("{what} is forbidden by {listed}"),
                    policies,
                    scopes: Vec::new(),
                }
            }
        }
    }
}

/// The action that, where it is permitted, includes this one.
fn wider(action: Action) -> Option<Action> {
    (action == Action::PgMatch).then_some(Action::PgInfer)
}

/// The column that a refused statement uses other than as it is.
fn hidden(access: &Access) -> Option<String> {
    let Resource::Column(column) = &access.resource else {
        return None;
    };
    let uses = matches!(access.action, Action::PgInfer | Action::PgMatch);
    uses.then(|| format!("column {column} is masked and cannot be used here"))
}

/// What to do instead.
fn advice(access: &Access) -> Option<Arc<str>> {
    let others = if access.action == Action::PgMatch {
        "ask whoever keeps the policies to permit pg.match, or for an approval"
    } else {
        "compare it as column = value where policy permits pg.match, or ask whoever keeps the \
         policies for an approval"
    };
    hidden(access).map(|_| {
        format!("select the column as it is, find rows by another column, {others}").into()
    })
}

enum Decided {
    Allow(Vec<PolicyId>, Option<Rate>),
    Hold(HoldTerms),
}

/// What the holding policies ask for together.
struct Holds {
    approvers: BTreeSet<Group>,
    quorum: u8,
    expires_s: u32,
    reasons: BTreeSet<Arc<str>>,
    policies: BTreeSet<PolicyId>,
}

impl Default for Holds {
    fn default() -> Self {
        Self {
            approvers: BTreeSet::new(),
            quorum: 1,
            expires_s: u32::MAX,
            reasons: BTreeSet::new(),
            policies: BTreeSet::new(),
        }
    }
}

impl Holds {
    fn into_terms(self) -> HoldTerms {
        let reasons: Vec<&str> = self.reasons.iter().map(|reason| &**reason).collect();
        let reason = if reasons.is_empty() {
            "policy asks for an approval".to_owned()
        } else {
            reasons.join("; ")
        };
        HoldTerms {
            approvers: self.approvers.into_iter().collect(),
            quorum: self.quorum,
            expires_s: self.expires_s,
            reason: reason.into(),
            policies: self.policies.into_iter().collect(),
        }
    }
}

/// What the policies that ask for scopes ask for together.
#[derive(Default)]
struct Steps {
    scopes: BTreeSet<Arc<str>>,
    reasons: BTreeSet<Arc<str>>,
    policies: BTreeSet<PolicyId>,
}

impl Steps {
    fn into_refusal(self) -> Refusal {
        let joined = |texts: &BTreeSet<Arc<str>>, by: &str| {
            texts
                .iter()
                .map(|text| &**text)
                .collect::<Vec<_>>()
                .join(by)
        };
        let scopes = joined(&self.scopes, " ");
        let outside = if self.reasons.is_empty() {
            format!("this needs a token with scope {scopes}")
        } else {
            joined(&self.reasons, "; ")
        };
        Refusal {
            outside: outside.into(),
            advice: None,
            inside: format!("the token has not scope {scopes}"),
            policies: self.policies.into_iter().collect(),
            scopes: self.scopes.into_iter().collect(),
        }
    }
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

fn named(id: &cedar_policy::PolicyId) -> PolicyId {
    let id: &str = id.as_ref();
    PolicyId(id.into())
}

fn is_connect(action: Action) -> bool {
    matches!(action, Action::PgConnect | Action::McpConnect)
}
