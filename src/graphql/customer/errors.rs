//! What is wrong with a customer's input, as the dialect tells it: `customerUserErrors` beside `userErrors`.

use async_graphql::{Enum, Object};

use crate::error::{Error, UserErrorCode};
use crate::graphql::errors::{UserError, payload};

/// A problem with a customer's input.
#[derive(Clone)]
pub struct CustomerUserError(crate::error::UserError);

/// The kinds of problems with a customer's input.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum CustomerErrorCode {
    /// A value that is needed is missing or empty.
    Blank,
    /// A value has the wrong form.
    Invalid,
    /// What an id names is not there.
    NotFound,
    /// A value must be unique, and another has it.
    Taken,
    /// A token is none, or does not hold any more.
    TokenInvalid,
    /// A text is too long.
    TooLong,
    /// A text is too short.
    TooShort,
    /// The e-mail address and the password are not those of an account.
    UnidentifiedCustomer,
}

/// A problem with a customer's input, to be shown beside the field it is about.
#[Object]
impl CustomerUserError {
    /// The kind of problem.
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

    /// The path of the input field, from the mutation's argument on; null when no field is to blame.
    async fn field(&self) -> Option<&[String]> {
        (!self.0.field.is_empty()).then_some(self.0.field.as_slice())
    }

    /// What is wrong and how to mend it.
    async fn message(&self) -> &str {
        &self.0.message
    }
}

/// What a payload is made of: the service's answer, or what its sender can mend, in both of the dialect's forms.
pub fn customer_payload<T>(
    answer: Result<T, Error>,
) -> async_graphql::Result<(Option<T>, Vec<CustomerUserError>, Vec<UserError>)> {
    let customer_errors = match &answer {
        Err(Error::Invalid(errors)) => errors.iter().cloned().map(CustomerUserError).collect(),
        _ => Vec::new(),
    };
    let (value, user_errors) = payload(answer)?;
    Ok((value, customer_errors, user_errors))
}

/// Defines the payload of a mutation of customers.
macro_rules! customer_payload_type {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject)]
        pub struct $name {
            $($(#[$field_doc])* $field: $type,)*
            /// What is wrong with the input.
            customer_user_errors: Vec<$crate::graphql::customer::errors::CustomerUserError>,
            /// What is wrong with the input, as all mutations tell it.
            user_errors: Vec<$crate::graphql::errors::UserError>,
        }
    };
}
pub(super) use customer_payload_type;
