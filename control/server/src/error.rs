//! What can go wrong with a request, sorted by whose fault it is.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use weir_api::http::ErrorBody;

/// Why a request fails. The text of every variant but `Internal` is told to the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No token, or one that is not good any more.
    #[error("no valid token")]
    Unauthenticated,
    /// The account may not do this.
    #[error("{0}")]
    Denied(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The request does not make sense.
    #[error("{0}")]
    Invalid(String),
    /// It made sense before something else happened.
    #[error("{0}")]
    Conflict(String),
    /// Ours. Logged, not told.
    #[error("{0:#}")]
    Internal(anyhow::Error),
}

/// What this crate's functions return.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    const fn told(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::Denied(_) => (StatusCode::FORBIDDEN, "denied"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(database) if database.is_unique_violation() => {
                Self::Conflict("it exists already".to_owned())
            }
            Some(database) if database.is_foreign_key_violation() => {
                Self::Conflict("it names, or is named by, something else".to_owned())
            }
            Some(_) | None => Self::Internal(anyhow::Error::new(error).context("store")),
        }
    }
}

impl From<crate::secret::RandomError> for Error {
    fn from(error: crate::secret::RandomError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<crate::seal::SealError> for Error {
    fn from(error: crate::seal::SealError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(anyhow::Error::new(error).context("JSON of the store"))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = self.told();
        let message = match &self {
            Self::Internal(error) => {
                tracing::error!(error = format!("{error:#}"), "request failed");
                "something went wrong here; the log of weir-control says what".to_owned()
            }
            Self::Unauthenticated
            | Self::Denied(_)
            | Self::NotFound(_)
            | Self::Invalid(_)
            | Self::Conflict(_) => self.to_string(),
        };
        (
            status,
            Json(ErrorBody {
                code: code.to_owned(),
                message,
            }),
        )
            .into_response()
    }
}
