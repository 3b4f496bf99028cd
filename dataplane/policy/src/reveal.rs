//! What of a value reaches the client.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::Request;
use weir_facts::{
    Access, Action, ColumnName, ConnectionName, MaskRule, PolicyId, Principal, Resource, Reveal,
};

use crate::bundle::{Effect, Unlabelled};
use crate::judge::{Answer, Asked, Refusal, entities};
use crate::snapshot::Compiled;
use crate::strictness::strictest;
use crate::{JudgeContext, Snapshot};

/// The id that a connection's default for unlabelled columns has in records. No policy can have it.
pub(crate) const UNLABELLED: &str = "masks.toml:unlabelled";

impl Snapshot {
    /// What of a column reaches the client: denied unless something permits `pg.reveal`, else the
    /// strictest mask that applies, else all of it. A column without a label also has its
    /// connection's default mask.
    #[must_use]
    pub fn reveal(
        &self,
        who: &Principal,
        on: &ConnectionName,
        column: &ColumnName,
        cx: &JudgeContext<'_>,
    ) -> Reveal {
        let access = Access {
            action: Action::PgReveal,
            resource: Resource::Column(column.clone()),
        };
        let revealed = self.compiled_or_refused(on).and_then(|compiled| {
            let default = default_mask(compiled, column);
            self.masked(compiled, who, on, &access, None, cx, default)
        });
        revealed.unwrap_or_else(|refusal| Reveal::Deny(refusal.into_denial()))
    }

    /// What of a value of a detected class reaches the client, by `mcp.reveal`. `tool` is the tool
    /// whose answer holds it, or empty where it is in something else.
    #[must_use]
    pub fn reveal_class(
        &self,
        who: &Principal,
        on: &ConnectionName,
        class: &str,
        tool: &str,
        cx: &JudgeContext<'_>,
    ) -> Reveal {
        let tool = (!tool.is_empty()).then_some(tool);
        self.reveal_found(Action::McpReveal, who, on, class, tool, cx)
    }

    /// What of a value at a labelled place reaches the client: denied where it is for any of its
    /// classes, else the strictest of their masks. `tool` as in [`Snapshot::reveal_class`].
    #[must_use]
    pub fn reveal_labelled(
        &self,
        who: &Principal,
        on: &ConnectionName,
        classes: &[Arc<str>],
        tool: &str,
        cx: &JudgeContext<'_>,
    ) -> Reveal {
        let each = classes
            .iter()
            .map(|class| self.reveal_class(who, on, class, tool, cx));
        each.fold(Reveal::Clear, stricter)
    }

    /// What of a value that a detector found in a Postgres answer reaches the client, by
    /// `pg.reveal` on its class.
    #[must_use]
    pub fn reveal_detected(
        &self,
        who: &Principal,
        on: &ConnectionName,
        class: &str,
        cx: &JudgeContext<'_>,
    ) -> Reveal {
        self.reveal_found(Action::PgReveal, who, on, class, None, cx)
    }

    fn reveal_found(
        &self,
        action: Action,
        who: &Principal,
        on: &ConnectionName,
        class: &str,
        tool: Option<&str>,
        cx: &JudgeContext<'_>,
    ) -> Reveal {
        let access = Access {
            action,
            resource: Resource::DataClass(class.into()),
        };
        let revealed = self
            .compiled_or_refused(on)
            .and_then(|compiled| self.masked(compiled, who, on, &access, tool, cx, None));
        revealed.unwrap_or_else(|refusal| Reveal::Deny(refusal.into_denial()))
    }

    fn compiled_or_refused(&self, on: &ConnectionName) -> Result<&Compiled, Refusal> {
        self.compiled(on)
            .ok_or_else(|| Refusal::internal(format!("connection {on} is not registered")))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one question in its circumstances; a struct would be built for this call alone"
    )]
    fn masked(
        &self,
        compiled: &Compiled,
        who: &Principal,
        on: &ConnectionName,
        access: &Access,
        tool: Option<&str>,
        cx: &JudgeContext<'_>,
        default: Option<(MaskRule, PolicyId)>,
    ) -> Result<Reveal, Refusal> {
        let slice = compiled
            .slice(access.action)
            .ok_or_else(|| Refusal::internal("an action without a slice"))?;
        let setting = self.setting(compiled, who, tool, slice.reads);
        let mut store = HashMap::new();
        let resource = self.resource(compiled, access, slice.reads, &mut store)?;
        let (action, entity) = self.action(access.action)?;
        store.insert(action.clone(), entity.clone());
        let (principal, entity) = self.parts(&setting, Asked::Main)?.into_main()?;
        store.insert(principal.clone(), entity);
        let internal = |error: crate::context::ContextError| Refusal::internal(error.to_string());
        setting.entities(cx, &mut store).map_err(internal)?;
        let (entities, context) = (
            entities(store)?,
            setting.context(cx, &[], &[]).map_err(internal)?,
        );
        let request = Request::new(principal, action.clone(), resource, context, None)
            .map_err(|error| Refusal::internal(error.to_string()))?;
        match self.answer(&request, &slice.enforce, &entities) {
            Answer::Permitted(_) => {}
            other => return Err(self.refusal(on, access, other)),
        }
        let masks = match self.answer(&request, &slice.mask, &entities) {
            Answer::Unpermitted => Vec::new(),
            Answer::Forbidden(policies) => policies,
            // Masks are forbids; nothing else belongs into that set.
            other @ (Answer::Permitted(_) | Answer::Errored(..)) => {
                return Err(self.refusal(on, access, other));
            }
        };
        self.strictest(masks, default)
    }

    fn strictest(
        &self,
        masks: Vec<PolicyId>,
        default: Option<(MaskRule, PolicyId)>,
    ) -> Result<Reveal, Refusal> {
        let mut chosen = default;
        for id in masks {
            let Some(Effect::Mask(rule)) = self.bundle.policy(&id).map(|info| info.effect.clone())
            else {
                return Err(Refusal::internal(format!(
                    "policy {} masks and has no mask",
                    id.0
                )));
            };
            chosen = Some(match chosen {
                None => (rule, id),
                Some((before, by)) => {
                    let both = strictest(before.clone(), rule);
                    // The rule's own author is named; for a rule that neither wrote, the first.
                    if both == before {
                        (both, by)
                    } else {
                        (both, id)
                    }
                }
            });
        }
        Ok(chosen.map_or(Reveal::Clear, |(rule, id)| Reveal::Mask(rule, id)))
    }
}

/// What two classes of one value leave of it.
fn stricter(one: Reveal, other: Reveal) -> Reveal {
    match (one, other) {
        (Reveal::Deny(denial), _) | (_, Reveal::Deny(denial)) => Reveal::Deny(denial),
        (Reveal::Mask(one, by), Reveal::Mask(other, _)) => Reveal::Mask(strictest(one, other), by),
        (Reveal::Mask(rule, by), Reveal::Clear) | (Reveal::Clear, Reveal::Mask(rule, by)) => {
            Reveal::Mask(rule, by)
        }
        (Reveal::Clear, Reveal::Clear) => Reveal::Clear,
    }
}

fn default_mask(compiled: &Compiled, column: &ColumnName) -> Option<(MaskRule, PolicyId)> {
    if compiled
        .masks
        .as_ref()
        .is_some_and(|masks| masks.columns.contains_key(column))
    {
        return None;
    }
    match compiled.unlabelled() {
        Unlabelled::Clear => None,
        Unlabelled::Mask(rule) => Some((rule, PolicyId(UNLABELLED.into()))),
    }
}
