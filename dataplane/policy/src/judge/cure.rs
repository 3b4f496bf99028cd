//! What policies that forbid until something is shown ask for together: approvals and scopes.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_facts::{Group, HoldTerms, PolicyId};

use super::refusal::Refusal;
use crate::Snapshot;
use crate::bundle::{ApproveTerms, Effect};

impl Snapshot {
    pub(super) fn terms(&self, id: &PolicyId) -> Option<(&ApproveTerms, Option<&Arc<str>>)> {
        let info = self.bundle.policy(id)?;
        match &info.effect {
            Effect::Approve(terms) => Some((terms, info.reason.as_ref())),
            Effect::Permit | Effect::Forbid | Effect::StepUp(_) | Effect::Mask(_) => None,
        }
    }

    /// The scope that cures what a policy forbids, and the policy's reason.
    pub(super) fn step(&self, id: &PolicyId) -> Option<(&Arc<str>, Option<&Arc<str>>)> {
        let info = self.bundle.policy(id)?;
        match &info.effect {
            Effect::StepUp(scope) => Some((scope, info.reason.as_ref())),
            Effect::Permit | Effect::Forbid | Effect::Approve(_) | Effect::Mask(_) => None,
        }
    }

    pub(super) fn curable(&self, policies: &[PolicyId]) -> bool {
        policies
            .iter()
            .all(|id| self.terms(id).is_some() || self.step(id).is_some())
    }

    pub(super) fn gather_scopes(&self, policies: &[PolicyId], steps: &mut Steps) {
        for id in policies {
            let Some((scope, reason)) = self.step(id) else {
                continue;
            };
            steps.scopes.insert(scope.clone());
            steps.reasons.extend(reason.cloned());
            steps.policies.insert(id.clone());
        }
    }

    pub(super) fn gather(&self, policies: &[PolicyId], holds: &mut Holds) {
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
}

/// What the holding policies ask for together.
pub(super) struct Holds {
    pub(super) approvers: BTreeSet<Group>,
    pub(super) quorum: u8,
    pub(super) expires_s: u32,
    pub(super) reasons: BTreeSet<Arc<str>>,
    pub(super) policies: BTreeSet<PolicyId>,
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
    pub(super) fn into_terms(self) -> HoldTerms {
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
pub(super) struct Steps {
    pub(super) scopes: BTreeSet<Arc<str>>,
    pub(super) reasons: BTreeSet<Arc<str>>,
    pub(super) policies: BTreeSet<PolicyId>,
}

impl Steps {
    pub(super) fn into_refusal(self) -> Refusal {
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
