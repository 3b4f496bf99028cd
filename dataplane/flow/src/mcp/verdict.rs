//! Questions to policy, and answers that may be given again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use weir_facts::{
    Access, Action, ConnectionName, Denial, Group, Principal, Resource, Reveal, Verdict,
};
use weir_mask::detect::{Class, ClassSet};
use weir_mcp::json;
use weir_mcp::message::client::Asked;
use weir_policy::{BLOB_CLASS, JudgeContext, Judgement, Reads, Value};

use super::caller::Caller;
use super::context::Context;
use super::limits::{ASKERS_MAX, VERDICTS_MAX};
use super::masks::Masks;
use super::pins;
use crate::io::Env;
use crate::world::source_ip;

/// Verdicts of one flow for one caller in one world. Anything that changes empties it.
#[derive(Default)]
pub(crate) struct Verdicts {
    world: u64,
    /// With its groups: the same person's next token may have others.
    caller: Option<Principal>,
    scopes: Arc<[Arc<str>]>,
    known: Known,
}

/// What hangs on nothing but the world, the server, the caller and the question.
#[derive(Default)]
struct Known {
    judged: HashMap<Access, Judgement>,
    masks: HashMap<Box<str>, Arc<Masks>>,
    /// For what may be of any tool's call.
    any: Option<Arc<Masks>>,
}

impl Known {
    fn is_full(&self) -> bool {
        self.judged.len() + self.masks.len() > VERDICTS_MAX
    }
}

/// The same for all flows of a worker, in one world: a client that connects anew asks what
/// it has asked before, and each answer of Cedar's takes some tens of microseconds.
#[derive(Default)]
pub(crate) struct SharedVerdicts(RefCell<Shared>);

#[derive(Default)]
struct Shared {
    world: u64,
    known: HashMap<Asker, Known>,
}

/// Who asks of which server: every part of the principal, the process as well, and what the
/// token is for.
#[derive(PartialEq, Eq, Hash)]
struct Asker {
    connection: ConnectionName,
    principal: Principal,
    scopes: Arc<[Arc<str>]>,
}

impl Asker {
    fn new(context: &Context, caller: &Caller) -> Self {
        Self {
            connection: context.connection.name.clone(),
            principal: caller.principal.clone(),
            scopes: caller.scopes.clone(),
        }
    }
}

impl SharedVerdicts {
    fn find<R>(
        &self,
        world: u64,
        asker: &Asker,
        pick: impl FnOnce(&Known) -> Option<R>,
    ) -> Option<R> {
        let shared = self.0.borrow();
        let known = shared.known.get(asker).filter(|_| shared.world == world)?;
        pick(known)
    }

    fn keep(&self, world: u64, asker: Asker, put: impl FnOnce(&mut Known)) {
        let mut shared = self.0.borrow_mut();
        if shared.world != world || shared.known.len() >= ASKERS_MAX {
            shared.known.clear();
            shared.world = world;
        }
        let known = shared.known.entry(asker).or_default();
        if known.is_full() {
            *known = Known::default();
        }
        put(known);
    }
}

impl Verdicts {
    fn enter(&mut self, env: &Env<'_>, caller: &Caller) {
        let same = self.world == env.world.version
            && self.caller.as_ref() == Some(&caller.principal)
            && self.scopes == caller.scopes;
        if !same || self.known.is_full() {
            *self = Self {
                world: env.world.version,
                caller: Some(caller.principal.clone()),
                scopes: caller.scopes.clone(),
                known: Known::default(),
            };
        }
    }

