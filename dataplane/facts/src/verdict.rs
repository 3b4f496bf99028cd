use std::sync::Arc;

use crate::{Group, MaskRule};

/// A policy's `@id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId(pub Arc<str>);

/// What policy says of one operation. There is no default verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may run; what it reveals is decided column by column ([`Reveal`]).
    Allow,
    /// It may run once these people have agreed.
    Hold(HoldTerms),
    /// It may not run.
    Deny(Denial),
}

/// What an approval needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldTerms {
    /// Groups of which each must approve.
    pub approvers: Vec<Group>,
    /// Distinct people needed from each group.
    pub quorum: u8,
    /// How long the request stays open, in seconds.
    pub expires_s: u32,
    /// Why, in the words of the policy.
    pub reason: Arc<str>,
    /// The policies that ask.
    pub policies: Vec<PolicyId>,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What the caller may be told: the policy's `@reason`, or a general sentence.
    pub outside: Arc<str>,
    /// What the caller can do instead, where there is something to say.
    pub advice: Option<Arc<str>>,
    /// What the record says.
    pub inside: Arc<str>,
    /// The policies that forbid; empty where nothing permits.
    pub policies: Vec<PolicyId>,
    /// Scopes with which a token of the same caller would do; empty where no scope would.
    pub scopes: Vec<Arc<str>>,
}

/// What of a value reaches the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reveal {
    /// All of it.
    Clear,
    /// What the mask leaves.
    Mask(MaskRule, PolicyId),
    /// Nothing: an operation that would show it is refused.
    Deny(Denial),
}
