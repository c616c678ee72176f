//! Scalars of the Storefront dialect.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

use crate::domain::ids::{Id, without_namespace};
use crate::domain::report::Day;
use crate::domain::time::Timestamp;
use crate::error::Error;

/// A scalar that is a text.
macro_rules! text_scalar {
    ($(#[$doc:meta])* $name:ident, $graphql:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(pub String);

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
    /// A piece of HTML, as staff wrote it.
    Html, "HTML"
}
text_scalar! {
    /// A color, as the web writes it: `#1A2B3C`.
    Color, "Color"
}
text_scalar! {
    /// An address on the web.
    Url, "URL"
}

text_scalar! {
    /// A whole number that may be larger than `Int` holds, written as a string: `"2136"`.
    UnsignedInt64, "UnsignedInt64"
}

/// An exact decimal number, written as a string so that no client rounds it: `"29.99"`.
#[derive(Clone, Debug)]
pub struct Decimal(pub String);

/// An exact decimal number, written as a string so that no client rounds it: `"29.99"`.
#[Scalar]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            // A number in a document is text until here; its digits are taken as they are written.
            Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// A moment in ISO 8601, in UTC: `"2026-11-22T14:05:00Z"`.
#[derive(Clone, Copy, Debug)]
pub struct DateTime(pub Timestamp);

/// A moment in ISO 8601, in UTC: `"2026-11-22T14:05:00Z"`.
#[Scalar]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else { return Err(InputValueError::expected_type(value)) };
        match chrono::DateTime::parse_from_rfc3339(&text) {
            Ok(moment) => Ok(Self(moment.to_utc().into())),
            Err(_) => Err(InputValueError::custom(format!(
                "`{text}` is no ISO 8601 moment such as 2026-11-22T14:05:00Z"
            ))),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A day in ISO 8601, in UTC: `"2026-11-22"`.
#[derive(Clone, Copy, Debug)]
pub struct Date(pub Day);

/// A day in ISO 8601, in UTC: `"2026-11-22"`.
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

/// The global id of a thing: `gid://mercato/Product/<uuid>`. Where the shop's ids are in another
/// namespace, `namespace` puts them there.
pub fn gid<I: Id>(id: I) -> async_graphql::ID {
    async_graphql::ID(id.gid())
}

/// The type's name and the rest of a global id.
pub fn split_gid(id: &str) -> Option<(&str, &str)> {
    without_namespace(id)?.split_once('/')
}

/// The id that an argument names.
///
/// # Errors
/// [`Error::BadInput`] when it is no id of that type.
pub fn parse_gid<I: Id>(id: &async_graphql::ID) -> Result<I, Error> {
    split_gid(id)
        .filter(|(name, _)| *name == I::TYPE)
        .and_then(|(_, uuid)| uuid::Uuid::try_parse(uuid).ok())
        .map(I::from_uuid)
        .ok_or_else(|| {
            let shown: String = id.chars().take(80).collect();
            Error::BadInput(format!(
                "`{shown}` is no id of a {0}: ids look like gid://mercato/{0}/<uuid>",
                I::TYPE
            ))
        })
}

/// Several ids of one type.
///
/// # Errors
/// [`Error::BadInput`] for the first that is none.
pub fn parse_gids<I: Id>(ids: &[async_graphql::ID]) -> Result<Vec<I>, Error> {
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
        fn ids_read_back_as_ids_of_their_type_alone(bits in any::<u128>()) {
            let id = ProductId::from_uuid(uuid::Uuid::from_u128(bits));
            prop_assert_eq!(parse_gid::<ProductId>(&gid(id)).unwrap(), id);
            prop_assert!(parse_gid::<VariantId>(&gid(id)).is_err());
            let in_the_dialect = ID(gid(id).replacen("mercato", "shopify", 1));
            prop_assert_eq!(parse_gid::<ProductId>(&in_the_dialect).unwrap(), id);
        }

        #[test]
        fn other_texts_are_no_ids(text in r"(gid://(mercato|shopify)/)?(Product)?/?[0-9a-f-]{0,40}|\PC*") {
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
