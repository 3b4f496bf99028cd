//! What Cedar says of one question, and what a denial tells whom.

use std::sync::Arc;

use cedar_policy::{AuthorizationError, Decision, Entities, PolicySet, Request};
use weir_facts::{Access, Action, ConnectionName, Denial, PolicyId, Resource};

use crate::{Level, Rate, Snapshot};

impl Snapshot {
    /// How often permits allow what they permit: the most generous counts. `None` is any number.
    pub(super) fn rate(&self, policies: &[PolicyId]) -> Option<Rate> {
        let rates = policies
            .iter()
            .filter_map(|id| self.bundle.policy(id)?.rate);
        rates.reduce(Rate::or)
    }

    /// How safe the record of what these permits allow must be.
    pub(super) fn level(&self, policies: &[PolicyId]) -> Level {
        let level = |id| {
            let info = self.bundle.policy(id);
            info.map_or_else(Level::default, |info| info.level)
        };
        Level::of_all(policies.iter().map(level))
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

/// The column that a refused statement uses other than as it is.
pub(super) fn hidden(access: &Access) -> Option<String> {
    let Resource::Column(column) = &access.resource else {
        return None;
    };
    let uses = matches!(access.action, Action::PgInfer | Action::PgMatch);
    uses.then(|| format!("column {column} is masked and cannot be used here"))
}

/// What to do instead.
pub(super) fn advice(access: &Access) -> Option<Arc<str>> {
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

pub(super) fn named(id: &cedar_policy::PolicyId) -> PolicyId {
    let id: &str = id.as_ref();
    PolicyId(id.into())
}