    /// What policy says of one access, without arguments or approvals.
    pub(crate) fn judge(
        &mut self,
        context: &Context,
        env: &Env<'_>,
        caller: &Caller,
        access: &Access,
    ) -> Judgement {
        self.enter(env, caller);
        if let Some(judgement) = self.known.judged.get(access) {
            return judgement.clone();
        }
        let (world, asker) = (env.world.version, Asker::new(context, caller));
        let shared = &env.plans.calls;
        if let Some(judgement) =
            shared.find(world, &asker, |known| known.judged.get(access).cloned())
        {
            self.known.judged.insert(access.clone(), judgement.clone());
            return judgement;
        }
        let judgement = ask(
            context,
            env,
            caller,
            std::slice::from_ref(access),
            None,
            &[],
        );
        if judgement.cacheable {
            self.known.judged.insert(access.clone(), judgement.clone());
            shared.keep(world, asker, |known| {
                known.judged.insert(access.clone(), judgement.clone());
            });
        }
        judgement
    }

    /// The same for a call with arguments: found only where no policy reads them.
    pub(crate) fn judge_call(
        &mut self,
        context: &Context,
        env: &Env<'_>,
        caller: &Caller,
        access: &Access,
        asked: &Asked<'_>,
    ) -> Judgement {
        if let Some(doubt) = pins::doubt(context, env, access) {
            return pins::quarantined(context, access, doubt);
        }
        if let Some(judgement) = self.judge_unread(context, env, caller, access) {
            return judgement;
        }
        let values = arguments(asked);
        let accesses = std::slice::from_ref(access);
        let judgement = judge_approved(context, env, caller, accesses, &values, &[]);
        match &judgement.verdict {
            Verdict::Deny(_) => judgement,
            Verdict::Allow | Verdict::Hold(_) => {
                mistyped(context, env, access, asked.arguments).unwrap_or(judgement)
            }
        }
    }

    /// The same for what a client answers its server: the answer is what arguments are to a call.
    pub(crate) fn judge_answer(
        &mut self,
        context: &Context,
        env: &Env<'_>,
        caller: &Caller,
        access: &Access,
        answer: Option<json::Value<'_>>,
    ) -> Judgement {
        if let Some(judgement) = self.judge_unread(context, env, caller, access) {
            return judgement;
        }
        let values: Vec<_> = answer.as_ref().map(typed).into_iter().collect();
        let accesses = std::slice::from_ref(access);
        judge_approved(context, env, caller, accesses, &values, &[])
    }

    /// What policy says where it reads no arguments.
    fn judge_unread(
        &mut self,
        context: &Context,
        env: &Env<'_>,
        caller: &Caller,
        access: &Access,
    ) -> Option<Judgement> {
        self.enter(env, caller);
        // What is kept hangs on no arguments.
        if let Some(judgement) = self.known.judged.get(access) {
            return Some(judgement.clone());
        }
        let on = &context.connection.name;
        let reads = env.world.snapshot.reads_of(on, access);
        (!reads.any(Reads::ARGUMENTS)).then(|| self.judge(context, env, caller, access))
    }

    /// Whether a caller may know of a tool, and call it with some arguments or others.
    pub(crate) fn may_use(
        &mut self,
        context: &Context,
        env: &Env<'_>,
        caller: &Caller,
        tool: &str,
    ) -> bool {
        let of = |action| Access {
            action,
            resource: Resource::Tool(tool.into()),
        };
        if !self.may_see(context, env, caller, &of(Action::McpListTool)) {
            return false;
        }
        let call = of(Action::McpCallTool);
        let judgement = self.judge_unread(context, env, caller, &call);
        judgement.is_none_or(|judgement| match judgement.verdict {
            Verdict::Allow | Verdict::Hold(_) => true,
            Verdict::Deny(_) => false,
        })
    }

