//! The catalogue: reads in lists, and writes of products, variants and collections.
//!
//! Single things and their edges are read through `loaders`. Every write ends in [`settle::Settle`], which keeps what is
//! derived from a product (its price span, its words in the search index, the rule-based collections it is in) true in the
//! transaction of the write.

pub(crate) mod check;
mod collections;
mod options;
mod products;
mod read;
mod selection;
mod settle;
mod variants;

pub(crate) use check::MAX_IMAGES;
pub use collections::{CollectionPatch, Collections, NewCollection};
pub use options::{OptionPatch, OptionPlace, Options};
pub use products::{NewImage, NewProduct, ProductPatch, Products, Seo};
pub(crate) use products::{event as product_event, set_images};
pub use read::{Catalog, ProductQuery, Visible};
pub use selection::{Selection, encode_variants};
pub use settle::Settle;
pub(in crate::services) use settle::index;
pub use variants::{NewVariant, OptionValue, VariantPatch, VariantStrategy, Variants};

pub use crate::repositories::collections::CollectionSort;

use crate::domain::handle;
use crate::error::{Error, UserErrorCode};

/// A handle for a new thing: the one that was asked for, or the first free one made of its title. `taken` are the handles
/// that begin like it.
pub(super) fn free_handle(stem: &str, taken: &[String]) -> String {
    (0..)
        .map(|n| handle::alternative(stem, n))
        .find(|candidate| !taken.contains(candidate))
        .unwrap_or_else(|| stem.to_owned())
}

/// The error of a handle that another product or collection has.
pub(super) fn handle_taken(field: &[&str], handle: &str) -> Error {
    Error::invalid(
        field,
        UserErrorCode::Taken,
        format!("Handle '{handle}' already in use. Please provide a new handle."),
    )
}
