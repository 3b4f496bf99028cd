//! JSON of the HTTP API, under `/api/v1`. Times are unix seconds. Unknown fields in what
//! a client sends are errors, so that a misspelled limit is never a missing one.

mod account;
mod approval;
mod idp;
mod policy;
mod server;
mod session;
mod tool;

pub use account::{
    Account, AccountNew, Certificates, Groups, Role, Scope, SecretMade, Token, TokenMade, TokenNew,
    Whoami, Workload,
};
pub use approval::{Access, Approval, ApprovalState, Decision, Requester, Vote};
pub use idp::{IdentityProvider, IdentityProviderView};
pub use policy::{
    Change, File, PolicyContent, PolicyDiff, PolicyPush, PolicyPushed, PolicyVersion, Rollback,
    TestOutcome,
};
pub use server::{
    Authorization, Connection, ConnectionReport, ConnectionView, Credential, CredentialView, Guard,
    GuardHealth, Kind, Lock, LoginMethod, LoginRule, Mode, Node, NodeHealth, NodeMade, NodeNew,
    Push, RoleFinding, RoleReport, Status, Stdio, Tls, Unlabelled,
};
pub use session::{Alert, Caused, Event, Link, ManagementEntry, Masked, Session, SessionDetail};
pub use tool::{ToolApproval, ToolChoice, ToolDetail, ToolView};

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
