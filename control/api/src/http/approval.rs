use serde::{Deserialize, Serialize};

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalState {
    /// Waits for people.
    Pending,
    /// May run once, until execution expires.
    Approved,
    /// Somebody said no.
    Denied,
    /// Nobody decided in time, or nobody ran it in time.
    Expired,
    /// It ran.
    Spent,
    /// The caller went away.
    Withdrawn,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// Who vouches for the identity; `weir` for local accounts.
    pub issuer: Option<String>,
    /// The identity.
    pub subject: Option<String>,
    /// The identity is a machine.
    pub is_service: bool,
    /// Groups of the identity.
    pub groups: Vec<String>,
    /// The attested process's name.
    pub workload: Option<String>,
    /// Its executable.
    pub executable: Option<String>,
    /// Its user id.
    pub uid: Option<u32>,
    /// Software that acts for the identity.
    pub agent: Option<String>,
}

/// One (action, resource) pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// As policies spell it.
    pub action: String,
    /// As policies spell it.
    pub resource: String,
}

/// What one person said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub account: String,
    /// Yes or no.
    pub approved: bool,
    /// In their words.
    pub reason: String,
    /// When.
    pub at: u64,
}

/// A request for approval.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Approval {
    /// Names it.
    pub id: String,
    /// Where it came from.
    pub node: String,
    /// How far it has come.
    pub state: ApprovalState,
    /// What is bound to it, hexadecimal SHA-256.
    pub digest: String,
    /// Who asks.
    pub requester: Requester,
    /// Who answers for the requester.
    pub owner: Option<String>,
    /// The server that it is for.
    pub connection: String,
    /// The operation in its protocol's own words. Values in the arguments of a tool that the caller
    /// may not see by policy are masked; the approval is for what they are.
    pub operation: String,
    /// The definition of the tool that is called, hexadecimal SHA-256.
    #[serde(default)]
    pub definition: Option<String>,
    /// Since when that definition has been in use: a tool that has changed lately deserves a look.
    #[serde(default)]
    pub definition_since: Option<u64>,
    /// What it would do.
    pub accesses: Vec<Access>,
    /// Groups of which each must approve.
    pub approvers: Vec<String>,
    /// Distinct people needed from each.
    pub quorum: u32,
    /// Why, in the policy's words.
    pub reason: String,
    /// Policies that ask.
    pub policies: Vec<String>,
    /// The caller's address.
    pub source: String,
    /// The flow, as sessions name it.
    pub flow: String,
    /// When it was asked.
    pub created: u64,
    /// When the request ends.
    pub expires: u64,
    /// When it was decided, or ended otherwise.
    pub decided: Option<u64>,
    /// When the approval ends, once there is one.
    pub execution_expires: Option<u64>,
    /// What people said so far.
    pub votes: Vec<Vote>,
    /// Whether the caller may decide, and if not, why.
    pub hindrance: Option<String>,
}

/// A decision.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// In the approver's words; required for a denial.
    #[serde(default)]
    pub reason: String,
}
