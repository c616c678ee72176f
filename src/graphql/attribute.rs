//! What storefronts note on carts, their lines and orders.

use async_graphql::{InputObject, SimpleObject};

use crate::domain::cart;

/// Something that is noted, such as a gift message.
#[derive(SimpleObject, Clone)]
pub struct Attribute {
    /// What it is called.
    key: String,
    /// Its value.
    value: Option<String>,
}

/// Something to be noted, such as a gift message.
#[derive(InputObject, Clone)]
pub struct AttributeInput {
    /// What it is called.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl Attribute {
    /// All that is noted.
    pub fn all(attributes: &[cart::Attribute]) -> Vec<Self> {
        attributes.iter().map(|one| Self { key: one.key.clone(), value: Some(one.value.clone()) }).collect()
    }
}

impl From<AttributeInput> for cart::Attribute {
    fn from(input: AttributeInput) -> Self {
        Self { key: input.key, value: input.value }
    }
}
