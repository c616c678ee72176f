//! The catalog: lists of products and collections; changes of products, variants and collections;
//! and the stock of variants.
//!
//! Single objects and their relations are read through `loaders`. Every change of a product ends in
//! [`ProductIndexer`], which updates derived data (price range, search index, rule-based
//! collections) in the same transaction.

pub(crate) mod check;
mod collections;
pub mod inventory;
mod options;
mod product_indexer;
mod products;
mod read;
pub mod search_index;
mod selection;
pub(super) mod tags;
mod variants;

pub(crate) use check::MAX_IMAGES;
pub use collections::{CollectionPatch, Collections, NewCollection};
pub use inventory::Inventory;
pub use options::{OptionPatch, OptionPlace, Options};
pub use product_indexer::ProductIndexer;
pub(in crate::services) use product_indexer::index_words;
pub use products::{NewImage, NewProduct, ProductPatch, Products, Seo};
pub(crate) use products::{event as product_event, set_images};
pub use read::{Catalog, ProductListing, ProductQuery};
pub use selection::{Selection, encode_variants};
pub use variants::{NewVariant, OptionValue, VariantPatch, VariantStrategy, Variants};

pub use crate::repositories::catalog::collections::CollectionSort;

use crate::domain::catalog::handles;
use crate::error::{Error, UserErrorCode};

/// The first handle that is not taken, derived from `stem`. `taken` are the existing handles with
/// that prefix.
#[expect(clippy::maybe_infinite_iter, reason = "`taken` is finite")]
pub(super) fn find_free_handle(stem: &str, taken: &[String]) -> String {
    (0..)
        .map(|n| handles::alternative(stem, n))
        .find(|candidate| !taken.contains(candidate))
        .unwrap_or_else(|| stem.to_owned())
}

/// The error when another product or collection has the handle.
pub(super) fn handle_taken(field: &[&str], handle: &str) -> Error {
    Error::invalid(
        field,
        UserErrorCode::Taken,
        format!("Handle '{handle}' already in use. Please provide a new handle."),
    )
}

/// The error when there is no product with the id in a field.
fn product_not_found(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "Product does not exist")
}
