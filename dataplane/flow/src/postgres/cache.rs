//! Judged texts, kept per worker. A text is found again only within its scope: the same
//! world, catalogue, principal, database and role.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use weir_facts::{Access, ConnectionName, Principal};
use weir_mask::Net;
use weir_policy::Judgement;
use weir_sql::{Epoch, Sensitive};

use super::guards::Guards;
use super::plan::{Plan, is_cacheable};
use crate::mcp::{Bodies, SharedVerdicts};

/// Bytes of text that one worker keeps plans for: some ten thousand statements of an ORM.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// Texts longer than this are not kept: they are rarely sent twice.
const TEXT_BYTES_KEPT: usize = 16 << 10;

/// Plans that one worker keeps: each is a few KiB with its statements.
const PLANS_MAX: usize = 16 << 10;

/// Texts that were judged lately and are not kept yet: as many as come between two uses of a
/// statement that is worth keeping.
const SIGHTINGS: usize = 8 << 10;

/// Scopes that one worker keeps: principals times databases.
const SCOPES_MAX: usize = 4096;

/// Verdicts that one worker keeps: each is a few hundred bytes.
const VERDICTS_MAX: usize = 16 << 10;

/// What a judged text hangs on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ScopeKey {
    pub(crate) world: u64,
    pub(crate) epoch: Epoch,
    pub(crate) connection: ConnectionName,
    pub(crate) principal: Principal,
    pub(crate) database: Arc<str>,
    pub(crate) role: Arc<str>,
    /// Where masks hang on the time: the minute since the Unix epoch, finer than which no policy sees.
    pub(crate) minute: Option<u64>,
    /// Where masks hang on the caller's address: that.
    pub(crate) source: Option<IpAddr>,
}

/// Names a scope of this worker; never used for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ScopeId(u64);

/// What is hidden within a scope.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) id: ScopeId,
    pub(crate) sensitive: Arc<Sensitive>,
    /// What unlabelled columns are searched for; `None` where they are not.
    pub(crate) net: Option<Arc<Net>>,
    pub(crate) guards: Guards,
}

/// A worker's judged texts. A text is kept when it comes a second time: one with its constants
/// written into it never does, and would only push out those that do.
#[derive(Default)]
pub struct PlanCache {
    scopes: HashMap<ScopeKey, Scope>,
    plans: HashMap<ScopeId, HashMap<Arc<str>, Arc<Plan>>>,
    count: usize,
    text_bytes: usize,
    sighted: Sighted,
    next: u64,
    pub(crate) verdicts: Verdicts,
    /// Those of MCP's calls.
    pub(crate) calls: SharedVerdicts,
    /// What MCP's flows hold of requests and answers.
    pub(crate) bodies: Bodies,
}

/// Verdicts by what is asked: texts that differ in their constants ask the same.
#[derive(Default)]
pub(crate) struct Verdicts(RefCell<HashMap<Asked, Judgement>>);

#[derive(PartialEq, Eq, Hash)]
struct Asked {
    scope: ScopeId,
    has_where: bool,
    accesses: Box<[Access]>,
}

impl Verdicts {
    /// The verdict on these accesses, judged if it is not known. Nothing is kept that hangs on
    /// more than the scope and what is asked.
    pub(crate) fn of(
        &self,
        scope: ScopeId,
        has_where: bool,
        accesses: &[Access],
        judge: impl FnOnce() -> Judgement,
    ) -> Judgement {
        let asked = Asked {
            scope,
            has_where,
            accesses: accesses.into(),
        };
        let mut known = self.0.borrow_mut();
        if let Some(judgement) = known.get(&asked) {
            return judgement.clone();
        }
        let judgement = judge();
        if is_cacheable(&judgement) {
            if known.len() >= VERDICTS_MAX {
                known.clear();
            }
            known.insert(asked, judgement.clone());
        }
        judgement
    }
}

/// Texts that were judged once, by their hashes. One that is mistaken for another is kept a
/// time too early, no more.
#[derive(Default)]
struct Sighted {
    hasher: RandomState,
    slots: Vec<u64>,
}

impl Sighted {
    /// Whether the text came before; it has now.
    fn again(&mut self, scope: ScopeId, text: &str) -> bool {
        let hash = self.hasher.hash_one((scope, text));
        self.slots.resize(SIGHTINGS, 0);
        // The remainder is below the number of slots.
        let slot = self.slots.get_mut((hash % SIGHTINGS as u64) as usize);
        slot.is_some_and(|slot| std::mem::replace(slot, hash) == hash)
    }
}

impl PlanCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The scope of that key, made if it is new.
    pub(crate) fn scope(
        &mut self,
        key: ScopeKey,
        hidden: impl FnOnce() -> (Sensitive, Guards, Option<Net>),
    ) -> Scope {
        if let Some(scope) = self.scopes.get(&key) {
            return scope.clone();
        }
        if self.scopes.len() >= SCOPES_MAX {
            self.clear();
        }
        let id = ScopeId(self.next);
        self.next += 1;
        let (sensitive, guards, net) = hidden();
        let scope = Scope {
            id,
            sensitive: Arc::new(sensitive),
            net: net.map(Arc::new),
            guards,
        };
        self.scopes.insert(key, scope.clone());
        scope
    }

    /// The plan of a text in a scope.
    pub(crate) fn find(&self, scope: ScopeId, text: &str) -> Option<&Arc<Plan>> {
        self.plans.get(&scope)?.get(text)
    }

    /// Keeps a plan whose text was judged before.
    pub(crate) fn keep(&mut self, scope: ScopeId, plan: &Arc<Plan>) {
        let bytes = plan.text.len();
        if bytes > TEXT_BYTES_KEPT || !self.sighted.again(scope, &plan.text) {
            return;
        }
        if self.text_bytes + bytes > TEXT_BYTES_MAX || self.count >= PLANS_MAX {
            self.plans.clear();
            (self.count, self.text_bytes) = (0, 0);
        }
        self.count += 1;
        self.text_bytes += bytes;
        self.plans
            .entry(scope)
            .or_default()
            .insert(plan.text.clone(), plan.clone());
    }

    fn clear(&mut self) {
        self.scopes.clear();
        self.verdicts.0.borrow_mut().clear();
        self.plans.clear();
        (self.count, self.text_bytes) = (0, 0);
    }
}

impl std::fmt::Debug for PlanCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanCache")
            .field("scopes", &self.scopes.len())
            .field("text_bytes", &self.text_bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_from_its_second_time_on_in_its_own_scope() {
        let mut sighted = Sighted::default();
        assert!(!sighted.again(ScopeId(1), "SELECT 1"));
        assert!(!sighted.again(ScopeId(2), "SELECT 1"));
        assert!(sighted.again(ScopeId(1), "SELECT 1"));
        assert!(sighted.again(ScopeId(1), "SELECT 1"));
        // However many there were once, what is remembered of them stays as large.
        let once = (0..4 * SIGHTINGS).map(|at| format!("SELECT {at}"));
        let known = once.filter(|text| sighted.again(ScopeId(3), text)).count();
        assert_eq!((known, sighted.slots.len()), (0, SIGHTINGS));
    }
}
