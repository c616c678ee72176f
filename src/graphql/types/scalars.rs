//! Scalars of the Storefront API.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

use crate::domain::ids::{Id, without_namespace};
use crate::domain::reports::Day;
use crate::domain::time::Timestamp;
use crate::error::Error;

/// Defines a scalar that is a string.
macro_rules! text_scalar {
    ($(#[$doc:meta])* $name:ident, $graphql:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub(crate) struct $name(pub String);

        $(#[$doc])*
        #[Scalar(name = $graphql)]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                match value {
                    Value::String(text) => Ok(Self(text)),
                    other => Err(InputValueError::expected_type(other)),
                }
            }

            fn to_value(&self) -> Value {
                Value::String(self.0.clone())
            }
        }
    };
}

text_scalar! {
    /// HTML content, as entered by staff.
    Html, "HTML"
}
text_scalar! {
    /// A color in hexadecimal notation, such as `#1A2B3C`.
    Color, "Color"
}
text_scalar! {
    /// An absolute URL.
    Url, "URL"
}

text_scalar! {
    /// An unsigned 64-bit integer, written as a string: `"2136"`.
    UnsignedInt64, "UnsignedInt64"
}

/// An exact decimal number, written as a string so that no client rounds it: `"29.99"`.
#[derive(Clone, Debug)]
pub(crate) struct Decimal(pub String);

/// An exact decimal number, written as a string so that no client rounds it: `"29.99"`.
#[Scalar]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            // Numbers in a document keep their exact digits up to here.
            Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// A point in time in ISO 8601 format, in UTC: `"2026-11-22T14:05:00Z"`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DateTime(pub Timestamp);

/// A point in time in ISO 8601 format, in UTC: `"2026-11-22T14:05:00Z"`.
#[Scalar]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else { return Err(InputValueError::expected_type(value)) };
        match chrono::DateTime::parse_from_rfc3339(&text) {
            Ok(moment) => Ok(Self(moment.to_utc().into())),
            Err(_) => Err(InputValueError::custom(format!(
                "`{text}` is not an ISO 8601 time such as 2026-11-22T14:05:00Z"
            ))),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A date in ISO 8601 format, in UTC: `"2026-11-22"`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Date(pub Day);

/// A date in ISO 8601 format, in UTC: `"2026-11-22"`.
#[Scalar]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else { return Err(InputValueError::expected_type(value)) };
        let day = Day::parse(&text).map(Self);
        day.ok_or_else(|| InputValueError::custom("a date is written as 2026-11-22"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// The global id of an object: `gid://mercato/Product/<uuid>`. If the shop's ids are in another
/// namespace, the `namespace` module converts them in the response.
pub(crate) fn gid<I: Id>(id: I) -> async_graphql::ID {
    async_graphql::ID(id.gid())
}

/// Splits a global id into the type name and the rest.
pub(crate) fn split_gid(id: &str) -> Option<(&str, &str)> {
    without_namespace(id)?.split_once('/')
}

/// Parses a global id.
///
/// # Errors
/// [`Error::BadInput`] if it is not an id of that type.
pub(crate) fn parse_gid<I: Id>(id: &async_graphql::ID) -> Result<I, Error> {
    split_gid(id)
        .filter(|(name, _)| *name == I::TYPE)
        .and_then(|(_, uuid)| uuid::Uuid::try_parse(uuid).ok())
        .map(I::from_uuid)
        .ok_or_else(|| {
            let shown: String = id.chars().take(80).collect();
            Error::BadInput(format!(
                "`{shown}` is not the id of a {0}: ids look like gid://mercato/{0}/<uuid>",
                I::TYPE
            ))
        })
}

/// Parses global ids of one type.
///
/// # Errors
/// [`Error::BadInput`] for the first that is not an id of that type.
pub(crate) fn parse_gids<I: Id>(ids: &[async_graphql::ID]) -> Result<Vec<I>, Error> {
    ids.iter().map(parse_gid).collect()
}

#[cfg(test)]
mod fuzz {
    use async_graphql::ID;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::{ProductId, VariantId};

    proptest! {
        #[test]
        fn ids_round_trip_only_as_ids_of_their_type(bits in any::<u128>()) {
            let id = ProductId::from_uuid(uuid::Uuid::from_u128(bits));
            prop_assert_eq!(parse_gid::<ProductId>(&gid(id)).unwrap(), id);
            prop_assert!(parse_gid::<VariantId>(&gid(id)).is_err());
            let shopify_id = ID(gid(id).replacen("mercato", "shopify", 1));
            prop_assert_eq!(parse_gid::<ProductId>(&shopify_id).unwrap(), id);
        }

        #[test]
        fn invalid_ids_are_rejected(text in r"(gid://(mercato|shopify)/)?(Product)?/?[0-9a-f-]{0,40}|\PC*") {
            match parse_gid::<ProductId>(&ID(text.clone())) {
                Ok(_) => prop_assert!(
                    without_namespace(&text).is_some_and(|rest| rest.starts_with("Product/")),
                    "{text}"
                ),
                Err(error) => prop_assert!(error.to_string().chars().count() < 200, "{error}"),
            }
        }
    }
}
