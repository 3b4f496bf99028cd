mod cure;
mod question;
mod refusal;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use weir_facts::{
    Access, ConnectionName, Denial, Group, HoldTerms, Now, PolicyId, Principal, Verdict,
};

use crate::arguments::Leaves;
use crate::limits::ACCESSES_MAX;
use crate::{ClockTrust, Level, Rate, Reads, Snapshot, Value};
use cure::{Holds, Steps};
use question::wider;
pub(crate) use question::{Asked, entities};
pub(crate) use refusal::{Answer, Refusal};

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
    /// How safe the record must be before what is allowed goes on: synced, unless every permit that
    /// allows it says otherwise.
    pub level: Level,
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
            level: Level::default(),
        }
    }

    /// Several answers as one, for what runs together or not at all: deny before hold before
    /// allow; several holds ask for everybody that any of them asks for. Of nothing at all the
    /// answer is to allow: there is nothing that runs.
    #[must_use]
    pub fn all(answers: impl IntoIterator<Item = Self>) -> Self {
        let none = || Self {
            verdict: Verdict::Allow,
            policies: Vec::new(),
            reads: Reads::NONE,
            cacheable: true,
            rate: None,
            level: Level::default(),
        };
        let mut all = answers.into_iter().reduce(Self::and).unwrap_or_else(none);
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
            level: self.level.max(other.level),
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
        let (mut rate, mut level) = (None, Level::default());
        let (verdict, mut policies) = match verdict {
            Ok(Decided::Allow(allowed)) => {
                (rate, level) = (allowed.rate, allowed.level);
                (Verdict::Allow, allowed.policies)
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
            level,
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
        let (mut permits, mut rate, mut levels) = (BTreeSet::new(), None, Vec::new());
        let (mut holds, mut steps) = (Holds::default(), Steps::default());
        for question in &questions {
            match self.ask(question, &context, &entities)? {
                Answer::Permitted(policies) => {
                    rate = both_rates(rate, self.rate(&policies));
                    levels.push(self.level(&policies));
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
            return Ok(Decided::Allow(Allowed {
                policies: permits.into_iter().collect(),
                rate,
                level: Level::of_all(levels),
            }));
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
}

enum Decided {
    Allow(Allowed),
    Hold(HoldTerms),
}

/// What permits say together.
struct Allowed {
    policies: Vec<PolicyId>,
    rate: Option<Rate>,
    level: Level,
}
