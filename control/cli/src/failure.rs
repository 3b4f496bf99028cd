//! Failures that have an exit code of their own.

use std::process::ExitCode;

/// Exit code of a failure that is none of the others.
const ERROR: u8 = 1;
/// Exit code of an account that may not do this, or of no valid token.
const DENIED: u8 = 3;
/// Exit code of a control plane that cannot be reached or does not serve yet.
const NOT_READY: u8 = 4;

/// What a program that calls `weir` can act on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The control plane refused: who asks may not.
    #[error("{0}")]
    Denied(String),
    /// There is no control plane to ask.
    #[error("{0}")]
    NotReady(String),
}

/// The exit code for an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(match error.downcast_ref::<Failure>() {
        Some(Failure::Denied(_)) => DENIED,
        Some(Failure::NotReady(_)) => NOT_READY,
        None => ERROR,
    })
}
