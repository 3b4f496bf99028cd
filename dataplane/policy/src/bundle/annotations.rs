//! What our annotations mean, and the refusal of everything that they do not.

use std::sync::Arc;

use cedar_policy::{ActionConstraint, Effect as CedarEffect, Policy};
use weir_facts::{Action, Group, MaskRule, PolicyId};

use crate::Level;
use crate::limits::{EXPIRES_S_DEFAULT, EXPIRES_S_MAX, QUORUM_MAX, SCOPE_BYTES_MAX};
use crate::rate::{Rate, seconds};
use crate::reads::Reads;

/// What a policy does when it applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It grants.
    Permit,
    /// It forbids, for good.
    Forbid,
    /// It forbids until people have agreed.
    Approve(ApproveTerms),
    /// It forbids until the caller's token has this scope.
    StepUp(Arc<str>),
    /// It forbids the clear value; what the rule leaves may be shown.
    Mask(MaskRule),
}

/// What an approval of a policy needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApproveTerms {
    /// Groups of which each must approve.
    pub approvers: Vec<Group>,
    /// Distinct people needed from each group.
    pub quorum: u8,
    /// How long a request stays open, in seconds.
    pub expires_s: u32,
}

/// A policy's annotations, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Annotations {
    pub(super) id: PolicyId,
    pub(super) effect: Effect,
    pub(super) reason: Option<Arc<str>>,
    pub(super) rate: Option<Rate>,
    pub(super) level: Level,
}

const KNOWN: &[&str] = &[
    "id",
    "effect",
    "approvers",
    "quorum",
    "expires",
    "mask",
    "rate",
    "durability",
    "scope",
    "reason",
];

/// Reads a policy's annotations; `actions` and `reads` are what its scope and its conditions say.
pub(super) fn read(
    policy: &Policy,
    actions: &[Action],
    reads: Reads,
) -> Result<Annotations, Vec<String>> {
    let mut faults: Vec<String> = policy
        .annotations()
        .filter(|(name, _)| !KNOWN.contains(name))
        .map(|(name, _)| {
            format!(
                "unknown annotation @{name}; known are @{}",
                KNOWN.join(", @")
            )
        })
        .collect();
    let mut take = |read: Result<Option<Arc<str>>, String>| {
        read.unwrap_or_else(|fault| {
            faults.push(fault);
            None
        })
    };
    let id = take(id(policy));
    let reason = take(reason(policy));
    let rate = rate(policy, actions).unwrap_or_else(|fault| {
        faults.push(fault);
        None
    });
    let level = level(policy, actions).unwrap_or_else(|fault| {
        faults.push(fault);
        Level::default()
    });
    let effect = effect(policy, actions, reads)
        .map_err(|found| faults.extend(found))
        .ok();
    match (id, effect) {
        (Some(id), Some(effect)) if faults.is_empty() => Ok(Annotations {
            id: PolicyId(id),
            effect,
            reason,
            rate,
            level,
        }),
        _ => Err(faults),
    }
}

fn id(policy: &Policy) -> Result<Option<Arc<str>>, String> {
    let id = policy
        .annotation("id")
        .ok_or("every policy needs @id(\"…\"), unique in the bundle")?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if id.is_empty() || id.len() > 100 || !id.bytes().all(fits) {
        return Err(format!(
            "@id({id:?}) must be 1 to 100 letters, digits, '-', '_' or '.'"
        ));
    }
    Ok(Some(id.into()))
}

fn reason(policy: &Policy) -> Result<Option<Arc<str>>, String> {
    let Some(reason) = policy.annotation("reason") else {
        return Ok(None);
    };
    if reason.is_empty() || reason.len() > 500 || reason.chars().any(char::is_control) {
        return Err("@reason must be one line of 1 to 500 bytes; the caller reads it".to_owned());
    }
    Ok(Some(reason.into()))
}

/// Every permit that names `pg.match` says how often, and no other policy does. One for any
/// action allows no match.
fn rate(policy: &Policy, actions: &[Action]) -> Result<Option<Rate>, String> {
    let permits = policy.effect() == CedarEffect::Permit;
    let named = !matches!(policy.action_constraint(), ActionConstraint::Any);
    match policy.annotation("rate") {
        Some(text) if permits && actions == [Action::PgMatch] => Rate::parse(text).map(Some),
        Some(_) => Err("@rate belongs to a permit of pg.match alone: \
                        write `action == Weir::Action::\"pg.match\"` in the policy's scope"
            .to_owned()),
        None if permits && named && actions.contains(&Action::PgMatch) => {
            Err("a permit of pg.match needs @rate(\"20/1h\"), and names no other action".to_owned())
        }
        None => Ok(None),
    }
}

/// A permit may say that what it allows need not be on stable storage before it goes on. What only
/// decides how a value is shown is not recorded by itself.
fn level(policy: &Policy, actions: &[Action]) -> Result<Level, String> {
    let Some(text) = policy.annotation("durability") else {
        return Ok(Level::default());
    };
    if policy.effect() != CedarEffect::Permit {
        return Err(
            "@durability belongs to permit: it says how what is allowed is recorded".to_owned(),
        );
    }
    if actions.iter().copied().all(reveals) {
        return Err("@durability means nothing for pg.reveal and mcp.reveal, \
                    which show values and allow no operation"
            .to_owned());
    }
    Level::parse(text)
}

