//! Questions to policy, and answers that may be given again.

use std::collections::HashMap;
use std::sync::Arc;

use weir_facts::{Access, Action, Group, Resource, Verdict};
use weir_mask::detect::{Class, ClassSet};
use weir_mcp::json;
use weir_policy::{JudgeContext, Judgement, Reads, Value};

use super::caller::Caller;
use super::context::Context;
use super::limits::VERDICTS_MAX;
use super::masks::Masks;
use super::pins;
use crate::io::Env;
use crate::world::source_ip;

/// Verdicts of one flow for one caller in one world. Anything that changes empties it.
#[derive(Default)]
pub(crate) struct Verdicts {
    world: u64,
    caller: Option<Arc<[u8]>>,
    scopes: Arc<[Arc<str>]>,
    judged: HashMap<Access, Judgement>,
    masks: HashMap<Box<str>, Arc<Masks>>,
}

impl Verdicts {
    fn enter(&mut self, env: &Env<'_>, caller: &Caller) {
        let same = self.world == env.world.version
            && self.caller.as_ref() == Some(&caller.key)
            && self.scopes == caller.scopes;
        if !same || self.judged.len() + self.masks.len() > VERDICTS_MAX {
            *self = Self {
                world: env.world.version,
                caller: Some(caller.key.clone()),
                scopes: caller.scopes.clone(),
                ..Self::default()
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
        if let Some(judgement) = self.judged.get(access) {
            return judgement.clone();
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
            self.judged.insert(access.clone(), judgement.clone());
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
        arguments: Option<json::Value<'_>>,
    ) -> Judgement {
        if let Some(doubt) = pins::doubt(context, env, access) {
            return pins::quarantined(context, access, doubt);
        }
        self.enter(env, caller);
        // What is kept hangs on no arguments.
        if let Some(judgement) = self.judged.get(access) {
            return judgement.clone();
        }
        let on = &context.connection.name;
        let reads = env.world.snapshot.reads_of(on, access);
        if !reads.any(Reads::ARGUMENTS) {
            return self.judge(context, env, caller, access);
        }
        let arguments = arguments.map(|arguments| typed(&arguments));
        ask(
            context,
            env,
            caller,
            std::slice::from_ref(access),
            arguments.as_ref(),
            &[],
        )
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

    /// What is masked in answers of a tool, or in anything else where `tool` is empty.
    pub(crate) fn masks(
        &mut self,
        context: &Context,
        env: &Env<'_>,
        caller: &Caller,
        tool: &str,
    ) -> Arc<Masks> {
        self.enter(env, caller);
        if let Some(masks) = self.masks.get(tool) {
            return masks.clone();
        }
        let on = &context.connection.name;
        let snapshot = &env.world.snapshot;
        let cx = judging(context, env, caller, None, &[]);
        let classes = snapshot
            .detectors(on)
            .iter()
            .filter_map(|class| Class::parse(class));
        let rules = classes.map(|class| {
            (
                class,
                snapshot.reveal_class(&caller.principal, on, class.as_str(), tool, &cx),
            )
        });
        let masks = Arc::new(Masks::new(rules));
        let fleeting = Reads::CLOCK.union(Reads::SOURCE_IP).union(Reads::ARGUMENTS);
        if !snapshot.reads(on, Action::McpReveal).any(fleeting) {
            self.masks.insert(tool.into(), masks.clone());
        }
        masks
    }
}

/// Whether this is what a list is asked by for want of an action of its own.
const fn is_use(action: Action) -> bool {
    matches!(action, Action::McpGetPrompt | Action::McpReadResource)
}

/// Asks policy once more, with what people gave.
pub(crate) fn judge_approved(
    context: &Context,
    env: &Env<'_>,
    caller: &Caller,
    accesses: &[Access],
    arguments: Option<&Value>,
    approvals: &[Group],
) -> Judgement {
    ask(context, env, caller, accesses, arguments, approvals)
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

/// Arguments as policies see them.
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
fn number(text: &str) -> Value {
    const SAFE: i64 = (1 << 53) - 1;
    match text.parse::<i64>() {
        Ok(long) if long.abs() <= SAFE => Value::Long(long),
        Ok(_) | Err(_) => Value::Number(text.into()),
    }
}

/// The classes that are looked for.
pub(crate) fn wanted(classes: impl Iterator<Item = Class>) -> ClassSet {
    classes.collect()
}