    /// Whether a caller may know that something is there: where policy lets it be listed,
    /// or, for a tool of which policy says nothing about listing, called or asked for.
    pub(crate) fn may_see(
        &mut self,
        context: &Context,
        env: &Env<'_>,
        caller: &Caller,
        access: &Access,
    ) -> bool {
        if pins::doubt(context, env, access).is_some() {
            return false;
        }
        let listed = self.judge(context, env, caller, access);
        match (&listed.verdict, &access.resource) {
            (Verdict::Allow, _) => true,
            (Verdict::Deny(denial), Resource::Tool(_)) if denial.policies.is_empty() => {
                let call = Access {
                    action: Action::McpCallTool,
                    resource: access.resource.clone(),
                };
                match self.judge(context, env, caller, &call).verdict {
                    Verdict::Allow | Verdict::Hold(_) => true,
                    Verdict::Deny(denial) => !denial.scopes.is_empty(),
                }
            }
            // People, or a token with another scope, would do: whoever does not know of it never asks.
            (Verdict::Hold(_), _) => is_use(access.action),
            (Verdict::Deny(denial), _) => !denial.scopes.is_empty() && is_use(access.action),
        }
    }

    /// What is masked in a message that may be of any tool's call, as servers tell things while
    /// they work: what is labelled in any of their results.
    pub(crate) fn masks_of_any(
        &mut self,
        context: &Context,
        env: &Env<'_>,
        caller: &Caller,
    ) -> Arc<Masks> {
        self.enter(env, caller);
        if let Some(masks) = &self.known.any {
            return masks.clone();
        }
        let (who, on) = (&caller.principal, &context.connection.name);
        let snapshot = &env.world.snapshot;
        let cx = judging(context, env, caller, None, &[]);
        let places = snapshot.every_place(on).map(|(tool, place)| {
            let reveal = snapshot.reveal_labelled(who, on, &place.classes, tool, &cx);
            (place.path.clone(), reveal)
        });
        let (rules, blobs) = classes(context, env, caller, "", &cx);
        let masks = Arc::new(Masks::new(rules.into_iter(), places, blobs));
        if !is_fleeting(context, env) {
            self.known.any = Some(masks.clone());
        }
        masks
    }

    /// What is masked in answers of a tool, or in anything else where `tool` is empty.
    pub(crate) fn masks(
        &mut self,
        context: &Context,
        env: &Env<'_>,
        caller: &Caller,
        tool: &str,
    ) -> Arc<Masks> {
        self.enter(env, caller);
        if let Some(masks) = self.known.masks.get(tool) {
            return masks.clone();
        }
        let (world, asker) = (env.world.version, Asker::new(context, caller));
        let shared = &env.plans.calls;
        if let Some(masks) = shared.find(world, &asker, |known| known.masks.get(tool).cloned()) {
            self.known.masks.insert(tool.into(), masks.clone());
            return masks;
        }
        let on = &context.connection.name;
        let snapshot = &env.world.snapshot;
        let cx = judging(context, env, caller, None, &[]);
        let places = snapshot.places(on, tool).map(|place| {
            let who = &caller.principal;
            let reveal = snapshot.reveal_labelled(who, on, &place.classes, tool, &cx);
            (place.path.clone(), reveal)
        });
        let (rules, blobs) = classes(context, env, caller, tool, &cx);
        let masks = Arc::new(Masks::new(rules.into_iter(), places, blobs));
        if !is_fleeting(context, env) {
            self.known.masks.insert(tool.into(), masks.clone());
            shared.keep(world, asker, |known| {
                known.masks.insert(tool.into(), masks.clone());
            });
        }
        masks
    }
}

/// What is shown of the classes that answers are searched for, and of blobs.
fn classes(
    context: &Context,
    env: &Env<'_>,
    caller: &Caller,
    tool: &str,
    cx: &JudgeContext<'_>,
) -> (Vec<(Class, Reveal)>, Reveal) {
    let (who, on) = (&caller.principal, &context.connection.name);
    let snapshot = &env.world.snapshot;
    let detectors = snapshot.detectors(on);
    let classes = detectors.iter().filter_map(|class| Class::parse(class));
    let rules = classes.map(|class| {
        let reveal = snapshot.reveal_class(who, on, class.as_str(), tool, cx);
        (class, reveal)
    });
    let blobs = match detectors.iter().any(|class| **class == *BLOB_CLASS) {
        true => snapshot.reveal_class(who, on, BLOB_CLASS, tool, cx),
        false => Reveal::Clear,
    };
    (rules.collect(), blobs)
}