fn effect(policy: &Policy, actions: &[Action], reads: Reads) -> Result<Effect, Vec<String>> {
    let forbids = policy.effect() == CedarEffect::Forbid;
    let only = |allowed: &[&str], without: &str| -> Vec<String> {
        ["approvers", "quorum", "expires", "mask", "scope"]
            .iter()
            .filter(|name| policy.annotation(name).is_some() && !allowed.contains(name))
            .map(|name| format!("@{name} means nothing {without}"))
            .collect()
    };
    let (effect, mut faults) = match policy.annotation("effect") {
        None => (
            Ok(if forbids {
                Effect::Forbid
            } else {
                Effect::Permit
            }),
            only(&[], "without @effect"),
        ),
        Some("approve") => (
            approve(policy, actions, reads),
            only(
                &["approvers", "quorum", "expires"],
                "with @effect(\"approve\")",
            ),
        ),
        Some("step_up") => (
            step_up(policy, actions, reads),
            only(&["scope"], "with @effect(\"step_up\")"),
        ),
        Some("mask") => (
            mask(policy, actions),
            only(&["mask"], "with @effect(\"mask\")"),
        ),
        Some(other) => (
            Err(format!(
                "unknown @effect({other:?}); known are \"approve\", \"mask\" and \"step_up\""
            )),
            Vec::new(),
        ),
    };
    if policy.annotation("effect").is_some() && !forbids {
        faults.push("@effect belongs to forbid: it says how the denial can be cured".to_owned());
    }
    match effect {
        Ok(effect) if faults.is_empty() => Ok(effect),
        Ok(_) => Err(faults),
        Err(fault) => {
            faults.push(fault);
            Err(faults)
        }
    }
}

fn reveals(action: Action) -> bool {
    matches!(action, Action::PgReveal | Action::McpReveal)
}

fn approve(policy: &Policy, actions: &[Action], reads: Reads) -> Result<Effect, String> {
    if actions.iter().copied().any(reveals) {
        return Err("@effect(\"approve\") cannot hold pg.reveal or mcp.reveal, which are decided value by value; \
                    name the actions to hold in the policy's scope"
            .to_owned());
    }
    let listed = policy
        .annotation("approvers")
        .ok_or("@effect(\"approve\") needs @approvers(\"group, …\")")?;
    let approvers: Vec<Group> = listed
        .split(',')
        .map(|name| Group(name.trim().into()))
        .collect();
    if approvers.iter().any(|group| group.0.is_empty()) {
        return Err(format!("@approvers({listed:?}) has an empty name"));
    }
    let literals = policy.entity_literals();
    for group in &approvers {
        let named = |uid: &cedar_policy::EntityUid| {
            uid.type_name().basename() == "Group" && uid.id().unescaped() == &*group.0
        };
        if !reads.any(Reads::APPROVALS) || !literals.iter().any(named) {
            return Err(format!(
                "no approval of {group} would cure this: add `unless {{ context.approvals.contains(Weir::Group::\"{group}\") }}`"
            ));
        }
    }
    let quorum = policy.annotation("quorum").map_or(Ok(1), quorum)?;
    let expires_s = policy
        .annotation("expires")
        .map_or(Ok(EXPIRES_S_DEFAULT), expires)?;
    Ok(Effect::Approve(ApproveTerms {
        approvers,
        quorum,
        expires_s,
    }))
}

fn step_up(policy: &Policy, actions: &[Action], reads: Reads) -> Result<Effect, String> {
    let asks = |action: &Action| action.as_str().starts_with("mcp.") && !reveals(*action);
    if actions.is_empty() || !actions.iter().all(asks) {
        return Err(
            "@effect(\"step_up\") belongs to what MCP clients ask for, mcp.reveal excepted: \
             write `action == Weir::Action::\"mcp.call_tool\"` in the policy's scope"
                .to_owned(),
        );
    }
    let scope = policy
        .annotation("scope")
        .ok_or("@effect(\"step_up\") needs @scope(\"…\")")?;
    // RFC 6749 §3.3.
    let fits = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if scope.is_empty() || scope.len() > SCOPE_BYTES_MAX || !scope.bytes().all(fits) {
        return Err(format!(
            "@scope({scope:?}) must be one scope of 1 to {SCOPE_BYTES_MAX} bytes (RFC 6749 §3.3)"
        ));
    }
    // A scope has nothing that JSON would escape.
    let conditions = policy.to_json().map(|json| json["conditions"].to_string());
    let named = conditions.is_ok_and(|text| text.contains(&format!("\"{scope}\"")));
    if !reads.any(Reads::SCOPES) || !named {
        return Err(format!(
            "no token with scope {scope} would cure this: add `unless {{ context.scopes.contains(\"{scope}\") }}`"
        ));
    }
    Ok(Effect::StepUp(scope.into()))
}

pub(super) fn quorum(text: &str) -> Result<u8, String> {
    text.parse::<u8>()
        .ok()
        .filter(|quorum| (1..=QUORUM_MAX).contains(quorum))
        .ok_or_else(|| format!("@quorum({text:?}) must be a number from 1 to {QUORUM_MAX}"))
}

pub(super) fn expires(text: &str) -> Result<u32, String> {
    let wrong = || {
        format!("@expires({text:?}) must be like \"90s\", \"30m\", \"2h\" or \"1d\", at most 7d")
    };
    seconds(text)
        .filter(|total| (1..=EXPIRES_S_MAX).contains(total))
        .ok_or_else(wrong)
}

fn mask(policy: &Policy, actions: &[Action]) -> Result<Effect, String> {
    if actions.is_empty() || !actions.iter().copied().all(reveals) {
        return Err(
            "@effect(\"mask\") belongs to pg.reveal and mcp.reveal only: \
                    write `action == Weir::Action::\"pg.reveal\"` in the policy's scope"
                .to_owned(),
        );
    }
    let rule = policy
        .annotation("mask")
        .ok_or("@effect(\"mask\") needs @mask(\"…\")")?;
    rule.parse()
        .map(Effect::Mask)
        .map_err(|error: weir_facts::MaskRuleError| error.to_string())
}
