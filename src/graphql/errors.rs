//! Errors as GraphQL has them: `userErrors` in payloads for what users can mend, and errors with a code for the rest.

use std::sync::Arc;

use async_graphql::{ErrorExtensionValues, Object, Response, ServerError, Value};

use super::throttle::object;
use crate::error::{Error, ErrorCode, UserErrorCode, with_causes};
use crate::loaders::LoadError;

/// How long a message may be, in characters.
const MAX_MESSAGE: usize = 1_000;

/// In an error's extensions: in how many seconds to try again.
pub const RETRY_AFTER: &str = "retryAfter";

/// When a caller may come again whose own operations keep it waiting, in seconds.
const RETRY_SECONDS: u64 = 1;

/// In a response's extensions: what became of the token in `Authorization`.
pub const AUTHORIZATION: &str = "authorization";

/// One thing that is wrong with the input of a mutation.
#[derive(Clone)]
pub struct UserError(crate::error::UserError);

/// A problem with the input of a mutation, to be shown beside the field it is about.
#[Object]
impl UserError {
    /// The path of the input field, from the mutation's argument on; null when no field is to blame.
    async fn field(&self) -> Option<&[String]> {
        (!self.0.field.is_empty()).then_some(self.0.field.as_slice())
    }

    /// What is wrong and how to mend it.
    async fn message(&self) -> &str {
        &self.0.message
    }

    /// The kind of problem.
    async fn code(&self) -> UserErrorCode {
        self.0.code
    }
}

/// What a payload is made of: the service's answer, or what its sender can mend. Other errors end the field.
pub fn payload<T>(answer: Result<T, Error>) -> async_graphql::Result<(Option<T>, Vec<UserError>)> {
    match answer {
        Ok(value) => Ok((Some(value), Vec::new())),
        Err(Error::Invalid(errors)) => Ok((None, errors.into_iter().map(UserError).collect())),
        Err(error) => Err(error.into()),
    }
}

impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        let code = error.code();
        let message = error.to_string();
        let mut extended = Self::new(message);
        let mut values = ErrorExtensionValues::default();
        values.set("code", code.as_str());
        if let Some(delay) = error.retry_after() {
            values.set(RETRY_AFTER, delay.as_secs());
        }
        extended.extensions = Some(values);
        // The source is for the boundary, which logs it once.
        extended.source = Some(Arc::new(error));
        extended
    }
}

impl From<LoadError> for async_graphql::Error {
    fn from(error: LoadError) -> Self {
        Error::from(error.0).into()
    }
}

/// Completes a response's errors: each has a code and the request's id. What is the server's fault is logged here, once.
pub fn error_response(mut response: Response, request_id: &str) -> Response {
    for error in &mut response.errors {
        // A name in it that a client made up may be long.
        if error.message.len() > MAX_MESSAGE {
            error.message = error.message.chars().take(MAX_MESSAGE).chain("…".chars()).collect();
        }
        if let Some(source) = error.source.as_ref().and_then(|source| source.downcast_ref::<Error>()) {
            log(source);
        }
        let values = error.extensions.get_or_insert_default();
        if values.get("code").is_none() {
            // What async-graphql itself refuses: syntax, validation, limits, input of the wrong type.
            values.set("code", ErrorCode::BadUserInput.as_str());
        }
        values.set("requestId", request_id);
    }
    response
}

/// A response to a request that could not be executed at all.
pub fn request_error(code: ErrorCode, message: impl Into<String>, request_id: &str) -> Response {
    let mut error = ServerError::new(message, None);
    let mut values = ErrorExtensionValues::default();
    values.set("code", code.as_str());
    if code == ErrorCode::Throttled {
        values.set(RETRY_AFTER, RETRY_SECONDS);
    }
    error.extensions = Some(values);
    error_response(Response::from_errors(vec![error]), request_id)
}

/// What a response says in [`AUTHORIZATION`] of a token that is not valid: the answer is what it
/// would be without.
#[must_use]
pub fn invalid_token() -> Value {
    object([("status", Value::from("INVALID")), ("message", Value::from(Error::InvalidToken.to_string()))])
}

fn log(error: &Error) {
    let text = with_causes(error);
    match error.code().table().2 {
        tracing::Level::ERROR => tracing::error!("{text}"),
        tracing::Level::WARN => tracing::warn!("{text}"),
        _ => tracing::debug!("{text}"),
    }
}