/// Whether what is shown hangs on more than the world and the caller.
fn is_fleeting(context: &Context, env: &Env<'_>) -> bool {
    let fleeting = Reads::CLOCK.union(Reads::SOURCE_IP).union(Reads::ARGUMENTS);
    let reads = env
        .world
        .snapshot
        .reads(&context.connection.name, Action::McpReveal);
    reads.any(fleeting)
}

/// The judgement of a call whose arguments policy reads, and of which one has another type than the
/// tool's definition says: the server may take it for what policy has not seen.
fn mistyped(
    context: &Context,
    env: &Env<'_>,
    access: &Access,
    arguments: Option<json::Value<'_>>,
) -> Option<Judgement> {
    let Resource::Tool(name) = &access.resource else {
        return None;
    };
    let definition = pins::definition(context, env, name)?;
    let found = definition.schemas().input.as_ref()?.mistyped(&arguments?)?;
    Some(Judgement::refused(Denial {
        outside: found.to_string().into(),
        advice: None,
        scopes: Vec::new(),
        inside: format!("{found}, says the definition of {name}").into(),
        policies: Vec::new(),
    }))
}

/// Whether this is what a list is asked by for want of an action of its own.
const fn is_use(action: Action) -> bool {
    matches!(action, Action::McpGetPrompt | Action::McpReadResource)
}

/// Asks policy, with what people gave: for every set of arguments that a server could take these
/// for.
pub(crate) fn judge_approved(
    context: &Context,
    env: &Env<'_>,
    caller: &Caller,
    accesses: &[Access],
    arguments: &[Value],
    approvals: &[Group],
) -> Judgement {
    let ask = |set| ask(context, env, caller, accesses, set, approvals);
    match arguments {
        [] => ask(None),
        [one] => ask(Some(one)),
        several => Judgement::all(several.iter().map(|set| ask(Some(set)))),
    }
}

fn ask(
    context: &Context,
    env: &Env<'_>,
    caller: &Caller,
    accesses: &[Access],
    arguments: Option<&Value>,
    approvals: &[Group],
) -> Judgement {
    let cx = judging(context, env, caller, arguments, approvals);
    env.world
        .judge(&caller.principal, &context.connection.name, accesses, &cx)
}

fn judging<'a>(
    context: &Context,
    env: &Env<'_>,
    caller: &'a Caller,
    arguments: Option<&'a Value>,
    approvals: &'a [Group],
) -> JudgeContext<'a> {
    JudgeContext {
        now: env.now,
        clock: env.world.clock,
        source: source_ip(context.source),
        approvals,
        scopes: &caller.scopes,
        in_transaction: false,
        has_where: false,
        database: "",
        role: "",
        arguments,
    }
}

/// The arguments of a request as policies see them. A completion's are what was entered before and
/// what is entered now; clients may name an argument among both, and then either must be allowed.
pub(crate) fn arguments(asked: &Asked<'_>) -> Vec<Value> {
    let Some(completion) = &asked.completion else {
        return asked.arguments.iter().map(typed).collect();
    };
    let before = completion.context.iter().flat_map(|it| it.members());
    let before: Vec<(Box<str>, Value)> = before
        .map(|(name, value)| (name.text().unwrap_or_default().into(), typed(&value)))
        .collect();
    let entered = (completion.name.clone(), typed(&completion.value));
    let is_named = |(name, _): &&(Box<str>, Value)| *name == entered.0;
    let is_other = before
        .iter()
        .find(is_named)
        .is_some_and(|it| *it != entered);
    let others = before.iter().filter(|it| !is_named(it)).cloned();
    let mut sets = vec![Value::Object(others.chain([entered.clone()]).collect())];
    if is_other {
        sets.push(Value::Object(before));
    }
    sets
}

