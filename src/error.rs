//! The errors of services.
//!
//! Errors that a user can fix are [`Error::Invalid`] and become `userErrors`; all others are
//! GraphQL errors with a code: see `graphql::types::errors`, and `http::respond` for the HTTP
//! status. Messages are for the sender of the request and never contain SQL, a path or a backtrace.
//! Sources are for the log.

use std::time::Duration;

use crate::db::{DbError, Retryable};
use crate::domain::access::permissions::Permission;

/// An error of a service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input has problems that its sender can fix.
    #[error("invalid input: {}", .0.first().map_or("", |first| first.message.as_str()))]
    Invalid(Vec<UserError>),
    /// Authentication is required.
    #[error("sign in first: send `Authorization: Bearer <token>`")]
    Unauthenticated,
    /// Authentication is required, and the token that was sent is invalid.
    #[error("the token in `Authorization` is not valid or has expired: sign in again, or send a valid one")]
    InvalidToken,
    /// The actor lacks a permission.
    #[error("this needs the permission {0}")]
    Forbidden(Permission),
    /// The actor is not a staff member.
    #[error("this is for staff and services")]
    StaffOnly,
    /// An argument that contradicts the schema's documentation.
    #[error("{0}")]
    BadInput(String),
    /// The request conflicts with an earlier one.
    #[error("{0}")]
    Conflict(String),
    /// Too many attempts were made at something that could be guessed.
    #[error("too many attempts: try again in {} s", .retry_after.as_secs())]
    Throttled {
        /// When the next attempt may be made, in whole seconds.
        retry_after: Duration,
    },
    /// The server is overloaded.
    #[error("the service is busy: try again in {} s", .retry_after.as_secs())]
    Overloaded {
        /// When to try again, in whole seconds.
        retry_after: Duration,
    },
    /// The database or an external service can't be reached.
    #[error("the service is busy or unavailable, try again")]
    Unavailable(#[source] std::sync::Arc<DbError>),
    /// A database statement exceeded its timeout.
    #[error(
        "this took the database longer than the {} ms that a statement may take (STATEMENT_TIMEOUT_MS): ask for fewer items, or \
         search for less at once, and try again"
    , .0.as_millis())]
    TimedOut(Duration, #[source] std::sync::Arc<DbError>),
    /// A bug or a broken database.
    #[error("internal error")]
    Internal(#[source] std::sync::Arc<dyn std::error::Error + Send + Sync>),
}

/// The code of a GraphQL error, in `extensions.code`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorCode {
    /// Authentication is required.
    Unauthenticated,
    /// The actor may not do this.
    Forbidden,
    /// The document or an argument is invalid.
    BadUserInput,
    /// The request exceeds a limit of its caller.
    LimitExceeded,
    /// The operation's cost exceeds the limit of its caller.
    MaxCostExceeded,
    /// The request conflicts with another one.
    Conflict,
    /// The request took too long.
    Timeout,
    /// The caller exceeded a rate limit.
    Throttled,
    /// The service is unavailable or overloaded.
    ServiceUnavailable,
    /// A bug or a broken database.
    Internal,
}

impl ErrorCode {
    /// The code as it is written, and its log level.
    fn properties(self) -> (&'static str, tracing::Level) {
        use tracing::Level;
        match self {
            Self::Unauthenticated => ("UNAUTHENTICATED", Level::DEBUG),
            Self::Forbidden => ("FORBIDDEN", Level::DEBUG),
            Self::BadUserInput => ("BAD_USER_INPUT", Level::DEBUG),
            Self::LimitExceeded => ("LIMIT_EXCEEDED", Level::DEBUG),
            Self::MaxCostExceeded => ("MAX_COST_EXCEEDED", Level::DEBUG),
            Self::Conflict => ("CONFLICT", Level::DEBUG),
            Self::Timeout => ("TIMEOUT", Level::WARN),
            Self::Throttled => ("THROTTLED", Level::DEBUG),
            Self::ServiceUnavailable => ("SERVICE_UNAVAILABLE", Level::WARN),
            Self::Internal => ("INTERNAL", Level::ERROR),
        }
    }

    /// The code as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.properties().0
    }

    /// The level at which errors with this code are logged.
    #[must_use]
    pub fn log_level(self) -> tracing::Level {
        self.properties().1
    }
}

impl Error {
    /// The error's code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) | Self::BadInput(_) => ErrorCode::BadUserInput,
            Self::Unauthenticated | Self::InvalidToken => ErrorCode::Unauthenticated,
            Self::Forbidden(_) | Self::StaffOnly => ErrorCode::Forbidden,
            Self::Conflict(_) => ErrorCode::Conflict,
            Self::Throttled { .. } => ErrorCode::Throttled,
            Self::TimedOut(..) => ErrorCode::Timeout,
            Self::Unavailable(_) | Self::Overloaded { .. } => ErrorCode::ServiceUnavailable,
            Self::Internal(_) => ErrorCode::Internal,
        }
    }

    /// When to try again, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } | Self::Overloaded { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// Creates an [`Error::Invalid`] with a single problem.
    pub fn invalid(field: &[&str], code: UserErrorCode, message: impl Into<String>) -> Self {
        Self::Invalid(vec![UserError::new(field, code, message)])
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        std::sync::Arc::new(error).into()
    }
}

impl From<std::sync::Arc<DbError>> for Error {
    fn from(error: std::sync::Arc<DbError>) -> Self {
        match *error {
            DbError::Timeout(Some(limit), _) => Self::TimedOut(limit, error),
            DbError::Timeout(None, _) | DbError::Unavailable(_) | DbError::Conflict(_) => {
                Self::Unavailable(error)
            }
            _ => Self::Internal(error),
        }
    }
}

impl Retryable for Error {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(error) if error.is_retryable())
    }
}

/// A problem with the input that a user can fix.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct UserError {
    /// The path of the input field, starting with the mutation's argument; empty if the problem is
    /// not about a field.
    pub field: Vec<String>,
    /// A sentence that says what is wrong and how to fix it.
    pub message: String,
    /// The kind of problem.
    pub code: UserErrorCode,
}

impl UserError {
    /// Creates a problem with a field.
    pub fn new(field: &[&str], code: UserErrorCode, message: impl Into<String>) -> Self {
        Self { field: field.iter().map(|part| (*part).to_owned()).collect(), message: message.into(), code }
    }
}

/// The kinds of problems that a user can fix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
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
    /// No account matches the e-mail address and password.
    UnidentifiedCustomer,
    /// There are too many items.
    TooMany,
    /// No object has the id.
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

/// Formats an error with all of its causes in one line, for the log and the output of commands.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors include their cause in their message.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
