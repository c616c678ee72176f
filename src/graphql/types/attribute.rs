//! Custom attributes of carts, cart lines and orders.

use async_graphql::{InputObject, SimpleObject};

use crate::domain::checkout::carts;

/// A custom attribute, such as a gift message.
#[derive(SimpleObject, Clone)]
pub(crate) struct Attribute {
    /// The name of the attribute.
    key: String,
    /// The value of the attribute.
    value: Option<String>,
}

/// The input fields of a custom attribute, such as a gift message.
#[derive(InputObject, Clone)]
pub struct AttributeInput {
    /// The name of the attribute.
    pub key: String,
    /// The value of the attribute.
    pub value: String,
}

impl Attribute {
    /// Converts a list of attributes.
    pub(crate) fn all(attributes: &[carts::Attribute]) -> Vec<Self> {
        attributes.iter().map(|one| Self { key: one.key.clone(), value: Some(one.value.clone()) }).collect()
    }
}

impl From<AttributeInput> for carts::Attribute {
    fn from(input: AttributeInput) -> Self {
        Self { key: input.key, value: input.value }
    }
}
