//! The catalogue: products, variants, options, images, collections.

mod arrange_mutation;
mod collection;
mod collection_mutation;
mod image;
mod input;
mod option;
mod product;
mod product_mutation;
mod query;
mod variant;
mod variant_mutation;

pub use arrange_mutation::ArrangeCatalogMutation;
pub use collection::Collection;
pub use collection_mutation::CollectionMutation;
pub use image::Image;
pub use input::{ImageInput, SeoInput};
pub use option::{ProductOption, ProductOptionValue};
pub use product::{Count, Product};
pub use product_mutation::ProductMutation;
pub use query::CatalogQuery;
pub use variant::ProductVariant;
pub use variant_mutation::VariantMutation;

use async_graphql::SimpleObject;

use super::connection::connection;
use super::scalars::{Html, UnsignedInt64};
use super::total::ProductTotal;

connection!(
    ProductConnection,
    ProductEdge,
    Product,
    "products",
    counted by ProductTotal as Option<UnsignedInt64>,
    "How many products the whole list has, counted each time it is requested. Null when counting would take longer than a \
     search may."
);
connection!(ProductVariantConnection, ProductVariantEdge, ProductVariant, "variants");
connection!(CollectionConnection, CollectionEdge, Collection, "collections", counted);
connection!(ImageConnection, ImageEdge, Image, "images");
connection!(MediaConnection, MediaEdge, super::media::Media, "media");

/// What search engines are told.
#[derive(SimpleObject)]
#[graphql(name = "SEO")]
pub struct Seo {
    /// The title; null means the thing's own.
    pub title: Option<String>,
    /// The description; null means the thing's own.
    pub description: Option<String>,
}

/// A plain text, cut at a word where it would be longer than asked for.
fn truncated(text: &str, at: Option<i32>) -> String {
    let Some(limit) = at.and_then(|at| usize::try_from(at).ok()) else { return text.to_owned() };
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    const ELLIPSIS: &str = "...";
    let Some(room) = limit.checked_sub(ELLIPSIS.len()) else { return text.chars().take(limit).collect() };
    let cut: String = text.chars().take(room).collect();
    let ends_a_word = text.chars().nth(room).is_some_and(char::is_whitespace);
    let at_word =
        if ends_a_word { &cut } else { cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words) };
    format!("{at_word}{ELLIPSIS}")
}

fn html(text: &str) -> Html {
    Html(text.to_owned())
}
