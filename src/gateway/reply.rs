//! Refusals as HTTP answers.

use crate::{
    client::{ChainError, gateway::ErrorBody},
    types::FileId,
};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

/// A refusal: status, a word for programs, a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    error: String,
}

impl Refusal {
    /// Any refusal.
    pub fn new(status: StatusCode, code: &'static str, error: impl Into<String>) -> Self {
        Self { status, code, error: error.into() }
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its sentence for people.
    pub fn text(&self) -> &str {
        &self.error
    }

    /// The request itself is wrong.
    pub fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", error)
    }

    /// No such file.
    pub fn unknown_file(id: FileId) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_file", format!("file {id} is not known to this network"))
    }

    /// No such upload.
    pub fn unknown_upload(upload: &str) -> Self {
        let shown: String = upload.chars().take(80).collect();
        Self::new(StatusCode::NOT_FOUND, "unknown_upload", format!("upload `{shown}` is not known to this gateway"))
    }

    /// Trying again later may help.
    pub fn unavailable(error: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error)
    }

    /// The gateway failed.
    pub fn internal(error: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = ErrorBody { code: self.code.to_owned(), error: self.error };
        (self.status, Json(body)).into_response()
    }
}

impl From<ChainError> for Refusal {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Unreachable(_) | ChainError::NotFinal { .. } => Self::unavailable(error.to_string()),
            ChainError::Refused { .. } | ChainError::Reverted { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused_by_chain", error.to_string())
            }
            ChainError::Malformed(_) | ChainError::Untrusted(_) => Self::internal(error.to_string()),
        }
    }
}
