//! The errors services answer with, and the one table that maps them to GraphQL, HTTP and the log.
//!
//! What a user can mend is [`Error::Invalid`] and becomes `userErrors`; everything else is a GraphQL error with a code.
//! Messages are for whoever sent the request: never SQL, a path or a backtrace. Sources are for the log.

use std::time::Duration;

use poem::http::StatusCode;

use crate::db::{AsRetryable, DbError};
use crate::domain::permission::Permission;

/// What a service answers instead of a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Input that its sender can mend, each problem with its place.
    #[error("invalid input: {}", .0.first().map_or("", |first| first.message.as_str()))]
    Invalid(Vec<UserError>),
    /// Nobody is signed in, and somebody must be.
    #[error("sign in first: send `Authorization: Bearer <token>`")]
    Unauthenticated,
    /// Somebody must be signed in, and the token that was sent is nobody's.
    #[error("the token in `Authorization` is not valid or has expired: sign in again, or send a valid one")]
    InvalidToken,
    /// The actor lacks a permission.
    #[error("this needs the permission {0}")]
    Forbidden(Permission),
    /// The actor is no member of staff.
    #[error("this is for staff and services")]
    StaffOnly,
    /// An argument that no client that follows the schema's documentation would send.
    #[error("{0}")]
    BadInput(String),
    /// The request clashes with what another one did.
    #[error("{0}")]
    Conflict(String),
    /// Too many attempts were made at something that can be guessed.
    #[error("too many attempts: try again in {} s", .retry_after.as_secs())]
    Throttled {
        /// When the next attempt may be made, in whole seconds.
        retry_after: Duration,
    },
    /// More is asked for at once than can be done.
    #[error("the service is busy: try again in {} s", .retry_after.as_secs())]
    Overloaded {
        /// When to try again, in whole seconds.
        retry_after: Duration,
    },
    /// The database, or what is needed from outside, can't be reached.
    #[error("the service is busy or unavailable, try again")]
    Unavailable(#[source] std::sync::Arc<DbError>),
    /// A database statement took longer than it may.
    #[error(
        "this took the database longer than the {} ms that a statement may take (STATEMENT_TIMEOUT_MS): ask for fewer items, or \
         search for less at once, and try again"
    , .0.as_millis())]
    TimedOut(std::time::Duration, #[source] std::sync::Arc<DbError>),
    /// A bug or a broken database.
    #[error("internal error")]
    Internal(#[source] std::sync::Arc<dyn std::error::Error + Send + Sync>),
}

/// The code of a GraphQL error, in `extensions.code`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorCode {
    /// Nobody is signed in.
    Unauthenticated,
    /// The actor may not do this.
    Forbidden,
    /// The document or an argument is wrong.
    BadUserInput,
    /// The request asks for more than its caller may.
    LimitExceeded,
    /// The cost of the operation is more than its caller may ask for.
    MaxCostExceeded,
    /// Another request was first.
    Conflict,
    /// The request took too long.
    Timeout,
    /// The caller asks for too much or too often.
    Throttled,
    /// Try again later.
    ServiceUnavailable,
    /// Our fault.
    Internal,
}

impl ErrorCode {
    /// How the code is written, the HTTP status of a request that fails with it as a whole, and the level it is logged at.
    #[must_use]
    pub fn table(self) -> (&'static str, StatusCode, tracing::Level) {
        use tracing::Level;
        match self {
            Self::Unauthenticated => ("UNAUTHENTICATED", StatusCode::UNAUTHORIZED, Level::DEBUG),
            Self::Forbidden => ("FORBIDDEN", StatusCode::FORBIDDEN, Level::DEBUG),
            Self::BadUserInput => ("BAD_USER_INPUT", StatusCode::BAD_REQUEST, Level::DEBUG),
            Self::LimitExceeded => ("LIMIT_EXCEEDED", StatusCode::BAD_REQUEST, Level::DEBUG),
            Self::MaxCostExceeded => ("MAX_COST_EXCEEDED", StatusCode::BAD_REQUEST, Level::DEBUG),
            Self::Conflict => ("CONFLICT", StatusCode::CONFLICT, Level::DEBUG),
            Self::Timeout => ("TIMEOUT", StatusCode::SERVICE_UNAVAILABLE, Level::WARN),
            Self::Throttled => ("THROTTLED", StatusCode::TOO_MANY_REQUESTS, Level::DEBUG),
            Self::ServiceUnavailable => ("SERVICE_UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE, Level::WARN),
            Self::Internal => ("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR, Level::ERROR),
        }
    }

    /// How the code is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.table().0
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

    /// When to try again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } | Self::Overloaded { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// One thing that is wrong with the input.
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
            DbError::Timeout(None, _) | DbError::Unavailable(_) | DbError::Clash(_) => {
                Self::Unavailable(error)
            }
            _ => Self::Internal(error),
        }
    }
}

impl AsRetryable for Error {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(error) if error.is_retryable())
    }
}

/// One thing a user can mend.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct UserError {
    /// The path of the input field, from the mutation's argument on; empty when no field is to blame.
    pub field: Vec<String>,
    /// What is wrong and how to mend it, in a sentence.
    pub message: String,
    /// The kind of problem.
    pub code: UserErrorCode,
}

impl UserError {
    /// A problem with a field.
    pub fn new(field: &[&str], code: UserErrorCode, message: impl Into<String>) -> Self {
        Self { field: field.iter().map(|part| (*part).to_owned()).collect(), message: message.into(), code }
    }
}

/// The kinds of problems a user can mend.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize, async_graphql::Enum)]
#[graphql(name = "UserErrorCode")]
pub enum UserErrorCode {
    /// A value that is needed is missing or empty.
    Blank,
    /// A value has the wrong form.
    Invalid,
    /// A value must be unique, and another has it.
    Taken,
    /// A text is too long.
    TooLong,
    /// A text is too short.
    TooShort,
    /// A token is none, or does not hold any more.
    TokenInvalid,
    /// The e-mail address and the password are not those of anybody.
    UnidentifiedCustomer,
    /// There are too many items.
    TooMany,
    /// What an id names is not there.
    NotFound,
    /// The value is not what the sender expected it to be: somebody else changed it.
    Stale,
    /// The change would leave less stock on hand than is reserved.
    InsufficientStock,
    /// What is referred to is in a state that does not allow this.
    NotAllowed,
    /// The payment provider said no.
    PaymentDeclined,
    /// The line is not in the cart.
    InvalidMerchandiseLine,
    /// The delivery address is not one of the cart's.
    InvalidDeliveryAddressId,
    /// The delivery group is not one of the cart's.
    InvalidDeliveryGroup,
    /// The delivery option is not one of those that can be chosen.
    InvalidDeliveryOption,
    /// The quantity is too small.
    MinimumNotMet,
    /// The quantity is too large.
    MaximumExceeded,
    /// The note is too long.
    NoteTooLong,
    /// The cart would hold too much.
    CartTooLarge,
    /// The cart would have too many delivery addresses.
    TooManyDeliveryAddresses,
    /// A cart is sent to one address.
    OnlyOneDeliveryAddressCanBeSelected,
}

/// An error with everything that caused it, in one line: for the log and for whoever runs a command.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors tell their cause themselves.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
