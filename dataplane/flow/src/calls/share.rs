//! How much of the table one caller may have: whoever makes many calls blinds nobody else.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use weir_facts::{CallRef, Principal};

/// Calls of one caller's that are known at one time, answered ones included. A caller with more
/// open than this has several open at one server anyway; of answered ones the oldest go first.
pub(super) const SHARE_MAX: usize = 2048;

/// Whose calls count together: a local user has as many processes as it likes, and tokens are
/// shown by processes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// A user of this host.
    User(u32),
    /// An identity from elsewhere, by issuer and subject.
    Identity(Arc<str>, Arc<str>),
    /// Nobody who is named.
    Nobody,
}

impl Owner {
    pub(crate) fn of(principal: &Principal) -> Self {
        match (&principal.workload, &principal.identity) {
            (Some(workload), _) => Self::User(workload.uid),
            (None, Some(identity)) => {
                Self::Identity(identity.issuer.clone(), identity.subject.clone())
            }
            (None, None) => Self::Nobody,
        }
    }
}

/// One caller's part.
#[derive(Debug, Default)]
struct Share {
    kept: usize,
    /// Its answered calls, oldest first.
    answered: VecDeque<CallRef>,
}

/// Every caller's part.
#[derive(Debug, Default)]
pub(super) struct Shares(HashMap<Owner, Share>);

impl Shares {
    /// Whether a caller has all that it may have.
    pub(super) fn is_used_up(&self, owner: &Owner) -> bool {
        let share = self.0.get(owner);
        share.is_some_and(|share| share.kept >= SHARE_MAX)
    }

    pub(super) fn add(&mut self, owner: &Owner) {
        match self.0.get_mut(owner) {
            Some(share) => share.kept += 1,
            None => {
                let share = Share {
                    kept: 1,
                    ..Share::default()
                };
                self.0.insert(owner.clone(), share);
            }
        }
    }

    pub(super) fn answered(&mut self, owner: &Owner, call: CallRef) {
        if let Some(share) = self.0.get_mut(owner) {
            share.answered.push_back(call);
        }
    }

    /// The answered call that a caller's next one takes the place of.
    pub(super) fn oldest_answered(&self, owner: &Owner) -> Option<CallRef> {
        self.0.get(owner)?.answered.front().copied()
    }

    /// A call is forgotten. Answered ones are in the order in which they were.
    pub(super) fn remove(&mut self, owner: &Owner, call: CallRef) {
        let Some(share) = self.0.get_mut(owner) else {
            return;
        };
        share.kept = share.kept.saturating_sub(1);
        if share.answered.front() == Some(&call) {
            share.answered.pop_front();
        }
        if share.kept == 0 {
            self.0.remove(owner);
        }
    }
}
