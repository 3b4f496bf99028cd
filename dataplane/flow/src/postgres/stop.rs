//! Why a message of the client goes no further.

use weir_postgres::message::MessageError;
use weir_postgres::refuse::SqlState;
use weir_postgres::session::{Effect as SessionEffect, NameError, RequestError, Violation};

use super::desk::Trouble;
use super::end::End;
use super::refusal::Refusal;
use crate::release::Mismatch;

/// Why a message goes no further.
pub(crate) enum Stop {
    /// Offer it again.
    Wait,
    /// It is refused.
    Refused(Box<Refusal>),
    /// The flow ends.
    End(End),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Wait => Self::Wait,
            Trouble::Refused(refusal) => Self::Refused(refusal),
            Trouble::End(end) => Self::End(*end),
        }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

macro_rules! ends {
    ($($error:ty),+) => {
        $(impl From<$error> for Stop {
            fn from(error: $error) -> Self {
                Self::End(error.into())
            }
        })+
    };
}

ends!(Violation, MessageError, Mismatch, End);

impl From<NameError> for Stop {
    fn from(error: NameError) -> Self {
        Refusal::new(SqlState::UNKNOWN_STATEMENT, &format!("weir: {error}")).into()
    }
}

impl From<RequestError> for Stop {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::NotYet => Self::Wait,
            RequestError::UnknownStatement => unknown_statement().into(),
            RequestError::UnknownPortal => unknown_portal().into(),
            RequestError::TooManyStatements | RequestError::TooManyPortals => {
                Refusal::new(SqlState::LIMIT_EXCEEDED, &format!("weir: {error}")).into()
            }
            RequestError::NotBetweenRequests => {
                Self::End(End::Broken("a query of Weir's own amid a pipeline"))
            }
        }
    }
}

/// What EXECUTE or FETCH leads to is held: people would be shown a name.
pub(crate) fn indirect() -> Refusal {
    Refusal::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        "weir: what this leads to needs approval",
    )
    .hint("run the statement itself, outside a transaction")
}

/// A Bind of what is held, with no Execute behind it.
pub(crate) fn unexecuted() -> Refusal {
    Refusal::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        "weir: this needs approval, which is asked for by an Execute right behind its Bind",
    )
    .hint("send one Parse, Bind and Execute together, outside a transaction")
}

/// The catalogue changed while a message was kept back.
pub(crate) fn unsettled() -> Refusal {
    Refusal::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        "weir: the catalogue changed meanwhile; run the statement again",
    )
}

pub(crate) fn unknown_statement() -> Refusal {
    Refusal::new(
        SqlState::UNKNOWN_STATEMENT,
        "prepared statement does not exist",
    )
}

pub(crate) fn unknown_portal() -> Refusal {
    Refusal::new(SqlState::UNKNOWN_PORTAL, "portal does not exist")
}

pub(crate) fn unknown<P>(effect: &SessionEffect<P>) -> Stop {
    match effect {
        SessionEffect::Fetch { name } => Refusal::new(
            SqlState::UNKNOWN_PORTAL,
            &format!("cursor \"{name}\" does not exist"),
        )
        .into(),
        SessionEffect::Execute { name } => Refusal::new(
            SqlState::UNKNOWN_STATEMENT,
            &format!("prepared statement \"{name}\" does not exist"),
        )
        .into(),
        _ => unknown_portal().into(),
    }
}
