//! Inputs that several mutations of the catalogue share.

use async_graphql::InputObject;

use crate::services::catalog;

/// What search engines are told.
#[derive(InputObject)]
#[graphql(name = "SEOInput")]
pub struct SeoInput {
    /// The title; null means the thing's own.
    title: Option<String>,
    /// The description; null means the thing's own.
    description: Option<String>,
}

/// An image, by its address.
#[derive(InputObject)]
pub struct ImageInput {
    /// Where it is: https://, http://, or a path on this server.
    url: String,
    /// What it shows, in words.
    alt_text: Option<String>,
}

impl From<SeoInput> for catalog::Seo {
    fn from(input: SeoInput) -> Self {
        Self { title: input.title, description: input.description }
    }
}

impl From<ImageInput> for catalog::NewImage {
    fn from(input: ImageInput) -> Self {
        Self { url: input.url, alt_text: input.alt_text }
    }
}

impl From<ImageInput> for (String, Option<String>) {
    fn from(input: ImageInput) -> Self {
        (input.url, input.alt_text)
    }
}
