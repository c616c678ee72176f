//! Inputs shared by catalog mutations.

use async_graphql::InputObject;

use crate::services::catalog;

/// The search engine listing of a resource.
#[derive(InputObject)]
#[graphql(name = "SEOInput")]
pub struct SeoInput {
    /// The title. When null, the title of the resource itself is used.
    title: Option<String>,
    /// The description. When null, the description of the resource itself is used.
    description: Option<String>,
}

/// An image, given by its URL.
#[derive(InputObject)]
pub struct ImageInput {
    /// The URL of the image (`https://` or `http://`), or a path on this server.
    url: String,
    /// Alternative text that describes the image.
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
