//! Who calls, and whether they may.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, header};
use weir_api::http::{Role, Scope};

use crate::app::App;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::secret::token_hash;
use crate::store::account;

/// What a route needs of its caller. One word per thing that a role grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Nodes, connections, guards, policy, workloads.
    ReadState,
    /// What people and machines did.
    ReadSessions,
    /// Every request for approval, not only those that one may decide.
    ReadApprovals,
    /// Accounts, workloads, nodes: who is who.
    ManageIdentity,
    /// Connections, credentials, guards, locks.
    ManageServers,
    /// Policies.
    ManagePolicy,
    /// Which definitions of tools may be used.
    ApproveTools,
}

impl Permission {
    const fn is_granted_by(self, role: Role) -> bool {
        match (self, role) {
            (Self::ReadState, _) => true,
            (Self::ReadSessions, Role::Auditor | Role::Admin) => true,
            (Self::ReadApprovals, Role::Auditor | Role::Admin | Role::Operator) => true,
            (Self::ManageIdentity, Role::Admin) => true,
            (Self::ManageServers, Role::Operator | Role::Admin) => true,
            (Self::ManagePolicy | Self::ApproveTools, Role::PolicyAuthor | Role::Admin) => true,
            (Self::ReadSessions, Role::PolicyAuthor | Role::Operator | Role::Viewer)
            | (Self::ReadApprovals, Role::PolicyAuthor | Role::Viewer)
            | (
                Self::ManageIdentity,
                Role::PolicyAuthor | Role::Auditor | Role::Operator | Role::Viewer,
            )
            | (Self::ManageServers, Role::PolicyAuthor | Role::Auditor | Role::Viewer)
            | (
                Self::ManagePolicy | Self::ApproveTools,
                Role::Auditor | Role::Operator | Role::Viewer,
            ) => false,
        }
    }

    const fn told(self) -> &'static str {
        match self {
            Self::ReadState => "any role",
            Self::ReadSessions => "the role auditor or admin",
            Self::ReadApprovals => "the role operator, auditor or admin",
            Self::ManageIdentity => "the role admin",
            Self::ManageServers => "the role operator or admin",
            Self::ManagePolicy | Self::ApproveTools => "the role policy-author or admin",
        }
    }
}

/// Whoever presented a valid token. Taking one as an argument is what authenticates a route.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) account::Caller);

impl Caller {
    /// The account's name.
    pub(crate) fn name(&self) -> &str {
        &self.0.account.name
    }

    /// Whether a role of the account grants this.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.0
            .account
            .roles
            .iter()
            .any(|role| permission.is_granted_by(*role))
    }

    /// An error unless a role of the account grants this.
    pub(crate) fn need(&self, permission: Permission) -> Result<()> {
        if self.may(permission) {
            return Ok(());
        }
        Err(Error::Denied(format!(
            "{} may not do this: it takes {}",
            self.name(),
            permission.told()
        )))
    }

    /// An error unless it is the account itself, or a role grants this.
    pub(crate) fn need_self_or(&self, name: &str, permission: Permission) -> Result<()> {
        if self.name() == name {
            Ok(())
        } else {
            self.need(permission)
        }
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let presented = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = presented.and_then(|value| value.strip_prefix("Bearer "));
        let caller = match token {
            Some(token) => {
                account::caller(
                    &mut *app.store.reader().await?,
                    &token_hash(token.trim()),
                    now(),
                )
                .await?
            }
            None => None,
        };
        let Some(caller) = caller else {
            Metrics::count(&app.metrics.logins_refused, 1);
            return Err(Error::Unauthenticated);
        };
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        let is_in_scope =
            caller.scopes.contains(&Scope::Api) || (reads && caller.scopes.contains(&Scope::Read));
        if !is_in_scope {
            let needed = if reads { "api or read" } else { "api" };
            return Err(Error::Denied(format!(
                "this token is not for this: it takes the scope {needed}"
            )));
        }
        Ok(Self(caller))
    }
}

/// What an unknown route answers: nothing, to somebody known.
pub(crate) async fn nothing_here(_: Caller) -> Error {
    Error::NotFound("no such route".to_owned())
}
