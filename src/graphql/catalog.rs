//! The catalog: products, variants, options, images and collections.

mod collection_mutation;
mod collections;
mod images;
mod input;
pub(super) mod inventory;
mod options;
mod product_mutation;
mod products;
mod query;
mod reorder_mutation;
mod variant_mutation;
mod variants;

pub(super) use collection_mutation::CollectionMutation;
pub(super) use collections::Collection;
pub(super) use images::Image;
pub(super) use input::{ImageInput, SeoInput};
pub(super) use options::{ProductOption, ProductOptionValue};
pub(super) use product_mutation::ProductMutation;
pub(super) use products::{Count, Product};
pub(super) use query::CatalogQuery;
pub(super) use reorder_mutation::CatalogReorderMutation;
pub(super) use variant_mutation::VariantMutation;
pub(super) use variants::ProductVariant;

use async_graphql::SimpleObject;

use super::types::connection::connection;
use super::types::scalars::{Html, UnsignedInt64};
use super::types::total::ProductTotalCount;

connection!(
    ProductConnection,
    ProductEdge,
    Product,
    "products",
    counted by ProductTotalCount as Option<UnsignedInt64>,
    "The total number of products in the list, counted on each request. Null if a search would have \
     to examine too many products."
);
connection!(ProductVariantConnection, ProductVariantEdge, ProductVariant, "variants");
connection!(CollectionConnection, CollectionEdge, Collection, "collections", counted);
connection!(ImageConnection, ImageEdge, Image, "images");
connection!(MediaConnection, MediaEdge, super::media::Media, "media");

/// The search engine listing of a resource.
#[derive(SimpleObject)]
#[graphql(name = "SEO")]
pub(super) struct Seo {
    /// The title. When null, the title of the resource itself is used.
    pub title: Option<String>,
    /// The description. When null, the description of the resource itself is used.
    pub description: Option<String>,
}

/// Truncates plain text to `at` characters including the ellipsis, at a word boundary.
fn truncate(text: &str, at: Option<i32>) -> String {
    const ELLIPSIS: &str = "...";
    let Some(limit) = at.and_then(|at| usize::try_from(at).ok()) else { return text.to_owned() };
    if text.chars().count() <= limit {
        return text.to_owned();
    }
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
