//! Why a flow ends before its peers wanted to, sorted by whose fault it is, and what each
//! side is told.

use weir_audit::{JournalError, Kind};
use weir_facts::Side;
use weir_postgres::frame::FrameError;
use weir_postgres::message::MessageError;
use weir_postgres::refuse::{Severity, SqlState};
use weir_postgres::session::Violation;

use super::context::Context;
use super::layout;
use super::refusal::Refusal;
use crate::io::{Effect, Env, Piece};
use crate::release;

/// The end of a flow.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The client broke the protocol.
    #[error("the client broke the protocol: {0}")]
    Client(String),
    /// The server broke the protocol, or is not what it seems.
    #[error("the server broke the protocol: {0}")]
    Server(String),
    /// The server answers with something else than lineage predicted.
    #[error("the result is not the predicted one: {0}")]
    Result(#[from] layout::Mismatch),
    /// No record can be kept.
    #[error("not recorded: {0}")]
    Journal(#[from] JournalError),
    /// An invariant of ours does not hold.
    #[error("broken invariant: {0}")]
    Broken(&'static str),
    /// The client may not, and is told why.
    #[error("refused: {}", .0.inside)]
    Refused(Box<Refusal>),
    /// The server refused our login, or could not be reached.
    #[error("the server does not serve: {0}")]
    Unserved(String),
}

impl End {
    pub(crate) fn client(why: &str) -> Self {
        Self::Client(why.to_owned())
    }

    pub(crate) fn server(why: impl ToString) -> Self {
        Self::Server(why.to_string())
    }

    fn outside(&self) -> Refusal {
        match self {
            Self::Client(why) => Refusal::new(SqlState::PROTOCOL_VIOLATION, &format!("weir: {why}")),
            Self::Server(_) => {
                Refusal::new(SqlState::CONNECTION_FAILURE, "weir: the server's answer was not understood")
            }
            Self::Result(_) => Refusal::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "weir: the result was not what the statement's analysis predicted, and was withheld",
            )
            .hint("the table may have changed a moment ago: connect again and retry"),
            Self::Journal(_) => Refusal::unrecorded(),
            Self::Broken(_) => Refusal::new(SqlState::INTERNAL_ERROR, "weir: internal error"),
            Self::Refused(refusal) => (**refusal).clone(),
            Self::Unserved(_) => {
                Refusal::new(SqlState::CONNECTION_FAILURE, "weir: the server did not accept the connection")
            }
        }
    }

    /// Ends the flow: the client is told, the server is dropped, and it is recorded.
    pub(crate) fn finish(&self, context: Option<&Context>, env: &mut Env<'_>) {
        let outside = self.outside();
        if let Some(context) = context {
            let inside = self.to_string();
            let record = weir_audit::Record {
                reason: &inside,
                verdict: "deny",
                policies: &outside.policies,
                ..context.record(Kind::Refusal, env)
            };
            // The flow ends whether or not this was kept.
            let _ = env.journal.append(None, &record);
        }
        env.out
            .to_client
            .push(Piece::Bytes(outside.to_frame(Severity::Fatal).into()));
        env.out.to_client.push(Piece::Shutdown);
        env.out.to_server.push(Piece::Reset);
        env.out.effects.push(Effect::Finished);
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<release::Mismatch> for End {
    fn from(_: release::Mismatch) -> Self {
        Self::Broken("proofs that name another operation")
    }
}

/// A message of the client's that does not parse.
impl From<MessageError> for End {
    fn from(error: MessageError) -> Self {
        Self::Client(error.to_string())
    }
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Client | Violation::Ended => Self::Client(violation.to_string()),
            Violation::Unexpected(_)
            | Violation::Disbelief
            | Violation::Message(_)
            | Violation::Pinned { .. } => Self::Server(violation.to_string()),
        }
    }
}

/// Bytes of a side that are no frames.
pub(crate) fn unreadable(side: Side, error: FrameError) -> End {
    match side {
        Side::Client => End::Client(error.to_string()),
        Side::Server => End::Server(error.to_string()),
    }
}
