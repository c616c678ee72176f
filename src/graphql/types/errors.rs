//! GraphQL errors: `userErrors` in payloads for invalid input, and top-level errors with a code for
//! everything else.

use std::sync::Arc;

use async_graphql::{Enum, ErrorExtensionValues, Object, Response, ServerError, Value, value};

use crate::error::{self, Error, ErrorCode, with_causes};
use crate::loaders::LoadError;

/// The maximum length of a message, in characters.
const MAX_MESSAGE_CHARS: usize = 1_000;

/// The key in an error's extensions for the number of seconds after which to retry.
pub const RETRY_AFTER: &str = "retryAfter";

/// When a caller with too many running operations may retry, in seconds.
const THROTTLED_RETRY_SECONDS: u64 = 1;

/// The key in a response's extensions for a note about the token in `Authorization`.
pub const AUTHORIZATION: &str = "authorization";

/// The kinds of problems that a user can fix.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "error::UserErrorCode")]
pub enum UserErrorCode {
    /// A required value is missing or empty.
    Blank,
    /// A value is malformed or out of range.
    Invalid,
    /// A value must be unique and is already taken.
    Taken,
    /// A text is too long.
    TooLong,
    /// A text is too short.
    TooShort,
    /// A token is invalid or has expired.
    TokenInvalid,
    /// No account matches the email address and password.
    UnidentifiedCustomer,
    /// There are too many items.
    TooMany,
    /// There is no object with the given ID.
    NotFound,
    /// The current value differs from the expected one: somebody else has changed it.
    Stale,
    /// The change would leave less stock on hand than is reserved.
    InsufficientStock,
    /// The state of the object does not allow this.
    NotAllowed,
    /// The payment provider declined the payment.
    PaymentDeclined,
    /// The payment provider did not respond.
    PaymentProviderUnavailable,
    /// The line is not in the cart.
    InvalidMerchandiseLine,
    /// The delivery address is not one of the cart's.
    InvalidDeliveryAddressId,
    /// The delivery group is not one of the cart's.
    InvalidDeliveryGroup,
    /// The delivery option is not available.
    InvalidDeliveryOption,
    /// The quantity is too small.
    MinimumNotMet,
    /// The quantity is too large.
    MaximumExceeded,
    /// The note is too long.
    NoteTooLong,
    /// The cart would become too large.
    CartTooLarge,
    /// The cart would have too many delivery addresses.
    TooManyDeliveryAddresses,
    /// A cart can be delivered to only one address.
    OnlyOneDeliveryAddressCanBeSelected,
}

/// A problem with the input of a mutation.
#[derive(Clone)]
pub(crate) struct UserError(error::UserError);

impl From<error::UserError> for UserError {
    fn from(problem: error::UserError) -> Self {
        Self(problem)
    }
}

/// A problem with the input of a mutation, to be shown beside the field it is about.
#[Object]
impl UserError {
    /// The path of the input field, starting with the mutation's argument. Null if the problem is
    /// not about a single field.
    async fn field(&self) -> Option<&[String]> {
        (!self.0.field.is_empty()).then_some(self.0.field.as_slice())
    }

    /// What is wrong and how to fix it.
    async fn message(&self) -> &str {
        &self.0.message
    }

    /// The kind of problem.
    async fn code(&self) -> UserErrorCode {
        self.0.code.into()
    }
}

/// Splits a service's result into the parts of a payload: the value, or the user errors. Other
/// errors are returned as errors of the field.
pub(crate) fn payload<T>(result: Result<T, Error>) -> async_graphql::Result<(Option<T>, Vec<UserError>)> {
    match result {
        Ok(value) => Ok((Some(value), Vec::new())),
        Err(Error::Invalid(errors)) => Ok((None, errors.into_iter().map(UserError).collect())),
        Err(error) => Err(error.into()),
    }
}

impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        let code = error.code();
        let message = error.to_string();
        let mut graphql_error = Self::new(message);
        let mut values = ErrorExtensionValues::default();
        values.set("code", code.as_str());
        if let Some(delay) = error.retry_after() {
            values.set(RETRY_AFTER, delay.as_secs());
        }
        graphql_error.extensions = Some(values);
        // Kept for `complete_errors`, which logs it.
        graphql_error.source = Some(Arc::new(error));
        graphql_error
    }
}

impl From<LoadError> for async_graphql::Error {
    fn from(error: LoadError) -> Self {
        Error::from(error.0).into()
    }
}

/// Completes a response's errors: each gets a code and the request's id. Server errors are logged
/// here, and only here.
pub fn complete_errors(mut response: Response, request_id: &str) -> Response {
    for error in &mut response.errors {
        // Messages may contain names from the document, which may be long.
        if error.message.len() > MAX_MESSAGE_CHARS {
            error.message = error.message.chars().take(MAX_MESSAGE_CHARS).chain("…".chars()).collect();
        }
        if let Some(source) = error.source.as_ref().and_then(|source| source.downcast_ref::<Error>()) {
            log_error(source);
        }
        let values = error.extensions.get_or_insert_default();
        if values.get("code").is_none() {
            // Errors of async-graphql: syntax, validation, limits, input of the wrong type.
            values.set("code", ErrorCode::BadUserInput.as_str());
        }
        values.set("requestId", request_id);
    }
    response
}

/// The response to a request that was not executed.
pub fn request_error(code: ErrorCode, message: impl Into<String>, request_id: &str) -> Response {
    let mut error = ServerError::new(message, None);
    let mut values = ErrorExtensionValues::default();
    values.set("code", code.as_str());
    if code == ErrorCode::Throttled {
        values.set(RETRY_AFTER, THROTTLED_RETRY_SECONDS);
    }
    error.extensions = Some(values);
    complete_errors(Response::from_errors(vec![error]), request_id)
}

/// The value of [`AUTHORIZATION`] in the response to a request with an invalid token, which was
/// executed as anonymous.
#[must_use]
pub fn invalid_token_extension() -> Value {
    value!({ "status": "INVALID", "message": Error::InvalidToken.to_string() })
}

fn log_error(error: &Error) {
    let text = with_causes(error);
    match error.code().log_level() {
        tracing::Level::ERROR => tracing::error!("{text}"),
        tracing::Level::WARN => tracing::warn!("{text}"),
        _ => tracing::debug!("{text}"),
    }
}
