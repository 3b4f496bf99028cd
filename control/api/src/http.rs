//! JSON of the HTTP API, under `/api/v1`. Times are unix seconds. Unknown fields in what
//! a client sends are errors, so that a misspelled limit is never a missing one.

mod account;
mod approval;
mod policy;
mod server;
mod session;

pub use account::{
    Account, AccountNew, Groups, Role, Scope, SecretMade, Token, TokenMade, TokenNew, Whoami,
    Workload,
};
pub use approval::{Access, Approval, ApprovalState, Decision, Requester, Vote};
pub use policy::{
    Change, File, PolicyContent, PolicyDiff, PolicyPush, PolicyPushed, PolicyVersion, Rollback,
    TestOutcome,
};
pub use server::{
    Connection, ConnectionView, Credential, CredentialView, Guard, GuardHealth, Kind, Lock, Mode,
    Node, NodeHealth, NodeMade, NodeNew, Push, Status, Tls, Unlabelled,
};
pub use session::{Alert, Event, ManagementEntry, Masked, Session, SessionDetail};

use serde::{Deserialize, Serialize};

/// The body of every answer that is not a success.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// One word that programs can act on: `unauthenticated`, `denied`, `not_found`,
    /// `invalid`, `conflict`, `not_ready`, `internal`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}
