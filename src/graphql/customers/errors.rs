//! User errors of customer mutations, which the dialect reports as `customerUserErrors` in addition
//! to `userErrors`.

use async_graphql::{Enum, Object};

use crate::error::{Error, UserErrorCode};
use crate::graphql::types::errors::{UserError, payload};

/// An error in the input of a customer mutation.
#[derive(Clone)]
pub(super) struct CustomerUserError(crate::error::UserError);

/// The error codes of customer mutations.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum CustomerErrorCode {
    /// A required value is missing or empty.
    Blank,
    /// The value is invalid.
    Invalid,
    /// There is no object with the given ID.
    NotFound,
    /// The value must be unique, but is already in use.
    Taken,
    /// The token is invalid or has expired.
    TokenInvalid,
    /// The text is too long.
    TooLong,
    /// The text is too short.
    TooShort,
    /// There is no account with this email address and password.
    UnidentifiedCustomer,
}

/// An error in the input of a customer mutation.
#[Object]
impl CustomerUserError {
    /// The error code.
    async fn code(&self) -> Option<CustomerErrorCode> {
        Some(match self.0.code {
            UserErrorCode::Blank => CustomerErrorCode::Blank,
            UserErrorCode::NotFound => CustomerErrorCode::NotFound,
            UserErrorCode::Taken => CustomerErrorCode::Taken,
            UserErrorCode::TokenInvalid => CustomerErrorCode::TokenInvalid,
            UserErrorCode::TooLong => CustomerErrorCode::TooLong,
            UserErrorCode::TooShort => CustomerErrorCode::TooShort,
            UserErrorCode::UnidentifiedCustomer => CustomerErrorCode::UnidentifiedCustomer,
            _ => CustomerErrorCode::Invalid,
        })
    }

    /// The path to the invalid input field, starting at the mutation's argument. Null when the
    /// error isn't about a single field.
    async fn field(&self) -> Option<&[String]> {
        (!self.0.field.is_empty()).then_some(self.0.field.as_slice())
    }

    /// What is wrong and how to fix it.
    async fn message(&self) -> &str {
        &self.0.message
    }
}

/// Splits the result of a service into the payload's value and its user errors, in both forms of
/// the dialect. Any other error fails the field.
pub(super) fn customer_payload<T>(
    result: Result<T, Error>,
) -> async_graphql::Result<(Option<T>, Vec<CustomerUserError>, Vec<UserError>)> {
    let customer_errors = match &result {
        Err(Error::Invalid(errors)) => errors.iter().cloned().map(CustomerUserError).collect(),
        _ => Vec::new(),
    };
    let (value, user_errors) = payload(result)?;
    Ok((value, customer_errors, user_errors))
}

/// Defines the payload type of a customer mutation.
macro_rules! customer_payload_type {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject)]
        pub(super) struct $name {
            $($(#[$field_doc])* $field: $type,)*
            /// Errors in the input, with customer error codes. Empty when the mutation succeeded.
            customer_user_errors: Vec<$crate::graphql::customers::errors::CustomerUserError>,
            /// Errors in the input, in the same form as for all other mutations. Empty when the
            /// mutation succeeded.
            user_errors: Vec<$crate::graphql::types::errors::UserError>,
        }
    };
}
pub(super) use customer_payload_type;