/// Values as policies see them.
pub(crate) fn typed(value: &json::Value<'_>) -> Value {
    match value.kind() {
        json::Kind::Null => Value::Null,
        json::Kind::True => Value::Bool(true),
        json::Kind::False => Value::Bool(false),
        json::Kind::Number => number(value.number().unwrap_or_default()),
        json::Kind::String | json::Kind::Key => {
            Value::String(value.text().unwrap_or_default().into())
        }
        json::Kind::Array => {
            Value::Array(value.elements().map(|element| typed(&element)).collect())
        }
        json::Kind::Object => Value::Object(
            value
                .members()
                .map(|(key, member)| (key.text().unwrap_or_default().into(), typed(&member)))
                .collect(),
        ),
    }
}

/// Integers beyond 2⁵³ are rounded by some servers: they are no number that a policy may compare.
/// `1000.0` and `1e3` are what servers take them for.
fn number(text: &str) -> Value {
    const SAFE: i64 = (1 << 53) - 1;
    const SAFE_FLOAT: f64 = 9_007_199_254_740_991.0;
    match text.parse::<i64>() {
        Ok(long) if long.abs() <= SAFE => Value::Long(long),
        Ok(_) => Value::Number(text.into()),
        Err(_) => {
            let number = text.parse::<f64>().ok();
            let whole = number.filter(|number| number.fract() == 0.0 && number.abs() <= SAFE_FLOAT);
            let long = whole.and_then(|number| format!("{number:.0}").parse().ok());
            long.map_or_else(|| Value::Number(text.into()), Value::Long)
        }
    }
}

/// The classes that are looked for.
pub(crate) fn wanted(classes: impl Iterator<Item = Class>) -> ClassSet {
    classes.collect()
}

#[cfg(test)]
mod tests {
    use weir_facts::Identity;

    use super::*;

    fn asker(connection: &str, subject: &str) -> Asker {
        let identity = Identity {
            issuer: "weir".into(),
            subject: subject.into(),
            is_service: false,
            groups: Vec::new(),
        };
        Asker {
            connection: ConnectionName::new(connection),
            principal: Principal {
                workload: None,
                identity: Some(Arc::new(identity)),
                agent: None,
            },
            scopes: Arc::default(),
        }
    }

    #[test]
    fn a_shared_verdict_is_found_by_its_own_caller_at_its_own_server_in_its_own_world_only() {
        let shared = SharedVerdicts::default();
        let access = super::super::exchange::connect();
        let denied = || {
            Judgement::refused(Denial {
                outside: "no".into(),
                advice: None,
                scopes: Vec::new(),
                inside: "no".into(),
                policies: Vec::new(),
            })
        };
        let keep = |world, asker| {
            shared.keep(world, asker, |known| {
                known.judged.insert(access.clone(), denied());
            });
        };
        let knows = |world, asker| {
            let found = shared.find(world, &asker, |known| known.judged.get(&access).cloned());
            found.is_some()
        };
        keep(1, asker("mcp", "ada"));
        assert!(knows(1, asker("mcp", "ada")));
        assert!(!knows(1, asker("mcp", "eve")));
        assert!(!knows(1, asker("other", "ada")));
        assert!(!knows(2, asker("mcp", "ada")));
        let scoped = Asker {
            scopes: ["tools".into()].into(),
            ..asker("mcp", "ada")
        };
        assert!(!knows(1, scoped), "a token for more, or for less");
        keep(2, asker("mcp", "eve"));
        assert!(!knows(2, asker("mcp", "ada")) && !knows(1, asker("mcp", "ada")));
        for at in 0..2 * ASKERS_MAX {
            keep(2, asker("mcp", &at.to_string()));
        }
        assert!(shared.0.borrow().known.len() <= ASKERS_MAX);
    }
}
